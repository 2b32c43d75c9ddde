/* links: troupe_base */
#include "base/buf.h"
#include "base/check.h"
#include "base/text.h"
#include "each_arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#define S(literal) \
    { (literal), sizeof(literal) - 1 }
#define FFFD "\xEF\xBF\xBD"

static void assert_str(struct str s, struct str expected, const char *why) {
    if (!str_eq(s, expected))
        fail_msg("%s: got \"%.*s\", wanted \"%.*s\"", why, STR_ARG(s), STR_ARG(expected));
}

static const struct {
    struct str text;
    size_t whole; /* of the prefix; text.len when it is UTF-8 */
    struct str repaired;
    const char *why;
} UTF8[] = {
    {S(""), 0, S(""), "empty"},
    {S("plain ASCII of more than eight"), 30, S("plain ASCII of more than eight"), "ASCII"},
    {S("a\0b"), 3, S("a\0b"), "NUL is a character"},
    {S("\xC2\x80\xDF\xBF"), 4, S("\xC2\x80\xDF\xBF"), "two bytes, both ends of the range"},
    {S("\xE0\xA0\x80\xEF\xBF\xBF"), 6, S("\xE0\xA0\x80\xEF\xBF\xBF"), "three bytes"},
    {S("\xED\x9F\xBF\xEE\x80\x80"), 6, S("\xED\x9F\xBF\xEE\x80\x80"), "around the surrogates"},
    {S("\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"), 8, S("\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"), "four bytes"},
    {S("a\x80"), 1, S("a" FFFD), "a continuation alone"},
    {S("a\xC0\x80"), 1, S("a" FFFD FFFD), "overlong NUL"},
    {S("\xC1\xBF"), 0, S(FFFD FFFD), "overlong two bytes"},
    {S("\xE0\x9F\xBF"), 0, S(FFFD FFFD FFFD), "overlong three bytes"},
    {S("\xF0\x8F\xBF\xBF"), 0, S(FFFD FFFD FFFD FFFD), "overlong four bytes"},
    {S("\xED\xA0\x80"), 0, S(FFFD FFFD FFFD), "a surrogate"},
    {S("\xF4\x90\x80\x80"), 0, S(FFFD FFFD FFFD FFFD), "above U+10FFFF"},
    {S("\xF5\x80\x80\x80"), 0, S(FFFD FFFD FFFD FFFD), "a lead that never was"},
    {S("\xFF"), 0, S(FFFD), "0xFF"},
    {S("12345678\xFFz"), 8, S("12345678" FFFD "z"), "behind a whole word of ASCII"},
    {S("ab\xE2\x82"), 2, S("ab" FFFD), "cut in a character: one U+FFFD"},
    {S("ab\xF0\x9F\x98"), 2, S("ab" FFFD), "cut in four bytes"},
    {S("\xE2\x82z"), 0, S(FFFD "z"), "a character broken off by a letter"},
    /* Unicode 15, table 3-8 */
    {S("a\xF1\x80\x80\xE1\x80\xC2z"), 1, S("a" FFFD FFFD FFFD "z"), "maximal parts"},
};

static void utf8_is_judged_and_repaired(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(UTF8); i++) {
        struct str text = UTF8[i].text;
        if (text_whole_prefix(text) != UTF8[i].whole ||
            text_is_utf8(text) != (UTF8[i].whole == text.len))
            fail_msg("%s: prefix of %zu", UTF8[i].why, text_whole_prefix(text));
        assert_str(text_repair(&arena, text), UTF8[i].repaired, UTF8[i].why);
    }
}

/* Every code point by itself, behind 0 to 8 bytes of ASCII, is taken exactly when it is a scalar
 * value. */
static void every_code_point_is_judged(void **state) {
    (void)state;
    for (uint32_t c = 0; c < 0x120000; c += c < 0x12000 ? 1 : 251) {
        char bytes[16] = "aaaaaaaa";
        size_t at = c % 9, len = at;
        if (c < 0x80) {
            bytes[len++] = (char)c;
        } else if (c < 0x800) {
            bytes[len++] = (char)(0xC0 | c >> 6);
        } else if (c < 0x10000) {
            bytes[len++] = (char)(0xE0 | c >> 12);
            bytes[len++] = (char)(0x80 | (c >> 6 & 0x3F));
        } else {
            bytes[len++] = (char)(0xF0 | c >> 18);
            bytes[len++] = (char)(0x80 | (c >> 12 & 0x3F));
            bytes[len++] = (char)(0x80 | (c >> 6 & 0x3F));
        }
        if (c >= 0x80)
            bytes[len++] = (char)(0x80 | (c & 0x3F));
        bool is_scalar = c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
        uint32_t read = 0xFFFFFFFF;
        if (text_is_utf8(str_of(bytes, len)) != is_scalar)
            fail_msg("U+%X", c);
        assert_int_equal(text_char(str_of(bytes, len), at, &read), is_scalar ? len - at : 0);
        if (is_scalar)
            assert_int_equal(read, c);
    }
}

