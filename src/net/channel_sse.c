/*
 * Server-sent events (HTML standard, section 9.2) as a carrier: an answer that does not end. One
 * channel follows one subject; a client resumes with Last-Event-ID, which is the seq of the last
 * event it saw.
 *
 * The stream begins with `retry:`, so that a browser comes back after RETRY_MS instead of its own
 * idea of it. A client that does not read is cut off without its queue: what it missed is in the
 * ring of the room, and it will ask.
 */
#include "net/carrier.h"

#include "base/check.h"
#include "loop/loop.h"
#include "net/conn.h"

#include <stdlib.h>

#include "base/banned.h"

#define RETRY_LINES "retry: 2000\n\n"
#define AWAKE_LINES ":\n\n"

struct sse {
    struct channel channel; /* first: a channel of this carrier is its struct sse */
    struct conn *conn;
};

static struct sse *sse_of(const struct channel *channel) {
    return (struct sse *)(uintptr_t)channel;
}

static void let_go(void *owner) {
    frame_let_go(owner);
}

static void sse_send(struct channel *channel, struct frame *frame) {
    conn_send_shared(sse_of(channel)->conn, frame_sse(frame), let_go, frame_hold(frame));
}

static size_t sse_unsent_bytes(const struct channel *channel) {
    const struct sse *sse = sse_of(channel);
    return sse->conn == NULL ? 0 : conn_unsent_bytes(sse->conn);
}

static void sse_close(struct channel *channel, int code, const char *reason, bool is_stuck) {
    (void)code;
    (void)reason;
    if (is_stuck)
        conn_abort(sse_of(channel)->conn);
    else
        conn_stream_end(sse_of(channel)->conn);
}

static void sse_keep_alive(struct channel *channel) {
    if (channel->is_open)
        conn_send(sse_of(channel)->conn, AWAKE_LINES, sizeof(AWAKE_LINES) - 1);
}

static const struct carrier sse_carrier = {
    .name = "sse",
    .is_single = true,
    .send = sse_send,
    .unsent_bytes = sse_unsent_bytes,
    .close = sse_close,
    .keep_alive = sse_keep_alive,
};

static void on_closed(struct conn *conn) {
    struct sse *sse = conn_state(conn);
    channel_gone(&sse->channel);
    free(sse);
}

static const struct conn_protocol sse_protocol = {.name = "sse", .closed = on_closed};

/* --- the beginning ---------------------------------------------------------------------------- */

static void gone_at_once(void *ctx) {
    struct sse *sse = ctx;
    channel_gone(&sse->channel);
    free(sse);
}

/* The peer left while its request waited, or asked for the head alone. Owners need not know: theirs is
 * a channel that has closed already. */
static void be_gone(struct sse *sse) {
    sse->channel.is_open = false;
    loop_later(gone_at_once, sse);
}

struct channel *channel_from_request(struct request *request, const struct channel_owner *owner) {
    struct sse *sse = calloc(1, sizeof(*sse));
    if (sse == NULL)
        BUG("out of memory: an event stream");
    struct caller caller = request->caller; /* the request is gone after request_stream() */
    reply_header(request, "Cache-Control", STR("no-store"));
    reply_header(request, "X-Accel-Buffering", STR("no"));
    sse->conn = request_stream(request, 200, STR("text/event-stream"), &sse_protocol, sse);
    channel_begin(&sse->channel, &sse_carrier, owner, &caller);
    if (sse->conn == NULL)
        be_gone(sse);
    else
        conn_send(sse->conn, RETRY_LINES, sizeof(RETRY_LINES) - 1);
    return &sse->channel;
}
