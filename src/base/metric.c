/*
 * The linker collects the rows: every METRIC_... puts a pointer into the section troupe_metric,
 * whose bounds it provides. No registration code runs, no list can be forgotten, and a metric is
 * counted in the file that knows what it means.
 */
#include "base/metric.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define FIRST_BUCKET_US 64
#define METRICS_LIMIT   1024 /* far above what a person can read; bounds the sort */

/* Weak: a program without metrics has no such section. */
extern struct metric *const __start_troupe_metric[] __attribute__((weak, visibility("hidden")));
extern struct metric *const __stop_troupe_metric[] __attribute__((weak, visibility("hidden")));

void metric_add(struct metric *metric, int64_t amount) {
    atomic_fetch_add_explicit(&metric->value, amount, memory_order_relaxed);
}

void metric_set(struct metric *metric, int64_t value) {
    atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

void metric_observe_us(struct metric *metric, int64_t us) {
    us = us < 0 ? 0 : us;
    int bucket = 0;
    while (bucket < METRIC_BUCKETS && us > (int64_t)FIRST_BUCKET_US << bucket)
        bucket++;
    if (bucket < METRIC_BUCKETS)
        atomic_fetch_add_explicit(&metric->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&metric->value, us, memory_order_relaxed);
    atomic_fetch_add_explicit(&metric->count, 1, memory_order_relaxed);
}

static int compare_metrics(const void *a, const void *b) {
    const struct metric *x = *(const struct metric *const *)a,
                        *y = *(const struct metric *const *)b;
    int order = strcmp(x->name, y->name);
    return order ? order : strcmp(x->label ? x->label : "", y->label ? y->label : "");
}

/* HELP ends at the line end; a backslash would begin an escape. */
static void print_help(struct buf *out, const char *help) {
    for (const char *c = help; *c; c++) {
        if (*c == '\n')
            buf_add_str(out, STR("\\n"));
        else if (*c == '\\')
            buf_add_str(out, STR("\\\\"));
        else
            buf_add_char(out, *c);
    }
}

static void print_head(struct buf *out, const struct metric *metric) {
    static const char *const TYPES[] = {"counter", "gauge", "histogram"};
    buf_printf(out, "# HELP %s ", metric->name);
    print_help(out, metric->help);
    buf_printf(out, "\n# TYPE %s %s\n", metric->name, TYPES[metric->kind]);
}

static void print_plain(struct buf *out, const struct metric *metric) {
    buf_add_str(out, str_from(metric->name));
    if (metric->label)
        buf_printf(out, "{%s}", metric->label);
    buf_add_char(out, ' ');
    buf_add_int(out, atomic_load_explicit(&metric->value, memory_order_relaxed));
    buf_add_char(out, '\n');
}

static void print_seconds(struct buf *out, int64_t us) {
    buf_printf(out, "%lld.%06lld", (long long)(us / 1000000), (long long)(us % 1000000));
}

/* Buckets are cumulative. Other threads may count meanwhile: the total is never shown below what
 * the buckets say. */
static void print_histogram(struct buf *out, const struct metric *metric) {
    const char *label = metric->label ? metric->label : "", *comma = metric->label ? "," : "";
    int64_t total = atomic_load_explicit(&metric->count, memory_order_relaxed), below = 0;
    for (int i = 0; i < METRIC_BUCKETS; i++) {
        below += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
        buf_printf(out, "%s_bucket{%s%sle=\"", metric->name, label, comma);
        print_seconds(out, (int64_t)FIRST_BUCKET_US << i);
        buf_printf(out, "\"} %lld\n", (long long)below);
    }
    total = total < below ? below : total;
    buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %lld\n", metric->name, label, comma,
               (long long)total);
    const char *open = metric->label ? "{" : "", *close = metric->label ? "}" : "";
    buf_printf(out, "%s_sum%s%s%s ", metric->name, open, label, close);
    print_seconds(out, atomic_load_explicit(&metric->value, memory_order_relaxed));
    buf_printf(out, "\n%s_count%s%s%s %lld\n", metric->name, open, label, close, (long long)total);
}

void metric_print(struct buf *out) {
    size_t count = (size_t)(__stop_troupe_metric - __start_troupe_metric);
    BUG_IF(count > METRICS_LIMIT);
    struct metric *sorted[METRICS_LIMIT];
    for (size_t i = 0; i < count; i++)
        sorted[i] = __start_troupe_metric[i];
    qsort(sorted, count, sizeof(sorted[0]), compare_metrics);
    for (size_t i = 0; i < count; i++) {
        bool is_first = i == 0 || strcmp(sorted[i - 1]->name, sorted[i]->name) != 0;
        BUG_IF(!is_first &&
               compare_metrics(&sorted[i - 1], &sorted[i]) == 0); /* the same row in two files */
        if (is_first)
            print_head(out, sorted[i]);
        if (sorted[i]->kind == METRIC_KIND_HISTOGRAM)
            print_histogram(out, sorted[i]);
        else
            print_plain(out, sorted[i]);
    }
}
