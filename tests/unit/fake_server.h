/*
 * An HTTP server inside the test's own loop that plays scripts: what it sends, in which pieces,
 * when it waits, how it breaks off. Request n is answered by script n, later ones by the last
 * script. What came in is kept for the test to look at.
 */
#pragma once

#include "loop/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

enum fake_kind {
    FAKE_END_OF_SCRIPT, /* the connection stays open for the next request */
    FAKE_RAW,           /* bytes as they are */
    FAKE_DRIP,          /* likewise, one byte a turn */
    FAKE_CHUNK,         /* in one HTTP chunk */
    FAKE_DRIP_CHUNKS,   /* every byte in an HTTP chunk of its own, one a turn */
    FAKE_LAST_CHUNK,
    FAKE_WAIT, /* ms */
    FAKE_CLOSE,
    FAKE_RESET,
    FAKE_HANG, /* says nothing more until the peer goes */
};

struct fake_step {
    enum fake_kind kind;
    const char *bytes;
    size_t len; /* 0: up to the NUL */
    int ms;
};

#define FAKE_STREAM_HEAD(type) \
    "HTTP/1.1 200 OK\r\nContent-Type: " type "\r\nTransfer-Encoding: chunked\r\n\r\n"

#define FAKE_REQUESTS      16
#define FAKE_REQUEST_BYTES 65536
#define FAKE_CONNECTIONS   128

struct fake_connection {
    uv_tcp_t tcp;
    uv_timer_t timer;
    struct fake *fake;
    char in[FAKE_REQUEST_BYTES];
    size_t in_len;
    const struct fake_step *step; /* being played; NULL: none */
    size_t dripped;
    int handles; /* still open */
    size_t slot;
};

struct fake {
    uv_tcp_t listener;
    int port;
    const struct fake_step *scripts[FAKE_REQUESTS];
    size_t script_count;
    char *requests[FAKE_REQUESTS];
    size_t request_count, connection_count, gone_count;
    bool is_hasty; /* answers after the headers and lets the body go by */
    struct fake_connection *connections[FAKE_CONNECTIONS]; /* NULL: free */
};

static inline void fake_play(struct fake_connection *connection);

static inline void fake_on_closed(uv_handle_t *handle) {
    struct fake_connection *connection = handle->data;
    if (--connection->handles > 0)
        return;
    connection->fake->connections[connection->slot] = NULL;
    free(connection);
}

static inline void fake_close(struct fake_connection *connection) {
    if (uv_is_closing((uv_handle_t *)&connection->tcp))
        return;
    uv_close((uv_handle_t *)&connection->tcp, fake_on_closed);
    uv_close((uv_handle_t *)&connection->timer, fake_on_closed);
}

/* RST instead of FIN. */
static inline void fake_reset(struct fake_connection *connection) {
    uv_os_fd_t fd;
    struct linger linger = {1, 0};
    if (uv_fileno((uv_handle_t *)&connection->tcp, &fd) == 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    fake_close(connection);
}

static inline void fake_send(struct fake_connection *connection, const char *bytes, size_t len) {
    while (len > 0) {
        uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)len);
        int sent = uv_try_write((uv_stream_t *)&connection->tcp, &buf, 1);
        if (sent < 0 && sent != UV_EAGAIN)
            return;
        bytes += sent > 0 ? sent : 0;
        len -= sent > 0 ? (size_t)sent : 0;
    }
}

static inline void fake_send_chunk(struct fake_connection *connection, const char *bytes,
                                   size_t len) {
    char head[32];
    int head_len = snprintf(head, sizeof head, "%zx\r\n", len);
    fake_send(connection, head, (size_t)head_len);
    fake_send(connection, bytes, len);
    fake_send(connection, "\r\n", 2);
}

static inline void fake_on_timer(uv_timer_t *timer) {
    fake_play(timer->data);
}

/* One byte of a step; true while there are more. */
static inline bool fake_drip(struct fake_connection *connection, const struct fake_step *step,
                             size_t len) {
    const char *byte = step->bytes + connection->dripped++;
    if (step->kind == FAKE_DRIP)
        fake_send(connection, byte, 1);
    else
        fake_send_chunk(connection, byte, 1);
    if (connection->dripped < len) {
        uv_timer_start(&connection->timer, fake_on_timer, 0, 0);
        return true;
    }
    connection->dripped = 0;
    return false;
}

static inline void fake_play(struct fake_connection *connection) {
    while (connection->step) {
        const struct fake_step *step = connection->step;
        size_t len = step->len || step->bytes == NULL ? step->len : strlen(step->bytes);
        switch (step->kind) {
        case FAKE_END_OF_SCRIPT:
            connection->step = NULL;
            return;
        case FAKE_RAW:
            fake_send(connection, step->bytes, len);
            break;
        case FAKE_CHUNK:
            fake_send_chunk(connection, step->bytes, len);
            break;
        case FAKE_DRIP:
        case FAKE_DRIP_CHUNKS:
            if (fake_drip(connection, step, len))
                return;
            break;
        case FAKE_LAST_CHUNK:
            fake_send(connection, "0\r\n\r\n", 5);
            break;
        case FAKE_WAIT:
            connection->step++;
            uv_timer_start(&connection->timer, fake_on_timer, (uint64_t)step->ms, 0);
            return;
        case FAKE_CLOSE:
            fake_close(connection);
            return;
        case FAKE_RESET:
            fake_reset(connection);
            return;
        case FAKE_HANG:
            return;
        }
        connection->step++;
    }
}

