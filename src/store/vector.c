/*
 * What changes the vector store: items come, are replaced and go; spaces are dropped.
 */
#include "store/vector_inside.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

static MDB_val as_value(struct vector_key *key) {
    return (MDB_val){sizeof(key->bytes), key->bytes};
}

/* --- judging what comes ------------------------------------------------------------------------- */

static enum err judge(const struct vector_item *items, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (items[i].parts > VECTOR_PARTS_LIMIT || items[i].dims > VECTOR_DIMS_LIMIT)
            return E_LIMIT;
        if (items[i].space.id == 0 ||
            (items[i].parts > 0 && (items[i].dims == 0 || items[i].values == NULL)))
            return E_INPUT;
    }
    return E_OK;
}

struct entry {
    const struct vector_item *item;
    MDB_val value; /* empty when the item goes */
};

struct change {
    struct entry *entries;
    size_t count;
    int64_t seen;
};

static int by_place(const void *left, const void *right) {
    const struct vector_item *a = ((const struct entry *)left)->item,
                             *b = ((const struct entry *)right)->item;
    if (a->space.encoder != b->space.encoder)
        return a->space.encoder < b->space.encoder ? -1 : 1;
    if (a->space.id != b->space.id)
        return a->space.id < b->space.id ? -1 : 1;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return a < b ? -1 : a > b; /* the order in which they came */
}

static bool is_same_space(struct vector_space a, struct vector_space b) {
    return a.id == b.id && a.encoder == b.encoder;
}

/* Sorted by place; of several with the same place only the last stays. */
static void sort(struct change *change) {
    size_t kept = 0;
    qsort(change->entries, change->count, sizeof(struct entry), by_place);
    for (size_t i = 0; i < change->count; i++) {
        const struct vector_item *item = change->entries[i].item;
        const struct vector_item *next = i + 1 < change->count ? change->entries[i + 1].item : NULL;
        if (next == NULL || next->id != item->id || !is_same_space(next->space, item->space))
            change->entries[kept++] = change->entries[i];
    }
    change->count = kept;
}

/* Rounding is done before the transaction, so that writers wait for the disk only. */
static enum err shape_values(struct change *change) {
    for (size_t i = 0; i < change->count; i++) {
        struct entry *entry = &change->entries[i];
        if (entry->item->parts == 0)
            continue;
        entry->value.mv_size = vector_single_bytes(entry->item->dims, entry->item->parts);
        entry->value.mv_data = malloc(entry->value.mv_size);
        BUG_IF(entry->value.mv_data == NULL);
        if (!vector_single_shape(entry->item, entry->value.mv_data))
            return E_INPUT;
    }
    return E_OK;
}

static void release(struct change *change) {
    for (size_t i = 0; i < change->count; i++)
        free(change->entries[i].value.mv_data);
    free(change->entries);
}

/* --- items ---------------------------------------------------------------------------------------- */

static int tail_remove(MDB_txn *txn, const struct vector_item *item, struct vector_head *head) {
    struct vector_key key = vector_key(item->space, VECTOR_TAIL, item->id);
    struct vector_single old;
    MDB_val k = as_value(&key), v;
    int result = mdb_get(txn, vector_table(), &k, &v);
    if (result != 0)
        return result == MDB_NOTFOUND ? 0 : result;
    if (!vector_single_read(v, head->dims, &old) || head->tail_items == 0 ||
        head->tail_rows < old.parts)
        return MDB_CORRUPTED;
    head->tail_items--;
    head->items--;
    head->tail_rows -= old.parts;
    head->rows -= old.parts;
    return mdb_del(txn, vector_table(), &k, NULL);
}

static int tail_put(MDB_txn *txn, const struct entry *entry, struct vector_head *head) {
    struct vector_key key = vector_key(entry->item->space, VECTOR_TAIL, entry->item->id);
    MDB_val k = as_value(&key), v = entry->value;
    if (v.mv_size == 0)
        return 0;
    if (head->rows == 0)
        head->dims = entry->item->dims;
    if (head->dims != entry->item->dims)
        return VECTOR_MISFIT;
    head->tail_items++;
    head->items++;
    head->tail_rows += entry->item->parts;
    head->rows += entry->item->parts;
    return mdb_put(txn, vector_table(), &k, &v, 0);
}

