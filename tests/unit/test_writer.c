/* links: troupe_store troupe_embedded */
#include "store/store.h"

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
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <cmocka.h>

struct note {
    char name[32];
    enum err wanted; /* what its function returns after it has written */
    enum err err;    /* what its completion said */
    int done_count;
    int place; /* which completion of the test it was */
};

static int completions, expected;

static enum err write_note(struct tx *tx, void *ctx) {
    struct note *note = ctx;
    struct stmt *s = DB_SQL(tx_db(tx), "INSERT INTO instance (name, value) VALUES (:name, 'here')");
    bind_str(s, ":name", str_from(note->name));
    enum err err = stmt_run(s);
    return err != E_OK ? err : note->wanted;
}

static void note_done(enum err err, void *ctx) {
    struct note *note = ctx;
    assert_true(loop_is_thread());
    note->err = err;
    note->done_count++;
    note->place = completions++;
    if (completions == expected)
        loop_stop(0);
}

static struct note make_note(int number, enum err wanted) {
    struct note note = {.wanted = wanted, .err = E_BUSY};
    snprintf(note.name, sizeof(note.name), "note-%d", number);
    return note;
}

static bool is_stored(struct db *db, const char *name) {
    struct stmt *s = DB_SQL(db, "SELECT 1 FROM instance WHERE name = :name");
    bind_str(s, ":name", str_from(name));
    return stmt_int(s, 0) == 1;
}

static void open_all(void) {
    completions = 0;
    loop_init();
    mailbox_init();
    assert_int_equal(store_open(scratch), E_OK);
}

static void close_all(void) {
    store_close();
    mailbox_release();
    loop_release();
}

static int set_up(void **state) {
    (void)state;
    atomic_store(&shim_fails_in, 0);
    atomic_store(&shim_disk_is_full, false);
    atomic_store(&shim_failed, 0);
    scratch_make();
    open_all();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    close_all();
    scratch_remove();
    return 0;
}

static void run_until(int count) {
    expected = count;
    loop_run();
    assert_int_equal(completions, count);
}

/* --- batches ---------------------------------------------------------------------------------- */

#define MANY 100

static void writes_of_one_turn_are_one_commit_in_order(void **state) {
    (void)state;
    static struct note notes[MANY];
    struct store_cost before = store_cost();
    for (int i = 0; i < MANY; i++) {
        notes[i] = make_note(i, E_OK);
        store_write(write_note, note_done, &notes[i]);
    }
    assert_int_equal(completions, 0); /* never from inside the call */
    run_until(MANY);
    struct store_cost after = store_cost();
    assert_int_equal(after.commits - before.commits, 1);
    assert_int_equal(after.writes - before.writes, MANY);
    assert_int_equal(after.statements - before.statements, MANY); /* savepoints are not counted */
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(notes[i].err, E_OK);
        assert_int_equal(notes[i].place, i);
        assert_true(is_stored(store_reader(), notes[i].name));
    }
}

static void a_failed_function_is_undone_alone(void **state) {
    (void)state;
    static const enum err wanted[] = {E_OK, E_CONFLICT, E_OK, E_DENIED, E_OK};
    struct note notes[COUNT_OF(wanted)];
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        notes[i] = make_note((int)i, wanted[i]);
        store_write(write_note, note_done, &notes[i]);
    }
    run_until(COUNT_OF(wanted));
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        assert_int_equal(notes[i].err, wanted[i]);
        assert_int_equal(is_stored(store_reader(), notes[i].name), wanted[i] == E_OK);
    }
    assert_true(store_is_ready()); /* a refusal is not a failure of the disk */
}

static enum err refuse_first(struct tx *tx, void *ctx) {
    struct note *note = ctx;
    (void)tx;
    return note->err;
}

static void a_sure_function_that_refuses_harms_nobody(void **state) {
    (void)state;
    struct note notes[3];
    for (int i = 0; i < 3; i++)
        notes[i] = make_note(i, i == 1 ? E_ABSENT : E_OK);
    notes[1].err = E_ABSENT;
    store_write_sure(write_note, note_done, &notes[0]);
    store_write_sure(refuse_first, note_done, &notes[1]);
    store_write_sure(write_note, note_done, &notes[2]);
    run_until(3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(notes[i].err, i == 1 ? E_ABSENT : E_OK);
        assert_int_equal(is_stored(store_reader(), notes[i].name), i != 1);
    }
}

