/*
 * Lists and searches of characters. Who may see what is decided in SQL, so that no page is read and
 * thrown away.
 *
 * A list page is two walks along two indexes (one's own that are not public, and all that are),
 * merged as they go. The indexes hold what lists show: a page costs the same with ten characters and
 * with a hundred thousand, and however long their cards are.
 */
#include "character/character_list_store.h"

#include "base/buf.h"
#include "base/check.h"
#include "character/character_store.h"
#include "store/rows.h"

#include "base/banned.h"

/* The age gate says what somebody may have, the preference content_tier what they want to be shown:
 * without one that is all ages. Asked once for a statement, not for a row. */
#define IS_SHOWN_BY_TIER                                                                          \
    "(c.content_tier = 'all_ages' OR c.owner_id = :user OR instr((SELECT "                        \
    "CASE WHEN is_adult THEN CASE json_extract(preferences, '$.content_tier') WHEN 'adult' THEN " \
    "'mature adult' WHEN 'mature' THEN 'mature' ELSE '' END ELSE '' END "                         \
    "FROM user WHERE id = :user), c.content_tier) > 0) "

/* What appears in lists and searches. */
#define IS_LISTED                                                               \
    "c.deleted_at IS NULL AND (c.owner_id = :user OR c.visibility = 'public') " \
    "AND " IS_SHOWN_BY_TIER

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
    "AND c.deleted_at IS NULL AND c.id < :before AND " IS_SHOWN_BY_TIER

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
    struct stmt *s = DB_SQL(
        db, "SELECT " SUMMARY_COLUMNS "FROM favourite v "
            "CROSS JOIN character c ON c.id = v.character_id "
            "WHERE v.user_id = :user AND v.character_id < :before "
            "AND c.deleted_at IS NULL "
            "AND (c.owner_id = :user OR c.visibility <> 'private') AND " CHARACTER_MAY_BY_TIER
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
    struct stmt *s = DB_SQL(
        db, "SELECT " SUMMARY_COLUMNS "FROM character c "
            "WHERE c.id = :id AND c.deleted_at IS NULL "
            "AND (c.owner_id = :user OR c.visibility <> 'private') AND " CHARACTER_MAY_BY_TIER);
    bind_id(s, ":id", id);
    bind_id(s, ":user", user_id);
    bool is_there = stmt_row(s);
    if (is_there)
        *summary = column_summary(s, arena);
    return stmt_done_one(s, is_there);
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
    return stmt_ids(s, search->ids, (size_t)search->limit, &search->count);
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
            "AND c.owner_id <> :user AND " IS_SHOWN_BY_TIER ") "
            "GROUP BY tag ORDER BY 2 DESC, 1 LIMIT :limit");
    bind_id(s, ":user", user_id);
    bind_int(s, ":limit", limit);
    *count = 0;
    while ((int64_t)*count < limit && stmt_row(s))
        tags[(*count)++] = (struct tag_count){column_str_dup(s, 0, arena), column_int(s, 1)};
    return stmt_done(s);
}

/* --- ids ------------------------------------------------------------------------------------ */

enum err character_store_ids_after(struct db *db, int64_t after, size_t limit, int64_t *ids,
                                   size_t *count) {
    struct stmt *s = DB_SQL(db, "SELECT id FROM character WHERE id > :after AND deleted_at IS NULL "
                                "ORDER BY id LIMIT :limit");
    bind_int(s, ":after", after); /* 0 is the beginning, no NULL */
    bind_int(s, ":limit", (int64_t)limit);
    return stmt_ids(s, ids, limit, count);
}

enum err character_named(struct db *db, int64_t user_id, struct str name, int64_t *id) {
    struct stmt *s = DB_SQL(db, "SELECT id FROM character INDEXED BY character_of_owner "
                                "WHERE owner_id = :owner AND deleted_at IS NULL AND name = :name "
                                "ORDER BY id DESC LIMIT 1");
    bind_id(s, ":owner", user_id);
    bind_str(s, ":name", name);
    *id = stmt_int(s, 0);
    return *id != 0 ? E_OK : E_ABSENT;
}

bool character_store_has_tag(struct db *db, int64_t id, struct str tag) {
    struct stmt *s =
        DB_SQL(db, "SELECT 1 FROM character_tag WHERE tag = :tag AND character_id = :id");
    bind_str(s, ":tag", tag);
    bind_id(s, ":id", id);
    return stmt_int(s, 0) == 1;
}
