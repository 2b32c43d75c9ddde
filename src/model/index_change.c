/*
 * Changing the encoder. The chosen one is built beside the one in use: everything is listed for it
 * (index_rebuild.c), made by batches like others (index_vectors.c), and searches use the old one
 * until the last row. When there is none in use, the chosen one is in use at once.
 *
 * An encoder that goes, because another took over or its building was given up, is retired. Its
 * rows and its vectors go RETIRE_AFTER_MS later, when no question that was embedded by it is on its
 * way, and then the files are compacted. Each step is repeatable, so a death in between is not
 * noticed.
 *
 * The job "index.rebuild" shows the progress of a change and can cancel it; the work itself is in
 * the tables, so the job only looks.
 */
#include "model/index_change.h"

#include "model/index_inside.h"

#include "base/clock.h"
#include "base/log.h"
#include "loop/loop.h"
#include "loop/pool.h"

#include <string.h>

#include "base/banned.h"

#define CLEAR_LIMIT      500 /* rows of one write */
#define RETRY_MS         5000
#define RETIRE_AFTER_MS  5000
#define COMPACT_AFTER_MS 10000 /* what is forgotten together is compacted together */
#define SHOW_EVERY_MS    1000
#define JOB_ATTEMPTS     1000 /* each crash counts as one; the work itself is in the tables */

static struct pool_kind work = {.name = "index.files", .running_limit = 1, .queue_limit = 16};

/* The encoder that is being taken away. */
static struct {
    bool is_running;
    int64_t id, cleared;
    enum err err;
    struct timer timer;
} going;

static struct timer show_timer;

/* Ends the job that shows the change, if there is one. */
static void end_job(enum err err, const char *reason) {
    if (the_index.job != NULL)
        job_finish(the_index.job, err, reason);
    the_index.job = NULL;
}

void change_is_over(void) {
    end_job(E_OK, NULL);
    retire_later(RETIRE_AFTER_MS);
}

/* --- changing the encoder --------------------------------------------------------------------- */

static struct {
    bool is_running;
    store_done_fn done;
    void *ctx;
    struct encoder_row row; /* to be; key sealed */
    bool has_key;
} change;

static bool is_same(const struct encoder_row *a, const struct encoder_row *b) {
    return str_eq(a->provider, b->provider) && str_eq(a->base_url, b->base_url) &&
           str_eq(a->model, b->model);
}

static enum err retire_building(struct tx *tx) {
    struct encoder_row building;
    struct arena arena;
    arena_init(&arena);
    enum err err = encoder_load(tx_db(tx), &arena, STR("building"), &building);
    if (err == E_OK)
        err = encoder_set_state(tx, building.id, STR("retired"));
    if (err == E_OK)
        err = rebuild_delete(tx, building.id);
    arena_release(&arena);
    return err == E_ABSENT ? E_OK : err;
}

/* Only its key is new, and perhaps the width, when its vectors had come to be refused. */
static enum err renew(struct tx *tx, const struct encoder_row *active) {
    enum err err = change.has_key ? encoder_set_key(tx, active->id, change.row.key_sealed) : E_OK;
    return err;
}

static enum err add(struct tx *tx, const struct encoder_row *active) {
    bool has_active = active != NULL && !str_eq(active->provider, STR("none"));
    bool is_none = str_eq(change.row.provider, STR("none"));
    enum err err = E_OK;
    change.row.slot = has_active ? 1 - active->slot : 0;
    change.row.state = has_active && !is_none ? STR("building") : STR("active");
    if (active != NULL && str_eq(change.row.state, STR("active")))
        err = encoder_set_state(tx, active->id, STR("retired"));
    if (err == E_OK)
        err = encoder_insert(tx, &change.row);
    if (err != E_OK || is_none)
        return err;
    struct rebuild_row rebuild = {.encoder = change.row.id, .kind = STR("")};
    err = rebuild_put(tx, &rebuild);
    if (err == E_OK && has_active)
        err = job_add(tx, "index.rebuild", 0, STR_NONE, 0, NULL);
    return err;
}

static enum err writer_change(struct tx *tx, void *ctx) {
    struct encoder_row active;
    struct arena arena;
    (void)ctx;
    arena_init(&arena);
    enum err err = retire_building(tx), found = E_OK;
    if (err == E_OK)
        found = encoder_load(tx_db(tx), &arena, STR("active"), &active);
    if (err == E_OK && found != E_OK && found != E_ABSENT)
        err = found;
    bool has_same_width = found == E_OK && (active.dims == 0 || change.row.dims == 0 ||
                                            active.dims == change.row.dims);
    if (err == E_OK)
        err = found == E_OK && is_same(&active, &change.row) && has_same_width
                  ? renew(tx, &active)
                  : add(tx, found == E_OK ? &active : NULL);
    arena_release(&arena);
    return err;
}

static void on_changed(enum err err, void *ctx) {
    (void)ctx;
    store_done_fn done = change.done;
    change.is_running = false;
    if (!the_index.is_stopped && err == E_OK) {
        end_job(E_CANCELLED, "the change was called off, or another embedder was chosen");
        index_reload();
        for (int at = 0; at < ENCODER_PLACES; at++) { /* what failed may work now */
            the_index.encoders[at].failures = 0;
            the_index.encoders[at].rests_until_us = 0;
        }
        rebuild_go();
        vectors_go();
        retire_later(RETIRE_AFTER_MS);
    }
    if (done != NULL)
        done(err, change.ctx);
}

