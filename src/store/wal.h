/* The write-ahead log's size, for writer.c; the writer's thread only. wal.c has the reasons. */
#pragma once

#include "store/db.h"

/* `db` is the writing connection. Without may_checkpoint (another process owns the data folder) the log
 * is left alone. must_empty: it may hold what was forgotten. */
void wal_start(struct db *db, bool may_checkpoint, bool must_empty);
/* What is forgotten by this transaction is to leave the log, too, when nothing else is to do. */
void wal_must_be_emptied(void);
/* After every commit: writes the log back when it is too long to wait for a pause. */
void wal_committed(void);
/* How long nothing must have come before wal_do_work() is called; 0: there is nothing to do. */
int64_t wal_wait_ms(void);
void wal_do_work(void);
