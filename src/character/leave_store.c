/*
 * What becomes of characters whose owner leaves.
 *
 * They go when the owner goes: to the trash at once, under the moment of leaving, so that coming back
 * brings back exactly those and not what had been thrown away before; for good when the account is
 * erased. Conversations that others had with them stay theirs: what was said there, names included,
 * is part of their own talk (conversation_character keeps the name), as it is when an owner deletes a
 * single character. Card, portrait and lore are the owner's work, and go.
 */
#include "character/character_store.h"
#include "character/knowledge.h"
#include "character/likeness.h"

#include "store/rows.h"

#include "base/banned.h"

#define AT_ONCE 500 /* ids read, then changed */

static enum err those_here(struct db *db, int64_t user_id, int64_t *ids, size_t *count) {
    struct stmt *s = DB_SQL(db, "SELECT id FROM character INDEXED BY character_of_owner "
                                "WHERE owner_id = :owner AND deleted_at IS NULL LIMIT :limit");
    bind_id(s, ":owner", user_id);
    bind_int(s, ":limit", AT_ONCE);
    return stmt_ids(s, ids, AT_ONCE, count);
}

static enum err trashed_at(struct db *db, int64_t user_id, int64_t at_ms, int64_t *ids,
                           size_t *count) {
    struct stmt *s = DB_SQL(db, "SELECT id FROM character WHERE deleted_at = :at "
                                "AND owner_id = :owner LIMIT :limit");
    bind_int(s, ":at", at_ms);
    bind_id(s, ":owner", user_id);
    bind_int(s, ":limit", AT_ONCE);
    return stmt_ids(s, ids, AT_ONCE, count);
}

static enum err mark(struct tx *tx, const int64_t *ids, size_t count, int64_t deleted_at) {
    enum err err = E_OK;
    for (size_t i = 0; i < count && err == E_OK; i++) {
        err = character_store_set_deleted(tx, ids[i], deleted_at);
        if (err == E_OK)
            err = character_touch(tx, ids[i]);
    }
    return err;
}

enum err character_owner_left(struct tx *tx, int64_t user_id, int64_t left_at, bool returns) {
    int64_t ids[AT_ONCE];
    size_t count;
    enum err err;
    do {
        err = returns ? trashed_at(tx_db(tx), user_id, left_at, ids, &count)
                      : those_here(tx_db(tx), user_id, ids, &count);
        if (err == E_OK)
            err = mark(tx, ids, count, returns ? 0 : left_at);
    } while (err == E_OK && count == AT_ONCE);
    return err;
}

/* In the trash since the account was closed; or not, when it came in while the door was closing. */
static int64_t any_of(struct db *db, int64_t user_id) {
    struct stmt *s =
        DB_SQL(db, "SELECT coalesce((SELECT id FROM character INDEXED BY character_trash "
                   "                 WHERE deleted_at > 0 AND owner_id = :owner LIMIT 1), "
                   "                (SELECT id FROM character INDEXED BY character_of_owner "
                   "                 WHERE owner_id = :owner AND deleted_at IS NULL LIMIT 1))");
    bind_id(s, ":owner", user_id);
    return stmt_int(s, 0);
}

/* A document has up to some thousand pieces: one at a time. */
static enum err erase_document(struct tx *tx, int64_t id, bool *found) {
    struct arena arena;
    struct knowledge_document document;
    size_t count = 0;
    arena_init(&arena);
    enum err err = knowledge_documents(tx_db(tx), &arena, id, 1, &document, &count);
    *found = err == E_OK && count == 1;
    if (*found)
        err = knowledge_remove(tx, id, document.id);
    if (*found && err == E_OK)
        err = index_drop(tx, id, id);
    arena_release(&arena);
    return err;
}

enum err character_erase(struct tx *tx, int64_t user_id, bool *more) {
    int64_t id = any_of(tx_db(tx), user_id);
    bool had_document;
    *more = id != 0;
    if (id == 0)
        return E_OK;
    enum err err = erase_document(tx, id, &had_document);
    if (err != E_OK || had_document)
        return err;
    err = character_store_delete(tx, id);
    return err == E_OK ? character_touch(tx, id) : err;
}
