/*
 * A call walks along its route. `try_next` asks the first model that is not resting; its failure
 * before the first token leads to the next one, its failure after it ends the call. What the first
 * token was is decided here: the first text or thinking.
 *
 * Breaker, per model: FAILURES_IN_A_ROW failures that are the endpoint's (not ours, not the
 * person's) make it rest, twice as long each time up to REST_DOUBLINGS; what fails later and had
 * begun before the rest changes nothing. When the rest is over one call may try; until it has ended
 * the others still go by. A failure with Retry-After rests for as long as was asked (ten minutes at
 * the most), at once. Success, or a change of the model in the registry, forgets everything.
 *
 * The text of failures is kept while trying, so that a person reads what each endpoint said and
 * not only the last.
 */
#include "model/route.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/text.h"
#include "loop/loop.h"
#include "model/background.h"
#include "model/model.h"
#include "model/queue.h"
#include "model/setting.h"
#include "model/tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define CALL_MAGIC        0x726f7574u
#define FAILURES_IN_A_ROW 5
#define REST_DOUBLINGS    4
#define RETRY_AFTER_LIMIT_MS \
    600000 /* longer requests to stay away are not believed without another try */
#define DETAIL_BYTES       500
#define UNDERSTUDY_CONTEXT 8192
#define UNDERSTUDY_REPLY   1024
#define MESSAGE_OVERHEAD   4 /* tokens that a chat template adds per message */

struct breaker {
    int64_t model_id; /* 0: free */
    int64_t revision; /* of the model that it is about */
    int failures;     /* in a row */
    int rests;        /* in a row; doubles the next one */
    int64_t until_us; /* resting, or until a probe went well; 0: not */
    bool is_probed;   /* one call tries after the rest */
    bool is_asked;    /* it rests because it said so, with Retry-After */
    bool has_succeeded;
};

struct route_call {
    uint32_t magic;
    struct chat_request *request;
    struct route_events events;
    void *ctx;
    int64_t models[ROUTE_LENGTH_LIMIT]; /* 0 stands for the Understudy */
    size_t count, at;                   /* `at` is asked now */
    int64_t held;         /* the endpoint at which background calls wait for this one */
    int64_t reply_tokens; /* what the caller asked for */
    struct arena arena;   /* of the endpoint that is asked now; begins in `room` */
    char room[512];
    struct queue_place place; /* at the model at `at`, or waiting for it */
    const struct chat_port *port;
    struct chat_call *chat;
    int64_t asked_us;
    bool has_token;
    bool is_probe; /* of the model at `at` */
    bool is_cancelled;
    struct chat_failure failure; /* the worst so far; detail in `detail` */
    char detail[DETAIL_BYTES];
};

METRIC_HISTOGRAM(first_token_metric, "troupe_model_first_token_seconds",
                 "From asking a model to its first text or thinking.");
METRIC_LABELLED(calls_ok, "troupe_model_calls_total", "outcome=\"ok\"",
                "Calls of models by how they ended.");
METRIC_LABELLED(calls_cancelled, "troupe_model_calls_total", "outcome=\"cancelled\"",
                "Calls of models by how they ended.");
METRIC_LABELLED(calls_timeout, "troupe_model_calls_total", "outcome=\"timeout\"",
                "Calls of models by how they ended.");
METRIC_LABELLED(calls_busy, "troupe_model_calls_total", "outcome=\"busy\"",
                "Calls of models by how they ended.");
METRIC_LABELLED(calls_limited, "troupe_model_calls_total", "outcome=\"limited\"",
                "Calls of models by how they ended.");
METRIC_LABELLED(calls_denied, "troupe_model_calls_total", "outcome=\"denied\"",
                "Calls of models by how they ended.");
METRIC_LABELLED(calls_refused, "troupe_model_calls_total", "outcome=\"refused\"",
                "Calls of models by how they ended.");
METRIC_LABELLED(calls_failed, "troupe_model_calls_total", "outcome=\"failed\"",
                "Calls of models by how they ended.");
