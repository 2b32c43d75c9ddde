/* links: troupe_base */
#include "base/buf.h"
#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void assert_buf(const struct buf *buf, const char *expected) {
    struct str text = buf_str(buf);
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.at, expected, text.len);
}

static void what_is_added_stands_in_order(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 4096);
    assert_buf(&buf, "");
    buf_add(&buf, "abc", 3);
    buf_add_char(&buf, '-');
    buf_add_str(&buf, STR("def"));
    buf_add_str(&buf, STR_NONE);
    buf_add_int(&buf, -42);
    buf_printf(&buf, " %s %d", "x", 7);
    assert_int_equal(buf.err, E_OK);
    assert_buf(&buf, "abc-def-42 x 7");
    buf_drop_front(&buf, 4);
    assert_buf(&buf, "def-42 x 7");
    buf_cut(&buf, 3);
    assert_buf(&buf, "def");
    buf_clear(&buf);
    assert_buf(&buf, "");
    buf_release(&buf);
}

static const struct {
    int64_t value;
    const char *text;
} INTS[] = {
    {0, "0"},
    {7, "7"},
    {10, "10"},
    {99, "99"},
    {100, "100"},
    {-1, "-1"},
    {1000, "1000"},
    {-100, "-100"},
    {123456789, "123456789"},
    {INT64_MAX, "9223372036854775807"},
    {INT64_MIN, "-9223372036854775808"},
};

static void integers_are_printed_as_printf_would(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 64);
    for (size_t i = 0; i < COUNT_OF(INTS); i++) {
        buf_clear(&buf);
        buf_add_int(&buf, INTS[i].value);
        assert_buf(&buf, INTS[i].text);
    }
    buf_release(&buf);
}

/* Whatever the ceiling: it is never passed, the error stays, and what came before it is whole. */
static void the_ceiling_holds_wherever_it_lies(void **state) {
    (void)state;
    for (size_t ceiling = 1; ceiling <= 20; ceiling++) {
        struct buf buf;
        buf_init(&buf, ceiling);
        buf_add(&buf, "12345", 5);
        buf_add_int(&buf, 678);
        buf_printf(&buf, "%d", 90);
        buf_add_char(&buf, '!');
        assert_int_equal(buf.err, ceiling < 11 ? E_LIMIT : E_OK);
        static const size_t PIECES[] = {0, 5, 8, 10, 11};
        size_t expected = 0;
        for (size_t i = 0; i < COUNT_OF(PIECES); i++)
            expected = PIECES[i] <= ceiling ? PIECES[i] : expected;
        assert_int_equal(buf.len, expected);
        assert_memory_equal(buf.at ? buf.at : "", "1234567890!", expected);
        buf_add(&buf, NULL, 0);
        assert_int_equal(buf.len, expected);
        buf_release(&buf);
    }
}

static void nothing_is_added_after_an_error_until_it_is_cleared(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 4);
    buf_add(&buf, "12345", 5);
    buf_add_char(&buf, 'x');
    assert_int_equal(buf.len, 0);
    assert_false(buf_reserve(&buf, 1));
    assert_false(buf_reserve(&buf, SIZE_MAX));
    buf_clear(&buf);
    buf_add_char(&buf, 'x');
    assert_buf(&buf, "x");
    buf_release(&buf);
}

static void taken_bytes_are_the_callers_and_end_with_nul(void **state) {
    (void)state;
    struct buf buf;
    size_t len = 99;
    buf_init(&buf, 8);
    char *nothing = buf_take(&buf, &len);
    assert_int_equal(len, 0);
    assert_string_equal(nothing, "");
    free(nothing);
    buf_add(&buf, "12345678", 8); /* exactly the ceiling: the NUL still fits */
    char *bytes = buf_take(&buf, &len);
    assert_int_equal(len, 8);
    assert_string_equal(bytes, "12345678");
    free(bytes);
    assert_null(buf.at);
    buf_add_char(&buf, 'y');
    assert_buf(&buf, "y");
    buf_release(&buf);
}

static void shrinking_gives_memory_above_the_mark_back(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 1 << 20);
    assert_true(buf_reserve(&buf, 100000));
    buf_shrink(&buf, 200000);
    assert_non_null(buf.at);
    buf_shrink(&buf, 4096);
    assert_null(buf.at);
    assert_int_equal(buf.room, 0);
    buf_add_char(&buf, 'z');
    assert_buf(&buf, "z");
    buf_release(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_added_stands_in_order),
        cmocka_unit_test(integers_are_printed_as_printf_would),
        cmocka_unit_test(the_ceiling_holds_wherever_it_lies),
        cmocka_unit_test(nothing_is_added_after_an_error_until_it_is_cleared),
        cmocka_unit_test(taken_bytes_are_the_callers_and_end_with_nul),
        cmocka_unit_test(shrinking_gives_memory_above_the_mark_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
