/*
 * The best of a space.
 *
 * A small space is looked at whole: the products of a block's rows in one go, then the few that
 * beat the worst of the best so far. In a large one the signs of a block choose rows first (see
 * vector_signs.c); their lines of memory are asked for while the rest of the block's signs is
 * looked through, and then only their products are made. The tail comes first in both: it is small
 * and gives the threshold to begin with.
 */
#include "store/vector_inside.h"

#include "base/check.h"

#include <math.h>
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

/* --- looking ---------------------------------------------------------------------------------------- */

struct look {
    struct vector_query query;
    struct vector_tables tables;
    struct best best;
    MDB_txn *txn;
    struct vector_space space;
    uint32_t dims;
};

/* What a cosine must be above; ties are decided by offer(). */
static float bar_of(const struct best *best) {
    return best->count < best->limit ? -INFINITY : best->hits[0].cosine;
}

static int look_at_tail(struct look *look) {
    struct vector_walk walk;
    struct vector_single single;
    int32_t dots[VECTOR_PARTS_LIMIT];
    int result = vector_walk_open(&walk, look->txn, look->space, VECTOR_TAIL, look->dims);
    if (result == 0)
        result = vector_walk_first(&walk);
    for (; result == 0; result = vector_walk_next(&walk)) {
        if (!vector_single_read(walk.value, look->dims, &single)) {
            result = MDB_CORRUPTED;
            break;
        }
        vector_kernels()->dots(&look->query, single.rows, single.parts, dots);
        for (size_t i = 0; i < single.parts; i++)
            offer(&look->best, (struct vector_hit){walk.first,
                                                   vector_cosine(&look->query, dots[i],
                                                                 vector_float_at(single.scales, i)),
                                                   (uint16_t)i});
    }
    vector_walk_close(&walk);
    return result == MDB_NOTFOUND ? 0 : result;
}

static void offer_row(struct look *look, const struct vector_block *block, size_t row,
                      int32_t dot) {
    float cosine = vector_cosine(&look->query, dot, vector_float_at(block->scales, row));
    if (cosine >= bar_of(&look->best))
        offer(&look->best, (struct vector_hit){vector_block_item(block, row), cosine,
                                               vector_block_part(block, row)});
}

static void look_at_all(struct look *look, const struct vector_block *block) {
    int32_t dots[VECTOR_BLOCK_MOST];
    vector_kernels()->dots(&look->query, block->rows, block->count, dots);
    for (size_t row = 0; row < block->count; row++)
        offer_row(look, block, row, dots[row]);
}

static void ask_for_rows(const struct vector_block *block, size_t first, uint64_t chosen) {
    for (; chosen != 0; chosen &= chosen - 1) {
        const int8_t *row = block->rows + (first + (size_t)__builtin_ctzll(chosen)) * block->stride;
        for (size_t i = 0; i < block->stride; i += 64)
            __builtin_prefetch(row + i);
    }
}

static void look_at_chosen(struct look *look, const struct vector_block *block, size_t first,
                           uint64_t chosen) {
    for (; chosen != 0; chosen &= chosen - 1) {
        size_t row = first + (size_t)__builtin_ctzll(chosen);
        int32_t dot;
        vector_kernels()->dots(&look->query, block->rows + row * block->stride, 1, &dot);
        offer_row(look, block, row, dot);
    }
}

static void look_through_signs(struct look *look, const struct vector_block *block,
                               const struct vector_signs *signs) {
    uint64_t chosen[VECTOR_BLOCK_MOST / VECTOR_GROUP_ROWS];
    struct vector_view view;
    const size_t group_bytes = vector_group_bytes(look->dims);
    vector_view_make(&look->query, &look->tables, signs, look->dims, &view);
    vector_view_aim(&view, bar_of(&look->best));
    for (size_t row = 0; row < block->count; row += VECTOR_GROUP_ROWS) {
        size_t group = row / VECTOR_GROUP_ROWS, rows = block->count - row;
        chosen[group] = vector_kernels()->choose(&view.choice, signs->groups + group * group_bytes);
        if (rows < VECTOR_GROUP_ROWS)
            chosen[group] &= ((uint64_t)1 << rows) - 1;
        ask_for_rows(block, row, chosen[group]);
    }
    for (size_t row = 0; row < block->count; row += VECTOR_GROUP_ROWS)
        look_at_chosen(look, block, row, chosen[row / VECTOR_GROUP_ROWS]);
}

