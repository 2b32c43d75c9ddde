/*
 * resolve -> connect -> send -> read until the announced length, or the close -> end. Whatever ends
 * it calls end() once; the handle is closed, and when libuv has let go of it and of the name that
 * may still be looked up, done is told.
 */
#include "fetch/glance.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "loop/loop.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/banned.h"

#define GLANCE_MAGIC     0x676c616eu
#define HEAD_LIMIT_BYTES 16384
#define READ_BYTES       4096

struct glance {
    uint32_t magic;
    struct arena arena; /* host and request */
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    uv_getaddrinfo_t resolve;
    struct timer deadline;
    struct str host, request;
    int port;
    struct buf in; /* head and body */
    char piece[READ_BYTES];
    bool is_resolving, is_ended, is_closed;
    enum err err;
    void (*done)(void *ctx, enum err err, int status, struct str body);
    void *ctx;
};

/* --- reading the answer ----------------------------------------------------------------------- */

/* The first byte of the body, or 0 while the head is not whole. */
static size_t body_at(const struct glance *glance) {
    ptrdiff_t end = str_find(buf_str(&glance->in), STR("\r\n\r\n"), 0);
    return end < 0 ? 0 : (size_t)end + 4;
}

/* HTTP/1.x NNN; 0 for anything else. */
static int status_of(struct str answer) {
    int64_t status = 0;
    if (!str_starts(answer, STR("HTTP/1.")) || answer.len < 12 || answer.at[8] != ' ' ||
        str_to_int(str_slice(answer, 9, 12), &status) != E_OK)
        return 0;
    return status >= 100 && status < 600 ? (int)status : 0;
}

static struct str header_of(struct str head, struct str name) {
    struct str line;
    while (str_next(&head, '\n', &line)) {
        ptrdiff_t colon = str_find_char(line, ':', 0);
        if (colon > 0 && str_eq_nocase(str_slice(line, 0, (size_t)colon), name))
            return str_trim(str_slice(line, (size_t)colon + 1, line.len));
    }
    return STR_NONE;
}

/* The announced length of the body; -1: it ends with the connection. */
static int64_t length_of(const struct glance *glance, size_t at) {
    int64_t length;
    struct str text = header_of(str_slice(buf_str(&glance->in), 0, at), STR("content-length"));
    return str_to_int(text, &length) == E_OK && length >= 0 ? length : -1;
}

