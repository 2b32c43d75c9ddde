/*
 * A standing job, once an hour: what has been in the trash for 30 days is deleted for good, a few
 * hundred rows a transaction, so that people who write meanwhile do not wait.
 */
#include "conversation/sweep.h"

#include "base/clock.h"
#include "conversation/conversation_store.h"

#include "base/banned.h"

#define SWEEP_EVERY_MS ((int64_t)3600 * 1000)

static enum err writer_sweep(struct tx *tx, void *ctx, bool *has_more) {
    (void)ctx;
    return conversation_sweep(tx, clock_now_ms() - CONVERSATION_TRASH_MS, has_more);
}

static void run(struct job *job) {
    job_run_batches(job, writer_sweep, NULL, "the trash could not be emptied");
}

const struct job_kind conversation_jobs[] = {
    {.name = "conversation.sweep",
     .run = run,
     .attempts_limit = 5,
     .lease_ms = 60000,
     .running_limit = 1,
     .every_ms = SWEEP_EVERY_MS},
    {0},
};
