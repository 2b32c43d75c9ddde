/*
 * Connections: reading, the outbound queue, deadlines, closing.
 *
 * Reading. One buffer of 64 KiB serves every connection of the loop: bytes are handed to the owner
 * as they lie there, and are copied only by owners who are not finished with them. Bytes that come
 * while HTTP answers a request are put aside (`kept`); past KEPT_LIMIT_BYTES reading stops, so a
 * peer that pipelines without end waits in its own kernel.
 *
 * Writing. What is sent is queued as segments in blocks from a free list; copied bytes lie in the
 * block itself, counted references point at their owner's. A connection with something to send
 * joins the list `marked`, and at the end of the loop's turn each marked connection writes once
 * (uv_try_write, up to IOV_LIMIT segments). Only when the kernel takes less than all does a libuv
 * write request exist, to be told when there is room again.
 *
 * Time. A connection has two deadlines (its owner's, and the stall of its writes) and one small
 * timer that is only moved when a deadline comes earlier than it is set to; a deadline that moved
 * on is noticed when the timer rings. So a busy connection arms it about once in 10 s.
 *
 * Closing. conn_close: flush, shut the write side, read and drop for LINGER_MS (RFC 9112
 * section 9.6: otherwise unread bytes make the kernel reset the connection and the peer loses the
 * answer), close. conn_abort: close. Either way `closed` is called from libuv's close callback,
 * never inside.
 *
 * Invariants: after is_closing nothing is queued and no owner is given bytes; after is_gone only
 * closed() is left. A block's bytes stay until the kernel has taken them, so a pending write never
 * points at memory that was given back.
 */
#include "net/conn.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/metric.h"
#include "loop/loop.h"
#include "net/http.h"
#include "net/listener.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>
#include "base/banned.h"

#define CONN_MAGIC       0x436f6e6eu
#define READ_BYTES       (64 << 10)
#define KEPT_LIMIT_BYTES (16 << 10) /* a second request, or a burst of frames behind an upgrade */
#define LINGER_MS        2000
#define LINGER_BYTES     (4 << 20) /* a peer that is still sending more than this is cut off */
#define STALL_MS         30000
#define BLOCK_BYTES      800
#define BLOCK_SEGMENTS   6
#define BLOCKS_SPARE     256 /* 256 KiB kept for the next burst */
#define IOV_LIMIT        64
#define BUF_LIMIT_BYTES  ((size_t)1 << 30)
#define WAIT_BYTES       (256 << 10) /* one pending write: its end is the sign of progress */
#define ADDRESS_BYTES    46          /* INET6_ADDRSTRLEN */

METRIC_GAUGE(connections_open, "troupe_connections_open", "Connections that are open now.");
METRIC_COUNTER(bytes_received, "troupe_received_bytes_total", "Bytes read from peers.");
METRIC_COUNTER(bytes_sent, "troupe_sent_bytes_total", "Bytes handed to the kernel for peers.");
METRIC_COUNTER(write_stalls, "troupe_write_stalls_total", "Peers reset because they took nothing.");

/* Bytes to send: in the block itself when let_go is NULL and at points there, else somebody's. */
struct segment {
    const char *at;
    size_t len;
    void (*let_go)(void *owner);
    void *owner;
};

struct block {
    struct block *next;
    uint16_t first, count; /* segments first..count-1 are to be sent */
    uint16_t used;         /* of bytes[] */
    struct segment segments[BLOCK_SEGMENTS];
    char bytes[BLOCK_BYTES];
};

/* A write that the kernel did not take at once. */
struct wait {
    uv_write_t request;
    struct conn *conn;
    size_t bytes;
};

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
    int64_t deadline_us;
    int64_t stall_us;
    size_t stall_bytes; /* what was left when stall_us was set */
    size_t lingered_bytes;
    struct address_slot *slot;
    char address[ADDRESS_BYTES];
    union {
        uv_tcp_t tcp;
        struct test_socket test;
    };
};

