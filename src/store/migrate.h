/* The schema: schema.sql when the file is new, migrations/NNN.sql one by one when it is older; a
 * newer database is refused. */
#pragma once

#include "store/db.h"

/* PRAGMA user_version holds the number of the last migration that schema.sql includes. E_STORAGE
 * with a logged reason. */
MUST_USE enum err migrate(struct db *writer);
int migrate_latest(void);
/* For a guest (store_is_owner): E_OK when the database is of this program's version; changes
 * nothing. */
MUST_USE enum err migrate_check(struct db *writer);

/* Where the texts come from: embedded in the program, or made up by a test. */
struct migration_source {
    struct str schema; /* ends with PRAGMA user_version = N; a NUL follows the last byte */
    struct str (*step)(int number); /* likewise with its own number; STR_NONE when there is none */
};
MUST_USE enum err migrate_from(struct db *writer, const struct migration_source *source);
