/*
 * The life of an exchange: bytes -> head -> (body) -> handler -> answer -> next.
 *
 * The head is looked at twice: by head.c, as raw lines, and by llhttp, which splits it and knows
 * the framing. It is copied once into the exchange, whole, so that every header that a handler
 * borrows stays valid until the answer, wherever the next read goes. The body runs through llhttp
 * too; it is collected up to the limit of its route, or skipped when the answer was given early.
 *
 * Pipelining. While a handler runs, what comes behind its request is put aside (conn_keep) and
 * looked at when the answer is queued, at the end of the turn. A handler that answers at once lets
 * the loop in consume() go straight on.
 *
 * Deadlines. 75 s between requests, 10 s from the first byte of a head to its last, 30 s for each
 * part of a body, in which at least 8 KiB must come unless it ends. A handler has no deadline here:
 * it has its own.
 *
 * A peer that shuts its side while the handler runs may still want the answer (nc does this): it
 * gets it, unless the handler asked to be told (request_on_gone): then it counts as gone.
 *
 * After any doubt about framing the answer says Connection: close and nothing more is read as a
 * request (RFC 9112 section 11.2).
 */
#include "net/http.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/metric.h"
#include "loop/loop.h"

#include <stdlib.h>
#include <string.h>
#include "base/banned.h"

#define IDLE_MS           75000 /* longer than the 60 s of common front proxies, so that they close first */
#define HEAD_MS           10000
#define BODY_MS           30000
#define BODY_PERIOD_BYTES (8 << 10)
#define SKIP_LIMIT_BYTES  (64 << 10) /* of a body nobody wants: more is cheaper to cut off */
#define FRAMING_SPARE_BYTES \
    (16 << 10) /* chunk heads, extensions and trailers beyond 8 bytes for each of data */
#define UNSENT_LIMIT_BYTES \
    (256 << 10) /* answers not yet taken: then no further request is read \
                 */
#define SPARE_EXCHANGES    64
#define SPARE_BUFS         16
#define SPARE_BUF_BYTES    (64 << 10)
#define BODY_CEILING_BYTES ((size_t)256 << 20) /* of an answer */

METRIC_LABELLED(answers_1xx, "troupe_http_requests_total", "class=\"1xx\"", "Requests answered.");
METRIC_LABELLED(answers_2xx, "troupe_http_requests_total", "class=\"2xx\"", "Requests answered.");
METRIC_LABELLED(answers_3xx, "troupe_http_requests_total", "class=\"3xx\"", "Requests answered.");
METRIC_LABELLED(answers_4xx, "troupe_http_requests_total", "class=\"4xx\"", "Requests answered.");
METRIC_LABELLED(answers_5xx, "troupe_http_requests_total", "class=\"5xx\"", "Requests answered.");
METRIC_HISTOGRAM(answer_time, "troupe_http_request_seconds", "From the head to the answer.");
METRIC_GAUGE(requests_running, "troupe_http_requests_running", "Handlers that have not answered.");

static struct {
    struct exchange *spare;
    int spare_count;
    struct buf bufs[SPARE_BUFS];
    int buf_count;
    char id_prefix[8];
    uint64_t id_next;
    int64_t answers[5]; /* by class, since the end of the last turn */
    int64_t running;    /* handlers that have not answered */
    size_t body_bytes;  /* of bodies in memory, all together */
    bool is_draining;
    bool has_ids;
} http;

static llhttp_settings_t settings;

/* --- exchanges -------------------------------------------------------------------------------- */

