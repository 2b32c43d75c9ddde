/*
 * The handshake (RFC 6455 section 4.2), then three stages:
 *
 *   OPEN     messages go to the owner; pings are answered.
 *   CLOSING  we have sent Close: data is read and dropped, the peer's Close or a deadline ends it.
 *   DONE     nothing is read or sent any more; the connection closes in its own stages (conn.h).
 *
 * The server closes TCP first (section 7.1.1), so that the waiting state of TCP stays with us and a
 * Close is not destroyed by a reset.
 *
 * Origin: browsers always send it and script cannot forge it, so a foreign one is refused. A
 * request without it comes from no browser; it may pass, because this server takes no cookie for a
 * socket: whoever connects signs in by token, in the Authorization header or in the first message.
 *
 * Permessage-deflate is declined: frames are small, most are encoded once for many listeners, and
 * text that mixes people's secrets with other people's words is what compression leaks.
 *
 * What a peer can make us queue is bounded: pongs are left out while it does not read, and pings
 * beyond the owner's limit end the connection.
 */
#include "net/ws.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/text.h"
#include "net/frame.h"
#include "net/http.h"

#include <string.h>

#include "base/banned.h"

#define CLOSE_WAIT_MS         5000       /* for the peer's half of the closing handshake */
#define PONG_UNSENT_LIMIT     (64 << 10) /* a peer with so much unread gets no more pongs */
#define QUIET_INTERVALS_LIMIT 2
#define CONTROL_PAYLOAD_BYTES 125
#define REASON_BYTES          (CONTROL_PAYLOAD_BYTES - 2)
#define KEY_TEXT_BYTES        24 /* base64 of 16 bytes */
#define KEY_BYTES             16
#define ACCEPT_GUID           "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

enum stage { OPEN, CLOSING, DONE };

/* --- handshake -------------------------------------------------------------------------------- */

static size_t header_count(const struct request *request, const char *name) {
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++)
        count += str_eq_nocase(request->headers[i].name, str_from(name));
    return count;
}

static bool key_is_valid(struct request *request, struct str key) {
    struct str bytes;
    return key.len == KEY_TEXT_BYTES && base64_decode(request->arena, key, &bytes) == E_OK &&
           bytes.len == KEY_BYTES;
}

bool ws_origin_is_allowed(const struct request *request) {
    struct str origin = request_header(request, "origin");
    return origin.at == NULL || gate_is_own_origin(request, origin);
}

static bool is_upgrade(struct request *request) {
    if (request_list_has(request, "upgrade", STR("websocket")))
        return true;
    reply_header(request, "Upgrade", STR("websocket"));
    reply_problem(request, 426, "This address speaks WebSocket only.");
    return false;
}

static bool is_version_13(struct request *request) {
    if (header_count(request, "sec-websocket-version") == 1 &&
        str_eq(request_header(request, "sec-websocket-version"), STR("13")))
        return true;
    reply_header(request, "Sec-WebSocket-Version", STR("13"));
    reply_problem(request, 426, "Only version 13 of the WebSocket protocol is spoken here.");
    return false;
}

bool ws_check(struct request *request, const char *wanted, struct str *protocol) {
    const char *wrong = NULL;
    if (!is_upgrade(request) || !is_version_13(request))
        return false;
    if (exchange_of(request)->is_http10)
        wrong = "HTTP/1.0 has no upgrade.";
    else if (!request_list_has(request, "connection", STR("upgrade")))
        wrong = "The Connection header does not ask for an upgrade.";
    else if (header_count(request, "sec-websocket-key") != 1 ||
             !key_is_valid(request, request_header(request, "sec-websocket-key")))
        wrong = "Sec-WebSocket-Key must be there once, with 16 bytes in base64.";
    else if (request->content.len > 0 || header_count(request, "transfer-encoding") > 0)
        wrong = "A WebSocket handshake has no body.";
    if (wrong != NULL) {
        reply_problem(request, 400, "%s", wrong);
        return false;
    }
    if (!ws_origin_is_allowed(request)) {
        reply_problem(request, 403, "Pages of this origin may not open sockets here.");
        return false;
    }
    bool is_offered = request_list_has(request, "sec-websocket-protocol", str_from(wanted));
    *protocol = is_offered ? str_from(wanted) : STR_NONE;
    return true;
}

