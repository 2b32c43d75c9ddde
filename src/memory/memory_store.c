/*
 * Facts and their words are written together: the word index is an FTS5 table over the facts, and
 * what leaves a row leaves it first. Lists of facts come as the panel and the prompt want them:
 * pinned, important, new.
 */
#include "memory/memory_store.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/id.h"

#include "base/banned.h"

static enum err one(struct stmt *s, bool is_there) {
    enum err err = stmt_done(s);
    return err != E_OK ? err : is_there ? E_OK : E_ABSENT;
}

static enum err read_ids(struct stmt *s, int64_t *ids, size_t *count) {
    *count = 0;
    while (stmt_row(s))
        ids[(*count)++] = column_id(s, 0);
    return stmt_done(s);
}

/* --- whose ------------------------------------------------------------------------------------ */

/* The switches: the conversation's own, else the person's. */
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
    return one(s, is_there);
}

bool memory_store_owns(struct db *db, int64_t conversation_id, int64_t user_id) {
    struct stmt *s = DB_SQL(db, "SELECT 1 FROM conversation "
                                "WHERE id = :id AND owner_id = :user AND deleted_at IS NULL");
    bind_id(s, ":id", conversation_id);
    bind_id(s, ":user", user_id);
    return stmt_int(s, 0) == 1;
}

/* --- facts ------------------------------------------------------------------------------------ */

#define FACT_COLUMNS                                                                                 \
    "f.id, f.user_id, f.character_id, f.conversation_id, f.kind, f.subject, f.predicate, f.object, " \
    "f.identity, f.text, f.importance, f.confidence, f.valid_from, f.valid_to, f.superseded_by, "    \
    "f.state, f.pinned, f.uses, f.last_used_at, f.made_by, f.revision, f.created_at, f.updated_at "

static struct memory_fact column_fact(struct stmt *s, struct arena *arena) {
    return (struct memory_fact){
        .id = column_id(s, 0),
        .user_id = column_id(s, 1),
        .character_id = column_id(s, 2),
        .conversation_id = column_id(s, 3),
        .kind = column_str_dup(s, 4, arena),
        .subject = column_str_dup(s, 5, arena),
        .predicate = column_str_dup(s, 6, arena),
        .object = column_str_dup(s, 7, arena),
        .identity = column_str_dup(s, 8, arena),
        .text = column_str_dup(s, 9, arena),
        .importance = column_double(s, 10),
        .confidence = column_double(s, 11),
        .valid_from = column_time(s, 12),
        .valid_to = column_time(s, 13),
        .superseded_by = column_id(s, 14),
        .state = column_str_dup(s, 15, arena),
        .pinned = column_bool(s, 16),
        .uses = column_int(s, 17),
        .last_used_at = column_time(s, 18),
        .made_by = column_str_dup(s, 19, arena),
        .revision = column_int(s, 20),
        .created_at = column_time(s, 21),
        .updated_at = column_time(s, 22),
    };
}

/* One statement per scope, because each has its index. */
static struct stmt *facts_of(struct db *db, const struct memory_scope *scope, bool all,
                             int64_t limit) {
    struct stmt *s;
    if (scope->is_shared) {
        s = DB_SQL(db, "SELECT " FACT_COLUMNS "FROM memory_fact f "
                       "JOIN conversation c ON c.id = f.conversation_id AND c.deleted_at IS NULL "
                       "WHERE f.user_id = :user AND f.character_id = :character "
                       "AND (:all OR (f.state = 'active' AND f.valid_to IS NULL)) "
                       "ORDER BY f.pinned DESC, f.importance DESC, f.id DESC LIMIT :limit");
        bind_id(s, ":user", scope->user_id);
        bind_int(s, ":character", scope->character_id);
    } else {
        s = DB_SQL(db, "SELECT " FACT_COLUMNS "FROM memory_fact f "
                       "WHERE f.conversation_id = :conversation "
                       "AND (:all OR (f.state = 'active' AND f.valid_to IS NULL)) "
                       "ORDER BY f.pinned DESC, f.importance DESC, f.id DESC LIMIT :limit");
        bind_id(s, ":conversation", scope->conversation_id);
    }
    bind_bool(s, ":all", all);
    bind_int(s, ":limit", limit);
    return s;
}

