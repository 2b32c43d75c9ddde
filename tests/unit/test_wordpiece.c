/* links: troupe_vendor_free */
#include "wordpiece.h"

#include "base/check.h"
#include "embedder_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct wordpiece_vocabulary *vocabulary;

static int open_vocabulary(void **state) {
    (void)state;
    const struct embedder_weights *weights = embedder_file_map(EMBEDDER_FILE);
    assert_non_null(weights);
    vocabulary = &weights->vocabulary;
    return 0;
}

/* Ids as the model's own tokenizer.json gives them, without [CLS] and [SEP]: made with the package
 * @huggingface/tokenizers, and judged by the vectors of @lat.md/embed, which decides where the two
 * differ (final sigma, rare ideographs). That "[MASK]" is no command is our own choice. */
static const struct {
    const char *text;
    uint16_t ids[24]; /* ends with 0 */
    const char *why;
} rows[] = {
    {"hello", {7592, 0}, "one word, one piece"},
    {"Hello WORLD", {7592, 2088, 0}, "capitals"},
    {"unaffable embeddings tokenization",
     {14477, 20961, 3468, 7861, 8270, 4667, 2015, 19204, 3989, 0},
     "pieces inside a word"},
    {"don't you've o'clock",
     {2123, 1005, 1056, 2017, 1005, 2310, 1051, 1005, 5119, 0},
     "apostrophes stand alone"},
    {"a,b;c.d!e?f",
     {1037, 1010, 1038, 1025, 1039, 1012, 1040, 999, 1041, 1029, 1042, 0},
     "punctuation without spaces"},
    {"1,000.50$ 20% #5 @home",
     {1015, 1010, 2199, 1012, 2753, 1002, 2322, 1003, 1001, 1019, 1030, 2188, 0},
     "symbols of ASCII"},
    {"a+b=c <d> ^e |f| ~g `h`",
     {1037, 1009, 1038, 1027, 1039, 1026, 1040, 1028, 1034, 1041, 1064, 1042, 1064, 1066, 1043,
      1036, 1044, 1036, 0},
     "the other symbols of ASCII"},
    {"snake_case kebab-case",
     {7488, 1035, 2553, 17710, 3676, 2497, 1011, 2553, 0},
     "underline and hyphen"},
    {"caf\xC3\xA9 na\xC3\xAFve \xC3\x9C"
     "ber",
     {7668, 15743, 19169, 0},
     "accents, composed"},
    {"cafe\xCC\x81 nai\xCC\x88ve", {7668, 15743, 0}, "accents, as marks of their own"},
    {"\xC4\xB0stanbul D\xC4\xB1yarbak\xC4\xB1r",
     {9960, 1040, 11722, 13380, 3676, 2243, 11722, 2099, 0},
     "Turkish i with and without a dot"},
    {"Stra\xC3\x9F"
     "e \xE1\xBA\x9E",
     {2358, 27807, 1096, 0},
     "sharp s"},
    {"\xCE\xA3\xCE\xAF\xCF\x83\xCF\x85\xCF\x86\xCE\xBF\xCF\x82 \xCE\x9F\xCE\x94\xCE\x9F\xCE\xA3",
     {1173, 18199, 29733, 29735, 29736, 15297, 1169, 29722, 29730, 29733, 0},
     "Greek, final sigma stays what lower-case of a letter alone is"},
    {"\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82 \xD0\x99\xD0\xBE\xD0\xB4",
     {1194, 16856, 10325, 25529, 15290, 22919, 1188, 14150, 29742, 0},
     "Cyrillic, short i loses its breve"},
    {"\xE4\xBD\xA0\xE5\xA5\xBD world \xE4\xB8\x96\xE7\x95\x8C",
     {100, 100, 2088, 1745, 100, 0},
     "Chinese: each character a word"},
    {"\xE3\x81\x93\xE3\x82\x93\xE3\x81\xAB\xE3\x81\xA1\xE3\x81\xAF \xE3\x82\xAB\xE3\x82\xBF\xE3\x82\xAB\xE3\x83\x8A",
     {1655, 30217, 30194, 30188, 30198, 1700, 30235, 30226, 30241, 0},
     "kana: words, the voiced sign goes"},
    {"\xEF\xA4\x80\xE8\xB1\x88", {100, 100, 0}, "a compatibility ideograph"},
    {"\xED\x95\x9C\xEA\xB5\xAD\xEC\x96\xB4",
     {1469, 30006, 30021, 29991, 30014, 30020, 29999, 30008, 0},
     "Hangul falls apart into letters"},
    {"tab\x09here\x0Aline\x0D\x0A"
     "end",
     {21628, 2182, 2240, 2203, 0},
     "tab and line ends are spaces"},
    {"zero\xE2\x80\x8Bwidth\xE2\x80\x8Djoin \xEF\xBB\xBF"
     "bom soft\xC2\xADhyphen",
     {5717, 9148, 11927, 2232, 5558, 2378, 8945, 2213, 3730, 10536, 8458, 2368, 0},
     "format characters go"},
    {"nbsp\xC2\xA0here em\xE2\x80\x83space ideo\xE3\x80\x80graphic",
     {1050, 5910, 2361, 2182, 7861, 2686, 8909, 8780, 8425, 0},
     "other spaces"},
    {"line\xE2\x80\xA8sep par\xE2\x80\xA9sep",
     {2240, 19802, 11968, 19802, 0},
     "line and paragraph separators"},
    {"vertical\x0Btab form\x0C"
     "feed next\xC2\x85line",
     {7471, 2696, 2497, 2433, 7959, 2098, 2279, 4179, 0},
     "controls that are not spaces here go"},
    {"\xE2\x80\x9Cquoted\xE2\x80\x9D \xE2\x80\x98single\xE2\x80\x99 dash\xE2\x80\x94"
     "dash ellipsis\xE2\x80\xA6",
     {1523, 9339, 1524, 1520, 2309, 1521, 11454, 1517, 11454, 3449, 15000, 6190, 1529, 0},
     "punctuation beyond ASCII"},
    {"\xC2\xBFQu\xC3\xA9? \xC2\xA1S\xC3\xAD!",
     {1094, 10861, 1029, 1067, 9033, 999, 0},
     "Spanish marks"},
    {"\xE2\x82\xAC"
     "5 \xC2\xA3"
     "3 \xC2\xA9"
     "9 2\xC2\xB2 \xC2\xBD",
     {1574, 2629, 28182, 1075, 2683, 1016, 10701, 1092, 0},
     "symbols and numbers that are no punctuation"},
    {"\xF0\x9F\x98\x80 fun \xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD",
     {100, 4569, 100, 0},
     "emoji are unknown"},
    {"e\xCC\x80\xCC\x81\xCC\x82\xCC\x83x", {4654, 0}, "many marks"},
    {"\xCC\x81", {0}, "a mark alone: nothing"},
    {"\xE0\xA4\xB9\xE0\xA4\xBF\xE0\xA4\xA8\xE0\xA5\x8D\xE0\xA4\xA6\xE0\xA5\x80",
     {1339, 29877, 29863, 29861, 29878, 0},
     "Devanagari: spacing marks stay"},
    {"\xD8\xA7\xD9\x84\xD8\xB9\xD8\xB1\xD8\xA8\xD9\x8A\xD9\x91\xD8\xA9",
     {1270, 23673, 29830, 17149, 29816, 14498, 19433, 0},
     "Arabic, the doubling sign goes"},
    {"\xD7\xA9\xD7\x81\xD7\x9C\xD7\x95\xD6\xB9\xD7\x9D",
     {1266, 29799, 29792, 29800, 0},
     "Hebrew, points go"},
    {"\xEF\xAC\x81ne \xEF\xBC\xA1\xEF\xBC\xA2", {1984, 2638, 100, 0}, "compatibility forms stay"},
    {"\xE2\x84\xABngstr\xC3\xB6m \xE2\x84\xA6",
     {17076, 15687, 1179, 0},
     "singletons that decompose"},
    {"\xCD\xBE \xE1\xBF\xAF", {1025, 1036, 0}, "punctuation by decomposition"},
    {"www.example.com/path?x=1&y=2",
     {7479, 1012, 2742, 1012, 4012, 1013, 4130, 1029, 1060, 1027, 1015, 1004, 1061, 1027, 1016, 0},
     "an address"},
    {"C3PO's R2-D2 v1.2.3",
     {1039, 2509, 6873, 1005, 1055, 1054, 2475, 1011, 1040, 2475, 1058, 2487, 1012, 1016, 1012,
      1017, 0},
     "mixed letters and digits"},
    {"[MASK] ##ing", {1031, 7308, 1033, 1001, 1001, 13749, 0}, "no commands"},
    {"\xEE\x80\x80private\xEF\xA3\xBF", {2797, 0}, "private use goes"},
    {"   spaces   around   ", {7258, 2105, 0}, "runs of spaces"},
    {"", {0}, "nothing"},
    {"antidisestablishmentarianism",
     {3424, 10521, 4355, 7875, 13602, 3672, 12199, 2964, 0},
     "a long word"},
    {"xqzvbnmkjh", {1060, 4160, 2480, 26493, 2078, 2213, 2243, 3501, 2232, 0}, "a word of crumbs"},
    {"\xF0\x9F\x87\xA9\xF0\x9F\x87\xAA\xE2\x9D\xA4\xEF\xB8\x8F",
     {100, 0},
     "flags, a heart with its variation sign"},
    {"\xF0\xA0\x80\x80\xF0\xAA\x9C\x80 a\xE4\xB8\x80"
     "b",
     {100, 100, 1037, 1740, 1038, 0},
     "rare and inner ideographs"},
    {"\xE0\xB8\xAA\xE0\xB8\xA7\xE0\xB8\xB1\xE0\xB8\xAA\xE0\xB8\x94\xE0\xB8\xB5",
     {100, 0},
     "Thai: vowels above go"},
    {"\xC2\xAA\xC2\xBA\xC2\xB5\xC5\x89", {100, 0}, "letters that look like others"},
    {"\xE1\xBA\x9B\xCC\xA3 \xCD\x84", {100, 0}, "decompositions of two steps"},
    {"10\xC3\x97"
     "5\xC3\xB7"
     "2",
     {2184, 26306, 2629, 29669, 2475, 0},
     "times and divided"},
    {"\xE2\x91\xA0\xE2\x85\xA1\xE2\x81\xB5", {100, 0}, "numbers in circles, Roman, raised"},
};

