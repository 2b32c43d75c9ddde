/* links: troupe_lore */
#include "lore/activate.h"

#include "base/check.h"
#include "base/clock.h"
#include "lore/decorator.h"
#include "lore/match.h"
#include "each_arena.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct lore_book book_of(const char *json) {
    const struct json_value *value;
    struct lore_book book;
    struct json_error error = {0};
    if (json_parse(&arena, str_from(json), &value, &error) != E_OK)
        fail_msg("a test's own JSON: %s at %zu", error.reason, error.offset_bytes);
    assert_int_equal(lore_book_read(&arena, value, &book), E_OK);
    for (size_t i = 0; i < book.entry_count; i++)
        book.entries[i].id = (int64_t)i + 1;
    return book;
}

/* What fired, in prompt order, as the entries' numbers; dropped ones behind a '|'. */
static const char *fired(const struct lore_book *book, int64_t budget, size_t message_count,
                         const char *const *messages) {
    static char out[256];
    struct str texts[8];
    for (size_t i = 0; i < message_count; i++)
        texts[i] = str_from(messages[i]);
    struct lore_scan scan = {
        .messages = texts, .message_count = message_count, .budget_tokens = budget};
    struct lore_hit *hits;
    size_t count, len = 0;
    lore_activate_books(&arena, book, 1, &scan, &hits, &count);
    bool has_bar = false;
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (hits[i].is_dropped && !has_bar)
            out[len++] = '|';
        has_bar |= hits[i].is_dropped;
        len += (size_t)snprintf(out + len, sizeof(out) - len, "%d", (int)hits[i].entry_id);
    }
    out[len] = '\0';
    return out;
}

static void is_fired(const char *json, const char *message, const char *expected, const char *why) {
    struct lore_book book = book_of(json);
    const char *got = fired(&book, 10000, 1, &message);
    if (!str_eq(str_from(got), str_from(expected)))
        fail_msg("%s: expected \"%s\", got \"%s\"", why, expected, got);
}

#define E(members)    "{\"content\":\"text\",\"extensions\":{},\"enabled\":true," members "}"
#define BOOK(entries) "{\"extensions\":{},\"entries\":[" entries "]}"

static const struct {
    const char *book, *message, *fired, *why;
} rows[] = {
    {BOOK(E("\"keys\":[\"dragon\"]")), "A Dragon!", "1", "letter case does not matter"},
    {BOOK(E("\"keys\":[\"dragon\"]")), "dragonfly", "", "whole words"},
    {BOOK(E("\"keys\":[\"dragon\"]")), "a snap_dragon_x", "", "an underscore ties"},
    {BOOK(E("\"keys\":[\"dragon\"]")), "dragonfly, dragon.", "1", "a later place counts"},
    {BOOK(E("\"keys\":[\"red dragon\"]")), "two red dragons", "1", "keys with blanks: substrings"},
    {BOOK(E("\"keys\":[\"c++\"]")), "I write C++.", "1", "keys that end in punctuation"},
    {BOOK("{\"content\":\"t\",\"enabled\":true,\"keys\":[\"cat\"],"
          "\"extensions\":{\"match_whole_words\":false}}"),
     "concatenate", "1", "whole words switched off"},
    {BOOK(E("\"keys\":[\"\xD0\x94\xD1\x80\xD0\xB0\xD0\xBA\xD0\xBE\xD0\xBD\"]")),
     "\xD0\xB4\xD1\x80\xD0\xB0\xD0\xBA\xD0\xBE\xD0\xBD!", "1", "Cyrillic folds"},
    {BOOK(E("\"keys\":[\"\xE9\xBE\x99\"]")), "\xE5\xA4\xA7\xE9\xBE\x99\xE6\x9D\xA5", "1",
     "Chinese has no borders"},
    {BOOK(E("\"keys\":[\"\xEC\x9A\xA9\"]")), "\xEC\x9A\xA9\xEC\x9D\xB4", "1",
     "Korean particles cling"},
    {BOOK(E("\"keys\":[\"AI\"]")), "the ai said", "1", "two letters"},
    {BOOK(E("\"keys\":[\"AI\"],\"case_sensitive\":true")), "the ai said", "", "case matters here"},
    {BOOK(E("\"keys\":[\"AI\"],\"case_sensitive\":true")), "the AI said", "1", "and fits here"},
    {BOOK("{\"content\":\"t\",\"keys\":[\"x\"],\"enabled\":false}"), "x", "", "switched off"},
    {BOOK(E("\"keys\":[]")), "anything", "", "no keys"},
    {BOOK(E("\"keys\":[\"\"]")), "anything", "", "an empty key is no key"},
    {BOOK(E("\"keys\":[],\"constant\":true")), "anything", "1", "constant"},
    {BOOK(E("\"keys\":[\"/drag.n/i\"]")), "dragon /drag.n/i", "", "patterns never fire"},
    {BOOK(E("\"keys\":[\"dragon\"],\"use_regex\":true")), "dragon", "1",
     "use_regex without slashes is text, as SillyTavern writes it"},
    {BOOK(E("\"keys\":[\"a\"],\"selective\":true,\"secondary_keys\":[\"b\"]")), "a", "",
     "the secondary key is missing"},
    {BOOK(E("\"keys\":[\"a\"],\"selective\":true,\"secondary_keys\":[\"b\"]")), "b a", "1",
     "both are there"},
    {BOOK(E("\"keys\":[\"a\"],\"selective\":false,\"secondary_keys\":[\"b\"]")), "a", "1",
     "not selective: secondary keys are ignored"},
    {BOOK(E("\"keys\":[\"a\"],\"selective\":true,\"secondary_keys\":[]")), "a", "1",
     "selective without secondary keys"},
    {BOOK(E("\"keys\":[\"a\"],\"insertion_order\":2") "," E(
         "\"keys\":[\"a\"],\"insertion_order\":1")),
     "a", "21", "lower order stands earlier"},
    {BOOK(E("\"keys\":[\"a\"]")), "{{// a }} {{comment: a}}", "", "notes are not read"},
    {BOOK(E("\"keys\":[\"a\"]")), "{{hidden_key:a}}", "1", "hidden keys are"},
    {BOOK("{\"keys\":[\"a\"],\"content\":\"  \",\"enabled\":true}"), "a", "", "no content"},
    {"{\"entries\":{\"0\":{\"keys\":\"a, b\",\"content\":\"t\",\"enabled\":true}}}", "b", "1",
     "entries as an object, keys as one text"},
};

