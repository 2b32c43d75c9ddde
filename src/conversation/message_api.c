/*
 * The routes of messages: read a page, say something, and everything that can be done to what was
 * said.
 */
#include "conversation/conversation_api.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "conversation/conversation_store.h"
#include "conversation/message_store.h"
#include "conversation/prompt.h"
#include "conversation/room.h"
#include "conversation/turn.h"
#include <stdlib.h>

#include "base/banned.h"

#define EVENT_LIMIT_BYTES ((size_t)4 << 20)

struct page_query {
    int64_t limit, branch, before;
    struct str cursor;
};

struct edit_body {
    struct str content;
    bool hidden;
    int64_t revision;
};

struct delete_query {
    bool from_here;
};

struct select_body {
    int64_t swipe;
};

struct variant_query {
    int64_t swipe;
};

/* clang-format off */
static const struct field page_query[] = {
    {"limit", FIELD_INT, AT(struct page_query, limit), .min = 1, .max = 100, .fallback = "20", .help = "Messages of a page."},
    {"branch", FIELD_ID, AT(struct page_query, branch), .help = "The path that goes through this message, instead of the shown one."},
    {"before", FIELD_ID, AT(struct page_query, before), .help = "Only messages older than this one."},
    {"cursor", FIELD_TEXT, AT(struct page_query, cursor), .max = 13, .help = "next_cursor of the page before."},
    {0}};
static const struct field edit_fields[] = {
    {"content", FIELD_TEXT, AT(struct edit_body, content), .min = 1, .max = TURN_CONTENT_CHARACTERS, .help = "The new text."},
    {"hidden", FIELD_BOOL, AT(struct edit_body, hidden), .help = "Shown to people, not to the model."},
    {"revision", FIELD_INT, AT(struct edit_body, revision), .min = 1, .max = 9007199254740991.0,
     .help = "The revision you read: if it has changed since, the edit is refused with 409 and your text is kept in the revisions."},
    {0}};
static const struct field delete_query[] = {
    {"from_here", FIELD_BOOL, AT(struct delete_query, from_here), .fallback = "false", .help = "Also everything after it on the shown path."},
    {0}};
static const struct field select_fields[] = {
    {"swipe", FIELD_INT, AT(struct select_body, swipe), .is_required = true, .max = 100000, .help = "Which variant to show, from 0."},
    {0}};
static const struct field variant_query[] = {
    {"swipe", FIELD_INT, AT(struct variant_query, swipe), .min = -1, .max = 100000, .fallback = "-1", .help = "Of which variant; -1: the shown one."},
    {0}};

static const struct field count_rows[] = {
    {"deleted", FIELD_INT, .help = "How many went to the trash."},
    {"restored", FIELD_INT, .help = "How many came back."},
    {0}};
static const struct shape count_shape = {"MessageCount", count_rows, "How many messages were concerned."};
static const struct field variant_rows[] = {
    {"swipe", FIELD_INT, .is_required = true, .help = "Its number."},
    {"state", FIELD_TEXT, .is_required = true, .help = "How it ended."},
    {"content", FIELD_TEXT, .is_required = true, .help = "Its text."},
    {"model", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "Which model spoke."},
    {"finish_reason", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "Why it ended."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "When it began."},
    {0}};
static const struct shape variant_shape = {"Variant", variant_rows, "One text of a message."};
static const char *const revision_kinds[] = {"before_edit", "before_continue", "refused", NULL};
static const struct field revision_rows[] = {
    {"swipe", FIELD_INT, .is_required = true, .help = "Of which variant."},
    {"revision", FIELD_INT, .is_required = true, .help = "The message's revision then."},
    {"kind", FIELD_CHOICE, .choices = revision_kinds, .is_required = true, .help = "A text that was replaced, or one that came too late."},
    {"content", FIELD_TEXT, .is_required = true, .help = "The text."},
    {"saved_by", FIELD_ID, .is_required = true, .help = "Who made the change."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "When."},
    {0}};
static const struct shape revision_shape = {"MessageRevision", revision_rows, "A text that a message had, or was refused."};
/* clang-format on */