static int blocks_remove(MDB_txn *txn, const struct entry *entries, size_t count,
                         struct vector_head *head) {
    if (head->blocks == 0)
        return 0;
    int64_t *items = malloc(count * sizeof(*items));
    BUG_IF(items == NULL);
    for (size_t i = 0; i < count; i++)
        items[i] = entries[i].item->id;
    int result = vector_blocks_remove(txn, entries[0].item->space, head, items, count);
    free(items);
    return result;
}

/* Entries of one space. */
static int change_space(MDB_txn *txn, const struct entry *entries, size_t count,
                        struct vector_totals *totals) {
    struct vector_head head;
    struct vector_space space = entries[0].item->space;
    int result = vector_head_get(txn, space, &head);
    if (result != 0 && result != MDB_NOTFOUND)
        return result;
    int64_t items = head.items, rows = head.rows;
    result = 0;
    for (size_t i = 0; i < count && result == 0; i++)
        result = tail_remove(txn, entries[i].item, &head);
    if (result == 0)
        result = blocks_remove(txn, entries, count, &head);
    for (size_t i = 0; i < count && result == 0; i++)
        result = tail_put(txn, &entries[i], &head);
    if (result == 0)
        result = vector_blocks_merge(txn, space, &head);
    if (result != 0)
        return result;
    totals->items += head.items - items;
    totals->parts += head.rows - rows;
    return vector_head_put(txn, space, &head);
}

static int change_all(MDB_txn *txn, struct vector_totals *totals, void *ctx) {
    const struct change *change = ctx;
    int result = 0;
    for (size_t from = 0, to; from < change->count && result == 0; from = to) {
        for (to = from + 1; to < change->count; to++)
            if (!is_same_space(change->entries[to].item->space, change->entries[from].item->space))
                break;
        result = change_space(txn, change->entries + from, to - from, totals);
    }
    if (change->seen > totals->seen)
        totals->seen = change->seen;
    return result;
}

enum err pool_vector_write(const struct vector_item *items, size_t count, int64_t seen) {
    struct change change = {.count = count, .seen = seen};
    enum err err = judge(items, count);
    if (err != E_OK)
        return err;
    change.entries = calloc(count + 1, sizeof(struct entry));
    BUG_IF(change.entries == NULL);
    for (size_t i = 0; i < count; i++)
        change.entries[i].item = &items[i];
    sort(&change);
    err = shape_values(&change);
    if (err == E_OK)
        err = vector_change(change_all, &change);
    release(&change);
    return err;
}

/* --- spaces --------------------------------------------------------------------------------------- */

static int count_out(MDB_val key, MDB_val value, struct vector_totals *totals) {
    struct vector_head head;
    const uint8_t *bytes = key.mv_data;
    if (bytes[VECTOR_KEY_SPACE] != VECTOR_HEAD)
        return 0;
    if (value.mv_size != sizeof(head))
        return MDB_CORRUPTED;
    memcpy(&head, value.mv_data, sizeof(head));
    totals->items -= head.items;
    totals->parts -= head.rows;
    return 0;
}

static int drop(MDB_txn *txn, struct vector_totals *totals, void *ctx) {
    const struct vector_space *space = ctx;
    struct vector_key from =
        vector_key((struct vector_space){space->id != 0 ? space->id : INT64_MIN, space->encoder}, 0,
                   INT64_MIN);
    size_t len = space->id != 0 ? VECTOR_KEY_SPACE : 4;
    MDB_cursor *cursor;
    MDB_val key = as_value(&from), value;
    int result = mdb_cursor_open(txn, vector_table(), &cursor);
    if (result != 0)
        return result;
    result = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (result == 0 && vector_key_begins(key, &from, len)) {
        result = count_out(key, value, totals);
        if (result == 0)
            result = mdb_cursor_del(cursor, 0);
        if (result == 0)
            result = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return result == MDB_NOTFOUND ? 0 : result;
}

enum err pool_vector_drop(struct vector_space space) {
    return vector_change(drop, &space);
}

int64_t vector_count(struct vector_space space) {
    MDB_txn *txn;
    struct vector_head head = {0};
    if (vector_read_begin(&txn) != 0)
        return 0;
    int result = vector_head_get(txn, space, &head);
    vector_read_end(txn);
    return result == 0 ? head.rows : 0;
}
