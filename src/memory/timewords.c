/*
 * The reader goes through the words from left to right; at each place the forms below are tried,
 * the longer before the shorter, and what one has read the next does not see again.
 *
 * A talk is about what has been: a month, a season, a weekday or a feast without a year is the
 * newest that is not to come. Days begin at midnight UTC, weeks on Monday. "Two weeks ago" is a
 * week around that day, "two months ago" that month, "two years ago" that year: people round, and
 * the words for it tell how much.
 *
 * What it is for: how well the moment of a turn fits (timewords_fit) is one signal of the score,
 * beside words and meaning. Things are told on the day or soon after, so the month after a stated
 * month still counts a little (memory.md, "date").
 */
#include "memory/timewords.h"

#include "base/check.h"
#include "memory/calendar.h"

#include <string.h>

#include "base/banned.h"

struct reader {
    const struct memory_word *words;
    size_t count, at;
    int64_t today;             /* day number */
    struct calendar_date date; /* of today */
};

enum unit { UNIT_NONE, UNIT_HOUR, UNIT_DAY, UNIT_WEEK, UNIT_MONTH, UNIT_YEAR };

/* --- words ---------------------------------------------------------------------------------- */

static struct str word_at(const struct reader *r, size_t ahead) {
    size_t i = r->at + ahead;
    return i < r->count ? r->words[i].folded : STR("");
}

static bool is_word(const struct reader *r, size_t ahead, const char *word) {
    return str_eq(word_at(r, ahead), str_from(word));
}

/* The place of a word in a list that ends with NULL, or -1. */
static int index_in(struct str word, const char *const *list) {
    for (int i = 0; word.len > 0 && list[i] != NULL; i++)
        if (word.at[0] == list[i][0] && str_eq(word, str_from(list[i])))
            return i;
    return -1;
}

static bool is_among(const struct reader *r, size_t ahead, const char *const *list) {
    return index_in(word_at(r, ahead), list) >= 0;
}

static const char *const months[] = {"january",  "february", "march",  "april",     "may",
                                     "june",     "july",     "august", "september", "october",
                                     "november", "december", NULL};
static const char *const short_months[] = {"jan", "feb",  "mar", "apr", "may", "jun", "jul",
                                           "aug", "sept", "oct", "nov", "dec", NULL};
static const char *const weekdays[] = {"sunday",   "monday", "tuesday",  "wednesday",
                                       "thursday", "friday", "saturday", NULL};
static const char *const weekdays_plural[] = {"sundays",   "mondays", "tuesdays",  "wednesdays",
                                              "thursdays", "fridays", "saturdays", NULL};
static const char *const seasons[] = {"spring", "summer", "autumn", "winter", NULL};
static const char *const numbers[] = {"zero",  "one",   "two",  "three", "four",   "five",   "six",
                                      "seven", "eight", "nine", "ten",   "eleven", "twelve", NULL};
static const char *const parts_of_day[] = {"morning", "afternoon", "evening", "night", NULL};

static int digits(struct str word) {
    int64_t value;
    return word.len <= 4 && str_to_int(word, &value) == E_OK && value >= 0 ? (int)value : -1;
}

static int year_of(struct str word) {
    int year = word.len == 4 ? digits(word) : -1;
    return year >= 1900 && year < 2100 ? year : 0;
}

/* "5", "5th", "1st"; 0 when it is no day of a month. */
static int day_of_month(struct str word) {
    static const char *const endings[] = {"st", "nd", "rd", "th", NULL};
    for (int i = 0; endings[i] != NULL; i++)
        if (word.len > 2 && str_ends(word, str_from(endings[i])))
            word.len -= 2;
    int day = word.len <= 2 ? digits(word) : -1;
    return day >= 1 && day <= 31 ? day : 0;
}

