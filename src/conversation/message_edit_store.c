/*
 * Changing the tree of messages: append, swipe, edit, trash, show another path. Writer thread; every
 * change keeps the two facts of message_store.h true.
 */
#include "conversation/message_store.h"

#include "base/deflate.h"
#include "base/id.h"
#include "conversation/message_inside.h"
#include "memory/memory.h"
#include "memory/turn.h"
#include "store/rows.h"

#include "base/banned.h"

enum err branch_insert(struct tx *tx, int64_t id, int64_t conversation_id, int64_t parent_id,
                       int64_t fork_message_id, int64_t now) {
    struct stmt *s =
        DB_SQL(tx_db(tx),
               "INSERT INTO branch (id, conversation_id, parent_id, fork_message_id, created_at) "
               "VALUES (:id, :conversation, :parent, :fork, :now)");
    bind_id(s, ":id", id);
    bind_id(s, ":conversation", conversation_id);
    bind_id(s, ":parent", parent_id);
    bind_id(s, ":fork", fork_message_id);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

enum err message_insert(struct tx *tx, const struct message *m) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO message (id, conversation_id, branch_id, parent_id, parent_variant, role, "
        "  author_kind, author_id, author_name, chosen, variant_count, hidden, external_id, "
        "  extra, created_at, updated_at) "
        "VALUES (:id, :conversation, :branch, :parent, :parent_variant, :role, "
        "  :author_kind, :author, :author_name, :chosen, :variants, :hidden, :external, :extra, "
        "  :created_at, :created_at)");
    bind_id(s, ":id", m->id);
    bind_id(s, ":conversation", m->conversation_id);
    bind_id(s, ":branch", m->branch_id);
    bind_id(s, ":parent", m->parent_id);
    if (m->parent_id != 0)
        bind_int(s, ":parent_variant", m->parent_variant);
    bind_str(s, ":role", m->role);
    bind_str(s, ":author_kind", m->author_kind);
    bind_id(s, ":author", m->author_id);
    bind_str(s, ":author_name", m->author_name);
    bind_int(s, ":chosen", m->swipe_index);
    bind_int(s, ":variants", m->swipe_count);
    bind_bool(s, ":hidden", m->hidden);
    bind_str(s, ":external", m->external_id);
    bind_str(s, ":extra", m->extra);
    bind_time(s, ":created_at", m->created_at);
    return stmt_run(s);
}

