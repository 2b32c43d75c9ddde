/*
 * Durable jobs: rows in the table `job`, run on the loop.
 *
 * There is no polling. The next moment at which anything is due is known from the last look at the
 * table; a timer waits for it. A look happens when the timer fires, when job_add() says that
 * something came, and when a job ends (its place is free). A look is one write: give back what lost
 * its lease, then for every kind with a free place take the jobs that are due, and see when the
 * next one will be.
 *
 * job_add() runs on the writer thread, before its transaction is committed. It only rings; the look
 * that follows is a write that queues behind that transaction, so it sees the row exactly when the
 * row exists.
 *
 * A lease guards against the death of a process, not against slowness: a job that still runs here
 * has its lease renewed when it ends. After a crash the job is taken again when the lease is over;
 * each taking counts as an attempt, so a job that kills the process becomes a dead letter too.
 *
 * A drain cancels what runs; what then ends with E_CANCELLED goes back into the queue as if it had
 * never been taken.
 *
 * Invariants: all state here is the loop thread's, except the bell. A struct run exists from its
 * taking to the commit of its end. The counts of running jobs per kind never pass the limits.
 */
#include "store/job.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/list.h"
#include "base/log.h"
#include "base/metric.h"
#include "loop/loop.h"
#include "loop/mailbox.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define KIND_LIMIT        64
#define TAKE_LIMIT        16 /* of a kind in one look */
#define LEASE_CHECK_LIMIT 64 /* lost leases given back in one look */
#define ATTEMPTS_USUAL    5
#define LEASE_USUAL_MS    60000
#define BACKOFF_FIRST_MS  2000
#define BACKOFF_LIMIT_MS  3600000
#define LOOK_LIMIT_MS     3600000 /* the wall clock may be set meanwhile */
#define LOOK_FAILED_MS    10000   /* the disk is full: try again */
#define PROGRESS_EVERY_MS 250     /* more often no eye can follow */
#define OVER_KEPT_MS      (24 * 3600 * 1000LL)
#define DEAD_KEPT_MS      (30 * OVER_KEPT_MS) /* as long as trash: time to look and try again */
#define RUN_MAGIC         0x52554e21u

METRIC_COUNTER(jobs_done, "troupe_jobs_done_total", "Durable jobs that ended well.");
METRIC_COUNTER(jobs_retried, "troupe_jobs_retried_total",
               "Durable jobs that failed and come again.");
METRIC_COUNTER(jobs_dead, "troupe_jobs_dead_total", "Durable jobs given up.");

struct kind {
    const struct job_kind *row;
    int running;
};

/* One job under way. */
struct run {
    struct job job; /* what the kind sees */
    uint32_t magic;
    struct list node; /* in jobs.running, or in look.taken */
    struct kind *kind;
    bool is_unwanted; /* somebody asked job_cancel */
    bool has_ended;
    int64_t progress_at_ms, done, total; /* what it said last, and when */
    enum err err;                        /* how it ended */
    const char *reason;
    int64_t run_at_ms; /* when it comes again */
    const char *state; /* its row's next state */
    int attempts;      /* likewise */
};

/* One look at the table: a snapshot goes to the writer, what was taken comes back. */
struct look {
    int64_t now_ms;
    int free[KIND_LIMIT];
    int64_t *mine; /* ids that run here */
    size_t mine_count;
    struct list taken;
    int64_t next_ms; /* 0: nothing is waiting */
};

static struct {
    struct kind kinds[KIND_LIMIT];
    int kind_count;
    struct list running;
    struct timer timer;
    int64_t next_ms; /* what the timer waits for; 0 for nothing */
    uint64_t seed;
    bool is_looking, look_again, is_draining;
} jobs;

/* The bell of job_add: the earliest moment that was asked for since it rang last. */
static struct {
    _Atomic bool is_open, has_rung;
    _Atomic int64_t due_ms;
    struct mail mail;
} bell = {.due_ms = INT64_MAX};

static void (*tell_event)(const struct job_event *event);

static void look(void);