/* "three", "3", "a", "a couple of", "a few": the number, and how many words it took. */
static int count_at(const struct reader *r, size_t ahead, size_t *used) {
    size_t i = ahead + (is_word(r, ahead, "a") || is_word(r, ahead, "an"));
    bool has_article = i > ahead;
    int many = is_word(r, i, "couple")    ? 2
               : is_word(r, i, "few")     ? 3
               : is_word(r, i, "several") ? 4
                                          : 0;
    if (many > 0) {
        *used = i + 1 - ahead + (size_t)is_word(r, i + 1, "of");
        return many;
    }
    *used = 1;
    if (has_article)
        return 1;
    int named = index_in(word_at(r, i), numbers), plain = digits(word_at(r, i));
    return named > 0 ? named : plain > 0 && plain < 1000 ? plain : 0;
}

static enum unit unit_at(const struct reader *r, size_t ahead) {
    static const char *const words[] = {"hour",  "hours",  "day",  "days",  "week", "weeks",
                                        "month", "months", "year", "years", NULL};
    int i = index_in(word_at(r, ahead), words);
    return i < 0 ? UNIT_NONE : (enum unit)(UNIT_HOUR + i / 2);
}

/* "may" and "march" are months only where a month is meant. */
static int month_at(const struct reader *r, size_t ahead) {
    static const char *const before[] = {
        "in",   "of",  "last",   "this", "next",   "since", "until", "till", "by", "early",
        "late", "mid", "during", "from", "before", "after", "and",   "or",   NULL};
    size_t i = r->at + ahead;
    struct str word = word_at(r, ahead);
    int month = index_in(word, months);
    if (month < 0) {
        month = str_eq(word, STR("sep")) ? 8 : index_in(word, short_months);
        bool is_sure = month >= 0 && (day_of_month(word_at(r, ahead + 1)) != 0 ||
                                      year_of(word_at(r, ahead + 1)) != 0 ||
                                      (i > 0 && day_of_month(r->words[i - 1].folded) != 0));
        return is_sure || (month >= 0 && r->words[i].is_capital) ? month + 1 : 0;
    }
    if (month != 2 && month != 4)
        return month + 1;
    bool is_after = i > 0 && (index_in(r->words[i - 1].folded, before) >= 0 ||
                              day_of_month(r->words[i - 1].folded) != 0);
    size_t of = is_word(r, ahead + 1, "of");
    bool is_before =
        day_of_month(word_at(r, ahead + 1)) != 0 || year_of(word_at(r, ahead + 1 + of)) != 0;
    return is_before || (is_after && r->words[i].is_capital) ? month + 1 : 0;
}

static int season_at(const struct reader *r, size_t ahead) {
    int season = is_word(r, ahead, "fall") ? 2 : index_in(word_at(r, ahead), seasons);
    return season + 1; /* 0: none */
}

/* --- ranges --------------------------------------------------------------------------------- */

static struct time_range days(int64_t from, int64_t to, enum time_grain grain) {
    return (struct time_range){.from_ms = from * DAY_MS, .to_ms = to * DAY_MS, .grain = grain};
}

static struct time_range month_range(int year, int month) {
    return days(calendar_day(year, month, 1), calendar_day(year, month + 1, 1), TIME_MONTH);
}

/* Spring is March to May; the winter of a year ends in the next. */
static struct time_range season_range(int year, int season) {
    int month = season * 3;
    return days(calendar_day(year, month, 1), calendar_day(year, month + 3, 1), TIME_SEASON);
}

static struct time_range year_range(int year) {
    return days(calendar_day(year, 1, 1), calendar_day(year + 1, 1, 1), TIME_YEAR);
}

static int64_t monday_of(int64_t day) {
    return day - (calendar_weekday(day) + 6) % 7;
}

/* Saturday and Sunday of the week that begins on this Monday. */
static struct time_range weekend_range(int64_t monday) {
    return days(monday + 5, monday + 7, TIME_DAY);
}

static bool is_to_come(const struct reader *r, struct time_range range) {
    return range.from_ms > r->today * DAY_MS;
}

