/* What the files of this floor know of a connection and nobody else does. */
#pragma once

#include "store/db.h"

#include <sqlite3.h>

#define WRITER_BUSY_MS 5000 /* another process (the command line) is in one transaction */

struct db {
    uint32_t magic;
    enum db_mode mode;
    sqlite3 *sqlite;
    struct stmt **statements; /* by slot, see db_statement(); NULL until first used */
    size_t statement_room;
    int64_t statements_run;
    int wal_pages; /* of a writer: length of the write-ahead log after its last commit */
};

/* The house's word for a result of SQLite. */
enum err db_err(int result);
/* The same; what a person should know about (disk, damage, misuse) is logged with the reason. */
enum err db_failed(struct db *db, int result, const char *doing);
/* Runs a script that is not data: pragmas, schema, migrations. NUL-terminated. */
MUST_USE enum err db_script(struct db *db, const char *script, const char *doing);
