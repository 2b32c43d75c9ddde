/*
 * What is kept of a person, in the person's own hands: what it is, all of it in one archive, and all
 * of it gone.
 *
 * Only a session may do these things, no API key: an archive has every word, and a key that leaked
 * must not be able to end an account. The archive is downloaded with the access token in its header
 * like everything else, so that no address of it can be passed on. Leaving asks for the password
 * again.
 */
#include "person/person_api.h"

#include "account/account.h"
#include "base/clock.h"
#include "base/log.h"
#include "conversation/turn.h"
#include "loop/pool.h"
#include "net/channel.h"
#include "person/erase.h"
#include "person/export.h"
#include "person/export_store.h"

#include "base/banned.h"

#define SWEEP_EVERY_MS ((int64_t)3600 * 1000)

struct leave_body {
    struct str password;
    bool at_once;
};

/* clang-format off */
static const struct field leave_fields[] = {
    {"password", FIELD_TEXT, AT(struct leave_body, password), .is_secret = true, .is_required = true, .min = 1, .max = 1024, .help = "Yours, so that it is you who says it."},
    {"at_once", FIELD_BOOL, AT(struct leave_body, at_once), .fallback = "false", .help = "Erase now, without the days in which signing in brings it all back."},
    {0}};
static const struct field leave_rows[] = {
    {"erase_at", FIELD_TIME, .is_required = true, .help = "From this moment on all of it goes for good; signing in before brings it back."},
    {0}};
static const struct shape leave_shape = {"Leave", leave_rows, "The account is closed."};
static const struct field data_rows[] = {
    {"characters", FIELD_INT, .is_required = true, .help = "Yours."},
    {"documents", FIELD_INT, .is_required = true, .help = "That they know."},
    {"personas", FIELD_INT, .is_required = true, .help = "Who you are on stage."},
    {"conversations", FIELD_INT, .is_required = true, .help = "Without the trash."},
    {"messages", FIELD_INT, .is_required = true, .help = "In them, on every branch."},
    {"facts", FIELD_INT, .is_required = true, .help = "That characters learnt of you."},
    {"bytes", FIELD_INT, .is_required = true, .help = "Of all texts in conversations."},
    {"talks_of_others", FIELD_INT, .is_required = true, .help = "Conversations that others have with your characters: they stay, the characters go."},
    {"may_leave", FIELD_BOOL, .is_required = true, .help = "The owner of the house cannot."},
    {"undo_days", FIELD_INT, .is_required = true, .help = "Days after leaving in which signing in brings everything back."},
    {0}};
static const struct shape data_shape = {"PersonData", data_rows, "What is kept of you, counted."};
static const char *const states[] = {"none", "preparing", "ready", "failed", NULL};
static const struct field archive_rows[] = {
    {"state", FIELD_CHOICE, .choices = states, .is_required = true, .help = "none: there is no archive, or its day is over."},
    {"job_id", FIELD_ID, .may_be_null = true, .is_required = true, .help = "The job that makes or made it: POST /jobs/{id}/cancel stops it, job:progress tells of it."},
    {"progress", FIELD_INT, .is_required = true, .help = "While it is prepared: how much is written ..."},
    {"total", FIELD_INT, .may_be_null = true, .is_required = true, .help = "... of how much; null: not known yet."},
    {"bytes", FIELD_INT, .may_be_null = true, .is_required = true, .help = "Of the archive, when it is ready."},
    {"made_at", FIELD_TIME, .may_be_null = true, .is_required = true, .help = "When it was."},
    {"expires_at", FIELD_TIME, .may_be_null = true, .is_required = true, .help = "Then it is removed."},
    {"url", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "Where it is, for you alone."},
    {"reason", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "Why it failed."},
    {0}};
static const struct shape archive_shape = {"Archive", archive_rows, "Everything about you in one ZIP file."};
/* clang-format on */

/* --- counted ---------------------------------------------------------------------------------- */

static struct pool_kind count_kind = {
    .name = "person.count", .running_limit = 1, .queue_limit = 32};

struct count {
    struct request *request;
    struct person_counts counts;
    enum err err;
};

static void pool_count(void *ctx) {
    struct count *count = ctx;
    struct db *db = pool_reader_open();
    count->err = db == NULL
                     ? E_STORAGE
                     : pool_person_counts(db, count->request->caller.user_id, &count->counts);
    pool_reader_close(db);
}

