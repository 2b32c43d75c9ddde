/* links: troupe_model troupe_vendor_free troupe_store troupe_embedded */
#include "model/route.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/keyfile.h"
#include "base/log.h"
#include "base/text.h"
#include "fake_server.h"
#include "fetch/fetch.h"
#include "loop/mailbox.h"
#include "model/background.h"
#include "model/model_store.h"
#include "model/setting.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#define HEAD        FAKE_STREAM_HEAD("text/event-stream")
#define DELTA(text) "data: {\"choices\":[{\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define FINISH      "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"

static const struct fake_step SAYS_A[] = {
    {FAKE_RAW, HEAD}, {FAKE_CHUNK, DELTA("A") FINISH "data: [DONE]\n\n"}, {FAKE_LAST_CHUNK}, {0}};
static const struct fake_step SAYS_B[] = {
    {FAKE_RAW, HEAD}, {FAKE_CHUNK, DELTA("B") FINISH "data: [DONE]\n\n"}, {FAKE_LAST_CHUNK}, {0}};
static const struct fake_step FAILS[] = {
    {FAKE_RAW, "HTTP/1.1 500 X\r\nContent-Length: 4\r\n\r\nboom"}, {0}};
static const struct fake_step LIMITS[] = {
    {FAKE_RAW, "HTTP/1.1 429 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"}, {0}};
static const struct fake_step REFUSES[] = {
    {FAKE_RAW, "HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n"}, {0}};
static const struct fake_step HANGS[] = {{FAKE_HANG}, {0}};
static const struct fake_step SAYS_NOTHING[] = {
    {FAKE_RAW, HEAD}, {FAKE_CHUNK, FINISH "data: [DONE]\n\n"}, {FAKE_LAST_CHUNK}, {0}};
static const struct fake_step BREAKS_OFF[] = {
    {FAKE_RAW, HEAD}, {FAKE_CHUNK, DELTA("half")}, {FAKE_CLOSE}, {0}};

/* White space, and what may still be a tag, is not yet a token. */
static const struct fake_step CLEARS_ITS_THROAT[] = {
    {FAKE_RAW, HEAD}, {FAKE_CHUNK, DELTA("\\n") DELTA(" <thi")}, {FAKE_CLOSE}, {0}};

struct told {
    char began[256], text[4096], detail[600];
    int began_count, end_count;
    bool is_done;
    enum err err;
    int64_t retry_after_ms;
    int64_t asked_reply_tokens;
    struct route_call *call;
    bool cancels_at_delta;
};

static struct fake first, second;
static struct told told[12];
static struct chat_request requests[12];
static struct chat_message message = {
    .role = CHAT_USER, .content = {"Good evening. I came to see the lamp, and the sea.", 50}};
static int open_calls;
static bool is_starting;
static struct arena arena;

static void end_one(struct told *it) {
    assert_false(is_starting); /* not from inside route_start */
    it->end_count++;
    if (--open_calls == 0)
        loop_stop(0);
}

static void on_began(void *ctx, const struct chat_endpoint *endpoint) {
    struct told *it = ctx;
    size_t used = strlen(it->began);
    snprintf(it->began + used, sizeof it->began - used, STR_FMT ";", STR_ARG(endpoint->name));
    it->began_count++;
    it->asked_reply_tokens = requests[it - told].sampling.reply_tokens;
}

static void on_delta(void *ctx, struct str text) {
    struct told *it = ctx;
    size_t used = strlen(it->text);
    snprintf(it->text + used, sizeof it->text - used, STR_FMT, STR_ARG(text));
    if (it->cancels_at_delta)
        route_cancel(it->call);
}

static void on_done(void *ctx, enum chat_finish finish, const struct chat_usage *usage) {
    struct told *it = ctx;
    (void)finish, (void)usage;
    it->is_done = true;
    end_one(it);
}

