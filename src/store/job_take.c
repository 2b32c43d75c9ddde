/*
 * The writer's side of a look at the table, all in one transaction: what lost its lease is given back,
 * then of every kind with a free place the jobs that are due are taken, and the moment at which the
 * next will be is noted.
 *
 * A lease guards against the death of a process, not against slowness: a job that still runs here
 * has its lease renewed. After a crash the job is taken again when the lease is over; each taking
 * counts as an attempt, so a job that kills the process becomes a dead letter too.
 *
 * Of jobs of one kind that work on the same thing the first in line is taken, and none while one runs:
 * also none while the row of a dead process still says so, for nobody can tell how far that one came.
 */
#include "base/check.h"
#include "store/job_inside.h"

#include <stdlib.h>

#include "base/banned.h"

#define LEASE_CHECK_LIMIT 64 /* lost leases given back in one look */

/* --- leases ----------------------------------------------------------------------------------- */

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

/* Not one that somebody cancelled before the process died. */
static enum err give_back(struct tx *tx, int64_t id, int64_t now_ms) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "UPDATE job SET state = CASE is_cancelled WHEN 1 THEN 'cancelled' ELSE 'queued' END, "
        "run_at = :now, lease_until = NULL, updated_at = :now WHERE id = :id");
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
        err = is_mine(look, lost[i]) ? renew_lease(tx, lost[i], look->now_ms + JOB_LEASE_USUAL_MS)
                                     : give_back(tx, lost[i], look->now_ms);
    return err;
}

/* --- what is due ------------------------------------------------------------------------------ */

/* The row that stands in `s`: id, payload, attempts, run_at, user. */
static struct run *make_run(struct stmt *s, struct kind *kind) {
    struct run *run = calloc(1, sizeof(*run));
    if (run == NULL)
        BUG("out of memory");
    run->magic = JOB_RUN_MAGIC;
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
    bind_time(s, ":until", now_ms + job_lease_ms(run->job.kind));
    bind_time(s, ":now", now_ms);
    bind_id(s, ":id", run->job.id);
    return stmt_run(s);
}

/* It was taken as often as it may be and never ended: it takes the process with it. */
static enum err bury(struct tx *tx, struct run *run, int64_t now_ms) {
    run->state = "dead";
    run->reason = "was begun too often and never ended";
    struct stmt *s = DB_SQL(tx_db(tx), "UPDATE job SET state = :state, reason = :reason, "
                                       "updated_at = :now WHERE id = :id");
    bind_str(s, ":state", str_from(run->state));
    bind_str(s, ":reason", str_from(run->reason));
    bind_time(s, ":now", now_ms);
    bind_id(s, ":id", run->job.id);
    return stmt_run(s);
}

/* Collects what is due of one kind; the first that is not says when to look again. */
static enum err find_due(struct tx *tx, struct look *look, struct kind *kind, int places,
                         struct list *found) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "SELECT id, payload, attempts, run_at, user_id FROM job j "
        "WHERE kind = :kind AND state = 'queued' AND (works_on IS NULL OR ("
        "  NOT EXISTS (SELECT 1 FROM job o WHERE o.kind = j.kind AND o.works_on = j.works_on "
        "    AND o.state = 'running') "
        "  AND NOT EXISTS (SELECT 1 FROM job o WHERE o.kind = j.kind AND o.works_on = j.works_on "
        "    AND o.state = 'queued' AND (o.run_at, o.id) < (j.run_at, j.id)))) "
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
        bool is_worn = run->job.attempt > job_attempts_limit(kind->row) && kind->row->every_ms == 0;
        if (err == E_OK)
            err = is_worn ? bury(tx, run, look->now_ms) : take(tx, run, look->now_ms);
        list_remove(&run->node);
        if (err == E_OK)
            list_add_last(is_worn ? &look->buried : &look->taken, &run->node);
        else
            job_run_drop(run);
    }
    return err;
}

enum err writer_job_look(struct tx *tx, void *ctx) {
    struct look *look = ctx;
    enum err err = check_leases(tx, look);
    for (int i = 0; i < jobs.kind_count && err == E_OK; i++)
        if (look->free[i] > 0)
            err = take_due(tx, look, &jobs.kinds[i], look->free[i]);
    return err;
}
