/*
 * The stand-in behind the chat port: it speaks when no model is connected, so that every feature
 * can be used and built against without one. What it says is improvise.c; this is how: word by word
 * at the set pace, from a timer of the loop.
 *
 * Deterministic under a seed (its own setting, or the request's): the same messages then give the
 * same words.
 */
#include "improvise.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "loop/loop.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define CALL_MAGIC      0x756e6473u
#define BYTES_PER_TOKEN 4 /* of English prose; the pace needs no better */

struct understudy_settings understudy_settings = {.tokens_per_second = 30};

struct chat_call {
    uint32_t magic;
    struct arena arena;
    struct chat_events events;
    void *ctx;
    struct str text; /* the whole reply */
    size_t at;       /* so much of it is said */
    bool is_cut;     /* the reply's limit was reached */
    bool is_cancelled;
    int64_t began_us;
    struct timer timer;
};

/* --- the end ---------------------------------------------------------------------------------- */

static void finish(struct chat_call *call) {
    static const struct chat_usage UNKNOWN = {-1, -1};
    static const struct chat_failure CANCELLED = {.err = E_CANCELLED, .detail = {"stopped", 7}};
    if (call->is_cancelled)
        call->events.failed(call->ctx, &CANCELLED);
    else
        call->events.done(call->ctx, call->is_cut ? CHAT_FINISH_LENGTH : CHAT_FINISH_STOP,
                          &UNKNOWN);
    timer_stop(&call->timer); /* a cancel from inside the last delta has armed it */
    call->magic = 0;
    arena_release(&call->arena);
    free(call);
}

/* --- speaking --------------------------------------------------------------------------------- */

/* The next word with the white space behind it. */
static struct str next_word(const struct chat_call *call) {
    struct str rest = str_slice(call->text, call->at, call->text.len);
    size_t end = 0;
    while (end < rest.len && rest.at[end] != ' ' && rest.at[end] != '\n')
        end++;
    while (end < rest.len && (rest.at[end] == ' ' || rest.at[end] == '\n'))
        end++;
    return str_slice(rest, 0, end);
}

/* When the byte at `at` is due. Counted from the beginning, so that late timers do not slow the
 * talk down. */
static int64_t due_us(const struct chat_call *call) {
    return call->began_us +
           (int64_t)call->at * 1000000 / (BYTES_PER_TOKEN * understudy_settings.tokens_per_second);
}

static void speak(void *ctx) {
    struct chat_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    bool has_pace = understudy_settings.tokens_per_second > 0;
    while (!call->is_cancelled && call->at < call->text.len) {
        struct str word =
            has_pace ? next_word(call) : str_slice(call->text, call->at, call->text.len);
        call->at += word.len;
        call->events.delta(call->ctx, word);
        int64_t wait_us = has_pace ? due_us(call) - clock_mono_us() : 0;
        if (wait_us > 0 && call->at < call->text.len) {
            timer_start(&call->timer, (wait_us + 999) / 1000, speak, call);
            return;
        }
    }
    finish(call);
}

/* --- beginning -------------------------------------------------------------------------------- */

static uint64_t hash_bytes(uint64_t hash, struct str s) {
    for (size_t i = 0; i < s.len; i++)
        hash = (hash ^ (unsigned char)s.at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t seed_of(const struct chat_request *request) {
    uint64_t seed = (uint64_t)understudy_settings.seed;
    if (seed == 0 && request->sampling.seed > 0)
        seed = (uint64_t)request->sampling.seed;
    if (seed == 0) {
        crypto_random(&seed, sizeof seed);
        return seed;
    }
    for (size_t i = 0; i < request->message_count; i++)
        seed = hash_bytes(seed * 31 + (uint64_t)request->messages[i].role,
                          request->messages[i].content);
    return seed;
}

/* Cut at a word's end, as a model would be cut at a token's. */
static struct str cut_to_limit(struct chat_call *call, struct str text, int64_t limit_tokens) {
    size_t limit = limit_tokens > 0 ? (size_t)limit_tokens * BYTES_PER_TOKEN : text.len;
    if (text.len <= limit)
        return text;
    call->is_cut = true;
    while (limit > 0 && text.at[limit] != ' ' && text.at[limit] != '\n')
        limit--;
    return str_slice(text, 0, limit);
}

static struct chat_call *start(const struct chat_request *request, const struct chat_events *events,
                               void *ctx) {
    struct chat_call *call = calloc(1, sizeof *call);
    BUG_IF(call == NULL);
    call->magic = CALL_MAGIC;
    arena_init(&call->arena);
    call->events = *events;
    call->ctx = ctx;
    struct str text = improvise(&call->arena, request, seed_of(request));
    call->text = cut_to_limit(call, text, request->sampling.reply_tokens);
    call->began_us = clock_mono_us();
    timer_start(&call->timer, 0, speak, call);
    return call;
}

static void cancel(struct chat_call *call) {
    MAGIC_CHECK(call, CALL_MAGIC);
    call->is_cancelled = true;
    timer_start(&call->timer, 0, speak, call);
}

const struct chat_port chat_understudy = {
    .provider = "understudy", .start = start, .cancel = cancel};