/* --- kinds ------------------------------------------------------------------------------------ */

static int64_t lease_ms(const struct job_kind *kind) {
    return kind->lease_ms > 0 ? kind->lease_ms : LEASE_USUAL_MS;
}

static int attempts_limit(const struct job_kind *kind) {
    return kind->attempts_limit > 0 ? kind->attempts_limit : ATTEMPTS_USUAL;
}

static int free_places(const struct kind *kind) {
    int limit = kind->row->running_limit > 0 ? kind->row->running_limit : 1;
    int places = limit - kind->running;
    return places < TAKE_LIMIT ? places : TAKE_LIMIT;
}

static struct kind *find_kind(struct str name) {
    for (int i = 0; i < jobs.kind_count; i++)
        if (str_eq(str_from(jobs.kinds[i].row->name), name))
            return &jobs.kinds[i];
    return NULL;
}

/* --- the writer's part of a look -------------------------------------------------------------- */

static void sooner(int64_t *next_ms, int64_t at_ms) {
    if (*next_ms == 0 || at_ms < *next_ms)
        *next_ms = at_ms;
}

static bool is_mine(const struct look *look, int64_t id) {
    for (size_t i = 0; i < look->mine_count; i++)
        if (look->mine[i] == id)
            return true;
    return false;
}

static enum err renew_lease(struct tx *tx, int64_t id, int64_t until_ms) {
    struct stmt *s = DB_SQL(
        tx_db(tx), "UPDATE job SET lease_until = :until WHERE id = :id AND state = 'running'");
    bind_time(s, ":until", until_ms);
    bind_id(s, ":id", id);
    return stmt_run(s);
}

static enum err give_back(struct tx *tx, int64_t id, int64_t now_ms) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "UPDATE job SET state = 'queued', run_at = :now, lease_until = NULL, updated_at = :now "
        "WHERE id = :id");
    bind_time(s, ":now", now_ms);
    bind_id(s, ":id", id);
    return stmt_run(s);
}

/* Jobs whose lease is over: their process died, or they are ours and merely slow. */
static enum err check_leases(struct tx *tx, struct look *look) {
    int64_t lost[LEASE_CHECK_LIMIT];
    size_t count = 0;
    struct stmt *s = DB_SQL(tx_db(tx), "SELECT id, lease_until FROM job WHERE state = 'running' "
                                       "ORDER BY lease_until LIMIT :limit");
    bind_int(s, ":limit", LEASE_CHECK_LIMIT);
    while (stmt_row(s)) {
        if (column_time(s, 1) > look->now_ms) {
            sooner(&look->next_ms, column_time(s, 1));
            break;
        }
        lost[count++] = column_id(s, 0);
    }
    enum err err = stmt_done(s);
    for (size_t i = 0; i < count && err == E_OK; i++)
        err = is_mine(look, lost[i]) ? renew_lease(tx, lost[i], look->now_ms + LEASE_USUAL_MS)
                                     : give_back(tx, lost[i], look->now_ms);
    return err;
}

static void drop_run(struct run *run) {
    list_remove(&run->node);
    arena_release(&run->job.arena);
    run->magic = 0;
    free(run);
}

/* The row that stands in `s`: id, payload, attempts, run_at, user. */
static struct run *make_run(struct stmt *s, struct kind *kind) {
    struct run *run = calloc(1, sizeof(*run));
    if (run == NULL)
        BUG("out of memory");
    run->magic = RUN_MAGIC;
    run->kind = kind;
    arena_init(&run->job.arena);
    run->job.id = column_id(s, 0);
    run->job.kind = kind->row;
    run->job.payload = column_str_dup(s, 1, &run->job.arena);
    run->job.attempt = (int)column_int(s, 2) + 1;
    run->job.user_id = column_id(s, 4);
    return run;
}

