/*
 * Walking over the entries of a space that are of one kind: items of the tail, blocks, signs of
 * blocks.
 */
#include "store/vector_inside.h"

#include <string.h>

#include "base/banned.h"

int vector_walk_open(struct vector_walk *walk, MDB_txn *txn, struct vector_space space,
                     enum vector_kind kind, uint32_t dims) {
    *walk = (struct vector_walk){.like = vector_key(space, kind, INT64_MIN), .dims = dims};
    return mdb_cursor_open(txn, vector_table(), &walk->cursor);
}

void vector_walk_close(struct vector_walk *walk) {
    if (walk->cursor != NULL)
        mdb_cursor_close(walk->cursor);
    walk->cursor = NULL;
}

static int step(struct vector_walk *walk, MDB_val key, MDB_cursor_op op) {
    int result = mdb_cursor_get(walk->cursor, &key, &walk->value, op);
    if (result != 0)
        return result;
    if (!vector_key_begins(key, &walk->like, VECTOR_KEY_KIND))
        return MDB_NOTFOUND;
    walk->first = vector_key_item(key);
    return 0;
}

int vector_walk_first(struct vector_walk *walk) {
    struct vector_key key = walk->like;
    return step(walk, (MDB_val){sizeof(key.bytes), key.bytes}, MDB_SET_RANGE);
}

int vector_walk_next(struct vector_walk *walk) {
    return step(walk, (MDB_val){0}, MDB_NEXT);
}

int vector_walk_to(struct vector_walk *walk, int64_t item) {
    struct vector_key key = vector_key_at(&walk->like, item);
    int result = step(walk, (MDB_val){sizeof(key.bytes), key.bytes}, MDB_SET_RANGE);
    if (result == 0 && walk->first == item)
        return 0;
    if (result != 0 && result != MDB_NOTFOUND)
        return result;
    result = step(walk, (MDB_val){0}, MDB_PREV);
    return result;
}
