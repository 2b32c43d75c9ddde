/* links: troupe_loop */
#include "loop/mailbox.h"

#include "base/check.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <cmocka.h>

static int set_up(void **state) {
    (void)state;
    loop_init();
    mailbox_init();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    mailbox_release();
    loop_release();
    return 0;
}

/* --- many threads, one order ------------------------------------------------------------------ */

#define THREADS 4
#define LETTERS 5000

struct letter {
    struct mail mail;
    int thread, number;
};

static struct letter letters[THREADS][LETTERS];
static int next_of[THREADS], arrived;

static void arrive(void *ctx) {
    struct letter *letter = ctx;
    assert_true(loop_is_thread());
    assert_int_equal(letter->number,
                     next_of[letter->thread]); /* each thread's order is kept, each comes once */
    next_of[letter->thread]++;
    if (++arrived == THREADS * LETTERS)
        loop_stop(0);
}

static void *post_all(void *ctx) {
    struct letter *mine = ctx;
    for (int i = 0; i < LETTERS; i++)
        mailbox_post(&mine[i].mail, arrive, &mine[i]);
    return NULL;
}

static void mail_of_many_threads_comes_once_and_in_order(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    memset(next_of, 0, sizeof(next_of));
    arrived = 0;
    for (int t = 0; t < THREADS; t++) {
        for (int i = 0; i < LETTERS; i++)
            letters[t][i] = (struct letter){.thread = t, .number = i};
        assert_int_equal(pthread_create(&threads[t], NULL, post_all, letters[t]), 0);
    }
    loop_run();
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    assert_int_equal(arrived, THREADS * LETTERS);
}

/* --- reuse ------------------------------------------------------------------------------------ */

static struct mail reused;
static int rounds;

static void again(void *ctx) {
    if (++rounds == 100)
        loop_stop(0);
    else
        mailbox_post(&reused, again, ctx); /* free for reuse when its function runs */
}

static void a_mail_may_be_posted_again_from_its_own_function(void **state) {
    (void)state;
    rounds = 0;
    mailbox_post(&reused, again, NULL);
    assert_int_equal(rounds, 0); /* later, never from inside the call */
    loop_run();
    assert_int_equal(rounds, 100);
}

static void free_it(void *ctx) {
    free(ctx);
    rounds++;
}

static void a_mail_may_be_freed_by_its_own_function(void **state) {
    (void)state;
    rounds = 0;
    for (int i = 0; i < 10; i++) {
        struct mail *mail = malloc(sizeof(*mail));
        mailbox_post(mail, free_it, mail);
    }
    uv_run(loop_uv(), UV_RUN_NOWAIT);
    assert_int_equal(rounds, 10);
}

static void what_is_left_runs_at_release(void **state) {
    (void)state;
    loop_init();
    mailbox_init();
    rounds = 0;
    struct mail *mail = malloc(sizeof(*mail));
    mailbox_post(mail, free_it, mail);
    mailbox_release();
    assert_int_equal(rounds, 1);
    loop_release();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(mail_of_many_threads_comes_once_and_in_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_mail_may_be_posted_again_from_its_own_function, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_mail_may_be_freed_by_its_own_function, set_up, tear_down),
        cmocka_unit_test(what_is_left_runs_at_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
