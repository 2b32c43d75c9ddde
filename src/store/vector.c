/*
 * The vector store: an LMDB environment in DIR/vectors.
 *
 * Key: space (8 bytes, big-endian) and item id (8 bytes, big-endian), so that a space is one
 * contiguous walk. Value: the vector, as memory.md describes. SQLite is the truth; everything here
 * can be made again from it, so a damaged environment is not a reason to refuse: it is set aside as
 * vectors.broken-<time> and begun anew.
 *
 * MDB_WRITEMAP stays off: writing into a sparse mapping on a full disk is a signal, not an error
 * code. Reading a page that the file does not have is one too; so the file is made as long as its
 * last page says before it is walked, and missing pages show as zeros, which LMDB answers with an
 * error. MDB_NOTLS because a read transaction belongs to a piece of work, not to a thread.
 *
 * Opening maps the file and reads two pages: about 0.2 ms.
 */
#include "store/vector.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <lmdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

#define MAP_BYTES \
    ((size_t)4 << 30)   /* address space, not memory; 4 GiB hold 10 million vectors of 384 bytes */
#define READER_LIMIT 64 /* the loop, the writer and the pool's threads at once */
#define SPACE_LIMIT  4  /* named tables of the environment */

static MDB_env *environment;
static MDB_dbi items;

static int begin(unsigned flags, MDB_txn **txn) {
    return mdb_txn_begin(environment, NULL, flags, txn);
}

/* Lengthens a file that was cut, see the head. */
static int ensure_length(const char *path) {
    char file[PATH_MAX + 16];
    struct stat info;
    MDB_envinfo about;
    MDB_stat stat_of;
    snprintf(file, sizeof(file), "%s/data.mdb", path);
    int result = mdb_env_info(environment, &about);
    if (result == 0)
        result = mdb_env_stat(environment, &stat_of);
    if (result != 0)
        return result;
    off_t needed = (off_t)((about.me_last_pgno + 1) * stat_of.ms_psize);
    if (stat(file, &info) != 0 || (info.st_size < needed && truncate(file, needed) != 0))
        return errno;
    return 0;
}

/* Walks to both ends of the table: every level of the tree is looked at once. */
static int check_ends(MDB_txn *txn) {
    MDB_cursor *cursor;
    MDB_val key, value;
    int result = mdb_cursor_open(txn, items, &cursor);
    if (result != 0)
        return result;
    result = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    if (result == 0)
        result = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    mdb_cursor_close(cursor);
    return result == MDB_NOTFOUND ? 0 : result;
}

static int open_items(void) {
    MDB_txn *txn;
    int result = begin(MDB_RDONLY, &txn);
    if (result != 0)
        return result;
    result = mdb_dbi_open(txn, "items", 0, &items);
    if (result == 0)
        result = check_ends(txn);
    if (result != 0) {
        mdb_txn_abort(txn);
        return result;
    }
    return mdb_txn_commit(
        txn); /* a handle that was opened in an aborted transaction is closed with it */
}

static int make_items(void) {
    MDB_txn *txn;
    int result = begin(0, &txn);
    if (result != 0)
        return result;
    result = mdb_dbi_open(txn, "items", MDB_CREATE, &items);
    if (result != 0) {
        mdb_txn_abort(txn);
        return result;
    }
    return mdb_txn_commit(txn);
}

static int open_environment(const char *path) {
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return errno;
    int result = mdb_env_create(&environment);
    if (result != 0)
        return result;
    mdb_env_set_mapsize(environment, MAP_BYTES);
    mdb_env_set_maxreaders(environment, READER_LIMIT);
    mdb_env_set_maxdbs(environment, SPACE_LIMIT);
    result = mdb_env_open(environment, path, MDB_NOTLS, 0600);
    if (result == 0)
        result = ensure_length(path);
    if (result == 0)
        result = open_items();
    return result == MDB_NOTFOUND ? make_items() : result;
}

static bool is_damage(int result) {
    switch (result) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PANIC:
    case MDB_VERSION_MISMATCH:
    case MDB_INVALID:
    case MDB_INCOMPATIBLE:
    case MDB_BAD_TXN:
        return true;
    default:
        return false;
    }
}

static enum err refuse(const char *path, int result) {
    vector_close();
    log_error("store", "vectors could not be opened", LF_Z("path", path),
              LF_Z("reason", mdb_strerror(result)));
    return E_STORAGE;
}

static enum err set_aside(const char *path, int result) {
    char aside[PATH_MAX + 32];
    snprintf(aside, sizeof(aside), "%s.broken-%lld", path, (long long)clock_now_ms());
    vector_close();
    log_warn("store", "vectors were damaged and are set aside; they will be made again",
             LF_Z("path", aside), LF_Z("reason", mdb_strerror(result)));
    return rename(path, aside) == 0 ? E_OK : refuse(path, errno);
}

enum err vector_open(const char *directory) {
    char path[PATH_MAX];
    BUG_IF(environment != NULL);
    if (snprintf(path, sizeof(path), "%s/vectors", directory) >= (int)sizeof(path))
        return refuse(directory, ENAMETOOLONG);
    int result = open_environment(path);
    if (is_damage(result)) {
        if (set_aside(path, result) != E_OK)
            return E_STORAGE;
        result = open_environment(path);
    }
    return result == 0 ? E_OK : refuse(path, result);
}

void vector_close(void) {
    if (environment != NULL)
        mdb_env_close(environment);
    environment = NULL;
}

int64_t vector_count(void) {
    MDB_txn *txn;
    MDB_stat about = {0};
    if (environment == NULL || begin(MDB_RDONLY, &txn) != 0)
        return 0;
    int result = mdb_stat(txn, items, &about);
    mdb_txn_abort(txn);
    return result == 0 ? (int64_t)about.ms_entries : 0;
}
