/*
 * Reading the tree of messages. See message_store.h for the two facts that carry it.
 *
 * A page is read branch by branch from the leaf back: within a branch it is one walk along the
 * index (branch_id, id). The variant that is shown is joined by message.chosen, which is right on
 * the path that people see; on another path the few messages before a fork may show another
 * variant, and those are read again.
 */
#include "conversation/message_store.h"

#include "base/check.h"
#include "base/deflate.h"
#include "store/rows.h"

#include <string.h>

#include "base/banned.h"

#define PROMPT_LIMIT_BYTES \
    ((size_t)16 << 20) /* inflated; a context of a million tokens is 4 MB of text */

/* The columns of a message and its variant, in the order that message_from_row reads. */
#define MESSAGE_COLUMNS                                                                                         \
    "m.id, m.parent_id, m.parent_variant, m.role, m.author_kind, m.author_id, m.author_name, m.variant_count, " \
    "m.hidden, m.external_id, m.revision, m.created_at, m.updated_at, v.place, v.state, v.content, "            \
    "v.reasoning, v.model, v.finish_reason, v.prompt_tokens, v.reply_tokens"

/* What a prompt is made of, in the order that said_from_row reads. */
#define SAID_COLUMNS                                                                          \
    "m.id, m.parent_id, m.parent_variant, m.role, m.author_name, m.variant_count, m.hidden, " \
    "m.created_at, v.place, v.content"

static int64_t column_or(struct stmt *s, int column, int64_t fallback) {
    return column_is_null(s, column) ? fallback : column_int(s, column);
}

/* Roles, kinds and states are a few words: the program's own copy serves every row. */
static struct str column_word(struct stmt *s, int column, struct arena *arena) {
    static const struct str words[] = {{"user", 4},     {"assistant", 9}, {"character", 9},
                                       {"complete", 8}, {"stopped", 7},   {"streaming", 9},
                                       {"system", 6}};
    struct str text = column_str(s, column);
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (text.len == words[i].len && memcmp(text.at, words[i].at, text.len) == 0)
            return words[i];
    return str_dup(arena, text);
}

static void message_from_row(struct stmt *s, struct arena *arena, struct message *m) {
    *m = (struct message){
        .id = column_id(s, 0),
        .parent_id = column_id(s, 1),
        .parent_variant = column_or(s, 2, -1),
        .role = column_word(s, 3, arena),
        .author_kind = column_word(s, 4, arena),
        .author_id = column_id(s, 5),
        .author_name = column_str_dup(s, 6, arena),
        .swipe_count = column_int(s, 7),
        .hidden = column_bool(s, 8),
        .external_id = column_str_dup(s, 9, arena),
        .revision = column_int(s, 10),
        .created_at = column_time(s, 11),
        .updated_at = column_time(s, 12),
        .swipe_index = column_int(s, 13),
        .state = column_word(s, 14, arena),
        .content = column_str_dup(s, 15, arena),
        .reasoning = column_str_dup(s, 16, arena),
        .model = column_str_dup(s, 17, arena),
        .finish_reason = column_str_dup(s, 18, arena),
        .prompt_tokens = column_or(s, 19, -1),
        .reply_tokens = column_or(s, 20, -1),
    };
}

static void said_from_row(struct stmt *s, struct arena *arena, struct message *m) {
    *m = (struct message){
        .id = column_id(s, 0),
        .parent_id = column_id(s, 1),
        .parent_variant = column_or(s, 2, -1),
        .role = column_word(s, 3, arena),
        .author_name = column_str_dup(s, 4, arena),
        .swipe_count = column_int(s, 5),
        .hidden = column_bool(s, 6),
        .created_at = column_time(s, 7),
        .swipe_index = column_int(s, 8),
        .content = column_str_dup(s, 9, arena),
    };
}

enum err message_load(struct db *db, struct arena *arena, int64_t conversation_id,
                      int64_t message_id, int64_t place, struct message *message) {
    struct stmt *s = DB_SQL(
        db, "SELECT " MESSAGE_COLUMNS ", m.branch_id, m.deleted_at FROM message m "
            "JOIN variant v ON v.message_id = m.id AND v.place = IIF(:place < 0, m.chosen, :place) "
            "WHERE m.id = :message AND m.conversation_id = :conversation");
    bind_id(s, ":message", message_id);
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":place", place);
    bool is_there = stmt_row(s);
    if (is_there) {
        message_from_row(s, arena, message);
        message->conversation_id = conversation_id;
        message->branch_id = column_id(s, 21);
        message->deleted_at = column_time(s, 22);
    }
    return stmt_done_one(s, is_there);
}

/* A stretch of a path: the messages of `branch_id` (0: of that of `upto_id`, not looked up yet) with ids
 * up to `upto_id`. */
struct stretch {
    int64_t branch_id, upto_id;
};

