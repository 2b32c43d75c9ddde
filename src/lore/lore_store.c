/* Books are small and read whole; entries come back in the order of their place. */
#include "lore/lore_store.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "store/rows.h"

#include <math.h>

#include "base/banned.h"

/* --- reading -------------------------------------------------------------------------------- */

enum err lore_store_book_of(struct db *db, int64_t character_id, int64_t *book_id,
                            int64_t *updated_at) {
    struct stmt *s =
        DB_SQL(db, "SELECT id, updated_at FROM lorebook WHERE character_id = :character");
    bind_id(s, ":character", character_id);
    bool is_there = stmt_row(s);
    if (is_there) {
        *book_id = column_id(s, 0);
        *updated_at = column_time(s, 1);
    }
    return stmt_done_one(s, is_there);
}

static int64_t column_maybe_int(struct stmt *s, int column) {
    return column_is_null(s, column) ? -1 : column_int(s, column);
}

#define BOOK_COLUMNS                                                            \
    "id, owner_id, character_id, name, description, scan_depth, token_budget, " \
    "recursive_scanning, extensions, unknown, created_at, updated_at "

static struct lore_book column_book(struct stmt *s, struct arena *arena) {
    return (struct lore_book){
        .id = column_id(s, 0),
        .owner_id = column_id(s, 1),
        .character_id = column_id(s, 2),
        .name = column_str_dup(s, 3, arena),
        .description = column_str_dup(s, 4, arena),
        .scan_depth = column_maybe_int(s, 5),
        .token_budget = column_maybe_int(s, 6),
        .recursive_scanning = column_bool(s, 7),
        .extensions = column_str_dup(s, 8, arena),
        .kept = column_str_dup(s, 9, arena),
        .created_at = column_time(s, 10),
        .updated_at = column_time(s, 11),
    };
}

enum err lore_store_head(struct db *db, struct arena *arena, int64_t book_id,
                         struct lore_book *book) {
    struct stmt *s = DB_SQL(db, "SELECT " BOOK_COLUMNS "FROM lorebook WHERE id = :id");
    bind_id(s, ":id", book_id);
    bool is_there = stmt_row(s);
    if (is_there)
        *book = column_book(s, arena);
    return stmt_done_one(s, is_there);
}

enum err lore_store_head_of(struct db *db, struct arena *arena, int64_t character_id,
                            struct lore_book *book) {
    struct stmt *s =
        DB_SQL(db, "SELECT " BOOK_COLUMNS "FROM lorebook WHERE character_id = :character");
    bind_id(s, ":character", character_id);
    bool is_there = stmt_row(s);
    if (is_there)
        *book = column_book(s, arena);
    return stmt_done_one(s, is_there);
}

#define ENTRY_COLUMNS                                                                  \
    "id, keys, secondary_keys, content, name, comment, enabled, constant, selective, " \
    "case_sensitive, use_regex, insertion_order, priority, position, extensions, unknown, place "

static struct lore_entry column_entry(struct stmt *s, struct arena *arena) {
    return (struct lore_entry){
        .id = column_id(s, 0),
        .keys = column_str_dup(s, 1, arena),
        .secondary_keys = column_str_dup(s, 2, arena),
        .content = column_str_dup(s, 3, arena),
        .name = column_str_dup(s, 4, arena),
        .comment = column_str_dup(s, 5, arena),
        .enabled = column_bool(s, 6),
        .constant = column_bool(s, 7),
        .selective = column_bool(s, 8),
        .case_sensitive = (int)column_maybe_int(s, 9),
        .use_regex = column_bool(s, 10),
        .insertion_order = column_double(s, 11),
        .priority = column_is_null(s, 12) ? NAN : column_double(s, 12),
        .position = column_str_dup(s, 13, arena),
        .extensions = column_str_dup(s, 14, arena),
        .kept = column_str_dup(s, 15, arena),
    };
}

int64_t lore_store_entry_count(struct db *db, int64_t book_id) {
    struct stmt *s = DB_SQL(db, "SELECT count(*) FROM lore_entry WHERE lorebook_id = :book");
    bind_id(s, ":book", book_id);
    return stmt_int(s, 0);
}

int64_t lore_store_bytes(struct db *db, int64_t book_id) {
    struct stmt *s =
        DB_SQL(db, "SELECT coalesce(sum(length(CAST(content AS BLOB)) + length(CAST(keys AS BLOB)) "
                   "+ length(CAST(secondary_keys AS BLOB)) + length(CAST(name AS BLOB)) "
                   "+ length(CAST(comment AS BLOB)) + length(CAST(extensions AS BLOB)) "
                   "+ length(CAST(unknown AS BLOB))), 0) "
                   "FROM lore_entry WHERE lorebook_id = :book");
    bind_id(s, ":book", book_id);
    return stmt_int(s, 0);
}