static void on_counted(enum err err, void *ctx) {
    const struct count *count = ctx;
    const struct person_counts *counts = &count->counts;
    struct request *request = count->request;
    if (err != E_OK || count->err != E_OK)
        return reply_error(request, err != E_OK ? err : count->err);
    struct json *json = reply_json(request);
    json_object_begin(json);
    JSON_INT(json, "characters", counts->characters);
    JSON_INT(json, "documents", counts->documents);
    JSON_INT(json, "personas", counts->personas);
    JSON_INT(json, "conversations", counts->conversations);
    JSON_INT(json, "messages", counts->messages);
    JSON_INT(json, "facts", counts->facts);
    JSON_INT(json, "bytes", counts->text_bytes);
    JSON_INT(json, "talks_of_others", counts->talks_of_others);
    JSON_BOOL(json, "may_leave", account_may_leave(store_reader(), request->caller.user_id));
    JSON_INT(json, "undo_days", ERASE_UNDO_MS / (24 * 3600 * 1000));
    json_object_end(json);
    reply_send(request, 200);
}

static void get_data(struct request *request) {
    struct count *count = ARENA_NEW(request->arena, struct count);
    count->request = request;
    if (pool_run(&count_kind, pool_count, on_counted, count, NULL) != E_OK)
        reply_retry_later(request, 503, 2, "Others are counting. Try again in a moment.");
}

/* --- taken along ------------------------------------------------------------------------------ */

struct archive {
    struct request *request;
    struct export_row row;
    struct job_row job;
    bool has_job;
    const char *state;
};

static bool is_under_way(const struct archive *archive) {
    return archive->has_job && (str_eq(archive->job.state, STR("queued")) ||
                                str_eq(archive->job.state, STR("running")));
}

static const char *state_of(const struct archive *archive) {
    if (archive->row.bytes > 0)
        return archive->row.expires_at > clock_now_ms() ? "ready" : "none";
    if (is_under_way(archive))
        return "preparing";
    return archive->has_job && str_eq(archive->job.state, STR("dead")) ? "failed" : "none";
}

static enum err look(struct db *db, struct request *request, struct archive *archive) {
    *archive = (struct archive){.request = request, .state = "none"};
    enum err err = export_load(db, request->caller.user_id, &archive->row);
    if (err != E_OK)
        return err == E_ABSENT ? E_OK : err;
    err = job_load(db, request->arena, archive->row.job_id, &archive->job);
    archive->has_job = err == E_OK;
    archive->state = state_of(archive);
    return err == E_ABSENT ? E_OK : err;
}

static bool is_state(const struct archive *archive, const char *state) {
    return str_eq(str_from(archive->state), str_from(state));
}

static void write_progress(struct json *json, const struct archive *archive) {
    bool is_preparing = is_state(archive, "preparing");
    JSON_INT(json, "progress", is_preparing ? archive->job.progress : 0);
    if (is_preparing && archive->job.total > 0)
        JSON_INT(json, "total", archive->job.total);
    else
        JSON_NULL_AT(json, "total");
}

static void reply_archive(struct request *request, int status) {
    struct archive archive;
    enum err err = look(store_reader(), request, &archive);
    if (err != E_OK)
        return reply_error(request, err);
    bool is_ready = is_state(&archive, "ready");
    struct json *json = reply_json(request);
    json_object_begin(json);
    JSON_STR(json, "state", str_from(archive.state));
    JSON_ID(json, "job_id", is_state(&archive, "none") ? 0 : archive.row.job_id);
    write_progress(json, &archive);
    if (is_ready)
        JSON_INT(json, "bytes", archive.row.bytes);
    else
        JSON_NULL_AT(json, "bytes");
    JSON_TIME(json, "made_at", is_ready ? archive.row.made_at : 0);
    JSON_TIME(json, "expires_at", is_ready ? archive.row.expires_at : 0);
    JSON_STR(json, "url", is_ready ? STR("/api/v1/users/me/export/file") : STR_NONE);
    JSON_STR(json, "reason", is_state(&archive, "failed") ? archive.job.reason : STR_NONE);
    json_object_end(json);
    reply_send(request, status);
}

static void get_archive(struct request *request) {
    reply_archive(request, 200);
}

static enum err writer_order(struct tx *tx, void *ctx) {
    struct request *request = ctx;
    struct archive archive;
    int64_t job_id;
    enum err err = look(tx_db(tx), request, &archive);
    if (err == E_OK && is_under_way(&archive))
        err = E_CONFLICT;
    return err == E_OK ? export_order(tx, request->caller.user_id, &job_id) : err;
}

static void on_swept(enum err err, void *ctx) {
    (void)err;
    (void)ctx;
}

static void on_ordered(enum err err, void *ctx) {
    struct request *request = ctx;
    if (err == E_CONFLICT)
        return reply_problem(request, 409, "Your archive is being prepared already.");
    if (err != E_OK)
        return reply_error(request, err);
    log_info("person", "somebody asked for everything about them",
             LF_ID("user", request->caller.user_id));
    export_sweep(on_swept, NULL); /* the one before it */
    reply_archive(request, 202);
}

static void order_archive(struct request *request) {
    store_write(writer_order, on_ordered, request);
}

