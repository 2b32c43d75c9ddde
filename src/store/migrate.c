/*
 * From whatever version the file has to the one this program knows.
 *
 * A new file gets schema.sql, whole. An older one gets migrations/002.sql, 003.sql ... up to the
 * number that schema.sql names at its end (PRAGMA user_version); each step is one transaction that
 * carries its own number, so that a crash leaves a version, never something between two. Foreign
 * keys are off while a step runs (a table that is rebuilt is dropped for a moment) and checked
 * before its commit.
 *
 * There is no way back: a database from a newer program is refused, and so is a file with tables
 * that we did not make. When nothing is to be done, nothing but one number is read: the start must
 * not wait.
 */
#include "store/migrate.h"

#include "base/check.h"
#include "base/embedded.h"
#include "base/log.h"
#include "store/db_inside.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/banned.h"

#define FIRST_VERSION 1

/* --- the texts -------------------------------------------------------------------------------- */

static struct str embedded_step(int number) {
    char name[32];
    int len = snprintf(name, sizeof(name), "migrations/%03d.sql", number);
    const struct embedded *file = embedded_find((struct str){name, (size_t)len});
    return file != NULL ? file->bytes : STR_NONE;
}

static struct migration_source embedded_source(void) {
    const struct embedded *schema = embedded_find(STR("schema.sql"));
    if (schema == NULL)
        BUG("schema.sql is not embedded");
    return (struct migration_source){.schema = schema->bytes, .step = embedded_step};
}

/* The number in the last "PRAGMA user_version = N". */
static int version_of(struct str script) {
    const struct str mark = STR("PRAGMA user_version = ");
    ptrdiff_t last = -1;
    for (ptrdiff_t at = str_find(script, mark, 0); at >= 0;
         at = str_find(script, mark, (size_t)at + 1))
        last = at;
    if (last < 0)
        BUG("a schema without PRAGMA user_version");
    return atoi(script.at + last + mark.len);
}

/* --- the file --------------------------------------------------------------------------------- */

/* The number that `sql` answers with, or -1 when it could not be asked. */
static int64_t ask(struct db *db, const char *sql) {
    sqlite3_stmt *stmt = NULL;
    int64_t answer = -1;
    int result = sqlite3_prepare_v2(db->sqlite, sql, -1, &stmt, NULL);
    if (result == SQLITE_OK) {
        result = sqlite3_step(stmt);
        answer = result == SQLITE_ROW    ? sqlite3_column_int64(stmt, 0)
                 : result == SQLITE_DONE ? 0
                                         : -1;
    }
    if (answer < 0)
        db_failed(db, result, sql);
    sqlite3_finalize(stmt);
    return answer;
}

static enum err refuse(const char *why, int64_t version, int latest) {
    log_error("store", why, LF_INT("database_version", version), LF_INT("program_version", latest));
    return E_STORAGE;
}

static enum err check_step(struct db *db, int number) {
    if (ask(db, "PRAGMA user_version") != number)
        return refuse("migration did not set its version", ask(db, "PRAGMA user_version"), number);
    if (ask(db, "SELECT count(*) FROM pragma_foreign_key_check") != 0)
        return refuse("migration would leave rows that point nowhere; nothing was changed",
                      number - 1, number);
    return E_OK;
}

/* Runs one script as one transaction that ends in version `number`. */
static enum err apply(struct db *db, struct str script, int number) {
    enum err err =
        db_script(db, "PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE", "beginning a migration");
    if (err == E_OK)
        err = db_script(db, script.at, "migrating");
    if (err == E_OK)
        err = check_step(db, number);
    if (err == E_OK)
        err = db_script(db, "COMMIT", "committing a migration");
    if (err != E_OK && !sqlite3_get_autocommit(db->sqlite))
        (void)!db_script(db, "ROLLBACK", "rolling a migration back");
    if (db_script(db, "PRAGMA foreign_keys = ON", "ending a migration") != E_OK)
        return E_STORAGE;
    return err;
}

static enum err climb(struct db *db, const struct migration_source *source, int version,
                      int latest) {
    for (int number = version + 1; number <= latest; number++) {
        struct str step = source->step(number);
        if (step.at == NULL)
            return refuse("migration is missing from this program", version, latest);
        enum err err = apply(db, step, number);
        if (err != E_OK)
            return err;
        log_info("store", "database migrated", LF_INT("version", number));
    }
    return E_OK;
}

enum err migrate_from(struct db *db, const struct migration_source *source) {
    int latest = version_of(source->schema);
    int64_t version = ask(db, "PRAGMA user_version");
    if (version == latest)
        return E_OK;
    if (version < 0)
        return E_STORAGE;
    if (version > latest)
        return refuse(
            "database belongs to a newer version of this program; use that one, or restore an older backup",
            version, latest);
    if (version >= FIRST_VERSION)
        return climb(db, source, (int)version, latest);
    if (ask(db, "SELECT count(*) FROM sqlite_schema") != 0)
        return refuse("database was not made by this program", version, latest);
    return apply(db, source->schema, latest);
}

enum err migrate(struct db *writer) {
    struct migration_source source = embedded_source();
    return migrate_from(writer, &source);
}

int migrate_latest(void) {
    return version_of(embedded_source().schema);
}

enum err migrate_check(struct db *writer) {
    int64_t version = ask(writer, "PRAGMA user_version");
    if (version == migrate_latest())
        return E_OK;
    return refuse("running server has another version of the database; stop it first", version,
                  migrate_latest());
}
