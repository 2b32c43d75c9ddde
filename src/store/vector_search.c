/*
 * Reading the vector store: the best of a space, all of a space, one item.
 */
#include "store/vector_inside.h"

#include "base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

/* --- the best so far: a heap with the worst at its top --------------------------------------------- */

struct best {
    struct vector_hit *hits;
    size_t count, limit;
};

static bool is_worse(const struct vector_hit *a, const struct vector_hit *b) {
    if (a->cosine != b->cosine)
        return a->cosine < b->cosine;
    return a->item != b->item ? a->item > b->item : a->part > b->part;
}

static void sink(struct vector_hit *hits, size_t count, struct vector_hit hit) {
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && is_worse(&hits[child + 1], &hits[child]))
            child++;
        if (!is_worse(&hits[child], &hit))
            break;
        hits[at] = hits[child];
    }
    hits[at] = hit;
}

static void rise(struct vector_hit *hits, size_t at, struct vector_hit hit) {
    for (size_t parent; at > 0 && is_worse(&hit, &hits[parent = (at - 1) / 2]); at = parent)
        hits[at] = hits[parent];
    hits[at] = hit;
}

static void offer(struct best *best, struct vector_hit hit) {
    if (best->count < best->limit)
        rise(best->hits, best->count++, hit);
    else if (is_worse(&best->hits[0], &hit))
        sink(best->hits, best->count, hit);
}

/* The heap becomes a list, best first. */
static void finish(struct best *best) {
    for (size_t left = best->count; left > 1; left--) {
        struct vector_hit worst = best->hits[0];
        sink(best->hits, left - 1, best->hits[left - 1]);
        best->hits[left - 1] = worst;
    }
}

/* --- walking ---------------------------------------------------------------------------------------- */

struct tail_walk {
    struct vector_key like;
    uint32_t dims;
    MDB_cursor *cursor;
    int64_t item;
    struct vector_single single;
};

/* 0, MDB_NOTFOUND at the end, or an error. */
static int tail_step(struct tail_walk *walk, MDB_cursor_op step) {
    MDB_val key = {sizeof(walk->like.bytes), walk->like.bytes}, value;
    int result = mdb_cursor_get(walk->cursor, &key, &value, step);
    if (result != 0)
        return result;
    if (!vector_key_begins(key, &walk->like, VECTOR_KEY_KIND))
        return MDB_NOTFOUND;
    walk->item = vector_key_item(key);
    return vector_single_read(value, walk->dims, &walk->single) ? 0 : MDB_CORRUPTED;
}

static int tail_begin(struct tail_walk *walk, MDB_txn *txn, struct vector_space space,
                      uint32_t dims) {
    walk->like = vector_key(space, VECTOR_TAIL, INT64_MIN);
    walk->dims = dims;
    int result = mdb_cursor_open(txn, vector_table(), &walk->cursor);
    return result != 0 ? result : tail_step(walk, MDB_SET_RANGE);
}

static void tail_end(struct tail_walk *walk) {
    if (walk->cursor != NULL)
        mdb_cursor_close(walk->cursor);
}

/* --- all ---------------------------------------------------------------------------------------------- */

struct scan {
    struct vector_space space;
    struct vector_query *query;
    vector_visit_fn visit;
    void *ctx;
};

static void visit_single(const struct scan *scan, int64_t item,
                         const struct vector_single *single) {
    int32_t dots[VECTOR_PARTS_LIMIT];
    vector_kernels()->dots(scan->query, single->rows, single->parts, dots);
    for (size_t i = 0; i < single->parts; i++) {
        float scale = vector_float_at(single->scales, i);
        struct vector_part part = {.item = item,
                                   .part = (uint16_t)i,
                                   .cosine = (float)dots[i] * (scale * scan->query->scale),
                                   .scale = scale,
                                   .values = single->rows + i * scan->query->stride};
        scan->visit(&part, scan->ctx);
    }
}

static int scan_space(MDB_txn *txn, const struct scan *scan, size_t dims) {
    struct vector_head head;
    struct tail_walk tail = {0};
    int result = vector_head_get(txn, scan->space, &head);
    if (result != 0)
        return result == MDB_NOTFOUND ? 0 : result;
    if (head.dims != dims)
        return VECTOR_MISFIT;
    for (result = tail_begin(&tail, txn, scan->space, head.dims); result == 0;
         result = tail_step(&tail, MDB_NEXT))
        visit_single(scan, tail.item, &tail.single);
    tail_end(&tail);
    return result == MDB_NOTFOUND ? 0 : result;
}

static struct vector_query *new_query(const float *values, size_t dims) {
    struct vector_query *query = aligned_alloc(64, sizeof(*query));
    BUG_IF(query == NULL);
    if (vector_shape_query(values, dims, query))
        return query;
    free(query);
    return NULL;
}

enum err pool_vector_scan(struct vector_space space, const float *query, size_t dims,
                          vector_visit_fn visit, void *ctx) {
    MDB_txn *txn;
    if (dims == 0 || dims > VECTOR_DIMS_LIMIT)
        return E_INPUT;
    struct scan scan = {space, new_query(query, dims), visit, ctx};
    if (scan.query == NULL)
        return E_INPUT;
    int result = vector_read_begin(&txn);
    if (result == 0) {
        result = scan_space(txn, &scan, dims);
        vector_read_end(txn);
    }
    free(scan.query);
    return vector_err(result);
}

/* --- the best ----------------------------------------------------------------------------------------- */

static void offer_part(const struct vector_part *part, void *ctx) {
    offer(ctx, (struct vector_hit){part->item, part->cosine, part->part});
}

enum err pool_vector_search(const struct vector_search *search, struct vector_hit *hits,
                            size_t *count) {
    struct best best = {.hits = hits, .limit = search->limit};
    *count = 0;
    if (search->limit == 0)
        return E_INPUT;
    enum err err = pool_vector_scan(search->space, search->query, search->dims, offer_part, &best);
    if (err != E_OK)
        return err;
    finish(&best);
    *count = best.count;
    return E_OK;
}

/* --- one item ------------------------------------------------------------------------------------------- */

enum err pool_vector_get(struct vector_space space, int64_t item, size_t dims, float *values,
                         uint16_t limit, uint16_t *parts) {
    MDB_txn *txn;
    struct vector_head head;
    struct vector_single single;
    struct vector_key key = vector_key(space, VECTOR_TAIL, item);
    MDB_val k = {sizeof(key.bytes), key.bytes}, v;
    *parts = 0;
    int result = vector_read_begin(&txn);
    if (result != 0)
        return vector_err(result);
    result = vector_head_get(txn, space, &head);
    if (result == 0 && head.dims != dims)
        result = VECTOR_MISFIT;
    if (result == 0)
        result = mdb_get(txn, vector_table(), &k, &v);
    if (result == 0 && !vector_single_read(v, (uint32_t)dims, &single))
        result = MDB_CORRUPTED;
    if (result == 0) {
        *parts = (uint16_t)(single.parts < limit ? single.parts : limit);
        for (size_t i = 0; i < *parts; i++)
            vector_unshape(single.rows + i * vector_stride(dims), vector_float_at(single.scales, i),
                           dims, values + i * dims);
    }
    vector_read_end(txn);
    return vector_err(result == MDB_NOTFOUND ? 0 : result);
}