static void splits(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint16_t ids[32], expected[32] = {WORDPIECE_BEGIN};
        size_t count = wordpiece_split(vocabulary, str_from(rows[i].text), ids, COUNT_OF(ids));
        size_t wanted = 1;
        while (rows[i].ids[wanted - 1] != 0) {
            expected[wanted] = rows[i].ids[wanted - 1];
            wanted++;
        }
        expected[wanted++] = WORDPIECE_END;
        if (count != wanted || memcmp(ids, expected, count * sizeof(*ids)) != 0)
            fail_msg("%s: '%s'", rows[i].why, rows[i].text);
    }
}

static void stops_at_the_limit(void **state) {
    (void)state;
    struct str text = STR("one two three four five");
    for (size_t limit = 2; limit < 7; limit++) {
        uint16_t ids[8] = {0};
        memset(ids, 0xEE, sizeof(ids));
        assert_int_equal(wordpiece_split(vocabulary, text, ids, limit), limit);
        assert_int_equal(ids[0], WORDPIECE_BEGIN);
        assert_int_equal(ids[limit - 1], WORDPIECE_END);
        assert_int_equal(ids[limit], 0xEEEE);
    }
}

static char *repeat(const char *piece, size_t times) {
    size_t len = strlen(piece);
    char *text = malloc(len * times + 1);
    assert_non_null(text);
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * len, piece, len);
    text[len * times] = '\0';
    return text;
}

