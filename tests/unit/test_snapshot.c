/* links: troupe_store troupe_embedded */
#include "store/store.h"

#include "base/check.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "scratch.h"

#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>
#include <cmocka.h>

static int64_t count_rows(void) {
    struct stmt *s = DB_SQL(store_reader(), "SELECT count(*) FROM instance WHERE value = 'here'");
    return stmt_int(s, -1);
}

static enum err write_row(struct tx *tx, void *ctx) {
    struct stmt *s = DB_SQL(tx_db(tx), "INSERT INTO instance (name, value) VALUES (:name, 'here')");
    bind_str(s, ":name", str_from(ctx));
    return stmt_run(s);
}

static void *write_beside(void *ctx) {
    assert_int_equal(store_write_and_wait(write_row, ctx), E_OK);
    return NULL;
}

/* Another thread writes, and its commit is done, while this callback of the loop still runs. */
static void commit_meanwhile(const char *name) {
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_beside, (void *)(uintptr_t)name), 0);
    pthread_join(thread, NULL);
}

static int set_up(void **state) {
    (void)state;
    scratch_make();
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
    scratch_remove();
    return 0;
}

static void see_both(void *ctx) {
    (void)ctx;
    assert_int_equal(count_rows(), 1);
    loop_stop(0);
}

static void see_one_state(void *ctx) {
    (void)ctx;
    assert_int_equal(count_rows(), 0);
    commit_meanwhile("meanwhile");
    assert_int_equal(count_rows(), 0);
    loop_later(see_both, NULL);
}

static void the_reads_of_a_turn_are_of_one_state_and_the_next_turn_sees_more(void **state) {
    (void)state;
    loop_later(see_one_state, NULL);
    loop_run();
}

static void see_own_write(enum err err, void *ctx) {
    (void)ctx;
    assert_int_equal(err, E_OK);
    assert_int_equal(count_rows(), 2);
    loop_stop(0);
}

static void write_and_look(void *ctx) {
    (void)ctx;
    assert_int_equal(count_rows(), 0);
    static char own[] = "own";
    store_write(write_row, see_own_write, own);
    commit_meanwhile("meanwhile");
    assert_int_equal(count_rows(), 0);
}

static void a_completion_sees_what_it_completes(void **state) {
    (void)state;
    loop_later(write_and_look, NULL);
    loop_run();
}

static uv_poll_t knock;
static int knock_fd;
static struct mail mail;

static void read_then_commit(uv_poll_t *handle, int status, int events) {
    (void)handle, (void)status, (void)events;
    uv_close((uv_handle_t *)&knock, NULL);
    assert_int_equal(count_rows(), 0);
    commit_meanwhile("meanwhile");
    assert_int_equal(count_rows(), 0);
}

/* Both are found by the same look for events, in this order. */
static void knock_and_post(void *ctx) {
    (void)ctx;
    assert_int_equal(write(knock_fd, &(uint64_t){1}, sizeof(uint64_t)), sizeof(uint64_t));
    mailbox_post(&mail, see_both, NULL);
}

static void come_round(void *ctx) { /* the loop knows the descriptor then */
    loop_later(knock_and_post, ctx);
}

static void mail_ends_the_state_of_a_turn(void **state) {
    (void)state;
    knock_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_int_equal(uv_poll_init(loop_uv(), &knock, knock_fd), 0);
    assert_int_equal(uv_poll_start(&knock, UV_READABLE, read_then_commit), 0);
    loop_later(come_round, NULL);
    loop_run();
    close(knock_fd);
}

static void look_and_sleep(void *ctx) {
    (void)ctx;
    assert_int_equal(count_rows(), 1);
}

/* Whoever holds a state keeps the log from being emptied. */
static void empty_the_log(void *ctx) {
    char path[PATH_MAX];
    sqlite3 *beside = NULL;
    (void)ctx;
    snprintf(path, sizeof path, "%s/troupe.db", scratch);
    assert_int_equal(sqlite3_open_v2(path, &beside, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(
        sqlite3_wal_checkpoint_v2(beside, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(beside);
    loop_stop(0);
}

static void nothing_is_held_while_the_loop_sleeps(void **state) {
    static struct timer timer;
    (void)state;
    commit_meanwhile("before");
    loop_later(look_and_sleep, NULL);
    timer_start(&timer, 50, empty_the_log, NULL);
    loop_run();
}

int main(void) {
#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_STORE(the_reads_of_a_turn_are_of_one_state_and_the_next_turn_sees_more),
        IN_STORE(a_completion_sees_what_it_completes),
        IN_STORE(mail_ends_the_state_of_a_turn),
        IN_STORE(nothing_is_held_while_the_loop_sleeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
