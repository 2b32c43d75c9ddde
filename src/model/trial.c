/* The talk and the list are asked for at once; the answer is given when both have ended. */
#include "model/trial.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/text.h"
#include "model/exchange.h"
#include "model/listing.h"
#include "model/setting.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define TRIAL_MAGIC      0x74726961u
#define REPLY_BYTES      400
#define ENOUGH_BYTES     4096  /* who goes on after this works, and is not listened to any more */
#define REPLY_TOKENS     64    /* enough for a sentence, too little to cost */
#define FIRST_TOKEN_MS   60000 /* a person is waiting */
#define LIST_MS          5000
#define LIST_LIMIT_BYTES ((size_t)2 << 20) /* OpenRouter's list has 1 MiB */

struct trial {
    uint32_t magic;
    struct arena arena;
    void (*done)(void *ctx, const struct trial_result *result);
    void *ctx;
    struct chat_request request;
    struct chat_message message;
    const struct chat_port *port;
    struct chat_call *chat;
    struct fetch *list;
    struct buf list_body;
    struct buf reply;
    struct trial_result result;
    int64_t began_us;
    bool is_enough; /* we ended the talk */
    int waiting;    /* ends that are still to come */
};

static int64_t ms_since(const struct trial *trial) {
    return (clock_mono_us() - trial->began_us) / 1000;
}

static void end_one(struct trial *trial) {
    if (--trial->waiting > 0)
        return;
    trial->result.reply = text_cut_bytes(buf_str(&trial->reply), REPLY_BYTES);
    for (size_t i = 0; i < trial->result.model_count; i++)
        if (str_eq(trial->result.models[i], trial->request.endpoint.model))
            trial->result.is_listed = true;
    trial->done(trial->ctx, &trial->result);
    buf_release(&trial->list_body);
    buf_release(&trial->reply);
    arena_release(&trial->arena);
    trial->magic = 0;
    free(trial);
}

/* --- the talk --------------------------------------------------------------------------------- */

static void note_token(struct trial *trial) {
    if (trial->result.first_token_ms < 0)
        trial->result.first_token_ms = ms_since(trial);
}

static void on_delta(void *ctx, struct str text) {
    struct trial *trial = ctx;
    MAGIC_CHECK(trial, TRIAL_MAGIC);
    note_token(trial);
    buf_add_str(&trial->reply, str_slice(text, 0, ENOUGH_BYTES - trial->reply.len));
    if (trial->reply.len < ENOUGH_BYTES || trial->is_enough)
        return;
    trial->is_enough = true;
    trial->port->cancel(trial->chat);
}

static void on_reasoning(void *ctx, struct str text) {
    (void)text;
    note_token(ctx);
}

static void on_done(void *ctx, enum chat_finish finish, const struct chat_usage *usage) {
    struct trial *trial = ctx;
    (void)finish, (void)usage;
    MAGIC_CHECK(trial, TRIAL_MAGIC);
    trial->chat = NULL;
    trial->result.total_ms = ms_since(trial);
    end_one(trial);
}

/* A model that thought until its 64 tokens were used up works, it only had no room to speak. */
static void on_failed(void *ctx, const struct chat_failure *failure) {
    struct trial *trial = ctx;
    MAGIC_CHECK(trial, TRIAL_MAGIC);
    trial->chat = NULL;
    trial->result.total_ms = ms_since(trial);
    bool only_thought = failure->status == 200 && trial->result.first_token_ms >= 0 &&
                        trial->reply.len == 0 && str_has(failure->detail, STR("thinking"));
    if (!only_thought && !trial->is_enough)
        trial->result.error = str_dup(&trial->arena, failure->detail);
    end_one(trial);
}

static void start_talk(struct trial *trial) {
    static const struct chat_events EVENTS = {on_delta, on_reasoning, on_done, on_failed};
    trial->message = (struct chat_message){.role = CHAT_USER,
                                           .content = STR("Say hello in one short sentence.")};
    trial->request.messages = &trial->message;
    trial->request.message_count = 1;
    trial->request.sampling =
        (struct chat_sampling){-1, -1, -1, -1, -1, -1, -1, -1, REPLY_TOKENS, NULL, 0};
    trial->request.endpoint.first_token_ms = model_settings.first_token_ms < FIRST_TOKEN_MS
                                                 ? model_settings.first_token_ms
                                                 : FIRST_TOKEN_MS;
    trial->waiting++;
    trial->chat = trial->port->start(&trial->request, &EVENTS, trial);
}