/* The end of the shown path of the conversation of the path's first id, if the caller may be there. */
static enum err load_head(struct request *request, int64_t *head_id) {
    return conversation_head(store_reader(), request->ids[0], request->caller.user_id, head_id);
}

/* The message of the path's second id, in a conversation of the caller's. */
static enum err load_message(struct request *request, struct message *message) {
    int64_t head_id;
    enum err err = load_head(request, &head_id);
    return err != E_OK ? err
                       : message_load(store_reader(), request->arena, request->ids[0],
                                      request->ids[1], -1, message);
}

static enum err load_present(struct request *request, struct message *message) {
    enum err err = load_message(request, message);
    return err == E_OK && message->deleted_at != 0 ? E_ABSENT : err;
}

/* --- read ------------------------------------------------------------------------------------- */

/* The leaf of the path that was asked for: the shown one, or the one through `branch`. 0: there is
 * nothing yet, or no such message. */
static int64_t leaf_asked_for(struct request *request, int64_t head_id) {
    const struct page_query *query = request->query_fields;
    struct message message;
    struct db *db = store_reader();
    if (query->branch == 0)
        return head_id;
    if (message_load(db, request->arena, request->ids[0], query->branch, -1, &message) != E_OK)
        return 0;
    return message_deepest(db, message.id, message.swipe_index);
}

static void page(struct request *request) {
    const struct page_query *query = request->query_fields;
    int64_t head_id;
    enum err err = load_head(request, &head_id);
    if (err != E_OK)
        return reply_error(request, err);
    int64_t before = query->before;
    if (query->cursor.len > 0 && id_parse(query->cursor, &before) != E_OK)
        return reply_field_problem(request, "cursor", "This is not a cursor of this list.");
    int64_t leaf = leaf_asked_for(request, head_id);
    if (leaf == 0 && query->branch != 0)
        return reply_field_problem(request, "branch",
                                   "There is no such message in this conversation.");
    struct message *items = NULL;
    size_t count = 0, limit = (size_t)query->limit;
    if (leaf != 0)
        err = message_page(store_reader(), request->arena, request->ids[0], leaf, before, limit,
                           &items, &count);
    if (err != E_OK)
        return reply_error(request, err);
    /* Whoever has a parent has an older message; if all of those are in the trash the next page is empty. */
    bool has_more = count == limit && items[count - 1].parent_id != 0;
    struct json *json = reply_list_begin(request);
    for (size_t i = count; i-- > 0;)
        message_write(json, &items[i]);
    reply_list_end(request, has_more
                                ? str_dup(request->arena, str_from(id_text(items[count - 1].id).at))
                                : STR_NONE);
}

static void reply_message(struct request *request, int64_t message_id) {
    struct message message;
    enum err err =
        message_load(store_reader(), request->arena, request->ids[0], message_id, -1, &message);
    if (err != E_OK)
        return reply_error(request, err);
    if (str_eq(message.state, STR("streaming"))) /* its text grows without a revision */
        reply_etag(request, message.revision);
    else if (reply_if_read_unchanged(request, message.revision))
        return;
    message_write(reply_json(request), &message);
    reply_send(request, 200);
}

static void get(struct request *request) {
    struct message message;
    enum err err = load_message(request, &message);
    if (err != E_OK)
        return reply_error(request, err);
    reply_message(request, message.id);
}

static void variants(struct request *request) {
    struct message message;
    struct message_variant *items;
    size_t count;
    enum err err = load_message(request, &message);
    if (err == E_OK)
        err = message_variants(store_reader(), request->arena, message.id, &items, &count);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_list_begin(request);
    for (size_t i = count; i-- > 0;) {
        json_object_begin(json);
        JSON_INT(json, "swipe", items[i].place);
        JSON_STR(json, "state", items[i].state);
        JSON_STR(json, "content", items[i].content);
        JSON_STR(json, "model", items[i].model);
        JSON_STR(json, "finish_reason", items[i].finish_reason);
        JSON_TIME(json, "created_at", items[i].created_at);
        json_object_end(json);
    }
    reply_list_end(request, STR_NONE);
}

