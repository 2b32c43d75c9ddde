/*
 * From the queue to the kernel.
 *
 * A write is tried at once (uv_try_write, up to CONN_IOV_LIMIT segments). Only when the kernel takes
 * less than all does a libuv write request exist, to be told when there is room again; its end is
 * also what shows that the peer takes anything: a peer that takes nothing for STALL_MS is reset.
 */
#include "base/check.h"
#include "base/clock.h"
#include "net/conn_inside.h"

#include <stdlib.h>

#include "base/banned.h"

#define STALL_MS   30000
#define WAIT_BYTES (256 << 10) /* one pending write: its end is the sign of progress */

/* A write that the kernel did not take at once. */
struct wait {
    uv_write_t request;
    struct conn *conn;
    size_t bytes;
};

static void on_written(uv_write_t *request, int status) {
    struct wait *wait = CONTAINER_OF(request, struct wait, request);
    struct conn *conn = wait->conn;
    size_t bytes = wait->bytes;
    free(wait);
    conn->wait = NULL;
    if (conn->is_gone)
        return;
    if (status < 0) {
        conn_abort(conn);
        return;
    }
    conn_all.sent_bytes += (int64_t)bytes;
    (void)conn_turn_us();
    conn_queue_drop(conn, bytes);
    conn_flush(conn);
}

/* The kernel's buffer is full: libuv tells when more fits. */
static void wait_for_room(struct conn *conn) {
    uv_buf_t bufs[CONN_IOV_LIMIT];
    struct wait *wait = malloc(sizeof(*wait));
    BUG_IF(wait == NULL);
    wait->conn = conn;
    unsigned count = conn_queue_gather(conn, bufs, WAIT_BYTES, &wait->bytes);
    conn->wait = wait;
    conn->was_blocked = true;
    if (uv_write(&wait->request, (uv_stream_t *)&conn->tcp, bufs, count, on_written) != 0) {
        conn->wait = NULL;
        free(wait);
        conn_abort(conn);
        return;
    }
    conn->stall_us = clock_mono_us() + STALL_MS * INT64_C(1000);
    conn->stall_bytes = conn->unsent_bytes + 1; /* anything less is progress */
    conn_arm(conn);
}

void conn_write_queue(struct conn *conn) {
    uv_buf_t bufs[CONN_IOV_LIMIT];
    size_t bytes;
    if (conn->is_test)
        conn_test_write(conn);
    while (conn->unsent_bytes > 0 && conn->wait == NULL) {
        unsigned count = conn_queue_gather(conn, bufs, SIZE_MAX, &bytes);
        int taken = uv_try_write((uv_stream_t *)&conn->tcp, bufs, count);
        if (taken < 0 && taken != UV_EAGAIN) {
            conn_abort(conn);
            return;
        }
        if (taken < 0)
            taken = 0;
        conn_all.sent_bytes += taken;
        conn_queue_drop(conn, (size_t)taken);
        if ((size_t)taken < bytes)
            wait_for_room(conn);
    }
}

bool conn_is_stalled(struct conn *conn) {
    size_t left = conn->unsent_bytes;
    if (conn->wait != NULL)
        left = left - conn->wait->bytes + uv_stream_get_write_queue_size((uv_stream_t *)&conn->tcp);
    if (left >= conn->stall_bytes)
        return true;
    conn->stall_bytes = left;
    conn->stall_us = clock_mono_us() + STALL_MS * INT64_C(1000);
    return false;
}
