/*
 * WebSockets: what an idle one costs the server, and what it costs to tell one thing to many.
 *
 * Sockets are opened one after another, each through its whole hello (sign in, join), so that the
 * memory that is measured is that of sockets at rest and not of a burst. Frames are sent with the
 * masking key 0, which leaves the payload as it is and is as valid as any other.
 *
 * Fan-out is a closed loop: the speaker says the next thing when every listener has heard the last.
 * The latency of a message is that of the listener who hears it last.
 */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_BYTES      (64 << 10)
#define SETTLE_US        2000000
#define HEARING_LIMIT_US 10e6

struct socket {
    int fd;
    char *rest; /* of a frame that is not whole; NULL: none */
    size_t rest_len;
    size_t heard;
};

typedef void (*frame_fn)(struct socket *socket, const char *payload, size_t len);

static char scratch[READ_BYTES + FRAME_BYTES];

static void send_frame(int fd, const char *payload, size_t len) {
    unsigned char frame[FRAME_BYTES];
    size_t head = 2;
    if (len + 16 > sizeof(frame))
        fail("a frame of %zu bytes", len);
    frame[0] = 0x81;
    frame[1] = (unsigned char)(0x80 | (len < 126 ? len : 126));
    if (len >= 126) {
        frame[2] = (unsigned char)(len >> 8);
        frame[3] = (unsigned char)len;
        head = 4;
    }
    memset(frame + head, 0, 4);
    memcpy(frame + head + 4, payload, len);
    send_all(fd, (const char *)frame, head + 4 + len);
}

/* Gives every whole frame to `take`; what is left over waits in the socket. */
static void split(struct socket *socket, const char *bytes, size_t len, frame_fn take) {
    if (socket->rest_len > 0) {
        memmove(scratch + socket->rest_len, bytes, len);
        memcpy(scratch, socket->rest, socket->rest_len);
        bytes = scratch;
        len += socket->rest_len;
        socket->rest_len = 0;
    }
    for (;;) {
        size_t head = 2, payload = len < 2 ? 0 : (unsigned char)bytes[1] & 0x7f;
        if (payload == 126 && len >= 4) {
            payload = (size_t)(unsigned char)bytes[2] << 8 | (unsigned char)bytes[3];
            head = 4;
        } else if (payload == 127) {
            fail("a frame of 64 KiB or more");
        }
        if (len < 2 || len < head + payload)
            break;
        if (((unsigned char)bytes[0] & 0xf) == 8)
            fail("the server closed a socket: %.*s", (int)payload - 2, bytes + head + 2);
        take(socket, bytes + head, payload);
        bytes += head + payload;
        len -= head + payload;
    }
    if (len == 0)
        return;
    socket->rest = realloc(socket->rest, len);
    memcpy(socket->rest, bytes, len);
    socket->rest_len = len;
}

/* --- opening ---------------------------------------------------------------------------------- */

static const char *awaited;
static bool has_come;

static void await(struct socket *socket, const char *payload, size_t len) {
    (void)socket;
    has_come = has_come || memmem(payload, len, awaited, strlen(awaited)) != NULL;
}

