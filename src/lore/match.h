/*
 * Does a key stand in a text? Plain words and substrings; case-folded unless a key says otherwise.
 *
 * Whole words: a key without blanks must not be continued by a letter, digit or `_` on either side.
 * Scripts that write without spaces (Chinese, Japanese, Thai ...) and Korean, whose particles cling
 * to the word, have no such borders: there a key matches anywhere. A key with blanks in it is a
 * plain substring, as in SillyTavern.
 *
 * Keys written /like this/i are patterns. They are recognised, and never match: there is no pattern
 * engine here yet, and taking them as text would fire on the slashes.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

#define HAYSTACK_LIMIT_BYTES (64 << 10) /* the newest text; what is older is not looked at */
#define HAYSTACK_BITS        65536

struct lore_key {
    struct str shown; /* as it was written, trimmed */
    struct str text;  /* what is looked for: folded unless is_exact */
    bool is_exact;    /* letter case matters */
    bool is_word;     /* needs borders */
    bool is_pattern;  /* /.../: never matches */
};

/* A text that keys are looked for in: exact and folded, and which three-byte pieces occur in each,
 * so that most keys are done with after one look. */
struct haystack {
    struct arena *arena; /* for folding */
    int64_t *work;       /* what looking may still cost, in bytes, shared by the texts of a scan; at
                            or below 0 nothing is found any more. NULL: without end */
    struct buf exact, folded;
    uint64_t exact_bits[HAYSTACK_BITS / 64], folded_bits[HAYSTACK_BITS / 64];
};

struct lore_key lore_key_read(struct arena *arena, struct str written, bool is_exact, bool is_word);
void haystack_init(struct haystack *haystack, struct arena *arena);
void haystack_release(struct haystack *haystack);
/* Adds a text behind the others (a line end between). {{// notes}} and {{comment: notes}} are left
 * out: people do not see them as said. False once the haystack is full. */
bool haystack_add(struct haystack *haystack, struct str text);
bool haystack_has(const struct haystack *haystack, const struct lore_key *key);
/* A scan's first `*work`: some tens of milliseconds at the worst. */
#define HAYSTACK_WORK_BYTES ((int64_t)128 << 20)
