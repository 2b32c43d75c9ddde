/*
 * One connection: who gets the bytes that arrive, and one bounded queue for the bytes that leave.
 *
 * A connection begins with HTTP (http.c). A request may turn it into something else for good
 * (request_upgrade: WebSocket) or for the length of one answer (request_stream: server-sent
 * events); the new protocol is a struct of functions and a pointer. What is queued during a turn of
 * the loop leaves in one writev per connection at its end. Queued bytes are either copied
 * (conn_send) or counted references of the caller (conn_send_shared), so that one event for a
 * thousand listeners exists once.
 *
 * An idle connection owns this struct (under 512 bytes with libuv's own) and nothing else: queue
 * blocks, parsers and arenas are borrowed from free lists while there is something to do. Loop
 * thread only; no function here calls a protocol's function before it returns.
 */
#pragma once

#include "base/str.h"

#include <stddef.h>

struct conn;
struct request;

#define CONN_ADDRESS_BYTES 46 /* an address as text: INET6_ADDRSTRLEN */

/* Whoever owns the bytes of a connection. Tables are static; a function that is NULL is not called.
 */
struct conn_protocol {
    const char *name;
    /* Bytes came; they are borrowed for the call and all count as taken. Not called after
     * conn_close(). Required for upgrades, unused for streams. */
    void (*received)(struct conn *conn, struct str bytes);
    /* The peer has finished sending. NULL: the connection is closed at once. */
    void (*ended)(struct conn *conn);
    /* The moment set by conn_deadline() has passed (once; set it again for the next). NULL: the
     * connection is closed. */
    void (*expired)(struct conn *conn);
    /* The queue is empty again after a write that could not be finished at once. */
    void (*drained)(struct conn *conn);
    /* The last call, exactly once: the connection is gone (or, after conn_stream_end, is HTTP's
     * again). Free the state here. */
    void (*closed)(struct conn *conn);
};

void *conn_state(const struct conn *conn); /* the pointer given with the protocol */
/* The client's address as text, after trusted proxies as the request saw it. Borrowed for the life
 * of the connection. */
struct str conn_address(const struct conn *conn);
/* False as soon as a close has begun; what is sent from then on is dropped. */
bool conn_is_open(const struct conn *conn);

/* Queues a copy. */
void conn_send(struct conn *conn, const void *bytes, size_t len);
/*
 * Queues bytes of the caller without a copy: the connection calls let_go(owner) exactly once, when
 * they have left or will never leave (possibly before this returns, when they were few and have
 * been copied). Take a reference before the call.
 */
void conn_send_shared(struct conn *conn, struct str bytes, void (*let_go)(void *owner),
                      void *owner);
/* Bytes queued and not yet taken by the kernel. The caller keeps this bounded; a peer that takes
 * nothing for 30 s is reset by itself. */
size_t conn_unsent_bytes(const struct conn *conn);

/* Calls protocol->expired once, after_ms from now. Replaces the one before; 0 takes it back. Costs
 * one store, not a timer. */
void conn_deadline(struct conn *conn, int64_t after_ms);
/* Stops reading from the peer, and goes on: back-pressure. */
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);

/*
 * Closes in stages (RFC 9112 section 9.6): what is queued leaves, the write side is shut, up to 2 s
 * of the peer's bytes are read and dropped, then the socket closes. `closed` comes later.
 */
void conn_close(struct conn *conn);
/* Drops what is queued and closes now. `closed` comes later. */
void conn_abort(struct conn *conn);

/*
 * 101 Switching Protocols with what reply_header() has added (Upgrade, Connection and the house's
 * own headers are written here; `upgrade_to` is the value of Upgrade, a literal). The request
 * counts as answered and is gone; its parser and arena are given back. Bytes that came behind the
 * request are given to protocol->received soon after this returns. NULL when the peer has left:
 * then the request is gone as well, and `closed` will not be called.
 */