static struct {
    bool is_ready;
    struct list all;
    struct list marked;
    int64_t count;
    int64_t turn_us;        /* 0: nobody has asked in this turn */
    int64_t received_bytes; /* of this turn; counters are atomic, so they are raised once */
    int64_t sent_bytes;
    struct block *spare;
    int spare_count;
    char read_bytes[READ_BYTES];
} net;

static void turn_ended(void *ctx);
static void arm(struct conn *conn);
static void flush(struct conn *conn);
static void finish(struct conn *conn);

void conn_init(void) {
    if (net.is_ready)
        return;
    list_init(&net.all);
    list_init(&net.marked);
    loop_after_turn(turn_ended, NULL);
    net.is_ready = true;
}

void conn_release(void) {
    while (net.spare != NULL) {
        struct block *block = net.spare;
        net.spare = block->next;
        free(block);
    }
    net.spare_count = 0;
    net.is_ready = false;
}

/* --- birth ------------------------------------------------------------------------------------ */

static struct conn *conn_new(void) {
    struct conn *conn = calloc(1, sizeof(*conn));
    BUG_IF(conn == NULL);
    conn->magic = CONN_MAGIC;
    conn->protocol = &http_protocol;
    list_add_last(&net.all, &conn->all);
    net.count++;
    metric_add(&connections_open, 1);
    return conn;
}

static void lend_read_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(net.read_bytes, sizeof(net.read_bytes));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf);

static void read_more(struct conn *conn) {
    if (conn->is_reading || conn->is_test || conn->is_gone || conn->has_ended)
        return;
    conn->is_reading = uv_read_start((uv_stream_t *)&conn->tcp, lend_read_buffer, on_read) == 0;
}

static void read_no_more(struct conn *conn) {
    if (!conn->is_reading)
        return;
    uv_read_stop((uv_stream_t *)&conn->tcp);
    conn->is_reading = false;
}

struct conn *conn_adopt(int fd, struct str address, struct address_slot *slot, bool is_from_proxy) {
    struct conn *conn = conn_new();
    conn->slot = slot;
    conn->is_from_proxy = is_from_proxy;
    conn_set_address(conn, address);
    BUG_IF(uv_tcp_init(loop_uv(), &conn->tcp) != 0);
    conn->tcp.data = conn;
    if (uv_tcp_open(&conn->tcp, fd) != 0) {
        close(fd);
        finish(conn);
        return NULL;
    }
    uv_tcp_nodelay(&conn->tcp,
                   1); /* answers leave whole; Nagle would only hold back the last part */
    read_more(conn);
    http_opened(conn);
    return conn;
}

/* --- what owners ask -------------------------------------------------------------------------- */

void *conn_state(const struct conn *conn) {
    return conn->state;
}

void conn_set_state(struct conn *conn, void *state) {
    conn->state = state;
}

struct str conn_address(const struct conn *conn) {
    return str_of(conn->address, conn->address_len);
}

void conn_set_address(struct conn *conn, struct str address) {
    conn->address_len = (uint8_t)(address.len < ADDRESS_BYTES ? address.len : ADDRESS_BYTES - 1);
    memcpy(conn->address, address.at, conn->address_len);
}

bool conn_is_from_proxy(const struct conn *conn) {
    return conn->is_from_proxy;
}

bool conn_is_open(const struct conn *conn) {
    return !conn->is_closing;
}

bool conn_peer_has_ended(const struct conn *conn) {
    return conn->has_ended;
}

bool conn_has_kept(const struct conn *conn) {
    return conn->kept_len > 0;
}

size_t conn_unsent_bytes(const struct conn *conn) {
    return conn->unsent_bytes;
}

int64_t conn_count(void) {
    return net.count;
}

static void mark(struct conn *conn) {
    if (!list_is_linked(&conn->marked) && !conn->is_gone)
        list_add_last(&net.marked, &conn->marked);
}

void conn_work_later(struct conn *conn) {
    conn->has_work = true;
    mark(conn);
}

void conn_await_drained(struct conn *conn) {
    conn->was_blocked = true;
    mark(conn);
}

void conn_become(struct conn *conn, const struct conn_protocol *protocol, void *state) {
    conn->protocol = protocol;
    conn->state = state;
    conn->deadline_us = 0;
}

