/*
 * The vector store: an LMDB environment in DIR/vectors.
 *
 * Key: space (8 bytes, big-endian) and item id (8 bytes, big-endian), so that a space is one
 * contiguous walk. Value: a vector with what it was made by. SQLite is the truth; everything here
 * can be made again from it, so a damaged environment is not a reason to refuse: it is set aside as
 * vectors.broken-<time> and begun anew.
 *
 * MDB_WRITEMAP stays off: writing into a sparse mapping on a full disk is a signal, not an error
 * code. Reading has the same trouble: a page that the file does not have, or a length in a damaged
 * page, leads LMDB behind the end of the file and the process to SIGBUS. So a child process opens
 * the environment first and looks at every level of its tree; if it dies or is told of damage, this
 * process does not touch the file. That costs a fork of a small process, 0.5 ms at start, and only
 * when there is something to check. MDB_NOTLS because a read transaction belongs to a piece of
 * work, not to a thread.
 */
#include "store/vector.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
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
        result = open_items();
    return result == MDB_NOTFOUND ? make_items() : result;
}

/* What a good environment never answers. */
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

/* Opens it in a child, see the head. True also when no child could be made: then this process finds
 * out itself. */
static bool is_sound(const char *path) {
    char file[PATH_MAX + 16];
    int status = 0;
    snprintf(file, sizeof(file), "%s/data.mdb", path);
    if (access(file, F_OK) != 0)
        return true;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGBUS, SIG_DFL);
        signal(SIGSEGV, SIG_DFL);
        _exit(is_damage(open_environment(path)) ? 1 : 0);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return child < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static enum err refuse(const char *path, int result) {
    vector_close();
    log_error("store", "vectors could not be opened", LF_Z("path", path),
              LF_Z("reason", mdb_strerror(result)));
    return E_STORAGE;
}

static enum err set_aside(const char *path) {
    char aside[PATH_MAX + 32];
    snprintf(aside, sizeof(aside), "%s.broken-%lld", path, (long long)clock_now_ms());
    log_warn("store", "vectors were damaged and are set aside; they will be made again",
             LF_Z("path", aside));
    return rename(path, aside) == 0 ? E_OK : refuse(path, errno);
}

enum err vector_open(const char *directory) {
    char path[PATH_MAX];
    BUG_IF(environment != NULL);
    if (snprintf(path, sizeof(path), "%s/vectors", directory) >= (int)sizeof(path))
        return refuse(directory, ENAMETOOLONG);
    if (!is_sound(path) && set_aside(path) != E_OK)
        return E_STORAGE;
    int result = open_environment(path);
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
