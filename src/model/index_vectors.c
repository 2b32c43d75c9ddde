/*
 * Batches of vectors, one at a time: load (pool) -> embed (the port) -> store (pool, LMDB) ->
 * finish (writer). Only one is under way, so what is stored later was also read later, and an item
 * that changed in the meantime is simply still in the queue: its row has a newer `change` than the
 * one that is ended.
 *
 * The crash between the two stores: LMDB is durable before the queue's rows go, so a batch that was
 * cut off is done once more, with the same outcome.
 *
 * Failures. A batch of several rows that fails is tried again row by row, and grows when rows pass;
 * a row that fails alone is put off and comes again, ever later, while the others go on. What the
 * endpoint says of itself (wrong key, no such model, too often, overloaded) charges no row; the
 * endpoint rests.
 *
 * Forgetting does not wait for a batch that is with an endpoint: the rows of the batch are marked,
 * so that it does not bring back what is being taken out.
 */
#include "model/index_inside.h"

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

#define ROWS_LIMIT       64
#define BUILTIN_PIECES   96  /* half a second of one core between two commits */
#define REMOTE_PIECES    256 /* four calls */
#define STORAGE_WAIT_MS  5000
#define BACKOFF_FIRST_MS ((int64_t)5000)
#define BACKOFF_STEPS    14 /* 5 s doubling to about a day */
#define COUNT_EVERY_US   1000000
#define TRIES            3 /* of one call, within seconds */

METRIC_COUNTER(embedded, "troupe_index_embedded_total", "Pieces of text that became vectors.");
METRIC_COUNTER(finished, "troupe_index_items_total", "Items whose vectors were stored or removed.");
METRIC_COUNTER(failures, "troupe_index_failures_total", "Batches of vectors that failed.");
METRIC_GAUGE(pending, "troupe_index_pending", "Items that wait for vectors of the encoder in use.");
METRIC_HISTOGRAM(batch_time, "troupe_index_batch_seconds", "Time of a batch, from load to commit.");

enum phase { PHASE_IDLE, PHASE_LOAD, PHASE_EMBED, PHASE_STORE, PHASE_FINISH };

struct batch_row {
    struct queue_row queue;
    const struct index_kind *kind; /* NULL: a whole space, or a kind that is no more */
    struct index_source source;
    size_t first_piece;
    enum err err; /* of load */
    bool is_forgotten;
    struct index_digest digest;
};

/* The batch under way. `phase` is the loop's; the rest belongs to whoever works on it. */
static struct {
    enum phase phase;
    struct arena arena;
    struct encoder_row encoder; /* id, dims, slot of the encoder as it was */
    enum encoder_place place;
    struct batch_row *rows;
    size_t row_count, row_limit, piece_limit, piece_count;
    struct str *pieces;
    int64_t next_at, seen, began_us;
    int64_t counted; /* rows of the queue; -1: not counted this time */
    bool wants_count;
    struct embed_batch *embed;
    float *values;
    size_t dims;
    enum err err;
} batch;

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

/* --- load (pool) ------------------------------------------------------------------------------ */

static bool has_text(const struct index_source *source) {
    for (size_t i = 0; i < source->piece_count; i++)
        if (str_trim(source->pieces[i]).len > 0)
            return true;
    return false;
}

static void load_row(struct db *db, struct batch_row *row) {
    row->kind = index_kind_find(row->queue.kind);
    row->source.space = row->queue.space;
    if (row->kind == NULL)
        return;
    row->err = row->kind->load(db, &batch.arena, row->queue.item, &row->source);
    if (row->err == E_ABSENT) {
        row->source = (struct index_source){.space = row->queue.space};
        row->err = E_OK;
    }
    if (row->source.piece_count > INDEX_PIECE_LIMIT)
        row->source.piece_count = INDEX_PIECE_LIMIT;
    if (row->err != E_OK || !has_text(&row->source))
        row->source.piece_count = 0;
}

