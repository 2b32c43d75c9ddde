/*
 * Who may see what is decided in SQL, so that no page is read and thrown away: own, public, or
 * unlisted by its id; what is for adults only by those who declared to be (user.is_adult), and by
 * its owner.
 *
 * A list page is two walks along two indexes (one's own that are not public, and all that are),
 * merged as they go. The indexes hold what lists show: a page costs the same with ten characters and
 * with a hundred thousand, and however long their cards are.
 */
#include "character/character_store.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"

#include <string.h>

#include "character/knowledge.h"

#include "base/banned.h"

#define MAY_BY_TIER                                          \
    "(c.content_tier = 'all_ages' OR c.owner_id = :user OR " \
    "(SELECT is_adult FROM user WHERE id = :user)) "
/* What appears in lists and searches. */
#define IS_LISTED                                                               \
    "c.deleted_at IS NULL AND (c.owner_id = :user OR c.visibility = 'public') " \
    "AND " MAY_BY_TIER

/* --- lists ---------------------------------------------------------------------------------- */

/* Most people have few favourites or none: then no row asks for its own. */
#define IS_FAVOURITE                                                                        \
    "CASE WHEN EXISTS (SELECT 1 FROM favourite WHERE user_id = :user) THEN "                \
    "EXISTS (SELECT 1 FROM favourite f WHERE f.user_id = :user AND f.character_id = c.id) " \
    "ELSE 0 END"
/* These and no others are in the indexes of lists. */
#define SUMMARY_COLUMNS                                                                  \
    "c.id, c.owner_id, c.name, c.nickname, c.tagline, c.tags, c.creator, c.visibility, " \
    "c.content_tier, c.avatar_blob, c.talkativeness, c.revision, c.created_at, "         \
    "c.updated_at, " IS_FAVOURITE " "
#define DELETED_COLUMN 15 /* of the trash, which adds it */

/* Texts are borrowed until the next step. */
static struct character_summary borrow_summary(struct stmt *s) {
    return (struct character_summary){
        .id = column_id(s, 0),
        .owner_id = column_id(s, 1),
        .name = column_str(s, 2),
        .nickname = column_str(s, 3),
        .tagline = column_str(s, 4),
        .tags = column_str(s, 5),
        .creator = column_str(s, 6),
        .visibility = column_str(s, 7),
        .content_tier = column_str(s, 8),
        .avatar_blob = column_str(s, 9),
        .talkativeness = column_double(s, 10),
        .revision = column_int(s, 11),
        .created_at = column_time(s, 12),
        .updated_at = column_time(s, 13),
        .is_favourite = column_bool(s, 14),
    };
}

static struct character_summary column_summary(struct stmt *s, struct arena *arena) {
    struct character_summary summary = borrow_summary(s);
    struct str *const texts[] = {&summary.name,         &summary.nickname,   &summary.tagline,
                                 &summary.tags,         &summary.creator,    &summary.visibility,
                                 &summary.content_tier, &summary.avatar_blob};
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        *texts[i] = str_dup(arena, *texts[i]);
    return summary;
}

static enum err show_rows(struct stmt *s, struct character_list *list) {
    list->count = 0;
    while ((int64_t)list->count < list->limit && stmt_row(s)) {
        struct character_summary summary = borrow_summary(s);
        if (list->is_trash)
            summary.deleted_at = column_time(s, DELETED_COLUMN);
        list->each(list->ctx, &summary);
        list->count++;
    }
    return stmt_done(s);
}

static void bind_page(struct stmt *s, const struct character_list *list) {
    bind_id(s, ":user", list->user_id);
    bind_int(s, ":before", list->before_id);
    bind_int(s, ":limit", list->limit);
}

/* Two halves without a common row, each in the order of its index: SQLite merges them as it goes.
 */
#define OWN_HALF                                                           \
    "SELECT " SUMMARY_COLUMNS "FROM character c WHERE c.owner_id = :user " \
    "AND c.visibility <> 'public' AND c.deleted_at IS NULL AND c.id < :before "
#define PUBLIC_HALF                                                             \
    "SELECT " SUMMARY_COLUMNS "FROM character c WHERE c.visibility = 'public' " \
    "AND c.deleted_at IS NULL AND c.id < :before AND " MAY_BY_TIER

