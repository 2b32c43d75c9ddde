/*
 * The loop, the connections and the routes of the yardstick. See bare.h.
 *
 *     bare PORT DATABASE [ASSET]      DATABASE "-": no rows, only /healthz, /asset and /ws
 *
 * It reads into one shared buffer and allocates nothing per request.
 */
#include "bare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define READ_BYTES  (256 << 10)
#define ASSET_LIMIT (1 << 20)

static char read_bytes[READ_BYTES];
static size_t read_len;
static char answer[HEAD_ROOM + ANSWER_BYTES];
static char *asset; /* with its head */
static size_t asset_len;
static llhttp_settings_t settings;

static const char HEALTHZ[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                              "Content-Length: 15\r\n\r\n{\"status\":\"ok\"}";
static const char ABSENT[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/* --- clients ---------------------------------------------------------------------------------- */

static void free_if_idle(struct client *client) {
    if (client->pending == 0)
        free(client);
}

static void closed(uv_handle_t *handle) {
    struct client *client = (struct client *)handle;
    if (client->is_socket)
        socket_gone(client);
    client->is_closing = true;
    free_if_idle(client);
}

void client_leave(struct client *client) {
    if (client->is_closing) {
        free_if_idle(client);
        return;
    }
    if (!uv_is_closing((uv_handle_t *)&client->tcp))
        uv_close((uv_handle_t *)&client->tcp, closed);
}

void client_write(struct client *client, const char *bytes, size_t len) {
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)len);
    if (uv_try_write((uv_stream_t *)&client->tcp, &buf, 1) != (int)len)
        client_leave(client);
}

char *answer_body(void) {
    return answer + HEAD_ROOM;
}

void answer_send(struct client *client, int status, const char *end) {
    char head[HEAD_ROOM];
    char *body = answer_body();
    if (end == NULL) {
        client_write(client, ABSENT, sizeof(ABSENT) - 1);
        return;
    }
    int len = snprintf(head, sizeof(head),
                       "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n",
                       status == 201 ? "201 Created" : "200 OK", (size_t)(end - body));
    memcpy(body - len, head, (size_t)len);
    client_write(client, body - len, (size_t)(end - body) + (size_t)len);
}

/* --- routes ----------------------------------------------------------------------------------- */

#define CHARACTERS    "/api/v1/characters"
#define CONVERSATIONS "/api/v1/conversations/"
#define ID_LEN        13

static bool begins(const struct client *client, const char *with, size_t len) {
    return client->url_len >= len && memcmp(client->url, with, len) == 0;
}
#define BEGINS(client, literal) begins(client, literal, sizeof(literal) - 1)

static int limit_of(const struct client *client) {
    const char *at = memmem(client->url, client->url_len, "limit=", 6);
    return at == NULL ? 20 : atoi(at + 6);
}

static void route_rows(struct client *client) {
    char *to = answer_body(), *end = NULL;
    if (BEGINS(client, CHARACTERS "/"))
        end = rows_character(to, client->url + sizeof(CHARACTERS));
    else if (BEGINS(client, CHARACTERS))
        end = rows_characters(to, limit_of(client));
    else if (BEGINS(client, CONVERSATIONS) && client->body_len > 0) {
        rows_send_message(client, client->url + sizeof(CONVERSATIONS) - 1, client->body,
                          client->body_len);
        return;
    } else if (BEGINS(client, CONVERSATIONS))
        end = rows_messages(to, client->url + sizeof(CONVERSATIONS) - 1, limit_of(client));
    answer_send(client, 200, end);
}

static int on_url(llhttp_t *parser, const char *at, size_t len) {
    struct client *client = parser->data;
    client->url = at;
    client->url_len = (uint32_t)len;
    client->body_len = 0;
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len) {
    struct client *client = parser->data;
    client->body = at;
    client->body_len = (uint32_t)len;
    return 0;
}

static int on_message_complete(llhttp_t *parser) {
    struct client *client = parser->data;
    if (BEGINS(client, "/healthz"))
        client_write(client, HEALTHZ, sizeof(HEALTHZ) - 1);
    else if (BEGINS(client, "/asset"))
        client_write(client, asset, asset_len);
    else if (BEGINS(client, "/ws"))
        socket_upgrade(client, read_bytes, read_len);
    else
        route_rows(client);
    return client->is_socket ? HPE_PAUSED : 0;
}

/* --- connections ------------------------------------------------------------------------------ */

static void lend(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(read_bytes, sizeof(read_bytes) - 1);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct client *client = (struct client *)stream;
    read_len = len > 0 ? (size_t)len : 0;
    if (len > 0 && client->is_socket)
        socket_read(client, buf->base, (size_t)len);
    else if (len < 0)
        client_leave(client);
    else if (len > 0 && llhttp_execute(&client->parser, buf->base, (size_t)len) != HPE_OK &&
             !client->is_socket)
        client_leave(client);
}

static void on_connection(uv_stream_t *server, int status) {
    struct client *client = status == 0 ? calloc(1, sizeof(*client)) : NULL;
    if (client == NULL)
        return;
    uv_tcp_init(server->loop, &client->tcp);
    if (uv_accept(server, (uv_stream_t *)&client->tcp) != 0) {
        client_leave(client);
        return;
    }
    uv_tcp_nodelay(&client->tcp, 1);
    llhttp_init(&client->parser, HTTP_REQUEST, &settings);
    client->parser.data = client;
    uv_read_start((uv_stream_t *)&client->tcp, lend, on_read);
}

/* --- start ------------------------------------------------------------------------------------ */

static void load_asset(const char *path) {
    char head[HEAD_ROOM];
    char *bytes = malloc(ASSET_LIMIT);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    size_t len = fread(bytes, 1, ASSET_LIMIT, file);
    fclose(file);
    int head_len = snprintf(head, sizeof(head),
                            "HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\n"
                            "Content-Length: %zu\r\n\r\n",
                            len);
    asset_len = (size_t)head_len + len;
    asset = malloc(asset_len);
    memcpy(asset, head, (size_t)head_len);
    memcpy(asset + head_len, bytes, len);
    free(bytes);
}

static void allow_descriptors(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv) {
    static uv_tcp_t server;
    struct sockaddr_in address;
    uv_loop_t *loop = uv_default_loop();
    if (argc < 3 || uv_ip4_addr("127.0.0.1", atoi(argv[1]), &address) != 0) {
        fprintf(stderr, "usage: bare PORT DATABASE [ASSET]\n");
        return 2;
    }
    allow_descriptors();
    if (argc > 3)
        load_asset(argv[3]);
    if (strcmp(argv[2], "-") != 0)
        rows_open(argv[2], loop);
    llhttp_settings_init(&settings);
    settings.on_url = on_url;
    settings.on_body = on_body;
    settings.on_message_complete = on_message_complete;
    uv_tcp_init(loop, &server);
    if (uv_tcp_bind(&server, (const struct sockaddr *)&address, 0) != 0 ||
        uv_listen((uv_stream_t *)&server, 4096, on_connection) != 0) {
        fprintf(stderr, "bare: cannot listen\n");
        return 1;
    }
    printf("listening on http://127.0.0.1:%s\n", argv[1]);
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
