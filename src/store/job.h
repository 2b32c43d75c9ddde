/*
 * Durable jobs: a row, a lease, retries with growing delay, progress, dead letters. What must
 * happen after a crash too is a job.
 *
 * A kind is a row in a table of its feature, listed by app.c. run() starts on the loop thread and
 * reports by job_finish(), exactly once, later; a job whose process died is taken again when its
 * lease ends. Kinds must therefore be repeatable.
 */
#pragma once

#include "base/json.h"
#include "store/store.h"

struct job {
    int64_t id;
    const struct job_kind *kind;
    struct str payload; /* JSON text */
    int attempt;        /* 1 for the first */
    bool is_cancelled;  /* somebody asked it to stop: finish soon with E_CANCELLED */
    struct arena arena; /* lives until job_finish */
};

struct job_kind {
    const char *name; /* "trash.sweep"; a key in the table */
    void (*run)(struct job *job);
    int attempts_limit; /* then it is a dead letter */
    int64_t lease_ms;   /* renewed by job_progress */
    int running_limit;  /* of this kind at once */
    int64_t every_ms;   /* not 0: a standing job, run again this long after it finished */
};

void job_start(const struct job_kind *const *tables, int64_t owner_seed);
void job_drain(void); /* takes no more; what runs is cancelled politely */
/* Inside a write: the job exists exactly when the transaction does. run_at_ms 0 is now. */
MUST_USE enum err job_add(struct tx *tx, const char *kind, int64_t user_id, struct str payload,
                          int64_t run_at_ms, int64_t *job_id);
void job_progress(struct job *job, int64_t done, int64_t total);
/* E_OK: done. Retryable errors come again with backoff (2 s doubling to 1 h); others are dead
 * letters with `reason`. */
void job_finish(struct job *job, enum err err, const char *reason);
/* Marks a queued or running job cancelled. done: E_ABSENT, E_CONFLICT when it is over already,
 * E_DENIED for a standing job. */
void job_cancel(int64_t job_id, store_done_fn done, void *ctx);
