/*
 * One batch is one write, and the next is asked for when the commit is on disk: what a job that dies
 * has done is done, and a batch that fails leaves nothing behind.
 */
#include "store/job.h"

#include "base/banned.h"

struct batches {
    struct job *job;
    job_batch_fn batch;
    void *ctx;
    const char *reason; /* for a person, when it fails */
    bool has_more;
};

static enum err writer_batch(struct tx *tx, void *ctx) {
    struct batches *batches = ctx;
    batches->has_more = false;
    return batches->batch(tx, batches->ctx, &batches->has_more);
}

static void on_batch(enum err err, void *ctx) {
    struct batches *batches = ctx;
    if (err == E_OK && batches->has_more && batches->job->is_cancelled)
        err = E_CANCELLED;
    if (err == E_OK && batches->has_more)
        return store_write(writer_batch, on_batch, batches);
    job_finish(batches->job, err, batches->reason);
}

void job_run_batches(struct job *job, job_batch_fn batch, void *ctx, const char *reason) {
    struct batches *batches = ARENA_NEW(&job->arena, struct batches);
    *batches = (struct batches){.job = job, .batch = batch, .ctx = ctx, .reason = reason};
    store_write(writer_batch, on_batch, batches);
}
