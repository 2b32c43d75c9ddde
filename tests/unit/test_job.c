/* links: troupe_store troupe_embedded */
#include "store/job.h"

#include "base/check.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "scratch.h"
#include "shim_vfs.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <uv.h>

#define HOUR_MS 3600000LL

/* What the kinds of the test do: note that they ran and end as the test wants. */
static struct {
    int runs, running, most_running;
    int attempt;      /* of the last run */
    char payload[64]; /* likewise */
    enum err ends_with;
    const char *reason;
    bool is_slow; /* does not end by itself; the test ends it */
    struct job *slow[16];
    int slow_count;
} seen;

static void end_slow(enum err err) {
    BUG_IF(seen.slow_count == 0);
    seen.running--;
    job_finish(seen.slow[--seen.slow_count], err, NULL);
}

static void run_job(struct job *job) {
    assert_true(loop_is_thread());
    seen.runs++;
    seen.attempt = job->attempt;
    snprintf(seen.payload, sizeof(seen.payload), "%.*s", STR_ARG(job->payload));
    if (seen.is_slow) {
        seen.slow[seen.slow_count++] = job;
        seen.running++;
        if (seen.running > seen.most_running)
            seen.most_running = seen.running;
        return;
    }
    job_finish(job, seen.ends_with, seen.reason);
}

static int standing_runs;

static void run_standing(struct job *job) {
    standing_runs++;
    job_finish(job, seen.ends_with, NULL);
}

/* A job in batches, each of which writes a row of its own. */
static struct {
    int asked, left; /* batches that ran; that are still to come */
    int fails_at;    /* 0: none */
    struct job *job;
} batches;

static enum err writer_one_batch(struct tx *tx, void *ctx, bool *has_more) {
    assert_ptr_equal(ctx, &batches);
    assert_false(*has_more);
    struct stmt *s = DB_SQL(tx_db(tx), "INSERT INTO setting (name, value, changed_by, changed_at) "
                                       "VALUES ('batch.' || :n, '', 5, 1)");
    bind_int(s, ":n", ++batches.asked);
    enum err err = stmt_run(s);
    *has_more = --batches.left > 0;
    return err == E_OK && batches.asked == batches.fails_at ? E_CONFLICT : err;
}

static void run_batches(struct job *job) {
    batches.job = job;
    job_run_batches(job, writer_one_batch, &batches, "the batches ended badly");
}

static const struct job_kind plain_kinds[] = {
    {.name = "test.plain",
     .run = run_job,
     .attempts_limit = 3,
     .lease_ms = 30000,
     .running_limit = 2},
    {.name = "test.other", .run = run_job},
    {.name = "test.batches", .run = run_batches, .attempts_limit = 1},
    {NULL},
};
static const struct job_kind standing_kinds[] = {
    {.name = "test.standing", .run = run_standing, .every_ms = HOUR_MS},
    {NULL},
};
static const struct job_kind *const plain[] = {plain_kinds, NULL};
static const struct job_kind *const standing[] = {standing_kinds, NULL};

static int64_t moved_ms;

static int set_up(void **state) {
    (void)state;
    memset(&seen, 0, sizeof(seen));
    standing_runs = 0;
    moved_ms = 0;
    scratch_make();
    scratch_take_clock();
    loop_init();
    mailbox_init();
    assert_int_equal(store_open(scratch), E_OK);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    store_close();
    mailbox_release();
    loop_release();
    scratch_leave_clock();
    scratch_remove();
    return 0;
}

static enum err write_nothing(struct tx *tx, void *ctx) {
    (void)tx, (void)ctx;
    return E_OK;
}

/* Turns the loop until everything has settled. A write that stands behind all others tells that
 * these are on the disk, however slow it is today; the loop then hears of them. */
static void settle(void) {
    for (int64_t writes = -1; store_cost().writes != writes + 1;) {
        writes = store_cost().writes;
        for (int64_t since = clock_mono_us(); clock_mono_us() - since < 30000; usleep(500))
            uv_run(loop_uv(), UV_RUN_NOWAIT);
        assert_int_equal(store_write_and_wait(write_nothing, NULL), E_OK);
    }
}