METRIC_COUNTER(fallbacks, "troupe_model_fallbacks_total",
               "Times that the next model of a route was asked because one failed.");
METRIC_COUNTER(rests, "troupe_model_rests_total",
               "Times that an endpoint was left alone because it kept failing.");

static void try_next(struct route_call *call);

/* --- breakers --------------------------------------------------------------------------------- */

static struct breaker breakers[MODEL_LIMIT];

/* There is one for every model that can be registered: places of those that are gone are free. */
static struct breaker *place_of(int64_t model_id) {
    for (size_t i = 0; i < MODEL_LIMIT; i++) {
        if (breakers[i].model_id == model_id)
            return &breakers[i];
        if (breakers[i].model_id == 0)
            break;
    }
    for (size_t i = 0; i < MODEL_LIMIT; i++)
        if (breakers[i].model_id == 0 || model_find(breakers[i].model_id) == NULL)
            return &breakers[i];
    return &breakers[MODEL_LIMIT - 1];
}

/* The breaker of a model, as new when the model has changed. */
static struct breaker *breaker_of(const struct model *model) {
    struct breaker *found = place_of(model->id);
    if (found->model_id != model->id || found->revision != model->revision)
        *found = (struct breaker){.model_id = model->id, .revision = model->revision};
    return found;
}

/* True when the model may be asked now; after a rest by this call alone, which is a probe then. */
static bool may_ask(struct breaker *breaker, bool *is_probe) {
    *is_probe = false;
    if (breaker->until_us == 0)
        return true;
    if (clock_mono_us() < breaker->until_us || breaker->is_probed)
        return false;
    return *is_probe = breaker->is_probed = true;
}

static void rest(struct breaker *breaker, int64_t for_ms, bool is_asked) {
    int64_t until_us = clock_mono_us() + for_ms * 1000;
    if (until_us <= breaker->until_us) /* it rests already, and longer */
        return;
    breaker->until_us = until_us;
    breaker->is_asked = is_asked;
    metric_add(&rests, 1);
    log_warn("model", "an endpoint rests", LF_ID("model", breaker->model_id), LF_INT("ms", for_ms),
             LF_INT("failures", breaker->failures));
}

static void note_success(struct breaker *breaker) {
    breaker->failures = breaker->rests = 0;
    breaker->has_succeeded = true;
    breaker->until_us = 0;
    breaker->is_probed = false;
}

/* What the person did, or what was wrong with our request, says nothing about the endpoint. */
static bool is_endpoints_fault(enum err err) {
    return err != E_CANCELLED && err != E_INPUT;
}

/* Of a call that began before the rest only a Retry-After counts: when a house full of replies breaks
 * off at once, that is one trouble and not many in a row. */
static void note_failure(struct breaker *breaker, const struct chat_failure *failure,
                         bool is_probe) {
    is_probe = is_probe && breaker->is_probed; /* not when the model was changed meanwhile */
    if (is_probe)
        breaker->is_probed = false;
    if (!is_endpoints_fault(failure->err))
        return;
    if (failure->retry_after_ms > 0) {
        breaker->failures++;
        rest(breaker,
             failure->retry_after_ms < RETRY_AFTER_LIMIT_MS ? failure->retry_after_ms
                                                            : RETRY_AFTER_LIMIT_MS,
             true);
        return;
    }
    if (breaker->until_us != 0 && !is_probe)
        return;
    breaker->failures++;
    if (is_probe || breaker->failures >= FAILURES_IN_A_ROW) {
        rest(breaker, model_settings.rest_ms << breaker->rests, false);
        if (breaker->rests < REST_DOUBLINGS)
            breaker->rests++;
    }
}

struct route_health route_health(const struct model *model) {
    const struct breaker *breaker = breaker_of(model);
    int64_t left_ms = (breaker->until_us - clock_mono_us()) / 1000;
    if (breaker->until_us && left_ms > 0)
        return (struct route_health){ROUTE_RESTING, left_ms};
    if (breaker->failures)
        return (struct route_health){ROUTE_FAILING, 0};
    return (struct route_health){breaker->has_succeeded ? ROUTE_OK : ROUTE_UNKNOWN, 0};
}

