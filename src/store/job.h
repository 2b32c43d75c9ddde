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
    int64_t user_id; /* for whom; 0: the house */
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
/* The same for work on one thing, by its id: of a kind, one such job runs at a time, and the others
 * wait in line, after a death of the process too. One with the same payload that is due and has not
 * begun yet does for both: then *job_id is that one's, and nothing is added. */
MUST_USE enum err job_add_for(struct tx *tx, const char *kind, int64_t user_id, int64_t works_on,
                              struct str payload, int64_t run_at_ms, int64_t *job_id);
void job_progress(struct job *job, int64_t done, int64_t total);
/* E_OK: done. Retryable errors come again with backoff (2 s doubling to 1 h); others are dead
 * letters with `reason`. */
void job_finish(struct job *job, enum err err, const char *reason);
/*
 * Work for many writes (job_batches.c): batch() runs in one write after another until it leaves
 * *has_more false (as it is before each), then the job is finished; so those who write meanwhile wait
 * for one batch only. An error, with `reason`, and a cancel end it between two batches; what was done
 * stays. `ctx` lives as long as the job, in its arena for one. Loop; batch() on the writer thread.
 */
typedef enum err (*job_batch_fn)(struct tx *tx, void *ctx, bool *has_more);
void job_run_batches(struct job *job, job_batch_fn batch, void *ctx, const char *reason);

/* What a person sees of a job, as it moves and when it ends. */
struct job_event {
    int64_t id, user_id;
    const char *kind, *state; /* "running", "queued", "done", "dead", "cancelled" */
    int64_t done, total;
    const char *reason; /* of a failure; NULL */
};
/* Set once by app.c: told on the loop of every move of a job that is somebody's, at most four times
 * a second, and of its end after that is on disk. */
void job_on_event(void (*tell)(const struct job_event *event));

/* A row as it lies. */
struct job_row {
    int64_t id, user_id;
    struct str kind, state, reason;
    int64_t run_at_ms, attempts, progress, total, created_at, updated_at;
    bool is_cancelled, is_standing;
};
/* Newest first, before `before_id` (0: from the end). state and kind STR_NONE, user_id 0: all. */
MUST_USE enum err job_list(struct db *db, struct arena *arena, int64_t before_id, int64_t user_id,
                           struct str state, struct str kind, size_t limit, struct job_row **items,
                           size_t *count);
bool job_kind_is_standing(struct str name);
MUST_USE enum err job_load(struct db *db, struct arena *arena, int64_t id, struct job_row *job);
/* Inside a write: a dead, cancelled or waiting job is to run now, as if for the first time.
 * E_ABSENT; E_CONFLICT when it runs or is done. */
MUST_USE enum err job_retry(struct tx *tx, int64_t id);

/* Marks a queued or running job cancelled. done: E_ABSENT, E_CONFLICT when it is over already,
 * E_DENIED for a standing job. */
void job_cancel(int64_t job_id, store_done_fn done, void *ctx);