static void move_clock(int64_t by_ms) {
    moved_ms += by_ms;
    scratch_move_clock(moved_ms);
    settle();
}

struct adding {
    const char *kind, *payload;
    int64_t run_at_ms, id;
    enum err err;
    int64_t works_on;
};

static enum err add(struct tx *tx, void *ctx) {
    struct adding *adding = ctx;
    enum err err = job_add_for(tx, adding->kind, 5, adding->works_on, str_from(adding->payload),
                               adding->run_at_ms, &adding->id);
    return err != E_OK ? err : adding->err;
}

static int64_t add_job(const char *kind, const char *payload, int64_t run_at_ms) {
    struct adding adding = {kind, payload, run_at_ms, 0, E_OK, 0};
    assert_int_equal(store_write_and_wait(add, &adding), E_OK);
    return adding.id;
}

static int64_t add_for(int64_t works_on, const char *payload) {
    struct adding adding = {"test.plain", payload, 0, 0, E_OK, works_on};
    assert_int_equal(store_write_and_wait(add, &adding), E_OK);
    return adding.id;
}

static void assert_state(int64_t id, const char *expected) {
    struct arena arena;
    arena_init(&arena);
    struct stmt *s = DB_SQL(store_reader(), "SELECT state FROM job WHERE id = :id");
    bind_id(s, ":id", id);
    struct str state = stmt_row(s) ? column_str_dup(s, 0, &arena) : STR("none");
    assert_int_equal(stmt_done(s), E_OK);
    assert_string_equal(state.at, expected);
    arena_release(&arena);
}

static int64_t number_of(int64_t id, struct stmt *s) {
    bind_id(s, ":id", id);
    return stmt_int(s, -1);
}

static int64_t attempts_of(int64_t id) {
    return number_of(id, DB_SQL(store_reader(), "SELECT attempts FROM job WHERE id = :id"));
}

/* --- running ---------------------------------------------------------------------------------- */

static void a_job_runs_once_after_its_commit(void **state) {
    (void)state;
    job_start(plain, 0);
    settle();
    int64_t id = add_job("test.plain", "{\"n\":1}", 0);
    assert_int_equal(seen.runs, 0);
    settle();
    assert_int_equal(seen.runs, 1);
    assert_int_equal(seen.attempt, 1);
    assert_string_equal(seen.payload, "{\"n\":1}");
    assert_state(id, "done");
    move_clock(HOUR_MS);
    assert_int_equal(seen.runs, 1);
    job_drain();
}

static void a_job_whose_write_is_undone_never_was(void **state) {
    (void)state;
    job_start(plain, 0);
    struct adding adding = {"test.plain", NULL, 0, 0, E_CONFLICT, 0};
    assert_int_equal(store_write_and_wait(add, &adding), E_CONFLICT);
    settle();
    assert_int_equal(seen.runs, 0);
    assert_state(adding.id, "none");
    job_drain();
}

static void a_later_job_waits_for_its_moment(void **state) {
    (void)state;
    job_start(plain, 0);
    settle();
    add_job("test.plain", NULL, clock_now_ms() + 3 * HOUR_MS);
    add_job("test.other", NULL, clock_now_ms() + 2 * HOUR_MS);
    move_clock(HOUR_MS);
    assert_int_equal(seen.runs, 0);
    move_clock(HOUR_MS + 1000);
    assert_int_equal(seen.runs, 1);
    move_clock(HOUR_MS);
    assert_int_equal(seen.runs, 2);
    job_drain();
}

static void nothing_is_asked_while_nothing_is_due(void **state) {
    (void)state;
    job_start(plain, 0);
    add_job("test.plain", NULL, clock_now_ms() + 3 * HOUR_MS);
    settle();
    struct store_cost before = store_cost();
    for (int i = 0; i < 50; i++) {
        uv_run(loop_uv(), UV_RUN_NOWAIT);
        usleep(2000);
    }
    assert_int_equal(store_cost().writes, before.writes);
    job_drain();
}

