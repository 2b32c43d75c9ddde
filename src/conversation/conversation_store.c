/*
 * The SQL of conversations, messages, variants and branches. See conversation_store.h for the two
 * facts that carry the tree.
 *
 * A page is read branch by branch from the leaf back: within a branch it is one walk along the
 * index (branch_id, id). The variant that is shown is joined by message.chosen, which is right on
 * the path that people see; on another path the few messages before a fork may show another
 * variant, and those are read again.
 */
#include "conversation/conversation_store.h"

#include "base/banned.h"
#include "base/check.h"
#include "base/deflate.h"
#include "base/id.h"

#define PROMPT_LIMIT_BYTES \
    ((size_t)16 << 20) /* inflated; a context of a million tokens is 4 MB of text */

/* The columns of a message and its variant, in the order that message_from_row reads. */
#define MESSAGE_COLUMNS                                                                                          \
    "m.id, m.conversation_id, m.branch_id, m.parent_id, m.parent_variant, m.role, m.author_kind, m.author_id, "  \
    "m.author_name, v.place, m.variant_count, m.hidden, m.external_id, m.revision, m.created_at, m.updated_at, " \
    "m.deleted_at, v.state, v.content, v.reasoning, v.model, v.finish_reason, v.prompt_tokens, v.reply_tokens "

#define CONVERSATION_COLUMNS                                                                                    \
    "id, owner_id, title, persona_id, mode, settings, head_id, from_conversation_id, from_message_id, pinned, " \
    "archived, unread, last_line, last_message_at, revision, created_at, updated_at, deleted_at "

static int64_t column_or(struct stmt *s, int column, int64_t fallback) {
    return column_is_null(s, column) ? fallback : column_int(s, column);
}

static void message_from_row(struct stmt *s, struct arena *arena, struct message *m) {
    *m = (struct message){
        .id = column_id(s, 0),
        .conversation_id = column_id(s, 1),
        .branch_id = column_id(s, 2),
        .parent_id = column_id(s, 3),
        .parent_variant = column_or(s, 4, -1),
        .role = column_str_dup(s, 5, arena),
        .author_kind = column_str_dup(s, 6, arena),
        .author_id = column_id(s, 7),
        .author_name = column_str_dup(s, 8, arena),
        .swipe_index = column_int(s, 9),
        .swipe_count = column_int(s, 10),
        .hidden = column_bool(s, 11),
        .external_id = column_str_dup(s, 12, arena),
        .revision = column_int(s, 13),
        .created_at = column_time(s, 14),
        .updated_at = column_time(s, 15),
        .deleted_at = column_time(s, 16),
        .state = column_str_dup(s, 17, arena),
        .content = column_str_dup(s, 18, arena),
        .reasoning = column_str_dup(s, 19, arena),
        .model = column_str_dup(s, 20, arena),
        .finish_reason = column_str_dup(s, 21, arena),
        .prompt_tokens = column_or(s, 22, -1),
        .reply_tokens = column_or(s, 23, -1),
    };
}

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
    enum err err = stmt_done(s);
    return err != E_OK ? err : is_there ? E_OK : E_ABSENT;
}

enum err conversation_load(struct db *db, struct arena *arena, int64_t id, int64_t owner_id,
                           struct conversation *conversation) {
    struct stmt *s = DB_SQL(db, "SELECT " CONVERSATION_COLUMNS "FROM conversation "
                                "WHERE id = :id AND owner_id = :owner AND deleted_at IS NULL");
    bind_id(s, ":id", id);
    bind_id(s, ":owner", owner_id);
    return one_conversation(s, arena, conversation);
}

enum err conversation_load_trashed(struct db *db, struct arena *arena, int64_t id, int64_t owner_id,
                                   struct conversation *conversation) {
    struct stmt *s = DB_SQL(db, "SELECT " CONVERSATION_COLUMNS "FROM conversation "
                                "WHERE id = :id AND owner_id = :owner AND deleted_at IS NOT NULL");
    bind_id(s, ":id", id);
    bind_id(s, ":owner", owner_id);
    return one_conversation(s, arena, conversation);
}

