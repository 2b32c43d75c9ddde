/*
 * A file layer between SQLite and the disk: it knows what was synced, and lets the n-th write or
 * sync fail.
 *
 * shim_install() before the first connection makes it the default. It passes everything else
 * through.
 */
#pragma once

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct shim_file {
    sqlite3_file base;
    bool is_log;
    sqlite3_file *real;
};

static _Atomic int shim_fails_in; /* writes and syncs until one fails; 0: none */
static _Atomic int shim_failed;   /* how many have failed */
static _Atomic int shim_log_syncs, shim_log_writes;
static _Atomic bool shim_log_is_dirty; /* something was written to the log and not synced yet */
static _Atomic bool shim_disk_is_full; /* every write fails until it is unset */

static inline bool shim_strikes(void) {
    if (atomic_load(&shim_disk_is_full)) {
        atomic_fetch_add(&shim_failed, 1);
        return true;
    }
    int left = atomic_load(&shim_fails_in);
    while (left > 0 && !atomic_compare_exchange_weak(&shim_fails_in, &left, left - 1))
        ;
    if (left != 1)
        return false;
    atomic_fetch_add(&shim_failed, 1);
    return true;
}

#define SHIM_REAL(file) (((struct shim_file *)(file))->real)
#define SHIM_PASS(name, params, ...)                                                           \
    static inline int shim_##name params {                                                     \
        return SHIM_REAL(file)->pMethods->x##name(SHIM_REAL(file) __VA_OPT__(, ) __VA_ARGS__); \
    }

SHIM_PASS(Close, (sqlite3_file * file))
SHIM_PASS(Read, (sqlite3_file * file, void *at, int len, sqlite3_int64 from), at, len, from)
SHIM_PASS(Truncate, (sqlite3_file * file, sqlite3_int64 size), size)
SHIM_PASS(FileSize, (sqlite3_file * file, sqlite3_int64 *size), size)
SHIM_PASS(Lock, (sqlite3_file * file, int level), level)
SHIM_PASS(Unlock, (sqlite3_file * file, int level), level)
SHIM_PASS(CheckReservedLock, (sqlite3_file * file, int *out), out)
SHIM_PASS(FileControl, (sqlite3_file * file, int op, void *arg), op, arg)
SHIM_PASS(SectorSize, (sqlite3_file * file))
SHIM_PASS(DeviceCharacteristics, (sqlite3_file * file))
SHIM_PASS(ShmMap, (sqlite3_file * file, int page, int size, int extend, void volatile **at), page,
          size, extend, at)
SHIM_PASS(ShmLock, (sqlite3_file * file, int offset, int n, int flags), offset, n, flags)
SHIM_PASS(ShmUnmap, (sqlite3_file * file, int remove_it), remove_it)
SHIM_PASS(Fetch, (sqlite3_file * file, sqlite3_int64 from, int len, void **at), from, len, at)
SHIM_PASS(Unfetch, (sqlite3_file * file, sqlite3_int64 from, void *at), from, at)

static inline void shim_ShmBarrier(sqlite3_file *file) {
    SHIM_REAL(file)->pMethods->xShmBarrier(SHIM_REAL(file));
}

static inline int shim_Write(sqlite3_file *file, const void *at, int len, sqlite3_int64 to) {
    if (shim_strikes())
        return SQLITE_FULL;
    if (((struct shim_file *)file)->is_log) {
        atomic_store(&shim_log_is_dirty, true);
        atomic_fetch_add(&shim_log_writes, 1);
    }
    return SHIM_REAL(file)->pMethods->xWrite(SHIM_REAL(file), at, len, to);
}

static inline int shim_Sync(sqlite3_file *file, int flags) {
    if (shim_strikes())
        return SQLITE_IOERR_FSYNC;
    int result = SHIM_REAL(file)->pMethods->xSync(SHIM_REAL(file), flags);
    if (((struct shim_file *)file)->is_log && result == SQLITE_OK) {
        atomic_store(&shim_log_is_dirty, false);
        atomic_fetch_add(&shim_log_syncs, 1);
    }
    return result;
}

static const sqlite3_io_methods shim_methods = {
    3,
    shim_Close,
    shim_Read,
    shim_Write,
    shim_Truncate,
    shim_Sync,
    shim_FileSize,
    shim_Lock,
    shim_Unlock,
    shim_CheckReservedLock,
    shim_FileControl,
    shim_SectorSize,
    shim_DeviceCharacteristics,
    shim_ShmMap,
    shim_ShmLock,
    shim_ShmBarrier,
    shim_ShmUnmap,
    shim_Fetch,
    shim_Unfetch,
};

static sqlite3_vfs *shim_below;
static sqlite3_vfs shim_vfs;

static inline int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                            int *out_flags) {
    (void)vfs;
    struct shim_file *mine = (struct shim_file *)file;
    memset(mine, 0, sizeof(*mine));
    mine->real = (sqlite3_file *)(mine + 1);
    mine->is_log = (flags & SQLITE_OPEN_WAL) != 0;
    int result = shim_below->xOpen(shim_below, name, mine->real, flags, out_flags);
    if (mine->real->pMethods != NULL)
        mine->base.pMethods = &shim_methods;
    return result;
}

static inline void shim_install(void) {
    shim_below = sqlite3_vfs_find(NULL);
    shim_vfs = *shim_below;
    shim_vfs.zName = "shim";
    shim_vfs.pNext = NULL;
    shim_vfs.szOsFile = (int)sizeof(struct shim_file) + shim_below->szOsFile;
    shim_vfs.xOpen = shim_open;
    sqlite3_vfs_register(&shim_vfs, 1);
}
