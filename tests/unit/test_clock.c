/* links: troupe_base */
#include "base/check.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static const struct {
    int64_t at_ms;
    const char *rfc3339, *http;
} MOMENTS[] = {
    {0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT"},
    {-1, "1969-12-31T23:59:59.999Z", "Wed, 31 Dec 1969 23:59:59 GMT"},
    {INT64_C(951782400000), "2000-02-29T00:00:00.000Z", "Tue, 29 Feb 2000 00:00:00 GMT"},
    {INT64_C(4107542400000), "2100-03-01T00:00:00.000Z", "Mon, 01 Mar 2100 00:00:00 GMT"},
    {INT64_C(1795233120123), "2026-11-21T03:52:00.123Z", "Sat, 21 Nov 2026 03:52:00 GMT"},
    {INT64_C(-62167219200000), "0000-01-01T00:00:00.000Z", "Sat, 01 Jan 0000 00:00:00 GMT"},
    {INT64_C(253402300799999), "9999-12-31T23:59:59.999Z", "Fri, 31 Dec 9999 23:59:59 GMT"},
    {INT64_MIN, "0000-01-01T00:00:00.000Z", "Sat, 01 Jan 0000 00:00:00 GMT"},
    {INT64_MAX, "9999-12-31T23:59:59.999Z", "Fri, 31 Dec 9999 23:59:59 GMT"},
};

static void moments_are_written_in_both_forms(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(MOMENTS); i++) {
        char text[RFC3339_LEN + 1], http[HTTP_DATE_LEN + 1];
        clock_rfc3339(MOMENTS[i].at_ms, text);
        clock_http_date(MOMENTS[i].at_ms, http);
        assert_string_equal(text, MOMENTS[i].rfc3339);
        assert_string_equal(http, MOMENTS[i].http);
    }
}

/* Every third day of the years 0 to 9999 at an odd time, against the C library, and back. */
static void all_days_agree_with_the_c_library(void **state) {
    (void)state;
    for (int64_t at_ms = INT64_C(-62167219200000) + 12345678; at_ms < INT64_C(253402300799999);
         at_ms += INT64_C(3) * 86400000 + 7777) {
        char mine[RFC3339_LEN + 1], theirs[64];
        struct tm tm;
        time_t seconds = (time_t)((at_ms - ((at_ms % 1000) + 1000) % 1000) / 1000);
        gmtime_r(&seconds, &tm);
        snprintf(theirs, sizeof(theirs), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                 (int)(((at_ms % 1000) + 1000) % 1000));
        clock_rfc3339(at_ms, mine);
        if (strcmp(mine, theirs) != 0)
            fail_msg("%s, the C library says %s", mine, theirs);
        int64_t back = 0;
        if (clock_parse_rfc3339(str_from(mine), &back) != E_OK || back != at_ms)
            fail_msg("%s came back as %lld", mine, (long long)back);
    }
}

static const struct {
    const char *text;
    int64_t at_ms;
} READ[] = {
    {"2026-11-21T03:52:00Z", INT64_C(1795233120000)},
    {"2026-11-21t03:52:00z", INT64_C(1795233120000)},
    {"2026-11-21 03:52:00Z", INT64_C(1795233120000)},
    {"2026-11-21T05:52:00+02:00", INT64_C(1795233120000)},
    {"2026-11-20T22:22:00-05:30", INT64_C(1795233120000)},
    {"2026-11-21T03:52:00-00:00", INT64_C(1795233120000)},
    {"2026-11-21T03:52:00.1Z", INT64_C(1795233120100)},
    {"2026-11-21T03:52:00.1239999999999Z", INT64_C(1795233120123)},
    {"2016-12-31T23:59:60Z", INT64_C(1483228800000)},
    {"2024-02-29T00:00:00Z", INT64_C(1709164800000)},
};

static const char *const REFUSED[] = {
    "",
    "2026-11-21",
    "2026-11-21T03:52Z",
    "2026-11-21T03:52:00",
    "2026-11-21T03:52:00.Z",
    "2026-11-21T03:52:00,5Z",
    "2026-11-21T03:52:00ZZ",
    "2026-11-21T03:52:00+0200",
    "2026-11-21T03:52:00+24:00",
    "2026-11-21T03:52:00+02:60",
    "2026-11-21T24:00:00Z",
    "2026-11-21T03:60:00Z",
    "2026-11-21T03:52:61Z",
    "2026-00-21T03:52:00Z",
    "2026-13-21T03:52:00Z",
    "2026-11-00T03:52:00Z",
    "2026-11-31T03:52:00Z",
    "2023-02-29T00:00:00Z",
    "2100-02-29T00:00:00Z",
    "+026-11-21T03:52:00Z",
    "026-11-21T03:52:00Z",
    "2026/11/21T03:52:00Z",
    "0000-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01",
};

static void rfc3339_is_read_strictly(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(READ); i++) {
        int64_t at_ms = 0;
        if (clock_parse_rfc3339(str_from(READ[i].text), &at_ms) != E_OK || at_ms != READ[i].at_ms)
            fail_msg("%s gave %lld", READ[i].text, (long long)at_ms);
    }
    for (size_t i = 0; i < COUNT_OF(REFUSED); i++) {
        int64_t at_ms = 4711;
        if (clock_parse_rfc3339(str_from(REFUSED[i]), &at_ms) != E_INPUT || at_ms != 4711)
            fail_msg("%s was taken", REFUSED[i]);
    }
}

static void a_test_moves_both_clocks_while_they_run(void **state) {
    (void)state;
    char path[] = "/tmp/troupe-clock-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    int64_t wall = clock_now_ms(), mono = clock_mono_us(), hour = 3600 * 1000, absurd = INT64_MAX;
    setenv("TROUPE_TEST_CLOCK", path, 1);
    clock_init();
    assert_in_range(clock_now_ms(), wall, wall + 60000); /* the file is still empty */
    assert_int_equal(pwrite(fd, &hour, 8, 0), 8);
    assert_in_range(clock_now_ms(), wall + hour, wall + hour + 60000);
    assert_in_range(clock_mono_us(), mono + hour * 1000, mono + (hour + 60000) * 1000);
    assert_int_equal(ftruncate(fd, 0), 0); /* as a careless writer does first */
    assert_in_range(clock_now_ms(), wall + hour, wall + hour + 60000);
    assert_int_equal(pwrite(fd, &absurd, 8, 0), 8);
    assert_in_range(clock_now_ms(), wall + hour, wall + hour + 60000);
    close(fd);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_written_in_both_forms),
        cmocka_unit_test(all_days_agree_with_the_c_library),
        cmocka_unit_test(rfc3339_is_read_strictly),
        cmocka_unit_test(a_test_moves_both_clocks_while_they_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
