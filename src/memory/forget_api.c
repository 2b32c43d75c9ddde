/*
 * Forgetting, for the person whose talk it is: one fact, a topic, or everything. Deleting is
 * forgetting (forget.c), not a trash: what somebody wants to be forgotten must not lie anywhere.
 */
#include "memory/memory_api.h"

#include "loop/pool.h"
#include "memory/forget.h"
#include "memory/memory_json.h"
#include "memory/memory_request.h"

#include "base/banned.h"

struct forget_body {
    struct str topic;
    bool dry_run, with_messages;
};
struct forget_query {
    bool with_messages;
};

/* clang-format off */
static const struct field forget_rows[] = {
    {"topic", FIELD_TEXT, AT(struct forget_body, topic), .is_required = true, .min = 1, .max = 200, .help = "What is to be forgotten, in a few words; all of them must occur."},
    {"dry_run", FIELD_BOOL, AT(struct forget_body, dry_run), .help = "Only tell what would go."},
    {"with_messages", FIELD_BOOL, AT(struct forget_body, with_messages), .fallback = "true", .help = "Nothing is learnt from or recalled of the messages about it any more; they stay in the talk."},
    {0}};
static const struct field forget_query_rows[] = {
    {"with_messages", FIELD_BOOL, AT(struct forget_query, with_messages), .fallback = "false", .help = "Nor is anything recalled of the messages that it comes from."},
    {0}};

static const struct field forgotten_rows[] = {
    {"facts", FIELD_OBJECTS, .shape = &memory_fact_shape, .is_list = true, .is_required = true, .help = "Facts that go, or would."},
    {"episodes", FIELD_OBJECTS, .shape = &memory_episode_shape, .is_list = true, .is_required = true, .help = "Episodes that tell of it."},
    {"summaries", FIELD_TEXTS, .is_required = true, .help = "Kinds of summaries that lose sentences."},
    {"message_ids", FIELD_IDS, .is_required = true, .help = "Messages of which nothing is remembered any more; they stay in the talk."},
    {"dry_run", FIELD_BOOL, .is_required = true, .help = "Nothing has been done."},
    {0}};
static const struct shape forgotten_shape = {"Forgotten", forgotten_rows, "What was forgotten, or would be."};
/* clang-format on */

static void write_forgotten(struct json *json, const struct forget *forget, bool dry_run) {
    json_object_begin(json);
    JSON_ARRAY(json, "facts");
    for (size_t i = 0; i < forget->fact_count; i++)
        memory_fact_write(json, &forget->facts[i]);
    json_array_end(json);
    JSON_ARRAY(json, "episodes");
    for (size_t i = 0; i < forget->episode_count; i++)
        memory_episode_write(json, &forget->episodes[i]);
    json_array_end(json);
    JSON_ARRAY(json, "summaries");
    for (size_t i = 0; i < forget->summary_count; i++)
        json_write_str(json, forget->summaries[i].kind);
    json_array_end(json);
    JSON_ARRAY(json, "message_ids");
    for (size_t i = 0; i < forget->message_count; i++)
        json_write_id(json, forget->messages[i]);
    json_array_end(json);
    JSON_BOOL(json, "dry_run", dry_run);
    json_object_end(json);
}

struct forgetting {
    struct request *request;
    struct forget forget;
    struct memory_fact fact; /* the one that is meant; id 0: a topic, or everything */
    int64_t expected;        /* its revision, -1: any */
    enum err err;            /* of looking what there is of a topic */
};

static struct forgetting *forgetting_new(struct request *request) {
    struct forgetting *forgetting = ARENA_NEW(request->arena, struct forgetting);
    forgetting->request = request;
    forgetting->expected = request_expected_revision(request);
    return forgetting;
}

/* --- it goes ------------------------------------------------------------------------------------ */

/* The vectors are gone too, or could not be opened and are made anew from the truth. */
static void on_vectors_gone(enum err err, void *ctx) {
    struct forgetting *forgetting = ctx;
    struct request *request = forgetting->request;
    (void)err;
    memory_tell_updated(request, "forgotten");
    if (request->route->status == 204)
        return reply_empty(request, 204);
    write_forgotten(reply_json(request), &forgetting->forget, false);
    reply_send(request, 200);
}

static enum err writer_go_on(struct tx *tx, void *ctx) {
    return writer_withhold(tx, &((struct forgetting *)ctx)->forget);
}