/* --- numbers ---------------------------------------------------------------------------------- */

static void count_outcome(enum err err) {
    switch (err) {
    case E_OK:
        metric_add(&calls_ok, 1);
        break;
    case E_CANCELLED:
        metric_add(&calls_cancelled, 1);
        break;
    case E_TIMEOUT:
        metric_add(&calls_timeout, 1);
        break;
    case E_BUSY:
        metric_add(&calls_busy, 1);
        break;
    case E_LIMIT:
        metric_add(&calls_limited, 1);
        break;
    case E_DENIED:
    case E_ABSENT:
        metric_add(&calls_denied, 1);
        break;
    case E_INPUT:
        metric_add(&calls_refused, 1);
        break;
    default:
        metric_add(&calls_failed, 1);
    }
}

static void note_token(struct route_call *call) {
    if (call->has_token)
        return;
    call->has_token = true;
    metric_observe_us(&first_token_metric, clock_mono_us() - call->asked_us);
}

/* The estimate for this model gets nearer to what it reports. */
static void calibrate(struct route_call *call, const struct chat_usage *usage) {
    const struct model *model = model_find(call->models[call->at]);
    if (model == NULL || usage->prompt_tokens < 0)
        return;
    int64_t estimated = call->request->estimated_tokens;
    bool must_count = estimated == 0;
    for (size_t i = 0; must_count && i < call->request->message_count; i++)
        estimated += tokens_estimate(call->request->messages[i].content) + MESSAGE_OVERHEAD;
    model_note_scale(model->id,
                     tokens_calibrate(model->tokens_scale, estimated, usage->prompt_tokens));
}

/* --- the end ---------------------------------------------------------------------------------- */

static void call_free(struct route_call *call) {
    arena_release(&call->arena);
    call->magic = 0;
    free(call);
}

/* A person's turn is at this model now (0: at none any more). */
static void hold(struct route_call *call, int64_t model_id) {
    const struct model *model = model_id ? model_find(model_id) : NULL;
    int64_t endpoint = background_endpoint(model);
    if (call->request->is_background || call->held == endpoint)
        return;
    if (call->held != 0)
        background_resume(call->held);
    call->held = endpoint;
    if (endpoint != 0)
        background_yield(endpoint, model_is_local(model) || model->concurrency > 0);
}

static void clear_endpoint(struct route_call *call) {
    call->request->endpoint = (struct chat_endpoint){0};
    call->request->sampling.reply_tokens = call->reply_tokens;
    arena_release(&call->arena);
    arena_init_with(&call->arena, call->room, sizeof call->room);
}

static void tell_failed(struct route_call *call) {
    call->failure.detail = str_from(call->detail);
    if (call->is_cancelled)
        call->failure = (struct chat_failure){.err = E_CANCELLED, .detail = STR("stopped")};
    hold(call, 0);
    queue_leave(&call->place);
    clear_endpoint(call);
    call->events.failed(call->ctx, &call->failure);
    call_free(call);
}

/* Adds what one endpoint said to what the person will read. */
static void keep_failure(struct route_call *call, struct str name,
                         const struct chat_failure *failure) {
    size_t used = strlen(call->detail);
    snprintf(call->detail + used, sizeof call->detail - used, "%s" STR_FMT ": " STR_FMT,
             used ? " " : "", STR_ARG(name), STR_ARG(failure->detail));
    call->detail[text_whole_prefix(str_from(call->detail))] = '\0';
    call->failure = *failure;
}

/* --- what the adapters tell ------------------------------------------------------------------- */

static struct breaker *breaker_now(struct route_call *call) {
    const struct model *model = model_find(call->models[call->at]);
    return model ? breaker_of(model) : NULL;
}

static void on_delta(void *ctx, struct str text) {
    struct route_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    note_token(call);
    call->events.delta(call->ctx, text);
}

