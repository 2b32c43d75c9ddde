/*
 * Connections and statements.
 *
 * Every SQL literal of the program is a row in the linker section `troupe_sql` (see DB_SQL); the
 * place of the row is the number of the statement, and the cache of a connection is an array by
 * that number. A hot read is: array look-up, bind, step, reset.
 *
 * The house's pragmas, each with its reason:
 *
 * - journal_mode=WAL: readers never wait for the writer, a commit is one append and one fdatasync
 * - synchronous=FULL, of the writer: the fdatasync comes before the commit returns (NORMAL would lose
 *   the last seconds with the power)
 * - wal_autocheckpoint=0: the writer decides itself when to checkpoint (wal.c); readers never do,
 *   because SQLite before 3.51.3 has a race between checkpointers; and as a connection that closes last
 *   checkpoints too, readers have NO_CKPT_ON_CLOSE
 * - mmap_size above 0: reads come from the page cache without a copy; only touched pages cost memory
 *   (file.c maps, and says how much)
 * - cache_size, small: what is mapped needs no cache; it holds dirty pages and pages of the log
 * - foreign_keys=ON: off by default for reasons of the year 2009
 * - temp_store=MEMORY: sorting never writes files
 * - secure_delete=FAST: Debian compiles it ON, which writes every freed page again; FAST clears what is
 *   written anyway
 * - trusted_schema=OFF, DEFENSIVE, no double-quoted strings: a damaged or planted file cannot make us
 *   run functions
 * - query_only=ON: readers, a second wall behind the read-only open
 *
 * Errors stick to the statement: the first one of bind, step and prepare is what stmt_done()
 * returns. Failures of the disk are logged here, where the reason is known; values never are.
 *
 * A connection belongs to one thread at a time. A statement is in use from db_statement() to
 * stmt_done(), stmt_run() or stmt_int(); asking for it again while it stands on a row is a bug (its
 * first user would continue in the other's rows, or a forgotten one would hold back checkpoints for
 * good), and stops the process.
 */
#include "store/db.h"

#include "base/check.h"
#include "base/log.h"
#include "store/db_inside.h"
#include "store/file.h"
#include "store/word_counts.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define DB_MAGIC 0x64627821u
#define READER_BUSY_MS \
    250 /* the loop waits at most this; only recovery after a crash of another process makes \
           readers wait */
#define PARAMETER_LIMIT 64

struct stmt {
    struct db *db;
    sqlite3_stmt *sqlite;
    const struct db_sql *sql;
    const char **names; /* of the parameters, borrowed from SQLite */
    int name_count;
    int last_bound; /* index in names: callers bind in the order of the text, so the next is tried
                       first */
    bool has_begun;
    enum err err;
    int64_t changed;
};

/* The linker's names for the first and behind the last row; absent when a program has no statement
 * at all. */
extern const struct db_sql *const __start_troupe_sql[] __attribute__((weak));
extern const struct db_sql *const __stop_troupe_sql[] __attribute__((weak));

size_t db_sql_count(void) {
    return (size_t)(__stop_troupe_sql - __start_troupe_sql);
}

const struct db_sql *db_sql_at(size_t index) {
    return index < db_sql_count() ? __start_troupe_sql[index] : NULL;
}

/* --- errors ----------------------------------------------------------------------------------- */

enum err db_err(int result) {
    switch (result & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return E_OK;
    case SQLITE_CONSTRAINT:
        return result == SQLITE_CONSTRAINT_CHECK || result == SQLITE_CONSTRAINT_NOTNULL ||
                       result == SQLITE_CONSTRAINT_DATATYPE
                   ? E_INPUT
                   : E_CONFLICT;
    case SQLITE_TOOBIG:
        return E_LIMIT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return E_BUSY;
    case SQLITE_INTERRUPT:
        return E_CANCELLED;
    default:
        return E_STORAGE;
    }
}

/* Messages of SQLITE_ERROR may quote what somebody typed (into a search), so outside of scripts
 * they stay out. */
static void log_failure(struct db *db, int result, const char *doing, bool with_detail) {
    int system = db->sqlite != NULL ? sqlite3_system_errno(db->sqlite) : 0;
    log_error("store", "database failed", LF_Z("doing", doing),
              LF_Z("reason", sqlite3_errstr(result)),
              LF_Z("detail", with_detail && db->sqlite != NULL ? sqlite3_errmsg(db->sqlite) : NULL),
              LF_INT("code", result), LF_Z("cause", system != 0 ? strerrordesc_np(system) : NULL));
}

