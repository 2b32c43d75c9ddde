/* The schema: schema.sql when the file is new, migrations/NNN.sql one by one when it is older; a newer database is refused. */
#pragma once

#include "store/db.h"

/* PRAGMA user_version holds the number of the last migration that schema.sql includes. */
MUST_USE enum err migrate(struct db *writer);
int migrate_latest(void);