enum err lore_store_entries(struct db *db, struct arena *arena, struct lore_book *book) {
    size_t room = 0;
    book->entries = NULL;
    book->entry_count = 0;
    struct stmt *s = DB_SQL(db, "SELECT " ENTRY_COLUMNS "FROM lore_entry "
                                "WHERE lorebook_id = :book ORDER BY place, id");
    bind_id(s, ":book", book->id);
    while (stmt_row(s)) {
        ARENA_GROW(arena, book->entries, book->entry_count, room);
        book->entries[book->entry_count++] = column_entry(s, arena);
    }
    return stmt_done(s);
}

enum err lore_store_load(struct db *db, struct arena *arena, int64_t book_id,
                         struct lore_book *book) {
    enum err err = lore_store_head(db, arena, book_id, book);
    return err != E_OK ? err : lore_store_entries(db, arena, book);
}

enum err lore_store_books(struct db *db, struct arena *arena, int64_t owner_id, int64_t before_id,
                          size_t limit, struct lore_book **books, size_t *count) {
    struct stmt *s = DB_SQL(db, "SELECT " BOOK_COLUMNS "FROM lorebook "
                                "WHERE owner_id = :owner AND id < :before "
                                "ORDER BY id DESC LIMIT :limit");
    bind_id(s, ":owner", owner_id);
    bind_int(s, ":before", before_id != 0 ? before_id : INT64_MAX);
    bind_int(s, ":limit", (int64_t)limit);
    *books = ARENA_ARRAY(arena, struct lore_book, limit);
    *count = 0;
    while (*count < limit && stmt_row(s))
        (*books)[(*count)++] = column_book(s, arena);
    return stmt_done(s);
}

enum err lore_store_page(struct db *db, struct arena *arena, int64_t book_id, int64_t after_place,
                         int64_t after_id, size_t limit, struct lore_entry *entries,
                         int64_t *places, size_t *count) {
    struct stmt *s = DB_SQL(db, "SELECT " ENTRY_COLUMNS "FROM lore_entry "
                                "WHERE lorebook_id = :book AND (place, id) > (:place, :id) "
                                "ORDER BY place, id LIMIT :limit");
    bind_id(s, ":book", book_id);
    bind_int(s, ":place", after_place);
    bind_int(s, ":id", after_id);
    bind_int(s, ":limit", (int64_t)limit);
    *count = 0;
    while (*count < limit && stmt_row(s)) {
        entries[*count] = column_entry(s, arena);
        places[(*count)++] = column_int(s, 16);
    }
    return stmt_done(s);
}

enum err lore_store_entry(struct db *db, struct arena *arena, int64_t book_id, int64_t entry_id,
                          struct lore_entry *entry, int64_t *place) {
    struct stmt *s = DB_SQL(db, "SELECT " ENTRY_COLUMNS "FROM lore_entry "
                                "WHERE id = :id AND lorebook_id = :book");
    bind_id(s, ":id", entry_id);
    bind_id(s, ":book", book_id);
    bool is_there = stmt_row(s);
    if (is_there) {
        *entry = column_entry(s, arena);
        *place = column_int(s, 16);
    }
    return stmt_done_one(s, is_there);
}

/* --- writing -------------------------------------------------------------------------------- */

static void bind_maybe_int(struct stmt *s, const char *name, int64_t value) {
    if (value < 0)
        bind_null(s, name);
    else
        bind_int(s, name, value);
}

static struct str text_or(struct str text, struct str fallback) {
    return text.at ? text : fallback;
}

static void bind_book(struct stmt *s, const struct lore_book *book) {
    bind_id(s, ":id", book->id);
    bind_str(s, ":name", text_or(book->name, STR("")));
    bind_str(s, ":description", text_or(book->description, STR("")));
    bind_maybe_int(s, ":scan_depth", book->scan_depth);
    bind_maybe_int(s, ":token_budget", book->token_budget);
    bind_bool(s, ":recursive_scanning", book->recursive_scanning);
    bind_str(s, ":extensions", text_or(book->extensions, STR("{}")));
    bind_str(s, ":unknown", text_or(book->kept, STR("{}")));
    bind_time(s, ":now", book->updated_at);
}

static enum err insert_book(struct tx *tx, const struct lore_book *book) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT INTO lorebook (id, owner_id, character_id, name, description, "
                          "scan_depth, token_budget, recursive_scanning, extensions, unknown, "
                          "created_at, updated_at) "
                          "VALUES (:id, :owner, :character, :name, :description, :scan_depth, "
                          ":token_budget, :recursive_scanning, :extensions, :unknown, :now, :now)");
    bind_book(s, book);
    bind_id(s, ":owner", book->owner_id);
    bind_id(s, ":character", book->character_id);
    return stmt_run(s);
}