static enum err take(struct tx *tx, struct run *run, int64_t now_ms) {
    struct stmt *s = DB_SQL(
        tx_db(tx), "UPDATE job SET state = 'running', attempts = :attempt, lease_until = :until, "
                   "updated_at = :now WHERE id = :id");
    bind_int(s, ":attempt", run->job.attempt);
    bind_time(s, ":until", now_ms + lease_ms(run->job.kind));
    bind_time(s, ":now", now_ms);
    bind_id(s, ":id", run->job.id);
    return stmt_run(s);
}

/* It was taken as often as it may be and never ended: it takes the process with it. */
static enum err bury(struct tx *tx, int64_t id, int64_t now_ms) {
    struct stmt *s = DB_SQL(
        tx_db(tx), "UPDATE job SET state = 'dead', reason = 'was begun too often and never ended', "
                   "updated_at = :now WHERE id = :id");
    bind_time(s, ":now", now_ms);
    bind_id(s, ":id", id);
    metric_add(&jobs_dead, 1);
    return stmt_run(s);
}

/* Collects what is due of one kind; the first that is not says when to look again. */
static enum err find_due(struct tx *tx, struct look *look, struct kind *kind, int places,
                         struct list *found) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "SELECT id, payload, attempts, run_at, user_id FROM job WHERE kind = :kind AND state = 'queued' "
        "ORDER BY run_at LIMIT :limit");
    bind_str(s, ":kind", str_from(kind->row->name));
    bind_int(s, ":limit", places + 1);
    for (int count = 0; count < places && stmt_row(s); count++) {
        if (column_time(s, 3) > look->now_ms) {
            sooner(&look->next_ms, column_time(s, 3));
            break;
        }
        list_add_last(found, &make_run(s, kind)->node);
    }
    return stmt_done(s);
}

static enum err take_due(struct tx *tx, struct look *look, struct kind *kind, int places) {
    struct list found;
    list_init(&found);
    enum err err = find_due(tx, look, kind, places, &found);
    LIST_EACH_SAFE(&found, node) {
        struct run *run = CONTAINER_OF(node, struct run, node);
        bool is_worn = run->job.attempt > attempts_limit(kind->row) && kind->row->every_ms == 0;
        if (err == E_OK)
            err = is_worn ? bury(tx, run->job.id, look->now_ms) : take(tx, run, look->now_ms);
        if (err != E_OK || is_worn) {
            drop_run(run);
            continue;
        }
        list_remove(&run->node);
        list_add_last(&look->taken, &run->node);
    }
    return err;
}

static enum err look_at_table(struct tx *tx, void *ctx) {
    struct look *look = ctx;
    enum err err = check_leases(tx, look);
    for (int i = 0; i < jobs.kind_count && err == E_OK; i++)
        if (look->free[i] > 0)
            err = take_due(tx, look, &jobs.kinds[i], look->free[i]);
    return err;
}

/* --- the loop's part -------------------------------------------------------------------------- */

static void timer_fired(void *ctx) {
    (void)ctx;
    jobs.next_ms = 0;
    look();
}

static void wait_until(int64_t at_ms) {
    if (jobs.is_draining || (jobs.next_ms != 0 && jobs.next_ms <= at_ms))
        return;
    jobs.next_ms = at_ms;
    int64_t wait_ms = at_ms - clock_now_ms();
    timer_start(&jobs.timer,
                wait_ms < 0               ? 0
                : wait_ms > LOOK_LIMIT_MS ? LOOK_LIMIT_MS
                                          : wait_ms,
                timer_fired, NULL);
}

static void begin_run(struct run *run) {
    list_remove(&run->node);
    list_add_last(&jobs.running, &run->node);
    run->kind->running++;
    loop_hold(); /* a drain cancels it and then waits for its end */
    if (jobs.is_draining)
        job_finish(&run->job, E_CANCELLED, NULL);
    else
        run->kind->row->run(&run->job);
}