static void on_failed(void *ctx, const struct chat_failure *failure) {
    struct told *it = ctx;
    it->err = failure->err;
    it->retry_after_ms = failure->retry_after_ms;
    snprintf(it->detail, sizeof it->detail, STR_FMT, STR_ARG(failure->detail));
    end_one(it);
}

static const struct route_events EVENTS = {on_began, on_delta, NULL, on_done, on_failed};

static void ask(size_t n, const char *route) {
    memset(&told[n], 0, sizeof told[n]);
    requests[n] =
        (struct chat_request){.messages = &message,
                              .message_count = 1,
                              .sampling = {-1, -1, -1, -1, -1, -1, -1, -1, 100000, NULL, 0}};
    open_calls++;
    is_starting = true;
    told[n].call = route_start(str_from(route), &requests[n], &EVENTS, &told[n]);
    is_starting = false;
}

/* --- a house with two models, each with a server of its own ----------------------------------- */

static void release(void *ctx) {
    (void)ctx;
    fetch_release();
}

static int set_up(void **state) {
    (void)state;
    scratch_make();
    arena_init(&arena);
    model_settings.first_token_ms = 300;
    model_settings.stall_ms = 300;
    model_settings.rest_ms = 100;
    understudy_settings.tokens_per_second = 0;
    open_calls = 0;
    loop_init();
    mailbox_init();
    loop_on_stopped(release, NULL);
    assert_int_equal(keyfile_open(scratch), E_OK);
    assert_int_equal(store_open(scratch), E_OK);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    store_close();
    model_release();
    mailbox_release();
    loop_release();
    fake_release(&first);
    fake_release(&second);
    memset(&first, 0, sizeof first);
    memset(&second, 0, sizeof second);
    arena_release(&arena);
    scratch_remove();
    return 0;
}

struct new_model {
    struct model row;
    const char *route;
};

static enum err write_model(struct tx *tx, void *ctx) {
    struct new_model *it = ctx;
    enum err err = model_insert(tx, &it->row);
    return err || it->route == NULL ? err : route_append(tx, str_from(it->route), it->row.id);
}

static int64_t add_model(const char *name, const struct fake *fake, const char *route,
                         bool is_enabled) {
    struct new_model it = {.route = route};
    int64_t id = id_new();
    it.row = (struct model){
        .id = id,
        .name = str_from(name),
        .provider = STR("openai"),
        .base_url = str_printf(&arena, "http://127.0.0.1:%d", fake->port),
        .model = STR("m"),
        .key_sealed =
            crypto_seal(&arena, keyfile_key(), str_printf(&arena, "model:%s", id_text(id).at),
                        STR("sk-key-of-it")),
        .context_tokens = 4096,
        .reply_tokens = 200,
        .is_enabled = is_enabled,
        .updated_at = clock_now_ms(),
    };
    assert_int_equal(store_write_and_wait(write_model, &it), E_OK);
    assert_int_equal(model_reload(), E_OK);
    return id;
}

/* Route "default": First, then Second. */
static void build(const struct fake_step *const *of_first, const struct fake_step *of_second) {
    const struct fake_step *scripts[] = {of_second, NULL};
    fake_start(&first, of_first);
    fake_start(&second, scripts);
    add_model("First", &first, "default", true);
    add_model("Second", &second, "default", true);
}

#define SCRIPTS(...) ((const struct fake_step *const[]){__VA_ARGS__, NULL})

static void run_one(void) {
    ask(0, "default");
    loop_run();
    assert_int_equal(told[0].end_count, 1);
    assert_true(requests[0].endpoint.api_key.len == 0); /* nothing of the key stays */
}

/* --- falling back ----------------------------------------------------------------------------- */

static void without_models_the_understudy_speaks(void **state) {
    (void)state;
    assert_int_equal(model_reload(), E_OK);
    assert_true(route_plan(STR("default")).is_understudy);
    run_one();
    assert_true(told[0].is_done);
    assert_string_equal(told[0].began, "Understudy;");
    assert_non_null(strstr(told[0].text, "no model"));
}