static enum err insert_variant(struct tx *tx, int64_t message_id, int64_t place, struct str state,
                               struct str content, int64_t now) {
    struct stmt *s =
        DB_SQL(tx_db(tx),
               "INSERT INTO variant (message_id, place, state, content, created_at, updated_at) "
               "VALUES (:message, :place, :state, :content, :now, :now)");
    bind_id(s, ":message", message_id);
    bind_int(s, ":place", place);
    bind_str(s, ":state", state);
    bind_str(s, ":content", content);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

static int64_t head_of(struct db *db, int64_t conversation_id) {
    struct stmt *s = DB_SQL(db, "SELECT head_id FROM conversation WHERE id = :id");
    bind_id(s, ":id", conversation_id);
    return stmt_int(s, 0);
}

static int64_t trunk_of(struct db *db, int64_t conversation_id) {
    struct stmt *s = DB_SQL(
        db, "SELECT id FROM branch WHERE conversation_id = :conversation ORDER BY id LIMIT 1");
    bind_id(s, ":conversation", conversation_id);
    return stmt_int(s, 0);
}

/* What a new message follows. */
struct parent {
    int64_t id, branch_id, variant;
    bool is_there, has_children;
};

static struct parent column_parent(struct stmt *s) {
    return (struct parent){.id = column_id(s, 0),
                           .branch_id = column_id(s, 1),
                           .variant = column_int(s, 2),
                           .has_children = column_bool(s, 3),
                           .is_there = true};
}

#define PARENT_COLUMNS \
    "m.id, m.branch_id, m.chosen, EXISTS (SELECT 1 FROM message WHERE parent_id = m.id)"

static enum err load_head(struct db *db, int64_t conversation_id, struct parent *head) {
    struct stmt *s = DB_SQL(db, "SELECT " PARENT_COLUMNS " FROM conversation c "
                                "JOIN message m ON m.id = c.head_id WHERE c.id = :conversation");
    bind_id(s, ":conversation", conversation_id);
    if (stmt_row(s))
        *head = column_parent(s);
    return stmt_done(s);
}

static enum err load_parent(struct db *db, int64_t conversation_id, int64_t id,
                            struct parent *parent) {
    struct stmt *s = DB_SQL(db, "SELECT " PARENT_COLUMNS " FROM message m "
                                "WHERE m.id = :id AND m.conversation_id = :conversation");
    bind_id(s, ":id", id);
    bind_id(s, ":conversation", conversation_id);
    if (stmt_row(s))
        *parent = column_parent(s);
    enum err err = stmt_done(s);
    return err == E_OK && !parent->is_there ? E_ABSENT : err;
}

/* A new message belongs at the end of its parent's branch, or, if something follows there already,
 * on a new one, forked off that branch. Without a parent it follows the head. Changes nothing. */
static enum err place_on_branch(struct db *db, struct message *m, int64_t *forked_off_id) {
    struct parent parent = {0};
    enum err err = m->parent_id == 0 ? load_head(db, m->conversation_id, &parent)
                                     : load_parent(db, m->conversation_id, m->parent_id, &parent);
    if (err != E_OK)
        return err;
    if (!parent.is_there) { /* the first of all */
        m->branch_id = trunk_of(db, m->conversation_id);
        m->parent_variant = -1;
        return m->branch_id == 0 ? E_ABSENT : E_OK;
    }
    m->parent_id = parent.id;
    m->parent_variant = parent.variant;
    m->branch_id = parent.branch_id;
    if (!parent.has_children)
        return E_OK;
    *forked_off_id = parent.branch_id;
    m->branch_id = id_new();
    return E_OK;
}

static enum err move_head(struct tx *tx, int64_t conversation_id, int64_t head_id,
                          struct str last_line, int64_t now) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "UPDATE conversation "
                          "SET head_id = :head, last_line = COALESCE(:line, last_line), "
                          "    last_message_at = MAX(last_message_at, :now), updated_at = :now, "
                          "    revision = revision + 1 "
                          "WHERE id = :id AND deleted_at IS NULL");
    bind_id(s, ":id", conversation_id);
    bind_id(s, ":head", head_id);
    bind_str(s, ":line", last_line);
    bind_time(s, ":now", now);
    return stmt_run_one(s);
}

static enum err append_one(struct tx *tx, const struct message *m) {
    enum err err = message_insert(tx, m);
    if (err == E_OK)
        err = insert_variant(tx, m->id, m->swipe_index, m->state, m->content, m->created_at);
    /* What streams is touched at its end. */
    return err != E_OK || str_eq(m->state, STR("streaming"))
               ? err
               : memory_touch_message(tx, m->id, m->conversation_id);
}

/* Right behind a message that this write appends as well: nothing is to be looked up. */
static void place_behind(struct message *m, const struct message *before) {
    m->parent_id = before->id;
    m->parent_variant = before->swipe_index;
    m->branch_id = before->branch_id;
}

enum err message_append(struct tx *tx, struct message *const *messages, size_t count,
                        struct str last_line) {
    int64_t forked_off_id = 0;
    struct message *first = messages[0];
    const struct message *last = messages[count - 1];
    enum err err = place_on_branch(tx_db(tx), first, &forked_off_id);
    if (err == E_OK) /* the first change, because it is the last that may refuse */
        err = move_head(tx, first->conversation_id, last->id, last_line, last->updated_at);
    if (err == E_OK && forked_off_id != 0)
        err = branch_insert(tx, first->branch_id, first->conversation_id, forked_off_id,
                            first->parent_id, first->created_at);
    for (size_t i = 0; i < count && err == E_OK; i++) {
        if (i > 0)
            place_behind(messages[i], messages[i - 1]);
        err = append_one(tx, messages[i]);
    }
    return err;
}

enum err message_insert_said(struct tx *tx, const struct message *m, const struct str *texts) {
    enum err err = message_insert(tx, m);
    for (int64_t i = 0; i < m->swipe_count && err == E_OK; i++)
        err = insert_variant(tx, m->id, i, m->state, texts[i], m->created_at);
    return err;
}

static enum err choose(struct tx *tx, int64_t conversation_id, int64_t message_id, int64_t place,
                       int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx), "UPDATE message SET chosen = :place, revision = revision + 1, updated_at = :now "
                   "WHERE id = :id AND :place < variant_count AND :place >= 0");
    bind_id(s, ":id", message_id);
    bind_int(s, ":place", place);
    bind_time(s, ":now", now);
    enum err err = stmt_run(s);
    if (err == E_OK && stmt_changed(s) != 1)
        err = E_INPUT;
    return err != E_OK ? err : memory_touch_message(tx, message_id, conversation_id);
}

