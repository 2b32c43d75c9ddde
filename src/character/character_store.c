/*
 * One character: its row, the words and tags that it is found by, its revisions, the trash. Lists and
 * searches are character_list_store.c. Who may read what is decided in SQL, see character_store.h.
 */
#include "character/character_store.h"

#include "base/check.h"
#include "base/clock.h"
#include "character/knowledge.h"
#include "store/rows.h"

#include "base/banned.h"

/* --- one ------------------------------------------------------------------------------------ */

#define CHARACTER_COLUMNS                                                                   \
    "c.id, c.owner_id, c.name, c.nickname, c.description, c.personality, c.scenario, "      \
    "c.first_mes, c.mes_example, c.alternate_greetings, c.group_only_greetings, "           \
    "c.system_prompt, c.post_history_instructions, c.creator_notes, c.tags, c.creator, "    \
    "c.character_version, c.source, c.extensions, c.unknown, c.tagline, c.visibility, "     \
    "c.content_tier, c.talkativeness, c.voice, c.vrm_id, c.model_settings, c.avatar_blob, " \
    "c.origin, c.revision, c.created_at, c.updated_at, c.deleted_at "
#define FAVOURITE_COLUMN 33 /* of those who add it */

static struct character column_character(struct stmt *s, struct arena *arena) {
    return (struct character){
        .id = column_id(s, 0),
        .owner_id = column_id(s, 1),
        .name = column_str_dup(s, 2, arena),
        .nickname = column_str_dup(s, 3, arena),
        .description = column_str_dup(s, 4, arena),
        .personality = column_str_dup(s, 5, arena),
        .scenario = column_str_dup(s, 6, arena),
        .first_mes = column_str_dup(s, 7, arena),
        .mes_example = column_str_dup(s, 8, arena),
        .alternate_greetings = column_str_dup(s, 9, arena),
        .group_only_greetings = column_str_dup(s, 10, arena),
        .system_prompt = column_str_dup(s, 11, arena),
        .post_history_instructions = column_str_dup(s, 12, arena),
        .creator_notes = column_str_dup(s, 13, arena),
        .tags = column_str_dup(s, 14, arena),
        .creator = column_str_dup(s, 15, arena),
        .character_version = column_str_dup(s, 16, arena),
        .source = column_str_dup(s, 17, arena),
        .extensions = column_str_dup(s, 18, arena),
        .unknown = column_str_dup(s, 19, arena),
        .tagline = column_str_dup(s, 20, arena),
        .visibility = column_str_dup(s, 21, arena),
        .content_tier = column_str_dup(s, 22, arena),
        .talkativeness = column_double(s, 23),
        .voice = column_str_dup(s, 24, arena),
        .vrm_id = column_id(s, 25),
        .model_settings = column_str_dup(s, 26, arena),
        .avatar_blob = column_str_dup(s, 27, arena),
        .origin = column_str_dup(s, 28, arena),
        .revision = column_int(s, 29),
        .created_at = column_time(s, 30),
        .updated_at = column_time(s, 31),
        .deleted_at = column_time(s, 32),
    };
}

enum err character_store_load(struct db *db, struct arena *arena, int64_t id, int64_t user_id,
                              struct character *character) {
    struct stmt *s = DB_SQL(
        db, "SELECT " CHARACTER_COLUMNS ", EXISTS (SELECT 1 FROM favourite f "
            "WHERE f.user_id = :user AND f.character_id = c.id) "
            "FROM character c WHERE c.id = :id AND c.deleted_at IS NULL "
            "AND (c.owner_id = :user OR c.visibility <> 'private') AND " CHARACTER_MAY_BY_TIER);
    bind_id(s, ":id", id);
    bind_id(s, ":user", user_id);
    bool is_there = stmt_row(s);
    if (is_there) {
        *character = column_character(s, arena);
        character->is_favourite = column_bool(s, FAVOURITE_COLUMN);
    }
    return stmt_done_one(s, is_there);
}

enum err character_store_load_any(struct db *db, struct arena *arena, int64_t id,
                                  struct character *character) {
    struct stmt *s = DB_SQL(db, "SELECT " CHARACTER_COLUMNS "FROM character c WHERE c.id = :id");
    bind_id(s, ":id", id);
    bool is_there = stmt_row(s);
    if (is_there)
        *character = column_character(s, arena);
    return stmt_done_one(s, is_there);
}

