/*
 * The SQL of conversations themselves: lists, settings, trash, unread marks. Their messages are in
 * message_store.c (reading), message_edit_store.c (changing) and message_copy_store.c.
 */
#include "conversation/conversation_store.h"

#include "base/id.h"
#include "conversation/message_store.h"
#include "memory/turn.h"
#include "store/rows.h"

#include "base/banned.h"

#define IMPORT_HIDDEN_MS   ((int64_t)3600 * 1000) /* far longer than an import takes */
#define DISCARD_MESSAGES   100                    /* of a conversation, in one write */
#define PARTICIPANTS_LIMIT 32                     /* of a conversation; one speaks today */

#define CONVERSATION_COLUMNS                                                                                    \
    "id, owner_id, title, persona_id, mode, settings, head_id, from_conversation_id, from_message_id, pinned, " \
    "archived, unread, last_line, last_message_at, revision, created_at, updated_at, deleted_at "

static void conversation_from_row(struct stmt *s, struct arena *arena, struct conversation *c) {
    *c = (struct conversation){
        .id = column_id(s, 0),
        .owner_id = column_id(s, 1),
        .title = column_str_dup(s, 2, arena),
        .persona_id = column_id(s, 3),
        .mode = column_str_dup(s, 4, arena),
        .settings = column_str_dup(s, 5, arena),
        .head_id = column_id(s, 6),
        .from_conversation_id = column_id(s, 7),
        .from_message_id = column_id(s, 8),
        .pinned = column_bool(s, 9),
        .archived = column_bool(s, 10),
        .unread = column_int(s, 11),
        .last_line = column_str_dup(s, 12, arena),
        .last_message_at = column_time(s, 13),
        .revision = column_int(s, 14),
        .created_at = column_time(s, 15),
        .updated_at = column_time(s, 16),
        .deleted_at = column_time(s, 17),
    };
}

/* Runs a statement that gives at most one conversation. */
static enum err one_conversation(struct stmt *s, struct arena *arena,
                                 struct conversation *conversation) {
    bool is_there = stmt_row(s);
    if (is_there)
        conversation_from_row(s, arena, conversation);
    return stmt_done_one(s, is_there);
}

enum err conversation_load(struct db *db, struct arena *arena, int64_t id, int64_t owner_id,
                           struct conversation *conversation) {
    struct stmt *s = DB_SQL(db, "SELECT " CONVERSATION_COLUMNS "FROM conversation "
                                "WHERE id = :id AND owner_id = :owner AND deleted_at IS NULL");
    bind_id(s, ":id", id);
    bind_id(s, ":owner", owner_id);
    return one_conversation(s, arena, conversation);
}

enum err conversation_head(struct db *db, int64_t id, int64_t owner_id, int64_t *head_id) {
    struct stmt *s = DB_SQL(db, "SELECT head_id FROM conversation "
                                "WHERE id = :id AND owner_id = :owner AND deleted_at IS NULL");
    bind_id(s, ":id", id);
    bind_id(s, ":owner", owner_id);
    bool is_there = stmt_row(s);
    if (is_there)
        *head_id = column_id(s, 0);
    return stmt_done_one(s, is_there);
}

enum err conversation_load_trashed(struct db *db, struct arena *arena, int64_t id, int64_t owner_id,
                                   struct conversation *conversation) {
    struct stmt *s = DB_SQL(db, "SELECT " CONVERSATION_COLUMNS "FROM conversation "
                                "WHERE id = :id AND owner_id = :owner AND deleted_at IS NOT NULL");
    bind_id(s, ":id", id);
    bind_id(s, ":owner", owner_id);
    return one_conversation(s, arena, conversation);
}

/* A character that the owner of the talk may not see any more is like one that is gone: it has the
 * name of then, and no portrait. */
