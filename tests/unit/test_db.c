/* links: troupe_store */
#include "store/db.h"

#include "base/buf.h"
#include "base/check.h"
#include "scratch.h"
#include "store/db_inside.h"
#include "store/inspect.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>

static struct db *writer, *reader;
static struct arena arena;

static void make_tables(void) {
    assert_int_equal(
        stmt_run(DB_SQL(writer,
                        "CREATE TABLE thing (id INTEGER NOT NULL PRIMARY KEY, name TEXT UNIQUE, "
                        "size INTEGER CHECK (size < 100), weight REAL, bytes BLOB) STRICT")),
        E_OK);
    assert_int_equal(
        stmt_run(DB_SQL(writer, "CREATE TABLE part (id INTEGER NOT NULL PRIMARY KEY, "
                                "thing_id INTEGER NOT NULL REFERENCES thing (id)) STRICT")),
        E_OK);
    assert_int_equal(stmt_run(DB_SQL(writer, "CREATE VIRTUAL TABLE words USING fts5 (text)")),
                     E_OK);
}

static int set_up(void **state) {
    (void)state;
    scratch_make();
    arena_init(&arena);
    assert_int_equal(db_open(scratch_path("t.db"), DB_WRITE, &writer), E_OK);
    make_tables();
    assert_int_equal(db_open(scratch_path("t.db"), DB_READ, &reader), E_OK);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    db_close(reader);
    db_close(writer);
    arena_release(&arena);
    scratch_remove();
    return 0;
}

static enum err add_thing(int64_t id, struct str name, int64_t size, struct str bytes) {
    struct stmt *s = DB_SQL(writer, "INSERT INTO thing (id, name, size, weight, bytes) "
                                    "VALUES (:id, :name, :size, :weight, :bytes)");
    bind_id(s, ":id", id);
    bind_str(s, ":name", name);
    bind_int(s, ":size", size);
    bind_double(s, ":weight", 0.5);
    bind_blob(s, ":bytes", bytes);
    return stmt_run(s);
}

/* --- values ----------------------------------------------------------------------------------- */

static const struct {
    struct str value;
    bool is_null;
    const char *why;
} texts[] = {
    {{"plain", 5}, false, "as it is"},
    {{"", 0}, false, "empty is not absent"},
    {{NULL, 0}, true, "absent is NULL"},
    {{"a\0b", 3}, false, "a NUL is a byte like others"},
    {{"'; DROP TABLE thing; --", 23}, false, "a value is never SQL"},
    {{"\xc3\xa9\xe2\x82\xac", 5}, false, "UTF-8"},
};

static void texts_and_bytes_come_back_as_they_went(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        assert_int_equal(add_thing((int64_t)i + 1, texts[i].value, 1, texts[i].value), E_OK);
        struct stmt *s = DB_SQL(reader, "SELECT name, bytes FROM thing WHERE id = :id");
        bind_id(s, ":id", (int64_t)i + 1);
        assert_true(stmt_row(s));
        struct str name = column_str_dup(s, 0, &arena), bytes = column_blob_dup(s, 1, &arena);
        assert_int_equal(stmt_done(s), E_OK);
        assert_int_equal(name.at == NULL, texts[i].is_null);
        assert_int_equal(bytes.at == NULL, texts[i].is_null);
        assert_true(str_eq(name, texts[i].value));
        assert_true(str_eq(bytes, texts[i].value));
    }
}

static void numbers_and_nulls_come_back_as_they_went(void **state) {
    (void)state;
    struct stmt *s = DB_SQL(reader, "SELECT :int, :zero_id, :time, :double, :bool, :null, :big");
    bind_int(s, ":int", -7);
    bind_id(s, ":zero_id", 0);
    bind_time(s, ":time", 1795233600000);
    bind_double(s, ":double", -0.25);
    bind_bool(s, ":bool", true);
    bind_null(s, ":null");
    bind_int(s, ":big", INT64_MAX);
    assert_true(stmt_row(s));
    assert_int_equal(column_int(s, 0), -7);
    assert_true(column_is_null(s, 1));
    assert_int_equal(column_id(s, 1), 0);
    assert_int_equal(column_time(s, 2), 1795233600000);
    assert_true(column_double(s, 3) == -0.25);
    assert_true(column_bool(s, 4));
    assert_true(column_is_null(s, 5));
    assert_null(column_str(s, 5).at);
    assert_int_equal(column_int(s, 6), INT64_MAX);
    assert_false(stmt_row(s));
    assert_int_equal(stmt_done(s), E_OK);
}