static struct time_range stated(struct time_range range, int year, int month, int day) {
    range.is_date = true;
    range.year = year;
    range.month = month;
    range.day = day;
    return range;
}

static struct time_range newest_month(const struct reader *r, int month) {
    return month_range(month > r->date.month ? r->date.year - 1 : r->date.year, month);
}

static struct time_range newest_season(const struct reader *r, int season) {
    struct time_range range = season_range(r->date.year, season);
    return is_to_come(r, range) ? season_range(r->date.year - 1, season) : range;
}

/* --- forms: each reads at r->at, and gives the words it took, 0 for "not this" ------------------ */

static struct time_range date_range(const struct reader *r, int year, int month, int day) {
    struct time_range range = year != 0 ? month_range(year, month) : newest_month(r, month);
    if (day != 0) {
        int64_t from = range.from_ms / DAY_MS + day - 1;
        range = days(from, from + 1, TIME_DAY);
    }
    return stated(range, year, month, day);
}

static char between(const struct reader *r, size_t ahead) {
    const struct memory_word *word = &r->words[r->at + ahead];
    return word->written.at[word->written.len]; /* another word follows in the same text */
}

/* 2023-05-29, 29.05.2023, 05/29/2023 */
static size_t read_numeric_date(const struct reader *r, struct time_range *range) {
    if (r->at + 2 >= r->count)
        return 0;
    int a = digits(word_at(r, 0)), b = digits(word_at(r, 1)), c = digits(word_at(r, 2));
    char mark = between(r, 0);
    if (a < 0 || b <= 0 || c < 0 || mark != between(r, 1) ||
        (mark != '-' && mark != '.' && mark != '/'))
        return 0;
    int year = year_of(word_at(r, 0)), month = b, day = c;
    if (year == 0) {
        year = year_of(word_at(r, 2));
        bool is_month_first = (mark == '/' && a <= 12) || b > 12;
        month = is_month_first ? a : b;
        day = is_month_first ? b : a;
    }
    if (year == 0 || month < 1 || month > 12 || day < 1 || day > calendar_month_days(year, month))
        return 0;
    *range = date_range(r, year, month, day);
    return 3;
}

/* 5 May 2023, the 5th of May, May 5th, May 5, 2023, May 2023, May */
static size_t read_date(const struct reader *r, struct time_range *range) {
    size_t i = 0;
    int day = day_of_month(word_at(r, 0));
    if (day != 0)
        i = 1 + (size_t)is_word(r, 1, "of");
    int month = month_at(r, i);
    if (month == 0)
        return 0;
    i++;
    if (day == 0 && (day = day_of_month(word_at(r, i))) != 0)
        i++;
    i += is_word(r, i, "of") && year_of(word_at(r, i + 1)) != 0;
    int year = year_of(word_at(r, i));
    i += year != 0;
    *range = date_range(r, year, month, day);
    return i;
}

static size_t read_year(const struct reader *r, struct time_range *range) {
    struct str word = word_at(r, 0);
    if (word.len == 5 && word.at[4] == 's' && year_of(str_slice(word, 0, 4)) != 0) {
        int decade = year_of(str_slice(word, 0, 4));
        *range = days(calendar_day(decade, 1, 1), calendar_day(decade + 10, 1, 1), TIME_YEAR);
        return 1;
    }
    int year = year_of(word);
    if (year == 0)
        return 0;
    *range = stated(year_range(year), year, 0, 0);
    return 1;
}

