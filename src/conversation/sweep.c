/*
 * A standing job, once an hour: what has been in the trash for 30 days is deleted for good, a few
 * hundred rows a transaction, so that people who write meanwhile do not wait.
 */
#include "conversation/sweep.h"

#include "base/clock.h"
#include "conversation/conversation_store.h"

#include <stdlib.h>

#include "base/banned.h"

#define SWEEP_EVERY_MS ((int64_t)3600 * 1000)

struct sweep {
    struct job *job;
    bool has_more;
};

static enum err writer_sweep(struct tx *tx, void *ctx) {
    struct sweep *sweep = ctx;
    return conversation_sweep(tx, clock_now_ms() - CONVERSATION_TRASH_MS, &sweep->has_more);
}

static void on_swept(enum err err, void *ctx) {
    struct sweep *sweep = ctx;
    if (err == E_OK && sweep->has_more && !sweep->job->is_cancelled)
        return store_write(writer_sweep, on_swept, sweep);
    job_finish(sweep->job, err, "the trash could not be emptied");
}

static void run(struct job *job) {
    struct sweep *sweep = ARENA_NEW(&job->arena, struct sweep);
    sweep->job = job;
    store_write(writer_sweep, on_swept, sweep);
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