static const char CROCKFORD[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* A random half for the process and a counting half: unique in the logs, and no work. */
static struct str request_id_next(struct exchange *exchange) {
    if (!http.has_ids) {
        uint8_t random[sizeof(http.id_prefix)];
        crypto_random(random, sizeof(random));
        for (size_t i = 0; i < sizeof(random); i++)
            http.id_prefix[i] = CROCKFORD[random[i] & 31];
        http.has_ids = true;
    }
    memcpy(exchange->request_id, http.id_prefix, 8);
    uint64_t number = ++http.id_next;
    for (int i = REQUEST_ID_LEN - 1; i >= 8; i--, number >>= 5)
        exchange->request_id[i] = CROCKFORD[number & 31];
    return str_of(exchange->request_id, REQUEST_ID_LEN);
}

static struct exchange *exchange_begin(struct conn *conn) {
    struct exchange *exchange = http.spare;
    if (exchange != NULL) {
        http.spare = exchange->next_spare;
        http.spare_count--;
    } else {
        exchange = malloc(sizeof(*exchange));
        BUG_IF(exchange == NULL);
    }
    memset(exchange, 0, offsetof(struct exchange, request_id));
    exchange->magic = EXCHANGE_MAGIC;
    exchange->references = 1;
    arena_init_with(&exchange->arena, exchange->scratch, sizeof(exchange->scratch));
    exchange->extra = exchange->extra_bytes;
    exchange->extra_room = sizeof(exchange->extra_bytes);
    struct request *request = &exchange->request;
    request->arena = &exchange->arena;
    request->conn = conn;
    request->net = exchange;
    request->headers = exchange->headers;
    request->address = conn_address(conn);
    request->request_id = request_id_next(exchange);
    request->began_us = conn_turn_us();
    conn_set_state(conn, exchange);
    return exchange;
}

void exchange_let_go(void *ctx) {
    struct exchange *exchange = ctx;
    MAGIC_CHECK(exchange, EXCHANGE_MAGIC);
    if (--exchange->references > 0)
        return;
    exchange->magic = 0;
    arena_release(&exchange->arena);
    http_body_give(&exchange->head);
    http.body_bytes -= exchange->content.len;
    http_body_give(&exchange->content);
    http_body_give(&exchange->body);
    if (http.spare_count >= SPARE_EXCHANGES) {
        free(exchange);
        return;
    }
    exchange->next_spare = http.spare;
    http.spare = exchange;
    http.spare_count++;
}

struct buf http_body_take(void) {
    struct buf buf;
    if (http.buf_count == 0) {
        buf_init(&buf, BODY_CEILING_BYTES);
        return buf;
    }
    return http.bufs[--http.buf_count];
}

void http_body_give(struct buf *buf) {
    if (buf->at == NULL)
        return;
    if (http.buf_count == SPARE_BUFS || buf->room > SPARE_BUF_BYTES) {
        buf_release(buf);
        return;
    }
    buf_clear(buf);
    buf->ceiling_bytes = BODY_CEILING_BYTES;
    http.bufs[http.buf_count++] = *buf;
    *buf = (struct buf){0};
}

static void http_protocol_init(void);

void http_init(void) {
    http_protocol_init();
    http.is_draining = false;
    conn_init();
    reply_init();
}

void http_release(void) {
    while (http.spare != NULL) {
        struct exchange *exchange = http.spare;
        http.spare = exchange->next_spare;
        free(exchange);
    }
    http.spare_count = 0;
    while (http.buf_count > 0)
        buf_release(&http.bufs[--http.buf_count]);
    conn_release();
}

void http_drain(void) {
    http.is_draining = true;
    conn_close_idle();
}

bool http_is_crowded(void) {
    return limits.requests > 0 && http.running >= limits.requests;
}

bool http_is_draining(void) {
    return http.is_draining;
}

/* --- what llhttp tells ------------------------------------------------------------------------ */

static int on_url(llhttp_t *parser, const char *at, size_t len) {
    struct exchange *exchange = parser->data;
    exchange->request.target = str_of(at, len); /* the head is one piece, so is each of its parts */
    return 0;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len) {
    struct exchange *exchange = parser->data;
    if (exchange->has_head)
        return 0; /* a trailer: counted by its bytes, never merged (RFC 9110 section 6.5.1) */
    if (exchange->request.header_count == HEAD_FIELDS_LIMIT)
        return -1;
    exchange->headers[exchange->request.header_count++] =
        (struct header){.name = str_of(at, len), .value = STR("")};
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len) {
    struct exchange *exchange = parser->data;
    if (exchange->has_head || exchange->request.header_count == 0)
        return 0;
    struct str *value = &exchange->headers[exchange->request.header_count - 1].value;
    if (value->len > 0)
        return value->at + value->len == at ? (value->len += len, 0) : -1;
    *value = str_of(at, len);
    return 0;
}

static int on_headers_complete(llhttp_t *parser) {
    struct exchange *exchange = parser->data;
    exchange->has_head = true;
    exchange->is_http10 = parser->http_major == 1 && parser->http_minor == 0;
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len) {
    struct exchange *exchange = parser->data;
    exchange->period_bytes += len;
    if (exchange->is_answered) {
        exchange->skipped_bytes += len;
        return 0;
    }
    if (len > exchange->content_limit_bytes - exchange->content.len) {
        exchange->problem_status = 413;
        exchange->problem = "The body is larger than this route takes.";
        return -1;
    }
    if (limits.body_memory_mb > 0 && http.body_bytes + len > (size_t)limits.body_memory_mb << 20) {
        exchange->problem_status = 503;
        exchange->problem = "Too many bodies are on their way. Try again in a moment.";
        return -1;
    }
    if (exchange->content.at == NULL)
        exchange->content = http_body_take();
    buf_add(&exchange->content, at, len);
    http.body_bytes += len;
    return 0;
}

/* The last chunk is known by its size, 0: the lines behind it are judged before they are parsed. */
static int on_chunk_header(llhttp_t *parser) {
    struct exchange *exchange = parser->data;
    exchange->is_in_trailers = parser->content_length == 0;
    return exchange->is_in_trailers ? HPE_PAUSED : 0;
}

static int on_message_complete(llhttp_t *parser) {
    struct exchange *exchange = parser->data;
    exchange->is_received = true;
    return HPE_PAUSED; /* one request at a time; the rest is looked at with a fresh parser */
}

static void http_protocol_init(void) {
    llhttp_settings_init(&settings);
    settings.on_url = on_url;
    settings.on_header_field = on_header_field;
    settings.on_header_value = on_header_value;
    settings.on_headers_complete = on_headers_complete;
    settings.on_body = on_body;
    settings.on_chunk_header = on_chunk_header;
    settings.on_message_complete = on_message_complete;
}

/* What a parser's refusal means to the peer. By name: the numbers are llhttp's own business. */
static void refuse_parse(struct exchange *exchange, llhttp_errno_t err) {
    if (exchange->problem_status != 0) {
        if (exchange->problem_status == 503)
            reply_header(&exchange->request, "Retry-After", STR("2"));
        reply_refuse(exchange, exchange->problem_status, exchange->problem);
        return;
    }
    switch (err) {
    case HPE_INVALID_METHOD:
        reply_refuse(exchange, 501, "This server does not know the method.");
        return;
    case HPE_INVALID_VERSION:
        reply_refuse(exchange, 505, "This server speaks HTTP/1.1.");
        return;
    case HPE_INVALID_TRANSFER_ENCODING:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
    case HPE_INVALID_CONTENT_LENGTH:
        reply_refuse(exchange, 400,
                     "The length of the body is stated in a way that can be misread.");
        return;
    case HPE_INVALID_CHUNK_SIZE:
        reply_refuse(exchange, 400, "The body is not well chunked.");
        return;
    default:
        reply_refuse(exchange, 400, "The request is malformed.");
    }
}

/* --- head and body ---------------------------------------------------------------------------- */

static void trim_values(struct exchange *exchange) {
    for (size_t i = 0; i < exchange->request.header_count; i++) {
        struct str *value = &exchange->headers[i].value;
        while (value->len > 0 &&
               (value->at[value->len - 1] == ' ' || value->at[value->len - 1] == '\t'))
            value->len--;
    }
}

/* RFC 9112 section 9.3. llhttp 8.1 would not see a `close` with a tab behind it. */
static bool wants_to_stay(const struct exchange *exchange) {
    const struct request *request = &exchange->request;
    if (request_list_has(request, "connection", STR("close")))
        return false;
    return !exchange->is_http10 || request_list_has(request, "connection", STR("keep-alive"));
}

static void parse_head(struct exchange *exchange, const char *at, size_t len) {
    llhttp_init(&exchange->parser, HTTP_REQUEST, &settings);
    exchange->parser.data = exchange;
    llhttp_errno_t err = llhttp_execute(&exchange->parser, at, len);
    bool is_fine = err == HPE_OK || err == HPE_PAUSED || err == HPE_PAUSED_UPGRADE;
    if (!is_fine || !exchange->has_head) {
        refuse_parse(exchange, err);
        return;
    }
    trim_values(exchange);
    exchange->keeps_alive = wants_to_stay(exchange);
    if (!gate_admit(exchange) || exchange->is_answered)
        return;
    if (exchange->is_received)
        gate_dispatch(exchange);
    else
        conn_deadline(exchange->request.conn, BODY_MS);
}

static size_t take_more_of_head(struct exchange *exchange, struct str bytes) {
    size_t had = exchange->head.len;
    size_t room = HEAD_LIMIT_BYTES + HEAD_REQUEST_LINE_BYTES - had;
    size_t more = bytes.len < room ? bytes.len : room;
    size_t head_len = 0;
    const char *why = "";
    buf_add(&exchange->head, bytes.at, more);
    int status = head_scan(&exchange->scan, buf_str(&exchange->head), &head_len, &why);
    if (status == 0)
        return more;
    if (status == 200) {
        parse_head(exchange, exchange->head.at, head_len);
        return head_len - had;
    }
    reply_refuse(exchange, status, why);
    return bytes.len;
}

/* Gives how many bytes belonged to the head. */
static size_t take_head(struct exchange *exchange, struct str bytes) {
    if (exchange->head.len > 0)
        return take_more_of_head(exchange, bytes);
    size_t head_len = 0;
    const char *why = "";
    int status = head_scan(&exchange->scan, bytes, &head_len, &why);
    if (status == 0) {
        exchange->head = http_body_take();
        buf_add_str(&exchange->head, bytes);
        conn_deadline(exchange->request.conn, HEAD_MS);
        return bytes.len;
    }
    if (status != 200) {
        reply_refuse(exchange, status, why);
        return bytes.len;
    }
    char *copy = arena_alloc(&exchange->arena, head_len);
    memcpy(copy, bytes.at, head_len);
    parse_head(exchange, copy, head_len);
    return head_len;
}

/* Framing may cost eight bytes for each of data, and a little for trailers: more is an attack. */
static bool is_framing_sane(const struct exchange *exchange) {
    size_t data = exchange->content.len + exchange->skipped_bytes;
    return exchange->wire_bytes <= data * 9 + FRAMING_SPARE_BYTES &&
           exchange->skipped_bytes <= SKIP_LIMIT_BYTES;
}

static llhttp_errno_t parse_trailers(struct exchange *exchange, struct str bytes) {
    if (trailer_scan(&exchange->trailer_scan, bytes))
        return llhttp_execute(&exchange->parser, bytes.at, bytes.len);
    exchange->problem_status = 400;
    exchange->problem = "The lines behind the body's last chunk are malformed.";
    return HPE_USER;
}

static llhttp_errno_t parse_body(struct exchange *exchange, struct str bytes) {
    if (exchange->is_in_trailers)
        return parse_trailers(exchange, bytes);
    llhttp_errno_t err = llhttp_execute(&exchange->parser, bytes.at, bytes.len);
    if (err != HPE_PAUSED || !exchange->is_in_trailers)
        return err;
    const char *end = bytes.at + bytes.len, *at = llhttp_get_error_pos(&exchange->parser);
    llhttp_resume(&exchange->parser);
    return at == end ? HPE_OK : parse_trailers(exchange, str_of(at, (size_t)(end - at)));
}

static size_t take_body(struct exchange *exchange, struct str bytes) {
    llhttp_errno_t err = parse_body(exchange, bytes);
    size_t taken = bytes.len;
    if (exchange->is_received && (err == HPE_PAUSED || err == HPE_PAUSED_UPGRADE)) {
        taken = (size_t)(llhttp_get_error_pos(&exchange->parser) - bytes.at);
        if (!exchange->is_answered)
            gate_dispatch(exchange);
        return taken;
    }
    exchange->wire_bytes += bytes.len;
    if (err == HPE_OK && is_framing_sane(exchange))
        return taken;
    if (exchange->is_answered)
        conn_close(exchange->request.conn);
    else
        refuse_parse(exchange, err);
    return taken;
}

/* --- the connection's events ------------------------------------------------------------------ */

/* The exchange has done its part: the connection is between two requests. */
static void finish(struct conn *conn, struct exchange *exchange) {
    conn_set_state(conn, NULL);
    exchange_let_go(exchange);
    conn_deadline(conn, IDLE_MS);
}

/* False when what follows must wait, or will never be looked at. */
static bool may_go_on(struct conn *conn, struct exchange *exchange, struct str rest) {
    if (exchange->is_handed_over) {
        conn_keep(conn, rest);
        conn_work_later(conn);
        exchange_let_go(exchange);
        return false;
    }
    if (exchange->is_answered && (exchange->is_received || !conn_is_open(conn)))
        finish(conn, exchange);
    else if (exchange->is_running) {
        conn_keep(conn, rest);
        return false;
    }
    if (!conn_is_open(conn))
        return false;
    if (rest.len > 0 && conn_unsent_bytes(conn) > UNSENT_LIMIT_BYTES) {
        conn_keep(conn, rest);
        conn_await_drained(conn);
        return false;
    }
    return true;
}

static void consume(struct conn *conn, struct str bytes) {
    while (bytes.len > 0) {
        struct exchange *exchange = conn_state(conn);
        if (exchange == NULL)
            exchange = exchange_begin(conn);
        if (exchange->is_running) {
            conn_keep(conn, bytes);
            return;
        }
        exchange->is_in_parser = true;
        size_t taken = exchange->has_head ? take_body(exchange, bytes) : take_head(exchange, bytes);
        exchange->is_in_parser = false;
        bytes = str_slice(bytes, taken, bytes.len);
        if (!may_go_on(conn, exchange, bytes))
            return;
    }
}

static void received(struct conn *conn, struct str bytes) {
    consume(conn, bytes);
    log_request_id(STR_NONE); /* what is logged from here on belongs to no request */
}

void http_continue(struct conn *conn) {
    struct exchange *exchange = conn_state(conn);
    if (exchange != NULL && exchange->is_answered && exchange->is_received)
        finish(conn, exchange);
    exchange = conn_state(conn);
    if (exchange != NULL && exchange->is_running)
        return;
    size_t len;
    char *kept = conn_take_kept(conn, &len);
    if (len > 0)
        received(conn, str_of(kept, len));
    free(kept);
    if (conn_peer_has_ended(conn) && conn_state(conn) == NULL && !conn_has_kept(conn))
        conn_close(conn);
}

static void ended(struct conn *conn) {
    struct exchange *exchange = conn_state(conn);
    if (exchange == NULL) {
        if (!conn_has_kept(conn))
            conn_close(conn);
        return;
    }
    if (!exchange->is_running)
        conn_close(conn); /* answers to earlier requests may still be on their way */
    else if (exchange->on_gone != NULL)
        conn_abort(conn);
    else
        exchange->keeps_alive = conn_has_kept(conn) && exchange->keeps_alive;
}

static void expired(struct conn *conn) {
    struct exchange *exchange = conn_state(conn);
    if (exchange == NULL || exchange->is_answered) {
        conn_close(conn);
    } else if (exchange->is_running) {
        return;
    } else if (!exchange->has_head && !exchange->scan.has_request_line &&
               exchange->head.len == exchange->scan.line_at) {
        conn_close(conn); /* nothing but empty lines */
    } else if (exchange->has_head && exchange->period_bytes >= BODY_PERIOD_BYTES) {
        exchange->period_bytes = 0;
        conn_deadline(conn, BODY_MS);
    } else {
        reply_refuse(exchange, 408, "The request took too long to arrive.");
    }
}

/* The address was the connection's. Not into the arena: the writer or a pool thread may be at work
 * there while the handler waits for it. */
static void keep_address(struct exchange *exchange) {
    struct str *address = &exchange->request.address;
    BUG_IF(address->len > sizeof(exchange->address));
    memcpy(exchange->address, address->at, address->len);
    address->at = exchange->address;
}

static void tell_gone(struct exchange *exchange) {
    void (*on_gone)(struct request *, void *) = exchange->on_gone;
    exchange->on_gone = NULL;
    if (on_gone != NULL)
        on_gone(&exchange->request, exchange->gone_ctx);
}

static void closed(struct conn *conn) {
    struct exchange *exchange = conn_state(conn);
    if (exchange == NULL)
        return;
    conn_set_state(conn, NULL);
    keep_address(exchange);
    exchange->request.conn = NULL;
    if (exchange->is_running && !exchange->is_answered)
        tell_gone(exchange);
    else
        exchange_let_go(exchange);
}

const struct conn_protocol http_protocol = {
    .name = "http",
    .received = received,
    .ended = ended,
    .expired = expired,
    .drained = http_continue,
    .closed = closed,
};

static int refused_count;

static void refused_closed(struct conn *conn) {
    (void)conn;
    refused_count--;
}

/* Has no received(): conn_close() has been called, so nothing is delivered. */
static const struct conn_protocol refused_protocol = {.name = "refused", .closed = refused_closed};

void http_refuse(struct conn *conn) {
    static const char ANSWER[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                 "Content-Length: 0\r\n"
                                 "Retry-After: 5\r\n"
                                 "Connection: close\r\n\r\n";
    refused_count++;
    conn_become(conn, &refused_protocol, NULL);
    conn_send(conn, ANSWER, sizeof(ANSWER) - 1);
    conn_close(conn);
}

int http_refused_count(void) {
    return refused_count;
}

void http_opened(struct conn *conn) {
    conn_deadline(conn, IDLE_MS);
}

/* --- the end of an answer --------------------------------------------------------------------- */

static void count_answer(const struct exchange *exchange, int status) {
    http.answers[status / 100 - 1]++;
    int64_t us = clock_mono_us() - exchange->request.began_us;
    metric_observe_us(&answer_time, us);
    if (log_is_on(LOG_DEBUG))
        log_debug("http", "request answered", LF_STR("path", exchange->request.path),
                  LF_INT("status", status), LF_INT("us", us));
}

void http_turn_ended(void) {
    static struct metric *const CLASSES[] = {&answers_1xx, &answers_2xx, &answers_3xx, &answers_4xx,
                                             &answers_5xx};
    for (size_t i = 0; i < COUNT_OF(CLASSES); i++) {
        if (http.answers[i] != 0)
            metric_add(CLASSES[i], http.answers[i]);
        http.answers[i] = 0;
    }
    metric_set(&requests_running, http.running);
}

static void stop_running(struct exchange *exchange) {
    exchange->is_answered = true;
    exchange->on_gone = NULL;
    if (!exchange->is_running)
        return;
    exchange->is_running = false;
    http.running--;
    loop_let_go();
}

void http_started(struct exchange *exchange) {
    exchange->is_running = true;
    http.running++;
    loop_hold();
    conn_deadline(exchange->request.conn, 0);
}

void http_answered(struct exchange *exchange, int status) {
    struct conn *conn = exchange->request.conn;
    bool was_running = exchange->is_running;
    count_answer(exchange, status);
    stop_running(exchange);
    if (conn == NULL) {
        if (was_running)
            exchange_let_go(exchange);
        return;
    }
    if (!exchange->keeps_alive)
        conn_close(conn);
    if (exchange->is_in_parser)
        return;
    if (!conn_is_open(conn)) {
        conn_set_state(conn, NULL);
        exchange_let_go(exchange);
    } else {
        conn_work_later(conn);
    }
}

void http_handed_over(struct exchange *exchange, int status) {
    struct conn *conn = exchange->request.conn;
    count_answer(exchange, status);
    stop_running(exchange);
    exchange->is_handed_over = true;
    if (exchange->is_in_parser)
        return; /* consume() hands on what is left of its bytes */
    exchange_let_go(exchange);
    conn_work_later(conn);
}