enum err character_store_tier(struct db *db, struct arena *arena, int64_t id, struct str *tier) {
    struct stmt *s = DB_SQL(db, "SELECT content_tier FROM character WHERE id = :id");
    bind_id(s, ":id", id);
    bool is_there = stmt_row(s);
    if (is_there)
        *tier = column_str_dup(s, 0, arena);
    return stmt_done_one(s, is_there);
}

/* --- revisions ------------------------------------------------------------------------------ */

enum err character_store_revisions(struct db *db, int64_t id, int64_t before, int64_t limit,
                                   struct revision *revisions, size_t *count) {
    struct stmt *s = DB_SQL(db, "SELECT revision, saved_by, created_at FROM character_revision "
                                "WHERE character_id = :id AND revision < :before "
                                "ORDER BY revision DESC LIMIT :limit");
    bind_id(s, ":id", id);
    bind_int(s, ":before", before);
    bind_int(s, ":limit", limit);
    *count = 0;
    while ((int64_t)*count < limit && stmt_row(s))
        revisions[(*count)++] =
            (struct revision){column_int(s, 0), column_id(s, 1), column_time(s, 2), STR_NONE};
    return stmt_done(s);
}

enum err character_store_revision(struct db *db, struct arena *arena, int64_t id, int64_t n,
                                  struct revision *revision) {
    struct stmt *s =
        DB_SQL(db, "SELECT revision, saved_by, created_at, card FROM character_revision "
                   "WHERE character_id = :id AND revision = :n");
    bind_id(s, ":id", id);
    bind_int(s, ":n", n);
    bool is_there = stmt_row(s);
    if (is_there)
        *revision = (struct revision){column_int(s, 0), column_id(s, 1), column_time(s, 2),
                                      column_str_dup(s, 3, arena)};
    return stmt_done_one(s, is_there);
}

enum err character_store_add_revision(struct tx *tx, const struct character *character,
                                      int64_t saved_by, struct str card, int64_t keep) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT INTO character_revision "
                          "(character_id, revision, card, avatar_blob, saved_by, created_at) "
                          "VALUES (:id, :revision, :card, :avatar, :by, :now)");
    bind_id(s, ":id", character->id);
    bind_int(s, ":revision", character->revision);
    bind_str(s, ":card", card);
    bind_str(s, ":avatar", character->avatar_blob.len > 0 ? character->avatar_blob : STR_NONE);
    bind_id(s, ":by", saved_by);
    bind_time(s, ":now", character->updated_at);
    enum err err = stmt_run(s);
    if (err != E_OK || character->revision <= keep)
        return err;
    s = DB_SQL(tx_db(tx), "DELETE FROM character_revision "
                          "WHERE character_id = :id AND revision <= :old");
    bind_id(s, ":id", character->id);
    bind_int(s, ":old", character->revision - keep);
    return stmt_run(s);
}

/* --- writing -------------------------------------------------------------------------------- */

static void bind_text(struct stmt *s, const char *name, struct str text, const char *fallback) {
    bind_str(s, name, text.at ? text : str_from(fallback));
}

