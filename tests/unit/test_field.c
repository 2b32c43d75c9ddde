/* links: troupe_net troupe_embedded */
#include "base/id.h"
#include "net/field.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct inner {
    struct str name;
    int64_t order;
};

struct outer {
    struct str title;
    int64_t count;
    double heat;
    bool is_on;
    int64_t owner_id;
    struct str mode;
    int64_t at_ms;
    struct field_texts tags;
    struct field_ids member_ids;
    const struct inner *book;
    struct field_objects entries;
    const struct json_value *extensions;
};

static const char *const MODES[] = {"solo", "group", NULL};
static const struct field INNER[] = {
    {"name", FIELD_TEXT, AT(struct inner, name), .is_required = true, .min = 1, .max = 10},
    {"order", FIELD_INT, AT(struct inner, order), .fallback = "100"},
    {0}};
static const struct field OUTER[] = {
    {"title", FIELD_TEXT, AT(struct outer, title), .is_required = true, .min = 2, .max = 5},
    {"count", FIELD_INT, AT(struct outer, count), .min = 1, .max = 100, .fallback = "20"},
    {"heat", FIELD_NUMBER, AT(struct outer, heat), .min = -1, .max = 2},
    {"is_on", FIELD_BOOL, AT(struct outer, is_on), .fallback = "true"},
    {"owner_id", FIELD_ID, AT(struct outer, owner_id), .may_be_null = true},
    {"mode", FIELD_CHOICE, AT(struct outer, mode), .choices = MODES, .fallback = "solo"},
    {"at", FIELD_TIME, AT(struct outer, at_ms)},
    {"tags", FIELD_TEXTS, AT(struct outer, tags), .max = 3, .item_max = 4},
    {"member_ids", FIELD_IDS, AT(struct outer, member_ids), .max = 2},
    {"book", FIELD_OBJECT, AT(struct outer, book), .rows = INNER, .size = sizeof(struct inner)},
    {"entries", FIELD_OBJECTS, AT(struct outer, entries), .rows = INNER,
     .size = sizeof(struct inner), .max = 2},
    {"extensions", FIELD_JSON, AT(struct outer, extensions), .max = 40},
    {0}};

static struct arena arena;
static struct field_problems problems;

static int setup(void **state) {
    (void)state;
    arena_init(&arena);
    problems = (struct field_problems){.count = 0};
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_release(&arena);
    return 0;
}

static enum err read_text(const char *text, struct outer *out, uint64_t *has) {
    const struct json_value *value;
    memset(out, 0, sizeof(*out));
    assert_int_equal(json_parse(&arena, str_from(text), &value, NULL), E_OK);
    problems.count = 0;
    return field_read(&arena, OUTER, value, out, has, &problems);
}

static void a_whole_object_fills_the_struct(void **state) {
    (void)state;
    struct outer out;
    uint64_t has;
    assert_int_equal(
        read_text(
            "{\"title\":\"Stage\",\"count\":7,\"heat\":0.5,\"is_on\":false,"
            "\"owner_id\":\"0000000000001\",\"mode\":\"group\",\"at\":\"2026-11-21T03:52:00Z\","
            "\"tags\":[\"a\",\"b\"],\"member_ids\":[\"0000000000002\",\"0000000000003\"],"
            "\"book\":{\"name\":\"lore\"},\"entries\":[{\"name\":\"x\",\"order\":3},{\"name\":\"y\"}],"
            "\"extensions\":{\"a\":[1,null]}}",
            &out, &has),
        E_OK);
    assert_true(str_eq(out.title, STR("Stage")));
    assert_int_equal(out.count, 7);
    assert_true(out.heat == 0.5);
    assert_false(out.is_on);
    assert_int_equal(out.owner_id, 1);
    assert_true(str_eq(out.mode, STR("group")));
    assert_int_equal(out.at_ms, 1795233120000);
    assert_int_equal(out.tags.count, 2);
    assert_true(str_eq(out.tags.items[1], STR("b")));
    assert_int_equal(out.member_ids.items[1], 3);
    assert_true(str_eq(out.book->name, STR("lore")));
    assert_int_equal(out.book->order, 100);
    const struct inner *entries = out.entries.items;
    assert_int_equal(out.entries.count, 2);
    assert_int_equal(entries[0].order, 3);
    assert_int_equal(entries[1].order, 100);
    assert_int_equal(json_count(json_member(out.extensions, "a")), 2);
    assert_int_equal(has, 0xfff);
}

