/* links: troupe_base */
#include "base/arena.h"
#include "base/check.h"
#include "base/str.h"
#include "each_arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define S(literal) \
    { (literal), sizeof(literal) - 1 }

static void assert_str(struct str s, const char *expected, size_t len) {
    if (s.len != len || (len && memcmp(s.at, expected, len) != 0))
        fail_msg("got \"%.*s\" (%zu), wanted \"%.*s\" (%zu)", STR_ARG(s), s.len, (int)len, expected,
                 len);
}

static void absent_and_empty_differ(void **state) {
    (void)state;
    assert_null(str_from(NULL).at);
    assert_non_null(str_from("").at);
    assert_null(str_dup(&arena, STR_NONE).at);
    assert_non_null(str_dup(&arena, STR("")).at);
    assert_true(str_eq(STR_NONE, STR("")));
    assert_string_equal(str_dup(&arena, STR("abc")).at, "abc");
    assert_string_equal(str_dup_z(&arena, STR_NONE), "");
    assert_str(str_printf(&arena, "%d-%s", 5, "x"), "5-x", 3);
}

static const struct {
    struct str a, b;
    bool is_equal, is_equal_nocase;
    int order;
    const char *why;
} COMPARISONS[] = {
    {S("abc"), S("abc"), true, true, 0, "the same"},
    {S("abc"), S("ABC"), false, true, 1, "ASCII case only"},
    {S("ab"), S("abc"), false, false, -1, "the shorter first"},
    {S("\xC3\xA4"), S("\xC3\x84"), false, false, 1, "no folding beyond ASCII"},
    {S("a\0b"), S("a\0c"), false, false, -1, "NUL is a byte"},
    {S("["), S("{"), false, false, -1, "letters only: 0x5B and 0x7B differ by the case bit"},
    {S(""), S(""), true, true, 0, "empty"},
};

static void comparisons(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(COMPARISONS); i++) {
        assert_int_equal(str_eq(COMPARISONS[i].a, COMPARISONS[i].b), COMPARISONS[i].is_equal);
        assert_int_equal(str_eq_nocase(COMPARISONS[i].a, COMPARISONS[i].b),
                         COMPARISONS[i].is_equal_nocase);
        int order = str_compare(COMPARISONS[i].a, COMPARISONS[i].b);
        assert_int_equal((order > 0) - (order < 0), COMPARISONS[i].order);
    }
}

static const struct {
    struct str text, part;
    size_t from;
    int at;
} FINDS[] = {
    {S("hello"), S("l"), 0, 2},  {S("hello"), S("l"), 3, 3}, {S("hello"), S("l"), 4, -1},
    {S("hello"), S(""), 5, 5},   {S("hello"), S(""), 6, -1}, {S("hello"), S("lo"), 0, 3},
    {S("hello"), S("x"), 0, -1}, {S(""), S("a"), 0, -1},     {S("aab"), S("ab"), 0, 1},
    {S("a"), S("abc"), 0, -1},
};

static void searches(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(FINDS); i++) {
        assert_int_equal(str_find(FINDS[i].text, FINDS[i].part, FINDS[i].from), FINDS[i].at);
        if (FINDS[i].part.len == 1)
            assert_int_equal(str_find_char(FINDS[i].text, FINDS[i].part.at[0], FINDS[i].from),
                             FINDS[i].at);
    }
    assert_true(str_has(STR("abc"), STR("bc")));
    assert_true(str_starts(STR("abc"), STR("ab")) && !str_starts(STR("a"), STR("ab")));
    assert_true(str_ends(STR("abc"), STR("bc")) && !str_ends(STR("c"), STR("bc")) &&
                str_ends(STR("c"), STR("")));
}

static void slices_are_clamped_and_trimmed(void **state) {
    (void)state;
    assert_str(str_slice(STR("abcd"), 1, 3), "bc", 2);
    assert_str(str_slice(STR("abcd"), 2, 99), "cd", 2);
    assert_str(str_slice(STR("abcd"), 99, 100), "", 0);
    assert_str(str_slice(STR("abcd"), 3, 1), "", 0);
    assert_null(str_slice(STR_NONE, 0, 5).at);
    assert_str(str_trim(STR(" \t\r\n a b \n")), "a b", 3);
    assert_str(str_trim(STR(" \t ")), "", 0);
}

static const struct {
    struct str text;
    const char *parts; /* joined by | */
} SPLITS[] = {
    {S("a,b,c"), "a|b|c"}, {S("a"), "a"},   {S(""), ""},
    {S(",a"), "|a"},       {S("a,"), "a|"}, {S(",,"), "||"},
};