enum err lore_store_add(struct tx *tx, struct lore_book *book) {
    book->id = id_new();
    book->created_at = book->updated_at = clock_now_ms();
    enum err err = insert_book(tx, book);
    for (size_t i = 0; i < book->entry_count && err == E_OK; i++)
        err = lore_store_entry_add(tx, book->id, &book->entries[i], (int64_t)i);
    return err;
}

enum err lore_store_remove(struct tx *tx, int64_t book_id) {
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM lorebook WHERE id = :id");
    bind_id(s, ":id", book_id);
    return stmt_run(s);
}

enum err lore_store_update(struct tx *tx, const struct lore_book *book) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "UPDATE lorebook SET name = :name, description = :description, "
                          "scan_depth = :scan_depth, token_budget = :token_budget, "
                          "recursive_scanning = :recursive_scanning, extensions = :extensions, "
                          "unknown = :unknown, updated_at = max(:now, updated_at + 1) "
                          "WHERE id = :id");
    bind_book(s, book);
    return stmt_run(s);
}

enum err lore_store_touch(struct tx *tx, int64_t book_id, int64_t now_ms) {
    struct stmt *s = DB_SQL(
        tx_db(tx), "UPDATE lorebook SET updated_at = max(:now, updated_at + 1) WHERE id = :id");
    bind_id(s, ":id", book_id);
    bind_time(s, ":now", now_ms);
    return stmt_run(s);
}

static void bind_entry(struct stmt *s, const struct lore_entry *entry) {
    bind_id(s, ":id", entry->id);
    bind_str(s, ":keys", text_or(entry->keys, STR("[]")));
    bind_str(s, ":secondary_keys", text_or(entry->secondary_keys, STR("[]")));
    bind_str(s, ":content", text_or(entry->content, STR("")));
    bind_str(s, ":name", text_or(entry->name, STR("")));
    bind_str(s, ":comment", text_or(entry->comment, STR("")));
    bind_bool(s, ":enabled", entry->enabled);
    bind_bool(s, ":constant", entry->constant);
    bind_bool(s, ":selective", entry->selective);
    bind_maybe_int(s, ":case_sensitive", entry->case_sensitive);
    bind_bool(s, ":use_regex", entry->use_regex);
    bind_double(s, ":insertion_order", entry->insertion_order);
    if (isnan(entry->priority))
        bind_null(s, ":priority");
    else
        bind_double(s, ":priority", entry->priority);
    bind_str(s, ":position", entry->position);
    bind_str(s, ":extensions", text_or(entry->extensions, STR("{}")));
    bind_str(s, ":unknown", text_or(entry->kept, STR("{}")));
}

enum err lore_store_entry_add(struct tx *tx, int64_t book_id, struct lore_entry *entry,
                              int64_t place) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO lore_entry (id, lorebook_id, place, keys, secondary_keys, content, name, "
        "comment, enabled, constant, selective, case_sensitive, use_regex, insertion_order, "
        "priority, position, extensions, unknown) "
        "VALUES (:id, :book, "
        "CASE WHEN :place >= 0 THEN :place ELSE "
        "(SELECT coalesce(max(place) + 1, 0) FROM lore_entry WHERE lorebook_id = :book) END, "
        ":keys, :secondary_keys, :content, :name, :comment, :enabled, :constant, :selective, "
        ":case_sensitive, :use_regex, :insertion_order, :priority, :position, :extensions, "
        ":unknown)");
    entry->id = id_new();
    bind_entry(s, entry);
    bind_id(s, ":book", book_id);
    bind_int(s, ":place", place);
    return stmt_run(s);
}

enum err lore_store_entry_update(struct tx *tx, int64_t book_id, const struct lore_entry *entry) {
    struct stmt *s =
        DB_SQL(tx_db(tx),
               "UPDATE lore_entry SET keys = :keys, secondary_keys = :secondary_keys, "
               "content = :content, name = :name, comment = :comment, enabled = :enabled, "
               "constant = :constant, selective = :selective, case_sensitive = :case_sensitive, "
               "use_regex = :use_regex, insertion_order = :insertion_order, priority = :priority, "
               "position = :position, extensions = :extensions, unknown = :unknown "
               "WHERE id = :id AND lorebook_id = :book");
    bind_entry(s, entry);
    bind_id(s, ":book", book_id);
    return stmt_run_one(s);
}

enum err lore_store_entry_remove(struct tx *tx, int64_t book_id, int64_t entry_id) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "DELETE FROM lore_entry WHERE id = :id AND lorebook_id = :book");
    bind_id(s, ":id", entry_id);
    bind_id(s, ":book", book_id);
    return stmt_run_one(s);
}
