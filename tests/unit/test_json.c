/* links: troupe_base */
#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/text.h"
#include "each_arena.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define S(literal) \
    { (literal), sizeof(literal) - 1 }

static const struct json_value *parse(struct str text) {
    const struct json_value *value = NULL;
    struct json_error error = {0};
    if (json_parse(&arena, text, &value, &error) != E_OK)
        fail_msg("%.*s: %s at %zu", STR_ARG(text), error.reason, error.offset_bytes);
    return value;
}

static void assert_str(struct str s, struct str expected) {
    if (!str_eq(s, expected))
        fail_msg("got \"%.*s\", wanted \"%.*s\"", STR_ARG(s), STR_ARG(expected));
}

/* --- reading -------------------------------------------------------------------------------- */

/* Texts that are not JSON, with the place of the fault. The first dozen are those that cJSON takes.
 */
static const struct {
    struct str text;
    size_t offset;
    const char *why;
} REFUSED[] = {
    {S("[01]"), 1, "leading zero"},
    {S("[-01]"), 1, "leading zero behind a minus"},
    {S("[-.5]"), 1, "no digits before the point"},
    {S("[2.]"), 1, "no digits behind the point"},
    {S("[0.e1]"), 1, "no digits between point and exponent"},
    {S("[1e]"), 1, "no digits in the exponent"},
    {S("[1e+]"), 1, "no digits in the exponent"},
    {S("[\"\x1F\"]"), 2, "control character"},
    {S("[\"a\nb\"]"), 3, "line end in a string"},
    {S("[\"\\u00\"]"), 4, "cut escape"},
    {S("[\"\\u00g0\"]"), 4, "no hexadecimal digit"},
    {S("[\0]"), 1, "NUL outside a string"},
    {S("[\"\0\"]"), 2, "NUL in a string"},
    {S("[\f]"), 1, "form feed is no blank"},
    {S("\xC2\xA0[]"), 0, "no-break space is no blank"},
    {S("{}x"), 2, "trailing byte"},
    {S("{}\0"), 2, "trailing NUL"},
    {S("[1]]"), 3, "trailing bracket"},
    {S("[]/**/"), 2, "comment"},
    {S("[1]//x"), 3, "comment"},
    {S("\xEF\xBB\xBF{}"), 0, "byte order mark"},
    {S(""), 0, "empty"},
    {S(" \n\t\r"), 4, "blanks only"},
    {S("["), 1, "no end"},
    {S("{"), 1, "no end"},
    {S("[1"), 2, "no end"},
    {S("[1,"), 3, "no end"},
    {S("{\"a\""), 4, "no end"},
    {S("{\"a\":"), 5, "no end"},
    {S("{\"a\":1"), 6, "no end"},
    {S("\"abc"), 4, "no end"},
    {S("\"abc\\"), 4, "no end"},
    {S("\"abc\\u12"), 6, "no end"},
    {S("[1,]"), 3, "comma before the end"},
    {S("[,1]"), 1, "comma at the start"},
    {S("[1,,2]"), 3, "two commas"},
    {S("[1 2]"), 3, "no comma"},
    {S("[1}"), 2, "wrong bracket"},
    {S("{\"a\":1]"), 6, "wrong bracket"},
    {S("{\"a\" 1}"), 5, "no colon"},
    {S("{\"a\":1,}"), 7, "comma before the end"},
    {S("{a:1}"), 1, "name without quotes"},
    {S("{'a':1}"), 1, "name in single quotes"},
    {S("{1:1}"), 1, "name of digits"},
    {S("{null:1}"), 1, "name of a word"},
    {S("['a']"), 1, "single quotes"},
    {S("tru"), 0, "cut word"},
    {S("True"), 0, "upper case"},
    {S("nul"), 0, "cut word"},
    {S("truex"), 4, "more than the word"},
    {S("NaN"), 0, "not a number"},
    {S("-Infinity"), 0, "infinity"},
    {S("+1"), 0, "plus"},
    {S("-"), 0, "minus alone"},
    {S("- 1"), 0, "minus and blank"},
    {S("0x10"), 1, "hexadecimal"},
    {S("1.5.5"), 3, "two points"},
    {S("1_000"), 1, "separator"},
    {S(".5"), 0, "no digits before the point"},
    {S("1e400"), 0, "too large for a double"},
    {S("-1e400"), 0, "too large for a double"},
    {S("[\"\\x41\"]"), 2, "unknown escape"},
    {S("[\"\\'\"]"), 2, "unknown escape"},
    {S("[\"\\\xC3\xA4\"]"), 2, "escape of a byte above ASCII"},
    {S("[\"\\U0041\"]"), 2, "upper case u"},
    {S("[\"\\uD800\"]"), 4, "high surrogate alone"},
    {S("[\"\\uD800a\"]"), 4, "high surrogate and a letter"},
    {S("[\"\\uD800\\n\"]"), 4, "high surrogate and another escape"},
    {S("[\"\\uD800\\u0041\"]"), 4, "high surrogate and no low one"},
    {S("[\"\\uD800\\uD800\"]"), 4, "two high surrogates"},
    {S("[\"\\uDC00\"]"), 4, "low surrogate alone"},
    {S("[\"\xFF\"]"), 2, "not UTF-8"},
    {S("[\"\xED\xA0\x80\"]"), 2, "a surrogate in UTF-8"},
    {S("[\"\xC0\x80\"]"), 2, "overlong NUL"},
    {S("[\"a\xE2\x82\"]"), 3, "a character cut short"},
    {S("[1]\xFF"), 3, "not UTF-8 behind the value"},
};