static void on_reasoning(void *ctx, struct str text) {
    struct route_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    note_token(call);
    if (call->events.reasoning)
        call->events.reasoning(call->ctx, text);
}

static void on_done(void *ctx, enum chat_finish finish, const struct chat_usage *usage) {
    struct route_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    call->chat = NULL;
    struct breaker *breaker = breaker_now(call);
    if (breaker)
        note_success(breaker);
    count_outcome(E_OK);
    calibrate(call, usage);
    hold(call, 0);
    queue_leave(&call->place);
    clear_endpoint(call);
    call->events.done(call->ctx, finish, usage);
    call_free(call);
}

static void on_failed(void *ctx, const struct chat_failure *failure) {
    struct route_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    call->chat = NULL;
    struct breaker *breaker = breaker_now(call);
    if (breaker)
        note_failure(breaker, failure, call->is_probe);
    count_outcome(failure->err);
    if (failure->err != E_CANCELLED)
        log_warn("model", "a model failed", LF_ID("model", call->models[call->at]),
                 LF_Z("error", err_word(failure->err)), LF_INT("status", failure->status),
                 LF_INT("had_token", call->has_token));
    keep_failure(call, call->request->endpoint.name, failure);
    queue_leave(&call->place);
    call->at++;
    if (call->is_cancelled || call->has_token || call->at == call->count) {
        tell_failed(call);
        return;
    }
    metric_add(&fallbacks, 1);
    try_next(call);
}

static const struct chat_events EVENTS = {on_delta, on_reasoning, on_done, on_failed};

/* --- asking ----------------------------------------------------------------------------------- */

static void keep_resting(struct route_call *call, const struct model *model,
                         const struct breaker *breaker) {
    int64_t left_ms = (breaker->until_us - clock_mono_us()) / 1000;
    left_ms = left_ms > 0 ? left_ms : 1000;
    char detail[120];
    snprintf(detail, sizeof detail,
             breaker->is_asked ? "It asked to be left alone for %lld more seconds."
                               : "It failed several times and is left alone for %lld more seconds.",
             (long long)((left_ms + 999) / 1000));
    struct chat_failure failure = {
        .err = E_BUSY, .retry_after_ms = left_ms, .detail = str_from(detail)};
    keep_failure(call, model->name, &failure);
    call->failure.detail = STR_NONE;
}

/* Fills the request for the model at `at`. False when it cannot be asked; why is kept. */
static bool prepare(struct route_call *call) {
    int64_t id = call->models[call->at];
    clear_endpoint(call);
    call->port = &chat_understudy;
    if (id == 0) {
        call->request->endpoint.name = STR("Understudy");
        return true;
    }
    const struct model *model = model_find(id);
    if (model == NULL || !model->is_enabled) /* taken away since the call began */
        return false;
    struct breaker *breaker = breaker_of(model);
    if (!may_ask(breaker, &call->is_probe)) {
        keep_resting(call, model, breaker);
        return false;
    }
    struct chat_failure locked = {.err = E_DENIED,
                                  .detail = STR("Its key cannot be opened; enter it again.")};
    if (model_endpoint(&call->arena, model, &call->request->endpoint) != E_OK) {
        if (call->is_probe)
            breaker->is_probed = false;
        keep_failure(call, model->name, &locked);
        return false;
    }
    call->port = chat_port_find(model->provider);
    BUG_IF(call->port == NULL); /* the schema's CHECK */
    if (call->reply_tokens <= 0 || call->reply_tokens > model->reply_tokens)
        call->request->sampling.reply_tokens = model->reply_tokens;
    return true;
}

static void ask(struct route_call *call) {
    hold(call, call->models[call->at]);
    call->asked_us = clock_mono_us();
    call->events.began(call->ctx, &call->request->endpoint);
    call->chat = call->port->start(call->request, &EVENTS, call);
    if (call->is_cancelled) /* by who was told that it begins */
        call->port->cancel(call->chat);
}

