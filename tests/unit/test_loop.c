/* links: troupe_loop */
#include "loop/loop.h"

#include "base/check.h"
#include "base/clock.h"
#include "loop/mailbox.h"
#include "scratch.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <cmocka.h>

/* What happened, a letter each, in order. */
static char told[256];
static size_t told_len;

static void tell(char letter) {
    assert_true(told_len < sizeof(told) - 1);
    told[told_len++] = letter;
    told[told_len] = '\0';
}

static void tell_ctx(void *ctx) {
    tell((char)(uintptr_t)ctx);
}

#define LETTER(letter) ((void *)(uintptr_t)(letter))

static int set_up(void **state) {
    (void)state;
    told_len = 0;
    told[0] = '\0';
    loop_init();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    loop_release();
    return 0;
}

static void stop_now(void *ctx) {
    (void)ctx;
    loop_stop(0);
}

/* --- later ------------------------------------------------------------------------------------ */

static void second_round(void *ctx) {
    (void)ctx;
    tell('c');
    loop_stop(0);
}

static void first_round(void *ctx) {
    (void)ctx;
    loop_later(second_round, NULL);
    tell('a');
}

static void later_comes_after_the_callback_in_order(void **state) {
    (void)state;
    loop_later(first_round, NULL);
    loop_later(tell_ctx, LETTER('b'));
    assert_string_equal(told, ""); /* never from inside the call */
    loop_run();
    assert_string_equal(told, "abc");
}

static int64_t spins;

static void spin(void *ctx) {
    (void)ctx;
    spins++;
    if (loop_phase() == LOOP_RUNNING)
        loop_later(spin, NULL);
}

static void later_for_ever_does_not_starve_timers(void **state) {
    (void)state;
    struct timer timer = {0};
    spins = 0;
    loop_later(spin, NULL);
    timer_start(&timer, 20, stop_now, NULL);
    loop_run();
    assert_true(spins > 10); /* and the loop did not sleep between */
}

/* --- timers ----------------------------------------------------------------------------------- */

static void timers_fire_in_the_order_of_their_moments(void **state) {
    (void)state;
    static const struct {
        int64_t after_ms;
        char letter;
    } rows[] = {{30, 'd'}, {5, 'b'}, {0, 'a'}, {45, 'e'}, {12, 'c'}, {-7, 'a'}};
    struct timer timers[COUNT_OF(rows)] = {0}, end = {0};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        timer_start(&timers[i], rows[i].after_ms, tell_ctx, LETTER(rows[i].letter));
    timer_start(&end, 60, stop_now, NULL);
    int64_t began_us = clock_mono_us();
    loop_run();
    assert_string_equal(told, "aabcde");
    assert_true(clock_mono_us() - began_us >= 60000);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_false(timer_is_armed(&timers[i]));
}

static struct timer victim;

static void stop_victim(void *ctx) {
    (void)ctx;
    timer_stop(&victim);
    timer_stop(&victim); /* safe when not armed */
    tell('s');
}

static void stopped_and_rearmed_timers_obey(void **state) {
    (void)state;
    struct timer killer = {0}, moved = {0}, end = {0};
    memset(&victim, 0, sizeof(victim));
    timer_start(&victim, 10, tell_ctx, LETTER('v'));
    timer_start(&killer, 5, stop_victim, NULL);
    timer_start(&moved, 1, tell_ctx, LETTER('x'));
    timer_start(&moved, 20, tell_ctx,
                LETTER('m')); /* the new moment and function replace the old */
    timer_start(&end, 40, stop_now, NULL);
    loop_run();
    assert_string_equal(told, "sm");
}

#define MANY 2000
static struct timer many[MANY];
static uint64_t last_due_us;
static int fired;

static void fires_in_order(void *ctx) {
    uint64_t due_us = *(uint64_t *)ctx;
    assert_true(due_us >= last_due_us);
    last_due_us = due_us;
    fired++;
}