static void revisions(struct request *request) {
    struct message message;
    struct message_revision *items;
    size_t count;
    enum err err = load_message(request, &message);
    if (err == E_OK)
        err = message_revisions(store_reader(), request->arena, message.id, &items, &count);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_list_begin(request);
    for (size_t i = 0; i < count; i++) {
        json_object_begin(json);
        JSON_INT(json, "swipe", items[i].place);
        JSON_INT(json, "revision", items[i].revision);
        JSON_STR(json, "kind", items[i].kind);
        JSON_STR(json, "content", items[i].content);
        JSON_ID(json, "saved_by", items[i].saved_by);
        JSON_TIME(json, "created_at", items[i].created_at);
        json_object_end(json);
    }
    reply_list_end(request, STR_NONE);
}

static void prompt(struct request *request) {
    const struct variant_query *query = request->query_fields;
    struct message message;
    struct str record;
    enum err err = load_message(request, &message);
    if (err == E_OK)
        err = prompt_load(store_reader(), request->arena, message.id,
                          query->swipe < 0 ? message.swipe_index : query->swipe, &record);
    if (err == E_ABSENT)
        return reply_problem(
            request, 404,
            "There is no recorded prompt for this message: only replies that a model or the Understudy gave have one.");
    if (err != E_OK)
        return reply_error(request, err);
    json_write_raw(reply_json(request), record);
    reply_send(request, 200);
}

/* --- change ----------------------------------------------------------------------------------- */

struct change {
    struct request *request;
    int64_t conversation_id, message_id, user_id;
    int64_t expected_revision; /* -1: any */
    bool has_content, has_hidden, hidden, from_here;
    struct str content;
    int64_t place;
    bool is_refused;      /* out: the text came too late, and was kept */
    bool is_path_changed; /* out */
    int64_t count;        /* out */
};

static struct change *change_new(struct request *request) {
    struct change *change = ARENA_NEW(request->arena, struct change);
    change->request = request;
    change->conversation_id = request->ids[0];
    change->message_id = request->ids[1];
    change->user_id = request->caller.user_id;
    change->expected_revision = -1;
    return change;
}

/* Tells listeners that a message is not what it was. The message is read again: this runs after the
 * commit. */
static void publish_updated(const struct change *change) {
    struct arena arena;
    struct buf buf;
    struct json json;
    struct message message;
    arena_init(&arena);
    buf_init(&buf, EVENT_LIMIT_BYTES);
    json_init(&json, &buf);
    if (message_load(store_reader(), &arena, change->conversation_id, change->message_id, -1,
                     &message) == E_OK) {
        json_object_begin(&json);
        JSON_ID(&json, "conversation_id", change->conversation_id);
        JSON_BOOL(&json, "path_changed", change->is_path_changed);
        json_key(&json, STR("message"));
        message_write(&json, &message);
        json_object_end(&json);
        room_publish(change->conversation_id, "message:updated", buf_str(&buf));
    }
    buf_release(&buf);
    arena_release(&arena);
}

static enum err writer_edit(struct tx *tx, void *ctx) {
    struct change *c = ctx;
    struct arena arena;
    struct message current;
    int64_t now = clock_now_ms();
    arena_init(&arena);
    enum err err = message_load(tx_db(tx), &arena, c->conversation_id, c->message_id, -1, &current);
    c->is_refused =
        err == E_OK && c->expected_revision >= 0 && c->expected_revision != current.revision;
    if (err == E_OK && c->is_refused) {
        if (c->has_content)
            err = message_refuse_edit(tx, &current, c->content, c->user_id, now);
    } else if (err == E_OK) {
        if (c->has_content)
            err = message_edit(tx, &current, c->content, c->user_id, now);
        if (err == E_OK && c->has_hidden)
            err = message_hide(tx, c->conversation_id, c->message_id, c->hidden, now);
    }
    arena_release(&arena);
    return err;
}

static void on_edited(enum err err, void *ctx) {
    struct change *c = ctx;
    if (err == E_CONFLICT)
        return reply_problem(c->request, 409,
                             "The reply is still being spoken. Stop it, or wait for its end.");
    if (err != E_OK)
        return reply_error(c->request, err);
    if (c->is_refused)
        return reply_problem(
            c->request, request_expected_revision(c->request) < 0 ? 409 : 412,
            "The message has changed since you read it. Your text was kept: it is among the revisions of the message.");
    publish_updated(c);
    reply_message(c->request, c->message_id);
}

