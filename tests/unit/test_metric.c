/* links: troupe_base */
#include "base/check.h"
#include "base/metric.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Declared out of order: the page is sorted. */
METRIC_GAUGE(open_connections, "test_connections", "Connections open now.");
METRIC_LABELLED(turns_ok, "test_turns_total", "state=\"ok\"",
                "Turns that ended, by \\ state\nand no more.");
METRIC_LABELLED(turns_failed, "test_turns_total", "state=\"failed\"",
                "Turns that ended, by \\ state\nand no more.");
METRIC_COUNTER(bytes_sent, "test_bytes_total", "Bytes sent.");
METRIC_HISTOGRAM(turn_seconds, "test_turn_seconds", "Time of a turn.");

static const char PAGE[] = //
    "# HELP test_bytes_total Bytes sent.\n"
    "# TYPE test_bytes_total counter\n"
    "test_bytes_total 1234567890123\n"
    "# HELP test_connections Connections open now.\n"
    "# TYPE test_connections gauge\n"
    "test_connections -3\n"
    "# HELP test_turn_seconds Time of a turn.\n"
    "# TYPE test_turn_seconds histogram\n"
    "test_turn_seconds_bucket{le=\"0.000064\"} 3\n"
    "test_turn_seconds_bucket{le=\"0.000128\"} 4\n"
    "test_turn_seconds_bucket{le=\"0.000256\"} 4\n"
    "test_turn_seconds_bucket{le=\"0.000512\"} 4\n"
    "test_turn_seconds_bucket{le=\"0.001024\"} 4\n"
    "test_turn_seconds_bucket{le=\"0.002048\"} 4\n"
    "test_turn_seconds_bucket{le=\"0.004096\"} 4\n"
    "test_turn_seconds_bucket{le=\"0.008192\"} 4\n"
    "test_turn_seconds_bucket{le=\"0.016384\"} 4\n"
    "test_turn_seconds_bucket{le=\"0.032768\"} 4\n"
    "test_turn_seconds_bucket{le=\"0.065536\"} 4\n"
    "test_turn_seconds_bucket{le=\"0.131072\"} 4\n"
    "test_turn_seconds_bucket{le=\"0.262144\"} 4\n"
    "test_turn_seconds_bucket{le=\"0.524288\"} 4\n"
    "test_turn_seconds_bucket{le=\"1.048576\"} 4\n"
    "test_turn_seconds_bucket{le=\"2.097152\"} 5\n"
    "test_turn_seconds_bucket{le=\"+Inf\"} 6\n"
    "test_turn_seconds_sum 5.194434\n"
    "test_turn_seconds_count 6\n"
    "# HELP test_turns_total Turns that ended, by \\\\ state\\nand no more.\n"
    "# TYPE test_turns_total counter\n"
    "test_turns_total{state=\"failed\"} 1\n"
    "test_turns_total{state=\"ok\"} 2\n";

static void the_page_is_sorted_and_complete(void **state) {
    (void)state;
    metric_add(&bytes_sent, INT64_C(1234567890123));
    metric_set(&open_connections, 7);
    metric_add(&open_connections, -10);
    metric_add(&turns_ok, 2);
    metric_add(&turns_failed, 1);
    static const int64_t TIMES_US[] = {-1, 0, 64, 65, 2097152, 3097153};
    for (size_t i = 0; i < COUNT_OF(TIMES_US); i++)
        metric_observe_us(&turn_seconds, TIMES_US[i]);
    struct buf out;
    buf_init(&out, 1 << 16);
    metric_print(&out);
    char *page = buf_take(&out, NULL);
    assert_string_equal(page, PAGE);
    free(page);
}

static void *count(void *unused) {
    for (int i = 0; i < 10000; i++)
        metric_add(&bytes_sent, 1);
    return unused;
}

static void threads_lose_no_count(void **state) {
    (void)state;
    pthread_t threads[4];
    metric_set(&bytes_sent, 0);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, count, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(bytes_sent.value, 40000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_sorted_and_complete),
        cmocka_unit_test(threads_lose_no_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
