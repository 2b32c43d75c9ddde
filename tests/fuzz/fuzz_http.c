/* links: troupe_net troupe_embedded
 *
 * Whatever bytes come on a connection, in whatever pieces: what leaves is a row of answers, and no
 * status says that we broke (5xx other than 501 and 505). The first byte says how the rest is cut.
 *
 * The handlers do what handlers may do: answer at once or one piece of input later (also when the peer
 * has left by then), begin a stream and end it later, turn the connection into an echo.
 */
#include "base/check.h"
#include "base/clock.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "net/http.h"
#include "net/limit.h"
#include "net/listener.h"
#include "net/router.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define INPUT_LIMIT_BYTES  ((size_t)1 << 16)
#define OUTPUT_LIMIT_BYTES ((size_t)64 << 20)

static void answer(struct request *request) {
    struct json *json = reply_json(request);
    json_object_begin(json);
    JSON_STR(json, "path", request->path);
    json_object_end(json);
    reply_send(request, 200);
}

/* Answers that are owed; given before the next piece of input. */
static struct request *waiting;
static struct conn *stream;
static int let_go_balance;

static void answer_later(struct request *request) {
    BUG_IF(waiting != NULL); /* one request at a time on the one connection */
    waiting = request;
}

static void tell_gone(struct request *request, void *ctx) {
    (void)ctx;
    BUG_IF(request != waiting || request->conn != NULL);
}

static void answer_later_told(struct request *request) {
    answer_later(request);
    request_on_gone(request, tell_gone, NULL);
}

static void let_go(void *owner) {
    (void)owner;
    let_go_balance--;
}

static void echo(struct conn *conn, struct str bytes) {
    conn_send(conn, bytes.at, bytes.len);
}

static void gone(struct conn *conn) {
    if (conn == stream)
        stream = NULL;
}

static const struct conn_protocol echo_protocol = {.name = "echo", .received = echo};
static const struct conn_protocol stream_protocol = {.name = "stream", .closed = gone};

static void answer_upgrade(struct request *request) {
    (void)request_upgrade(request, "echo", &echo_protocol, NULL);
}

static void answer_stream(struct request *request) {
    stream = request_stream(request, 200, STR("text/event-stream"), &stream_protocol, NULL);
}

static void go_on(void) {
    struct request *request = waiting;
    waiting = NULL;
    if (request != NULL)
        answer(request);
    if (stream == NULL)
        return;
    conn_send(stream, "data: x\n\n", 9);
    let_go_balance++;
    conn_send_shared(stream, STR("data: a frame that belongs to somebody else\n\n"), let_go, NULL);
    conn_stream_end(stream);
}

static enum err identify(struct str token, struct caller *caller) {
    *caller = (struct caller){.user_id = 1, .role = ROLE_MEMBER, .scopes = SCOPE_ALL};
    return str_eq(token, STR("t")) ? E_OK : E_DENIED;
}

struct body {
    struct str text;
    int64_t number;
};
/* clang-format off */
static const struct field body_rows[] = {
    {"text", FIELD_TEXT, AT(struct body, text), .max = 100},
    {"number", FIELD_INT, AT(struct body, number), .min = 0, .max = 9},
    {0}};
static const struct route routes[] = {
    {METHOD_GET, "/", answer},
    {METHOD_GET, "/things/{id}", answer, .query = body_rows, .query_size = sizeof(struct body)},
    {METHOD_POST, "/things", answer, .body = body_rows, .body_size = sizeof(struct body)},
    {METHOD_PUT, "/raw/{word}", answer, .is_raw = true, .body_limit_bytes = 1000},
    {METHOD_GET, "/api/v1/mine", answer, .who = WHO_MEMBER},
    {METHOD_POST, "/l", answer_later, .is_raw = true},
    {METHOD_GET, "/l", answer_later_told},
    {METHOD_GET, "/s", answer_stream},
    {METHOD_GET, "/u", answer_upgrade},
    {0}};
/* clang-format on */
static const struct route *const tables[] = {routes, NULL};

static void start(void) {
    static bool is_started;
    if (is_started)
        return;
    is_started = true;
    clock_init();
    loop_init();
    mailbox_init();
    limits = (struct limits){.connections = 1000};
    net_settings = (struct net_settings){.public_url = STR("")};
    http_init();
    router_init(tables);
    router_hooks(&(struct router_hooks){.identify = identify});
}

static void take(void *ctx, struct str bytes) {
    buf_add_str(ctx, bytes);
}

/* Every answer in the output has a status that is allowed. */
static void judge(struct buf *out) {
    struct str rest = buf_str(out);
    BUG_IF(rest.len > 0 && !str_starts(rest, STR("HTTP/1.1 ")));
    for (ptrdiff_t at = 0; (at = str_find(rest, STR("HTTP/1.1 "), (size_t)at)) >= 0; at += 9) {
        struct str status = str_slice(rest, (size_t)at + 9, (size_t)at + 12);
        BUG_IF(str_starts(status, STR("5")) && !str_eq(status, STR("501")) &&
               !str_eq(status, STR("505")));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || size > INPUT_LIMIT_BYTES)
        return 0;
    start();
    struct buf out;
    size_t step = data[0] == 0 ? size : data[0];
    buf_init(&out, OUTPUT_LIMIT_BYTES);
    struct conn *conn = conn_test_new(take, &out);
    for (size_t at = 1; at < size; at += step) {
        size_t len = size - at < step ? size - at : step;
        char *copy = malloc(len); /* of exactly this size: a look beyond it is seen */
        BUG_IF(copy == NULL);
        memcpy(copy, data + at, len);
        conn_test_feed(conn, str_of(copy, len));
        free(copy);
        conn_test_flush(conn);
        go_on();
    }
    conn_test_feed(conn, STR(""));
    conn_test_flush(conn);
    judge(&out);
    conn_test_free(conn);
    go_on(); /* what is owed to a peer who left goes nowhere */
    BUG_IF(stream != NULL || let_go_balance != 0);
    buf_release(&out);
    return 0;
}
