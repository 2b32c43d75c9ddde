/*
 * Changes inside blocks. A new item is an entry of its own in the tail; when the tail has become
 * long, its items move into the blocks between whose items they belong, or make new blocks behind
 * the last. What is deleted or replaced is taken out of its block at once, so there are no marks to
 * look at in a search, and what is not in a block is not in the file after a compaction.
 *
 * A block's key is a bound: its items are not below it and are below the key of the next block. An
 * item is never in two blocks, nor in a block and in the tail. A block that has shrunk below an
 * eighth goes back into the tail, and from there into a neighbour.
 *
 * Items come in the order of their ids, which grow with time, so a merge mostly fills the last
 * block. In any other order every block may have to be written again; then a longer tail (a 128th
 * of the space) and a limit of blocks per transaction keep writes short.
 */
#include "store/vector_inside.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define SPARSE_SHARE      8
#define TAIL_SHARE        128
#define TAIL_MOST         8192
#define BLOCK_BYTES       ((size_t)512 << 10) /* of wide vectors fewer make a block */
#define MERGE_BLOCK_LIMIT 64                  /* 26 MB of 384 values */

static size_t block_room(uint32_t dims) {
    size_t room = BLOCK_BYTES / vector_stride(dims);
    return room < vector_tuning.block_rows ? room : vector_tuning.block_rows;
}

/* --- writing ------------------------------------------------------------------------------------ */

static int put_value(MDB_txn *txn, struct vector_key key, size_t bytes, uint8_t **out) {
    MDB_val k = {sizeof(key.bytes), key.bytes}, v = {bytes, NULL};
    int result = mdb_put(txn, vector_table(), &k, &v, MDB_RESERVE);
    *out = v.mv_data;
    return result;
}

static int put_block(MDB_txn *txn, struct vector_space space, const struct vector_draft *draft,
                     int64_t first, size_t from, size_t count) {
    uint8_t *out;
    int result = put_value(txn, vector_key(space, VECTOR_ROWS, first),
                           vector_block_bytes(draft->dims, count), &out);
    if (result != 0)
        return result;
    vector_block_write(draft, from, count, out);
    result = put_value(txn, vector_key(space, VECTOR_SIGNS, first),
                       vector_signs_bytes(draft->dims, count), &out);
    if (result == 0)
        vector_signs_write(draft, from, count, out);
    return result;
}

static int remove_block(MDB_txn *txn, struct vector_space space, int64_t first) {
    struct vector_key rows = vector_key(space, VECTOR_ROWS, first),
                      signs = vector_key(space, VECTOR_SIGNS, first);
    MDB_val key = {sizeof(rows.bytes), rows.bytes};
    int result = mdb_del(txn, vector_table(), &key, NULL);
    key.mv_data = signs.bytes;
    return result != 0 ? result : mdb_del(txn, vector_table(), &key, NULL);
}

static size_t parts_at(const struct vector_draft *draft, size_t row) {
    size_t parts = 1;
    while (row + parts < draft->count && draft->items[row + parts] == draft->items[row])
        parts++;
    return parts;
}

/* --- taking out ----------------------------------------------------------------------------------- */

/* All rows of the block, save those of the items. */
static void draft_without(struct vector_draft *draft, const struct vector_block *block,
                          const int64_t *items, size_t count) {
    size_t at = 0;
    for (size_t row = 0; row < block->count; row++) {
        int64_t item = vector_block_item(block, row);
        while (at < count && items[at] < item)
            at++;
        if (at == count || items[at] != item) {
            struct vector_row kept = vector_block_row(block, row);
            vector_draft_add(draft, &kept);
        }
    }
}

static int dissolve(MDB_txn *txn, struct vector_space space, struct vector_head *head,
                    const struct vector_draft *draft) {
    int result = 0;
    for (size_t row = 0, parts; row < draft->count && result == 0; row += parts) {
        uint8_t *out;
        parts = parts_at(draft, row);
        result = put_value(txn, vector_key(space, VECTOR_TAIL, draft->items[row]),
                           vector_single_bytes(draft->dims, (uint32_t)parts), &out);
        if (result == 0)
            vector_single_write(draft, row, parts, out);
        head->tail_items++;
        head->tail_rows += (uint32_t)parts;
    }
    return result;
}

/* Writes what is left of a block. */
static int replace_block(MDB_txn *txn, struct vector_space space, struct vector_head *head,
                         const struct vector_draft *draft, int64_t first) {
    if (draft->count >= block_room(draft->dims) / SPARSE_SHARE && draft->count > 0)
        return put_block(txn, space, draft, first, 0, draft->count);
    int result = remove_block(txn, space, first);
    head->blocks--;
    return result != 0 ? result : dissolve(txn, space, head, draft);
}

