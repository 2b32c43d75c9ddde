/*
 * The environment of the vector store: opening, transactions, growth, exchange.
 *
 * MDB_WRITEMAP stays off: writing into a sparse mapping on a full disk is a signal, not an error
 * code. MDB_NOTLS because a read transaction belongs to a piece of work, not to a thread.
 *
 * The gate: the map may grow, and the environment may be exchanged, only while no transaction of
 * this process is open. Every reading transaction holds the gate shared from begin to end, and they
 * are short (a search, a scan), so whoever needs the gate alone waits some milliseconds; waiting
 * writers go before new readers. Those who write are one at a time, by a lock of their own: LMDB's
 * would not see an exchange.
 */
#include "store/vector_inside.h"

#include "base/check.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

#define MAP_BYTES    ((size_t)4 << 30) /* address space, not memory; 6 million vectors of 384 values */
#define READER_LIMIT 126               /* the loop, the writer and the pool's threads at once */
#define LOCK_BYTES   8192              /* what LMDB makes for so many readers */
#define TABLE_LIMIT  4                 /* named tables of the environment */
#define VERSION      1                 /* of keys, values and the rotation */

struct vector_tuning vector_tuning = {
    .map_bytes = MAP_BYTES,
    .block_rows = 1024,
    .tail_rows = 256,
    .exact_rows = 4096,
};

static struct {
    char path[PATH_MAX];
    MDB_env *environment;
    MDB_dbi vectors, state;
    size_t map_bytes;
    pthread_rwlock_t gate;
    pthread_mutex_t writing;
    _Atomic int64_t seen, items, parts; /* of the last committed transaction */
    _Atomic bool is_damaged;
} file;

MDB_dbi vector_table(void) {
    return file.vectors;
}

/* --- totals ------------------------------------------------------------------------------------- */

static MDB_val totals_key(void) {
    static char name[] = "totals";
    return (MDB_val){sizeof(name) - 1, name};
}

static int totals_get(MDB_txn *txn, struct vector_totals *totals) {
    MDB_val key = totals_key(), value;
    int result = mdb_get(txn, file.state, &key, &value);
    *totals = (struct vector_totals){.version = VERSION};
    if (result != 0)
        return result == MDB_NOTFOUND ? 0 : result;
    if (value.mv_size != sizeof(*totals))
        return MDB_CORRUPTED;
    memcpy(totals, value.mv_data, sizeof(*totals));
    return totals->version == VERSION ? 0 : MDB_VERSION_MISMATCH;
}

static int totals_put(MDB_txn *txn, const struct vector_totals *totals) {
    struct vector_totals copy = *totals;
    MDB_val key = totals_key(), value = {sizeof(copy), &copy};
    return mdb_put(txn, file.state, &key, &value, 0);
}

static void publish(const struct vector_totals *totals) {
    atomic_store(&file.seen, totals->seen);
    atomic_store(&file.items, totals->items);
    atomic_store(&file.parts, totals->parts);
}

int64_t vector_seen(void) {
    return atomic_load(&file.seen);
}

/* What a compaction makes; one that was cut off leaves it behind. */
static void name_new(char path[static PATH_MAX + 8]) {
    snprintf(path, PATH_MAX + 8, "%s.new", file.path);
}

static void remove_new(const char *path) {
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    char name[PATH_MAX + 32];
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        snprintf(name, sizeof(name), "%s/%s", path, names[i]);
        unlink(name);
    }
    rmdir(path);
}

/* --- opening ------------------------------------------------------------------------------------ */

static int open_tables(unsigned flags, struct vector_totals *totals) {
    MDB_txn *txn;
    int result = mdb_txn_begin(file.environment, NULL, flags & MDB_CREATE ? 0 : MDB_RDONLY, &txn);
    if (result != 0)
        return result;
    result = mdb_dbi_open(txn, "vectors", flags, &file.vectors);
    if (result == 0)
        result = mdb_dbi_open(txn, "state", flags, &file.state);
    if (result == 0)
        result = totals_get(txn, totals);
    if (result != 0) {
        mdb_txn_abort(txn);
        return result;
    }
    return mdb_txn_commit(
        txn); /* a handle that was opened in an aborted transaction is closed with it */
}

/* A file that has outgrown the first map gets a larger one from LMDB. */
static int learn_map_bytes(void) {
    MDB_envinfo about;
    int result = mdb_env_info(file.environment, &about);
    if (result == 0)
        file.map_bytes = about.me_mapsize;
    return result;
}