enum err conversation_participants(struct db *db, struct arena *arena, int64_t conversation_id,
                                   struct participant **participants, size_t *count) {
    struct participant *items = ARENA_ARRAY(arena, struct participant, 32);
    size_t n = 0;
    struct stmt *s =
        DB_SQL(db, "SELECT p.character_id, COALESCE(c.name, p.name), c.avatar_blob, c.id IS NULL "
                   "FROM conversation_character p "
                   "LEFT JOIN character c ON c.id = p.character_id AND c.deleted_at IS NULL "
                   "WHERE p.conversation_id = :conversation "
                   "ORDER BY p.place "
                   "LIMIT 32");
    bind_id(s, ":conversation", conversation_id);
    for (; n < 32 && stmt_row(s); n++)
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

/* --- messages
 * ------------------------------------------------------------------------------------------------------
 */

enum err message_load(struct db *db, struct arena *arena, int64_t conversation_id,
                      int64_t message_id, int64_t place, struct message *message) {
    struct stmt *s = DB_SQL(
        db, "SELECT " MESSAGE_COLUMNS "FROM message m "
            "JOIN variant v ON v.message_id = m.id AND v.place = IIF(:place < 0, m.chosen, :place) "
            "WHERE m.id = :message AND m.conversation_id = :conversation");
    bind_id(s, ":message", message_id);
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":place", place);
    bool is_there = stmt_row(s);
    if (is_there)
        message_from_row(s, arena, message);
    enum err err = stmt_done(s);
    return err != E_OK ? err : is_there ? E_OK : E_ABSENT;
}

/* A stretch of a path: the messages of `branch_id` with ids up to `upto_id`. */
struct stretch {
    int64_t branch_id, upto_id;
};

static enum err stretch_of_leaf(struct db *db, int64_t leaf_id, struct stretch *stretch) {
    struct stmt *s = DB_SQL(db, "SELECT branch_id FROM message WHERE id = :id");
    bind_id(s, ":id", leaf_id);
    *stretch = (struct stretch){.branch_id = stmt_int(s, 0), .upto_id = leaf_id};
    return stretch->branch_id == 0 ? E_ABSENT : E_OK;
}

/* The stretch before: where the branch was forked off. False at the root. */
static bool stretch_before(struct db *db, struct stretch *stretch) {
    struct stmt *s = DB_SQL(db, "SELECT parent_id, fork_message_id FROM branch WHERE id = :id");
    bind_id(s, ":id", stretch->branch_id);
    struct stretch before = {0};
    if (stmt_row(s))
        before = (struct stretch){.branch_id = column_id(s, 0), .upto_id = column_id(s, 1)};
    if (stmt_done(s) != E_OK || before.branch_id == 0)
        return false;
    *stretch = before;
    return true;
}

static enum err stretch_read(struct db *db, struct arena *arena, const struct stretch *stretch,
                             int64_t before_id, size_t limit, struct message *items,
                             size_t *count) {
    struct stmt *s =
        DB_SQL(db, "SELECT " MESSAGE_COLUMNS "FROM message m "
                   "JOIN variant v ON v.message_id = m.id AND v.place = m.chosen "
                   "WHERE m.branch_id = :branch AND m.id <= :upto AND m.deleted_at IS NULL "
                   "ORDER BY m.id DESC "
                   "LIMIT :limit");
    bind_id(s, ":branch", stretch->branch_id);
    bind_int(s, ":upto",
             before_id > 0 && before_id <= stretch->upto_id ? before_id - 1 : stretch->upto_id);
    bind_int(s, ":limit", (int64_t)(limit - *count));
    while (*count < limit && stmt_row(s))
        message_from_row(s, arena, &items[(*count)++]);
    return stmt_done(s);
}

