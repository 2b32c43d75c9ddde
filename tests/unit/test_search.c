/* links: troupe_store */
#include "store/search.h"

#include "base/check.h"
#include "scratch.h"
#include "store/db.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct db *db;
static struct arena arena;

static int set_up(void **state) {
    (void)state;
    scratch_make();
    arena_init(&arena);
    assert_int_equal(db_open(scratch_path("t.db"), DB_WRITE, &db), E_OK);
    assert_int_equal(
        stmt_run(DB_SQL(db, "CREATE VIRTUAL TABLE words USING fts5 (text, "
                            "tokenize = \"unicode61 remove_diacritics 2\", prefix = '2 3')")),
        E_OK);
    assert_int_equal(
        stmt_run(
            DB_SQL(db, "CREATE VIRTUAL TABLE trigrams USING fts5 (text, tokenize = \"trigram\")")),
        E_OK);
    static const struct str texts[] = {{"Fenella Rusk, don't wake the caf\xc3\xa9", 35},
                                       {"Otar Lomidze", 12}};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct stmt *s = DB_SQL(db, "INSERT INTO words (rowid, text) VALUES (:id, :text)");
        bind_int(s, ":id", (int64_t)i + 1);
        bind_str(s, ":text", texts[i]);
        assert_int_equal(stmt_run(s), E_OK);
        s = DB_SQL(db, "INSERT INTO trigrams (rowid, text) VALUES (:id, :text)");
        bind_int(s, ":id", (int64_t)i + 1);
        bind_str(s, ":text", texts[i]);
        assert_int_equal(stmt_run(s), E_OK);
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    db_close(db);
    arena_release(&arena);
    scratch_remove();
    return 0;
}

static const struct {
    const char *typed;
    bool is_typing;
    const char *query;
    int64_t found; /* row, 0 for none */
    const char *why;
} rows[] = {
    {"fenella", false, "\"fenella\"", 1, "a word"},
    {"Rusk fenella", false, "\"Rusk\" \"fenella\"", 1, "all words, any order"},
    {"fenella otar", false, "\"fenella\" \"otar\"", 0, "all words in one row"},
    {"fenel", false, "\"fenel\"", 0, "not finished, not a prefix"},
    {"fenel", true, "\"fenel\"*", 1, "the last one is being typed"},
    {"rus fenella", true, "\"rus\" \"fenella\"*", 0, "only the last one"},
    {"cafe", false, "\"cafe\"", 1, "without its mark"},
    {"don't", false, "\"don't\"", 1, "an apostrophe"},
    {"  \t ", false, NULL, 0, "no word"},
    {"", true, NULL, 0, "nothing"},
    {"***", true, NULL, 0, "signs are no words"},
    {"otar AND rusk", false, "\"otar\" \"AND\" \"rusk\"", 0, "an operator is a word"},
    {"text:otar", false, "\"text\" \"otar\"", 0, "a column filter is two words"},
    {"otar\" OR \"fenella", false, "\"otar\" \"OR\" \"fenella\"", 0, "quotes do not get out"},
    {"NEAR(otar, 3)", false, "\"NEAR\" \"otar\" \"3\"", 0, "a function is words"},
    {"^otar", false, "\"otar\"", 2, "a caret"},
    {"otar*", false, "\"otar\"", 2, "a star"},
    {"-otar", false, "\"otar\"", 2, "a minus"},
};

static int64_t find_words(struct str query) {
    struct stmt *s = DB_SQL(db, "SELECT rowid FROM words WHERE words MATCH :query");
    bind_str(s, ":query", query);
    int64_t row = stmt_row(s) ? column_int(s, 0) : 0;
    assert_int_equal(stmt_done(s), E_OK); /* never a syntax error */
    return row;
}

static void what_people_type_becomes_a_query_that_cannot_fail(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct str query = search_query(&arena, str_from(rows[i].typed), rows[i].is_typing);
        assert_int_equal(query.at == NULL, rows[i].query == NULL);
        if (query.at == NULL)
            continue;
        assert_string_equal(query.at, rows[i].query);
        assert_int_equal(find_words(query), rows[i].found);
    }
}

static void any_bytes_are_safe(void **state) {
    (void)state;
    static const char signs[] = "\"'*^:(){}+-~ ANDORNEAR\\\n\t\x80\xff\xc3\xa9xyz";
    unsigned random = 7;
    for (int round = 0; round < 2000; round++) {
        char typed[40];
        size_t len = (random = random * 1103515245 + 12345) >> 16 & 31;
        for (size_t i = 0; i < len; i++)
            typed[i] = signs[((random = random * 1103515245 + 12345) >> 16) % (sizeof(signs) - 1)];
        struct str query = search_query(&arena, (struct str){typed, len}, round % 2);
        if (query.at != NULL)
            (void)find_words(query);
    }
}

static void words_are_bounded(void **state) {
    (void)state;
    char typed[4000];
    for (size_t i = 0; i < sizeof(typed); i++)
        typed[i] = i % 4 == 3 ? ' ' : 'a';
    struct str query = search_query(&arena, (struct str){typed, sizeof(typed)}, false);
    int quotes = 0;
    for (size_t i = 0; i < query.len; i++)
        quotes += query.at[i] == '"';
    assert_int_equal(quotes, 2 * SEARCH_WORDS_LIMIT);
    memset(typed, 'b', sizeof(typed));
    query = search_query(&arena, (struct str){typed, sizeof(typed)}, false);
    assert_true(query.len <= 66);
}

static int64_t find_trigrams(struct str query) {
    struct stmt *s =
        DB_SQL(db, "SELECT rowid FROM trigrams WHERE trigrams MATCH :query ORDER BY rank");
    bind_str(s, ":query", query);
    int64_t row = stmt_row(s) ? column_int(s, 0) : 0;
    assert_int_equal(stmt_done(s), E_OK);
    return row;
}

static void words_that_are_typed_wrong_are_found(void **state) {
    (void)state;
    static const struct {
        const char *typed;
        int64_t found;
        const char *why;
    } typos[] = {
        {"fenela", 1, "a letter missing"},
        {"lomitze", 2, "a letter wrong"},
        {"FENNELLA", 1, "one too many, in capitals"},
        {"zzzz", 0, "nothing like it"},
        {"otar lomidse", 2, "one of two right"},
    };
    for (size_t i = 0; i < COUNT_OF(typos); i++)
        assert_int_equal(find_trigrams(search_fuzzy_query(&arena, str_from(typos[i].typed))),
                         typos[i].found);
    assert_null(search_fuzzy_query(&arena, STR("ab c")).at); /* too short for trigrams */
    assert_string_equal(search_fuzzy_query(&arena, STR("Abcd")).at, "\"abc\" OR \"bcd\"");
}

int main(void) {
#define IN_DB(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_DB(what_people_type_becomes_a_query_that_cannot_fail),
        IN_DB(any_bytes_are_safe),
        IN_DB(words_are_bounded),
        IN_DB(words_that_are_typed_wrong_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
