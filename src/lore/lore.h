/*
 * Lorebooks as rules: whose they are, how they are changed. A character's own book changes with the
 * character: whoever keeps characters is told inside the same write (lore_on_change).
 */
#pragma once

#include "lore/book.h"
#include "store/store.h"

/* What is done to an entry or a book inside a write: changes it in place. */
typedef void (*lore_entry_edit_fn)(struct lore_entry *entry, void *ctx);
typedef void (*lore_book_edit_fn)(struct lore_book *book, void *ctx);

/* Called on the writer thread after every change of a character's own book by `user_id`; an error
 * undoes the change. Set once at start. */
typedef enum err (*lore_change_fn)(struct tx *tx, int64_t character_id, int64_t user_id);
void lore_on_change(lore_change_fn changed);

/* The character's own book with its entries; E_ABSENT when it has none. Any thread's connection. */
MUST_USE enum err lore_book_of_character(struct db *db, struct arena *arena, int64_t character_id,
                                         struct lore_book *book);
/* Puts `book` (its ids are filled in) in the place of the character's own one; NULL: it has none
 * any more. Does not call lore_on_change: the caller is who would be told. */
MUST_USE enum err lore_book_replace(struct tx *tx, int64_t character_id, int64_t owner_id,
                                    struct lore_book *book);

/* A book of this person; E_ABSENT for those of others. Without entries. */
MUST_USE enum err lore_book_head(struct db *db, struct arena *arena, int64_t book_id,
                                 int64_t user_id, struct lore_book *book);

/*
 * Changes, on the writer thread. `expected` is the book's version (updated_at) that the caller saw,
 * -1 for any; E_CONFLICT when it is another one.
 */
struct lore_change {
    int64_t user_id, book_id, expected;
    int64_t entry_id; /* 0: a new one, whose id is filled in */
    lore_entry_edit_fn edit_entry;
    lore_book_edit_fn edit_book;
    void *ctx; /* of the edits */
};
enum err writer_lore_change_book(struct tx *tx, struct lore_change *change);
enum err writer_lore_save_entry(struct tx *tx, struct lore_change *change);
enum err writer_lore_remove_entry(struct tx *tx, struct lore_change *change);
