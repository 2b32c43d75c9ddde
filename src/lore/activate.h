/*
 * Which lore entries fire, in what order, and why: keywords (whole words, several scripts, or plain substrings), secondary keys, constants,
 * recursion, the book's budget. The full engine of World Info comes later; every semantics here is the card specification's.
 */
#pragma once

#include "base/arena.h"
#include "store/db.h"

struct lore_hit {
    int64_t lorebook_id, entry_id;
    struct str book;      /* its name */
    struct str entry;     /* name or comment, or the first key */
    struct str content;   /* not macro-expanded */
    struct str key;       /* the key that fired; STR_NONE for constants */
    const char *reason;   /* "constant", "key", "key and secondary key", "recursion" */
    struct str position;  /* "before_char" or "after_char" */
    double insertion_order;
    double priority;
    int64_t tokens;       /* estimate */
    bool is_dropped;      /* fired, but the budget was used up */
};

struct lore_scan {
    const int64_t *character_ids; /* whose own books are scanned */
    size_t character_count;
    const struct str *messages;   /* newest first */
    size_t message_count;
    int64_t budget_tokens;        /* of all books together; a book's own budget is kept too */
};

/* hits are in prompt order (insertion_order); dropped ones at the end, for the inspector. */
MUST_USE enum err lore_activate(struct db *db, struct arena *arena, const struct lore_scan *scan,
                                struct lore_hit **hits, size_t *hit_count);
