/*
 * A command arrives as type and data. Its row names its fields, and the fields are checked as those
 * of a route are; then comes the rate (a command counts as a request), the scope of an API key, the
 * right to be in the conversation, and the handler. What goes wrong is answered to this channel
 * alone:
 *
 *     error {code, detail, command, field?, client_id?, conversation_id?, retry_after_s?}
 *
 * What goes well needs no answer: the room tells everybody, the sender included. Who sends into a
 * conversation without having joined it joins it by that.
 *
 * A turn outlives the socket that asked for it. So what waits for a turn is a struct pending, which
 * the channel knows in a list: when the channel goes, it is forgotten, and the turn goes on.
 */
#include "conversation/live.h"

#include "base/check.h"
#include "base/id.h"
#include "conversation/conversation.h"
#include "conversation/room.h"
#include "conversation/turn.h"
#include "net/limit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define SEQ_MAX 9007199254740991.0 /* 2^53 - 1: exact in JavaScript */

/* One command on its way. */
struct ask {
    struct channel *channel;
    const struct command *command;
    int64_t conversation_id;
    struct str client_id;
    struct arena *arena;
};

struct command {
    const char *type;
    const struct field *rows;
    size_t size;          /* of the struct they fill */
    bool in_conversation; /* the struct begins with a struct place */
    void (*handle)(struct ask *ask, const void *fields);
};

/* --- errors ----------------------------------------------------------------------------------- */

static void complain(const struct ask *ask, const char *code, const char *detail, const char *field,
                     int64_t retry_after_s) {
    struct buf buf;
    struct json json;
    buf_init(&buf, 16 << 10);
    json_init(&json, &buf);
    json_object_begin(&json);
    JSON_STR(&json, "code", str_from(code));
    JSON_STR(&json, "detail", str_from(detail));
    if (ask->command != NULL)
        JSON_STR(&json, "command", str_from(ask->command->type));
    if (field != NULL)
        JSON_STR(&json, "field", str_from(field));
    if (ask->client_id.at != NULL)
        JSON_STR(&json, "client_id", ask->client_id);
    if (ask->conversation_id != 0)
        JSON_ID(&json, "conversation_id", ask->conversation_id);
    if (retry_after_s > 0)
        JSON_INT(&json, "retry_after_s", retry_after_s);
    json_object_end(&json);
    channel_tell(ask->channel, "error", buf_str(&buf));
    buf_release(&buf);
}

static const char *sentence(enum err err) {
    switch (err) {
    case E_ABSENT:
        return "There is nothing here, or it is not yours.";
    case E_CONFLICT:
        return "A reply is under way here.";
    case E_LIMIT:
        return "There is too much of it at once.";
    case E_BUSY:
        return "The server is busy or stopping. Try again soon.";
    case E_INPUT:
        return "This cannot be done here.";
    default:
        return "It did not work, and nothing was stored.";
    }
}

static void complain_err(const struct ask *ask, enum err err, const char *detail) {
    complain(ask, err_word(err), detail ? detail : sentence(err), NULL, 0);
}

/* --- turns ------------------------------------------------------------------------------------ */

/* Somebody on a channel waits to hear whether a turn began well. */
struct pending {
    struct list link;        /* in the speaker's list; not linked when the channel is gone */
    struct channel *channel; /* NULL: gone */
    const struct command *command;
    int64_t conversation_id;
    bool is_recorded; /* from now on the room hears what happens */
    size_t client_id_len;
    bool has_client_id;
    char client_id[];
};

/* What a channel is in the middle of; exists once it has asked for a turn or typed. */
struct speaker {
    struct list pending;
    int64_t typing_in; /* conversation; 0: not typing */
};

static struct speaker *speaker_of(struct channel *channel) {
    struct speaker *speaker = channel_get(channel);
    if (speaker != NULL)
        return speaker;
    speaker = calloc(1, sizeof(*speaker));
    if (speaker == NULL)
        BUG("out of memory: a speaker");
    list_init(&speaker->pending);
    channel_set(channel, speaker);
    return speaker;
}

static struct pending *pending_new(const struct ask *ask) {
    struct pending *pending = calloc(1, sizeof(*pending) + ask->client_id.len);
    if (pending == NULL)
        BUG("out of memory: a waiting command");
    pending->channel = ask->channel;
    pending->command = ask->command;
    pending->conversation_id = ask->conversation_id;
    pending->has_client_id = ask->client_id.at != NULL;
    pending->client_id_len = ask->client_id.len;
    if (ask->client_id.len > 0)
        memcpy(pending->client_id, ask->client_id.at, ask->client_id.len);
    list_add_last(&speaker_of(ask->channel)->pending, &pending->link);
    return pending;
}

