/*
 * How far a job has come, and what becomes of it when it has ended: done, given up, cancelled, or
 * back in the queue for later.
 *
 * What fails comes again after 2 s, 4 s ... an hour, when its error is one that may pass; a standing
 * job comes again whatever happened. What a drain cancels goes back into the queue as if it had never
 * been taken; what a person cancels does not come again.
 *
 * The end of a job is on disk before anybody is told of it. Jobs that are long over are swept a few
 * at a time by those that end.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "store/job_inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define BACKOFF_FIRST_MS  2000
#define BACKOFF_LIMIT_MS  3600000
#define PROGRESS_EVERY_MS 250 /* more often no eye can follow */
#define OVER_KEPT_MS      (24 * 3600 * 1000LL)
#define DEAD_KEPT_MS      (30 * OVER_KEPT_MS) /* as long as trash: time to look and try again */

METRIC_COUNTER(jobs_done, "troupe_jobs_done_total", "Durable jobs that ended well.");
METRIC_COUNTER(jobs_retried, "troupe_jobs_retried_total",
               "Durable jobs that failed and come again.");
METRIC_COUNTER(jobs_dead, "troupe_jobs_dead_total", "Durable jobs given up.");

/* --- progress --------------------------------------------------------------------------------- */

struct progress {
    int64_t id, done, total, until_ms;
};

static enum err store_progress(struct tx *tx, void *ctx) {
    struct progress *progress = ctx;
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "UPDATE job SET progress = :done, total = :total, lease_until = :until, updated_at = :now "
        "WHERE id = :id AND state = 'running'");
    bind_int(s, ":done", progress->done);
    bind_int(s, ":total", progress->total);
    bind_time(s, ":until", progress->until_ms);
    bind_time(s, ":now", clock_now_ms());
    bind_id(s, ":id", progress->id);
    return stmt_run(s);
}

static void progress_stored(enum err err, void *ctx) {
    (void)err; /* the next one says the same again */
    free(ctx);
}

static void tell_person(const struct run *run, const char *state) {
    job_tell(&(struct job_event){.id = run->job.id,
                                 .user_id = run->job.user_id,
                                 .kind = run->job.kind->name,
                                 .state = state,
                                 .done = run->done,
                                 .total = run->total,
                                 .reason = run->reason});
}

void job_progress(struct job *job, int64_t done, int64_t total) {
    struct run *run = job_run_of(job);
    int64_t now_ms = clock_now_ms();
    BUG_IF(run->has_ended);
    run->done = done;
    run->total = total;
    if (now_ms - run->progress_at_ms < PROGRESS_EVERY_MS && done != total)
        return;
    run->progress_at_ms = now_ms;
    tell_person(run, "running");
    struct progress *progress = malloc(sizeof(*progress));
    if (progress == NULL)
        BUG("out of memory");
    *progress = (struct progress){job->id, done, total, now_ms + job_lease_ms(job->kind)};
    store_write(store_progress, progress_stored, progress);
}

/* --- the end ------------------------------------------------------------------------- */

/* Up to an eighth more, so that what failed together does not come again together. */
static int64_t jitter_ms(int64_t delay_ms) {
    if (jobs.seed == 0)
        return 0;
    jobs.seed ^= jobs.seed << 13; /* xorshift64 */
    jobs.seed ^= jobs.seed >> 7;
    jobs.seed ^= jobs.seed << 17;
    return (int64_t)(jobs.seed % (uint64_t)(delay_ms / 8 + 1));
}

static int64_t backoff_ms(int attempt) {
    int64_t delay_ms = BACKOFF_FIRST_MS;
    while (--attempt > 0 && delay_ms < BACKOFF_LIMIT_MS)
        delay_ms *= 2;
    return (delay_ms < BACKOFF_LIMIT_MS ? delay_ms : BACKOFF_LIMIT_MS) + jitter_ms(delay_ms);
}

static void comes_again(struct run *run, int64_t after_ms, int attempts) {
    run->state = "queued";
    run->run_at_ms = clock_now_ms() + after_ms;
    run->attempts = attempts;
}