static void what_is_not_json_is_refused_at_its_fault(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(REFUSED); i++) {
        struct json_error error = {0};
        const struct json_value *value;
        if (json_scan(REFUSED[i].text, &error) != E_INPUT)
            fail_msg("taken: %s", REFUSED[i].why);
        if (error.offset_bytes != REFUSED[i].offset || error.reason == NULL || error.is_duplicate)
            fail_msg("row %zu (%s): at %zu, %s", i, REFUSED[i].why, error.offset_bytes,
                     error.reason);
        assert_int_equal(json_parse(&arena, REFUSED[i].text, &value, NULL), E_INPUT);
    }
}

static const struct {
    struct str text, value;
} STRINGS[] = {
    {S("\"\""), S("")},
    {S("\"abc\""), S("abc")},
    {S("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), S("\"\\/\b\f\n\r\t")},
    {S("\"\\u0041\\u00e4\\u20AC\""), S("A\xC3\xA4\xE2\x82\xAC")},
    {S("\"\\uD83D\\uDE00\\uDBFF\\uDFFF\""), S("\xF0\x9F\x98\x80\xF4\x8F\xBF\xBF")},
    {S("\"\\u0000\""), S("\0")},
    {S("\"pass\\u0000word\""), S("pass\0word")},
    {S("\"\\uFFFF\\u007f\""), S("\xEF\xBF\xBF\x7F")},
    {S("\"1234567\\n1234567\\\"12345678901234\\\\\""), S("1234567\n1234567\"12345678901234\\")},
    {S("\"/ \x7F \xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\""),
     S("/ \x7F \xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80")},
};

static void strings_are_unescaped_and_keep_nul(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(STRINGS); i++) {
        struct str value = json_string(parse(STRINGS[i].text), STR_NONE);
        assert_str(value, STRINGS[i].value);
        assert_int_equal(value.at[value.len], '\0');
    }
}

static const struct {
    const char *text;
    double value;
    int64_t whole; /* what json_int gives with the fallback -4711 */
} NUMBERS[] = {
    {"0", 0, 0},
    {"-0", -0.0, 0},
    {"1", 1, 1},
    {"-17", -17, -17},
    {"1.0", 1, 1},
    {"1e2", 100, 100},
    {"1E+2", 100, 100},
    {"100e-2", 1, 1},
    {"0.5", 0.5, -4711},
    {"0.1", 0.1, -4711},
    {"123.456", 123.456, -4711},
    {"3.141592653589793", 3.141592653589793, -4711},
    {"1e-7", 1e-7, -4711},
    {"1e22", 1e22, -4711},
    {"1e23", 1e23, -4711},
    {"9007199254740991", 9007199254740991.0, INT64_C(9007199254740991)},
    {"-9007199254740991", -9007199254740991.0, INT64_C(-9007199254740991)},
    {"9007199254740992", 9007199254740992.0, -4711},
    {"9007199254740993", 9007199254740992.0, -4711},
    {"12345678901234567890", 12345678901234567890.0, -4711},
    {"0.30000000000000004", 0.30000000000000004, -4711},
    {"2.2250738585072011e-308", 2.2250738585072011e-308, -4711},
    {"1.7976931348623157e308", 1.7976931348623157e308, -4711},
    {"5e-324", 5e-324, -4711},
    {"1e-400", 0, 0},
    {"-1e-400", -0.0, 0},
    {"0e99999999999999999999", 0, 0},
    {"0.000000000000000000000000000000000000000000000000000000000000000000000000000001", 1e-78,
     -4711},
    {"123123123123123123123123123123123123123123123123123123123123123123123123123123",
     1.23123123123123123e77, -4711},
};