enum err db_failed(struct db *db, int result, const char *doing) {
    enum err err = db_err(result);
    if (err == E_STORAGE ||
        err == E_INPUT) /* E_INPUT: a rule of the schema that the feature should have checked */
        log_failure(db, result, doing, (result & 0xff) != SQLITE_ERROR);
    return err;
}

/* What SQLite has to say beside its results: recovery of a log, automatic indexes. */
static void take_note(void *ctx, int code, const char *text) {
    (void)ctx;
    enum log_level level = (code & 0xff) == SQLITE_NOTICE    ? LOG_INFO
                           : (code & 0xff) == SQLITE_WARNING ? LOG_WARN
                                                             : LOG_DEBUG;
    LOG_AT(level, "store", "sqlite noted", LF_INT("code", code), LF_Z("text", text));
}

static void configure_library(void) {
    sqlite3_config(SQLITE_CONFIG_MULTITHREAD); /* a connection never serves two threads at once, so
                                                  it needs no lock */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS,
                   0); /* counting memory takes a global lock per allocation */
    sqlite3_config(SQLITE_CONFIG_LOG, take_note, NULL);
    file_layer_register();
}

/* --- connections ------------------------------------------------------------------------------ */

static const char writer_pragmas[] = "PRAGMA journal_mode = WAL;"
                                     "PRAGMA synchronous = FULL;"
                                     "PRAGMA wal_autocheckpoint = 0;"
                                     "PRAGMA secure_delete = FAST;"
                                     "PRAGMA temp_store = MEMORY;"
                                     "PRAGMA cache_size = -2048;"
                                     "PRAGMA mmap_size = 268435456;";
static const char reader_pragmas[] = "PRAGMA query_only = ON;"
                                     "PRAGMA wal_autocheckpoint = 0;"
                                     "PRAGMA temp_store = MEMORY;"
                                     "PRAGMA cache_size = -1024;"
                                     "PRAGMA mmap_size = 268435456;";

enum err db_script(struct db *db, const char *script, const char *doing) {
    int result = sqlite3_exec(db->sqlite, script, NULL, NULL, NULL);
    if (result == SQLITE_OK)
        return E_OK;
    log_failure(db, result, doing, true);
    return db_err(result);
}

static int count_pages(void *ctx, sqlite3 *sqlite, const char *name, int pages) {
    (void)sqlite, (void)name;
    ((struct db *)ctx)->wal_pages = pages;
    return SQLITE_OK;
}

static enum err require_wal(struct db *db) {
    char *mode = NULL;
    sqlite3_stmt *ask = NULL;
    if (sqlite3_prepare_v2(db->sqlite, "PRAGMA journal_mode", -1, &ask, NULL) == SQLITE_OK &&
        sqlite3_step(ask) == SQLITE_ROW)
        mode = strdup((const char *)sqlite3_column_text(ask, 0));
    sqlite3_finalize(ask);
    bool is_wal = mode != NULL && strcmp(mode, "wal") == 0;
    if (!is_wal)
        log_error(
            "store",
            "database cannot use a write-ahead log here; the data folder must be on a local disk",
            LF_Z("journal_mode", mode));
    free(mode);
    return is_wal ? E_OK : E_STORAGE;
}

static enum err set_up(struct db *db) {
    bool is_writer = db->mode == DB_WRITE;
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !is_writer, NULL);
    sqlite3_busy_timeout(db->sqlite, is_writer ? WRITER_BUSY_MS : READER_BUSY_MS);
    enum err err =
        db_script(db, is_writer ? writer_pragmas : reader_pragmas, "setting up the connection");
    if (err == E_OK && is_writer)
        err = require_wal(db);
    if (err == E_OK)
        err = word_counts_register(db->sqlite);
    if (is_writer)
        sqlite3_wal_hook(db->sqlite, count_pages, db);
    return err;
}

enum err db_open(const char *path, enum db_mode mode, struct db **out) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure_library);
    struct db *db = calloc(1, sizeof(*db));
    size_t room = db_sql_count();
    struct stmt **statements = calloc(room + 1, sizeof(struct stmt *));
    if (db == NULL || statements == NULL)
        BUG("out of memory");
    *db = (struct db){
        .magic = DB_MAGIC, .mode = mode, .statements = statements, .statement_room = room};
    int flags =
        SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
        (mode == DB_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);
    int result = sqlite3_open_v2(path, &db->sqlite, flags, FILE_LAYER);
    enum err err = result == SQLITE_OK ? set_up(db) : E_STORAGE;
    if (result != SQLITE_OK)
        log_failure(db, result, path, true);
    if (err != E_OK) {
        db_close(db);
        return E_STORAGE;
    }
    *out = db;
    return E_OK;
}

