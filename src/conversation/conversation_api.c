/*
 * The routes of conversations: begin, list, change, throw away and bring back, branch off. What
 * concerns single messages is in message_api.c.
 *
 * Every handler that changes something does it in a function on the writer thread and answers in
 * the completion. The state of such a change is a struct in the request's arena, which stays until
 * the answer.
 */
#include "conversation/conversation_api.h"

#include "account/account.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "character/character.h"
#include "conversation/conversation_store.h"
#include "conversation/message_store.h"
#include "conversation/prompt.h"
#include "conversation/room.h"
#include "conversation/turn.h"

#include <stdlib.h>

#include "base/banned.h"

#define GREETINGS_LIMIT 64

struct list_query {
    int64_t limit;
    struct str cursor;
    bool archived;
};

struct create_body {
    struct field_ids character_ids;
    struct str title;
    int64_t persona_id;
    int64_t greeting_index;
};

struct patch_body {
    struct str title;
    int64_t persona_id;
    bool pinned, archived;
    const struct json_value *settings;
};

struct branch_body {
    int64_t message_id;
};

/* clang-format off */
static const struct field list_query[] = {
    {"limit", FIELD_INT, AT(struct list_query, limit), .min = 1, .max = 100, .fallback = "20", .help = "Items of a page."},
    {"cursor", FIELD_TEXT, AT(struct list_query, cursor), .max = 80, .help = "Where the page before ended."},
    {"archived", FIELD_BOOL, AT(struct list_query, archived), .fallback = "false", .help = "The archived ones instead."},
    {0}};
static const struct field create_fields[] = {
    {"character_ids", FIELD_IDS, AT(struct create_body, character_ids), .is_required = true, .min = 1, .max = 1,
     .help = "With whom: one character."},
    {"title", FIELD_TEXT, AT(struct create_body, title), .max = 200, .help = "Its name; otherwise the character's."},
    {"persona_id", FIELD_ID, AT(struct create_body, persona_id), .may_be_null = true, .help = "Who the person is here."},
    {"greeting_index", FIELD_INT, AT(struct create_body, greeting_index), .max = GREETINGS_LIMIT, .fallback = "0",
     .help = "Which greeting opens the talk: 0 is first_mes, then the alternate ones."},
    {0}};
static const struct field patch_fields[] = {
    {"title", FIELD_TEXT, AT(struct patch_body, title), .max = 200, .help = "Its name."},
    {"persona_id", FIELD_ID, AT(struct patch_body, persona_id), .may_be_null = true, .help = "Who the person is here; null: their default."},
    {"pinned", FIELD_BOOL, AT(struct patch_body, pinned), .help = "Stands first in lists."},
    {"archived", FIELD_BOOL, AT(struct patch_body, archived), .help = "Out of the way."},
    {"settings", FIELD_JSON, AT(struct patch_body, settings), .shape = &conversation_settings_shape, .max = 200000,
     .help = "The members to change; the others stay."},
    {0}};
static const struct field branch_fields[] = {
    {"message_id", FIELD_ID, AT(struct branch_body, message_id), .is_required = true, .help = "The last message that the new conversation shares."},
    {0}};
static const struct field stopped_rows[] = {
    {"stopped", FIELD_INT, .is_required = true, .help = "How many replies were stopped."},
    {0}};
static const struct shape stopped_shape = {"Stopped", stopped_rows, "What was stopped."};
static const struct field tip_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "Its id."},
    {"parent_id", FIELD_ID, .may_be_null = true, .is_required = true, .help = "The branch that it leaves; null for the first."},
    {"leaf_id", FIELD_ID, .is_required = true, .help = "The last message of this branch."},
    {"fork_message_id", FIELD_ID, .may_be_null = true, .is_required = true, .help = "Where it leaves another branch; null for the first."},
    {"last_line", FIELD_TEXT, .is_required = true, .help = "The beginning of its last message."},
    {"is_shown", FIELD_BOOL, .is_required = true, .help = "It is the path that is shown now."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "When its last message was written."},
    {0}};