/* Off the shown path a message before a fork may have another variant chosen than the one this path
 * follows. */
static enum err show_followed_variants(struct db *db, struct arena *arena, struct message *items,
                                       size_t count) {
    for (size_t i = 1; i < count; i++) {
        const struct message *child = &items[i - 1];
        if (child->parent_id != items[i].id || child->parent_variant < 0 ||
            child->parent_variant == items[i].swipe_index)
            continue;
        enum err err = message_load(db, arena, items[i].conversation_id, items[i].id,
                                    child->parent_variant, &items[i]);
        if (err != E_OK)
            return err;
    }
    return E_OK;
}

enum err message_page(struct db *db, struct arena *arena, int64_t conversation_id, int64_t leaf_id,
                      int64_t before_id, size_t limit, struct message **items, size_t *count) {
    *items = ARENA_ARRAY(arena, struct message, limit);
    *count = 0;
    struct stretch stretch;
    enum err err = stretch_of_leaf(db, leaf_id, &stretch);
    if (err != E_OK)
        return err;
    do {
        if ((err = stretch_read(db, arena, &stretch, before_id, limit, *items, count)) != E_OK)
            return err;
    } while (*count < limit && stretch_before(db, &stretch));
    if (*count > 0 && (*items)[0].conversation_id != conversation_id)
        return E_ABSENT;
    return show_followed_variants(db, arena, *items, *count);
}

static int64_t newest_child(struct db *db, int64_t message_id, int64_t place) {
    struct stmt *s =
        DB_SQL(db, "SELECT id FROM message "
                   "WHERE parent_id = :parent AND parent_variant = :place AND deleted_at IS NULL "
                   "ORDER BY id DESC "
                   "LIMIT 1");
    bind_id(s, ":parent", message_id);
    bind_int(s, ":place", place);
    return stmt_int(s, 0);
}

int64_t message_chosen(struct db *db, int64_t message_id) {
    struct stmt *s = DB_SQL(db, "SELECT chosen FROM message WHERE id = :id");
    bind_id(s, ":id", message_id);
    return stmt_int(s, 0);
}

int64_t message_deepest(struct db *db, int64_t message_id, int64_t place) {
    for (int64_t child; (child = newest_child(db, message_id, place)) != 0;
         place = message_chosen(db, message_id))
        message_id = child;
    return message_id;
}

bool message_is_on_path(struct db *db, int64_t message_id, int64_t leaf_id) {
    struct stretch here, at;
    if (stretch_of_leaf(db, message_id, &here) != E_OK || stretch_of_leaf(db, leaf_id, &at) != E_OK)
        return false;
    while (at.branch_id != here.branch_id)
        if (!stretch_before(db, &at))
            return false;
    return message_id <= at.upto_id;
}

enum err message_variants(struct db *db, struct arena *arena, int64_t message_id,
                          struct message_variant **items, size_t *count) {
    enum { VARIANTS_SHOWN = 200 }; /* nobody swipes further; the newest are shown */
    *items = ARENA_ARRAY(arena, struct message_variant, VARIANTS_SHOWN);
    *count = 0;
    struct stmt *s =
        DB_SQL(db, "SELECT place, state, content, model, finish_reason, created_at FROM variant "
                   "WHERE message_id = :message "
                   "ORDER BY place DESC "
                   "LIMIT 200");
    bind_id(s, ":message", message_id);
    while (*count < VARIANTS_SHOWN && stmt_row(s))
        (*items)[(*count)++] = (struct message_variant){
            .place = column_int(s, 0),
            .state = column_str_dup(s, 1, arena),
            .content = column_str_dup(s, 2, arena),
            .model = column_str_dup(s, 3, arena),
            .finish_reason = column_str_dup(s, 4, arena),
            .created_at = column_time(s, 5),
        };
    return stmt_done(s);
}

