/*
 * An endpoint that speaks the OpenAI protocol and streams at a set pace.
 *
 *     fake_model PORT TOKENS_PER_SECOND TOKENS
 *
 * Every POST is answered with the first token at once and the next ones at the pace, each one
 * event, one chunk, one write; then finish_reason, [DONE] and the last chunk. Any GET gets the list
 * of models. It must not be the bottleneck: all streams have the same pace, so those that wait
 * stand in one queue in the order in which they are due, and a token costs one send().
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct client {
    int fd;
    bool is_streaming;
    size_t body_left; /* of the request that is being read */
    size_t head_len;
    char head[8192];
    int said;
    int64_t due_us;
    struct client *next; /* in the queue of those who are due */
};

static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                           "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
static const char MODELS[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    "Content-Length: 58\r\n\r\n"
    "{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\"}]}";
static const char TOKEN[] =
    "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
    "\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" murmur\"},"
    "\"finish_reason\":null}]}\n\n";
static const char LAST[] =
    "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
    "\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
    "data: [DONE]\n\n";

static struct {
    int epoll, tokens;
    int64_t pace_us;
    struct client *first, **end;
    char first_token[1024], token[512], last[1024];
    size_t first_token_len, token_len, last_len;
} model = {.end = &model.first};

static int64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* A reader that does not keep up is no part of any measurement. */
static void say(struct client *client, const char *bytes, size_t len) {
    if (send(client->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len)
        shutdown(client->fd, SHUT_RDWR);
}

static void wait_for_next(struct client *client) {
    client->due_us += model.pace_us;
    client->next = NULL;
    *model.end = client;
    model.end = &client->next;
}

static void begin(struct client *client) {
    client->is_streaming = true;
    client->said = 1;
    client->due_us = now_us();
    say(client, model.first_token, model.first_token_len);
    wait_for_next(client);
}

static void go_on(struct client *client) {
    if (client->fd < 0) {
        free(client);
        return;
    }
    if (client->said++ < model.tokens) {
        say(client, model.token, model.token_len);
        wait_for_next(client);
        return;
    }
    client->is_streaming = false;
    say(client, model.last, model.last_len);
}

/* Says everything that is due; how long the next one has time. Never less than it is, or this
 * program would spin on the core that it shares with the load. */
static struct timespec serve_due(void) {
    int64_t now = now_us(), left_us = 1000000;
    while (model.first != NULL && model.first->due_us <= now) {
        struct client *client = model.first;
        model.first = client->next;
        if (model.first == NULL)
            model.end = &model.first;
        go_on(client);
    }
    if (model.first != NULL)
        left_us = model.first->due_us - now;
    return (struct timespec){left_us / 1000000, left_us % 1000000 * 1000};
}

/* --- requests --------------------------------------------------------------------------------- */

static void answer(struct client *client) {
    bool is_post = client->head[0] == 'P';
    client->head_len = 0;
    if (is_post)
        begin(client);
    else
        say(client, MODELS, sizeof(MODELS) - 1);
}

static void take(struct client *client, const char *bytes, size_t len) {
    if (client->body_left > 0) {
        client->body_left -= len < client->body_left ? len : client->body_left;
        if (client->body_left == 0)
            answer(client);
        return;
    }
    size_t room = sizeof(client->head) - 1 - client->head_len;
    size_t taken = len < room ? len : room;
    memcpy(client->head + client->head_len, bytes, taken);
    client->head_len += taken;
    client->head[client->head_len] = '\0';
    char *end = strstr(client->head, "\r\n\r\n");
    if (end == NULL)
        return;
    const char *length = strcasestr(client->head, "\r\ncontent-length:");
    size_t body = length == NULL ? 0 : strtoul(length + 17, NULL, 10);
    size_t had = client->head_len - (size_t)(end + 4 - client->head) + (len - taken);
    client->body_left = body > had ? body - had : 0;
    if (strcasestr(client->head, "expect: 100-continue") != NULL && had == 0 && body > 0)
        say(client, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    if (client->body_left == 0)
        answer(client);
}

static void leave(struct client *client) {
    close(client->fd);
    client->fd = -1;
    if (!client->is_streaming)
        free(client); /* else it stands in the queue, and goes at its end */
}

static void read_from(struct client *client) {
    static char bytes[256 << 10];
    ssize_t len = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (len > 0)
        take(client, bytes, (size_t)len);
    else if (len == 0 || errno != EAGAIN)
        leave(client);
}

static void accept_all(int listener) {
    int on = 1;
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        struct client *client = calloc(1, sizeof(*client));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        client->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        epoll_ctl(model.epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

/* --- start ------------------------------------------------------------------------------------ */

static size_t chunk(char *to, size_t room, const char *before, const char *event,
                    const char *after) {
    return (size_t)snprintf(to, room, "%s%zx\r\n%s\r\n%s", before, strlen(event), event, after);
}

static int listen_at(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&here, sizeof(here)) != 0 || listen(fd, 4096) != 0) {
        perror("fake_model");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv) {
    struct rlimit limit;
    if (argc != 4) {
        fprintf(stderr, "usage: fake_model PORT TOKENS_PER_SECOND TOKENS\n");
        return 2;
    }
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    signal(SIGPIPE, SIG_IGN);
    model.pace_us = (int64_t)(1e6 / atof(argv[2]));
    model.tokens = atoi(argv[3]);
    model.first_token_len = chunk(model.first_token, sizeof(model.first_token), HEAD, TOKEN, "");
    model.token_len = chunk(model.token, sizeof(model.token), "", TOKEN, "");
    model.last_len = chunk(model.last, sizeof(model.last), "", LAST, "0\r\n\r\n");
    model.epoll = epoll_create1(0);
    int listener = listen_at(atoi(argv[1]));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(model.epoll, EPOLL_CTL_ADD, listener, &event);
    printf("listening on http://127.0.0.1:%s\n", argv[1]);
    fflush(stdout);
    for (;;) {
        struct epoll_event events[512];
        struct timespec wait = serve_due();
        int count = epoll_pwait2(model.epoll, events, 512, &wait, NULL);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                accept_all(listener);
            else
                read_from(events[i].data.ptr);
        }
    }
}
