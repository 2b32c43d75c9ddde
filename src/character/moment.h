/* Moments and stretches of time in the words of moment.js, for macros. */
#pragma once

#include "base/buf.h"

/* A moment (ms, moved to the clock that is meant) by a format: YYYY, MMMM, D, dddd, HH, h, mm, A ...;
 * what is no token stands as it is. */
void moment_write(struct buf *out, int64_t at_ms, struct str format);
/* "UTC+2", "UTC-3:30": the hours from UTC in ms. False for anything else, and beyond 14 hours. */
bool moment_read_offset(struct str text, int64_t *offset_ms);
/* "just now", "a few seconds", "an hour", "3 days". */
void moment_write_span(struct buf *out, int64_t for_ms);