/* The thirds of a month or a year: early May, mid 2023, the end of the year. */
static size_t read_third(const struct reader *r, struct time_range *range) {
    static const char *const words[] = {"early",  "mid", "late",  "beginning",
                                        "middle", "end", "start", NULL};
    int which = index_in(word_at(r, 0), words);
    if (which < 0)
        return 0;
    size_t i = 1 + (size_t)is_word(r, 1, "of");
    bool is_said = i == 2;
    i += is_word(r, i, "the");
    struct reader ahead = *r;
    ahead.at += i;
    size_t used = read_date(&ahead, range);
    if (used == 0)
        used = read_year(&ahead, range);
    if (used == 0 && (is_word(&ahead, 0, "this") || is_word(&ahead, 0, "last")) &&
        (unit_at(&ahead, 1) == UNIT_YEAR || unit_at(&ahead, 1) == UNIT_MONTH)) {
        int back = is_word(&ahead, 0, "last");
        *range = unit_at(&ahead, 1) == UNIT_YEAR ? year_range(r->date.year - back)
                                                 : month_range(r->date.year, r->date.month - back);
        used = 2;
    }
    if (used == 0 || range->day != 0 || (which >= 3 && !is_said))
        return 0;
    int third = which == 6 ? 0 : which % 3;
    int64_t from = range->from_ms, step = (range->to_ms - from) / DAY_MS / 3 * DAY_MS;
    range->to_ms = third == 2 ? range->to_ms : from + step * (third + 1);
    range->from_ms = from + step * third;
    range->grain = range->grain == TIME_MONTH ? TIME_WEEK : TIME_SEASON;
    range->is_date = false;
    return i + used;
}

static size_t read_near_day(const struct reader *r, struct time_range *range) {
    struct str word = word_at(r, 0);
    int64_t day = r->today;
    size_t used = 1;
    if (str_eq(word, STR("day")) && is_word(r, 1, "before") && is_word(r, 2, "yesterday")) {
        day -= 2;
        used = 3;
    } else if (str_eq(word, STR("day")) && is_word(r, 1, "after") && is_word(r, 2, "tomorrow")) {
        day += 2;
        used = 3;
    } else if (str_eq(word, STR("other")) && is_word(r, 1, "day")) {
        *range = days(day - 10, day, TIME_WEEK);
        return 2;
    } else if (str_eq(word, STR("yesterday"))) {
        day -= 1;
    } else if (str_eq(word, STR("tomorrow"))) {
        day += 1;
    } else if (str_eq(word, STR("last")) && is_word(r, 1, "night")) {
        *range = days(day - 1, day + 1, TIME_DAY);
        return 2;
    } else if (str_eq(word, STR("this")) && is_among(r, 1, parts_of_day)) {
        used = 2;
    } else if (!str_eq(word, STR("today")) && !str_eq(word, STR("tonight"))) {
        return 0;
    }
    *range = days(day, day + 1, TIME_DAY);
    return used;
}

static struct time_range ago(const struct reader *r, enum unit unit, int n) {
    switch (unit) {
    case UNIT_HOUR:
        return days(r->today - (n + 23) / 24, r->today + 1, TIME_DAY);
    case UNIT_WEEK:
        return days(r->today - 7 * n - 3, r->today - 7 * n + 4, TIME_WEEK);
    case UNIT_MONTH:
        return month_range(r->date.year, r->date.month - n);
    case UNIT_YEAR:
        return year_range(r->date.year - n);
    default:
        return days(r->today - n, r->today - n + 1, TIME_DAY);
    }
}

/* Two weeks ago, a couple of days ago, a year back */
static size_t read_ago(const struct reader *r, struct time_range *range) {
    size_t used;
    int n = count_at(r, 0, &used);
    enum unit unit = n > 0 ? unit_at(r, used) : UNIT_NONE;
    if (is_word(r, 0, "fortnight") || (is_word(r, 1, "fortnight") && n == 1)) {
        used = is_word(r, 0, "fortnight") ? 0 : 1;
        unit = UNIT_WEEK;
        n = 2;
    }
    if (unit == UNIT_NONE || (!is_word(r, used + 1, "ago") && !is_word(r, used + 1, "back")))
        return 0;
    *range = ago(r, unit, n);
    return used + 2;
}

/* A whole unit, `n` from the one we are in. */
static struct time_range whole(const struct reader *r, enum unit unit, int n) {
    int64_t monday = monday_of(r->today);
    switch (unit) {
    case UNIT_WEEK:
        return days(monday + 7 * n, monday + 7 * n + 7, TIME_WEEK);
    case UNIT_MONTH:
        return month_range(r->date.year, r->date.month + n);
    case UNIT_YEAR:
        return year_range(r->date.year + n);
    default:
        return days(r->today + n, r->today + n + 1, TIME_DAY);
    }
}

