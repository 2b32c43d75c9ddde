/*
 * The routes by which somebody speaks: say something, another variant, go on, answer now.
 *
 * Each has three shapes with one turn behind them: the answer waits for the reply (201), or comes as
 * soon as the message is on disk (`?wait=false`, 202), or is the stream of the turn's events
 * (`Accept: text/event-stream`). In each of them the turn goes on when the caller leaves.
 */
#include "conversation/conversation_api.h"

#include "base/check.h"
#include "conversation/conversation.h"
#include "conversation/room.h"
#include "conversation/turn.h"
#include "net/channel.h"

#include <stdlib.h>

#include "base/banned.h"

struct send_body {
    struct str content, client_id;
    bool reply;
};

struct wait_query {
    bool wait;
};

/* clang-format off */
static const struct field send_fields[] = {
    {"content", FIELD_TEXT, AT(struct send_body, content), .is_required = true, .min = 1, .max = TURN_CONTENT_CHARACTERS, .help = "What is said."},
    {"client_id", FIELD_TEXT, AT(struct send_body, client_id), .max = TURN_CLIENT_ID_CHARACTERS, .help = "Your own name for it; comes back in message:received."},
    {"reply", FIELD_BOOL, AT(struct send_body, reply), .fallback = "true", .help = "Whether a character answers."},
    {0}};
static const struct field wait_query[] = {
    {"wait", FIELD_BOOL, AT(struct wait_query, wait), .fallback = "true", .help = "false: answer 202 as soon as it is stored."},
    {0}};
static const struct field error_rows[] = {
    {"code", FIELD_TEXT, .is_required = true, .help = "A word for programs."},
    {"detail", FIELD_TEXT, .is_required = true, .help = "A sentence for people."},
    {"retryable", FIELD_BOOL, .is_required = true, .help = "Trying again may help."},
    {0}};
static const struct shape error_shape = {"TurnError", error_rows, "Why a reply failed or broke off."};
static const struct field spoken_rows[] = {
    {"message", FIELD_OBJECT, .shape = &message_shape, .may_be_null = true, .is_required = true, .help = "What was said; null when nobody spoke."},
    {"reply", FIELD_OBJECT, .shape = &message_shape, .may_be_null = true, .is_required = true, .help = "The reply; null when none was wanted, or while it is under way."},
    {"turn_id", FIELD_ID, .help = "With wait=false: the turn that is under way."},
    {"error", FIELD_OBJECT, .shape = &error_shape, .help = "The reply failed or broke off; what was said is stored."},
    {0}};
static const struct shape spoken_shape = {"Turn", spoken_rows, "What a turn stored."};
/* clang-format on */

static void write_error(struct json *json, enum err err, const char *detail) {
    JSON_OBJECT(json, "error");
    JSON_STR(json, "code", str_from(err_word(err)));
    JSON_STR(json, "detail", str_from(detail != NULL ? detail : "Something went wrong."));
    JSON_BOOL(json, "retryable", err_is_retryable(err) || err == E_UPSTREAM);
    json_object_end(json);
}

/* The caller waits for the end. */
static void answer_finished(void *ctx, enum err err, struct str message, struct str reply,
                            const char *detail) {
    struct request *request = ctx;
    if (err != E_OK && message.at == NULL && reply.at == NULL)
        return detail == NULL ? reply_error(request, err)
                              : reply_problem(request, err_status(err), "%s", detail);
    struct json *json = reply_json(request);
    json_object_begin(json);
    json_key(json, STR("message"));
    message.at == NULL ? json_write_null(json) : json_write_raw(json, message);
    json_key(json, STR("reply"));
    reply.at == NULL ? json_write_null(json) : json_write_raw(json, reply);
    if (err != E_OK)
        write_error(json, err, detail);
    json_object_end(json);
    reply_send(request, 201);
}

/* The caller is content with "it is stored". */
static void answer_recorded(void *ctx, int64_t turn_id, struct str message) {
    struct request *request = ctx;
    turn_forget_listener(turn_id);
    struct json *json = reply_json(request);
    json_object_begin(json);
    JSON_RAW(json, "message", message);
    JSON_NULL_AT(json, "reply");
    JSON_ID(json, "turn_id", turn_id);
    json_object_end(json);
    reply_send(request, 202);
}

/* A caller that reads the turn as a stream: the channel may leave before the turn ends, and the
 * turn ends before the channel is gone. */
struct streamed_turn {
    struct channel *channel; /* NULL: has left */
    int64_t turn_id;         /* 0: is over */
};

static void streamed_free_if_over(struct streamed_turn *streamed) {
    if (streamed->channel == NULL && streamed->turn_id == 0)
        free(streamed);
}

