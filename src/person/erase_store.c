/*
 * A row that is deleted has not gone yet: three things may still hold its text.
 *
 * Search words. FTS5 only marks a deleted row; its words stand in the segment until that is merged
 * into the oldest one. 'merge' with a negative number gathers all segments into one merge and does
 * so many pages of it, positive numbers go on (fts5.html section 6.8); when a step changes fewer
 * than two rows there is nothing left to do. So others write between two steps.
 *
 * Freed pages. The house runs with secure_delete=FAST (store/db.c), which leaves the bytes of pages
 * that were freed: every reply that was streamed has been there several times. Deleting with
 * tx_overwrite_freed() overwrites what is freed from then on; for what was freed before, every free
 * page is taken by rows of zeros, and given back. That costs writing the free part of the file
 * twice, when somebody is erased.
 *
 * The log: tx_overwrite_freed(tx, true) has it emptied a moment after each of these writes.
 */
#include "person/erase_store.h"

#include "base/banned.h"

#define MERGE_PAGES 128 /* of the index, in one step: some milliseconds */
#define ZERO_PAGES  128 /* of the database */
#define PAGE_BYTES  4096
#define LINK_BYTES  4 /* of an overflow page: the number of the next */

static int64_t changes(struct db *db) {
    return stmt_int(DB_SQL(db, "SELECT total_changes()"), 0);
}

static struct stmt *merge_statement(struct db *db, int table) {
    switch (table) {
    case 0:
        return DB_SQL(db, "INSERT INTO memory_words (memory_words, rank) VALUES ('merge', :pages)");
    case 1:
        return DB_SQL(
            db, "INSERT INTO knowledge_words (knowledge_words, rank) VALUES ('merge', :pages)");
    case 2:
        return DB_SQL(
            db, "INSERT INTO character_words (character_words, rank) VALUES ('merge', :pages)");
    default:
        return DB_SQL(
            db,
            "INSERT INTO character_trigrams (character_trigrams, rank) VALUES ('merge', :pages)");
    }
}

enum err erase_merge_words(struct tx *tx, int table, bool is_first, bool *more) {
    int64_t before = changes(tx_db(tx));
    tx_overwrite_freed(tx, true);
    struct stmt *s = merge_statement(tx_db(tx), table);
    bind_int(s, ":pages", is_first ? -MERGE_PAGES : MERGE_PAGES);
    enum err err = stmt_run(s);
    *more = changes(tx_db(tx)) - before >= 2;
    return err;
}

static int64_t free_pages(struct db *db) {
    return stmt_int(DB_SQL(db, "SELECT freelist_count FROM pragma_freelist_count"), 0);
}

enum err erase_fill_zeros(struct tx *tx, bool *more) {
    int64_t pages = free_pages(tx_db(tx));
    *more = pages > 0;
    if (pages == 0)
        return E_OK;
    tx_overwrite_freed(tx, true);
    struct stmt *s = DB_SQL(tx_db(tx), "INSERT INTO zeros (bytes) VALUES (zeroblob(:bytes))");
    bind_int(s, ":bytes", (pages < ZERO_PAGES ? pages : ZERO_PAGES) * (PAGE_BYTES - LINK_BYTES));
    return stmt_run(s);
}

enum err erase_drop_zeros(struct tx *tx, bool *more) {
    tx_overwrite_freed(tx, true);
    struct stmt *s = DB_SQL(
        tx_db(tx), "DELETE FROM zeros WHERE id IN (SELECT id FROM zeros WHERE id > 0 LIMIT 4)");
    enum err err = stmt_run(s);
    *more = stmt_changed(s) > 0;
    return err;
}