static int remove_from(MDB_txn *txn, struct vector_space space, struct vector_head *head,
                       const struct vector_walk *walk, const int64_t *items, size_t count) {
    struct vector_block block;
    struct vector_draft draft = {.dims = head->dims};
    size_t parts, gone_items = 0, gone_rows = 0;
    if (!vector_block_read(walk->value, walk->dims, &block))
        return MDB_CORRUPTED;
    for (size_t i = 0; i < count; i++)
        if (vector_block_find(&block, items[i], &parts) < block.count)
            gone_items++, gone_rows += parts;
    if (gone_items == 0)
        return 0;
    head->items -= (int64_t)gone_items;
    head->rows -= (int64_t)gone_rows;
    draft_without(&draft, &block, items, count);
    int result = replace_block(txn, space, head, &draft, walk->first);
    vector_draft_release(&draft);
    return result;
}

/* How many of the items lie in the block at the walk; the walk moves on. */
static int count_within(struct vector_walk *walk, const int64_t *items, size_t count,
                        size_t *within) {
    int result = vector_walk_next(walk);
    for (*within = 1; *within < count; ++*within)
        if (result == 0 && items[*within] >= walk->first)
            break;
    return result == MDB_NOTFOUND ? 0 : result;
}

int vector_blocks_remove(MDB_txn *txn, struct vector_space space, struct vector_head *head,
                         const int64_t *items, size_t count) {
    int result = 0;
    for (size_t at = 0, within; at < count && result == 0; at += within) {
        struct vector_walk walk;
        within = 1;
        result = vector_walk_open(&walk, txn, space, VECTOR_ROWS, head->dims);
        if (result == 0)
            result = vector_walk_to(&walk, items[at]);
        if (result == 0) {
            struct vector_walk here = walk;
            result = count_within(&walk, items + at, count - at, &within);
            if (result == 0)
                result = remove_from(txn, space, head, &here, items + at, within);
        } else if (result == MDB_NOTFOUND) {
            result = 0;
        }
        vector_walk_close(&walk);
    }
    return result;
}

/* --- putting in ----------------------------------------------------------------------------------- */

/* One merge: the items of the tail that belong into one block, or behind the last. */
struct merge {
    MDB_txn *txn;
    struct vector_space space;
    struct vector_head *head;
    struct vector_draft draft;
    bool has_block, has_next;
    int64_t first, next; /* keys of the block and of the one behind it */
    struct vector_block block;
    size_t block_row;
    int64_t *taken; /* items of the tail */
    size_t taken_count, taken_room, taken_rows;
};

/* A full last block is left as it is when what comes belongs behind it. */
static bool is_full_before(const struct merge *merge, int64_t item) {
    const struct vector_block *block = &merge->block;
    return !merge->has_next && block->count * 16 >= block_room(merge->draft.dims) * 15 &&
           vector_block_item(block, block->count - 1) < item;
}

static int find_target(struct merge *merge, struct vector_walk *blocks, int64_t item) {
    int result = vector_walk_to(blocks, item);
    if (result == MDB_NOTFOUND)
        result = vector_walk_first(blocks);
    if (result != 0)
        return result == MDB_NOTFOUND ? 0 : result;
    if (!vector_block_read(blocks->value, blocks->dims, &merge->block))
        return MDB_CORRUPTED;
    merge->first = blocks->first;
    result = vector_walk_next(blocks);
    merge->has_next = result == 0;
    merge->next = blocks->first;
    merge->has_block = !is_full_before(merge, item);
    return result == MDB_NOTFOUND ? 0 : result;
}

/* Rows of the block that come before the item; the rest with `is_all`. */
static void take_block_rows(struct merge *merge, int64_t before, bool is_all) {
    const struct vector_block *block = &merge->block;
    for (; merge->has_block && merge->block_row < block->count; merge->block_row++) {
        struct vector_row row = vector_block_row(block, merge->block_row);
        if (!is_all && row.item >= before)
            return;
        vector_draft_add(&merge->draft, &row);
    }
}

static void take_single(struct merge *merge, int64_t item, const struct vector_single *single) {
    if (merge->taken_count == merge->taken_room) {
        merge->taken_room = merge->taken_room > 0 ? merge->taken_room * 2 : 256;
        merge->taken = realloc(merge->taken, merge->taken_room * sizeof(*merge->taken));
        BUG_IF(merge->taken == NULL);
    }
    merge->taken[merge->taken_count++] = item;
    merge->taken_rows += single->parts;
    for (size_t i = 0; i < single->parts; i++) {
        struct vector_row row = vector_single_row(single, item, i, merge->draft.dims);
        vector_draft_add(&merge->draft, &row);
    }
}