enum err message_revisions(struct db *db, struct arena *arena, int64_t message_id,
                           struct message_revision **items, size_t *count) {
    enum { REVISIONS_SHOWN = 100 };
    *items = ARENA_ARRAY(arena, struct message_revision, REVISIONS_SHOWN);
    *count = 0;
    struct stmt *s = DB_SQL(
        db, "SELECT place, revision, saved_by, created_at, kind, content FROM message_revision "
            "WHERE message_id = :message "
            "ORDER BY created_at DESC "
            "LIMIT 100");
    bind_id(s, ":message", message_id);
    while (*count < REVISIONS_SHOWN && stmt_row(s))
        (*items)[(*count)++] = (struct message_revision){
            .place = column_int(s, 0),
            .revision = column_int(s, 1),
            .saved_by = column_id(s, 2),
            .created_at = column_time(s, 3),
            .kind = column_str_dup(s, 4, arena),
            .content = column_str_dup(s, 5, arena),
        };
    return stmt_done(s);
}

enum err conversation_branches(struct db *db, struct arena *arena, int64_t conversation_id,
                               struct branch_tip **items, size_t *count) {
    enum { BRANCHES_SHOWN = 200 };
    *items = ARENA_ARRAY(arena, struct branch_tip, BRANCHES_SHOWN);
    *count = 0;
    struct stmt *s =
        DB_SQL(db, "SELECT b.fork_message_id, m.id, m.created_at, substr(v.content, 1, 120) "
                   "FROM branch b "
                   "JOIN message m ON m.id = (SELECT id FROM message "
                   "                          WHERE branch_id = b.id AND deleted_at IS NULL "
                   "                          ORDER BY id DESC LIMIT 1) "
                   "JOIN variant v ON v.message_id = m.id AND v.place = m.chosen "
                   "WHERE b.conversation_id = :conversation "
                   "ORDER BY b.id DESC "
                   "LIMIT 200");
    bind_id(s, ":conversation", conversation_id);
    while (*count < BRANCHES_SHOWN && stmt_row(s))
        (*items)[(*count)++] = (struct branch_tip){
            .fork_message_id = column_id(s, 0),
            .leaf_id = column_id(s, 1),
            .created_at = column_time(s, 2),
            .last_line = column_str_dup(s, 3, arena),
        };
    return stmt_done(s);
}

enum err prompt_load(struct db *db, struct arena *arena, int64_t message_id, int64_t place,
                     struct str *record) {
    struct stmt *s =
        DB_SQL(db, "SELECT record FROM prompt WHERE message_id = :message AND place = :place");
    bind_id(s, ":message", message_id);
    bind_int(s, ":place", place);
    struct str deflated = STR_NONE;
    if (stmt_row(s))
        deflated = column_blob_dup(s, 0, arena);
    enum err err = stmt_done(s);
    if (err != E_OK)
        return err;
    return deflated.at == NULL ? E_ABSENT
                               : inflate_bytes(arena, deflated, PROMPT_LIMIT_BYTES, record);
}

/* --- changes
 * --------------------------------------------------------------------------------------------------------
 */

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

static enum err insert_branch(struct tx *tx, int64_t id, int64_t conversation_id,
                              const struct stretch *fork, int64_t now) {
    struct stmt *s =
        DB_SQL(tx_db(tx),
               "INSERT INTO branch (id, conversation_id, parent_id, fork_message_id, created_at) "
               "VALUES (:id, :conversation, :parent, :fork, :now)");
    bind_id(s, ":id", id);
    bind_id(s, ":conversation", conversation_id);
    bind_id(s, ":parent", fork->branch_id);
    bind_id(s, ":fork", fork->upto_id);
    bind_time(s, ":now", now);
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
    return err != E_OK ? err
                       : insert_branch(tx, trunk_id, c->id, &(struct stretch){0}, c->created_at);
}

