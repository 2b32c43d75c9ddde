/* The SQL of invitations. A use is taken in the transaction that makes the account, so none is taken
 * twice. */
#include "account/invite_store.h"

#include "store/rows.h"

#include "base/banned.h"

enum err invite_list(struct db *db, struct arena *arena, int64_t before_id, size_t limit,
                     struct invite **items, size_t *count) {
    struct stmt *s = DB_SQL(
        db,
        "SELECT id, code, role, note, uses_left, created_by, created_at, expires_at FROM invite "
        "WHERE id < :before AND revoked_at IS NULL "
        "ORDER BY id DESC "
        "LIMIT :limit");
    bind_int(s, ":before", before_id == 0 ? INT64_MAX : before_id);
    bind_int(s, ":limit", (int64_t)limit);
    *items = ARENA_ARRAY(arena, struct invite, limit);
    *count = 0;
    while (*count < limit && stmt_row(s))
        (*items)[(*count)++] = (struct invite){
            .id = column_id(s, 0),
            .code = column_str_dup(s, 1, arena),
            .role = column_str_dup(s, 2, arena),
            .note = column_str_dup(s, 3, arena),
            .uses_left = column_int(s, 4),
            .created_by = column_id(s, 5),
            .created_at = column_time(s, 6),
            .expires_at = column_time(s, 7),
        };
    return stmt_done(s);
}

enum err invite_insert(struct tx *tx, const struct invite *i) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO invite (id, code, role, note, uses_left, created_by, created_at, expires_at) "
        "VALUES (:id, :code, :role, :note, :uses, :by, :now, :expires)");
    bind_id(s, ":id", i->id);
    bind_str(s, ":code", i->code);
    bind_str(s, ":role", i->role);
    bind_str(s, ":note", i->note);
    bind_int(s, ":uses", i->uses_left);
    bind_id(s, ":by", i->created_by);
    bind_time(s, ":now", i->created_at);
    bind_time(s, ":expires", i->expires_at);
    return stmt_run(s);
}

enum err invite_revoke(struct tx *tx, struct arena *arena, int64_t id, int64_t now,
                       struct str *role) {
    struct stmt *s = DB_SQL(tx_db(tx), "UPDATE invite SET revoked_at = :now "
                                       "WHERE id = :id AND revoked_at IS NULL RETURNING role");
    bind_id(s, ":id", id);
    bind_time(s, ":now", now);
    bool is_there = stmt_row(s);
    if (is_there)
        *role = column_str_dup(s, 0, arena);
    return stmt_done_one(s, is_there);
}

enum err invite_use(struct tx *tx, struct arena *arena, struct str code, int64_t now,
                    struct str *role) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "UPDATE invite SET uses_left = uses_left - 1 "
                          "WHERE code = :code AND uses_left > 0 AND revoked_at IS NULL "
                          "  AND (expires_at IS NULL OR expires_at > :now) "
                          "RETURNING role");
    bind_str(s, ":code", code);
    bind_time(s, ":now", now);
    bool is_taken = stmt_row(s);
    if (is_taken)
        *role = column_str_dup(s, 0, arena);
    enum err err = stmt_done(s);
    return err != E_OK ? err : is_taken ? E_OK : E_DENIED;
}
