/*
 * The life of a connection: birth, reading, the end of a turn, deadlines, closing. What leaves is
 * conn_queue.c and conn_write.c.
 *
 * Reading. One buffer of 64 KiB serves every connection of the loop: bytes are handed to the owner
 * as they lie there, and are copied only by owners who are not finished with them. Bytes that come
 * while HTTP answers a request are put aside (`kept`); past KEPT_LIMIT_BYTES reading stops, so a
 * peer that pipelines without end waits in its own kernel.
 *
 * The end of a turn. A connection with something to send or to go on with joins the list `marked`,
 * and when the loop's turn ends each marked connection works and writes once.
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
 * Invariants: after is_closing no owner is given bytes; after is_gone only closed() is left.
 */
#include "net/conn.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/metric.h"
#include "net/conn_inside.h"
#include "net/http.h"
#include "net/listener.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/banned.h"

#define READ_BYTES       (64 << 10)
#define KEPT_LIMIT_BYTES (16 << 10) /* a second request, or a burst of frames behind an upgrade */
#define LINGER_MS        2000
#define LINGER_BYTES     (4 << 20) /* a peer that is still sending more than this is cut off */

METRIC_GAUGE(connections_open, "troupe_connections_open", "Connections that are open now.");
METRIC_COUNTER(bytes_received, "troupe_received_bytes_total", "Bytes read from peers.");
METRIC_COUNTER(bytes_sent, "troupe_sent_bytes_total", "Bytes handed to the kernel for peers.");
METRIC_COUNTER(write_stalls, "troupe_write_stalls_total", "Peers reset because they took nothing.");

struct conn_all conn_all;
static char read_bytes[READ_BYTES];

void conn_init(void) {
    if (conn_all.is_ready)
        return;
    list_init(&conn_all.all);
    list_init(&conn_all.marked);
    loop_after_turn(conn_turn_ended, NULL);
    conn_all.is_ready = true;
}

void conn_release(void) {
    conn_queue_release();
    conn_all.is_ready = false;
}

/* --- birth ------------------------------------------------------------------------------------ */

struct conn *conn_new(void) {
    struct conn *conn = calloc(1, sizeof(*conn));
    BUG_IF(conn == NULL);
    conn->magic = CONN_MAGIC;
    conn->protocol = &http_protocol;
    list_add_last(&conn_all.all, &conn->all);
    conn_all.count++;
    metric_add(&connections_open, 1);
    return conn;
}

static void lend_read_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(read_bytes, sizeof(read_bytes));
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
        conn_abort(conn);
        return NULL;
    }
    uv_tcp_nodelay(&conn->tcp, 1); /* answers leave whole; Nagle would hold back the last part */
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
    conn->address_len =
        (uint8_t)(address.len < CONN_ADDRESS_BYTES ? address.len : CONN_ADDRESS_BYTES - 1);
    memmove(conn->address, address.at, conn->address_len); /* it may be its own */
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

int64_t conn_count(void) {
    return conn_all.count;
}

void conn_await_drained(struct conn *conn) {
    conn->was_blocked = true;
    conn_mark(conn);
}