static void a_kind_keeps_its_limit_and_does_not_hold_others(void **state) {
    (void)state;
    seen.is_slow = true;
    job_start(plain, 0);
    for (int i = 0; i < 6; i++)
        add_job("test.plain", NULL, 0);
    settle();
    assert_int_equal(seen.most_running, 2);
    add_job("test.other", NULL, 0);
    settle();
    assert_int_equal(seen.running, 3);
    while (seen.slow_count > 0) {
        end_slow(E_OK);
        settle();
        assert_true(seen.running <= 3);
    }
    assert_int_equal(seen.runs, 7);
    job_drain();
}

static void jobs_that_work_on_one_thing_run_one_after_another(void **state) {
    (void)state;
    job_start(plain, 0);
    seen.is_slow = true;
    int64_t first = add_for(7, "1"), second = add_for(7, "2"), third = add_for(7, "3");
    int64_t other = add_for(8, "4");
    settle();
    assert_state(first, "running");
    assert_state(other, "running"); /* the line before the others does not hold it */
    assert_state(second, "queued");
    end_slow(E_OK);
    end_slow(E_OK);
    settle();
    assert_state(second, "running");
    assert_state(third, "queued");
    assert_string_equal(seen.payload, "2");
    end_slow(E_OK);
    settle();
    assert_state(third, "running");
    end_slow(E_OK);
    settle();
    assert_int_equal(seen.runs, 4);
    job_drain();
}

static void what_waits_in_line_already_is_not_added_again(void **state) {
    (void)state;
    job_start(plain, 0);
    seen.is_slow = true;
    int64_t first = add_for(7, "all");
    settle();
    int64_t second = add_for(7, "all"); /* the first has begun, and may have looked already */
    assert_int_not_equal(second, first);
    assert_int_equal(add_for(7, "all"), second);
    assert_int_not_equal(add_for(7, "some"), second);
    assert_int_not_equal(add_for(8, "all"), second);
    settle();
    while (seen.slow_count > 0) {
        end_slow(E_OK);
        settle();
    }
    assert_int_equal(seen.runs, 4);
    job_drain();
}

static void jobs_come_in_the_order_of_their_moments(void **state) {
    (void)state;
    int64_t now_ms = clock_now_ms();
    add_job("test.plain", "2", now_ms - 1000);
    add_job("test.plain", "3", now_ms - 500);
    add_job("test.plain", "1", now_ms - 2000);
    seen.is_slow = true;
    job_start(plain, 0);
    settle();
    assert_int_equal(seen.slow_count, 2);
    assert_true(str_eq(seen.slow[0]->payload, STR("1")));
    assert_true(str_eq(seen.slow[1]->payload, STR("2")));
    end_slow(E_OK);
    end_slow(E_OK);
    settle();
    end_slow(E_OK);
    settle();
    job_drain();
}

/* --- failing ---------------------------------------------------------------------------------- */

static void a_retryable_failure_comes_again_later_and_at_last_is_dead(void **state) {
    (void)state;
    seen.ends_with = E_UPSTREAM;
    seen.reason = "the endpoint was away";
    job_start(plain, 0);
    int64_t id = add_job("test.plain", NULL, 0);
    settle();
    assert_int_equal(seen.runs, 1);
    assert_state(id, "queued");
    move_clock(1500);
    assert_int_equal(seen.runs, 1); /* 2 s are not over */
    move_clock(1000);
    assert_int_equal(seen.runs, 2);
    assert_int_equal(seen.attempt, 2);
    move_clock(3000);
    assert_int_equal(seen.runs, 2); /* now it is 4 s */
    move_clock(1500);
    assert_int_equal(seen.runs, 3);
    assert_state(id, "dead");
    move_clock(2 * HOUR_MS);
    assert_int_equal(seen.runs, 3);
    assert_int_equal(
        number_of(id, DB_SQL(store_reader(),
                             "SELECT reason = 'the endpoint was away' FROM job WHERE id = :id")),
        1);
    job_drain();
}

