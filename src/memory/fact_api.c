/*
 * Facts, for the person whose talk they are from: to read, add, correct, pin and approve.
 *
 * What a person adds or changes is theirs (made_by "person"): learning does not rewrite it.
 */
#include "memory/memory_api.h"

#include "base/clock.h"
#include "memory/extract.h"
#include "memory/fact_compare.h"
#include "memory/memory_index.h"
#include "memory/memory_json.h"
#include "memory/memory_request.h"
#include "memory/memory_store.h"
#include "memory/merge.h"

#include "base/banned.h"

struct fact_body {
    struct str text, kind, subject, predicate, object;
    double importance;
    bool pinned;
    int64_t valid_from, valid_to, message_id;
};

/* clang-format off */
static const struct field new_fact_rows[] = {
    {"text", FIELD_TEXT, AT(struct fact_body, text), .is_required = true, .min = 1, .max = EXTRACT_TEXT_LIMIT, .help = "One plain sentence."},
    {"kind", FIELD_CHOICE, AT(struct fact_body, kind), .choices = memory_fact_kinds, .fallback = "fact", .help = "What it is."},
    {"subject", FIELD_TEXT, AT(struct fact_body, subject), .max = 120, .fallback = "user", .help = "Whom it is about: user, character, or a name."},
    {"predicate", FIELD_TEXT, AT(struct fact_body, predicate), .max = 40, .fallback = "note", .help = "A key, like lives_in; of some, a new value replaces the old one."},
    {"object", FIELD_TEXT, AT(struct fact_body, object), .max = 200, .help = "The value, like Bristol."},
    {"importance", FIELD_NUMBER, AT(struct fact_body, importance), .max = 1, .fallback = "0.8", .help = "0 to 1."},
    {"pinned", FIELD_BOOL, AT(struct fact_body, pinned), .help = "It stands in every prompt."},
    {"valid_from", FIELD_TIME, AT(struct fact_body, valid_from), .help = "Since when it is so; now when not said."},
    {"message_id", FIELD_ID, AT(struct fact_body, message_id), .help = "The message of this talk in which it was said."},
    {0}};
static const struct field fact_change_rows[] = {
    {"text", FIELD_TEXT, AT(struct fact_body, text), .min = 1, .max = EXTRACT_TEXT_LIMIT, .help = "One plain sentence."},
    {"kind", FIELD_CHOICE, AT(struct fact_body, kind), .choices = memory_fact_kinds, .help = "What it is."},
    {"subject", FIELD_TEXT, AT(struct fact_body, subject), .min = 1, .max = 120, .help = "Whom it is about."},
    {"predicate", FIELD_TEXT, AT(struct fact_body, predicate), .min = 1, .max = 40, .help = "A key."},
    {"object", FIELD_TEXT, AT(struct fact_body, object), .max = 200, .help = "The value."},
    {"importance", FIELD_NUMBER, AT(struct fact_body, importance), .max = 1, .help = "0 to 1."},
    {"pinned", FIELD_BOOL, AT(struct fact_body, pinned), .help = "It stands in every prompt."},
    {"valid_to", FIELD_TIME, AT(struct fact_body, valid_to), .may_be_null = true, .help = "Since when it is no longer so; null: it is."},
    {0}};
/* clang-format on */

static void get_fact(struct request *request) {
    struct memory_scope scope;
    struct memory_fact fact;
    if (!memory_request_fact(request, &scope, &fact) || reply_if_unchanged(request, fact.revision))
        return;
    memory_fact_write(reply_json(request), &fact);
    reply_send(request, 200);
}

/* --- changing ----------------------------------------------------------------------------------- */

struct change {
    struct request *request;
    struct memory_scope scope;
    struct memory_fact fact;
    struct memory_items items;
    struct merge merge;
    int64_t expected;
    int status;
};

static struct change *change_new(struct request *request) {
    struct change *change = ARENA_NEW(request->arena, struct change);
    change->request = request;
    change->expected = request_expected_revision(request);
    return change;
}

static void reply_changed(struct change *change, enum err err, int64_t fact_id) {
    struct request *request = change->request;
    struct memory_fact fact;
    if (err == E_CONFLICT)
        return reply_problem(request, 412, "This memory has been changed since you read it.");
    if (err == E_LIMIT)
        return reply_problem(request, 409, "A talk remembers at most %d facts: forget some first.",
                             FACTS_LIMIT);
    if (err == E_OK)
        err = memory_store_fact(store_reader(), request->arena, fact_id, &fact);
    if (err == E_OK)
        err = memory_store_sources(store_reader(), request->arena, &fact);
    if (err != E_OK)
        return reply_error(request, err);
    memory_tell_updated(request, "facts");
    reply_etag(request, fact.revision);
    memory_fact_write(reply_json(request), &fact);
    reply_send(request, change->status);
}

static enum err writer_add(struct tx *tx, void *ctx) {
    struct change *change = ctx;
    const struct fact_body *body = change->request->body;
    struct memory_fact fact;
    if (body->message_id != 0 &&
        !memory_store_has_message(tx_db(tx), change->scope.conversation_id, body->message_id))
        return E_INPUT;
    enum err err = writer_merge(tx, &change->items, &change->merge);
    if (err == E_OK)
        err = memory_store_fact(tx_db(tx), change->request->arena, change->merge.added_id, &fact);
    if (err != E_OK || !body->pinned)
        return err;
    fact.pinned = true;
    fact.updated_at = change->merge.now;
    return memory_store_update(tx, &fact);
}

static void on_added(enum err err, void *ctx) {
    struct change *change = ctx;
    if (err == E_INPUT)
        return reply_field_problem(change->request, "message_id",
                                   "There is no such message in this talk.");
    reply_changed(change, err, change->merge.added_id);
}

