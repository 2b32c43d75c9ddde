/*
 * WebSocket (RFC 6455) on a connection: handshake, messages, keep-alive, the closing handshake.
 * What the messages mean is the owner's business (channel_ws.c; Socket.IO will be another owner).
 *
 * The struct is the owner's, embedded in its own state. No permessage-deflate: it is declined.
 */
#pragma once

#include "net/conn.h"
#include "net/request.h"
#include "net/ws_frame.h"

struct ws;

/* What the owner is told; NULL members are left out. */
struct ws_handler {
    /* A whole message. Not called any more once a close has begun. */
    void (*message)(struct ws *ws, bool is_text, struct str bytes);
    /* The moment set with ws_deadline() has passed. */
    void (*expired)(struct ws *ws);
    /* The last call, exactly once: the socket is gone, the struct may be freed. */
    void (*closed)(struct ws *ws);
};

struct ws {
    struct conn *conn;
    const struct ws_handler *handler;
    const struct ws_limits *limits; /* may be changed between messages */
    struct ws_reader reader;
    uint32_t ping_second; /* the second of the clock in which pings are being counted */
    uint16_t ping_count;
    uint8_t quiet_intervals; /* keep-alives since the peer was last heard */
    uint8_t stage;
};

/*
 * Checks the handshake of RFC 6455 section 4.2 and that the page it comes from may open sockets
 * (ws_origin_is_allowed). False: the answer has been sent. Sets *protocol to `wanted` when the
 * client offers that subprotocol, else to STR_NONE.
 */
bool ws_check(struct request *request, const char *wanted, struct str *protocol);
/*
 * Answers a checked request with 101; from then on `handler` is called. False: the peer has left,
 * the request is gone and nothing will be called.
 */
MUST_USE bool ws_accept(struct request *request, struct ws *ws, const struct ws_handler *handler,
                        const struct ws_limits *bounds, struct str protocol);
/* The page's Origin is our own, the public one, or listed; or there is none (no browser sent this).
 */
bool ws_origin_is_allowed(const struct request *request);

void ws_send(struct ws *ws, bool is_text, struct str bytes);
/* Bytes that already have their head (struct frame); see conn_send_shared(). */
void ws_send_shared(struct ws *ws, struct str bytes, void (*let_go)(void *owner), void *owner);
size_t ws_unsent_bytes(const struct ws *ws);
bool ws_is_open(const struct ws *ws);
/* Calls handler->expired once, after_ms from now; 0 takes it back. */
void ws_deadline(struct ws *ws, int64_t after_ms);
/* Counts a ping, of the protocol or of the application: false when there were too many in this
 * second. */
bool ws_may_ping(struct ws *ws);
/* To be called every 25 s or so: pings, and gives up on a peer that has been silent for two calls.
 */
void ws_keep_alive(struct ws *ws);
/* Begins the closing handshake: Close with code and reason (at most 123 bytes, longer ones are
 * cut), then up to 5 s for the peer's. */
void ws_close(struct ws *ws, int code, const char *reason);
/* Sends Close behind what is queued and does not wait for the peer's: for those that do not behave,
 * or do not read. */
void ws_fail(struct ws *ws, int code, const char *reason);