/* --- over the blocks ---------------------------------------------------------------------------------- */

static int look_at_blocks(struct look *look) {
    struct vector_walk walk;
    struct vector_block block;
    int result = vector_walk_open(&walk, look->txn, look->space, VECTOR_ROWS, look->dims);
    if (result == 0)
        result = vector_walk_first(&walk);
    for (; result == 0; result = vector_walk_next(&walk)) {
        if (!vector_block_read(walk.value, look->dims, &block)) {
            result = MDB_CORRUPTED;
            break;
        }
        look_at_all(look, &block);
    }
    vector_walk_close(&walk);
    return result == MDB_NOTFOUND ? 0 : result;
}

/* Both walks are at the same block, or at the end. */
static int look_at_pair(struct look *look, const struct vector_walk *rows,
                        const struct vector_walk *signs_walk) {
    struct vector_block block;
    struct vector_signs signs;
    if (rows->first != signs_walk->first || !vector_block_read(rows->value, look->dims, &block) ||
        !vector_signs_read(signs_walk->value, look->dims, &signs) || signs.count != block.count)
        return MDB_CORRUPTED;
    if (look->best.count < look->best.limit)
        look_at_all(look, &block);
    else
        look_through_signs(look, &block, &signs);
    return 0;
}

static int look_at_pairs(struct look *look) {
    struct vector_walk rows = {0}, signs = {0};
    int result = vector_walk_open(&rows, look->txn, look->space, VECTOR_ROWS, look->dims);
    if (result == 0)
        result = vector_walk_open(&signs, look->txn, look->space, VECTOR_SIGNS, look->dims);
    if (result == 0)
        result = vector_walk_first(&rows);
    if (result == 0)
        result = vector_walk_first(&signs);
    while (result == 0 && (result = look_at_pair(look, &rows, &signs)) == 0) {
        result = vector_walk_next(&rows);
        if (result == 0)
            result = vector_walk_next(&signs);
    }
    vector_walk_close(&rows);
    vector_walk_close(&signs);
    return result == MDB_NOTFOUND ? 0 : result;
}

static int look_around(struct look *look, const struct vector_search *search) {
    struct vector_head head;
    int result = vector_head_get(look->txn, search->space, &head);
    if (result != 0)
        return result == MDB_NOTFOUND ? 0 : result;
    if (head.dims != search->dims)
        return VECTOR_MISFIT;
    result = look_at_tail(look);
    if (result != 0)
        return result;
    if (search->is_exact || head.rows <= vector_tuning.exact_rows || look->query.scale == 0)
        return look_at_blocks(look);
    vector_tables_make(&look->query, search->dims, &look->tables);
    return look_at_pairs(look);
}

enum err pool_vector_search(const struct vector_search *search, struct vector_hit *hits,
                            size_t *count) {
    *count = 0;
    if (search->limit == 0 || search->dims == 0 || search->dims > VECTOR_DIMS_LIMIT)
        return E_INPUT;
    struct look *look = aligned_alloc(64, sizeof(*look));
    BUG_IF(look == NULL);
    look->best = (struct best){.hits = hits, .limit = search->limit};
    look->space = search->space;
    look->dims = (uint32_t)search->dims;
    if (!vector_shape_query(search->query, search->dims, &look->query)) {
        free(look);
        return E_INPUT;
    }
    int result = vector_read_begin(&look->txn);
    if (result == 0) {
        result = look_around(look, search);
        vector_read_end(look->txn);
    }
    if (result == 0) {
        finish(&look->best);
        *count = look->best.count;
    }
    free(look);
    return vector_err(result);
}
