/* links: troupe_model troupe_vendor_free */
#include "model/embed.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "fake_server.h"
#include "fetch/fetch.h"
#include "loop/mailbox.h"
#include "loop/pool.h"
#include "model/setting.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

/* What came of a call or a batch. */
static struct {
    bool is_started, is_done;
    enum err err;
    size_t dims;
    float values[64];
    int64_t retry_after_ms;
    char detail[512];
    float *taken;
    struct embed_batch *batch;
} told;

static struct fake fake;
static char url[128];
static const struct str TEXTS[] = {{"The lamp is lit.", 16}, {"", 0}, {"It rains again.", 15}};

static void note(const struct embed_answer *answer, size_t count) {
    assert_true(told.is_started && !told.is_done);
    told.is_done = true;
    told.err = answer->err;
    told.dims = answer->dims;
    told.retry_after_ms = answer->retry_after_ms;
    if (answer->err == E_OK) {
        assert_true(count * answer->dims <= COUNT_OF(told.values));
        memcpy(told.values, answer->values, count * answer->dims * sizeof(float));
    }
    snprintf(told.detail, sizeof told.detail, STR_FMT, STR_ARG(answer->detail));
    loop_stop(0);
}

static void on_answer(const struct embed_answer *answer, void *ctx) {
    note(answer, (size_t)(uintptr_t)ctx);
}

static void release_fetch(void *ctx) {
    (void)ctx;
    fetch_release();
}