/* Fills the draft: the rows of the block and the items of the tail, in order. */
static int collect(struct merge *merge) {
    struct vector_walk tail = {0}, blocks = {0};
    struct vector_single single;
    int result = vector_walk_open(&tail, merge->txn, merge->space, VECTOR_TAIL, merge->draft.dims);
    if (result == 0)
        result =
            vector_walk_open(&blocks, merge->txn, merge->space, VECTOR_ROWS, merge->draft.dims);
    if (result == 0)
        result = vector_walk_first(&tail);
    if (result == 0)
        result = find_target(merge, &blocks, tail.first);
    while (result == 0 && !(merge->has_next && tail.first >= merge->next) &&
           merge->taken_rows < TAIL_MOST) {
        if (!vector_single_read(tail.value, merge->draft.dims, &single)) {
            result = MDB_CORRUPTED;
            break;
        }
        take_block_rows(merge, tail.first, false);
        take_single(merge, tail.first, &single);
        result = vector_walk_next(&tail);
    }
    take_block_rows(merge, 0, true);
    vector_walk_close(&blocks);
    vector_walk_close(&tail);
    return result == MDB_NOTFOUND ? 0 : result;
}

/* Rows from `from` for the next block: full ones behind the last, halves between others. */
static size_t cut(const struct merge *merge, size_t from, size_t room) {
    size_t left = merge->draft.count - from, blocks = (left + room - 1) / room, rows = 0;
    size_t wanted = merge->has_next ? (left + blocks - 1) / blocks : room;
    while (from + rows < merge->draft.count) {
        size_t parts = parts_at(&merge->draft, from + rows);
        if (rows > 0 && (rows >= wanted || rows + parts > room))
            break;
        rows += parts;
    }
    return rows;
}

static int write_blocks(struct merge *merge, size_t *written) {
    size_t room = block_room(merge->draft.dims);
    int64_t first = merge->draft.items[0];
    int result = 0;
    if (merge->has_block) {
        merge->head->blocks--;
        if (merge->first < first)
            first = merge->first; /* the bound stays */
        else if (merge->first > first)
            result = remove_block(merge->txn, merge->space, merge->first);
    }
    for (size_t from = 0, rows; from < merge->draft.count && result == 0; from += rows) {
        rows = cut(merge, from, room);
        result = put_block(merge->txn, merge->space, &merge->draft,
                           from == 0 ? first : merge->draft.items[from], from, rows);
        merge->head->blocks++;
        ++*written;
    }
    return result;
}

static int remove_taken(struct merge *merge) {
    int result = 0;
    for (size_t i = 0; i < merge->taken_count && result == 0; i++) {
        struct vector_key key = vector_key(merge->space, VECTOR_TAIL, merge->taken[i]);
        MDB_val k = {sizeof(key.bytes), key.bytes};
        result = mdb_del(merge->txn, vector_table(), &k, NULL);
    }
    if (merge->taken_count > merge->head->tail_items || merge->taken_rows > merge->head->tail_rows)
        return MDB_CORRUPTED;
    merge->head->tail_items -= (uint32_t)merge->taken_count;
    merge->head->tail_rows -= (uint32_t)merge->taken_rows;
    return result;
}

static int merge_once(MDB_txn *txn, struct vector_space space, struct vector_head *head,
                      size_t *written) {
    struct merge merge = {.txn = txn, .space = space, .head = head, .draft = {.dims = head->dims}};
    int result = collect(&merge);
    if (result == 0 && merge.taken_count == 0)
        result = MDB_CORRUPTED; /* the head promised a tail */
    if (result == 0)
        result = write_blocks(&merge, written);
    if (result == 0)
        result = remove_taken(&merge);
    vector_draft_release(&merge.draft);
    free(merge.taken);
    return result;
}

int vector_blocks_merge(MDB_txn *txn, struct vector_space space, struct vector_head *head) {
    int64_t limit = head->rows / TAIL_SHARE;
    size_t written = 0;
    int result = 0;
    if (head->rows == 0)
        return 0;
    size_t budget = MERGE_BLOCK_LIMIT + 2 * head->tail_rows / block_room(head->dims);
    limit = limit < TAIL_MOST ? limit : TAIL_MOST;
    limit = limit > vector_tuning.tail_rows ? limit : vector_tuning.tail_rows;
    while (result == 0 && head->tail_rows > limit && written < budget)
        result = merge_once(txn, space, head, &written);
    return result;
}
