/*
 * WebSocket as a carrier: GET /ws, the sign-in, JSON in text messages.
 *
 * Who is it? Either the handshake had an Authorization header, or the first message within
 * SIGN_IN_MS is {"type": "auth", "token": "..."}. Until then only small messages are taken and
 * nothing else is answered. After that the same message renews the token at any time (browsers
 * outlive their short-lived tokens), for the same person only. The answer is auth:ok {user_id}.
 *
 * Close codes of our own: 4401 for everything about signing in (no token in time, a bad one,
 * expired for more than a minute, the session ended); the client signs in anew and comes back.
 * 1013: too slow, come back with the last seq. 1008: too many pings or fragments.
 *
 * An idle socket costs struct socket (under 256 bytes) beside its conn.
 */
#include "net/carrier.h"

#include "base/check.h"
#include "base/id.h"
#include "net/http.h"
#include "net/limit.h"
#include "net/router.h"
#include "net/ws.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/banned.h"

#define SUBPROTOCOL      "troupe.v1"
#define SIGN_IN_MS       5000
#define SIGN_IN_BYTES    (12 << 10) /* a token is at most 8 KiB */
#define MESSAGE_BYTES    (1 << 20)
#define FRAGMENTS        16384
#define PINGS_PER_SECOND 200
#define SCRATCH_BYTES    4096
#define VISITS_PER_PING  2 /* of the sweep: a ping every 25 s or so */

static const struct ws_limits stranger_limits = {
    .message_bytes = SIGN_IN_BYTES, .fragments = 64, .pings_per_second = 10};
static const struct ws_limits member_limits = {
    .message_bytes = MESSAGE_BYTES, .fragments = FRAGMENTS, .pings_per_second = PINGS_PER_SECOND};
/* limits.requests_per_minute = 0 means that the operator wants no limits. */
static const struct ws_limits unlimited = {.message_bytes = MESSAGE_BYTES, .fragments = FRAGMENTS};

struct socket {
    struct channel channel; /* first: a channel of this carrier is its struct socket */
    struct ws ws;
    uint8_t visits;
};

static const struct channel_owner *owner_of_all;

void channel_serve_websockets(const struct channel_owner *owner) {
    owner_of_all = owner;
}

static struct socket *socket_of(const struct channel *channel) {
    return (struct socket *)(uintptr_t)channel;
}

static struct socket *socket_of_ws(struct ws *ws) {
    return CONTAINER_OF(ws, struct socket, ws);
}

/* --- the carrier's row ------------------------------------------------------------------------ */

static void let_go(void *owner) {
    frame_let_go(owner);
}

static void socket_send(struct channel *channel, struct frame *frame) {
    ws_send_shared(&socket_of(channel)->ws, frame->ws, let_go, frame_hold(frame));
}

static size_t socket_unsent_bytes(const struct channel *channel) {
    return ws_unsent_bytes(&socket_of(channel)->ws);
}

static void socket_close(struct channel *channel, int code, const char *reason, bool is_stuck) {
    if (is_stuck)
        ws_fail(&socket_of(channel)->ws, code, reason);
    else
        ws_close(&socket_of(channel)->ws, code, reason);
}

static void socket_keep_alive(struct channel *channel) {
    struct socket *socket = socket_of(channel);
    if (++socket->visits % VISITS_PER_PING == 0)
        ws_keep_alive(&socket->ws);
}

static bool socket_may_ping(struct channel *channel) {
    return ws_may_ping(&socket_of(channel)->ws);
}

static const struct carrier ws_carrier = {
    .name = "websocket",
    .send = socket_send,
    .unsent_bytes = socket_unsent_bytes,
    .close = socket_close,
    .keep_alive = socket_keep_alive,
    .may_ping = socket_may_ping,
};

/* --- sign-in ---------------------------------------------------------------------------------- */

static void turn_away(struct socket *socket, const char *detail) {
    channel_error(&socket->channel, "unauthorized", detail);
    channel_close(&socket->channel, WS_CODE_SIGN_IN, detail);
}

static void welcome(struct socket *socket, const struct caller *caller, struct arena *arena) {
    socket->channel.caller = *caller;
    socket->ws.limits = limits.requests_per_minute == 0 ? &unlimited : &member_limits;
    ws_deadline(&socket->ws, 0);
    struct id_text user = id_text(caller->user_id);
    channel_tell(&socket->channel, "auth:ok", str_printf(arena, "{\"user_id\":\"%s\"}", user.at));
}

