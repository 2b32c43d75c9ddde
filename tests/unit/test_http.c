/* links: troupe_net troupe_embedded */
#include "rig_http.h"

#include <unistd.h>

#define S(literal) \
    { (literal), sizeof(literal) - 1 }
#define BEHIND     "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define GET(rest)  "GET / HTTP/1.1\r\nHost: localhost\r\n" rest "\r\n"
#define POST(rest) "POST /raw HTTP/1.1\r\nHost: localhost\r\n" rest

static int calls, smuggled_calls;
static size_t last_body_len;
static struct request *waiting;
static int gone_calls;

static void answer_root(struct request *request) {
    calls++;
    struct json *json = reply_json(request);
    json_object_begin(json);
    JSON_STR(json, "path", request->path);
    json_object_end(json);
    reply_send(request, 200);
}

static void answer_smuggled(struct request *request) {
    smuggled_calls++;
    reply_empty(request, 204);
}

static void answer_raw(struct request *request) {
    calls++;
    last_body_len = request->content.len;
    reply_bytes(request, 200, STR("application/octet-stream"),
                str_dup(request->arena, request->content));
}

static void answer_upload(struct request *request) {
    reply_empty(request, 200);
}

static void answer_later(struct request *request) {
    calls++;
    waiting = request;
}

static void answer_big(struct request *request) {
    char *bytes = arena_alloc(request->arena, 300000);
    memset(bytes, 'b', 300000);
    reply_bytes(request, 200, STR("text/plain"), str_of(bytes, 300000));
}

static const struct route ROUTES[] = {
    {METHOD_GET, "/", answer_root},
    {METHOD_GET, "/smuggled", answer_smuggled},
    {METHOD_POST, "/raw", answer_raw, .is_raw = true, .body_limit_bytes = 5000},
    {METHOD_POST, "/upload", answer_upload, .is_raw = true, .body_limit_bytes = 1 << 20},
    {METHOD_GET, "/later", answer_later},
    {METHOD_GET, "/api/v1/later", answer_later},
    {METHOD_GET, "/big", answer_big},
    {0}};
static const struct route *const TABLES[] = {ROUTES, NULL};

static int setup(void **state) {
    (void)state;
    calls = smuggled_calls = gone_calls = 0;
    waiting = NULL;
    rig_start(TABLES);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    rig_stop();
    return 0;
}

/* --- framing ---------------------------------------------------------------------------------- */

