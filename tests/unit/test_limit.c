/* links: troupe_net troupe_embedded */
#include "base/clock.h"
#include "net/limit.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

static int64_t *moved_ms; /* the clock of this process, moved by writing here */
static char clock_path[] = "/tmp/troupe-test-limit-XXXXXX";

static int start(void **state) {
    (void)state;
    int fd = mkstemp(clock_path);
    assert_true(fd >= 0 && ftruncate(fd, 8) == 0);
    moved_ms = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    assert_true(moved_ms != MAP_FAILED);
    setenv("TROUPE_TEST_CLOCK", clock_path, 1);
    clock_init();
    return 0;
}

static int stop(void **state) {
    (void)state;
    munmap(moved_ms, 8);
    unlink(clock_path);
    return 0;
}

static int setup(void **state) {
    (void)state;
    limits = (struct limits){.requests_per_minute = 60, .costly_per_minute = 6};
    return 0;
}

static int teardown(void **state) {
    (void)state;
    limit_release();
    return 0;
}

static int take_until_refused(struct str subject, bool is_costly) {
    int count = 0;
    while (count < 10000 && limit_take(subject, is_costly).is_allowed)
        count++;
    return count;
}

static void a_bucket_empties_and_fills_again(void **state) {
    (void)state;
    struct str subject = STR("user:1");
    assert_int_equal(take_until_refused(subject, false), 60);
    struct limit_answer refused = limit_take(subject, false);
    assert_int_equal(refused.limit, 60);
    assert_int_equal(refused.remaining, 0);
    assert_int_equal(refused.retry_s, 1);
    assert_in_range(refused.reset_s, 59, 60);
    *moved_ms += 10000; /* ten seconds give ten requests */
    assert_in_range(take_until_refused(subject, false), 10, 11);
    *moved_ms += 3600000; /* never more than a full bucket */
    assert_int_equal(take_until_refused(subject, false), 60);
}

static void subjects_do_not_share(void **state) {
    (void)state;
    assert_int_equal(take_until_refused(STR("user:1"), false), 60);
    assert_int_equal(take_until_refused(STR("user:2"), false), 60);
    assert_int_equal(take_until_refused(STR("address:1"), false), 60);
}

static void costly_requests_have_a_lower_limit(void **state) {
    (void)state;
    assert_int_equal(take_until_refused(STR("costly:1"), true), 6);
    struct limit_answer refused = limit_take(STR("costly:1"), true);
    assert_in_range(refused.retry_s, 9, 10);
}

static void bad_tokens_make_their_address_wait(void **state) {
    (void)state;
    struct str address = STR("192.0.2.7");
    limits.bad_tokens_per_minute = 5;
    assert_int_equal(limit_bad_tokens_wait_s(address), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(limit_bad_tokens_wait_s(address), 0);
        limit_bad_token(address);
    }
    assert_in_range(limit_bad_tokens_wait_s(address), 11, 12);
    assert_int_equal(limit_bad_tokens_wait_s(STR("192.0.2.8")), 0);
    *moved_ms += 12000;
    assert_int_equal(limit_bad_tokens_wait_s(address), 0);
    limit_bad_token(address);
    assert_in_range(limit_bad_tokens_wait_s(address), 11, 12);
    limits.bad_tokens_per_minute = 0;
    assert_int_equal(limit_bad_tokens_wait_s(address), 0);
}

static void zero_is_no_limit(void **state) {
    (void)state;
    limits.requests_per_minute = 0;
    assert_int_equal(take_until_refused(STR("user:1"), false), 10000);
    assert_int_equal(limit_take(STR("user:1"), false).limit, 0);
}

static void a_flood_of_subjects_is_bounded_and_keeps_the_busy_one(void **state) {
    (void)state;
    char text[32];
    int64_t began_us = clock_mono_us(), allowed = 0;
    assert_int_equal(take_until_refused(STR("user:busy"), false), 60);
    for (int i = 0; i < 60000; i++) {
        int len = snprintf(text, sizeof(text), "address:%d", i);
        assert_true(limit_take(str_of(text, (size_t)len), false).is_allowed);
        if (i % 1000 == 0) /* it keeps asking, so it is not the one unused for longest */
            allowed += limit_take(STR("user:busy"), false).is_allowed;
    }
    assert_in_range(allowed, 0,
                    (clock_mono_us() - began_us) / 1000000); /* one a second comes back */
}

static void long_subjects_are_cut_not_overrun(void **state) {
    (void)state;
    char text[500];
    memset(text, 'x', sizeof(text));
    assert_int_equal(take_until_refused(str_of(text, sizeof(text)), false), 60);
}

static void a_network_of_ipv6_counts_as_one(void **state) {
    (void)state;
    static const struct {
        const char *address, *network;
    } rows[] = {{"192.0.2.1", "192.0.2.1"},
                {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
                {"2001:db8:1:2::9", "2001:db8:1:2::/64"},
                {"2001:db8:1:3::9", "2001:db8:1:3::/64"},
                {"::1", "::/64"},
                {"nonsense:", "nonsense:"},
                {"", ""}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[LIMIT_NETWORK_BYTES];
        struct str network = limit_network(str_from(rows[i].address), text);
        if (!str_eq(network, str_from(rows[i].network)))
            fail_msg("%s is in " STR_FMT, rows[i].address, STR_ARG(network));
    }
    limits.bad_tokens_per_minute = 2;
    limit_bad_token(STR("2001:db8::1"));
    limit_bad_token(STR("2001:db8::2"));
    assert_true(limit_bad_tokens_wait_s(STR("2001:db8::3")) > 0);
    assert_int_equal(limit_bad_tokens_wait_s(STR("2001:db8:0:1::3")), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_bucket_empties_and_fills_again),
        TEST(a_network_of_ipv6_counts_as_one),
        TEST(subjects_do_not_share),
        TEST(costly_requests_have_a_lower_limit),
        TEST(bad_tokens_make_their_address_wait),
        TEST(zero_is_no_limit),
        TEST(a_flood_of_subjects_is_bounded_and_keeps_the_busy_one),
        TEST(long_subjects_are_cut_not_overrun),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