static enum err insert_message(struct tx *tx, const struct message *m) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO message (id, conversation_id, branch_id, parent_id, parent_variant, role, "
        "  author_kind, author_id, author_name, chosen, variant_count, hidden, external_id, "
        "  created_at, updated_at) "
        "VALUES (:id, :conversation, :branch, :parent, :parent_variant, :role, "
        "  :author_kind, :author, :author_name, :chosen, :variants, :hidden, :external, "
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

static bool has_children(struct db *db, int64_t message_id) {
    struct stmt *s = DB_SQL(db, "SELECT 1 FROM message WHERE parent_id = :parent LIMIT 1");
    bind_id(s, ":parent", message_id);
    return stmt_int(s, 0) == 1;
}

static int64_t trunk_of(struct db *db, int64_t conversation_id) {
    struct stmt *s = DB_SQL(
        db, "SELECT id FROM branch WHERE conversation_id = :conversation ORDER BY id LIMIT 1");
    bind_id(s, ":conversation", conversation_id);
    return stmt_int(s, 0);
}

/* Where a new child of the parent belongs: at the end of the parent's branch, or, if something
 * follows there already, on a new one. */
static enum err place_on_branch(struct tx *tx, struct message *m) {
    struct db *db = tx_db(tx);
    if (m->parent_id == 0) {
        m->branch_id = trunk_of(db, m->conversation_id);
        m->parent_variant = -1;
        return m->branch_id == 0 ? E_ABSENT : E_OK;
    }
    struct stmt *s = DB_SQL(
        db,
        "SELECT branch_id, chosen FROM message WHERE id = :id AND conversation_id = :conversation");
    bind_id(s, ":id", m->parent_id);
    bind_id(s, ":conversation", m->conversation_id);
    struct stretch fork = {.upto_id = m->parent_id};
    if (stmt_row(s)) {
        fork.branch_id = column_id(s, 0);
        m->parent_variant = column_int(s, 1);
    }
    enum err err = stmt_done(s);
    if (err != E_OK)
        return err;
    if (fork.branch_id == 0)
        return E_ABSENT;
    m->branch_id = fork.branch_id;
    if (!has_children(db, m->parent_id))
        return E_OK;
    m->branch_id = id_new();
    return insert_branch(tx, m->branch_id, m->conversation_id, &fork, m->created_at);
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
    enum err err = stmt_run(s);
    return err != E_OK ? err : stmt_changed(s) == 1 ? E_OK : E_ABSENT;
}

static int64_t head_of(struct db *db, int64_t conversation_id) {
    struct stmt *s = DB_SQL(db, "SELECT head_id FROM conversation WHERE id = :id");
    bind_id(s, ":id", conversation_id);
    return stmt_int(s, 0);
}

enum err message_append(struct tx *tx, struct message *m, struct str last_line) {
    if (m->parent_id == 0)
        m->parent_id = head_of(tx_db(tx), m->conversation_id);
    enum err err = place_on_branch(tx, m);
    if (err == E_OK)
        err = insert_message(tx, m);
    if (err == E_OK)
        err = insert_variant(tx, m->id, m->swipe_index, m->state, m->content, m->created_at);
    if (err == E_OK)
        err = move_head(tx, m->conversation_id, m->id, last_line, m->updated_at);
    return err;
}

static enum err choose(struct tx *tx, int64_t message_id, int64_t place, int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx), "UPDATE message SET chosen = :place, revision = revision + 1, updated_at = :now "
                   "WHERE id = :id AND :place < variant_count AND :place >= 0");
    bind_id(s, ":id", message_id);
    bind_int(s, ":place", place);
    bind_time(s, ":now", now);
    enum err err = stmt_run(s);
    return err != E_OK ? err : stmt_changed(s) == 1 ? E_OK : E_INPUT;
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
    enum err err = insert_variant(tx, message_id, *place, STR("streaming"), STR(""), now);
    if (err == E_OK)
        err = count_variants(tx, message_id, *place + 1, *place, now);
    return err != E_OK ? err : move_head(tx, conversation_id, message_id, STR_NONE, now);
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
    return stmt_run(s);
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
    return message_touch(tx, old->id, now);
}

