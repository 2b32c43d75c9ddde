/*
 * A standing job, once an hour: characters that have been in the trash for 30 days are deleted for
 * good, with their words and documents.
 */
#include "character/sweep.h"

#include "base/clock.h"
#include "character/character_store.h"

#include "base/banned.h"

#define TRASH_MS       (INT64_C(30) * 24 * 3600 * 1000)
#define SWEEP_EVERY_MS (INT64_C(3600) * 1000)
#define SWEEP_ROWS     50 /* of one write: people who write meanwhile do not wait */

static enum err writer_sweep(struct tx *tx, void *ctx, bool *has_more) {
    (void)ctx;
    return character_store_sweep(tx, clock_now_ms() - TRASH_MS, SWEEP_ROWS, has_more);
}

static void run(struct job *job) {
    job_run_batches(job, writer_sweep, NULL, "the trash could not be emptied");
}

const struct job_kind character_jobs[] = {
    {.name = "trash.sweep",
     .run = run,
     .attempts_limit = 5,
     .lease_ms = 60000,
     .running_limit = 1,
     .every_ms = SWEEP_EVERY_MS},
    {0},
};