static void length_and_cuts_count_code_points(void **state) {
    (void)state;
    struct str text = STR("a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80z");
    static const size_t ENDS[] = {0, 1, 3, 6, 10, 11, 11};
    assert_int_equal(text_length(text), 5);
    for (size_t i = 0; i < COUNT_OF(ENDS); i++)
        assert_int_equal(text_cut(text, i).len, ENDS[i]);
}

static void cuts_by_bytes_leave_whole_characters(void **state) {
    (void)state;
    struct str text = STR("a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80z");
    static const size_t ENDS[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (size_t i = 0; i < COUNT_OF(ENDS); i++)
        assert_int_equal(text_cut_bytes(text, i).len, ENDS[i]);
}

static const struct {
    struct str text, folded;
    const char *why;
} FOLDS[] = {
    {S("Hello World"), S("hello world"), "ASCII"},
    {S("STRASSE"), S("strasse"), "ASCII"},
    {S("Stra\xC3\x9F"
       "e"),
     S("strasse"), "sharp s folds to ss"},
    {S("\xC3\x84rger"), S("\xC3\xA4rger"), "a letter with its mark"},
    {S("A\xCC\x88rger"), S("\xC3\xA4rger"), "the same, decomposed: composed"},
    {S("\xCE\xA3\xCE\x91\xCE\xA3"), S("\xCF\x83\xCE\xB1\xCF\x83"), "final sigma"},
    {S("\xD0\x9C\xD0\x98\xD0\xA0"), S("\xD0\xBC\xD0\xB8\xD1\x80"), "Cyrillic"},
    {S("\xE5\xAD\x97"), S("\xE5\xAD\x97"), "no case"},
    {S("A\xFF"), S("a" FFFD), "not UTF-8: repaired"},
    {S(""), S(""), "empty"},
};

/* utf8proc sorts a run of marks by exchanging neighbours: without a bound a megabyte of them would
 * hold the loop for minutes. What a person could write is not changed by the bound. */
static void a_run_of_marks_is_bounded(void **state) {
    (void)state;
    enum { MARKS = 500000 };
    struct buf buf;
    buf_init(&buf, 4 << 20);
    buf_add_char(&buf, 'a');
    for (int i = 0; i < MARKS; i++)
        buf_add(&buf, i < MARKS / 2 ? "\xCC\x81" : "\xCC\xA3",
                2); /* above, then below: a swap each */
    buf_add_str(&buf, STR("Z"));
    struct timespec began, ended;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
    struct str folded = text_fold(&arena, buf_str(&buf));
    struct str bare = text_bare(&arena, buf_str(&buf));
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended);
    assert_true(ended.tv_sec - began.tv_sec < 10);
    assert_true(text_is_utf8(folded) && str_starts(folded, STR("\xC3\xA1")) &&
                str_ends(folded, STR("z")));
    assert_str(bare, STR("az"), "marks");
    buf_release(&buf);
}

static void folding_makes_names_comparable(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(FOLDS); i++)
        assert_str(text_fold(&arena, FOLDS[i].text), FOLDS[i].folded, FOLDS[i].why);
}

static const struct {
    struct str text;
    const char *words; /* each followed by | */
} WORDS[] = {
    {S("Hello, world!"), "Hello|world|"},
    {S(""), ""},
    {S(" ... "), ""},
    {S("don't 'quote' rock'n'roll'"), "don't|quote|rock'n'roll|"},
    {S("l\xE2\x80\x99"
       "amour"),
     "l\xE2\x80\x99"
     "amour|"},
    {S("room 42b"), "room|42b|"},
    {S("\xC3\xA4rger-\xC3\xBC"
       "ben"),
     "\xC3\xA4rger|\xC3\xBC"
     "ben|"},
    {S("e\xCC\x81t\xC3\xA9"), "e\xCC\x81t\xC3\xA9|"},
    {S("a\xFF"
       "b"),
     "a|b|"},
    {S("a\0b"), "a|b|"},
};

static void words_are_letters_digits_and_marks(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(WORDS); i++) {
        char joined[128];
        size_t at = 0, len = 0;
        struct str word;
        while (text_next_word(WORDS[i].text, &at, &word)) {
            memcpy(joined + len, word.at, word.len);
            len += word.len;
            joined[len++] = '|';
        }
        joined[len] = '\0';
        assert_string_equal(joined, WORDS[i].words);
    }
}