/* True when no more is to come. */
static bool is_whole(const struct glance *glance) {
    size_t at = body_at(glance);
    int64_t length = at ? length_of(glance, at) : -1;
    return length >= 0 && glance->in.len - at >= (size_t)length;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void tell(struct glance *glance) {
    size_t at = body_at(glance);
    struct str answer = buf_str(&glance->in);
    int status = glance->err == E_OK && at ? status_of(answer) : 0;
    if (glance->err == E_OK && status == 0)
        glance->err = E_UPSTREAM;
    timer_stop(&glance->deadline);
    glance->done(glance->ctx, glance->err, status,
                 status ? str_slice(answer, at, answer.len) : STR(""));
    buf_release(&glance->in);
    arena_release(&glance->arena);
    glance->magic = 0;
    free(glance);
}

static void tell_if_free(struct glance *glance) {
    if (glance->is_closed && !glance->is_resolving)
        tell(glance);
}

static void on_closed(uv_handle_t *handle) {
    struct glance *glance = handle->data;
    MAGIC_CHECK(glance, GLANCE_MAGIC);
    glance->is_closed = true;
    tell_if_free(glance);
}

static void end(struct glance *glance, enum err err) {
    if (glance->is_ended)
        return;
    glance->is_ended = true;
    glance->err = err;
    if (glance->is_resolving)
        uv_cancel((uv_req_t *)&glance->resolve);
    uv_close((uv_handle_t *)&glance->tcp, on_closed);
}

static void on_deadline(void *ctx) {
    end(ctx, E_TIMEOUT);
}

/* --- the steps -------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf) {
    struct glance *glance = handle->data;
    (void)hint;
    *buf = uv_buf_init(glance->piece, READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf) {
    struct glance *glance = stream->data;
    MAGIC_CHECK(glance, GLANCE_MAGIC);
    if (count < 0) {
        size_t at = body_at(glance);
        end(glance, count == UV_EOF && at && length_of(glance, at) < 0 ? E_OK : E_UPSTREAM);
        return;
    }
    buf_add(&glance->in, buf->base, (size_t)count);
    if (glance->in.err)
        end(glance, E_LIMIT);
    else if (is_whole(glance))
        end(glance, E_OK);
}

static void on_sent(uv_write_t *write, int status) {
    struct glance *glance = write->data;
    if (status != 0)
        end(glance, E_UPSTREAM);
}

static void on_connected(uv_connect_t *connect, int status) {
    struct glance *glance = connect->data;
    MAGIC_CHECK(glance, GLANCE_MAGIC);
    if (glance->is_ended)
        return;
    uv_buf_t request = uv_buf_init((char *)glance->request.at, (unsigned)glance->request.len);
    if (status != 0 ||
        uv_write(&glance->write, (uv_stream_t *)&glance->tcp, &request, 1, on_sent) != 0 ||
        uv_read_start((uv_stream_t *)&glance->tcp, on_alloc, on_read) != 0)
        end(glance, E_UPSTREAM);
}

static void connect_to(struct glance *glance, const struct sockaddr *address) {
    if (uv_tcp_connect(&glance->connect, &glance->tcp, address, on_connected) != 0)
        end(glance, E_UPSTREAM);
}

static void on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *found) {
    struct glance *glance = resolve->data;
    MAGIC_CHECK(glance, GLANCE_MAGIC);
    glance->is_resolving = false;
    if (glance->is_ended)
        tell_if_free(glance);
    else if (status != 0 || found == NULL)
        end(glance, E_UPSTREAM);
    else
        connect_to(glance, found->ai_addr);
    uv_freeaddrinfo(found);
}

/* Addresses need no look-up, and so no thread of libuv's. */
static bool connect_numeric(struct glance *glance) {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct str bare = glance->host;
    if (uv_ip4_addr(bare.at, glance->port, &v4) == 0) {
        connect_to(glance, (const struct sockaddr *)&v4);
        return true;
    }
    if (bare.len > 2 && bare.at[0] == '[')
        bare = str_dup(&glance->arena, str_slice(bare, 1, bare.len - 1));
    if (uv_ip6_addr(bare.at, glance->port, &v6) != 0)
        return false;
    connect_to(glance, (const struct sockaddr *)&v6);
    return true;
}

static void look_up(struct glance *glance) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct str port = str_printf(&glance->arena, "%d", glance->port);
    int failed =
        uv_getaddrinfo(loop_uv(), &glance->resolve, on_resolved, glance->host.at, port.at, &hints);
    glance->is_resolving = failed == 0;
    if (failed)
        end(glance, E_UPSTREAM);
}

struct glance *glance_start(const struct glance_options *options) {
    struct glance *glance = calloc(1, sizeof *glance);
    BUG_IF(glance == NULL);
    glance->magic = GLANCE_MAGIC;
    glance->port = options->port;
    glance->done = options->done;
    glance->ctx = options->ctx;
    arena_init(&glance->arena);
    buf_init(&glance->in, options->limit_bytes + HEAD_LIMIT_BYTES);
    glance->host = str_dup(&glance->arena, options->host);
    glance->request = str_printf(&glance->arena,
                                 "GET %s HTTP/1.0\r\nHost: " STR_FMT
                                 ":%d\r\nAccept: application/json\r\nConnection: close\r\n\r\n",
                                 options->path, STR_ARG(options->host), options->port);
    glance->tcp.data = glance->connect.data = glance->write.data = glance->resolve.data = glance;
    BUG_IF(uv_tcp_init(loop_uv(), &glance->tcp) != 0);
    timer_start(&glance->deadline, options->total_ms, on_deadline, glance);
    if (!connect_numeric(glance))
        look_up(glance);
    return glance;
}

void glance_cancel(struct glance *glance) {
    MAGIC_CHECK(glance, GLANCE_MAGIC);
    end(glance, E_CANCELLED);
}