/* False: it waits. What rests is not waited for: it is passed by a moment later. */
static bool enter(struct route_call *call) {
    const struct model *model = model_find(call->models[call->at]);
    if (model == NULL || !model->is_enabled || model->concurrency == 0 ||
        route_health(model).state == ROUTE_RESTING)
        return true;
    hold(call, model->id); /* who learns in the background makes room already */
    return queue_enter(&call->place, model->id);
}

static void try_next(struct route_call *call) {
    for (; call->at < call->count; call->at++) {
        if (!enter(call))
            return;
        if (prepare(call))
            return ask(call);
        queue_leave(&call->place);
    }
    tell_failed(call);
}

static void on_turn(struct queue_place *place, bool is_late) {
    struct route_call *call = CONTAINER_OF(place, struct route_call, place);
    MAGIC_CHECK(call, CALL_MAGIC);
    const struct chat_failure late = {.err = E_BUSY,
                                      .detail = STR("Too many people are waiting for it.")};
    const struct model *model = model_find(call->models[call->at]);
    if (!is_late && prepare(call))
        return ask(call);
    if (is_late)
        keep_failure(call, model != NULL ? model->name : STR("The model"), &late);
    queue_leave(place);
    call->at++;
    try_next(call);
}

static void on_moved(struct queue_place *place, int64_t position) {
    struct route_call *call = CONTAINER_OF(place, struct route_call, place);
    MAGIC_CHECK(call, CALL_MAGIC);
    if (call->events.queued != NULL)
        call->events.queued(call->ctx, position);
}

static void end_waiting(void *ctx) {
    struct route_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    tell_failed(call);
}

/* --- the public face -------------------------------------------------------------------------- */

struct route_plan route_plan(struct str route) {
    const struct model *models[ROUTE_LENGTH_LIMIT];
    size_t count = model_route(route, models);
    if (count == 0)
        return (struct route_plan){UNDERSTUDY_CONTEXT, UNDERSTUDY_REPLY, 1.0, true,
                                   STR("Understudy")};
    struct route_plan plan = {models[0]->context_tokens, models[0]->reply_tokens,
                              models[0]->tokens_scale, false, models[0]->name};
    for (size_t i = 1; i < count; i++)
        if (models[i]->context_tokens < plan.context_tokens)
            plan.context_tokens = models[i]->context_tokens;
    return plan;
}

static void go_on(void *ctx) {
    struct route_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    if (call->is_cancelled)
        tell_failed(call);
    else
        try_next(call);
}

/* The first model is asked at once: its request leaves in this turn of the loop, before people are
 * told anything. The end may not come before route_start has returned, so the others come later. */
static void begin(struct route_call *call) {
    if (!enter(call))
        return;
    if (prepare(call))
        return ask(call);
    queue_leave(&call->place);
    call->at++;
    loop_later(go_on, call);
}

struct route_call *route_start(struct str route, struct chat_request *request,
                               const struct route_events *events, void *ctx) {
    const struct model *models[ROUTE_LENGTH_LIMIT];
    struct route_call *call = calloc(1, sizeof *call);
    BUG_IF(call == NULL);
    call->magic = CALL_MAGIC;
    call->request = request;
    call->events = *events;
    call->ctx = ctx;
    call->reply_tokens = request->sampling.reply_tokens;
    call->failure = (struct chat_failure){.err = E_BUSY};
    call->place = (struct queue_place){.user_id = request->is_background ? 0 : request->user_id,
                                       .turn = on_turn,
                                       .moved = on_moved};
    arena_init_with(&call->arena, call->room, sizeof call->room);
    call->count = model_route(route, models);
    for (size_t i = 0; i < call->count; i++)
        call->models[i] = models[i]->id;
    if (call->count == 0)
        call->count = 1; /* the Understudy: id 0 */
    begin(call);
    return call;
}

void route_cancel(struct route_call *call) {
    MAGIC_CHECK(call, CALL_MAGIC);
    if (call->is_cancelled)
        return;
    call->is_cancelled = true;
    if (call->chat)
        call->port->cancel(call->chat);
    else if (queue_is_waiting(&call->place)) {
        queue_leave(&call->place);
        loop_later(end_waiting, call);
    }
}