static void parameters_bind_in_any_order_and_twice(void **state) {
    (void)state;
    struct stmt *s = DB_SQL(reader, "SELECT :a || :b || :a || :c");
    bind_str(s, ":c", STR("3"));
    bind_str(s, ":a", STR("1"));
    bind_str(s, ":b", STR("2"));
    bind_str(s, ":a", STR("9")); /* the last one counts */
    assert_true(stmt_row(s));
    assert_true(str_eq(column_str(s, 0), STR("9293")));
    assert_int_equal(stmt_done(s), E_OK);
}

static struct stmt *count_things(const char *unbound) {
    (void)unbound;
    return DB_SQL(reader, "SELECT count(*) FROM thing WHERE name IS NOT :name");
}

static void a_statement_is_cached_and_comes_back_clean(void **state) {
    (void)state;
    assert_int_equal(add_thing(1, STR("x"), 1, STR_NONE), E_OK);
    struct stmt *first = count_things("x");
    bind_str(first, ":name", STR("x"));
    assert_int_equal(stmt_int(first, -1), 0);
    struct stmt *second = count_things(NULL);
    assert_ptr_equal(first, second);
    assert_int_equal(stmt_int(second, -1), 1); /* nothing is bound: NULL */
}

static void one_value_has_a_fallback(void **state) {
    (void)state;
    assert_int_equal(stmt_int(DB_SQL(reader, "SELECT 5"), -1), 5);
    assert_int_equal(stmt_int(DB_SQL(reader, "SELECT 5 WHERE 0"), -1), -1);
    assert_int_equal(stmt_int(DB_SQL(reader, "SELECT NULL"), -1), -1);
}

/* --- errors ----------------------------------------------------------------------------------- */

static enum err duplicate_name(void) {
    return add_thing(2, STR("one"), 1, STR_NONE);
}
static enum err too_large(void) {
    return add_thing(3, STR("three"), 100, STR_NONE);
}
static enum err missing_parent(void) {
    return stmt_run(DB_SQL(writer, "INSERT INTO part (id, thing_id) VALUES (1, 999)"));
}
static enum err wrong_type(void) {
    return stmt_run(DB_SQL(writer, "INSERT INTO part (id, thing_id) VALUES (1, 'text')"));
}
static enum err write_on_a_reader(void) {
    return stmt_run(DB_SQL(reader, "DELETE FROM thing"));
}

static void failures_have_the_house_words(void **state) {
    (void)state;
    static const struct {
        enum err (*act)(void);
        enum err expected;
        const char *why;
    } rows[] = {
        {duplicate_name, E_CONFLICT, "UNIQUE"},
        {too_large, E_INPUT, "CHECK"},
        {missing_parent, E_CONFLICT, "foreign keys are on"},
        {wrong_type, E_INPUT, "STRICT"},
        {write_on_a_reader, E_STORAGE, "a reader cannot write"},
    };
    assert_int_equal(add_thing(1, STR("one"), 1, STR_NONE), E_OK);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(rows[i].act(), rows[i].expected);
    assert_int_equal(stmt_int(DB_SQL(writer, "SELECT count(*) FROM thing"), -1), 1);
    assert_int_equal(add_thing(5, STR("five"), 1, STR_NONE), E_OK); /* the statement works again */
}

static void changes_are_counted(void **state) {
    (void)state;
    for (int i = 1; i <= 3; i++)
        assert_int_equal(add_thing(i, STR_NONE, i, STR_NONE), E_OK);
    struct stmt *s = DB_SQL(writer, "UPDATE thing SET size = size + 1 WHERE size >= :least");
    bind_int(s, ":least", 2);
    assert_int_equal(stmt_run(s), E_OK);
    assert_int_equal(stmt_changed(s), 2);
    s = DB_SQL(writer, "DELETE FROM thing WHERE id = 77");
    assert_int_equal(stmt_run(s), E_OK);
    assert_int_equal(stmt_changed(s), 0);
}

static void statements_are_counted_once_each(void **state) {
    (void)state;
    int64_t before = db_statements_run(writer);
    for (int i = 1; i <= 3; i++)
        assert_int_equal(add_thing(i, STR_NONE, i, STR_NONE), E_OK);
    struct stmt *s = DB_SQL(writer, "SELECT id FROM thing");
    int rows = 0;
    while (stmt_row(s))
        rows++;
    assert_int_equal(stmt_done(s), E_OK);
    assert_int_equal(rows, 3);
    assert_int_equal(db_statements_run(writer) - before, 4);
}

/* --- the connection --------------------------------------------------------------------------- */

static void assert_pragma(struct stmt *s, int64_t expected) {
    assert_int_equal(stmt_int(s, -1), expected);
}