/* Everything here has a second request behind it, which must never be served as one. */
static const struct refusal_row {
    struct str input;
    int status;
    const char *why;
} REFUSALS[] = {
    {S(POST("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")), 400,
     "CL then TE"},
    {S(POST("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n")), 400,
     "TE then CL"},
    {S(POST("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello")), 400, "two equal CL"},
    {S(POST("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello")), 400, "two different CL"},
    {S(POST("Content-Length: 1, 1\r\n\r\nx")), 400, "CL list"},
    {S(POST("Content-Length: +1\r\n\r\nx")), 400, "CL with plus"},
    {S(POST("Content-Length: -1\r\n\r\nx")), 400, "negative CL"},
    {S(POST("Content-Length: 0x1\r\n\r\nx")), 400, "hexadecimal CL"},
    {S(POST("Content-Length: 18446744073709551616\r\n\r\nx")), 400, "CL of 2^64"},
    {S(POST("Content-Length: \r\n\r\nx")), 400, "empty CL"},
    {S(POST("Content-Length: 1 1\r\n\r\nx")), 400, "CL with inner space"},
    {S(POST("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n")), 400, "chunked not last"},
    {S(POST("Transfer-Encoding: identity\r\n\r\n0\r\n\r\n")), 400, "identity"},
    {S(POST("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")), 400, "a coding that ends in chunked"},
    {S(POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")), 400,
     "two TE"},
    {S(POST("Transfer-Encoding: \x0b"
            "chunked\r\n\r\n0\r\n\r\n")),
     400, "VT before the coding"},
    {S(POST("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")), 501, "a coding we do not know"},
    {S(POST("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n")), 400, "space before the colon"},
    {S(POST("Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n")), 400, "tab before the colon"},
    {S("POST /raw HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400,
     "TE in 1.0"},
    {S("GET / HTTP/1.1\r\n Host: localhost\r\n\r\n"), 400, "leading space on the first header"},
    {S("GET / HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n"), 400, "bare LF ends a header"},
    {S("GET / HTTP/1.1\nHost: localhost\r\n\r\n"), 400, "bare LF ends the request line"},
    {S("GET / HTTP/1.1\r\nHost: localhost\r\n\n"), 400, "bare LF ends the head"},
    {S("GET / HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n"), 400, "bare CR in a value"},
    {S("GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\r\n\r\n"), 400, "CR CR LF"},
    {S("GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n"), 400, "NUL in a value"},
    {S("GET / HTTP/1.1\r\nHost: localhost\r\nX: a\001b\r\n\r\n"), 400, "control byte in a value"},
    {S("GET / HTTP/1.1\r\nHost: localhost\r\nX(: b\r\n\r\n"), 400, "bad name character"},
    {S("GET / HTTP/1.1\r\nHost: localhost\r\nX\r\n\r\n"), 400, "header without a colon"},
    {S("GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n"), 400, "folded with a space"},
    {S("GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n\tb\r\n\r\n"), 400, "folded with a tab"},
    {S("GET / HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n"), 400, "empty header name"},
    {S("GET / HTTP/1.1\r\n\r\n"), 400, "no Host"},
    {S("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"), 400, "two Hosts"},
    {S("GET / HTTP/1.1\r\nHost: \r\n\r\n"), 400, "empty Host"},
    {S("GET / HTTP/1.1\r\nHost: a@localhost\r\n\r\n"), 400, "Host with a user"},
    {S("GET / HTTP/1.1\r\nHost: localhost:80:80\r\n\r\n"), 400, "Host with two ports"},
    {S("GET / HTTP/1.1\r\nHost: local host\r\n\r\n"), 400, "Host with a space"},
    {S("GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "two spaces before the target"},
    {S("GET /  HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "two spaces before the version"},
    {S("GET / HTTP/1.1 \r\nHost: localhost\r\n\r\n"), 400, "space behind the version"},
    {S("GET\t/ HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "tab for a space"},
    {S("GET /\r\n\r\n"), 400, "HTTP/0.9"},
    {S("GET / HTTP/0.9\r\nHost: localhost\r\n\r\n"), 400, "HTTP/0.9 by name"},
    {S("GET / HTTP/1.2\r\nHost: localhost\r\n\r\n"), 505, "HTTP/1.2"},
    {S("GET / HTTP/2.0\r\nHost: localhost\r\n\r\n"), 505, "HTTP/2.0"},
    {S("GET / HTTP/11\r\nHost: localhost\r\n\r\n"), 400, "version without a dot"},
    {S("GET / RTSP/1.0\r\nHost: localhost\r\n\r\n"), 400, "another protocol"},
    {S("get / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 501, "lower-case method"},
    {S("FROB / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 501, "unknown method"},
    {S("G(T / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "method that is no token"},
    {S("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n"), 405, "a tunnel"},
    {S("GET /#top HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "fragment"},
    {S("GET /a\\b HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "backslash"},
    {S("GET /%5c HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "encoded backslash"},
    {S("GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "encoded NUL"},
    {S("GET /%0a HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "encoded line end"},
    {S("GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "bad escape"},
    {S("GET /%ff HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "path that is not UTF-8"},
    {S("GET /\x80 HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "raw byte above 0x7f in the target"},
    {S("GET /\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "control byte in the target"},
    {S("GET x HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "target without a slash"},
    {S("GET * HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "asterisk without OPTIONS"},
    {S("GET /a/../b HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "dot segment"},
    {S("GET /a/%2e%2e/b HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "encoded dot segment"},
    {S("GET ftp://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400,
     "absolute form of another scheme"},
    {S("GET http://a@b/ HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "absolute form with a user"},
    {S("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, "three empty lines first"},
    {S("\x16\x03\x01\x02"), 400, "TLS on the plain port"},
    {S(POST("Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n")), 400,
     "hexadecimal mark in a chunk size"},
    {S(POST("Transfer-Encoding: chunked\r\n\r\n1 1\r\nx\r\n0\r\n\r\n")), 400,
     "space in a chunk size"},
    {S(POST("Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n")), 400, "negative chunk"},
    {S(POST("Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx\r\n0\r\n\r\n")), 400,
     "chunk size overflow"},
    {S(POST("Transfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n")), 400, "chunks with LF alone"},
    {S(POST("Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n")), 400,
     "no CRLF behind the data"},
    {S(POST("Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\n")), 400,
     "bare LF ends the trailers"},
    {S(POST("Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: y\n\r\n")), 400,
     "bare LF ends a trailer"},
    {S(POST("Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: y\r\n z\r\n\r\n")), 400,
     "a folded trailer"},
    {S(POST("Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n X: y\r\n\r\n")), 400,
     "a trailer that begins with a space"},
    {S(POST("Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n: y\r\n\r\n")), 400,
     "a trailer without a name"},
    {S(POST("Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX : y\r\n\r\n")), 400,
     "space before the colon of a trailer"},
    {S(POST("Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: a\rb\r\n\r\n")), 400,
     "bare CR in a trailer"},
    {S(POST("Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX\r\n\r\n")), 400,
     "a trailer without a colon"},
    {S(POST("Content-Length: 70000\r\n\r\n")), 413, "announced body above what is worth skipping"},
};

static void assert_refused(const struct refusal_row *row, enum cut cut) {
    struct rig rig;
    smuggled_calls = 0;
    rig_open(&rig);
    rig_feed(&rig, row->input, cut);
    rig_feed(&rig, str_from(BEHIND), cut);
    if (rig_status(&rig, 0) != row->status || rig_answers(&rig) != 1 || smuggled_calls != 0)
        fail_msg("%s (cut %d): wanted %d, got %d of %d answers, second request served %d times",
                 row->why, cut, row->status, rig_status(&rig, 0), rig_answers(&rig),
                 smuggled_calls);
    if (!rig_has(&rig, "Connection: close\r\n") || conn_is_open(rig.conn))
        fail_msg("%s: the connection stays open", row->why);
    rig_close(&rig);
}

static void what_can_be_read_in_two_ways_is_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(REFUSALS) / sizeof(REFUSALS[0]); i++)
        for (int cut = 0; cut < CUTS; cut++)
            assert_refused(&REFUSALS[i], (enum cut)cut);
    assert_int_equal(calls, 0);
}

/* What is right must be served, and what follows it as well. */
static const struct accepted_row {
    struct str input;
    int status;
    size_t body_len; /* SIZE_MAX: no body was looked at */
    const char *why;
} ACCEPTED[] = {
    {S(GET("")), 200, SIZE_MAX, "plain"},
    {S("\r\n" GET("")), 200, SIZE_MAX, "an empty line first (RFC 9112 section 2.2)"},
    {S(GET("X: \xc3\xa9\r\n")), 200, SIZE_MAX, "obs-text in a value"},
    {S(GET("X:\r\n")), 200, SIZE_MAX, "empty value"},
    {S(GET("X: a \t \r\n")), 200, SIZE_MAX, "space behind a value"},
    {S("GET /?q=%zz&a=/../ HTTP/1.1\r\nHost: localhost\r\n\r\n"), 200, SIZE_MAX,
     "the query is the route's business"},
    {S("GET http://localhost/ HTTP/1.1\r\nHost: other\r\n\r\n"), 200, SIZE_MAX,
     "absolute form wins over Host"},
    {S("GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n"), 200, SIZE_MAX,
     "absolute form without a path"},
    {S("GET / HTTP/1.1\r\nHost: LOCALHOST:8420\r\n\r\n"), 200, SIZE_MAX, "Host in capitals"},
    {S("GET / HTTP/1.1\r\nHost: localhost.\r\n\r\n"), 200, SIZE_MAX, "Host with a trailing dot"},
    {S("GET / HTTP/1.1\r\nHost: [::1]:8420\r\n\r\n"), 200, SIZE_MAX, "IPv6 Host"},
    {S("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"),
     200, SIZE_MAX, "an upgrade that nobody wants is ignored"},
    {S(POST("Content-Length: 0\r\n\r\n")), 200, 0, "empty body"},
    {S(POST("Content-Length: 5\r\n\r\nhello")), 200, 5, "body by length"},
    {S(POST("content-length:5\r\n\r\nhello")), 200, 5, "no space behind the colon"},
    {S(POST("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")), 200, 5, "chunked"},
    {S(POST("Transfer-Encoding: Chunked \r\n\r\n5\r\nhello\r\n0\r\n\r\n")), 200, 5,
     "chunked in capitals, space behind"},
    {S(POST("Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n")), 200, 5,
     "chunk extension"},
    {S(POST("Transfer-Encoding: chunked\r\n\r\n005\r\nhello\r\n0\r\nX: y\r\nHost: evil\r\n\r\n")),
     200, 5, "leading zeros, trailers ignored"},
    {S(POST("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0;a\r\nX:\r\nY: a b:c \r\n\r\n")), 200,
     5, "trailers with an empty value, colons and spaces"},
    {S(POST("Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 5\r\n\r\nhello")), 200, 5,
     "an unwanted upgrade with a body"},
    {S("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 200, SIZE_MAX,
     "HEAD is GET without the body"},
    {S("DELETE / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"), 405, SIZE_MAX,
     "a refused body is skipped"},
    {S("POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"), 404, SIZE_MAX,
     "a body for nobody is skipped"},
    {S("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"), 200, SIZE_MAX,
     "a body on GET is read and ignored"},
    {S("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"), 204, SIZE_MAX, "OPTIONS *"},
    {S("OPTIONS / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 204, SIZE_MAX, "OPTIONS of a path"},
    {S("TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 405, SIZE_MAX,
     "TRACE is refused, the connection lives"},
    {S("PROPFIND /x HTTP/1.1\r\nHost: localhost\r\n\r\n"), 405, SIZE_MAX,
     "a known method that is never taken"},
};

static void assert_accepted(const struct accepted_row *row, enum cut cut) {
    struct rig rig;
    smuggled_calls = 0;
    last_body_len = SIZE_MAX;
    rig_open(&rig);
    rig_feed(&rig, row->input, cut);
    rig_feed(&rig, str_from(BEHIND), cut);
    if (rig_status(&rig, 0) != row->status || rig_status(&rig, 1) != 204 || smuggled_calls != 1)
        fail_msg("%s (cut %d): wanted %d and 204, got %d and %d:\n%s", row->why, cut, row->status,
                 rig_status(&rig, 0), rig_status(&rig, 1), rig_text(&rig));
    if (last_body_len != row->body_len)
        fail_msg("%s (cut %d): the body has %zu bytes", row->why, cut, last_body_len);
    rig_close(&rig);
}

static void what_is_right_is_served_however_it_is_cut(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(ACCEPTED) / sizeof(ACCEPTED[0]); i++)
        for (int cut = 0; cut < CUTS; cut++)
            assert_accepted(&ACCEPTED[i], (enum cut)cut);
}

/* --- limits ----------------------------------------------------------------------------------- */

static struct str repeat(struct arena *arena, const char *before, char c, size_t count,
                         const char *after) {
    size_t head = strlen(before), tail = strlen(after);
    char *text = arena_alloc(arena, head + count + tail);
    memcpy(text, before, head);
    memset(text + head, c, count);
    memcpy(text + head + count, after, tail);
    return str_of(text, head + count + tail);
}

static void assert_status(struct str input, enum cut cut, int status, const char *why) {
    struct rig rig;
    rig_open(&rig);
    rig_feed(&rig, input, cut);
    if (rig_status(&rig, 0) != status)
        fail_msg("%s (cut %d): wanted %d, got %d", why, cut, status, rig_status(&rig, 0));
    rig_close(&rig);
}

static void sizes_have_limits(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    const char *end = " HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (int cut = 0; cut < CUTS; cut++) {
        assert_status(repeat(&arena, "GET /?", 'a', 8150, end), cut, 200, "a long target fits");
        assert_status(repeat(&arena, "GET /?", 'a', 8192, end), cut, 414, "target above 8 KiB");
        assert_status(repeat(&arena, "GET /?", 'a', 20000, ""), cut, 414, "target without an end");
        assert_status(
            repeat(&arena, "GET / HTTP/1.1\r\nHost: localhost\r\nX: ", 'a', 8000, "\r\n\r\n"), cut,
            200, "a long header fits");
        assert_status(
            repeat(&arena, "GET / HTTP/1.1\r\nHost: localhost\r\nX: ", 'a', 9000, "\r\n\r\n"), cut,
            431, "header above 8 KiB");
        assert_status(repeat(&arena, "GET / HTTP/1.1\r\nHost: localhost\r\nX: ", 'a', 20000, ""),
                      cut, 431, "header without an end");
    }
    arena_release(&arena);
}

static void headers_are_counted_and_their_sum_is_limited(void **state) {
    (void)state;
    struct buf head;
    buf_init(&head, 1 << 20);
    for (int fields = 99; fields <= 101; fields++) {
        buf_clear(&head);
        buf_add_str(&head, STR("GET / HTTP/1.1\r\nHost: localhost\r\n"));
        for (int i = 1; i < fields; i++)
            buf_printf(&head, "X-%d: y\r\n", i);
        buf_add_str(&head, STR("\r\n"));
        assert_status(buf_str(&head), CUT_WHOLE, fields <= 100 ? 200 : 431, "count of headers");
    }
    buf_clear(&head);
    buf_add_str(&head, STR("GET / HTTP/1.1\r\nHost: localhost\r\n"));
    for (int i = 0; i < 3; i++)
        buf_printf(&head, "X-%d: %06000d\r\n", i, i);
    buf_add_str(&head, STR("\r\n"));
    assert_status(buf_str(&head), CUT_WHOLE, 431, "16 KiB in all");
    assert_status(buf_str(&head), CUT_RANDOM, 431, "16 KiB in all");
    buf_release(&head);
}

static void a_body_is_cut_at_the_limit_of_its_route(void **state) {
    (void)state;
    struct buf body;
    buf_init(&body, 1 << 20);
    buf_add_str(&body, STR(POST("Transfer-Encoding: chunked\r\n\r\n")));
    for (int i = 0; i < 6; i++)
        buf_printf(&body, "3e8\r\n%01000d\r\n", i);
    buf_add_str(&body, STR("0\r\n\r\n" BEHIND));
    for (int cut = 0; cut < CUTS; cut++)
        assert_status(buf_str(&body), cut, 413, "chunks above the limit");
    assert_int_equal(smuggled_calls, 0);
    buf_release(&body);
}

/* Thousands of leading zeros, extensions without end, trailers without end: framing, not data. */
static void framing_without_data_is_cut_off(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    assert_status(repeat(&arena, POST("Transfer-Encoding: chunked\r\n\r\n"), '0', 100000, ""),
                  CUT_RANDOM, 400, "leading zeros");
    assert_status(repeat(&arena, POST("Transfer-Encoding: chunked\r\n\r\n1;"), 'a', 100000, ""),
                  CUT_RANDOM, 400, "an extension");
    assert_status(repeat(&arena, POST("Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: "), 'a',
                         100000, ""),
                  CUT_RANDOM, 400, "a trailer");
    arena_release(&arena);
}

/* Bodies of everybody share a ceiling: who comes above it is told when to come again. */
static void bodies_share_a_memory_ceiling(void **state) {
    (void)state;
    static char bytes[700000];
    struct rig rigs[2];
    limits.body_memory_mb = 1;
    for (int round = 0; round < 2; round++) { /* what was held is given back */
        for (int i = 0; i < 2; i++) {
            rig_open(&rigs[i]);
            rig_feed(
                &rigs[i],
                STR("POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 800000\r\n\r\n"),
                CUT_WHOLE);
            rig_feed(&rigs[i], str_of(bytes, sizeof(bytes)), CUT_WHOLE);
        }
        assert_int_equal(rig_status(&rigs[0], 0), 0);
        assert_int_equal(rig_status(&rigs[1], 0), 503);
        assert_true(rig_has(&rigs[1], "Retry-After: "));
        rig_feed(&rigs[0], str_of(bytes, 100000), CUT_WHOLE);
        assert_int_equal(rig_status(&rigs[0], 0), 200);
        for (int i = 0; i < 2; i++)
            rig_close(&rigs[i]);
    }
}

/* --- Expect, HEAD, keep-alive ----------------------------------------------------------------- */

static void expect_is_answered_before_the_body(void **state) {
    (void)state;
    static const struct {
        const char *head, *body;
        const char *first; /* what must be there before the body is sent */
        int status, answers;
        const char *why;
    } rows[] = {
        {POST("Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"), "hello",
         "HTTP/1.1 100 Continue\r\n\r\n", 100, 2, "continued"},
        {POST("Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n"), "hello",
         "HTTP/1.1 100 Continue\r\n\r\n", 100, 2, "any case"},
        {POST("Expect: 100-continue\r\nContent-Length: 5001\r\n\r\n"), "", "HTTP/1.1 413 ", 413, 1,
         "refused at once"},
        {POST("Expect: tea\r\nContent-Length: 5\r\n\r\n"), "", "HTTP/1.1 417 ", 417, 1,
         "another expectation"},
        {POST("Expect: 100-continue\r\n\r\n"), "", "HTTP/1.1 200 ", 200, 1, "no body to wait for"},
        {"POST /raw HTTP/1.0\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
         "hello", "", 200, 1, "HTTP/1.0 knows no 100"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rig rig;
        rig_open(&rig);
        rig_feed(&rig, str_from(rows[i].head), CUT_WHOLE);
        if (strncmp(rig_text(&rig), rows[i].first, strlen(rows[i].first)) != 0)
            fail_msg("%s: before the body came %s", rows[i].why, rig_text(&rig));
        rig_feed(&rig, str_from(rows[i].body), CUT_WHOLE);
        if (rig_status(&rig, 0) != rows[i].status || rig_answers(&rig) != rows[i].answers)
            fail_msg("%s: got %s", rows[i].why, rig_text(&rig));
        rig_close(&rig);
    }
}

static void head_has_the_length_and_no_body(void **state) {
    (void)state;
    struct buf get, head;
    buf_init(&get, 1 << 20);
    buf_init(&head, 1 << 20);
    static const char *const PATHS[] = {"/", "/big", "/nowhere", "/raw"};
    for (size_t i = 0; i < 4; i++) {
        char request[128];
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", PATHS[i]);
        int status = rig_ask(&get, request);
        snprintf(request, sizeof(request), "HEAD %s HTTP/1.1\r\nHost: localhost\r\n\r\n", PATHS[i]);
        assert_int_equal(rig_ask(&head, request), status);
        const char *length = strstr(get.at, "Content-Length: ");
        const char *end = strstr(length, "\r\n");
        char line[64];
        snprintf(line, sizeof(line), "%.*s\r\n", (int)(end - length), length);
        assert_non_null(strstr(head.at, line));
        assert_string_equal(strstr(head.at, "\r\n\r\n"), "\r\n\r\n");
    }
    buf_release(&get);
    buf_release(&head);
}

static void keep_alive_follows_version_and_wish(void **state) {
    (void)state;
    static const struct {
        const char *request;
        bool stays;
        const char *line;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", true, NULL},
        {"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", false,
         "Connection: close"},
        {"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: foo, Close\r\n\r\n", false,
         "Connection: close"},
        {"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\t\r\n\r\n", false,
         "Connection: close"},
        {"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: x ,\tclose\t, y\r\n\r\n", false,
         "Connection: close"},
        {"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
         false, "Connection: close"},
        {"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: closed\r\n\r\n", true, NULL},
        {"GET / HTTP/1.0\r\n\r\n", false, "Connection: close"},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, "Connection: keep-alive"},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\t\r\n\r\n", true, "Connection: keep-alive"},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false, "Connection: close"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rig rig;
        rig_open(&rig);
        rig_feed(&rig, str_from(rows[i].request), CUT_WHOLE);
        rig_feed(&rig, str_from(BEHIND), CUT_WHOLE);
        assert_int_equal(rig_answers(&rig), rows[i].stays ? 2 : 1);
        assert_int_equal(conn_is_open(rig.conn), rows[i].stays);
        if (rows[i].line != NULL)
            assert_true(rig_has(&rig, rows[i].line));
        rig_close(&rig);
    }
}

static void every_answer_carries_the_house_lines(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 20);
    static const char *const REQUESTS[] = {
        GET(""), "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n", "nonsense\r\n\r\n"};
    for (size_t i = 0; i < 3; i++) {
        rig_ask(&out, REQUESTS[i]);
        assert_non_null(strstr(out.at, "\r\nDate: "));
        assert_non_null(strstr(out.at, "\r\nX-Content-Type-Options: nosniff\r\n"));
        assert_non_null(strstr(out.at, "\r\nReferrer-Policy: no-referrer\r\n"));
        assert_non_null(strstr(out.at, "\r\nX-Request-Id: "));
        assert_non_null(strstr(out.at, "\r\nCache-Control: no-store\r\n"));
        assert_null(strstr(out.at, "\r\nServer: "));
    }
    buf_release(&out);
}

/* --- waiting handlers, pipelining ------------------------------------------------------------- */

static void pipelined_requests_wait_for_their_turn(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    rig_feed(&rig, STR("GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n" GET("") BEHIND), CUT_WHOLE);
    assert_non_null(waiting);
    assert_int_equal(rig_answers(&rig), 0);
    assert_int_equal(calls, 1);
    reply_empty(waiting, 202);
    conn_test_flush(rig.conn);
    assert_int_equal(rig_status(&rig, 0), 202);
    assert_int_equal(rig_status(&rig, 1), 200);
    assert_int_equal(rig_status(&rig, 2), 204);
    rig_close(&rig);
}

static void an_answer_bears_the_date_of_its_leaving(void **state) {
    (void)state;
    char path[] = "/tmp/troupe-test-http-XXXXXX", date[HTTP_DATE_LEN + 1];
    int64_t moved_ms = 0;
    int fd = mkstemp(path);
    assert_int_equal(pwrite(fd, &moved_ms, sizeof(moved_ms), 0), sizeof(moved_ms));
    setenv("TROUPE_TEST_CLOCK", path, 1);
    clock_init();
    struct rig rig;
    rig_open(&rig);
    rig_feed(&rig, STR(GET("") "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n"), CUT_WHOLE);
    moved_ms = 600000; /* the handler works for ten minutes, and nobody else asks anything */
    assert_int_equal(pwrite(fd, &moved_ms, sizeof(moved_ms), 0), sizeof(moved_ms));
    clock_http_date(clock_now_ms(), date);
    reply_empty(waiting, 202);
    conn_test_flush(rig.conn);
    assert_int_equal(rig_status(&rig, 1), 202);
    const char *last = strstr(strstr(rig_text(&rig), "Date: ") + 6, "Date: ");
    assert_memory_equal(last + 6, date, HTTP_DATE_LEN - 7); /* to the minute */
    rig_close(&rig);
    moved_ms = 0;
    assert_int_equal(pwrite(fd, &moved_ms, sizeof(moved_ms), 0), sizeof(moved_ms));
    unsetenv("TROUPE_TEST_CLOCK");
    close(fd);
    unlink(path);
}

static void a_crowd_is_told_to_come_later(void **state) {
    (void)state;
    struct rig first, second;
    limits.requests = 1;
    rig_open(&first);
    rig_feed(&first, STR("GET /api/v1/later HTTP/1.1\r\nHost: localhost\r\n\r\n"), CUT_WHOLE);
    struct request *held = waiting;
    rig_open(&second);
    rig_feed(&second, STR("GET /api/v1/later HTTP/1.1\r\nHost: localhost\r\n\r\n" GET("")),
             CUT_WHOLE);
    assert_int_equal(rig_status(&second, 0), 503);
    assert_true(rig_has(&second, "Retry-After: "));
    assert_int_equal(rig_status(&second, 1), 200); /* what is no work goes on, and the connection */
    reply_empty(held, 202);
    rig_feed(&second, STR("GET /api/v1/later HTTP/1.1\r\nHost: localhost\r\n\r\n"), CUT_WHOLE);
    assert_ptr_not_equal(waiting, NULL);
    reply_empty(waiting, 202);
    conn_test_flush(second.conn);
    assert_int_equal(rig_status(&second, 2), 202);
    rig_close(&first);
    rig_close(&second);
}

static void big_answers_arrive_whole_in_order(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    for (int i = 0; i < 5; i++)
        rig_feed(&rig, STR("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n" GET("")), CUT_WHOLE);
    assert_int_equal(rig_answers(&rig), 10);
    size_t letters = 0;
    for (size_t i = 0; i < rig.out.len; i++)
        letters += rig.out.at[i] == 'b';
    assert_in_range(letters, 1500000, 1500200);
    rig_close(&rig);
}

static void is_gone(struct request *request, void *ctx) {
    assert_ptr_equal(ctx, &waiting);
    assert_null(request->conn);
    gone_calls++;
}

/* The request outlives its peer: the handler is told once, and its answer goes nowhere. */
static void a_peer_that_leaves_is_told_of_once(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    rig_feed(&rig, STR("GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n"), CUT_WHOLE);
    request_on_gone(waiting, is_gone, &waiting);
    conn_test_feed(rig.conn, STR(""));
    rig_close(&rig);
    assert_int_equal(gone_calls, 1);
    assert_true(str_eq(request_header(waiting, "host"), STR("localhost")));
    assert_true(str_eq(waiting->address, STR("192.0.2.1")));
    reply_problem(waiting, 409, "too late");
    assert_int_equal(gone_calls, 1);
}

/* The writer or a pool thread may be at work in the arena of a request that waits: what the loop
 * does when the peer leaves must not touch it. */
static void a_peer_that_leaves_lets_the_arena_be(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    rig_feed(&rig, STR("GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n"), CUT_WHOLE);
    struct arena before = *waiting->arena;
    rig_close(&rig);
    assert_memory_equal(waiting->arena, &before, sizeof(before));
    assert_true(str_eq(waiting->address, STR("192.0.2.1")));
    reply_empty(waiting, 202);
}

/* A peer that only finished sending (nc does) still gets its answer when nobody asked to be told.
 */
static void half_closed_peers_are_answered(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    rig_feed(&rig, STR("GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n"), CUT_WHOLE);
    conn_test_feed(rig.conn, STR(""));
    assert_true(conn_is_open(rig.conn));
    reply_empty(waiting, 202);
    conn_test_flush(rig.conn);
    assert_int_equal(rig_status(&rig, 0), 202);
    assert_false(conn_is_open(rig.conn));
    rig_close(&rig);
}

static void a_body_that_never_ends_runs_no_handler(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    rig_feed(&rig, STR(POST("Content-Length: 10\r\n\r\nhello")), CUT_WHOLE);
    conn_test_feed(rig.conn, STR(""));
    conn_test_flush(rig.conn);
    assert_int_equal(calls, 0);
    assert_int_equal(rig_answers(&rig), 0);
    assert_false(conn_is_open(rig.conn));
    rig_close(&rig);
}

static void a_request_that_breaks_off_takes_no_answer_before_it_away(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    conn_test_feed(rig.conn, STR(GET("") "GET / HT"));
    conn_test_feed(rig.conn, STR(""));
    conn_test_flush(rig.conn);
    assert_int_equal(rig_answers(&rig), 1);
    assert_int_equal(rig_status(&rig, 0), 200);
    assert_false(conn_is_open(rig.conn));
    rig_close(&rig);
}

/* --- Host against rebinding ------------------------------------------------------------------- */

static void only_names_of_this_server_are_answered_on_loopback(void **state) {
    (void)state;
    static const struct {
        const char *host;
        int status;
    } rows[] = {{"127.0.0.1:8420", 200}, {"localhost", 200},        {"[::1]", 200},
                {"app.localhost", 200},  {"troupe.example", 200},   {"TROUPE.example:443", 200},
                {"friend.example", 200}, {"evil.example", 421},     {"localhost.evil.example", 421},
                {"127.0.0.1.evil", 421}, {"nottroupe.example", 421}};
    struct buf out;
    buf_init(&out, 1 << 20);
    net_settings.public_url = STR("https://troupe.example/stage");
    net_settings.allowed_origins = STR("https://one.example, http://friend.example:8000");
    assert_int_equal(listener_start(STR("127.0.0.1:0")), E_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char request[128];
        snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", rows[i].host);
        if (rig_ask(&out, request) != rows[i].status)
            fail_msg("Host %s: wanted %d, got %s", rows[i].host, rows[i].status, out.at);
    }
    buf_release(&out);
    listener_stop();
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_can_be_read_in_two_ways_is_refused),
        TEST(what_is_right_is_served_however_it_is_cut),
        TEST(sizes_have_limits),
        TEST(headers_are_counted_and_their_sum_is_limited),
        TEST(a_body_is_cut_at_the_limit_of_its_route),
        TEST(framing_without_data_is_cut_off),
        TEST(bodies_share_a_memory_ceiling),
        TEST(a_crowd_is_told_to_come_later),
        TEST(expect_is_answered_before_the_body),
        TEST(head_has_the_length_and_no_body),
        TEST(keep_alive_follows_version_and_wish),
        TEST(every_answer_carries_the_house_lines),
        TEST(pipelined_requests_wait_for_their_turn),
        TEST(an_answer_bears_the_date_of_its_leaving),
        TEST(big_answers_arrive_whole_in_order),
        TEST(a_peer_that_leaves_is_told_of_once),
        TEST(a_peer_that_leaves_lets_the_arena_be),
        TEST(half_closed_peers_are_answered),
        TEST(a_body_that_never_ends_runs_no_handler),
        TEST(a_request_that_breaks_off_takes_no_answer_before_it_away),
        TEST(only_names_of_this_server_are_answered_on_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