static void a_sure_function_that_fails_half_way_takes_its_batch_with_it(void **state) {
    (void)state;
    struct note notes[3];
    for (int i = 0; i < 3; i++) {
        notes[i] = make_note(i, i == 1 ? E_CONFLICT : E_OK);
        store_write_sure(write_note, note_done, &notes[i]);
    }
    run_until(3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(notes[i].err, E_STORAGE);
        assert_false(is_stored(store_reader(), notes[i].name));
    }
    struct note after = make_note(7, E_OK);
    assert_int_equal(store_write_and_wait(write_note, &after), E_OK);
    assert_true(is_stored(store_reader(), after.name));
}

static void a_lone_failed_function_is_undone(void **state) {
    (void)state;
    struct note note = make_note(1, E_ABSENT);
    struct store_cost before = store_cost();
    store_write(write_note, note_done, &note);
    run_until(1);
    assert_int_equal(note.err, E_ABSENT);
    assert_false(is_stored(store_reader(), note.name));
    assert_int_equal(store_cost().commits, before.commits);
}

/* --- durability ------------------------------------------------------------------------------- */

static int syncs_before;

static void must_be_synced(enum err err, void *ctx) {
    assert_int_equal(err, E_OK);
    assert_true(atomic_load(&shim_log_syncs) > syncs_before);
    assert_false(atomic_load(&shim_log_is_dirty));
    note_done(err, ctx);
}

static void the_log_is_synced_before_anybody_is_told(void **state) {
    (void)state;
    static struct note notes[20];
    for (int i = 0; i < 20; i++) { /* one at a time, so that no later batch writes meanwhile */
        notes[i] = make_note(i, E_OK);
        syncs_before = atomic_load(&shim_log_syncs);
        if (i % 2 == 0) {
            assert_int_equal(store_write_and_wait(write_note, &notes[i]), E_OK);
            assert_true(atomic_load(&shim_log_syncs) > syncs_before);
            assert_false(atomic_load(&shim_log_is_dirty));
        }
    }
    notes[1] = make_note(1, E_OK);
    syncs_before = atomic_load(&shim_log_syncs);
    store_write(write_note, must_be_synced, &notes[1]);
    run_until(1);
}

static void the_frames_of_a_commit_leave_together(void **state) {
    (void)state;
    static struct note notes[MANY];
    int before = atomic_load(&shim_log_writes);
    for (int i = 0; i < MANY; i++) {
        notes[i] = make_note(i, E_OK);
        store_write(write_note, note_done, &notes[i]);
    }
    run_until(MANY);
    assert_in_range(atomic_load(&shim_log_writes) - before, 1, 2); /* 64 KiB, and the end */
}

static enum err write_many(struct tx *tx, void *ctx) {
    const int *first = ctx;
    enum err err = E_OK;
    for (int i = 0; i < MANY && err == E_OK; i++) {
        struct note note = make_note(*first + i, E_OK);
        err = write_note(tx, &note);
    }
    return err;
}

/* Through the mapping: pages that were there when it was made, that came later, and that a checkpoint wrote over. */
static void what_is_mapped_is_what_is_stored(void **state) {
    (void)state;
    for (int first = 0; first < 20 * MANY; first += MANY) {
        assert_int_equal(store_write_and_wait(write_many, &first), E_OK);
        if (first % (3 * MANY) == 0) { /* closing writes the log back */
            close_all();
            open_all();
        }
        for (int i = 0; i < first + MANY; i += 7) {
            struct note note = make_note(i, E_OK);
            assert_true(is_stored(store_reader(), note.name));
        }
    }
}

static void what_was_told_is_there_after_the_process_ends(void **state) {
    (void)state;
    static struct note notes[3];
    for (int i = 0; i < 3; i++) {
        notes[i] = make_note(i, E_OK);
        store_write(write_note, NULL, &notes[i]); /* nobody wants to know */
    }
    close_all(); /* runs what waits */
    open_all();
    for (int i = 0; i < 3; i++)
        assert_true(is_stored(store_reader(), notes[i].name));
}

/* --- the disk fails --------------------------------------------------------------------------- */

/* The n-th write or sync fails, n = 1, 2, 3 ... until the batch passes untouched. */
static void every_failing_write_fails_its_batch_and_nothing_is_half_stored(void **state) {
    (void)state;
    bool has_passed = false;
    int number = 0, rounds = 0;
    for (int n = 1; !has_passed && n < 200; n++, rounds++) {
        struct note notes[3];
        close_all();
        open_all();
        atomic_store(&shim_failed, 0);
        for (int i = 0; i < 3; i++) {
            notes[i] = make_note(number++, E_OK);
            store_write(write_note, note_done, &notes[i]);
        }
        atomic_store(&shim_fails_in, n);
        run_until(3);
        atomic_store(&shim_fails_in, 0);
        has_passed = atomic_load(&shim_failed) == 0;
        for (int i = 0; i < 3; i++) {
            assert_int_equal(notes[i].err, has_passed ? E_OK : E_STORAGE);
            assert_int_equal(is_stored(store_reader(), notes[i].name), has_passed);
        }
        assert_int_equal(store_is_ready(), has_passed);
    }
    assert_true(has_passed && rounds >= 3);
}