static const struct shape tip_shape = {"Branch", tip_rows, "One branch of the tree of messages."};
/* clang-format on */

static enum err load(struct request *request, struct conversation *conversation) {
    return conversation_load(store_reader(), request->arena, request->ids[0],
                             request->caller.user_id, conversation);
}

/* Writes one conversation as it is on disk now. E_ABSENT when it is gone. */
static void reply_conversation(struct request *request, int64_t id, int status) {
    struct conversation conversation;
    struct participant *participants;
    size_t count;
    struct db *db = store_reader();
    enum err err =
        conversation_load(db, request->arena, id, request->caller.user_id, &conversation);
    if (err == E_OK)
        err = conversation_participants(db, request->arena, id, &participants, &count);
    if (err != E_OK)
        return reply_error(request, err);
    if (reply_if_read_unchanged(request, conversation.revision))
        return;
    conversation_write(reply_json(request), &conversation, participants, count);
    reply_send(request, status);
}

/* --- list ------------------------------------------------------------------------------------- */

/* "1.1790000000000.0ABCDEFGHJKMN": pinned, last_message_at, id. */
static enum err read_cursor(struct str cursor, struct conversation_place *place) {
    struct str pinned, at;
    int64_t is_pinned;
    if (cursor.len == 0)
        return E_OK;
    if (!str_next(&cursor, '.', &pinned) || !str_next(&cursor, '.', &at) ||
        str_to_int(pinned, &is_pinned) != E_OK || str_to_int(at, &place->last_message_at) != E_OK ||
        id_parse(cursor, &place->id) != E_OK)
        return E_INPUT;
    place->is_set = true;
    place->pinned = is_pinned != 0;
    return E_OK;
}

static struct str write_cursor(struct arena *arena, const struct conversation *last) {
    return str_printf(arena, "%d.%lld.%s", last->pinned, (long long)last->last_message_at,
                      id_text(last->id).at);
}

static void list(struct request *request) {
    const struct list_query *query = request->query_fields;
    struct conversation_place place = {0};
    if (read_cursor(query->cursor, &place) != E_OK)
        return reply_field_problem(request, "cursor", "This is not a cursor of this list.");
    struct conversation *items;
    size_t count, limit = (size_t)query->limit;
    struct db *db = store_reader();
    enum err err = conversation_list(db, request->arena, request->caller.user_id, query->archived,
                                     &place, limit + 1, &items, &count);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_list_begin(request);
    for (size_t i = 0; i < count && i < limit; i++) {
        struct participant *participants = NULL;
        size_t participant_count = 0;
        if (conversation_participants(db, request->arena, items[i].id, &participants,
                                      &participant_count) != E_OK)
            participant_count = 0;
        conversation_write(json, &items[i], participants, participant_count);
    }
    reply_list_end(request,
                   count > limit ? write_cursor(request->arena, &items[limit - 1]) : STR_NONE);
}

/* --- create ----------------------------------------------------------------------------------- */

struct creation {
    struct request *request;
    struct conversation conversation;
    struct participant participant;
    struct message greeting;    /* id 0: the character greets nobody */
    struct str *more_greetings; /* the swipes beside the first */
    size_t more_count;
    int64_t trunk_id;
};

static enum err writer_create(struct tx *tx, void *ctx) {
    struct creation *c = ctx;
    enum err err = conversation_insert(tx, &c->conversation, &c->participant, 1, c->trunk_id);
    if (err != E_OK || c->greeting.id == 0)
        return err;
    struct arena arena;
    arena_init(&arena);
    int64_t chosen = c->greeting.swipe_index;
    c->greeting.swipe_index = 0;
    struct str shown = chosen == 0 ? c->greeting.content : c->more_greetings[chosen - 1];
    err =
        message_append(tx, &(struct message *){&c->greeting}, 1, conversation_line(&arena, shown));
    if (err == E_OK && c->more_count > 0)
        err = message_add_greetings(tx, c->greeting.id, c->more_greetings, c->more_count, chosen,
                                    c->greeting.created_at);
    arena_release(&arena);
    return err;
}

