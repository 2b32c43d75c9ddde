/*
 * Whose memory it is. The switches are the conversation's own where it has some, else the person's.
 */
#include "memory/memory_store.h"

#include "store/rows.h"

#include "base/banned.h"

enum err memory_store_scope(struct db *db, int64_t conversation_id, struct memory_scope *scope) {
    struct stmt *s = DB_SQL(
        db,
        "SELECT c.owner_id, p.character_id, "
        "       coalesce(json_extract(c.settings, '$.shared_memory'), json_extract(u.preferences, '$.shared_memory'), 0), "
        "       coalesce(json_extract(u.preferences, '$.memory_approval'), 0), "
        "       coalesce(json_extract(c.settings, '$.memory'), json_extract(u.preferences, '$.memory'), 1) "
        "FROM conversation c JOIN user u ON u.id = c.owner_id "
        "LEFT JOIN conversation_character p ON p.conversation_id = c.id AND p.place = 0 "
        "WHERE c.id = :id AND c.deleted_at IS NULL");
    bind_id(s, ":id", conversation_id);
    bool is_there = stmt_row(s);
    if (is_there)
        *scope = (struct memory_scope){.user_id = column_id(s, 0),
                                       .character_id = column_id(s, 1),
                                       .conversation_id = conversation_id,
                                       .is_shared = column_bool(s, 2),
                                       .needs_approval = column_bool(s, 3),
                                       .learns = column_bool(s, 4)};
    return stmt_done_one(s, is_there);
}

bool memory_store_owns(struct db *db, int64_t conversation_id, int64_t user_id) {
    struct stmt *s = DB_SQL(db, "SELECT 1 FROM conversation "
                                "WHERE id = :id AND owner_id = :user AND deleted_at IS NULL");
    bind_id(s, ":id", conversation_id);
    bind_id(s, ":user", user_id);
    return stmt_int(s, 0) == 1;
}

enum err memory_store_conversations(struct db *db, const struct memory_scope *scope, int64_t after,
                                    int64_t *ids, size_t limit, size_t *count) {
    struct stmt *s =
        DB_SQL(db, "SELECT p.conversation_id FROM conversation_character p "
                   "JOIN conversation c ON c.id = p.conversation_id "
                   "WHERE p.character_id = :character AND c.owner_id = :user AND c.id > :after "
                   "ORDER BY c.id LIMIT :limit");
    bind_int(s, ":character", scope->character_id);
    bind_id(s, ":user", scope->user_id);
    bind_int(s, ":after", after);
    bind_int(s, ":limit", (int64_t)limit);
    return stmt_ids(s, ids, limit, count);
}
