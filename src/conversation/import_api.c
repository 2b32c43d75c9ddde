/*
 * POST /conversations/import: a whole talk with its times, thousands of messages in one call.
 *
 *   read    in the pool: the body against its rows, and the form of every turn
 *   write   slices of a hundred messages, so that others who write wait some milliseconds and
 *           not seconds. Until the last slice the conversation lies in the trash: nobody sees half
 *           of it
 *   show    one write brings it out of the trash, makes the character that there was not, and sets
 *           head, last line and persona
 *
 * The words of a message are written with it, so that it is found as soon as it is seen; its vectors
 * follow in the background.
 *
 * Whoever breaks off the call before it is answered cancels it: they would not learn what became of
 * their messages. Then, and when a slice fails, what was written is deleted at once, slice by slice,
 * before the call counts as over; what a crash leaves goes with the next sweep of the trash. Only
 * who breaks off while the last write is under way may find the talk there. A proxy whose patience
 * ends cancels as well: a hundred thousand messages take some ten seconds.
 *
 * Ids are new and grow in the order of the array, which is the order of the talk; moments are those
 * of the sender, and may lie years back.
 */
#include "conversation/import_api.h"

#include "account/account.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "character/character.h"
#include "conversation/conversation_store.h"
#include "conversation/live.h"
#include "conversation/message_store.h"
#include "conversation/turn.h"
#include "loop/pool.h"
#include "memory/turn.h"

#include <string.h>

#include "base/banned.h"

#define BODY_LIMIT_BYTES  ((size_t)64 << 20)
#define MESSAGES_LIMIT    100000 /* of one talk: ten years of thirty a day */
#define SWIPES_LIMIT      100
#define SLICE_MESSAGES    100
#define SLICE_BYTES       ((size_t)1 << 20)
#define EXTRA_LIMIT_BYTES (64 << 10)
#define TELL_EVERY_US     250000
/* More than one message can take of the arena. */
#define ROOM_OF_ONE     ((size_t)EXTRA_LIMIT_BYTES * 4)
#define NAME_CHARACTERS 200

struct said_row {
    struct str id, role, name, content;
    int64_t created_at;
    struct field_texts swipes;
    const struct json_value *extra;
};

struct import_body {
    struct str format, title, character_name, persona_name;
    int64_t character_id;
    struct field_objects messages;
};

/* clang-format off */
static const char *const formats[] = {"troupe", NULL};
static const char *const roles[] = {"user", "assistant", NULL};
static const struct field said_rows[] = {
    {"id", FIELD_TEXT, AT(struct said_row, id), .max = 200, .help = "Your own key for it; comes back as external_id."},
    {"role", FIELD_CHOICE, AT(struct said_row, role), .choices = roles, .is_required = true, .help = "Whose part it is."},
    {"name", FIELD_TEXT, AT(struct said_row, name), .max = NAME_CHARACTERS, .help = "Under which name it was said; otherwise the persona's or the character's."},
    {"content", FIELD_TEXT, AT(struct said_row, content), .is_required = true, .max = TURN_CONTENT_CHARACTERS, .help = "What was said."},
    {"created_at", FIELD_TIME, AT(struct said_row, created_at), .is_required = true, .help = "When."},
    {"swipes", FIELD_TEXTS, AT(struct said_row, swipes), .max = SWIPES_LIMIT, .item_max = TURN_CONTENT_CHARACTERS,
     .help = "All variants; the one that equals content is shown, and content is the first when none does."},
    {"extra", FIELD_JSON, AT(struct said_row, extra), .max = EXTRA_LIMIT_BYTES, .help = "What else you know of it; kept as it is. A picture's caption or captions in it are remembered with the message."},
    {0}};
static const struct field import_fields[] = {
    {"format", FIELD_CHOICE, AT(struct import_body, format), .choices = formats, .is_required = true, .help = "What this is."},
    {"title", FIELD_TEXT, AT(struct import_body, title), .max = 200, .help = "Its name; otherwise the character's."},
    {"character_id", FIELD_ID, AT(struct import_body, character_id), .help = "With whom; or:"},
    {"character_name", FIELD_TEXT, AT(struct import_body, character_name), .min = 1, .max = NAME_CHARACTERS,
     .help = "With whom, by name: your own character of that name, made (private) when you have none."},
    {"persona_name", FIELD_TEXT, AT(struct import_body, persona_name), .min = 1, .max = NAME_CHARACTERS,
     .help = "Who the person is there: your persona of that name, made when you have none."},
    {"messages", FIELD_OBJECTS, AT(struct import_body, messages), .is_required = true, .min = 1, .max = MESSAGES_LIMIT,
     .rows = said_rows, .size = sizeof(struct said_row), .help = "In the order in which they were said."},
    {0}};
