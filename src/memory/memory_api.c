/*
 * What a character remembers, for the person whose talk it is: to read, add to, correct, pin,
 * approve and forget. Nobody else is told that there is anything.
 *
 * What a person adds or changes is theirs (made_by "person"): learning does not rewrite it. Deleting
 * is forgetting (forget.c), not a trash: what somebody wants to be forgotten must not lie anywhere.
 */
#include "memory/memory_api.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "memory/extract.h"
#include "memory/forget.h"
#include "memory/learn.h"
#include "memory/memory_index.h"
#include "memory/memory_store.h"
#include "memory/merge.h"
#include "memory/recall_api.h"
#include "store/job.h"

#include "base/banned.h"

#define FACTS_SHOWN    1000
#define EPISODES_SHOWN 100

static const char *const kinds[] = {"fact", "preference", "relationship", "event", NULL};
static const char *const states[] = {"active", "proposed", "superseded", NULL};
static const char *const makers[] = {"model", "rules", "person", NULL};
static const char *const summary_kinds[] = {"recent", "full", "relationship", NULL};
static const char *const which_facts[] = {"active", "all", "proposed", NULL};

struct memory_query {
    struct str state;
};
struct fact_body {
    struct str text, kind, subject, predicate, object;
    double importance;
    bool pinned;
    int64_t valid_from, valid_to, message_id;
};
struct forget_body {
    struct str topic;
    bool dry_run, with_messages;
};
struct forget_query {
    bool with_messages;
};
struct summary_body {
    struct str kind, text;
};
struct extract_body {
    int64_t conversation_id;
};
struct page_query {
    int64_t limit;
    struct str cursor;
};

/* clang-format off */
static const struct field memory_query_rows[] = {
    {"state", FIELD_CHOICE, AT(struct memory_query, state), .choices = which_facts, .fallback = "active", .help = "Which facts: those that hold, those that wait for approval, or all with those that were replaced."},
    {0}};
static const struct field new_fact_rows[] = {
    {"text", FIELD_TEXT, AT(struct fact_body, text), .is_required = true, .min = 1, .max = EXTRACT_TEXT_LIMIT, .help = "One plain sentence."},
    {"kind", FIELD_CHOICE, AT(struct fact_body, kind), .choices = kinds, .fallback = "fact", .help = "What it is."},
    {"subject", FIELD_TEXT, AT(struct fact_body, subject), .max = 120, .fallback = "user", .help = "Whom it is about: user, character, or a name."},
    {"predicate", FIELD_TEXT, AT(struct fact_body, predicate), .max = 40, .fallback = "note", .help = "A key, like lives_in; of some, a new value replaces the old one."},
    {"object", FIELD_TEXT, AT(struct fact_body, object), .max = 200, .help = "The value, like Bristol."},
    {"importance", FIELD_NUMBER, AT(struct fact_body, importance), .max = 1, .fallback = "0.8", .help = "0 to 1."},
    {"pinned", FIELD_BOOL, AT(struct fact_body, pinned), .help = "It stands in every prompt."},
    {"valid_from", FIELD_TIME, AT(struct fact_body, valid_from), .help = "Since when it is so; now when not said."},
    {"message_id", FIELD_ID, AT(struct fact_body, message_id), .help = "Where it was said."},
    {0}};
static const struct field fact_change_rows[] = {
    {"text", FIELD_TEXT, AT(struct fact_body, text), .min = 1, .max = EXTRACT_TEXT_LIMIT, .help = "One plain sentence."},
    {"kind", FIELD_CHOICE, AT(struct fact_body, kind), .choices = kinds, .help = "What it is."},
    {"subject", FIELD_TEXT, AT(struct fact_body, subject), .min = 1, .max = 120, .help = "Whom it is about."},
    {"predicate", FIELD_TEXT, AT(struct fact_body, predicate), .min = 1, .max = 40, .help = "A key."},
    {"object", FIELD_TEXT, AT(struct fact_body, object), .max = 200, .help = "The value."},
    {"importance", FIELD_NUMBER, AT(struct fact_body, importance), .max = 1, .help = "0 to 1."},
    {"pinned", FIELD_BOOL, AT(struct fact_body, pinned), .help = "It stands in every prompt."},
    {"valid_to", FIELD_TIME, AT(struct fact_body, valid_to), .may_be_null = true, .help = "Since when it is no longer so; null: it is."},
    {0}};
