/*
 * Time zones from the system's TZif files (RFC 9636): a list of moments at which the offset
 * changed, and for the time after the last of them a rule in the words of POSIX
 * ("CET-1CEST,M3.5.0,M10.5.0/3").
 *
 * Not by TZ and localtime(): the variable belongs to the whole process and its threads, and here
 * every person has a zone of their own. The tables come with the system (tzdata) and follow what
 * governments decide with its updates; without them every zone but UTC is unknown.
 *
 * A file is some kilobytes: it is read again when a zone has not been asked for in this quarter of
 * an hour. No zone has ever changed at another moment than the beginning of one.
 */
#include "base/zone.h"

#include "base/check.h"
#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

#define TABLE_LIMIT_BYTES 65536 /* the largest has 4 KB */
#define HEAD_BYTES        44
#define QUARTER_MS        (INT64_C(15) * 60000)
#define DAY_S             INT64_C(86400)
#define REMEMBERED        32

/* --- the table ------------------------------------------------------------------------------- */

struct counts {
    uint32_t is_ut, is_standard, leaps, times, types, letters;
};

static uint32_t big32(const char *at) {
    const unsigned char *p = (const unsigned char *)at;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t big64(const char *at) {
    return (int64_t)((uint64_t)big32(at) << 32 | big32(at + 4));
}

static bool read_head(struct str table, struct counts *counts) {
    if (table.len < HEAD_BYTES || !str_starts(table, STR("TZif")))
        return false;
    uint32_t *const order[] = {&counts->is_ut, &counts->is_standard, &counts->leaps,
                               &counts->times, &counts->types,       &counts->letters};
    for (size_t i = 0; i < COUNT_OF(order); i++)
        if ((*order[i] = big32(table.at + 20 + 4 * i)) > TABLE_LIMIT_BYTES)
            return false;
    return true;
}

static size_t body_bytes(const struct counts *counts, size_t time_bytes) {
    return counts->times * (time_bytes + 1) + counts->types * 6 + counts->letters +
           counts->leaps * (time_bytes + 4) + counts->is_standard + counts->is_ut;
}

/* --- the rule for later ---------------------------------------------------------------------- */

struct rule {
    struct str rest; /* what is still to be read */
    bool is_bad;
};

static bool next_is(struct rule *rule, char c) {
    bool is = rule->rest.len > 0 && rule->rest.at[0] == c;
    if (is)
        rule->rest = str_slice(rule->rest, 1, rule->rest.len);
    return is;
}

static int64_t rule_number(struct rule *rule) {
    int64_t value = 0;
    size_t digits = 0;
    while (digits < rule->rest.len && digits < 4 && rule->rest.at[digits] >= '0' &&
           rule->rest.at[digits] <= '9')
        value = value * 10 + rule->rest.at[digits++] - '0';
    rule->is_bad = rule->is_bad || digits == 0;
    rule->rest = str_slice(rule->rest, digits, rule->rest.len);
    return value;
}

/* [+-]h[h][:mm[:ss]], in seconds */
static int64_t rule_time(struct rule *rule) {
    bool is_negative = next_is(rule, '-');
    if (!is_negative)
        next_is(rule, '+');
    int64_t seconds = rule_number(rule) * 3600;
    if (next_is(rule, ':'))
        seconds += rule_number(rule) * 60;
    if (next_is(rule, ':'))
        seconds += rule_number(rule);
    return is_negative ? -seconds : seconds;
}

/* "CET" or "<-03>"; nobody needs it. */
static void skip_name(struct rule *rule) {
    size_t end = 0;
    bool is_quoted = next_is(rule, '<');
    while (end < rule->rest.len &&
           (is_quoted ? rule->rest.at[end] != '>'
                      : strchr("+-,0123456789", rule->rest.at[end]) == NULL))
        end++;
    rule->is_bad = rule->is_bad || end == 0;
    rule->rest = str_slice(rule->rest, end, rule->rest.len);
    if (is_quoted && !next_is(rule, '>'))
        rule->is_bad = true;
}

/* M3.5.0: the last (5th) Sunday (0) of March. Days since 1970. */
static int64_t weekday_of_month(struct rule *rule, int year) {
    int month = (int)rule_number(rule);
    rule->is_bad = rule->is_bad || !next_is(rule, '.');
    int64_t week = rule_number(rule);
    rule->is_bad = rule->is_bad || !next_is(rule, '.');
    int64_t weekday = rule_number(rule);
    if (rule->is_bad || month < 1 || month > 12 || week < 1 || week > 5 || weekday > 6) {
        rule->is_bad = true;
        return 0;
    }
    int64_t first = clock_days(year, month, 1);
    int64_t after = month == 12 ? clock_days(year + 1, 1, 1) : clock_days(year, month + 1, 1);
    int64_t first_weekday = ((first + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
    int64_t day = first + (weekday - first_weekday + 7) % 7 + (week - 1) * 7;
    return day >= after ? day - 7 : day;
}

/* ",M10.5.0/3": the moment in seconds since 1970 as clocks show it there. */
static int64_t rule_moment(struct rule *rule, int year) {
    int64_t day, new_year = clock_days(year, 1, 1);
    if (!next_is(rule, ','))
        rule->is_bad = true;
    if (next_is(rule, 'M')) {
        day = weekday_of_month(rule, year);
    } else if (next_is(rule, 'J')) { /* 1 to 365, February 29 is never counted */
        day = new_year + rule_number(rule) - 1;
        if (day >= new_year + 59 && clock_days(year + 1, 1, 1) - new_year == 366)
            day++;
    } else {
        day = new_year + rule_number(rule);
    }
    return day * DAY_S + (next_is(rule, '/') ? rule_time(rule) : 2 * 3600);
}

/* POSIX counts offsets westward. */
static enum err offset_by_rule(struct str text, int64_t at_s, int64_t *offset_s) {
    struct rule rule = {.rest = text};
    skip_name(&rule);
    int64_t standard = -rule_time(&rule), summer = standard + 3600;
    *offset_s = standard;
    if (rule.is_bad || rule.rest.len == 0)
        return rule.is_bad ? E_INPUT : E_OK;
    skip_name(&rule);
    if (rule.rest.len > 0 && rule.rest.at[0] != ',')
        summer = -rule_time(&rule);
    int year = clock_year((at_s + standard) * 1000);
    int64_t start = rule_moment(&rule, year) - standard, end = rule_moment(&rule, year) - summer;
    bool is_summer = start < end ? at_s >= start && at_s < end : at_s >= start || at_s < end;
    if (is_summer)
        *offset_s = summer;
    return rule.is_bad || rule.rest.len > 0 ? E_INPUT : E_OK;
}

/* --- both together --------------------------------------------------------------------------- */

/* How many moments have passed: a search among sorted ones. */
static uint32_t passed(const char *times, uint32_t count, int64_t at_s) {
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (big64(times + 8 * (size_t)middle) <= at_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum err zone_offset_of(struct str table, int64_t at_ms, int64_t *offset_ms) {
    struct counts counts;
    int64_t at_s = (at_ms - (at_ms < 0 ? 999 : 0)) / 1000, offset_s = 0;
    if (!read_head(table, &counts) || table.at[4] < '2') /* version 1 ends in 2038 */
        return E_INPUT;
    table = str_slice(table, HEAD_BYTES + body_bytes(&counts, 4), table.len);
    if (!read_head(table, &counts) || counts.types == 0)
        return E_INPUT;
    struct str body = str_slice(table, HEAD_BYTES, table.len);
    size_t len = body_bytes(&counts, 8);
    if (body.len < len + 2 || body.at[len] != '\n' || body.at[body.len - 1] != '\n')
        return E_INPUT;
    struct str rule = str_slice(body, len + 1, body.len - 1);
    uint32_t index = passed(body.at, counts.times, at_s);
    enum err err = E_OK;
    if (index == counts.times && rule.len > 0) {
        err = offset_by_rule(rule, at_s, &offset_s);
    } else {
        const char *kinds = body.at + 8 * (size_t)counts.times, *types = kinds + counts.times;
        unsigned char type = index > 0 ? (unsigned char)kinds[index - 1] : 0;
        if (type >= counts.types)
            return E_INPUT;
        offset_s = (int32_t)big32(types + 6 * (size_t)type);
    }
    if (offset_s < -DAY_S || offset_s > DAY_S)
        return E_INPUT;
    *offset_ms = offset_s * 1000;
    return err;
}

/* --- the system's tables --------------------------------------------------------------------- */

/* Letters, digits and - + _ in parts between slashes: no dot, so no way out of the folder. */
static bool is_name(struct str name) {
    bool is_begin = true;
    if (name.len == 0 || name.len > ZONE_NAME_MAX || name.at[name.len - 1] == '/')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i], letter = (char)(c | 0x20);
        bool is_letter = letter >= 'a' && letter <= 'z';
        if (is_begin ? !is_letter
                     : !is_letter && !(c >= '0' && c <= '9') && memchr("-+_/", c, 4) == NULL)
            return false;
        is_begin = c == '/';
    }
    return true;
}

static struct str read_table(struct str name, char bytes[TABLE_LIMIT_BYTES]) {
    char path[sizeof "/usr/share/zoneinfo/" + ZONE_NAME_MAX];
    if (!is_name(name))
        return STR_NONE;
    snprintf(path, sizeof path, "/usr/share/zoneinfo/" STR_FMT, STR_ARG(name));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return STR_NONE;
    ssize_t len = read(fd, bytes, TABLE_LIMIT_BYTES);
    close(fd);
    return len > 0 ? str_of(bytes, (size_t)len) : STR_NONE;
}

static enum err look_up(struct str name, int64_t at_ms, int64_t *offset_ms) {
    char bytes[TABLE_LIMIT_BYTES];
    *offset_ms = 0;
    if (str_eq(name, STR("UTC")))
        return E_OK;
    return zone_offset_of(read_table(name, bytes), at_ms, offset_ms);
}

bool zone_is_known(struct str name) {
    int64_t offset_ms;
    return look_up(name, clock_now_ms(), &offset_ms) == E_OK;
}

static struct remembered {
    char name[ZONE_NAME_MAX + 1];
    int64_t quarter, offset_ms;
} remembered[REMEMBERED];

int64_t zone_offset_ms(struct str name, int64_t at_ms) {
    static size_t next;
    int64_t quarter = at_ms / QUARTER_MS, offset_ms;
    if (name.len == 0 || name.len > ZONE_NAME_MAX || str_eq(name, STR("UTC")))
        return 0;
    for (size_t i = 0; i < REMEMBERED; i++)
        if (remembered[i].quarter == quarter && str_eq(str_from(remembered[i].name), name))
            return remembered[i].offset_ms;
    if (look_up(name, at_ms, &offset_ms) != E_OK)
        return 0;
    struct remembered *place = &remembered[next++ % REMEMBERED];
    *place = (struct remembered){.quarter = quarter, .offset_ms = offset_ms};
    memcpy(place->name, name.at, name.len);
    return offset_ms;
}
