/*
 * The stand-in behind the embedding port: a sentence encoder of our own (embedder_model.c) in the
 * pool, so that memory by meaning needs no service.
 *
 * Two lanes. Questions, for which somebody waits, have one, and run to their end. The batches of the
 * background have the other, on the pool's background thread, which is nice; they run in slices of
 * SLICE_US, so that other work of the background and a cancel need not wait for long. A slice can
 * only end between two steps of a pass, so on a machine that is slow for lack of wide instructions a
 * pass of the background takes fewer texts: no more tokens than one step has time for, as the last
 * one went. Each lane has one call at work, whose texts are packed into passes of the model, many to a matrix product; a
 * question never waits for a batch.
 *
 * A lane's scratch is mapped when its first call comes. REST_MS after the last call both go, and the
 * pages of the weights leave the process: awake it takes some 25 MB more than asleep.
 *
 * Who touches what: a call is the loop's, save while its job is in the pool, when `pass`, `values`
 * and `next` are the pool thread's. `is_cancelled` is both's.
 */
#include "model/embed.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/metric.h"
#include "embedder_file.h"
#include "embedder_model.h"
#include "loop/loop.h"
#include "loop/pool.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/banned.h"

#define CALL_MAGIC        0x656d6264u
#define SLICE_US          20000 /* a step of a pass may end this much later again */
#define PASS_TOKENS_LEAST 32    /* two short sentences */
#define REST_MS           30000
#define LANE_WAITING_MOST 256 /* calls; more are E_BUSY */

METRIC_COUNTER(texts_embedded, "troupe_embedder_texts_total",
               "Texts that the built-in embedder turned into vectors.");
METRIC_COUNTER(tokens_embedded, "troupe_embedder_tokens_total", "Their tokens.");

struct embed_call {
    uint32_t magic;
    struct list node; /* in lane.waiting */
    struct lane *lane;
    const struct str *texts;
    size_t count, next; /* `next`: the first text that is in no finished pass */
    struct embedder_pass pass;
    bool is_in_pass;
    atomic_bool is_cancelled;
    enum err err;
    embed_done_fn done;
    void *ctx;
    float *values;
    const struct embedder_weights *weights;
};

struct lane {
    struct pool_kind kind;
    bool is_urgent;
    struct list waiting;
    size_t waiting_count;
    struct embed_call *running;
    struct embedder_scratch *scratch;
    size_t pass_tokens; /* a pass with so many is full; 0: as many as it holds. The pool thread's */
};

static struct lane questions = {.kind = {.name = "embed question", .running_limit = 1},
                                .is_urgent = true};
static struct lane batches = {.kind = {.name = "embed batch", .is_background = true}};
static struct timer rest;
static bool is_watching; /* the loop tells us when it stops */

static void run_next(struct lane *lane);

/* --- sleep ------------------------------------------------------------------------------------ */

static void drop_scratch(struct lane *lane) {
    if (lane->scratch != NULL)
        munmap(lane->scratch, sizeof(*lane->scratch));
    lane->scratch = NULL;
}

static void fall_asleep(void *ctx) {
    (void)ctx;
    if (questions.running != NULL || batches.running != NULL)
        return; /* whoever ends last winds the timer again */
    drop_scratch(&questions);
    drop_scratch(&batches);
    embedder_file_rest(embedder_file_find());
}

/* The loop ends: nobody sleeps any more. */
static void forget_rest(void *ctx) {
    (void)ctx;
    timer_stop(&rest);
    is_watching = false;
}

static void watch_loop(void) {
    if (!is_watching)
        loop_on_stopped(forget_rest, NULL);
    is_watching = true;
}

static bool ensure_scratch(struct lane *lane) {
    if (lane->scratch != NULL)
        return true;
    void *at = mmap(NULL, sizeof(*lane->scratch), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        log_error("embedder", "there is no memory for a pass");
        return false;
    }
    lane->scratch = at;
    return true;
}

/* --- the end of a call ------------------------------------------------------------------------ */

static void answer(void *ctx) {
    struct embed_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    if (atomic_load(&call->is_cancelled))
        call->err = E_CANCELLED;
    struct embed_answer answer = {.err = call->err, .dims = EMBEDDER_DIMS};
    if (call->err == E_OK)
        answer.values = call->values;
    else if (call->err == E_ABSENT)
        answer.detail = STR("the weights of the built-in embedder are not in this build");
    call->done(&answer, call->ctx);
    call->magic = 0;
    free(call->values);
    free(call);
}

/* --- work ------------------------------------------------------------------------------------- */

static void pool_fill(struct embed_call *call) {
    embedder_pass_init(&call->pass, call->weights, embedder_kernel_best(), call->lane->scratch);
    size_t most = call->lane->pass_tokens > 0 ? call->lane->pass_tokens : EMBEDDER_PASS_TOKENS;
    for (size_t i = call->next; i < call->count && call->pass.token_count < most; i++)
        if (!embedder_pass_add(&call->pass, call->texts[i]))
            break;
    call->is_in_pass = true;
}