static void numbers_are_read_exactly_and_keep_their_digits(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(NUMBERS); i++) {
        const struct json_value *value = parse(str_from(NUMBERS[i].text));
        double number = json_number(value, 4711);
        if (number != NUMBERS[i].value || signbit(number) != signbit(NUMBERS[i].value))
            fail_msg("%s gave %.17g", NUMBERS[i].text, number);
        if (json_int(value, -4711) != NUMBERS[i].whole)
            fail_msg("%s gave %lld", NUMBERS[i].text, (long long)json_int(value, -4711));
        assert_str(json_number_text(value), str_from(NUMBERS[i].text));
    }
}

/* The quick way for short decimals must round as the C library does. */
static void random_decimals_agree_with_the_c_library(void **state) {
    (void)state;
    srand(7);
    for (int i = 0; i < 20000; i++) {
        char text[64];
        int digits = 1 + rand() % 18, at = 0;
        text[at++] = (char)('1' + rand() % 9);
        for (int k = 1; k < digits; k++) {
            if (k == 1 + rand() % 18 && !memchr(text, '.', (size_t)at))
                text[at++] = '.';
            text[at++] = (char)('0' + rand() % 10);
        }
        snprintf(text + at, sizeof(text) - (size_t)at, "e%d", rand() % 60 - 30);
        if (json_number(parse(str_from(text)), 0) != strtod(text, NULL))
            fail_msg("%s", text);
        if (i % 1000 == 0) {
            each_arena_end(state);
            each_arena_begin(state);
        }
    }
}

static void getters_walk_names_paths_and_items(void **state) {
    (void)state;
    const struct json_value *root = parse(
        STR("{\"choices\":[{\"delta\":{\"content\":\"Hi\"}},null],\"n\":5,\"t\":true,\"f\":false,"
            "\"z\":null,\"s\":\"x\",\"0\":\"zero\",\"\":\"empty\",\"a\\u0000b\":1}"));
    assert_int_equal(json_type(root), JSON_OBJECT);
    assert_int_equal(json_count(root), 9);
    assert_str(json_string(json_path(root, "choices.0.delta.content"), STR_NONE), STR("Hi"));
    assert_int_equal(json_type(json_path(root, "choices.1")), JSON_NULL);
    static const char *const ABSENT[] = {
        "choices.2", "choices.-1", "choices.x",  "choices.0.delta.content.x",
        "no",        "n.0",        "choices.0.", "choices.99999999999999999999"};
    for (size_t i = 0; i < COUNT_OF(ABSENT); i++)
        assert_null(json_path(root, ABSENT[i]));
    assert_str(json_string(json_path(root, "0"), STR_NONE), STR("zero"));
    assert_str(json_string(json_member(root, ""), STR_NONE), STR("empty"));
    assert_null(json_member(root, "a")); /* not cut at the NUL */
    assert_true(json_bool(json_member(root, "t"), false));
    assert_false(json_bool(json_member(root, "f"), true));
    assert_str(json_name(json_first(root)), STR("choices"));
    assert_str(json_name(json_next(json_first(root))), STR("n"));
    assert_null(json_name(json_item(json_member(root, "choices"), 0)).at);
    size_t walked = 0;
    for (const struct json_value *child = json_first(root); child; child = json_next(child))
        walked++;
    assert_int_equal(walked, 9);
}

