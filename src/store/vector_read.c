/*
 * All of a space in order, and one item.
 *
 * Items of blocks and of the tail are two lists in the same order, and are told as one.
 */
#include "store/vector_inside.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

/* --- all ------------------------------------------------------------------------------------------ */

struct scan {
    struct vector_query query;
    struct vector_walk tail, blocks;
    struct vector_single single;
    struct vector_block block;
    bool has_single, has_block; /* at an item of the tail, of a block */
    size_t row;
    int32_t dots[VECTOR_BLOCK_MOST]; /* of the block */
    vector_visit_fn visit;
    void *ctx;
};

static int take_single(struct scan *scan, int result) {
    scan->has_single = result == 0;
    if (result != 0)
        return result == MDB_NOTFOUND ? 0 : result;
    return vector_single_read(scan->tail.value, scan->tail.dims, &scan->single) ? 0 : MDB_CORRUPTED;
}

static int take_block(struct scan *scan, int result) {
    scan->has_block = result == 0;
    scan->row = 0;
    if (result != 0)
        return result == MDB_NOTFOUND ? 0 : result;
    if (!vector_block_read(scan->blocks.value, scan->blocks.dims, &scan->block))
        return MDB_CORRUPTED;
    vector_kernels()->dots(&scan->query, scan->block.rows, scan->block.count, scan->dots);
    return 0;
}

static void visit(const struct scan *scan, int64_t item, uint16_t part, int32_t dot, float scale,
                  const int8_t *row) {
    struct vector_part told = {item, part, vector_cosine(&scan->query, dot, scale), scale, row};
    scan->visit(&told, scan->ctx);
}

static void visit_single(const struct scan *scan) {
    const struct vector_single *single = &scan->single;
    int32_t dots[VECTOR_PARTS_LIMIT];
    vector_kernels()->dots(&scan->query, single->rows, single->parts, dots);
    for (size_t i = 0; i < single->parts; i++)
        visit(scan, scan->tail.first, (uint16_t)i, dots[i], vector_float_at(single->scales, i),
              single->rows + i * scan->query.stride);
}

/* Rows of the block up to the next item of the tail. */
static void visit_rows(struct scan *scan) {
    const struct vector_block *block = &scan->block;
    for (; scan->row < block->count; scan->row++) {
        int64_t item = vector_block_item(block, scan->row);
        if (scan->has_single && item > scan->tail.first)
            return;
        visit(scan, item, vector_block_part(block, scan->row), scan->dots[scan->row],
              vector_float_at(block->scales, scan->row), block->rows + scan->row * block->stride);
    }
}

static int scan_rows(struct scan *scan) {
    int result = take_single(scan, vector_walk_first(&scan->tail));
    if (result == 0)
        result = take_block(scan, vector_walk_first(&scan->blocks));
    while (result == 0 && (scan->has_single || scan->has_block)) {
        if (scan->has_block)
            visit_rows(scan);
        if (scan->has_block && scan->row == scan->block.count) {
            result = take_block(scan, vector_walk_next(&scan->blocks));
        } else { /* only when there is one: without, the rows went to their end */
            visit_single(scan);
            result = take_single(scan, vector_walk_next(&scan->tail));
        }
    }
    return result;
}

static int scan_space(struct scan *scan, MDB_txn *txn, struct vector_space space, size_t dims) {
    struct vector_head head;
    int result = vector_head_get(txn, space, &head);
    if (result != 0)
        return result == MDB_NOTFOUND ? 0 : result;
    if (head.dims != dims)
        return VECTOR_MISFIT;
    result = vector_walk_open(&scan->tail, txn, space, VECTOR_TAIL, head.dims);
    if (result == 0)
        result = vector_walk_open(&scan->blocks, txn, space, VECTOR_ROWS, head.dims);
    if (result == 0)
        result = scan_rows(scan);
    vector_walk_close(&scan->tail);
    vector_walk_close(&scan->blocks);
    return result;
}

enum err pool_vector_scan(struct vector_space space, const float *query, size_t dims,
                          vector_visit_fn visit_part, void *ctx) {
    MDB_txn *txn;
    if (dims == 0 || dims > VECTOR_DIMS_LIMIT)
        return E_INPUT;
    struct scan *scan = aligned_alloc(64, sizeof(*scan));
    BUG_IF(scan == NULL);
    scan->visit = visit_part;
    scan->ctx = ctx;
    scan->tail.cursor = scan->blocks.cursor = NULL;
    if (!vector_shape_query(query, dims, &scan->query)) {
        free(scan);
        return E_INPUT;
    }
    int result = vector_read_begin(&txn);
    if (result == 0) {
        result = scan_space(scan, txn, space, dims);
        vector_read_end(txn);
    }
    free(scan);
    return vector_err(result);
}

/* --- one item --------------------------------------------------------------------------------------- */

struct found {
    size_t parts;
    const int8_t *rows;
    const uint8_t *scales, *rests;
};

static int find_single(MDB_txn *txn, struct vector_space space, int64_t item, uint32_t dims,
                       struct found *found) {
    struct vector_key key = vector_key(space, VECTOR_TAIL, item);
    struct vector_single single;
    MDB_val k = {sizeof(key.bytes), key.bytes}, v;
    int result = mdb_get(txn, vector_table(), &k, &v);
    if (result != 0)
        return result;
    if (!vector_single_read(v, dims, &single))
        return MDB_CORRUPTED;
    *found = (struct found){single.parts, single.rows, single.scales, single.rests};
    return 0;
}

static int find_in_blocks(MDB_txn *txn, struct vector_space space, int64_t item, uint32_t dims,
                          struct found *found) {
    struct vector_walk walk;
    struct vector_block block;
    int result = vector_walk_open(&walk, txn, space, VECTOR_ROWS, dims);
    if (result == 0)
        result = vector_walk_to(&walk, item);
    if (result == 0 && !vector_block_read(walk.value, dims, &block))
        result = MDB_CORRUPTED;
    if (result == 0) {
        size_t row = vector_block_find(&block, item, &found->parts);
        found->rows = block.rows + row * block.stride;
        found->scales = block.scales + row * sizeof(float);
        found->rests = block.rests + row * vector_rest_bytes(dims);
    }
    vector_walk_close(&walk);
    return result;
}

static int find(MDB_txn *txn, struct vector_space space, int64_t item, size_t dims,
                struct found *found) {
    struct vector_head head;
    int result = vector_head_get(txn, space, &head);
    if (result == 0 && head.dims != dims)
        result = VECTOR_MISFIT;
    if (result == 0)
        result = find_single(txn, space, item, head.dims, found);
    if (result == MDB_NOTFOUND && head.blocks > 0)
        result = find_in_blocks(txn, space, item, head.dims, found);
    return result == MDB_NOTFOUND ? 0 : result;
}

enum err pool_vector_get(struct vector_space space, int64_t item, size_t dims, float *values,
                         uint16_t limit, uint16_t *parts) {
    MDB_txn *txn;
    struct found found = {0};
    *parts = 0;
    int result = vector_read_begin(&txn);
    if (result != 0)
        return vector_err(result);
    result = find(txn, space, item, dims, &found);
    if (result == 0)
        *parts = (uint16_t)(found.parts < limit ? found.parts : limit);
    for (size_t i = 0; i < *parts; i++)
        vector_unshape(found.rows + i * vector_stride(dims),
                       found.rests + i * vector_rest_bytes(dims), vector_float_at(found.scales, i),
                       dims, values + i * dims);
    vector_read_end(txn);
    return vector_err(result);
}
