/*
 * Which lore entries fire, in what order, and why: keywords (whole words, several scripts, or plain
 * substrings), secondary keys, constants, recursion, the book's budget. Every semantics here is the
 * card specification's; where it is silent, SillyTavern's defaults as shipped (two messages deep,
 * whole words, case folded). The full engine of World Info (probability, groups, timed effects,
 * patterns, meaning) is not here.
 *
 * Books are prepared (keys read and folded) once per change and kept in memory, so that a turn
 * spends microseconds. A book that somebody made to hold the house up has its ends: so many keys are
 * read (PREPARED_KEYS_LIMIT), and so much is searched (HAYSTACK_WORK_BYTES). Loop thread only.
 */
#pragma once

#include "base/arena.h"
#include "lore/book.h"
#include "store/db.h"

#define LORE_SCAN_DEPTH   2    /* messages, when neither book nor entry says */
#define LORE_DEPTH_LIMIT  1000 /* messages */
#define LORE_PASSES_LIMIT 64   /* of recursion */
#define LORE_KEYS_LIMIT   256  /* of one entry */

struct lore_hit {
    int64_t lorebook_id, entry_id;
    struct str book;     /* its name */
    struct str entry;    /* name or comment, or the first key */
    struct str content;  /* not macro-expanded; decorators are gone */
    struct str key;      /* the key that fired; STR_NONE for constants */
    const char *reason;  /* "constant", "key", "key and secondary key", "recursion" */
    struct str position; /* "before_char" or "after_char" */
    double insertion_order;
    double priority; /* NAN: not said */
    int64_t tokens;  /* estimate */
    bool is_dropped; /* fired, but the budget was used up */
};

struct lore_scan {
    const int64_t *character_ids; /* whose own books are scanned */
    size_t character_count;
    const struct str *messages; /* newest first */
    size_t message_count;
    int64_t budget_tokens; /* of all books together; a book's own budget is kept too */
};

/* hits are in prompt order (insertion_order); dropped ones at the end, for the inspector. */
MUST_USE enum err lore_activate(struct db *db, struct arena *arena, const struct lore_scan *scan,
                                struct lore_hit **hits, size_t *hit_count);

/* The same for books at hand: for the tester and for tests. */
void lore_activate_books(struct arena *arena, const struct lore_book *books, size_t book_count,
                         const struct lore_scan *scan, struct lore_hit **hits, size_t *hit_count);
/* What became of each entry of a book, in the order of its entries. */
struct lore_verdict {
    const struct lore_hit *hit; /* NULL: it did not fire */
    const char *silence;        /* then why; a static text for a person */
};
struct lore_verdict *lore_verdicts(struct arena *arena, const struct lore_book *book,
                                   const struct lore_scan *scan);
