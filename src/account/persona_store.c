/*
 * The SQL of personas: who a person is on stage. At most one of a person's is the default; a partial
 * index of the schema holds that, so the one before steps back first.
 */
#include "account/persona_store.h"

#include "store/rows.h"

#include "base/banned.h"

#define PERSONAS_LIMIT 100 /* of one person; a list shows them all */

#define PERSONA_COLUMNS \
    "id, name, description, avatar_blob, is_default, revision, created_at, updated_at "

static void persona_from_row(struct stmt *s, struct arena *arena, struct persona *persona) {
    *persona = (struct persona){
        .id = column_id(s, 0),
        .name = column_str_dup(s, 1, arena),
        .description = column_str_dup(s, 2, arena),
        .avatar_blob = column_str_dup(s, 3, arena),
        .is_default = column_bool(s, 4),
        .revision = column_int(s, 5),
        .created_at = column_time(s, 6),
        .updated_at = column_time(s, 7),
    };
}

enum err persona_list(struct db *db, struct arena *arena, int64_t user_id, struct persona **items,
                      size_t *count) {
    struct stmt *s = DB_SQL(db, "SELECT " PERSONA_COLUMNS
                                "FROM persona WHERE user_id = :user ORDER BY id LIMIT :limit");
    bind_id(s, ":user", user_id);
    bind_int(s, ":limit", PERSONAS_LIMIT);
    *items = ARENA_ARRAY(arena, struct persona, PERSONAS_LIMIT);
    *count = 0;
    while (*count < PERSONAS_LIMIT && stmt_row(s))
        persona_from_row(s, arena, &(*items)[(*count)++]);
    return stmt_done(s);
}

static enum err one_persona(struct stmt *s, struct arena *arena, struct persona *persona) {
    bool is_there = stmt_row(s);
    if (is_there)
        persona_from_row(s, arena, persona);
    return stmt_done_one(s, is_there);
}

enum err persona_load(struct db *db, struct arena *arena, int64_t user_id, int64_t persona_id,
                      struct persona *persona) {
    struct stmt *s =
        DB_SQL(db, "SELECT " PERSONA_COLUMNS "FROM persona WHERE id = :id AND user_id = :user");
    bind_id(s, ":id", persona_id);
    bind_id(s, ":user", user_id);
    return one_persona(s, arena, persona);
}

enum err persona_load_default(struct db *db, struct arena *arena, int64_t user_id,
                              struct persona *persona) {
    struct stmt *s = DB_SQL(db, "SELECT " PERSONA_COLUMNS
                                "FROM persona WHERE user_id = :user AND is_default = 1");
    bind_id(s, ":user", user_id);
    return one_persona(s, arena, persona);
}

/* Only one is the default: the one before steps back. */
static enum err take_default(struct tx *tx, int64_t user_id, int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx), "UPDATE persona SET is_default = 0, revision = revision + 1, updated_at = :now "
                   "WHERE user_id = :user AND is_default = 1");
    bind_id(s, ":user", user_id);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

static int64_t persona_count(struct db *db, int64_t user_id) {
    struct stmt *s = DB_SQL(db, "SELECT COUNT(*) FROM persona WHERE user_id = :user");
    bind_id(s, ":user", user_id);
    return stmt_int(s, 0);
}

enum err persona_insert(struct tx *tx, int64_t user_id, const struct persona *p, int64_t now) {
    if (persona_count(tx_db(tx), user_id) >= PERSONAS_LIMIT)
        return E_LIMIT;
    enum err err = p->is_default ? take_default(tx, user_id, now) : E_OK;
    if (err != E_OK)
        return err;
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO persona (id, user_id, name, description, is_default, created_at, updated_at) "
        "VALUES (:id, :user, :name, :description, :default, :now, :now)");
    bind_id(s, ":id", p->id);
    bind_id(s, ":user", user_id);
    bind_str(s, ":name", p->name);
    bind_str(s, ":description", p->description);
    bind_bool(s, ":default", p->is_default);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

enum err persona_update(struct tx *tx, int64_t user_id, const struct persona *p, int64_t now) {
    enum err err = p->is_default ? take_default(tx, user_id, now) : E_OK;
    if (err != E_OK)
        return err;
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "UPDATE persona "
        "SET name = :name, description = :description, avatar_blob = :avatar, is_default = :default, "
        "    revision = revision + 1, updated_at = :now "
        "WHERE id = :id AND user_id = :user");
    bind_id(s, ":id", p->id);
    bind_id(s, ":user", user_id);
    bind_str(s, ":name", p->name);
    bind_str(s, ":description", p->description);
    bind_str(s, ":avatar", p->avatar_blob);
    bind_bool(s, ":default", p->is_default);
    bind_time(s, ":now", now);
    return stmt_run_one(s);
}

enum err persona_delete(struct tx *tx, int64_t user_id, int64_t persona_id) {
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM persona WHERE id = :id AND user_id = :user");
    bind_id(s, ":id", persona_id);
    bind_id(s, ":user", user_id);
    return stmt_run_one(s);
}