static void the_first_moment_of_1970_is_not_no_moment(void **state) {
    (void)state;
    struct outer out;
    uint64_t has;
    assert_int_equal(read_text("{\"title\":\"abc\",\"at\":\"1970-01-01T00:00:00Z\"}", &out, &has),
                     E_OK);
    assert_int_equal(out.at_ms, 1);
    assert_int_equal(
        read_text("{\"title\":\"abc\",\"at\":\"1969-12-31T23:59:59.999Z\"}", &out, &has), E_OK);
    assert_int_equal(out.at_ms, -1);
}

static void absent_members_get_their_fallback(void **state) {
    (void)state;
    struct outer out;
    uint64_t has;
    assert_int_equal(read_text("{\"title\":\"abc\"}", &out, &has), E_OK);
    assert_int_equal(has, 1);
    assert_int_equal(out.count, 20);
    assert_true(out.is_on);
    assert_true(str_eq(out.mode, STR("solo")));
    assert_null(out.book);
    assert_null(out.extensions);
    assert_int_equal(out.tags.count, 0);
}

static void null_is_absent_but_said_where_it_may_be(void **state) {
    (void)state;
    struct outer out;
    uint64_t has;
    assert_int_equal(read_text("{\"title\":\"abc\",\"owner_id\":null}", &out, &has), E_OK);
    assert_int_equal(has, 1 | 1 << 4);
    assert_int_equal(out.owner_id, 0);
}

static const struct row {
    const char *json;
    const char *field, *message;
} ROWS[] = {
    {"{}", "title", "is required"},
    {"{\"title\":null}", "title", "must be a text"},
    {"{\"title\":5}", "title", "must be a text"},
    {"{\"title\":\"\"}", "title", "must not be empty"},
    {"{\"title\":\"a\"}", "title", "must have at least 2 characters"},
    {"{\"title\":\"abcdef\"}", "title", "must have at most 5 characters"},
    {"{\"title\":\"\\u00e4\\u00e4\\u00e4\\u00e4\\u00e4\\u00e4\"}", "title",
     "must have at most 5 characters"},
    {"{\"title\":\"a\\u0000b\"}", "title", "must not hold control characters"},
    {"{\"title\":\"a\\u001bb\"}", "title", "must not hold control characters"},
    {"{\"title\":\"abc\",\"count\":0}", "count", "must be at least 1"},
    {"{\"title\":\"abc\",\"count\":101}", "count", "must be at most 100"},
    {"{\"title\":\"abc\",\"count\":1.5}", "count", "must be a whole number"},
    {"{\"title\":\"abc\",\"count\":1e300}", "count", "must be a whole number"},
    {"{\"title\":\"abc\",\"count\":\"1\"}", "count", "must be a whole number"},
    {"{\"title\":\"abc\",\"heat\":-1.5}", "heat", "must be at least -1"},
    {"{\"title\":\"abc\",\"heat\":2.5}", "heat", "must be at most 2"},
    {"{\"title\":\"abc\",\"heat\":true}", "heat", "must be a number"},
    {"{\"title\":\"abc\",\"is_on\":1}", "is_on", "must be true or false"},
    {"{\"title\":\"abc\",\"owner_id\":\"short\"}", "owner_id", "must be an id of 13 letters"},
    {"{\"title\":\"abc\",\"owner_id\":12}", "owner_id", "must be a text"},
    {"{\"title\":\"abc\",\"mode\":\"duo\"}", "mode", "must be one of: solo, group"},
    {"{\"title\":\"abc\",\"at\":\"yesterday\"}", "at", "must be a time like 2026-11-21T03:52:00Z"},
    {"{\"title\":\"abc\",\"tags\":\"a\"}", "tags", "must be a list"},
    {"{\"title\":\"abc\",\"tags\":[1]}", "tags.0", "must be a text"},
    {"{\"title\":\"abc\",\"tags\":[\"a\",\"abcde\"]}", "tags.1", "must have at most 4 characters"},
    {"{\"title\":\"abc\",\"tags\":[\"a\",\"a\",\"a\",\"a\"]}", "tags", "must have at most 3 items"},
    {"{\"title\":\"abc\",\"member_ids\":[\"x\"]}", "member_ids.0", "must be an id of 13 letters"},
    {"{\"title\":\"abc\",\"book\":[]}", "book", "must be an object"},
    {"{\"title\":\"abc\",\"book\":{}}", "book.name", "is required"},
    {"{\"title\":\"abc\",\"book\":{\"name\":\"\"}}", "book.name", "must not be empty"},
    {"{\"title\":\"abc\",\"entries\":[{\"name\":\"x\"},{\"name\":7}]}", "entries.1.name",
     "must be a text"},
    {"{\"title\":\"abc\",\"entries\":[{\"name\":\"x\",\"ordr\":7}]}", "entries.0.ordr",
     "is not a field here; did you mean order?"},
    {"{\"title\":\"abc\",\"entries\":[5]}", "entries.0", "must be an object"},
    {"{\"title\":\"abc\",\"extensions\":{\"a\":\"012345678901234567890123456789012345678901\"}}",
     "extensions", "must have at most 40 bytes"},
    {"{\"title\":\"abc\",\"titel\":\"x\"}", "titel", "is not a field here; did you mean title?"},
    {"{\"title\":\"abc\",\"zzz\":\"x\"}", "zzz", "is not a field here"},
    {"[]", "", "The body must be a JSON object."},
    {"5", "", "The body must be a JSON object."},
};