static void post_fact(struct request *request) {
    const struct fact_body *body = request->body;
    struct change *change = change_new(request);
    if (!memory_request_scope(request, &change->scope))
        return;
    change->status = 201;
    change->merge = (struct merge){
        .scope = change->scope, .made_by = "person", .is_final = true, .now = clock_now_ms()};
    change->items.count = 1;
    change->items.items[0] = (struct memory_item){
        .kind = body->kind,
        .subject = body->subject,
        .predicate = body->predicate,
        .object = body->object.at ? body->object : STR(""),
        .text = body->text,
        .importance = body->importance,
        .confidence = 1,
        .at = body->valid_from,
        .sources = {body->message_id},
        .source_count = body->message_id != 0,
    };
    store_write(writer_add, on_added, change);
}

/* What it says, not how much it weighs. */
static bool is_restated(const struct request *request) {
    return request_has(request, struct fact_body, text) ||
           request_has(request, struct fact_body, subject) ||
           request_has(request, struct fact_body, predicate) ||
           request_has(request, struct fact_body, object);
}

/* 0: it holds after all; what still waits for approval goes on waiting. */
static void edit_end(struct memory_fact *fact, int64_t valid_to) {
    bool waits = str_eq(fact->state, STR("proposed"));
    fact->valid_to = valid_to;
    fact->state = valid_to != 0 ? STR("superseded") : waits ? fact->state : STR("active");
    fact->superseded_by = valid_to != 0 ? fact->superseded_by : 0;
}

static void edit(struct memory_fact *fact, struct request *request) {
    const struct fact_body *body = request->body;
    if (request_has(request, struct fact_body, text))
        fact->text = body->text;
    if (request_has(request, struct fact_body, kind))
        fact->kind = body->kind;
    if (request_has(request, struct fact_body, subject))
        fact->subject = body->subject;
    if (request_has(request, struct fact_body, predicate))
        fact->predicate = body->predicate;
    if (request_has(request, struct fact_body, object))
        fact->object = body->object;
    if (request_has(request, struct fact_body, importance))
        fact->importance = body->importance;
    if (request_has(request, struct fact_body, pinned))
        fact->pinned = body->pinned;
    if (request_has(request, struct fact_body, valid_to))
        edit_end(fact, body->valid_to);
    if (is_restated(request)) {
        fact->made_by = STR("person");
        fact->identity = memory_identity(request->arena, fact->subject, fact->predicate,
                                         fact->object.len > 0 ? fact->object : fact->text);
    }
}

static enum err writer_change(struct tx *tx, void *ctx) {
    struct change *change = ctx;
    struct memory_fact fact;
    enum err err =
        writer_expected_fact(tx, change->request->arena, change->fact.id, change->expected, &fact);
    if (err != E_OK)
        return err;
    edit(&fact, change->request);
    fact.updated_at = clock_now_ms();
    /* What a person corrects should be gone as well. */
    tx_overwrite_freed(tx, is_restated(change->request));
    err = memory_store_update(tx, &fact);
    if (err == E_OK && request_has(change->request, struct fact_body, text))
        err = index_touch_vectors(tx, &memory_kind_fact, fact.id, fact.conversation_id,
                                  fact.conversation_id);
    return err;
}

static void on_changed(enum err err, void *ctx) {
    struct change *change = ctx;
    reply_changed(change, err, change->fact.id);
}

static void patch_fact(struct request *request) {
    struct change *change = change_new(request);
    change->status = 200;
    if (memory_request_fact(request, &change->scope, &change->fact))
        store_write(writer_change, on_changed, change);
}

static enum err writer_approve(struct tx *tx, void *ctx) {
    struct change *change = ctx;
    struct memory_fact fact;
    enum err err =
        writer_expected_fact(tx, change->request->arena, change->fact.id, change->expected, &fact);
    if (err != E_OK || !str_eq(fact.state, STR("proposed")))
        return err; /* twice is once */
    return writer_accept(tx, &fact, &change->scope, clock_now_ms());
}

static void approve_fact(struct request *request) {
    struct change *change = change_new(request);
    change->status = 200;
    if (memory_request_fact(request, &change->scope, &change->fact))
        store_write(writer_approve, on_changed, change);
}

/* clang-format off */
#define FACTS "/api/v1/memory/{conversation_id}/facts"
#define FACT  FACTS "/{fact_id}"
const struct route fact_routes[] = {
    {METHOD_POST, FACTS, post_fact, WHO_MEMBER, SCOPE_WRITE, .body = new_fact_rows, .body_size = sizeof(struct fact_body), .tag = "memory",
     .operation = "addFact", .summary = "Adds something to remember.", .status = 201, .answer = &memory_fact_shape},
    {METHOD_GET, FACT, get_fact, WHO_MEMBER, SCOPE_READ, .tag = "memory", .operation = "getFact", .summary = "One thing that is remembered.", .answer = &memory_fact_shape},
    {METHOD_PATCH, FACT, patch_fact, WHO_MEMBER, SCOPE_WRITE, .body = fact_change_rows, .body_size = sizeof(struct fact_body), .tag = "memory",
     .operation = "updateFact", .summary = "Corrects it, pins it, or says that it is over.", .answer = &memory_fact_shape},
    {METHOD_POST, FACT "/approve", approve_fact, WHO_MEMBER, SCOPE_WRITE, .tag = "memory", .operation = "approveFact",
     .summary = "Accepts something that was learnt and waits for approval.", .answer = &memory_fact_shape},
    {0}};
/* clang-format on */