static const struct field forget_rows[] = {
    {"topic", FIELD_TEXT, AT(struct forget_body, topic), .is_required = true, .min = 1, .max = 200, .help = "What is to be forgotten, in a few words; all of them must occur."},
    {"dry_run", FIELD_BOOL, AT(struct forget_body, dry_run), .help = "Only tell what would go."},
    {"with_messages", FIELD_BOOL, AT(struct forget_body, with_messages), .fallback = "true", .help = "Nothing is learnt from or recalled of the messages about it any more; they stay in the talk."},
    {0}};
static const struct field forget_query_rows[] = {
    {"with_messages", FIELD_BOOL, AT(struct forget_query, with_messages), .fallback = "false", .help = "Nor is anything recalled of the messages that it comes from."},
    {0}};
static const struct field summary_change_rows[] = {
    {"kind", FIELD_CHOICE, AT(struct summary_body, kind), .choices = summary_kinds, .fallback = "full", .help = "Which one."},
    {"text", FIELD_TEXT, AT(struct summary_body, text), .is_required = true, .max = 20000, .help = "What it says from now on; learning adds to it and does not rewrite it."},
    {0}};
static const struct field extract_rows[] = {
    {"conversation_id", FIELD_ID, AT(struct extract_body, conversation_id), .is_required = true, .help = "The talk that is read from its beginning."},
    {0}};
static const struct field page_rows[] = {
    {"limit", FIELD_INT, AT(struct page_query, limit), .min = 1, .max = 100, .fallback = "20", .help = "Items of a page."},
    {"cursor", FIELD_TEXT, AT(struct page_query, cursor), .max = 40, .help = "next_cursor of the page before."},
    {0}};

static const struct field fact_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The fact."},
    {"conversation_id", FIELD_ID, .is_required = true, .help = "Where it was learnt."},
    {"kind", FIELD_CHOICE, .choices = kinds, .is_required = true, .help = "What it is."},
    {"subject", FIELD_TEXT, .is_required = true, .help = "Whom it is about: user, character, or a name."},
    {"predicate", FIELD_TEXT, .is_required = true, .help = "A key."},
    {"object", FIELD_TEXT, .is_required = true, .help = "The value."},
    {"text", FIELD_TEXT, .is_required = true, .help = "One plain sentence."},
    {"importance", FIELD_NUMBER, .is_required = true, .help = "0 to 1."},
    {"confidence", FIELD_NUMBER, .is_required = true, .help = "How sure it is, 0 to 1; grows when it is said again."},
    {"valid_from", FIELD_TIME, .is_required = true, .help = "Since when it is so."},
    {"valid_to", FIELD_TIME, .may_be_null = true, .is_required = true, .help = "Since when it is no longer so; null: it is."},
    {"superseded_by", FIELD_ID, .may_be_null = true, .is_required = true, .help = "What replaced it."},
    {"state", FIELD_CHOICE, .choices = states, .is_required = true, .help = "Whether it counts, waits for approval, or was replaced."},
    {"pinned", FIELD_BOOL, .is_required = true, .help = "It stands in every prompt."},
    {"uses", FIELD_INT, .is_required = true, .help = "How many prompts it stood in."},
    {"last_used_at", FIELD_TIME, .may_be_null = true, .is_required = true, .help = "When it last did."},
    {"made_by", FIELD_CHOICE, .choices = makers, .is_required = true, .help = "Who put it so: a model, rules, or a person."},
    {"source_message_ids", FIELD_IDS, .is_required = true, .help = "The messages that it comes from."},
    {"revision", FIELD_INT, .is_required = true, .help = "Raised by every change; the ETag follows it."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "When it was learnt."},
    {"updated_at", FIELD_TIME, .is_required = true, .help = "When it last changed."},
    {0}};
