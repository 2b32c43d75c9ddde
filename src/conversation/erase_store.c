/*
 * Erasing all conversations of a person, in portions: a hundred thousand messages are a minute of
 * work with freed pages overwritten, and whoever writes meanwhile must not wait for it. Being killed
 * in between leaves a shorter conversation of somebody who has left, which nobody can see.
 */
#include "conversation/conversation_store.h"

#include "store/rows.h"

#include "base/banned.h"

/* Two statements, because the index of a list leaves out the trash. */
enum err conversation_ids(struct db *db, int64_t owner_id, int64_t after, int64_t *ids,
                          size_t limit, size_t *count) {
    struct stmt *s = DB_SQL(
        db, "SELECT id FROM (SELECT id FROM conversation INDEXED BY conversation_of_owner "
            "                WHERE owner_id = :owner AND deleted_at IS NULL "
            "                UNION ALL SELECT id FROM conversation INDEXED BY conversation_trash "
            "                WHERE deleted_at > 0 AND owner_id = :owner) "
            "WHERE id > :after ORDER BY id LIMIT :limit");
    bind_id(s, ":owner", owner_id);
    bind_int(s, ":after", after);
    bind_int(s, ":limit", (int64_t)limit);
    return stmt_ids(s, ids, limit, count);
}

static int64_t any_of(struct db *db, int64_t owner_id) {
    struct stmt *s =
        DB_SQL(db, "SELECT coalesce((SELECT id FROM conversation INDEXED BY conversation_of_owner "
                   "                 WHERE owner_id = :owner AND deleted_at IS NULL LIMIT 1), "
                   "                (SELECT id FROM conversation INDEXED BY conversation_trash "
                   "                 WHERE deleted_at > 0 AND owner_id = :owner LIMIT 1))");
    bind_id(s, ":owner", owner_id);
    return stmt_int(s, 0);
}

enum err conversation_erase(struct tx *tx, int64_t owner_id, bool *more) {
    int64_t id = any_of(tx_db(tx), owner_id);
    *more = id != 0;
    if (id == 0)
        return E_OK;
    bool is_left;
    return conversation_discard(tx, id, &is_left);
}
