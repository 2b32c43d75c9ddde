/* The SQL of the administration. */
#include "admin/admin_store.h"

#include "base/banned.h"

#define SETTINGS_LIMIT 256

enum err setting_list(struct db *db, struct arena *arena, struct stored_setting **items,
                      size_t *count) {
    struct stmt *s = DB_SQL(db, "SELECT name, value, changed_by, changed_at FROM setting "
                                "WHERE name > '' ORDER BY name");
    *items = ARENA_ARRAY(arena, struct stored_setting, SETTINGS_LIMIT);
    *count = 0;
    while (*count < SETTINGS_LIMIT && stmt_row(s))
        (*items)[(*count)++] = (struct stored_setting){
            .name = column_str_dup(s, 0, arena),
            .value = column_str_dup(s, 1, arena),
            .changed_by = column_id(s, 2),
            .changed_at = column_time(s, 3),
        };
    return stmt_done(s);
}

enum err setting_put(struct tx *tx, const struct stored_setting *setting) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT INTO setting (name, value, changed_by, changed_at) "
                          "VALUES (:name, :value, :by, :at) ON CONFLICT (name) DO UPDATE "
                          "SET value = :value, changed_by = :by, changed_at = :at");
    bind_str(s, ":name", setting->name);
    bind_str(s, ":value", setting->value);
    bind_id(s, ":by", setting->changed_by);
    bind_time(s, ":at", setting->changed_at);
    return stmt_run(s);
}

enum err setting_remove(struct tx *tx, struct str name) {
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM setting WHERE name = :name");
    bind_str(s, ":name", name);
    return stmt_run(s);
}

/* --- numbers ---------------------------------------------------------------------------------- */

static enum err count_things(struct db *db, struct house_counts *counts) {
    struct stmt *s = DB_SQL(
        db, "SELECT (SELECT count(*) FROM user WHERE deleted_at IS NULL), "
            "(SELECT count(*) FROM user WHERE deleted_at IS NULL AND disabled_at IS NOT NULL), "
            "(SELECT count(*) FROM character WHERE deleted_at IS NULL), "
            "(SELECT count(*) FROM conversation WHERE deleted_at IS NULL), "
            "(SELECT count(*) FROM message), "
            "(SELECT count(*) FROM job WHERE state = 'queued'), "
            "(SELECT count(*) FROM job WHERE state = 'dead') -- counted in a pool thread");
    if (stmt_row(s)) {
        counts->people = column_int(s, 0);
        counts->people_disabled = column_int(s, 1);
        counts->characters = column_int(s, 2);
        counts->conversations = column_int(s, 3);
        counts->messages = column_int(s, 4);
        counts->jobs_waiting = column_int(s, 5);
        counts->jobs_dead = column_int(s, 6);
    }
    return stmt_done(s);
}

enum err pool_house_counts(struct db *db, int64_t since_id, struct house_counts *counts) {
    *counts = (struct house_counts){0};
    enum err err = count_things(db, counts);
    if (err != E_OK)
        return err;
    struct stmt *s =
        DB_SQL(db, "SELECT count(*), count(*) FILTER (WHERE role = 'assistant') FROM message "
                   "WHERE id >= :since");
    bind_id(s, ":since", since_id);
    if (stmt_row(s)) {
        counts->messages_lately = column_int(s, 0);
        counts->replies_lately = column_int(s, 1);
    }
    if ((err = stmt_done(s)) != E_OK)
        return err;
    s = DB_SQL(db, "SELECT coalesce(sum(prompt_tokens), 0), coalesce(sum(reply_tokens), 0) "
                   "FROM usage WHERE id >= :since");
    bind_id(s, ":since", since_id);
    if (stmt_row(s)) {
        counts->prompt_tokens_lately = column_int(s, 0);
        counts->reply_tokens_lately = column_int(s, 1);
    }
    return stmt_done(s);
}