static void edit(struct request *request) {
    const struct edit_body *body = request->body;
    struct message message;
    enum err err = load_present(request, &message);
    if (err != E_OK)
        return reply_error(request, err);
    struct change *c = change_new(request);
    c->has_content = request_has(request, struct edit_body, content);
    c->has_hidden = request_has(request, struct edit_body, hidden);
    c->content = body->content;
    c->hidden = body->hidden;
    c->expected_revision = request_has(request, struct edit_body, revision)
                               ? body->revision
                               : request_expected_revision(request);
    if (!c->has_content && !c->has_hidden)
        return reply_field_problem(request, "content", "Say what is to change: content or hidden.");
    store_write(writer_edit, on_edited, c);
}

static void reply_count(struct change *c, const char *name) {
    struct json *json = reply_json(c->request);
    json_object_begin(json);
    json_key(json, str_from(name));
    json_write_int(json, c->count);
    json_object_end(json);
    reply_send(c->request, 200);
}

static void publish_deleted(const struct change *c) {
    struct buf buf;
    struct json json;
    buf_init(&buf, EVENT_LIMIT_BYTES);
    json_init(&json, &buf);
    json_object_begin(&json);
    JSON_ID(&json, "conversation_id", c->conversation_id);
    JSON_ID(&json, "message_id", c->message_id);
    JSON_BOOL(&json, "from_here", c->from_here);
    json_object_end(&json);
    room_publish(c->conversation_id, "message:deleted", buf_str(&buf));
    buf_release(&buf);
}

static enum err writer_trash(struct tx *tx, void *ctx) {
    struct change *c = ctx;
    return message_trash(tx, c->conversation_id, c->message_id, c->from_here, clock_now_ms(),
                         &c->count);
}

static void on_trashed(enum err err, void *ctx) {
    struct change *c = ctx;
    if (err != E_OK)
        return reply_error(c->request, err);
    publish_deleted(c);
    reply_count(c, "deleted");
}

static void delete (struct request *request) {
    const struct delete_query *query = request->query_fields;
    struct message message;
    enum err err = load_present(request, &message);
    if (err != E_OK)
        return reply_error(request, err);
    if (!request_may_change(request, message.revision))
        return;
    struct change *c = change_new(request);
    c->from_here = query->from_here;
    if (str_eq(message.state, STR("streaming")) ||
        (c->from_here && turn_is_running(c->conversation_id)))
        turn_stop(c->conversation_id);
    store_write(writer_trash, on_trashed, c);
}

static enum err writer_restore(struct tx *tx, void *ctx) {
    struct change *c = ctx;
    return message_restore(tx, c->conversation_id, c->message_id, clock_now_ms(), &c->count);
}

static void on_restored(enum err err, void *ctx) {
    struct change *c = ctx;
    if (err != E_OK)
        return reply_error(c->request, err);
    c->is_path_changed = true;
    publish_updated(c);
    reply_count(c, "restored");
}

static void restore(struct request *request) {
    struct message message;
    enum err err = load_message(request, &message);
    if (err == E_OK && message.deleted_at == 0)
        err = E_CONFLICT;
    if (err == E_CONFLICT)
        return reply_problem(request, 409, "This message is not in the trash.");
    if (err != E_OK)
        return reply_error(request, err);
    store_write(writer_restore, on_restored, change_new(request));
}

static void on_path_changed(enum err err, void *ctx) {
    struct change *c = ctx;
    if (err != E_OK)
        return reply_error(c->request, err);
    c->is_path_changed = true;
    publish_updated(c);
    reply_message(c->request, c->message_id);
}

static enum err writer_choose(struct tx *tx, void *ctx) {
    struct change *c = ctx;
    return message_choose(tx, c->conversation_id, c->message_id, c->place, clock_now_ms());
}

/* A path may not change under a reply that is being spoken at its end. */
static bool is_quiet(struct request *request) {
    if (!turn_is_running(request->ids[0]))
        return true;
    reply_problem(request, 409, "A reply is under way here. Stop it, or wait for its end.");
    return false;
}