enum err message_refuse_edit(struct tx *tx, const struct message *current, struct str content,
                             int64_t saved_by, int64_t now) {
    return keep_revision(tx, current, STR("refused"), content, saved_by, now);
}

enum err message_hide(struct tx *tx, int64_t message_id, bool hidden, int64_t now) {
    struct stmt *s =
        DB_SQL(tx_db(tx),
               "UPDATE message SET hidden = :hidden, revision = revision + 1, updated_at = :now "
               "WHERE id = :id");
    bind_id(s, ":id", message_id);
    bind_bool(s, ":hidden", hidden);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

/* --- trash
 * -----------------------------------------------------------------------------------------------------------------
 */

static enum err trash_one(struct tx *tx, int64_t message_id, int64_t now, int64_t *deleted) {
    struct stmt *s =
        DB_SQL(tx_db(tx),
               "UPDATE message SET deleted_at = :now, updated_at = :now, revision = revision + 1 "
               "WHERE id = :id AND deleted_at IS NULL");
    bind_id(s, ":id", message_id);
    bind_time(s, ":now", now);
    enum err err = stmt_run(s);
    *deleted += stmt_changed(s);
    return err;
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

static enum err show_end(struct tx *tx, int64_t conversation_id, int64_t head_id, int64_t now) {
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
        err = trash_one(tx, at, now, deleted);
    if (err == E_OK)
        err = trash_one(tx, message_id, now, deleted);
    if (err != E_OK || !is_on_path)
        return err;
    while (head != 0 && is_trashed(db, head))
        head = parent_of(db, head);
    return show_end(tx, conversation_id, head, now);
}

enum err message_restore(struct tx *tx, int64_t conversation_id, int64_t message_id, int64_t now,
                         int64_t *restored) {
    struct stmt *s =
        DB_SQL(tx_db(tx),
               "UPDATE message SET deleted_at = NULL, updated_at = :now, revision = revision + 1 "
               "WHERE conversation_id = :conversation "
               "  AND deleted_at = (SELECT deleted_at FROM message WHERE id = :id)");
    bind_id(s, ":conversation", conversation_id);
    bind_id(s, ":id", message_id);
    bind_time(s, ":now", now);
    enum err err = stmt_run(s);
    *restored = stmt_changed(s);
    if (err != E_OK || *restored == 0)
        return err;
    int64_t leaf = message_deepest(tx_db(tx), message_id, message_chosen(tx_db(tx), message_id));
    return conversation_show_path(tx, conversation_id, leaf, now);
}

enum err message_choose(struct tx *tx, int64_t conversation_id, int64_t message_id, int64_t place,
                        int64_t now) {
    enum err err = choose(tx, message_id, place, now);
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
            err = choose(tx, parent, follows, now);
        at = parent;
    }
    return err != E_OK ? err : show_end(tx, conversation_id, leaf_id, now);
}

/* --- copies
 * -------------------------------------------------------------------------------------------------------------------
 */

static enum err copy_variants(struct tx *tx, int64_t from_message, int64_t to_message) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO variant (message_id, place, state, content, reasoning, model, finish_reason, "
        "  prompt_tokens, reply_tokens, created_at, updated_at) "
        "SELECT :to, place, IIF(state = 'streaming', 'interrupted', state), content, reasoning, model, "
        "  finish_reason, prompt_tokens, reply_tokens, created_at, updated_at "
        "FROM variant WHERE message_id = :from");
    bind_id(s, ":from", from_message);
    bind_id(s, ":to", to_message);
    return stmt_run(s);
}

static enum err copy_message(struct tx *tx, const struct message *from, struct message *to) {
    enum err err = insert_message(tx, to);
    return err != E_OK ? err : copy_variants(tx, from->id, to->id);
}

