/*
 * The best of a space.
 *
 * A small space is looked at whole: the products of a block's rows in one go, then the few that
 * beat the worst of the best so far. In a large one the signs of a block choose rows first (see
 * vector_signs.c); their lines of memory are asked for while the rest of the block's signs is
 * looked through, and then only their products are made. The tail comes first in both: it is small
 * and gives the threshold to begin with.
 *
 * Some more than were asked for are kept, and in the end compared by all twelve bits of their
 * values.
 */
#include "store/vector_inside.h"

#include "base/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

/* --- the best so far: a heap with the worst at its top --------------------------------------------- */

struct candidate {
    float cosine;
    struct vector_row row;
};

struct best {
    struct candidate *list;
    size_t count, limit;
};

static bool is_worse(const struct candidate *a, const struct candidate *b) {
    if (a->cosine != b->cosine)
        return a->cosine < b->cosine;
    return a->row.item != b->row.item ? a->row.item > b->row.item : a->row.part > b->row.part;
}

static void sink(struct candidate *list, size_t count, struct candidate fresh) {
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && is_worse(&list[child + 1], &list[child]))
            child++;
        if (!is_worse(&list[child], &fresh))
            break;
        list[at] = list[child];
    }
    list[at] = fresh;
}

static void rise(struct candidate *list, size_t at, struct candidate fresh) {
    for (size_t up; at > 0 && is_worse(&fresh, &list[up = (at - 1) / 2]); at = up)
        list[at] = list[up];
    list[at] = fresh;
}

static void offer(struct best *best, struct candidate fresh) {
    if (best->count < best->limit)
        rise(best->list, best->count++, fresh);
    else if (is_worse(&best->list[0], &fresh))
        sink(best->list, best->count, fresh);
}

static int best_first(const void *a, const void *b) {
    return is_worse(b, a) ? -1 : is_worse(a, b);
}

/* More than are asked for, since int8 puts neighbours in a wrong order. */
static size_t kept_for(size_t limit) {
    return limit + limit / 4 + 4;
}

float vector_cosine_exactly(const struct vector_query *query, const struct vector_row *row) {
    int32_t dot;
    vector_kernels()->dots(query, row->row, 1, &dot);
    int64_t sixteenths = (int64_t)dot * 16 + vector_rest_dot(query, row->rest);
    return (float)((double)sixteenths * ((double)row->scale * (double)query->scale / 16));
}

static size_t finish(struct best *best, const struct vector_query *query, size_t limit,
                     struct vector_hit *hits) {
    for (size_t i = 0; i < best->count; i++)
        best->list[i].cosine = vector_cosine_exactly(query, &best->list[i].row);
    qsort(best->list, best->count, sizeof(*best->list), best_first);
    size_t count = best->count < limit ? best->count : limit;
    for (size_t i = 0; i < count; i++)
        hits[i] = (struct vector_hit){best->list[i].row.item, best->list[i].cosine,
                                      best->list[i].row.part};
    return count;
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
    return best->count < best->limit ? -INFINITY : best->list[0].cosine;
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
        for (size_t i = 0; i < single.parts; i++) {
            struct vector_row row = vector_single_row(&single, walk.first, i, look->dims);
            offer(&look->best,
                  (struct candidate){vector_cosine(&look->query, dots[i], row.scale), row});
        }
    }
    vector_walk_close(&walk);
    return result == MDB_NOTFOUND ? 0 : result;
}

static void offer_row(struct look *look, const struct vector_block *block, size_t row,
                      int32_t dot) {
    float cosine = vector_cosine(&look->query, dot, vector_float_at(block->scales, row));
    if (cosine >= bar_of(&look->best))
        offer(&look->best, (struct candidate){cosine, vector_block_row(block, row)});
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
    if (search->limit > VECTOR_HITS_LIMIT)
        return E_LIMIT;
    struct look *look = aligned_alloc(64, sizeof(*look));
    BUG_IF(look == NULL);
    look->best = (struct best){.limit = kept_for(search->limit)};
    look->space = search->space;
    look->dims = (uint32_t)search->dims;
    if (!vector_shape_query(search->query, search->dims, &look->query)) {
        free(look);
        return E_INPUT;
    }
    look->best.list = malloc(look->best.limit * sizeof(*look->best.list));
    BUG_IF(look->best.list == NULL);
    int result = vector_read_begin(&look->txn);
    if (result == 0) {
        result = look_around(look, search);
        if (result == 0)
            *count = finish(&look->best, &look->query, search->limit, hits);
        vector_read_end(look->txn);
    }
    free(look->best.list);
    free(look);
    return vector_err(result);
}