static void on_created(enum err err, void *ctx) {
    struct creation *c = ctx;
    if (err != E_OK)
        return reply_error(c->request, err);
    reply_header(
        c->request, "Location",
        str_printf(c->request->arena, "/api/v1/conversations/%s", id_text(c->conversation.id).at));
    reply_conversation(c->request, c->conversation.id, 201);
}

/* The greetings become the variants of the first message, the chosen one is shown. */
static enum err make_greetings(struct creation *c, const struct character *character,
                               const struct persona *persona, int64_t chosen) {
    struct arena *arena = c->request->arena;
    int64_t count = character_greeting_count(arena, character);
    if (count > GREETINGS_LIMIT)
        count = GREETINGS_LIMIT;
    if (count == 0)
        return chosen == 0 ? E_OK : E_INPUT;
    if (chosen >= count)
        return E_INPUT;
    c->more_greetings = ARENA_ARRAY(arena, struct str, count);
    const struct prompt_input input = {
        .character = character,
        .user_name = persona->name,
        .persona = persona->description,
        .conversation_id = c->conversation.id,
        .utc_offset_ms =
            account_utc_offset_ms(store_reader(), c->conversation.owner_id, clock_now_ms()),
    };
    for (int64_t i = 0; i < count; i++) {
        struct str text;
        enum err err = character_greeting(arena, character, i, &text);
        if (err != E_OK)
            return err;
        text = prompt_greeting(arena, &input, text);
        if (i == 0)
            c->greeting.content = text;
        else
            c->more_greetings[c->more_count++] = text;
    }
    c->greeting.id = id_new();
    c->greeting.swipe_index = chosen;
    return E_OK;
}

static void fill_creation(struct creation *c, const struct create_body *body,
                          const struct character *character, int64_t now) {
    c->conversation = (struct conversation){
        .id = id_new(),
        .owner_id = c->request->caller.user_id,
        .title = body->title.len > 0 ? body->title : character->name,
        .persona_id = body->persona_id,
        .mode = STR("single"),
        .settings = STR("{}"),
        .created_at = now,
    };
    c->participant = (struct participant){.character_id = character->id, .name = character->name};
    c->trunk_id = id_new();
    c->greeting = (struct message){
        .conversation_id = c->conversation.id,
        .role = STR("assistant"),
        .author_kind = STR("character"),
        .author_id = character->id,
        .author_name = character->name,
        .swipe_count = 1,
        .state = STR("complete"),
        .created_at = now,
        .updated_at = now,
    };
}

static void create(struct request *request) {
    const struct create_body *body = request->body;
    struct db *db = store_reader();
    struct character character;
    struct persona persona;
    if (body->persona_id != 0 &&
        !account_owns_persona(db, request->caller.user_id, body->persona_id))
        return reply_field_problem(request, "persona_id", "There is no such persona of yours.");
    if (character_load(db, request->arena, body->character_ids.items[0], request->caller.user_id,
                       &character) != E_OK)
        return reply_problem(request, 404,
                             "There is no such character, or it is not yours to see.");
    if (!character_is_open_to(db, &character, request->caller.user_id))
        return reply_problem(request, 403,
                             "This character is for adults: declare your age in your profile.");
    enum err err =
        account_persona(db, request->arena, request->caller.user_id, body->persona_id, &persona);
    if (err != E_OK)
        return reply_error(request, err);
    struct creation *c = ARENA_NEW(request->arena, struct creation);
    c->request = request;
    fill_creation(c, body, &character, clock_now_ms());
    err = make_greetings(c, &character, &persona, body->greeting_index);
    if (err == E_INPUT)
        return reply_field_problem(request, "greeting_index",
                                   "This character has no greeting of that number.");
    if (err != E_OK)
        return reply_error(request, err);
    store_write(writer_create, on_created, c);
}