void db_close(struct db *db) {
    if (db == NULL)
        return;
    MAGIC_CHECK(db, DB_MAGIC);
    for (size_t i = 0; i < db->statement_room; i++) {
        struct stmt *stmt = db->statements[i];
        if (stmt == NULL)
            continue;
        sqlite3_finalize(stmt->sqlite);
        free(stmt->names);
        free(stmt);
    }
    int result = sqlite3_close(db->sqlite);
    if (result != SQLITE_OK)
        BUG("a connection was closed in use: %s", sqlite3_errstr(result));
    db->magic = 0;
    free(db->statements);
    free(db);
}

int64_t db_statements_run(const struct db *db) {
    return db->statements_run;
}

/* --- statements ------------------------------------------------------------------------------- */

static void name_parameters(struct stmt *stmt) {
    stmt->name_count = sqlite3_bind_parameter_count(stmt->sqlite);
    if (stmt->name_count > PARAMETER_LIMIT)
        BUG("%s:%d: more than %d parameters", stmt->sql->file, stmt->sql->line, PARAMETER_LIMIT);
    stmt->names = calloc((size_t)stmt->name_count + 1, sizeof(*stmt->names));
    if (stmt->names == NULL)
        BUG("out of memory");
    for (int i = 0; i < stmt->name_count; i++) {
        stmt->names[i] = sqlite3_bind_parameter_name(stmt->sqlite, i + 1);
        if (stmt->names[i] == NULL)
            BUG("%s:%d: parameter %d has no name", stmt->sql->file, stmt->sql->line, i + 1);
    }
}

static void prepare(struct stmt *stmt) {
    const char *tail = "";
    int result = sqlite3_prepare_v3(stmt->db->sqlite, stmt->sql->text, -1,
                                    SQLITE_PREPARE_PERSISTENT, &stmt->sqlite, &tail);
    if ((result & 0xff) == SQLITE_ERROR || (result == SQLITE_OK && *tail != '\0'))
        BUG("%s:%d: %s", stmt->sql->file, stmt->sql->line,
            result == SQLITE_OK ? "two statements in one" : sqlite3_errmsg(stmt->db->sqlite));
    if (result != SQLITE_OK)
        stmt->err =
            db_failed(stmt->db, result,
                      stmt->sql->text); /* the file could not be read: tried again next time */
    else
        name_parameters(stmt);
}

struct stmt *db_statement(struct db *db, const struct db_sql *const *sql) {
    MAGIC_CHECK(db, DB_MAGIC);
    size_t slot = (size_t)(sql - __start_troupe_sql);
    BUG_IF(slot >= db->statement_room);
    struct stmt *stmt = db->statements[slot];
    if (stmt == NULL) {
        stmt = db->statements[slot] = calloc(1, sizeof(*stmt));
        if (stmt == NULL)
            BUG("out of memory");
        stmt->db = db;
        stmt->sql = *sql;
    }
    stmt->err = E_OK;
    if (stmt->sqlite == NULL) {
        prepare(stmt);
    } else {
        if (sqlite3_stmt_busy(stmt->sqlite))
            BUG("%s:%d: used again before it was done", stmt->sql->file, stmt->sql->line);
        sqlite3_reset(stmt->sqlite);
        sqlite3_clear_bindings(stmt->sqlite);
    }
    stmt->last_bound = -1;
    stmt->has_begun = false;
    stmt->changed = 0;
    return stmt;
}

static int parameter(struct stmt *stmt, const char *name) {
    int next = stmt->last_bound + 1;
    if (next >= stmt->name_count || strcmp(stmt->names[next], name) != 0)
        for (next = 0; next < stmt->name_count && strcmp(stmt->names[next], name) != 0; next++)
            ;
    if (next == stmt->name_count)
        BUG("%s:%d: no parameter %s", stmt->sql->file, stmt->sql->line, name);
    stmt->last_bound = next;
    return next + 1;
}

static void bound(struct stmt *stmt, int result) {
    if (result != SQLITE_OK && stmt->err == E_OK)
        stmt->err = db_failed(stmt->db, result, stmt->sql->text);
}

