/*
 * Learning from a whole talk, also one that was imported: a job that a person starts and may end.
 */
#include "memory/memory_api.h"

#include "memory/learn.h"
#include "memory/memory_request.h"
#include "store/job.h"

#include "base/banned.h"

struct extract_body {
    int64_t conversation_id;
};

/* clang-format off */
static const struct field extract_rows[] = {
    {"conversation_id", FIELD_ID, AT(struct extract_body, conversation_id), .is_required = true, .help = "The talk that is read from its beginning."},
    {0}};
static const struct field job_rows[] = {
    {"job_id", FIELD_ID, .is_required = true, .help = "The job; its progress comes as job:progress."},
    {0}};
static const struct shape job_shape = {"MemoryJob", job_rows, "Work that goes on in the background."};
/* clang-format on */

struct extraction {
    struct request *request;
    int64_t conversation_id, job_id;
};

static enum err writer_extract(struct tx *tx, void *ctx) {
    struct extraction *extraction = ctx;
    return learn_queue_all(tx, extraction->conversation_id, extraction->request->caller.user_id,
                           &extraction->job_id);
}

static void on_queued(enum err err, void *ctx) {
    struct extraction *extraction = ctx;
    struct request *request = extraction->request;
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_json(request);
    json_object_begin(json);
    JSON_ID(json, "job_id", extraction->job_id);
    json_object_end(json);
    reply_send(request, 202);
}

static void post_extract(struct request *request) {
    const struct extract_body *body = request->body;
    if (!memory_is_callers(request, body->conversation_id))
        return;
    struct extraction *extraction = ARENA_NEW(request->arena, struct extraction);
    extraction->request = request;
    extraction->conversation_id = body->conversation_id;
    store_write(writer_extract, on_queued, extraction);
}

static void on_cancelled(enum err err, void *ctx) {
    struct request *request = ctx;
    if (err == E_CONFLICT)
        return reply_problem(request, 409, "This is over already.");
    if (err != E_OK)
        return reply_error(request, err);
    reply_empty(request, 204);
}

static void cancel_extract(struct request *request) {
    struct job_row job;
    enum err err = job_load(store_reader(), request->arena, request->ids[0], &job);
    if (err == E_OK &&
        (job.user_id != request->caller.user_id || !str_eq(job.kind, STR("memory.learn"))))
        err = E_ABSENT;
    if (err != E_OK)
        return reply_error(request, err);
    job_cancel(request->ids[0], on_cancelled, request);
}

/* clang-format off */
const struct route extract_routes[] = {
    {METHOD_POST, "/api/v1/memory/extract", post_extract, WHO_MEMBER, SCOPE_WRITE, .body = extract_rows, .body_size = sizeof(struct extract_body), .is_costly = true, .tag = "memory",
     .operation = "extractMemory", .summary = "Learns from a whole talk, also one that was imported.", .status = 202, .answer = &job_shape},
    {METHOD_DELETE, "/api/v1/memory/extract/{job_id}", cancel_extract, WHO_MEMBER, SCOPE_WRITE, .tag = "memory",
     .operation = "cancelExtraction", .summary = "Ends an extraction; what was learnt so far stays.", .status = 204},
    {0}};
/* clang-format on */