static const struct field imported_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The message."},
    {"external_id", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "Your own key."},
    {0}};
static const struct shape imported_shape = {"ImportedMessage", imported_rows, "Which message became which."};
static const struct field import_rows[] = {
    {"conversation", FIELD_OBJECT, .shape = &conversation_shape, .is_required = true, .help = "The new conversation."},
    {"messages", FIELD_OBJECTS, .shape = &imported_shape, .is_list = true, .is_required = true, .help = "Its messages, in order."},
    {0}};
static const struct shape import_shape = {"ImportedConversation", import_rows, "A talk that was brought along."};
/* clang-format on */

/* A message and the turn that is found. */
struct said {
    struct message message;
    const struct str *texts; /* swipe_count of them */
    struct str remembered;   /* its text with captions */
    struct text_form form;
};

struct import {
    struct request *request;
    struct import_body body;
    struct json_error json_error;
    struct field_problems problems;
    enum err err; /* of reading */
    struct said *items;
    size_t count, next;
    struct conversation conversation;
    struct participant participant;
    bool makes_character; /* at the end, with the id that is reserved in `participant` */
    bool is_gone;         /* who sent it has left */
    bool has_more;        /* of discarding */
    struct str persona_name;
    int64_t trunk_id;
    int64_t previous_turn_id;
    int64_t told_us; /* when the person's sockets last heard of it */
};

static struct pool_kind read_kind = {.name = "import talk", .running_limit = 1, .queue_limit = 8};

/* --- read (pool) ---------------------------------------------------------------------------- */

static struct str extra_text(struct arena *arena, const struct json_value *extra) {
    if (json_type(extra) != JSON_OBJECT)
        return STR_NONE;
    struct buf buf;
    struct json json;
    buf_init(&buf, (size_t)EXTRA_LIMIT_BYTES * 2); /* escapes may be longer than what was sent */
    json_init(&json, &buf);
    json_write_value(&json, extra);
    struct str text = buf.err == E_OK ? str_dup(arena, buf_str(&buf)) : STR_NONE;
    buf_release(&buf);
    return text;
}

static void take_variants(struct arena *arena, const struct said_row *row, struct said *said) {
    size_t chosen = row->swipes.count;
    for (size_t i = 0; i < row->swipes.count && chosen == row->swipes.count; i++)
        if (str_eq(row->swipes.items[i], row->content))
            chosen = i;
    bool has_own = chosen == row->swipes.count;
    struct str *texts = ARENA_ARRAY(arena, struct str, row->swipes.count + 1);
    size_t n = 0;
    if (has_own)
        texts[n++] = row->content;
    for (size_t i = 0; i < row->swipes.count; i++)
        texts[n++] = row->swipes.items[i];
    said->texts = texts;
    said->message.swipe_count = (int64_t)n;
    said->message.swipe_index = has_own ? 0 : (int64_t)chosen;
}

static void take_said(struct import *import, size_t i) {
    struct arena *arena = import->request->arena;
    const struct said_row *row = &((const struct said_row *)import->body.messages.items)[i];
    struct said *said = &import->items[i];
    bool is_user = str_eq(row->role, STR("user"));
    said->message = (struct message){
        .conversation_id = import->conversation.id,
        .branch_id = import->trunk_id,
        .parent_variant = -1,
        .role = is_user ? STR("user") : STR("assistant"),
        .author_kind = is_user ? STR("user") : STR("character"),
        .author_name = row->name,
        .external_id = row->id.len > 0 ? row->id : STR_NONE,
        .extra = extra_text(arena, row->extra),
        .state = STR("complete"),
        .content = row->content,
        .created_at = row->created_at,
    };
    take_variants(arena, row, said);
    said->remembered = text_with_captions(arena, row->content, row->extra);
    struct arena scratch; /* words are many, and nobody needs them afterwards */
    arena_init(&scratch);
    said->form = text_form_of(&scratch, said->remembered);
    arena_release(&scratch);
}