enum err memory_store_facts(struct db *db, struct arena *arena, const struct memory_scope *scope,
                            bool all, size_t limit, struct memory_fact **facts, size_t *count) {
    size_t room = 32;
    *facts = ARENA_ARRAY(arena, struct memory_fact, room);
    *count = 0;
    struct stmt *s = facts_of(db, scope, all, (int64_t)limit);
    while (stmt_row(s)) {
        if (*count == room) {
            struct memory_fact *more = ARENA_ARRAY(arena, struct memory_fact, room * 2);
            for (size_t i = 0; i < room; i++)
                more[i] = (*facts)[i];
            *facts = more;
            room *= 2;
        }
        (*facts)[(*count)++] = column_fact(s, arena);
    }
    return stmt_done(s);
}

enum err memory_store_fact(struct db *db, struct arena *arena, int64_t id,
                           struct memory_fact *fact) {
    struct stmt *s = DB_SQL(db, "SELECT " FACT_COLUMNS "FROM memory_fact f WHERE f.id = :id");
    bind_id(s, ":id", id);
    bool is_there = stmt_row(s);
    if (is_there)
        *fact = column_fact(s, arena);
    return one(s, is_there);
}

#define SOURCES_LIMIT 64

enum err memory_store_sources(struct db *db, struct arena *arena, struct memory_fact *fact) {
    int64_t *ids = ARENA_ARRAY(arena, int64_t, SOURCES_LIMIT);
    struct stmt *s = DB_SQL(db, "SELECT message_id FROM memory_source WHERE fact_id = :fact "
                                "ORDER BY message_id LIMIT 64");
    bind_id(s, ":fact", fact->id);
    enum err err = read_ids(s, ids, &fact->source_count);
    fact->sources = ids;
    return err;
}

static enum err words_add(struct tx *tx, int64_t id, struct str text) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT INTO memory_fact_words (rowid, text) VALUES (:id, :text)");
    bind_id(s, ":id", id);
    bind_str(s, ":text", text);
    return stmt_run(s);
}

/* FTS5 wants to be told what stood there. */
static enum err words_remove(struct tx *tx, int64_t id) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT INTO memory_fact_words (memory_fact_words, rowid, text) "
                          "SELECT 'delete', id, text FROM memory_fact WHERE id = :id");
    bind_id(s, ":id", id);
    return stmt_run(s);
}

static void bind_fact(struct stmt *s, const struct memory_fact *fact) {
    bind_id(s, ":id", fact->id);
    bind_str(s, ":kind", fact->kind);
    bind_str(s, ":subject", fact->subject);
    bind_str(s, ":predicate", fact->predicate);
    bind_str(s, ":object", fact->object.at ? fact->object : STR(""));
    bind_str(s, ":identity", fact->identity);
    bind_str(s, ":text", fact->text);
    bind_double(s, ":importance", fact->importance);
    bind_double(s, ":confidence", fact->confidence);
    bind_int(s, ":valid_from", fact->valid_from);
    bind_time(s, ":valid_to", fact->valid_to);
    bind_id(s, ":superseded_by", fact->superseded_by);
    bind_str(s, ":state", fact->state);
    bind_bool(s, ":pinned", fact->pinned);
    bind_str(s, ":made_by", fact->made_by);
    bind_time(s, ":updated_at", fact->updated_at);
}

enum err memory_store_insert(struct tx *tx, const struct memory_fact *fact) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO memory_fact (id, user_id, character_id, conversation_id, kind, subject, predicate, object, identity, text, "
        "    importance, confidence, valid_from, valid_to, superseded_by, state, pinned, made_by, created_at, updated_at) "
        "VALUES (:id, :user, :character, :conversation, :kind, :subject, :predicate, :object, :identity, :text, "
        "    :importance, :confidence, :valid_from, :valid_to, :superseded_by, :state, :pinned, :made_by, :updated_at, :updated_at)");
    bind_fact(s, fact);
    bind_id(s, ":user", fact->user_id);
    bind_int(s, ":character", fact->character_id);
    bind_id(s, ":conversation", fact->conversation_id);
    enum err err = stmt_run(s);
    if (err == E_OK)
        err = words_add(tx, fact->id, fact->text);
    for (size_t i = 0; i < fact->source_count && err == E_OK; i++)
        err = memory_store_add_source(tx, fact->id, fact->sources[i]);
    return err;
}

