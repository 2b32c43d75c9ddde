/*
 * What a talk is summed up in: summaries, of which there is one of a kind, and episodes, of which a
 * long talk has many. Both tell which messages they cover, and become stale when one of those
 * changes.
 */
#include "memory/summary_store.h"

#include "store/rows.h"

#include "base/banned.h"

#define SUMMARY_KINDS 3 /* recent, full, relationship */

/* --- summaries -------------------------------------------------------------------------------- */

#define SUMMARY_COLUMNS                                                                       \
    "id, conversation_id, kind, text, covers_from, covers_to, is_edited, is_stale, made_by, " \
    "revision, created_at, updated_at, own_bytes "

static struct memory_summary column_summary(struct stmt *s, struct arena *arena) {
    return (struct memory_summary){
        .id = column_id(s, 0),
        .conversation_id = column_id(s, 1),
        .kind = column_str_dup(s, 2, arena),
        .text = column_str_dup(s, 3, arena),
        .covers_from = column_id(s, 4),
        .covers_to = column_id(s, 5),
        .is_edited = column_bool(s, 6),
        .is_stale = column_bool(s, 7),
        .made_by = column_str_dup(s, 8, arena),
        .revision = column_int(s, 9),
        .created_at = column_time(s, 10),
        .updated_at = column_time(s, 11),
        .own_bytes = column_int(s, 12),
    };
}

enum err memory_summaries(struct db *db, struct arena *arena, int64_t conversation_id,
                          struct memory_summary **items, size_t *count) {
    *items = ARENA_ARRAY(arena, struct memory_summary, SUMMARY_KINDS);
    *count = 0;
    struct stmt *s = DB_SQL(db, "SELECT " SUMMARY_COLUMNS "FROM memory_summary "
                                "WHERE conversation_id = :conversation ORDER BY kind");
    bind_id(s, ":conversation", conversation_id);
    while (*count < SUMMARY_KINDS && stmt_row(s))
        (*items)[(*count)++] = column_summary(s, arena);
    return stmt_done(s);
}

enum err memory_store_summary(struct db *db, struct arena *arena, int64_t conversation_id,
                              struct str kind, struct memory_summary *summary) {
    struct stmt *s = DB_SQL(db, "SELECT " SUMMARY_COLUMNS "FROM memory_summary "
                                "WHERE conversation_id = :conversation AND kind = :kind");
    bind_id(s, ":conversation", conversation_id);
    bind_str(s, ":kind", kind);
    bool is_there = stmt_row(s);
    if (is_there)
        *summary = column_summary(s, arena);
    return stmt_done_one(s, is_there);
}

enum err memory_store_summary_by_id(struct db *db, struct arena *arena, int64_t id,
                                    struct memory_summary *summary) {
    struct stmt *s = DB_SQL(db, "SELECT " SUMMARY_COLUMNS "FROM memory_summary WHERE id = :id");
    bind_id(s, ":id", id);
    bool is_there = stmt_row(s);
    if (is_there)
        *summary = column_summary(s, arena);
    return stmt_done_one(s, is_there);
}

enum err memory_store_save_summary(struct tx *tx, const struct memory_summary *summary) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO memory_summary (id, conversation_id, kind, text, covers_from, covers_to, is_edited, own_bytes, is_stale, "
        "    made_by, created_at, updated_at) "
        "VALUES (:id, :conversation, :kind, :text, :from, :to, :edited, :own, :stale, :made_by, :now, :now) "
        "ON CONFLICT (conversation_id, kind) DO UPDATE SET text = excluded.text, covers_from = excluded.covers_from, "
        "    covers_to = excluded.covers_to, is_edited = excluded.is_edited, own_bytes = excluded.own_bytes, "
        "    is_stale = excluded.is_stale, made_by = excluded.made_by, revision = revision + 1, updated_at = excluded.updated_at");
    bind_id(s, ":id", summary->id);
    bind_id(s, ":conversation", summary->conversation_id);
    bind_str(s, ":kind", summary->kind);
    bind_str(s, ":text", summary->text);
    bind_int(s, ":from", summary->covers_from);
    bind_int(s, ":to", summary->covers_to);
    bind_bool(s, ":edited", summary->is_edited);
    bind_int(s, ":own", summary->is_edited ? summary->own_bytes : 0);
    bind_bool(s, ":stale", summary->is_stale);
    bind_str(s, ":made_by", summary->made_by);
    bind_time(s, ":now", summary->updated_at);
    return stmt_run(s);
}

enum err memory_store_remove_summary(struct tx *tx, int64_t id) {
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM memory_summary WHERE id = :id");
    bind_id(s, ":id", id);
    return stmt_run(s);
}

enum err memory_store_next_summary(struct db *db, int64_t after, size_t limit, int64_t *ids,
                                   size_t *count) {
    struct stmt *s =
        DB_SQL(db, "SELECT id FROM memory_summary WHERE id > :after ORDER BY id LIMIT :limit");
    bind_int(s, ":after", after);
    bind_int(s, ":limit", (int64_t)limit);
    return stmt_ids(s, ids, limit, count);
}

/* --- episodes --------------------------------------------------------------------------------- */

#define EPISODE_COLUMNS                                                                     \
    "id, user_id, character_id, conversation_id, title, text, mood, started_at, ended_at, " \
    "covers_from, covers_to, importance, is_stale, made_by, revision, created_at, updated_at "