static void pool_read(void *ctx) {
    struct import *import = ctx;
    struct arena *arena = import->request->arena;
    const struct json_value *value;
    import->err = json_parse(arena, import->request->content, &value, &import->json_error);
    if (import->err != E_OK)
        return;
    uint64_t has;
    import->err = field_read(arena, import_fields, value, &import->body, &has, &import->problems);
    if (import->err != E_OK)
        return;
    import->count = import->body.messages.count;
    if (arena_room(arena) / sizeof(struct said) <= import->count) {
        import->err = E_LIMIT;
        return;
    }
    import->items = ARENA_ARRAY(arena, struct said, import->count);
    for (size_t i = 0; i < import->count && import->err == E_OK; i++) {
        import->err = arena_room(arena) < ROOM_OF_ONE ? E_LIMIT : E_OK;
        if (import->err == E_OK)
            take_said(import, i);
    }
}

/* --- write (writer thread) --------------------------------------------------------------------- */

static enum err make_character(struct tx *tx, struct import *import) {
    struct character character = {
        .owner_id = import->request->caller.user_id,
        .name = import->body.character_name,
        .nickname = STR(""),
        .description = STR(""),
        .personality = STR(""),
        .scenario = STR(""),
        .first_mes = STR(""),
        .mes_example = STR(""),
        .alternate_greetings = STR("[]"),
        .group_only_greetings = STR("[]"),
        .system_prompt = STR(""),
        .post_history_instructions = STR(""),
        .creator_notes = STR(""),
        .tags = STR("[]"),
        .creator = STR(""),
        .character_version = STR(""),
        .source = STR("[]"),
        .extensions = STR("{}"),
        .unknown = STR("{}"),
        .tagline = STR(""),
        .visibility = STR("private"),
        .content_tier = STR("all_ages"),
        .voice = STR(""),
        .talkativeness = 0.5,
        .model_settings = STR("{}"),
        .origin = STR("imported"),
    };
    return character_insert_as(tx, import->participant.character_id, &character, NULL);
}

static enum err begin(struct tx *tx, struct import *import) {
    enum err err =
        conversation_insert(tx, &import->conversation, &import->participant, 1, import->trunk_id);
    return err != E_OK ? err
                       : conversation_hide_import(tx, import->conversation.id, clock_now_ms());
}

static enum err write_one(struct tx *tx, struct import *import, size_t i) {
    struct said *said = &import->items[i];
    struct message *m = &said->message;
    bool is_user = str_eq(m->role, STR("user"));
    m->id = id_new();
    m->author_id = is_user ? import->request->caller.user_id : import->participant.character_id;
    if (m->author_name.len == 0)
        m->author_name = is_user ? import->persona_name : import->participant.name;
    if (i > 0) {
        m->parent_id = import->items[i - 1].message.id;
        m->parent_variant = import->items[i - 1].message.swipe_index;
    }
    enum err err = message_insert_said(tx, m, said->texts);
    if (err != E_OK || said->remembered.len == 0)
        return err;
    struct memory_turn turn = {
        .message_id = m->id,
        .conversation_id = m->conversation_id,
        .branch_id = m->branch_id,
        .previous_id = import->previous_turn_id,
        .side = is_user ? MEMORY_USER : MEMORY_CHARACTER,
        .speaker_id = m->author_id,
        .speaker_name = m->author_name,
        .said_at = m->created_at,
        .text = said->remembered,
        .form = said->form,
    };
    import->previous_turn_id = m->id;
    return memory_add_turn(tx, &turn);
}

/* At least one message a slice; `next` moves on when the slice is on disk. */
static size_t slice_end(const struct import *import) {
    size_t end = import->next, bytes = 0;
    while (end < import->count && end - import->next < SLICE_MESSAGES && bytes < SLICE_BYTES) {
        const struct said *said = &import->items[end++];
        for (int64_t i = 0; i < said->message.swipe_count; i++)
            bytes += said->texts[i].len;
    }
    return end;
}

static enum err writer_slice(struct tx *tx, void *ctx) {
    struct import *import = ctx;
    enum err err = import->next == 0 ? begin(tx, import) : E_OK;
    for (size_t i = import->next; i < slice_end(import) && err == E_OK; i++)
        err = write_one(tx, import, i);
    return err;
}

