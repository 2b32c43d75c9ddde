/* The writer thread, for store.c; what features see of it is in store.h. */
#pragma once

#include "store/db.h"

/* `db` is the writer's from now until writer_stop() returns. Without may_checkpoint (another
 * process owns the data folder) the log is left alone. must_empty_log: the process before died, and
 * what it left there may have been forgotten: as after tx_overwrite_freed(tx, true). `give_back` (may
 * be NULL) runs on the writer thread when the house has come to rest: what is kept only to be quick
 * may go. */
void writer_start(struct db *db, bool may_checkpoint, bool must_empty_log, void (*give_back)(void));
/* Runs what waits, ends the thread. Completions are in the mailbox then. */
void writer_stop(void);
