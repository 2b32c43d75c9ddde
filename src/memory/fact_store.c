/*
 * Facts and their sources. Lists of facts come as the panel and the prompt want them: pinned,
 * important, new.
 */
#include "memory/fact_store.h"

#include "store/rows.h"

#include "base/banned.h"

#define SOURCES_LIMIT 64 /* of one fact; a fact that was said more often shows the first */

/* --- reading ---------------------------------------------------------------------------------- */

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
    size_t room = 0;
    *facts = NULL;
    *count = 0;
    struct stmt *s = facts_of(db, scope, all, (int64_t)limit);
    while (stmt_row(s)) {
        ARENA_GROW(arena, *facts, *count, room);
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
    return stmt_done_one(s, is_there);
}

int64_t memory_store_fact_count(struct db *db, int64_t conversation_id) {
    struct stmt *s = DB_SQL(db, "SELECT count(*) FROM memory_fact "
                                "WHERE conversation_id = :conversation");
    bind_id(s, ":conversation", conversation_id);
    return stmt_int(s, 0);
}

enum err memory_store_sources(struct db *db, struct arena *arena, struct memory_fact *fact) {
    int64_t *ids = ARENA_ARRAY(arena, int64_t, SOURCES_LIMIT);
    struct stmt *s = DB_SQL(db, "SELECT message_id FROM memory_source WHERE fact_id = :fact "
                                "ORDER BY message_id LIMIT :limit");
    bind_id(s, ":fact", fact->id);
    bind_int(s, ":limit", SOURCES_LIMIT);
    enum err err = stmt_ids(s, ids, SOURCES_LIMIT, &fact->source_count);
    fact->sources = ids;
    return err;
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
    for (size_t i = 0; i < fact->source_count && err == E_OK; i++)
        err = memory_store_add_source(tx, fact->id, fact->sources[i]);
    return err;
}

enum err memory_store_update(struct tx *tx, const struct memory_fact *fact) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "UPDATE memory_fact SET kind = :kind, subject = :subject, predicate = :predicate, object = :object, identity = :identity, "
        "    text = :text, importance = :importance, confidence = :confidence, valid_from = :valid_from, valid_to = :valid_to, "
        "    superseded_by = :superseded_by, state = :state, pinned = :pinned, made_by = :made_by, "
        "    revision = revision + 1, updated_at = :updated_at WHERE id = :id");
    bind_fact(s, fact);
    return stmt_run(s);
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
    return stmt_ids(s, ids, limit, count);
}

enum err memory_store_next(struct db *db, int64_t after, size_t limit, int64_t *ids,
                           size_t *count) {
    struct stmt *s =
        DB_SQL(db, "SELECT id FROM memory_fact WHERE id > :after ORDER BY id LIMIT :limit");
    bind_int(s, ":after", after);
    bind_int(s, ":limit", (int64_t)limit);
    return stmt_ids(s, ids, limit, count);
}
