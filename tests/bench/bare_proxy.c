/*
 * The yardstick "bare_proxy": what libuv and libcurl cost to pass a stream on.
 *
 *     bare_proxy PORT URL
 *
 * Every POST goes to URL with its body as it is; what comes back goes to the client as it comes, a
 * chunk and a write for each piece that libcurl hands over. Nothing is parsed, stored, checked or
 * batched, and a client that does not take its bytes at once is dropped.
 */
#include <curl/curl.h>
#include <llhttp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#define READ_BYTES (256 << 10)

struct client {
    uv_tcp_t tcp;
    llhttp_t parser;
    char *body;
    size_t body_len;
    CURL *call; /* NULL: none is under way */
    bool has_head;
};

/* A socket of libcurl's that libuv watches. */
struct watch {
    uv_poll_t poll;
    curl_socket_t fd;
};

static char read_bytes[READ_BYTES];
static llhttp_settings_t settings;
static uv_loop_t *loop;
static uv_timer_t timer;
static CURLM *multi;
static const char *url;
static struct curl_slist *headers;

static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n";

/* --- the client's side ------------------------------------------------------------------------ */

static void end_call(struct client *client) {
    if (client->call == NULL)
        return;
    curl_multi_remove_handle(multi, client->call);
    curl_easy_cleanup(client->call);
    client->call = NULL;
}

static void closed(uv_handle_t *handle) {
    struct client *client = (struct client *)handle;
    end_call(client);
    free(client->body);
    free(client);
}

static void leave(struct client *client) {
    if (!uv_is_closing((uv_handle_t *)&client->tcp))
        uv_close((uv_handle_t *)&client->tcp, closed);
}

static void send_bufs(struct client *client, uv_buf_t *bufs, unsigned count) {
    size_t len = 0;
    for (unsigned i = 0; i < count; i++)
        len += bufs[i].len;
    if (uv_is_closing((uv_handle_t *)&client->tcp) ||
        uv_try_write((uv_stream_t *)&client->tcp, bufs, count) != (int)len)
        leave(client);
}

/* --- libcurl's side --------------------------------------------------------------------------- */

static size_t on_piece(char *bytes, size_t size, size_t count, void *ctx) {
    struct client *client = ctx;
    size_t len = size * count;
    char before[sizeof(HEAD) + 24];
    int before_len =
        snprintf(before, sizeof(before), "%s%zx\r\n", client->has_head ? "" : HEAD, len);
    uv_buf_t bufs[] = {uv_buf_init(before, (unsigned)before_len), uv_buf_init(bytes, (unsigned)len),
                       uv_buf_init((char *)(uintptr_t) "\r\n", 2)};
    client->has_head = true;
    send_bufs(client, bufs, 3);
    return len;
}

static void finish_calls(void) {
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(multi, &left)) != NULL;) {
        struct client *client = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &client);
        bool is_good = message->data.result == CURLE_OK;
        uv_buf_t last = uv_buf_init((char *)(uintptr_t) "0\r\n\r\n", 5);
        end_call(client);
        if (is_good)
            send_bufs(client, &last, 1);
        else
            leave(client);
    }
}

static void on_ready(uv_poll_t *poll, int status, int events) {
    struct watch *watch = (struct watch *)poll;
    int running, flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
                         (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0) |
                         (status < 0 ? CURL_CSELECT_ERR : 0);
    curl_multi_socket_action(multi, watch->fd, flags, &running);
    finish_calls();
}

static void free_handle(uv_handle_t *handle) {
    free(handle);
}

static int on_socket(CURL *call, curl_socket_t fd, int what, void *ctx, void *data) {
    struct watch *watch = data;
    (void)call, (void)ctx;
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL) {
            curl_multi_assign(multi, fd, NULL);
            uv_poll_stop(&watch->poll);
            uv_close((uv_handle_t *)&watch->poll, free_handle);
        }
        return 0;
    }
    if (watch == NULL) {
        watch = calloc(1, sizeof(*watch));
        watch->fd = fd;
        uv_poll_init_socket(loop, &watch->poll, fd);
        curl_multi_assign(multi, fd, watch);
    }
    uv_poll_start(&watch->poll,
                  (what & CURL_POLL_IN ? UV_READABLE : 0) |
                      (what & CURL_POLL_OUT ? UV_WRITABLE : 0),
                  on_ready);
    return 0;
}