static enum err list_all(struct db *db, struct character_list *list) {
    struct stmt *s = DB_SQL(db, OWN_HALF "UNION ALL " PUBLIC_HALF "ORDER BY 1 DESC LIMIT :limit");
    bind_page(s, list);
    return show_rows(s, list);
}

static enum err list_by_tier(struct db *db, struct character_list *list) {
    struct stmt *s = DB_SQL(db, OWN_HALF "AND c.content_tier = :tier UNION ALL " PUBLIC_HALF
                                         "AND c.content_tier = :tier "
                                         "ORDER BY 1 DESC LIMIT :limit");
    bind_page(s, list);
    bind_str(s, ":tier", list->tier);
    return show_rows(s, list);
}

static enum err list_by_tag(struct db *db, struct character_list *list) {
    struct stmt *s = DB_SQL(db, "SELECT " SUMMARY_COLUMNS "FROM character_tag t "
                                "CROSS JOIN character c ON c.id = t.character_id "
                                "WHERE t.tag = :tag AND t.character_id < :before "
                                "AND (:tier IS NULL OR c.content_tier = :tier) "
                                "AND (NOT :mine OR c.owner_id = :user) AND " IS_LISTED
                                "ORDER BY t.character_id DESC LIMIT :limit");
    bind_page(s, list);
    bind_str(s, ":tag", list->tag);
    bind_str(s, ":tier", list->tier);
    bind_bool(s, ":mine", list->is_mine);
    return show_rows(s, list);
}

static enum err list_mine(struct db *db, struct character_list *list) {
    struct stmt *s = DB_SQL(db, "SELECT " SUMMARY_COLUMNS "FROM character c "
                                "WHERE c.owner_id = :user AND c.deleted_at IS NULL "
                                "AND (:tier IS NULL OR c.content_tier = :tier) "
                                "AND c.id < :before ORDER BY c.id DESC LIMIT :limit");
    bind_page(s, list);
    bind_str(s, ":tier", list->tier);
    return show_rows(s, list);
}

/* The trash is one index of all people's; it is short, because it is emptied. */
static enum err list_trash(struct db *db, struct character_list *list) {
    struct stmt *s = DB_SQL(db, "SELECT " SUMMARY_COLUMNS ", c.deleted_at FROM character c "
                                "INDEXED BY character_trash "
                                "WHERE c.deleted_at > 0 AND c.owner_id = :user "
                                "AND c.id < :before ORDER BY c.id DESC LIMIT :limit");
    bind_page(s, list);
    return show_rows(s, list);
}

static enum err list_favourites(struct db *db, struct character_list *list) {
    struct stmt *s =
        DB_SQL(db, "SELECT " SUMMARY_COLUMNS "FROM favourite v "
                   "CROSS JOIN character c ON c.id = v.character_id "
                   "WHERE v.user_id = :user AND v.character_id < :before "
                   "AND c.deleted_at IS NULL "
                   "AND (c.owner_id = :user OR c.visibility <> 'private') AND " MAY_BY_TIER
                   "ORDER BY v.character_id DESC LIMIT :limit");
    bind_page(s, list);
    return show_rows(s, list);
}

enum err character_store_list(struct db *db, struct character_list *list) {
    if (list->is_trash)
        return list_trash(db, list);
    if (list->is_favourites)
        return list_favourites(db, list);
    if (list->tag.at)
        return list_by_tag(db, list);
    if (list->is_mine)
        return list_mine(db, list);
    return list->tier.at ? list_by_tier(db, list) : list_all(db, list);
}

enum err character_store_summary(struct db *db, struct arena *arena, int64_t id, int64_t user_id,
                                 struct character_summary *summary) {
    struct stmt *s =
        DB_SQL(db, "SELECT " SUMMARY_COLUMNS "FROM character c "
                   "WHERE c.id = :id AND c.deleted_at IS NULL "
                   "AND (c.owner_id = :user OR c.visibility <> 'private') AND " MAY_BY_TIER);
    bind_id(s, ":id", id);
    bind_id(s, ":user", user_id);
    bool is_there = stmt_row(s);
    if (is_there)
        *summary = column_summary(s, arena);
    enum err err = stmt_done(s);
    return err != E_OK ? err : is_there ? E_OK : E_ABSENT;
}

/* --- search --------------------------------------------------------------------------------- */

#define SEARCH_FILTERS                                            \
    "AND (:tier IS NULL OR c.content_tier = :tier) "              \
    "AND (:tag IS NULL OR EXISTS (SELECT 1 FROM character_tag t " \
    "WHERE t.tag = :tag AND t.character_id = c.id)) "