enum err memory_store_update(struct tx *tx, const struct memory_fact *fact) {
    enum err err = words_remove(tx, fact->id);
    if (err != E_OK)
        return err;
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "UPDATE memory_fact SET kind = :kind, subject = :subject, predicate = :predicate, object = :object, identity = :identity, "
        "    text = :text, importance = :importance, confidence = :confidence, valid_from = :valid_from, valid_to = :valid_to, "
        "    superseded_by = :superseded_by, state = :state, pinned = :pinned, made_by = :made_by, "
        "    revision = revision + 1, updated_at = :updated_at WHERE id = :id");
    bind_fact(s, fact);
    err = stmt_run(s);
    return err == E_OK ? words_add(tx, fact->id, fact->text) : err;
}

/* A message that has gone meanwhile is no source. */
enum err memory_store_add_source(struct tx *tx, int64_t fact_id, int64_t message_id) {
    struct stmt *s = DB_SQL(tx_db(tx), "INSERT OR IGNORE INTO memory_source (fact_id, message_id) "
                                       "SELECT :fact, id FROM message WHERE id = :message");
    bind_id(s, ":fact", fact_id);
    bind_id(s, ":message", message_id);
    return stmt_run(s);
}

enum err memory_store_use(struct tx *tx, int64_t fact_id, int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx), "UPDATE memory_fact SET uses = uses + 1, last_used_at = :now WHERE id = :id");
    bind_id(s, ":id", fact_id);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

enum err memory_store_remove(struct tx *tx, int64_t fact_id) {
    enum err err = words_remove(tx, fact_id);
    if (err != E_OK)
        return err;
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM memory_fact WHERE id = :id");
    bind_id(s, ":id", fact_id);
    return stmt_run(s);
}

enum err memory_store_unsupported(struct db *db, int64_t conversation_id, int64_t from, int64_t to,
                                  int64_t *ids, size_t limit, size_t *count) {
    struct stmt *s = DB_SQL(
        db, "SELECT DISTINCT f.id FROM message m "
            "JOIN memory_source x ON x.message_id = m.id JOIN memory_fact f ON f.id = x.fact_id "
            "WHERE m.conversation_id = :conversation AND m.id BETWEEN :from AND :to "
            "AND (m.deleted_at IS NOT NULL OR m.hidden OR m.updated_at > f.created_at) "
            "AND f.made_by <> 'person' AND NOT f.pinned "
            "AND NOT EXISTS (SELECT 1 FROM memory_source y JOIN message n ON n.id = y.message_id "
            "                WHERE y.fact_id = f.id AND n.deleted_at IS NULL AND NOT n.hidden "
            "                AND n.updated_at <= f.created_at) LIMIT :limit");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":from", from);
    bind_int(s, ":to", to);
    bind_int(s, ":limit", (int64_t)limit);
    return read_ids(s, ids, count);
}

enum err memory_store_next(struct db *db, int64_t after, size_t limit, int64_t *ids,
                           size_t *count) {
    struct stmt *s =
        DB_SQL(db, "SELECT id FROM memory_fact WHERE id > :after ORDER BY id LIMIT :limit");
    bind_int(s, ":after", after);
    bind_int(s, ":limit", (int64_t)limit);
    return read_ids(s, ids, count);
}

/* --- summaries -------------------------------------------------------------------------------- */

#define SUMMARY_COLUMNS                                                                       \
    "id, conversation_id, kind, text, covers_from, covers_to, is_edited, is_stale, made_by, " \
    "revision, created_at, updated_at "

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
    };
}

enum err memory_summaries(struct db *db, struct arena *arena, int64_t conversation_id,
                          struct memory_summary **items, size_t *count) {
    *items = ARENA_ARRAY(arena, struct memory_summary, 3);
    *count = 0;
    struct stmt *s = DB_SQL(db, "SELECT " SUMMARY_COLUMNS "FROM memory_summary "
                                "WHERE conversation_id = :conversation ORDER BY kind LIMIT 3");
    bind_id(s, ":conversation", conversation_id);
    while (stmt_row(s))
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
    return one(s, is_there);
}

enum err memory_store_summary_by_id(struct db *db, struct arena *arena, int64_t id,
                                    struct memory_summary *summary) {
    struct stmt *s = DB_SQL(db, "SELECT " SUMMARY_COLUMNS "FROM memory_summary WHERE id = :id");
    bind_id(s, ":id", id);
    bool is_there = stmt_row(s);
    if (is_there)
        *summary = column_summary(s, arena);
    return one(s, is_there);
}