/* Of this thread, so that waiting for a core is no slowness of the machine. */
static int64_t processor_us(void) {
    struct timespec at;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

/* How many tokens a step of SLICE_US would have had. */
static void learn_speed(struct lane *lane, size_t tokens, int64_t step_us) {
    if (lane->is_urgent || tokens == 0 || step_us <= 0)
        return;
    size_t most = (size_t)((int64_t)tokens * SLICE_US / step_us);
    lane->pass_tokens = most < PASS_TOKENS_LEAST ? PASS_TOKENS_LEAST : most;
}

static void pool_step(struct embed_call *call) {
    if (!call->is_in_pass)
        pool_fill(call);
    int64_t began_us = processor_us();
    bool has_more = embedder_pass_step(&call->pass);
    learn_speed(call->lane, call->pass.token_count, processor_us() - began_us);
    if (has_more)
        return;
    embedder_pass_result(&call->pass, call->values + call->next * EMBEDDER_DIMS);
    call->next += call->pass.text_count;
    metric_add(&texts_embedded, (int64_t)call->pass.text_count);
    metric_add(&tokens_embedded, (int64_t)call->pass.token_count);
    call->is_in_pass = false;
}

static void pool_slice(void *ctx) {
    struct embed_call *call = ctx;
    int64_t until_us = clock_mono_us() + SLICE_US;
    while (call->next < call->count && !atomic_load(&call->is_cancelled)) {
        pool_step(call);
        if (!call->lane->is_urgent && clock_mono_us() >= until_us)
            break;
    }
}

static void slice_done(enum err err, void *ctx);

/* Into the pool, unless it has ended. A refusal ends the call; whoever asked tries again. */
static void submit(struct embed_call *call) {
    struct lane *lane = call->lane;
    if (loop_phase() == LOOP_STOPPED || atomic_load(&call->is_cancelled))
        call->err = E_CANCELLED;
    else if (!ensure_scratch(lane))
        call->err = E_BUSY;
    else
        call->err = pool_run(&lane->kind, pool_slice, slice_done, call, NULL);
    if (call->err == E_OK)
        return;
    lane->running = NULL;
    answer(call);
    run_next(lane);
}

static void slice_done(enum err err, void *ctx) {
    struct embed_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    if (err == E_OK && call->next < call->count) {
        submit(call);
        return;
    }
    struct lane *lane = call->lane;
    call->err = err;
    lane->running = NULL;
    run_next(lane);
    answer(call);
}

static void run_next(struct lane *lane) {
    if (lane->running != NULL)
        return;
    if (lane->waiting_count == 0) {
        if (loop_phase() != LOOP_STOPPED)
            timer_start(&rest, REST_MS, fall_asleep, NULL);
        return;
    }
    struct embed_call *call = CONTAINER_OF(lane->waiting.next, struct embed_call, node);
    list_remove(&call->node);
    lane->waiting_count--;
    lane->running = call;
    submit(call);
}

/* --- the port --------------------------------------------------------------------------------- */

static bool is_available(void) {
    return embedder_file_find() != NULL;
}

static struct embed_call *make_call(const struct embed_request *request, embed_done_fn done,
                                    void *ctx) {
    struct embed_call *call = calloc(1, sizeof(*call));
    float *values = calloc(request->count, EMBEDDER_DIMS * sizeof(*values));
    if (call == NULL || values == NULL)
        BUG("out of memory");
    call->magic = CALL_MAGIC;
    call->lane = request->is_urgent ? &questions : &batches;
    call->texts = request->texts;
    call->count = request->count;
    call->done = done;
    call->ctx = ctx;
    call->values = values;
    call->weights = embedder_file_find();
    return call;
}

static void begin(void *ctx) {
    run_next(ctx);
}

static struct embed_call *start(const struct embed_request *request, embed_done_fn done,
                                void *ctx) {
    BUG_IF(request->count == 0 || request->count > EMBED_BATCH_LIMIT);
    struct embed_call *call = make_call(request, done, ctx);
    struct lane *lane = call->lane;
    if (call->weights == NULL || lane->waiting_count >= LANE_WAITING_MOST) {
        call->err = call->weights == NULL ? E_ABSENT : E_BUSY;
        loop_later(answer, call);
        return call;
    }
    watch_loop();
    if (lane->scratch == NULL)
        embedder_file_wake(call->weights);
    if (lane->waiting.next == NULL)
        list_init(&lane->waiting);
    list_add_last(&lane->waiting, &call->node);
    lane->waiting_count++;
    loop_later(begin, lane);
    return call;
}

static void cancel(struct embed_call *call) {
    MAGIC_CHECK(call, CALL_MAGIC);
    atomic_store(&call->is_cancelled, true);
    if (!list_is_linked(&call->node))
        return; /* at work: the pool sees it at the next step; or it is answered already */
    list_remove(&call->node);
    call->lane->waiting_count--;
    call->err = E_CANCELLED;
    loop_later(answer, call);
}

const struct embed_port embed_builtin = {
    .provider = "builtin",
    .is_available = is_available,
    .start = start,
    .cancel = cancel,
};