void conn_become_stream(struct conn *conn, const struct conn_protocol *protocol, void *state,
                        bool is_chunked, bool is_last) {
    conn_become(conn, protocol, state);
    conn->is_stream = true;
    conn->is_last_stream = is_last;
    conn->is_stream_over = false;
    conn->is_chunked = is_chunked;
}

/* --- reading ---------------------------------------------------------------------------------- */

void conn_keep(struct conn *conn, struct str bytes) {
    if (bytes.len == 0)
        return;
    conn->kept = realloc(conn->kept, conn->kept_len + bytes.len);
    BUG_IF(conn->kept == NULL);
    memcpy(conn->kept + conn->kept_len, bytes.at, bytes.len);
    conn->kept_len += (uint32_t)bytes.len;
    if (conn->kept_len > KEPT_LIMIT_BYTES)
        read_no_more(conn);
}

char *conn_take_kept(struct conn *conn, size_t *len) {
    char *kept = conn->kept;
    *len = conn->kept_len;
    conn->kept = NULL;
    conn->kept_len = 0;
    if (!conn->is_paused)
        read_more(conn);
    return kept;
}

void conn_pause(struct conn *conn) {
    conn->is_paused = true;
    read_no_more(conn);
}

void conn_resume(struct conn *conn) {
    conn->is_paused = false;
    read_more(conn);
}

static void received(struct conn *conn, struct str bytes) {
    net.received_bytes += (int64_t)bytes.len;
    (void)conn_turn_us();
    if (conn->is_closing) {
        conn->lingered_bytes += bytes.len;
        if (conn->lingered_bytes > LINGER_BYTES)
            finish(conn);
    } else if (conn->is_stream || conn->kept_len > 0) {
        conn_keep(conn, bytes);
    } else {
        conn->protocol->received(conn, bytes);
    }
}

/* The peer will send no more. Of a stream nothing else tells that its listener is gone. */
static void ended(struct conn *conn) {
    conn->has_ended = true;
    read_no_more(conn);
    if (conn->is_lingering || (conn->is_stream && !conn->is_stream_over))
        finish(conn);
    else if (conn->is_closing)
        mark(conn);
    else if (conn->protocol->ended != NULL)
        conn->protocol->ended(conn);
    else
        conn_close(conn);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct conn *conn = stream->data;
    MAGIC_CHECK(conn, CONN_MAGIC);
    if (len > 0)
        received(conn, str_of(buf->base, (size_t)len));
    else if (len == UV_EOF)
        ended(conn);
    else if (len < 0)
        finish(conn);
}

/* --- the queue -------------------------------------------------------------------------------- */

static struct block *block_add(struct conn *conn) {
    struct block *block = net.spare;
    if (block != NULL) {
        net.spare = block->next;
        net.spare_count--;
    } else {
        block = malloc(sizeof(*block));
        BUG_IF(block == NULL);
    }
    block->next = NULL;
    block->first = block->count = block->used = 0;
    if (conn->last != NULL)
        conn->last->next = block;
    else
        conn->first = block;
    conn->last = block;
    return block;
}

static void block_free(struct block *block) {
    if (net.spare_count >= BLOCKS_SPARE) {
        free(block);
        return;
    }
    block->next = net.spare;
    net.spare = block;
    net.spare_count++;
}

static void block_push(struct block *block, struct segment segment) {
    block->segments[block->count++] = segment;
}

/* The lone segment gets company: it goes into a block like all others. */
static void lone_spill(struct conn *conn) {
    if (conn->lone.len == 0)
        return;
    block_push(block_add(conn), conn->lone);
    conn->lone = (struct segment){0};
}

/* True when the block's last segment ends where its copied bytes end, so that it can simply grow.
 */
static bool ends_in_copy(const struct block *block) {
    if (block->count == block->first)
        return false;
    const struct segment *last = &block->segments[block->count - 1];
    return last->let_go == NULL && last->at + last->len == block->bytes + block->used;
}

