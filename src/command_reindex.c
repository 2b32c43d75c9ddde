/*
 * `troupe reindex` makes all words and vectors again, from the truth in SQLite. Never needed for
 * correctness (a start heals what was lost); it is for whoever wants to be sure.
 *
 * It works on a data folder that no server owns. Beside a running server it refuses and says how to
 * ask that one: two processes must not both write to LMDB. What it began and did not finish, the
 * next server finishes; it may be run again at any time.
 */
#include "command_reindex.h"

#include "base/check.h"
#include "base/clock.h"
#include "fetch/fetch.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "loop/pool.h"
#include "model/index.h"
#include "model/index_change.h"
#include "model/index_store.h"
#include "store/store.h"

#include <math.h>
#include <stdio.h>

#include "base/banned.h"

#define LOOK_MS    100
#define SAY_EVERY  10    /* looks */
#define PATIENT_MS 90000 /* without any progress, an endpoint is down for long */

static struct {
    struct timer timer;
    int looks;
    int64_t words, vectors; /* that waited at the last change */
    int64_t changed_at_us;
    int code;
} run;

static void say(const struct index_progress *progress) {
    if (progress->words > 0)
        printf("%lld items wait for their words\n", (long long)progress->words);
    else if (progress->vectors > 0)
        printf("%lld items wait for their vectors%s%s\n", (long long)progress->vectors,
               progress->trouble[0] ? ": " : "", progress->trouble);
    fflush(stdout);
}

static void conclude(const struct index_progress *progress) {
    struct vector_stats stats = vector_stats();
    run.code = progress->vectors > 0 && progress->has_encoder ? 1 : 0;
    if (!progress->has_encoder)
        puts("done: words. There is no embedder, so nothing is found by meaning");
    else if (run.code == 0)
        printf("done: words, and %lld vectors of %lld items\n", (long long)stats.parts,
               (long long)stats.items);
    else
        printf("%lld items could not be embedded (%s); a running server goes on trying\n",
               (long long)progress->vectors,
               progress->trouble[0] ? progress->trouble : "refused by the embedder");
    loop_stop(0);
}

static void look(void *ctx) {
    struct index_progress progress = index_progress();
    int64_t now_us = clock_mono_us();
    (void)ctx;
    if (index_is_idle())
        return conclude(&progress);
    if (progress.words != run.words || progress.vectors != run.vectors) {
        run.words = progress.words;
        run.vectors = progress.vectors;
        run.changed_at_us = now_us;
    }
    if (now_us - run.changed_at_us > PATIENT_MS * INT64_C(1000))
        return conclude(&progress);
    if (run.looks++ % SAY_EVERY == 0)
        say(&progress);
    timer_start(&run.timer, LOOK_MS, look, NULL);
}

static void on_asked(enum err err, void *ctx) {
    (void)ctx;
    if (err == E_OK)
        return timer_start(&run.timer, 0, look, NULL);
    fputs("troupe: the database could not be written to\n", stderr);
    loop_stop(0);
}

static void begin(void *ctx) {
    (void)ctx;
    run.changed_at_us = clock_mono_us();
    if (index_reindex(on_asked, NULL) != E_OK)
        on_asked(E_BUSY, NULL);
}

static void on_drain(void *ctx) {
    (void)ctx;
    timer_stop(&run.timer);
    index_drain();
}

static void work(void) {
    if (store_open_vectors() != E_OK || index_start(app_index_kinds) != E_OK)
        return;
    index_begin(true);
    loop_on_drain(on_drain, NULL);
    loop_catch_signals(0, NULL, NULL);
    timer_start(&run.timer, 0, begin, NULL);
    loop_run();
    index_stop();
    fetch_release();
}

int command_reindex(const struct command *command, const struct app_options *options) {
    (void)command;
    run.code = 1;
    if (!app_configure(options))
        return 1;
    loop_init();
    mailbox_init();
    pool_init(0);
    if (app_open(options) != E_OK)
        return 1;
    if (store_is_owner())
        work();
    else
        fputs("troupe: a server runs on this data folder: ask it with POST "
              "/api/v1/admin/embedder/reindex, or stop it first\n",
              stderr);
    pool_release();
    app_close();
    mailbox_release();
    loop_release();
    return run.code;
}

/* --- what is there, for tests ----------------------------------------------------------------- */

/* FNV-1a over the values, rounded to what int8 keeps. */
static uint64_t digest_of(const float *values, size_t count) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ (uint64_t)(int64_t)lrintf(values[i] * 1000)) * UINT64_C(0x100000001b3);
    return hash;
}

static void print_item(const struct index_place *place, const struct encoder_row *encoder,
                       float *values) {
    uint16_t parts = 0;
    struct vector_space space = {place->space, (uint32_t)encoder->id};
    if (pool_vector_get(space, place->item, (size_t)encoder->dims, values, VECTOR_PARTS_LIMIT,
                        &parts) == E_OK &&
        parts > 0)
        printf("{\"item\":%lld,\"parts\":%u,\"digest\":\"%016llx\"}\n", (long long)place->item,
               parts, (unsigned long long)digest_of(values, (size_t)parts * (size_t)encoder->dims));
}

static void print_kind(const struct index_kind *kind, const struct encoder_row *encoder,
                       float *values) {
    struct index_place places[200];
    size_t count = 0;
    int64_t after = 0;
    do {
        count = 0;
        if (kind->list(store_reader(), after, COUNT_OF(places), places, &count) != E_OK)
            return;
        for (size_t i = 0; i < count; i++)
            print_item(&places[i], encoder, values);
        after = count > 0 ? places[count - 1].item : 0;
    } while (count == COUNT_OF(places));
}

int command_test_vectors(const struct command *command, const struct app_options *options) {
    struct encoder_row encoder = {0};
    struct arena arena;
    (void)command;
    if (!app_configure(options) || app_open(options) != E_OK)
        return 1;
    arena_init(&arena);
    enum err err = store_is_owner() ? store_open_vectors() : E_BUSY;
    if (err == E_OK)
        err = encoder_load(store_reader(), &arena, STR("active"), &encoder);
    if (err == E_OK && encoder.dims > 0) {
        float *values =
            arena_alloc(&arena, (size_t)encoder.dims * VECTOR_PARTS_LIMIT * sizeof *values);
        for (size_t i = 0; app_index_kinds[i] != NULL; i++)
            print_kind(app_index_kinds[i], &encoder, values);
    }
    struct vector_stats stats = vector_stats();
    printf("{\"items\":%lld,\"parts\":%lld}\n", (long long)stats.items, (long long)stats.parts);
    arena_release(&arena);
    app_close();
    return err == E_OK ? 0 : 1;
}
