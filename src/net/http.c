/*
 * The life of an exchange: its bytes are read (http_read.c), its handler runs, its answer leaves
 * (reply.c), and the next one begins.
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

#define IDLE_MS            75000 /* longer than the 60 s of common front proxies, so that they close first */
#define BODY_PERIOD_BYTES  (8 << 10)
#define UNSENT_LIMIT_BYTES (256 << 10) /* answers not yet taken: then no further request is read */
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
    bool is_draining;
    bool has_ids;
} http;

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
    http_read_release(exchange);
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

void http_init(void) {
    http_read_init();
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
        size_t taken = http_read(exchange, bytes);
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
        conn_deadline(conn, HTTP_BODY_MS);
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