static const struct shape fact_shape = {"Fact", fact_rows, "One thing that a character remembers."};
static const struct field episode_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The episode."},
    {"conversation_id", FIELD_ID, .is_required = true, .help = "Where it happened."},
    {"title", FIELD_TEXT, .is_required = true, .help = "A few words."},
    {"text", FIELD_TEXT, .is_required = true, .help = "What happened."},
    {"mood", FIELD_TEXT, .is_required = true, .help = "One word."},
    {"started_at", FIELD_TIME, .is_required = true, .help = "Its first message."},
    {"ended_at", FIELD_TIME, .is_required = true, .help = "Its last message."},
    {"from_message_id", FIELD_ID, .is_required = true, .help = "Its first message."},
    {"to_message_id", FIELD_ID, .is_required = true, .help = "Its last message."},
    {"importance", FIELD_NUMBER, .is_required = true, .help = "0 to 1."},
    {"is_stale", FIELD_BOOL, .is_required = true, .help = "A message of it has changed since; it is made anew soon."},
    {"made_by", FIELD_CHOICE, .choices = makers, .is_required = true, .help = "A model, or rules."},
    {"revision", FIELD_INT, .is_required = true, .help = "Raised by every change."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "When it was made."},
    {"updated_at", FIELD_TIME, .is_required = true, .help = "When it last changed."},
    {0}};
static const struct shape episode_shape = {"Episode", episode_rows, "A stretch of a talk that can be told as one thing."};
static const struct field summary_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The summary."},
    {"kind", FIELD_CHOICE, .choices = summary_kinds, .is_required = true, .help = "Of the last stretch, of everything, or of how the two stand."},
    {"text", FIELD_TEXT, .is_required = true, .help = "What it says."},
    {"from_message_id", FIELD_ID, .may_be_null = true, .is_required = true, .help = "The first message that it covers."},
    {"to_message_id", FIELD_ID, .may_be_null = true, .is_required = true, .help = "The last one."},
    {"is_edited", FIELD_BOOL, .is_required = true, .help = "A person wrote it: it is added to and not rewritten."},
    {"is_stale", FIELD_BOOL, .is_required = true, .help = "A covered message has changed since; it is made anew soon."},
    {"made_by", FIELD_CHOICE, .choices = makers, .is_required = true, .help = "A model, rules (sentences that were said), or a person."},
    {"revision", FIELD_INT, .is_required = true, .help = "Raised by every change; the ETag follows it."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "When it was first made."},
    {"updated_at", FIELD_TIME, .is_required = true, .help = "When it last changed."},
    {0}};
static const struct shape summary_shape = {"Summary", summary_rows, "What has been so far."};
static const struct field memory_rows[] = {
    {"facts", FIELD_OBJECTS, .shape = &fact_shape, .is_list = true, .is_required = true, .help = "Pinned first, then by importance."},
    {"episodes", FIELD_OBJECTS, .shape = &episode_shape, .is_list = true, .is_required = true, .help = "The newest, oldest first."},
    {"index", FIELD_OBJECT, .shape = &recall_index_shape, .is_required = true, .help = "How much of the talk can be found."},
    {"is_shared", FIELD_BOOL, .is_required = true, .help = "Facts of all talks with this character, not only of this one."},
    {"needs_approval", FIELD_BOOL, .is_required = true, .help = "What is learnt waits for you."},
    {"learns", FIELD_BOOL, .is_required = true, .help = "Something is learnt from this talk."},
    {0}};
static const struct shape memory_shape = {"Memory", memory_rows, "What a character remembers."};
static const struct field relationship_rows[] = {
    {"character_id", FIELD_ID, .is_required = true, .help = "The character."},
    {"status", FIELD_TEXT, .is_required = true, .help = "One or two words: strangers, friends, partners ..."},
    {"closeness", FIELD_NUMBER, .is_required = true, .help = "0 to 1."},
    {"mood", FIELD_TEXT, .is_required = true, .help = "Of the last stretch."},
    {"text", FIELD_TEXT, .is_required = true, .help = "How the two stand."},
    {"messages", FIELD_INT, .is_required = true, .help = "How many were exchanged."},
    {"first_at", FIELD_TIME, .may_be_null = true, .is_required = true, .help = "The first of them."},
    {"last_at", FIELD_TIME, .may_be_null = true, .is_required = true, .help = "The last of them."},
    {"facts", FIELD_OBJECTS, .shape = &fact_shape, .is_list = true, .is_required = true, .help = "What was said about the two."},
    {"made_by", FIELD_CHOICE, .choices = makers, .is_required = true, .help = "A model, or rules."},
    {"updated_at", FIELD_TIME, .may_be_null = true, .is_required = true, .help = "When it last changed."},
    {0}};
