/* links: troupe_loop */
#include "loop/pool.h"

#include "base/check.h"
#include "loop/mailbox.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

/* Work that a test lets go on when it likes. */
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moved = PTHREAD_COND_INITIALIZER;
static bool gate_is_open;
static _Atomic int running, most_running, ran;

struct asked {
    int number;
    enum err err;
    int done_count;
};

static struct asked asked[64];
static int done_count, expected_count;

static void set_gate(bool is_open) {
    pthread_mutex_lock(&gate_lock);
    gate_is_open = is_open;
    pthread_cond_broadcast(&gate_moved);
    pthread_mutex_unlock(&gate_lock);
}

static void work(void *ctx) {
    (void)ctx;
    int now = atomic_fetch_add(&running, 1) + 1;
    int most = atomic_load(&most_running);
    while (now > most && !atomic_compare_exchange_weak(&most_running, &most, now))
        ;
    pthread_mutex_lock(&gate_lock);
    while (!gate_is_open)
        pthread_cond_wait(&gate_moved, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
    usleep(500);
    atomic_fetch_sub(&running, 1);
    atomic_fetch_add(&ran, 1);
}

static void done(enum err err, void *ctx) {
    struct asked *one = ctx;
    assert_true(loop_is_thread());
    one->err = err;
    one->done_count++;
    if (++done_count == expected_count)
        loop_stop(0);
}

static int set_up(void **state) {
    (void)state;
    memset(asked, 0, sizeof(asked));
    done_count = expected_count = 0;
    atomic_store(&running, 0);
    atomic_store(&most_running, 0);
    atomic_store(&ran, 0);
    set_gate(false);
    loop_init();
    mailbox_init();
    pool_init(4);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    mailbox_release();
    loop_release();
    return 0;
}

static void every_job_runs_once_and_is_told_on_the_loop(void **state) {
    (void)state;
    struct pool_kind kind = {.name = "plain", .queue_limit = 64};
    set_gate(true);
    expected_count = 64;
    for (int i = 0; i < 64; i++)
        assert_int_equal(pool_run(&kind, work, done, &asked[i], NULL), E_OK);
    loop_run();
    pool_release();
    assert_int_equal(atomic_load(&ran), 64);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(asked[i].done_count, 1);
        assert_int_equal(asked[i].err, E_OK);
    }
    assert_int_equal(kind.running + kind.queued, 0);
}

static void wait_for_running(int count) {
    for (int i = 0; i < 30000 && atomic_load(&running) < count; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&running), count);
}

static void a_flood_of_one_kind_leaves_threads_to_others(void **state) {
    (void)state;
    struct pool_kind flood = {.name = "flood", .running_limit = 2, .queue_limit = 32};
    struct pool_kind other = {.name = "other"};
    expected_count = 21;
    for (int i = 0; i < 20; i++)
        assert_int_equal(pool_run(&flood, work, done, &asked[i], NULL), E_OK);
    wait_for_running(2);
    assert_int_equal(pool_run(&other, work, done, &asked[20], NULL), E_OK);
    wait_for_running(3); /* it did not wait behind 18 others */
    usleep(20000);
    assert_int_equal(atomic_load(&running), 3); /* and the flood did not take the fourth */
    set_gate(true);
    loop_run();
    pool_release();
    assert_int_equal(atomic_load(&most_running), 3);
    assert_int_equal(atomic_load(&ran), 21);
}

static void threads_work_side_by_side(void **state) {
    (void)state;
    struct pool_kind kind = {.name = "plain"};
    expected_count = 6;
    for (int i = 0; i < 6; i++)
        assert_int_equal(pool_run(&kind, work, done, &asked[i], NULL), E_OK);
    wait_for_running(4);
    set_gate(true);
    loop_run();
    pool_release();
    assert_int_equal(atomic_load(&most_running), 4);
}

