/*
 * The rows below are what openapi.json says, in the order in which the members are written.
 */
#include "memory/memory_json.h"

#include "base/banned.h"

const char *const memory_fact_kinds[] = {"fact", "preference", "relationship", "event", NULL};
const char *const memory_summary_kinds[] = {"recent", "full", "relationship", NULL};
const char *const memory_makers[] = {"model", "rules", "person", NULL};
static const char *const fact_states[] = {"active", "proposed", "superseded", NULL};

/* clang-format off */
static const struct field fact_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The fact."},
    {"conversation_id", FIELD_ID, .is_required = true, .help = "Where it was learnt."},
    {"kind", FIELD_CHOICE, .choices = memory_fact_kinds, .is_required = true, .help = "What it is."},
    {"subject", FIELD_TEXT, .is_required = true, .help = "Whom it is about: user, character, or a name."},
    {"predicate", FIELD_TEXT, .is_required = true, .help = "A key."},
    {"object", FIELD_TEXT, .is_required = true, .help = "The value."},
    {"text", FIELD_TEXT, .is_required = true, .help = "One plain sentence."},
    {"importance", FIELD_NUMBER, .is_required = true, .help = "0 to 1."},
    {"confidence", FIELD_NUMBER, .is_required = true, .help = "How sure it is, 0 to 1; grows when it is said again."},
    {"valid_from", FIELD_TIME, .is_required = true, .help = "Since when it is so."},
    {"valid_to", FIELD_TIME, .may_be_null = true, .is_required = true, .help = "Since when it is no longer so; null: it is."},
    {"superseded_by", FIELD_ID, .may_be_null = true, .is_required = true, .help = "What replaced it."},
    {"state", FIELD_CHOICE, .choices = fact_states, .is_required = true, .help = "Whether it counts, waits for approval, or was replaced."},
    {"pinned", FIELD_BOOL, .is_required = true, .help = "It stands in every prompt."},
    {"uses", FIELD_INT, .is_required = true, .help = "How many prompts it stood in."},
    {"last_used_at", FIELD_TIME, .may_be_null = true, .is_required = true, .help = "When it last did."},
    {"made_by", FIELD_CHOICE, .choices = memory_makers, .is_required = true, .help = "Who put it so: a model, rules, or a person."},
    {"source_message_ids", FIELD_IDS, .is_required = true, .help = "The messages that it comes from."},
    {"revision", FIELD_INT, .is_required = true, .help = "Raised by every change; the ETag follows it."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "When it was learnt."},
    {"updated_at", FIELD_TIME, .is_required = true, .help = "When it last changed."},
    {0}};
const struct shape memory_fact_shape = {"Fact", fact_rows, "One thing that a character remembers."};
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
    {"made_by", FIELD_CHOICE, .choices = memory_makers, .is_required = true, .help = "A model, or rules."},
    {"revision", FIELD_INT, .is_required = true, .help = "Raised by every change."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "When it was made."},
    {"updated_at", FIELD_TIME, .is_required = true, .help = "When it last changed."},
    {0}};
const struct shape memory_episode_shape = {"Episode", episode_rows, "A stretch of a talk that can be told as one thing."};
static const struct field summary_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The summary."},
    {"kind", FIELD_CHOICE, .choices = memory_summary_kinds, .is_required = true, .help = "Of the last stretch, of everything, or of how the two stand."},
    {"text", FIELD_TEXT, .is_required = true, .help = "What it says."},
    {"from_message_id", FIELD_ID, .may_be_null = true, .is_required = true, .help = "The first message that it covers."},
    {"to_message_id", FIELD_ID, .may_be_null = true, .is_required = true, .help = "The last one."},
    {"is_edited", FIELD_BOOL, .is_required = true, .help = "A person wrote it: it is added to and not rewritten."},
    {"is_stale", FIELD_BOOL, .is_required = true, .help = "A covered message has changed since; it is made anew soon."},
    {"made_by", FIELD_CHOICE, .choices = memory_makers, .is_required = true, .help = "A model, rules (sentences that were said), or a person."},
    {"revision", FIELD_INT, .is_required = true, .help = "Raised by every change; the ETag follows it."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "When it was first made."},
    {"updated_at", FIELD_TIME, .is_required = true, .help = "When it last changed."},
    {0}};