static struct str accept_value(struct request *request) {
    struct str key = request_header(request, "sec-websocket-key");
    uint8_t digest[20];
    crypto_sha1(str_printf(request->arena, STR_FMT ACCEPT_GUID, STR_ARG(key)), digest);
    return base64_encode(request->arena, str_of((const char *)digest, sizeof(digest)));
}

static const struct conn_protocol protocol_of_conn;

bool ws_accept(struct request *request, struct ws *ws, const struct ws_handler *handler,
               const struct ws_limits *bounds, struct str protocol) {
    *ws = (struct ws){.handler = handler, .limits = bounds, .stage = OPEN};
    reply_header(request, "Sec-WebSocket-Accept", accept_value(request));
    if (protocol.at != NULL)
        reply_header(request, "Sec-WebSocket-Protocol", protocol);
    ws->conn = request_upgrade(request, "websocket", &protocol_of_conn, ws);
    return ws->conn != NULL;
}

/* --- sending ---------------------------------------------------------------------------------- */

static void send_control(struct ws *ws, enum ws_opcode opcode, struct str payload) {
    uint8_t frame[FRAME_WS_HEAD_MAX + CONTROL_PAYLOAD_BYTES];
    size_t head = frame_ws_head(frame, 0x80 | opcode, payload.len);
    if (payload.len > 0)
        memcpy(frame + head, payload.at, payload.len);
    conn_send(ws->conn, frame, head + payload.len);
}

void ws_send(struct ws *ws, bool is_text, struct str bytes) {
    if (ws->stage != OPEN)
        return;
    uint8_t head[FRAME_WS_HEAD_MAX];
    size_t len = frame_ws_head(head, 0x80 | (is_text ? WS_TEXT : WS_BINARY), bytes.len);
    conn_send(ws->conn, head, len);
    conn_send(ws->conn, bytes.at, bytes.len);
}

void ws_send_shared(struct ws *ws, struct str bytes, void (*let_go)(void *owner), void *owner) {
    if (ws->stage == OPEN)
        conn_send_shared(ws->conn, bytes, let_go, owner);
    else
        let_go(owner);
}

size_t ws_unsent_bytes(const struct ws *ws) {
    return conn_unsent_bytes(ws->conn);
}

bool ws_is_open(const struct ws *ws) {
    return ws->stage == OPEN && conn_is_open(ws->conn);
}

void ws_deadline(struct ws *ws, int64_t after_ms) {
    if (ws->stage == OPEN)
        conn_deadline(ws->conn, after_ms);
}

/* --- keep-alive ------------------------------------------------------------------------------- */

bool ws_may_ping(struct ws *ws) {
    uint32_t second = (uint32_t)(clock_mono_us() / 1000000);
    if (ws->limits->pings_per_second == 0)
        return true;
    if (second != ws->ping_second)
        ws->ping_count = 0;
    ws->ping_second = second;
    return ++ws->ping_count <= ws->limits->pings_per_second;
}

/* Also ends a close that takes for ever, because the peer reads its last bytes drop by drop. */
void ws_keep_alive(struct ws *ws) {
    if (ws->quiet_intervals >= QUIET_INTERVALS_LIMIT) {
        ws->stage = DONE;
        conn_abort(ws->conn);
        return;
    }
    ws->quiet_intervals++;
    if (ws->stage == OPEN)
        send_control(ws, WS_PING, STR_NONE);
}

/* --- closing ---------------------------------------------------------------------------------- */

static void send_close(struct ws *ws, int code, const char *reason) {
    struct str text = str_from(reason ? reason : "");
    char payload[CONTROL_PAYLOAD_BYTES];
    size_t len = text_whole_prefix(str_slice(text, 0, REASON_BYTES));
    payload[0] = (char)(code >> 8);
    payload[1] = (char)code;
    memcpy(payload + 2, text.at, len);
    send_control(ws, WS_CLOSE, str_of(payload, 2 + len));
}