/* A word of 100 characters is cut into pieces, one of 101 is unknown, whatever its bytes are. */
static void long_words(void **state) {
    (void)state;
    static const char *const letters[] = {"a", "\xC3\x9F", "\xE0\xA4\x95", "\xF0\x9D\x92\x9C"};
    for (size_t i = 0; i < COUNT_OF(letters); i++) {
        uint16_t ids[300];
        char *fits = repeat(letters[i], 100), *breaks = repeat(letters[i], 101);
        wordpiece_split(vocabulary, str_from(fits), ids, COUNT_OF(ids));
        if (i < 3)
            assert_int_not_equal(ids[1], WORDPIECE_UNKNOWN);
        assert_int_equal(wordpiece_split(vocabulary, str_from(breaks), ids, COUNT_OF(ids)), 3);
        assert_int_equal(ids[1], WORDPIECE_UNKNOWN);
        free(fits);
        free(breaks);
    }
}

/* What is not UTF-8 is skipped; the words around it stay one. */
static void broken_bytes(void **state) {
    (void)state;
    static const char *const texts[] = {"he\xFFllo",     "he\xC3llo",         "\xE2\x82hello",
                                        "hello\xF0\x9F", "he\xED\xA0\x80llo", "he\xEF\xBF\xBDllo"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        uint16_t ids[16];
        assert_int_equal(wordpiece_split(vocabulary, str_from(texts[i]), ids, COUNT_OF(ids)), 3);
        assert_int_equal(ids[1], 7592);
    }
}

/* Megabytes without a word end, and without a space, cost no more than a walk. */
static void large_texts(void **state) {
    (void)state;
    static const char *const pieces[] = {" ", "x", "\xCC\x81", "word ", "!"};
    static const size_t counts[] = {2, 3, 2, 256, 256};
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        uint16_t ids[256];
        char *text = repeat(pieces[i], 1 << 20);
        assert_int_equal(wordpiece_split(vocabulary, str_from(text), ids, COUNT_OF(ids)),
                         counts[i]);
        free(text);
    }
}

/* A NUL is a control character, not an end. */
static void nul_is_dropped(void **state) {
    (void)state;
    uint16_t ids[16];
    assert_int_equal(wordpiece_split(vocabulary, STR("hel\0lo"), ids, COUNT_OF(ids)), 3);
    assert_int_equal(ids[1], 7592);
    assert_int_equal(wordpiece_split(vocabulary, STR_NONE, ids, COUNT_OF(ids)), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits),      cmocka_unit_test(stops_at_the_limit),
        cmocka_unit_test(long_words),  cmocka_unit_test(broken_bytes),
        cmocka_unit_test(large_texts), cmocka_unit_test(nul_is_dropped),
    };
    return cmocka_run_group_tests(tests, open_vocabulary, NULL);
}