void conn_work_later(struct conn *conn) {
    conn->has_work = true;
    conn_mark(conn);
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

void conn_received(struct conn *conn, struct str bytes) {
    conn_all.received_bytes += (int64_t)bytes.len;
    (void)conn_turn_us();
    if (conn->is_closing) {
        conn->lingered_bytes += bytes.len;
        if (conn->lingered_bytes > LINGER_BYTES)
            conn_abort(conn);
    } else if (conn->is_stream || conn->kept_len > 0) {
        conn_keep(conn, bytes);
    } else {
        conn->protocol->received(conn, bytes);
    }
}

/* Of a stream nothing else tells that its listener is gone. */
void conn_ended(struct conn *conn) {
    conn->has_ended = true;
    read_no_more(conn);
    if (conn->is_lingering || (conn->is_stream && !conn->is_stream_over))
        conn_abort(conn);
    else if (conn->is_closing)
        conn_mark(conn);
    else if (conn->protocol->ended != NULL)
        conn->protocol->ended(conn);
    else
        conn_close(conn);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct conn *conn = stream->data;
    MAGIC_CHECK(conn, CONN_MAGIC);
    if (len > 0)
        conn_received(conn, str_of(buf->base, (size_t)len));
    else if (len == UV_EOF)
        conn_ended(conn);
    else if (len < 0)
        conn_abort(conn);
}

/* --- the end of a turn ------------------------------------------------------------------------ */

/* Everything has left and nothing will follow: shut our side, and wait for the peer's. */
static void linger(struct conn *conn) {
    if (conn->is_test || conn->has_ended) {
        conn_abort(conn);
        return;
    }
    int fd;
    conn->is_lingering = true;
    if (uv_fileno((const uv_handle_t *)&conn->tcp, &fd) == 0)
        shutdown(fd, SHUT_WR);
    read_more(conn);
    conn->deadline_us = clock_mono_us() + LINGER_MS * INT64_C(1000);
    conn_arm(conn);
}

void conn_flush(struct conn *conn) {
    if (conn->is_gone)
        return;
    conn_write_queue(conn);
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
    conn_flush(conn);
}

/* Work may mark again (a pipelined request). */
void conn_turn_ended(void *ctx) {
    (void)ctx;
    while (!list_is_empty(&conn_all.marked)) {
        struct conn *conn = CONTAINER_OF(conn_all.marked.next, struct conn, marked);
        list_remove(&conn->marked);
        work(conn);
    }
    if (conn_all.turn_us == 0)
        return; /* nothing of ours happened */
    conn_all.turn_us = 0;
    metric_add(&bytes_received, conn_all.received_bytes);
    metric_add(&bytes_sent, conn_all.sent_bytes);
    conn_all.received_bytes = conn_all.sent_bytes = 0;
    http_turn_ended();
}

int64_t conn_turn_us(void) {
    if (conn_all.turn_us == 0)
        conn_all.turn_us = clock_mono_us();
    return conn_all.turn_us;
}

/* --- time ------------------------------------------------------------------------------------- */

static void expired(struct conn *conn) {
    conn->deadline_us = 0;
    if (conn->is_lingering)
        conn_abort(conn);
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
    if (conn->stall_us != 0 && now >= conn->stall_us && conn_is_stalled(conn)) {
        metric_add(&write_stalls, 1);
        conn_abort(conn);
    } else if (conn->deadline_us != 0 && now >= conn->deadline_us) {
        expired(conn);
    }
    conn_arm(conn);
}

void conn_arm(struct conn *conn) {
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
    conn_arm(conn);
}

/* --- ends ------------------------------------------------------------------------------------- */

void conn_close(struct conn *conn) {
    if (conn->is_closing)
        return;
    conn->is_closing = true;
    conn->deadline_us = 0;
    if (!conn->is_lingering)
        read_more(conn); /* or a stopped reader would never learn that the peer left */
    conn_mark(conn);
}

void conn_last_rites(struct conn *conn) {
    if (conn->protocol->closed != NULL)
        conn->protocol->closed(conn);
    conn_queue_drop(conn, conn->unsent_bytes);
    list_remove(&conn->all);
    list_remove(&conn->marked);
    free(conn->kept);
    conn_all.count--;
    metric_add(&connections_open, -1);
    if (!conn->is_test)
        listener_forget(conn->slot);
    conn->magic = 0;
    free(conn);
}

static void on_closed(uv_handle_t *handle) {
    struct conn *conn = handle->data;
    MAGIC_CHECK(conn, CONN_MAGIC);
    conn_last_rites(conn);
}

void conn_abort(struct conn *conn) {
    if (conn->is_gone)
        return;
    conn->is_closing = conn->is_gone = true;
    list_remove(&conn->marked);
    timer_stop(&conn->timer);
    if (!conn->is_test)
        uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

void conn_close_idle(void) {
    LIST_EACH_SAFE(&conn_all.all, node) {
        struct conn *conn = CONTAINER_OF(node, struct conn, all);
        if (conn->protocol == &http_protocol && conn->state == NULL && conn->kept_len == 0)
            conn_close(conn);
    }
}

void conn_close_all(void) {
    LIST_EACH_SAFE(&conn_all.all, node) {
        struct conn *conn = CONTAINER_OF(node, struct conn, all);
        conn->has_ended = true; /* nobody lingers: the process is going */
        if (conn->unsent_bytes == 0)
            conn_abort(conn);
        else
            conn_close(conn);
    }
}