static void on_recorded(void *ctx, int64_t turn_id, struct str message) {
    struct pending *pending = ctx;
    (void)turn_id;
    (void)message;
    pending->is_recorded = true;
}

static void on_finished(void *ctx, enum err err, struct str message, struct str reply,
                        const char *detail) {
    struct pending *pending = ctx;
    (void)message;
    (void)reply;
    if (err != E_OK && !pending->is_recorded && pending->channel != NULL) {
        struct ask ask = {.channel = pending->channel,
                          .command = pending->command,
                          .conversation_id = pending->conversation_id};
        if (pending->has_client_id)
            ask.client_id = str_of(pending->client_id, pending->client_id_len);
        complain_err(&ask, err, detail);
    }
    list_remove(&pending->link);
    free(pending);
}

static void start_turn(struct ask *ask, struct turn_order order) {
    const char *detail = NULL;
    int64_t turn_id;
    if (!room_has(ask->conversation_id, ask->channel) &&
        !room_join(ask->conversation_id, ask->channel, -1)) {
        complain_err(ask, E_LIMIT, "This socket is in too many conversations.");
        return;
    }
    struct pending *pending = pending_new(ask);
    struct turn_listener listener = {on_recorded, on_finished, pending};
    order.user_id = channel_caller(ask->channel)->user_id;
    order.conversation_id = ask->conversation_id;
    enum err err = turn_start(&order, &listener, &turn_id, &detail);
    if (err == E_OK)
        return;
    complain_err(ask, err, detail);
    list_remove(&pending->link);
    free(pending);
}

/* --- the commands ----------------------------------------------------------------------------- */

/* The beginning of every struct whose command is about a conversation. */
struct place {
    struct str type; /* where data stands beside type, the type is among the members */
    int64_t conversation_id;
    int64_t id; /* another name for it, in join and leave */
};

struct join_fields {
    struct place place;
    int64_t after_seq;
};

struct send_fields {
    struct place place;
    struct str content;
    struct str client_id;
    bool reply;
};

struct reply_fields {
    struct place place;
    int64_t message_id;
};

#define TYPE_ROW \
    { "type", FIELD_TEXT, AT(struct place, type), .max = 100, .help = "The command." }
#define CONVERSATION_ROW \
    { "conversation_id", FIELD_ID, AT(struct place, conversation_id), .help = "The conversation." }
#define ID_ROW \
    { "id", FIELD_ID, AT(struct place, id), .help = "The conversation." }

static const struct field join_rows[] = {
    TYPE_ROW,
    CONVERSATION_ROW,
    ID_ROW,
    {"after_seq", FIELD_INT, AT(struct join_fields, after_seq), .may_be_null = true, .min = 0,
     .max = SEQ_MAX, .help = "The last seq that was seen; events after it are sent again."},
    {0}};

static const struct field place_rows[] = {TYPE_ROW, CONVERSATION_ROW, ID_ROW, {0}};

static const struct field send_rows[] = {
    TYPE_ROW,
    CONVERSATION_ROW,
    {"content", FIELD_TEXT, AT(struct send_fields, content), .is_required = true, .min = 1,
     .max = TURN_CONTENT_CHARACTERS, .help = "What is said."},
    {"client_id", FIELD_TEXT, AT(struct send_fields, client_id), .may_be_null = true,
     .max = TURN_CLIENT_ID_CHARACTERS,
     .help = "The sender's own name for the message; comes back with it."},
    {"reply", FIELD_BOOL, AT(struct send_fields, reply), .fallback = "true",
     .help = "Whether a character answers."},
    {0}};

static const struct field reply_rows[] = {TYPE_ROW,
                                          CONVERSATION_ROW,
                                          {"message_id", FIELD_ID,
                                           AT(struct reply_fields, message_id), .is_required = true,
                                           .help = "The reply."},
                                          {0}};

static void join(struct ask *ask, const void *fields) {
    const struct join_fields *asked = fields;
    if (!room_join(ask->conversation_id, ask->channel, asked->after_seq))
        complain_err(ask, E_LIMIT, "This socket is in too many conversations.");
}

static void send(struct ask *ask, const void *fields) {
    const struct send_fields *asked = fields;
    start_turn(ask, (struct turn_order){.kind = TURN_SEND,
                                        .content = asked->content,
                                        .client_id = asked->client_id,
                                        .wants_reply = asked->reply});
}

static void regenerate(struct ask *ask, const void *fields) {
    const struct reply_fields *asked = fields;
    start_turn(ask, (struct turn_order){.kind = TURN_REGENERATE,
                                        .message_id = asked->message_id,
                                        .wants_reply = true});
}