static void getters_give_the_fallback_for_absent_and_other_types(void **state) {
    (void)state;
    static const char *const TEXTS[] = {"null", "true", "\"1\"", "1", "[1]", "{\"a\":1}"};
    for (size_t i = 0; i <= COUNT_OF(TEXTS); i++) {
        const struct json_value *value = i < COUNT_OF(TEXTS) ? parse(str_from(TEXTS[i])) : NULL;
        enum json_type type = json_type(value);
        assert_str(json_string(value, STR("fallback")),
                   type == JSON_STRING ? STR("1") : STR("fallback"));
        assert_int_equal(json_int(value, -3), type == JSON_NUMBER ? 1 : -3);
        assert_true(json_number(value, -3) == (type == JSON_NUMBER ? 1 : -3));
        assert_int_equal(json_bool(value, false), type == JSON_BOOL);
        assert_int_equal(json_count(value), type == JSON_ARRAY || type == JSON_OBJECT);
        assert_int_equal(json_item(value, 0) != NULL, type == JSON_ARRAY);
        assert_int_equal(json_member(value, "a") != NULL, type == JSON_OBJECT);
        assert_null(json_next(value));
        assert_null(json_name(value).at);
        assert_int_equal(json_number_text(value).at != NULL, type == JSON_NUMBER);
    }
    assert_int_equal(json_type(NULL), JSON_ABSENT);
}

static void nesting_is_allowed_to_the_limit(void **state) {
    (void)state;
    for (int depth = JSON_DEPTH_LIMIT - 1; depth <= JSON_DEPTH_LIMIT + 1; depth++) {
        for (int kind = 0; kind < 2; kind++) {
            struct buf text;
            buf_init(&text, 4096);
            for (int i = 0; i < depth; i++)
                buf_add_str(&text, kind ? STR("{\"a\":") : STR("["));
            buf_add_str(&text, kind ? STR("1") : STR(""));
            for (int i = 0; i < depth; i++)
                buf_add_char(&text, kind ? '}' : ']');
            assert_int_equal(json_scan(buf_str(&text), NULL),
                             depth <= JSON_DEPTH_LIMIT ? E_OK : E_INPUT);
            buf_release(&text);
        }
    }
    static char brackets[1 << 20];
    memset(brackets, '[', sizeof(brackets));
    assert_int_equal(json_scan(str_of(brackets, sizeof(brackets)), NULL), E_INPUT);
    assert_int_equal(json_scan(STR("[[[]],[[]],[[]],[[]],{},{},{}]"), NULL),
                     E_OK); /* depth is not a count */
}

/* --- duplicate members ---------------------------------------------------------------------- */

static const struct {
    const char *text;
    bool is_duplicate;
} MEMBERS[] = {
    {"{\"a\":1,\"a\":1}", true},
    {"{\"a\":1,\"\\u0061\":2}", true},
    {"{\"a\":1,\"A\":2}", false},
    {"{\"a\":{\"a\":1},\"b\":{\"a\":1}}", false},
    {"[{\"a\":1},{\"a\":1}]", false},
    {"{\"\":1,\"\":2}", true},
    {"{\"x\":{\"a\":1,\"b\":2,\"a\":3}}", true},
    {"{\"\\u0000\":1,\"\":2}", false},
};

static void two_members_of_one_name_are_refused_and_marked(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(MEMBERS); i++) {
        struct json_error error = {0};
        enum err err = json_scan(str_from(MEMBERS[i].text), &error);
        assert_int_equal(err, MEMBERS[i].is_duplicate ? E_INPUT : E_OK);
        assert_int_equal(error.is_duplicate, MEMBERS[i].is_duplicate);
        assert_null(error.name.at); /* its text went with the scan's arena */
    }
}

/* What is no JSON at all is told first; among names that are there twice, the first pair. */
static void the_name_that_is_there_twice_is_told(void **state) {
    (void)state;
    const struct json_value *value = NULL;
    struct json_error error = {0};
    struct str text =
        STR("{\"a\":[{\"gr\\u00fc\\u00dfe\":1,\"grüße\":2}],\"b\":1,\"b\":2,\"a\":3}");
    assert_int_equal(json_parse(&arena, text, &value, &error), E_INPUT);
    assert_true(error.is_duplicate);
    assert_true(str_eq(error.name, STR("grüße")));
    assert_int_equal(error.offset_bytes, str_find(text, STR("\"grüße"), 0));
    text = str_slice(text, 0, text.len - 1);
    assert_int_equal(json_parse(&arena, text, &value, &error), E_INPUT);
    assert_false(error.is_duplicate);
    assert_int_equal(error.offset_bytes, text.len);
    assert_null(value);
}

