/* links: troupe_memory */
#include "memory/timewords.h"

#include "base/check.h"
#include "base/clock.h"
#include "memory/calendar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* A Saturday. */
#define NOW "2026-11-21T15:30:00Z"

/* from and to are days, the second exclusive; "" is no expression, "-" is open. */
static const struct row {
    const char *text, *from, *to;
} rows[] = {
    {"what did we eat today", "2026-11-21", "2026-11-22"},
    {"tonight", "2026-11-21", "2026-11-22"},
    {"this morning", "2026-11-21", "2026-11-22"},
    {"What happened yesterday?", "2026-11-20", "2026-11-21"},
    {"the day before yesterday", "2026-11-19", "2026-11-20"},
    {"tomorrow", "2026-11-22", "2026-11-23"},
    {"the day after tomorrow", "2026-11-23", "2026-11-24"},
    {"last night", "2026-11-20", "2026-11-22"},
    {"the other day", "2026-11-11", "2026-11-21"},
    {"two days ago", "2026-11-19", "2026-11-20"},
    {"3 days ago", "2026-11-18", "2026-11-19"},
    {"a day ago", "2026-11-20", "2026-11-21"},
    {"a couple of days ago", "2026-11-19", "2026-11-20"},
    {"a few days ago", "2026-11-18", "2026-11-19"},
    {"several days ago", "2026-11-17", "2026-11-18"},
    {"five hours ago", "2026-11-20", "2026-11-22"},
    {"a week ago", "2026-11-11", "2026-11-18"},
    {"two weeks ago", "2026-11-04", "2026-11-11"},
    {"2 weeks back", "2026-11-04", "2026-11-11"},
    {"a fortnight ago", "2026-11-04", "2026-11-11"},
    {"one month ago", "2026-10-01", "2026-11-01"},
    {"two months ago", "2026-09-01", "2026-10-01"},
    {"eleven months ago", "2025-12-01", "2026-01-01"},
    {"a year ago", "2025-01-01", "2026-01-01"},
    {"ten years ago", "2016-01-01", "2017-01-01"},
    {"last week", "2026-11-09", "2026-11-16"},
    {"this week", "2026-11-16", "2026-11-23"},
    {"next week", "2026-11-23", "2026-11-30"},
    {"last weekend", "2026-11-14", "2026-11-16"},
    {"this weekend", "2026-11-21", "2026-11-23"},
    {"at the weekend", "2026-11-21", "2026-11-23"},
    {"last month", "2026-10-01", "2026-11-01"},
    {"this month", "2026-11-01", "2026-12-01"},
    {"next month", "2026-12-01", "2027-01-01"},
    {"last year", "2025-01-01", "2026-01-01"},
    {"this year", "2026-01-01", "2027-01-01"},
    {"next year", "2027-01-01", "2028-01-01"},
    {"the week before last", "2026-11-02", "2026-11-09"},
    {"the month before last", "2026-09-01", "2026-10-01"},
    {"the year before last", "2024-01-01", "2025-01-01"},
    {"the last three weeks", "2026-10-31", "2026-11-22"},
    {"in the past two days", "2026-11-19", "2026-11-22"},
    {"in the last 6 months", "2026-05-25", "2026-11-22"},
    {"on Friday", "2026-11-20", "2026-11-21"},
    {"on Saturday", "2026-11-21", "2026-11-22"},
    {"on Sunday", "2026-11-15", "2026-11-16"},
    {"last Friday", "2026-11-20", "2026-11-21"},
    {"last Saturday", "2026-11-14", "2026-11-15"},
    {"next Friday", "2026-11-27", "2026-11-28"},
    {"this Wednesday", "2026-11-18", "2026-11-19"},
    {"last summer", "2026-06-01", "2026-09-01"},
    {"this summer", "2026-06-01", "2026-09-01"},
    {"next summer", "2027-06-01", "2027-09-01"},
    {"in the summer", "2026-06-01", "2026-09-01"},
    {"last autumn", "2025-09-01", "2025-12-01"},
    {"last fall", "2025-09-01", "2025-12-01"},
    {"in the spring", "2026-03-01", "2026-06-01"},
    {"last winter", "2025-12-01", "2026-03-01"},
    {"summer 2022", "2022-06-01", "2022-09-01"},
    {"the summer of 2022", "2022-06-01", "2022-09-01"},
    {"the summer before last", "2024-06-01", "2024-09-01"},
    {"in May", "2026-05-01", "2026-06-01"},
    {"in December", "2025-12-01", "2026-01-01"},
    {"last May", "2026-05-01", "2026-06-01"},
    {"last November", "2025-11-01", "2025-12-01"},
    {"next May", "2027-05-01", "2027-06-01"},
    {"in May 2023", "2023-05-01", "2023-06-01"},
    {"in may of 2023", "2023-05-01", "2023-06-01"},
    {"Sept 2024", "2024-09-01", "2024-10-01"},
    {"5 May 2023", "2023-05-05", "2023-05-06"},
    {"the 5th of May 2023", "2023-05-05", "2023-05-06"},
    {"May 5th, 2023", "2023-05-05", "2023-05-06"},
    {"May 5", "2026-05-05", "2026-05-06"},
    {"December 24th", "2025-12-24", "2025-12-25"},
    {"2023-05-29", "2023-05-29", "2023-05-30"},
    {"29.05.2023", "2023-05-29", "2023-05-30"},
    {"05/29/2023", "2023-05-29", "2023-05-30"},
    {"29/05/2023", "2023-05-29", "2023-05-30"},
    {"in 2023", "2023-01-01", "2024-01-01"},
    {"in the 1990s", "1990-01-01", "2000-01-01"},
    {"early May 2023", "2023-05-01", "2023-05-11"},
    {"late May 2023", "2023-05-21", "2023-06-01"},
    {"at the end of 2023", "2023-08-31", "2024-01-01"},
    {"at the beginning of this year", "2026-01-01", "2026-05-02"},
    {"last Christmas", "2025-12-24", "2025-12-27"},
    {"on Christmas Eve 2024", "2024-12-23", "2024-12-26"},
    {"New Year's Eve", "2025-12-30", "2026-01-02"},
    {"on New Year's Day 2024", "2023-12-31", "2024-01-03"},
    {"Easter 2024", "2024-03-30", "2024-04-02"},
    {"last Easter", "2026-04-04", "2026-04-07"},
    {"Thanksgiving 2023", "2023-11-22", "2023-11-25"},
    {"at Halloween", "2026-10-30", "2026-11-02"},
    {"on Valentine's Day", "2026-02-13", "2026-02-16"},
    {"recently", "2026-10-22", "2026-11-22"},
    {"since May 2023", "2023-05-01", "-"},
    {"after 2022", "2023-01-01", "-"},
    {"before last summer", "-", "2026-06-01"},
    {"until 2022", "-", "2022-01-01"},
    /* What only looks like a time. */
    {"May I ask you something?", "", ""},
    {"you may go", "", ""},
    {"they march on", "", ""},
    {"did he fall off the ladder", "", ""},
    {"spring a leak", "", ""},
    {"two weeks of rain", "", ""},
    {"room 2500", "", ""},
    {"it took 45 days", "", ""},
    {"31.31.2023", "2023-01-01", "2024-01-01"},
    {"a second helping", "", ""},
    {"", "", ""},
};

