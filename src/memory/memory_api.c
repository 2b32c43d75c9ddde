/*
 * What a character remembers, for the person whose talk it is: all of it at once, and how the two
 * stand. Nobody else is told that there is anything.
 */
#include "memory/memory_api.h"

#include "memory/memory_json.h"
#include "memory/memory_request.h"
#include "memory/memory_store.h"
#include "memory/recall_api.h"

#include "base/banned.h"

#define FACTS_SHOWN    1000
#define EPISODES_SHOWN 100  /* the newest of ... */
#define EPISODES_READ  2000 /* ... so many */

static const char *const which_facts[] = {"active", "all", "proposed", NULL};

struct memory_query {
    struct str state;
};

/* clang-format off */
static const struct field memory_query_rows[] = {
    {"state", FIELD_CHOICE, AT(struct memory_query, state), .choices = which_facts, .fallback = "active", .help = "Which facts: those that hold, those that wait for approval, or all with those that were replaced."},
    {0}};

static const struct field memory_rows[] = {
    {"facts", FIELD_OBJECTS, .shape = &memory_fact_shape, .is_list = true, .is_required = true, .help = "Pinned first, then by importance."},
    {"episodes", FIELD_OBJECTS, .shape = &memory_episode_shape, .is_list = true, .is_required = true, .help = "The newest, oldest first."},
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
    {"facts", FIELD_OBJECTS, .shape = &memory_fact_shape, .is_list = true, .is_required = true, .help = "What was said about the two."},
    {"made_by", FIELD_CHOICE, .choices = memory_makers, .is_required = true, .help = "A model, or rules."},
    {"updated_at", FIELD_TIME, .may_be_null = true, .is_required = true, .help = "When it last changed."},
    {0}};
static const struct shape relationship_shape = {"Relationship", relationship_rows, "How a person and a character stand with each other."};
/* clang-format on */

static bool is_wanted(const struct memory_fact *fact, struct str state) {
    if (str_eq(state, STR("proposed")))
        return str_eq(fact->state, STR("proposed"));
    return true;
}

/* The last ones, because a long talk has many. */
static enum err newest_episodes(struct request *request, struct memory_episode **items,
                                size_t *count) {
    enum err err = memory_episodes(store_reader(), request->arena, request->ids[0], 0,
                                   EPISODES_READ, items, count);
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
    if (!memory_request_scope(request, &scope))
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

static void get_relationship(struct request *request) {
    struct memory_scope scope;
    struct memory_progress progress;
    struct memory_counts counts;
    struct memory_summary summary = {.text = STR("")};
    struct memory_fact *facts;
    size_t count;
    if (!memory_request_scope(request, &scope))
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

/* clang-format off */
#define MEMORY "/api/v1/memory/{conversation_id}"
const struct route memory_routes[] = {
    {METHOD_GET, MEMORY, get_memory, WHO_MEMBER, SCOPE_READ, .query = memory_query_rows, .query_size = sizeof(struct memory_query), .tag = "memory",
     .operation = "getMemory", .summary = "What the character of a conversation remembers.", .answer = &memory_shape},
    {METHOD_GET, MEMORY "/relationships", get_relationship, WHO_MEMBER, SCOPE_READ, .tag = "memory", .operation = "listRelationships",
     .summary = "How the two stand with each other.", .answer = &relationship_shape, .answer_is_list = true},
    {0}};
/* clang-format on */