static void looked(enum err err, void *ctx) {
    struct look *look_done = ctx;
    jobs.is_looking = false;
    LIST_EACH_SAFE(&look_done->taken, node) {
        struct run *run = CONTAINER_OF(node, struct run, node);
        if (err == E_OK)
            begin_run(run);
        else
            drop_run(run);
    }
    if (err != E_OK)
        wait_until(clock_now_ms() + LOOK_FAILED_MS);
    else if (look_done->next_ms != 0)
        wait_until(look_done->next_ms);
    free(look_done->mine);
    free(look_done);
    if (jobs.look_again)
        look();
}

static void note_mine(struct look *look_new) {
    size_t count = 0;
    LIST_EACH(&jobs.running, node)
    count++;
    look_new->mine = calloc(count + 1, sizeof(*look_new->mine));
    if (look_new->mine == NULL)
        BUG("out of memory");
    LIST_EACH(&jobs.running, node)
    look_new->mine[look_new->mine_count++] = CONTAINER_OF(node, struct run, node)->job.id;
}

static void look(void) {
    jobs.look_again = jobs.is_looking && !jobs.is_draining;
    if (jobs.is_looking || jobs.is_draining)
        return;
    struct look *look_new = calloc(1, sizeof(*look_new));
    if (look_new == NULL)
        BUG("out of memory");
    look_new->now_ms = clock_now_ms();
    list_init(&look_new->taken);
    for (int i = 0; i < jobs.kind_count; i++)
        look_new->free[i] = free_places(&jobs.kinds[i]);
    note_mine(look_new);
    timer_stop(&jobs.timer);
    jobs.next_ms = 0;
    jobs.is_looking = true;
    store_write(look_at_table, looked, look_new);
}

/* --- start and drain -------------------------------------------------------------------------- */

static enum err ensure_standing(struct tx *tx, void *ctx) {
    (void)ctx;
    enum err err = E_OK;
    for (int i = 0; i < jobs.kind_count && err == E_OK; i++) {
        const struct job_kind *kind = jobs.kinds[i].row;
        if (kind->every_ms == 0)
            continue;
        struct stmt *s = DB_SQL(
            tx_db(tx), "INSERT INTO job (id, kind, run_at, created_at, updated_at) "
                       "SELECT :id, :kind, :now, :now, :now WHERE NOT EXISTS ("
                       "SELECT 1 FROM job WHERE kind = :kind AND state IN ('queued', 'running'))");
        bind_id(s, ":id", id_new());
        bind_str(s, ":kind", str_from(kind->name));
        bind_time(s, ":now", clock_now_ms());
        err = stmt_run(s);
    }
    return err;
}

static void standing_ensured(enum err err, void *ctx) {
    (void)ctx;
    if (err != E_OK)
        log_error("job", "standing jobs could not be written", LF_Z("reason", err_word(err)));
    look();
}

void job_start(const struct job_kind *const *tables, int64_t owner_seed) {
    memset(&jobs, 0, sizeof(jobs));
    list_init(&jobs.running);
    jobs.seed = (uint64_t)owner_seed;
    for (; *tables != NULL; tables++)
        for (const struct job_kind *kind = *tables; kind->name != NULL; kind++) {
            BUG_IF(jobs.kind_count == KIND_LIMIT || find_kind(str_from(kind->name)) != NULL);
            jobs.kinds[jobs.kind_count++] = (struct kind){.row = kind};
        }
    atomic_store(&bell.has_rung, false);
    atomic_store(&bell.due_ms, INT64_MAX);
    atomic_store(&bell.is_open, true);
    store_write(ensure_standing, standing_ensured, NULL);
}

void job_drain(void) {
    jobs.is_draining = true;
    jobs.look_again = false;
    atomic_store(&bell.is_open, false);
    timer_stop(&jobs.timer);
    LIST_EACH(&jobs.running, node)
    CONTAINER_OF(node, struct run, node)->job.is_cancelled = true;
}

/* --- adding ----------------------------------------------------------------------------------- */

static void answer_bell(void *ctx) {
    (void)ctx;
    atomic_store(&bell.has_rung, false);
    int64_t due_ms = atomic_exchange(&bell.due_ms, INT64_MAX);
    if (due_ms <= clock_now_ms())
        look();
    else if (due_ms != INT64_MAX)
        wait_until(due_ms);
}