/* The last three weeks: up to now. */
static struct time_range lately(const struct reader *r, enum unit unit, int n) {
    static const int lengths[] = {
        [UNIT_HOUR] = 1, [UNIT_DAY] = 1, [UNIT_WEEK] = 7, [UNIT_MONTH] = 30, [UNIT_YEAR] = 365};
    int64_t length = (int64_t)lengths[unit] * n;
    return days(r->today - length, r->today + 1,
                length <= 2    ? TIME_DAY
                : length <= 14 ? TIME_WEEK
                               : TIME_SEASON);
}

static struct time_range weekday_range(const struct reader *r, int weekday, int step) {
    int64_t day = r->today - (calendar_weekday(r->today) - weekday + 7) % 7;
    if (step < 0 && day == r->today)
        day -= 7; /* "last Friday", said on a Friday */
    if (step > 0)
        day += 7;
    return days(day, day + 1, TIME_DAY);
}

/* last, this, next and what they can stand before */
static size_t read_step(const struct reader *r, struct time_range *range) {
    static const char *const backward[] = {"last", "past", "previous", NULL};
    static const char *const forward[] = {"next", "coming", "following", NULL};
    int step = is_among(r, 0, backward) ? -1 : is_among(r, 0, forward) ? 1 : 0;
    if (step == 0 && !is_word(r, 0, "this"))
        return 0;
    size_t used;
    int n = step < 0 ? count_at(r, 1, &used) : 0;
    if (n > 0 && unit_at(r, 1 + used) != UNIT_NONE) {
        *range = lately(r, unit_at(r, 1 + used), n);
        return 2 + used;
    }
    enum unit unit = unit_at(r, 1);
    int weekday = index_in(word_at(r, 1), weekdays), month = month_at(r, 1),
        season = season_at(r, 1);
    if (unit >= UNIT_DAY)
        *range = whole(r, unit, step);
    else if (is_word(r, 1, "weekend"))
        *range = weekend_range(monday_of(r->today) + 7 * step);
    else if (weekday >= 0)
        *range = weekday_range(r, weekday, step);
    else if (month > 0) {
        *range = newest_month(r, month);
        if (step < 0 && month == r->date.month)
            *range = month_range(r->date.year - 1, month);
        if (step > 0)
            *range = month_range(r->date.year + (month <= r->date.month), month);
    } else if (season > 0) {
        *range = newest_season(r, season);
        if (step < 0 && range->to_ms > r->today * DAY_MS)
            *range = season_range(calendar_date(range->from_ms / DAY_MS).year - 1, season);
        if (step > 0)
            *range = season_range(calendar_date(range->from_ms / DAY_MS).year + 1, season);
    } else
        return 0;
    return 2;
}

/* The week before last, the summer before last */
static size_t read_before_last(const struct reader *r, struct time_range *range) {
    enum unit unit = unit_at(r, 0);
    int season = season_at(r, 0);
    if (!is_word(r, 1, "before") || !is_word(r, 2, "last") || (unit < UNIT_WEEK && season == 0))
        return 0;
    *range = season > 0 ? season_range(r->date.year - 2, season) : whole(r, unit, -2);
    return 3;
}