static enum err count_variants(struct tx *tx, int64_t message_id, int64_t count, int64_t chosen,
                               int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "UPDATE message "
        "SET variant_count = :count, chosen = :chosen, revision = revision + 1, updated_at = :now "
        "WHERE id = :id");
    bind_id(s, ":id", message_id);
    bind_int(s, ":count", count);
    bind_int(s, ":chosen", chosen);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

enum err message_add_greetings(struct tx *tx, int64_t message_id, const struct str *texts,
                               size_t count, int64_t chosen, int64_t now) {
    enum err err = E_OK;
    for (size_t i = 0; i < count && err == E_OK; i++)
        err = insert_variant(tx, message_id, (int64_t)i + 1, STR("complete"), texts[i], now);
    return err != E_OK ? err : count_variants(tx, message_id, (int64_t)count + 1, chosen, now);
}

enum err variant_begin(struct tx *tx, int64_t conversation_id, int64_t message_id, int64_t *place,
                       int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx), "SELECT variant_count FROM message WHERE id = :id AND deleted_at IS NULL");
    bind_id(s, ":id", message_id);
    *place = stmt_int(s, 0);
    if (*place == 0)
        return E_ABSENT;
    enum err err = move_head(tx, conversation_id, message_id, STR_NONE, now);
    if (err == E_OK)
        err = insert_variant(tx, message_id, *place, STR("streaming"), STR(""), now);
    return err != E_OK ? err : count_variants(tx, message_id, *place + 1, *place, now);
}

enum err variant_reopen(struct tx *tx, int64_t message_id, int64_t place, int64_t saved_by,
                        int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO message_revision (message_id, place, revision, kind, content, saved_by, created_at) "
        "SELECT m.id, v.place, m.revision, 'before_continue', v.content, :saved_by, :now "
        "FROM message m JOIN variant v ON v.message_id = m.id AND v.place = :place "
        "WHERE m.id = :message AND m.deleted_at IS NULL");
    bind_id(s, ":message", message_id);
    bind_int(s, ":place", place);
    bind_id(s, ":saved_by", saved_by);
    bind_time(s, ":now", now);
    enum err err = stmt_run(s);
    if (err != E_OK)
        return err;
    if (stmt_changed(s) != 1)
        return E_ABSENT;
    s = DB_SQL(tx_db(tx), "UPDATE variant SET state = 'streaming', updated_at = :now "
                          "WHERE message_id = :message AND place = :place");
    bind_id(s, ":message", message_id);
    bind_int(s, ":place", place);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

enum err variant_save(struct tx *tx, const struct variant_text *text) {
    struct stmt *s =
        DB_SQL(tx_db(tx),
               "UPDATE variant "
               "SET state = :state, content = :content, reasoning = :reasoning, model = :model, "
               "    finish_reason = :finish, prompt_tokens = :prompt_tokens, "
               "    reply_tokens = :reply_tokens, updated_at = :now "
               "WHERE message_id = :message AND place = :place");
    bind_id(s, ":message", text->message_id);
    bind_int(s, ":place", text->place);
    bind_str(s, ":state", text->state);
    bind_str(s, ":content", text->content);
    bind_str(s, ":reasoning", text->reasoning);
    bind_str(s, ":model", text->model);
    bind_str(s, ":finish", text->finish_reason);
    if (text->prompt_tokens >= 0)
        bind_int(s, ":prompt_tokens", text->prompt_tokens);
    if (text->reply_tokens >= 0)
        bind_int(s, ":reply_tokens", text->reply_tokens);
    bind_time(s, ":now", text->now);
    enum err err = stmt_run(s);
    return err != E_OK || str_eq(text->state, STR("streaming"))
               ? err
               : memory_touch_message(tx, text->message_id, text->conversation_id);
}

enum err prompt_save(struct tx *tx, int64_t message_id, int64_t place, struct str record,
                     int64_t now) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT OR REPLACE INTO prompt (message_id, place, record, created_at) "
                          "VALUES (:message, :place, :record, :now)");
    bind_id(s, ":message", message_id);
    bind_int(s, ":place", place);
    struct arena arena;
    arena_init(&arena);
    bind_blob(s, ":record", deflate_bytes(&arena, record));
    bind_time(s, ":now", now);
    enum err err = stmt_run(s);
    arena_release(&arena);
    return err;
}

