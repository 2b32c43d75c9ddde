/*
 * Numbers for Prometheus, declared where they are counted. A metric is a static object that joins
 * the list on first use of the process (METRIC_... registers it in the linker section
 * troupe_metric). Counters may be raised from any thread (relaxed atomics).
 */
#pragma once

#include "base/buf.h"

#include <stdatomic.h>

enum metric_kind { METRIC_KIND_COUNTER, METRIC_KIND_GAUGE, METRIC_KIND_HISTOGRAM };

#define METRIC_BUCKETS 16 /* powers of two from 64 us to 2 s, then infinity */

struct metric {
    const char *name; /* troupe_turns_total */
    const char *help;
    const char *label; /* `state="ok"`, or NULL */
    enum metric_kind kind;
    _Atomic int64_t value; /* of a histogram: the sum in microseconds */
    _Atomic int64_t count;
    _Atomic int64_t buckets[METRIC_BUCKETS];
};

#define METRIC_DEFINE(variable, metric_name, kind_, label_, help_)           \
    static struct metric variable = {                                        \
        .name = metric_name, .help = help_, .label = label_, .kind = kind_}; \
    static struct metric *const variable##_row                               \
        __attribute__((section("troupe_metric"), used, retain)) = &variable
#define METRIC_COUNTER(variable, name, help) \
    METRIC_DEFINE(variable, name, METRIC_KIND_COUNTER, NULL, help)
#define METRIC_LABELLED(variable, name, lab, help) \
    METRIC_DEFINE(variable, name, METRIC_KIND_COUNTER, lab, help)
#define METRIC_GAUGE(variable, name, help) \
    METRIC_DEFINE(variable, name, METRIC_KIND_GAUGE, NULL, help)
#define METRIC_HISTOGRAM(variable, name, help) \
    METRIC_DEFINE(variable, name, METRIC_KIND_HISTOGRAM, NULL, help)

void metric_add(struct metric *metric, int64_t amount);
void metric_set(struct metric *metric, int64_t value);
void metric_observe_us(struct metric *metric, int64_t us);
/* Text exposition format 0.0.4, rows sorted by name. */
void metric_print(struct buf *out);
