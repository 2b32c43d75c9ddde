/*
 * The arithmetic is that of the proleptic Gregorian calendar with years that begin in March, so
 * that the leap day is the last of its year (E. G. Richards, "Mapping Time", chapter 25).
 */
#include "memory/calendar.h"

#include "base/banned.h"

#define DAYS_OF_ERA  146097 /* 400 years */
#define DAYS_TO_1970 719468 /* from 0000-03-01 */

const char *const calendar_month_names[12] = {"January",   "February", "March",    "April",
                                              "May",       "June",     "July",     "August",
                                              "September", "October",  "November", "December"};

static int64_t floor_div(int64_t a, int64_t b) {
    int64_t q = a / b;
    return q * b > a ? q - 1 : q;
}

int64_t calendar_day(int year, int month, int day) {
    int64_t months = (int64_t)year * 12 + month - 3; /* counted from March */
    int64_t y = floor_div(months, 12), m = months - y * 12;
    int64_t era = floor_div(y, 400), of_era = y - era * 400;
    int64_t of_year = (153 * m + 2) / 5 + day - 1;
    return era * DAYS_OF_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - DAYS_TO_1970;
}

struct calendar_date calendar_date(int64_t day) {
    int64_t from_march = day + DAYS_TO_1970;
    int64_t era = floor_div(from_march, DAYS_OF_ERA), of_era = from_march - era * DAYS_OF_ERA;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * of_year + 2) / 153;
    int month = (int)(m < 10 ? m + 3 : m - 9);
    return (struct calendar_date){.year = (int)(y + era * 400 + (month <= 2)),
                                  .month = month,
                                  .day = (int)(of_year - (153 * m + 2) / 5 + 1)};
}

int64_t calendar_day_of(int64_t at_ms) {
    return floor_div(at_ms, DAY_MS);
}

int calendar_weekday(int64_t day) {
    return (int)(day + 4 - floor_div(day + 4, 7) * 7); /* 1970-01-01 was a Thursday */
}

int calendar_month_days(int year, int month) {
    return (int)(calendar_day(year, month + 1, 1) - calendar_day(year, month, 1));
}

/* The anonymous algorithm that Nature printed in 1876 (J. Meeus, "Astronomical Algorithms", chapter 8). */
int64_t calendar_easter(int year) {
    int a = year % 19, b = year / 100, c = year % 100;
    int d = b / 4, e = b % 4, f = (b + 8) / 25, g = (b - f + 1) / 3;
    int h = (19 * a + b - d - g + 15) % 30;
    int i = c / 4, k = c % 4, l = (32 + 2 * e + 2 * i - h - k) % 7;
    int m = (a + 11 * h + 22 * l) / 451;
    int sum = h + l - 7 * m + 114;
    return calendar_day(year, sum / 31, sum % 31 + 1);
}