/* conversation_id 0: whichever it belongs to */
static bool stretch_of_leaf(struct db *db, int64_t conversation_id, int64_t leaf_id,
                            struct stretch *stretch) {
    struct stmt *s =
        DB_SQL(db, "SELECT branch_id FROM message "
                   "WHERE id = :id AND conversation_id = COALESCE(:conversation, conversation_id)");
    bind_id(s, ":id", leaf_id);
    bind_id(s, ":conversation", conversation_id);
    *stretch = (struct stretch){.branch_id = stmt_int(s, 0), .upto_id = leaf_id};
    return stretch->branch_id != 0;
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

/* A page of one stretch is one statement: most pages need no other. */
#define STRETCH(columns)                                            \
    "SELECT " columns " FROM message m "                            \
    "JOIN variant v ON v.message_id = m.id AND v.place = m.chosen " \
    "WHERE m.branch_id = COALESCE(:branch, "                        \
    "    (SELECT branch_id FROM message "                           \
    "     WHERE id = :upto AND conversation_id = :conversation)) "  \
    "  AND m.id < :before AND m.deleted_at IS NULL "                \
    "ORDER BY m.id DESC "                                           \
    "LIMIT :limit"

struct page_ask {
    int64_t conversation_id, leaf_id, before_id;
    size_t limit;
    bool is_for_prompt; /* SAID_COLUMNS are enough */
};

static enum err stretch_read(struct db *db, struct arena *arena, const struct page_ask *ask,
                             const struct stretch *stretch, struct message *items, size_t *count) {
    struct stmt *s = ask->is_for_prompt ? DB_SQL(db, STRETCH(SAID_COLUMNS))
                                        : DB_SQL(db, STRETCH(MESSAGE_COLUMNS));
    bool is_before = ask->before_id > 0 && ask->before_id <= stretch->upto_id;
    bind_id(s, ":branch", stretch->branch_id);
    bind_id(s, ":upto", stretch->upto_id);
    bind_id(s, ":conversation", ask->conversation_id);
    bind_int(s, ":before", is_before ? ask->before_id : stretch->upto_id + 1);
    bind_int(s, ":limit", (int64_t)(ask->limit - *count));
    while (*count < ask->limit && stmt_row(s)) {
        struct message *message = &items[(*count)++];
        if (ask->is_for_prompt)
            said_from_row(s, arena, message);
        else
            message_from_row(s, arena, message);
        message->conversation_id = ask->conversation_id;
    }
    return stmt_done(s);
}

/* Off the shown path a message before a fork may have another variant chosen than the one this path
 * follows: its child tells which. */
static enum err show_followed(struct db *db, struct arena *arena, const struct message *child,
                              struct message *item) {
    if (child->parent_id != item->id || child->parent_variant < 0 ||
        child->parent_variant == item->swipe_index)
        return E_OK;
    return message_load(db, arena, item->conversation_id, item->id, child->parent_variant, item);
}

/* What follows the newest message of a page stands on the page after it. */
static enum err show_followed_over_the_end(struct db *db, struct arena *arena, int64_t leaf_id,
                                           int64_t before_id, struct message *newest) {
    if (before_id <= 0 || newest->swipe_count < 2 || !message_is_on_path(db, before_id, leaf_id))
        return E_OK;
    struct message child = {0};
    struct stmt *s = DB_SQL(db, "SELECT parent_id, parent_variant FROM message WHERE id = :id");
    bind_id(s, ":id", before_id);
    if (stmt_row(s)) {
        child.parent_id = column_id(s, 0);
        child.parent_variant = column_or(s, 1, -1);
    }
    enum err err = stmt_done(s);
    return err != E_OK ? err : show_followed(db, arena, &child, newest);
}

static enum err page_read(struct db *db, struct arena *arena, const struct page_ask *ask,
                          struct message **items, size_t *count) {
    *items = arena_alloc(arena, sizeof(struct message) * ask->limit); /* each is written whole */
    *count = 0;
    struct stretch stretch = {.upto_id = ask->leaf_id};
    do {
        enum err err = stretch_read(db, arena, ask, &stretch, *items, count);
        if (err != E_OK)
            return err;
        if (*count == ask->limit)
            break;
        if (stretch.branch_id == 0 &&
            !stretch_of_leaf(db, ask->conversation_id, ask->leaf_id, &stretch))
            return E_ABSENT;
    } while (stretch_before(db, &stretch));
    enum err err = E_OK;
    if (*count > 0)
        err = show_followed_over_the_end(db, arena, ask->leaf_id, ask->before_id, &(*items)[0]);
    for (size_t i = 1; i < *count && err == E_OK; i++)
        err = show_followed(db, arena, &(*items)[i - 1], &(*items)[i]);
    return err;
}

enum err message_page(struct db *db, struct arena *arena, int64_t conversation_id, int64_t leaf_id,
                      int64_t before_id, size_t limit, struct message **items, size_t *count) {
    struct page_ask ask = {conversation_id, leaf_id, before_id, limit, false};
    return page_read(db, arena, &ask, items, count);
}

enum err message_page_said(struct db *db, struct arena *arena, int64_t conversation_id,
                           int64_t leaf_id, int64_t before_id, size_t limit, struct message **items,
                           size_t *count) {
    struct page_ask ask = {conversation_id, leaf_id, before_id, limit, true};
    return page_read(db, arena, &ask, items, count);
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
    if (!stretch_of_leaf(db, 0, message_id, &here) || !stretch_of_leaf(db, 0, leaf_id, &at))
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
            .state = column_word(s, 1, arena),
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
        DB_SQL(db, "SELECT b.id, b.parent_id, b.fork_message_id, m.id, m.created_at, "
                   "       substr(v.content, 1, 120) "
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
            .id = column_id(s, 0),
            .parent_id = column_id(s, 1),
            .fork_message_id = column_id(s, 2),
            .leaf_id = column_id(s, 3),
            .created_at = column_time(s, 4),
            .last_line = column_str_dup(s, 5, arena),
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