/* --- one -------------------------------------------------------------------------------------- */

static enum err writer_seen(struct tx *tx, void *ctx) {
    return conversation_seen(tx, *(int64_t *)ctx);
}

static void free_id(enum err err, void *ctx) {
    (void)err; /* a mark that was not removed is removed by the next look */
    free(ctx);
}

/* A key that may only read changes nothing, and no program that asks for the head has looked. */
static bool is_looked_at(const struct request *request) {
    return request->method == METHOD_GET && (request->caller.scopes & SCOPE_CHAT);
}

static void get(struct request *request) {
    struct conversation conversation;
    if (is_looked_at(request) && load(request, &conversation) == E_OK && conversation.unread > 0) {
        int64_t *id = malloc(sizeof *id);
        BUG_IF(id == NULL);
        *id = conversation.id;
        store_write(writer_seen, free_id, id);
    }
    reply_conversation(request, request->ids[0], 200);
}

struct change {
    struct request *request;
    struct conversation_change change;
    int64_t id;
    int64_t message_id;
    int64_t new_id, trunk_id;
    struct conversation_settings settings; /* what was said of them, where change.has_settings */
    struct conversation conversation;
    struct participant *participants;
    size_t participant_count;
};

static struct change *change_new(struct request *request) {
    struct change *change = ARENA_NEW(request->arena, struct change);
    change->request = request;
    change->id = request->ids[0];
    return change;
}

/* Settings are laid over the stored ones here, so that of two changes at one moment none is lost. */
static enum err writer_update(struct tx *tx, void *ctx) {
    struct change *c = ctx;
    struct arena *arena = c->request->arena;
    struct conversation old;
    enum err err = E_OK;
    if (c->change.has_settings) {
        err = conversation_load(tx_db(tx), arena, c->id, c->request->caller.user_id, &old);
        if (err == E_OK)
            c->change.settings = conversation_settings_merge(arena, old.settings, &c->settings);
    }
    return err == E_OK ? conversation_update(tx, &c->change, clock_now_ms()) : err;
}

static void on_updated(enum err err, void *ctx) {
    struct change *c = ctx;
    if (err == E_CONFLICT)
        return reply_problem(
            c->request, 412,
            "The conversation has changed since you read it. Read it again and repeat the change.");
    if (err != E_OK)
        return reply_error(c->request, err);
    reply_conversation(c->request, c->id, 200);
}

/* Reads the settings that were sent. False: the 422 has been sent. */
static bool take_settings(struct request *request, struct change *c) {
    const struct patch_body *body = request->body;
    struct field_problems problems = {0};
    if (!request_has(request, struct patch_body, settings))
        return true;
    if (json_type(body->settings) != JSON_OBJECT) {
        reply_field_problem(request, "settings", "This must be an object.");
        return false;
    }
    if (field_read(request->arena, conversation_settings_rows, body->settings, &c->settings,
                   &c->settings.has, &problems) != E_OK) {
        reply_field_problem(request,
                            str_printf(request->arena, "settings.%s", problems.items[0].field).at,
                            "%s", problems.items[0].message);
        return false;
    }
    c->change.has_settings = true;
    return true;
}

