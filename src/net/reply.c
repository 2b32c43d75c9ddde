/*
 * Answers: the head put together from ready pieces, the body queued without a copy.
 *
 * The head is written straight into the connection's queue. What every answer carries (Date,
 * nosniff, Referrer-Policy, resource policy) is one piece of text that is rebuilt once a second. A
 * body that is short joins the head in the queue's own block; a longer one stays where it is, and
 * the exchange that owns it stays with it until the kernel has it.
 *
 * A route with an Idempotency-Key has its answer recorded before it leaves
 * (router_hooks.idempotency_record).
 *
 * Invariants: an exchange is answered once; names and values of headers hold no CR, LF or NUL; a
 * HEAD, 204 or 304 never has a body (RFC 9110 section 6.4.1).
 */
#include "base/check.h"
#include "base/clock.h"
#include "net/http.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/banned.h"

#define SKIP_BODY_BYTES  (64 << 10) /* an unread body up to this is skipped, a larger one closes */
#define CONTENT_TYPE_MAX 128
#define COMMON_BYTES     192
#define DETAIL_BYTES     512

static const struct str JSON_TYPE = {"application/json; charset=utf-8", 31};
static const struct str PROBLEM_TYPE = {"application/problem+json; charset=utf-8", 39};

static struct {
    char text[COMMON_BYTES]; /* header lines that every answer has */
    size_t len;
    int64_t until_us;
} common;

void reply_init(void) {
    common.until_us = 0;
}

/* --- the head --------------------------------------------------------------------------------- */

