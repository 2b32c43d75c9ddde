/*
 * The patterns that statements are read by, as rows, and what matches them against a clause.
 *
 * A pattern is words between spaces, from the beginning of a clause:
 *     word|word     one of these            ?word|word    may be absent
 *     @rel @pet     a relative, an animal   @num          a number, in digits or words
 *     @name         one to three capitalised words       @any   the same, or one word at the end
 *     @date         a day of the year, maybe with a year  @year  four digits
 *     <x            a phrase                <p            a place or an institution: ends earlier
 *     <w            one word                $             the clause ends here
 * Words like "really" and "just" are passed over wherever they stand. What @ and < match are $1,
 * $2 ... of the templates; $S is the speaker, $D the day of a plan.
 */
#pragma once

#include "memory/clauses.h"

#define PATTERN_CAPTURES 4

enum pattern_flags {
    PATTERN_ENDS = 1, /* it is so no more */
    PATTERN_PLAN = 2, /* only with a day that is to come */
    PATTERN_USER = 4, /* only people say this of themselves so that it is worth keeping */
    PATTERN_WHOLE_OBJECT = 8,
};

struct pattern {
    const char *words;
    const char *kind; /* "fact" */
    const char *predicate;
    double importance;
    const char *subject; /* template; NULL: the speaker */
    const char *object;  /* template */
    const char *text;    /* template */
    unsigned flags;
};
extern const struct pattern
    pattern_rows[]; /* ends with words NULL; the first that matches is taken */

struct match {
    struct str captures[PATTERN_CAPTURES]; /* in the arena */
    size_t count;
    struct str word; /* $0: which word of the last choice of words it was */
};
/* False: it cannot match, because its first word is not the clause's. Of hundreds of rows a few are
 * left to be tried. */
bool pattern_begins(const struct pattern *pattern, const struct clause *clause);
bool pattern_match(struct arena *arena, const struct pattern *pattern, const struct clause *clause,
                   struct match *match);
/* Where the statement begins: after "well", "by the way", "remember that" ... */
size_t pattern_lead(const struct clause *clause, bool *asks_to_remember);
