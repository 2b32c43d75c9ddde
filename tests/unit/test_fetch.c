/* links: troupe_fetch */
#include "fetch/fetch.h"

#include "base/clock.h"
#include "base/log.h"
#include "fake_server.h"
#include "stuck_names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <zlib.h>

/* One call and everything that was told about it. */
struct call {
    struct fetch *fetch;
    enum err err;
    int status, head_status, done_count, head_count;
    int64_t retry_after_ms;
    char type[64], reason[256], body[8192];
    size_t body_len, reads;
    size_t visits, visited; /* turns of the loop in which bytes came, and the last of them */
    size_t cancel_after;    /* reads; 0: not */
    bool gathers;           /* from its first bytes on */
    struct call *cancels;   /* another call, cancelled from inside the first read of this one */
    struct call *starts;    /* another call, begun from inside the first read of this one */
    const struct fetch_options *starts_with;
};

static struct fake fake;
static struct call calls[121];
static int open_calls;
static size_t turn; /* of the loop */

static void on_head(void *ctx, int status, struct str type) {
    struct call *call = ctx;
    call->head_count++;
    call->head_status = status;
    snprintf(call->type, sizeof call->type, STR_FMT, STR_ARG(type));
}

static void begin(struct call *call, struct fetch_options options);

static void on_body(void *ctx, struct str bytes) {
    struct call *call = ctx;
    assert_true(call->body_len + bytes.len <= sizeof call->body);
    memcpy(call->body + call->body_len, bytes.at, bytes.len);
    call->body_len += bytes.len;
    call->reads++;
    call->visits += call->visited != turn;
    call->visited = turn;
    if (call->reads == 1 && call->gathers)
        fetch_gather(call->fetch);
    if (call->reads == call->cancel_after)
        fetch_cancel(call->fetch);
    if (call->reads == 1 && call->cancels)
        fetch_cancel(call->cancels->fetch);
    if (call->reads == 1 && call->starts)
        begin(call->starts, *call->starts_with);
}

static void on_done(void *ctx, const struct fetch_result *result) {
    struct call *call = ctx;
    assert_non_null(call->fetch); /* never from inside fetch_start */
    call->done_count++;
    call->err = result->err;
    call->status = result->status;
    call->retry_after_ms = result->retry_after_ms;
    snprintf(call->reason, sizeof call->reason, STR_FMT, STR_ARG(result->reason));
    if (--open_calls == 0)
        loop_stop(0);
}

static void begin(struct call *call, struct fetch_options options) {
    options.head = on_head;
    options.body_bytes = on_body;
    options.done = on_done;
    options.ctx = call;
    open_calls++;
    call->fetch = NULL;
    struct fetch *fetch = fetch_start(&options);
    assert_int_equal(call->done_count, 0);
    call->fetch = fetch;
}

static void release(void *ctx) {
    (void)ctx;
    fetch_release();
}

static void count_turn(void *ctx) {
    (void)ctx;
    turn++;
}

static int set_up(void **state) {
    (void)state;
    memset(calls, 0, sizeof calls);
    open_calls = 0;
    loop_init();
    loop_on_stopped(release, NULL);
    loop_after_turn(count_turn, NULL);
    turn = 1;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    loop_release();
    fake_release(&fake);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        assert_true(calls[i].done_count <= 1);
    return 0;
}

static char url_text[128];

static struct str url(const char *path) {
    int len = snprintf(url_text, sizeof url_text, "http://127.0.0.1:%d%s", fake.port, path);
    return str_of(url_text, (size_t)len);
}

static void play(const struct fake_step *script) {
    const struct fake_step *scripts[] = {script, NULL};
    fake_start(&fake, scripts);
}

static struct fetch_options get(void) {
    return (struct fetch_options){.method = "GET", .url = url("/x")};
}

/* Starts one call, turns the loop until it has ended. */
static void run(struct fetch_options options) {
    begin(&calls[0], options);
    loop_run();
    assert_int_equal(calls[0].done_count, 1);
}

/* --- whole answers ---------------------------------------------------------------------------- */

