/*
 * One talk with a chat port against a fake server, and everything that was told about it. Events
 * are checked as they come: whole UTF-8, nothing after the end, nothing from inside start().
 */
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "fake_server.h"
#include "fetch/fetch.h"
#include "model/chat.h"
#include "model/setting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

struct talk {
    char text[65536], reasoning[8192];
    size_t text_len, reasoning_len, delta_count;
    bool is_started, is_done, is_failed;
    enum chat_finish finish;
    struct chat_usage usage;
    enum err err;
    int status;
    int64_t retry_after_ms;
    char detail[1024];
    const struct chat_port *port;
    struct chat_call *call;
    size_t cancel_after; /* deltas; 0: not */
};

static struct talk talk;
static struct fake fake;
static struct chat_request request;
static struct chat_message talk_messages[] = {
    {.role = CHAT_SYSTEM, .content = {"You are Mira.", 13}},
    {.role = CHAT_USER, .content = {"Good evening.", 13}},
    {.role = CHAT_ASSISTANT, .content = {"Evening.", 8}},
};

static inline void talk_add(char *into, size_t room, size_t *len, struct str text) {
    assert_true(talk.is_started && !talk.is_done && !talk.is_failed);
    assert_true(text_is_utf8(text));
    assert_true(*len + text.len < room);
    memcpy(into + *len, text.at, text.len);
    *len += text.len;
    into[*len] = '\0';
}

static inline void talk_on_delta(void *ctx, struct str text) {
    (void)ctx;
    talk_add(talk.text, sizeof talk.text, &talk.text_len, text);
    if (++talk.delta_count == talk.cancel_after)
        talk.port->cancel(talk.call);
}

static inline void talk_on_reasoning(void *ctx, struct str text) {
    (void)ctx;
    talk_add(talk.reasoning, sizeof talk.reasoning, &talk.reasoning_len, text);
}

static inline void talk_on_done(void *ctx, enum chat_finish finish,
                                const struct chat_usage *usage) {
    (void)ctx;
    assert_true(talk.is_started && !talk.is_done && !talk.is_failed);
    talk.is_done = true;
    talk.finish = finish;
    talk.usage = *usage;
    loop_stop(0);
}

static inline void talk_on_failed(void *ctx, const struct chat_failure *failure) {
    (void)ctx;
    assert_true(talk.is_started && !talk.is_done && !talk.is_failed);
    assert_true(failure->detail.len < sizeof talk.detail && text_is_utf8(failure->detail));
    talk.is_failed = true;
    talk.err = failure->err;
    talk.status = failure->status;
    talk.retry_after_ms = failure->retry_after_ms;
    snprintf(talk.detail, sizeof talk.detail, STR_FMT, STR_ARG(failure->detail));
    loop_stop(0);
}

static inline void talk_release(void *ctx) {
    (void)ctx;
    fetch_release();
}

static inline void talk_loop_init(void) {
    loop_init();
    loop_on_stopped(talk_release, NULL);
}

static inline int talk_set_up(void **state) {
    (void)state;
    memset(&talk, 0, sizeof talk);
    memset(&fake, 0, sizeof fake);
    model_settings.first_token_ms = 400;
    model_settings.stall_ms = 200;
    model_settings.reply_ms = 60000;
    request = (struct chat_request){
        .messages = talk_messages,
        .message_count = 2,
        .sampling = {-1, -1, -1, -1, -1, -1, -1, -1, 300, NULL, 0},
        .endpoint = {.model_id = 7,
                     .name = {"Test", 4},
                     .model = {"test-model", 10},
                     .api_key = {"sk-secret-key", 13},
                     .context_tokens = 4096},
    };
    talk_loop_init();
    return 0;
}

static inline int talk_tear_down(void **state) {
    (void)state;
    loop_release();
    fake_release(&fake);
    return 0;
}

static char talk_url[160];

/* Plays `scripts` on a fresh server and talks once; base_path is put behind the address. */
static inline void talk_run_many(const struct chat_port *port, const char *base_path,
                                 const struct fake_step *const *scripts) {
    static const struct chat_events EVENTS = {talk_on_delta, talk_on_reasoning, talk_on_done,
                                              talk_on_failed};
    fake_start(&fake, scripts);
    int len = snprintf(talk_url, sizeof talk_url, "http://127.0.0.1:%d%s", fake.port, base_path);
    request.endpoint.base_url = str_of(talk_url, (size_t)len);
    talk.port = port;
    talk.call = port->start(&request, &EVENTS, NULL);
    talk.is_started = true;
    loop_run();
    assert_true(talk.is_done != talk.is_failed);
}

static inline void talk_run(const struct chat_port *port, const char *base_path,
                            const struct fake_step *script) {
    const struct fake_step *scripts[] = {script, NULL};
    talk_run_many(port, base_path, scripts);
}

/* Between two talks of one test. */
static inline void talk_again(void) {
    size_t cancel_after = talk.cancel_after;
    loop_release();
    fake_release(&fake);
    memset(&talk, 0, sizeof talk);
    memset(&fake, 0, sizeof fake);
    talk.cancel_after = cancel_after;
    talk_loop_init();
}

/* The body of the n-th request. */
static inline const char *talk_sent(size_t n) {
    assert_true(n < fake.request_count);
    const char *body = strstr(fake.requests[n], "\r\n\r\n");
    assert_non_null(body);
    return body + 4;
}

#define TALK_TEST(name) cmocka_unit_test_setup_teardown(name, talk_set_up, talk_tear_down)
