/*
 * What tools ask of a database. The plans are the source of the test that no statement which lists
 * or finds reads a whole table: every statement of the program is registered (DB_SQL), so none can
 * be forgotten.
 */
#include "store/inspect.h"

#include "base/json.h"
#include "store/db_inside.h"

#include <lmdb.h>

#include "base/banned.h"

static struct str text_at(sqlite3_stmt *s, int column) {
    return str_of((const char *)sqlite3_column_text(s, column),
                  (size_t)sqlite3_column_bytes(s, column));
}

enum err db_check(struct db *db, struct buf *out) {
    sqlite3_stmt *s = NULL;
    bool is_whole = true;
    int result = sqlite3_prepare_v2(db->sqlite, "PRAGMA quick_check(20)", -1, &s, NULL);
    while (result == SQLITE_OK && (result = sqlite3_step(s)) == SQLITE_ROW) {
        struct str line = text_at(s, 0);
        result = SQLITE_OK;
        if (str_eq(line, STR("ok")))
            continue;
        is_whole = false;
        buf_add_str(out, line);
        buf_add_char(out, '\n');
    }
    if (result != SQLITE_DONE) /* it could not be read to its end */
        buf_printf(out, "%s\n", sqlite3_errstr(result));
    sqlite3_finalize(s);
    return result == SQLITE_DONE && is_whole ? E_OK : E_STORAGE;
}

static void write_plan(struct db *db, struct json *json, const struct db_sql *sql) {
    sqlite3_stmt *s = NULL;
    char *explain = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql->text);
    JSON_ARRAY(json, "plan");
    if (explain != NULL && sqlite3_prepare_v2(db->sqlite, explain, -1, &s, NULL) == SQLITE_OK)
        while (sqlite3_step(s) == SQLITE_ROW)
            json_write_str(json, text_at(s, 3));
    json_array_end(json);
    sqlite3_finalize(s);
    sqlite3_free(explain);
}

void db_print_plans(struct db *db, struct buf *out) {
    for (size_t i = 0; i < db_sql_count(); i++) {
        const struct db_sql *sql = db_sql_at(i);
        struct json json;
        json_init(&json, out);
        json_object_begin(&json);
        JSON_STR(&json, "file", str_from(sql->file));
        JSON_INT(&json, "line", sql->line);
        JSON_STR(&json, "sql", str_from(sql->text));
        write_plan(db, &json, sql);
        json_object_end(&json);
        buf_add_char(out, '\n');
    }
}

void store_print_versions(struct buf *out) {
    buf_printf(out, "sqlite %s\nlmdb %d.%d.%d\n", sqlite3_libversion(), MDB_VERSION_MAJOR,
               MDB_VERSION_MINOR, MDB_VERSION_PATCH);
}
