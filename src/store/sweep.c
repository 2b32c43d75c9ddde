/*
 * A standing job, four times a day: blobs that nobody refers to go. A picture that was replaced, a
 * character that was deleted for good, an import that failed half-way leave their bytes behind, and
 * since equal bytes are one blob, no row may remove what another may still need.
 *
 * Shelf by shelf: the pool lists what was not put lately, the loop asks the features for each
 * whether it is theirs, the pool removes the rest. A blob is always put before the row that refers
 * to it is committed; the grace period covers that gap and every clock that is a little wrong. Who
 * puts the same bytes again makes them new, and the port refuses to remove what is new.
 */
#include "store/sweep.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "loop/pool.h"
#include "store/blob.h"

#include <string.h>

#include "base/banned.h"

#define GRACE_MS       ((int64_t)24 * 3600 * 1000)
#define SWEEP_EVERY_MS ((int64_t)6 * 3600 * 1000)
#define KEYS_AT_ONCE   512 /* of one shelf; the others wait for the next sweep */

struct sweep {
    struct job *job;
    int64_t before_ms;
    int shelf;
    enum err err;
    int64_t removed;
    size_t count;
    char keys[KEYS_AT_ONCE][BLOB_KEY_LEN];
};

static const blob_used_fn *askers;
static struct pool_kind sweep_kind = {.name = "sweep", .running_limit = 1, .queue_limit = 4};

void blob_sweep_ask(const blob_used_fn *functions) {
    askers = functions;
}

bool blob_is_used(struct str key) {
    for (const blob_used_fn *asker = askers; *asker != NULL; asker++)
        if ((*asker)(store_reader(), key))
            return true;
    return false;
}

static void note_old(const struct blob_info *info, void *ctx) {
    struct sweep *sweep = ctx;
    if (info->put_at_ms < sweep->before_ms && sweep->count < KEYS_AT_ONCE)
        memcpy(sweep->keys[sweep->count++], info->key.at, BLOB_KEY_LEN);
}

/* What was judged on the last shelf goes, then the next shelf that holds anything old is read. */
static void pool_step(void *ctx) {
    struct sweep *sweep = ctx;
    for (size_t i = 0; i < sweep->count; i++)
        if (blob_port()->pool_remove(str_of(sweep->keys[i], BLOB_KEY_LEN), sweep->before_ms) ==
            E_OK)
            sweep->removed++;
    sweep->count = 0;
    while (sweep->err == E_OK && sweep->count == 0 && sweep->shelf < BLOB_SHELVES)
        sweep->err = blob_port()->pool_each(sweep->shelf++, note_old, sweep);
}

static void step(struct sweep *sweep);

static void finish(struct sweep *sweep, enum err err) {
    if (sweep->removed > 0)
        log_info("store", "blobs that nobody referred to were removed",
                 LF_INT("count", sweep->removed));
    job_finish(sweep->job, err, "unused pictures could not be removed");
}

static void on_step(enum err err, void *ctx) {
    struct sweep *sweep = ctx;
    if (err == E_OK)
        err = sweep->job->is_cancelled ? E_CANCELLED : sweep->err;
    if (err != E_OK || sweep->count == 0) /* nothing is left on any shelf */
        return finish(sweep, err);
    size_t unused = 0;
    for (size_t i = 0; i < sweep->count; i++)
        if (!blob_is_used(str_of(sweep->keys[i], BLOB_KEY_LEN)))
            memmove(sweep->keys[unused++], sweep->keys[i], BLOB_KEY_LEN);
    sweep->count = unused;
    step(sweep);
}

static void step(struct sweep *sweep) {
    if (pool_run(&sweep_kind, pool_step, on_step, sweep, NULL) != E_OK)
        finish(sweep, E_BUSY);
}

static void run(struct job *job) {
    BUG_IF(askers == NULL);
    struct sweep *sweep = ARENA_NEW(&job->arena, struct sweep);
    sweep->job = job;
    sweep->before_ms = clock_now_ms() - GRACE_MS;
    step(sweep);
}

const struct job_kind blob_jobs[] = {
    {.name = "blob.sweep",
     .run = run,
     .attempts_limit = 5,
     .lease_ms = 600000,
     .running_limit = 1,
     .every_ms = SWEEP_EVERY_MS},
    {0},
};