enum err memory_store_save_summary(struct tx *tx, const struct memory_summary *summary) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO memory_summary (id, conversation_id, kind, text, covers_from, covers_to, is_edited, is_stale, made_by, "
        "    created_at, updated_at) "
        "VALUES (:id, :conversation, :kind, :text, :from, :to, :edited, :stale, :made_by, :now, :now) "
        "ON CONFLICT (conversation_id, kind) DO UPDATE SET text = excluded.text, covers_from = excluded.covers_from, "
        "    covers_to = excluded.covers_to, is_edited = excluded.is_edited, is_stale = excluded.is_stale, "
        "    made_by = excluded.made_by, revision = revision + 1, updated_at = excluded.updated_at");
    bind_id(s, ":id", summary->id);
    bind_id(s, ":conversation", summary->conversation_id);
    bind_str(s, ":kind", summary->kind);
    bind_str(s, ":text", summary->text);
    bind_int(s, ":from", summary->covers_from);
    bind_int(s, ":to", summary->covers_to);
    bind_bool(s, ":edited", summary->is_edited);
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
    return read_ids(s, ids, count);
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
    *items = ARENA_ARRAY(arena, struct memory_episode, limit + 1);
    *count = 0;
    struct stmt *s = DB_SQL(db, "SELECT " EPISODE_COLUMNS "FROM memory_episode "
                                "WHERE conversation_id = :conversation AND covers_from > :after "
                                "ORDER BY covers_from LIMIT :limit");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":after", after_id);
    bind_int(s, ":limit", (int64_t)limit);
    while (stmt_row(s))
        (*items)[(*count)++] = column_episode(s, arena);
    return stmt_done(s);
}

enum err memory_store_episode(struct db *db, struct arena *arena, int64_t id,
                              struct memory_episode *episode) {
    struct stmt *s = DB_SQL(db, "SELECT " EPISODE_COLUMNS "FROM memory_episode WHERE id = :id");
    bind_id(s, ":id", id);
    bool is_there = stmt_row(s);
    if (is_there)
        *episode = column_episode(s, arena);
    return one(s, is_there);
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
    return read_ids(s, ids, count);
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

/* --- progress --------------------------------------------------------------------------------- */

enum err memory_store_progress(struct db *db, struct arena *arena, int64_t conversation_id,
                               struct memory_progress *progress) {
    *progress = (struct memory_progress){.conversation_id = conversation_id,
                                         .status = STR("strangers"),
                                         .mood = STR(""),
                                         .made_by = STR("rules")};
    struct stmt *s = DB_SQL(
        db,
        "SELECT waiting, queued, learnt_to, summed_to, again_from, again_to, status, closeness, "
        "mood, made_by, updated_at FROM memory_progress WHERE conversation_id = :conversation");
    bind_id(s, ":conversation", conversation_id);
    if (stmt_row(s)) {
        progress->waiting = column_int(s, 0);
        progress->queued = column_int(s, 1);
        progress->learnt_to = column_id(s, 2);
        progress->summed_to = column_id(s, 3);
        progress->again_from = column_id(s, 4);
        progress->again_to = column_id(s, 5);
        progress->status = column_str_dup(s, 6, arena);
        progress->closeness = column_double(s, 7);
        progress->mood = column_str_dup(s, 8, arena);
        progress->made_by = column_str_dup(s, 9, arena);
        progress->updated_at = column_time(s, 10);
    }
    return stmt_done(s);
}

/* `queued` counts how often the mark was reached since the last job ended: at the first time one is
 * added, and again when so much has gathered that the first must not wait for quiet any longer, or
 * was given up. */
enum err memory_store_said(struct tx *tx, int64_t conversation_id, int64_t count, int64_t every,
                           bool at_once, bool *queues, bool *is_urgent) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO memory_progress (conversation_id, waiting, queued) "
        "VALUES (:conversation, :count, :at_once OR :count >= :every) "
        "ON CONFLICT (conversation_id) DO UPDATE SET waiting = waiting + :count, "
        "    queued = queued + (:at_once OR waiting + :count >= :every) "
        "RETURNING :at_once OR (waiting >= :every AND (queued = 1 OR waiting % (:every * 4) < :count)), "
        "    :at_once OR waiting >= :every * 4");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":count", count);
    bind_int(s, ":every", every);
    bind_bool(s, ":at_once", at_once);
    bool is_there = stmt_row(s);
    *queues = is_there && column_bool(s, 0);
    *is_urgent = is_there && column_bool(s, 1);
    while (stmt_row(s)) {
    }
    return stmt_done(s);
}