enum err conversation_participants(struct db *db, struct arena *arena, int64_t conversation_id,
                                   struct participant **participants, size_t *count) {
    struct participant *items = ARENA_ARRAY(arena, struct participant, PARTICIPANTS_LIMIT);
    size_t n = 0;
    struct stmt *s =
        DB_SQL(db, "SELECT p.character_id, COALESCE(c.name, p.name), c.avatar_blob, c.id IS NULL "
                   "FROM conversation_character p JOIN conversation v ON v.id = p.conversation_id "
                   "LEFT JOIN character c ON c.id = p.character_id AND c.deleted_at IS NULL "
                   "  AND (c.owner_id = v.owner_id OR (c.visibility <> 'private' "
                   "    AND (c.content_tier = 'all_ages' "
                   "      OR (SELECT is_adult FROM user WHERE id = v.owner_id)))) "
                   "WHERE p.conversation_id = :conversation "
                   "ORDER BY p.place "
                   "LIMIT :limit");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":limit", PARTICIPANTS_LIMIT);
    for (; n < PARTICIPANTS_LIMIT && stmt_row(s); n++)
        items[n] = (struct participant){
            .character_id = column_id(s, 0),
            .name = column_str_dup(s, 1, arena),
            .avatar_blob = column_str_dup(s, 2, arena),
            .is_gone = column_bool(s, 3),
        };
    *participants = items;
    *count = n;
    return stmt_done(s);
}

enum err conversation_list(struct db *db, struct arena *arena, int64_t owner_id, bool archived,
                           const struct conversation_place *after, size_t limit,
                           struct conversation **items, size_t *count) {
    struct stmt *s =
        DB_SQL(db, "SELECT " CONVERSATION_COLUMNS "FROM conversation "
                   "WHERE owner_id = :owner AND deleted_at IS NULL AND archived = :archived "
                   "  AND (pinned, last_message_at, id) < (:pinned, :last_message_at, :id) "
                   "ORDER BY pinned DESC, last_message_at DESC, id DESC "
                   "LIMIT :limit");
    bind_id(s, ":owner", owner_id);
    bind_bool(s, ":archived", archived);
    bind_int(s, ":pinned", after->is_set ? after->pinned : 2);
    bind_int(s, ":last_message_at", after->is_set ? after->last_message_at : INT64_MAX);
    bind_int(s, ":id", after->is_set ? after->id : INT64_MAX);
    bind_int(s, ":limit", (int64_t)limit);
    *items = ARENA_ARRAY(arena, struct conversation, limit);
    *count = 0;
    while (*count < limit && stmt_row(s))
        conversation_from_row(s, arena, &(*items)[(*count)++]);
    return stmt_done(s);
}

/* --- changes ---------------------------------------------------------------------------------- */

static enum err insert_participant(struct tx *tx, int64_t conversation_id, int64_t place,
                                   const struct participant *participant) {
    struct stmt *s =
        DB_SQL(tx_db(tx),
               "INSERT INTO conversation_character (conversation_id, place, character_id, name) "
               "VALUES (:conversation, :place, :character, :name)");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":place", place);
    bind_id(s, ":character", participant->character_id);
    bind_str(s, ":name", participant->name);
    return stmt_run(s);
}

enum err conversation_insert(struct tx *tx, const struct conversation *c,
                             const struct participant *participants, size_t count,
                             int64_t trunk_id) {
    struct stmt *s =
        DB_SQL(tx_db(tx),
               "INSERT INTO conversation (id, owner_id, title, persona_id, mode, settings, "
               "  from_conversation_id, from_message_id, last_message_at, created_at, updated_at) "
               "VALUES (:id, :owner, :title, :persona, :mode, :settings, "
               "  :from_conversation, :from_message, :now, :now, :now)");
    bind_id(s, ":id", c->id);
    bind_id(s, ":owner", c->owner_id);
    bind_str(s, ":title", c->title);
    bind_id(s, ":persona", c->persona_id);
    bind_str(s, ":mode", c->mode);
    bind_str(s, ":settings", c->settings);
    bind_id(s, ":from_conversation", c->from_conversation_id);
    bind_id(s, ":from_message", c->from_message_id);
    bind_time(s, ":now", c->created_at);
    enum err err = stmt_run(s);
    for (size_t i = 0; i < count && err == E_OK; i++)
        err = insert_participant(tx, c->id, (int64_t)i, &participants[i]);
    return err != E_OK ? err : branch_insert(tx, trunk_id, c->id, 0, 0, c->created_at);
}

enum err conversation_hide_import(struct tx *tx, int64_t id, int64_t now) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "UPDATE conversation SET deleted_at = :deleted WHERE id = :id");
    bind_id(s, ":id", id);
    bind_time(s, ":deleted", now - CONVERSATION_TRASH_MS + IMPORT_HIDDEN_MS);
    return stmt_run(s);
}