enum err message_touch(struct tx *tx, int64_t message_id, int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx), "UPDATE message SET revision = revision + 1, updated_at = :now WHERE id = :id");
    bind_id(s, ":id", message_id);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

static enum err keep_revision(struct tx *tx, const struct message *m, struct str kind,
                              struct str content, int64_t saved_by, int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO message_revision (message_id, place, revision, kind, content, saved_by, created_at) "
        "VALUES (:message, :place, :revision, :kind, :content, :saved_by, :now)");
    bind_id(s, ":message", m->id);
    bind_int(s, ":place", m->swipe_index);
    bind_int(s, ":revision", m->revision);
    bind_str(s, ":kind", kind);
    bind_str(s, ":content", content);
    bind_id(s, ":saved_by", saved_by);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

/* What was found and learnt of it is to be found and learnt anew. */
static enum err unlearn(struct tx *tx, int64_t message_id, int64_t conversation_id) {
    enum err err = memory_touch_message(tx, message_id, conversation_id);
    return err != E_OK ? err : memory_changed(tx, conversation_id, message_id, message_id);
}

enum err message_edit(struct tx *tx, const struct message *old, struct str content,
                      int64_t saved_by, int64_t now) {
    enum err err = keep_revision(tx, old, STR("before_edit"), old->content, saved_by, now);
    if (err != E_OK)
        return err;
    struct stmt *s = DB_SQL(
        tx_db(tx), "UPDATE variant SET content = :content, updated_at = :now "
                   "WHERE message_id = :message AND place = :place AND state <> 'streaming'");
    bind_id(s, ":message", old->id);
    bind_int(s, ":place", old->swipe_index);
    bind_str(s, ":content", content);
    bind_time(s, ":now", now);
    if ((err = stmt_run(s)) != E_OK)
        return err;
    if (stmt_changed(s) != 1)
        return E_CONFLICT;
    err = message_touch(tx, old->id, now);
    return err != E_OK ? err : unlearn(tx, old->id, old->conversation_id);
}

enum err message_refuse_edit(struct tx *tx, const struct message *current, struct str content,
                             int64_t saved_by, int64_t now) {
    return keep_revision(tx, current, STR("refused"), content, saved_by, now);
}

enum err message_hide(struct tx *tx, int64_t conversation_id, int64_t message_id, bool hidden,
                      int64_t now) {
    struct stmt *s =
        DB_SQL(tx_db(tx),
               "UPDATE message SET hidden = :hidden, revision = revision + 1, updated_at = :now "
               "WHERE id = :id");
    bind_id(s, ":id", message_id);
    bind_bool(s, ":hidden", hidden);
    bind_time(s, ":now", now);
    enum err err = stmt_run(s);
    return err != E_OK ? err : unlearn(tx, message_id, conversation_id);
}

/* --- trash ------------------------------------------------------------------------------------ */

static enum err trash_one(struct tx *tx, int64_t conversation_id, int64_t message_id, int64_t now,
                          int64_t *deleted) {
    struct stmt *s =
        DB_SQL(tx_db(tx),
               "UPDATE message SET deleted_at = :now, updated_at = :now, revision = revision + 1 "
               "WHERE id = :id AND deleted_at IS NULL");
    bind_id(s, ":id", message_id);
    bind_time(s, ":now", now);
    enum err err = stmt_run(s);
    *deleted += stmt_changed(s);
    return err != E_OK ? err : unlearn(tx, message_id, conversation_id);
}

static int64_t parent_of(struct db *db, int64_t message_id) {
    struct stmt *s = DB_SQL(db, "SELECT parent_id FROM message WHERE id = :id");
    bind_id(s, ":id", message_id);
    return stmt_int(s, 0);
}

static bool is_trashed(struct db *db, int64_t message_id) {
    struct stmt *s = DB_SQL(db, "SELECT deleted_at IS NOT NULL FROM message WHERE id = :id");
    bind_id(s, ":id", message_id);
    return stmt_int(s, 0) != 0;
}

/* The beginning of a message's text, for the conversation's last line; the caller flattens nothing
 * here. */
static struct str line_of(struct db *db, struct arena *arena, int64_t message_id) {
    struct stmt *s = DB_SQL(db, "SELECT substr(v.content, 1, 400) FROM message m "
                                "JOIN variant v ON v.message_id = m.id AND v.place = m.chosen "
                                "WHERE m.id = :id");
    bind_id(s, ":id", message_id);
    struct str text = STR("");
    if (stmt_row(s))
        text = column_str_dup(s, 0, arena);
    return stmt_done(s) == E_OK ? conversation_line(arena, text) : STR("");
}

