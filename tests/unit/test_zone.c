/* links: troupe_base troupe_embedded */
#include "base/check.h"
#include "base/clock.h"
#include "base/zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int64_t at(const char *text) {
    int64_t ms;
    assert_int_equal(clock_parse_rfc3339(str_from(text), &ms), E_OK);
    return ms;
}

/* The system's tables, against what people there know. */
static void zones_of_the_system(void **state) {
    (void)state;
    static const struct {
        const char *zone, *at;
        int minutes;
        const char *why;
    } rows[] = {
        {"UTC", "2026-07-01T12:00:00Z", 0, "no table needed"},
        {"Europe/Berlin", "2026-01-01T12:00:00Z", 60, "winter"},
        {"Europe/Berlin", "2026-03-29T00:59:59Z", 60, "the last second of winter"},
        {"Europe/Berlin", "2026-03-29T01:00:00Z", 120, "summer"},
        {"Europe/Berlin", "2026-10-25T00:59:59Z", 120, "its last second"},
        {"Europe/Berlin", "2026-10-25T01:00:00Z", 60, "winter again"},
        {"Europe/Berlin", "2099-07-01T12:00:00Z", 120, "by the rule, after the table"},
        {"America/New_York", "2026-03-08T06:59:59Z", -300, "second Sunday of March"},
        {"America/New_York", "2026-03-08T07:00:00Z", -240, "two hours later than in UTC"},
        {"Australia/Sydney", "2026-01-15T00:00:00Z", 660, "summer over the new year"},
        {"Australia/Sydney", "2090-07-15T00:00:00Z", 600, "likewise by the rule"},
        {"Asia/Kathmandu", "2026-01-15T00:00:00Z", 345, "quarters of an hour"},
        {"America/Sao_Paulo", "2030-01-15T00:00:00Z", -180, "a name in angle brackets"},
        {"Europe/Dublin", "2095-07-01T00:00:00Z", 60, "where winter is what differs"},
        {"Europe/Nowhere", "2026-07-01T12:00:00Z", 0, "nobody knows it"},
        {"../../../etc/passwd", "2026-07-01T12:00:00Z", 0, "a path"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (int again = 0; again < 2; again++) { /* the second time from memory */
            int64_t minutes = zone_offset_ms(str_from(rows[i].zone), at(rows[i].at)) / 60000;
            if (minutes != rows[i].minutes)
                fail_msg("%s at %s: %d minutes; %s", rows[i].zone, rows[i].at, (int)minutes,
                         rows[i].why);
        }
}

static void names(void **state) {
    (void)state;
    static const char *const known[] = {"UTC", "Europe/Berlin", "Etc/GMT+5", "Asia/Ho_Chi_Minh",
                                        "America/Argentina/Buenos_Aires"};
    static const char *const unknown[] = {"",
                                          "utc ",
                                          "Europe",
                                          "Europe/",
                                          "/Europe/Berlin",
                                          "zone1970.tab",
                                          "../zoneinfo/UTC",
                                          "Europe//Berlin",
                                          "Europe/Ber lin"};
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (!zone_is_known(str_from(known[i])))
            fail_msg("not known: %s", known[i]);
    for (size_t i = 0; i < COUNT_OF(unknown); i++)
        if (zone_is_known(str_from(unknown[i])))
            fail_msg("known: \"%s\"", unknown[i]);
    assert_false(zone_is_known(str_of("Europe/Berlin\0x", 15)));
}

static size_t put_head(char *out, char version, unsigned times, unsigned types, unsigned letters) {
    memset(out, 0, 44);
    memcpy(out, "TZif", 4);
    out[4] = version;
    out[35] = (char)times;
    out[39] = (char)types;
    out[43] = (char)letters;
    return 44;
}

/* One type of 1 h, no moments, and this rule. */
static struct str table_with(const char *rule) {
    static char bytes[256];
    size_t len = put_head(bytes, '2', 0, 0, 0);
    len += put_head(bytes + len, '2', 0, 1, 2);
    memcpy(bytes + len, "\0\0\x0e\x10\0\0X", 8);
    len += 8;
    len += (size_t)snprintf(bytes + len, sizeof(bytes) - len, "\n%s\n", rule);
    return str_of(bytes, len);
}

static void rules(void **state) {
    (void)state;
    static const struct {
        const char *rule, *at;
        int minutes; /* 9999: refused */
    } rows[] = {
        {"", "2026-07-01T00:00:00Z", 60},
        {"XYZ0", "2026-07-01T00:00:00Z", 0},
        {"XYZ-5:30", "2026-07-01T00:00:00Z", 330},
        {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2026-01-01T00:00:00Z", 660},
        {"ABC3DEF,J60/0,J300/0", "2024-03-01T02:59:59Z", -180}, /* J60 is March 1 in every year */
        {"ABC3DEF,J60/0,J300/0", "2024-03-01T03:00:00Z", -120},
        {"ABC3DEF,59/0,300/0", "2024-02-29T03:00:00Z", -120}, /* 59 counts from 0, with leap days */
        {"IST-1GMT0,M10.5.0,M3.5.0/1", "2026-01-01T00:00:00Z", 0},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T00:59:59Z", -120},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T01:00:00Z", -60},
        {"ABC", "2026-07-01T00:00:00Z", 9999},
        {"3", "2026-07-01T00:00:00Z", 9999},
        {"ABC3DEF", "2026-07-01T00:00:00Z", 9999},
        {"ABC3DEF,M13.1.0,M4.1.0", "2026-07-01T00:00:00Z", 9999},
        {"ABC3DEF,M3.1.0", "2026-07-01T00:00:00Z", 9999},
        {"ABC3DEF,M3.1.0,M4.1.0,", "2026-07-01T00:00:00Z", 9999},
        {"ABC99", "2026-07-01T00:00:00Z", 9999},
        {"<ABC3", "2026-07-01T00:00:00Z", 9999},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t ms = 0;
        enum err err = zone_offset_of(table_with(rows[i].rule), at(rows[i].at), &ms);
        if ((err != E_OK) != (rows[i].minutes == 9999) ||
            (err == E_OK && ms != rows[i].minutes * INT64_C(60000)))
            fail_msg("%s: %s, %d minutes", rows[i].rule, err_word(err), (int)(ms / 60000));
    }
}

static void cut_tables_are_refused(void **state) {
    (void)state;
    struct str table = table_with("XYZ-1");
    int64_t ms;
    assert_int_equal(zone_offset_of(table, 0, &ms), E_OK);
    for (size_t len = 0; len < table.len; len++) {
        char *exact = malloc(len + 1); /* so that a sanitizer sees the border */
        memcpy(exact, table.at, len);
        assert_int_equal(zone_offset_of(str_of(exact, len), 0, &ms), E_INPUT);
        free(exact);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zones_of_the_system),
        cmocka_unit_test(names),
        cmocka_unit_test(rules),
        cmocka_unit_test(cut_tables_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