static void the_heap_holds_with_thousands_and_removals(void **state) {
    (void)state;
    static uint64_t due_us[MANY];
    unsigned random = 42;
    int stopped = 0;
    last_due_us = 0;
    fired = 0;
    memset(many, 0, sizeof(many));
    for (int i = 0; i < MANY; i++) {
        random = random * 1103515245 + 12345;
        timer_start(&many[i], random >> 16 & 63, fires_in_order, &due_us[i]);
        due_us[i] = many[i].due_us;
    }
    for (int i = 0; i < MANY; i += 3, stopped++)
        timer_stop(&many[i]);
    struct timer end = {0};
    timer_start(&end, 100, stop_now, NULL);
    loop_run();
    assert_int_equal(fired, MANY - stopped);
}

static void *move_an_hour(void *ctx) {
    (void)ctx;
    usleep(20000); /* the loop sleeps by now */
    scratch_move_clock(3600 * 1000);
    return NULL;
}

static void a_moved_clock_is_noticed_while_the_loop_sleeps(void **state) {
    (void)state;
    scratch_make();
    scratch_take_clock();
    loop_init();
    struct timer in_an_hour = {0}, in_two_hours = {0};
    timer_start(&in_an_hour, 3600 * 1000, stop_now, NULL);
    timer_start(&in_two_hours, 2 * 3600 * 1000, stop_now, NULL);
    pthread_t mover;
    assert_int_equal(pthread_create(&mover, NULL, move_an_hour, NULL), 0);
    loop_run();
    pthread_join(mover, NULL);
    assert_false(timer_is_armed(&in_an_hour));
    assert_true(timer_is_armed(&in_two_hours));
    loop_release();
    scratch_leave_clock();
    scratch_remove();
}

/* --- the end of a turn ------------------------------------------------------------------------ */

static int queued, flushed_at_once;

static void flush(void *ctx) {
    (void)ctx;
    if (queued > flushed_at_once)
        flushed_at_once = queued;
    queued = 0;
}

static void queue_one(void *ctx) {
    (void)ctx;
    queued++;
}

/* A timer, mail and later-functions of one turn: one flush sees them all. */
static void everything_of_a_turn_is_flushed_together(void **state) {
    (void)state;
    struct timer timers[3] = {0}, end = {0};
    struct mail mail[4];
    queued = flushed_at_once = 0;
    mailbox_init();
    loop_after_turn(flush, NULL);
    loop_after_turn(flush, NULL); /* again is the same */
    uv_run(loop_uv(), UV_RUN_NOWAIT);
    for (int i = 0; i < 3; i++)
        timer_start(&timers[i], 0, queue_one, NULL);
    for (int i = 0; i < 4; i++)
        mailbox_post(&mail[i], queue_one, NULL);
    for (int i = 0; i < 5; i++)
        loop_later(queue_one, NULL);
    usleep(2000);
    uv_run(loop_uv(), UV_RUN_NOWAIT); /* timers and later, then the poll takes the mail */
    assert_int_equal(flushed_at_once, 8);
    assert_int_equal(queued, 4);
    uv_run(loop_uv(), UV_RUN_NOWAIT); /* the mail's flush comes before the loop would sleep */
    assert_int_equal(queued, 0);
    timer_start(&end, 0, stop_now, NULL);
    loop_run();
    mailbox_release();
}

/* --- the stop --------------------------------------------------------------------------------- */

static struct timer worker;

static void finish_work(void *ctx) {
    (void)ctx;
    assert_int_equal(loop_phase(), LOOP_DRAINING);
    tell('w');
    loop_let_go();
}

static void on_drain(void *ctx) {
    tell_ctx(ctx);
    assert_int_equal(loop_phase(), LOOP_DRAINING);
}

static void on_stopped(void *ctx) {
    tell_ctx(ctx);
    assert_int_equal(loop_phase(), LOOP_STOPPED);
}

static void a_drain_waits_for_who_holds(void **state) {
    (void)state;
    memset(&worker, 0, sizeof(worker));
    loop_on_drain(on_drain, LETTER('1'));
    loop_on_drain(on_drain, LETTER('2'));
    loop_on_stopped(on_stopped, LETTER('8'));
    loop_on_stopped(on_stopped, LETTER('9')); /* newest first */
    loop_hold();
    timer_start(&worker, 30, finish_work, NULL);
    assert_int_equal(loop_phase(), LOOP_RUNNING);
    loop_stop(10000);
    int64_t began_us = clock_mono_us();
    loop_run();
    assert_string_equal(told, "12w98");
    int64_t took_us = clock_mono_us() - began_us;
    assert_true(took_us >= 29000 && took_us < 5000000);
}