static void bind_search(struct stmt *s, const struct character_search *search) {
    bind_id(s, ":user", search->user_id);
    bind_str(s, ":query", search->query);
    bind_str(s, ":tag", search->tag);
    bind_str(s, ":tier", search->tier);
    bind_int(s, ":limit", search->limit);
}

static enum err take_found(struct stmt *s, struct character_search *search) {
    search->ids = ARENA_ARRAY(search->arena, int64_t, search->limit);
    search->count = 0;
    while ((int64_t)search->count < search->limit && stmt_row(s))
        search->ids[search->count++] = column_id(s, 0);
    return stmt_done(s);
}

/* A word in the name weighs ten times one in the description. */
enum err character_store_search(struct db *db, struct character_search *search) {
    struct stmt *s =
        DB_SQL(db, "SELECT c.id FROM character_words w CROSS JOIN character c ON c.id = w.rowid "
                   "WHERE character_words MATCH :query AND " IS_LISTED SEARCH_FILTERS
                   "ORDER BY bm25(character_words, 10, 8, 4, 6, 2, 1), c.id DESC LIMIT :limit");
    bind_search(s, search);
    return take_found(s, search);
}

enum err character_store_search_newest(struct db *db, struct character_search *search) {
    struct stmt *s =
        DB_SQL(db, "SELECT c.id FROM character_words w CROSS JOIN character c ON c.id = w.rowid "
                   "WHERE character_words MATCH :query AND " IS_LISTED SEARCH_FILTERS
                   "ORDER BY w.rowid DESC LIMIT :limit");
    bind_search(s, search);
    return take_found(s, search);
}

enum err character_store_search_fuzzy(struct db *db, struct character_search *search) {
    struct stmt *s =
        DB_SQL(db, "SELECT c.id, w.name || ' ' || w.tags "
                   "FROM character_trigrams w CROSS JOIN character c ON c.id = w.rowid "
                   "WHERE character_trigrams MATCH :query AND " IS_LISTED SEARCH_FILTERS
                   "ORDER BY bm25(character_trigrams), c.id DESC LIMIT :limit");
    bind_search(s, search);
    search->ids = ARENA_ARRAY(search->arena, int64_t, search->limit);
    search->names = ARENA_ARRAY(search->arena, struct str, search->limit);
    search->count = 0;
    while ((int64_t)search->count < search->limit && stmt_row(s)) {
        search->ids[search->count] = column_id(s, 0);
        search->names[search->count++] = column_str_dup(s, 1, search->arena);
    }
    return stmt_done(s);
}

static struct str ids_json(struct arena *arena, const int64_t *ids, size_t count) {
    struct buf buf;
    buf_init(&buf, 1 << 16);
    for (size_t i = 0; i < count; i++) {
        buf_add_char(&buf, i ? ',' : '[');
        buf_add_int(&buf, ids[i]);
    }
    buf_add_char(&buf, ']');
    struct str text = str_dup(arena, buf_str(&buf));
    buf_release(&buf);
    return text;
}

enum err character_store_by_ids(struct db *db, struct arena *arena, int64_t user_id,
                                const int64_t *ids, size_t id_count,
                                struct character_summary *items, size_t *count) {
    *count = 0;
    if (id_count == 0)
        return E_OK;
    struct stmt *s = DB_SQL(db, "SELECT " SUMMARY_COLUMNS "FROM json_each(:ids) j "
                                "CROSS JOIN character c ON c.id = j.value "
                                "WHERE " IS_LISTED "ORDER BY j.key");
    bind_id(s, ":user", user_id);
    bind_str(s, ":ids", ids_json(arena, ids, id_count));
    while (*count < id_count && stmt_row(s))
        items[(*count)++] = column_summary(s, arena);
    return stmt_done(s);
}