enum err memory_store_save_progress(struct tx *tx, const struct memory_progress *progress) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO memory_progress (conversation_id, waiting, queued, learnt_to, summed_to, again_from, again_to, status, closeness, "
        "    mood, made_by, updated_at) "
        "VALUES (:conversation, :waiting, :queued, :learnt, :summed, :from, :to, :status, :closeness, :mood, :made_by, :now) "
        "ON CONFLICT (conversation_id) DO UPDATE SET waiting = excluded.waiting, queued = excluded.queued, "
        "    learnt_to = excluded.learnt_to, summed_to = excluded.summed_to, again_from = excluded.again_from, "
        "    again_to = excluded.again_to, status = excluded.status, closeness = excluded.closeness, mood = excluded.mood, "
        "    made_by = excluded.made_by, updated_at = excluded.updated_at");
    bind_id(s, ":conversation", progress->conversation_id);
    bind_int(s, ":waiting", progress->waiting);
    bind_int(s, ":queued", progress->queued);
    bind_int(s, ":learnt", progress->learnt_to);
    bind_int(s, ":summed", progress->summed_to);
    bind_int(s, ":from", progress->again_from);
    bind_int(s, ":to", progress->again_to);
    bind_str(s, ":status", progress->status);
    bind_double(s, ":closeness", progress->closeness);
    bind_str(s, ":mood", progress->mood);
    bind_str(s, ":made_by", progress->made_by);
    bind_int(s, ":now", progress->updated_at);
    return stmt_run(s);
}

/* Only what was learnt from already is looked at again. */
enum err memory_store_look_again(struct tx *tx, int64_t conversation_id, int64_t from, int64_t to,
                                 bool *queues) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "UPDATE memory_progress SET queued = queued + 1, "
        "    again_from = CASE WHEN again_from = 0 THEN :from ELSE min(again_from, :from) END, "
        "    again_to = max(again_to, min(:to, learnt_to)) "
        "WHERE conversation_id = :conversation AND learnt_to >= :from RETURNING queued = 1");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":from", from);
    bind_int(s, ":to", to);
    *queues = stmt_row(s) && column_bool(s, 0);
    while (stmt_row(s)) {
    }
    return stmt_done(s);
}

/* --- forgetting ------------------------------------------------------------------------------- */

struct digest {
    uint8_t at[SHA256_BYTES];
};

static struct digest digest_of(int64_t conversation_id, struct str identity) {
    struct digest digest;
    struct arena arena;
    arena_init(&arena);
    crypto_sha256(
        str_printf(&arena, "%lld\n" STR_FMT, (long long)conversation_id, STR_ARG(identity)),
        digest.at);
    arena_release(&arena);
    return digest;
}

bool memory_store_is_forgotten(struct db *db, int64_t conversation_id, struct str identity) {
    struct digest digest = digest_of(conversation_id, identity);
    struct stmt *s = DB_SQL(db, "SELECT 1 FROM memory_forgotten "
                                "WHERE conversation_id = :conversation AND digest = :digest");
    bind_id(s, ":conversation", conversation_id);
    bind_blob(s, ":digest", str_of((const char *)digest.at, sizeof digest.at));
    return stmt_int(s, 0) == 1;
}

enum err memory_store_forget_identity(struct tx *tx, int64_t conversation_id, struct str identity) {
    struct digest digest = digest_of(conversation_id, identity);
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT OR IGNORE INTO memory_forgotten (conversation_id, digest) "
                          "VALUES (:conversation, :digest)");
    bind_id(s, ":conversation", conversation_id);
    bind_blob(s, ":digest", str_of((const char *)digest.at, sizeof digest.at));
    return stmt_run(s);
}

enum err memory_store_withhold(struct tx *tx, int64_t conversation_id, int64_t message_id) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT OR IGNORE INTO memory_withheld (message_id, conversation_id) "
                          "SELECT id, conversation_id FROM message "
                          "WHERE id = :message AND conversation_id = :conversation");
    bind_id(s, ":message", message_id);
    bind_id(s, ":conversation", conversation_id);
    return stmt_run(s);
}

bool memory_store_is_withheld(struct db *db, int64_t message_id) {
    struct stmt *s = DB_SQL(db, "SELECT 1 FROM memory_withheld WHERE message_id = :message");
    bind_id(s, ":message", message_id);
    return stmt_int(s, 0) == 1;
}

