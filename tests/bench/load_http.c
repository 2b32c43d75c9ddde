/*
 * Closed loop: every connection sends its next request when the answer to the last is whole.
 *
 * Requests are taken from the file in turn, from a place that is spread by a fixed random walk, so
 * that neither side can live on one hot row. An answer is its status, its Content-Length and that
 * many bytes, or chunks up to an empty one at the end of a read (JSON holds no such line end); anything
 * else is an error, and so is a status outside 200 to 299.
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

#define HEAD_BYTES 4096

struct client {
    int fd;
    double sent_us;
    size_t head_len;  /* of head, while the head is not whole */
    size_t body_left; /* of the answer, once it is */
    bool has_head, is_chunked;
    char last[5]; /* bytes, of an answer in chunks */
    char head[HEAD_BYTES];
};

static struct {
    const struct options *options;
    struct script script;
    uint64_t walk;
    bool is_measured, is_over;
    struct latencies latencies;
    size_t answered, errors, bytes;
} run;

static void ask(struct client *client) {
    run.walk = run.walk * UINT64_C(6364136223846793005) + 1442695040888963407u;
    size_t i = (size_t)((run.walk >> 33) % run.script.count);
    client->has_head = false;
    client->head_len = 0;
    client->sent_us = now_us();
    send_all(client->fd, run.script.lines[i], run.script.lens[i]);
}

static void finish(struct client *client) {
    if (run.is_measured) {
        run.answered++;
        latencies_add(&run.latencies, now_us() - client->sent_us);
    }
    if (!run.is_over)
        ask(client);
}

/* Reads status and length from the whole head. */
static void take_head(struct client *client) {
    client->head[client->head_len] = '\0';
    int status = atoi(client->head + sizeof("HTTP/1.1 ") - 1);
    const char *length = strcasestr(client->head, "\r\ncontent-length:");
    if ((status < 200 || status > 299) && run.errors++ == 0)
        fprintf(stderr, "load: an answer is not good:\n%.300s\n", client->head);
    client->is_chunked = length == NULL && strcasestr(client->head, "chunked") != NULL;
    if (length == NULL && !client->is_chunked)
        fail("an answer without a length:\n%s", client->head);
    client->body_left =
        client->is_chunked ? 1 : strtoul(length + sizeof("\r\ncontent-length:") - 1, NULL, 10);
    memset(client->last, 0, sizeof(client->last));
    client->has_head = true;
}

/* The head usually comes in one piece; it is copied only as far as its end. */
static size_t read_head(struct client *client, const char *bytes, size_t len) {
    size_t room = HEAD_BYTES - 1 - client->head_len;
    size_t taken = len < room ? len : room;
    memcpy(client->head + client->head_len, bytes, taken);
    client->head[client->head_len + taken] = '\0';
    char *end = strstr(client->head, "\r\n\r\n");
    if (end == NULL && client->head_len + taken == HEAD_BYTES - 1)
        fail("an answer's head is too long");
    if (end == NULL) {
        client->head_len += taken;
        return taken;
    }
    size_t whole = (size_t)(end + 4 - client->head), used = whole - client->head_len;
    client->head_len = whole;
    take_head(client);
    return used;
}

/* Takes all of it; the answer is whole when it ends with the empty chunk. */
static void read_chunks(struct client *client, const char *bytes, size_t len) {
    size_t room = sizeof(client->last), fresh = len < room ? len : room;
    memmove(client->last, client->last + fresh, room - fresh);
    memcpy(client->last + room - fresh, bytes + len - fresh, fresh);
    client->body_left = memcmp(client->last, "0\r\n\r\n", room) == 0 ? 0 : 1;
}

static void take(struct client *client, const char *bytes, size_t len) {
    while (len > 0) {
        size_t used;
        if (!client->has_head) {
            used = read_head(client, bytes, len);
        } else if (client->is_chunked) {
            read_chunks(client, bytes, len);
            used = len;
        } else {
            used = len < client->body_left ? len : client->body_left;
            client->body_left -= used;
        }
        bytes += used;
        len -= used;
        if (client->has_head && client->body_left == 0)
            finish(client);
    }
}

static void serve(int epoll, double until_us) {
    static char bytes[READ_BYTES];
    struct epoll_event events[256];
    while (now_us() < until_us) {
        int count = epoll_wait(epoll, events, 256, 100);
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            ssize_t len = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
            if (len == 0 || (len < 0 && errno != EAGAIN))
                fail("the server closed a connection");
            if (len > 0 && run.is_measured)
                run.bytes += (size_t)len;
            if (len > 0)
                take(client, bytes, (size_t)len);
        }
    }
}

void load_http(const struct options *options) {
    struct client *clients = calloc((size_t)options->connections, sizeof(*clients));
    int epoll = epoll_create1(0);
    run.options = options;
    run.script = script_requests(options);
    run.walk = 42;
    for (int i = 0; i < options->connections; i++) {
        clients[i].fd = connect_to(options, i);
        fcntl(clients[i].fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
        epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd, &event);
    }
    for (int i = 0; i < options->connections; i++)
        ask(&clients[i]);
    serve(epoll, now_us() + options->warm_seconds * 1e6);
    struct usage before = usage_of(options->pid);
    double began_us = now_us();
    run.is_measured = true;
    serve(epoll, began_us + options->seconds * 1e6);
    run.is_measured = false;
    double took_us = now_us() - began_us;
    struct usage after = usage_of(options->pid);
    run.is_over = true;
    serve(epoll, now_us() + 0.05e6); /* answers under way, so that nothing is cut off */
    double answered = run.answered > 0 ? (double)run.answered : 1;
    printf("{\"requests\": %zu, \"errors\": %zu, \"rate\": %.1f, \"cpu_us\": %.3f, "
           "\"cpu_share\": %.3f, \"p50_us\": %.0f, \"p99_us\": %.0f, \"max_us\": %.0f, "
           "\"bytes_each\": %.0f, \"written_each\": %.0f}\n",
           run.answered, run.errors, answered / took_us * 1e6,
           (after.cpu_us - before.cpu_us) / answered, (after.cpu_us - before.cpu_us) / took_us,
           latencies_at(&run.latencies, 0.5), latencies_at(&run.latencies, 0.99),
           latencies_at(&run.latencies, 1.0), (double)run.bytes / answered,
           (after.written_bytes - before.written_bytes) / answered);
}