static const struct shape relationship_shape = {"Relationship", relationship_rows, "How a person and a character stand with each other."};
static const struct field forgotten_rows[] = {
    {"facts", FIELD_OBJECTS, .shape = &fact_shape, .is_list = true, .is_required = true, .help = "Facts that go, or would."},
    {"episodes", FIELD_OBJECTS, .shape = &episode_shape, .is_list = true, .is_required = true, .help = "Episodes that tell of it."},
    {"summaries", FIELD_TEXTS, .is_required = true, .help = "Kinds of summaries that lose sentences."},
    {"message_ids", FIELD_IDS, .is_required = true, .help = "Messages of which nothing is remembered any more; they stay in the talk."},
    {"dry_run", FIELD_BOOL, .is_required = true, .help = "Nothing has been done."},
    {0}};
static const struct shape forgotten_shape = {"Forgotten", forgotten_rows, "What was forgotten, or would be."};
static const struct field job_rows[] = {
    {"job_id", FIELD_ID, .is_required = true, .help = "The job; its progress comes as job:progress."},
    {0}};
static const struct shape job_shape = {"MemoryJob", job_rows, "Work that goes on in the background."};
/* clang-format on */

/* --- what all of them need ---------------------------------------------------------------------- */

/* False: it is not this person's, and that has been said. */
static bool may(struct request *request, int64_t conversation_id) {
    if (memory_store_owns(store_reader(), conversation_id, request->caller.user_id))
        return true;
    reply_error(request, E_ABSENT);
    return false;
}

static bool load_scope(struct request *request, struct memory_scope *scope) {
    if (!may(request, request->ids[0]))
        return false;
    enum err err = memory_store_scope(store_reader(), request->ids[0], scope);
    if (err != E_OK)
        reply_error(request, err);
    return err == E_OK;
}

/* A fact that this conversation shows: its own, or one that is shared with it. */
static bool load_fact(struct request *request, struct memory_scope *scope,
                      struct memory_fact *fact) {
    if (!load_scope(request, scope))
        return false;
    enum err err = memory_store_fact(store_reader(), request->arena, request->ids[1], fact);
    bool is_shown = err == E_OK && fact->user_id == scope->user_id &&
                    (fact->conversation_id == scope->conversation_id ||
                     (scope->is_shared && fact->character_id == scope->character_id));
    if (!is_shown) {
        reply_error(request, err == E_OK ? E_ABSENT : err);
        return false;
    }
    err = memory_store_sources(store_reader(), request->arena, fact);
    if (err != E_OK)
        reply_error(request, err);
    return err == E_OK;
}

static void tell(struct request *request, const char *what) {
    struct buf buf;
    struct json json;
    buf_init(&buf, 1000);
    json_init(&json, &buf);
    json_object_begin(&json);
    JSON_ID(&json, "conversation_id", request->ids[0]);
    JSON_STR(&json, "what", str_from(what));
    json_object_end(&json);
    if (learn_hooks != NULL)
        learn_hooks->publish(request->ids[0], "memory:updated", buf_str(&buf));
    buf_release(&buf);
}

/* --- reading ------------------------------------------------------------------------------------ */

static bool is_wanted(const struct memory_fact *fact, struct str state) {
    if (str_eq(state, STR("proposed")))
        return str_eq(fact->state, STR("proposed"));
    return true;
}

/* The last ones, because a long talk has many. */
static enum err newest_episodes(struct request *request, struct memory_episode **items,
                                size_t *count) {
    enum err err =
        memory_episodes(store_reader(), request->arena, request->ids[0], 0, 2000, items, count);
    if (*count > EPISODES_SHOWN) {
        *items += *count - EPISODES_SHOWN;
        *count = EPISODES_SHOWN;
    }
    return err;
}