enum err pool_character_store_tags(struct db *db, struct arena *arena, int64_t user_id,
                                   int64_t limit, struct tag_count *tags, size_t *count) {
    struct stmt *s = DB_SQL(
        db, "SELECT tag, count(*) FROM ("
            "SELECT t.tag FROM character c CROSS JOIN character_tag t ON t.character_id = c.id "
            "WHERE c.owner_id = :user AND c.deleted_at IS NULL "
            "UNION ALL "
            "SELECT t.tag FROM character c CROSS JOIN character_tag t ON t.character_id = c.id "
            "WHERE c.visibility = 'public' AND c.deleted_at IS NULL AND c.id > 0 "
            "AND c.owner_id <> :user AND " MAY_BY_TIER ") "
            "GROUP BY tag ORDER BY 2 DESC, 1 LIMIT :limit");
    bind_id(s, ":user", user_id);
    bind_int(s, ":limit", limit);
    *count = 0;
    while ((int64_t)*count < limit && stmt_row(s))
        tags[(*count)++] = (struct tag_count){column_str_dup(s, 0, arena), column_int(s, 1)};
    return stmt_done(s);
}

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
    struct stmt *s =
        DB_SQL(db, "SELECT " CHARACTER_COLUMNS ", EXISTS (SELECT 1 FROM favourite f "
                   "WHERE f.user_id = :user AND f.character_id = c.id) "
                   "FROM character c WHERE c.id = :id AND c.deleted_at IS NULL "
                   "AND (c.owner_id = :user OR c.visibility <> 'private') AND " MAY_BY_TIER);
    bind_id(s, ":id", id);
    bind_id(s, ":user", user_id);
    bool is_there = stmt_row(s);
    if (is_there) {
        *character = column_character(s, arena);
        character->is_favourite = column_bool(s, FAVOURITE_COLUMN);
    }
    enum err err = stmt_done(s);
    return err != E_OK ? err : is_there ? E_OK : E_ABSENT;
}

enum err character_store_load_any(struct db *db, struct arena *arena, int64_t id,
                                  struct character *character) {
    struct stmt *s = DB_SQL(db, "SELECT " CHARACTER_COLUMNS "FROM character c WHERE c.id = :id");
    bind_id(s, ":id", id);
    bool is_there = stmt_row(s);
    if (is_there)
        *character = column_character(s, arena);
    enum err err = stmt_done(s);
    return err != E_OK ? err : is_there ? E_OK : E_ABSENT;
}

/* --- revisions ------------------------------------------------------------------------------ */

enum err character_store_ids_after(struct db *db, int64_t after, size_t limit, int64_t *ids,
                                   size_t *count) {
    *count = 0;
    struct stmt *s = DB_SQL(db, "SELECT id FROM character WHERE id > :after AND deleted_at IS NULL "
                                "ORDER BY id LIMIT :limit");
    bind_int(s, ":after", after); /* 0 is the beginning, no NULL */
    bind_int(s, ":limit", (int64_t)limit);
    while (*count < limit && stmt_row(s))
        ids[(*count)++] = column_id(s, 0);
    return stmt_done(s);
}

bool character_store_has_tag(struct db *db, int64_t id, struct str tag) {
    struct stmt *s =
        DB_SQL(db, "SELECT 1 FROM character_tag WHERE tag = :tag AND character_id = :id");
    bind_str(s, ":tag", tag);
    bind_id(s, ":id", id);
    return stmt_int(s, 0) == 1;
}

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
    enum err err = stmt_done(s);
    return err != E_OK ? err : is_there ? E_OK : E_ABSENT;
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

static enum err delete_for_good(struct tx *tx, int64_t id) {
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
    int64_t count = 0;
    struct stmt *s = DB_SQL(tx_db(tx), "SELECT id FROM character WHERE deleted_at < :before "
                                       "ORDER BY deleted_at LIMIT :limit");
    bind_int(s, ":before", before_ms);
    bind_int(s, ":limit", limit);
    while (count < limit && stmt_row(s))
        ids[count++] = column_id(s, 0);
    enum err err = stmt_done(s);
    for (int64_t i = 0; i < count && err == E_OK; i++)
        err = delete_for_good(tx, ids[i]);
    *has_more = count == limit;
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
    enum err err = stmt_run(s);
    return err != E_OK ? err : stmt_changed(s) > 0 ? E_OK : E_ABSENT;
}

/* --- by name -------------------------------------------------------------------------------- */

enum err character_named(struct db *db, int64_t user_id, struct str name, int64_t *id) {
    struct stmt *s = DB_SQL(db, "SELECT id FROM character INDEXED BY character_of_owner "
                                "WHERE owner_id = :owner AND deleted_at IS NULL AND name = :name "
                                "ORDER BY id DESC LIMIT 1");
    bind_id(s, ":owner", user_id);
    bind_str(s, ":name", name);
    *id = stmt_int(s, 0);
    return *id != 0 ? E_OK : E_ABSENT;
}