enum err conversation_copy_path(struct tx *tx, int64_t from_id, int64_t upto_id, int64_t to_id,
                                int64_t trunk_id, int64_t now) {
    enum { PAGE = 100 };
    struct db *db = tx_db(tx);
    struct arena arena;
    arena_init(&arena);
    enum err err = E_OK;
    int64_t *path = NULL; /* ids from the leaf back; copied from the root on, so that ids grow along
                             the copy too */
    size_t count = 0, room = 0;
    for (int64_t before = 0; err == E_OK;) {
        struct message *page;
        size_t n;
        struct arena page_arena;
        arena_init(&page_arena);
        err = message_page(db, &page_arena, from_id, upto_id, before, PAGE, &page, &n);
        if (err == E_OK && count + n > room) {
            int64_t *more = ARENA_ARRAY(&arena, int64_t, room = (room + PAGE) * 2);
            for (size_t i = 0; i < count; i++)
                more[i] = path[i];
            path = more;
        }
        for (size_t i = 0; err == E_OK && i < n; i++)
            path[count++] = page[i].id;
        before = n > 0 ? page[n - 1].id : 0;
        arena_release(&page_arena);
        if (n < PAGE)
            break;
    }
    int64_t parent = 0, parent_variant = -1;
    for (size_t i = count; err == E_OK && i-- > 0;) {
        struct message from, to;
        err = message_load(db, &arena, from_id, path[i], -1, &from);
        if (err != E_OK)
            break;
        to = from;
        to.id = id_new();
        to.conversation_id = to_id;
        to.branch_id = trunk_id;
        to.parent_id = parent;
        to.parent_variant = parent_variant;
        err = copy_message(tx, &from, &to);
        parent = to.id;
        parent_variant = to.swipe_index;
    }
    if (err == E_OK)
        err = show_end(tx, to_id, parent, now);
    arena_release(&arena);
    return err;
}

/* --- the conversation itself
 * -----------------------------------------------------------------------------------------------
 */

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

enum err conversation_mark_interrupted(struct tx *tx, int64_t now, int64_t *marked) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "UPDATE variant SET state = 'interrupted', finish_reason = 'interrupted', updated_at = :now "
        "WHERE state = 'streaming'");
    bind_time(s, ":now", now);
    enum err err = stmt_run(s);
    *marked = stmt_changed(s);
    return err;
}

enum err conversation_sweep(struct tx *tx, int64_t before_ms, bool *more) {
    /* A conversation's messages, variants, branches and prompts go with it (ON DELETE CASCADE). */
    struct stmt *s =
        DB_SQL(tx_db(tx), "DELETE FROM conversation WHERE id IN "
                          "  (SELECT id FROM conversation WHERE deleted_at < :before LIMIT 20)");
    bind_time(s, ":before", before_ms);
    enum err err = stmt_run(s);
    *more = stmt_changed(s) == 20;
    if (err != E_OK)
        return err;
    /* A message that others follow keeps its row, emptied, so that the path stays whole. */
    s = DB_SQL(tx_db(tx), "DELETE FROM variant WHERE message_id IN "
                          "  (SELECT m.id FROM message m JOIN variant v ON v.message_id = m.id "
                          "   WHERE m.deleted_at < :before LIMIT 200)");
    bind_time(s, ":before", before_ms);
    if ((err = stmt_run(s)) != E_OK)
        return err;
    s = DB_SQL(tx_db(tx),
               "DELETE FROM message WHERE id IN "
               "  (SELECT m.id FROM message m WHERE m.deleted_at < :before "
               "     AND NOT EXISTS (SELECT 1 FROM message c WHERE c.parent_id = m.id) LIMIT 200)");
    bind_time(s, ":before", before_ms);
    err = stmt_run(s);
    *more = *more || stmt_changed(s) > 0;
    return err;
}