/* Objects of every size around the change of method, the second of a pair at every place, and
 * nested ones between. */
static void duplicates_are_found_in_objects_of_every_size(void **state) {
    (void)state;
    for (int count = 2; count < 40; count++) {
        for (int twin = 0; twin < count; twin++) {
            struct buf text;
            buf_init(&text, 1 << 16);
            buf_add_char(&text, '{');
            for (int i = 0; i < count; i++)
                buf_printf(&text, "\"m%d\":{\"m%d\":[],\"m0\":{}},", i, i + 1);
            size_t len = text.len;
            buf_printf(&text, "\"last\":1}");
            assert_int_equal(json_scan(buf_str(&text), NULL), E_OK);
            buf_cut(&text, len);
            buf_printf(&text, "\"m%d\":1}", twin);
            struct json_error error = {0};
            assert_int_equal(json_scan(buf_str(&text), &error), E_INPUT);
            assert_true(error.is_duplicate);
            assert_int_equal(error.offset_bytes, len);
            buf_release(&text);
        }
    }
}

static void a_hostile_object_of_many_members_is_read_in_time(void **state) {
    (void)state;
    struct buf text;
    buf_init(&text, 8 << 20);
    buf_add_char(&text, '{');
    for (int i = 0; i < 200000; i++)
        buf_printf(&text, "%s\"member%d\":1", i ? "," : "", i);
    buf_add_char(&text, '}');
    int64_t start = clock_mono_us();
    assert_int_equal(json_scan(buf_str(&text), NULL), E_OK);
    /* Quadratic comparison takes minutes; this takes 0.1 s even under sanitizers on a busy machine.
     */
    assert_in_range(clock_mono_us() - start, 0, 5000000);
    buf_release(&text);
}

static void too_many_values_are_a_limit_not_a_crash(void **state) {
    (void)state;
    struct buf text;
    struct json_error error = {0};
    const struct json_value *value;
    buf_init(&text, 8 << 20);
    buf_add_char(&text, '[');
    for (int i = 0; i < JSON_VALUES_LIMIT; i++)
        buf_add_str(&text, STR("1,"));
    buf_add_str(&text, STR("1]"));
    assert_int_equal(json_scan(buf_str(&text), &error), E_LIMIT);
    assert_string_equal(error.reason, "too many values");
    struct arena small;
    arena_init(&small);
    small.ceiling_bytes =
        100000; /* the tree would not fit: refused before the arena stops the process */
    assert_int_equal(json_parse(&small, str_of(buf_str(&text).at, 90000), &value, &error), E_LIMIT);
    assert_int_equal(json_parse(&small, str_of(buf_str(&text).at, 99000), &value, &error), E_LIMIT);
    arena_release(&small);
    buf_release(&text);
}

/* --- writing -------------------------------------------------------------------------------- */

static void write_all(struct json *json) {
    json_object_begin(json);
    JSON_STR(json, "text", STR("a\"b\\c\n\x01/\x7F"));
    JSON_STR(json, "none", STR_NONE);
    JSON_STR(json, "empty", STR(""));
    JSON_INT(json, "int", INT64_MIN);
    JSON_DOUBLE(json, "double", 0.1);
    JSON_DOUBLE(json, "nan", (double)NAN);
    JSON_BOOL(json, "yes", true);
    JSON_ID(json, "id", 33);
    JSON_ID(json, "no_id", 0);
    JSON_TIME(json, "at", INT64_C(1795233120123));
    JSON_TIME(json, "never", 0);
    JSON_NULL_AT(json, "null");
    JSON_RAW(json, "raw", STR("[1,{}]"));
    JSON_ARRAY(json, "list");
    json_write_int(json, 1);
    json_write_bool(json, false);
    json_write_null(json);
    json_array_begin(json);
    json_array_end(json);
    json_object_begin(json);
    json_object_end(json);
    json_write_str(json, STR("x"));
    json_array_end(json);
    JSON_OBJECT(json, "inner");
    json_key(json, STR("k\"\xC3\xA4"));
    json_write_int(json, 0);
    json_object_end(json);
    json_object_end(json);
}

