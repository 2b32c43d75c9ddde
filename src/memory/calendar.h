/* Days and months of the Gregorian calendar, in UTC, as numbers. */
#pragma once

#include <stdint.h>

#define DAY_MS ((int64_t)24 * 3600 * 1000)

struct calendar_date {
    int year, month, day; /* month 1 to 12, day 1 to 31 */
};

extern const char *const calendar_month_names[12]; /* English, as they are written */
/* Days since 1970-01-01; months and days may be out of range and carry over. */
int64_t calendar_day(int year, int month, int day);
struct calendar_date calendar_date(int64_t day);
int64_t calendar_day_of(int64_t at_ms);
int calendar_weekday(int64_t day); /* 0 is Sunday */
int calendar_month_days(int year, int month);
int64_t calendar_easter(int year); /* the Sunday, of the western churches */