static void upgrade(const struct options *options, struct socket *socket) {
    char request[4096], head[READ_BYTES];
    size_t len = 0;
    char *end = NULL;
    int request_len = snprintf(
        request, sizeof(request),
        "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s%s%s\r\n",
        options->upgrade, options->token ? "Authorization: Bearer " : "",
        options->token ? options->token : "", options->token ? "\r\n" : "");
    send_all(socket->fd, request, (size_t)request_len);
    while (end == NULL) {
        ssize_t got = recv(socket->fd, head + len, sizeof(head) - 1 - len, 0);
        if (got <= 0)
            fail("no answer to the upgrade");
        len += (size_t)got;
        head[len] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    if (strncmp(head, "HTTP/1.1 101", 12) != 0)
        fail("no upgrade: %.300s", head);
    split(socket, end + 4, len - (size_t)(end + 4 - head), await);
}

static struct socket *open_sockets(const struct options *options, int count) {
    struct socket *sockets = calloc((size_t)count, sizeof(*sockets));
    struct script hello = {0};
    char bytes[READ_BYTES];
    if (options->hello != NULL)
        hello = script_lines(options->hello);
    awaited = options->welcome;
    for (int i = 0; i < count; i++) {
        sockets[i].fd = connect_to(options, i);
        has_come = false;
        upgrade(options, &sockets[i]);
        if (hello.count > 0)
            send_frame(sockets[i].fd, hello.lines[(size_t)i % hello.count],
                       hello.lens[(size_t)i % hello.count]);
        while (hello.count > 0 && !has_come) {
            ssize_t got = recv(sockets[i].fd, bytes, sizeof(bytes), 0);
            if (got <= 0)
                fail("socket %d was closed while it signed in", i);
            split(&sockets[i], bytes, (size_t)got, await);
        }
    }
    return sockets;
}

/* --- at rest ---------------------------------------------------------------------------------- */

void load_sockets(const struct options *options) {
    double pss_kb = memory_kb(options->pid, "Pss");
    double anonymous_kb = memory_kb(options->pid, "Anonymous");
    double began_us = now_us(), count = options->connections;
    open_sockets(options, options->connections);
    double opened_us = now_us();
    usleep(SETTLE_US);
    struct usage before = usage_of(options->pid);
    usleep((useconds_t)(options->seconds * 1e6));
    struct usage after = usage_of(options->pid);
    printf("{\"errors\": 0, \"sockets\": %.0f, \"open_us_each\": %.1f, \"pss_bytes_each\": %.0f, "
           "\"anonymous_bytes_each\": %.0f, \"idle_cpu_us_per_s\": %.0f}\n",
           count, (opened_us - began_us) / count,
           (memory_kb(options->pid, "Pss") - pss_kb) * 1024 / count,
           (memory_kb(options->pid, "Anonymous") - anonymous_kb) * 1024 / count,
           (after.cpu_us - before.cpu_us) / options->seconds);
}

/* --- fan-out ---------------------------------------------------------------------------------- */

static const char *heard_mark;
static size_t heard_now, heard_bytes;

static void hear(struct socket *socket, const char *payload, size_t len) {
    if (memmem(payload, len, heard_mark, strlen(heard_mark)) == NULL)
        return;
    socket->heard++;
    heard_now++;
    heard_bytes += len;
}

static void listen_until(int epoll, size_t count) {
    static char bytes[READ_BYTES];
    struct epoll_event events[512];
    double until_us = now_us() + HEARING_LIMIT_US;
    while (heard_now < count) {
        int ready = epoll_wait(epoll, events, 512, 1000);
        if (now_us() > until_us)
            fail("only %zu of %zu have heard a message", heard_now, count);
        for (int i = 0; i < ready; i++) {
            struct socket *socket = events[i].data.ptr;
            ssize_t len = recv(socket->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
            if (len == 0 || (len < 0 && errno != EAGAIN))
                fail("the server closed a socket");
            if (len > 0)
                split(socket, bytes, (size_t)len, hear);
        }
    }
}

static void say(int epoll, struct socket *speaker, const struct script *script, size_t i,
                size_t count) {
    heard_now = 0;
    send_frame(speaker->fd, script->lines[i % script->count], script->lens[i % script->count]);
    listen_until(epoll, count);
}

void load_fanout(const struct options *options) {
    size_t count = (size_t)options->connections, messages = (size_t)options->rounds;
    struct socket *sockets = open_sockets(options, options->connections);
    struct script script = script_lines(options->speak);
    struct latencies latencies = {0};
    int epoll = epoll_create1(0);
    heard_mark = options->heard;
    for (size_t i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &sockets[i]};
        epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[i].fd, &event);
    }
    for (size_t i = 0; i < messages / 10 + 2; i++)
        say(epoll, &sockets[0], &script, i, count);
    for (size_t i = 0; i < count; i++)
        sockets[i].heard = 0;
    heard_bytes = 0;
    struct usage before = usage_of(options->pid);
    for (size_t i = 0; i < messages; i++) {
        double said_us = now_us();
        say(epoll, &sockets[0], &script, i, count);
        latencies_add(&latencies, now_us() - said_us);
    }
    struct usage after = usage_of(options->pid);
    size_t errors = 0;
    for (size_t i = 0; i < count; i++)
        errors += sockets[i].heard != messages;
    double cpu_us = (after.cpu_us - before.cpu_us) / (double)messages;
    printf("{\"messages\": %zu, \"errors\": %zu, \"cpu_us\": %.1f, \"cpu_us_each\": %.3f, "
           "\"p50_us\": %.0f, \"p99_us\": %.0f, \"bytes_each\": %.0f}\n",
           messages, errors, cpu_us, cpu_us / (double)count, latencies_at(&latencies, 0.5),
           latencies_at(&latencies, 0.99), (double)heard_bytes / (double)(messages * count));
}
