/* links: troupe_model */
/* What an endpoint complains of, in words: complete, cut, and without the key. */
#include "model/endpoint_error.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char KEY[] = "sk-0123456789abcdef";

static const char *said(size_t size, struct endpoint_error error) {
    static char out[512];
    assert_true(size <= sizeof out);
    memset(out, '!', sizeof out);
    error.key = error.key.at == NULL ? STR(KEY) : error.key;
    endpoint_error_write(out, size, &error);
    assert_true(strlen(out) < size);
    return out;
}

static void a_sentence_has_what_is_known(void **state) {
    (void)state;
    static const struct {
        struct endpoint_error error;
        const char *sentence;
    } rows[] = {
        {{.what = "It failed"}, "It failed."},
        {{.what = "It failed", .status = 503}, "It failed (503)."},
        {{.what = "It failed", .words = {"no room", 7}}, "It failed: no room"},
        {{.what = "It failed", .status = 400, .words = {"a\tb\nc", 5}}, "It failed (400): a b c"},
        {{.what = "It failed", .words = {"caf\xC3\xA9s", 6}, .most_bytes = 4}, "It failed: caf"},
        {{.what = "It failed", .words = {"caf\xC3", 4}}, "It failed: caf\xEF\xBF\xBD"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_string_equal(said(512, rows[i].error), rows[i].sentence);
}

/* Wherever the sentence ends, also in the middle of where the key stood. */
static void no_part_of_the_key_is_left(void **state) {
    (void)state;
    char words[200];
    int len = snprintf(words, sizeof words, "Wrong key %s, and again %s%s.", KEY, KEY, KEY);
    struct endpoint_error error = {.what = "Refused", .words = str_of(words, (size_t)len)};
    for (size_t size = 16; size < 120; size++)
        assert_null(strstr(said(size, error), "sk-"));
    for (size_t most = 1; most < 100; most++) {
        error.most_bytes = most;
        assert_null(strstr(said(512, error), "sk-"));
    }
}

/* Somebody pasted the stars that stand for a key. */
static void a_key_of_stars_ends(void **state) {
    (void)state;
    assert_string_equal(said(512, (struct endpoint_error){.what = "Refused",
                                                          .words = {"key ********", 12},
                                                          .key = {"****", 4}}),
                        "Refused: key ********");
}

/* Too short to be a secret: it would only make holes in words. */
static void a_short_key_hides_nothing(void **state) {
    (void)state;
    assert_string_equal(
        said(512,
             (struct endpoint_error){.what = "Refused", .words = {"nothing", 7}, .key = {"n", 1}}),
        "Refused: nothing");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sentence_has_what_is_known),
        cmocka_unit_test(no_part_of_the_key_is_left),
        cmocka_unit_test(a_key_of_stars_ends),
        cmocka_unit_test(a_short_key_hides_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