static void get_memory(struct request *request) {
    const struct memory_query *query = request->query_fields;
    struct memory_scope scope;
    struct memory_fact *facts;
    struct memory_episode *episodes;
    size_t count, episode_count;
    if (!load_scope(request, &scope))
        return;
    bool all = !str_eq(query->state, STR("active"));
    enum err err = memory_facts(store_reader(), request->arena, &scope,
                                all ? MEMORY_ALL : MEMORY_HOLDING, FACTS_SHOWN, &facts, &count);
    if (err == E_OK)
        err = newest_episodes(request, &episodes, &episode_count);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_json(request);
    json_object_begin(json);
    JSON_ARRAY(json, "facts");
    for (size_t i = 0; i < count; i++)
        if (is_wanted(&facts[i], query->state))
            memory_fact_write(json, &facts[i]);
    json_array_end(json);
    JSON_ARRAY(json, "episodes");
    for (size_t i = 0; i < episode_count; i++)
        memory_episode_write(json, &episodes[i]);
    json_array_end(json);
    err = recall_index_write(json, store_reader(), request->ids[0]);
    JSON_BOOL(json, "is_shared", scope.is_shared);
    JSON_BOOL(json, "needs_approval", scope.needs_approval);
    JSON_BOOL(json, "learns", scope.learns && memory_settings.learns);
    json_object_end(json);
    if (err != E_OK)
        return reply_error(request, err);
    reply_send(request, 200);
}

static void get_fact(struct request *request) {
    struct memory_scope scope;
    struct memory_fact fact;
    if (!load_fact(request, &scope, &fact) || reply_if_unchanged(request, fact.revision))
        return;
    memory_fact_write(reply_json(request), &fact);
    reply_send(request, 200);
}

static void get_relationship(struct request *request) {
    struct memory_scope scope;
    struct memory_progress progress;
    struct memory_counts counts;
    struct memory_summary summary = {.text = STR("")};
    struct memory_fact *facts;
    size_t count;
    if (!load_scope(request, &scope))
        return;
    struct db *db = store_reader();
    enum err err = memory_store_progress(db, request->arena, request->ids[0], &progress);
    if (err == E_OK)
        err = memory_store_counts(db, request->ids[0], &counts);
    if (err == E_OK)
        err = memory_store_summary(db, request->arena, request->ids[0], STR("relationship"),
                                   &summary);
    if (err == E_OK || err == E_ABSENT)
        err = memory_facts(db, request->arena, &scope, MEMORY_HOLDING, FACTS_SHOWN, &facts, &count);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_list_begin(request);
    json_object_begin(json);
    JSON_ID(json, "character_id", scope.character_id);
    JSON_STR(json, "status", progress.status);
    JSON_DOUBLE(json, "closeness", progress.closeness);
    JSON_STR(json, "mood", progress.mood);
    JSON_STR(json, "text", summary.text);
    JSON_INT(json, "messages", counts.messages);
    JSON_TIME(json, "first_at", counts.first_at);
    JSON_TIME(json, "last_at", counts.last_at);
    JSON_ARRAY(json, "facts");
    for (size_t i = 0; i < count; i++)
        if (str_eq(facts[i].kind, STR("relationship")))
            memory_fact_write(json, &facts[i]);
    json_array_end(json);
    JSON_STR(json, "made_by", progress.made_by);
    JSON_TIME(json, "updated_at", progress.updated_at);
    json_object_end(json);
    reply_list_end(request, STR_NONE);
}