/* On Friday, at the weekend, in the summer, summer of 2022 */
static size_t read_recurring(const struct reader *r, struct time_range *range) {
    int weekday = index_in(word_at(r, 0), weekdays), season = season_at(r, 0);
    if (weekday >= 0) {
        *range = weekday_range(r, weekday, 0);
        return 1;
    }
    if (is_word(r, 0, "weekend")) {
        int64_t monday = monday_of(r->today);
        *range = weekend_range(calendar_weekday(r->today) % 6 == 0 ? monday : monday - 7);
        return 1;
    }
    bool is_verb = is_word(r, 0, "spring") || is_word(r, 0, "fall"); /* "did he fall" */
    size_t of = is_word(r, 1, "of");
    int year = season > 0 ? year_of(word_at(r, 1 + of)) : 0;
    if (year != 0) {
        *range = season_range(year, season);
        return 2 + of;
    }
    bool is_named = r->at > 0 && (str_eq(r->words[r->at - 1].folded, STR("the")) ||
                                  str_eq(r->words[r->at - 1].folded, STR("in")));
    if (season == 0 || (is_verb && !is_named))
        return 0;
    *range = newest_season(r, season);
    return 1;
}

static int64_t feast_day(const char *name, int year) {
    if (strcmp(name, "easter") == 0)
        return calendar_easter(year);
    if (strcmp(name, "thanksgiving") == 0) { /* the fourth Thursday of November */
        int64_t first = calendar_day(year, 11, 1);
        return first + (4 - calendar_weekday(first) + 7) % 7 + 21;
    }
    if (strcmp(name, "christmas") == 0)
        return calendar_day(year, 12, 25);
    if (strcmp(name, "halloween") == 0)
        return calendar_day(year, 10, 31);
    if (strcmp(name, "valentine") == 0)
        return calendar_day(year, 2, 14);
    return calendar_day(year, 1, 1);
}

/* Christmas, last Easter, New Year's Eve 2022 */
static size_t read_feast(const struct reader *r, struct time_range *range) {
    static const char *const feasts[] = {"christmas", "xmas",      "easter",     "thanksgiving",
                                         "halloween", "valentine", "valentines", NULL};
    size_t i = is_word(r, 0, "last") || is_word(r, 0, "this");
    int which = index_in(word_at(r, i), feasts);
    bool is_new_year =
        is_word(r, i, "new") && (is_word(r, i + 1, "year") || is_word(r, i + 1, "years"));
    if (which < 0 && !is_new_year)
        return 0;
    const char *name = is_new_year  ? "new year"
                       : which <= 1 ? "christmas"
                       : which >= 5 ? "valentine"
                                    : feasts[which];
    i += 1 + (size_t)is_new_year;
    bool is_eve = is_word(r, i, "eve");
    i += is_eve || is_word(r, i, "day");
    int year = year_of(word_at(r, i));
    i += year != 0;
    int64_t day = feast_day(name, year != 0 ? year : r->date.year) - is_eve;
    if (year == 0 && day > r->today)
        day = feast_day(name, r->date.year - 1) - is_eve;
    *range = days(day - 1, day + 2, TIME_DAY); /* people talk of it the day before and after */
    return i;
}

static size_t read_lately(const struct reader *r, struct time_range *range) {
    static const char *const words[] = {"recently", "lately", NULL};
    if (!is_among(r, 0, words))
        return 0;
    *range = days(r->today - 30, r->today + 1, TIME_SEASON);
    return 1;
}

static size_t (*const forms[])(const struct reader *, struct time_range *) = {
    read_numeric_date, read_third,       read_date,      read_near_day, read_ago,    read_feast,
    read_step,         read_before_last, read_recurring, read_year,     read_lately,
};

/* "since May", "before 2022", "after last summer": open at one end. */
static void open_end(const struct reader *r, struct time_range *range) {
    static const char *const words[] = {"since", "after", "before", "until", "till", NULL};
    size_t back = r->at;
    while (back > 0 && back + 2 > r->at &&
           (str_eq(r->words[back - 1].folded, STR("the")) ||
            str_eq(r->words[back - 1].folded, STR("last"))))
        back--;
    int which = back > 0 ? index_in(r->words[back - 1].folded, words) : -1;
    if (which < 0)
        return;
    if (which == 0)
        range->to_ms = INT64_MAX;
    else if (which == 1) {
        range->from_ms = range->to_ms;
        range->to_ms = INT64_MAX;
    } else {
        range->to_ms = range->from_ms;
        range->from_ms = INT64_MIN;
    }
    range->grain = TIME_OPEN;
}