static const struct fake_step HELLO[] = {
    {FAKE_RAW,
     "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\r\nhello"},
    {0},
};

static void an_answer_comes_whole(void **state) {
    (void)state;
    play(HELLO);
    run(get());
    assert_int_equal(calls[0].err, E_OK);
    assert_int_equal(calls[0].status, 200);
    assert_int_equal(calls[0].head_count, 1);
    assert_string_equal(calls[0].type, "text/plain; charset=utf-8");
    assert_memory_equal(calls[0].body, "hello", 5);
    assert_true(strncmp(fake.requests[0], "GET /x HTTP/1.1\r\n", 17) == 0);
}

static void a_body_and_headers_are_sent(void **state) {
    (void)state;
    static const struct fetch_header headers[] = {{{"X-Key", 5}, {"k1", 2}},
                                                  {{"X-Empty", 7}, {"", 0}}};
    play(HELLO);
    struct fetch_options options = get();
    options.method = "POST";
    options.headers = headers;
    options.header_count = 2;
    options.body = STR("{\"a\":1}");
    run(options);
    assert_int_equal(calls[0].err, E_OK);
    assert_non_null(strstr(fake.requests[0], "POST /x HTTP/1.1\r\n"));
    assert_non_null(strstr(fake.requests[0], "X-Key: k1\r\n"));
    assert_non_null(strstr(fake.requests[0], "X-Empty:\r\n"));
    assert_non_null(strstr(fake.requests[0], "\r\n\r\n{\"a\":1}"));
    assert_null(strstr(fake.requests[0], "Expect:"));
}

static void a_large_body_waits_for_no_100_continue(void **state) {
    (void)state;
    static char body[60000];
    memset(body, 'x', sizeof body);
    play(HELLO);
    struct fetch_options options = get();
    options.method = "POST";
    options.body = str_of(body, sizeof body);
    int64_t before_us = clock_mono_us();
    run(options);
    assert_int_equal(calls[0].err, E_OK);
    assert_true(clock_mono_us() - before_us < 900000); /* libcurl would wait a second */
    assert_null(strstr(fake.requests[0], "Expect:"));
}

/* More than libcurl puts into its first packet, answered after the headers: the rest is still read
 * from our copy. */
static void an_answer_may_come_before_the_request_is_over(void **state) {
    (void)state;
    static char body[4 << 20];
    static const struct fake_step script[] = {{FAKE_RAW, FAKE_STREAM_HEAD("a/b")},
                                              {FAKE_CHUNK, "early"},
                                              {FAKE_WAIT, .ms = 30},
                                              {FAKE_LAST_CHUNK},
                                              {0}};
    memset(body, 'x', sizeof body);
    play(script);
    fake.is_hasty = true;
    struct fetch_options options = get();
    options.method = "POST";
    options.body = str_of(body, sizeof body);
    options.total_ms = 3000;
    run(options);
    assert_memory_equal(calls[0].body, "early", 5);
}

static void errors_of_http_are_answers(void **state) {
    (void)state;
    static const struct fake_step script[] = {
        {FAKE_RAW, "HTTP/1.1 529 Overloaded\r\nContent-Length: 2\r\n\r\nno"}, {0}};
    play(script);
    run(get());
    assert_int_equal(calls[0].err, E_OK);
    assert_int_equal(calls[0].status, 529);
    assert_memory_equal(calls[0].body, "no", 2);
}

static void informational_answers_are_passed_over(void **state) {
    (void)state;
    static const struct fake_step script[] = {
        {FAKE_RAW,
         "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Type: a/b\r\nContent-Length: 0\r\n\r\n"},
        {0}};
    play(script);
    run(get());
    assert_int_equal(calls[0].err, E_OK);
    assert_int_equal(calls[0].head_count, 1);
    assert_int_equal(calls[0].head_status, 201);
}

static void redirects_are_not_followed(void **state) {
    (void)state;
    static const struct fake_step script[] = {
        {FAKE_RAW,
         "HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"},
        {0}};
    play(script);
    run(get());
    assert_int_equal(calls[0].err, E_OK);
    assert_int_equal(calls[0].status, 307);
    assert_int_equal(fake.request_count, 1);
}

