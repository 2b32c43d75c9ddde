/* links: troupe_store troupe_embedded */
#include "store/idempotency.h"

#include "base/check.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DAY_MS (24 * 3600 * 1000LL)

static struct arena arena;

static int set_up(void **state) {
    (void)state;
    scratch_make();
    scratch_take_clock();
    arena_init(&arena);
    assert_int_equal(store_open(scratch), E_OK);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    store_close();
    arena_release(&arena);
    scratch_leave_clock();
    scratch_remove();
    return 0;
}

static struct idempotency make(int64_t user_id, const char *key, char request) {
    struct idempotency claim = {.user_id = user_id, .key = str_from(key), .arena = &arena};
    memset(claim.fingerprint, request, sizeof(claim.fingerprint));
    return claim;
}

static enum idempotency_state claim_state(int64_t user_id, const char *key, char request) {
    struct idempotency claim = make(user_id, key, request);
    assert_int_equal(store_write_and_wait(idempotency_claim, &claim), E_OK);
    return claim.state;
}

static void answer(int64_t user_id, const char *key, int status, struct str type, struct str body) {
    struct idempotency record = make(user_id, key, 'r');
    record.status = status;
    record.content_type = type;
    record.body = body;
    assert_int_equal(store_write_and_wait(idempotency_record, &record), E_OK);
}

static void the_first_answer_is_every_answer(void **state) {
    (void)state;
    assert_int_equal(claim_state(1, "k", 'r'), IDEMPOTENCY_NEW);
    assert_int_equal(claim_state(1, "k", 'r'), IDEMPOTENCY_RUNNING);
    answer(1, "k", 201, STR("application/json"), (struct str){"{\"a\":\0}", 7});
    for (int i = 0; i < 2; i++) {
        struct idempotency again = make(1, "k", 'r');
        assert_int_equal(store_write_and_wait(idempotency_claim, &again), E_OK);
        assert_int_equal(again.state, IDEMPOTENCY_ANSWERED);
        assert_int_equal(again.status, 201);
        assert_true(str_eq(again.content_type, STR("application/json")));
        assert_true(str_eq(again.body, ((struct str){"{\"a\":\0}", 7})));
    }
    answer(1, "k", 500, STR("text/plain"), STR("late")); /* a second answer changes nothing */
    struct idempotency again = make(1, "k", 'r');
    assert_int_equal(store_write_and_wait(idempotency_claim, &again), E_OK);
    assert_int_equal(again.status, 201);
}

static void a_key_belongs_to_one_request_of_one_person(void **state) {
    (void)state;
    assert_int_equal(claim_state(1, "k", 'r'), IDEMPOTENCY_NEW);
    assert_int_equal(claim_state(1, "k", 's'), IDEMPOTENCY_OTHER_REQUEST);
    assert_int_equal(claim_state(2, "k", 'r'), IDEMPOTENCY_NEW);
    assert_int_equal(claim_state(0, "k", 'r'), IDEMPOTENCY_NEW); /* nobody in particular */
    assert_int_equal(claim_state(1, "l", 'r'), IDEMPOTENCY_NEW);
}

static void a_request_that_did_nothing_may_be_repeated(void **state) {
    (void)state;
    assert_int_equal(claim_state(1, "k", 'r'), IDEMPOTENCY_NEW);
    struct idempotency gone = make(1, "k", 'r');
    assert_int_equal(store_write_and_wait(idempotency_forget, &gone), E_OK);
    assert_int_equal(claim_state(1, "k", 'r'), IDEMPOTENCY_NEW);
    answer(1, "k", 204, STR_NONE, STR_NONE);
    assert_int_equal(store_write_and_wait(idempotency_forget, &gone),
                     E_OK); /* an answer is not forgotten */
    assert_int_equal(claim_state(1, "k", 'r'), IDEMPOTENCY_ANSWERED);
}

static void a_crash_in_the_middle_is_not_done_twice(void **state) {
    (void)state;
    assert_int_equal(claim_state(1, "k", 'r'), IDEMPOTENCY_NEW);
    store_close();
    assert_int_equal(store_open(scratch), E_OK);
    assert_int_equal(claim_state(1, "k", 'r'), IDEMPOTENCY_RUNNING);
}

static void after_a_day_a_key_is_new_and_rows_go_away(void **state) {
    (void)state;
    for (char c = 'a'; c <= 'j'; c++)
        assert_int_equal(claim_state(1, (char[]){c, 0}, 'r'), IDEMPOTENCY_NEW);
    scratch_move_clock(DAY_MS - 60000);
    assert_int_equal(claim_state(1, "a", 'r'), IDEMPOTENCY_RUNNING);
    scratch_move_clock(DAY_MS + 1000);
    assert_int_equal(claim_state(1, "a", 's'), IDEMPOTENCY_NEW);
    for (int i = 0; i < 4; i++)
        assert_int_equal(claim_state(2, (char[]){(char)('a' + i), 0}, 'r'), IDEMPOTENCY_NEW);
    assert_int_equal(stmt_int(DB_SQL(store_reader(), "SELECT count(*) FROM idempotency"), -1), 5);
}

int main(void) {
#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_STORE(the_first_answer_is_every_answer),
        IN_STORE(a_key_belongs_to_one_request_of_one_person),
        IN_STORE(a_request_that_did_nothing_may_be_repeated),
        IN_STORE(a_crash_in_the_middle_is_not_done_twice),
        IN_STORE(after_a_day_a_key_is_new_and_rows_go_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