void ws_close(struct ws *ws, int code, const char *reason) {
    if (ws->stage != OPEN)
        return;
    send_close(ws, code, reason);
    ws->stage = CLOSING;
    conn_deadline(ws->conn, CLOSE_WAIT_MS);
}

static void finish(struct ws *ws) {
    ws->stage = DONE;
    conn_deadline(ws->conn, 0);
    conn_close(ws->conn);
}

void ws_fail(struct ws *ws, int code, const char *reason) {
    if (ws->stage == DONE)
        return;
    if (ws->stage == OPEN)
        send_close(ws, code, reason);
    finish(ws);
}

/* The peer's Close: its code comes back (an empty one for an empty one), then TCP closes. */
static void take_close(struct ws *ws, struct str payload) {
    if (ws->stage == CLOSING) {
        finish(ws);
        return;
    }
    int code = payload.len < 2 ? 0 : (uint8_t)payload.at[0] << 8 | (uint8_t)payload.at[1];
    if (payload.len == 1 || (payload.len >= 2 && !ws_code_is_valid(code)))
        ws_fail(ws, WS_CODE_PROTOCOL, "bad close code");
    else if (!text_is_utf8(str_slice(payload, 2, payload.len)))
        ws_fail(ws, WS_CODE_NOT_UTF8, "close reason is not UTF-8");
    else {
        send_control(ws, WS_CLOSE, str_slice(payload, 0, 2));
        finish(ws);
    }
}

/* --- receiving -------------------------------------------------------------------------------- */

static void take_ping(struct ws *ws, struct str payload) {
    if (ws->stage != OPEN)
        return;
    if (!ws_may_ping(ws))
        ws_fail(ws, WS_CODE_POLICY, "too many pings");
    else if (ws_unsent_bytes(ws) < PONG_UNSENT_LIMIT)
        send_control(ws, WS_PONG, payload);
}

static bool on_control(void *ctx, enum ws_opcode opcode, struct str payload) {
    struct ws *ws = ctx;
    if (opcode == WS_PING)
        take_ping(ws, payload);
    else if (opcode == WS_CLOSE)
        take_close(ws, payload);
    return ws->stage != DONE; /* an unasked Pong is no news */
}

static bool on_message(void *ctx, bool is_text, struct str bytes) {
    struct ws *ws = ctx;
    if (ws->stage == OPEN)
        ws->handler->message(ws, is_text, bytes);
    return ws->stage != DONE;
}

static const char *reason_of(int code) {
    switch (code) {
    case WS_CODE_NOT_UTF8:
        return "text is not UTF-8";
    case WS_CODE_TOO_BIG:
        return "message too big";
    case WS_CODE_POLICY:
        return "too many fragments";
    default:
        return "protocol error";
    }
}

static void on_received(struct conn *conn, struct str bytes) {
    static const struct ws_sink sink = {on_message, on_control};
    struct ws *ws = conn_state(conn);
    ws->quiet_intervals = 0;
    if (ws->stage == DONE)
        return;
    int code = ws_read(&ws->reader, bytes, ws->limits, &sink, ws);
    if (code != 0)
        ws_fail(ws, code, reason_of(code));
}

static void on_expired(struct conn *conn) {
    struct ws *ws = conn_state(conn);
    if (ws->stage == CLOSING)
        finish(ws);
    else if (ws->stage == OPEN && ws->handler->expired != NULL)
        ws->handler->expired(ws);
}

static void on_closed(struct conn *conn) {
    struct ws *ws = conn_state(conn);
    ws->stage = DONE;
    ws_reader_release(&ws->reader);
    ws->handler->closed(ws);
}

static const struct conn_protocol protocol_of_conn = {
    .name = "websocket",
    .received = on_received,
    .expired = on_expired,
    .closed = on_closed,
};