/* The length of the request at the front of `in`, or 0 while it is not whole. */
static inline size_t fake_request_length(const struct fake_connection *connection) {
    const char *end = memmem(connection->in, connection->in_len, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    size_t head = (size_t)(end - connection->in) + 4;
    const char *length = memmem(connection->in, head, "Content-Length: ", 16);
    size_t body = length && !connection->fake->is_hasty ? strtoul(length + 16, NULL, 10) : 0;
    return connection->in_len >= head + body ? head + body : 0;
}

static inline void fake_take_request(struct fake_connection *connection) {
    struct fake *fake = connection->fake;
    size_t len = fake_request_length(connection);
    if (len == 0 || connection->step)
        return;
    size_t number = fake->request_count++;
    if (number < FAKE_REQUESTS)
        fake->requests[number] = strndup(connection->in, len);
    connection->in_len -= len;
    memmove(connection->in, connection->in + len, connection->in_len);
    connection->step = fake->scripts[number < fake->script_count ? number : fake->script_count - 1];
    fake_play(connection);
}

static inline void fake_on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf) {
    struct fake_connection *connection = handle->data;
    (void)hint;
    *buf = uv_buf_init(connection->in + connection->in_len,
                       (unsigned)(sizeof connection->in - connection->in_len));
}

static inline void fake_on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf) {
    struct fake_connection *connection = stream->data;
    (void)buf;
    if (count < 0) {
        connection->fake->gone_count += connection->step != NULL;
        fake_close(connection);
        return;
    }
    connection->in_len += (size_t)count;
    if (connection->fake->is_hasty && connection->step) /* the body */
        connection->in_len = 0;
    fake_take_request(connection);
}

static inline void fake_on_connection(uv_stream_t *listener, int status) {
    struct fake *fake = listener->data;
    struct fake_connection *connection = calloc(1, sizeof *connection);
    if (status != 0 || connection == NULL)
        abort();
    while (connection->slot < FAKE_CONNECTIONS && fake->connections[connection->slot])
        connection->slot++;
    if (connection->slot == FAKE_CONNECTIONS)
        abort();
    fake->connections[connection->slot] = connection;
    connection->fake = fake;
    connection->handles = 2;
    uv_tcp_init(loop_uv(), &connection->tcp);
    uv_timer_init(loop_uv(), &connection->timer);
    connection->tcp.data = connection->timer.data = connection;
    if (uv_accept(listener, (uv_stream_t *)&connection->tcp) != 0)
        abort();
    uv_tcp_nodelay(&connection->tcp, 1);
    fake->connection_count++;
    uv_read_start((uv_stream_t *)&connection->tcp, fake_on_alloc, fake_on_read);
}

/* Nothing of the fake keeps a loop alive that wants to end. */
static inline void fake_stop(void *ctx) {
    struct fake *fake = ctx;
    uv_close((uv_handle_t *)&fake->listener, NULL);
    for (size_t i = 0; i < FAKE_CONNECTIONS; i++)
        if (fake->connections[i])
            fake_close(fake->connections[i]);
}

/* Scripts end with NULL. Port 0: a free one. */
static inline void fake_start_at(struct fake *fake, const struct fake_step *const *scripts,
                                 int port) {
    struct sockaddr_in address;
    int len = sizeof address;
    memset(fake, 0, sizeof *fake);
    while (scripts[fake->script_count])
        fake->scripts[fake->script_count] = scripts[fake->script_count], fake->script_count++;
    uv_ip4_addr("127.0.0.1", port, &address);
    uv_tcp_init(loop_uv(), &fake->listener);
    fake->listener.data = fake;
    if (uv_tcp_bind(&fake->listener, (const struct sockaddr *)&address, 0) != 0 ||
        uv_listen((uv_stream_t *)&fake->listener, FAKE_CONNECTIONS, fake_on_connection) != 0 ||
        uv_tcp_getsockname(&fake->listener, (struct sockaddr *)&address, &len) != 0)
        abort();
    fake->port = ntohs(address.sin_port);
    loop_on_stopped(fake_stop, fake);
}

static inline void fake_start(struct fake *fake, const struct fake_step *const *scripts) {
    fake_start_at(fake, scripts, 0);
}

/* After the loop has ended. */
static inline void fake_release(struct fake *fake) {
    for (size_t i = 0; i < FAKE_REQUESTS; i++)
        free(fake->requests[i]);
}