static void a_full_queue_refuses_and_tells_nobody(void **state) {
    (void)state;
    struct pool_kind kind = {.name = "small", .running_limit = 1, .queue_limit = 3};
    expected_count = 4;
    assert_int_equal(pool_run(&kind, work, done, &asked[0], NULL), E_OK);
    wait_for_running(1);
    for (int i = 1; i <= 3; i++)
        assert_int_equal(pool_run(&kind, work, done, &asked[i], NULL), E_OK);
    assert_int_equal(pool_run(&kind, work, done, &asked[4], NULL), E_BUSY);
    set_gate(true);
    loop_run();
    pool_release();
    assert_int_equal(asked[3].done_count, 1);
    assert_int_equal(asked[4].done_count, 0);
    assert_int_equal(atomic_load(&ran), 4);
}

static void a_cancelled_job_that_had_not_begun_never_runs(void **state) {
    (void)state;
    struct pool_kind kind = {.name = "one", .running_limit = 1};
    struct pool_job *first, *second;
    expected_count = 3;
    assert_int_equal(pool_run(&kind, work, done, &asked[0], &first), E_OK);
    wait_for_running(1);
    assert_int_equal(pool_run(&kind, work, done, &asked[1], &second), E_OK);
    assert_int_equal(pool_run(&kind, work, done, &asked[2], NULL), E_OK);
    pool_cancel(second);
    pool_cancel(second);                      /* twice is once */
    pool_cancel(first);                       /* too late: it runs */
    assert_int_equal(asked[1].done_count, 0); /* never from inside the call */
    set_gate(true);
    loop_run();
    pool_release();
    static const enum err expected[] = {E_OK, E_CANCELLED, E_OK};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(asked[i].err, expected[i]);
        assert_int_equal(asked[i].done_count, 1);
    }
    assert_int_equal(atomic_load(&ran), 2);
}

static void release_waits_for_what_runs_and_cancels_the_rest(void **state) {
    (void)state;
    struct pool_kind kind = {.name = "one", .running_limit = 1};
    expected_count = -1;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pool_run(&kind, work, done, &asked[i], NULL), E_OK);
    wait_for_running(1);
    set_gate(true);
    pool_release();
    assert_int_equal(atomic_load(&running), 0);
    loop_stop(0);
    loop_run(); /* the mail of the release */
    int told = 0;
    for (int i = 0; i < 3; i++)
        told += asked[i].done_count;
    assert_int_equal(told, 3);
    assert_int_equal(asked[0].err, E_OK);
    assert_int_equal(asked[2].err, E_CANCELLED);
}

static int threads_of_this_process(void) {
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

/* Every other thread of this process sleeps: what has run its work is idle. */
static bool do_all_rest(void) {
    bool do_rest = true;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char path[300], text[300] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/stat", task->d_name);
        if (task->d_name[0] == '.' || atoi(task->d_name) == getpid())
            continue;
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        assert_non_null(fgets(text, sizeof text, file));
        fclose(file);
        do_rest = do_rest && strncmp(strrchr(text, ')'), ") S", 3) == 0;
    }
    closedir(tasks);
    return do_rest;
}

static void wait_for_rest(void) {
    bool do_rest = do_all_rest();
    for (int i = 0; i < 30000 && !do_rest; do_rest = do_all_rest(), i++)
        usleep(1000);
    assert_true(do_rest);
}

static void threads_start_when_work_finds_none_idle(void **state) {
    (void)state;
    struct pool_kind kind = {.name = "late"};
    int before = threads_of_this_process();
    expected_count = 3;
    assert_int_equal(pool_run(&kind, work, done, &asked[0], NULL), E_OK);
    assert_int_equal(threads_of_this_process(), before + 1);
    wait_for_running(1);
    assert_int_equal(pool_run(&kind, work, done, &asked[1], NULL), E_OK);
    assert_int_equal(threads_of_this_process(), before + 2);
    set_gate(true);
    while (atomic_load(&ran) < 2)
        usleep(1000);
    wait_for_rest();
    assert_int_equal(pool_run(&kind, work, done, &asked[2], NULL), E_OK);
    assert_int_equal(threads_of_this_process(), before + 2);
    loop_run();
    pool_release();
    assert_int_equal(done_count, 3);
}

