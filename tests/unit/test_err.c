/* links: troupe_base */
#include "base/check.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const struct {
    enum err err;
    int status;
    const char *word;
    bool is_retryable;
} ROWS[] = {
    {E_OK, 200, "ok", false},
    {E_INPUT, 422, "invalid", false},
    {E_DENIED, 403, "denied", false},
    {E_ABSENT, 404, "not_found", false},
    {E_CONFLICT, 409, "conflict", false},
    {E_LIMIT, 413, "limit", false},
    {E_BUSY, 503, "busy", true},
    {E_TIMEOUT, 503, "timeout", true},
    {E_UPSTREAM, 503, "upstream", true},
    {E_STORAGE, 507, "storage", true},
    {E_CANCELLED, 503, "cancelled", true},
};

static void every_code_has_its_status_word_and_hope(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        assert_int_equal(ROWS[i].err, i);
        assert_int_equal(err_status(ROWS[i].err), ROWS[i].status);
        assert_string_equal(err_word(ROWS[i].err), ROWS[i].word);
        assert_int_equal(err_is_retryable(ROWS[i].err), ROWS[i].is_retryable);
    }
}

static void words_are_distinct(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(err_word(ROWS[i].err), err_word(ROWS[k].err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_status_word_and_hope),
        cmocka_unit_test(words_are_distinct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