enum err conversation_show_end(struct tx *tx, int64_t conversation_id, int64_t head_id,
                               int64_t now) {
    struct arena arena;
    arena_init(&arena);
    struct str line = head_id == 0 ? STR("") : line_of(tx_db(tx), &arena, head_id);
    enum err err = move_head(tx, conversation_id, head_id, line, now);
    arena_release(&arena);
    return err;
}

enum err message_trash(struct tx *tx, int64_t conversation_id, int64_t message_id, bool from_here,
                       int64_t now, int64_t *deleted) {
    struct db *db = tx_db(tx);
    int64_t head = head_of(db, conversation_id);
    bool is_on_path = head != 0 && message_is_on_path(db, message_id, head);
    *deleted = 0;
    enum err err = E_OK;
    /* From the end of the path back to the message, so that what is left is the path before it. */
    for (int64_t at = head; from_here && is_on_path && at != 0 && at != message_id && err == E_OK;
         at = parent_of(db, at))
        err = trash_one(tx, conversation_id, at, now, deleted);
    if (err == E_OK)
        err = trash_one(tx, conversation_id, message_id, now, deleted);
    if (err != E_OK || !is_on_path)
        return err;
    while (head != 0 && is_trashed(db, head))
        head = parent_of(db, head);
    return conversation_show_end(tx, conversation_id, head, now);
}

/* Those that went to the trash together with this one are to be found again. */
static enum err touch_trashed_with(struct tx *tx, int64_t conversation_id, int64_t message_id) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "SELECT id FROM message WHERE conversation_id = :conversation "
                          "AND deleted_at = (SELECT deleted_at FROM message WHERE id = :id)");
    bind_id(s, ":conversation", conversation_id);
    bind_id(s, ":id", message_id);
    enum err err = E_OK;
    while (err == E_OK && stmt_row(s))
        err = unlearn(tx, column_id(s, 0), conversation_id);
    enum err read = stmt_done(s);
    return err != E_OK ? err : read;
}

enum err message_restore(struct tx *tx, int64_t conversation_id, int64_t message_id, int64_t now,
                         int64_t *restored) {
    *restored = 0;
    enum err err = touch_trashed_with(tx, conversation_id, message_id);
    if (err != E_OK)
        return err;
    struct stmt *s =
        DB_SQL(tx_db(tx),
               "UPDATE message SET deleted_at = NULL, updated_at = :now, revision = revision + 1 "
               "WHERE conversation_id = :conversation "
               "  AND deleted_at = (SELECT deleted_at FROM message WHERE id = :id)");
    bind_id(s, ":conversation", conversation_id);
    bind_id(s, ":id", message_id);
    bind_time(s, ":now", now);
    err = stmt_run(s);
    *restored = stmt_changed(s);
    if (err != E_OK || *restored == 0)
        return err;
    int64_t leaf = message_deepest(tx_db(tx), message_id, message_chosen(tx_db(tx), message_id));
    return conversation_show_path(tx, conversation_id, leaf, now);
}

enum err message_choose(struct tx *tx, int64_t conversation_id, int64_t message_id, int64_t place,
                        int64_t now) {
    enum err err = choose(tx, conversation_id, message_id, place, now);
    if (err == E_OK)
        err = memory_changed(tx, conversation_id, message_id, message_id);
    if (err != E_OK)
        return err;
    return conversation_show_path(tx, conversation_id,
                                  message_deepest(tx_db(tx), message_id, place), now);
}

enum err conversation_show_path(struct tx *tx, int64_t conversation_id, int64_t leaf_id,
                                int64_t now) {
    struct db *db = tx_db(tx);
    enum err err = E_OK;
    for (int64_t at = leaf_id; at != 0 && err == E_OK;) {
        struct stmt *s = DB_SQL(db, "SELECT m.parent_id, m.parent_variant, p.chosen FROM message m "
                                    "JOIN message p ON p.id = m.parent_id WHERE m.id = :id");
        bind_id(s, ":id", at);
        int64_t parent = 0, follows = 0, chosen = 0;
        if (stmt_row(s)) {
            parent = column_id(s, 0);
            follows = column_int(s, 1);
            chosen = column_int(s, 2);
        }
        if ((err = stmt_done(s)) == E_OK && parent != 0 && follows != chosen)
            err = choose(tx, conversation_id, parent, follows, now);
        at = parent;
    }
    return err != E_OK ? err : conversation_show_end(tx, conversation_id, leaf_id, now);
}