static void the_first_model_is_asked(void **state) {
    (void)state;
    build(SCRIPTS(SAYS_A), SAYS_B);
    run_one();
    assert_true(told[0].is_done);
    assert_string_equal(told[0].text, "A");
    assert_string_equal(told[0].began, "First;");
    assert_int_equal(second.request_count, 0);
    assert_non_null(strstr(first.requests[0], "Authorization: Bearer sk-key-of-it\r\n"));
}

static void failures_before_the_first_token_lead_on(void **state) {
    (void)state;
    static const struct {
        const struct fake_step *script;
        const char *why;
    } rows[] = {
        {FAILS, "500"},
        {LIMITS, "429"},
        {REFUSES, "413"},
        {HANGS, "silence"},
        {SAYS_NOTHING, "an empty reply"},
        {CLEARS_ITS_THROAT, "blanks, and the beginning of a tag"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        build(SCRIPTS(rows[i].script), SAYS_B);
        run_one();
        if (!told[0].is_done || strcmp(told[0].text, "B") != 0 ||
            strcmp(told[0].began, "First;Second;") != 0)
            fail_msg("%s: %s %s %s", rows[i].why, told[0].began, told[0].text, told[0].detail);
        if (i + 1 < sizeof rows / sizeof *rows) {
            tear_down(NULL);
            set_up(NULL);
        }
    }
}

static void after_the_first_token_nobody_else_is_asked(void **state) {
    (void)state;
    build(SCRIPTS(BREAKS_OFF), SAYS_B);
    run_one();
    assert_false(told[0].is_done);
    assert_int_equal(told[0].err, E_UPSTREAM);
    assert_string_equal(told[0].text, "half");
    assert_int_equal(second.request_count, 0);
}

static void when_all_fail_a_person_reads_what_each_said(void **state) {
    (void)state;
    build(SCRIPTS(FAILS), LIMITS);
    run_one();
    assert_int_equal(told[0].err, E_LIMIT);
    assert_int_equal(told[0].retry_after_ms, 1000);
    assert_non_null(strstr(told[0].detail, "First: The endpoint failed (500): boom"));
    assert_non_null(strstr(told[0].detail, "Second: The endpoint limits"));
}

static void a_disabled_model_is_left_out(void **state) {
    (void)state;
    fake_start(&first, SCRIPTS(SAYS_A));
    fake_start(&second, SCRIPTS(SAYS_B));
    add_model("First", &first, "default", false);
    add_model("Second", &second, "default", true);
    run_one();
    assert_string_equal(told[0].began, "Second;");
}

static void a_models_own_id_is_a_route(void **state) {
    (void)state;
    fake_start(&first, SCRIPTS(SAYS_A));
    int64_t id = add_model("First", &first, NULL, true);
    ask(0, id_text(id).at);
    loop_run();
    assert_string_equal(told[0].text, "A");
}

static void a_reply_is_never_longer_than_its_model_may(void **state) {
    (void)state;
    build(SCRIPTS(SAYS_A), SAYS_B);
    run_one();
    assert_int_equal(told[0].asked_reply_tokens, 200);
    assert_int_equal(requests[0].sampling.reply_tokens, 100000); /* given back as it was */
    assert_int_equal(route_plan(STR("default")).context_tokens, 4096);
    assert_int_equal(route_plan(STR("default")).reply_tokens, 200);
}

/* --- the breaker ------------------------------------------------------------------------------ */

static struct timer timer; /* asks again */
static int64_t asked_of_first;

/* Asks once more a little later, so that each call ends before the next begins. Until the last one
 * is asked the run is held open, after it the last end closes it: no timer outlives its test. */
static void ask_again(void *ctx) {
    int *left = ctx;
    if (open_calls > 1) { /* the one before is not over: the machine is busy */
        timer_start(&timer, 5, ask_again, ctx);
        return;
    }
    ask(1, "default");
    if (--*left > 0)
        timer_start(&timer, 20, ask_again, ctx);
    else
        open_calls--;
}

static void run_and_ask_again(int times, int64_t after_ms) {
    open_calls++;
    timer_start(&timer, after_ms, ask_again, &times);
    loop_run();
    asked_of_first = (int64_t)first.request_count;
}

static void run_many(int count) {
    ask(0, "default");
    run_and_ask_again(count - 1, 20);
}

static void an_endpoint_that_keeps_failing_is_left_alone(void **state) {
    (void)state;
    model_settings.rest_ms = 60000;
    build(SCRIPTS(FAILS), SAYS_B);
    run_many(9);
    assert_int_equal(asked_of_first, 5);
    assert_int_equal(second.request_count, 9);
    assert_int_equal(route_health(model_at(0)).state, ROUTE_RESTING);
    assert_int_equal(route_health(model_at(1)).state, ROUTE_OK);
}

/* A house full of replies that break off at once: one trouble, one rest. */
static void many_failures_at_once_are_one_rest(void **state) {
    (void)state;
    model_settings.rest_ms = 60000;
    build(SCRIPTS(FAILS), SAYS_B);
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        ask(i, "default");
    loop_run();
    assert_int_equal(first.request_count, sizeof told / sizeof *told);
    assert_int_equal(route_health(model_at(0)).state, ROUTE_RESTING);
    assert_in_range(route_health(model_at(0)).resting_ms, 1, 60000);
}

/* Who was there before the rest says nothing about the probe. */
static void an_old_call_does_not_end_a_probe(void **state) {
    (void)state;
    model_settings.rest_ms = 60000;
    static const struct fake_step old[] = {
        {FAKE_RAW, HEAD}, {FAKE_CHUNK, DELTA("old")}, {FAKE_WAIT, .ms = 40}, {FAKE_CLOSE}, {0}};
    build(SCRIPTS(old, LIMITS), SAYS_B);
    ask(0, "default"); /* speaks, and breaks off when the rest has begun */
    ask(1, "default"); /* is told to come in a second */
    loop_run();
    assert_string_equal(told[0].text, "old");
    assert_int_equal(told[0].err, E_UPSTREAM);
    assert_string_equal(told[1].text, "B");
    assert_in_range(route_health(model_at(0)).resting_ms, 1, 1000);
}

/* A house that tries many models over the years: those that are gone take nobody's place. */
static void models_that_came_and_went_take_no_place(void **state) {
    (void)state;
    for (int i = 0; i < 2 * MODEL_LIMIT; i++) {
        const struct model gone = {.id = id_new(), .revision = 1};
        assert_int_equal(route_health(&gone).state, ROUTE_UNKNOWN);
    }
    model_settings.rest_ms = 60000;
    build(SCRIPTS(FAILS), FAILS);
    run_many(9);
    assert_int_equal(asked_of_first, 5);
    assert_int_equal(second.request_count, 5);
    assert_int_equal(route_health(model_at(0)).state, ROUTE_RESTING);
    assert_int_equal(route_health(model_at(1)).state, ROUTE_RESTING);
}

static void what_each_said_is_cut_at_a_whole_character(void **state) {
    (void)state;
    static char answer[2048];
    char *at =
        answer + snprintf(answer, sizeof answer, "HTTP/1.1 500 X\r\nContent-Length: 1200\r\n\r\n");
    for (int i = 0; i < 600; i++, at += 2)
        memcpy(at, "\xC3\xA9", 2);
    struct fake_step speaks_at_length[] = {{FAKE_RAW, answer}, {0}};
    build(SCRIPTS(speaks_at_length), speaks_at_length);
    run_one();
    assert_true(strlen(told[0].detail) > 400);
    assert_true(text_is_utf8(str_from(told[0].detail)));
}

static void after_its_rest_it_is_tried_and_taken_back(void **state) {
    (void)state;
    model_settings.rest_ms = 50;
    build(SCRIPTS(FAILS, FAILS, FAILS, FAILS, FAILS, SAYS_A), SAYS_B);
    run_many(14);
    assert_true(asked_of_first > 6); /* the probe went well, and the next ones go there again */
    assert_string_equal(told[1].text, "A");
    assert_int_equal(route_health(model_at(0)).state, ROUTE_OK);
}

static void who_keeps_failing_is_said_to(void **state) {
    (void)state;
    model_settings.rest_ms = 60000;
    fake_start(&first, SCRIPTS(FAILS));
    add_model("First", &first, "default", true);
    run_many(6);
    assert_int_equal(told[1].err, E_BUSY);
    assert_non_null(strstr(told[1].detail, "First: It failed several times and is left alone"));
}

static void a_failed_probe_rests_twice_as_long(void **state) {
    (void)state;
    model_settings.rest_ms = 50;
    build(SCRIPTS(FAILS), SAYS_B);
    int64_t began_us = clock_mono_us();
    run_many(14); /* 280 ms at least: five failures by 100, probes near 150 and 250 */
    int64_t took_ms = (clock_mono_us() - began_us) / 1000, probes = 0;
    for (int64_t rested_ms = 50; rested_ms <= took_ms; rested_ms = 2 * rested_ms + 50)
        probes++;
    assert_in_range(asked_of_first, 6, 5 + probes);
}

static void ask_both(void *ctx) {
    bool *was_over = ctx, is_over = open_calls == 1 && route_health(model_at(0)).resting_ms == 0;
    if (!is_over || !*was_over) { /* once more: a rest is told in whole milliseconds */
        *was_over = is_over;
        timer_start(&timer, 5, ask_both, ctx);
        return;
    }
    ask(1, "default");
    ask(2, "default");
    open_calls--;
}

static void one_probe_at_a_time(void **state) {
    (void)state;
    model_settings.rest_ms = 40;
    static const struct fake_step slow[] = {{FAKE_WAIT, .ms = 60},
                                            {FAKE_RAW, HEAD},
                                            {FAKE_CHUNK, DELTA("A") FINISH "data: [DONE]\n\n"},
                                            {FAKE_LAST_CHUNK},
                                            {0}};
    build(SCRIPTS(LIMITS, slow), SAYS_B);
    ask(0, "default"); /* rests for a second: Retry-After */
    open_calls++;
    bool was_over = false;
    timer_start(&timer, 5, ask_both, &was_over);
    loop_run();
    assert_string_equal(told[0].text, "B");
    assert_string_equal(told[1].text, "A"); /* the probe */
    assert_string_equal(told[2].text, "B"); /* did not wait for it */
    assert_int_equal(first.request_count, 2);
}

static void retry_after_is_kept(void **state) {
    (void)state;
    build(SCRIPTS(LIMITS, SAYS_A), SAYS_B);
    run_many(4);
    assert_int_equal(asked_of_first, 1);
    assert_int_equal(route_health(model_at(0)).state, ROUTE_RESTING);
    assert_in_range(route_health(model_at(0)).resting_ms, 1, 1000);
}

static void what_was_our_fault_rests_nobody(void **state) {
    (void)state;
    build(SCRIPTS(REFUSES), SAYS_B);
    run_many(8);
    assert_int_equal(asked_of_first, 8);
}

static enum err touch(struct tx *tx, void *ctx) {
    const struct model *model = ctx;
    return model_update(tx, model, -1);
}

static void a_changed_model_is_asked_at_once(void **state) {
    (void)state;
    build(SCRIPTS(LIMITS, SAYS_A), SAYS_B);
    run_many(2);
    assert_int_equal(route_health(model_at(0)).state, ROUTE_RESTING);
    struct model copy = *model_at(0);
    assert_int_equal(store_write_and_wait(touch, &copy), E_OK);
    assert_int_equal(model_reload(), E_OK);
    assert_int_equal(route_health(model_at(0)).state, ROUTE_UNKNOWN);
}

static void when_all_rest_it_is_said_for_how_long(void **state) {
    (void)state;
    fake_start(&first, SCRIPTS(LIMITS));
    add_model("First", &first, "default", true);
    ask(0, "default");
    run_and_ask_again(1, 30);
    assert_int_equal(told[1].err, E_BUSY);
    assert_in_range(told[1].retry_after_ms, 1, 1000);
    assert_non_null(strstr(told[1].detail, "First: It asked to be left alone for"));
    assert_int_equal(first.request_count, 1);
}

/* --- what nobody waits for --- */

static struct {
    enum err err;
    size_t len, count;
} background;

static void on_background(const struct background_answer *answer, void *ctx) {
    (void)ctx;
    background.err = answer->err;
    background.len = answer->text.len;
    background.count++;
    assert_true(text_is_utf8(answer->detail));
    end_one(&told[0]);
}

static void run_background(void) {
    memset(&background, 0, sizeof background);
    memset(told, 0, sizeof told);
    requests[0] =
        (struct chat_request){.messages = &message,
                              .message_count = 1,
                              .sampling = {-1, -1, -1, -1, -1, -1, -1, -1, 100000, NULL, 0}};
    open_calls++;
    background_start(STR("default"), &requests[0], on_background, NULL);
    loop_run();
    assert_int_equal(background.count, 1);
}

/* All models were taken away while it waited. The stand-in is nobody to learn from. */
static void the_understudy_speaks_to_nobody_in_the_background(void **state) {
    (void)state;
    assert_int_equal(model_reload(), E_OK);
    run_background();
    assert_int_equal(background.err, E_ABSENT);
    assert_int_equal(background.len, 0);
}

/* It would hold its endpoint, and whatever else is to be learnt there, for as long as it likes. */
static void a_background_answer_without_end_is_ended(void **state) {
    (void)state;
    static char piece[8192];
    static struct fake_step talks_on[404];
    char *at =
        piece + snprintf(piece, sizeof piece, "data: {\"choices\":[{\"delta\":{\"content\":\"");
    memset(at, 'z', 7000);
    snprintf(at + 7000, 64, "\"}}]}\n\n");
    struct fake_step *step = talks_on;
    *step++ = (struct fake_step){FAKE_RAW, HEAD};
    for (int i = 0; i < 200; i++) {
        *step++ = (struct fake_step){FAKE_CHUNK, piece};
        *step++ = (struct fake_step){FAKE_WAIT, .ms = 2};
    }
    *step++ = (struct fake_step){FAKE_HANG};
    build(SCRIPTS(talks_on), SAYS_B);
    run_background();
    assert_int_equal(background.err, E_OK);
    assert_int_equal(background.len, 256 << 10);
    assert_int_equal(route_health(model_at(0)).state, ROUTE_UNKNOWN); /* nothing failed */
}

/* --- cancelling, calibrating ------------------------------------------------------------------ */

static void cancelled_before_anything(void **state) {
    (void)state;
    build(SCRIPTS(SAYS_A), SAYS_B);
    ask(0, "default");
    route_cancel(told[0].call);
    route_cancel(told[0].call);
    loop_run();
    assert_int_equal(told[0].err, E_CANCELLED);
    assert_int_equal(told[0].end_count, 1);
    assert_int_equal(first.request_count, 0);
}

static void cancelled_in_the_middle(void **state) {
    (void)state;
    static const struct fake_step talks[] = {{FAKE_RAW, HEAD},      {FAKE_CHUNK, DELTA("one")},
                                             {FAKE_WAIT, .ms = 20}, {FAKE_CHUNK, DELTA("two")},
                                             {FAKE_HANG},           {0}};
    build(SCRIPTS(talks), SAYS_B);
    ask(0, "default");
    told[0].cancels_at_delta = true;
    loop_run();
    assert_int_equal(told[0].err, E_CANCELLED);
    assert_string_equal(told[0].text, "one");
    assert_int_equal(told[0].began_count, 1); /* nobody else is asked */
    assert_int_equal(route_health(model_at(0)).state, ROUTE_UNKNOWN);
}

static void cancelled_while_it_begins(void **state) {
    (void)state;
    build(SCRIPTS(SAYS_A), SAYS_B);
    ask(0, "default");
    assert_string_equal(told[0].began, "First;"); /* asked already */
    route_cancel(told[0].call);
    loop_run();
    assert_int_equal(told[0].err, E_CANCELLED);
    assert_string_equal(told[0].text, "");
    assert_string_equal(told[0].began, "First;");
    assert_int_equal(told[0].end_count, 1);
}

static void the_understudy_can_be_cancelled(void **state) {
    (void)state;
    understudy_settings.tokens_per_second = 10;
    assert_int_equal(model_reload(), E_OK);
    ask(0, "default");
    told[0].cancels_at_delta = true;
    loop_run();
    assert_int_equal(told[0].err, E_CANCELLED);
}

static enum err nothing(struct tx *tx, void *ctx) {
    (void)tx, (void)ctx;
    return E_OK;
}

static void estimates_learn_from_what_is_reported(void **state) {
    (void)state;
    static char text[4000];
    memset(text, 'a', sizeof text - 1);
    for (size_t i = 5; i < sizeof text - 1; i += 6)
        text[i] = ' ';
    static const struct fake_step reports[] = {
        {FAKE_RAW, HEAD},
        {FAKE_CHUNK, DELTA("A") FINISH
         "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1500,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n"},
        {FAKE_LAST_CHUNK},
        {0}};
    struct chat_message before = message;
    message.content = str_of(text, sizeof text - 1);
    build(SCRIPTS(reports), SAYS_B);
    run_one();
    message = before;
    double scale = model_at(0)->tokens_scale;
    assert_true(scale > 1.05 && scale < 2.0);
    assert_int_equal(store_write_and_wait(nothing, NULL),
                     E_OK); /* what was queued before is on disk */
    assert_int_equal(model_reload(), E_OK);
    assert_true(model_at(0)->tokens_scale == scale);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    log_init(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(without_models_the_understudy_speaks),
        TEST(the_first_model_is_asked),
        TEST(failures_before_the_first_token_lead_on),
        TEST(after_the_first_token_nobody_else_is_asked),
        TEST(when_all_fail_a_person_reads_what_each_said),
        TEST(what_each_said_is_cut_at_a_whole_character),
        TEST(a_disabled_model_is_left_out),
        TEST(a_models_own_id_is_a_route),
        TEST(a_reply_is_never_longer_than_its_model_may),
        TEST(an_endpoint_that_keeps_failing_is_left_alone),
        TEST(models_that_came_and_went_take_no_place),
        TEST(many_failures_at_once_are_one_rest),
        TEST(an_old_call_does_not_end_a_probe),
        TEST(who_keeps_failing_is_said_to),
        TEST(after_its_rest_it_is_tried_and_taken_back),
        TEST(a_failed_probe_rests_twice_as_long),
        TEST(one_probe_at_a_time),
        TEST(retry_after_is_kept),
        TEST(what_was_our_fault_rests_nobody),
        TEST(a_changed_model_is_asked_at_once),
        TEST(when_all_rest_it_is_said_for_how_long),
        TEST(cancelled_before_anything),
        TEST(cancelled_in_the_middle),
        TEST(cancelled_while_it_begins),
        TEST(a_background_answer_without_end_is_ended),
        TEST(the_understudy_speaks_to_nobody_in_the_background),
        TEST(the_understudy_can_be_cancelled),
        TEST(estimates_learn_from_what_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