static void ring(int64_t due_ms) {
    if (!atomic_load(
            &bell.is_open)) /* the command line: whoever runs the jobs looks at its next start */
        return;
    int64_t known_ms = atomic_load(&bell.due_ms);
    while (due_ms < known_ms && !atomic_compare_exchange_weak(&bell.due_ms, &known_ms, due_ms))
        ;
    if (!atomic_exchange(&bell.has_rung, true))
        mailbox_post(&bell.mail, answer_bell, NULL);
}

enum err job_add(struct tx *tx, const char *kind, int64_t user_id, struct str payload,
                 int64_t run_at_ms, int64_t *job_id) {
    int64_t now_ms = clock_now_ms(), id = id_new();
    int64_t due_ms = run_at_ms != 0 ? run_at_ms : now_ms;
    struct stmt *s = DB_SQL(
        tx_db(tx), "INSERT INTO job (id, kind, user_id, payload, run_at, created_at, updated_at) "
                   "VALUES (:id, :kind, :user, :payload, :due, :now, :now)");
    bind_id(s, ":id", id);
    bind_str(s, ":kind", str_from(kind));
    bind_id(s, ":user", user_id);
    bind_str(s, ":payload", payload.at != NULL ? payload : STR("{}"));
    bind_time(s, ":due", due_ms);
    bind_time(s, ":now", now_ms);
    enum err err = stmt_run(s);
    if (err != E_OK)
        return err;
    if (job_id != NULL)
        *job_id = id;
    ring(due_ms);
    return E_OK;
}

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

static struct run *run_of(struct job *job) {
    struct run *run = CONTAINER_OF(job, struct run, job);
    MAGIC_CHECK(run, RUN_MAGIC);
    return run;
}

void job_on_event(void (*tell)(const struct job_event *event)) {
    tell_event = tell;
}

static void tell_person(const struct run *run, const char *state) {
    if (tell_event == NULL || run->job.user_id == 0)
        return;
    tell_event(&(struct job_event){.id = run->job.id,
                                   .user_id = run->job.user_id,
                                   .kind = run->job.kind->name,
                                   .state = state,
                                   .done = run->done,
                                   .total = run->total,
                                   .reason = run->reason});
}

void job_progress(struct job *job, int64_t done, int64_t total) {
    struct run *run = run_of(job);
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
    *progress = (struct progress){job->id, done, total, now_ms + lease_ms(job->kind)};
    store_write(store_progress, progress_stored, progress);
}

/* --- the end of a job ------------------------------------------------------------------------- */

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
    bool is_cancelled = run->err == E_CANCELLED;
    run->attempts = run->job.attempt;
    if (is_cancelled && jobs.is_draining && !run->is_unwanted)
        comes_again(run, 0, run->job.attempt - 1);
    else if (!is_cancelled && err_is_retryable(run->err) && run->job.attempt < attempts_limit(kind))
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
        wait_until(run->run_at_ms);
    if (err == E_OK)
        tell_person(run, run->state);
    run->kind->running--;
    drop_run(run);
    loop_let_go();
    look();
}

static void tell_end(const struct run *run) {
    bool is_dead = strcmp(run->state, "dead") == 0;
    metric_add(run->err == E_OK ? &jobs_done : is_dead ? &jobs_dead : &jobs_retried, 1);
    if (run->err == E_OK)
        return;
    LOG_AT(is_dead ? LOG_ERROR : LOG_INFO, "job",
           is_dead ? "job was given up" : "job did not succeed", LF_ID("job", run->job.id),
           LF_Z("kind", run->job.kind->name), LF_INT("attempt", run->job.attempt),
           LF_Z("error", err_word(run->err)), LF_Z("state", run->state));
}

void job_finish(struct job *job, enum err err, const char *reason) {
    struct run *run = run_of(job);
    BUG_IF(run->has_ended);
    run->has_ended = true;
    run->err = err;
    if (err != E_OK)
        run->reason = str_dup_z(&job->arena, str_from(reason != NULL ? reason : err_word(err)));
    judge(run);
    tell_end(run);
    store_write(store_end, end_stored, run);
}