/* What becomes of the row. */
static void judge(struct run *run) {
    const struct job_kind *kind = run->job.kind;
    bool is_cancelled = run->err == E_CANCELLED || (run->is_unwanted && run->err != E_OK);
    run->attempts = run->job.attempt;
    if (is_cancelled && jobs.is_draining && !run->is_unwanted)
        comes_again(run, 0, run->job.attempt - 1);
    else if (!is_cancelled && err_is_retryable(run->err) &&
             run->job.attempt < job_attempts_limit(kind))
        comes_again(run, backoff_ms(run->job.attempt), run->job.attempt);
    else if (kind->every_ms != 0)
        comes_again(run, kind->every_ms, 0);
    else
        run->state = run->err == E_OK ? "done" : is_cancelled ? "cancelled" : "dead";
}

static enum err sweep_over(struct tx *tx) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "DELETE FROM job WHERE id IN (SELECT id FROM job WHERE state IN ('done', 'cancelled') "
        "AND updated_at < :before ORDER BY updated_at LIMIT 4)");
    bind_time(s, ":before", clock_now_ms() - OVER_KEPT_MS);
    enum err err = stmt_run(s);
    if (err != E_OK)
        return err;
    s = DB_SQL(tx_db(tx), "DELETE FROM job WHERE id IN (SELECT id FROM job WHERE state = 'dead' "
                          "AND updated_at < :before ORDER BY updated_at LIMIT 4)");
    bind_time(s, ":before", clock_now_ms() - DEAD_KEPT_MS);
    return stmt_run(s);
}

static enum err store_end(struct tx *tx, void *ctx) {
    struct run *run = ctx;
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "UPDATE job SET state = :state, run_at = coalesce(:run_at, run_at), lease_until = NULL, "
        "attempts = :attempts, reason = :reason, updated_at = :now, "
        "progress = CASE WHEN :state = 'done' THEN total ELSE progress END WHERE id = :id");
    bind_str(s, ":state", str_from(run->state));
    bind_time(s, ":run_at", run->run_at_ms);
    bind_int(s, ":attempts", run->attempts);
    bind_str(s, ":reason", str_from(run->reason));
    bind_time(s, ":now", clock_now_ms());
    bind_id(s, ":id", run->job.id);
    enum err err = stmt_run(s);
    return err == E_OK ? sweep_over(tx) : err;
}

/* When the write failed the row still says "running": the lease brings it back. */
static void end_stored(enum err err, void *ctx) {
    struct run *run = ctx;
    if (err == E_OK && run->run_at_ms != 0)
        job_wait_until(run->run_at_ms);
    if (err == E_OK)
        tell_person(run, run->state);
    run->kind->running--;
    job_run_drop(run);
    loop_let_go();
    job_look();
}

static void tell_end(const struct run *run) {
    bool is_dead = strcmp(run->state, "dead") == 0;
    if (run->err == E_OK) {
        metric_add(&jobs_done, 1);
        return;
    }
    if (strcmp(run->state, "cancelled") != 0)
        metric_add(is_dead ? &jobs_dead : &jobs_retried, 1);
    LOG_AT(is_dead ? LOG_ERROR : LOG_INFO, "job",
           is_dead ? "job was given up" : "job did not succeed", LF_ID("job", run->job.id),
           LF_Z("kind", run->job.kind->name), LF_INT("attempt", run->job.attempt),
           LF_Z("error", err_word(run->err)), LF_Z("state", run->state));
}

void job_tell_buried(const struct run *run) {
    metric_add(&jobs_dead, 1);
    log_error("job", "job was given up", LF_ID("job", run->job.id),
              LF_Z("kind", run->job.kind->name), LF_INT("attempt", run->job.attempt - 1),
              LF_Z("error", run->reason), LF_Z("state", run->state));
    tell_person(run, run->state);
}

void job_finish(struct job *job, enum err err, const char *reason) {
    struct run *run = job_run_of(job);
    BUG_IF(run->has_ended);
    run->has_ended = true;
    run->err = err;
    if (err != E_OK)
        run->reason = str_dup_z(&job->arena, str_from(reason != NULL ? reason : err_word(err)));
    judge(run);
    tell_end(run);
    store_write(store_end, end_stored, run);
}
