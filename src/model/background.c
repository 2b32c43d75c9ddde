/*
 * A list of waiting and running calls, looked at whenever a person's turn ends and whenever a call
 * of the list does; there are few. Which endpoint a route leads to is asked when the call may begin:
 * the first model of the route that is enabled. A call whose model a person's turn has taken waits
 * for its end, but no longer than WAIT_LIMIT_MS on a service in the net, which answers many at once.
 */
#include "model/background.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/metric.h"
#include "base/text.h"
#include "loop/loop.h"
#include "model/model.h"

#include <stdlib.h>

#include "base/banned.h"

#define CALL_MAGIC         0x6261636bu
#define ANSWER_LIMIT_BYTES ((size_t)256 << 10)
#define PEOPLE_LIMIT       MODEL_LIMIT
#define WAIT_LIMIT_MS      20000
#define DETAIL_BYTES       300

METRIC_COUNTER(calls_started, "troupe_background_calls_total",
               "Calls of models that nobody waited for.");
METRIC_COUNTER(calls_yielded, "troupe_background_yields_total",
               "Background calls that were ended because a person's turn came.");

struct background_call {
    uint32_t magic;
    struct list link;
    struct arena arena;
    struct str route;
    struct chat_request *request;
    background_done_fn done;
    void *ctx;
    struct route_call *call; /* NULL while it waits */
    struct timer patience;
    struct buf text;
    int64_t endpoint; /* where it is asked now */
    int64_t model_id;
    struct str model_name;
    int64_t asked_us, first_us;
    bool is_patient; /* still waits for people's turns */
    bool is_cancelled, is_yielding;
    bool is_enough; /* the answer is as long as may be, and we ended it */
};

/* How many turns of people are under way at each endpoint. */
static struct {
    int64_t endpoint;
    int64_t turns;
} people[PEOPLE_LIMIT];

static struct list calls = {&calls, &calls};

int64_t background_endpoint(const struct model *model) {
    if (model == NULL)
        return 0;
    uint64_t hash = map_hash(model->base_url.at, model->base_url.len);
    return (int64_t)(hash >> 2) + 1;
}

static int64_t *turns_at(int64_t endpoint) {
    for (size_t i = 0; i < PEOPLE_LIMIT; i++)
        if (people[i].endpoint == endpoint)
            return &people[i].turns;
    for (size_t i = 0; i < PEOPLE_LIMIT; i++)
        if (people[i].turns == 0) {
            people[i].endpoint = endpoint;
            return &people[i].turns;
        }
    return &people[PEOPLE_LIMIT - 1].turns; /* more endpoints than models: addresses were changed */
}

/* --- the end ---------------------------------------------------------------------------------- */

static void look(void *ctx);

static void finish(struct background_call *call, struct background_answer *answer) {
    timer_stop(&call->patience);
    list_remove(&call->link);
    answer->model_id = call->model_id;
    answer->model_name = call->model_name;
    answer->total_ms = call->asked_us ? (clock_mono_us() - call->asked_us) / 1000 : 0;
    answer->first_token_ms = call->first_us ? (call->first_us - call->asked_us) / 1000 : -1;
    call->done(answer, call->ctx);
    buf_release(&call->text);
    arena_release(&call->arena);
    call->magic = 0;
    free(call);
    loop_later(look, NULL);
}

static void on_began(void *ctx, const struct chat_endpoint *endpoint) {
    struct background_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    call->model_id = endpoint->model_id;
    call->endpoint = background_endpoint(model_find(endpoint->model_id));
    call->model_name = str_dup(&call->arena, endpoint->name);
    buf_clear(&call->text);
}

static void on_delta(void *ctx, struct str text) {
    struct background_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    if (call->first_us == 0)
        call->first_us = clock_mono_us();
    buf_add_str(&call->text, str_slice(text, 0, ANSWER_LIMIT_BYTES - call->text.len));
    if (call->text.len < ANSWER_LIMIT_BYTES || call->is_enough)
        return;
    call->is_enough = true;
    route_cancel(call->call);
}

static void on_done(void *ctx, enum chat_finish finish_reason, const struct chat_usage *usage) {
    struct background_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    (void)finish_reason; /* what was cut off is read as far as it goes */
    struct background_answer answer = {.text = buf_str(&call->text), .usage = *usage};
    finish(call, &answer);
}

