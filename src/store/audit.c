/*
 * The audit log. The table refuses changes by triggers (schema.sql), so that not even a mistake of
 * ours rewrites it; it grows by what people do by hand, some thousand rows a year.
 */
#include "store/audit.h"

#include "base/clock.h"
#include "base/id.h"

#include "base/banned.h"

#define DETAIL_LIMIT_BYTES 8192

enum err audit_add(struct tx *tx, const struct audit *entry) {
    struct stmt *s = DB_SQL(
        tx_db(tx), "INSERT INTO audit (id, at, actor_id, action, target_kind, target_id, detail) "
                   "VALUES (:id, :at, :actor, :action, :kind, :target, :detail)");
    bind_id(s, ":id", id_new());
    bind_time(s, ":at", clock_now_ms());
    bind_id(s, ":actor", entry->actor_id);
    bind_str(s, ":action", entry->action);
    bind_str(s, ":kind", entry->target_kind);
    bind_id(s, ":target", entry->target_id);
    bind_str(s, ":detail", entry->detail.len > 0 ? entry->detail : STR("{}"));
    return stmt_run(s);
}

enum err audit_list(struct db *db, struct arena *arena, int64_t before_id, struct str action,
                    int64_t actor_id, size_t limit, struct audit **items, size_t *count) {
    struct stmt *s =
        DB_SQL(db, "SELECT a.id, a.at, a.actor_id, a.action, a.target_kind, a.target_id, a.detail, "
                   "u.display_name FROM audit a LEFT JOIN user u ON u.id = a.actor_id "
                   "WHERE a.id < :before AND (:actor IS NULL OR a.actor_id = :actor) "
                   "AND (:action IS NULL OR substr(a.action, 1, length(:action)) = :action) "
                   "ORDER BY a.id DESC LIMIT :limit");
    bind_int(s, ":before", before_id != 0 ? before_id : INT64_MAX);
    bind_id(s, ":actor", actor_id);
    bind_str(s, ":action", action);
    bind_int(s, ":limit", (int64_t)limit);
    *items = ARENA_ARRAY(arena, struct audit, limit);
    *count = 0;
    while (*count < limit && stmt_row(s))
        (*items)[(*count)++] = (struct audit){
            .id = column_id(s, 0),
            .at_ms = column_time(s, 1),
            .actor_id = column_id(s, 2),
            .action = column_str_dup(s, 3, arena),
            .target_kind = column_str_dup(s, 4, arena),
            .target_id = column_id(s, 5),
            .detail = column_str_dup(s, 6, arena),
            .actor_name = column_str_dup(s, 7, arena),
        };
    return stmt_done(s);
}

struct str audit_change(struct arena *arena, const char *what, struct str from, struct str to) {
    struct buf buf;
    struct json json;
    buf_init(&buf, DETAIL_LIMIT_BYTES);
    json_init(&json, &buf);
    json_object_begin(&json);
    JSON_STR(&json, "what", str_from(what));
    JSON_STR(&json, "from", str_slice(from, 0, 500));
    JSON_STR(&json, "to", str_slice(to, 0, 500));
    json_object_end(&json);
    struct str text = str_dup(arena, buf_str(&buf));
    buf_release(&buf);
    return text;
}
