/* Inside lore only: books made ready for scanning, and the cache of them. */
#pragma once

#include "base/list.h"
#include "lore/activate.h"
#include "lore/decorator.h"
#include "lore/match.h"

#define PREPARED_LIMIT_BYTES \
    (16 << 20) /* of all books kept; the one used longest ago goes first \
                */

#define PREPARED_KEYS_LIMIT \
    100000 /* of one book: ten for each of the most entries; a key costs some hundred bytes */

struct key_list {
    struct lore_key *at;
    size_t count;
};

enum logic {
    AND_ANY,
    NOT_ALL,
    NOT_ANY,
    AND_ALL
}; /* of secondary keys, as SillyTavern numbers them */

/* One entry, ready to be asked: all that a scan needs of it, and nothing else. Texts are the arena's. */
struct prepared_entry {
    int64_t id;
    struct str content;               /* without decorators */
    struct str shown;                 /* name, comment or first key */
    double insertion_order, priority; /* as the entry's */
    struct key_list keys, secondary, excluded;
    struct key_list *additional; /* of each list, one key must be there too */
    size_t additional_count;
    enum logic logic;
    int64_t depth; /* messages; -1: the book's */
    int64_t tokens;
    bool is_enabled, is_constant, is_selective;
    bool is_before;                   /* the character's description */
    bool has_more_keys;               /* which are not looked for: the book has too many */
    bool is_always, is_never, yields; /* as decorators say */
    bool is_deaf;                     /* exclude_recursion: other entries cannot fire it */
    bool is_mute;                     /* prevent_recursion: it fires no others */
    bool is_late;                     /* delay_until_recursion: only others fire it */
};

struct prepared_book {
    struct list node; /* in the cache, newest use first */
    struct arena arena;
    struct lore_book book; /* what holds for all entries; those it has not */
    struct prepared_entry *entries;
};

/* Nothing of the result is the book's. */
void prepare(struct arena *arena, const struct lore_book *book, struct prepared_entry **entries);
/* The book of a character out of the cache, or out of the database into it. Valid until
 * prepared_trim(). E_ABSENT when there is none. */
MUST_USE enum err prepared_load(struct db *db, int64_t character_id,
                                const struct prepared_book **prepared);
/* Lets go of what is too much; after every use of prepared books. */
void prepared_trim(void);