static void fires(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        is_fired(rows[i].book, rows[i].message, rows[i].fired, rows[i].why);
}

static void secondary_logic(void **state) {
    (void)state;
    static const struct {
        int logic;
        const char *message, *fired;
    } cases[] = {
        {0, "k", ""},  {0, "k a", "1"}, {0, "k a b", "1"}, /* any */
        {1, "k", "1"}, {1, "k a", "1"}, {1, "k a b", ""},  /* not all */
        {2, "k", "1"}, {2, "k a", ""},  {2, "k a b", ""},  /* not any */
        {3, "k", ""},  {3, "k a", ""},  {3, "k a b", "1"}, /* all */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct str json = str_printf(
            &arena,
            BOOK("{\"keys\":[\"k\"],\"content\":\"t\",\"enabled\":true,\"selective\":true,"
                 "\"secondary_keys\":[\"a\",\"b\"],\"extensions\":{\"selectiveLogic\":%d}}"),
            cases[i].logic);
        is_fired(json.at, cases[i].message, cases[i].fired, "selectiveLogic");
    }
}

static void looks_as_deep_as_told(void **state) {
    (void)state;
    const char *const messages[] = {"new", "older", "oldest"};
    static const struct {
        const char *depth, *fired;
    } cases[] = {{"", "12"},
                 {"\"scan_depth\":0,", ""},
                 {"\"scan_depth\":1,", "1"},
                 {"\"scan_depth\":3,", "123"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct str json = str_printf(&arena, "{%s\"entries\":[%s,%s,%s]}", cases[i].depth,
                                     E("\"keys\":[\"new\"]"), E("\"keys\":[\"older\"]"),
                                     E("\"keys\":[\"oldest\"]"));
        struct lore_book book = book_of(json.at);
        assert_string_equal(fired(&book, 1000, 3, messages), cases[i].fired);
    }
    struct lore_book own = book_of(
        BOOK("{\"keys\":[\"oldest\"],\"content\":\"@@scan_depth 3\\ntext\",\"enabled\":true}"));
    assert_string_equal(fired(&own, 1000, 3, messages), "1"); /* an entry's own depth */
}

/* More depths than texts are kept for: who asks for a shallow one never hears what is deeper. */
static void many_depths_hear_no_deeper_than_told(void **state) {
    (void)state;
    const char *const messages[] = {"new", "older", "oldest", "the very first"};
    struct buf json;
    buf_init(&json, 1 << 16);
    buf_add_str(&json, STR("{\"entries\":["));
    for (int i = 0; i < 20; i++)
        buf_printf(&json,
                   "{\"keys\":[\"very\"],\"content\":\"@@scan_depth %d\\ntext\",\"enabled\":true},",
                   30 - i);
    buf_add_str(&json, STR(E("\"keys\":[\"very\"]") ","));
    buf_add_str(
        &json, STR("{\"keys\":[\"new\"],\"content\":\"@@scan_depth 0\\ntext\",\"enabled\":true},"));
    buf_add_str(
        &json,
        STR("{\"keys\":[\"older\"],\"content\":\"@@scan_depth 1\\ntext\",\"enabled\":true}]}"));
    struct lore_book book = book_of(str_dup_z(&arena, buf_str(&json)));
    assert_string_equal(fired(&book, 1000, 4, messages), "123456");
    buf_release(&json);
}

#define CHAIN(flags)                                                                     \
    "\"entries\":[{\"keys\":[\"one\"],\"content\":\"speaks of two\",\"enabled\":true},"  \
    "{\"keys\":[\"two\"],\"content\":\"speaks of three and one\",\"enabled\":true" flags \
    "},{\"keys\":[\"three\"],\"content\":\"the end\",\"enabled\":true}]}"

static void recursion(void **state) {
    (void)state;
    is_fired("{\"recursive_scanning\":true," CHAIN(""), "one", "123", "a chain of three");
    is_fired("{\"recursive_scanning\":false," CHAIN(""), "one", "1", "not allowed");
    is_fired("{" CHAIN(""), "one", "1", "not said: not allowed");
    is_fired("{\"recursive_scanning\":true," CHAIN(",\"extensions\":{\"exclude_recursion\":true}"),
             "one", "1", "an entry that others cannot fire");
    is_fired("{\"recursive_scanning\":true," CHAIN(",\"extensions\":{\"prevent_recursion\":true}"),
             "one", "12", "an entry that fires no others");
    is_fired(
        "{\"recursive_scanning\":true," CHAIN(",\"extensions\":{\"delay_until_recursion\":true}"),
        "two", "", "an entry that only others fire");

    struct lore_book book = book_of("{\"recursive_scanning\":true," CHAIN(""));
    struct str message = STR("one");
    struct lore_scan scan = {.messages = &message, .message_count = 1, .budget_tokens = 1000};
    struct lore_hit *hits;
    size_t count;
    lore_activate_books(&arena, &book, 1, &scan, &hits, &count);
    assert_int_equal(count, 3);
    assert_string_equal(hits[0].reason, "key");
    assert_string_equal(hits[1].reason, "recursion");
    assert_true(str_eq(hits[1].key, STR("two")));
}

static void decorators(void **state) {
    (void)state;
#define D(lines) BOOK("{\"keys\":[\"a\"],\"content\":\"" lines "text\",\"enabled\":true}")
    is_fired(D("@@activate\\n"), "nothing", "1", "always");
    is_fired(D("@@dont_activate\\n"), "a", "", "never");
    is_fired(D("@@dont_activate\\n@@activate\\n"), "x", "1", "always beats never");
    is_fired(D("@@additional_keys b,c\\n"), "a", "", "one more key is due");
    is_fired(D("@@additional_keys b,c\\n"), "a c", "1", "and is there");
    is_fired(D("@@additional_keys b\\n@@additional_keys c\\n"), "a c", "", "each list is due");
    is_fired(D("@@exclude_keys b\\n"), "a b", "", "excluded");
    is_fired(D("@@exclude_keys b\\n"), "a", "1", "not excluded");
    is_fired(D("@@unheard_of 7\\n@@@dont_activate\\n"), "a", "", "the fallback counts");
    is_fired(D("@@scan_depth x\\n@@@what\\n@@@dont_activate\\n"), "a", "", "down the chain");
    is_fired(D("@@scan_depth 2\\n@@@dont_activate\\n"), "a", "1", "the first was understood");
#undef D
}

static void decorators_are_taken_off(void **state) {
    (void)state;
    static const struct {
        const char *content, *rest, *why;
    } cases[] = {
        {"plain", "plain", "nothing to take"},
        {"\n\nplain", "\n\nplain", "blank lines alone are text"},
        {"@@depth 4\n@@role user\n\nText\n@@not one", "Text\n@@not one", "a block at the start"},
        {"\r\n@@depth 4\r\nText", "Text", "CRLF, and a blank line before"},
        {"@@activate", "", "nothing behind it"},
        {"@ @depth\nx", "@ @depth\nx", "no decorator"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct str rest = decorators_skip(str_from(cases[i].content));
        if (!str_eq(rest, str_from(cases[i].rest)))
            fail_msg("%s: got \"%.*s\"", cases[i].why, STR_ARG(rest));
    }
}

#define SIZED(order, more) E("\"keys\":[\"a\"],\"insertion_order\":" #order more)

static void budgets(void **state) {
    (void)state;
    const char *message = "a";
    struct lore_book plain = book_of(BOOK(SIZED(1, "") "," SIZED(2, "") "," SIZED(3, "")));
    int64_t each;
    {
        struct str text = STR("a");
        struct lore_scan scan = {.messages = &text, .message_count = 1, .budget_tokens = 1000};
        struct lore_hit *hits;
        size_t count;
        lore_activate_books(&arena, &plain, 1, &scan, &hits, &count);
        assert_int_equal(count, 3);
        each = hits[0].tokens;
        assert_true(each > 0);
    }
    assert_string_equal(fired(&plain, each * 3, 1, &message), "123");      /* exactly fits */
    assert_string_equal(fired(&plain, each * 3 - 1, 1, &message), "23|1"); /* lowest order goes */
    assert_string_equal(fired(&plain, 0, 1, &message), "|123");

    struct lore_book by_priority = book_of(BOOK(SIZED(1, ",\"priority\":10") "," SIZED(
        2, ",\"priority\":5") "," SIZED(3, ",\"priority\":7")));
    assert_string_equal(fired(&by_priority, each * 2, 1, &message), "13|2");

    by_priority.token_budget = each;
    assert_string_equal(fired(&by_priority, each * 3, 1, &message), "1|23"); /* the book's own */

    struct lore_book yields =
        book_of(BOOK("{\"keys\":[\"a\"],\"priority\":99,\"enabled\":true,"
                     "\"content\":\"@@ignore_on_max_context\\ntext\"}," SIZED(9, "")));
    assert_string_equal(fired(&yields, each, 1, &message), "2|1");
}

static void says_why_not(void **state) {
    (void)state;
    struct lore_book book = book_of(BOOK(E("\"keys\":[\"a\"]") "," E("\"keys\":[\"zzz\"]") "," E(
        "\"keys\":[]") "," E("\"keys\":[\"/a/\"]") "," E("\"keys\":[\"a\"],\"selective\":true,"
                                                         "\"secondary_keys\":[\"b\"]")));
    struct str message = STR("a");
    struct lore_scan scan = {.messages = &message, .message_count = 1, .budget_tokens = 1000};
    struct lore_verdict *verdicts = lore_verdicts(&arena, &book, &scan);
    assert_null(verdicts[0].silence);
    assert_string_equal(verdicts[0].hit->reason, "key");
    assert_int_equal(verdicts[0].hit->entry_id, 1);
    assert_string_equal(verdicts[1].silence, "none of its keys is there");
    assert_string_equal(verdicts[2].silence, "it has no keys");
    assert_string_equal(verdicts[3].silence, "its keys are patterns, which do not fire yet");
    assert_string_equal(verdicts[4].silence, "its secondary keys do not allow it");
    for (size_t i = 1; i < 5; i++)
        assert_null(verdicts[i].hit);
}

/* --- books that somebody made to hold the house up ---------------------------------------------- */

static struct lore_book large_book(size_t entries, size_t keys, const char *key) {
    struct lore_book book = lore_book_empty();
    struct buf json;
    buf_init(&json, 16 << 20);
    buf_add_char(&json, '[');
    for (size_t i = 0; i < keys; i++)
        buf_printf(&json, "%s\"%s\"", i ? "," : "", key);
    buf_add_char(&json, ']');
    struct str text = str_dup(&arena, buf_str(&json));
    book.entries = ARENA_ARRAY(&arena, struct lore_entry, entries + 2);
    for (book.entry_count = 0; book.entry_count < entries; book.entry_count++) {
        book.entries[book.entry_count] = lore_entry_empty();
        book.entries[book.entry_count].keys = text;
        book.entries[book.entry_count].content = STR("text");
    }
    for (int i = 0; i < 2; i++, book.entry_count++) {
        book.entries[book.entry_count] = lore_entry_empty();
        book.entries[book.entry_count].content = STR("text");
        book.entries[book.entry_count].keys = STR("[\"bab\"]");
    }
    book.entries[entries + 1].constant = true;
    buf_release(&json);
    return book;
}

static void more_keys_than_anybody_writes_are_not_read(void **state) {
    (void)state;
    struct lore_book book = large_book(LORE_ENTRIES_LIMIT - 2, LORE_KEYS_LIMIT, "a");
    struct str message = STR("bab");
    struct lore_scan scan = {.messages = &message, .message_count = 1, .budget_tokens = 1000};
    struct lore_verdict *verdicts = lore_verdicts(&arena, &book, &scan);
    assert_string_equal(verdicts[0].silence, "none of its keys is there");
    assert_string_equal(verdicts[book.entry_count - 2].silence,
                        "its book has more keys than are looked for");
    assert_string_equal(verdicts[book.entry_count - 1].hit->reason, "constant");
}

/* Every key asks for its whole length of the text: its pieces are all there, it is not. */
static void a_search_has_an_end(void **state) {
    (void)state;
    static char text[HAYSTACK_LIMIT_BYTES];
    uint32_t random = 7;
    for (size_t i = 0; i < sizeof text - 2; i++) {
        random = random * 1664525u + 1013904223u;
        text[i] = random >> 31 ? 'a' : 'b';
    }
    struct lore_book book = large_book(2000, 20, "ababababababababababababababababababababab");
    struct str message = str_from(text);
    struct lore_scan scan = {.messages = &message, .message_count = 1, .budget_tokens = 1000};
    int64_t began_us = clock_mono_us();
    struct lore_verdict *verdicts = lore_verdicts(&arena, &book, &scan);
    print_message("searched for %lld ms\n", (long long)(clock_mono_us() - began_us) / 1000);
    assert_string_equal(verdicts[0].silence, "none of its keys is there");
    assert_string_equal(verdicts[book.entry_count - 2].silence,
                        "its books are too much for one search");
    assert_string_equal(verdicts[book.entry_count - 1].hit->reason, "constant");
}

static void keys_of_many_bytes_fire(void **state) {
    (void)state;
    struct buf json;
    buf_init(&json, 1 << 16);
    for (int i = 0; i < 400; i++)
        buf_add_str(&json, STR("\xE9\xBE\x99")); /* a thousand bytes and more, a key still */
    struct str key = str_dup(&arena, buf_str(&json));
    struct str book = str_printf(&arena, BOOK(E("\"keys\":[\"%s\"]")), str_dup_z(&arena, key));
    is_fired(book.at, str_dup_z(&arena, key), "1", "a key of 400 characters");
    buf_release(&json);
}

/* The numbers of a large book: 500 entries of three keys, two messages of 2 KB. */
static void is_quick(void **state) {
    (void)state;
    struct buf json, text;
    buf_init(&json, 1 << 20);
    buf_init(&text, 1 << 16);
    buf_add_str(&json, STR("{\"recursive_scanning\":true,\"entries\":["));
    for (int i = 0; i < 500; i++)
        buf_printf(&json,
                   "%s{\"keys\":[\"place%d\",\"person%d\",\"the thing %d\"],\"enabled\":true,"
                   "\"content\":\"Entry %d tells of a place, of a person and of a thing.\"}",
                   i ? "," : "", i, i, i, i);
    buf_add_str(&json, STR("]}"));
    while (text.len < 4000)
        buf_add_str(&text, STR("She walked on to place7 and thought of person400, as one does. "));
    struct lore_book book = book_of(str_dup_z(&arena, buf_str(&json)));
    struct str message = buf_str(&text);
    struct lore_scan scan = {.messages = &message, .message_count = 1, .budget_tokens = 1000};
    int64_t best_us = INT64_MAX;
    for (int i = 0; i < 20; i++) {
        int64_t began = clock_mono_us();
        lore_verdicts(&arena, &book, &scan);
        int64_t took = clock_mono_us() - began;
        best_us = took < best_us ? took : best_us;
    }
    print_message("prepared and scanned in %lld us\n", (long long)best_us);
    assert_true(best_us < 200000); /* with sanitizers on a busy machine; a release takes 1/50 */
    buf_release(&json);
    buf_release(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(many_depths_hear_no_deeper_than_told),
        ARENA_TEST(more_keys_than_anybody_writes_are_not_read),
        ARENA_TEST(a_search_has_an_end),
        ARENA_TEST(keys_of_many_bytes_fire),
        ARENA_TEST(fires),
        ARENA_TEST(secondary_logic),
        ARENA_TEST(looks_as_deep_as_told),
        ARENA_TEST(recursion),
        ARENA_TEST(decorators),
        ARENA_TEST(decorators_are_taken_off),
        ARENA_TEST(budgets),
        ARENA_TEST(says_why_not),
        ARENA_TEST(is_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