static void go_on(struct ask *ask, const void *fields) {
    const struct reply_fields *asked = fields;
    start_turn(ask, (struct turn_order){.kind = TURN_CONTINUE,
                                        .message_id = asked->message_id,
                                        .wants_reply = true});
}

static void stop(struct ask *ask, const void *fields) {
    (void)fields;
    turn_stop(ask->conversation_id); /* none under way: it has just ended, and the room says so */
}

/* --- typing ----------------------------------------------------------------------------------- */

static void tell_typing(struct channel *channel, int64_t conversation_id, const char *type) {
    struct id_text conversation = id_text(conversation_id);
    struct id_text user = id_text(channel_caller(channel)->user_id);
    char data[96];
    int len = snprintf(data, sizeof(data), "{\"conversation_id\":\"%s\",\"user_id\":\"%s\"}",
                       conversation.at, user.at);
    room_broadcast(conversation_id, type, str_of(data, (size_t)len), channel);
}

static void stop_typing(struct channel *channel) {
    struct speaker *speaker = channel_get(channel);
    if (speaker == NULL || speaker->typing_in == 0)
        return;
    tell_typing(channel, speaker->typing_in, "typing:stop");
    speaker->typing_in = 0;
}

static void type_on(struct ask *ask, const void *fields) {
    (void)fields;
    struct speaker *speaker = speaker_of(ask->channel);
    if (speaker->typing_in != ask->conversation_id)
        stop_typing(ask->channel);
    speaker->typing_in = ask->conversation_id;
    tell_typing(ask->channel, ask->conversation_id, "typing:start");
}

static void type_no_more(struct ask *ask, const void *fields) {
    (void)fields;
    stop_typing(ask->channel);
}

static void leave(struct ask *ask, const void *fields) {
    (void)fields;
    struct speaker *speaker = channel_get(ask->channel);
    if (speaker != NULL && speaker->typing_in == ask->conversation_id)
        stop_typing(ask->channel);
    room_leave(ask->conversation_id, ask->channel);
}

static const struct command commands[] = {
    {"conversation:join", join_rows, sizeof(struct join_fields), true, join},
    {"conversation:leave", place_rows, sizeof(struct place), true, leave},
    {"message:send", send_rows, sizeof(struct send_fields), true, send},
    {"message:regenerate", reply_rows, sizeof(struct reply_fields), true, regenerate},
    {"message:continue", reply_rows, sizeof(struct reply_fields), true, go_on},
    {"message:stop", place_rows, sizeof(struct place), true, stop},
    {"typing:start", place_rows, sizeof(struct place), true, type_on},
    {"typing:stop", place_rows, sizeof(struct place), true, type_no_more},
};

/* --- from frame to handler -------------------------------------------------------------------- */

static const struct command *find_command(struct str type) {
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (str_eq(type, str_from(commands[i].type)))
            return &commands[i];
    return NULL;
}

static bool has_rate(const struct ask *ask) {
    char subject[32] = "user:";
    size_t len = 5 + str_print_int(subject + 5, channel_caller(ask->channel)->user_id);
    struct limit_answer answer = limit_take(str_of(subject, len), false);
    if (!answer.is_allowed)
        complain(ask, "rate_limited", "Too many requests. Try again later.", NULL,
                 answer.reset_s > 0 ? answer.reset_s : 1);
    return answer.is_allowed;
}

static bool has_scope(const struct ask *ask) {
    const struct caller *caller = channel_caller(ask->channel);
    if (caller->api_key_id == 0 || (caller->scopes & SCOPE_CHAT))
        return true;
    complain(ask, err_word(E_DENIED), "This API key does not have the scope for it.", NULL, 0);
    return false;
}

/* The conversation that is meant, and whether this person may be in it. */
static bool has_place(struct ask *ask, const struct place *place) {
    ask->conversation_id = place->conversation_id ? place->conversation_id : place->id;
    if (ask->conversation_id == 0) {
        complain(ask, err_word(E_INPUT), "Say which conversation is meant.", "conversation_id", 0);
        return false;
    }
    if (conversation_may_join(channel_caller(ask->channel)->user_id, ask->conversation_id))
        return true;
    complain_err(ask, E_ABSENT, NULL);
    return false;
}

static bool read_fields(struct ask *ask, const struct json_value *data, void *fields) {
    struct field_problems problems = {.count = 0};
    uint64_t has;
    if (json_type(data) != JSON_OBJECT) {
        complain(ask, err_word(E_INPUT), "data must be an object.", "data", 0);
        return false;
    }
    if (field_read(ask->arena, ask->command->rows, data, fields, &has, &problems) == E_OK)
        return true;
    complain(ask, err_word(E_INPUT), problems.items[0].message, problems.items[0].field, 0);
    return false;
}