static void bind_character(struct stmt *s, const struct character *c) {
    bind_id(s, ":id", c->id);
    bind_text(s, ":name", c->name, "");
    bind_text(s, ":nickname", c->nickname, "");
    bind_text(s, ":description", c->description, "");
    bind_text(s, ":personality", c->personality, "");
    bind_text(s, ":scenario", c->scenario, "");
    bind_text(s, ":first_mes", c->first_mes, "");
    bind_text(s, ":mes_example", c->mes_example, "");
    bind_text(s, ":alternate_greetings", c->alternate_greetings, "[]");
    bind_text(s, ":group_only_greetings", c->group_only_greetings, "[]");
    bind_text(s, ":system_prompt", c->system_prompt, "");
    bind_text(s, ":post_history_instructions", c->post_history_instructions, "");
    bind_text(s, ":creator_notes", c->creator_notes, "");
    bind_text(s, ":tags", c->tags, "[]");
    bind_text(s, ":creator", c->creator, "");
    bind_text(s, ":character_version", c->character_version, "");
    bind_text(s, ":source", c->source, "[]");
    bind_text(s, ":extensions", c->extensions, "{}");
    bind_text(s, ":unknown", c->unknown, "{}");
    bind_text(s, ":tagline", c->tagline, "");
    bind_text(s, ":visibility", c->visibility, "private");
    bind_text(s, ":content_tier", c->content_tier, "all_ages");
    bind_double(s, ":talkativeness", c->talkativeness);
    bind_text(s, ":voice", c->voice, "");
    bind_id(s, ":vrm_id", c->vrm_id);
    bind_text(s, ":model_settings", c->model_settings, "{}");
    bind_str(s, ":avatar_blob", c->avatar_blob);
    bind_int(s, ":revision", c->revision);
    bind_time(s, ":updated_at", c->updated_at);
}

enum err character_store_insert(struct tx *tx, const struct character *character) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO character (id, owner_id, name, nickname, description, personality, scenario, "
        "first_mes, mes_example, alternate_greetings, group_only_greetings, system_prompt, "
        "post_history_instructions, creator_notes, tags, creator, character_version, source, "
        "extensions, unknown, tagline, visibility, content_tier, talkativeness, voice, vrm_id, "
        "model_settings, avatar_blob, origin, revision, created_at, updated_at) "
        "VALUES (:id, :owner, :name, :nickname, :description, :personality, :scenario, "
        ":first_mes, :mes_example, :alternate_greetings, :group_only_greetings, :system_prompt, "
        ":post_history_instructions, :creator_notes, :tags, :creator, :character_version, "
        ":source, :extensions, :unknown, :tagline, :visibility, :content_tier, :talkativeness, "
        ":voice, :vrm_id, :model_settings, :avatar_blob, :origin, :revision, :created_at, "
        ":updated_at)");
    bind_character(s, character);
    bind_id(s, ":owner", character->owner_id);
    bind_text(s, ":origin", character->origin, "created");
    bind_time(s, ":created_at", character->created_at);
    return stmt_run(s);
}

enum err character_store_update(struct tx *tx, const struct character *character) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "UPDATE character SET name = :name, nickname = :nickname, description = :description, "
        "personality = :personality, scenario = :scenario, first_mes = :first_mes, "
        "mes_example = :mes_example, alternate_greetings = :alternate_greetings, "
        "group_only_greetings = :group_only_greetings, system_prompt = :system_prompt, "
        "post_history_instructions = :post_history_instructions, "
        "creator_notes = :creator_notes, tags = :tags, creator = :creator, "
        "character_version = :character_version, source = :source, extensions = :extensions, "
        "unknown = :unknown, tagline = :tagline, visibility = :visibility, "
        "content_tier = :content_tier, talkativeness = :talkativeness, voice = :voice, "
        "vrm_id = :vrm_id, model_settings = :model_settings, avatar_blob = :avatar_blob, "
        "revision = :revision, updated_at = :updated_at WHERE id = :id");
    bind_character(s, character);
    return stmt_run(s);
}

static enum err remove_from_index(struct tx *tx, int64_t id) {
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM character_tag WHERE character_id = :id");
    bind_id(s, ":id", id);
    enum err err = stmt_run(s);
    if (err != E_OK)
        return err;
    s = DB_SQL(tx_db(tx), "DELETE FROM character_words WHERE rowid = :id");
    bind_id(s, ":id", id);
    if ((err = stmt_run(s)) != E_OK)
        return err;
    s = DB_SQL(tx_db(tx), "DELETE FROM character_trigrams WHERE rowid = :id");
    bind_id(s, ":id", id);
    return stmt_run(s);
}

static enum err add_tags(struct tx *tx, int64_t id, const struct str *tags, size_t count) {
    enum err err = E_OK;
    for (size_t i = 0; i < count && err == E_OK; i++) {
        struct stmt *s = DB_SQL(tx_db(tx), "INSERT OR IGNORE INTO character_tag "
                                           "(tag, character_id) VALUES (:tag, :id)");
        bind_str(s, ":tag", tags[i]);
        bind_id(s, ":id", id);
        err = stmt_run(s);
    }
    return err;
}

