/*
 * Durable jobs: rows in the table `job`, run on the loop.
 *
 * There is no polling. The next moment at which anything is due is known from the last look at the
 * table; a timer waits for it. A look happens when the timer fires, when job_add() says that
 * something came, and when a job ends (its place is free). A look is one write (job_take.c); what it
 * took begins here.
 *
 * job_add() runs on the writer thread, before its transaction is committed. It only rings; the look
 * that follows is a write that queues behind that transaction, so it sees the row exactly when the
 * row exists.
 *
 * A drain cancels what runs, and takes no more.
 *
 * Invariants: all state here is the loop thread's, except the bell. A struct run exists from its
 * taking to the commit of its end. The counts of running jobs per kind never pass the limits.
 */
#include "store/job.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "loop/mailbox.h"
#include "store/job_inside.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define TAKE_LIMIT        16 /* of a kind in one look */
#define ATTEMPTS_USUAL    5
#define LOOK_LIMIT_MS     3600000 /* the wall clock may be set meanwhile */
#define LOOK_FAILED_MS    10000   /* the disk is full: try again */
#define STANDING_AGAIN_MS 60000   /* likewise */

struct jobs jobs;

/* The bell of job_add: the earliest moment that was asked for since it rang last. */
static struct {
    _Atomic bool is_open, has_rung;
    _Atomic int64_t due_ms;
    struct mail mail;
} bell = {.due_ms = INT64_MAX};

static void (*tell_event)(const struct job_event *event);

/* --- kinds ------------------------------------------------------------------------------------ */

int64_t job_lease_ms(const struct job_kind *kind) {
    return kind->lease_ms > 0 ? kind->lease_ms : JOB_LEASE_USUAL_MS;
}

int job_attempts_limit(const struct job_kind *kind) {
    return kind->attempts_limit > 0 ? kind->attempts_limit : ATTEMPTS_USUAL;
}

static int free_places(const struct kind *kind) {
    int limit = kind->row->running_limit > 0 ? kind->row->running_limit : 1;
    int places = limit - kind->running;
    return places < TAKE_LIMIT ? places : TAKE_LIMIT;
}

struct kind *job_kind_find(struct str name) {
    for (int i = 0; i < jobs.kind_count; i++)
        if (str_eq(str_from(jobs.kinds[i].row->name), name))
            return &jobs.kinds[i];
    return NULL;
}

bool job_kind_is_standing(struct str name) {
    const struct kind *kind = job_kind_find(name);
    return kind != NULL && kind->row->every_ms != 0;
}

/* --- runs ------------------------------------------------------------------------------------- */

struct run *job_run_of(struct job *job) {
    struct run *run = CONTAINER_OF(job, struct run, job);
    MAGIC_CHECK(run, JOB_RUN_MAGIC);
    return run;
}

void job_run_drop(struct run *run) {
    list_remove(&run->node);
    arena_release(&run->job.arena);
    run->magic = 0;
    free(run);
}

void job_on_event(void (*tell)(const struct job_event *event)) {
    tell_event = tell;
}

void job_tell(const struct job_event *event) {
    if (tell_event != NULL && event->user_id != 0)
        tell_event(event);
}

/* --- looking ---------------------------------------------------------------------------------- */

static void timer_fired(void *ctx) {
    (void)ctx;
    jobs.next_ms = 0;
    job_look();
}