enum err conversation_show_import(struct tx *tx, const struct conversation *c) {
    struct stmt *s = DB_SQL(tx_db(tx), "UPDATE conversation "
                                       "SET deleted_at = NULL, persona_id = :persona, "
                                       "    head_id = :head, last_line = :line, "
                                       "    last_message_at = :last_at, updated_at = :now "
                                       "WHERE id = :id");
    bind_id(s, ":id", c->id);
    bind_id(s, ":persona", c->persona_id);
    bind_id(s, ":head", c->head_id);
    bind_str(s, ":line", c->last_line);
    bind_time(s, ":last_at", c->last_message_at);
    bind_time(s, ":now", c->updated_at);
    return stmt_run(s);
}

enum err conversation_update(struct tx *tx, const struct conversation_change *change, int64_t now) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "UPDATE conversation "
                          "SET title = IIF(:has_title, :title, title), "
                          "    persona_id = IIF(:has_persona, :persona, persona_id), "
                          "    pinned = IIF(:has_pinned, :pinned, pinned), "
                          "    archived = IIF(:has_archived, :archived, archived), "
                          "    settings = IIF(:has_settings, :settings, settings), "
                          "    revision = revision + 1, updated_at = :now "
                          "WHERE id = :id AND deleted_at IS NULL AND :expected IN (-1, revision)");
    bind_id(s, ":id", change->id);
    bind_int(s, ":expected", change->expected_revision);
    bind_bool(s, ":has_title", change->has_title);
    bind_str(s, ":title", change->title);
    bind_bool(s, ":has_persona", change->has_persona);
    bind_id(s, ":persona", change->persona_id);
    bind_bool(s, ":has_pinned", change->has_pinned);
    bind_bool(s, ":pinned", change->pinned);
    bind_bool(s, ":has_archived", change->has_archived);
    bind_bool(s, ":archived", change->archived);
    bind_bool(s, ":has_settings", change->has_settings);
    bind_str(s, ":settings", change->settings);
    bind_time(s, ":now", now);
    enum err err = stmt_run(s);
    return err != E_OK ? err : stmt_changed(s) == 1 ? E_OK : E_CONFLICT;
}

enum err conversation_trash(struct tx *tx, int64_t id, int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "UPDATE conversation SET deleted_at = :now, updated_at = :now, revision = revision + 1 "
        "WHERE id = :id AND deleted_at IS NULL");
    bind_id(s, ":id", id);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

enum err conversation_restore(struct tx *tx, int64_t id, int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "UPDATE conversation SET deleted_at = NULL, updated_at = :now, revision = revision + 1 "
        "WHERE id = :id");
    bind_id(s, ":id", id);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

enum err conversation_seen(struct tx *tx, int64_t id) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "UPDATE conversation SET unread = 0, revision = revision + 1 WHERE id = :id AND unread > 0");
    bind_id(s, ":id", id);
    return stmt_run(s);
}

enum err conversation_spoken(struct tx *tx, int64_t id, int64_t message_id, struct str last_line,
                             bool is_unseen, int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx), "UPDATE conversation "
                   "SET last_line = IIF(head_id = :message, :line, last_line), "
                   "    last_message_at = :now, updated_at = :now, unread = unread + :unseen, "
                   "    revision = revision + 1 "
                   "WHERE id = :id");
    bind_id(s, ":id", id);
    bind_id(s, ":message", message_id);
    bind_str(s, ":line", last_line);
    bind_bool(s, ":unseen", is_unseen);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

/* Replies that will never end are to be found as far as they came. */
static enum err touch_streaming(struct tx *tx) {
    struct stmt *s = DB_SQL(tx_db(tx), "SELECT m.id, m.conversation_id FROM variant v "
                                       "JOIN message m ON m.id = v.message_id "
                                       "WHERE v.state = 'streaming'");
    enum err err = E_OK;
    while (err == E_OK && stmt_row(s))
        err = memory_touch_message(tx, column_id(s, 0), column_id(s, 1));
    enum err read = stmt_done(s);
    return err != E_OK ? err : read;
}

enum err conversation_mark_interrupted(struct tx *tx, int64_t now, int64_t *marked) {
    *marked = 0;
    enum err err = touch_streaming(tx);
    if (err != E_OK)
        return err;
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "UPDATE variant SET state = 'interrupted', finish_reason = 'interrupted', updated_at = :now "
        "WHERE state = 'streaming'");
    bind_time(s, ":now", now);
    err = stmt_run(s);
    *marked = stmt_changed(s);
    return err;
}