/* --- what staff does -------------------------------------------------------------------------- */

bool job_kind_is_standing(struct str name) {
    const struct kind *kind = find_kind(name);
    return kind != NULL && kind->row->every_ms != 0;
}

enum err job_retry(struct tx *tx, int64_t id) {
    struct stmt *s = DB_SQL(
        tx_db(tx), "UPDATE job SET state = 'queued', attempts = 0, run_at = :now, progress = 0, "
                   "is_cancelled = 0, reason = NULL, updated_at = :now "
                   "WHERE id = :id AND state IN ('queued', 'dead', 'cancelled')");
    int64_t now_ms = clock_now_ms();
    bind_time(s, ":now", now_ms);
    bind_id(s, ":id", id);
    enum err err = stmt_run(s);
    if (err == E_OK && stmt_changed(s) == 0) {
        s = DB_SQL(tx_db(tx), "SELECT 1 FROM job WHERE id = :id");
        bind_id(s, ":id", id);
        return stmt_int(s, 0) != 0 ? E_CONFLICT : E_ABSENT;
    }
    if (err == E_OK)
        ring(now_ms);
    return err;
}

/* --- cancelling ------------------------------------------------------------------------------- */

struct cancel {
    int64_t id;
    store_done_fn done;
    void *ctx;
};

static enum err may_cancel(struct tx *tx, int64_t id) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "SELECT kind, state IN ('queued', 'running') FROM job WHERE id = :id");
    bind_id(s, ":id", id);
    enum err err = E_ABSENT;
    if (stmt_row(s)) {
        const struct kind *kind = find_kind(column_str(s, 0));
        err = kind != NULL && kind->row->every_ms != 0 ? E_DENIED
              : column_bool(s, 1)                      ? E_OK
                                                       : E_CONFLICT;
    }
    enum err failure = stmt_done(s);
    return failure != E_OK ? failure : err;
}

static enum err store_cancel(struct tx *tx, void *ctx) {
    struct cancel *cancel = ctx;
    enum err err = may_cancel(tx, cancel->id);
    if (err != E_OK)
        return err;
    struct stmt *s =
        DB_SQL(tx_db(tx),
               "UPDATE job SET is_cancelled = 1, updated_at = :now, "
               "state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END WHERE id = :id");
    bind_time(s, ":now", clock_now_ms());
    bind_id(s, ":id", cancel->id);
    return stmt_run(s);
}

/* One that had not begun; one that runs tells its end by itself. */
static void tell_cancelled(int64_t id) {
    struct arena arena;
    struct job_row row;
    arena_init(&arena);
    if (tell_event != NULL && job_load(store_reader(), &arena, id, &row) == E_OK &&
        row.user_id != 0 && str_eq(row.state, STR("cancelled")))
        tell_event(&(struct job_event){.id = id,
                                       .user_id = row.user_id,
                                       .kind = str_dup_z(&arena, row.kind),
                                       .state = "cancelled",
                                       .done = row.progress,
                                       .total = row.total});
    arena_release(&arena);
}

static void cancel_stored(enum err err, void *ctx) {
    struct cancel *cancel = ctx;
    LIST_EACH(&jobs.running, node) {
        struct run *run = CONTAINER_OF(node, struct run, node);
        if (err == E_OK && run->job.id == cancel->id)
            run->is_unwanted = run->job.is_cancelled = true;
    }
    if (err == E_OK)
        tell_cancelled(cancel->id);
    if (cancel->done != NULL)
        cancel->done(err, cancel->ctx);
    free(cancel);
}

void job_cancel(int64_t job_id, store_done_fn done, void *ctx) {
    struct cancel *cancel = malloc(sizeof(*cancel));
    if (cancel == NULL)
        BUG("out of memory");
    *cancel = (struct cancel){job_id, done, ctx};
    store_write(store_cancel, cancel_stored, cancel);
}
