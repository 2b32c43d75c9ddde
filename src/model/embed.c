/*
 * Which ports there are, and batches: any number of texts as calls of a size that suits the port,
 * one after the other.
 *
 * A call ends when it has call_texts texts or CALL_BYTES: endpoints bound a request by its sum. The
 * stand-in is given few texts at a time, so that a question can pass between two calls; endpoints
 * are given many, because each call costs a journey.
 *
 * What may pass by itself (a connection that broke, a server that is busy for a moment) is tried
 * again here, soon and few times. Longer troubles are for whoever has a queue.
 */
#include "model/embed.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "loop/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define BATCH_MAGIC 0x656d6261u
#define CALL_BYTES \
    ((size_t)96 << 10) /* about 30,000 tokens; the least that is allowed is 300,000 */
#define RETRY_FIRST_MS 400
#define RETRY_LIMIT_MS 5000 /* an endpoint that asks for more gets it from the queue */

struct embed_batch {
    uint32_t magic;
    struct embed_batch_options options;
    struct embed_request request; /* the call that is under way */
    struct embed_call *call;      /* NULL while waiting to try again */
    embed_done_fn done;
    void *ctx;
    struct str *texts;  /* without the empty ones */
    size_t *places;     /* of each among the caller's */
    size_t count, from; /* of texts; those before `from` are embedded */
    int failures;
    float *values;
    size_t dims;
    bool is_cancelled;
    struct timer again;
};

const struct embed_port *embed_port_find(struct str provider) {
    static const struct embed_port *const PORTS[] = {&embed_builtin, &embed_openai, &embed_ollama};
    for (size_t i = 0; i < COUNT_OF(PORTS); i++)
        if (str_eq(provider, str_from(PORTS[i]->provider)))
            return PORTS[i];
    return NULL;
}

static void next_call(struct embed_batch *batch);

static void conclude(struct embed_batch *batch, const struct embed_answer *answer) {
    batch->done(answer, batch->ctx);
    timer_stop(&batch->again);
    free(batch->values);
    free(batch->texts);
    free(batch->places);
    batch->magic = 0;
    free(batch);
}

static void conclude_failed(struct embed_batch *batch, enum err err, const char *detail) {
    conclude(batch, &(struct embed_answer){.err = err, .detail = str_from(detail)});
}

/* --- one call --------------------------------------------------------------------------------- */

static void try_again(void *ctx) {
    struct embed_batch *batch = ctx;
    MAGIC_CHECK(batch, BATCH_MAGIC);
    if (batch->is_cancelled)
        conclude_failed(batch, E_CANCELLED, "stopped");
    else
        next_call(batch);
}

/* True when the call will be tried again. */
static bool may_pass(struct embed_batch *batch, const struct embed_answer *answer) {
    bool is_passing = answer->err == E_UPSTREAM || answer->err == E_BUSY || answer->err == E_LIMIT;
    int64_t wait_ms = (int64_t)RETRY_FIRST_MS << batch->failures;
    if (answer->retry_after_ms > wait_ms)
        wait_ms = answer->retry_after_ms;
    if (!is_passing || ++batch->failures >= batch->options.tries || wait_ms > RETRY_LIMIT_MS)
        return false;
    timer_start(&batch->again, wait_ms, try_again, batch);
    return true;
}

/* Takes the values of a call over. False: they do not fit. */
static bool keep(struct embed_batch *batch, const struct embed_answer *answer) {
    if (batch->values == NULL) {
        batch->dims = answer->dims;
        batch->values = calloc(batch->options.count * answer->dims, sizeof *batch->values);
        BUG_IF(batch->values == NULL);
    }
    if (answer->dims != batch->dims || answer->dims == 0)
        return false;
    for (size_t i = 0; i < batch->request.count; i++)
        memcpy(batch->values + batch->places[batch->from + i] * batch->dims,
               answer->values + i * batch->dims, batch->dims * sizeof *batch->values);
    return true;
}

static void on_call(const struct embed_answer *answer, void *ctx) {
    struct embed_batch *batch = ctx;
    MAGIC_CHECK(batch, BATCH_MAGIC);
    batch->call = NULL;
    if (batch->is_cancelled)
        return conclude_failed(batch, E_CANCELLED, "stopped");
    if (answer->err != E_OK) {
        if (!may_pass(batch, answer))
            conclude(batch, answer);
        return;
    }
    if (!keep(batch, answer))
        return conclude_failed(batch, E_UPSTREAM, "The vectors are not of one width.");
    batch->failures = 0;
    batch->from += batch->request.count;
    if (batch->from < batch->count)
        return next_call(batch);
    conclude(batch, &(struct embed_answer){.values = batch->values, .dims = batch->dims});
}

/* How many of the texts that are left go into the next call. */
static size_t call_size(const struct embed_batch *batch) {
    size_t bytes = 0, count = 0, left = batch->count - batch->from;
    while (count < left && count < batch->options.call_texts) {
        bytes += batch->texts[batch->from + count].len;
        if (count > 0 && bytes > CALL_BYTES)
            break;
        count++;
    }
    return count;
}

static void next_call(struct embed_batch *batch) {
    batch->request = (struct embed_request){
        .texts = batch->texts + batch->from,
        .count = call_size(batch),
        .endpoint = batch->options.endpoint,
        .is_urgent = batch->options.is_urgent,
    };
    batch->call = batch->options.port->start(&batch->request, on_call, batch);
}

/* --- the public face -------------------------------------------------------------------------- */

static void take_texts(struct embed_batch *batch) {
    const struct embed_batch_options *options = &batch->options;
    batch->texts = calloc(options->count, sizeof *batch->texts);
    batch->places = calloc(options->count, sizeof *batch->places);
    BUG_IF(batch->texts == NULL || batch->places == NULL);
    for (size_t i = 0; i < options->count; i++) {
        if (str_trim(options->texts[i]).len == 0)
            continue;
        batch->texts[batch->count] = options->texts[i];
        batch->places[batch->count++] = i;
    }
}

static void fail_later(void *ctx) {
    struct embed_batch *batch = ctx;
    conclude_failed(batch, batch->is_cancelled ? E_CANCELLED : E_INPUT,
                    "There is no text to embed.");
}

struct embed_batch *embed_batch_start(const struct embed_batch_options *options, embed_done_fn done,
                                      void *ctx) {
    BUG_IF(options->count == 0 || options->call_texts == 0 ||
           options->call_texts > EMBED_BATCH_LIMIT);
    struct embed_batch *batch = calloc(1, sizeof *batch);
    BUG_IF(batch == NULL);
    batch->magic = BATCH_MAGIC;
    batch->options = *options;
    batch->done = done;
    batch->ctx = ctx;
    take_texts(batch);
    if (batch->count > 0)
        next_call(batch);
    else /* how wide a zero vector would be, nobody knows */
        loop_later(fail_later, batch);
    return batch;
}

void embed_batch_cancel(struct embed_batch *batch) {
    MAGIC_CHECK(batch, BATCH_MAGIC);
    batch->is_cancelled = true;
    if (batch->call != NULL)
        batch->options.port->cancel(batch->call);
    else if (batch->count > 0)
        timer_start(&batch->again, 0, try_again, batch);
}

float *embed_batch_take(struct embed_batch *batch) {
    float *values = batch->values;
    MAGIC_CHECK(batch, BATCH_MAGIC);
    batch->values = NULL;
    return values;
}
