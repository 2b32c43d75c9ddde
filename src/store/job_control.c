/*
 * What people do with a job: a dead one is tried again, one that is not wanted any more ends.
 *
 * A job that has not begun is cancelled by its row alone. One that runs is told (job->is_cancelled)
 * and ends when it sees that; the mark in its row is there for the case that the process dies before.
 */
#include "base/check.h"
#include "base/clock.h"
#include "store/job_inside.h"

#include <stdlib.h>

#include "base/banned.h"

/* --- again ------------------------------------------------------------------------------------ */

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
        job_ring(now_ms);
    return err;
}

/* --- no more ---------------------------------------------------------------------------------- */

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
        const struct kind *kind = job_kind_find(column_str(s, 0));
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
    if (job_load(store_reader(), &arena, id, &row) == E_OK && str_eq(row.state, STR("cancelled")))
        job_tell(&(struct job_event){.id = id,
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