size_t timewords_read(const struct memory_word *words, size_t count, int64_t now_ms,
                      struct time_range ranges[TIME_RANGES_LIMIT]) {
    struct reader r = {.words = words, .count = count, .today = calendar_day_of(now_ms)};
    r.date = calendar_date(r.today);
    size_t found = 0;
    while (r.at < count && found < TIME_RANGES_LIMIT) {
        size_t used = 0;
        struct time_range range;
        for (size_t i = 0; i < COUNT_OF(forms) && used == 0; i++)
            used = forms[i](&r, &range);
        if (used > 0) {
            open_end(&r, &range);
            ranges[found++] = range;
        }
        r.at += used > 0 ? used : 1;
    }
    return found;
}

bool timewords_in(const struct memory_word *words, size_t count) {
    static const char *const more[] = {"ago",       "week",    "weeks", "month", "months",
                                       "weekend",   "year",    "years", "night", "morning",
                                       "afternoon", "evening", "soon",  NULL};
    struct time_range ranges[TIME_RANGES_LIMIT];
    if (timewords_read(words, count, 0, ranges) > 0)
        return true;
    for (size_t i = 0; i < count; i++)
        if (index_in(words[i].folded, weekdays_plural) >= 0 || index_in(words[i].folded, more) >= 0)
            return true;
    return false;
}

/* --- fit ------------------------------------------------------------------------------------ */

static double fit_date(const struct time_range *range, int64_t at_ms) {
    int64_t day = calendar_day_of(at_ms);
    struct calendar_date at = calendar_date(day);
    if (range->month == 0)
        return at.year == range->year ? 0.5 : 0;
    int year = range->year != 0 ? range->year : at.year;
    int64_t later = ((int64_t)at.year - year) * 12 + at.month - range->month;
    bool is_same_month = at.month == range->month;
    bool is_month_after = at.month == range->month % 12 + 1;
    double fit = is_same_month ? 1 : is_month_after ? 0.4 : 0;
    if (range->year != 0 && later != (is_month_after ? 1 : 0))
        fit *= 0.3;
    if (range->day != 0) {
        int64_t apart = day - calendar_day(year, range->month, range->day);
        apart = apart < 0 ? -apart : apart;
        fit += apart <= 7 ? 1 - (double)apart / 8 : 0;
    }
    return fit;
}

/* Inside; soon after (that is when things are told); a little before, for the shortest ranges. */
static double fit_range(const struct time_range *range, int64_t at_ms) {
    static const struct {
        double inside, after;
        int after_days;
    } rows[] = {
        [TIME_DAY] = {2.0, 1.0, 7},     [TIME_WEEK] = {1.5, 0.6, 7}, [TIME_MONTH] = {1.0, 0.4, 31},
        [TIME_SEASON] = {1.0, 0.4, 31}, [TIME_YEAR] = {0.5, 0.0, 0}, [TIME_OPEN] = {0.3, 0.0, 0}};
    if (at_ms >= range->from_ms && at_ms < range->to_ms)
        return rows[range->grain].inside;
    int64_t reach = rows[range->grain].after_days * DAY_MS;
    if (reach > 0 && at_ms >= range->to_ms && at_ms - range->to_ms < reach)
        return rows[range->grain].after * (1 - (double)(at_ms - range->to_ms) / (double)reach / 2);
    bool is_near =
        range->grain == TIME_DAY && at_ms < range->from_ms && range->from_ms - at_ms < 3 * DAY_MS;
    return is_near ? 0.5 : 0;
}

double timewords_fit(const struct time_range *ranges, size_t count, int64_t at_ms) {
    double best = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_date = ranges[i].is_date && ranges[i].grain != TIME_OPEN;
        double fit = is_date ? fit_date(&ranges[i], at_ms) : fit_range(&ranges[i], at_ms);
        best = fit > best ? fit : best;
    }
    return best;
}
