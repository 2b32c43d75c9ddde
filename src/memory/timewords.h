/*
 * Words about time: "last summer", "on Friday", "two weeks ago", "5 May 2023", read against the
 * moment at which they are said.
 */
#pragma once

#include "memory/words.h"

enum time_grain { TIME_DAY, TIME_WEEK, TIME_MONTH, TIME_SEASON, TIME_YEAR, TIME_OPEN };

/* What one expression means. */
struct time_range {
    int64_t from_ms, to_ms; /* [from, to); INT64_MIN or INT64_MAX: open at that end */
    enum time_grain grain;
    int year, month, day; /* of a date as it was stated; 0: not said */
    bool is_date; /* a stated date ("5 May"), not one that follows from the moment ("yesterday") */
};

#define TIME_RANGES_LIMIT 4

/* The expressions of a text in order; how many. `now_ms` is the moment of the text, in UTC. */
size_t timewords_read(const struct memory_word *words, size_t count, int64_t now_ms,
                      struct time_range ranges[TIME_RANGES_LIMIT]);
/* Whether a text says when something is, at all: cheaper and wider than timewords_read. */
bool timewords_in(const struct memory_word *words, size_t count);
/* 0 to 2: how well a moment fits what was asked for; the best of the ranges. */
double timewords_fit(const struct time_range *ranges, size_t count, int64_t at_ms);