/* The first of the newest so many; 0: it has no more than that. */
static int64_t newest_from(struct db *db, int64_t conversation_id, int64_t count) {
    struct stmt *s = DB_SQL(db, "SELECT id FROM message WHERE conversation_id = :conversation "
                                "ORDER BY id DESC LIMIT 1 OFFSET :count");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":count", count - 1);
    return stmt_int(s, 0);
}

static enum err discard_newest(struct tx *tx, int64_t conversation_id, int64_t from_id) {
    enum err err = memory_drop_turns(tx, conversation_id, from_id);
    if (err != E_OK)
        return err;
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM message "
                                       "WHERE conversation_id = :conversation AND id >= :from");
    bind_id(s, ":conversation", conversation_id);
    bind_id(s, ":from", from_id);
    return stmt_run(s);
}

/* With the last of its messages go variants, branches and prompts (ON DELETE CASCADE), and what
 * memory holds of all of it. */
enum err conversation_discard(struct tx *tx, int64_t id, bool *more) {
    int64_t from_id = newest_from(tx_db(tx), id, DISCARD_MESSAGES);
    *more = from_id != 0;
    if (from_id != 0)
        return discard_newest(tx, id, from_id);
    enum err err = memory_drop_conversation(tx, id);
    if (err != E_OK)
        return err;
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM conversation WHERE id = :id");
    bind_id(s, ":id", id);
    return stmt_run(s);
}

/* One at a time, and a stretch of a long one. */
static enum err sweep_conversation(struct tx *tx, int64_t before_ms, bool *more) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "SELECT id FROM conversation WHERE deleted_at < :before LIMIT 1");
    bind_time(s, ":before", before_ms);
    int64_t id = stmt_int(s, 0);
    bool is_left;
    *more = id != 0;
    return id == 0 ? E_OK : conversation_discard(tx, id, &is_left);
}

static enum err sweep_rows(struct stmt *s, int64_t before_ms, bool *more) {
    bind_time(s, ":before", before_ms);
    enum err err = stmt_run(s);
    *more = *more || stmt_changed(s) > 0;
    return err;
}

/* A message that others follow keeps its row, so that the path stays whole; nothing that was said or
 * read for it is left there. */
static enum err empty_messages(struct tx *tx, int64_t before_ms, bool *more) {
    struct db *db = tx_db(tx);
    enum err err =
        sweep_rows(DB_SQL(db, "DELETE FROM variant WHERE message_id IN "
                              "  (SELECT m.id FROM message m JOIN variant v ON v.message_id = m.id "
                              "   WHERE m.deleted_at < :before LIMIT 200)"),
                   before_ms, more);
    if (err == E_OK)
        err = sweep_rows(
            DB_SQL(db,
                   "DELETE FROM message_revision WHERE message_id IN "
                   "  (SELECT m.id FROM message m JOIN message_revision r ON r.message_id = m.id "
                   "   WHERE m.deleted_at < :before LIMIT 200)"),
            before_ms, more);
    if (err == E_OK)
        err = sweep_rows(
            DB_SQL(db, "DELETE FROM prompt WHERE message_id IN "
                       "  (SELECT m.id FROM message m JOIN prompt p ON p.message_id = m.id "
                       "   WHERE m.deleted_at < :before LIMIT 200)"),
            before_ms, more);
    if (err == E_OK)
        err = sweep_rows(DB_SQL(db, "UPDATE message SET extra = NULL WHERE id IN "
                                    "  (SELECT id FROM message WHERE deleted_at < :before "
                                    "     AND extra IS NOT NULL LIMIT 200)"),
                         before_ms, more);
    return err;
}

enum err conversation_sweep(struct tx *tx, int64_t before_ms, bool *more) {
    enum err err = sweep_conversation(tx, before_ms, more);
    if (err == E_OK)
        err = empty_messages(tx, before_ms, more);
    return err != E_OK
               ? err
               : sweep_rows(DB_SQL(tx_db(tx),
                                   "DELETE FROM message WHERE id IN "
                                   "  (SELECT m.id FROM message m WHERE m.deleted_at < :before "
                                   "     AND NOT EXISTS (SELECT 1 FROM message c "
                                   "       WHERE c.parent_id = m.id) LIMIT 200)"),
                            before_ms, more);
}
