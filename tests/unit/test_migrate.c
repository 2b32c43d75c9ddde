/* links: troupe_store troupe_embedded */
#include "store/migrate.h"

#include "base/check.h"
#include "base/embedded.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* A made-up history: version 1 as it was released, two steps, and the whole as it is now. */
static const char version_1[] =
    "CREATE TABLE owner (id INTEGER NOT NULL PRIMARY KEY) STRICT;"
    "CREATE TABLE pet (id INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, "
    "owner_id INTEGER REFERENCES owner (id)) STRICT;"
    "PRAGMA user_version = 1;";
static const char step_2[] = "ALTER TABLE pet ADD COLUMN born INTEGER;"
                             "PRAGMA user_version = 2;";
/* A rebuilt table, as SQLite wants it for everything that ALTER cannot do. */
static const char step_3[] =
    "CREATE TABLE pet_new (id INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE, "
    "owner_id INTEGER REFERENCES owner (id), born INTEGER) STRICT;"
    "INSERT INTO pet_new SELECT id, name, owner_id, born FROM pet;"
    "DROP TABLE pet;"
    "ALTER TABLE pet_new RENAME TO pet;"
    "PRAGMA user_version = 3;";
static const char whole[] =
    "CREATE TABLE owner (id INTEGER NOT NULL PRIMARY KEY) STRICT;"
    "CREATE TABLE pet (id INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE, "
    "owner_id INTEGER REFERENCES owner (id), born INTEGER) STRICT;"
    "PRAGMA user_version = 3;";

static const char *steps[5]; /* by number; a test may spoil one */

static struct str step(int number) {
    return str_from(steps[number]);
}

static struct migration_source now, then;
static struct arena arena;
static struct db *db;

static int set_up(void **state) {
    (void)state;
    scratch_make();
    arena_init(&arena);
    steps[2] = step_2;
    steps[3] = step_3;
    now = (struct migration_source){.schema = str_from(whole), .step = step};
    then = (struct migration_source){.schema = str_from(version_1), .step = step};
    assert_int_equal(db_open(scratch_path("t.db"), DB_WRITE, &db), E_OK);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    db_close(db);
    arena_release(&arena);
    scratch_remove();
    return 0;
}

static int64_t version(void) {
    return stmt_int(DB_SQL(db, "PRAGMA user_version"), -1);
}

/* Every table, column and index as one text; spaces apart, because a rebuilt table keeps its own.
 */
static struct str shape(struct db *of) {
    struct stmt *s = DB_SQL(
        of,
        "SELECT group_concat(line, char(10)) FROM (SELECT t.name || '.' || c.name || ' ' || c.type || "
        "c.\"notnull\" || c.pk || coalesce(c.dflt_value, '') AS line FROM sqlite_schema t, "
        "pragma_table_info(t.name) c WHERE t.type = 'table' UNION ALL SELECT t.name || ' index ' || "
        "i.\"unique\" || coalesce(x.name, '') FROM sqlite_schema t, pragma_index_list(t.name) i, "
        "pragma_index_info(i.name) x WHERE t.type = 'table' ORDER BY 1)");
    assert_true(stmt_row(s));
    struct str text = column_str_dup(s, 0, &arena);
    assert_int_equal(stmt_done(s), E_OK);
    return text;
}

static void both_ways_give_the_same_schema(void **state) {
    (void)state;
    struct db *fresh = NULL;
    assert_int_equal(migrate_from(db, &then), E_OK);
    assert_int_equal(version(), 1);
    assert_int_equal(stmt_run(DB_SQL(db, "INSERT INTO owner VALUES (7)")), E_OK);
    assert_int_equal(
        stmt_run(DB_SQL(db, "INSERT INTO pet (id, name, owner_id) VALUES (1, 'Ibid', 7)")), E_OK);
    assert_int_equal(migrate_from(db, &now), E_OK);
    assert_int_equal(version(), 3);
    assert_int_equal(db_open(scratch_path("fresh.db"), DB_WRITE, &fresh), E_OK);
    assert_int_equal(migrate_from(fresh, &now), E_OK);
    struct str climbed = shape(db), made = shape(fresh);
    assert_true(climbed.len > 50);
    assert_true(str_eq(climbed, made));
    assert_int_equal(stmt_int(DB_SQL(db, "SELECT owner_id FROM pet WHERE name = 'Ibid'"), -1),
                     7);                                                  /* the rows came along */
    assert_int_equal(stmt_int(DB_SQL(db, "PRAGMA foreign_keys"), -1), 1); /* on again */
    db_close(fresh);
}