static struct memory_episode column_episode(struct stmt *s, struct arena *arena) {
    return (struct memory_episode){
        .id = column_id(s, 0),
        .user_id = column_id(s, 1),
        .character_id = column_id(s, 2),
        .conversation_id = column_id(s, 3),
        .title = column_str_dup(s, 4, arena),
        .text = column_str_dup(s, 5, arena),
        .mood = column_str_dup(s, 6, arena),
        .started_at = column_time(s, 7),
        .ended_at = column_time(s, 8),
        .covers_from = column_id(s, 9),
        .covers_to = column_id(s, 10),
        .importance = column_double(s, 11),
        .is_stale = column_bool(s, 12),
        .made_by = column_str_dup(s, 13, arena),
        .revision = column_int(s, 14),
        .created_at = column_time(s, 15),
        .updated_at = column_time(s, 16),
    };
}

enum err memory_episodes(struct db *db, struct arena *arena, int64_t conversation_id,
                         int64_t after_id, size_t limit, struct memory_episode **items,
                         size_t *count) {
    size_t room = 0;
    *items = NULL;
    *count = 0;
    struct stmt *s = DB_SQL(db, "SELECT " EPISODE_COLUMNS "FROM memory_episode "
                                "WHERE conversation_id = :conversation AND covers_from > :after "
                                "ORDER BY covers_from LIMIT :limit");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":after", after_id);
    bind_int(s, ":limit", (int64_t)limit);
    while (stmt_row(s)) {
        ARENA_GROW(arena, *items, *count, room);
        (*items)[(*count)++] = column_episode(s, arena);
    }
    return stmt_done(s);
}

enum err memory_store_episode(struct db *db, struct arena *arena, int64_t id,
                              struct memory_episode *episode) {
    struct stmt *s = DB_SQL(db, "SELECT " EPISODE_COLUMNS "FROM memory_episode WHERE id = :id");
    bind_id(s, ":id", id);
    bool is_there = stmt_row(s);
    if (is_there)
        *episode = column_episode(s, arena);
    return stmt_done_one(s, is_there);
}

enum err memory_store_save_episode(struct tx *tx, const struct memory_episode *episode) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO memory_episode (id, user_id, character_id, conversation_id, title, text, mood, started_at, ended_at, "
        "    covers_from, covers_to, importance, is_stale, made_by, created_at, updated_at) "
        "VALUES (:id, :user, :character, :conversation, :title, :text, :mood, :started, :ended, :from, :to, :importance, :stale, "
        "    :made_by, :now, :now) "
        "ON CONFLICT (id) DO UPDATE SET title = excluded.title, text = excluded.text, mood = excluded.mood, "
        "    started_at = excluded.started_at, ended_at = excluded.ended_at, covers_from = excluded.covers_from, "
        "    covers_to = excluded.covers_to, importance = excluded.importance, is_stale = excluded.is_stale, "
        "    made_by = excluded.made_by, revision = revision + 1, updated_at = excluded.updated_at");
    bind_id(s, ":id", episode->id);
    bind_id(s, ":user", episode->user_id);
    bind_int(s, ":character", episode->character_id);
    bind_id(s, ":conversation", episode->conversation_id);
    bind_str(s, ":title", episode->title);
    bind_str(s, ":text", episode->text);
    bind_str(s, ":mood", episode->mood.at ? episode->mood : STR(""));
    bind_int(s, ":started", episode->started_at);
    bind_int(s, ":ended", episode->ended_at);
    bind_int(s, ":from", episode->covers_from);
    bind_int(s, ":to", episode->covers_to);
    bind_double(s, ":importance", episode->importance);
    bind_bool(s, ":stale", episode->is_stale);
    bind_str(s, ":made_by", episode->made_by);
    bind_time(s, ":now", episode->updated_at);
    return stmt_run(s);
}

enum err memory_store_remove_episode(struct tx *tx, int64_t id) {
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM memory_episode WHERE id = :id");
    bind_id(s, ":id", id);
    return stmt_run(s);
}

enum err memory_store_next_episode(struct db *db, int64_t after, size_t limit, int64_t *ids,
                                   size_t *count) {
    struct stmt *s =
        DB_SQL(db, "SELECT id FROM memory_episode WHERE id > :after ORDER BY id LIMIT :limit");
    bind_int(s, ":after", after);
    bind_int(s, ":limit", (int64_t)limit);
    return stmt_ids(s, ids, limit, count);
}

bool memory_store_has_stale(struct db *db, int64_t conversation_id) {
    struct stmt *s = DB_SQL(db, "SELECT 1 FROM memory_episode "
                                "WHERE conversation_id = :conversation AND is_stale LIMIT 1");
    bind_id(s, ":conversation", conversation_id);
    return stmt_int(s, 0) == 1;
}

enum err memory_store_make_stale(struct tx *tx, int64_t conversation_id, int64_t from, int64_t to) {
    struct stmt *s = DB_SQL(tx_db(tx), "UPDATE memory_summary SET is_stale = 1 "
                                       "WHERE conversation_id = :conversation "
                                       "AND covers_from <= :to AND covers_to >= :from");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":from", from);
    bind_int(s, ":to", to);
    enum err err = stmt_run(s);
    if (err != E_OK)
        return err;
    s = DB_SQL(tx_db(tx), "UPDATE memory_episode SET is_stale = 1 "
                          "WHERE conversation_id = :conversation "
                          "AND covers_from <= :to AND covers_to >= :from");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":from", from);
    bind_int(s, ":to", to);
    return stmt_run(s);
}
