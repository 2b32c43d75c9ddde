/*
 * Dates are computed with the days-to-civil algorithms of Howard Hinnant ("chrono-compatible
 * low-level date algorithms"): no tables, no locale, no time zone, a few divisions by constants.
 * The C library's gmtime_r takes five times as long and its callers need a formatter after it.
 */
#include "base/clock.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/banned.h"

#define DAY_MS          INT64_C(86400000)
#define FIRST_MS        INT64_C(-62167219200000) /* 0000-01-01T00:00:00.000Z */
#define LAST_MS         INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */
#define OFFSET_LIMIT_MS (LAST_MS - FIRST_MS)     /* a test clock that claims more is not believed */

static int test_clock_fd = -1;
static _Atomic int64_t test_offset_ms;

void clock_init(void) {
    const char *path = getenv("TROUPE_TEST_CLOCK");
    if (path == NULL || *path == '\0')
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        BUG("TROUPE_TEST_CLOCK=%s: %s", path, strerror(errno));
    if (test_clock_fd >= 0)
        close(test_clock_fd);
    test_clock_fd = fd;
}

/* A read, not a mapping: a test that truncates the file before it writes would end a mapped process
 * with SIGBUS. */
static int64_t offset_ms(void) {
    if (test_clock_fd < 0)
        return 0;
    unsigned char bytes[8];
    if (pread(test_clock_fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes)) {
        uint64_t value = 0;
        for (int i = 7; i >= 0; i--)
            value = value << 8 | bytes[i];
        int64_t offset = (int64_t)value;
        if (offset >= -OFFSET_LIMIT_MS && offset <= OFFSET_LIMIT_MS)
            atomic_store_explicit(&test_offset_ms, offset, memory_order_relaxed);
    }
    return atomic_load_explicit(&test_offset_ms, memory_order_relaxed);
}

int64_t clock_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + offset_ms();
}

int64_t clock_mono_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + offset_ms() * 1000;
}

struct civil {
    int year, month, day, hour, minute, second, ms;
    int weekday; /* 0 is Sunday */
};

/* A year has four digits. */
static int64_t within_years(int64_t at_ms) {
    return at_ms < FIRST_MS ? FIRST_MS : at_ms > LAST_MS ? LAST_MS : at_ms;
}

/* Days are counted from 0000-03-01 in eras of 400 years, so that the leap day is the last of its
 * year. */
static struct civil civil_of(int64_t at_ms) {
    at_ms = within_years(at_ms);
    uint64_t since = (uint64_t)(at_ms - FIRST_MS);
    uint32_t in_day = (uint32_t)(since % (uint64_t)DAY_MS);
    uint32_t days =
        (uint32_t)(since / (uint64_t)DAY_MS) + 146097 - 60; /* from March, an era earlier */
    uint32_t era = days / 146097, day_of_era = days % 146097;
    uint32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t march_month = (5 * day_of_year + 2) / 153;
    struct civil civil = {.day = (int)(day_of_year - (153 * march_month + 2) / 5 + 1)};
    civil.month = (int)(march_month < 10 ? march_month + 3 : march_month - 9);
    civil.year = (int)(year_of_era + era * 400) - 400 + (civil.month <= 2);
    civil.ms = (int)(in_day % 1000);
    civil.second = (int)(in_day / 1000 % 60);
    civil.minute = (int)(in_day / 60000 % 60);
    civil.hour = (int)(in_day / 3600000);
    civil.weekday = (int)((since / (uint64_t)DAY_MS + 6) % 7); /* 0000-01-01 was a Saturday */
    return civil;
}

int64_t clock_days(int year, int month, int day) {
    int64_t y = year - (month <= 2) + 400; /* an era later, so that nothing is negative */
    int64_t era = y / 400, year_of_era = y % 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468 - 146097;
}

int clock_year(int64_t at_ms) {
    return civil_of(at_ms).year;
}

static char *two(char *at, int value) {
    at[0] = (char)('0' + value / 10);
    at[1] = (char)('0' + value % 10);
    return at + 2;
}

static char *word(char *at, const char *text, size_t len) {
    memcpy(at, text, len);
    return at + len;
}

/* The last day that was written, as text: what is shown together is seldom of two days. */
static const char *day_text(int64_t at_ms) {
    static _Thread_local struct {
        int64_t from_ms;
        char text[16]; /* 2026-01-31T */
    } day = {.from_ms = LAST_MS + 1};
    if (at_ms >= day.from_ms && at_ms - day.from_ms < DAY_MS)
        return day.text;
    struct civil civil = civil_of(at_ms);
    char *at = two(two(day.text, civil.year / 100), civil.year % 100);
    *at++ = '-';
    at = two(at, civil.month);
    *at++ = '-';
    at = two(at, civil.day);
    *at = 'T';
    day.from_ms = at_ms - (at_ms - FIRST_MS) % DAY_MS;
    return day.text;
}