static const char ALL[] =
    "{\"text\":\"a\\\"b\\\\c\\n\\u0001/\x7F\",\"none\":null,\"empty\":\"\",\"int\":-9223372036854775808,"
    "\"double\":0.1,\"nan\":null,\"yes\":true,\"id\":\"0000000000011\",\"no_id\":null,"
    "\"at\":\"2026-11-21T03:52:00.123Z\",\"never\":null,\"null\":null,\"raw\":[1,{}],"
    "\"list\":[1,false,null,[],{},\"x\"],\"inner\":{\"k\\\"\xC3\xA4\":0}}";

static void every_kind_of_value_is_written(void **state) {
    (void)state;
    struct buf buf;
    struct json json;
    buf_init(&buf, 4096);
    json_init(&json, &buf);
    write_all(&json);
    assert_int_equal(buf.err, E_OK);
    assert_str(buf_str(&buf), str_from(ALL));
    parse(buf_str(&buf));
    buf_release(&buf);
}

/* Wherever the ceiling cuts: never passed, never a byte that differs, and the error tells. */
static void every_ceiling_is_kept(void **state) {
    (void)state;
    for (size_t ceiling = 1; ceiling <= sizeof(ALL); ceiling++) {
        struct buf buf;
        struct json json;
        buf_init(&buf, ceiling);
        json_init(&json, &buf);
        write_all(&json);
        assert_int_equal(buf.err, ceiling < sizeof(ALL) - 1 ? E_LIMIT : E_OK);
        assert_true(buf.len <= ceiling);
        assert_memory_equal(buf_str(&buf).at, ALL, buf.len);
        buf_release(&buf);
    }
}

static const struct {
    double value;
    const char *text;
} DOUBLES[] = {
    {0, "0"},
    {-0.0, "-0"},
    {1, "1"},
    {-2, "-2"},
    {0.5, "0.5"},
    {0.1, "0.1"},
    {1e14, "100000000000000"},
    {1e15, "1e+15"},
    {1e300, "1e+300"},
    {0.30000000000000004, "0.30000000000000004"},
    {-1.5e-9, "-1.5e-09"},
    {INFINITY, "null"},
    {-INFINITY, "null"},
};

static void doubles_are_short_and_read_back_the_same(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(DOUBLES); i++) {
        struct buf buf;
        struct json json;
        buf_init(&buf, 64);
        json_init(&json, &buf);
        json_write_double(&json, DOUBLES[i].value);
        assert_str(buf_str(&buf), str_from(DOUBLES[i].text));
        if (isfinite(DOUBLES[i].value))
            assert_true(json_number(parse(buf_str(&buf)), 4711) == DOUBLES[i].value);
        buf_release(&buf);
    }
}

/* Each byte at each place of texts around the block sizes, written, read back, and compared with the
 * plain rule. The text ends where its memory ends, so that a look beyond it is seen. */
static void every_byte_is_escaped_at_every_place(void **state) {
    for (size_t len = 1; len <= 41; len++) {
        char *text = malloc(len);
        assert_non_null(text);
        for (size_t place = 0; place < len; place++) {
            for (int byte = 0; byte < 128; byte++) {
                memset(text, 'x', len);
                text[place] = (char)byte;
                struct buf buf;
                buf_init(&buf, 200);
                json_escape(&buf, str_of(text, len));
                size_t escape = byte == '"' || byte == '\\' || strchr("\b\f\n\r\t", byte) ? 2
                                : byte < 0x20                                             ? 6
                                                                                          : 1;
                if (byte == 0)
                    escape = 6;
                assert_int_equal(buf.len, len - 1 + escape);
                struct str quoted = str_printf(&arena, "\"%.*s\"", STR_ARG(buf_str(&buf)));
                assert_str(json_string(parse(quoted), STR_NONE), str_of(text, len));
                buf_release(&buf);
            }
        }
        free(text);
        each_arena_end(state);
        each_arena_begin(state);
    }
}