static void splitting_gives_every_part_once(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(SPLITS); i++) {
        struct str rest = SPLITS[i].text, part;
        char joined[32] = "";
        size_t len = 0;
        for (int count = 0; str_next(&rest, ',', &part); count++) {
            if (count)
                joined[len++] = '|';
            memcpy(joined + len, part.at, part.len);
            len += part.len;
        }
        joined[len] = '\0';
        assert_string_equal(joined, SPLITS[i].parts);
    }
    struct str none = STR_NONE, part;
    assert_false(str_next(&none, ',', &part));
}

static const struct {
    struct str text;
    enum err err;
    int64_t value;
} INTS[] = {
    {S("0"), E_OK, 0},
    {S("-0"), E_OK, 0},
    {S("42"), E_OK, 42},
    {S("007"), E_OK, 7},
    {S("9223372036854775807"), E_OK, INT64_MAX},
    {S("-9223372036854775808"), E_OK, INT64_MIN},
    {S("9223372036854775808"), E_INPUT, 0},
    {S("-9223372036854775809"), E_INPUT, 0},
    {S("99999999999999999999999"), E_INPUT, 0},
    {S(""), E_INPUT, 0},
    {S("-"), E_INPUT, 0},
    {S("+1"), E_INPUT, 0},
    {S(" 1"), E_INPUT, 0},
    {S("1 "), E_INPUT, 0},
    {S("1.0"), E_INPUT, 0},
    {S("0x10"), E_INPUT, 0},
    {S("1\0"), E_INPUT, 0},
};

static void whole_numbers(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(INTS); i++) {
        int64_t value = 4711;
        assert_int_equal(str_to_int(INTS[i].text, &value), INTS[i].err);
        assert_int_equal(value, INTS[i].err == E_OK ? INTS[i].value : 4711);
    }
}

static const struct {
    struct str text;
    enum err err;
    double value;
} DOUBLES[] = {
    {S("0.5"), E_OK, 0.5},  {S("-1e3"), E_OK, -1000}, {S("1E+2"), E_OK, 100},
    {S("0.1"), E_OK, 0.1},  {S("1e400"), E_INPUT, 0}, {S("nan"), E_INPUT, 0},
    {S("inf"), E_INPUT, 0}, {S("0x1p3"), E_INPUT, 0}, {S(".5"), E_INPUT, 0},
    {S("5."), E_INPUT, 0},  {S("01"), E_INPUT, 0},    {S("1e"), E_INPUT, 0},
    {S("1e+"), E_INPUT, 0}, {S(""), E_INPUT, 0},      {S("1,5"), E_INPUT, 0},
    {S("1 "), E_INPUT, 0},  {S("1e-400"), E_OK, 0},
};

static void decimal_numbers(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(DOUBLES); i++) {
        double value = 4711;
        assert_int_equal(str_to_double(DOUBLES[i].text, &value), DOUBLES[i].err);
        assert_true(value == (DOUBLES[i].err == E_OK ? DOUBLES[i].value : 4711));
    }
    char digits[200];
    memset(digits, '1', sizeof(digits));
    double value;
    assert_int_equal(str_to_double(str_of(digits, 128), &value), E_OK);
    assert_int_equal(str_to_double(str_of(digits, 129), &value), E_INPUT);
}

/* RFC 4648 section 10, and the bytes where the two alphabets differ. */
static const struct {
    struct str bytes;
    const char *padded, *url;
} BASE64[] = {
    {S(""), "", ""},
    {S("f"), "Zg==", "Zg"},
    {S("fo"), "Zm8=", "Zm8"},
    {S("foo"), "Zm9v", "Zm9v"},
    {S("foob"), "Zm9vYg==", "Zm9vYg"},
    {S("fooba"), "Zm9vYmE=", "Zm9vYmE"},
    {S("foobar"), "Zm9vYmFy", "Zm9vYmFy"},
    {S("\xFB\xFF\xFE"), "+//+", "-__-"},
    {S("\0\0\0\0"), "AAAAAA==", "AAAAAA"},
};

static void base64_goes_both_ways(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(BASE64); i++) {
        struct str bytes;
        assert_string_equal(base64_encode(&arena, BASE64[i].bytes).at, BASE64[i].padded);
        assert_string_equal(base64url_encode(&arena, BASE64[i].bytes).at, BASE64[i].url);
        assert_int_equal(base64_decode(&arena, str_from(BASE64[i].padded), &bytes), E_OK);
        assert_str(bytes, BASE64[i].bytes.at, BASE64[i].bytes.len);
        assert_int_equal(base64url_decode(&arena, str_from(BASE64[i].url), &bytes), E_OK);
        assert_str(bytes, BASE64[i].bytes.at, BASE64[i].bytes.len);
    }
}

