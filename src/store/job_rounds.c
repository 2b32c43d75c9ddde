/*
 * One round is one write, and the next is asked for when the commit is on disk: what a job that dies
 * has done is done, and a round that fails leaves nothing behind.
 */
#include "store/job.h"

#include "base/banned.h"

struct rounds {
    struct job *job;
    job_round_fn round;
    void *ctx;
    const char *reason; /* for a person, when it fails */
    bool has_more;
};

static enum err writer_round(struct tx *tx, void *ctx) {
    struct rounds *rounds = ctx;
    rounds->has_more = false;
    return rounds->round(tx, rounds->ctx, &rounds->has_more);
}

static void on_round(enum err err, void *ctx) {
    struct rounds *rounds = ctx;
    if (err == E_OK && rounds->has_more && rounds->job->is_cancelled)
        err = E_CANCELLED;
    if (err == E_OK && rounds->has_more)
        return store_write(writer_round, on_round, rounds);
    job_finish(rounds->job, err, rounds->reason);
}

void job_run_rounds(struct job *job, job_round_fn round, void *ctx, const char *reason) {
    struct rounds *rounds = ARENA_NEW(&job->arena, struct rounds);
    *rounds = (struct rounds){.job = job, .round = round, .ctx = ctx, .reason = reason};
    store_write(writer_round, on_round, rounds);
}