static int64_t moment(const char *day) {
    if (strcmp(day, "-") == 0)
        return 0;
    char text[32];
    int64_t at;
    snprintf(text, sizeof text, "%sT00:00:00Z", day);
    assert_int_equal(clock_parse_rfc3339(str_from(text), &at), E_OK);
    return at;
}

static size_t read_text(struct arena *arena, const char *text, struct time_range *ranges) {
    size_t count;
    int64_t now;
    assert_int_equal(clock_parse_rfc3339(STR(NOW), &now), E_OK);
    struct memory_word *words = memory_words(arena, str_from(text), 100, &count);
    return timewords_read(words, count, now, ranges);
}

static void expressions_become_ranges(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena;
        arena_init(&arena);
        struct time_range ranges[TIME_RANGES_LIMIT];
        size_t count = read_text(&arena, rows[i].text, ranges);
        bool is_none = rows[i].from[0] == '\0';
        bool is_right = is_none ? count == 0 : count == 1;
        if (is_right && !is_none) {
            int64_t from = strcmp(rows[i].from, "-") == 0 ? INT64_MIN : moment(rows[i].from);
            int64_t to = strcmp(rows[i].to, "-") == 0 ? INT64_MAX : moment(rows[i].to);
            is_right = ranges[0].from_ms == from && ranges[0].to_ms == to;
        }
        if (!is_right) {
            char from[RFC3339_LEN + 1] = "", to[RFC3339_LEN + 1] = "";
            if (count > 0) {
                clock_rfc3339(ranges[0].from_ms, from);
                clock_rfc3339(ranges[0].to_ms, to);
            }
            fail_msg("\"%s\": %zu ranges, %s to %s", rows[i].text, count, from, to);
        }
        arena_release(&arena);
    }
}

