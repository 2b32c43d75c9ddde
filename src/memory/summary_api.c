/*
 * What sums up a talk, for the person whose talk it is: summaries, which can be rewritten, and the
 * timeline of episodes.
 */
#include "memory/memory_api.h"

#include "base/clock.h"
#include "base/id.h"
#include "memory/memory_index.h"
#include "memory/memory_json.h"
#include "memory/memory_request.h"
#include "memory/memory_store.h"

#include "base/banned.h"

struct summary_body {
    struct str kind, text;
};
struct timeline_query {
    int64_t limit, cursor;
};

/* clang-format off */
static const struct field summary_change_rows[] = {
    {"kind", FIELD_CHOICE, AT(struct summary_body, kind), .choices = memory_summary_kinds, .fallback = "full", .help = "Which one."},
    {"text", FIELD_TEXT, AT(struct summary_body, text), .is_required = true, .max = 20000, .help = "What it says from now on; learning adds to it and does not rewrite it. Empty: it is learning's again."},
    {0}};
static const struct field timeline_rows[] = {
    {"limit", FIELD_INT, AT(struct timeline_query, limit), .min = 1, .max = 100, .fallback = "20", .help = "Items of a page."},
    {"cursor", FIELD_ID, AT(struct timeline_query, cursor), .help = "next_cursor of the page before."},
    {0}};
/* clang-format on */

/* --- reading ------------------------------------------------------------------------------------ */

static void list_summaries(struct request *request) {
    struct memory_summary *items;
    size_t count;
    if (!memory_is_callers(request, request->ids[0]))
        return;
    enum err err =
        memory_summaries(store_reader(), request->arena, request->ids[0], &items, &count);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_list_begin(request);
    for (size_t i = 0; i < count; i++)
        memory_summary_write(json, &items[i]);
    reply_list_end(request, STR_NONE);
}

static void get_timeline(struct request *request) {
    const struct timeline_query *query = request->query_fields;
    struct memory_episode *items;
    size_t count, limit = (size_t)query->limit;
    if (!memory_is_callers(request, request->ids[0]))
        return;
    enum err err = memory_episodes(store_reader(), request->arena, request->ids[0], query->cursor,
                                   limit + 1, &items, &count);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_list_begin(request);
    for (size_t i = 0; i < count && i < limit; i++)
        memory_episode_write(json, &items[i]);
    reply_list_end(request, count > limit ? str_printf(request->arena, "%s",
                                                       id_text(items[limit - 1].covers_from).at)
                                          : STR_NONE);
}

/* --- rewriting ---------------------------------------------------------------------------------- */

struct summary_change {
    struct request *request;
    struct memory_summary summary;
    int64_t expected;
};

static enum err writer_summary_change(struct tx *tx, void *ctx) {
    struct summary_change *change = ctx;
    const struct summary_body *body = change->request->body;
    struct memory_progress progress;
    struct memory_summary *summary = &change->summary;
    struct arena *arena = change->request->arena;
    enum err err =
        memory_store_summary(tx_db(tx), arena, change->request->ids[0], body->kind, summary);
    if (err == E_ABSENT) {
        err = memory_store_progress(tx_db(tx), arena, change->request->ids[0], &progress);
        *summary = (struct memory_summary){.id = id_new(),
                                           .conversation_id = change->request->ids[0],
                                           .kind = body->kind,
                                           .covers_to = progress.summed_to};
    } else if (err == E_OK && change->expected >= 0 && change->expected != summary->revision) {
        err = E_CONFLICT;
    }
    if (err != E_OK)
        return err;
    summary->text = body->text;
    summary->is_edited = body->text.len > 0;
    summary->own_bytes = (int64_t)body->text.len;
    summary->is_stale = false;
    summary->made_by = STR("person");
    summary->updated_at = clock_now_ms();
    tx_overwrite_freed(tx, true);
    err = memory_store_save_summary(tx, summary);
    return err == E_OK ? index_touch_vectors(tx, &memory_kind_summary, summary->id,
                                             summary->conversation_id, summary->conversation_id)
                       : err;
}

static void on_summary_changed(enum err err, void *ctx) {
    struct summary_change *change = ctx;
    struct request *request = change->request;
    const struct summary_body *body = request->body;
    if (err == E_CONFLICT)
        return reply_problem(request, 412, "This summary has been changed since you read it.");
    if (err == E_OK)
        err = memory_store_summary(store_reader(), request->arena, request->ids[0], body->kind,
                                   &change->summary);
    if (err != E_OK)
        return reply_error(request, err);
    memory_tell_updated(request, "summary");
    reply_etag(request, change->summary.revision);
    memory_summary_write(reply_json(request), &change->summary);
    reply_send(request, 200);
}

static void patch_summary(struct request *request) {
    if (!memory_is_callers(request, request->ids[0]))
        return;
    struct summary_change *change = ARENA_NEW(request->arena, struct summary_change);
    change->request = request;
    change->expected = request_expected_revision(request);
    store_write(writer_summary_change, on_summary_changed, change);
}

/* clang-format off */
#define MEMORY "/api/v1/memory/{conversation_id}"
const struct route summary_routes[] = {
    {METHOD_GET, MEMORY "/summary", list_summaries, WHO_MEMBER, SCOPE_READ, .tag = "memory", .operation = "listSummaries",
     .summary = "What has been so far: the last stretch, everything, and how the two stand.", .answer = &memory_summary_shape, .answer_is_list = true},
    {METHOD_PATCH, MEMORY "/summary", patch_summary, WHO_MEMBER, SCOPE_WRITE, .body = summary_change_rows, .body_size = sizeof(struct summary_body), .tag = "memory",
     .operation = "updateSummary", .summary = "Rewrites a summary.", .answer = &memory_summary_shape},
    {METHOD_GET, MEMORY "/timeline", get_timeline, WHO_MEMBER, SCOPE_READ, .query = timeline_rows, .query_size = sizeof(struct timeline_query), .tag = "memory",
     .operation = "listEpisodes", .summary = "The episodes of a conversation, oldest first.", .answer = &memory_episode_shape, .answer_is_list = true},
    {0}};
/* clang-format on */
