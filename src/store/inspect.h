/* What tools ask of a database: is it whole, how does it find things, which libraries carry it. */
#pragma once

#include "base/buf.h"
#include "store/db.h"

/* PRAGMA quick_check: E_OK when the database is whole, E_STORAGE with what is wrong in `out`. Reads
 * the whole file. */
MUST_USE enum err db_check(struct db *db, struct buf *out);
/* One JSON object per line and registered statement: {"file", "line", "sql", "plan": ["SEARCH
 * ..."]}. */
void db_print_plans(struct db *db, struct buf *out);
/* "sqlite 3.40.1", "lmdb 0.9.24", a line each. */
void store_print_versions(struct buf *out);
