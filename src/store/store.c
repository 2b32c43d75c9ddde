/*
 * Opening and closing the data folder:
 *
 *     troupe.db (-wal, -shm)   the truth
 *     vectors/                 LMDB, can be rebuilt
 *     blobs/                   vendor-free/disk.c
 *     lock                     held by the process that owns the folder
 *
 * The owner holds an advisory lock on `lock` as long as it lives (the kernel lets go of it whatever
 * happens). A second process, the command line beside a running server, is a guest: it reads and
 * writes through SQLite's own locks, but never checkpoints. store_is_owner() tells, so that a
 * second server can refuse to start.
 *
 * The loop reads through one connection, in each turn of one state (snapshot.c). Threads of the pool borrow one for a piece of work; a few
 * are kept open while the house is busy, because opening and reading the schema costs more than most
 * queries.
 */
#include "store/store.h"

#include "base/check.h"
#include "base/embedded.h"
#include "base/log.h"
#include "loop/loop.h"
#include "store/file.h"
#include "store/migrate.h"
#include "store/snapshot.h"
#include "store/vector.h"
#include "store/db_inside.h"
#include "store/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

#define KEPT_READERS 2

static struct {
    char directory[PATH_MAX];
    char path[PATH_MAX]; /* of the database */
    int lock_fd;
    bool is_owner, is_open, has_stopped, has_vectors, has_old_log;
    struct db *writer, *reader;
    pthread_mutex_t kept_lock;
    struct db *kept[KEPT_READERS]; /* idle connections of the pool */
    int kept_count;
} store = {.lock_fd = -1, .kept_lock = PTHREAD_MUTEX_INITIALIZER};

static enum err refuse(const char *what, const char *path) {
    log_error("store", what, LF_Z("path", path), LF_Z("reason", strerror(errno)));
    return E_STORAGE;
}

/* --- the folder ------------------------------------------------------------------------------- */

static enum err name_paths(const char *directory) {
    int len = snprintf(store.directory, sizeof(store.directory), "%s", directory);
    int path_len = snprintf(store.path, sizeof(store.path), "%s/troupe.db", directory);
    if (len < 0 || path_len >= (int)sizeof(store.path) - 32) {
        errno = ENAMETOOLONG;
        return refuse("data folder has too long a name", directory);
    }
    return E_OK;
}

static enum err take_lock(void) {
    char path[PATH_MAX + 8];
    snprintf(path, sizeof(path), "%s/lock", store.directory);
    store.lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store.lock_fd < 0)
        return refuse("data folder cannot be written to", path);
    store.is_owner = flock(store.lock_fd, LOCK_EX | LOCK_NB) == 0;
    if (!store.is_owner && errno != EWOULDBLOCK)
        return refuse("data folder cannot be locked", path);
    return E_OK;
}

static enum err open_folder(const char *directory) {
    enum err err = name_paths(directory);
    if (err != E_OK)
        return err;
    /* What people said is nobody else's business on this machine. */
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return refuse("data folder could not be made", directory);
    return take_lock();
}

/* A process that ends by itself leaves no log. */
static bool find_old_log(void) {
    char path[PATH_MAX + 8];
    struct stat info;
    snprintf(path, sizeof(path), "%s-wal", store.path);
    return stat(path, &info) == 0 && info.st_size > 0;
}

static enum err open_databases(void) {
    store.has_old_log = find_old_log();
    if (file_map(store.path) != E_OK)
        return refuse("database cannot be opened", store.path);
    enum err err = db_open(store.path, DB_WRITE, &store.writer);
    if (err == E_OK) {
        chmod(store.path, 0600);
        if (!store.is_owner)
            sqlite3_db_config(store.writer->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        err = store.is_owner ? migrate(store.writer) : migrate_check(store.writer);
    }
    if (err == E_OK)
        err = db_open(store.path, DB_READ, &store.reader);
    return err;
}

static void close_kept(void) {
    struct db *idle[KEPT_READERS];
    pthread_mutex_lock(&store.kept_lock);
    int count = store.kept_count;
    memcpy(idle, store.kept, sizeof idle);
    store.kept_count = 0;
    pthread_mutex_unlock(&store.kept_lock);
    for (int i = 0; i < count; i++)
        db_close(idle[i]);
}

/* On the writer thread: what is kept only to be quick may go. */
static void come_to_rest(void) {
    close_kept();
    file_rest();
    embedded_rest();
}

static void close_databases(void) {
    close_kept();
    db_close(store.reader);
    db_close(store.writer); /* last: it writes the log back and removes it */
    file_unmap();
    store.reader = store.writer = NULL;
    if (store.has_vectors)
        vector_close();
    store.has_vectors = false;
    if (store.lock_fd >= 0)
        close(store.lock_fd);
    store.lock_fd = -1;
}

enum err store_open(const char *directory) {
    BUG_IF(store.is_open);
    enum err err = open_folder(directory);
    if (err == E_OK)
        err = open_databases();
    if (err != E_OK) {
        close_databases();
        return err;
    }
    snapshot_open(store.reader);
    writer_start(store.writer, store.is_owner, store.has_old_log, come_to_rest);
    store.is_open = true;
    store.has_stopped = false;
    return E_OK;
}

enum err store_open_vectors(void) {
    if (!store.is_owner || store.has_vectors)
        return E_OK;
    enum err err = vector_open(store.directory);
    store.has_vectors = err == E_OK;
    return err;
}

void store_stop(void) {
    BUG_IF(!store.is_open || store.has_stopped);
    writer_stop();
    store.has_stopped = true;
}

void store_close(void) {
    BUG_IF(!store.is_open);
    if (!store.has_stopped)
        writer_stop();
    store.is_open = false;
    snapshot_close();
    close_databases();
}

const char *store_directory(void) {
    return store.directory;
}

bool store_is_owner(void) {
    return store.is_owner;
}

/* --- readers ---------------------------------------------------------------------------------- */

struct db *store_reader(void) {
    BUG_IF(!store.is_open || (loop_uv() != NULL && !loop_is_thread()));
    snapshot_begin();
    return store.reader;
}

struct db *pool_reader_open(void) {
    BUG_IF(!store.is_open);
    struct db *db = NULL;
    pthread_mutex_lock(&store.kept_lock);
    if (store.kept_count > 0)
        db = store.kept[--store.kept_count];
    pthread_mutex_unlock(&store.kept_lock);
    if (db == NULL && db_open(store.path, DB_READ, &db) != E_OK)
        return NULL;
    return db;
}

void pool_reader_close(struct db *db) {
    if (db == NULL)
        return;
    pthread_mutex_lock(&store.kept_lock);
    bool is_kept = store.kept_count < KEPT_READERS;
    if (is_kept)
        store.kept[store.kept_count++] = db;
    pthread_mutex_unlock(&store.kept_lock);
    if (!is_kept)
        db_close(db);
}