static void other_failures_are_dead_at_once(void **state) {
    (void)state;
    static const enum err errors[] = {E_INPUT, E_DENIED, E_ABSENT};
    job_start(plain, 0);
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        seen.ends_with = errors[i];
        int64_t id = add_job("test.plain", NULL, 0);
        settle();
        assert_state(id, "dead");
        assert_int_equal(seen.runs, (int)i + 1);
    }
    job_drain();
}

/* --- crashes, drains, cancelling -------------------------------------------------------------- */

/* As after kill -9: the row says "running", and nobody runs it. */
static enum err leave_running(struct tx *tx, void *ctx) {
    struct stmt *s =
        DB_SQL(tx_db(tx),
               "UPDATE job SET state = 'running', attempts = attempts + 1, lease_until = :until "
               "WHERE id = :id");
    bind_time(s, ":until", clock_now_ms() + 30000);
    bind_id(s, ":id", *(int64_t *)ctx);
    return stmt_run(s);
}

static void a_job_of_a_dead_process_is_taken_when_its_lease_ends(void **state) {
    (void)state;
    int64_t id = add_job("test.plain", NULL, 0);
    assert_int_equal(store_write_and_wait(leave_running, &id), E_OK);
    job_start(plain, 0);
    settle();
    move_clock(29000);
    assert_int_equal(seen.runs, 0);
    move_clock(2000);
    assert_int_equal(seen.runs, 1);
    assert_int_equal(seen.attempt, 2);
    assert_state(id, "done");
    job_drain();
}

static void one_of_a_dead_process_does_not_run_beside_the_next_of_its_line(void **state) {
    (void)state;
    int64_t dead = add_for(7, "dead");
    assert_int_equal(store_write_and_wait(leave_running, &dead), E_OK);
    int64_t next = add_for(7, "next");
    job_start(plain, 0);
    seen.is_slow = true;
    settle();
    assert_int_equal(seen.runs, 0); /* how far did the other come? */
    assert_state(next, "queued");
    move_clock(31000);
    settle();
    assert_int_equal(seen.runs, 1);
    end_slow(E_OK);
    settle();
    assert_int_equal(seen.runs, 2);
    end_slow(E_OK);
    settle();
    assert_int_equal(seen.most_running, 1);
    assert_state(dead, "done");
    assert_state(next, "done");
    job_drain();
}