static void every_mistake_is_named(void **state) {
    (void)state;
    struct outer out;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        if (read_text(ROWS[i].json, &out, NULL) != E_INPUT || problems.count != 1 ||
            strcmp(problems.items[0].field, ROWS[i].field) != 0 ||
            strcmp(problems.items[0].message, ROWS[i].message) != 0)
            fail_msg("%s: %zu problems, first %s: %s", ROWS[i].json, problems.count,
                     problems.count > 0 ? problems.items[0].field : "",
                     problems.count > 0 ? problems.items[0].message : "");
    }
}

static void all_mistakes_are_named_at_once_but_not_without_end(void **state) {
    (void)state;
    struct outer out;
    assert_int_equal(read_text("{\"count\":0,\"heat\":9,\"book\":{\"order\":\"x\"}}", &out, NULL),
                     E_INPUT);
    assert_int_equal(problems.count, 5);
    struct buf many;
    buf_init(&many, 1 << 20);
    buf_add_str(&many, STR("{\"title\":\"abc\""));
    for (int i = 0; i < 1000; i++)
        buf_printf(&many, ",\"unknown_%d\":1", i);
    buf_add_str(&many, STR("}"));
    buf_add_char(&many, '\0');
    assert_int_equal(read_text(many.at, &out, NULL), E_INPUT);
    assert_int_equal(problems.count, 16);
    buf_release(&many);
}

/* --- queries ---------------------------------------------------------------------------------- */

struct query {
    struct str q;
    int64_t limit;
    bool wait;
    struct field_texts tags;
    int64_t before;
};

static const struct field QUERY[] = {
    {"q", FIELD_TEXT, AT(struct query, q), .max = 10},
    {"limit", FIELD_INT, AT(struct query, limit), .min = 1, .max = 100, .fallback = "20"},
    {"wait", FIELD_BOOL, AT(struct query, wait), .fallback = "true"},
    {"tag", FIELD_TEXTS, AT(struct query, tags), .max = 2, .item_max = 5},
    {"before", FIELD_ID, AT(struct query, before)},
    {0}};

static const struct {
    struct str query;
    const char *field; /* NULL: fine */
    const char *q;
    int64_t limit;
    size_t tags;
} QUERIES[] = {
    {{NULL, 0}, NULL, "", 20, 0},
    {{"", 0}, NULL, "", 20, 0},
    {{"q=a+b%20c&limit=5", 17}, NULL, "a b c", 5, 0},
    {{"tag=x&tag=y&&q=", 15}, NULL, "", 20, 2},
    {{"q", 1}, NULL, "", 20, 0},
    {{"q=a%2526b", 9}, NULL, "a%26b", 20, 0},
    {{"limit=0", 7}, "limit", NULL, 0, 0},
    {{"limit=1x", 8}, "limit", NULL, 0, 0},
    {{"limit=1&limit=2", 15}, "limit", NULL, 0, 0},
    {{"limt=1", 6}, "limt", NULL, 0, 0},
    {{"tag=x&tag=y&tag=z", 17}, "tag", NULL, 0, 0},
    {{"tag=toolong", 11}, "tag", NULL, 0, 0},
    {{"q=%zz", 5}, "query", NULL, 0, 0},
    {{"q=%00", 5}, "query", NULL, 0, 0},
    {{"q=%ff", 5}, "query", NULL, 0, 0},
    {{"wait=maybe", 10}, "wait", NULL, 0, 0},
    {{"before=x", 8}, "before", NULL, 0, 0},
};