struct conn *request_upgrade(struct request *request, const char *upgrade_to,
                             const struct conn_protocol *protocol, void *state);

/*
 * Begins an answer of unknown length: head with status, content type and what reply_header() has
 * added; then everything given to conn_send/conn_send_shared is the body (chunked for HTTP/1.1, up
 * to the close for 1.0: the sender need not know). The request counts as answered and is gone.
 * While the stream runs, reading goes on only to learn that the peer left. NULL when the peer has
 * left or only asked for the head: then `closed` will not be called.
 */
struct conn *request_stream(struct request *request, int status, struct str content_type,
                            const struct conn_protocol *protocol, void *state);
/* Ends the stream's body as whole; `closed` comes later and the connection serves the next request.
 * conn_close() instead shows the peer a broken body. */
void conn_stream_end(struct conn *conn);

/*
 * A connection without a socket, for unit tests and fuzzers: what it would write goes to sink(ctx,
 * bytes) at conn_test_flush(), conn_test_feed() plays the peer's bytes (empty: the peer has
 * finished sending). It begins with HTTP. Needs loop_init(); conn_test_free() ends it, `closed`
 * runs before it returns.
 */
struct conn *conn_test_new(void (*sink)(void *ctx, struct str bytes), void *ctx);
void conn_test_feed(struct conn *conn, struct str bytes);
/* Another address, or a proxy that is trusted. */
void conn_test_from(struct conn *conn, struct str address, bool is_proxy);
void conn_test_flush(struct conn *conn);
void conn_test_free(struct conn *conn);

/* --- for http.c and listener.c ---------------------------------------------------------------- */
struct sockaddr;
struct address_slot;

void conn_init(void);    /* after loop_init(); again is fine */
void conn_release(void); /* gives the free lists back; every connection is gone */
/* Takes over an accepted socket; NULL when that fails (it is closed then). `slot` is the listener's
 * count for the peer's address, NULL for none; it goes back by listener_forget(). */
struct conn *conn_adopt(int fd, struct str address, struct address_slot *slot, bool is_from_proxy);
bool conn_is_from_proxy(const struct conn *conn);
void conn_set_address(struct conn *conn, struct str address); /* what a trusted proxy says */
void conn_set_state(struct conn *conn, void *state);
/* Another owner from now on. Chunked: everything sent is wrapped as chunks until the stream ends.
 */
void conn_become(struct conn *conn, const struct conn_protocol *protocol, void *state);
/* is_last: the connection closes when the stream has ended. */
void conn_become_stream(struct conn *conn, const struct conn_protocol *protocol, void *state,
                        bool is_chunked, bool is_last);
/* Puts bytes aside for later; past 16 KiB reading stops until they are taken. */
void conn_keep(struct conn *conn, struct str bytes);
/* Hands the bytes put aside to the caller, who frees them; len 0 when there are none. */
char *conn_take_kept(struct conn *conn, size_t *len);
/* Calls http_continue(), or delivers what was kept, at the end of this turn of the loop. */
void conn_work_later(struct conn *conn);
bool conn_peer_has_ended(const struct conn *conn);
bool conn_has_kept(const struct conn *conn);
/* Asks for protocol->drained once the queue is empty, also when nothing blocks it now. */
void conn_await_drained(struct conn *conn);
/* Room for at least `len` bytes at the end of the queue (at most CONN_ROOM_BYTES), then how many
 * were written there. NULL when closing. */
char *conn_room(struct conn *conn, size_t len);
void conn_wrote(struct conn *conn, size_t len);
#define CONN_ROOM_BYTES 768
int64_t conn_count(void);
/* The monotonic clock as it was when this turn of the loop was first asked: one look at the clock for all requests of a turn. */
int64_t conn_turn_us(void);
/* Closes connections that are between two requests; for the start of a stop. */
void conn_close_idle(void);
/* Closes every connection, for the end of a stop: what is queued still leaves, nobody lingers. */
void conn_close_all(void);
