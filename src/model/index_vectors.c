/*
 * Batches of vectors, one at a time: load (pool) -> embed (the port) -> store (pool, LMDB) ->
 * finish (writer). Only one is under way, so what is stored later was also read later, and an item
 * that changed in the meantime is simply still in the queue: its row has a newer `change` than the
 * one that is ended.
 *
 * Failures. A batch of several rows that fails is tried again row by row, and grows when rows pass;
 * a row that fails alone is put off and comes again, ever later, while the others go on. What the
 * endpoint says of itself (wrong key, no such model, too often, overloaded) charges no row; the
 * endpoint rests.
 *
 * Forgetting does not wait for a batch that is with an endpoint: the rows of the batch are marked,
 * so that it does not bring back what is being taken out.
 */
#include "model/index_batch.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/metric.h"
#include "loop/loop.h"
#include "loop/pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define BUILTIN_PIECES  96  /* half a second of one core between two commits */
#define REMOTE_PIECES   256 /* four calls */
#define STORAGE_WAIT_MS 5000
#define COUNT_EVERY_US  1000000
#define TRIES           3 /* of one call, within seconds */

METRIC_COUNTER(embedded, "troupe_index_embedded_total", "Pieces of text that became vectors.");
METRIC_COUNTER(finished, "troupe_index_items_total", "Items whose vectors were stored or removed.");
METRIC_COUNTER(failures, "troupe_index_failures_total", "Batches of vectors that failed.");
METRIC_GAUGE(pending, "troupe_index_pending", "Items that wait for vectors of the encoder in use.");
METRIC_HISTOGRAM(batch_time, "troupe_index_batch_seconds", "Time of a batch, from load to commit.");

struct forget {
    struct list node; /* in forgets */
    int64_t space;
    int64_t *items;
    size_t count;
    uint32_t encoders[ENCODER_PLACES + 1]; /* whose vectors go; 0 ends */
    store_done_fn done;
    void *ctx;
    enum err err;
};

static struct list forgets = {&forgets, &forgets};
static struct pool_kind work = {.name = "index", .running_limit = 1, .queue_limit = 512};
static struct timer timer;

static void forgets_go(void);

/* --- the loop's part -------------------------------------------------------------------------- */

static struct encoder *encoder_of_batch(void) {
    struct encoder *encoder = &the_index.encoders[the_batch.place];
    return encoder->is_there && encoder->row.id == the_batch.encoder.id ? encoder : NULL;
}

static void end_batch(void) {
    free(the_batch.values);
    the_batch.values = NULL;
    arena_release(&the_batch.arena);
    the_batch.phase = PHASE_IDLE;
    if (the_index.is_stopped)
        return;
    forgets_go();
    vectors_go();
}

static void on_timer(void *ctx) {
    (void)ctx;
    vectors_go();
}

static void was_put_off(enum err err, void *ctx) {
    (void)err, (void)ctx;
    end_batch();
}

/* What the endpoint says of itself: no row is to blame. */
static bool is_about_endpoint(enum err err) {
    return err == E_DENIED || err == E_ABSENT || err == E_BUSY || err == E_LIMIT ||
           err == E_CONFLICT;
}

static void fail(enum err err, int64_t retry_after_ms, struct str detail) {
    struct encoder *encoder = encoder_of_batch();
    metric_add(&failures, 1);
    if (encoder != NULL)
        encoder->has_work = true;
    if (encoder == NULL || err == E_CANCELLED || the_index.is_stopped)
        return end_batch();
    if (err == E_STORAGE) {
        encoder->rests_until_us = clock_mono_us() + STORAGE_WAIT_MS * 1000;
        return end_batch();
    }
    if (is_about_endpoint(err)) {
        encoder_failed(encoder, err, retry_after_ms, detail);
        return end_batch();
    }
    if (the_batch.row_count > 1) {
        encoder->row_limit = 1;
        return end_batch();
    }
    if (err != E_INPUT)
        encoder_failed(encoder, err, retry_after_ms, detail);
    log_warn(
        "index", "vectors of an item could not be made; it comes again",
        LF_STR("kind", the_batch.rows[0].queue.kind), LF_ID("item", the_batch.rows[0].queue.item),
        LF_INT("attempts", the_batch.rows[0].queue.attempts + 1), LF_Z("error", err_word(err)));
    the_batch.phase = PHASE_FINISH;
    store_write(writer_batch_put_off, was_put_off, NULL);
}