static const struct {
    struct str text;
    enum err url, lax;
    const char *why;
} BASE64_ODD[] = {
    {S("Zg=="), E_INPUT, E_OK, "padding is for base64 only"},
    {S("Zg"), E_OK, E_OK, "cards come without padding"},
    {S("Zg="), E_INPUT, E_INPUT, "half a padding"},
    {S("Zg==="), E_INPUT, E_INPUT, "too much padding"},
    {S("Zg==Zg=="), E_INPUT, E_INPUT, "letters behind padding"},
    {S("Zm9v\r\nYmFy\n"), E_INPUT, E_OK, "line ends in PNG text"},
    {S("Zm9v YmFy"), E_INPUT, E_INPUT, "other blanks are no base64"},
    {S("Zh"), E_INPUT, E_OK, "left-over bits: two spellings of one token"},
    {S("Zm9="), E_INPUT, E_OK, "left-over bits"},
    {S("Z"), E_INPUT, E_INPUT, "six bits are no byte"},
    {S("Zm9vZ"), E_INPUT, E_INPUT, "six bits left"},
    {S("-__-"), E_OK, E_INPUT, "the other alphabet"},
    {S("+//+"), E_INPUT, E_OK, "the other alphabet"},
    {S("Zm\0v"), E_INPUT, E_INPUT, "NUL"},
    {S("Zm9\x80"), E_INPUT, E_INPUT, "a byte above ASCII"},
    {S("===="), E_INPUT, E_INPUT, "nothing but padding"},
};

static void odd_base64_is_judged_by_its_reader(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(BASE64_ODD); i++) {
        struct str bytes;
        if (base64url_decode(&arena, BASE64_ODD[i].text, &bytes) != BASE64_ODD[i].url ||
            base64_decode(&arena, BASE64_ODD[i].text, &bytes) != BASE64_ODD[i].lax)
            fail_msg("row %zu: %s", i, BASE64_ODD[i].why);
    }
}

static void hex_is_lower_case(void **state) {
    (void)state;
    assert_string_equal(hex_encode(&arena, STR("\x00\x7F\x80\xFF")).at, "007f80ff");
    assert_string_equal(hex_encode(&arena, STR("")).at, "");
}

static const struct {
    struct str text;
    bool plus_is_space;
    enum err err;
    struct str out;
} PERCENT[] = {
    {S("a%20b"), false, E_OK, S("a b")},       {S("a+b"), false, E_OK, S("a+b")},
    {S("a+b"), true, E_OK, S("a b")},          {S("%252e"), false, E_OK, S("%2e")}, /* once */
    {S("%c3%A4"), false, E_OK, S("\xC3\xA4")}, {S(""), false, E_OK, S("")},
    {S("%"), false, E_INPUT, S("")},           {S("%4"), false, E_INPUT, S("")},
    {S("%4g"), false, E_INPUT, S("")},         {S("%g4"), false, E_INPUT, S("")},
    {S("%00"), false, E_INPUT, S("")},         {S("a\0b"), false, E_INPUT, S("")},
};

static void percent_escapes_are_decoded_once(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(PERCENT); i++) {
        struct str out;
        assert_int_equal(percent_decode(&arena, PERCENT[i].text, PERCENT[i].plus_is_space, &out),
                         PERCENT[i].err);
        if (PERCENT[i].err == E_OK)
            assert_str(out, PERCENT[i].out.at, PERCENT[i].out.len);
    }
}

static void digits_are_taken_off_the_front(void **state) {
    (void)state;
    static const struct {
        struct str text;
        size_t most;
        int64_t number; /* -1: there is none */
        struct str rest;
    } rows[] = {
        {S("12px"), 10, 12, S("px")},
        {S("007"), 10, 7, S("")},
        {S("1234"), 3, 123, S("4")},
        {S("-5"), 10, -1, S("-5")},
        {S(""), 10, -1, S("")},
        {S("x1"), 10, -1, S("x1")},
        {S("999999999999999999"), 18, 999999999999999999, S("")},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct str rest = rows[i].text;
        int64_t number = -1;
        assert_int_equal(str_take_digits(&rest, rows[i].most, &number), rows[i].number >= 0);
        assert_int_equal(number, rows[i].number);
        assert_true(str_eq(rest, rows[i].rest));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digits_are_taken_off_the_front),
        cmocka_unit_test(absent_and_empty_differ),
        cmocka_unit_test(comparisons),
        cmocka_unit_test(searches),
        cmocka_unit_test(slices_are_clamped_and_trimmed),
        cmocka_unit_test(splitting_gives_every_part_once),
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(decimal_numbers),
        cmocka_unit_test(base64_goes_both_ways),
        cmocka_unit_test(odd_base64_is_judged_by_its_reader),
        cmocka_unit_test(hex_is_lower_case),
        cmocka_unit_test(percent_escapes_are_decoded_once),
    };
    return cmocka_run_group_tests(tests, each_arena_begin, each_arena_end);
}