/* Random bytes, many of them special or not UTF-8: what is read back is the repaired text. */
static void random_texts_come_back(void **state) {
    static const char COMMON[] = "\"\\\n\t\x01 aZ\xC3\xA4\xE2\x82\xAC\xFF\x80\xF0\x9F\x98\x80";
    srand(3);
    for (int i = 0; i < 20000; i++) {
        char text[64];
        size_t len = (size_t)(rand() % 64);
        for (size_t k = 0; k < len; k++)
            text[k] = rand() % 3 ? COMMON[(size_t)rand() % (sizeof(COMMON) - 1)] : 'y';
        struct buf buf;
        struct json json;
        buf_init(&buf, 4096);
        json_init(&json, &buf);
        json_array_begin(&json);
        json_write_str(&json, STR("before"));
        json_write_str(&json, str_of(text, len));
        json_array_end(&json);
        const struct json_value *list = parse(buf_str(&buf));
        assert_str(json_string(json_item(list, 1), STR_NONE),
                   text_repair(&arena, str_of(text, len)));
        buf_release(&buf);
        if (i % 1000 == 0) {
            each_arena_end(state);
            each_arena_begin(state);
        }
    }
}

static void a_tree_is_written_as_it_was_read(void **state) {
    (void)state;
    static const char TEXT[] =
        "{\"a\":[1,2.50,1e5,-0,12345678901234567890123,0.1000],\"b\":{\"c\":null,\"d\":[true,false]},"
        "\"e\":\"\\\"\\u0000\xC3\xA4\",\"f\":[],\"g\":{}}";
    struct buf buf;
    struct json json;
    buf_init(&buf, 4096);
    json_init(&json, &buf);
    json_array_begin(&json);
    json_write_value(&json, parse(STR(TEXT)));
    json_write_value(&json, NULL);
    json_array_end(&json);
    assert_str(buf_str(&buf), str_printf(&arena, "[%s,null]", TEXT));
    buf_release(&buf);
}

/* --- the fuzzer's seeds ---------------------------------------------------------------------- */

static struct str load(const char *path) {
    static char bytes[1 << 20];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    return str_of(bytes, len);
}

/* Names as in JSONTestSuite: y_ is JSON, n_ is not, i_taken_ and i_refused_ are what RFC 8259
 * leaves to us. */
static void seeds_are_judged_by_their_names(void **state) {
    (void)state;
    DIR *dir = opendir("tests/fuzz/corpus/json");
    assert_non_null(dir);
    int judged = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[512];
        struct str name = str_from(entry->d_name);
        bool is_good = str_starts(name, STR("y_")) || str_starts(name, STR("i_taken_"));
        if (!is_good && !str_starts(name, STR("n_")) && !str_starts(name, STR("i_refused_")))
            continue;
        snprintf(path, sizeof(path), "tests/fuzz/corpus/json/%s", entry->d_name);
        if ((json_scan(load(path), NULL) == E_OK) != is_good)
            fail_msg("%s", entry->d_name);
        judged++;
    }
    closedir(dir);
    assert_in_range(judged, 60, 10000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_json_is_refused_at_its_fault),
        cmocka_unit_test(strings_are_unescaped_and_keep_nul),
        cmocka_unit_test(numbers_are_read_exactly_and_keep_their_digits),
        cmocka_unit_test(random_decimals_agree_with_the_c_library),
        cmocka_unit_test(getters_walk_names_paths_and_items),
        cmocka_unit_test(getters_give_the_fallback_for_absent_and_other_types),
        cmocka_unit_test(nesting_is_allowed_to_the_limit),
        cmocka_unit_test(two_members_of_one_name_are_refused_and_marked),
        cmocka_unit_test(the_name_that_is_there_twice_is_told),
        cmocka_unit_test(duplicates_are_found_in_objects_of_every_size),
        cmocka_unit_test(a_hostile_object_of_many_members_is_read_in_time),
        cmocka_unit_test(too_many_values_are_a_limit_not_a_crash),
        cmocka_unit_test(every_kind_of_value_is_written),
        cmocka_unit_test(every_ceiling_is_kept),
        cmocka_unit_test(doubles_are_short_and_read_back_the_same),
        cmocka_unit_test(every_byte_is_escaped_at_every_place),
        cmocka_unit_test(random_texts_come_back),
        cmocka_unit_test(a_tree_is_written_as_it_was_read),
        cmocka_unit_test(seeds_are_judged_by_their_names),
    };
    return cmocka_run_group_tests(tests, each_arena_begin, each_arena_end);
}
