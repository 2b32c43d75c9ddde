/*
 * The relational store as features see it: a reading connection for the loop, writes through the
 * one writer thread.
 *
 * store_write() queues a function. The writer runs all that wait inside one transaction, a
 * savepoint each, commits with synchronous=FULL, and posts every completion back to the loop. A
 * failed function rolls back alone; a failed commit (disk full, I/O error) fails every function of
 * its batch with E_STORAGE, and nothing of the batch is stored. Completions run on the loop in the
 * order of the calls.
 *
 * Only the writer's connection ever checkpoints (SQLite before 3.51.3 has a race between
 * checkpointers).
 */
#pragma once

#include "store/db.h"

struct tx; /* proof that we are on the writer thread, inside a transaction */

typedef enum err (*store_write_fn)(
    struct tx *tx,
    void *ctx); /* on the writer thread; an error undoes this function's changes only */
typedef void (*store_done_fn)(enum err err,
                              void *ctx); /* on the loop, after the commit is on disk */

/* Opens (creating and migrating) DIR/troupe.db, starts the writer. The reason of a
 * failure is logged for a person. */
MUST_USE enum err store_open(const char *directory);
/* DIR/vectors/, apart, because it costs a start more than a millisecond and nobody needs it to say the first word. Again is the same. */
MUST_USE enum err store_open_vectors(void);
/* Runs what waits, then ends writing: their completions may still read, and what they want to write
 * is not done (E_CANCELLED, later). */
void store_stop(void);
/* The same when that was not asked for; checkpoints, closes. */
void store_close(void);

/* The loop's connection; loop thread only. What is read in one turn of the loop is of one state, unless mail came in between. */
struct db *store_reader(void);
/* A reading connection for a pool thread, for the length of one piece of work; NULL when it cannot
 * be opened. */
struct db *pool_reader_open(void);
void pool_reader_close(struct db *db);

/* `ctx` must stay until done has run. Refuses only after store_stop(): back-pressure is the callers'
 * limits. done may be NULL. */
void store_write(store_write_fn write, store_done_fn done, void *ctx);
/* The same without a savepoint, which costs a copy of every page that is touched: for a function that makes all its checks before its
 * first change, so that afterwards only the disk can fail it. Should it fail half-way, its whole batch is rolled back (E_STORAGE). */
void store_write_sure(store_write_fn write, store_done_fn done, void *ctx);
struct db *tx_db(struct tx *tx);
/* From here to the end of this write, pages that become free are overwritten: nothing of what is
 * deleted is left in the database; `and_log`: nor, a moment after the commit, in its log. */
void tx_overwrite_freed(struct tx *tx, bool and_log);

/* For the command line and tests: runs one write and waits for its commit. Not on a thread that
 * runs the loop. */
MUST_USE enum err store_write_and_wait(store_write_fn write, void *ctx);

bool store_is_ready(
    void); /* false once a write failed for lack of space or I/O, until one succeeds */
const char *store_directory(void);
/* False when another process (a running server) owns the data folder: this one is a guest, and must
 * not be a second server. */
bool store_is_owner(void);
struct store_cost {
    int64_t commits;    /* transactions committed */
    int64_t writes;     /* functions run */
    int64_t statements; /* statements run by the writer */
};
struct store_cost store_cost(void);