static void a_full_disk_refuses_writes_and_serves_reads_until_there_is_room(void **state) {
    (void)state;
    struct note early = make_note(1, E_OK), refused = make_note(2, E_OK), late = make_note(3, E_OK);
    assert_int_equal(store_write_and_wait(write_note, &early), E_OK);
    atomic_store(&shim_disk_is_full, true);
    for (int i = 0; i < 3; i++)
        assert_int_equal(store_write_and_wait(write_note, &refused), E_STORAGE);
    assert_false(store_is_ready());
    assert_true(is_stored(store_reader(), early.name));
    assert_false(is_stored(store_reader(), refused.name));
    atomic_store(&shim_disk_is_full, false);
    assert_int_equal(store_write_and_wait(write_note, &late), E_OK);
    assert_true(store_is_ready());
    assert_false(is_stored(store_reader(), refused.name));
    assert_true(is_stored(store_reader(), late.name));
    assert_int_equal(
        stmt_int(DB_SQL(store_reader(),
                        "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"),
                 0),
        1);
}

/* --- threads ---------------------------------------------------------------------------------- */

#define THREADS    4
#define PER_THREAD 50

static void *write_from_thread(void *ctx) {
    struct note *notes = ctx;
    for (int i = 0; i < PER_THREAD; i++)
        if (i % 10 == 0)
            notes[i].err = store_write_and_wait(write_note, &notes[i]);
        else
            store_write(write_note, note_done, &notes[i]);
    return NULL;
}

static void *read_from_thread(void *ctx) {
    (void)ctx;
    int64_t last = 0;
    for (int i = 0; i < 100; i++) {
        struct db *db = pool_reader_open();
        assert_non_null(db);
        int64_t count = stmt_int(DB_SQL(db, "SELECT count(*) FROM instance"), -1);
        assert_true(count >= last); /* what was seen once does not go away */
        last = count;
        pool_reader_close(db);
    }
    return NULL;
}

static void many_threads_write_and_read_at_once(void **state) {
    (void)state;
    static struct note notes[THREADS][PER_THREAD];
    pthread_t writers[THREADS], readers[2];
    expected = THREADS * PER_THREAD - THREADS * (PER_THREAD / 10);
    for (int t = 0; t < THREADS; t++) {
        for (int i = 0; i < PER_THREAD; i++)
            notes[t][i] = make_note(t * 1000 + i, E_OK);
        assert_int_equal(pthread_create(&writers[t], NULL, write_from_thread, notes[t]), 0);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_from_thread, NULL), 0);
    loop_run();
    for (int t = 0; t < THREADS; t++)
        pthread_join(writers[t], NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < PER_THREAD; i++) {
            assert_int_equal(notes[t][i].err, E_OK);
            assert_true(is_stored(store_reader(), notes[t][i].name));
        }
}

/* --- the log ---------------------------------------------------------------------------------- */

#define LOG_BYTES       (4096 * (4096 + 24))  /* as writer.c grows it */
#define LOG_LIMIT_BYTES (16384 * (4096 + 24)) /* and where it writes it back */

static int64_t size_of(const char *name) {
    struct stat info;
    return stat(scratch_path(name), &info) == 0 ? info.st_size : -1;
}

static enum err write_much(struct tx *tx, void *ctx) {
    struct stmt *s = DB_SQL(
        tx_db(tx), "INSERT INTO instance (name, value) VALUES (:name, hex(zeroblob(150000)))");
    bind_str(s, ":name", str_from(ctx));
    return stmt_run(s);
}