static void queries_are_read_by_the_same_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(QUERIES) / sizeof(QUERIES[0]); i++) {
        struct query out = {0};
        problems.count = 0;
        enum err err = field_read_query(&arena, QUERY, QUERIES[i].query, &out, NULL, &problems);
        if (QUERIES[i].field != NULL) {
            if (err != E_INPUT || strcmp(problems.items[0].field, QUERIES[i].field) != 0)
                fail_msg("%.*s was taken", STR_ARG(QUERIES[i].query));
        } else if (err != E_OK || !str_eq(out.q, str_from(QUERIES[i].q)) ||
                   out.limit != QUERIES[i].limit || out.tags.count != QUERIES[i].tags) {
            fail_msg("%.*s was misread", STR_ARG(QUERIES[i].query));
        }
    }
}

/* --- schemas ---------------------------------------------------------------------------------- */

static void rows_become_json_schema(void **state) {
    (void)state;
    struct buf text;
    struct json json;
    const struct json_value *schema;
    buf_init(&text, 1 << 20);
    json_init(&json, &text);
    field_schema(&json, OUTER);
    assert_int_equal(json_parse(&arena, buf_str(&text), &schema, NULL), E_OK);
    assert_true(
        str_eq(json_string(json_path(schema, "properties.title.type"), STR("")), STR("string")));
    assert_int_equal(json_int(json_path(schema, "properties.title.minLength"), 0), 2);
    assert_int_equal(json_int(json_path(schema, "properties.count.default"), 0), 20);
    assert_int_equal(json_int(json_path(schema, "properties.heat.minimum"), 0), -1);
    assert_int_equal(json_count(json_path(schema, "properties.owner_id.type")), 2);
    assert_int_equal(json_count(json_path(schema, "properties.mode.enum")), 2);
    assert_int_equal(json_int(json_path(schema, "properties.tags.maxItems"), 0), 3);
    assert_true(str_eq(json_string(json_path(schema, "required.0"), STR("")), STR("title")));
    assert_int_equal(json_type(json_member(schema, "additionalProperties")), JSON_BOOL);
    buf_release(&text);
}

/* A megabyte of names that are nearly right must not be compared with every row, name by name. */
static void nobody_reads_on_when_enough_is_wrong(void **state) {
    (void)state;
    struct buf text;
    struct outer out = {0};
    const struct json_value *value;
    buf_init(&text, 4 << 20);
    for (int i = 0; i < 50000; i++)
        buf_printf(&text, "%c\"title%d\":0", i == 0 ? '{' : ',', i);
    buf_add_char(&text, '}');
    assert_int_equal(json_parse(&arena, buf_str(&text), &value, NULL), E_OK);
    size_t used_bytes = arena.used_bytes;
    assert_int_equal(field_read(&arena, OUTER, value, &out, NULL, &problems), E_INPUT);
    assert_int_equal(problems.count, 16);
    assert_string_equal(problems.items[15].message, "is not a field here; did you mean title?");
    assert_in_range(arena.used_bytes - used_bytes, 1, 4096);
    buf_release(&text);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_whole_object_fills_the_struct),
        TEST(the_first_moment_of_1970_is_not_no_moment),
        TEST(absent_members_get_their_fallback),
        TEST(null_is_absent_but_said_where_it_may_be),
        TEST(every_mistake_is_named),
        TEST(all_mistakes_are_named_at_once_but_not_without_end),
        TEST(nobody_reads_on_when_enough_is_wrong),
        TEST(queries_are_read_by_the_same_rows),
        TEST(rows_become_json_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