/* Nothing to bind to when the statement could not be prepared; the error is there already. */
#define BIND(function, ...)                                                                        \
    do {                                                                                           \
        if (stmt->sqlite != NULL)                                                                  \
            bound(stmt, function(stmt->sqlite, parameter(stmt, name) __VA_OPT__(, ) __VA_ARGS__)); \
    } while (0)

void bind_int(struct stmt *stmt, const char *name, int64_t value) {
    BIND(sqlite3_bind_int64, value);
}

void bind_null(struct stmt *stmt, const char *name) {
    BIND(sqlite3_bind_null);
}

void bind_id(struct stmt *stmt, const char *name, int64_t id) {
    if (id == 0)
        bind_null(stmt, name);
    else
        bind_int(stmt, name, id);
}

void bind_time(struct stmt *stmt, const char *name, int64_t at_ms) {
    bind_id(stmt, name, at_ms);
}

void bind_double(struct stmt *stmt, const char *name, double value) {
    BIND(sqlite3_bind_double, value);
}

void bind_bool(struct stmt *stmt, const char *name, bool value) {
    bind_int(stmt, name, value ? 1 : 0);
}

void bind_str(struct stmt *stmt, const char *name, struct str value) {
    if (value.at == NULL)
        bind_null(stmt, name);
    else
        BIND(sqlite3_bind_text64, value.at, value.len, SQLITE_STATIC, SQLITE_UTF8);
}

void bind_blob(struct stmt *stmt, const char *name, struct str bytes) {
    if (bytes.at == NULL)
        bind_null(stmt, name);
    else
        BIND(sqlite3_bind_blob64, bytes.at, bytes.len, SQLITE_STATIC);
}

bool stmt_row(struct stmt *stmt) {
    if (stmt->err != E_OK || stmt->sqlite == NULL)
        return false;
    if (!stmt->has_begun) {
        stmt->has_begun = true;
        stmt->db->statements_run++;
    }
    int result = sqlite3_step(stmt->sqlite);
    if (result == SQLITE_ROW)
        return true;
    if (result == SQLITE_MISUSE)
        BUG("%s:%d: %s", stmt->sql->file, stmt->sql->line, sqlite3_errmsg(stmt->db->sqlite));
    stmt->err = db_failed(stmt->db, result, stmt->sql->text);
    if (result == SQLITE_DONE)
        stmt->changed = sqlite3_changes64(stmt->db->sqlite);
    return false;
}

enum err stmt_done(struct stmt *stmt) {
    if (stmt->sqlite != NULL)
        sqlite3_reset(stmt->sqlite); /* its result repeats what step said */
    return stmt->err;
}

enum err stmt_run(struct stmt *stmt) {
    while (stmt_row(stmt))
        ;
    return stmt_done(stmt);
}

int64_t stmt_changed(const struct stmt *stmt) {
    return stmt->changed;
}

int64_t stmt_int(struct stmt *stmt, int64_t fallback) {
    int64_t value = stmt_row(stmt) && !column_is_null(stmt, 0) ? column_int(stmt, 0) : fallback;
    return stmt_done(stmt) == E_OK ? value : fallback;
}

/* --- columns ---------------------------------------------------------------------------------- */

int64_t column_int(struct stmt *stmt, int column) {
    return sqlite3_column_int64(stmt->sqlite, column);
}

double column_double(struct stmt *stmt, int column) {
    return sqlite3_column_double(stmt->sqlite, column);
}

bool column_bool(struct stmt *stmt, int column) {
    return sqlite3_column_int64(stmt->sqlite, column) != 0;
}

bool column_is_null(struct stmt *stmt, int column) {
    return sqlite3_column_type(stmt->sqlite, column) == SQLITE_NULL;
}

struct str column_str(struct stmt *stmt, int column) {
    const char *text = (const char *)sqlite3_column_text(stmt->sqlite, column);
    if (text == NULL)
        return STR_NONE;
    return (struct str){text, (size_t)sqlite3_column_bytes(stmt->sqlite, column)};
}

struct str column_str_dup(struct stmt *stmt, int column, struct arena *arena) {
    struct str text = column_str(stmt, column);
    return text.at == NULL ? STR_NONE : str_dup(arena, text);
}

struct str column_blob_dup(struct stmt *stmt, int column, struct arena *arena) {
    if (column_is_null(stmt, column))
        return STR_NONE;
    const char *bytes = sqlite3_column_blob(stmt->sqlite, column); /* NULL for an empty blob */
    size_t len = (size_t)sqlite3_column_bytes(stmt->sqlite, column);
    return str_dup(arena, (struct str){bytes != NULL ? bytes : "", len});
}