static void on_failed(void *ctx, const struct chat_failure *failure) {
    struct background_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    struct str text = buf_str(&call->text);
    struct background_answer answer = {
        .err = call->is_cancelled  ? E_CANCELLED
               : call->is_yielding ? E_BUSY
               : call->is_enough   ? E_OK
                                   : failure->err,
        .usage = {-1, -1},
        .detail = text_cut_bytes(failure->detail, DETAIL_BYTES),
    };
    if (answer.err == E_OK)
        answer.text = str_slice(text, 0, text_whole_prefix(text));
    finish(call, &answer);
}

static void end_waiting(void *ctx) {
    struct background_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    struct background_answer answer = {.err = E_CANCELLED, .usage = {-1, -1}};
    finish(call, &answer);
}

/* --- beginning -------------------------------------------------------------------------------- */

static const struct model *first_model(struct str route) {
    const struct model *models[ROUTE_LENGTH_LIMIT];
    return model_route(route, models) > 0 ? models[0] : NULL;
}

static bool is_taken(int64_t endpoint) {
    LIST_EACH(&calls, node) {
        const struct background_call *call = CONTAINER_OF(node, struct background_call, link);
        if (call->call != NULL && call->endpoint == endpoint)
            return true;
    }
    return false;
}

static const struct route_events EVENTS = {
    .began = on_began, .delta = on_delta, .done = on_done, .failed = on_failed};

static void begin(struct background_call *call, int64_t endpoint) {
    timer_stop(&call->patience);
    call->endpoint = endpoint;
    call->asked_us = clock_mono_us();
    metric_add(&calls_started, 1);
    call->call = route_start(call->route, call->request, &EVENTS, call);
}

/* Its models were taken away while it waited: the stand-in is nobody to ask. */
static void refuse(struct background_call *call) {
    struct background_answer answer = {
        .err = E_ABSENT, .usage = {-1, -1}, .detail = STR("The route has no model any more.")};
    finish(call, &answer);
}

static void look(void *ctx) {
    (void)ctx;
    LIST_EACH_SAFE(&calls, node) {
        struct background_call *call = CONTAINER_OF(node, struct background_call, link);
        if (call->call != NULL || call->is_cancelled)
            continue;
        const struct model *model = first_model(call->route);
        int64_t endpoint = background_endpoint(model);
        if (model == NULL)
            refuse(call);
        else if (!is_taken(endpoint) && (!call->is_patient || *turns_at(endpoint) == 0))
            begin(call, endpoint);
    }
}

static void lose_patience(void *ctx) {
    struct background_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    const struct model *model = first_model(call->route);
    call->is_patient = model != NULL && model_is_local(model);
    look(NULL);
}

struct background_call *background_start(struct str route, struct chat_request *request,
                                         background_done_fn done, void *ctx) {
    struct background_call *call = calloc(1, sizeof *call);
    BUG_IF(call == NULL);
    call->magic = CALL_MAGIC;
    call->request = request;
    call->request->is_background = true;
    call->done = done;
    call->ctx = ctx;
    call->is_patient = true;
    arena_init(&call->arena);
    call->route = str_dup(&call->arena, route);
    buf_init(&call->text, ANSWER_LIMIT_BYTES);
    list_add_last(&calls, &call->link);
    timer_start(&call->patience, WAIT_LIMIT_MS, lose_patience, call);
    loop_later(look, NULL);
    return call;
}

void background_cancel(struct background_call *call) {
    MAGIC_CHECK(call, CALL_MAGIC);
    if (call->is_cancelled)
        return;
    call->is_cancelled = true;
    if (call->call != NULL)
        route_cancel(call->call);
    else
        loop_later(end_waiting, call);
}

/* --- people ----------------------------------------------------------------------------------- */

void background_yield(int64_t endpoint, bool is_local) {
    ++*turns_at(endpoint);
    LIST_EACH_SAFE(&calls, node) {
        struct background_call *call = CONTAINER_OF(node, struct background_call, link);
        if (!is_local || call->call == NULL || call->endpoint != endpoint || call->is_yielding ||
            call->is_cancelled)
            continue;
        call->is_yielding = true;
        metric_add(&calls_yielded, 1);
        log_info("model", "background call gave way to a turn", LF_ID("model", call->model_id));
        route_cancel(call->call);
    }
}

void background_resume(int64_t endpoint) {
    int64_t *turns = turns_at(endpoint);
    if (*turns > 0)
        --*turns;
    if (*turns == 0)
        loop_later(look, NULL);
}