static void on_forgotten(enum err err, void *ctx) {
    struct forgetting *forgetting = ctx;
    if (err == E_CONFLICT)
        return reply_problem(forgetting->request, 412,
                             "This memory has been changed since you read it.");
    if (err != E_OK)
        return reply_error(forgetting->request, err);
    if (forgetting->forget.withheld_count < forgetting->forget.message_count)
        return store_write(writer_go_on, on_forgotten, forgetting);
    forget_vectors(&forgetting->forget, on_vectors_gone, forgetting);
}

/* --- one fact ----------------------------------------------------------------------------------- */

static enum err writer_forget_fact(struct tx *tx, void *ctx) {
    struct forgetting *forgetting = ctx;
    struct memory_fact fact;
    enum err err = writer_expected_fact(tx, forgetting->request->arena, forgetting->fact.id,
                                        forgetting->expected, &fact);
    return err == E_OK ? writer_forget(tx, &forgetting->forget) : err;
}

static void delete_fact(struct request *request) {
    const struct forget_query *query = request->query_fields;
    struct forgetting *forgetting = forgetting_new(request);
    struct forget *forget = &forgetting->forget;
    if (!memory_request_fact(request, &forget->scope, &forgetting->fact))
        return;
    enum err err = forget_fact(store_reader(), request->arena, &forgetting->fact,
                               query->with_messages, forget);
    if (err != E_OK)
        return reply_error(request, err);
    store_write(writer_forget_fact, on_forgotten, forgetting);
}

/* --- a topic ------------------------------------------------------------------------------------ */

static enum err writer_forget_topic(struct tx *tx, void *ctx) {
    return writer_forget(tx, &((struct forgetting *)ctx)->forget);
}

static struct pool_kind topic_kind = {
    .name = "forget topic", .running_limit = 1, .queue_limit = 16};

/* In a long talk thousands of messages may tell of it. */
static void pool_find_topic(void *ctx) {
    struct forgetting *forgetting = ctx;
    const struct forget_body *body = forgetting->request->body;
    struct db *db = pool_reader_open();
    forgetting->err = db == NULL ? E_STORAGE
                                 : forget_topic(db, forgetting->request->arena, body->topic,
                                                body->with_messages, &forgetting->forget);
    pool_reader_close(db);
}

static void on_topic_found(enum err err, void *ctx) {
    struct forgetting *forgetting = ctx;
    struct request *request = forgetting->request;
    const struct forget_body *body = request->body;
    if (err == E_OK)
        err = forgetting->err;
    if (err == E_INPUT)
        return reply_field_problem(request, "topic", "There is no word in it.");
    if (err != E_OK)
        return reply_error(request, err);
    if (!body->dry_run)
        return store_write(writer_forget_topic, on_forgotten, forgetting);
    write_forgotten(reply_json(request), &forgetting->forget, true);
    reply_send(request, 200);
}

static void post_forget(struct request *request) {
    struct forgetting *forgetting = forgetting_new(request);
    if (!memory_request_scope(request, &forgetting->forget.scope))
        return;
    if (pool_run(&topic_kind, pool_find_topic, on_topic_found, forgetting, NULL) != E_OK)
        reply_error(request, E_BUSY);
}

/* --- everything --------------------------------------------------------------------------------- */

static enum err writer_forget_all(struct tx *tx, void *ctx) {
    struct forgetting *forgetting = ctx;
    return writer_forget_everything(tx, forgetting->request->arena, &forgetting->forget);
}

static void delete_memory(struct request *request) {
    struct forgetting *forgetting = forgetting_new(request);
    if (memory_request_scope(request, &forgetting->forget.scope))
        store_write(writer_forget_all, on_forgotten, forgetting);
}

/* clang-format off */
#define MEMORY "/api/v1/memory/{conversation_id}"
const struct route forget_routes[] = {
    {METHOD_DELETE, MEMORY, delete_memory, WHO_MEMBER, SCOPE_WRITE, .tag = "memory", .operation = "forgetEverything",
     .summary = "Forgets everything that was learnt in a conversation; the talk stays.", .status = 204},
    {METHOD_DELETE, MEMORY "/facts/{fact_id}", delete_fact, WHO_MEMBER, SCOPE_WRITE, .query = forget_query_rows, .query_size = sizeof(struct forget_query), .tag = "memory",
     .operation = "forgetFact", .summary = "Forgets it, without a trace.", .status = 204},
    {METHOD_POST, MEMORY "/forget", post_forget, WHO_MEMBER, SCOPE_WRITE, .body = forget_rows, .body_size = sizeof(struct forget_body), .tag = "memory",
     .operation = "forgetTopic", .summary = "Forgets a topic, or tells what that would take away.", .answer = &forgotten_shape},
    {0}};
/* clang-format on */