int vector_make_lock(const char *path) {
    char lock_path[PATH_MAX + 16];
    snprintf(lock_path, sizeof(lock_path), "%s/lock.mdb", path);
    int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int result = posix_fallocate(fd, 0, LOCK_BYTES);
    close(fd);
    return result;
}

static int open_environment(const char *path) {
    struct vector_totals totals;
    int dead;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return errno;
    int result = vector_make_lock(path);
    if (result == 0)
        result = mdb_env_create(&file.environment);
    if (result != 0)
        return result;
    mdb_env_set_mapsize(file.environment, file.map_bytes);
    mdb_env_set_maxreaders(file.environment, READER_LIMIT);
    mdb_env_set_maxdbs(file.environment, TABLE_LIMIT);
    result = mdb_env_open(file.environment, path, MDB_NOTLS, 0600);
    if (result == 0)
        result = mdb_reader_check(file.environment, &dead); /* of a process that was killed */
    if (result == 0)
        result = open_tables(0, &totals);
    if (result == MDB_NOTFOUND)
        result = open_tables(MDB_CREATE, &totals);
    if (result == 0)
        result = learn_map_bytes();
    if (result == 0)
        publish(&totals);
    return result;
}

static void close_environment(void) {
    if (file.environment != NULL)
        mdb_env_close(file.environment);
    file.environment = NULL;
}

/* --- checking, in the child of vector_is_sound ------------------------------------------------------ */

static int check_length(const char *path) {
    char data_path[PATH_MAX + 16];
    MDB_envinfo about;
    MDB_stat pages;
    struct stat info;
    int result = mdb_env_info(file.environment, &about);
    if (result == 0)
        result = mdb_env_stat(file.environment, &pages);
    if (result != 0)
        return result;
    snprintf(data_path, sizeof(data_path), "%s/data.mdb", path);
    if (stat(data_path, &info) != 0)
        return errno;
    return (size_t)info.st_size >= (about.me_last_pgno + 1) * pages.ms_psize ? 0 : MDB_CORRUPTED;
}

/* Walks to both ends of the table: every level of the tree is looked at once. */
static int check_ends(void) {
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key, value;
    int result = mdb_txn_begin(file.environment, NULL, MDB_RDONLY, &txn);
    if (result != 0)
        return result;
    result = mdb_cursor_open(txn, file.vectors, &cursor);
    if (result == 0) {
        result = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
        if (result == 0)
            result = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return result == MDB_NOTFOUND ? 0 : result;
}

static int open_and_check(const char *path) {
    int result = open_environment(path);
    if (result == 0)
        result = check_length(path);
    return result != 0 ? result : check_ends();
}

/* ----------------------------------------------------------------------------------------------------- */

static enum err refuse(const char *path, int result) {
    close_environment();
    log_error("store", "vectors could not be opened", LF_Z("path", path),
              LF_Z("reason", mdb_strerror(result)));
    return E_STORAGE;
}

static void make_locks(void) {
    pthread_rwlockattr_t waiting;
    pthread_rwlockattr_init(&waiting);
    pthread_rwlockattr_setkind_np(&waiting, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&file.gate, &waiting);
    pthread_rwlockattr_destroy(&waiting);
    pthread_mutex_init(&file.writing, NULL);
}

enum err vector_open(const char *directory) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char unfinished[PATH_MAX + 8];
    BUG_IF(file.environment != NULL);
    pthread_once(&once, make_locks);
    if (snprintf(file.path, sizeof(file.path), "%s/vectors", directory) >= (int)sizeof(file.path))
        return refuse(directory, ENAMETOOLONG);
    file.map_bytes = vector_tuning.map_bytes;
    atomic_store(&file.is_damaged, false);
    if (!vector_is_sound(file.path, open_and_check) && !vector_set_aside(file.path))
        return refuse(file.path, errno);
    name_new(unfinished);
    remove_new(unfinished);
    int result = open_environment(file.path);
    return result == 0 ? E_OK : refuse(file.path, result);
}

void vector_close(void) {
    close_environment();
    publish(&(struct vector_totals){0});
}

/* --- errors ------------------------------------------------------------------------------------- */

enum err vector_err(int result) {
    if (result == 0)
        return E_OK;
    if (result == VECTOR_MISFIT)
        return E_INPUT;
    if (vector_is_damage(result) && !atomic_exchange(&file.is_damaged, true))
        vector_mark_damaged(file.path, result);
    else
        log_error("store", "vectors could not be read or written",
                  LF_Z("reason", mdb_strerror(result)));
    return E_STORAGE;
}