static void pragmas_are_the_house_s(void **state) {
    (void)state;
    struct stmt *s = DB_SQL(reader, "PRAGMA journal_mode");
    assert_true(stmt_row(s));
    assert_true(str_eq(column_str(s, 0), STR("wal")));
    assert_int_equal(stmt_done(s), E_OK);
    assert_pragma(DB_SQL(writer, "PRAGMA synchronous"), 2);
    assert_pragma(DB_SQL(writer, "PRAGMA foreign_keys"), 1);
    assert_pragma(DB_SQL(writer, "PRAGMA trusted_schema"), 0);
    assert_pragma(DB_SQL(reader, "PRAGMA query_only"), 1);
    assert_pragma(DB_SQL(reader, "PRAGMA trusted_schema"), 0);
    assert_pragma(DB_SQL(reader, "PRAGMA mmap_size"), 268435456);
    assert_pragma(DB_SQL(reader, "PRAGMA wal_autocheckpoint"), 0);
}

static void a_file_that_is_no_database_is_refused(void **state) {
    (void)state;
    FILE *file = fopen(scratch_path("junk.db"), "w");
    for (int i = 0; i < 2000; i++)
        fputs("this is a letter to grandmother ", file);
    fclose(file);
    struct db *db = NULL;
    assert_int_equal(db_open(scratch_path("junk.db"), DB_WRITE, &db), E_STORAGE);
    assert_int_equal(db_open(scratch_path("absent/t.db"), DB_WRITE, &db), E_STORAGE);
    assert_int_equal(db_open(scratch_path("absent.db"), DB_READ, &db), E_STORAGE);
    assert_null(db);
}

static void every_statement_is_listed(void **state) {
    (void)state;
    bool is_listed = false;
    assert_true(db_sql_count() > 10);
    for (size_t i = 0; i < db_sql_count(); i++) {
        const struct db_sql *sql = db_sql_at(i);
        assert_non_null(sql->text);
        assert_true(sql->line > 0);
        is_listed |=
            strstr(sql->file, "test_db.c") != NULL && strcmp(sql->text, "PRAGMA synchronous") == 0;
    }
    assert_true(is_listed);
    assert_null(db_sql_at(db_sql_count()));
}

/* --- our own mistakes stop the process -------------------------------------------------------- */

static void use_again_while_on_a_row(void) {
    for (int i = 0; i < 2; i++)
        (void)stmt_row(DB_SQL(writer, "SELECT 1 UNION ALL SELECT 2"));
}
static void bind_what_is_not_there(void) {
    bind_int(DB_SQL(writer, "SELECT :a"), ":b", 1);
}
static void run_what_is_no_sql(void) {
    (void)DB_SQL(writer, "SELEKT 1");
}
static void run_two_at_once(void) {
    (void)DB_SQL(writer, "SELECT 1; SELECT 2");
}

static void mistakes_of_ours_stop_the_process(void **state) {
    (void)state;
    static void (*const mistakes[])(void) = {use_again_while_on_a_row, bind_what_is_not_there,
                                             run_what_is_no_sql, run_two_at_once};
    for (size_t i = 0; i < COUNT_OF(mistakes); i++) {
        pid_t child = fork();
        if (child == 0) {
            if (freopen("/dev/null", "w", stderr) != NULL)
                mistakes[i]();
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
    }
}

static int give_up(void *ctx) {
    (void)ctx;
    return 1;
}

/* "Whole" is said of what was read to its end, and of nothing else. */
static void a_check_that_breaks_off_finds_nothing_whole(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 16);
    for (int i = 1; i <= 100; i++)
        assert_int_equal(add_thing(i, STR_NONE, 1, STR("bytes")), E_OK);
    assert_int_equal(db_check(reader, &out), E_OK);
    sqlite3_progress_handler(reader->sqlite, 10, give_up, NULL);
    assert_int_equal(db_check(reader, &out), E_STORAGE);
    sqlite3_progress_handler(reader->sqlite, 0, NULL, NULL);
    assert_true(str_has(buf_str(&out), STR("interrupted")));
    buf_release(&out);
}

int main(void) {
#define IN_DB(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_DB(texts_and_bytes_come_back_as_they_went),
        IN_DB(numbers_and_nulls_come_back_as_they_went),
        IN_DB(parameters_bind_in_any_order_and_twice),
        IN_DB(a_statement_is_cached_and_comes_back_clean),
        IN_DB(one_value_has_a_fallback),
        IN_DB(failures_have_the_house_words),
        IN_DB(changes_are_counted),
        IN_DB(statements_are_counted_once_each),
        IN_DB(pragmas_are_the_house_s),
        IN_DB(a_file_that_is_no_database_is_refused),
        IN_DB(a_check_that_breaks_off_finds_nothing_whole),
        IN_DB(every_statement_is_listed),
        IN_DB(mistakes_of_ours_stop_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
