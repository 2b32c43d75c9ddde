/*
 * The house at a glance, for those who look after it.
 *
 * Counting people and messages walks whole tables, and weighing blobs walks folders: that is done
 * on a pool thread with a reading connection of its own, one at a time, so that a page of plots
 * which asks every few seconds costs the conversations nothing. The doctor looks there too, and
 * then asks the models from the loop.
 */
#include "admin/admin_api.h"

#include "admin/admin_store.h"
#include "admin/doctor.h"
#include "admin/settings_api.h"
#include "base/clock.h"
#include "base/id.h"
#include "conversation/turn.h"
#include "loop/pool.h"
#include "net/channel.h"
#include "store/audit.h"
#include "store/blob.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/banned.h"

#define LATELY_MS      ((int64_t)24 * 3600 * 1000)
#define FINDINGS_LIMIT 128

static const char *data_folder;
static struct pool_kind look_kind = {.name = "admin", .running_limit = 1, .queue_limit = 16};

void admin_use(const char *data) {
    data_folder = data;
}

/* --- storage ---------------------------------------------------------------------------------- */

struct storage {
    int64_t database_bytes, wal_bytes, vectors_bytes, blobs_bytes, blobs, archives_bytes;
    int64_t disk_free_bytes, disk_bytes;
};

static int64_t file_bytes(const char *folder, const char *name) {
    char path[PATH_MAX];
    struct stat info;
    int len = snprintf(path, sizeof path, "%s/%s", folder, name);
    return len < (int)sizeof path && stat(path, &info) == 0 && S_ISREG(info.st_mode)
               ? (int64_t)info.st_size
               : 0;
}

/* Of the files in it; LMDB's is sparse, so what lies on the disk counts. */
static int64_t folder_bytes(const char *parent, const char *name) {
    char path[PATH_MAX];
    int64_t bytes = 0;
    snprintf(path, sizeof path, "%s/%s", parent, name);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        struct stat info;
        if (fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(info.st_mode))
            bytes += (int64_t)info.st_blocks * 512;
    }
    closedir(folder);
    return bytes;
}

static void weigh_blob(const struct blob_info *info, void *ctx) {
    struct storage *storage = ctx;
    storage->blobs++;
    storage->blobs_bytes += info->bytes;
}

static enum err weigh(struct storage *storage) {
    struct statvfs disk;
    enum err err = E_OK;
    *storage = (struct storage){
        .database_bytes = file_bytes(data_folder, "troupe.db"),
        .wal_bytes = file_bytes(data_folder, "troupe.db-wal"),
        .vectors_bytes = folder_bytes(data_folder, "vectors"),
        .archives_bytes = folder_bytes(data_folder, "exports"),
    };
    for (int shelf = 0; shelf < BLOB_SHELVES && err == E_OK; shelf++)
        err = blob_port()->pool_each(shelf, weigh_blob, storage);
    if (statvfs(data_folder, &disk) == 0) {
        storage->disk_free_bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
        storage->disk_bytes = (int64_t)disk.f_blocks * (int64_t)disk.f_frsize;
    }
    return err;
}

static void storage_write(struct json *json, const struct storage *storage) {
    json_object_begin(json);
    JSON_INT(json, "database_bytes", storage->database_bytes);
    JSON_INT(json, "wal_bytes", storage->wal_bytes);
    JSON_INT(json, "vectors_bytes", storage->vectors_bytes);
    JSON_INT(json, "blobs_bytes", storage->blobs_bytes);
    JSON_INT(json, "blobs", storage->blobs);
    JSON_INT(json, "archives_bytes", storage->archives_bytes);
    JSON_INT(json, "disk_free_bytes", storage->disk_free_bytes);
    JSON_INT(json, "disk_bytes", storage->disk_bytes);
    json_object_end(json);
}

/* --- looking ---------------------------------------------------------------------------------- */

struct glance {
    struct request *request;
    struct storage storage;
    struct house_counts counts;
    int64_t since_id;
    enum err err;
};