static void on_time(uv_timer_t *handle) {
    int running;
    (void)handle;
    curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_calls();
}

static int on_timer(CURLM *ours, long timeout_ms, void *ctx) {
    (void)ours, (void)ctx;
    if (timeout_ms < 0)
        uv_timer_stop(&timer);
    else
        uv_timer_start(&timer, on_time, (uint64_t)timeout_ms, 0);
    return 0;
}

static void start_call(struct client *client) {
    CURL *call = client->call = curl_easy_init();
    client->has_head = false;
    curl_easy_setopt(call, CURLOPT_URL, url);
    curl_easy_setopt(call, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(call, CURLOPT_POSTFIELDSIZE, (long)client->body_len);
    curl_easy_setopt(call, CURLOPT_POSTFIELDS, client->body);
    curl_easy_setopt(call, CURLOPT_WRITEFUNCTION, on_piece);
    curl_easy_setopt(call, CURLOPT_WRITEDATA, client);
    curl_easy_setopt(call, CURLOPT_PRIVATE, client);
    curl_easy_setopt(call, CURLOPT_NOSIGNAL, 1L);
    curl_multi_add_handle(multi, call);
}

/* --- requests --------------------------------------------------------------------------------- */

static int on_message_begin(llhttp_t *parser) {
    struct client *client = parser->data;
    client->body_len = 0;
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len) {
    struct client *client = parser->data;
    client->body = realloc(client->body, client->body_len + len);
    memcpy(client->body + client->body_len, at, len);
    client->body_len += len;
    return 0;
}

static int on_message_complete(llhttp_t *parser) {
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    struct client *client = parser->data;
    if (parser->method == HTTP_POST && client->call == NULL) {
        start_call(client);
    } else {
        uv_buf_t buf = uv_buf_init((char *)(uintptr_t)ok, sizeof(ok) - 1);
        send_bufs(client, &buf, 1);
    }
    return 0;
}

static void lend(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)handle, (void)suggested;
    *buf = uv_buf_init(read_bytes, sizeof(read_bytes));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct client *client = (struct client *)stream;
    if (len < 0 || (len > 0 && llhttp_execute(&client->parser, buf->base, (size_t)len) != HPE_OK))
        leave(client);
}

static void on_connection(uv_stream_t *server, int status) {
    struct client *client = status == 0 ? calloc(1, sizeof(*client)) : NULL;
    if (client == NULL)
        return;
    uv_tcp_init(loop, &client->tcp);
    if (uv_accept(server, (uv_stream_t *)&client->tcp) != 0) {
        leave(client);
        return;
    }
    uv_tcp_nodelay(&client->tcp, 1);
    llhttp_init(&client->parser, HTTP_REQUEST, &settings);
    client->parser.data = client;
    uv_read_start((uv_stream_t *)&client->tcp, lend, on_read);
}

/* --- start ------------------------------------------------------------------------------------ */

static void start_curl(void) {
    curl_global_init(CURL_GLOBAL_NOTHING);
    multi = curl_multi_init();
    headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 2000L);
    uv_timer_init(loop, &timer);
}

int main(int argc, char **argv) {
    static uv_tcp_t server;
    struct sockaddr_in address;
    struct rlimit limit;
    if (argc != 3 || uv_ip4_addr("127.0.0.1", atoi(argv[1]), &address) != 0) {
        fprintf(stderr, "usage: bare_proxy PORT URL\n");
        return 2;
    }
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    loop = uv_default_loop();
    url = argv[2];
    start_curl();
    llhttp_settings_init(&settings);
    settings.on_message_begin = on_message_begin;
    settings.on_body = on_body;
    settings.on_message_complete = on_message_complete;
    uv_tcp_init(loop, &server);
    if (uv_tcp_bind(&server, (const struct sockaddr *)&address, 0) != 0 ||
        uv_listen((uv_stream_t *)&server, 4096, on_connection) != 0) {
        fprintf(stderr, "bare_proxy: cannot listen\n");
        return 1;
    }
    printf("listening on http://127.0.0.1:%s\n", argv[1]);
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