#define STATUS_ROW(code, phrase)                               \
    {                                                          \
        code,                                                  \
            {"HTTP/1.1 " #code " " phrase "\r\n",              \
             sizeof("HTTP/1.1 " #code " " phrase "\r\n") - 1}, \
            phrase                                             \
    }
static const struct status_row {
    int status;
    struct str line;
    const char *phrase;
} STATUSES[] = {
    STATUS_ROW(200, "OK"),
    STATUS_ROW(101, "Switching Protocols"),
    STATUS_ROW(201, "Created"),
    STATUS_ROW(202, "Accepted"),
    STATUS_ROW(204, "No Content"),
    STATUS_ROW(206, "Partial Content"),
    STATUS_ROW(301, "Moved Permanently"),
    STATUS_ROW(302, "Found"),
    STATUS_ROW(303, "See Other"),
    STATUS_ROW(304, "Not Modified"),
    STATUS_ROW(400, "Bad Request"),
    STATUS_ROW(401, "Unauthorized"),
    STATUS_ROW(402, "Payment Required"),
    STATUS_ROW(403, "Forbidden"),
    STATUS_ROW(404, "Not Found"),
    STATUS_ROW(405, "Method Not Allowed"),
    STATUS_ROW(406, "Not Acceptable"),
    STATUS_ROW(408, "Request Timeout"),
    STATUS_ROW(409, "Conflict"),
    STATUS_ROW(410, "Gone"),
    STATUS_ROW(411, "Length Required"),
    STATUS_ROW(412, "Precondition Failed"),
    STATUS_ROW(413, "Content Too Large"),
    STATUS_ROW(414, "URI Too Long"),
    STATUS_ROW(415, "Unsupported Media Type"),
    STATUS_ROW(416, "Range Not Satisfiable"),
    STATUS_ROW(417, "Expectation Failed"),
    STATUS_ROW(421, "Misdirected Request"),
    STATUS_ROW(422, "Unprocessable Content"),
    STATUS_ROW(423, "Locked"),
    STATUS_ROW(426, "Upgrade Required"),
    STATUS_ROW(428, "Precondition Required"),
    STATUS_ROW(429, "Too Many Requests"),
    STATUS_ROW(431, "Request Header Fields Too Large"),
    STATUS_ROW(500, "Internal Server Error"),
    STATUS_ROW(501, "Not Implemented"),
    STATUS_ROW(503, "Service Unavailable"),
    STATUS_ROW(505, "HTTP Version Not Supported"),
    STATUS_ROW(507, "Insufficient Storage"),
};

static const struct status_row *status_row(int status) {
    for (size_t i = 0; i < COUNT_OF(STATUSES); i++)
        if (STATUSES[i].status == status)
            return &STATUSES[i];
    BUG("no phrase for status %d", status);
}

static char *put(char *at, struct str s) {
    memcpy(at, s.at, s.len);
    return at + s.len;
}

static char *put_int(char *at, int64_t value) {
    return at + str_print_int(at, value);
}

/* By the clock of this turn, not of the request: it may have waited for minutes. */
static struct str common_lines(void) {
    int64_t now_us = conn_turn_us();
    if (now_us < common.until_us)
        return str_of(common.text, common.len);
    char date[HTTP_DATE_LEN + 1];
    int64_t now_ms = clock_now_ms();
    clock_http_date(now_ms, date);
    int len = snprintf(common.text, sizeof(common.text),
                       "Date: %s\r\n"
                       "X-Content-Type-Options: nosniff\r\n"
                       "Referrer-Policy: no-referrer\r\n"
                       "Cross-Origin-Resource-Policy: same-origin\r\n"
                       "X-Request-Id: ",
                       date);
    BUG_IF(len < 0 || (size_t)len >= sizeof(common.text));
    common.len = (size_t)len;
    common.until_us = now_us + (1000 - now_ms % 1000) * 1000;
    return str_of(common.text, common.len);
}

static char *put_limit(char *at, const struct limit_answer *limit) {
    at = put_int(put(at, STR("RateLimit-Limit: ")), limit->limit);
    at = put_int(put(at, STR("\r\nRateLimit-Remaining: ")), limit->remaining);
    at = put_int(put(at, STR("\r\nRateLimit-Reset: ")), limit->reset_s);
    return put(at, STR("\r\n"));
}

static bool has_no_body(int status) {
    return status == 204 || status == 304 || status == 101;
}

static char *put_connection(char *at, const struct exchange *exchange) {
    if (!exchange->keeps_alive)
        return put(at, STR("Connection: close\r\n"));
    if (exchange->is_http10)
        return put(at, STR("Connection: keep-alive\r\n"));
    return at;
}

/* `length` of the body; -1: it is not known. */
static void send_head(struct exchange *exchange, int status, struct str content_type,
                      int64_t length) {
    struct conn *conn = exchange->request.conn;
    BUG_IF(content_type.len > CONTENT_TYPE_MAX);
    char *start = conn_room(conn, CONN_ROOM_BYTES);
    if (start == NULL)
        return;
    char *at = put(start, status_row(status)->line);
    at = put(at, common_lines());
    at = put(at, exchange->request.request_id);
    at = put(at, STR("\r\n"));
    if (content_type.len > 0 && status != 304 && !exchange->has_type_header)
        at = put(put(put(at, STR("Content-Type: ")), content_type), STR("\r\n"));
    if (length >= 0 && !has_no_body(status))
        at = put(put_int(put(at, STR("Content-Length: ")), length), STR("\r\n"));
    if (!exchange->has_cache_header && status != 101)
        at = put(at, STR("Cache-Control: no-store\r\n"));
    if (exchange->has_limit)
        at = put_limit(at, &exchange->limit);
    if (status != 101)
        at = put_connection(at, exchange);
    if (exchange->extra_len == 0)
        at = put(at, STR("\r\n"));
    conn_wrote(conn, (size_t)(at - start));
    if (exchange->extra_len == 0)
        return;
    conn_send(conn, exchange->extra, exchange->extra_len);
    conn_send(conn, "\r\n", 2);
}

/* --- what handlers add ------------------------------------------------------------------------ */

static void extra_add(struct exchange *exchange, struct str s) {
    if (s.len > exchange->extra_room - exchange->extra_len) {
        exchange->extra_room = (exchange->extra_room + s.len) * 2;
        char *more = arena_alloc(&exchange->arena, exchange->extra_room);
        memcpy(more, exchange->extra, exchange->extra_len);
        exchange->extra = more;
    }
    memcpy(exchange->extra + exchange->extra_len, s.at, s.len);
    exchange->extra_len += s.len;
}

static bool is_header_text(struct str value) {
    for (size_t i = 0; i < value.len; i++)
        if (value.at[i] == '\r' || value.at[i] == '\n' || value.at[i] == '\0')
            return false;
    return true;
}

void reply_header(struct request *request, const char *name, struct str value) {
    struct exchange *exchange = exchange_of(request);
    MAGIC_CHECK(exchange, EXCHANGE_MAGIC);
    BUG_IF(!is_header_text(value));
    struct str name_text = str_from(name);
    if (str_eq_nocase(name_text, STR("Cache-Control")))
        exchange->has_cache_header = true;
    if (str_eq_nocase(name_text, STR("Content-Type")))
        exchange->has_type_header = true;
    extra_add(exchange, name_text);
    extra_add(exchange, STR(": "));
    extra_add(exchange, value);
    extra_add(exchange, STR("\r\n"));
}

void reply_cookie(struct request *request, const char *name, struct str value, int64_t max_age_s) {
    BUG_IF(!is_header_text(value) || str_find_char(value, ';', 0) >= 0);
    struct str line = str_printf(
        request->arena, "%s%s=" STR_FMT "; Path=/; HttpOnly; SameSite=Strict; Max-Age=%lld%s",
        request->is_secure ? "__Host-" : "", name, STR_ARG(value), (long long)max_age_s,
        request->is_secure ? "; Secure" : "");
    reply_header(request, "Set-Cookie", line);
}

/* --- sending ---------------------------------------------------------------------------------- */

/* A body that nobody has read must be skipped before the next request can be found. */
static void decide_keep_alive(struct exchange *exchange) {
    if (http_is_draining())
        exchange->keeps_alive = false;
    if (exchange->is_received)
        return;
    bool has_length = exchange->known[KNOWN_CONTENT_LENGTH].at != NULL;
    bool may_skip = has_length && !exchange->expects_continue &&
                    exchange->parser.content_length <= SKIP_BODY_BYTES;
    exchange->keeps_alive = exchange->keeps_alive && may_skip;
}

static void let_go_of(void (*let_go)(void *), void *owner) {
    if (let_go != NULL)
        let_go(owner);
}

static void send_now(struct exchange *exchange) {
    struct conn *conn = exchange->request.conn;
    int status = exchange->status;
    if (conn == NULL || !conn_is_open(conn)) {
        let_go_of(exchange->let_go, exchange->owner);
        http_answered(exchange, status);
        return;
    }
    decide_keep_alive(exchange);
    send_head(exchange, status, exchange->content_type, (int64_t)exchange->bytes.len);
    if (exchange->request.method == METHOD_HEAD || has_no_body(status))
        let_go_of(exchange->let_go, exchange->owner);
    else
        conn_send_shared(conn, exchange->bytes, exchange->let_go, exchange->owner);
    http_answered(exchange, status);
}

static void send_recorded(struct request *request) {
    struct exchange *exchange = exchange_of(request);
    MAGIC_CHECK(exchange, EXCHANGE_MAGIC);
    BUG_IF(exchange->is_answered || exchange->is_recorded);
    send_now(exchange);
}

void reply_now(struct exchange *exchange, int status, struct str content_type, struct str bytes,
               void (*let_go)(void *owner), void *owner) {
    MAGIC_CHECK(exchange, EXCHANGE_MAGIC);
    BUG_IF(exchange->is_answered || exchange->status != 0); /* a request is answered once */
    exchange->status = status;
    exchange->content_type = content_type;
    exchange->bytes = bytes;
    exchange->let_go = let_go;
    exchange->owner = owner;
    exchange->on_gone = NULL; /* what its ctx points at may be gone before the recording is done */
    if (!exchange->is_recorded) {
        send_now(exchange);
        return;
    }
    exchange->is_recorded = false;
    router_hooks_now.idempotency_record(&exchange->request, status, content_type, bytes,
                                        send_recorded);
}

/* The bytes are the exchange's (arena or body buffer): it stays until they have left. */
static void reply_own(struct exchange *exchange, int status, struct str content_type,
                      struct str bytes) {
    exchange->references++;
    reply_now(exchange, status, content_type, bytes, exchange_let_go, exchange);
}

void reply_shared(struct request *request, int status, struct str content_type, struct str bytes) {
    reply_now(exchange_of(request), status, content_type, bytes, NULL, NULL);
}

struct json *reply_json(struct request *request) {
    struct exchange *exchange = exchange_of(request);
    MAGIC_CHECK(exchange, EXCHANGE_MAGIC);
    if (!exchange->has_body) {
        exchange->body = http_body_take();
        json_init(&exchange->json, &exchange->body);
        exchange->has_body = true;
    }
    return &exchange->json;
}

void reply_send(struct request *request, int status) {
    struct exchange *exchange = exchange_of(request);
    (void)reply_json(request);
    if (exchange->body.err != E_OK) {
        reply_problem(request, 503, "The answer is larger than this server sends.");
        return;
    }
    reply_own(exchange, status, JSON_TYPE, buf_str(&exchange->body));
}

void reply_empty(struct request *request, int status) {
    reply_now(exchange_of(request), status, STR_NONE, STR(""), NULL, NULL);
}

void reply_bytes(struct request *request, int status, struct str content_type, struct str bytes) {
    reply_own(exchange_of(request), status, content_type, bytes);
}

void reply_redirect(struct request *request, struct str location) {
    reply_header(request, "Location", location);
    reply_empty(request, 302);
}

/* --- problems (RFC 9457) ---------------------------------------------------------------------- */

/* Begins anew: what a handler has written before it failed is dropped. */
static struct json *problem_begin(struct exchange *exchange, int status, struct str detail) {
    struct json *json = reply_json(&exchange->request);
    buf_clear(&exchange->body);
    json_init(json, &exchange->body);
    json_object_begin(json);
    JSON_STR(json, "type", STR("about:blank"));
    JSON_STR(json, "title", str_from(status_row(status)->phrase));
    JSON_INT(json, "status", status);
    JSON_STR(json, "detail", detail);
    JSON_STR(json, "request_id", exchange->request.request_id);
    return json;
}

static void problem_end(struct exchange *exchange, int status) {
    json_object_end(&exchange->json);
    exchange->has_type_header = false;
    reply_own(exchange, status, PROBLEM_TYPE, buf_str(&exchange->body));
}

static struct str format_detail(char out[DETAIL_BYTES], const char *format, va_list arguments) {
    int len = vsnprintf(out, DETAIL_BYTES, format, arguments);
    BUG_IF(len < 0);
    return str_of(out, (size_t)len < DETAIL_BYTES ? (size_t)len : DETAIL_BYTES - 1);
}

void reply_problem(struct request *request, int status, const char *detail, ...) {
    char text[DETAIL_BYTES];
    va_list arguments;
    va_start(arguments, detail);
    struct str formatted = format_detail(text, detail, arguments);
    va_end(arguments);
    problem_begin(exchange_of(request), status, formatted);
    problem_end(exchange_of(request), status);
}

void reply_refuse(struct exchange *exchange, int status, const char *detail) {
    exchange->keeps_alive = false;
    exchange->is_received = true; /* nothing of it is read any more */
    reply_problem(&exchange->request, status, "%s", detail);
}

void reply_error(struct request *request, enum err err) {
    static const char *const SENTENCES[] = {
        [E_OK] = "Nothing went wrong.",
        [E_INPUT] = "What was sent is not valid.",
        [E_DENIED] = "You may not do this.",
        [E_ABSENT] = "There is nothing here, or it is not yours.",
        [E_CONFLICT] = "It has been changed meanwhile, or exists already.",
        [E_LIMIT] = "It is more than is allowed here.",
        [E_BUSY] = "The server is busy. Try again in a moment.",
        [E_TIMEOUT] = "It took too long. Try again.",
        [E_UPSTREAM] = "A service behind this server failed. Try again later.",
        [E_STORAGE] = "It could not be stored: the disk is full or failing.",
        [E_CANCELLED] = "It was cancelled.",
    };
    BUG_IF(err == E_OK || (size_t)err >= COUNT_OF(SENTENCES));
    if (err_status(err) == 503)
        reply_retry_later(request, 503, 2, SENTENCES[err]);
    else
        reply_problem(request, err_status(err), "%s", SENTENCES[err]);
}

void reply_retry_later(struct request *request, int status, int64_t after_s, const char *detail) {
    char digits[STR_INT_BYTES];
    reply_header(request, "Retry-After", str_of(digits, str_print_int(digits, after_s)));
    reply_problem(request, status, "%s", detail);
}

void reply_fields(struct exchange *exchange, const struct field_problems *problems) {
    struct json *json = problem_begin(exchange, 422, STR("Some fields are not valid."));
    JSON_ARRAY(json, "errors");
    for (size_t i = 0; i < problems->count; i++) {
        json_object_begin(json);
        JSON_STR(json, "field", str_from(problems->items[i].field));
        JSON_STR(json, "message", str_from(problems->items[i].message));
        json_object_end(json);
    }
    json_array_end(json);
    problem_end(exchange, 422);
}

void reply_field_problem(struct request *request, const char *field, const char *message, ...) {
    char text[DETAIL_BYTES];
    va_list arguments;
    va_start(arguments, message);
    struct str formatted = format_detail(text, message, arguments);
    va_end(arguments);
    struct field_problems problems = {.count = 1};
    problems.items[0] =
        (struct field_problem){.field = field, .message = str_dup_z(request->arena, formatted)};
    reply_fields(exchange_of(request), &problems);
}

/* --- lists ------------------------------------------------------------------------------------ */

struct json *reply_list_begin(struct request *request) {
    struct json *json = reply_json(request);
    json_object_begin(json);
    JSON_ARRAY(json, "items");
    return json;
}

void reply_list_end(struct request *request, struct str next_cursor) {
    struct json *json = reply_json(request);
    json_array_end(json);
    JSON_STR(json, "next_cursor", next_cursor);
    json_object_end(json);
    reply_send(request, 200);
}

/* --- leaving HTTP ----------------------------------------------------------------------------- */

/* The peer has left: the request ends here. */
static bool is_deserted(struct exchange *exchange, int status) {
    struct conn *conn = exchange->request.conn;
    BUG_IF(exchange->is_answered || exchange->status != 0);
    exchange->status = status;
    if (conn != NULL && conn_is_open(conn))
        return false;
    http_answered(exchange, status);
    return true;
}

struct conn *request_upgrade(struct request *request, const char *upgrade_to,
                             const struct conn_protocol *protocol, void *state) {
    struct exchange *exchange = exchange_of(request);
    MAGIC_CHECK(exchange, EXCHANGE_MAGIC);
    struct conn *conn = request->conn;
    if (is_deserted(exchange, 101))
        return NULL;
    reply_header(request, "Upgrade", str_from(upgrade_to));
    reply_header(request, "Connection", STR("Upgrade"));
    exchange->has_limit = false;
    send_head(exchange, 101, STR_NONE, -1);
    conn_set_address(conn, request->address);
    conn_become(conn, protocol, state);
    http_handed_over(exchange, 101);
    return conn;
}

struct conn *request_stream(struct request *request, int status, struct str content_type,
                            const struct conn_protocol *protocol, void *state) {
    struct exchange *exchange = exchange_of(request);
    MAGIC_CHECK(exchange, EXCHANGE_MAGIC);
    struct conn *conn = request->conn;
    if (is_deserted(exchange, status))
        return NULL;
    decide_keep_alive(exchange);
    if (exchange->is_http10)
        exchange->keeps_alive = false;
    bool is_chunked = !exchange->is_http10;
    if (is_chunked)
        reply_header(request, "Transfer-Encoding", STR("chunked"));
    send_head(exchange, status, content_type, -1);
    if (request->method == METHOD_HEAD) {
        http_answered(exchange, status);
        return NULL;
    }
    conn_set_address(conn, request->address);
    conn_become_stream(conn, protocol, state, is_chunked, !exchange->keeps_alive);
    http_handed_over(exchange, status);
    return conn;
}