enum err memory_store_mentions(struct db *db, int64_t conversation_id, struct str match,
                               int64_t *ids, size_t limit, size_t *count) {
    struct stmt *s =
        DB_SQL(db, "SELECT t.message_id FROM memory_words w "
                   "CROSS JOIN memory_turn t ON t.message_id = w.rowid "
                   "WHERE memory_words MATCH :match AND t.conversation_id = :conversation "
                   "LIMIT :limit");
    bind_str(s, ":match", match);
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":limit", (int64_t)limit);
    return read_ids(s, ids, count);
}

enum err memory_store_forget_answers(struct tx *tx, int64_t user_id, int64_t fact_id) {
    struct id_text id = id_text(fact_id);
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM idempotency WHERE user_id = :user "
                                       "AND instr(CAST(body AS TEXT), :fact) > 0");
    bind_id(s, ":user", user_id);
    bind_str(s, ":fact", str_from(id.at));
    return stmt_run(s);
}

enum err memory_store_merge_words(struct tx *tx) {
    return stmt_run(
        DB_SQL(tx_db(tx), "INSERT INTO memory_fact_words (memory_fact_words) VALUES ('optimize')"));
}

enum err memory_store_forget_all(struct tx *tx, int64_t conversation_id) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT INTO memory_fact_words (memory_fact_words, rowid, text) "
                          "SELECT 'delete', id, text FROM memory_fact "
                          "WHERE conversation_id = :conversation");
    bind_id(s, ":conversation", conversation_id);
    enum err err = stmt_run(s);
    if (err == E_OK) {
        s = DB_SQL(tx_db(tx), "DELETE FROM memory_fact WHERE conversation_id = :conversation");
        bind_id(s, ":conversation", conversation_id);
        err = stmt_run(s);
    }
    if (err == E_OK) {
        s = DB_SQL(tx_db(tx), "DELETE FROM memory_episode WHERE conversation_id = :conversation");
        bind_id(s, ":conversation", conversation_id);
        err = stmt_run(s);
    }
    if (err == E_OK) {
        s = DB_SQL(tx_db(tx), "DELETE FROM memory_summary WHERE conversation_id = :conversation");
        bind_id(s, ":conversation", conversation_id);
        err = stmt_run(s);
    }
    return err;
}

enum err memory_store_prompts(struct db *db, struct arena *arena, int64_t conversation_id,
                              int64_t since, int64_t after, struct memory_prompt *items,
                              size_t limit, size_t *count) {
    *count = 0;
    struct stmt *s = DB_SQL(
        db,
        "SELECT p.message_id, p.place, p.record FROM message m JOIN prompt p ON p.message_id = m.id "
        "WHERE m.conversation_id = :conversation AND m.id > :after AND p.created_at >= :since "
        "ORDER BY m.id, p.place LIMIT :limit");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":after", after);
    bind_int(s, ":since", since);
    bind_int(s, ":limit", (int64_t)limit);
    while (stmt_row(s))
        items[(*count)++] = (struct memory_prompt){.message_id = column_id(s, 0),
                                                   .place = column_int(s, 1),
                                                   .record = column_blob_dup(s, 2, arena)};
    return stmt_done(s);
}

enum err memory_store_save_prompt(struct tx *tx, const struct memory_prompt *prompt) {
    struct stmt *s = DB_SQL(tx_db(tx), "UPDATE prompt SET record = :record "
                                       "WHERE message_id = :message AND place = :place");
    bind_blob(s, ":record", prompt->record);
    bind_id(s, ":message", prompt->message_id);
    bind_int(s, ":place", prompt->place);
    return stmt_run(s);
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
    return read_ids(s, ids, count);
}

/* --- the talk --------------------------------------------------------------------------------- */

/* `seen` is the path that is shown: its branches, each up to where the next one leaves it. */
/* A character's message without one before it is a greeting: text of the card. */
#define SAID_THERE                                                                   \
    "AND m.deleted_at IS NULL AND NOT m.hidden AND m.role IN ('user', 'assistant') " \
    "AND (m.parent_id IS NOT NULL OR m.role = 'user') "                              \
    "AND v.state <> 'streaming' AND v.content <> '' "                                \
    "AND NOT EXISTS (SELECT 1 FROM memory_withheld w WHERE w.message_id = m.id) "