static enum err add_words(struct tx *tx, const struct character *c) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT INTO character_words "
                          "(rowid, name, nickname, tagline, tags, creator, description) "
                          "VALUES (:id, :name, :nickname, :tagline, :tags, :creator, "
                          ":description)");
    bind_id(s, ":id", c->id);
    bind_str(s, ":name", c->name);
    bind_str(s, ":nickname", c->nickname);
    bind_str(s, ":tagline", c->tagline);
    bind_str(s, ":tags", c->tags);
    bind_str(s, ":creator", c->creator);
    bind_str(s, ":description", c->description);
    enum err err = stmt_run(s);
    if (err != E_OK)
        return err;
    s = DB_SQL(tx_db(tx), "INSERT INTO character_trigrams (rowid, name, tags) "
                          "VALUES (:id, :name || ' ' || :nickname, :tags)");
    bind_id(s, ":id", c->id);
    bind_str(s, ":name", c->name);
    bind_str(s, ":nickname", c->nickname);
    bind_str(s, ":tags", c->tags);
    return stmt_run(s);
}

enum err character_store_index(struct tx *tx, const struct character *character,
                               const struct str *tags, size_t tag_count) {
    enum err err = remove_from_index(tx, character->id);
    if (err == E_OK)
        err = add_tags(tx, character->id, tags, tag_count);
    return err == E_OK ? add_words(tx, character) : err;
}

enum err character_store_set_deleted(struct tx *tx, int64_t id, int64_t deleted_at) {
    struct stmt *s = DB_SQL(tx_db(tx), "UPDATE character SET deleted_at = :deleted WHERE id = :id");
    bind_id(s, ":id", id);
    bind_time(s, ":deleted", deleted_at);
    return stmt_run(s);
}

enum err character_store_delete(struct tx *tx, int64_t id) {
    enum err err = remove_from_index(tx, id);
    if (err == E_OK)
        err = knowledge_drop(tx, id);
    if (err != E_OK)
        return err;
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM character WHERE id = :id");
    bind_id(s, ":id", id);
    return stmt_run(s);
}

enum err character_store_sweep(struct tx *tx, int64_t before_ms, int64_t limit, bool *has_more) {
    struct arena arena;
    arena_init(&arena);
    int64_t *ids = ARENA_ARRAY(&arena, int64_t, limit);
    size_t count;
    struct stmt *s = DB_SQL(tx_db(tx), "SELECT id FROM character WHERE deleted_at < :before "
                                       "ORDER BY deleted_at LIMIT :limit");
    bind_int(s, ":before", before_ms);
    bind_int(s, ":limit", limit);
    enum err err = stmt_ids(s, ids, (size_t)limit, &count);
    for (size_t i = 0; i < count && err == E_OK; i++)
        err = character_store_delete(tx, ids[i]);
    *has_more = count == (size_t)limit;
    arena_release(&arena);
    return err;
}

/* In the trash or not, and of revisions too, which can be brought back. */
bool character_uses_blob(struct db *db, struct str key) {
    struct stmt *s = DB_SQL(db, "SELECT EXISTS (SELECT 1 FROM character WHERE avatar_blob = :key) "
                                "OR EXISTS (SELECT 1 FROM character_revision "
                                "WHERE avatar_blob = :key)");
    bind_str(s, ":key", key);
    return stmt_int(s, 1) != 0;
}

/* --- favourites ----------------------------------------------------------------------------- */

enum err character_store_add_favourite(struct tx *tx, int64_t user_id, int64_t id) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT OR IGNORE INTO favourite (user_id, character_id, created_at) "
                          "VALUES (:user, :id, :now)");
    bind_id(s, ":user", user_id);
    bind_id(s, ":id", id);
    bind_time(s, ":now", clock_now_ms());
    return stmt_run(s);
}

enum err character_store_remove_favourite(struct tx *tx, int64_t user_id, int64_t id) {
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM favourite "
                                       "WHERE user_id = :user AND character_id = :id");
    bind_id(s, ":user", user_id);
    bind_id(s, ":id", id);
    return stmt_run_one(s);
}
