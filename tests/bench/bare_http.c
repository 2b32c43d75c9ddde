/*
 * The yardstick: what libuv and llhttp cost by themselves.
 *
 * A server without accounts, limits, validation or care: /healthz with a fixed answer, /asset with
 * 11 KB from memory, everything else 404. It reads into one shared buffer, answers with one write
 * per request, allocates nothing on the way, and knows keep-alive, pipelining and nothing more.
 * What Troupe needs beyond this is the price of being a server for people; `./dev bench` shows the
 * ratio.
 *
 *     bare_http ADDRESS PORT
 */
#include <llhttp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define READ_BYTES  65536
#define ASSET_BYTES 11264

struct client {
    uv_tcp_t tcp;
    llhttp_t parser;
    const char *url;
    size_t url_len;
};

static char read_bytes[READ_BYTES];
static char asset[ASSET_BYTES + 512];
static size_t asset_len;
static llhttp_settings_t settings;

static const char HEALTHZ[] = "HTTP/1.1 200 OK\r\n"
                              "Content-Type: application/json\r\n"
                              "Content-Length: 15\r\n\r\n"
                              "{\"status\":\"ok\"}";
static const char ABSENT[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

static void closed(uv_handle_t *handle) {
    free(handle->data);
}

static void leave(struct client *client) {
    if (!uv_is_closing((uv_handle_t *)&client->tcp))
        uv_close((uv_handle_t *)&client->tcp, closed);
}

/* A peer that does not take its answer at once is dropped: the load of a benchmark always does. */
static void answer(struct client *client, const char *bytes, size_t len) {
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)len);
    if (uv_try_write((uv_stream_t *)&client->tcp, &buf, 1) != (int)len)
        leave(client);
}

static bool is_path(const struct client *client, const char *path) {
    return client->url_len == strlen(path) && memcmp(client->url, path, client->url_len) == 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t len) {
    struct client *client = parser->data;
    client->url = at;
    client->url_len = len;
    return 0;
}

static int on_message_complete(llhttp_t *parser) {
    struct client *client = parser->data;
    if (is_path(client, "/healthz"))
        answer(client, HEALTHZ, sizeof(HEALTHZ) - 1);
    else if (is_path(client, "/asset"))
        answer(client, asset, asset_len);
    else
        answer(client, ABSENT, sizeof(ABSENT) - 1);
    return 0;
}

static void lend(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(read_bytes, sizeof(read_bytes));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct client *client = stream->data;
    if (len < 0 || (len > 0 && llhttp_execute(&client->parser, buf->base, (size_t)len) != HPE_OK))
        leave(client);
}

static void on_connection(uv_stream_t *server, int status) {
    struct client *client = status == 0 ? calloc(1, sizeof(*client)) : NULL;
    if (client == NULL)
        return;
    uv_tcp_init(server->loop, &client->tcp);
    client->tcp.data = client;
    if (uv_accept(server, (uv_stream_t *)&client->tcp) != 0) {
        leave(client);
        return;
    }
    uv_tcp_nodelay(&client->tcp, 1);
    llhttp_init(&client->parser, HTTP_REQUEST, &settings);
    client->parser.data = client;
    uv_read_start((uv_stream_t *)&client->tcp, lend, on_read);
}

int main(int argc, char **argv) {
    uv_tcp_t server;
    struct sockaddr_in address;
    if (argc != 3 || uv_ip4_addr(argv[1], atoi(argv[2]), &address) != 0) {
        fprintf(stderr, "usage: bare_http ADDRESS PORT\n");
        return 2;
    }
    int head = snprintf(asset, sizeof(asset),
                        "HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\n"
                        "Content-Length: %d\r\n\r\n",
                        ASSET_BYTES);
    memset(asset + head, 'x', ASSET_BYTES);
    asset_len = (size_t)head + ASSET_BYTES;
    llhttp_settings_init(&settings);
    settings.on_url = on_url;
    settings.on_message_complete = on_message_complete;
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_init(loop, &server);
    if (uv_tcp_bind(&server, (const struct sockaddr *)&address, 0) != 0 ||
        uv_listen((uv_stream_t *)&server, 1024, on_connection) != 0) {
        fprintf(stderr, "cannot listen\n");
        return 1;
    }
    printf("listening on http://%s:%s\n", argv[1], argv[2]);
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