static void gather_pieces(void) {
    size_t at = 0;
    for (size_t i = 0; i < batch.row_count; i++)
        batch.piece_count += batch.rows[i].source.piece_count;
    batch.pieces = ARENA_ARRAY(&batch.arena, struct str, batch.piece_count + 1);
    for (size_t i = 0; i < batch.row_count; i++) {
        struct batch_row *row = &batch.rows[i];
        row->first_piece = at;
        for (size_t p = 0; p < row->source.piece_count; p++)
            batch.pieces[at++] = row->source.pieces[p];
    }
}

static void pool_load(void *ctx) {
    struct queue_row due[ROWS_LIMIT];
    size_t count = 0, pieces = 0;
    struct db *db = pool_reader_open();
    (void)ctx;
    batch.err = db == NULL ? E_STORAGE
                           : queue_due(db, &batch.arena, batch.encoder.id, clock_now_ms(), due,
                                       batch.row_limit, &count, &batch.next_at);
    batch.rows = ARENA_ARRAY(&batch.arena, struct batch_row, count + 1);
    for (size_t i = 0; i < count && batch.err == E_OK && pieces < batch.piece_limit; i++) {
        struct batch_row *row = &batch.rows[batch.row_count++];
        row->queue = due[i];
        load_row(db, row);
        pieces += row->source.piece_count;
    }
    gather_pieces();
    batch.counted =
        batch.wants_count && db != NULL ? queue_count(db, batch.encoder.id, INT64_MAX) : -1;
    pool_reader_close(db);
}

/* --- store (pool) ----------------------------------------------------------------------------- */

static const float *values_of(const struct batch_row *row) {
    return batch.values + row->first_piece * batch.dims;
}

static bool is_whole_space(const struct batch_row *row) {
    return str_eq(row->queue.kind, QUEUE_KIND_SPACE);
}

static enum err drop_spaces(void) {
    enum err err = E_OK;
    for (size_t i = 0; i < batch.row_count && err == E_OK; i++)
        if (is_whole_space(&batch.rows[i]))
            err = pool_vector_drop(
                (struct vector_space){batch.rows[i].queue.item, (uint32_t)batch.encoder.id});
    return err;
}

/* An item that moved leaves the space where it was. */
static size_t list_items(struct vector_item *items) {
    size_t count = 0;
    for (size_t i = 0; i < batch.row_count; i++) {
        struct batch_row *row = &batch.rows[i];
        uint32_t encoder = (uint32_t)batch.encoder.id;
        bool stays = !row->is_forgotten && row->source.piece_count > 0;
        if (row->err != E_OK || is_whole_space(row))
            continue;
        if (!stays || row->source.space != row->queue.space)
            items[count++] =
                (struct vector_item){.space = {row->queue.space, encoder}, .id = row->queue.item};
        if (stays)
            items[count++] = (struct vector_item){.space = {row->source.space, encoder},
                                                  .id = row->queue.item,
                                                  .values = values_of(row),
                                                  .parts = (uint16_t)row->source.piece_count,
                                                  .dims = (uint16_t)batch.dims};
    }
    return count;
}

static bool has_vectors(const struct batch_row *row) {
    return row->err == E_OK && !row->is_forgotten && row->source.piece_count > 0;
}

static void digest_all(void) {
    struct db *db = pool_reader_open();
    for (size_t i = 0; i < batch.row_count && db != NULL; i++) {
        struct batch_row *row = &batch.rows[i];
        if (!has_vectors(row) || row->kind->pool_digest == NULL)
            continue;
        struct index_vectors vectors = {
            .space = {row->source.space, (uint32_t)batch.encoder.id},
            .item = row->queue.item,
            .values = values_of(row),
            .piece_count = row->source.piece_count,
            .dims = batch.dims,
        };
        row->kind->pool_digest(db, &vectors, &row->digest);
    }
    batch.err = db == NULL ? E_STORAGE : batch.err;
    pool_reader_close(db);
}

static void pool_store(void *ctx) {
    struct vector_item *items =
        ARENA_ARRAY(&batch.arena, struct vector_item, 2 * batch.row_count + 1);
    (void)ctx;
    batch.err = drop_spaces();
    size_t count = list_items(items);
    if (batch.err == E_OK && count > 0)
        batch.err = pool_vector_write(items, count, batch.seen);
    if (batch.err == E_OK)
        digest_all();
}

/* --- finish (writer) -------------------------------------------------------------------------- */