/* --- transactions --------------------------------------------------------------------------------- */

/* Takes the gate alone and sets the map's size; 0 takes the size that another process has set. */
static int resize(size_t bytes) {
    pthread_rwlock_wrlock(&file.gate);
    int result = file.environment == NULL ? EBADF : mdb_env_set_mapsize(file.environment, bytes);
    if (result == 0)
        result = learn_map_bytes();
    pthread_rwlock_unlock(&file.gate);
    return result;
}

static int begin(unsigned flags, MDB_txn **txn) {
    for (;;) {
        pthread_rwlock_rdlock(&file.gate);
        int result =
            file.environment == NULL ? EBADF : mdb_txn_begin(file.environment, NULL, flags, txn);
        if (result == 0)
            return 0;
        pthread_rwlock_unlock(&file.gate);
        if (result != MDB_MAP_RESIZED || (result = resize(0)) != 0)
            return result;
    }
}

int vector_read_begin(MDB_txn **txn) {
    return begin(MDB_RDONLY, txn);
}

void vector_read_end(MDB_txn *txn) {
    mdb_txn_abort(txn);
    pthread_rwlock_unlock(&file.gate);
}

static int change_once(vector_change_fn change, void *ctx) {
    MDB_txn *txn;
    struct vector_totals totals;
    int result = begin(0, &txn);
    if (result != 0)
        return result;
    result = totals_get(txn, &totals);
    if (result == 0)
        result = change(txn, &totals, ctx);
    if (result == 0)
        result = totals_put(txn, &totals);
    if (result == 0)
        result = mdb_txn_commit(txn);
    else
        mdb_txn_abort(txn);
    if (result == 0)
        publish(&totals);
    pthread_rwlock_unlock(&file.gate);
    return result;
}

/* After a write of LMDB's own page failed, it refuses everything until it is opened again. */
static void open_again(void) {
    pthread_rwlock_wrlock(&file.gate);
    close_environment();
    if (open_environment(file.path) != 0)
        close_environment();
    pthread_rwlock_unlock(&file.gate);
}

enum err vector_change(vector_change_fn change, void *ctx) {
    int result;
    pthread_mutex_lock(&file.writing);
    while ((result = change_once(change, ctx)) == MDB_MAP_FULL) {
        log_info("store", "the map of the vectors grows",
                 LF_INT("bytes", (int64_t)file.map_bytes * 2));
        if ((result = resize(file.map_bytes * 2)) != 0)
            break;
    }
    if (result == MDB_PANIC)
        open_again();
    pthread_mutex_unlock(&file.writing);
    return vector_err(result);
}

/* --- exchange ------------------------------------------------------------------------------------- */

static int fill_new(vector_fill_fn fill, const char *path) {
    MDB_txn *txn;
    int result = vector_read_begin(&txn);
    if (result != 0)
        return result;
    result = fill(txn, file.vectors, file.state, path);
    vector_read_end(txn);
    return result;
}

static int sync_folder(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return result;
}

/* Alone. LMDB knows a file by its lock file, so the old one is closed before the new one opens. */
static int take_new(const char *path) {
    char from[PATH_MAX + 32], to[PATH_MAX + 32];
    snprintf(from, sizeof(from), "%s/data.mdb", path);
    snprintf(to, sizeof(to), "%s/data.mdb", file.path);
    close_environment();
    int result = rename(from, to) == 0 ? sync_folder(file.path) : errno;
    int opened = open_environment(file.path);
    if (opened != 0)
        close_environment();
    return result != 0 ? result : opened;
}

enum err vector_exchange(vector_fill_fn fill) {
    char path[PATH_MAX + 8];
    name_new(path);
    pthread_mutex_lock(&file.writing);
    remove_new(path);
    int result = mkdir(path, 0700) == 0 ? fill_new(fill, path) : errno;
    if (result == 0) {
        pthread_rwlock_wrlock(&file.gate);
        result = take_new(path);
        pthread_rwlock_unlock(&file.gate);
    }
    remove_new(path);
    pthread_mutex_unlock(&file.writing);
    return vector_err(result);
}

/* --- numbers -------------------------------------------------------------------------------------- */

struct vector_stats vector_stats(void) {
    char path[PATH_MAX + 16];
    struct stat info;
    struct vector_stats stats = {.items = atomic_load(&file.items),
                                 .parts = atomic_load(&file.parts)};
    snprintf(path, sizeof(path), "%s/data.mdb", file.path);
    if (file.environment != NULL && stat(path, &info) == 0)
        stats.bytes = info.st_size;
    return stats;
}