static void a_job_that_kills_the_process_every_time_is_dead(void **state) {
    (void)state;
    int64_t id = add_job("test.plain", NULL, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(store_write_and_wait(leave_running, &id), E_OK);
    job_start(plain, 0);
    move_clock(31000);
    assert_int_equal(seen.runs, 0);
    assert_state(id, "dead");
    job_drain();
}

static enum err mark_cancelled(struct tx *tx, void *ctx) {
    struct stmt *s = DB_SQL(tx_db(tx), "UPDATE job SET is_cancelled = 1 WHERE id = :id");
    bind_id(s, ":id", *(int64_t *)ctx);
    return stmt_run(s);
}

/* The cancel was acknowledged; then the process died before the job had seen it. */
static void a_cancelled_job_of_a_dead_process_does_not_run_again(void **state) {
    (void)state;
    int64_t id = add_job("test.plain", NULL, 0);
    assert_int_equal(store_write_and_wait(leave_running, &id), E_OK);
    assert_int_equal(store_write_and_wait(mark_cancelled, &id), E_OK);
    job_start(plain, 0);
    settle();
    move_clock(31000);
    assert_int_equal(seen.runs, 0);
    assert_state(id, "cancelled");
    job_drain();
}

static void a_slow_job_of_ours_is_not_taken_twice(void **state) {
    (void)state;
    seen.is_slow = true;
    job_start(plain, 0);
    int64_t id = add_job("test.plain", NULL, 0);
    settle();
    for (int i = 0; i < 5; i++)
        move_clock(40000); /* past its lease, again and again */
    assert_int_equal(seen.runs, 1);
    end_slow(E_OK);
    settle();
    assert_state(id, "done");
    job_drain();
}

static void progress_is_stored_and_renews_the_lease(void **state) {
    (void)state;
    seen.is_slow = true;
    job_start(plain, 0);
    int64_t id = add_job("test.plain", NULL, 0);
    settle();
    move_clock(20000);
    job_progress(seen.slow[0], 3, 10);
    job_progress(seen.slow[0], 4, 10); /* so soon after the other it is left out */
    settle();
    assert_int_equal(
        number_of(id, DB_SQL(store_reader(), "SELECT progress FROM job WHERE id = :id")), 3);
    assert_int_equal(number_of(id, DB_SQL(store_reader(), "SELECT total FROM job WHERE id = :id")),
                     10);
    int64_t lease_ms =
        number_of(id, DB_SQL(store_reader(), "SELECT lease_until FROM job WHERE id = :id"));
    assert_true(lease_ms > clock_now_ms() + 29000);
    job_progress(seen.slow[0], 10, 10);
    end_slow(E_OK);
    settle();
    assert_int_equal(
        number_of(id, DB_SQL(store_reader(), "SELECT progress FROM job WHERE id = :id")), 10);
    job_drain();
}

static void a_drain_gives_jobs_back_as_if_they_had_not_been_taken(void **state) {
    (void)state;
    seen.is_slow = true;
    job_start(plain, 0);
    int64_t id = add_job("test.plain", NULL, 0);
    settle();
    job_drain();
    assert_true(seen.slow[0]->is_cancelled);
    end_slow(E_CANCELLED);
    add_job("test.plain", NULL, 0); /* comes too late for this process */
    settle();
    assert_int_equal(seen.runs, 1);
    assert_state(id, "queued");
    assert_int_equal(attempts_of(id), 0);
    seen.is_slow = false;
    job_start(plain, 0); /* the next process */
    settle();
    assert_int_equal(seen.runs, 3);
    assert_state(id, "done");
    job_drain();
}

static enum err cancel_said;

static void cancelled(enum err err, void *ctx) {
    (void)ctx;
    cancel_said = err;
}

static void cancel_and_settle(int64_t id) {
    cancel_said = E_TIMEOUT;
    job_cancel(id, cancelled, NULL);
    settle();
}

static void queued_and_running_jobs_can_be_cancelled(void **state) {
    (void)state;
    seen.is_slow = true;
    job_start(plain, 0);
    int64_t running = add_job("test.other", NULL, 0);
    settle();
    int64_t queued = add_job("test.other", NULL, 0);
    cancel_and_settle(queued);
    assert_int_equal(cancel_said, E_OK);
    assert_state(queued, "cancelled");
    cancel_and_settle(running);
    assert_int_equal(cancel_said, E_OK);
    assert_true(seen.slow[0]->is_cancelled);
    end_slow(E_CANCELLED);
    settle();
    assert_state(running, "cancelled");
    assert_int_equal(seen.runs, 1);
    cancel_and_settle(running);
    assert_int_equal(cancel_said, E_CONFLICT);
    cancel_and_settle(12345);
    assert_int_equal(cancel_said, E_ABSENT);
    job_drain();
}

/* It failed with what usually comes again, just when somebody did not want it any more. */
static void what_a_person_cancels_does_not_come_again(void **state) {
    (void)state;
    seen.is_slow = true;
    job_start(plain, 0);
    int64_t id = add_job("test.other", NULL, 0);
    settle();
    cancel_and_settle(id);
    end_slow(E_BUSY);
    settle();
    assert_state(id, "cancelled");
    move_clock(3600000);
    assert_int_equal(seen.runs, 1);
    job_drain();
}

/* --- standing jobs, old rows ------------------------------------------------------------------ */

static void a_standing_job_comes_again_whatever_happens(void **state) {
    (void)state;
    job_start(standing, 0);
    settle();
    assert_int_equal(standing_runs, 1);
    move_clock(HOUR_MS / 2);
    assert_int_equal(standing_runs, 1);
    move_clock(HOUR_MS / 2 + 1000);
    assert_int_equal(standing_runs, 2);
    seen.ends_with = E_INPUT; /* fails, and not because of the weather */
    move_clock(HOUR_MS + 1000);
    assert_int_equal(standing_runs, 3);
    seen.ends_with = E_OK;
    move_clock(HOUR_MS + 1000);
    assert_int_equal(standing_runs, 4);
    job_drain();
    job_start(standing, 0); /* a restart does not add a second one */
    settle();
    assert_int_equal(standing_runs, 4);
    assert_int_equal(stmt_int(DB_SQL(store_reader(), "SELECT count(*) FROM job"), -1), 1);
    cancel_and_settle(stmt_int(DB_SQL(store_reader(), "SELECT id FROM job"), -1));
    assert_int_equal(cancel_said, E_DENIED);
    job_drain();
}

static void standing_jobs_that_a_full_disk_refuses_are_written_when_there_is_room(void **state) {
    (void)state;
    atomic_store(&shim_disk_is_full, true);
    job_start(standing, 0);
    settle();
    assert_int_equal(standing_runs, 0);
    atomic_store(&shim_disk_is_full, false);
    move_clock(61000);
    assert_int_equal(standing_runs, 1);
    job_drain();
}

static void jobs_that_are_over_go_away_after_a_day(void **state) {
    (void)state;
    job_start(plain, 0);
    int64_t first = add_job("test.plain", NULL, 0);
    settle();
    assert_state(first, "done");
    move_clock(25 * HOUR_MS);
    assert_state(first, "done"); /* nobody sweeps by the clock ... */
    int64_t second = add_job("test.plain", NULL, 0);
    settle();
    assert_state(first, "none"); /* ... the next one that ends does */
    assert_state(second, "done");
    job_drain();
}

static void dead_letters_go_away_after_a_month(void **state) {
    (void)state;
    job_start(plain, 0);
    seen.ends_with = E_INPUT;
    int64_t dead = add_job("test.plain", NULL, 0);
    settle();
    assert_state(dead, "dead");
    seen.ends_with = E_OK;
    move_clock(29 * 24 * HOUR_MS);
    add_job("test.plain", NULL, 0);
    settle();
    assert_state(dead, "dead");
    move_clock(25 * HOUR_MS);
    add_job("test.plain", NULL, 0);
    settle();
    assert_state(dead, "none");
    job_drain();
}

/* --- people and staff ------------------------------------------------------------------------- */

static struct {
    int count;
    int64_t id, user_id, done, total;
    char state[16], reason[64];
} told;

static void note_event(const struct job_event *event) {
    told.count++;
    told.id = event->id;
    told.user_id = event->user_id;
    told.done = event->done;
    told.total = event->total;
    snprintf(told.state, sizeof told.state, "%s", event->state);
    snprintf(told.reason, sizeof told.reason, "%s", event->reason ? event->reason : "-");
}

/* Told of every move, at most four times a second, and of the end once it is on disk. */
static void a_person_hears_how_their_job_moves_and_ends(void **state) {
    (void)state;
    memset(&told, 0, sizeof told);
    job_on_event(note_event);
    job_start(plain, 0);
    seen.is_slow = true;
    int64_t id = add_job("test.plain", NULL, 0);
    settle();
    job_progress(seen.slow[0], 1, 10);
    assert_int_equal(told.count, 1);
    assert_true(told.id == id && told.user_id == 5 && told.done == 1 && told.total == 10);
    assert_string_equal(told.state, "running");
    job_progress(seen.slow[0], 2, 10); /* too soon after the first */
    assert_int_equal(told.count, 1);
    move_clock(300);
    job_progress(seen.slow[0], 3, 10);
    assert_int_equal(told.count, 2);
    end_slow(E_INPUT);
    assert_int_equal(told.count, 2); /* not before it is on disk */
    settle();
    assert_int_equal(told.count, 3);
    assert_string_equal(told.state, "dead");
    assert_int_equal(told.done, 3);
    seen.is_slow = false;
    job_drain();
    job_start(standing, 0); /* the house's own are nobody's news */
    settle();
    assert_int_equal(standing_runs, 1);
    assert_int_equal(told.count, 3);
    job_on_event(NULL);
    job_drain();
}

static void a_person_hears_of_a_job_that_was_begun_too_often(void **state) {
    (void)state;
    memset(&told, 0, sizeof told);
    job_on_event(note_event);
    int64_t id = add_job("test.plain", NULL, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(store_write_and_wait(leave_running, &id), E_OK);
    job_start(plain, 0);
    move_clock(31000);
    assert_int_equal(told.count, 1);
    assert_true(told.id == id && told.user_id == 5);
    assert_string_equal(told.state, "dead");
    assert_string_equal(told.reason, "was begun too often and never ended");
    job_on_event(NULL);
    job_drain();
}

static enum err retry(struct tx *tx, void *ctx) {
    return job_retry(tx, *(int64_t *)ctx);
}

static void a_dead_job_is_tried_again_as_if_new(void **state) {
    (void)state;
    job_start(plain, 0);
    seen.ends_with = E_INPUT;
    int64_t id = add_job("test.plain", NULL, 0), nobody = 77;
    settle();
    assert_state(id, "dead");
    seen.ends_with = E_OK;
    assert_int_equal(store_write_and_wait(retry, &id), E_OK);
    settle();
    assert_state(id, "done");
    assert_int_equal(seen.attempt, 1);
    assert_int_equal(store_write_and_wait(retry, &id), E_CONFLICT);
    assert_int_equal(store_write_and_wait(retry, &nobody), E_ABSENT);
    int64_t later = add_job("test.plain", NULL, clock_now_ms() + HOUR_MS);
    assert_int_equal(store_write_and_wait(retry, &later), E_OK); /* need not wait */
    settle();
    assert_state(later, "done");
    job_drain();
}

static void jobs_are_listed_newest_first(void **state) {
    (void)state;
    struct arena arena;
    struct job_row *items, one;
    size_t count;
    arena_init(&arena);
    job_start(plain, 0);
    int64_t first = add_job("test.plain", NULL, clock_now_ms() + HOUR_MS);
    int64_t second = add_job("test.other", NULL, clock_now_ms() + HOUR_MS);
    settle();
    assert_int_equal(job_list(store_reader(), &arena, 0, 0, STR_NONE, STR_NONE, 9, &items, &count),
                     E_OK);
    assert_true(count == 2 && items[0].id == second && items[1].id == first);
    assert_int_equal(
        job_list(store_reader(), &arena, second, 5, STR("queued"), STR_NONE, 9, &items, &count),
        E_OK);
    assert_true(count == 1 && items[0].id == first);
    assert_int_equal(job_list(store_reader(), &arena, 0, 6, STR_NONE, STR_NONE, 9, &items, &count),
                     E_OK);
    assert_int_equal(count, 0);
    assert_int_equal(
        job_list(store_reader(), &arena, 0, 5, STR_NONE, STR("test.other"), 9, &items, &count),
        E_OK);
    assert_true(count == 1 && items[0].id == second && !items[0].is_standing);
    assert_int_equal(job_load(store_reader(), &arena, first, &one), E_OK);
    assert_true(str_eq(one.kind, STR("test.plain")) && one.user_id == 5);
    assert_int_equal(job_load(store_reader(), &arena, 77, &one), E_ABSENT);
    arena_release(&arena);
    job_drain();
}

/* --- batches ----------------------------------------------------------------------------------- */

static int64_t batches_stored(void) {
    return stmt_int(
        DB_SQL(store_reader(), "SELECT count(*) FROM setting WHERE name LIKE 'batch.%'"), -1);
}

static int64_t run_in_batches(int count, int fails_at) {
    memset(&batches, 0, sizeof(batches));
    batches.left = count;
    batches.fails_at = fails_at;
    job_start(plain, 0);
    return add_job("test.batches", NULL, 0);
}

static void batches_run_one_after_another_until_none_is_left(void **state) {
    (void)state;
    int64_t id = run_in_batches(5, 0);
    settle();
    assert_int_equal(batches.asked, 5);
    assert_int_equal(batches_stored(), 5);
    assert_state(id, "done");
    job_drain();
}

static void a_batch_that_fails_ends_them_and_only_it_is_undone(void **state) {
    (void)state;
    int64_t id = run_in_batches(5, 3);
    settle();
    assert_int_equal(batches.asked, 3);
    assert_int_equal(batches_stored(), 2);
    assert_state(id, "dead");
    job_drain();
}

/* Cancelled from the start: the batch that is under way is the last. */
static void a_cancel_is_heard_between_two_batches(void **state) {
    (void)state;
    int64_t id = run_in_batches(1000000, 0);
    for (int64_t until_us = clock_mono_us() + 10000000; batches.job == NULL;) {
        assert_true(clock_mono_us() < until_us);
        uv_run(loop_uv(), UV_RUN_NOWAIT);
    }
    job_cancel(id, NULL, NULL);
    settle();
    assert_true(batches.asked > 0 && batches.left > 0);
    assert_int_equal(batches_stored(), batches.asked);
    assert_state(id, "cancelled");
    job_drain();
}

int main(void) {
    shim_install();
#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_STORE(a_job_runs_once_after_its_commit),
        IN_STORE(a_job_whose_write_is_undone_never_was),
        IN_STORE(a_later_job_waits_for_its_moment),
        IN_STORE(nothing_is_asked_while_nothing_is_due),
        IN_STORE(a_kind_keeps_its_limit_and_does_not_hold_others),
        IN_STORE(jobs_that_work_on_one_thing_run_one_after_another),
        IN_STORE(what_waits_in_line_already_is_not_added_again),
        IN_STORE(jobs_come_in_the_order_of_their_moments),
        IN_STORE(a_retryable_failure_comes_again_later_and_at_last_is_dead),
        IN_STORE(other_failures_are_dead_at_once),
        IN_STORE(a_job_of_a_dead_process_is_taken_when_its_lease_ends),
        IN_STORE(one_of_a_dead_process_does_not_run_beside_the_next_of_its_line),
        IN_STORE(a_job_that_kills_the_process_every_time_is_dead),
        IN_STORE(a_cancelled_job_of_a_dead_process_does_not_run_again),
        IN_STORE(what_a_person_cancels_does_not_come_again),
        IN_STORE(a_person_hears_of_a_job_that_was_begun_too_often),
        IN_STORE(a_slow_job_of_ours_is_not_taken_twice),
        IN_STORE(progress_is_stored_and_renews_the_lease),
        IN_STORE(a_drain_gives_jobs_back_as_if_they_had_not_been_taken),
        IN_STORE(queued_and_running_jobs_can_be_cancelled),
        IN_STORE(a_standing_job_comes_again_whatever_happens),
        IN_STORE(standing_jobs_that_a_full_disk_refuses_are_written_when_there_is_room),
        IN_STORE(jobs_that_are_over_go_away_after_a_day),
        IN_STORE(dead_letters_go_away_after_a_month),
        IN_STORE(a_person_hears_how_their_job_moves_and_ends),
        IN_STORE(a_dead_job_is_tried_again_as_if_new),
        IN_STORE(jobs_are_listed_newest_first),
        IN_STORE(batches_run_one_after_another_until_none_is_left),
        IN_STORE(a_batch_that_fails_ends_them_and_only_it_is_undone),
        IN_STORE(a_cancel_is_heard_between_two_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
