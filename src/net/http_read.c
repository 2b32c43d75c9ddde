/*
 * The bytes of one request on their way into its exchange: the head, then the body.
 *
 * The head is looked at twice: by head.c, as raw lines, and by llhttp, which splits it and knows
 * the framing. It is copied once into the exchange, whole, so that every header that a handler
 * borrows stays valid until the answer, wherever the next read goes. The body runs through llhttp
 * too; it is collected up to the limit of its route, or skipped when the answer was given early.
 * What stands behind a chunked body's last chunk is again judged as raw lines first.
 *
 * Bodies in memory share a ceiling (limits.body_memory_mb): body_bytes is the sum of them all.
 *
 * After any doubt about framing the answer says Connection: close and nothing more is read as a
 * request (RFC 9112 section 11.2).
 */
#include "net/http.h"

#include <string.h>
#include "base/banned.h"

#define SKIP_LIMIT_BYTES (64 << 10) /* of a body nobody wants: more is cheaper to cut off */
#define FRAMING_SPARE_BYTES \
    (16 << 10) /* chunk heads, extensions and trailers beyond 8 bytes for each of data */

static llhttp_settings_t settings;
static size_t body_bytes; /* of bodies in memory, all together */

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
    if (limits.body_memory_mb > 0 && body_bytes + len > (size_t)limits.body_memory_mb << 20) {
        exchange->problem_status = 503;
        exchange->problem = "Too many bodies are on their way. Try again in a moment.";
        return -1;
    }
    if (exchange->content.at == NULL)
        exchange->content = http_body_take();
    buf_add(&exchange->content, at, len);
    body_bytes += len;
    if (exchange->has_secret)
        explicit_bzero((char *)at, len); /* the read buffer, which nobody reads there again */
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

void http_read_init(void) {
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
        conn_deadline(exchange->request.conn, HTTP_BODY_MS);
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
        conn_deadline(exchange->request.conn, HTTP_HEAD_MS);
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

size_t http_read(struct exchange *exchange, struct str bytes) {
    return exchange->has_head ? take_body(exchange, bytes) : take_head(exchange, bytes);
}

void http_read_release(struct exchange *exchange) {
    http_body_give(&exchange->head);
    body_bytes -= exchange->content.len;
    if (exchange->has_secret && exchange->content.at != NULL)
        explicit_bzero(exchange->content.at, exchange->content.room);
    http_body_give(&exchange->content);
}