static int64_t backoff_ms(int64_t attempts) {
    int64_t steps = attempts < BACKOFF_STEPS ? attempts : BACKOFF_STEPS;
    return BACKOFF_FIRST_MS << (steps - 1);
}

static enum err put_off(struct tx *tx, const struct batch_row *row) {
    int64_t attempts = row->queue.attempts + 1;
    return queue_put_off(tx, row->queue.change, attempts, clock_now_ms() + backoff_ms(attempts));
}

static enum err finish_row(struct tx *tx, const struct batch_row *row) {
    if (row->err != E_OK)
        return put_off(tx, row);
    enum err err = E_OK;
    if (has_vectors(row) && row->kind->writer_vectors != NULL)
        err = row->kind->writer_vectors(tx, row->queue.item, (int)batch.encoder.slot, &row->digest);
    return err == E_OK ? queue_end(tx, row->queue.change) : err;
}

static enum err writer_finish(struct tx *tx, void *ctx) {
    enum err err = index_seen_store(tx, batch.seen);
    (void)ctx;
    if (err == E_OK && batch.encoder.dims == 0 && batch.dims > 0)
        err = encoder_set_dims(tx, batch.encoder.id, (int64_t)batch.dims);
    for (size_t i = 0; i < batch.row_count && err == E_OK; i++)
        err = finish_row(tx, &batch.rows[i]);
    return err;
}

/* The one row of the batch fails. */
static enum err writer_put_off(struct tx *tx, void *ctx) {
    (void)ctx;
    return put_off(tx, &batch.rows[0]);
}

/* --- the loop's part -------------------------------------------------------------------------- */

static struct encoder *encoder_of_batch(void) {
    struct encoder *encoder = &the_index.encoders[batch.place];
    return encoder->is_there && encoder->row.id == batch.encoder.id ? encoder : NULL;
}

static void end_batch(void) {
    free(batch.values);
    batch.values = NULL;
    arena_release(&batch.arena);
    batch.phase = PHASE_IDLE;
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
    if (batch.row_count > 1) {
        encoder->row_limit = 1;
        return end_batch();
    }
    if (err != E_INPUT)
        encoder_failed(encoder, err, retry_after_ms, detail);
    log_warn("index", "vectors of an item could not be made; it comes again",
             LF_STR("kind", batch.rows[0].queue.kind), LF_ID("item", batch.rows[0].queue.item),
             LF_INT("attempts", batch.rows[0].queue.attempts + 1), LF_Z("error", err_word(err)));
    batch.phase = PHASE_FINISH;
    store_write(writer_put_off, was_put_off, NULL);
}

static void on_finished(enum err err, void *ctx) {
    struct encoder *encoder = encoder_of_batch();
    (void)ctx;
    if (err != E_OK)
        return fail(err, 0, STR_NONE);
    metric_add(&embedded, (int64_t)batch.piece_count);
    metric_add(&finished, (int64_t)batch.row_count);
    metric_observe_us(&batch_time, clock_mono_us() - batch.began_us);
    if (encoder != NULL) {
        encoder->failures = 0;
        encoder->trouble[0] = '\0';
        encoder->pending -= (int64_t)batch.row_count;
        encoder->row_limit =
            encoder->row_limit * 2 > ROWS_LIMIT ? ROWS_LIMIT : encoder->row_limit * 2;
        if (encoder->row.dims == 0 && batch.dims > 0 && encoders_reload() != E_OK)
            log_error("index", "the encoders could not be read again");
    }
    end_batch();
}

static void on_stored(enum err err, void *ctx) {
    (void)ctx;
    if (the_index.is_stopped)
        return end_batch();
    if (err == E_OK)
        err = batch.err;
    if (err != E_OK) {
        forgets_go();
        return fail(err, 0, STR("The vectors could not be stored."));
    }
    the_index.seen = batch.seen;
    batch.phase = PHASE_FINISH;
    forgets_go();
    store_write(writer_finish, on_finished, NULL);
}

static void store(void) {
    batch.phase = PHASE_STORE;
    batch.seen = the_index.seen + 1;
    if (pool_run(&work, pool_store, on_stored, NULL, NULL) != E_OK)
        fail(E_STORAGE, 0, STR_NONE);
}

