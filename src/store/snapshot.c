/*
 * The loop's snapshot: what a turn of the loop reads, it reads of one state of the database.
 *
 * Left alone, every statement begins a reading transaction of its own, which takes a lock of the log
 * and gives it back: two calls into the kernel and a look at the log's index, for a row that is
 * found in two microseconds. So the first read of a turn steps a statement to its only row and
 * leaves it there; as long as it stands, SQLite keeps the transaction, and the other reads join it.
 *
 * It ends with the turn, so that it never stands while the loop sleeps (it would keep the log from
 * starting over) and nothing is older than a turn. And it ends before mail is delivered: a
 * completion reads what its write has stored, and what a thread of the pool has seen.
 */
#include "store/snapshot.h"

#include "base/check.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "store/db_inside.h"

#include "base/banned.h"

static struct {
    struct db *db;
    sqlite3_stmt *anchor;
    bool is_held, has_loop;
} snapshot;

static void end(void) {
    if (!snapshot.is_held)
        return;
    sqlite3_reset(snapshot.anchor);
    snapshot.is_held = false;
}

static void turn_ended(void *ctx) {
    (void)ctx;
    end();
}

void snapshot_open(struct db *db) {
    BUG_IF(snapshot.db != NULL);
    snapshot.db = db;
    snapshot.has_loop = loop_is_thread(); /* the command line reads without one */
    if (!snapshot.has_loop)
        return;
    loop_after_turn(turn_ended, NULL);
    mailbox_before_delivery(end);
}

void snapshot_close(void) {
    end();
    sqlite3_finalize(snapshot.anchor);
    mailbox_before_delivery(NULL);
    snapshot.anchor = NULL;
    snapshot.db = NULL;
}

void snapshot_begin(void) {
    if (snapshot.is_held || !snapshot.has_loop || !loop_is_turning())
        return;
    if (snapshot.anchor == NULL &&
        sqlite3_prepare_v3(snapshot.db->sqlite, "SELECT rootpage FROM sqlite_schema LIMIT 1", -1,
                           SQLITE_PREPARE_PERSISTENT, &snapshot.anchor, NULL) != SQLITE_OK)
        return; /* the file cannot be read: the statement that comes says so */
    snapshot.is_held = sqlite3_step(snapshot.anchor) == SQLITE_ROW;
    if (!snapshot.is_held)
        sqlite3_reset(snapshot.anchor);
}
