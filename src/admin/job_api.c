/*
 * Jobs: looked at, tried again, cancelled. A person sees what runs for them; admins see all,
 * standing jobs of the house too, and what they do to one is in the audit log.
 */
#include "admin/job_api.h"

#include "base/id.h"
#include "base/log.h"
#include "store/audit.h"
#include "store/job.h"

#include "base/banned.h"

struct jobs_query {
    int64_t limit, cursor;
    struct str state, kind;
};

/* clang-format off */
static const char *const states[] = {"queued", "running", "done", "dead", "cancelled", NULL};
static const struct field jobs_query[] = {
    {"limit", FIELD_INT, AT(struct jobs_query, limit), .min = 1, .max = 100, .fallback = "20", .help = "Items of a page."},
    {"cursor", FIELD_ID, AT(struct jobs_query, cursor), .help = "next_cursor of the page before."},
    {"state", FIELD_CHOICE, AT(struct jobs_query, state), .choices = states, .help = "Only those."},
    {"kind", FIELD_TEXT, AT(struct jobs_query, kind), .max = 64, .help = "Only those."},
    {0}};
static const struct field job_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The job."},
    {"kind", FIELD_TEXT, .is_required = true, .help = "What it does: \"blob.sweep\"."},
    {"state", FIELD_CHOICE, .choices = states, .is_required = true, .help = "dead: given up, until somebody tries again."},
    {"user_id", FIELD_ID, .may_be_null = true, .is_required = true, .help = "For whom; null: the house."},
    {"is_standing", FIELD_BOOL, .is_required = true, .help = "It comes again by itself, and cannot be cancelled."},
    {"is_cancelled", FIELD_BOOL, .is_required = true, .help = "Somebody asked it to stop."},
    {"progress", FIELD_INT, .is_required = true, .help = "How much is done ..."},
    {"total", FIELD_INT, .may_be_null = true, .is_required = true, .help = "... of how much; null: not known."},
    {"attempts", FIELD_INT, .is_required = true, .help = "How often it was begun."},
    {"reason", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "Of the last failure."},
    {"run_at", FIELD_TIME, .is_required = true, .help = "Not before this moment."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "When it was asked for."},
    {"updated_at", FIELD_TIME, .is_required = true, .help = "When it last moved."},
    {0}};
static const struct shape job_shape = {"Job", job_rows, "Work that goes on by itself, and survives a restart."};
/* clang-format on */

static void job_write(struct json *json, const struct job_row *job) {
    json_object_begin(json);
    JSON_ID(json, "id", job->id);
    JSON_STR(json, "kind", job->kind);
    JSON_STR(json, "state", job->state);
    JSON_ID(json, "user_id", job->user_id);
    JSON_BOOL(json, "is_standing", job->is_standing);
    JSON_BOOL(json, "is_cancelled", job->is_cancelled);
    JSON_INT(json, "progress", job->progress);
    json_key(json, STR("total"));
    if (job->total > 0)
        json_write_int(json, job->total);
    else
        json_write_null(json);
    JSON_INT(json, "attempts", job->attempts);
    JSON_STR(json, "reason", job->reason);
    JSON_TIME(json, "run_at", job->run_at_ms);
    JSON_TIME(json, "created_at", job->created_at);
    JSON_TIME(json, "updated_at", job->updated_at);
    json_object_end(json);
}

static void list(struct request *request, int64_t user_id) {
    const struct jobs_query *query = request->query_fields;
    size_t count, limit = (size_t)query->limit;
    struct job_row *items;
    enum err err =
        job_list(store_reader(), request->arena, query->cursor, user_id,
                 query->state.len > 0 ? query->state : STR_NONE,
                 query->kind.len > 0 ? query->kind : STR_NONE, limit + 1, &items, &count);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_list_begin(request);
    for (size_t i = 0; i < count && i < limit; i++)
        job_write(json, &items[i]);
    reply_list_end(request, count > limit
                                ? str_dup(request->arena, str_from(id_text(items[limit - 1].id).at))
                                : STR_NONE);
}

static void list_all(struct request *request) {
    list(request, 0);
}

static void list_mine(struct request *request) {
    list(request, request->caller.user_id);
}

