/*
 * The write-ahead log: how long it may become, and when it is written back into the database.
 *
 * Two things made commits slow now and then, and each hid the other (SQLite 3.40, ext4, commits of
 * 16 rows, at real-time priority so that waiting for a core does not count):
 *
 *                                       p50      p99     p99.9
 *   checkpoint every 1,000 pages     185 us   1.7 ms    2.3 ms    SQLite's default
 *   no checkpoints, a growing log    254 us   0.6 ms    1.7 ms    up to 4 ms in some runs
 *   this file                        200 us   0.3 ms    5.9 ms
 *
 * By default the commit that crosses 1,000 pages pays for the checkpoint; with large batches that
 * is every thirtieth. Without checkpoints the log grows for ever, and each fdatasync has to commit
 * the file's new size and blocks through the file system's journal: another thread of the kernel,
 * and other people's dirty data with it.
 *
 * So the log is given 16 MiB of written zeros when there is something in it and nothing to do
 * (fallocate is no help: unwritten extents go through the journal too), SQLite keeps the file's
 * size when it starts over, and checkpoints run when nothing came for IDLE_WAIT_MS, or when the log
 * has reached LIMIT_PAGES: under load every page is rewritten many times, so a longer log is also
 * less to write back.
 *
 * But it is slower to read from. Every look at a page asks the log's index for it first, a hash table
 * in which a page stands as often as it was written; with 16,000 pages in the log that was a tenth
 * of a reply's processor time. So from LONG_PAGES on a pause of LONG_WAIT_MS will do.
 *
 * What remains are steps of 4 ms when another process holds the core to
 * which the sync returns: the kernel's tick, not the disk.
 *
 * Only this connection ever checkpoints: SQLite before 3.51.3 has a race between checkpointers.
 */
#include "store/wal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "store/db_inside.h"

#include "base/banned.h"

#define PAGE_BYTES       4096
#define FRAME_BYTES      (PAGE_BYTES + 24) /* a page in the log with its header */
#define FULL_PAGES       4096              /* 16 MiB: what the log is grown to at once */
#define LIMIT_PAGES      16384             /* 64 MiB: written back even if more is waiting */
#define IDLE_PAGES       256  /* 1 MiB: worth writing back when nothing else is to do */
#define IDLE_WAIT_MS     200  /* nothing came for so long */
#define LONG_PAGES       1024 /* 4 MiB: it slows down who reads */
#define LONG_WAIT_MS     2
#define HELD_WAIT_MS     5000        /* after a reader was in the way */
#define GROW_CHUNK_BYTES (64 * 1024) /* SQLite's file layer takes less than 128 KiB at once */

METRIC_HISTOGRAM(checkpoint_time, "troupe_store_checkpoint_seconds",
                 "Time of writing the log back.");
METRIC_GAUGE(log_pages, "troupe_store_log_pages",
             "Pages in the write-ahead log after the last commit.");

static struct {
    struct db *db;
    bool may_checkpoint;
    bool has_grown;          /* it has been given its size */
    bool must_be_empty;      /* it holds what was forgotten */
    bool is_held;            /* a reader kept the last checkpoint from ending */
    int checkpoint_at_pages; /* moves up while a reader holds the log */
} wal;

/* Writes zeros behind the log up to its full size; the caller holds the write lock. */
static int write_zeros(sqlite3_file *log) {
    static const char zeros[GROW_CHUNK_BYTES];
    sqlite3_int64 size = 0, full = (sqlite3_int64)FULL_PAGES * FRAME_BYTES;
    int result = log->pMethods->xFileSize(log, &size);
    while (result == SQLITE_OK && size < full) {
        int len = full - size < GROW_CHUNK_BYTES ? (int)(full - size) : GROW_CHUNK_BYTES;
        result = log->pMethods->xWrite(log, zeros, len, size);
        size += len;
    }
    return result == SQLITE_OK ? log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) : result;
}

static void grow(void) {
    sqlite3_file *log = NULL;
    wal.has_grown = true; /* also when it fails: commits then grow the log themselves, slower */
    if (sqlite3_file_control(wal.db->sqlite, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) !=
            SQLITE_OK ||
        log == NULL || log->pMethods == NULL ||
        db_script(wal.db, "BEGIN IMMEDIATE", "taking the log") != E_OK)
        return;
    int result = write_zeros(log);
    if (db_script(wal.db, "ROLLBACK", "leaving the log") != E_OK)
        log_warn("store", "log is still held");
    if (result != SQLITE_OK)
        log_warn("store", "log could not be given its size",
                 LF_Z("reason", sqlite3_errstr(result)));
}

static void checkpoint(void) {
    int pages = 0, done = 0;
    int64_t began_us = clock_mono_us();
    int result =
        sqlite3_wal_checkpoint_v2(wal.db->sqlite, "main", SQLITE_CHECKPOINT_PASSIVE, &pages, &done);
    metric_observe_us(&checkpoint_time, clock_mono_us() - began_us);
    if (result != SQLITE_OK)
        db_failed(wal.db, result, "checkpoint");
    bool is_whole = result == SQLITE_OK && done == pages;
    if (is_whole)
        wal.db->wal_pages = 0; /* the next commit begins at the front of the file */
    /* A reader that stays in an old state keeps the log from starting over: try again when it has
     * grown by as much. */
    wal.is_held = !is_whole;
    wal.checkpoint_at_pages = is_whole ? LIMIT_PAGES : wal.db->wal_pages + LIMIT_PAGES;
}

/* What stood in the log is gone from the file; it is given its size again later. A reader in the way is
 * not waited for, because a write may come at any moment: there is another try. */
static void empty(void) {
    sqlite3_busy_timeout(wal.db->sqlite, 0);
    int result =
        sqlite3_wal_checkpoint_v2(wal.db->sqlite, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(wal.db->sqlite, WRITER_BUSY_MS);
    wal.is_held = result == SQLITE_BUSY;
    if (result != SQLITE_OK && result != SQLITE_BUSY)
        db_failed(wal.db, result, "emptying the log");
    if (result == SQLITE_BUSY)
        return;
    wal.must_be_empty = wal.has_grown = false;
    wal.db->wal_pages = 0;
    wal.checkpoint_at_pages = LIMIT_PAGES;
}

static bool has_work(void) {
    if (wal.may_checkpoint && wal.must_be_empty)
        return true;
    return wal.may_checkpoint && wal.db->wal_pages >= (wal.has_grown ? IDLE_PAGES : 1);
}

/* --- for the writer --------------------------------------------------------------------------- */

void wal_start(struct db *db, bool may_checkpoint, bool must_empty) {
    wal.db = db;
    wal.may_checkpoint = may_checkpoint;
    wal.must_be_empty = must_empty;
    wal.has_grown = wal.is_held = false;
    wal.checkpoint_at_pages = LIMIT_PAGES;
}

void wal_must_be_emptied(void) {
    wal.must_be_empty = true;
}

void wal_committed(void) {
    metric_set(&log_pages, wal.db->wal_pages);
    if (wal.may_checkpoint && wal.db->wal_pages >= wal.checkpoint_at_pages)
        checkpoint();
}

int64_t wal_wait_ms(void) {
    if (!has_work())
        return 0;
    if (wal.is_held)
        return HELD_WAIT_MS;
    return wal.has_grown && wal.db->wal_pages >= LONG_PAGES ? LONG_WAIT_MS : IDLE_WAIT_MS;
}

void wal_do_work(void) {
    if (wal.must_be_empty)
        empty();
    else if (!wal.has_grown)
        grow();
    else
        checkpoint();
}