static void streamed_closed(struct channel *channel) {
    struct streamed_turn *streamed = channel_get(channel);
    room_leave_all(channel);
    streamed->channel = NULL;
    streamed_free_if_over(streamed);
}

static void streamed_finished(void *ctx, enum err err, struct str message, struct str reply,
                              const char *detail) {
    struct streamed_turn *streamed = ctx;
    (void)message;
    streamed->turn_id = 0;
    if (streamed->channel == NULL)
        return streamed_free_if_over(streamed);
    if (err != E_OK &&
        reply.at == NULL) /* nothing was said: listeners of the room have heard nothing */
        channel_error(streamed->channel, err_word(err),
                      detail != NULL ? detail : "Something went wrong.");
    channel_finish(streamed->channel);
}

static const struct channel_owner stream_owner = {.closed = streamed_closed};

static void refuse_turn(struct request *request, enum err err, const char *detail) {
    if (err == E_LIMIT)
        return reply_retry_later(request, 429, 1, detail);
    if (detail == NULL)
        return reply_error(request, err);
    reply_problem(request, err == E_INPUT ? 422 : err_status(err), "%s", detail);
}

static void stream_turn(struct request *request, const struct turn_order *order) {
    struct streamed_turn *streamed = calloc(1, sizeof *streamed);
    BUG_IF(streamed == NULL);
    const char *detail = NULL;
    struct turn_listener listener = {.finished = streamed_finished, .ctx = streamed};
    enum err err = turn_start(order, &listener, &streamed->turn_id, &detail);
    if (err != E_OK) {
        free(streamed);
        return refuse_turn(request, err, detail);
    }
    streamed->channel = channel_from_request(request, &stream_owner);
    channel_set(streamed->channel, streamed);
    room_join(order->conversation_id, streamed->channel, -1);
}

static void start_turn(struct request *request, struct turn_order *order) {
    const struct wait_query *query = request->query_fields;
    order->user_id = request->caller.user_id;
    order->conversation_id = request->ids[0];
    if (str_has(request_header(request, "accept"), STR("text/event-stream")))
        return stream_turn(request, order);
    struct turn_listener listener = {.finished = answer_finished, .ctx = request};
    if (!query->wait)
        listener.recorded = answer_recorded;
    int64_t turn_id;
    const char *detail = NULL;
    enum err err = turn_start(order, &listener, &turn_id, &detail);
    if (err != E_OK)
        refuse_turn(request, err, detail);
}

static void send(struct request *request) {
    const struct send_body *body = request->body;
    start_turn(request, &(struct turn_order){
                            .kind = TURN_SEND,
                            .content = body->content,
                            .client_id = body->client_id,
                            .wants_reply = body->reply,
                        });
}

static void regenerate(struct request *request) {
    start_turn(request,
               &(struct turn_order){.kind = TURN_REGENERATE, .message_id = request->ids[1]});
}

static void go_on(struct request *request) {
    start_turn(request, &(struct turn_order){.kind = TURN_CONTINUE, .message_id = request->ids[1]});
}

static void reply_now(struct request *request) {
    start_turn(request, &(struct turn_order){.kind = TURN_REPLY});
}

/* clang-format off */
#define MESSAGES "/api/v1/conversations/{id}/messages"
#define MESSAGE MESSAGES "/{message_id}"
#define WAITS .query = wait_query, .query_size = sizeof(struct wait_query)
const struct route say_routes[] = {
    {METHOD_POST, MESSAGES, send, WHO_MEMBER, SCOPE_CHAT, .body = send_fields, .body_size = sizeof(struct send_body), WAITS, .tag = "messages",
     .operation = "sendMessage", .summary = "Says something; waits for the reply, or streams the turn's events with Accept: text/event-stream.", .status = 201, .answer = &spoken_shape},
    {METHOD_POST, "/api/v1/conversations/{id}/reply", reply_now, WHO_MEMBER, SCOPE_CHAT, WAITS, .tag = "messages", .operation = "replyNow",
     .summary = "The character answers what stands there, without a new message: after a failure, or to hear more.", .status = 201, .answer = &spoken_shape},
    {METHOD_POST, MESSAGE "/regenerate", regenerate, WHO_MEMBER, SCOPE_CHAT, WAITS, .tag = "messages", .operation = "regenerateMessage",
     .summary = "Another variant of a reply; the others stay.", .status = 201, .answer = &spoken_shape},
    {METHOD_POST, MESSAGE "/continue", go_on, WHO_MEMBER, SCOPE_CHAT, WAITS, .tag = "messages", .operation = "continueMessage",
     .summary = "The last reply goes on where it ended.", .status = 201, .answer = &spoken_shape},
    {0}};
/* clang-format on */
