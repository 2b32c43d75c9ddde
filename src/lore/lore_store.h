/* SQL of lorebooks. Inside lore only. A change of a book or of any of its entries raises the book's
 * `updated_at` by at least 1: that is its version. */
#pragma once

#include "lore/book.h"
#include "store/store.h"

/* The character's own book, by its index; E_ABSENT when it has none. */
MUST_USE enum err lore_store_book_of(struct db *db, int64_t character_id, int64_t *book_id,
                                     int64_t *updated_at);
/* A book with all its entries in their order. */
MUST_USE enum err lore_store_load(struct db *db, struct arena *arena, int64_t book_id,
                                  struct lore_book *book);
/* The same without entries. */
MUST_USE enum err lore_store_head(struct db *db, struct arena *arena, int64_t book_id,
                                  struct lore_book *book);
/* The same of a character's own one. */
MUST_USE enum err lore_store_head_of(struct db *db, struct arena *arena, int64_t character_id,
                                     struct lore_book *book);
/* Adds the entries to a head. */
MUST_USE enum err lore_store_entries(struct db *db, struct arena *arena, struct lore_book *book);
/* Books that belong to a person, newest first, those before `before_id` (0: from the newest), without
 * entries. At most `limit`. */
MUST_USE enum err lore_store_books(struct db *db, struct arena *arena, int64_t owner_id,
                                   int64_t before_id, size_t limit, struct lore_book **books,
                                   size_t *count);
/* A page of entries behind (after_place, after_id); `places` gets where each stands. */
MUST_USE enum err lore_store_page(struct db *db, struct arena *arena, int64_t book_id,
                                  int64_t after_place, int64_t after_id, size_t limit,
                                  struct lore_entry *entries, int64_t *places, size_t *count);
int64_t lore_store_entry_count(struct db *db, int64_t book_id);
/* Of all its entries, as they are stored. */
int64_t lore_store_bytes(struct db *db, int64_t book_id);
MUST_USE enum err lore_store_entry(struct db *db, struct arena *arena, int64_t book_id,
                                   int64_t entry_id, struct lore_entry *entry, int64_t *place);

/* Writes a new book and its entries; their ids are filled in. */
MUST_USE enum err lore_store_add(struct tx *tx, struct lore_book *book);
MUST_USE enum err lore_store_remove(struct tx *tx, int64_t book_id);
/* Writes the book's own members. */
MUST_USE enum err lore_store_update(struct tx *tx, const struct lore_book *book);
MUST_USE enum err lore_store_touch(struct tx *tx, int64_t book_id, int64_t now_ms);
/* place -1: at the end. */
MUST_USE enum err lore_store_entry_add(struct tx *tx, int64_t book_id, struct lore_entry *entry,
                                       int64_t place);
MUST_USE enum err lore_store_entry_update(struct tx *tx, int64_t book_id,
                                          const struct lore_entry *entry);
/* E_ABSENT when there is none. */
MUST_USE enum err lore_store_entry_remove(struct tx *tx, int64_t book_id, int64_t entry_id);