static void on_finished(enum err err, void *ctx) {
    struct encoder *encoder = encoder_of_batch();
    (void)ctx;
    if (err != E_OK)
        return fail(err, 0, STR_NONE);
    metric_add(&embedded, (int64_t)the_batch.piece_count);
    metric_add(&finished, (int64_t)the_batch.row_count);
    metric_observe_us(&batch_time, clock_mono_us() - the_batch.began_us);
    if (encoder != NULL) {
        encoder->failures = 0;
        encoder->trouble[0] = '\0';
        encoder->pending -= (int64_t)the_batch.row_count;
        encoder->row_limit =
            encoder->row_limit * 2 > BATCH_ROWS_LIMIT ? BATCH_ROWS_LIMIT : encoder->row_limit * 2;
        if (encoder->row.dims == 0 && the_batch.dims > 0 && encoders_reload() != E_OK)
            log_error("index", "the encoders could not be read again");
    }
    end_batch();
}

static void on_stored(enum err err, void *ctx) {
    (void)ctx;
    if (the_index.is_stopped)
        return end_batch();
    if (err == E_OK)
        err = the_batch.err;
    if (err != E_OK) {
        forgets_go();
        return fail(err, 0, STR("The vectors could not be stored."));
    }
    the_index.seen = the_batch.seen;
    the_batch.phase = PHASE_FINISH;
    forgets_go();
    store_write(writer_batch_finish, on_finished, NULL);
}

static void store(void) {
    the_batch.phase = PHASE_STORE;
    the_batch.seen = the_index.seen + 1;
    if (pool_run(&work, pool_batch_store, on_stored, NULL, NULL) != E_OK)
        fail(E_STORAGE, 0, STR_NONE);
}

static void on_embedded(const struct embed_answer *answer, void *ctx) {
    (void)ctx;
    if (answer->err != E_OK) {
        the_batch.embed = NULL;
        return fail(answer->err, answer->retry_after_ms, answer->detail);
    }
    the_batch.values = embed_batch_take(the_batch.embed);
    the_batch.dims = answer->dims;
    the_batch.embed = NULL;
    if (the_batch.encoder.dims != 0 && the_batch.dims != (size_t)the_batch.encoder.dims)
        return fail(E_CONFLICT, 0,
                    STR("The model's vectors have another width than before: choose it again, and "
                        "everything is embedded anew."));
    if (the_index.is_draining)
        return fail(E_CANCELLED, 0, STR_NONE);
    store();
}

static void embed(const struct encoder *encoder) {
    struct embed_batch_options options = {
        .port = encoder->port,
        .texts = the_batch.pieces,
        .count = the_batch.piece_count,
        .call_texts = EMBED_BATCH_LIMIT,
        .tries = TRIES,
    };
    if (encoder_endpoint(&the_batch.arena, &encoder->row, &options.endpoint) != E_OK)
        return fail(E_DENIED, 0, STR("The key cannot be opened; enter it again."));
    the_batch.phase = PHASE_EMBED;
    the_batch.embed = embed_batch_start(&options, on_embedded, NULL);
    forgets_go();
}

static void mark_forgotten(const struct forget *forget);

static void on_loaded(enum err err, void *ctx) {
    struct encoder *encoder = encoder_of_batch();
    (void)ctx;
    if (encoder == NULL || the_index.is_draining || the_index.is_stopped)
        err = E_CANCELLED;
    if (err != E_OK || the_batch.err != E_OK)
        return fail(err != E_OK ? err : the_batch.err, 0, STR_NONE);
    LIST_EACH(&forgets, node)
        mark_forgotten(CONTAINER_OF(node, struct forget, node));
    encoder->next_at = the_batch.next_at;
    if (the_batch.counted >= 0) {
        encoder->pending = the_batch.counted;
        encoder->counted_at_us = clock_mono_us();
    }
    if (the_batch.place == ENCODER_ACTIVE)
        metric_set(&pending, encoder->pending);
    if (the_batch.row_count == 0) {
        encoder->row_limit = BATCH_ROWS_LIMIT;
        rebuild_check(the_batch.place);
        return end_batch();
    }
    encoder->has_work = true;
    if (the_batch.piece_count > 0)
        embed(encoder);
    else
        store();
}

/* What comes while the queue is being read sets has_work again. */
static void load(enum encoder_place at) {
    struct encoder *encoder = &the_index.encoders[at];
    encoder->has_work = false;
    bool is_builtin = encoder->port == &embed_builtin;
    memset(&the_batch, 0, sizeof the_batch);
    arena_init(&the_batch.arena);
    the_batch.phase = PHASE_LOAD;
    the_batch.place = at;
    the_batch.encoder = (struct encoder_row){
        .id = encoder->row.id, .dims = encoder->row.dims, .slot = encoder->row.slot};
    the_batch.row_limit = encoder->row_limit;
    the_batch.piece_limit = is_builtin ? BUILTIN_PIECES : REMOTE_PIECES;
    the_batch.began_us = clock_mono_us();
    the_batch.wants_count = encoder->counted_at_us == 0 ||
                            the_batch.began_us - encoder->counted_at_us > COUNT_EVERY_US ||
                            encoder->pending <= BATCH_ROWS_LIMIT;
    if (pool_run(&work, pool_batch_load, on_loaded, NULL, NULL) != E_OK)
        fail(E_STORAGE, 0, STR_NONE);
}