static struct memory_line column_line(struct stmt *s, struct arena *arena) {
    return (struct memory_line){.message_id = column_id(s, 0),
                                .at = column_time(s, 1),
                                .is_user = column_bool(s, 2),
                                .name = column_str_dup(s, 3, arena),
                                .text = column_str_dup(s, 4, arena)};
}

enum err memory_store_lines(struct db *db, struct arena *arena, int64_t conversation_id,
                            int64_t after, int64_t to, size_t limit, struct memory_line **lines,
                            size_t *count) {
    *lines = ARENA_ARRAY(arena, struct memory_line, limit);
    *count = 0;
    struct stmt *s = DB_SQL(
        db,
        "WITH RECURSIVE seen (branch_id, up_to) AS ("
        "    SELECT h.branch_id, h.id FROM conversation c JOIN message h ON h.id = c.head_id "
        "    WHERE c.id = :conversation "
        "    UNION ALL SELECT b.parent_id, b.fork_message_id FROM seen JOIN branch b "
        "    ON b.id = seen.branch_id WHERE b.parent_id IS NOT NULL) "
        "SELECT m.id, m.created_at, m.role = 'user', m.author_name, v.content "
        "FROM message m JOIN variant v ON v.message_id = m.id AND v.place = m.chosen "
        "WHERE m.conversation_id = :conversation AND m.id > :after AND m.id <= :to "
        "AND EXISTS (SELECT 1 FROM seen WHERE seen.branch_id = m.branch_id AND m.id <= seen.up_to) " SAID_THERE
        "ORDER BY m.id LIMIT :limit");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":after", after);
    bind_int(s, ":to", to != 0 ? to : INT64_MAX);
    bind_int(s, ":limit", (int64_t)limit);
    while (stmt_row(s))
        (*lines)[(*count)++] = column_line(s, arena);
    return stmt_done(s);
}

enum err memory_store_lines_before(struct db *db, struct arena *arena, int64_t conversation_id,
                                   int64_t before, size_t limit, struct memory_line **lines,
                                   size_t *count) {
    struct memory_line *newest = ARENA_ARRAY(arena, struct memory_line, limit);
    *lines = ARENA_ARRAY(arena, struct memory_line, limit);
    *count = 0;
    struct stmt *s = DB_SQL(
        db,
        "WITH RECURSIVE seen (branch_id, up_to) AS ("
        "    SELECT h.branch_id, h.id FROM conversation c JOIN message h ON h.id = c.head_id "
        "    WHERE c.id = :conversation "
        "    UNION ALL SELECT b.parent_id, b.fork_message_id FROM seen JOIN branch b "
        "    ON b.id = seen.branch_id WHERE b.parent_id IS NOT NULL) "
        "SELECT m.id, m.created_at, m.role = 'user', m.author_name, v.content "
        "FROM message m JOIN variant v ON v.message_id = m.id AND v.place = m.chosen "
        "WHERE m.conversation_id = :conversation AND m.id < :before "
        "AND EXISTS (SELECT 1 FROM seen WHERE seen.branch_id = m.branch_id AND m.id <= seen.up_to) " SAID_THERE
        "ORDER BY m.id DESC LIMIT :limit");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":before", before != 0 ? before : INT64_MAX);
    bind_int(s, ":limit", (int64_t)limit);
    while (stmt_row(s))
        newest[(*count)++] = column_line(s, arena);
    for (size_t i = 0; i < *count; i++)
        (*lines)[i] = newest[*count - 1 - i];
    return stmt_done(s);
}

int64_t memory_store_line_count(struct db *db, int64_t conversation_id, int64_t after) {
    struct stmt *s = DB_SQL(db, "SELECT count(*) FROM message "
                                "WHERE conversation_id = :conversation AND id > :after "
                                "AND deleted_at IS NULL");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":after", after);
    return stmt_int(s, 0);
}

/* --- how the two stand ------------------------------------------------------------------------ */

enum err memory_store_counts(struct db *db, int64_t conversation_id, struct memory_counts *counts) {
    struct stmt *s = DB_SQL(db, "SELECT count(*), min(created_at), max(created_at) FROM message "
                                "WHERE conversation_id = :conversation AND deleted_at IS NULL "
                                "AND role IN ('user', 'assistant')");
    bind_id(s, ":conversation", conversation_id);
    bool is_there = stmt_row(s);
    if (is_there)
        *counts = (struct memory_counts){column_int(s, 0), column_time(s, 1), column_time(s, 2)};
    return one(s, is_there);
}