static void several_in_one_question(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    struct time_range ranges[TIME_RANGES_LIMIT];
    assert_int_equal(read_text(&arena, "between May 2023 and July 2023, or on Friday", ranges), 3);
    assert_int_equal(ranges[1].month, 7);
    assert_int_equal(read_text(&arena, "2001 2002 2003 2004 2005 2006 2007", ranges),
                     TIME_RANGES_LIMIT);
    arena_release(&arena);
}

/* A moment and how well it fits; the numbers are those of memory.md. */
static const struct fit {
    const char *text, *day;
    double fit;
} fits[] = {
    {"in May 2023", "2023-05-20", 1},     {"in May 2023", "2023-06-02", 0.4},
    {"in May 2023", "2023-07-02", 0},     {"in May 2023", "2022-05-20", 0.3},
    {"in May", "2019-05-20", 1},          {"5 May 2023", "2023-05-05", 2},
    {"5 May 2023", "2023-05-07", 1.75},   {"in 2023", "2023-08-01", 0.5},
    {"in 2023", "2022-08-01", 0},         {"December 2022", "2023-01-15", 0.4},
    {"yesterday", "2026-11-20", 2},       {"yesterday", "2026-06-20", 0},
    {"two weeks ago", "2026-11-07", 1.5}, {"last summer", "2026-07-01", 1},
    {"last summer", "2025-07-01", 0},     {"before 2022", "1999-01-01", 0.3},
    {"since 2022", "2021-01-01", 0},
};

static void moments_fit_what_was_asked(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(fits); i++) {
        struct arena arena;
        arena_init(&arena);
        struct time_range ranges[TIME_RANGES_LIMIT];
        size_t count = read_text(&arena, fits[i].text, ranges);
        double fit = timewords_fit(ranges, count, moment(fits[i].day) + DAY_MS / 2);
        if (fit < fits[i].fit - 1e-9 || fit > fits[i].fit + 1e-9)
            fail_msg("%s on %s: %f instead of %f", fits[i].text, fits[i].day, fit, fits[i].fit);
        arena_release(&arena);
    }
}

static void days_and_dates_agree(void **state) {
    (void)state;
    for (int64_t day = -800000; day < 400000; day += 97) {
        struct calendar_date date = calendar_date(day);
        assert_int_equal(calendar_day(date.year, date.month, date.day), day);
        assert_in_range(date.month, 1, 12);
        assert_in_range(date.day, 1, calendar_month_days(date.year, date.month));
    }
    assert_int_equal(calendar_weekday(calendar_day(2026, 11, 21)), 6);
    assert_int_equal(calendar_weekday(calendar_day(1969, 12, 31)), 3);
    assert_int_equal(calendar_day(2023, 14, 1), calendar_day(2024, 2, 1));
    assert_int_equal(calendar_day(2023, -1, 1), calendar_day(2022, 11, 1));
    assert_int_equal(calendar_month_days(2024, 2), 29);
    assert_int_equal(calendar_easter(2000), calendar_day(2000, 4, 23));
    assert_int_equal(calendar_easter(2038), calendar_day(2038, 4, 25));
}

int main(void) {
    clock_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_become_ranges),
        cmocka_unit_test(several_in_one_question),
        cmocka_unit_test(moments_fit_what_was_asked),
        cmocka_unit_test(days_and_dates_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