static int set_up(void **state) {
    (void)state;
    memset(&told, 0, sizeof told);
    memset(&fake, 0, sizeof fake);
    model_settings.first_token_ms = 400;
    loop_init();
    mailbox_init();
    pool_init(1);
    loop_on_stopped(release_fetch, NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    pool_release();
    mailbox_release();
    loop_release();
    fake_release(&fake);
    free(told.taken);
    return 0;
}

static void again(void) {
    tear_down(NULL);
    set_up(NULL);
}

/* --- against a server ------------------------------------------------------------------------- */

static char answers[4][4096];

/* An HTTP answer in one of four places. */
static const char *http(size_t at, int status, const char *more, const char *body) {
    snprintf(answers[at], sizeof answers[at],
             "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n%s",
             status, more, strlen(body), body);
    return answers[at];
}

static struct embed_request request;

static void run(const struct embed_port *port, const char *path,
                const struct fake_step *const *scripts) {
    fake_start(&fake, scripts);
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", fake.port, path);
    request = (struct embed_request){
        .texts = TEXTS,
        .count = COUNT_OF(TEXTS),
        .endpoint = {.base_url = str_from(url),
                     .model = {"tiny-embed", 10},
                     .api_key = {"sk-secret-key", 13}},
    };
    struct embed_call *call = port->start(&request, on_answer, (void *)(uintptr_t)request.count);
    assert_non_null(call);
    assert_false(told.is_done);
    told.is_started = true;
    loop_run();
    assert_true(told.is_done);
    assert_null(strstr(told.detail, "sk-secret-key"));
}

static void run_one(const struct embed_port *port, int status, const char *body) {
    const struct fake_step script[] = {{FAKE_RAW, http(0, status, "", body)}, {0}};
    const struct fake_step *scripts[] = {script, NULL};
    run(port, "", scripts);
}

static const char *sent(size_t n) {
    assert_true(n < fake.request_count);
    const char *body = strstr(fake.requests[n], "\r\n\r\n");
    assert_non_null(body);
    return body + 4;
}

static bool is_near(float a, double b) {
    return fabs(a - b) < 1e-5;
}

#define ITEM(index, vector) \
    "{\"object\":\"embedding\",\"index\":" #index ",\"embedding\":" vector "}"
#define DATA(items)                                                                             \
    "{\"object\":\"list\",\"model\":\"m\",\"data\":[" items "],\"usage\":{\"prompt_tokens\":5," \
    "\"total_tokens\":5}}"

static void vectors_come_back_in_the_order_of_their_index(void **state) {
    (void)state;
    run_one(&embed_openai, 200, DATA(ITEM(1, "[0,-2e0,0]") "," ITEM(0, "[3,0,4.0]")));
    assert_int_equal(told.err, E_OK);
    assert_int_equal(told.dims, 3);
    static const double expected[] = {0.6, 0, 0.8, 0, 0, 0, 0, -1, 0}; /* the empty one is zeros */
    for (size_t i = 0; i < COUNT_OF(expected); i++)
        assert_true(is_near(told.values[i], expected[i]));
    assert_non_null(strstr(fake.requests[0], "POST /v1/embeddings HTTP/1.1\r\n"));
    assert_non_null(strstr(fake.requests[0], "Authorization: Bearer sk-secret-key\r\n"));
    assert_string_equal(sent(0), "{\"model\":\"tiny-embed\",\"input\":[\"The lamp is lit.\",\"It "
                                 "rains again.\"],\"encoding_format\":\"float\"}");
}

static void ollama_answers_in_the_order_of_its_texts(void **state) {
    (void)state;
    run_one(&embed_ollama, 200,
            "{\"model\":\"m\",\"embeddings\":[[3,0,4],[0,-2,0]],\"total_duration\":1}");
    assert_int_equal(told.err, E_OK);
    assert_true(is_near(told.values[0], 0.6) && is_near(told.values[7], -1));
    assert_non_null(strstr(fake.requests[0], "POST /api/embed HTTP/1.1\r\n"));
    assert_string_equal(sent(0), "{\"model\":\"tiny-embed\",\"input\":[\"The lamp is lit.\",\"It "
                                 "rains again.\"]}");
}

static void base64_is_taken_whatever_was_asked(void **state) {
    (void)state;
    /* 3, 0, 4 and 0, -2, 0 as little-endian floats */
    run_one(&embed_openai, 200,
            DATA(ITEM(0, "\"AABAQAAAAAAAAIBA\"") "," ITEM(1, "\"AAAAAAAAAMAAAAAA\"")));
    assert_int_equal(told.err, E_OK);
    assert_int_equal(told.dims, 3);
    assert_true(is_near(told.values[0], 0.6) && is_near(told.values[7], -1));
}

static void every_failure_is_judged_and_told(void **state) {
    (void)state;
    static const struct {
        bool is_ollama;
        int status;
        const char *body;
        enum err err;
        const char *detail, *why;
    } rows[] = {
        {false, 200, DATA(ITEM(0, "[1,2,3]")), E_UPSTREAM, "one vector for each", "fewer items"},
        {false, 200, DATA(ITEM(0, "[1]") "," ITEM(1, "[1]") "," ITEM(2, "[1]")), E_UPSTREAM,
         "one vector for each", "more items"},
        {false, 200, DATA(ITEM(0, "[1,2]") "," ITEM(0, "[2,1]")), E_UPSTREAM, "claim one text",
         "an index twice"},
        {false, 200, DATA(ITEM(0, "[1,2]") "," ITEM(7, "[2,1]")), E_UPSTREAM, "claim one text",
         "an index beyond"},
        {false, 200, DATA(ITEM(0, "[1,2]") "," ITEM(-1, "[2,1]")), E_UPSTREAM, "claim one text",
         "an index below"},
        {false, 200, DATA(ITEM(0, "[1,2]") "," ITEM(1, "[2,1,0]")), E_UPSTREAM, "one width",
         "two widths"},
        {false, 200, DATA(ITEM(0, "[1,2]") "," ITEM(1, "[]")), E_UPSTREAM, "missing", "empty"},
        {false, 200, DATA(ITEM(0, "[1,2]") "," ITEM(1, "null")), E_UPSTREAM, "missing", "null"},
        {false, 200, DATA(ITEM(0, "[1,2]") "," ITEM(1, "[0,0.0]")), E_UPSTREAM, "zeros", "zeros"},
        {false, 200, DATA(ITEM(0, "[1,2]") "," ITEM(1, "[\"1\",2]")), E_UPSTREAM, "no number",
         "text in a vector"},
        {false, 200, DATA(ITEM(0, "[1,2]") "," ITEM(1, "[NaN,2]")), E_UPSTREAM, "not JSON", "NaN"},
        {false, 200, DATA(ITEM(0, "[1,2]") "," ITEM(1, "[1e39,2]")), E_UPSTREAM, "not finite",
         "beyond float"},
        {false, 200, DATA(ITEM(0, "\"AADAfwAAgD8=\"") "," ITEM(1, "\"AADAfwAAgD8=\"")), E_UPSTREAM,
         "not finite", "NaN in base64"},
        {false, 200, DATA(ITEM(0, "\"AABAQAA=\"") "," ITEM(1, "\"AABAQAA=\"")), E_UPSTREAM,
         "whole numbers", "base64 of five bytes"},
        {false, 200, "<html>Sign in</html>", E_UPSTREAM, "not JSON", "a page of a proxy"},
        {false, 200, "", E_UPSTREAM, "not JSON", "nothing"},
        {false, 200, "{\"data\":{}}", E_UPSTREAM, "no data", "another shape"},
        {false, 200, "{\"error\":{\"message\":\"no credit\",\"code\":402}}", E_DENIED, "no credit",
         "an error under 200"},
        {false, 401, "{\"error\":{\"message\":\"Wrong key sk-secret-key\"}}", E_DENIED,
         "*************", "the key is quoted back, and hidden"},
        {false, 404, "{\"error\":{\"message\":\"no such model\",\"type\":\"not_found\"}}", E_ABSENT,
         "no such model", "an unknown model"},
        {false, 400, "{\"error\":{\"message\":\"bad field\",\"type\":\"invalid_request_error\"}}",
         E_INPUT, "bad field", "refused, not for length"},
        {false, 501, "{\"error\":{\"message\":\"This server does not support embeddings\"}}",
         E_UPSTREAM, "does not support", "llama.cpp without --embeddings"},
        {false, 503, "{\"error\":{\"message\":\"Loading model\"}}", E_BUSY, "Loading model",
         "loading"},
        {false, 502, "<html>Bad gateway</html>", E_UPSTREAM, "failed", "a proxy's page"},
        {true, 200, "{\"embeddings\":[[1,2]]}", E_UPSTREAM, "one vector for each", "shorter"},
        {true, 200, "{\"embeddings\":[]}", E_UPSTREAM, "one vector for each", "empty"},
        {true, 200, "{\"error\":\"this model does not support embeddings\"}", E_UPSTREAM,
         "does not support", "a model that only talks"},
        {true, 404, "{\"error\":\"model 'tiny-embed' not found\"}", E_ABSENT, "not found",
         "not pulled"},
        {true, 500, "{\"error\":\"unexpected response\"}", E_UPSTREAM, "unexpected", "a crash"},
        {true, 503, "{\"error\":\"server busy, please try again.\"}", E_BUSY, "busy", "busy"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        run_one(rows[i].is_ollama ? &embed_ollama : &embed_openai, rows[i].status, rows[i].body);
        if (told.err != rows[i].err || strstr(told.detail, rows[i].detail) == NULL ||
            fake.request_count != 1)
            fail_msg("%s: %s, \"%s\", %zu requests", rows[i].why, err_word(told.err), told.detail,
                     fake.request_count);
        again();
    }
}

static void too_often_says_when_to_come_again(void **state) {
    (void)state;
    const struct fake_step script[] = {{FAKE_RAW, http(0, 429, "Retry-After: 7\r\n", "{}")}, {0}};
    const struct fake_step *scripts[] = {script, NULL};
    run(&embed_openai, "/v1/", scripts);
    assert_int_equal(told.err, E_LIMIT);
    assert_int_equal(told.retry_after_ms, 7000);
}

static void connections_that_break_or_stall_end(void **state) {
    (void)state;
    static const struct fake_step REFUSES[] = {{FAKE_CLOSE}, {0}};
    static const struct fake_step HANGS[] = {{FAKE_HANG}, {0}};
    static const struct fake_step BREAKS[] = {
        {FAKE_RAW, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"data\":["}, {FAKE_RESET}, {0}};
    static const struct {
        const struct fake_step *script;
        enum err err;
    } rows[] = {{REFUSES, E_UPSTREAM}, {HANGS, E_TIMEOUT}, {BREAKS, E_UPSTREAM}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct fake_step *scripts[] = {rows[i].script, NULL};
        run(&embed_openai, "", scripts);
        assert_int_equal(told.err, rows[i].err);
        again();
    }
}

/* Blanks for ever: never silent, never done. Batches come one after the other, so all would wait. */
static void an_answer_without_end_is_ended(void **state) {
    (void)state;
    static struct fake_step script[402];
    script[0] = (struct fake_step){FAKE_RAW, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"};
    for (size_t i = 0; i < 200; i++) {
        script[2 * i + 1] = (struct fake_step){FAKE_RAW, " "};
        script[2 * i + 2] = (struct fake_step){FAKE_WAIT, .ms = 20};
    }
    script[401] = (struct fake_step){FAKE_CLOSE};
    const struct fake_step *scripts[] = {script, NULL};
    model_settings.reply_ms = 300;
    run(&embed_openai, "", scripts);
    model_settings.reply_ms = 60000;
    assert_int_equal(told.err, E_TIMEOUT);
}

/* In pieces that the socket holds: the server is in this loop, and so is who reads. */
static void a_huge_answer_is_refused(void **state) {
    (void)state;
    enum { PIECE = 32 << 10, PIECES = 640 }; /* 20 MiB */
    static char blanks[PIECE];
    static struct fake_step script[2 * PIECES + 3];
    memset(blanks, ' ', sizeof blanks);
    script[0] = (struct fake_step){FAKE_RAW, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"};
    for (size_t i = 0; i < PIECES; i++) {
        script[2 * i + 1] = (struct fake_step){FAKE_RAW, blanks, .len = PIECE};
        script[2 * i + 2] = (struct fake_step){FAKE_WAIT, .ms = 2};
    }
    script[2 * PIECES + 1] = (struct fake_step){FAKE_CLOSE};
    const struct fake_step *scripts[] = {script, NULL};
    run(&embed_openai, "", scripts);
    assert_int_equal(told.err, E_UPSTREAM);
    assert_non_null(strstr(told.detail, "larger"));
}

/* Halves are bytes: letters of two or three of them are not longer than others. */
static void what_is_too_long_costs_only_its_own_end(void **state) {
    (void)state;
    static const char *const LETTERS[] = {"a", "\xD0\xB6", "\xE6\x9C\x88"};
    static const char REFUSAL[] =
        "{\"error\":{\"code\":400,\"message\":\"input is larger than the context\"}}";
    for (size_t row = 0; row < COUNT_OF(LETTERS); row++) {
        static char long_text[2048];
        size_t len = 0, letter = strlen(LETTERS[row]);
        for (; len + letter < sizeof long_text; len += letter)
            memcpy(long_text + len, LETTERS[row], letter);
        const struct str texts[] = {{"Short.", 6}, {long_text, len}};
        const struct fake_step refuses[] = {{FAKE_RAW, http(0, 400, "", REFUSAL)}, {0}};
        const struct fake_step first[] = {{FAKE_RAW, http(1, 200, "", DATA(ITEM(0, "[2,0]")))},
                                          {0}};
        const struct fake_step second[] = {{FAKE_RAW, http(2, 200, "", DATA(ITEM(0, "[0,2]")))},
                                           {0}};
        /* both together, the short one, the long one, its half, its quarter */
        const struct fake_step *scripts[] = {refuses, first, refuses, refuses, second, NULL};
        fake_start(&fake, scripts);
        snprintf(url, sizeof url, "http://127.0.0.1:%d", fake.port);
        request = (struct embed_request){
            .texts = texts, .count = 2, .endpoint = {.base_url = str_from(url), .model = {"m", 1}}};
        embed_openai.start(&request, on_answer, (void *)2);
        told.is_started = true;
        loop_run();
        assert_int_equal(told.err, E_OK);
        assert_int_equal(fake.request_count, 5);
        assert_true(is_near(told.values[0], 1) && is_near(told.values[3], 1));
        assert_true(strlen(sent(4)) < 600 && strlen(sent(4)) > 500);
        assert_null(strstr(fake.requests[0], "Authorization"));
        again();
    }
}

static void a_text_that_is_refused_at_any_length_fails_at_once(void **state) {
    (void)state;
    static const char REFUSAL[] = "{\"error\":\"the input length exceeds the context length\"}";
    const struct fake_step refuses[] = {{FAKE_RAW, http(0, 500, "", REFUSAL)}, {0}};
    const struct fake_step *scripts[] = {refuses, NULL};
    run(&embed_ollama, "", scripts);
    assert_int_equal(told.err, E_INPUT);
    assert_int_equal(fake.request_count, 2); /* all together, then the first alone */
}

static void an_older_ollama_is_asked_in_its_own_way(void **state) {
    (void)state;
    const struct fake_step unknown[] = {{FAKE_RAW, http(0, 404, "", "404 page not found")}, {0}};
    const struct fake_step first[] = {{FAKE_RAW, http(1, 200, "", "{\"embedding\":[5,0]}")}, {0}};
    const struct fake_step second[] = {{FAKE_RAW, http(2, 200, "", "{\"embedding\":[0,5]}")}, {0}};
    const struct fake_step *scripts[] = {unknown, first, second, NULL};
    run(&embed_ollama, "", scripts);
    assert_int_equal(told.err, E_OK);
    assert_non_null(strstr(fake.requests[2], "POST /api/embeddings HTTP/1.1\r\n"));
    assert_string_equal(sent(2), "{\"model\":\"tiny-embed\",\"prompt\":\"It rains again.\"}");
    assert_true(is_near(told.values[0], 1) && is_near(told.values[5], 1));
}

static void cancel_later(void *ctx) {
    embed_openai.cancel(ctx);
}

static void a_cancelled_call_ends_once(void **state) {
    (void)state;
    static const struct fake_step HANGS[] = {{FAKE_HANG}, {0}};
    const struct fake_step *scripts[] = {HANGS, NULL};
    struct timer timer = {0};
    fake_start(&fake, scripts);
    snprintf(url, sizeof url, "http://127.0.0.1:%d", fake.port);
    request = (struct embed_request){
        .texts = TEXTS, .count = 3, .endpoint = {.base_url = str_from(url), .model = {"m", 1}}};
    struct embed_call *call = embed_openai.start(&request, on_answer, (void *)3);
    told.is_started = true;
    timer_start(&timer, 50, cancel_later, call);
    loop_run();
    assert_int_equal(told.err, E_CANCELLED);
}

static void nothing_to_embed_is_no_request(void **state) {
    (void)state;
    static const struct str BLANK[] = {{" \n", 2}};
    request = (struct embed_request){.texts = BLANK, .count = 1, .endpoint = {.model = {"m", 1}}};
    embed_ollama.start(&request, on_answer, (void *)1);
    told.is_started = true;
    loop_run();
    assert_int_equal(told.err, E_INPUT);
}

/* --- batches, against a port that does as it is told ------------------------------------------ */

/* A vector of two: the text's length, and 1. It says what it was asked. */
static struct {
    enum err fails[8]; /* of the n-th call; E_OK: it works */
    int64_t retry_after_ms;
    size_t calls, counts[8];
    embed_done_fn done;
    void *ctx;
    const struct embed_request *request;
    bool is_cancelled;
} port;

struct embed_call {
    int unused;
};
static struct embed_call the_call;

static void port_answer(void *ctx) {
    (void)ctx;
    float values[EMBED_BATCH_LIMIT * 2];
    enum err err = port.is_cancelled ? E_CANCELLED : port.fails[port.calls - 1];
    for (size_t i = 0; i < port.request->count; i++) {
        values[2 * i] = (float)port.request->texts[i].len;
        values[2 * i + 1] = 1;
    }
    port.done(&(struct embed_answer){.err = err,
                                     .values = err ? NULL : values,
                                     .dims = err ? 0 : 2,
                                     .retry_after_ms = err ? port.retry_after_ms : 0,
                                     .detail = STR("as told")},
              port.ctx);
}

static bool port_is_available(void) {
    return true;
}

static struct embed_call *port_start(const struct embed_request *asked, embed_done_fn done,
                                     void *ctx) {
    assert_true(port.calls < COUNT_OF(port.counts));
    port.counts[port.calls++] = asked->count;
    port.request = asked;
    port.done = done;
    port.ctx = ctx;
    loop_later(port_answer, NULL);
    return &the_call;
}

static void port_cancel(struct embed_call *call) {
    assert_ptr_equal(call, &the_call);
    port.is_cancelled = true;
}

/* Stands in the place of the built-in one. */
const struct embed_port embed_builtin = {"builtin", port_is_available, port_start, port_cancel};

static void on_batch(const struct embed_answer *answer, void *ctx) {
    note(answer, (size_t)(uintptr_t)ctx);
    if (answer->err == E_OK)
        told.taken = embed_batch_take(told.batch);
}

static void run_batch(const struct str *texts, size_t count, size_t call_texts, int tries) {
    told.batch =
        embed_batch_start(&(struct embed_batch_options){.port = embed_port_find(STR("builtin")),
                                                        .texts = texts,
                                                        .count = count,
                                                        .call_texts = call_texts,
                                                        .tries = tries},
                          on_batch, (void *)(uintptr_t)count);
    told.is_started = true;
    loop_run();
    assert_true(told.is_done);
}

static int set_up_port(void **state) {
    memset(&port, 0, sizeof port);
    return set_up(state);
}

static void many_texts_are_several_calls(void **state) {
    (void)state;
    static const struct str MANY[] = {{"a", 1}, {"bb", 2},     {"", 0},   {"dddd", 4},
                                      {" ", 1}, {"ffffff", 6}, {"ggg", 3}};
    run_batch(MANY, 7, 2, 1);
    assert_int_equal(told.err, E_OK);
    assert_int_equal(port.calls, 3);
    assert_int_equal(port.counts[2], 1);
    static const float expected[] = {1, 2, 0, 4, 0, 6, 3};
    for (size_t i = 0; i < 7; i++) {
        assert_true(told.values[2 * i] == expected[i]);
        assert_true(told.values[2 * i + 1] == (expected[i] > 0 ? 1 : 0));
    }
    assert_true(told.taken[6] == 4);
}

static void a_call_is_bounded_by_bytes(void **state) {
    (void)state;
    static char large[60 << 10];
    memset(large, 'x', sizeof large);
    const struct str texts[] = {{large, sizeof large}, {large, sizeof large}, {"end", 3}};
    run_batch(texts, 3, 64, 1);
    assert_int_equal(port.calls, 2);
    assert_int_equal(port.counts[0], 1);
    assert_int_equal(port.counts[1], 2);
}

static void what_may_pass_is_tried_again(void **state) {
    (void)state;
    static const struct {
        enum err first;
        int64_t retry_after_ms;
        int tries;
        enum err end;
        size_t calls;
    } rows[] = {
        {E_UPSTREAM, 0, 3, E_OK, 2},       {E_BUSY, 0, 3, E_OK, 2},
        {E_LIMIT, 500, 3, E_OK, 2},        {E_LIMIT, 60000, 3, E_LIMIT, 1},
        {E_UPSTREAM, 0, 1, E_UPSTREAM, 1}, {E_TIMEOUT, 0, 3, E_TIMEOUT, 1},
        {E_DENIED, 0, 3, E_DENIED, 1},     {E_INPUT, 0, 3, E_INPUT, 1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        port.fails[0] = rows[i].first;
        port.retry_after_ms = rows[i].retry_after_ms;
        run_batch(TEXTS, 3, 64, rows[i].tries);
        assert_int_equal(told.err, rows[i].end);
        assert_int_equal(port.calls, rows[i].calls);
        assert_int_equal(told.retry_after_ms, rows[i].end ? rows[i].retry_after_ms : 0);
        again();
        memset(&port, 0, sizeof port);
    }
}

static void cancel_batch(void *ctx) {
    (void)ctx;
    embed_batch_cancel(told.batch);
}

/* Once while a call is under way, once while it waits to try again. */
static void a_cancelled_batch_ends_once(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct timer timer = {0};
        port.fails[0] = i ? E_UPSTREAM : E_OK;
        if (i)
            timer_start(&timer, 50, cancel_batch, NULL);
        else
            loop_later(cancel_batch, NULL);
        run_batch(TEXTS, 3, 1, 3);
        assert_int_equal(told.err, E_CANCELLED);
        assert_int_equal(port.calls, 1);
        again();
        memset(&port, 0, sizeof port);
    }
}

static void ports_are_found_by_their_names(void **state) {
    (void)state;
    assert_ptr_equal(embed_port_find(STR("openai")), &embed_openai);
    assert_ptr_equal(embed_port_find(STR("ollama")), &embed_ollama);
    assert_null(embed_port_find(STR("none")));
    assert_true(embed_openai.is_available() && embed_ollama.is_available());
}

#define TEST(name)  cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define BATCH(name) cmocka_unit_test_setup_teardown(name, set_up_port, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(vectors_come_back_in_the_order_of_their_index),
        TEST(ollama_answers_in_the_order_of_its_texts),
        TEST(base64_is_taken_whatever_was_asked),
        TEST(every_failure_is_judged_and_told),
        TEST(too_often_says_when_to_come_again),
        TEST(connections_that_break_or_stall_end),
        TEST(an_answer_without_end_is_ended),
        TEST(a_huge_answer_is_refused),
        TEST(what_is_too_long_costs_only_its_own_end),
        TEST(a_text_that_is_refused_at_any_length_fails_at_once),
        TEST(an_older_ollama_is_asked_in_its_own_way),
        TEST(a_cancelled_call_ends_once),
        TEST(nothing_to_embed_is_no_request),
        BATCH(many_texts_are_several_calls),
        BATCH(a_call_is_bounded_by_bytes),
        BATCH(what_may_pass_is_tried_again),
        BATCH(a_cancelled_batch_ends_once),
        BATCH(ports_are_found_by_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