static void patch(struct request *request) {
    const struct patch_body *body = request->body;
    struct conversation old;
    enum err err = load(request, &old);
    if (err != E_OK)
        return reply_error(request, err);
    if (!request_may_change(request, old.revision))
        return;
    if (body->persona_id != 0 &&
        !account_owns_persona(store_reader(), request->caller.user_id, body->persona_id))
        return reply_field_problem(request, "persona_id", "There is no such persona of yours.");
    struct change *c = change_new(request);
    c->change = (struct conversation_change){
        .id = c->id,
        .expected_revision = request_expected_revision(request) < 0 ? -1 : old.revision,
        .has_title = request_has(request, struct patch_body, title),
        .title = body->title,
        .has_persona = request_has(request, struct patch_body, persona_id),
        .persona_id = body->persona_id,
        .has_pinned = request_has(request, struct patch_body, pinned),
        .pinned = body->pinned,
        .has_archived = request_has(request, struct patch_body, archived),
        .archived = body->archived,
    };
    if (!take_settings(request, c))
        return;
    store_write(writer_update, on_updated, c);
}

static enum err writer_trash(struct tx *tx, void *ctx) {
    return conversation_trash(tx, ((struct change *)ctx)->id, clock_now_ms());
}

static void on_trashed(enum err err, void *ctx) {
    struct change *c = ctx;
    if (err != E_OK)
        return reply_error(c->request, err);
    turn_stop(c->id);
    room_close(c->id);
    reply_empty(c->request, 204);
}

static void delete (struct request *request) {
    struct conversation conversation;
    enum err err = load(request, &conversation);
    if (err != E_OK)
        return reply_error(request, err);
    if (!request_may_change(request, conversation.revision))
        return;
    store_write(writer_trash, on_trashed, change_new(request));
}

static enum err writer_restore(struct tx *tx, void *ctx) {
    return conversation_restore(tx, ((struct change *)ctx)->id, clock_now_ms());
}

static void on_changed(enum err err, void *ctx) {
    struct change *c = ctx;
    if (err != E_OK)
        return reply_error(c->request, err);
    reply_conversation(c->request, c->id, 200);
}

static void restore(struct request *request) {
    struct conversation conversation;
    enum err err = conversation_load_trashed(store_reader(), request->arena, request->ids[0],
                                             request->caller.user_id, &conversation);
    if (err != E_OK)
        return reply_error(request, err);
    store_write(writer_restore, on_changed, change_new(request));
}

/* --- branch off, branches, stop --------------------------------------------------------------- */

static enum err writer_branch(struct tx *tx, void *ctx) {
    struct change *c = ctx;
    enum err err = conversation_insert(tx, &c->conversation, c->participants, c->participant_count,
                                       c->trunk_id);
    return err != E_OK ? err
                       : conversation_copy_path(tx, c->id, c->message_id, c->conversation.id,
                                                c->trunk_id, c->conversation.created_at);
}

static void on_branched(enum err err, void *ctx) {
    struct change *c = ctx;
    if (err != E_OK)
        return reply_error(c->request, err);
    reply_conversation(c->request, c->conversation.id, 201);
}

static void branch(struct request *request) {
    const struct branch_body *body = request->body;
    struct db *db = store_reader();
    struct change *c = change_new(request);
    struct message message;
    enum err err = load(request, &c->conversation);
    if (err == E_OK)
        err = message_load(db, request->arena, c->id, body->message_id, -1, &message);
    if (err == E_OK && message.deleted_at != 0)
        err = E_ABSENT;
    if (err == E_OK)
        err = conversation_participants(db, request->arena, c->id, &c->participants,
                                        &c->participant_count);
    if (err != E_OK)
        return reply_error(request, err);
    c->message_id = body->message_id;
    c->trunk_id = id_new();
    c->conversation.from_conversation_id = c->id;
    c->conversation.from_message_id = body->message_id;
    c->conversation.id = id_new();
    c->conversation.created_at = clock_now_ms();
    store_write(writer_branch, on_branched, c);
}