/* Not a command like others: it costs nothing, and clients ask often. It has a limit by the second.
 */
static void pong(struct channel *channel, const struct json_value *data) {
    struct buf buf;
    struct json json;
    if (!channel_may_ping(channel)) {
        channel_error(channel, "rate_limited", "Too many pings in this second.");
        return;
    }
    buf_init(&buf, 2 << 20); /* a message is at most 1 MiB; escapes may come back longer */
    json_init(&json, &buf);
    if (data != NULL)
        json_write_value(&json, data);
    channel_tell(channel, "pong", buf_str(&buf));
    buf_release(&buf);
}

static void received(struct channel *channel, struct str type, const struct json_value *frame,
                     struct arena *arena) {
    struct ask ask = {.channel = channel, .command = find_command(type), .arena = arena};
    const struct json_value *data = json_member(frame, "data");
    if (str_eq(type, STR("ping"))) {
        pong(channel, data);
        return;
    }
    if (data == NULL)
        data = frame;
    ask.client_id = json_string(json_member(data, "client_id"), STR_NONE);
    if (ask.client_id.len > TURN_CLIENT_ID_CHARACTERS * 4)
        ask.client_id = STR_NONE;
    if (!has_rate(&ask))
        return;
    if (ask.command == NULL) {
        complain(&ask, "unknown_command", "There is no such command.", "type", 0);
        return;
    }
    void *fields = arena_zero(arena, ask.command->size);
    if (has_scope(&ask) && read_fields(&ask, data, fields) && has_place(&ask, fields))
        ask.command->handle(&ask, fields);
}

/* --- the end of a channel --------------------------------------------------------------------- */

static void closed(struct channel *channel) {
    struct speaker *speaker = channel_get(channel);
    stop_typing(channel);
    room_leave_all(channel);
    if (speaker == NULL)
        return;
    LIST_EACH_SAFE(&speaker->pending, node) {
        CONTAINER_OF(node, struct pending, link)->channel = NULL;
        list_remove(node);
    }
    channel_set(channel, NULL);
    free(speaker);
}

const struct channel_owner live_owner = {received, closed};

/* --- SSE -------------------------------------------------------------------------------------- */

struct events_query {
    int64_t after_seq;
};

static const struct field events_query_rows[] = {
    {"after_seq", FIELD_INT, AT(struct events_query, after_seq), .min = 0, .max = SEQ_MAX,
     .help = "The last seq that was seen; Last-Event-ID says the same and goes before it."},
    {0}};

/* What is no number of ours cannot be resumed from: the stream then begins anew. */
static int64_t resume_point(const struct request *request) {
    const struct events_query *query = request->query_fields;
    int64_t seq = query->after_seq;
    struct str last = request_header(request, "last-event-id");
    if (last.len > 0 && str_to_int(last, &seq) != E_OK)
        return 0;
    return seq;
}

static void get_events(struct request *request) {
    int64_t conversation_id = request->ids[0];
    int64_t after_seq = resume_point(request);
    if (!conversation_may_join(request->caller.user_id, conversation_id)) {
        reply_error(request, E_ABSENT);
        return;
    }
    room_join(conversation_id, channel_from_request(request, &live_owner), after_seq);
}

const struct route live_routes[] = {
    {.method = METHOD_GET,
     .pattern = "/api/v1/conversations/{id}/events",
     .handle = get_events,
     .who = WHO_MEMBER,
     .scope = SCOPE_CHAT,
     .query = events_query_rows,
     .query_size = sizeof(struct events_query),
     .tag = "conversations",
     .operation = "followConversation",
     .summary = "The events of a conversation as they happen (server-sent events); resumes with "
                "Last-Event-ID.",
     .answer_type = "text/event-stream"},
    {0},
};

/* --- jobs --------------------------------------------------------------------------------------- */

void live_job_event(const struct job_event *event) {
    struct buf buf;
    struct json json;
    buf_init(&buf, 16 << 10);
    json_init(&json, &buf);
    json_object_begin(&json);
    JSON_ID(&json, "id", event->id);
    JSON_STR(&json, "kind", str_from(event->kind));
    JSON_STR(&json, "state", str_from(event->state));
    JSON_INT(&json, "progress", event->done);
    json_key(&json, STR("total"));
    if (event->total > 0)
        json_write_int(&json, event->total);
    else
        json_write_null(&json);
    JSON_STR(&json, "reason", str_from(event->reason));
    json_object_end(&json);
    struct frame *frame = frame_new("job:progress", 0, 0, buf_str(&buf));
    channel_send_user(event->user_id, frame);
    frame_let_go(frame);
    buf_release(&buf);
}