char *conn_room(struct conn *conn, size_t len) {
    if (conn->is_closing)
        return NULL;
    lone_spill(conn);
    struct block *block = conn->last;
    bool has_place = block != NULL && len <= (size_t)(BLOCK_BYTES - block->used) &&
                     (block->count < BLOCK_SEGMENTS || ends_in_copy(block));
    /* A pending write counts bytes of the queue from its front: growing a segment is fine, it
     * only has its own uv_buf_t copies. */
    if (!has_place)
        block = block_add(conn);
    return block->bytes + block->used;
}

void conn_wrote(struct conn *conn, size_t len) {
    struct block *block = conn->last;
    if (ends_in_copy(block)) {
        block->segments[block->count - 1].len += len;
    } else {
        block->segments[block->count++] =
            (struct segment){.at = block->bytes + block->used, .len = len};
    }
    block->used += (uint16_t)len;
    conn->unsent_bytes += len;
    mark(conn);
}

/* One event for a thousand idle listeners touches nothing but their own structs. */
static void queue_shared(struct conn *conn, struct str bytes, void (*let_go)(void *), void *owner) {
    struct segment segment = {.at = bytes.at, .len = bytes.len, .let_go = let_go, .owner = owner};
    if (conn->unsent_bytes == 0) {
        conn->lone = segment;
    } else {
        lone_spill(conn);
        block_push(conn->last->count < BLOCK_SEGMENTS ? conn->last : block_add(conn), segment);
    }
    conn->unsent_bytes += bytes.len;
    mark(conn);
}

/* Few bytes go into the block; many get memory of their own. */
static void queue_copy(struct conn *conn, const char *at, size_t len) {
    if (len <= BLOCK_BYTES) {
        char *room = conn_room(conn, len);
        memcpy(room, at, len);
        conn_wrote(conn, len);
        return;
    }
    char *own = malloc(len);
    BUG_IF(own == NULL);
    memcpy(own, at, len);
    queue_shared(conn, str_of(own, len), free, own);
}

static void chunk_begin(struct conn *conn, size_t len) {
    char head[20];
    int head_len = snprintf(head, sizeof(head), "%zx\r\n", len);
    queue_copy(conn, head, (size_t)head_len);
}

void conn_send(struct conn *conn, const void *bytes, size_t len) {
    if (conn->is_closing || conn->is_stream_over || len == 0)
        return;
    if (conn->is_chunked)
        chunk_begin(conn, len);
    queue_copy(conn, bytes, len);
    if (conn->is_chunked)
        queue_copy(conn, "\r\n", 2);
}

void conn_send_shared(struct conn *conn, struct str bytes, void (*let_go)(void *owner),
                      void *owner) {
    if (conn->is_closing || conn->is_stream_over || bytes.len == 0) {
        if (let_go != NULL)
            let_go(owner);
        return;
    }
    if (conn->is_chunked)
        chunk_begin(conn, bytes.len);
    const struct block *block = conn->last;
    if (block != NULL && bytes.len <= (size_t)(BLOCK_BYTES - block->used) / 2) {
        queue_copy(conn, bytes.at, bytes.len); /* one segment less costs more than it saves */
        if (let_go != NULL)
            let_go(owner);
    } else {
        queue_shared(conn, bytes, let_go, owner);
    }
    if (conn->is_chunked)
        queue_copy(conn, "\r\n", 2);
}

/* Takes `*len` bytes off the segment. True when it is used up: then its owner has been told. */
static bool segment_drop(struct segment *segment, size_t *len) {
    if (*len < segment->len) {
        segment->at += *len;
        segment->len -= *len;
        return false;
    }
    *len -= segment->len;
    segment->len = 0;
    if (segment->let_go != NULL)
        segment->let_go(segment->owner);
    return true;
}

/* Forgets the first `len` bytes of the queue: they have left. */
static void queue_drop(struct conn *conn, size_t len) {
    conn->unsent_bytes -= len;
    if (conn->lone.len > 0) {
        segment_drop(&conn->lone, &len);
        return;
    }
    while (conn->first != NULL) {
        struct block *block = conn->first;
        for (; block->first < block->count; block->first++)
            if (!segment_drop(&block->segments[block->first], &len))
                return;
        conn->first = block->next;
        if (conn->first == NULL)
            conn->last = NULL;
        block_free(block);
    }
}

