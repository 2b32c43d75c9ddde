/* Every change is: is it theirs, is it the version they saw, change it, raise the version, tell. */
#include "lore/lore.h"

#include "base/check.h"
#include "base/clock.h"
#include "lore/lore_store.h"

#include "base/banned.h"

static lore_change_fn tell;

void lore_on_change(lore_change_fn changed) {
    tell = changed;
}

enum err lore_book_of_character(struct db *db, struct arena *arena, int64_t character_id,
                                struct lore_book *book) {
    enum err err = lore_store_head_of(db, arena, character_id, book);
    return err != E_OK ? err : lore_store_entries(db, arena, book);
}

enum err lore_book_replace(struct tx *tx, int64_t character_id, int64_t owner_id,
                           struct lore_book *book) {
    int64_t book_id, updated_at;
    enum err err = lore_store_book_of(tx_db(tx), character_id, &book_id, &updated_at);
    if (err == E_OK)
        err = lore_store_remove(tx, book_id);
    else if (err == E_ABSENT)
        err = E_OK;
    if (err != E_OK || book == NULL)
        return err;
    book->character_id = character_id;
    book->owner_id = owner_id;
    return lore_store_add(tx, book);
}

enum err lore_book_head(struct db *db, struct arena *arena, int64_t book_id, int64_t user_id,
                        struct lore_book *book) {
    enum err err = lore_store_head(db, arena, book_id, book);
    return err == E_OK && book->owner_id != user_id ? E_ABSENT : err;
}

typedef enum err (*change_fn)(struct tx *tx, struct arena *arena, struct lore_change *change,
                              struct lore_book *book);

/* The one way to change a book: `apply` changes it or an entry, and raises its version. */
static enum err change_book(struct tx *tx, struct lore_change *change, change_fn apply) {
    struct arena arena;
    struct lore_book book;
    arena_init(&arena);
    enum err err = lore_book_head(tx_db(tx), &arena, change->book_id, change->user_id, &book);
    if (err == E_OK && change->expected >= 0 && change->expected != book.updated_at)
        err = E_CONFLICT;
    if (err == E_OK)
        err = apply(tx, &arena, change, &book);
    if (err == E_OK && book.character_id != 0 && tell != NULL)
        err = tell(tx, book.character_id, change->user_id);
    arena_release(&arena);
    return err;
}

static enum err edit_book(struct tx *tx, struct arena *arena, struct lore_change *change,
                          struct lore_book *book) {
    (void)arena;
    change->edit_book(book, change->ctx);
    book->updated_at = clock_now_ms();
    return lore_store_update(tx, book);
}

enum err writer_lore_change_book(struct tx *tx, struct lore_change *change) {
    return change_book(tx, change, edit_book);
}

static enum err edit_entry(struct tx *tx, struct arena *arena, struct lore_change *change) {
    struct lore_entry entry;
    int64_t place;
    enum err err =
        lore_store_entry(tx_db(tx), arena, change->book_id, change->entry_id, &entry, &place);
    if (err != E_OK)
        return err;
    change->edit_entry(&entry, change->ctx);
    return lore_store_entry_update(tx, change->book_id, &entry);
}

static enum err add_entry(struct tx *tx, struct lore_change *change) {
    struct lore_entry entry = lore_entry_empty();
    if (lore_store_entry_count(tx_db(tx), change->book_id) >= LORE_ENTRIES_LIMIT)
        return E_LIMIT;
    change->edit_entry(&entry, change->ctx);
    enum err err = lore_store_entry_add(tx, change->book_id, &entry, -1);
    change->entry_id = entry.id;
    return err;
}

static enum err save_entry(struct tx *tx, struct arena *arena, struct lore_change *change,
                           struct lore_book *book) {
    enum err err = change->entry_id != 0 ? edit_entry(tx, arena, change) : add_entry(tx, change);
    if (err == E_OK && lore_store_bytes(tx_db(tx), book->id) > LORE_BOOK_LIMIT_BYTES)
        err = E_LIMIT;
    return err != E_OK ? err : lore_store_touch(tx, book->id, clock_now_ms());
}

enum err writer_lore_save_entry(struct tx *tx, struct lore_change *change) {
    return change_book(tx, change, save_entry);
}

static enum err remove_entry(struct tx *tx, struct arena *arena, struct lore_change *change,
                             struct lore_book *book) {
    (void)arena;
    enum err err = lore_store_entry_remove(tx, book->id, change->entry_id);
    return err != E_OK ? err : lore_store_touch(tx, book->id, clock_now_ms());
}

enum err writer_lore_remove_entry(struct tx *tx, struct lore_change *change) {
    return change_book(tx, change, remove_entry);
}