static void http_1_0_ends_with_its_connection(void **state) {
    (void)state;
    static const struct fake_step script[] = {
        {FAKE_RAW, "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n"},
        {FAKE_CLOSE},
        {0}};
    play(script);
    run(get());
    assert_int_equal(calls[0].err, E_OK);
    assert_memory_equal(calls[0].body, "data: x\n\n", 9);
}

static void chunks_of_one_byte_come_together(void **state) {
    (void)state;
    static const struct fake_step script[] = {{FAKE_DRIP, FAKE_STREAM_HEAD("text/event-stream")},
                                              {FAKE_DRIP_CHUNKS, "data: \xF0\x9F\x98\x80\r\n\r\n"},
                                              {FAKE_LAST_CHUNK},
                                              {0}};
    play(script);
    run(get());
    assert_int_equal(calls[0].err, E_OK);
    assert_int_equal(calls[0].body_len, 14);
    assert_memory_equal(calls[0].body, "data: \xF0\x9F\x98\x80\r\n\r\n", 14);
}

static size_t gzip(const char *text, char *out, size_t room) {
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)text;
    z.avail_in = (uInt)strlen(text);
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t len = room - z.avail_out;
    deflateEnd(&z);
    return len;
}

static void compressed_streams_are_opened(void **state) {
    (void)state;
    static char packed[256];
    size_t len = gzip("data: hello\n\ndata: [DONE]\n\n", packed, sizeof packed);
    struct fake_step script[] = {
        {FAKE_RAW,
         "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {FAKE_DRIP_CHUNKS, packed, len},
        {FAKE_LAST_CHUNK},
        {0},
    };
    play(script);
    run(get());
    assert_int_equal(calls[0].err, E_OK);
    assert_memory_equal(calls[0].body, "data: hello\n\ndata: [DONE]\n\n", 27);
    assert_non_null(strstr(fake.requests[0], "Accept-Encoding: "));
}

static void damaged_compression_is_an_error(void **state) {
    (void)state;
    static const struct fake_step script[] = {
        {FAKE_RAW,
         "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip"},
        {0}};
    play(script);
    run(get());
    assert_int_equal(calls[0].err, E_UPSTREAM);
    assert_true(strlen(calls[0].reason) > 0);
}

static void a_second_call_uses_the_same_connection(void **state) {
    (void)state;
    play(HELLO);
    static struct fetch_options second;
    begin(&calls[0], get());
    second = get();
    calls[0].starts =
        &calls[1]; /* from inside the read of the first, whose connection is free only after it */
    calls[0].starts_with = &second;
    loop_run();
    assert_int_equal(calls[1].err, E_OK);
    assert_memory_equal(calls[1].body, "hello", 5);
    assert_int_equal(fake.connection_count, 1);
    assert_int_equal(fake.request_count, 2);
}

static void a_connection_closed_meanwhile_is_made_anew(void **state) {
    (void)state;
    static const struct fake_step closing[] = {
        {FAKE_RAW, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"}, {FAKE_CLOSE}, {0}};
    play(closing);
    static struct fetch_options second;
    begin(&calls[0], get());
    second = get();
    calls[0].starts = &calls[1];
    calls[0].starts_with = &second;
    loop_run();
    assert_int_equal(calls[1].err, E_OK);
    assert_int_equal(fake.connection_count, 2);
}

/* --- a full house ----------------------------------------------------------------------------- */

enum { STREAMS = 120, PIECES = 20 };

/* 120 streams that may gather, and one (the last) that may not: pieces 10 ms apart, then more than one
 * read can hold. */
static void streams_of_a_full_house_are_read_in_turns(void **state) {
    (void)state;
    static struct fake_step script[2 * PIECES + 4];
    static char large[6001];
    memset(large, 'z', sizeof large - 1);
    struct fake_step *step = script;
    *step++ = (struct fake_step){FAKE_RAW, FAKE_STREAM_HEAD("text/plain")};
    for (int i = 0; i < PIECES; i++) {
        *step++ = (struct fake_step){FAKE_CHUNK, "piece "};
        *step++ = (struct fake_step){FAKE_WAIT, .ms = 10};
    }
    *step++ = (struct fake_step){FAKE_CHUNK, large};
    *step++ = (struct fake_step){FAKE_LAST_CHUNK};
    play(script);
    struct fetch_options options = get();
    int64_t began_us = clock_mono_us();
    for (int i = 0; i <= STREAMS; i++) {
        calls[i].gathers = i < STREAMS;
        begin(&calls[i], options);
    }
    loop_run();
    int64_t took_ms = (clock_mono_us() - began_us) / 1000;
    size_t visits = 0;
    for (int i = 0; i <= STREAMS; i++) {
        assert_int_equal(calls[i].err, E_OK);
        assert_int_equal(calls[i].body_len, 6 * PIECES + sizeof large - 1);
        assert_memory_equal(calls[i].body, "piece piece ", 12);
        assert_memory_equal(calls[i].body + 6 * PIECES, large, sizeof large - 1);
        visits += i < STREAMS ? calls[i].visits : 0;
    }
    assert_in_range(calls[STREAMS].visits, PIECES / 2,
                    10000); /* on a busy machine some come together */
    /* A visit each 100 ms; some while the house filled; the large piece in parts. */
    assert_in_range(visits / STREAMS, 1, (size_t)took_ms / 100 + 10);
}

/* --- failures --------------------------------------------------------------------------------- */

static void nobody_listens(void **state) {
    (void)state;
    play(HELLO);
    struct fetch_options options = get();
    options.url = STR("http://127.0.0.1:1/"); /* tcpmux: nobody has it */
    run(options);
    assert_int_equal(calls[0].err, E_UPSTREAM);
    assert_int_equal(calls[0].status, 0);
    assert_non_null(strstr(calls[0].reason, "connection refused"));
}

static void addresses_that_are_none(void **state) {
    (void)state;
    static const struct {
        struct str url;
        enum err err;
        const char *why;
    } rows[] = {
        {{"", 0}, E_INPUT, "nothing"},
        {{"ftp://127.0.0.1/", 16}, E_INPUT, "another protocol"},
        {{"file:///etc/passwd", 18}, E_INPUT, "a file"},
        {{"http://a\r\nX: y/", 15}, E_INPUT, "a line end"},
        {{"http://127.0.0.1:99999/", 23}, E_INPUT, "a port that is none"},
        {{"http://", 7}, E_INPUT, "no host"},
        {{"gopher://127.0.0.1", 18}, E_INPUT, "what libcurl could do"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        memset(calls, 0, sizeof calls);
        begin(&calls[0], (struct fetch_options){.method = "GET", .url = rows[i].url});
        loop_run();
        if (calls[0].err != rows[i].err)
            fail_msg("%s: %s", rows[i].why, err_word(calls[0].err));
        if (i + 1 < sizeof rows / sizeof *rows) {
            loop_release();
            loop_init();
            loop_on_stopped(release, NULL);
        }
    }
}

static void a_header_cannot_smuggle_lines(void **state) {
    (void)state;
    static const struct fetch_header bad = {{"X-Key", 5}, {"a\r\nX-Other: b", 13}};
    play(HELLO);
    struct fetch_options options = get();
    options.headers = &bad;
    options.header_count = 1;
    run(options);
    assert_int_equal(calls[0].err, E_INPUT);
    assert_int_equal(fake.request_count, 0);
}

static void an_early_close_is_told(void **state) {
    (void)state;
    static const struct fake_step script[] = {
        {FAKE_RAW, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"}, {FAKE_CLOSE}, {0}};
    play(script);
    run(get());
    assert_int_equal(calls[0].err, E_UPSTREAM);
    assert_int_equal(calls[0].status, 200);
    assert_memory_equal(calls[0].body, "half", 4);
}

static void a_missing_last_chunk_is_told(void **state) {
    (void)state;
    static const struct fake_step script[] = {{FAKE_RAW, FAKE_STREAM_HEAD("text/event-stream")},
                                              {FAKE_CHUNK, "data: x\n\n"},
                                              {FAKE_CLOSE},
                                              {0}};
    play(script);
    run(get());
    assert_int_equal(calls[0].err, E_UPSTREAM);
    assert_memory_equal(calls[0].body, "data: x\n\n", 9);
}

static void a_reset_is_told(void **state) {
    (void)state;
    static const struct fake_step script[] = {{FAKE_RAW, FAKE_STREAM_HEAD("text/event-stream")},
                                              {FAKE_CHUNK, "data: x\n\n"},
                                              {FAKE_WAIT, .ms = 20},
                                              {FAKE_RESET},
                                              {0}};
    play(script);
    run(get());
    assert_int_equal(calls[0].err, E_UPSTREAM);
    assert_non_null(strstr(calls[0].reason, "broke off"));
}

static void something_that_is_not_http(void **state) {
    (void)state;
    static const struct fake_step script[] = {
        {FAKE_RAW, "SSH-2.0-OpenSSH_9.2\r\n\r\n"}, {FAKE_CLOSE}, {0}};
    play(script);
    run(get());
    assert_int_equal(calls[0].err, E_UPSTREAM);
}

static void headers_that_never_come(void **state) {
    (void)state;
    static const struct fake_step script[] = {{FAKE_HANG}, {0}};
    play(script);
    struct fetch_options options = get();
    options.first_byte_ms = 60;
    run(options);
    assert_int_equal(calls[0].err, E_TIMEOUT);
    assert_int_equal(calls[0].status, 0);
}

static void headers_and_then_nothing(void **state) {
    (void)state;
    static const struct fake_step script[] = {
        {FAKE_RAW, FAKE_STREAM_HEAD("text/event-stream")}, {FAKE_HANG}, {0}};
    play(script);
    struct fetch_options options = get();
    options.first_byte_ms = 60;
    run(options);
    assert_int_equal(calls[0].err, E_TIMEOUT);
    assert_int_equal(calls[0].head_count, 1);
}

static void a_gap_in_the_middle(void **state) {
    (void)state;
    static const struct fake_step script[] = {{FAKE_RAW, FAKE_STREAM_HEAD("text/event-stream")},
                                              {FAKE_CHUNK, "a"},
                                              {FAKE_WAIT, .ms = 40},
                                              {FAKE_CHUNK, "b"},
                                              {FAKE_WAIT, .ms = 40},
                                              {FAKE_CHUNK, "c"},
                                              {FAKE_HANG},
                                              {0}};
    play(script);
    struct fetch_options options = get();
    options.idle_ms = 1000;
    int64_t before_us = clock_mono_us();
    run(options);
    assert_int_equal(calls[0].err, E_TIMEOUT);
    assert_int_equal(calls[0].body_len, 3); /* each read began the wait anew */
    assert_true(clock_mono_us() - before_us >= 1070000);
}

static void the_total_is_kept(void **state) {
    (void)state;
    static const struct fake_step script[] = {
        {FAKE_RAW, FAKE_STREAM_HEAD("a/b")}, {FAKE_CHUNK, "a"}, {FAKE_HANG}, {0}};
    play(script);
    struct fetch_options options = get();
    options.total_ms = 80;
    run(options);
    assert_int_equal(calls[0].err, E_TIMEOUT);
}

static void more_bytes_than_we_take(void **state) {
    (void)state;
    static const struct fake_step script[] = {{FAKE_RAW, FAKE_STREAM_HEAD("a/b")},
                                              {FAKE_CHUNK, "0123456789"},
                                              {FAKE_CHUNK, "0123456789"},
                                              {FAKE_HANG},
                                              {0}};
    play(script);
    struct fetch_options options = get();
    options.limit_bytes = 15;
    run(options);
    assert_int_equal(calls[0].err, E_LIMIT);
}

/* 32 MiB of zeros in some 32 KiB: what is taken is counted as it comes out, not as it came in. */
static void a_bomb_is_opened_only_so_far(void **state) {
    (void)state;
    static unsigned char zeros[1 << 16], packed[1 << 16];
    z_stream z = {.next_out = packed, .avail_out = sizeof packed};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    for (int i = 0; i < 512; i++) {
        z.next_in = zeros;
        z.avail_in = sizeof zeros;
        assert_int_equal(deflate(&z, i == 511 ? Z_FINISH : Z_NO_FLUSH),
                         i == 511 ? Z_STREAM_END : Z_OK);
    }
    size_t len = sizeof packed - z.avail_out;
    deflateEnd(&z);
    const struct fake_step script[] = {
        {FAKE_RAW, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"},
        {FAKE_RAW, (const char *)packed, .len = len},
        {FAKE_CLOSE},
        {0}};
    play(script);
    struct fetch_options options = get();
    options.limit_bytes = 4096;
    run(options);
    assert_int_equal(calls[0].err, E_LIMIT);
    assert_true(calls[0].body_len <= 4096);
}

static void waiting_times_that_servers_name(void **state) {
    (void)state;
    static const struct {
        const char *headers;
        int64_t least_ms, most_ms;
    } rows[] = {
        {"Retry-After: 2\r\n", 2000, 2000},
        {"Retry-After: 0\r\n", 0, 0},
        {"Retry-After: -5\r\n", 0, 0},
        {"Retry-After: soon\r\n", 0, 0},
        {"Retry-After: 999999999999999\r\n", 3600000, 24 * 3600000},
        {"retry-after-ms: 1500\r\n", 1500, 1500},
        {"retry-after-ms: 1e300\r\nRetry-After: 1\r\n", 24 * 3600000, 24 * 3600000},
        {"retry-after-ms: x\r\nRetry-After: 3\r\n", 3000, 3000},
        {"Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        static char answer[512];
        snprintf(answer, sizeof answer,
                 "HTTP/1.1 429 Too Many Requests\r\n%sContent-Length: 0\r\n\r\n", rows[i].headers);
        struct fake_step script[] = {{FAKE_RAW, answer}, {0}};
        memset(calls, 0, sizeof calls);
        play(script);
        begin(&calls[0], get());
        loop_run();
        if (calls[0].retry_after_ms < rows[i].least_ms || calls[0].retry_after_ms > rows[i].most_ms)
            fail_msg("%s gave %lld", rows[i].headers, (long long)calls[0].retry_after_ms);
        if (i + 1 < sizeof rows / sizeof *rows) {
            loop_release();
            fake_release(&fake);
            loop_init();
            loop_on_stopped(release, NULL);
        }
    }
}

/* --- cancelling ------------------------------------------------------------------------------- */

static const struct fake_step ENDLESS[] = {{FAKE_RAW, FAKE_STREAM_HEAD("a/b")},
                                           {FAKE_CHUNK, "one"},
                                           {FAKE_WAIT, .ms = 10},
                                           {FAKE_CHUNK, "two"},
                                           {FAKE_HANG},
                                           {0}};

static void cancelled_at_once(void **state) {
    (void)state;
    play(ENDLESS);
    begin(&calls[0], get());
    fetch_cancel(calls[0].fetch);
    fetch_cancel(calls[0].fetch); /* twice is once */
    assert_int_equal(calls[0].done_count, 0);
    loop_run();
    assert_int_equal(calls[0].err, E_CANCELLED);
    assert_int_equal(calls[0].done_count, 1);
}

static void cancelled_from_inside_a_read(void **state) {
    (void)state;
    play(ENDLESS);
    calls[0].cancel_after = 1;
    run(get());
    assert_int_equal(calls[0].err, E_CANCELLED);
    assert_int_equal(calls[0].reads, 1); /* nothing comes after it */
}

static void cancelled_from_inside_the_read_of_another(void **state) {
    (void)state;
    play(ENDLESS);
    begin(&calls[0], get());
    begin(&calls[1], get());
    calls[0].cancels = &calls[1];
    calls[0].cancel_after = 2;
    loop_run();
    assert_int_equal(calls[1].err, E_CANCELLED);
    assert_int_equal(calls[0].err, E_CANCELLED);
}

static struct timer timer, poll_timer;
static int64_t cancelled_us, gone_us;

static void look_whether_gone(void *ctx) {
    if (fake.gone_count == 0 && clock_mono_us() < cancelled_us + 1000000) {
        timer_start(&poll_timer, 2, look_whether_gone, ctx);
        return;
    }
    gone_us = clock_mono_us();
    loop_stop(0);
}

static void cancel_first(void *ctx) {
    fetch_cancel(calls[0].fetch);
    cancelled_us = clock_mono_us();
    look_whether_gone(ctx);
}

static void a_cancelled_server_sees_us_go_within_100_ms(void **state) {
    (void)state;
    play(ENDLESS);
    begin(&calls[0], get());
    open_calls++; /* the poll ends the loop */
    timer_start(&timer, 60, cancel_first, NULL);
    loop_run();
    assert_int_equal(calls[0].err, E_CANCELLED);
    assert_int_equal(fake.gone_count, 1);
    assert_true(gone_us - cancelled_us < 100000);
}

static void look_whether_asked(void *ctx) {
    if (atomic_load(&stuck_begun) == 2)
        fetch_cancel(calls[1].fetch);
    else
        timer_start(&poll_timer, 2, look_whether_asked, ctx);
}

/* The loop is everybody's: a name server that says nothing may cost a call its own time only. */
static void nobody_waits_for_a_name_that_is_looked_up(void **state) {
    (void)state;
    play(ENDLESS); /* nobody comes there */
    struct fetch_options options = get();
    options.url = STR("http://stuck.invalid/");
    options.connect_ms = 200;
    begin(&calls[0], options); /* ends by its deadline */
    options.connect_ms = 60000;
    begin(&calls[1], options); /* is cancelled */
    timer_start(&poll_timer, 2, look_whether_asked, NULL);
    loop_run();
    assert_int_equal(atomic_load(&stuck_ended), 0);
    assert_int_equal(calls[0].err, E_TIMEOUT);
    assert_int_equal(calls[1].err, E_CANCELLED);
    stuck_let_go(2);
}

static void stop_soon(void *ctx) {
    (void)ctx;
    loop_stop(0);
}

static void what_is_open_at_the_end_is_told_then(void **state) {
    (void)state;
    play(ENDLESS);
    begin(&calls[0], get());
    begin(&calls[1], get());
    timer_start(&timer, 30, stop_soon, NULL);
    loop_run();
    assert_int_equal(calls[0].err, E_CANCELLED);
    assert_int_equal(calls[1].err, E_CANCELLED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    log_init(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(an_answer_comes_whole),
        TEST(a_body_and_headers_are_sent),
        TEST(a_large_body_waits_for_no_100_continue),
        TEST(an_answer_may_come_before_the_request_is_over),
        TEST(errors_of_http_are_answers),
        TEST(informational_answers_are_passed_over),
        TEST(redirects_are_not_followed),
        TEST(http_1_0_ends_with_its_connection),
        TEST(chunks_of_one_byte_come_together),
        TEST(compressed_streams_are_opened),
        TEST(damaged_compression_is_an_error),
        TEST(a_second_call_uses_the_same_connection),
        TEST(a_connection_closed_meanwhile_is_made_anew),
        TEST(streams_of_a_full_house_are_read_in_turns),
        TEST(nobody_listens),
        TEST(addresses_that_are_none),
        TEST(a_header_cannot_smuggle_lines),
        TEST(an_early_close_is_told),
        TEST(a_missing_last_chunk_is_told),
        TEST(a_reset_is_told),
        TEST(something_that_is_not_http),
        TEST(headers_that_never_come),
        TEST(headers_and_then_nothing),
        TEST(a_gap_in_the_middle),
        TEST(the_total_is_kept),
        TEST(more_bytes_than_we_take),
        TEST(a_bomb_is_opened_only_so_far),
        TEST(waiting_times_that_servers_name),
        TEST(cancelled_at_once),
        TEST(cancelled_from_inside_a_read),
        TEST(cancelled_from_inside_the_read_of_another),
        TEST(a_cancelled_server_sees_us_go_within_100_ms),
        TEST(nobody_waits_for_a_name_that_is_looked_up),
        TEST(what_is_open_at_the_end_is_told_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