/* The first id of that moment or a later one: ids grow with time (base/id.h). */
static int64_t first_id_since(int64_t at_ms) {
    int64_t low = 1, high = INT64_MAX;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (id_at_ms(middle) < at_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void pool_weigh(void *ctx) {
    struct glance *glance = ctx;
    glance->err = weigh(&glance->storage);
}

static void pool_count(void *ctx) {
    struct glance *glance = ctx;
    struct db *db = pool_reader_open();
    glance->err = db == NULL ? E_STORAGE : pool_house_counts(db, glance->since_id, &glance->counts);
    if (db != NULL)
        pool_reader_close(db);
    if (glance->err == E_OK)
        glance->err = weigh(&glance->storage);
}

static void look(struct request *request, pool_work_fn work, pool_done_fn done) {
    struct glance *glance = ARENA_NEW(request->arena, struct glance);
    glance->request = request;
    glance->since_id = first_id_since(clock_now_ms() - LATELY_MS);
    if (pool_run(&look_kind, work, done, glance, NULL) != E_OK)
        reply_retry_later(request, 503, 2,
                          "Others are looking at the numbers. Try again in a moment.");
}

static void on_weighed(enum err err, void *ctx) {
    struct glance *glance = ctx;
    if (err != E_OK || glance->err != E_OK)
        return reply_error(glance->request, err != E_OK ? err : glance->err);
    storage_write(reply_json(glance->request), &glance->storage);
    reply_send(glance->request, 200);
}

static void get_storage(struct request *request) {
    look(request, pool_weigh, on_weighed);
}

static void on_counted(enum err err, void *ctx) {
    struct glance *glance = ctx;
    if (err != E_OK || glance->err != E_OK)
        return reply_error(glance->request, err != E_OK ? err : glance->err);
    const struct house_counts *counts = &glance->counts;
    struct json *json = reply_json(glance->request);
    json_object_begin(json);
    JSON_INT(json, "people", counts->people);
    JSON_INT(json, "people_disabled", counts->people_disabled);
    JSON_INT(json, "characters", counts->characters);
    JSON_INT(json, "conversations", counts->conversations);
    JSON_INT(json, "messages", counts->messages);
    JSON_INT(json, "jobs_waiting", counts->jobs_waiting);
    JSON_INT(json, "jobs_dead", counts->jobs_dead);
    JSON_INT(json, "turns_running", turn_count());
    JSON_INT(json, "sockets", channel_count());
    json_key(json, STR("last_24_hours"));
    json_object_begin(json);
    JSON_INT(json, "messages", counts->messages_lately);
    JSON_INT(json, "replies", counts->replies_lately);
    JSON_INT(json, "prompt_tokens", counts->prompt_tokens_lately);
    JSON_INT(json, "reply_tokens", counts->reply_tokens_lately);
    json_object_end(json);
    json_key(json, STR("storage"));
    storage_write(json, &glance->storage);
    json_object_end(json);
    reply_send(glance->request, 200);
}

static void get_stats(struct request *request) {
    look(request, pool_count, on_counted);
}

/* --- the doctor ------------------------------------------------------------------------------- */

struct visit {
    struct request *request;
    struct doctor doctor;
    struct str problems; /* of the settings */
    struct doctor_finding *findings;
    size_t count;
};

/* On the pool first, on the loop later; never at once. */
static void keep_finding(const struct doctor_finding *finding, void *ctx) {
    struct visit *visit = ctx;
    if (visit->count < FINDINGS_LIMIT)
        visit->findings[visit->count++] = *finding;
}

static void pool_examine(void *ctx) {
    struct visit *visit = ctx;
    pool_doctor_house(&visit->doctor, data_folder, visit->problems);
}

static void reply_findings(void *ctx) {
    static const char *const words[] = {"ok", "note", "fail"};
    struct visit *visit = ctx;
    struct json *json = reply_json(visit->request);
    json_object_begin(json);
    JSON_BOOL(json, "ok", !visit->doctor.has_failed);
    JSON_ARRAY(json, "items");
    for (size_t i = 0; i < visit->count; i++) {
        json_object_begin(json);
        JSON_STR(json, "level", str_from(words[visit->findings[i].word]));
        JSON_STR(json, "what", str_from(visit->findings[i].what));
        JSON_STR(json, "text", str_from(visit->findings[i].text));
        json_object_end(json);
    }
    json_array_end(json);
    json_object_end(json);
    reply_send(visit->request, 200);
}

static void on_examined(enum err err, void *ctx) {
    struct visit *visit = ctx;
    if (err != E_OK)
        return reply_error(visit->request, err);
    doctor_look_at_mail(&visit->doctor);
    if (!doctor_ask_models(&visit->doctor, reply_findings, visit))
        reply_findings(visit);
}

static void get_doctor(struct request *request) {
    struct visit *visit = ARENA_NEW(request->arena, struct visit);
    visit->request = request;
    visit->problems = str_dup(request->arena, settings_problems());
    visit->findings = ARENA_ARRAY(request->arena, struct doctor_finding, FINDINGS_LIMIT);
    visit->doctor = (struct doctor){.tell = keep_finding, .ctx = visit};
    if (pool_run(&look_kind, pool_examine, on_examined, visit, NULL) != E_OK)
        reply_retry_later(request, 503, 2, "The doctor is busy. Try again in a moment.");
}

/* --- the audit log ---------------------------------------------------------------------------- */

struct audit_query {
    int64_t limit, cursor, actor_id;
    struct str action;
};

static void audit_write(struct json *json, const struct audit *entry) {
    json_object_begin(json);
    JSON_ID(json, "id", entry->id);
    JSON_TIME(json, "at", entry->at_ms);
    json_key(json, STR("actor"));
    json_object_begin(json);
    JSON_ID(json, "id", entry->actor_id);
    JSON_STR(json, "name", entry->actor_name);
    json_object_end(json);
    JSON_STR(json, "action", entry->action);
    JSON_STR(json, "target_kind", entry->target_kind);
    JSON_ID(json, "target_id", entry->target_id);
    JSON_RAW(json, "detail", entry->detail);
    json_object_end(json);
}

static void list_audit(struct request *request) {
    const struct audit_query *query = request->query_fields;
    size_t count, limit = (size_t)query->limit;
    struct audit *items;
    enum err err = audit_list(store_reader(), request->arena, query->cursor,
                              query->action.len > 0 ? query->action : STR_NONE, query->actor_id,
                              limit + 1, &items, &count);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_list_begin(request);
    for (size_t i = 0; i < count && i < limit; i++)
        audit_write(json, &items[i]);
    reply_list_end(request, count > limit
                                ? str_dup(request->arena, str_from(id_text(items[limit - 1].id).at))
                                : STR_NONE);
}

/* clang-format off */
static const struct field storage_rows[] = {
    {"database_bytes", FIELD_INT, .is_required = true, .help = "Of the database."},
    {"wal_bytes", FIELD_INT, .is_required = true, .help = "Of what is not yet moved into it."},
    {"vectors_bytes", FIELD_INT, .is_required = true, .help = "Of what is found by meaning."},
    {"blobs_bytes", FIELD_INT, .is_required = true, .help = "Of pictures and other files."},
    {"blobs", FIELD_INT, .is_required = true, .help = "How many those are."},
    {"archives_bytes", FIELD_INT, .is_required = true, .help = "Of what people take along, each kept for a day."},
    {"disk_free_bytes", FIELD_INT, .is_required = true, .help = "What is free under the data folder."},
    {"disk_bytes", FIELD_INT, .is_required = true, .help = "Of how much."},
    {0}};
static const struct shape storage_shape = {"Storage", storage_rows, "What the house takes on the disk."};
static const struct field lately_rows[] = {
    {"messages", FIELD_INT, .is_required = true, .help = "Messages, replies among them."},
    {"replies", FIELD_INT, .is_required = true, .help = "Of characters."},
    {"prompt_tokens", FIELD_INT, .is_required = true, .help = "Read by models."},
    {"reply_tokens", FIELD_INT, .is_required = true, .help = "Written by models."},
    {0}};
static const struct shape lately_shape = {"Lately", lately_rows, "What happened in the last 24 hours."};
static const struct field stats_rows[] = {
    {"people", FIELD_INT, .is_required = true, .help = "Accounts."},
    {"people_disabled", FIELD_INT, .is_required = true, .help = "Those that may not sign in."},
    {"characters", FIELD_INT, .is_required = true, .help = "On all stages, without the trash."},
    {"conversations", FIELD_INT, .is_required = true, .help = "Likewise."},
    {"messages", FIELD_INT, .is_required = true, .help = "All that are stored."},
    {"jobs_waiting", FIELD_INT, .is_required = true, .help = "Jobs that wait, standing ones among them."},
    {"jobs_dead", FIELD_INT, .is_required = true, .help = "Jobs given up."},
    {"turns_running", FIELD_INT, .is_required = true, .help = "Replies under way."},
    {"sockets", FIELD_INT, .is_required = true, .help = "Realtime listeners."},
    {"last_24_hours", FIELD_OBJECT, .shape = &lately_shape, .is_required = true, .help = "What happened lately."},
    {"storage", FIELD_OBJECT, .shape = &storage_shape, .is_required = true, .help = "What it takes on the disk."},
    {0}};
static const struct shape stats_shape = {"Stats", stats_rows, "The house in numbers."};
static const char *const levels[] = {"ok", "note", "fail", NULL};
static const struct field finding_rows[] = {
    {"level", FIELD_CHOICE, .choices = levels, .is_required = true, .help = "note: works, but worth knowing."},
    {"what", FIELD_TEXT, .is_required = true, .help = "What was looked at, in one word."},
    {"text", FIELD_TEXT, .is_required = true, .help = "What was found and what to do, in plain words."},
    {0}};
static const struct shape finding_shape = {"Finding", finding_rows, "One thing that the doctor looked at."};
static const struct field doctor_rows[] = {
    {"ok", FIELD_BOOL, .is_required = true, .help = "Nothing fails."},
    {"items", FIELD_OBJECTS, .shape = &finding_shape, .is_list = true, .is_required = true, .help = "One by one."},
    {0}};
static const struct shape doctor_shape = {"Doctor", doctor_rows, "What `troupe doctor` says, from the running house."};
static const struct field audit_query[] = {
    {"limit", FIELD_INT, AT(struct audit_query, limit), .min = 1, .max = 100, .fallback = "20", .help = "Items of a page."},
    {"cursor", FIELD_ID, AT(struct audit_query, cursor), .help = "next_cursor of the page before."},
    {"actor_id", FIELD_ID, AT(struct audit_query, actor_id), .help = "Only what this person did."},
    {"action", FIELD_TEXT, AT(struct audit_query, action), .max = 64, .help = "Only actions that begin so: \"user.\"."},
    {0}};
static const struct field actor_rows[] = {
    {"id", FIELD_ID, .may_be_null = true, .is_required = true, .help = "null: the house itself."},
    {"name", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "As it is now; null: gone."},
    {0}};
static const struct shape actor_shape = {"Actor", actor_rows, "Who did it."};
static const struct field audit_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The entry."},
    {"at", FIELD_TIME, .is_required = true, .help = "When."},
    {"actor", FIELD_OBJECT, .shape = &actor_shape, .is_required = true, .help = "Who."},
    {"action", FIELD_TEXT, .is_required = true, .help = "What was done: \"user.role\"."},
    {"target_kind", FIELD_TEXT, .is_required = true, .help = "To what kind of thing."},
    {"target_id", FIELD_ID, .may_be_null = true, .is_required = true, .help = "To which."},
    {"detail", FIELD_JSON, .is_required = true, .help = "What it was and what it became."},
    {0}};
static const struct shape audit_shape = {"AuditEntry", audit_rows, "Something that staff did. Never changed, never removed."};

const struct route admin_routes[] = {
    {METHOD_GET, "/api/v1/admin/stats", get_stats, WHO_ADMIN, SCOPE_ADMIN, .tag = "admin", .operation = "getStats", .summary = "The house in numbers.", .answer = &stats_shape},
    {METHOD_GET, "/api/v1/admin/storage", get_storage, WHO_ADMIN, SCOPE_ADMIN, .tag = "admin", .operation = "getStorage", .summary = "What the house takes on the disk.", .answer = &storage_shape},
    {METHOD_GET, "/api/v1/admin/doctor", get_doctor, WHO_ADMIN, SCOPE_ADMIN, .tag = "admin", .operation = "getDoctor",
     .summary = "Looks at settings, clock, disk, key, database and every model; takes seconds.", .answer = &doctor_shape},
    {METHOD_GET, "/api/v1/admin/audit", list_audit, WHO_ADMIN, SCOPE_ADMIN, .query = audit_query, .query_size = sizeof(struct audit_query), .tag = "admin", .operation = "listAudit",
     .summary = "What staff did, newest first.", .answer = &audit_shape, .answer_is_list = true},
    {0}};
/* clang-format on */