static void what_is_current_is_left_alone(void **state) {
    (void)state;
    assert_int_equal(migrate_from(db, &now), E_OK);
    steps[2] = steps[3] = "this would not run";
    assert_int_equal(migrate_from(db, &now), E_OK);
    assert_int_equal(version(), 3);
}

static void a_newer_database_is_refused_untouched(void **state) {
    (void)state;
    assert_int_equal(migrate_from(db, &now), E_OK);
    struct str before = shape(db);
    assert_int_equal(migrate_from(db, &then), E_STORAGE);
    assert_int_equal(version(), 3);
    assert_true(str_eq(shape(db), before));
}

static void a_file_that_somebody_else_made_is_refused_untouched(void **state) {
    (void)state;
    assert_int_equal(stmt_run(DB_SQL(db, "CREATE TABLE song (title TEXT)")), E_OK);
    struct str before = shape(db);
    assert_int_equal(migrate_from(db, &now), E_STORAGE);
    assert_int_equal(version(), 0);
    assert_true(str_eq(shape(db), before));
}

static const struct {
    const char *step_3;
    const char *why;
} spoiled[] = {
    {"ALTER TABLE pet ADD COLUMN colour TEXT; SELEKT 1; PRAGMA user_version = 3;",
     "fails in the middle"},
    {"ALTER TABLE pet ADD COLUMN colour TEXT;", "forgets its number"},
    {"ALTER TABLE pet ADD COLUMN colour TEXT; PRAGMA user_version = 4;", "has another number"},
    {"DELETE FROM owner; PRAGMA user_version = 3;", "leaves rows that point nowhere"},
    {NULL, "is missing"},
};

static void a_step_that_fails_leaves_the_version_before_it(void **state) {
    (void)state;
    assert_int_equal(migrate_from(db, &then), E_OK);
    assert_int_equal(stmt_run(DB_SQL(db, "INSERT INTO owner VALUES (7)")), E_OK);
    assert_int_equal(
        stmt_run(DB_SQL(db, "INSERT INTO pet (id, name, owner_id) VALUES (1, 'Ibid', 7)")), E_OK);
    for (size_t i = 0; i < COUNT_OF(spoiled); i++) {
        steps[3] = spoiled[i].step_3;
        assert_int_equal(migrate_from(db, &now), E_STORAGE);
        assert_int_equal(version(), 2);
        assert_false(str_has(shape(db), STR("colour")));
        assert_int_equal(stmt_int(DB_SQL(db, "SELECT count(*) FROM owner"), -1), 1);
    }
    steps[3] = step_3;
    assert_int_equal(migrate_from(db, &now),
                     E_OK); /* and nothing stands in the way of the right one */
}

/* The real schema, as it is embedded. */
static void the_schema_of_the_house_builds_and_is_sound(void **state) {
    (void)state;
    assert_int_equal(migrate(db), E_OK);
    assert_int_equal(version(), migrate_latest());
    assert_true(str_has(shape(db), STR("message.content")) ||
                str_has(shape(db), STR("variant.content")));
    assert_int_equal(
        stmt_int(
            DB_SQL(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"),
            0),
        1);
    assert_int_equal(
        stmt_int(
            DB_SQL(
                db,
                "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE "
                "'sqlite_%' AND sql NOT LIKE '%STRICT%' AND sql NOT LIKE '%VIRTUAL%' AND name NOT "
                "IN (SELECT name FROM pragma_table_list WHERE type = 'shadow')"),
            -1),
        0);
    assert_int_equal(migrate_check(db), E_OK);
    assert_int_equal(stmt_run(DB_SQL(db, "PRAGMA user_version = 999")), E_OK);
    assert_int_equal(migrate_check(db), E_STORAGE);
    assert_int_equal(migrate(db), E_STORAGE);
}

/* Every step that this program carries: the released versions climb to the whole. */
static void the_steps_of_the_house_lead_to_its_schema(void **state) {
    (void)state;
    for (int number = 2; number <= migrate_latest(); number++) {
        char name[32];
        int len = snprintf(name, sizeof(name), "migrations/%03d.sql", number);
        assert_non_null(embedded_find((struct str){name, (size_t)len}));
    }
}

int main(void) {
#define IN_DB(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_DB(both_ways_give_the_same_schema),
        IN_DB(what_is_current_is_left_alone),
        IN_DB(a_newer_database_is_refused_untouched),
        IN_DB(a_file_that_somebody_else_made_is_refused_untouched),
        IN_DB(a_step_that_fails_leaves_the_version_before_it),
        IN_DB(the_schema_of_the_house_builds_and_is_sound),
        IN_DB(the_steps_of_the_house_lead_to_its_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