static void on_embedded(const struct embed_answer *answer, void *ctx) {
    (void)ctx;
    if (answer->err != E_OK) {
        batch.embed = NULL;
        return fail(answer->err, answer->retry_after_ms, answer->detail);
    }
    batch.values = embed_batch_take(batch.embed);
    batch.dims = answer->dims;
    batch.embed = NULL;
    if (batch.encoder.dims != 0 && batch.dims != (size_t)batch.encoder.dims)
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
        .texts = batch.pieces,
        .count = batch.piece_count,
        .call_texts = EMBED_BATCH_LIMIT,
        .tries = TRIES,
    };
    if (encoder_endpoint(&batch.arena, &encoder->row, &options.endpoint) != E_OK)
        return fail(E_DENIED, 0, STR("The key cannot be opened; enter it again."));
    batch.phase = PHASE_EMBED;
    batch.embed = embed_batch_start(&options, on_embedded, NULL);
    forgets_go();
}

static void mark_forgotten(const struct forget *forget);

static void on_loaded(enum err err, void *ctx) {
    struct encoder *encoder = encoder_of_batch();
    (void)ctx;
    if (encoder == NULL || the_index.is_draining || the_index.is_stopped)
        err = E_CANCELLED;
    if (err != E_OK || batch.err != E_OK)
        return fail(err != E_OK ? err : batch.err, 0, STR_NONE);
    LIST_EACH(&forgets, node)
    mark_forgotten(CONTAINER_OF(node, struct forget, node));
    encoder->next_at = batch.next_at;
    if (batch.counted >= 0) {
        encoder->pending = batch.counted;
        encoder->counted_at_us = clock_mono_us();
    }
    if (batch.place == ENCODER_ACTIVE)
        metric_set(&pending, encoder->pending);
    if (batch.row_count == 0) {
        encoder->has_work = false;
        encoder->row_limit = ROWS_LIMIT;
        rebuild_check(batch.place);
        return end_batch();
    }
    if (batch.piece_count > 0)
        embed(encoder);
    else
        store();
}

static void load(enum encoder_place at) {
    struct encoder *encoder = &the_index.encoders[at];
    bool is_builtin = encoder->port == &embed_builtin;
    memset(&batch, 0, sizeof batch);
    arena_init(&batch.arena);
    batch.phase = PHASE_LOAD;
    batch.place = at;
    batch.encoder = (struct encoder_row){
        .id = encoder->row.id, .dims = encoder->row.dims, .slot = encoder->row.slot};
    batch.row_limit = encoder->row_limit;
    batch.piece_limit = is_builtin ? BUILTIN_PIECES : REMOTE_PIECES;
    batch.began_us = clock_mono_us();
    batch.wants_count = encoder->counted_at_us == 0 ||
                        batch.began_us - encoder->counted_at_us > COUNT_EVERY_US ||
                        encoder->pending <= ROWS_LIMIT;
    if (pool_run(&work, pool_load, on_loaded, NULL, NULL) != E_OK)
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
    if (batch.phase != PHASE_IDLE || !the_index.has_vectors || the_index.is_draining ||
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
    if (batch.phase == PHASE_EMBED && batch.embed != NULL)
        embed_batch_cancel(batch.embed);
}

bool vectors_are_at(int64_t encoder_id) {
    return batch.phase != PHASE_IDLE && batch.encoder.id == encoder_id;
}

/* --- forgetting ------------------------------------------------------------------------------- */

static void mark_forgotten(const struct forget *forget) {
    for (size_t i = 0; i < batch.row_count; i++)
        for (size_t j = 0; j < forget->count; j++)
            if (batch.rows[i].queue.item == forget->items[j] &&
                batch.rows[i].source.space == forget->space)
                batch.rows[i].is_forgotten = true;
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
    if (batch.phase == PHASE_LOAD || batch.phase == PHASE_STORE)
        return;
    LIST_EACH_SAFE(&forgets, node) {
        struct forget *forget = CONTAINER_OF(node, struct forget, node);
        list_remove(&forget->node);
        if (batch.phase == PHASE_EMBED)
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