void job_wait_until(int64_t at_ms) {
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
    LIST_EACH_SAFE(&look_done->buried, node) {
        struct run *run = CONTAINER_OF(node, struct run, node);
        if (err == E_OK)
            job_tell_buried(run);
        job_run_drop(run);
    }
    LIST_EACH_SAFE(&look_done->taken, node) {
        struct run *run = CONTAINER_OF(node, struct run, node);
        if (err == E_OK)
            begin_run(run);
        else
            job_run_drop(run);
    }
    if (err != E_OK)
        job_wait_until(clock_now_ms() + LOOK_FAILED_MS);
    else if (look_done->next_ms != 0)
        job_wait_until(look_done->next_ms);
    free(look_done->mine);
    free(look_done);
    if (jobs.look_again)
        job_look();
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

void job_look(void) {
    jobs.look_again = jobs.is_looking && !jobs.is_draining;
    if (jobs.is_looking || jobs.is_draining)
        return;
    struct look *look_new = calloc(1, sizeof(*look_new));
    if (look_new == NULL)
        BUG("out of memory");
    look_new->now_ms = clock_now_ms();
    list_init(&look_new->taken);
    list_init(&look_new->buried);
    for (int i = 0; i < jobs.kind_count; i++)
        look_new->free[i] = free_places(&jobs.kinds[i]);
    note_mine(look_new);
    timer_stop(&jobs.timer);
    jobs.next_ms = 0;
    jobs.is_looking = true;
    store_write(writer_job_look, looked, look_new);
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

static void write_standing(void *ctx);

/* What the disk refuses is written when there is room: they clear away what fills it. */
static void standing_ensured(enum err err, void *ctx) {
    if (err != E_OK) {
        log_error("job", "standing jobs could not be written", LF_Z("reason", err_word(err)));
        if (!jobs.is_draining)
            timer_start(&jobs.standing_timer, STANDING_AGAIN_MS, write_standing, ctx);
    }
    job_look();
}

static void write_standing(void *ctx) {
    store_write(ensure_standing, standing_ensured, ctx);
}

void job_start(const struct job_kind *const *tables, int64_t owner_seed) {
    memset(&jobs, 0, sizeof(jobs));
    list_init(&jobs.running);
    jobs.seed = (uint64_t)owner_seed;
    for (; *tables != NULL; tables++)
        for (const struct job_kind *kind = *tables; kind->name != NULL; kind++) {
            BUG_IF(jobs.kind_count == JOB_KIND_LIMIT ||
                   job_kind_find(str_from(kind->name)) != NULL);
            jobs.kinds[jobs.kind_count++] = (struct kind){.row = kind};
        }
    atomic_store(&bell.has_rung, false);
    atomic_store(&bell.due_ms, INT64_MAX);
    atomic_store(&bell.is_open, true);
    write_standing(NULL);
}

void job_drain(void) {
    jobs.is_draining = true;
    jobs.look_again = false;
    atomic_store(&bell.is_open, false);
    timer_stop(&jobs.timer);
    timer_stop(&jobs.standing_timer);
    LIST_EACH(&jobs.running, node)
        CONTAINER_OF(node, struct run, node)->job.is_cancelled = true;
}

/* --- adding ----------------------------------------------------------------------------------- */

static void answer_bell(void *ctx) {
    (void)ctx;
    atomic_store(&bell.has_rung, false);
    int64_t due_ms = atomic_exchange(&bell.due_ms, INT64_MAX);
    if (due_ms <= clock_now_ms())
        job_look();
    else if (due_ms != INT64_MAX)
        job_wait_until(due_ms);
}

void job_ring(int64_t due_ms) {
    if (!atomic_load(&bell.is_open))
        return; /* the command line: whoever runs the jobs looks at its next start */
    int64_t known_ms = atomic_load(&bell.due_ms);
    while (due_ms < known_ms && !atomic_compare_exchange_weak(&bell.due_ms, &known_ms, due_ms))
        ;
    if (!atomic_exchange(&bell.has_rung, true))
        mailbox_post(&bell.mail, answer_bell, NULL);
}

enum err job_add(struct tx *tx, const char *kind, int64_t user_id, struct str payload,
                 int64_t run_at_ms, int64_t *job_id) {
    return job_add_for(tx, kind, user_id, 0, payload, run_at_ms, job_id);
}

/* 0: none. */
static int64_t equal_in_line(struct tx *tx, const char *kind, int64_t user_id, int64_t works_on,
                             struct str payload, int64_t due_ms) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "SELECT id FROM job WHERE kind = :kind AND works_on = :works_on "
                          "AND state = 'queued' AND run_at <= :due AND user_id IS :user "
                          "AND payload = :payload LIMIT 1");
    bind_str(s, ":kind", str_from(kind));
    bind_id(s, ":works_on", works_on);
    bind_int(s, ":due", due_ms);
    bind_id(s, ":user", user_id);
    bind_str(s, ":payload", payload);
    return stmt_int(s, 0);
}

enum err job_add_for(struct tx *tx, const char *kind, int64_t user_id, int64_t works_on,
                     struct str payload, int64_t run_at_ms, int64_t *job_id) {
    int64_t now_ms = clock_now_ms(), id = id_new();
    int64_t due_ms = run_at_ms != 0 ? run_at_ms : now_ms;
    int64_t equal_id = 0;
    if (works_on != 0)
        equal_id = equal_in_line(tx, kind, user_id, works_on, payload, due_ms);
    if (equal_id != 0) {
        if (job_id != NULL)
            *job_id = equal_id;
        return E_OK;
    }
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO job (id, kind, user_id, works_on, payload, run_at, created_at, updated_at) "
        "VALUES (:id, :kind, :user, :works_on, :payload, :due, :now, :now)");
    bind_id(s, ":id", id);
    bind_str(s, ":kind", str_from(kind));
    bind_id(s, ":user", user_id);
    bind_id(s, ":works_on", works_on);
    bind_str(s, ":payload", payload.at != NULL ? payload : STR("{}"));
    bind_time(s, ":due", due_ms);
    bind_time(s, ":now", now_ms);
    enum err err = stmt_run(s);
    if (err != E_OK)
        return err;
    if (job_id != NULL)
        *job_id = id;
    job_ring(due_ms);
    return E_OK;
}
