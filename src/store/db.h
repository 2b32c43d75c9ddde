/*
 * SQLite connections and the few verbs that features use: a statement is named by its literal,
 * bound by name, stepped, read by column.
 *
 *     struct stmt *s = DB_SQL(db, "SELECT title FROM conversation WHERE id = :id");
 *     bind_id(s, ":id", id);
 *     if (stmt_row(s)) title = column_str_dup(s, 0, arena);
 *     return stmt_done(s);
 *
 * DB_SQL registers the literal in a linker section, so every statement of the program has a small
 * number: the cache of a connection is an array, and `troupe test sql` can list every statement
 * with its query plan. A literal belongs to one place in the source.
 *
 * Errors stick to the statement: bind and step remember the first one, stmt_done() resets and
 * returns it.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct db;
struct stmt;

struct db_sql {
    const char *text;
    const char *file;
    int line;
};

#define DB_SQL(db, literal)                                                                       \
    __extension__({                                                                               \
        static const struct db_sql sql_here_ = {                                                  \
            .text = "" literal "", .file = __FILE__, .line = __LINE__};                           \
        static const struct db_sql *const sql_row_ __attribute__((section("troupe_sql"), used)) = \
            &sql_here_;                                                                           \
        db_statement((db), &sql_row_);                                                            \
    })

enum db_mode { DB_READ, DB_WRITE };

/* Opens one connection with the house's pragmas (WAL, foreign keys, mmap, synchronous=FULL for the
 * writer). E_STORAGE with a logged reason. */
MUST_USE enum err db_open(const char *path, enum db_mode mode, struct db **db);
void db_close(struct db *db);

/* The prepared statement of this connection, reset and with nothing bound. Never NULL: a statement
 * that does not prepare is a bug. */
struct stmt *db_statement(struct db *db, const struct db_sql *const *sql);
/* Statements run on this connection since it opened (for the cost tests). */
int64_t db_statements_run(const struct db *db);

void bind_int(struct stmt *stmt, const char *name, int64_t value);
void bind_id(struct stmt *stmt, const char *name, int64_t id);      /* 0 is NULL */
void bind_time(struct stmt *stmt, const char *name, int64_t at_ms); /* 0 is NULL */
void bind_double(struct stmt *stmt, const char *name, double value);
void bind_bool(struct stmt *stmt, const char *name, bool value);
void bind_str(struct stmt *stmt, const char *name,
              struct str value); /* STR_NONE is NULL; bytes must live until stmt_done */
void bind_blob(struct stmt *stmt, const char *name, struct str bytes); /* likewise */
void bind_null(struct stmt *stmt, const char *name);

bool stmt_row(struct stmt *stmt);               /* true while there is a row */
MUST_USE enum err stmt_done(struct stmt *stmt); /* resets; E_OK also when rows were left unread */
MUST_USE enum err stmt_run(struct stmt *stmt);  /* for changes: step to the end, reset */
/* Rows changed by the last stmt_run of the connection that owns `stmt`. */
int64_t stmt_changed(const struct stmt *stmt);
/* One value, then reset: the fallback when there is no row, or on NULL. */
int64_t stmt_int(struct stmt *stmt, int64_t fallback);

int64_t column_int(struct stmt *stmt, int column); /* NULL is 0 */
#define column_id   column_int
#define column_time column_int
double column_double(struct stmt *stmt, int column);
bool column_bool(struct stmt *stmt, int column);
bool column_is_null(struct stmt *stmt, int column);
struct str column_str(struct stmt *stmt,
                      int column); /* borrowed until the next step; NULL is STR_NONE */
struct str column_str_dup(struct stmt *stmt, int column, struct arena *arena);
struct str column_blob_dup(struct stmt *stmt, int column, struct arena *arena);

/* Every registered statement, for `troupe test sql` and the plan test. */
size_t db_sql_count(void);
const struct db_sql *db_sql_at(size_t index);
