/*
 * The encoders: which one makes vectors, which one is being built, what their endpoints' troubles
 * are, and questions.
 *
 * The rows are cached and read again after every change. What other threads ask (index_encoder())
 * is one word. A key is opened for a batch or a question, into its arena, and wiped with it.
 *
 * An endpoint that fails is left alone for a while, doubling up to REST_LIMIT_MS; what waits for it
 * stays in the queue, and searches go on by words. Questions still try: somebody waits, and a
 * deadline of theirs bounds it.
 */
#include "model/index_inside.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/keyfile.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/text.h"
#include "loop/loop.h"
#include "model/index_change.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define QUESTION_MAGIC 0x71756573u
#define REST_FIRST_MS  ((int64_t)1000)
#define REST_LIMIT_MS  ((int64_t)300000)
#define ROWS_LIMIT     64

METRIC_COUNTER(questions, "troupe_index_questions_total", "Questions that were embedded.");
METRIC_HISTOGRAM(question_time, "troupe_index_question_seconds", "Time to embed a question.");

/* The one in use, for any thread: id in the upper half, then slot, then dims. */
static _Atomic uint64_t published;

/* --- rows ------------------------------------------------------------------------------------- */

static enum err load_one(enum encoder_place at, struct str state) {
    struct encoder *encoder = &the_index.encoders[at];
    struct encoder_row row = {0};
    struct arena arena;
    arena_init(&arena);
    enum err err = encoder_load(store_reader(), &arena, state, &row);
    if (err != E_OK && err != E_ABSENT) {
        arena_release(&arena);
        return err;
    }
    bool is_same = encoder->is_there && encoder->row.id == row.id;
    struct encoder now = is_same ? *encoder : (struct encoder){.row_limit = ROWS_LIMIT};
    arena_release(&encoder->arena);
    now.arena = arena;
    now.row = row;
    now.is_there = err == E_OK && !str_eq(row.provider, STR("none"));
    now.port = now.is_there ? embed_port_find(row.provider) : NULL;
    now.has_work = now.is_there;
    *encoder = now;
    return E_OK;
}

static void publish(void) {
    const struct encoder *encoder = &the_index.encoders[ENCODER_ACTIVE];
    uint64_t word = 0;
    if (encoder_is_usable(encoder))
        word = (uint64_t)encoder->row.id << 32 | (uint64_t)encoder->row.slot << 16 |
               (uint64_t)encoder->row.dims;
    atomic_store(&published, word);
}

enum err encoders_reload(void) {
    enum err err = load_one(ENCODER_ACTIVE, STR("active"));
    if (err == E_OK)
        err = load_one(ENCODER_BUILDING, STR("building"));
    publish();
    return err;
}

struct index_encoder index_encoder(void) {
    uint64_t word = atomic_load(&published);
    return (struct index_encoder){
        .id = (uint32_t)(word >> 32), .slot = (int)(word >> 16 & 1), .dims = word & 0xffff};
}

bool encoder_is_usable(const struct encoder *encoder) {
    return encoder->is_there && encoder->port != NULL && encoder->port->is_available();
}

/* --- endpoints -------------------------------------------------------------------------------- */

enum err encoder_endpoint(struct arena *arena, const struct encoder_row *row,
                          struct embed_endpoint *endpoint) {
    *endpoint = (struct embed_endpoint){.base_url = str_dup(arena, row->base_url),
                                        .model = str_dup(arena, row->model)};
    if (row->key_sealed.len == 0)
        return E_OK;
    struct str context = str_printf(arena, "encoder:" STR_FMT, STR_ARG(row->base_url));
    return keyfile_unseal(arena, context, row->key_sealed, &endpoint->api_key);
}