static void a_drain_ends_with_its_grace(void **state) {
    (void)state;
    loop_hold(); /* and never lets go */
    loop_on_stopped(on_stopped, LETTER('e'));
    loop_stop(30);
    int64_t began_us = clock_mono_us();
    loop_run();
    assert_string_equal(told, "e");
    int64_t took_us = clock_mono_us() - began_us;
    assert_true(took_us >= 29000 && took_us < 1000000);
}

static void *stop_from_thread(void *ctx) {
    (void)ctx;
    assert_false(loop_is_thread());
    usleep(5000);
    loop_stop(0);
    return NULL;
}

static void another_thread_may_stop(void **state) {
    (void)state;
    pthread_t thread;
    assert_true(loop_is_thread());
    assert_int_equal(pthread_create(&thread, NULL, stop_from_thread, NULL), 0);
    loop_run();
    pthread_join(thread, NULL);
}

static void hangup(void *ctx) {
    tell_ctx(ctx);
    raise(SIGTERM);
}

static void again(void *ctx) {
    (void)ctx;
    raise(SIGINT);
}

static void signals_stop_and_a_second_one_ends_the_grace(void **state) {
    (void)state;
    loop_hold();
    loop_catch_signals(60000, hangup, LETTER('h'));
    loop_on_drain(again, NULL);
    raise(SIGHUP);
    int64_t began_us = clock_mono_us();
    loop_run();
    assert_string_equal(told, "h");
    assert_true(clock_mono_us() - began_us < 5000000);
}

static struct mail last_mail;
static uv_timer_t foreign;

static void last_word(void *ctx) {
    tell_ctx(ctx);
}

static void foreign_fired(uv_timer_t *handle) {
    tell('f');
    uv_close((uv_handle_t *)handle, NULL);
}

static void post_last(void *ctx) {
    (void)ctx;
    mailbox_post(&last_mail, last_word, LETTER('m'));
    loop_later(last_word, LETTER('l'));
    uv_timer_init(loop_uv(), &foreign);
    uv_timer_start(&foreign, foreign_fired, 20, 0);
}

static void what_the_last_hooks_begin_is_finished(void **state) {
    (void)state;
    mailbox_init();
    loop_on_stopped(post_last, NULL);
    loop_stop(0);
    loop_run();
    mailbox_release();
    assert_non_null(strchr(told, 'm'));
    assert_non_null(strchr(told, 'l'));
    assert_non_null(strchr(told, 'f')); /* a handle of somebody else had its turn */
}

static void never_mind(uv_timer_t *handle) {
    (void)handle;
}

static void open_a_handle_that_never_ends(void *ctx) {
    (void)ctx;
    uv_timer_init(loop_uv(), &foreign);
    uv_timer_start(&foreign, never_mind, 100, 100);
}

static void the_last_flush_has_a_limit(void **state) {
    (void)state;
    loop_on_stopped(open_a_handle_that_never_ends, NULL);
    loop_stop(0);
    int64_t began_us = clock_mono_us();
    loop_run();
    int64_t took_us = clock_mono_us() - began_us;
    assert_true(took_us >= 900000 && took_us < 3000000);
}

int main(void) {
#define IN_LOOP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_LOOP(later_comes_after_the_callback_in_order),
        IN_LOOP(later_for_ever_does_not_starve_timers),
        IN_LOOP(timers_fire_in_the_order_of_their_moments),
        IN_LOOP(stopped_and_rearmed_timers_obey),
        IN_LOOP(the_heap_holds_with_thousands_and_removals),
        cmocka_unit_test(a_moved_clock_is_noticed_while_the_loop_sleeps),
        IN_LOOP(everything_of_a_turn_is_flushed_together),
        IN_LOOP(a_drain_waits_for_who_holds),
        IN_LOOP(a_drain_ends_with_its_grace),
        IN_LOOP(another_thread_may_stop),
        IN_LOOP(signals_stop_and_a_second_one_ends_the_grace),
        IN_LOOP(what_the_last_hooks_begin_is_finished),
        IN_LOOP(the_last_flush_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
