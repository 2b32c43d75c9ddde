/*
 * GET /memory/{conversation_id}/search: a question, and what answers it, each with the shares of
 * its score. Only the person whose conversation it is may ask; others are told that there is none.
 */
#include "memory/recall_api.h"

#include "account/account.h"
#include "base/check.h"
#include "base/clock.h"
#include "memory/memory_store.h"
#include "memory/recall.h"
#include "model/index.h"

#include "base/banned.h"

#define QUESTION_CHARACTERS 2000

struct search_query {
    struct str q;
    int64_t limit;
    struct str kinds;
};

/* clang-format off */
static const struct field search_query[] = {
    {"q", FIELD_TEXT, AT(struct search_query, q), .is_required = true, .min = 1, .max = QUESTION_CHARACTERS, .help = "What is looked for: a question, or words."},
    {"limit", FIELD_INT, AT(struct search_query, limit), .min = 1, .max = RECALL_LIMIT, .fallback = "20", .help = "At most so many."},
    {"kinds", FIELD_TEXT, AT(struct search_query, kinds), .max = 80, .help = "Which kinds, separated by commas: message, fact, episode, summary. All when it is not said."},
    {0}};
/* In the order of enum recall_kind. */
static const char *const found_kinds[] = {"message", "fact", "episode", "summary", NULL};
static const struct field found_rows[] = {
    {"kind", FIELD_CHOICE, .choices = found_kinds, .is_required = true, .help = "What was found."},
    {"id", FIELD_ID, .is_required = true, .help = "Its id; of a message, the message's."},
    {"message_id", FIELD_ID, .may_be_null = true, .is_required = true, .help = "The message where it stands, or from which it was learnt."},
    {"external_id", FIELD_TEXT, .help = "The message's key in the talk that was imported."},
    {"conversation_id", FIELD_ID, .is_required = true, .help = "Where it was said."},
    {"text", FIELD_TEXT, .is_required = true, .help = "What was said."},
    {"speaker", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "Who said it."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "When it was said."},
    {"score", FIELD_NUMBER, .is_required = true, .help = "How well it answers; comparable within one answer."},
    {"signals", FIELD_OBJECT, .shape = &recall_signals_shape, .is_required = true, .help = "The shares of the score."},
    {0}};
static const struct shape found_shape = {"Recalled", found_rows, "Something that is remembered, and why it was found."};
static const struct field index_rows[] = {
    {"messages", FIELD_INT, .is_required = true, .help = "Messages that may be remembered."},
    {"words", FIELD_INT, .is_required = true, .help = "Those that are found by their words."},
    {"vectors", FIELD_INT, .is_required = true, .help = "Those that are found by meaning; 0 when there is no encoder."},
    {"pending", FIELD_INT, .is_required = true, .help = "What still waits for words or vectors."},
    {0}};
const struct shape recall_index_shape = {"MemoryIndex", index_rows, "How far indexing has come."};
/* clang-format on */

/* --- what there is -------------------------------------------------------------------------- */

struct counts {
    int64_t words, vectors;
    struct index_pending pending;
};

static enum err count_index(struct db *db, int64_t conversation_id, struct counts *counts) {
    struct index_encoder encoder = index_encoder();
    enum err err = turn_totals(db, conversation_id, encoder.slot, &counts->words, &counts->vectors);
    if (encoder.id == 0)
        counts->vectors = 0;
    return err != E_OK ? err : index_pending(db, conversation_id, &counts->pending);
}

static void counts_write(struct json *json, const struct counts *counts) {
    JSON_OBJECT(json, "index");
    JSON_INT(json, "messages", counts->words + counts->pending.words);
    JSON_INT(json, "words", counts->words);
    JSON_INT(json, "vectors", counts->vectors);
    JSON_INT(json, "pending", counts->pending.words + counts->pending.vectors);
    json_object_end(json);
}

enum err recall_index_write(struct json *json, struct db *db, int64_t conversation_id) {
    struct counts counts;
    enum err err = count_index(db, conversation_id, &counts);
    if (err == E_OK)
        counts_write(json, &counts);
    return err;
}

/* --- search --------------------------------------------------------------------------------- */

/* Four digits are enough to compare, and short enough to read. */
static double rounded(double value) {
    return (double)(int64_t)(value * 10000 + (value < 0 ? -0.5 : 0.5)) / 10000;
}

static void hit_write(struct json *json, const struct recall_hit *hit) {
    json_object_begin(json);
    JSON_STR(json, "kind", str_from(found_kinds[hit->kind]));
    JSON_ID(json, "id", hit->id);
    JSON_ID(json, "message_id", hit->turn.message_id);
    if (hit->turn.external_id.at != NULL)
        JSON_STR(json, "external_id", hit->turn.external_id);
    JSON_ID(json, "conversation_id", hit->turn.conversation_id);
    JSON_STR(json, "text", hit->turn.text);
    JSON_STR(json, "speaker", hit->turn.speaker_name);
    JSON_TIME(json, "created_at", hit->turn.said_at);
    JSON_DOUBLE(json, "score", rounded(hit->score));
    JSON_OBJECT(json, "signals");
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        json_key(json, str_from(signal_names[i]));
        json_write_double(json, rounded((double)hit->signals[i]));
    }
    json_object_end(json);
    json_object_end(json);
}

static void on_recalled(const struct recall_answer *answer, void *ctx) {
    struct request *request = ctx;
    if (answer->err == E_BUSY)
        return reply_retry_later(request, 503, 1,
                                 "Too many searches are under way. Try again in a moment.");
    if (answer->err != E_OK)
        return reply_error(request, answer->err);
    struct json *json = reply_list_begin(request);
    for (size_t i = 0; i < answer->count; i++)
        hit_write(json, &answer->hits[i]);
    reply_list_end(request, STR_NONE);
}

/* Bits in the order of found_kinds; 0: a word is none of them. */
static unsigned read_kinds(struct str list) {
    struct str word;
    unsigned kinds = 0;
    if (list.len == 0)
        return RECALL_ALL;
    while (str_next(&list, ',', &word)) {
        unsigned bit = 0;
        for (size_t i = 0; found_kinds[i] != NULL; i++)
            if (str_eq(str_trim(word), str_from(found_kinds[i])))
                bit = 1U << i;
        if (bit == 0)
            return 0;
        kinds |= bit;
    }
    return kinds;
}

static void search(struct request *request) {
    const struct search_query *query = request->query_fields;
    if (read_kinds(query->kinds) == 0)
        return reply_field_problem(request, "kinds",
                                   "These are message, fact, episode and summary.");
    struct memory_scope scope;
    enum err err = memory_store_scope(store_reader(), request->ids[0], &scope);
    if (err != E_OK)
        return reply_error(request, err);
    int64_t now = clock_now_ms();
    recall_start(
        &(struct recall_ask){
            .conversation_id = request->ids[0],
            .user_id = request->caller.user_id,
            .is_shared = scope.is_shared,
            .text = query->q,
            .now_ms = now,
            .utc_offset_ms = account_utc_offset_ms(store_reader(), request->caller.user_id, now),
            .limit = (size_t)query->limit,
            .kinds = read_kinds(query->kinds),
        },
        on_recalled, request);
}

/* clang-format off */
const struct route recall_routes[] = {
    {METHOD_GET, "/api/v1/memory/{conversation_id}/search", search, WHO_MEMBER, SCOPE_READ, .query = search_query, .query_size = sizeof(struct search_query),
     .tag = "memory", .operation = "searchMemory", .summary = "What is remembered of a conversation that answers a question, best first.", .answer = &found_shape, .answer_is_list = true},
    {0}};
/* clang-format on */