static void get_file(struct request *request) {
    struct archive archive;
    enum err err = look(store_reader(), request, &archive);
    if (err != E_OK)
        return reply_error(request, err);
    if (!is_state(&archive, "ready") ||
        !reply_file(request, STR("application/zip"),
                    export_path(request->arena, archive.row.job_id), "troupe-about-me.zip"))
        reply_problem(request, 404, "There is no archive to download. Ask for one first.");
}

/* --- gone ------------------------------------------------------------------------------------- */

struct leave {
    struct request *request;
    int64_t erase_at;
    bool at_once;
};

static enum err writer_leave(struct tx *tx, void *ctx) {
    struct leave *leave = ctx;
    int64_t now = clock_now_ms();
    leave->erase_at = leave->at_once ? now : now + ERASE_UNDO_MS;
    enum err err = account_leave(tx, leave->request->caller.user_id, leave->erase_at, now);
    return err == E_OK && leave->at_once ? erase_order(tx) : err;
}

/* An archive in the making is for nobody any more. */
static void stop_archive(struct request *request) {
    struct archive archive;
    if (look(store_reader(), request, &archive) == E_OK && is_under_way(&archive))
        job_cancel(archive.row.job_id, NULL, NULL);
}

static void refuse_owner(struct request *request) {
    reply_problem(
        request, 409,
        "You are the owner of this house, and it has no other. Your account stays as long as the house does.");
}

static void on_left(enum err err, void *ctx) {
    const struct leave *leave = ctx;
    struct request *request = leave->request;
    if (err == E_CONFLICT)
        return refuse_owner(request);
    if (err != E_OK)
        return reply_error(request, err);
    int64_t user_id = request->caller.user_id;
    log_info("person", "somebody left", LF_ID("user", user_id));
    account_changed(user_id);
    channel_end_session(user_id, 0, 0);
    (void)turn_stop_person(user_id);
    stop_archive(request);
    account_forget_session(request);
    struct json *json = reply_json(request);
    json_object_begin(json);
    JSON_TIME(json, "erase_at", leave->erase_at);
    json_object_end(json);
    reply_send(request, 200);
}

static void on_checked(enum err err, void *ctx) {
    struct leave *leave = ctx;
    if (err == E_DENIED)
        return reply_field_problem(leave->request, "password", "This is not your password.");
    if (err != E_OK)
        return reply_error(leave->request, err);
    store_write(writer_leave, on_left, leave);
}

static void delete_me(struct request *request) {
    const struct leave_body *body = request->body;
    if (!account_may_leave(store_reader(), request->caller.user_id))
        return refuse_owner(request);
    struct leave *leave = ARENA_NEW(request->arena, struct leave);
    *leave = (struct leave){.request = request, .at_once = body->at_once};
    account_check_password(request, body->password, on_checked, leave);
}

/* clang-format off */
#define EXPORT "/api/v1/users/me/export"
const struct route person_routes[] = {
    {METHOD_GET, "/api/v1/users/me/data", get_data, WHO_MEMBER, 0, .tag = "users", .operation = "getMyData",
     .summary = "What is kept of you, counted: what an archive has, and what leaving would erase.", .answer = &data_shape},
    {METHOD_POST, EXPORT, order_archive, WHO_MEMBER, 0, .is_costly = true, .tag = "users", .operation = "exportMe",
     .summary = "Prepares an archive of everything about you, in the background; it replaces the one before.", .status = 202, .answer = &archive_shape},
    {METHOD_GET, EXPORT, get_archive, WHO_MEMBER, 0, .tag = "users", .operation = "getMyExport", .summary = "How far your archive is.", .answer = &archive_shape},
    {METHOD_GET, EXPORT "/file", get_file, WHO_MEMBER, 0, .tag = "users", .operation = "downloadMyExport", .summary = "Your archive, for 24 hours.",
     .answer_type = "application/zip"},
    {METHOD_DELETE, "/api/v1/users/me", delete_me, WHO_MEMBER, 0, .body = leave_fields, .body_size = sizeof(struct leave_body), .is_costly = true, .tag = "users",
     .operation = "deleteMe", .summary = "Closes your account at once; after some days everything of it is erased. Signing in before brings it back.", .answer = &leave_shape},
    {0}};
const struct job_kind person_jobs[] = {
    {.name = EXPORT_JOB, .run = export_run, .attempts_limit = 3, .lease_ms = 30000, .running_limit = 1},
    {.name = "person.erase", .run = erase_run, .attempts_limit = 20, .lease_ms = 60000, .running_limit = 1},
    {.name = "person.sweep", .run = erase_run, .attempts_limit = 5, .lease_ms = 60000, .running_limit = 1, .every_ms = SWEEP_EVERY_MS},
    {0}};
/* clang-format on */