static enum err writer_show(struct tx *tx, void *ctx) {
    struct import *import = ctx;
    int64_t user_id = import->request->caller.user_id;
    const struct message *last = &import->items[import->count - 1].message;
    enum err err = import->makes_character ? make_character(tx, import) : E_OK;
    if (err == E_OK && import->body.persona_name.len > 0)
        err = account_persona_named(tx, user_id, import->body.persona_name,
                                    &import->conversation.persona_id);
    if (err != E_OK)
        return err;
    struct arena arena;
    arena_init(&arena);
    import->conversation.head_id = last->id;
    import->conversation.last_line = conversation_line(&arena, last->content);
    import->conversation.last_message_at = last->created_at;
    import->conversation.updated_at = clock_now_ms();
    err = conversation_show_import(tx, &import->conversation);
    arena_release(&arena);
    return err;
}

/* First it is marked: if discarding fails or the process dies, the next sweep goes on with it. */
static enum err writer_give_up(struct tx *tx, void *ctx) {
    struct import *import = ctx;
    return conversation_hide_import(tx, import->conversation.id, 0);
}

static enum err writer_discard(struct tx *tx, void *ctx) {
    struct import *import = ctx;
    return conversation_discard(tx, import->conversation.id, &import->has_more);
}

/* --- the loop's side ------------------------------------------------------------------------ */

/* Every socket of the person hears how far it is, as of a job; its id is the conversation's. */
static void tell_progress(struct import *import, const char *state) {
    int64_t now = clock_mono_us();
    bool is_over = strcmp(state, "running") != 0;
    if (!is_over && now - import->told_us < TELL_EVERY_US)
        return;
    import->told_us = now;
    live_job_event(&(struct job_event){
        .id = import->conversation.id,
        .user_id = import->request->caller.user_id,
        .kind = "conversation.import",
        .state = state,
        .done = (int64_t)import->next,
        .total = (int64_t)import->count,
    });
}

static void reply_imported(struct import *import) {
    struct request *request = import->request;
    struct conversation conversation;
    struct participant *participants;
    size_t count;
    enum err err = conversation_load(store_reader(), request->arena, import->conversation.id,
                                     request->caller.user_id, &conversation);
    if (err == E_OK)
        err = conversation_participants(store_reader(), request->arena, conversation.id,
                                        &participants, &count);
    if (err != E_OK)
        return reply_error(request, err);
    reply_header(
        request, "Location",
        str_printf(request->arena, "/api/v1/conversations/%s", id_text(conversation.id).at));
    struct json *json = reply_json(request);
    json_object_begin(json);
    json_key(json, STR("conversation"));
    conversation_write(json, &conversation, participants, count);
    JSON_ARRAY(json, "messages");
    for (size_t i = 0; i < import->count; i++) {
        json_object_begin(json);
        JSON_ID(json, "id", import->items[i].message.id);
        JSON_STR(json, "external_id", import->items[i].message.external_id);
        json_object_end(json);
    }
    json_array_end(json);
    json_object_end(json);
    reply_send(request, 201);
}

static void on_shown(enum err err, void *ctx) {
    struct import *import = ctx;
    tell_progress(import, err == E_OK ? "done" : "dead");
    if (err != E_OK)
        return reply_error(import->request, err);
    log_info("conversation", "conversation imported",
             LF_ID("conversation", import->conversation.id),
             LF_INT("messages", (int64_t)import->count));
    reply_imported(import);
}

static void on_discarded(enum err err, void *ctx) {
    struct import *import = ctx;
    if (err == E_OK && import->has_more)
        return store_write(writer_discard, on_discarded, import);
    /* After a failure the sweep comes within the hour. */
    tell_progress(import, import->err == E_CANCELLED ? "cancelled" : "dead");
    log_info("conversation", "import given up", LF_ID("conversation", import->conversation.id),
             LF_INT("messages", (int64_t)import->next));
    reply_error(import->request, import->err);
}

static void on_given_up(enum err err, void *ctx) {
    struct import *import = ctx;
    import->has_more = err == E_OK;
    on_discarded(err, import);
}