/* --- the list --------------------------------------------------------------------------------- */

static void on_list_bytes(void *ctx, struct str bytes) {
    struct trial *trial = ctx;
    buf_add_str(&trial->list_body, bytes);
}

static void on_list_done(void *ctx, const struct fetch_result *result) {
    struct trial *trial = ctx;
    MAGIC_CHECK(trial, TRIAL_MAGIC);
    const struct json_value *document = NULL;
    struct str body = text_repair(&trial->arena, str_trim(buf_str(&trial->list_body)));
    trial->list = NULL;
    if (result->err == E_OK && result->status == 200 &&
        json_parse(&trial->arena, body, &document, NULL) == E_OK) {
        struct listing listing = listing_read(&trial->arena, document, TRIAL_MODEL_LIMIT);
        trial->result.models = listing.names;
        trial->result.model_count = listing.count;
    }
    end_one(trial);
}

static struct str list_address(struct trial *trial, struct str provider) {
    struct str base = trial->request.endpoint.base_url;
    if (str_eq(provider, STR("ollama")))
        return ollama_address(&trial->arena, base, STR("tags"));
    if (str_eq(provider, STR("anthropic")))
        return anthropic_address(&trial->arena, base, STR("models?limit=100"));
    return openai_address(&trial->arena, base, STR("models"));
}

static void start_list(struct trial *trial, struct str provider) {
    struct str key = trial->request.endpoint.api_key;
    struct fetch_header headers[2];
    size_t count = 0;
    if (str_eq(provider, STR("anthropic"))) {
        headers[count++] = (struct fetch_header){STR("anthropic-version"), STR("2023-06-01")};
        if (key.len)
            headers[count++] = (struct fetch_header){STR("x-api-key"), key};
    } else if (key.len) {
        headers[count++] = (struct fetch_header){
            STR("Authorization"), str_printf(&trial->arena, "Bearer " STR_FMT, STR_ARG(key))};
    }
    trial->waiting++;
    trial->list = fetch_start(&(struct fetch_options){
        .method = "GET",
        .url = list_address(trial, provider),
        .headers = headers,
        .header_count = count,
        .total_ms = LIST_MS,
        .limit_bytes = LIST_LIMIT_BYTES,
        .body_bytes = on_list_bytes,
        .done = on_list_done,
        .ctx = trial,
    });
}

/* --- the public face -------------------------------------------------------------------------- */

static void fail_later(void *ctx) {
    end_one(ctx);
}

struct trial *trial_start(const struct model *model,
                          void (*done)(void *ctx, const struct trial_result *result), void *ctx) {
    struct trial *trial = calloc(1, sizeof *trial);
    BUG_IF(trial == NULL);
    trial->magic = TRIAL_MAGIC;
    trial->done = done;
    trial->ctx = ctx;
    trial->began_us = clock_mono_us();
    trial->result.first_token_ms = -1;
    arena_init(&trial->arena);
    buf_init(&trial->list_body, LIST_LIMIT_BYTES);
    buf_init(&trial->reply, ENOUGH_BYTES);
    trial->port = chat_port_find(model->provider);
    BUG_IF(trial->port == NULL);
    if (model_endpoint(&trial->arena, model, &trial->request.endpoint) != E_OK) {
        trial->result.error = STR("Its key cannot be opened; enter it again.");
        trial->waiting = 1;
        loop_later(fail_later, trial);
        return trial;
    }
    if (!str_eq(model->provider, STR("understudy")))
        start_list(trial, str_dup(&trial->arena, model->provider));
    start_talk(trial);
    return trial;
}

void trial_cancel(struct trial *trial) {
    MAGIC_CHECK(trial, TRIAL_MAGIC);
    if (trial->list)
        fetch_cancel(trial->list);
    if (trial->chat)
        trial->port->cancel(trial->chat);
}