static void list_summaries(struct request *request) {
    struct memory_summary *items;
    size_t count;
    if (!may(request, request->ids[0]))
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
    const struct page_query *query = request->query_fields;
    struct memory_episode *items;
    size_t count, limit = (size_t)query->limit;
    int64_t after = 0;
    if (!may(request, request->ids[0]))
        return;
    if (query->cursor.len > 0 && id_parse(query->cursor, &after) != E_OK)
        return reply_field_problem(request, "cursor", "This is not a cursor of this list.");
    enum err err = memory_episodes(store_reader(), request->arena, request->ids[0], after,
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

/* --- changing facts ------------------------------------------------------------------------------- */

struct change {
    struct request *request;
    struct memory_scope scope;
    struct memory_fact fact;
    struct memory_items items;
    struct merge merge;
    struct forget forget;
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
    if (err == E_OK)
        err = memory_store_fact(store_reader(), request->arena, fact_id, &fact);
    if (err == E_OK)
        err = memory_store_sources(store_reader(), request->arena, &fact);
    if (err != E_OK)
        return reply_error(request, err);
    tell(request, "facts");
    reply_etag(request, fact.revision);
    memory_fact_write(reply_json(request), &fact);
    reply_send(request, change->status);
}

static enum err writer_add(struct tx *tx, void *ctx) {
    struct change *change = ctx;
    enum err err = writer_merge(tx, &change->items, &change->merge);
    struct memory_fact fact;
    if (err == E_OK)
        err = memory_store_fact(tx_db(tx), change->request->arena, change->merge.added_id, &fact);
    const struct fact_body *body = change->request->body;
    if (err != E_OK || !body->pinned)
        return err;
    fact.pinned = true;
    fact.updated_at = change->merge.now;
    return memory_store_update(tx, &fact);
}

static void on_added(enum err err, void *ctx) {
    struct change *change = ctx;
    reply_changed(change, err, change->merge.added_id);
}

static void post_fact(struct request *request) {
    const struct fact_body *body = request->body;
    struct change *change = change_new(request);
    if (!load_scope(request, &change->scope))
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

static void edit(struct memory_fact *fact, struct request *request) {
    const struct fact_body *body = request->body;
    bool is_reworded = request_has(request, struct fact_body, text);
    if (is_reworded)
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
    if (request_has(request, struct fact_body, valid_to)) {
        fact->valid_to = body->valid_to;
        fact->state = body->valid_to != 0 ? STR("superseded") : STR("active");
        fact->superseded_by = body->valid_to != 0 ? fact->superseded_by : 0;
    }
    if (is_reworded || request_has(request, struct fact_body, object) ||
        request_has(request, struct fact_body, subject)) {
        fact->made_by = STR("person");
        fact->identity = memory_identity(request->arena, fact->subject, fact->predicate,
                                         fact->object.len > 0 ? fact->object : fact->text);
    }
}

/* As it is now, in the same transaction as the change. */
static enum err load_for_change(struct tx *tx, struct change *change, struct memory_fact *fact) {
    enum err err = memory_store_fact(tx_db(tx), change->request->arena, change->fact.id, fact);
    if (err == E_OK && change->expected >= 0 && change->expected != fact->revision)
        err = E_CONFLICT;
    return err;
}

static enum err writer_change(struct tx *tx, void *ctx) {
    struct change *change = ctx;
    struct memory_fact fact;
    enum err err = load_for_change(tx, change, &fact);
    if (err != E_OK)
        return err;
    bool was_reworded = request_has(change->request, struct fact_body, text);
    edit(&fact, change->request);
    fact.updated_at = clock_now_ms();
    tx_overwrite_freed(tx, was_reworded); /* what a person corrects should be gone as well */
    err = memory_store_update(tx, &fact);
    if (err == E_OK && was_reworded)
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
    if (load_fact(request, &change->scope, &change->fact))
        store_write(writer_change, on_changed, change);
}

static enum err writer_approve(struct tx *tx, void *ctx) {
    struct change *change = ctx;
    struct memory_fact fact;
    enum err err = load_for_change(tx, change, &fact);
    if (err != E_OK || !str_eq(fact.state, STR("proposed")))
        return err; /* twice is once */
    return writer_accept(tx, &fact, &change->scope, clock_now_ms());
}

static void approve_fact(struct request *request) {
    struct change *change = change_new(request);
    change->status = 200;
    if (load_fact(request, &change->scope, &change->fact))
        store_write(writer_approve, on_changed, change);
}

/* --- forgetting ------------------------------------------------------------------------------------- */

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

/* The vectors are gone too, or could not be opened and are made anew from the truth. */
static void on_vectors_gone(enum err err, void *ctx) {
    struct change *change = ctx;
    struct request *request = change->request;
    (void)err;
    tell(request, "forgotten");
    if (change->status == 204)
        return reply_empty(request, 204);
    write_forgotten(reply_json(request), &change->forget, false);
    reply_send(request, 200);
}

static enum err writer_forget_now(struct tx *tx, void *ctx) {
    struct change *change = ctx;
    struct memory_fact fact;
    enum err err = change->fact.id != 0 ? load_for_change(tx, change, &fact) : E_OK;
    return err == E_OK ? writer_forget(tx, &change->forget) : err;
}

static void on_forgotten(enum err err, void *ctx) {
    struct change *change = ctx;
    if (err == E_CONFLICT)
        return reply_problem(change->request, 412,
                             "This memory has been changed since you read it.");
    if (err != E_OK)
        return reply_error(change->request, err);
    forget_vectors(&change->forget, on_vectors_gone, change);
}

static void delete_fact(struct request *request) {
    const struct forget_query *query = request->query_fields;
    struct change *change = change_new(request);
    change->status = 204;
    if (!load_fact(request, &change->scope, &change->fact))
        return;
    change->forget.scope = change->scope;
    enum err err = forget_fact(store_reader(), request->arena, &change->fact, query->with_messages,
                               &change->forget);
    if (err != E_OK)
        return reply_error(request, err);
    store_write(writer_forget_now, on_forgotten, change);
}

static void post_forget(struct request *request) {
    const struct forget_body *body = request->body;
    struct change *change = change_new(request);
    change->status = 200;
    if (!load_scope(request, &change->scope))
        return;
    change->forget.scope = change->scope;
    enum err err = forget_topic(store_reader(), request->arena, body->topic, body->with_messages,
                                &change->forget);
    if (err == E_INPUT)
        return reply_field_problem(request, "topic", "There is no word in it.");
    if (err != E_OK)
        return reply_error(request, err);
    if (!body->dry_run) {
        store_write(writer_forget_now, on_forgotten, change);
        return;
    }
    write_forgotten(reply_json(request), &change->forget, true);
    reply_send(request, 200);
}

static enum err writer_forget_everything(struct tx *tx, void *ctx) {
    struct change *change = ctx;
    struct memory_progress progress;
    struct arena *arena = change->request->arena;
    int64_t conversation = change->scope.conversation_id;
    tx_overwrite_freed(tx, true);
    enum err err = E_OK;
    for (size_t i = 0; i < change->forget.fact_count && err == E_OK; i++)
        err = memory_store_forget_answers(tx, change->scope.user_id, change->forget.facts[i].id);
    for (size_t i = 0; i < change->forget.fact_count && err == E_OK; i++)
        err = index_touch(tx, &memory_kind_fact, change->forget.facts[i].id, conversation,
                          conversation);
    if (err == E_OK)
        err = memory_store_forget_all(tx, conversation);
    if (err == E_OK)
        err = memory_store_merge_words(tx);
    if (err == E_OK)
        err = memory_store_progress(tx_db(tx), arena, conversation, &progress);
    /* What was said so far is not learnt from again by itself; POST /memory/extract does. */
    progress.status = STR("strangers");
    progress.mood = STR("");
    progress.closeness = 0;
    progress.summed_to =
        progress.learnt_to > progress.summed_to ? progress.learnt_to : progress.summed_to;
    progress.updated_at = clock_now_ms();
    if (err == E_OK)
        err = memory_store_save_progress(tx, &progress);
    return err == E_OK ? forget_queue_scrub(tx, &change->scope, 0) : err;
}

static void delete_memory(struct request *request) {
    struct change *change = change_new(request);
    struct forget *forget = &change->forget;
    struct memory_summary *summaries;
    size_t count;
    change->status = 204;
    if (!load_scope(request, &change->scope))
        return;
    change->scope.is_shared = false; /* this talk's own */
    forget->scope = change->scope;
    struct db *db = store_reader();
    enum err err = memory_store_facts(db, request->arena, &change->scope, true, 100000,
                                      &forget->facts, &forget->fact_count);
    if (err == E_OK)
        err = memory_episodes(db, request->arena, request->ids[0], 0, 10000, &forget->episodes,
                              &forget->episode_count);
    if (err == E_OK)
        err = memory_summaries(db, request->arena, request->ids[0], &summaries, &count);
    if (err != E_OK)
        return reply_error(request, err);
    forget->summaries = summaries;
    forget->summary_count = count;
    store_write(writer_forget_everything, on_forgotten, change);
}

/* --- summaries ------------------------------------------------------------------------------------ */

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
    summary->is_edited = true;
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
    tell(request, "summary");
    reply_etag(request, change->summary.revision);
    memory_summary_write(reply_json(request), &change->summary);
    reply_send(request, 200);
}

static void patch_summary(struct request *request) {
    if (!may(request, request->ids[0]))
        return;
    struct summary_change *change = ARENA_NEW(request->arena, struct summary_change);
    change->request = request;
    change->expected = request_expected_revision(request);
    store_write(writer_summary_change, on_summary_changed, change);
}

/* --- extraction of old talk -------------------------------------------------------------------------- */

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
    if (!may(request, body->conversation_id))
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
#define MEMORY "/api/v1/memory/{conversation_id}"
#define FACT   MEMORY "/facts/{fact_id}"
const struct route memory_routes[] = {
    {METHOD_GET, MEMORY, get_memory, WHO_MEMBER, SCOPE_READ, .query = memory_query_rows, .query_size = sizeof(struct memory_query), .tag = "memory",
     .operation = "getMemory", .summary = "What the character of a conversation remembers.", .answer = &memory_shape},
    {METHOD_DELETE, MEMORY, delete_memory, WHO_MEMBER, SCOPE_WRITE, .tag = "memory", .operation = "forgetEverything",
     .summary = "Forgets everything that was learnt in a conversation; the talk stays.", .status = 204},
    {METHOD_POST, MEMORY "/facts", post_fact, WHO_MEMBER, SCOPE_WRITE, .body = new_fact_rows, .body_size = sizeof(struct fact_body), .tag = "memory",
     .operation = "addFact", .summary = "Adds something to remember.", .status = 201, .answer = &fact_shape},
    {METHOD_GET, FACT, get_fact, WHO_MEMBER, SCOPE_READ, .tag = "memory", .operation = "getFact", .summary = "One thing that is remembered.", .answer = &fact_shape},
    {METHOD_PATCH, FACT, patch_fact, WHO_MEMBER, SCOPE_WRITE, .body = fact_change_rows, .body_size = sizeof(struct fact_body), .tag = "memory",
     .operation = "updateFact", .summary = "Corrects it, pins it, or says that it is over.", .answer = &fact_shape},
    {METHOD_DELETE, FACT, delete_fact, WHO_MEMBER, SCOPE_WRITE, .query = forget_query_rows, .query_size = sizeof(struct forget_query), .tag = "memory",
     .operation = "forgetFact", .summary = "Forgets it, without a trace.", .status = 204},
    {METHOD_POST, FACT "/approve", approve_fact, WHO_MEMBER, SCOPE_WRITE, .tag = "memory", .operation = "approveFact",
     .summary = "Accepts something that was learnt and waits for approval.", .answer = &fact_shape},
    {METHOD_POST, MEMORY "/forget", post_forget, WHO_MEMBER, SCOPE_WRITE, .body = forget_rows, .body_size = sizeof(struct forget_body), .tag = "memory",
     .operation = "forgetTopic", .summary = "Forgets a topic, or tells what that would take away.", .answer = &forgotten_shape},
    {METHOD_GET, MEMORY "/relationships", get_relationship, WHO_MEMBER, SCOPE_READ, .tag = "memory", .operation = "listRelationships",
     .summary = "How the two stand with each other.", .answer = &relationship_shape, .answer_is_list = true},
    {METHOD_GET, MEMORY "/summary", list_summaries, WHO_MEMBER, SCOPE_READ, .tag = "memory", .operation = "listSummaries",
     .summary = "What has been so far: the last stretch, everything, and how the two stand.", .answer = &summary_shape, .answer_is_list = true},
    {METHOD_PATCH, MEMORY "/summary", patch_summary, WHO_MEMBER, SCOPE_WRITE, .body = summary_change_rows, .body_size = sizeof(struct summary_body), .tag = "memory",
     .operation = "updateSummary", .summary = "Rewrites a summary.", .answer = &summary_shape},
    {METHOD_GET, MEMORY "/timeline", get_timeline, WHO_MEMBER, SCOPE_READ, .query = page_rows, .query_size = sizeof(struct page_query), .tag = "memory",
     .operation = "listEpisodes", .summary = "The episodes of a conversation, oldest first.", .answer = &episode_shape, .answer_is_list = true},
    {METHOD_POST, "/api/v1/memory/extract", post_extract, WHO_MEMBER, SCOPE_WRITE, .body = extract_rows, .body_size = sizeof(struct extract_body), .is_costly = true, .tag = "memory",
     .operation = "extractMemory", .summary = "Learns from a whole talk, also one that was imported.", .status = 202, .answer = &job_shape},
    {METHOD_DELETE, "/api/v1/memory/extract/{job_id}", cancel_extract, WHO_MEMBER, SCOPE_WRITE, .tag = "memory",
     .operation = "cancelExtraction", .summary = "Ends an extraction; what was learnt so far stays.", .status = 204},
    {0}};
/* clang-format on */