void encoder_failed(struct encoder *encoder, enum err err, int64_t retry_after_ms,
                    struct str detail) {
    int64_t rest_ms = REST_LIMIT_MS;
    if (encoder->failures < 9)
        rest_ms = REST_FIRST_MS << encoder->failures;
    encoder->failures++;
    if (retry_after_ms > rest_ms)
        rest_ms = retry_after_ms < REST_LIMIT_MS ? retry_after_ms : REST_LIMIT_MS;
    encoder->rests_until_us =
        clock_mono_us() + (rest_ms < REST_LIMIT_MS ? rest_ms : REST_LIMIT_MS) * 1000;
    struct str words =
        detail.len ? text_cut_bytes(detail, sizeof encoder->trouble - 1) : str_from(err_word(err));
    snprintf(encoder->trouble, sizeof encoder->trouble, STR_FMT, STR_ARG(words));
    /* Without its words: some quote what they were sent. */
    log_warn("index", "vectors could not be made; the endpoint is left alone for a while",
             LF_STR("provider", encoder->row.provider), LF_Z("error", err_word(err)),
             LF_INT("rest_ms", rest_ms));
}

void index_describe(struct db *db, struct arena *arena, struct index_description *description) {
    struct encoder_row row = {0};
    bool is_there = encoder_load(db, arena, STR("active"), &row) == E_OK;
    if (!is_there && embed_builtin.is_available()) /* the first start takes it */
        row.provider = STR("builtin");
    const struct embed_port *port = embed_port_find(row.provider);
    *description = (struct index_description){
        .provider = row.provider.len ? row.provider : STR("none"),
        .base_url = row.base_url,
        .model = row.model,
        .waiting = is_there ? queue_count(db, row.id, INT64_MAX) : 0,
        .is_available = port != NULL && port->is_available(),
    };
}

/* --- questions -------------------------------------------------------------------------------- */

struct index_question {
    uint32_t magic;
    struct arena arena;
    struct embed_request request;
    const struct embed_port *port;
    struct embed_call *call; /* NULL: there is no encoder, or its key does not open */
    enum err err;            /* then */
    size_t dims;             /* that the vectors have; 0: not known */
    int64_t began_us;
    embed_done_fn done;
    void *ctx;
};

static void end_question(struct index_question *question, const struct embed_answer *answer) {
    question->done(answer, question->ctx);
    arena_release(&question->arena);
    question->magic = 0;
    free(question);
}

static void on_answer(const struct embed_answer *answer, void *ctx) {
    struct index_question *question = ctx;
    MAGIC_CHECK(question, QUESTION_MAGIC);
    bool fits = question->dims == 0 || answer->dims == question->dims;
    if (answer->err == E_OK && !fits)
        return end_question(question,
                            &(struct embed_answer){
                                .err = E_UPSTREAM,
                                .detail = STR("The embedder's vectors have changed their width.")});
    if (answer->err == E_OK) {
        metric_add(&questions, 1);
        metric_observe_us(&question_time, clock_mono_us() - question->began_us);
    }
    end_question(question, answer);
}

static void refuse_later(void *ctx) {
    struct index_question *question = ctx;
    MAGIC_CHECK(question, QUESTION_MAGIC);
    end_question(question, &(struct embed_answer){.err = question->err});
}

struct index_question *index_ask(struct str text, embed_done_fn done, void *ctx) {
    struct encoder *encoder = &the_index.encoders[ENCODER_ACTIVE];
    struct index_question *question = calloc(1, sizeof *question);
    BUG_IF(question == NULL);
    *question = (struct index_question){.magic = QUESTION_MAGIC, .done = done, .ctx = ctx};
    arena_init(&question->arena);
    struct str *copy = ARENA_NEW(&question->arena, struct str);
    *copy = str_dup(&question->arena, text);
    question->request = (struct embed_request){.texts = copy, .count = 1, .is_urgent = true};
    question->began_us = clock_mono_us();
    question->dims = (size_t)encoder->row.dims;
    question->err =
        encoder_is_usable(encoder) && !the_index.is_stopped
            ? encoder_endpoint(&question->arena, &encoder->row, &question->request.endpoint)
            : E_ABSENT;
    question->port = encoder->port;
    if (question->err == E_OK)
        question->call = question->port->start(&question->request, on_answer, question);
    else
        loop_later(refuse_later, question);
    return question;
}

void index_ask_cancel(struct index_question *question) {
    MAGIC_CHECK(question, QUESTION_MAGIC);
    if (question->call != NULL)
        question->port->cancel(question->call);
    else
        question->err = E_CANCELLED;
}
