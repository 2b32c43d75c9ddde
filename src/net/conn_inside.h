/*
 * What the files of connections know of one, and nobody else does.
 *
 *   conn.c        its life: birth, reading, the end of a turn, deadlines, closing
 *   conn_queue.c  what is to be sent: segments, blocks, chunks
 *   conn_write.c  the queue on its way to the kernel, and how long it may stall there
 *   conn_test.c   a connection without a socket
 *
 * Loop thread only.
 */
#pragma once

#include "base/list.h"
#include "loop/loop.h"
#include "net/conn.h"

#include <uv.h>

#define CONN_MAGIC     0x436f6e6eu
#define CONN_IOV_LIMIT 64 /* buffers of one write */

/* Bytes to send: copied into a block when let_go is NULL, else somebody's who is told when they have
 * left. */
struct segment {
    const char *at;
    size_t len;
    void (*let_go)(void *owner);
    void *owner;
};

struct block; /* conn_queue.c */
struct wait;  /* conn_write.c */

struct test_socket {
    void (*sink)(void *ctx, struct str bytes);
    void *ctx;
};

struct conn {
    uint32_t magic;
    bool is_test : 1;
    bool is_reading : 1;
    bool is_paused : 1;    /* by its owner */
    bool is_closing : 1;   /* nothing more is queued */
    bool is_lingering : 1; /* our side is shut */
    bool is_gone : 1;      /* uv_close has been called */
    bool has_ended : 1;    /* the peer's side is shut */
    bool is_stream : 1;    /* an answer of unknown length is under way */
    bool is_stream_over : 1;
    bool is_last_stream : 1; /* the connection closes behind it */
    bool is_chunked : 1;
    bool has_work : 1;    /* http_continue or delivery of what was kept, at the turn's end */
    bool was_blocked : 1; /* the owner is to be told when the queue is empty */
    bool is_from_proxy : 1;
    uint8_t address_len;
    uint32_t kept_len;
    const struct conn_protocol *protocol;
    void *state;
    struct list all;
    struct list marked;
    struct segment lone; /* the whole queue, when it is one segment of somebody's bytes */
    struct block *first, *last;
    size_t unsent_bytes; /* 0: the queue is empty */
    struct wait *wait;
    char *kept;
    struct timer timer;
    int64_t deadline_us; /* of its owner; 0: none */
    int64_t stall_us;    /* then a write must have got on; 0: nothing is being written */
    size_t stall_bytes;  /* what was left when stall_us was set */
    size_t lingered_bytes;
    struct address_slot *slot;
    char address[CONN_ADDRESS_BYTES];
    union {
        uv_tcp_t tcp;
        struct test_socket test;
    };
};

/* Of all connections. */
struct conn_all {
    bool is_ready;
    struct list all;
    struct list marked; /* to be written, or to be worked on, when this turn of the loop ends */
    int64_t count;
    int64_t turn_us;        /* 0: nobody has asked in this turn */
    int64_t received_bytes; /* of this turn; counters are atomic, so they are raised once */
    int64_t sent_bytes;
};
extern struct conn_all conn_all;

/* Looks at it when this turn of the loop ends. */
static inline void conn_mark(struct conn *conn) {
    if (!list_is_linked(&conn->marked) && !conn->is_gone)
        list_add_last(&conn_all.marked, &conn->marked);
}

/* --- conn.c ------------------------------------------------------------------------------------- */

struct conn *conn_new(void); /* speaks HTTP, has no socket yet */
/* Bytes have come; the peer will send no more. */
void conn_received(struct conn *conn, struct str bytes);
void conn_ended(struct conn *conn);
/* Writes what is queued; when all has left, goes on with what waited for that. */
void conn_flush(struct conn *conn);
/* A turn of the loop is over: what is marked works and is flushed. */
void conn_turn_ended(void *ctx);
/* Sets the timer anew after a deadline that may come earlier. */
void conn_arm(struct conn *conn);
/* Its owner is told, then it is freed; the socket is closed. */
void conn_last_rites(struct conn *conn);

/* --- conn_queue.c ------------------------------------------------------------------------------- */

/* The first bytes of the queue for the kernel, `limit` of them or a segment more, in up to
 * CONN_IOV_LIMIT buffers; gives their number, and how many bytes they hold. */
unsigned conn_queue_gather(const struct conn *conn, uv_buf_t *bufs, size_t limit, size_t *bytes);
/* Forgets the first `len` bytes: they have left, or never will. */
void conn_queue_drop(struct conn *conn, size_t len);
void conn_queue_release(void); /* gives spare blocks back */

/* --- conn_write.c ------------------------------------------------------------------------------- */

/* As far as the kernel takes it; for the rest it waits (conn->wait). */
void conn_write_queue(struct conn *conn);
/* True when the kernel took nothing since stall_us was set; else the next look is set. */
bool conn_is_stalled(struct conn *conn);

/* --- conn_test.c -------------------------------------------------------------------------------- */

void conn_test_write(struct conn *conn); /* everything, to the sink */