/* Wrong tokens count against the address, in the same bucket as those of requests (gate.c). */
static bool identify(struct socket *socket, struct str token, struct caller *caller) {
    struct str address = conn_address(socket->ws.conn);
    if (token.len == 0 || router_hooks_now.identify == NULL)
        return false;
    if (limit_bad_tokens_wait_s(address) > 0 &&
        !(router_hooks_now.knows != NULL && router_hooks_now.knows(token)))
        return false;
    if (router_hooks_now.identify(token, caller) == E_OK && caller->user_id != 0)
        return true;
    limit_bad_token(address);
    return false;
}

/* {"type": "auth", "token": ...}, the token also inside data. */
static void sign_in(struct socket *socket, const struct json_value *frame, struct arena *arena) {
    struct str token = json_string(json_path(frame, "data.token"), STR_NONE);
    struct caller caller = {0};
    token = json_string(json_member(frame, "token"), token);
    if (!identify(socket, token, &caller))
        turn_away(socket, "This token is not valid.");
    else if (socket->channel.caller.user_id != 0 &&
             socket->channel.caller.user_id != caller.user_id)
        turn_away(socket, "A socket stays with the person who opened it.");
    else
        welcome(socket, &caller, arena);
}

/* --- what comes ------------------------------------------------------------------------------- */

/* What is no frame at all counts as a ping, or it would be free of every limit. */
static void complain(struct socket *socket, const char *code, const char *detail) {
    if (ws_may_ping(&socket->ws))
        channel_error(&socket->channel, code, detail);
    else
        channel_close(&socket->channel, WS_CODE_POLICY, "too many bad frames");
}

static void take_frame(struct socket *socket, const struct json_value *frame, struct arena *arena) {
    struct str type = json_string(json_member(frame, "type"), STR_NONE);
    bool is_known = socket->channel.caller.user_id != 0;
    if (str_eq(type, STR("auth")))
        sign_in(socket, frame, arena);
    else if (!is_known)
        turn_away(socket, "The first message must be {\"type\": \"auth\", \"token\": ...}.");
    else if (type.len == 0)
        complain(socket, "invalid", "A frame needs a \"type\".");
    else
        channel_received(&socket->channel, frame, arena);
}

static void on_message(struct ws *ws, bool is_text, struct str bytes) {
    struct socket *socket = socket_of_ws(ws);
    char scratch[SCRATCH_BYTES];
    struct arena arena;
    struct json_error why = {0};
    const struct json_value *frame;
    if (!is_text) {
        channel_close(&socket->channel, WS_CODE_UNSUPPORTED, "frames are JSON in text messages");
        return;
    }
    arena_init_with(&arena, scratch, sizeof(scratch));
    if (json_parse(&arena, bytes, &frame, &why) != E_OK)
        complain(socket, "invalid_json", why.reason);
    else
        take_frame(socket, frame, &arena);
    arena_release(&arena);
}

static void on_expired(struct ws *ws) {
    if (socket_of_ws(ws)->channel.caller.user_id == 0)
        turn_away(socket_of_ws(ws), "No token came within 5 seconds.");
}

static void on_closed(struct ws *ws) {
    struct socket *socket = socket_of_ws(ws);
    channel_gone(&socket->channel);
    free(socket);
}

static const struct ws_handler socket_handler = {on_message, on_expired, on_closed};

/* --- the route -------------------------------------------------------------------------------- */

static void get_ws(struct request *request) {
    static const struct caller nobody = {0};
    struct str protocol;
    struct caller caller = request->caller; /* router.c has judged an Authorization header */
    if (!ws_check(request, SUBPROTOCOL, &protocol))
        return;
    struct socket *socket = calloc(1, sizeof(*socket));
    if (socket == NULL)
        BUG("out of memory: a socket");
    if (!ws_accept(request, &socket->ws, &socket_handler, &stranger_limits, protocol)) {
        free(socket);
        return;
    }
    channel_begin(&socket->channel, &ws_carrier, owner_of_all, &nobody);
    if (caller.user_id == 0) {
        ws_deadline(&socket->ws, SIGN_IN_MS);
        return;
    }
    struct arena arena;
    arena_init(&arena);
    welcome(socket, &caller, &arena);
    arena_release(&arena);
}

const struct route ws_routes[] = {
    {.method = METHOD_GET,
     .pattern = "/ws",
     .handle = get_ws,
     .who = WHO_ANYONE,
     .scope = SCOPE_CHAT,
     .tag = "realtime",
     .operation = "openSocket",
     .summary =
         "Opens a WebSocket (subprotocol troupe.v1); sign in with the Authorization header or the "
         "first message.",
     .status = 101},
    {0},
};