void clock_rfc3339(int64_t at_ms, char out[RFC3339_LEN + 1]) {
    at_ms = within_years(at_ms);
    char *at = word(out, day_text(at_ms), 11);
    uint32_t in_day = (uint32_t)((uint64_t)(at_ms - FIRST_MS) % (uint64_t)DAY_MS);
    at = two(at, (int)(in_day / 3600000));
    *at++ = ':';
    at = two(at, (int)(in_day / 60000 % 60));
    *at++ = ':';
    at = two(at, (int)(in_day / 1000 % 60));
    *at++ = '.';
    *at++ = (char)('0' + in_day % 1000 / 100);
    at = two(at, (int)(in_day % 100));
    *at++ = 'Z';
    *at = '\0';
}

void clock_http_date(int64_t at_ms, char out[HTTP_DATE_LEN + 1]) {
    struct civil civil = civil_of(at_ms);
    char *at = word(out, &"SunMonTueWedThuFriSat"[3 * civil.weekday], 3);
    at = two(word(at, ", ", 2), civil.day);
    *at++ = ' ';
    at = word(at, &"JanFebMarAprMayJunJulAugSepOctNovDec"[3 * (civil.month - 1)], 3);
    *at++ = ' ';
    at = two(two(at, civil.year / 100), civil.year % 100);
    *at++ = ' ';
    at = two(at, civil.hour);
    *at++ = ':';
    at = two(at, civil.minute);
    *at++ = ':';
    at = two(at, civil.second);
    word(at, " GMT", 5);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Takes `count` digits off the front of *rest; -1 when they are not there. */
static int take_digits(struct str *rest, size_t count) {
    int value = 0;
    if (rest->len < count)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (rest->at[i] < '0' || rest->at[i] > '9')
            return -1;
        value = value * 10 + (rest->at[i] - '0');
    }
    *rest = str_slice(*rest, count, rest->len);
    return value;
}

static bool take_one_of(struct str *rest, const char *letters) {
    if (rest->len == 0 || rest->at[0] == '\0' || strchr(letters, rest->at[0]) == NULL)
        return false;
    *rest = str_slice(*rest, 1, rest->len);
    return true;
}

static int days_in(int year, int month) {
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return DAYS[month - 1] + (month == 2 && is_leap);
}

static bool take_date(struct str *rest, int64_t *days) {
    int year = take_digits(rest, 4);
    if (year < 0 || !take_one_of(rest, "-"))
        return false;
    int month = take_digits(rest, 2);
    if (month < 1 || month > 12 || !take_one_of(rest, "-"))
        return false;
    int day = take_digits(rest, 2);
    if (day < 1 || day > days_in(year, month))
        return false;
    *days = clock_days(year, month, day);
    return true;
}

static bool take_fraction(struct str *rest, int *ms) {
    *ms = 0;
    if (!take_one_of(rest, "."))
        return true;
    int unit = 100;
    size_t digits = 0;
    for (; digits < rest->len && rest->at[digits] >= '0' && rest->at[digits] <= '9';
         digits++, unit /= 10)
        *ms += unit * (rest->at[digits] - '0');
    *rest = str_slice(*rest, digits, rest->len);
    return digits > 0;
}

static bool take_time(struct str *rest, int64_t *ms) {
    int hour = take_digits(rest, 2);
    if (hour < 0 || hour > 23 || !take_one_of(rest, ":"))
        return false;
    int minute = take_digits(rest, 2);
    if (minute < 0 || minute > 59 || !take_one_of(rest, ":"))
        return false;
    int second = take_digits(rest, 2), fraction;
    if (second < 0 || second > 60 || !take_fraction(rest, &fraction))
        return false;
    *ms = ((int64_t)hour * 3600 + minute * 60 + second) * 1000 + fraction;
    return true;
}

static bool take_zone(struct str *rest, int64_t *minutes) {
    *minutes = 0;
    if (take_one_of(rest, "Zz"))
        return true;
    bool is_west = rest->len > 0 && rest->at[0] == '-';
    if (!take_one_of(rest, "+-"))
        return false;
    int hours = take_digits(rest, 2);
    if (hours < 0 || hours > 23 || !take_one_of(rest, ":"))
        return false;
    int rest_minutes = take_digits(rest, 2);
    if (rest_minutes < 0 || rest_minutes > 59)
        return false;
    *minutes = (hours * 60 + rest_minutes) * (is_west ? -1 : 1);
    return true;
}

enum err clock_parse_rfc3339(struct str text, int64_t *at_ms) {
    int64_t days, in_day_ms, zone_minutes;
    if (!take_date(&text, &days) || !take_one_of(&text, "Tt ") || !take_time(&text, &in_day_ms) ||
        !take_zone(&text, &zone_minutes) || text.len > 0)
        return E_INPUT;
    int64_t moment = days * DAY_MS + in_day_ms - zone_minutes * 60000;
    if (moment < FIRST_MS || moment > LAST_MS)
        return E_INPUT;
    *at_ms = moment;
    return E_OK;
}