/* One buffer for the kernel, at most a gigabyte. False when that is not the whole segment. */
static bool segment_gather(const struct segment *segment, uv_buf_t *buf, size_t *bytes) {
    size_t len = segment->len < BUF_LIMIT_BYTES ? segment->len : BUF_LIMIT_BYTES;
    *buf = uv_buf_init((char *)(uintptr_t)segment->at, (unsigned)len);
    *bytes += len;
    return len == segment->len;
}

static unsigned queue_gather(const struct conn *conn, uv_buf_t *bufs, size_t limit, size_t *bytes) {
    unsigned count = 0;
    *bytes = 0;
    if (conn->lone.len > 0) {
        (void)segment_gather(&conn->lone, bufs, bytes);
        return 1;
    }
    for (const struct block *block = conn->first; block != NULL; block = block->next)
        for (unsigned i = block->first; i < block->count; i++)
            if (count == IOV_LIMIT || *bytes >= limit ||
                !segment_gather(&block->segments[i], &bufs[count++], bytes))
                return count;
    return count;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void on_written(uv_write_t *request, int status) {
    struct wait *wait = CONTAINER_OF(request, struct wait, request);
    struct conn *conn = wait->conn;
    size_t bytes = wait->bytes;
    free(wait);
    conn->wait = NULL;
    if (conn->is_gone)
        return;
    if (status < 0) {
        finish(conn);
        return;
    }
    net.sent_bytes += (int64_t)bytes;
    (void)conn_turn_us();
    queue_drop(conn, bytes);
    flush(conn);
}

/* The kernel's buffer is full: libuv tells when more fits. */
static void wait_for_room(struct conn *conn) {
    uv_buf_t bufs[IOV_LIMIT];
    struct wait *wait = malloc(sizeof(*wait));
    BUG_IF(wait == NULL);
    wait->conn = conn;
    unsigned count = queue_gather(conn, bufs, WAIT_BYTES, &wait->bytes);
    conn->wait = wait;
    conn->was_blocked = true;
    if (uv_write(&wait->request, (uv_stream_t *)&conn->tcp, bufs, count, on_written) != 0) {
        conn->wait = NULL;
        free(wait);
        finish(conn);
        return;
    }
    conn->stall_us = clock_mono_us() + STALL_MS * INT64_C(1000);
    conn->stall_bytes = conn->unsent_bytes + 1; /* anything less is progress */
    arm(conn);
}

static void write_test(struct conn *conn) {
    uv_buf_t bufs[IOV_LIMIT];
    size_t bytes;
    while (conn->unsent_bytes > 0) {
        unsigned count = queue_gather(conn, bufs, SIZE_MAX, &bytes);
        for (unsigned i = 0; i < count; i++)
            conn->test.sink(conn->test.ctx, str_of(bufs[i].base, bufs[i].len));
        queue_drop(conn, bytes);
    }
}

/* Writes what is queued as far as the kernel takes it. */
static void write_queue(struct conn *conn) {
    uv_buf_t bufs[IOV_LIMIT];
    size_t bytes;
    if (conn->is_test)
        write_test(conn);
    while (conn->unsent_bytes > 0 && conn->wait == NULL) {
        unsigned count = queue_gather(conn, bufs, SIZE_MAX, &bytes);
        int taken = uv_try_write((uv_stream_t *)&conn->tcp, bufs, count);
        if (taken < 0 && taken != UV_EAGAIN) {
            finish(conn);
            return;
        }
        if (taken < 0)
            taken = 0;
        net.sent_bytes += taken;
        queue_drop(conn, (size_t)taken);
        if ((size_t)taken < bytes)
            wait_for_room(conn);
    }
}

/* Everything has left and nothing will follow: shut our side, and wait for the peer's. */
static void linger(struct conn *conn) {
    if (conn->is_test || conn->has_ended) {
        finish(conn);
        return;
    }
    int fd;
    conn->is_lingering = true;
    if (uv_fileno((const uv_handle_t *)&conn->tcp, &fd) == 0)
        shutdown(fd, SHUT_WR);
    read_more(conn);
    conn->deadline_us = clock_mono_us() + LINGER_MS * INT64_C(1000);
    arm(conn);
}

static void flush(struct conn *conn) {
    if (conn->is_gone)
        return;
    write_queue(conn);
    if (conn->unsent_bytes > 0 || conn->is_gone)
        return;
    conn->stall_us = 0;
    if (conn->is_closing && !conn->is_lingering)
        linger(conn);
    if (conn->was_blocked) {
        conn->was_blocked = false;
        if (!conn->is_closing && conn->protocol->drained != NULL)
            conn->protocol->drained(conn);
    }
}

/* --- the end of a turn ------------------------------------------------------------------------ */

static void stream_is_over(struct conn *conn) {
    conn->is_stream = conn->is_stream_over = false;
    if (conn->protocol->closed != NULL)
        conn->protocol->closed(conn);
    conn_become(conn, &http_protocol, NULL);
    if (conn->is_last_stream)
        conn_close(conn);
}

/* Bytes that came behind an upgrade go to their new owner, once. */
static void deliver_kept(struct conn *conn) {
    size_t len;
    char *kept = conn_take_kept(conn, &len);
    if (len > 0)
        conn->protocol->received(conn, str_of(kept, len));
    free(kept);
}

static void work(struct conn *conn) {
    if (conn->has_work && !conn->is_closing) {
        conn->has_work = false;
        if (conn->is_stream_over)
            stream_is_over(conn);
        if (conn->is_closing)
            ; /* the stream was the last answer */
        else if (conn->protocol == &http_protocol)
            http_continue(conn);
        else if (!conn->is_stream)
            deliver_kept(conn);
    }
    flush(conn);
}

/* What callbacks of this turn queued leaves now. Work may mark again (a pipelined request). */
static void turn_ended(void *ctx) {
    (void)ctx;
    while (!list_is_empty(&net.marked)) {
        struct conn *conn = CONTAINER_OF(net.marked.next, struct conn, marked);
        list_remove(&conn->marked);
        work(conn);
    }
    if (net.turn_us == 0)
        return; /* nothing of ours happened */
    net.turn_us = 0;
    metric_add(&bytes_received, net.received_bytes);
    metric_add(&bytes_sent, net.sent_bytes);
    net.received_bytes = net.sent_bytes = 0;
    http_turn_ended();
}

int64_t conn_turn_us(void) {
    if (net.turn_us == 0)
        net.turn_us = clock_mono_us();
    return net.turn_us;
}

/* --- time ------------------------------------------------------------------------------------- */

/* True when the kernel took nothing since stall_us was set; else the next look is set. */
static bool is_stalled(struct conn *conn) {
    size_t left = conn->unsent_bytes;
    if (conn->wait != NULL)
        left = left - conn->wait->bytes + uv_stream_get_write_queue_size((uv_stream_t *)&conn->tcp);
    if (left >= conn->stall_bytes)
        return true;
    conn->stall_bytes = left;
    conn->stall_us = clock_mono_us() + STALL_MS * INT64_C(1000);
    return false;
}

static void expired(struct conn *conn) {
    conn->deadline_us = 0;
    if (conn->is_lingering)
        finish(conn);
    else if (conn->is_closing)
        return; /* still writing: the stall decides */
    else if (conn->protocol->expired != NULL)
        conn->protocol->expired(conn);
    else
        conn_close(conn);
}

static void rang(void *ctx) {
    struct conn *conn = ctx;
    MAGIC_CHECK(conn, CONN_MAGIC);
    int64_t now = clock_mono_us();
    if (conn->stall_us != 0 && now >= conn->stall_us && is_stalled(conn)) {
        metric_add(&write_stalls, 1);
        finish(conn);
    } else if (conn->deadline_us != 0 && now >= conn->deadline_us) {
        expired(conn);
    }
    arm(conn);
}

static void arm(struct conn *conn) {
    int64_t soonest = conn->deadline_us;
    if (conn->stall_us != 0 && (soonest == 0 || conn->stall_us < soonest))
        soonest = conn->stall_us;
    if (soonest == 0 || conn->is_gone || conn->is_test)
        return;
    if (timer_is_armed(&conn->timer) && conn->timer.due_us <= (uint64_t)soonest)
        return;
    int64_t after_ms = (soonest - clock_mono_us() + 999) / 1000;
    timer_start(&conn->timer, after_ms > 0 ? after_ms : 0, rang, conn);
}

void conn_deadline(struct conn *conn, int64_t after_ms) {
    if (conn->is_closing)
        return;
    conn->deadline_us = after_ms == 0 ? 0 : conn_turn_us() + after_ms * 1000;
    arm(conn);
}

/* --- ends ------------------------------------------------------------------------------------- */

void conn_stream_end(struct conn *conn) {
    if (conn->is_closing || conn->is_stream_over)
        return;
    if (!conn->is_chunked) { /* HTTP/1.0: the close is the end of the body */
        conn_close(conn);
        return;
    }
    queue_copy(conn, "0\r\n\r\n", 5);
    conn->is_chunked = false;
    conn->is_stream_over = true;
    conn_work_later(conn);
}

void conn_close(struct conn *conn) {
    if (conn->is_closing)
        return;
    conn->is_closing = true;
    conn->deadline_us = 0;
    if (!conn->is_lingering)
        read_more(conn); /* or a stopped reader would never learn that the peer left */
    mark(conn);
}

void conn_abort(struct conn *conn) {
    finish(conn);
}

static void last_rites(struct conn *conn) {
    if (conn->protocol->closed != NULL)
        conn->protocol->closed(conn);
    queue_drop(conn, conn->unsent_bytes);
    list_remove(&conn->all);
    list_remove(&conn->marked);
    free(conn->kept);
    net.count--;
    metric_add(&connections_open, -1);
    if (!conn->is_test)
        listener_forget(conn->slot);
    conn->magic = 0;
    free(conn);
}

static void on_closed(uv_handle_t *handle) {
    struct conn *conn = handle->data;
    MAGIC_CHECK(conn, CONN_MAGIC);
    last_rites(conn);
}

static void finish(struct conn *conn) {
    if (conn->is_gone)
        return;
    conn->is_closing = conn->is_gone = true;
    list_remove(&conn->marked);
    timer_stop(&conn->timer);
    if (!conn->is_test)
        uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

void conn_close_idle(void) {
    LIST_EACH_SAFE(&net.all, node) {
        struct conn *conn = CONTAINER_OF(node, struct conn, all);
        if (conn->protocol == &http_protocol && conn->state == NULL && conn->kept_len == 0)
            conn_close(conn);
    }
}

void conn_close_all(void) {
    LIST_EACH_SAFE(&net.all, node) {
        struct conn *conn = CONTAINER_OF(node, struct conn, all);
        conn->has_ended = true; /* nobody lingers: the process is going */
        if (conn->unsent_bytes == 0)
            finish(conn);
        else
            conn_close(conn);
    }
}

/* --- without a socket ------------------------------------------------------------------------- */

struct conn *conn_test_new(void (*sink)(void *ctx, struct str bytes), void *ctx) {
    http_init();
    struct conn *conn = conn_new();
    conn->is_test = true;
    conn->test = (struct test_socket){.sink = sink, .ctx = ctx};
    conn_set_address(conn, STR("192.0.2.1"));
    http_opened(conn);
    return conn;
}

void conn_test_feed(struct conn *conn, struct str bytes) {
    if (conn->is_gone || conn->has_ended)
        return;
    if (bytes.len == 0)
        ended(conn);
    else
        received(conn, bytes);
}

void conn_test_from(struct conn *conn, struct str address, bool is_proxy) {
    conn_set_address(conn, address);
    conn->is_from_proxy = is_proxy;
}

void conn_test_flush(struct conn *conn) {
    (void)conn;
    turn_ended(NULL);
}

void conn_test_free(struct conn *conn) {
    finish(conn);
    last_rites(conn);
}