const struct shape memory_summary_shape = {"Summary", summary_rows, "What has been so far."};
/* clang-format on */

/* Two digits tell enough of a weight, and are short to read. */
static double hundredths(double value) {
    return (double)(int)(value * 100 + 0.5) / 100;
}

void memory_fact_write(struct json *json, const struct memory_fact *fact) {
    json_object_begin(json);
    JSON_ID(json, "id", fact->id);
    JSON_ID(json, "conversation_id", fact->conversation_id);
    JSON_STR(json, "kind", fact->kind);
    JSON_STR(json, "subject", fact->subject);
    JSON_STR(json, "predicate", fact->predicate);
    JSON_STR(json, "object", fact->object);
    JSON_STR(json, "text", fact->text);
    JSON_DOUBLE(json, "importance", hundredths(fact->importance));
    JSON_DOUBLE(json, "confidence", hundredths(fact->confidence));
    JSON_TIME(json, "valid_from", fact->valid_from);
    JSON_TIME(json, "valid_to", fact->valid_to);
    JSON_ID(json, "superseded_by", fact->superseded_by);
    JSON_STR(json, "state", fact->state);
    JSON_BOOL(json, "pinned", fact->pinned);
    JSON_INT(json, "uses", fact->uses);
    JSON_TIME(json, "last_used_at", fact->last_used_at);
    JSON_STR(json, "made_by", fact->made_by);
    JSON_ARRAY(json, "source_message_ids");
    for (size_t i = 0; i < fact->source_count; i++)
        json_write_id(json, fact->sources[i]);
    json_array_end(json);
    JSON_INT(json, "revision", fact->revision);
    JSON_TIME(json, "created_at", fact->created_at);
    JSON_TIME(json, "updated_at", fact->updated_at);
    json_object_end(json);
}

void memory_episode_write(struct json *json, const struct memory_episode *episode) {
    json_object_begin(json);
    JSON_ID(json, "id", episode->id);
    JSON_ID(json, "conversation_id", episode->conversation_id);
    JSON_STR(json, "title", episode->title);
    JSON_STR(json, "text", episode->text);
    JSON_STR(json, "mood", episode->mood);
    JSON_TIME(json, "started_at", episode->started_at);
    JSON_TIME(json, "ended_at", episode->ended_at);
    JSON_ID(json, "from_message_id", episode->covers_from);
    JSON_ID(json, "to_message_id", episode->covers_to);
    JSON_DOUBLE(json, "importance", hundredths(episode->importance));
    JSON_BOOL(json, "is_stale", episode->is_stale);
    JSON_STR(json, "made_by", episode->made_by);
    JSON_INT(json, "revision", episode->revision);
    JSON_TIME(json, "created_at", episode->created_at);
    JSON_TIME(json, "updated_at", episode->updated_at);
    json_object_end(json);
}

void memory_summary_write(struct json *json, const struct memory_summary *summary) {
    json_object_begin(json);
    JSON_ID(json, "id", summary->id);
    JSON_STR(json, "kind", summary->kind);
    JSON_STR(json, "text", summary->text);
    JSON_ID(json, "from_message_id", summary->covers_from);
    JSON_ID(json, "to_message_id", summary->covers_to);
    JSON_BOOL(json, "is_edited", summary->is_edited);
    JSON_BOOL(json, "is_stale", summary->is_stale);
    JSON_STR(json, "made_by", summary->made_by);
    JSON_INT(json, "revision", summary->revision);
    JSON_TIME(json, "created_at", summary->created_at);
    JSON_TIME(json, "updated_at", summary->updated_at);
    json_object_end(json);
}