static void the_log_gets_its_size_and_has_a_limit(void **state) {
    (void)state;
    struct note note = make_note(1, E_OK);
    assert_int_equal(store_write_and_wait(write_note, &note), E_OK);
    for (int i = 0; i < 300 && size_of("troupe.db-wal") < LOG_BYTES; i++)
        usleep(10000); /* it grows when the writer has had nothing to do for a while */
    int64_t size = size_of("troupe.db-wal");
    assert_int_equal(size, LOG_BYTES);
    char name[32];
    for (int i = 0; i < 300; i++) { /* 90 MB without a pause */
        snprintf(name, sizeof(name), "much-%d", i);
        assert_int_equal(store_write_and_wait(write_much, name), E_OK);
    }
    assert_true(size_of("troupe.db-wal") <= LOG_LIMIT_BYTES + (1 << 20)); /* and one more commit */
    assert_true(size_of("troupe.db") > 50 << 20); /* it was written back meanwhile */
    store_close();
    assert_int_equal(size_of("troupe.db-wal"), -1); /* nothing is left to recover */
    assert_int_equal(store_open(scratch), E_OK);
    assert_true(is_stored(store_reader(), "much-299"));
}

static struct note late;

/* What a last completion does: it reads, and wants to write more. */
static void note_and_go_on(enum err err, void *ctx) {
    struct note *note = ctx;
    note->err = err;
    assert_true(is_stored(store_reader(), note->name));
    store_write(write_note, note_done, &late);
    assert_int_equal(late.done_count, 0); /* never from inside */
}

static enum err forget_note(struct tx *tx, void *ctx) {
    tx_overwrite_freed(tx, true);
    return write_note(tx, ctx);
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Somebody reads for long (an export) while the log is to be emptied: that waits, and no write does. */
static void a_reader_in_the_way_of_an_empty_log_holds_up_no_write(void **state) {
    (void)state;
    struct note note = make_note(1, E_OK), later[3];
    assert_int_equal(store_write_and_wait(write_note, &note), E_OK);
    struct db *db = pool_reader_open();
    struct stmt *standing = DB_SQL(db, "SELECT name FROM instance");
    assert_true(stmt_row(standing));
    note = make_note(2, E_OK);
    assert_int_equal(store_write_and_wait(forget_note, &note), E_OK);
    for (int i = 0; i < 3; i++) {
        usleep(400000); /* nothing comes: the writer turns to its log */
        later[i] = make_note(3 + i, E_OK);
        int64_t began_ms = now_ms();
        assert_int_equal(store_write_and_wait(write_note, &later[i]), E_OK);
        assert_true(now_ms() - began_ms < 4000); /* five seconds is what a writer waits in line */
    }
    assert_int_equal(stmt_done(standing), E_OK);
    pool_reader_close(db);
}

static void after_the_end_nothing_is_written_and_everybody_is_told(void **state) {
    (void)state;
    struct note last = make_note(1, E_OK);
    late = make_note(2, E_OK);
    store_write(write_note, note_and_go_on, &last);
    store_stop();
    assert_false(store_is_ready());
    expected = 1;
    loop_run(); /* until the late one has been told */
    assert_int_equal(last.err, E_OK);
    assert_int_equal(late.err, E_CANCELLED);
    assert_int_equal(late.done_count, 1);
    assert_false(is_stored(store_reader(), late.name));
}

static void a_guest_never_checkpoints(void **state) {
    (void)state;
    close_all();
    int fd = open(scratch_path("lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0); /* as the running server would */
    open_all();
    assert_false(store_is_owner());
    struct note note = make_note(1, E_OK);
    assert_int_equal(store_write_and_wait(write_note, &note), E_OK);
    store_close();
    assert_true(size_of("troupe.db-wal") > 0);
    close(fd);
    assert_int_equal(store_open(scratch), E_OK);
    assert_true(store_is_owner());
    assert_true(is_stored(store_reader(), note.name));
}

int main(void) {
#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_STORE(writes_of_one_turn_are_one_commit_in_order),
        IN_STORE(a_failed_function_is_undone_alone),
        IN_STORE(a_sure_function_that_refuses_harms_nobody),
        IN_STORE(a_sure_function_that_fails_half_way_takes_its_batch_with_it),
        IN_STORE(a_lone_failed_function_is_undone),
        IN_STORE(the_log_is_synced_before_anybody_is_told),
        IN_STORE(the_frames_of_a_commit_leave_together),
        IN_STORE(what_is_mapped_is_what_is_stored),
        IN_STORE(what_was_told_is_there_after_the_process_ends),
        IN_STORE(every_failing_write_fails_its_batch_and_nothing_is_half_stored),
        IN_STORE(a_full_disk_refuses_writes_and_serves_reads_until_there_is_room),
        IN_STORE(many_threads_write_and_read_at_once),
        IN_STORE(the_log_gets_its_size_and_has_a_limit),
        IN_STORE(a_reader_in_the_way_of_an_empty_log_holds_up_no_write),
        IN_STORE(after_the_end_nothing_is_written_and_everybody_is_told),
        IN_STORE(a_guest_never_checkpoints),
    };
    shim_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
