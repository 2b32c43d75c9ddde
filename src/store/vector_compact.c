/*
 * Nothing of what was deleted stays: the files are written again from what is alive.
 *
 * Not with LMDB's own compacting copy: that copies pages as they are, and the gap in a leaf page
 * still holds the bytes of entries that were taken out of it (as do the pages that LMDB recycles in
 * memory). Here every entry is put into a new environment in order, so that its pages hold what is
 * alive or zeros, the pages of a space lie one after the other, and the file is as small as it can
 * be. The new file is on disk before it takes the old one's place; a crash leaves one or the other.
 */
#include "store/vector_inside.h"

#include "base/banned.h"

#define STEP_BYTES ((size_t)16 << 20) /* a transaction's share: its pages are in memory */

struct copy {
    MDB_env *to;
    MDB_txn *txn;
    size_t pending; /* bytes in this transaction */
};

static int copy_step(struct copy *copy) {
    int result = copy->txn != NULL ? mdb_txn_commit(copy->txn) : 0;
    copy->txn = NULL;
    copy->pending = 0;
    return result != 0 ? result : mdb_txn_begin(copy->to, NULL, 0, &copy->txn);
}

static int copy_entries(struct copy *copy, MDB_cursor *from, MDB_dbi table) {
    MDB_val key, value;
    int result = mdb_cursor_get(from, &key, &value, MDB_FIRST);
    while (result == 0) {
        result = mdb_put(copy->txn, table, &key, &value, MDB_APPEND);
        copy->pending += value.mv_size;
        if (result == 0 && copy->pending > STEP_BYTES)
            result = copy_step(copy);
        if (result == 0)
            result = mdb_cursor_get(from, &key, &value, MDB_NEXT);
    }
    return result == MDB_NOTFOUND ? 0 : result;
}

static int copy_table(struct copy *copy, MDB_txn *from, MDB_dbi from_table, const char *name) {
    MDB_cursor *cursor;
    MDB_dbi table;
    int result = mdb_dbi_open(copy->txn, name, MDB_CREATE, &table);
    if (result == 0)
        result = mdb_cursor_open(from, from_table, &cursor);
    if (result != 0)
        return result;
    result = copy_entries(copy, cursor, table);
    mdb_cursor_close(cursor);
    return result;
}

static int copy_all(struct copy *copy, MDB_txn *from, MDB_dbi vectors, MDB_dbi state) {
    int result = copy_step(copy);
    if (result == 0)
        result = copy_table(copy, from, vectors, "vectors");
    if (result == 0)
        result = copy_table(copy, from, state, "state");
    if (result == 0) {
        result = mdb_txn_commit(copy->txn);
        copy->txn = NULL;
    }
    if (copy->txn != NULL)
        mdb_txn_abort(copy->txn);
    return result != 0 ? result : mdb_env_sync(copy->to, 1);
}

/* Not synced at every step: it is not the data yet. */
static int fill(MDB_txn *txn, MDB_dbi vectors, MDB_dbi state, const char *path) {
    MDB_envinfo about;
    struct copy copy = {0};
    int result = mdb_env_create(&copy.to);
    if (result != 0)
        return result;
    result = mdb_env_info(mdb_txn_env(txn), &about);
    mdb_env_set_mapsize(copy.to, 2 * about.me_mapsize); /* what is copied on write comes on top */
    mdb_env_set_maxdbs(copy.to, 4);
    if (result == 0)
        result = vector_make_lock(path);
    if (result == 0)
        result = mdb_env_open(copy.to, path, MDB_NOTLS | MDB_NOSYNC, 0600);
    if (result == 0)
        result = copy_all(&copy, txn, vectors, state);
    mdb_env_close(copy.to);
    return result;
}

enum err pool_vector_compact(void) {
    return vector_exchange(fill);
}