enum err index_change(const struct encoder_row *row, bool has_key, store_done_fn done, void *ctx) {
    if (change.is_running)
        return E_BUSY;
    change.is_running = true;
    change.done = done;
    change.ctx = ctx;
    change.row = *row;
    change.has_key = has_key;
    store_write(writer_change, on_changed, NULL);
    return E_OK;
}

static enum err writer_cancel(struct tx *tx, void *ctx) {
    (void)ctx;
    return retire_building(tx);
}

enum err index_cancel_change(store_done_fn done, void *ctx) {
    if (change.is_running)
        return E_BUSY;
    change.is_running = true;
    change.done = done;
    change.ctx = ctx;
    store_write(writer_cancel, on_changed, NULL);
    return E_OK;
}

/* --- encoders that go ------------------------------------------------------------------------- */

static void retire(void *ctx);

static void on_deleted(enum err err, void *ctx) {
    (void)ctx;
    going.is_running = false;
    if (!the_index.is_stopped)
        retire_later(err == E_OK ? 0 : RETRY_MS);
}

static enum err writer_delete(struct tx *tx, void *ctx) {
    (void)ctx;
    enum err err = rebuild_delete(tx, going.id);
    if (err == E_OK)
        err = encoder_delete(tx, going.id);
    return err == E_OK ? compaction_ask(tx) : err;
}

static void pool_drop(void *ctx) {
    (void)ctx;
    going.err = pool_vector_drop((struct vector_space){0, (uint32_t)going.id});
}

static void on_dropped(enum err err, void *ctx) {
    (void)ctx;
    if (the_index.is_stopped)
        return;
    if (err == E_OK && going.err == E_OK)
        return store_write(writer_delete, on_deleted, NULL);
    going.is_running = false;
    retire_later(RETRY_MS);
}

static enum err writer_clear(struct tx *tx, void *ctx) {
    (void)ctx;
    return queue_clear_encoder(tx, going.id, CLEAR_LIMIT, &going.cleared);
}

static void on_cleared(enum err err, void *ctx) {
    (void)ctx;
    if (the_index.is_stopped)
        return;
    if (err == E_OK && going.cleared == CLEAR_LIMIT)
        return store_write(writer_clear, on_cleared, NULL);
    if (err == E_OK && pool_run(&work, pool_drop, on_dropped, NULL, NULL) == E_OK)
        return;
    going.is_running = false;
    retire_later(RETRY_MS);
}

static void retire(void *ctx) {
    struct encoder_row row;
    struct arena arena;
    (void)ctx;
    if (going.is_running || !the_index.has_vectors || the_index.is_draining || the_index.is_stopped)
        return;
    arena_init(&arena);
    enum err err = encoder_load(store_reader(), &arena, STR("retired"), &row);
    arena_release(&arena);
    if (err != E_OK)
        return;
    if (vectors_are_at(row.id)) /* its last batch would put vectors back */
        return retire_later(RETRY_MS);
    going.is_running = true;
    going.id = row.id;
    store_write(writer_clear, on_cleared, NULL);
}

void retire_later(int64_t after_ms) {
    timer_start(&going.timer, after_ms, retire, NULL);
}

/* --- jobs ------------------------------------------------------------------------------------- */

static void show(void *ctx) {
    int64_t done, total;
    (void)ctx;
    if (the_index.job == NULL)
        return;
    if (the_index.job->is_cancelled && !the_index.is_draining) {
        if (index_cancel_change(NULL, NULL) != E_OK)
            timer_start(&show_timer, SHOW_EVERY_MS, show, NULL);
        return;
    }
    rebuild_progress(&done, &total);
    job_progress(the_index.job, done, total);
    timer_start(&show_timer, SHOW_EVERY_MS, show, NULL);
}

static void run_rebuild(struct job *job) {
    if (!the_index.encoders[ENCODER_BUILDING].is_there || the_index.job != NULL)
        return job_finish(job, E_OK, NULL);
    the_index.job = job;
    show(NULL);
}

static enum err compacted;

static void pool_compact(void *ctx) {
    (void)ctx;
    compacted = pool_vector_compact();
}

static void on_compacted(enum err err, void *ctx) {
    job_finish(ctx, err != E_OK ? err : compacted, "the vectors could not be rewritten");
}

static void run_compact(struct job *job) {
    if (!the_index.has_vectors || pool_run(&work, pool_compact, on_compacted, job, NULL) != E_OK)
        job_finish(job, E_BUSY, "the vectors are not open");
}

enum err compaction_ask(struct tx *tx) {
    if (compaction_is_queued(tx_db(tx)))
        return E_OK;
    return job_add(tx, "index.compact", 0, STR_NONE, clock_now_ms() + COMPACT_AFTER_MS, NULL);
}

void change_stop(void) {
    timer_stop(&going.timer);
    timer_stop(&show_timer);
    end_job(E_CANCELLED, NULL); /* it comes again at the next start */
}

const struct job_kind index_jobs[] = {
    {.name = "index.rebuild",
     .run = run_rebuild,
     .attempts_limit = JOB_ATTEMPTS,
     .lease_ms = 60000,
     .running_limit = 1},
    {.name = "index.compact",
     .run = run_compact,
     .attempts_limit = 20,
     .lease_ms = 60000,
     .running_limit = 1},
    {0},
};