static void branches(struct request *request) {
    struct conversation conversation;
    struct branch_tip *tips;
    size_t count;
    enum err err = load(request, &conversation);
    if (err == E_OK)
        err = conversation_branches(store_reader(), request->arena, conversation.id, &tips, &count);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_list_begin(request);
    for (size_t i = 0; i < count; i++) {
        json_object_begin(json);
        JSON_ID(json, "id", tips[i].id);
        JSON_ID(json, "parent_id", tips[i].parent_id);
        JSON_ID(json, "leaf_id", tips[i].leaf_id);
        JSON_ID(json, "fork_message_id", tips[i].fork_message_id);
        JSON_STR(json, "last_line", conversation_line(request->arena, tips[i].last_line));
        JSON_BOOL(json, "is_shown", tips[i].leaf_id == conversation.head_id);
        JSON_TIME(json, "created_at", tips[i].created_at);
        json_object_end(json);
    }
    reply_list_end(request, STR_NONE);
}

static void stop(struct request *request) {
    struct conversation conversation;
    enum err err = load(request, &conversation);
    if (err != E_OK)
        return reply_error(request, err);
    int stopped = turn_stop(conversation.id);
    struct json *json = reply_json(request);
    json_object_begin(json);
    JSON_INT(json, "stopped", stopped);
    json_object_end(json);
    reply_send(request, 202);
}

/* clang-format off */
#define CONVERSATION "/api/v1/conversations/{id}"
const struct route conversation_routes[] = {
    {METHOD_GET, "/api/v1/conversations", list, WHO_MEMBER, SCOPE_READ, .query = list_query, .query_size = sizeof(struct list_query),
     .tag = "conversations", .operation = "listConversations", .summary = "Your conversations, pinned first, then newest.",
     .answer = &conversation_shape, .answer_is_list = true},
    {METHOD_POST, "/api/v1/conversations", create, WHO_MEMBER, SCOPE_CHAT, .body = create_fields, .body_size = sizeof(struct create_body),
     .tag = "conversations", .operation = "createConversation", .summary = "Begins a talk with a character; its greeting is the first message.",
     .status = 201, .answer = &conversation_shape},
    {METHOD_GET, CONVERSATION, get, WHO_MEMBER, SCOPE_READ, .tag = "conversations", .operation = "getConversation",
     .summary = "One conversation; looking at it takes the unread mark away, unless by an API key without the scope chat.", .answer = &conversation_shape},
    {METHOD_PATCH, CONVERSATION, patch, WHO_MEMBER, SCOPE_CHAT, .body = patch_fields, .body_size = sizeof(struct patch_body),
     .tag = "conversations", .operation = "updateConversation", .summary = "Changes title, persona, pin, archive or settings.", .answer = &conversation_shape},
    {METHOD_DELETE, CONVERSATION, delete, WHO_MEMBER, SCOPE_CHAT, .tag = "conversations", .operation = "deleteConversation",
     .summary = "To the trash, for 30 days.", .status = 204},
    {METHOD_POST, CONVERSATION "/restore", restore, WHO_MEMBER, SCOPE_CHAT, .tag = "conversations", .operation = "restoreConversation",
     .summary = "Back from the trash.", .answer = &conversation_shape},
    {METHOD_POST, CONVERSATION "/branch", branch, WHO_MEMBER, SCOPE_CHAT, .body = branch_fields, .body_size = sizeof(struct branch_body),
     .tag = "conversations", .operation = "branchConversation", .summary = "A new conversation that shares everything up to a message.",
     .status = 201, .answer = &conversation_shape},
    {METHOD_GET, CONVERSATION "/branches", branches, WHO_MEMBER, SCOPE_READ, .tag = "conversations", .operation = "listBranches",
     .summary = "The branches of the tree of messages.", .answer = &tip_shape, .answer_is_list = true},
    {METHOD_POST, CONVERSATION "/stop", stop, WHO_MEMBER, SCOPE_CHAT, .tag = "conversations", .operation = "stopReply",
     .summary = "Stops the reply that is under way; what was said is kept.", .status = 202, .answer = &stopped_shape},
    {0}};
/* clang-format on */
