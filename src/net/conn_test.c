/*
 * A connection without a socket: bytes are handed in and go to a sink. Everything above the socket is
 * what it always is, so that HTTP, WebSocket and streams can be tested and fuzzed in one process
 * without a kernel in between.
 */
#include "net/conn_inside.h"
#include "net/http.h"

#include "base/banned.h"

void conn_test_write(struct conn *conn) {
    uv_buf_t bufs[CONN_IOV_LIMIT];
    size_t bytes;
    while (conn->unsent_bytes > 0) {
        unsigned count = conn_queue_gather(conn, bufs, SIZE_MAX, &bytes);
        for (unsigned i = 0; i < count; i++)
            conn->test.sink(conn->test.ctx, str_of(bufs[i].base, bufs[i].len));
        conn_queue_drop(conn, bytes);
    }
}

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
        conn_ended(conn);
    else
        conn_received(conn, bytes);
}

void conn_test_from(struct conn *conn, struct str address, bool is_proxy) {
    conn_set_address(conn, address);
    conn->is_from_proxy = is_proxy;
}

void conn_test_flush(struct conn *conn) {
    (void)conn;
    conn_turn_ended(NULL);
}

void conn_test_free(struct conn *conn) {
    conn_abort(conn);
    conn_last_rites(conn);
}