static void on_slice(enum err err, void *ctx) {
    struct import *import = ctx;
    if (err == E_OK)
        import->next = slice_end(import);
    import->err = err == E_OK && import->is_gone ? E_CANCELLED : err;
    if (import->err != E_OK)
        return import->next == 0 ? reply_error(import->request, err)
                                 : store_write(writer_give_up, on_given_up, import);
    tell_progress(import, "running");
    if (import->next < import->count)
        store_write(writer_slice, on_slice, import);
    else
        store_write(writer_show, on_shown, import);
}

/* With whom. False: the answer has been sent. */
static bool find_character(struct import *import) {
    struct request *request = import->request;
    struct character character;
    int64_t id = import->body.character_id, user_id = request->caller.user_id;
    if (id == 0 && import->body.character_name.len == 0) {
        reply_field_problem(request, "character_name",
                            "Say with whom: character_id or character_name.");
        return false;
    }
    if (id == 0 &&
        character_named(store_reader(), user_id, import->body.character_name, &id) != E_OK) {
        import->makes_character = true;
        import->participant =
            (struct participant){.character_id = id_new(), .name = import->body.character_name};
        return true;
    }
    if (character_load(store_reader(), request->arena, id, user_id, &character) != E_OK) {
        reply_field_problem(request, "character_id",
                            "There is no such character, or it is not yours to see.");
        return false;
    }
    if (!character_is_open_to(store_reader(), &character, user_id)) {
        reply_problem(request, 403,
                      "This character is for adults: declare your age in your profile.");
        return false;
    }
    import->participant = (struct participant){.character_id = id, .name = character.name};
    return true;
}

static void refuse_body(const struct import *import) {
    struct request *request = import->request;
    if (import->problems.count > 0)
        reply_field_problem(request, import->problems.items[0].field, "%s",
                            import->problems.items[0].message);
    else if (import->err == E_LIMIT)
        reply_problem(request, 413, "The talk is too large for one call: send it in parts.");
    else
        reply_problem(request, import->json_error.is_duplicate ? 422 : 400,
                      "The body is not JSON: %s at byte %zu.",
                      import->json_error.reason == NULL ? "it is malformed"
                                                        : import->json_error.reason,
                      import->json_error.offset_bytes);
}

static void on_read(enum err err, void *ctx) {
    struct import *import = ctx;
    struct request *request = import->request;
    if (err == E_OK && import->is_gone)
        err = E_CANCELLED;
    if (err != E_OK)
        return reply_error(request, err);
    if (import->err != E_OK)
        return refuse_body(import);
    if (!find_character(import))
        return;
    struct persona persona;
    err = account_persona(store_reader(), request->arena, request->caller.user_id, 0, &persona);
    if (err != E_OK)
        return reply_error(request, err);
    bool is_named = import->body.persona_name.len > 0;
    import->persona_name = is_named ? import->body.persona_name : persona.name;
    import->conversation.owner_id = request->caller.user_id;
    import->conversation.title =
        import->body.title.len > 0 ? import->body.title : import->participant.name;
    import->conversation.mode = STR("single");
    import->conversation.settings = STR("{}");
    import->conversation.created_at = import->items[0].message.created_at;
    store_write(writer_slice, on_slice, import);
}

static void note_gone(struct request *request, void *ctx) {
    struct import *import = ctx;
    (void)request;
    import->is_gone = true;
}

static void import(struct request *request) {
    struct import *import = ARENA_NEW(request->arena, struct import);
    import->request = request;
    import->is_gone = !request_on_gone(request, note_gone, import);
    import->conversation.id = id_new();
    import->trunk_id = id_new();
    if (pool_run(&read_kind, pool_read, on_read, import, NULL) != E_OK)
        reply_retry_later(request, 503, 2,
                          "Too many talks are being brought along. Try again in a moment.");
}

/* clang-format off */
const struct route import_routes[] = {
    {METHOD_POST, "/api/v1/conversations/import", import, WHO_MEMBER, SCOPE_CHAT, .body = import_fields, .body_size = sizeof(struct import_body),
     .body_limit_bytes = BODY_LIMIT_BYTES, .is_raw = true, .is_costly = true, .tag = "conversations", .operation = "importConversation",
     .summary = "Brings a whole talk along, with its times; it can be searched as soon as it is answered. Tells its progress by job:progress; breaking off the call leaves nothing of it.", .status = 201, .answer = &import_shape},
    {0}};
/* clang-format on */