/* How long until this encoder has something to do; 0: now, -1: until it is told. */
static int64_t wait_ms(const struct encoder *encoder) {
    int64_t rests_us = encoder->rests_until_us - clock_mono_us(), due_ms = 0;
    if (!encoder_is_usable(encoder))
        return -1;
    if (!encoder->has_work) {
        if (encoder->next_at == 0)
            return -1;
        due_ms = encoder->next_at - clock_now_ms();
    }
    int64_t rests_ms = rests_us > 0 ? rests_us / 1000 + 1 : 0;
    due_ms = due_ms > 0 ? due_ms : 0;
    return rests_ms > due_ms ? rests_ms : due_ms;
}

/* The encoder in use comes first; the one being built has what is left. */
void vectors_go(void) {
    int64_t soonest_ms = -1;
    if (the_batch.phase != PHASE_IDLE || !the_index.has_vectors || the_index.is_draining ||
        the_index.is_stopped)
        return;
    for (int at = 0; at < ENCODER_PLACES; at++) {
        int64_t ms = wait_ms(&the_index.encoders[at]);
        if (ms == 0)
            return load((enum encoder_place)at);
        if (ms > 0 && (soonest_ms < 0 || ms < soonest_ms))
            soonest_ms = ms;
    }
    if (soonest_ms > 0)
        timer_start(&timer, soonest_ms, on_timer, NULL);
    else
        timer_stop(&timer);
}

void vectors_stop(void) {
    timer_stop(&timer);
    if (the_batch.phase == PHASE_EMBED && the_batch.embed != NULL)
        embed_batch_cancel(the_batch.embed);
}

bool vectors_are_at(int64_t encoder_id) {
    return the_batch.phase != PHASE_IDLE && the_batch.encoder.id == encoder_id;
}

/* --- forgetting ------------------------------------------------------------------------------- */

static void mark_forgotten(const struct forget *forget) {
    for (size_t i = 0; i < the_batch.row_count; i++)
        for (size_t j = 0; j < forget->count; j++)
            if (the_batch.rows[i].queue.item == forget->items[j] &&
                the_batch.rows[i].source.space == forget->space)
                the_batch.rows[i].is_forgotten = true;
}

static void pool_forget(void *ctx) {
    struct forget *forget = ctx;
    struct vector_item *items = calloc(forget->count + 1, sizeof *items);
    BUG_IF(items == NULL);
    for (size_t e = 0; forget->encoders[e] != 0 && forget->err == E_OK; e++) {
        for (size_t i = 0; i < forget->count; i++)
            items[i] = (struct vector_item){.space = {forget->space, forget->encoders[e]},
                                            .id = forget->items[i]};
        forget->err = pool_vector_write(items, forget->count, 0);
    }
    free(items);
}

static void on_forgotten(enum err err, void *ctx) {
    struct forget *forget = ctx;
    if (forget->done != NULL)
        forget->done(err != E_OK ? err : forget->err, forget->ctx);
    free(forget->items);
    free(forget);
}

/* Not while a batch is being read or stored: those take milliseconds, and its rows are not known
 * or not ours to mark. */
static void forgets_go(void) {
    if (the_batch.phase == PHASE_LOAD || the_batch.phase == PHASE_STORE)
        return;
    LIST_EACH_SAFE(&forgets, node) {
        struct forget *forget = CONTAINER_OF(node, struct forget, node);
        list_remove(&forget->node);
        if (the_batch.phase == PHASE_EMBED)
            mark_forgotten(forget);
        for (int at = 0, e = 0; at < ENCODER_PLACES; at++)
            if (the_index.encoders[at].is_there)
                forget->encoders[e++] = (uint32_t)the_index.encoders[at].row.id;
        if (pool_run(&work, pool_forget, on_forgotten, forget, NULL) != E_OK)
            on_forgotten(E_BUSY, forget);
    }
}

static enum err writer_ask_compaction(struct tx *tx, void *ctx) {
    (void)ctx;
    return compaction_ask(tx);
}

/* The order to compact is on disk before anything goes. */
static void compaction_is_ordered(enum err err, void *ctx) {
    struct forget *forget = ctx;
    if (err != E_OK || !the_index.has_vectors || the_index.is_stopped)
        return on_forgotten(err, forget);
    list_add_last(&forgets, &forget->node);
    forgets_go();
}

void index_forget(int64_t space, const int64_t *items, size_t count, store_done_fn done,
                  void *ctx) {
    struct forget *forget = calloc(1, sizeof *forget);
    BUG_IF(forget == NULL);
    *forget = (struct forget){.space = space, .count = count, .done = done, .ctx = ctx};
    forget->items = calloc(count + 1, sizeof *items);
    BUG_IF(forget->items == NULL);
    memcpy(forget->items, items, count * sizeof *items);
    store_write(writer_ask_compaction, compaction_is_ordered, forget);
}