static void choose(struct request *request) {
    const struct select_body *body = request->body;
    struct message message;
    enum err err = load_present(request, &message);
    if (err != E_OK)
        return reply_error(request, err);
    if (body->swipe >= message.swipe_count)
        return reply_field_problem(request, "swipe",
                                   "This message has %lld variants, counted from 0.",
                                   (long long)message.swipe_count);
    if (!is_quiet(request))
        return;
    struct change *c = change_new(request);
    c->place = body->swipe;
    store_write(writer_choose, on_path_changed, c);
}

static enum err writer_show(struct tx *tx, void *ctx) {
    struct change *c = ctx;
    int64_t leaf =
        message_deepest(tx_db(tx), c->message_id, message_chosen(tx_db(tx), c->message_id));
    return conversation_show_path(tx, c->conversation_id, leaf, clock_now_ms());
}

static void show(struct request *request) {
    struct message message;
    enum err err = load_present(request, &message);
    if (err != E_OK)
        return reply_error(request, err);
    if (is_quiet(request))
        store_write(writer_show, on_path_changed, change_new(request));
}

/* clang-format off */
#define MESSAGES "/api/v1/conversations/{id}/messages"
#define MESSAGE MESSAGES "/{message_id}"
const struct route message_routes[] = {
    {METHOD_GET, MESSAGES, page, WHO_MEMBER, SCOPE_READ, .query = page_query, .query_size = sizeof(struct page_query), .tag = "messages",
     .operation = "listMessages", .summary = "A page of the shown path, oldest first; next_cursor leads to older ones.", .answer = &message_shape, .answer_is_list = true},
    {METHOD_GET, MESSAGE, get, WHO_MEMBER, SCOPE_READ, .tag = "messages", .operation = "getMessage", .summary = "One message.", .answer = &message_shape},
    {METHOD_PATCH, MESSAGE, edit, WHO_MEMBER, SCOPE_CHAT, .body = edit_fields, .body_size = sizeof(struct edit_body), .tag = "messages",
     .operation = "editMessage", .summary = "Changes the text of the shown variant, or hides the message from the model; the text before is kept.", .answer = &message_shape},
    {METHOD_DELETE, MESSAGE, delete, WHO_MEMBER, SCOPE_CHAT, .query = delete_query, .query_size = sizeof(struct delete_query), .tag = "messages",
     .operation = "deleteMessage", .summary = "To the trash: this message, or all from here on.", .answer = &count_shape},
    {METHOD_POST, MESSAGE "/restore", restore, WHO_MEMBER, SCOPE_CHAT, .tag = "messages", .operation = "restoreMessage",
     .summary = "Brings back what was deleted together with this message.", .answer = &count_shape},
    {METHOD_POST, MESSAGE "/select", choose, WHO_MEMBER, SCOPE_CHAT, .body = select_fields, .body_size = sizeof(struct select_body), .tag = "messages",
     .operation = "selectVariant", .summary = "Shows another variant, and what followed it.", .answer = &message_shape},
    {METHOD_POST, MESSAGE "/activate", show, WHO_MEMBER, SCOPE_CHAT, .tag = "messages", .operation = "showBranch",
     .summary = "Shows the branch on which this message stands.", .answer = &message_shape},
    {METHOD_GET, MESSAGE "/variants", variants, WHO_MEMBER, SCOPE_READ, .tag = "messages", .operation = "listVariants",
     .summary = "All texts of a message.", .answer = &variant_shape, .answer_is_list = true},
    {METHOD_GET, MESSAGE "/revisions", revisions, WHO_MEMBER, SCOPE_READ, .tag = "messages", .operation = "listMessageRevisions",
     .summary = "What the message was before its edits, and texts that came too late.", .answer = &revision_shape, .answer_is_list = true},
    {METHOD_GET, MESSAGE "/prompt", prompt, WHO_MEMBER, SCOPE_READ, .query = variant_query, .query_size = sizeof(struct variant_query), .tag = "messages",
     .operation = "getPrompt", .summary = "The exact prompt of a reply, in its parts.", .answer = &prompt_shape},
    {0}};
/* clang-format on */
