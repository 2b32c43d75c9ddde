/*
 * For machines that look after this one.
 *
 * /healthz: the loop turns. /readyz: requests will be served; 503 while the disk refuses writes or
 * the server is stopping. /metrics: for whoever stands on this machine, and for admins; a request
 * that came through a proxy is not from this machine, whatever its last hop says.
 */
#include "admin/health_api.h"

#include "base/metric.h"
#include "loop/loop.h"
#include "store/store.h"

#include "base/banned.h"

METRIC_GAUGE(statements, "troupe_sql_statements",
             "SQL statements run by the loop and the writer since the start.");
METRIC_GAUGE(commits, "troupe_sql_commits", "Transactions that reached the disk since the start.");
METRIC_GAUGE(writes, "troupe_sql_writes", "Changes that were carried by those transactions.");

#define METRICS_LIMIT_BYTES ((size_t)4 << 20)

static void healthz(struct request *request) {
    reply_bytes(request, 200, STR("application/json; charset=utf-8"), STR("{\"status\":\"ok\"}"));
}

static void readyz(struct request *request) {
    bool can_write = store_is_ready(), is_stopping = loop_phase() != LOOP_RUNNING;
    bool is_ready = can_write && !is_stopping;
    struct json *json = reply_json(request);
    json_object_begin(json);
    JSON_STR(json, "status",
             is_ready      ? STR("ready")
             : is_stopping ? STR("stopping")
                           : STR("storage"));
    JSON_BOOL(json, "storage", can_write);
    json_object_end(json);
    reply_send(request, is_ready ? 200 : 503);
}

static bool may_see_metrics(const struct request *request) {
    if (request->caller.role >= ROLE_ADMIN)
        return true;
    bool is_local =
        str_starts(request->address, STR("127.")) || str_eq(request->address, STR("::1"));
    return is_local && request_header(request, "x-forwarded-for").at == NULL &&
           request_header(request, "forwarded").at == NULL;
}

static void metrics(struct request *request) {
    if (!may_see_metrics(request))
        return reply_problem(request, 403, "Metrics are shown on this machine, and to admins.");
    struct store_cost cost = store_cost();
    metric_set(&statements, db_statements_run(store_reader()) + cost.statements);
    metric_set(&commits, cost.commits);
    metric_set(&writes, cost.writes);
    struct buf buf;
    buf_init(&buf, METRICS_LIMIT_BYTES);
    metric_print(&buf);
    struct str text = str_dup(request->arena, buf_str(&buf));
    buf_release(&buf);
    reply_bytes(request, 200, STR("text/plain; version=0.0.4; charset=utf-8"), text);
}

/* clang-format off */
static const struct field status_rows[] = {
    {"status", FIELD_TEXT, .is_required = true, .help = "One word."},
    {"storage", FIELD_BOOL, .help = "Writes reach the disk."},
    {0}};
static const struct shape status_shape = {"Status", status_rows, "How the server is doing."};

const struct route health_routes[] = {
    {METHOD_GET, "/healthz", healthz, WHO_ANYONE, .tag = "operations", .operation = "getHealth", .summary = "The process is alive.", .answer = &status_shape},
    {METHOD_GET, "/readyz", readyz, WHO_ANYONE, .tag = "operations", .operation = "getReadiness", .summary = "Requests will be served; 503 otherwise.", .answer = &status_shape},
    {METHOD_GET, "/metrics", metrics, WHO_ANYONE, .scope = SCOPE_ADMIN, .tag = "operations", .operation = "getMetrics", .summary = "Numbers for Prometheus.",
     .answer_type = "text/plain"},
    {0}};
/* clang-format on */