static const struct {
    struct str a, b;
    double min, max;
} LIKENESS[] = {
    {S("same"), S("SAME"), 1, 1},
    {S(""), S(""), 1, 1},
    {S(""), S("a"), 0, 0},
    {S("abc"), S("xyz"), 0, 0.01},
    {S("limits.requests_per_minute"), S("limits.reqests_per_minute"), 0.8, 0.99},
    {S("a"), S("a"), 1, 1},
    {S("\xC3\x84pfel"), S("\xC3\xA4pfel"), 1, 1},
    {S("night"), S("nacht"), 0.1, 0.6},
};

static const struct {
    uint32_t code_point;
    enum text_class class;
    uint32_t lower;
    uint32_t parts[TEXT_DECOMPOSITION_LIMIT]; /* the rest is 0 */
    const char *why;
} character_rows[] = {
    {'A', TEXT_PLAIN, 'a', {'A'}, "a capital"},
    {'7', TEXT_PLAIN, '7', {'7'}, "a digit"},
    {'+', TEXT_PLAIN, '+', {'+'}, "a symbol is no punctuation to Unicode"},
    {'!', TEXT_PUNCTUATION, '!', {'!'}, "punctuation"},
    {'\n', TEXT_CONTROL, '\n', {'\n'}, "line feed is a control character"},
    {' ', TEXT_SPACE, ' ', {' '}, "a space"},
    {0x3000, TEXT_SPACE, 0x3000, {0x3000}, "the wide space"},
    {0x200B, TEXT_CONTROL, 0x200B, {0x200B}, "a format character"},
    {0xE000, TEXT_CONTROL, 0xE000, {0xE000}, "private use"},
    {0x0301, TEXT_MARK, 0x0301, {0x0301}, "an accent alone"},
    {0x2014, TEXT_PUNCTUATION, 0x2014, {0x2014}, "the long dash"},
    {0xC9, TEXT_PLAIN, 0xE9, {'E', 0x0301}, "E with an accent"},
    {0x0130, TEXT_PLAIN, 'i', {'I', 0x0307}, "the Turkish capital with a dot"},
    {0x1F82, TEXT_PLAIN, 0x1F82, {0x03B1, 0x0313, 0x0300, 0x0345}, "the longest there is"},
    {0xD55C, TEXT_PLAIN, 0xD55C, {0x1112, 0x1161, 0x11AB}, "a syllable of Hangul"},
    {0xFB01, TEXT_PLAIN, 0xFB01, {0xFB01}, "a ligature is no canonical composition"},
    {0x0378, TEXT_PLAIN, 0x0378, {0x0378}, "not assigned"},
    {0x110000, TEXT_PLAIN, 0x110000, {0x110000}, "beyond Unicode"},
};

static void characters_are_told_apart_and_taken_apart(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(character_rows); i++) {
        uint32_t parts[TEXT_DECOMPOSITION_LIMIT] = {0};
        uint32_t code_point = character_rows[i].code_point;
        size_t count = text_decompose(code_point, parts);
        bool is_right = text_class(code_point) == character_rows[i].class &&
                        text_lower(code_point) == character_rows[i].lower &&
                        memcmp(parts, character_rows[i].parts, sizeof(parts)) == 0 &&
                        (count == TEXT_DECOMPOSITION_LIMIT || parts[count] == 0);
        if (!is_right)
            fail_msg("%s: class %d, lower %x, %zu parts", character_rows[i].why,
                     (int)text_class(code_point), text_lower(code_point), count);
    }
}

static void likeness_is_between_nothing_and_the_same(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(LIKENESS); i++) {
        double like = text_similarity(LIKENESS[i].a, LIKENESS[i].b),
               back = text_similarity(LIKENESS[i].b, LIKENESS[i].a);
        assert_true(like == back);
        if (like < LIKENESS[i].min || like > LIKENESS[i].max)
            fail_msg("row %zu: %f", i, like);
    }
    static char longest[100000];
    memset(longest, 'x', sizeof(longest));
    assert_true(
        text_similarity(str_of(longest, sizeof(longest)), str_of(longest, sizeof(longest))) == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_is_judged_and_repaired),
        cmocka_unit_test(every_code_point_is_judged),
        cmocka_unit_test(length_and_cuts_count_code_points),
        cmocka_unit_test(cuts_by_bytes_leave_whole_characters),
        cmocka_unit_test(folding_makes_names_comparable),
        cmocka_unit_test(a_run_of_marks_is_bounded),
        cmocka_unit_test(words_are_letters_digits_and_marks),
        cmocka_unit_test(characters_are_told_apart_and_taken_apart),
        cmocka_unit_test(likeness_is_between_nothing_and_the_same),
    };
    return cmocka_run_group_tests(tests, each_arena_begin, each_arena_end);
}