static _Atomic int background_ran;
static int background_nice;

static void work_unseen(void *ctx) {
    (void)ctx;
    background_nice = getpriority(PRIO_PROCESS, 0); /* of this thread, on Linux */
    atomic_fetch_add(&background_ran, 1);
}

/* Every ordinary thread is held up, and the background goes on; the background is held up, and the
 * others go on. */
static void the_background_is_apart_and_nice(void **state) {
    (void)state;
    struct pool_kind kind = {.name = "plain"};
    struct pool_kind unseen = {.name = "unseen", .is_background = true};
    struct pool_kind held = {.name = "held", .is_background = true};
    atomic_store(&background_ran, 0);
    expected_count = 12;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pool_run(&kind, work, done, &asked[i], NULL), E_OK);
    wait_for_running(4);
    for (int i = 4; i < 6; i++)
        assert_int_equal(pool_run(&unseen, work_unseen, done, &asked[i], NULL), E_OK);
    for (int i = 0; i < 30000 && atomic_load(&background_ran) < 2; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&background_ran), 2);
    int nice = getpriority(PRIO_PROCESS, 0); /* the whole test may run as a nice one */
    assert_int_equal(background_nice, nice + 10 < 19 ? nice + 10 : 19);
    for (int i = 6; i < 8; i++)
        assert_int_equal(pool_run(&held, work, done, &asked[i], NULL), E_OK);
    wait_for_running(5); /* one thread only */
    for (int i = 8; i < 12; i++)
        assert_int_equal(pool_run(&kind, work, done, &asked[i], NULL), E_OK);
    set_gate(true);
    loop_run();
    pool_release();
    assert_int_equal(atomic_load(&ran), 10);
    for (int i = 0; i < 12; i++)
        assert_int_equal(asked[i].done_count, 1);
}

/* A relay that stalls: one thread waits for it, every other one is there, the background's too. */
static void who_waits_for_another_machine_holds_up_nobody(void **state) {
    (void)state;
    struct pool_kind patient = {.name = "patient", .is_patient = true};
    struct pool_kind kind = {.name = "plain"};
    struct pool_kind unseen = {.name = "unseen", .is_background = true};
    atomic_store(&background_ran, 0);
    expected_count = 8;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pool_run(&patient, work, done, &asked[i], NULL), E_OK);
    wait_for_running(1);
    for (int i = 2; i < 6; i++)
        assert_int_equal(pool_run(&kind, work, done, &asked[i], NULL), E_OK);
    wait_for_running(5); /* all four threads, and the one that waits: the second waits for it */
    for (int i = 6; i < 8; i++)
        assert_int_equal(pool_run(&unseen, work_unseen, done, &asked[i], NULL), E_OK);
    for (int i = 0; i < 30000 && atomic_load(&background_ran) < 2; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&background_ran), 2);
    set_gate(true);
    loop_run();
    pool_release();
    assert_int_equal(atomic_load(&ran), 6);
    for (int i = 0; i < 8; i++)
        assert_int_equal(asked[i].done_count, 1);
}

int main(void) {
#define IN_POOL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_POOL(every_job_runs_once_and_is_told_on_the_loop),
        IN_POOL(a_flood_of_one_kind_leaves_threads_to_others),
        IN_POOL(threads_work_side_by_side),
        IN_POOL(a_full_queue_refuses_and_tells_nobody),
        IN_POOL(a_cancelled_job_that_had_not_begun_never_runs),
        IN_POOL(release_waits_for_what_runs_and_cancels_the_rest),
        IN_POOL(threads_start_when_work_finds_none_idle),
        IN_POOL(the_background_is_apart_and_nice),
        IN_POOL(who_waits_for_another_machine_holds_up_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
