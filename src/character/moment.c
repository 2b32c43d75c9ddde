/*
 * What moment.js would write: cards were made for programs that use it, so its formats, its words for
 * a stretch of time and its rounding are what their authors tried out. English words, as there.
 */
#include "character/moment.h"

#include "base/check.h"
#include "base/clock.h"

#include <string.h>

#include "base/banned.h"

#define DAY_MS        INT64_C(86400000)
#define OFFSET_DIGITS 10

/* --- by a format ---------------------------------------------------------------------------- */

static const char *const month_names[] = {"January",   "February", "March",    "April",
                                          "May",       "June",     "July",     "August",
                                          "September", "October",  "November", "December"};
static const char *const day_names[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday"};

struct moment {
    int year, month, day, hour, minute, second, weekday;
};

static int digits(const char *at, int count) {
    int value = 0;
    for (int i = 0; i < count; i++)
        value = value * 10 + (at[i] - '0');
    return value;
}

static struct moment moment_at(int64_t at_ms) {
    char text[RFC3339_LEN + 1];
    clock_rfc3339(at_ms, text);
    int64_t days = at_ms / DAY_MS - (at_ms % DAY_MS < 0);
    return (struct moment){
        .year = digits(text, 4),
        .month = digits(text + 5, 2),
        .day = digits(text + 8, 2),
        .hour = digits(text + 11, 2),
        .minute = digits(text + 14, 2),
        .second = digits(text + 17, 2),
        .weekday = (int)(((days + 4) % 7 + 7) % 7), /* 1970-01-01 was a Thursday */
    };
}

/* What a token shows: 02 with a leading zero, 1 without, 3 cut to three letters; HALF is the hour
 * of a 12-hour clock. */
enum part {
    YEAR,
    YEAR2,
    MONTH,
    MONTH3,
    MONTH02,
    MONTH1,
    DAY02,
    DAY1,
    WEEKDAY,
    WEEKDAY3,
    HOUR02,
    HOUR1,
    HALF02,
    HALF1,
    MINUTE02,
    MINUTE1,
    SECOND02,
    SECOND1,
    NOON_UPPER,
    NOON_LOWER
};

/* moment.js format tokens; of two that fit the longer stands first. */
static const struct format_token {
    const char *text;
    enum part part;
} format_tokens[] = {
    {"YYYY", YEAR}, {"YY", YEAR2},    {"MMMM", MONTH}, {"MMM", MONTH3},   {"MM", MONTH02},
    {"M", MONTH1},  {"DD", DAY02},    {"D", DAY1},     {"dddd", WEEKDAY}, {"ddd", WEEKDAY3},
    {"HH", HOUR02}, {"H", HOUR1},     {"hh", HALF02},  {"h", HALF1},      {"mm", MINUTE02},
    {"m", MINUTE1}, {"ss", SECOND02}, {"s", SECOND1},  {"A", NOON_UPPER}, {"a", NOON_LOWER},
};

static void add_part(struct buf *out, const struct moment *m, enum part part) {
    int half = m->hour % 12 == 0 ? 12 : m->hour % 12;
    switch (part) {
    case YEAR:
        buf_printf(out, "%04d", m->year);
        return;
    case YEAR2:
        buf_printf(out, "%02d", m->year % 100);
        return;
    case MONTH:
        buf_add_str(out, str_from(month_names[m->month - 1]));
        return;
    case MONTH3:
        buf_add(out, month_names[m->month - 1], 3);
        return;
    case MONTH02:
        buf_printf(out, "%02d", m->month);
        return;
    case MONTH1:
        buf_add_int(out, m->month);
        return;
    case DAY02:
        buf_printf(out, "%02d", m->day);
        return;
    case DAY1:
        buf_add_int(out, m->day);
        return;
    case WEEKDAY:
        buf_add_str(out, str_from(day_names[m->weekday]));
        return;
    case WEEKDAY3:
        buf_add(out, day_names[m->weekday], 3);
        return;
    case HOUR02:
        buf_printf(out, "%02d", m->hour);
        return;
    case HOUR1:
        buf_add_int(out, m->hour);
        return;
    case HALF02:
        buf_printf(out, "%02d", half);
        return;
    case HALF1:
        buf_add_int(out, half);
        return;
    case MINUTE02:
        buf_printf(out, "%02d", m->minute);
        return;
    case MINUTE1:
        buf_add_int(out, m->minute);
        return;
    case SECOND02:
        buf_printf(out, "%02d", m->second);
        return;
    case SECOND1:
        buf_add_int(out, m->second);
        return;
    case NOON_UPPER:
        buf_add_str(out, m->hour < 12 ? STR("AM") : STR("PM"));
        return;
    case NOON_LOWER:
        buf_add_str(out, m->hour < 12 ? STR("am") : STR("pm"));
        return;
    }
}

static const struct format_token *token_at(struct str format) {
    for (size_t i = 0; i < COUNT_OF(format_tokens); i++)
        if (str_starts(format, str_from(format_tokens[i].text)))
            return &format_tokens[i];
    return NULL;
}

void moment_write(struct buf *out, int64_t at_ms, struct str format) {
    struct moment moment = moment_at(at_ms);
    while (format.len > 0) {
        const struct format_token *token = token_at(format);
        if (token)
            add_part(out, &moment, token->part);
        else
            buf_add_char(out, format.at[0]);
        format = str_slice(format, token ? strlen(token->text) : 1, format.len);
    }
}

/* --- hours from UTC ------------------------------------------------------------------------- */

bool moment_read_offset(struct str text, int64_t *offset_ms) {
    if (!str_eq_nocase(str_slice(text, 0, 3), STR("UTC")))
        return false;
    text = str_slice(text, 3, text.len);
    bool is_minus = text.len > 0 && text.at[0] == '-';
    if (is_minus || (text.len > 0 && text.at[0] == '+'))
        text = str_slice(text, 1, text.len);
    int64_t hours = 0, minutes = 0;
    if (text.len > 0 && !str_take_digits(&text, OFFSET_DIGITS, &hours))
        return false;
    if (text.len > 0 && text.at[0] == ':') {
        text = str_slice(text, 1, text.len);
        if (!str_take_digits(&text, OFFSET_DIGITS, &minutes))
            return false;
    }
    *offset_ms = (hours * 60 + minutes) * 60000 * (is_minus ? -1 : 1);
    return text.len == 0 && hours <= 14 && minutes < 60;
}

/* --- a stretch of time ---------------------------------------------------------------------- */

/* The steps of moment.js' humanize(): below `below`, so many of `unit`; a word of its own for the
 * first. */
static const struct span {
    int64_t below_s, unit_s;
    const char *one, *many;
} spans[] = {
    {45, 0, "a few seconds", NULL},         {90, 0, "a minute", NULL},
    {45 * 60, 60, NULL, "minutes"},         {90 * 60, 0, "an hour", NULL},
    {22 * 3600, 3600, NULL, "hours"},       {36 * 3600, 0, "a day", NULL},
    {26 * 86400, 86400, NULL, "days"},      {46 * 86400, 0, "a month", NULL},
    {320 * 86400, 2629800, NULL, "months"}, /* 30.4 days */
    {548 * 86400, 0, "a year", NULL},       {INT64_MAX, 31557600, NULL, "years"},
};

void moment_write_span(struct buf *out, int64_t for_ms) {
    int64_t for_s = for_ms / 1000;
    const struct span *span = spans;
    if (for_s <= 0)
        return buf_add_str(out, STR("just now"));
    while (for_s >= span->below_s)
        span++;
    if (span->one)
        buf_add_str(out, str_from(span->one));
    else
        buf_printf(out, "%lld %s", (long long)((for_s + span->unit_s / 2) / span->unit_s),
                   span->many);
}
