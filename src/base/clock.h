/*
 * Time, in the one place where tests can move it. Wall time is milliseconds since 1970 UTC;
 * monotonic time is microseconds.
 *
 * With TROUPE_TEST_CLOCK=FILE in the environment, the first 8 bytes of FILE (little-endian, signed)
 * are added as milliseconds to both. The file is read again at every call, so that a test moves a
 * running server by writing to it in place (not by renaming another file over it). While the file
 * is shorter than 8 bytes, the last offset stays. Without the variable nothing is read.
 */
#pragma once

#include "base/str.h"

/* Reads the environment; before it, both clocks are the system's. Stops the process when FILE
 * cannot be opened. */
void clock_init(void);
int64_t clock_now_ms(void);
int64_t clock_mono_us(void); /* never goes back, unless a test moves it back */

/* Days since 1970-01-01, negative before it; years 0 to 9999. */
int64_t clock_days(int year, int month, int day);
int clock_year(int64_t at_ms); /* in UTC */

#define RFC3339_LEN 24 /* 2026-11-21T03:52:00.123Z */
/* Moments outside the years 0 to 9999 are shown as the first or last of them. */
void clock_rfc3339(int64_t at_ms, char out[RFC3339_LEN + 1]);
/* RFC 3339 with any offset and fraction (cut to milliseconds); a leap second is the second after
 * it. */
MUST_USE enum err clock_parse_rfc3339(struct str text, int64_t *at_ms);
#define HTTP_DATE_LEN 29 /* Sat, 21 Nov 2026 03:52:00 GMT */
void clock_http_date(int64_t at_ms, char out[HTTP_DATE_LEN + 1]);
