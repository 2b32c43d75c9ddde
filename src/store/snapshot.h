/* One state of the database for the loop's reads of a turn; for store.c, on the loop thread. */
#pragma once

#include "store/db.h"

/* `db` is the loop's connection until snapshot_close(). */
void snapshot_open(struct db *db);
void snapshot_close(void);
/* The reads from here to the end of the turn, or to the next mail, share one state. Nothing outside of a turn. */
void snapshot_begin(void);