static void reply_job(struct request *request) {
    struct job_row job;
    enum err err = job_load(store_reader(), request->arena, request->ids[0], &job);
    if (err != E_OK)
        return reply_error(request, err);
    job_write(reply_json(request), &job);
    reply_send(request, 200);
}

/* --- staff ------------------------------------------------------------------------------------ */

static enum err note(struct tx *tx, struct request *request, struct str action) {
    return audit_add(tx, &(struct audit){.actor_id = request->caller.user_id,
                                         .action = action,
                                         .target_kind = STR("job"),
                                         .target_id = request->ids[0]});
}

static enum err writer_retry(struct tx *tx, void *ctx) {
    struct request *request = ctx;
    enum err err = job_retry(tx, request->ids[0]);
    return err != E_OK ? err : note(tx, request, STR("job.retry"));
}

static void on_retried(enum err err, void *ctx) {
    struct request *request = ctx;
    if (err == E_CONFLICT)
        return reply_problem(request, 409, "This job runs already, or is done.");
    if (err != E_OK)
        return reply_error(request, err);
    reply_job(request);
}

static void retry(struct request *request) {
    store_write(writer_retry, on_retried, request);
}

static enum err writer_note_cancel(struct tx *tx, void *ctx) {
    return note(tx, ctx, STR("job.cancel"));
}

static void on_noted(enum err err, void *ctx) {
    if (err != E_OK)
        return reply_error(ctx, err);
    reply_job(ctx);
}

static bool was_refused(struct request *request, enum err err) {
    if (err == E_DENIED)
        reply_problem(request, 409, "This is a standing job of the house: it comes again anyway.");
    else if (err == E_CONFLICT)
        reply_problem(request, 409, "This job is over already.");
    else if (err != E_OK)
        reply_error(request, err);
    return err != E_OK;
}

static void on_cancelled_by_staff(enum err err, void *ctx) {
    struct request *request = ctx;
    if (!was_refused(request, err))
        store_write(writer_note_cancel, on_noted, request);
}

static void cancel(struct request *request) {
    job_cancel(request->ids[0], on_cancelled_by_staff, request);
}

/* --- one's own -------------------------------------------------------------------------------- */

static void on_cancelled(enum err err, void *ctx) {
    struct request *request = ctx;
    if (!was_refused(request, err))
        reply_job(request);
}

static void cancel_mine(struct request *request) {
    struct job_row job;
    enum err err = job_load(store_reader(), request->arena, request->ids[0], &job);
    if (err == E_OK && job.user_id != request->caller.user_id)
        err = E_ABSENT;
    if (err != E_OK)
        return reply_error(request, err);
    job_cancel(job.id, on_cancelled, request);
}

/* clang-format off */
#define PAGE .query = jobs_query, .query_size = sizeof(struct jobs_query)
const struct route job_routes[] = {
    {METHOD_GET, "/api/v1/jobs", list_mine, WHO_MEMBER, SCOPE_READ, PAGE, .tag = "jobs", .operation = "listMyJobs", .summary = "Work that goes on for you, newest first.",
     .answer = &job_shape, .answer_is_list = true},
    {METHOD_POST, "/api/v1/jobs/{id}/cancel", cancel_mine, WHO_MEMBER, SCOPE_WRITE, .tag = "jobs", .operation = "cancelMyJob", .summary = "Asks work of yours to stop.", .answer = &job_shape},
    {METHOD_GET, "/api/v1/admin/jobs", list_all, WHO_ADMIN, SCOPE_ADMIN, PAGE, .tag = "admin", .operation = "listJobs", .summary = "Everybody's jobs and the house's, newest first.",
     .answer = &job_shape, .answer_is_list = true},
    {METHOD_POST, "/api/v1/admin/jobs/{id}/retry", retry, WHO_ADMIN, SCOPE_ADMIN, .tag = "admin", .operation = "retryJob",
     .summary = "Runs a job now: one that was given up or cancelled, or one that waits.", .answer = &job_shape},
    {METHOD_POST, "/api/v1/admin/jobs/{id}/cancel", cancel, WHO_ADMIN, SCOPE_ADMIN, .tag = "admin", .operation = "cancelJob", .summary = "Asks a job to stop.", .answer = &job_shape},
    {0}};
/* clang-format on */
