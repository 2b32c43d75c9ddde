/*
 * Conversations as rules: settings, rights, and how a conversation and a message look to clients.
 * No HTTP, no SQL.
 *
 * Settings are stored as the JSON that was sent, member by member: a member that was never said is
 * not stored, so that a better default of a later version reaches old conversations too. The same
 * field rows check a PATCH, read the stored text and document both.
 */
#include "conversation/conversation.h"

#include "base/text.h"
#include "character/character.h"
#include "conversation/conversation_store.h"
#include "conversation/turn.h"

#include <string.h>

#include "base/banned.h"

#define LAST_LINE_CHARACTERS 120
#define SETTINGS_LIMIT_BYTES ((size_t)256 << 10)

/* clang-format off */
const struct field conversation_settings_rows[] = {
    {"author_note", FIELD_TEXT, AT(struct conversation_settings, author_note), .max = 20000, .may_be_null = true,
     .help = "A note to the model that is laid into the talk, a few messages from the end."},
    {"author_note_depth", FIELD_INT, AT(struct conversation_settings, author_note_depth), .max = 1000, .fallback = "4",
     .help = "How many messages stand after the note."},
    {"scenario", FIELD_TEXT, AT(struct conversation_settings, scenario), .max = 20000, .may_be_null = true,
     .help = "A scenario instead of the card's."},
    {"system_prompt", FIELD_TEXT, AT(struct conversation_settings, system_prompt), .max = 20000, .may_be_null = true,
     .help = "A system prompt instead of the card's; {{original}} stands for the house's."},
    {"route", FIELD_TEXT, AT(struct conversation_settings, route), .max = 64, .may_be_null = true,
     .help = "Which route of models answers."},
    {"memory", FIELD_BOOL, AT(struct conversation_settings, memory),
     .help = "The character learns from this talk; your preference when not said."},
    {"shared_memory", FIELD_BOOL, AT(struct conversation_settings, shared_memory),
     .help = "It remembers what was said in all your talks with it; your preference when not said."},
    {"temperature", FIELD_NUMBER, AT(struct conversation_settings, temperature), .min = -1, .max = 5, .fallback = "-1",
     .help = "Sampling temperature; -1 leaves it to the endpoint, here and below."},
    {"top_p", FIELD_NUMBER, AT(struct conversation_settings, top_p), .min = -1, .max = 1, .fallback = "-1",
     .help = "Nucleus sampling."},
    {"min_p", FIELD_NUMBER, AT(struct conversation_settings, min_p), .min = -1, .max = 1, .fallback = "-1",
     .help = "Least probability relative to the best token."},
    {"top_k", FIELD_INT, AT(struct conversation_settings, top_k), .min = -1, .max = 100000, .fallback = "-1",
     .help = "Only the best k tokens."},
    {"frequency_penalty", FIELD_NUMBER, AT(struct conversation_settings, frequency_penalty), .min = -1, .max = 2, .fallback = "-1",
     .help = "Against repeating words by count."},
    {"presence_penalty", FIELD_NUMBER, AT(struct conversation_settings, presence_penalty), .min = -1, .max = 2, .fallback = "-1",
     .help = "Against repeating words at all."},
    {"repetition_penalty", FIELD_NUMBER, AT(struct conversation_settings, repetition_penalty), .min = -1, .max = 3, .fallback = "-1",
     .help = "Multiplicative penalty, as local endpoints have it."},
    {"seed", FIELD_INT, AT(struct conversation_settings, seed), .min = -1, .max = 4294967295.0, .fallback = "-1",
     .help = "Makes sampling repeatable where the endpoint can."},
    {"reply_tokens", FIELD_INT, AT(struct conversation_settings, reply_tokens), .max = 32768, .fallback = "0",
     .help = "The longest reply; 0 leaves it to the model's setting."},
    {"stop", FIELD_TEXTS, AT(struct conversation_settings, stop), .max = 16, .item_max = 64,
     .help = "Texts at which a reply ends."},
    {0}};

static const char *const roles[] = {"user", "assistant", "system", NULL};
static const char *const author_kinds[] = {"user", "character", "system", NULL};
static const char *const states[] = {"streaming", "complete", "stopped", "interrupted", "failed", NULL};
static const char *const modes[] = {"single", "group", NULL};

static const struct field author_rows[] = {
    {"kind", FIELD_CHOICE, .choices = author_kinds, .is_required = true, .help = "What speaks."},
    {"id", FIELD_ID, .may_be_null = true, .is_required = true, .help = "The user or the character."},
    {"name", FIELD_TEXT, .is_required = true, .help = "The name at that time."},
    {0}};
static const struct field swipe_rows[] = {
    {"index", FIELD_INT, .is_required = true, .help = "Which variant is shown, from 0."},
    {"count", FIELD_INT, .is_required = true, .help = "How many there are."},
    {0}};
static const struct field usage_rows[] = {
    {"prompt_tokens", FIELD_INT, .may_be_null = true, .is_required = true, .help = "Tokens of the prompt."},
    {"reply_tokens", FIELD_INT, .may_be_null = true, .is_required = true, .help = "Tokens of the reply."},
    {0}};
static const struct shape author_shape = {"MessageAuthor", author_rows, "Who speaks."};
static const struct shape swipe_shape = {"Swipe", swipe_rows, "Where a message stands among its variants."};
static const struct shape usage_shape = {"Usage", usage_rows, "What a reply cost in tokens."};
static const struct field message_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The message."},
    {"conversation_id", FIELD_ID, .is_required = true, .help = "Its conversation."},
    {"parent_id", FIELD_ID, .may_be_null = true, .is_required = true, .help = "The message before."},
    {"role", FIELD_CHOICE, .choices = roles, .is_required = true, .help = "The part it plays in the prompt."},
    {"author", FIELD_OBJECT, .shape = &author_shape, .is_required = true, .help = "Who speaks."},
    {"content", FIELD_TEXT, .is_required = true, .help = "The text of the shown variant."},
    {"swipe", FIELD_OBJECT, .shape = &swipe_shape, .is_required = true, .help = "The shown variant among all."},
    {"state", FIELD_CHOICE, .choices = states, .is_required = true, .help = "How the text came to its end, or that it is still coming."},
    {"hidden", FIELD_BOOL, .is_required = true, .help = "Shown to people, not to the model."},
    {"reasoning", FIELD_TEXT, .help = "The model's thinking, kept apart."},
    {"model", FIELD_TEXT, .help = "Which model spoke."},
    {"usage", FIELD_OBJECT, .shape = &usage_shape, .help = "Tokens, where they are known."},
    {"finish_reason", FIELD_TEXT, .help = "Why the reply ended."},
    {"external_id", FIELD_TEXT, .help = "The sender's own key, of an import."},
    {"revision", FIELD_INT, .is_required = true, .help = "Raised by every edit; the ETag follows it."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "When it was said."},
    {"updated_at", FIELD_TIME, .is_required = true, .help = "When it last changed."},
    {"deleted_at", FIELD_TIME, .help = "When it went to the trash."},
    {0}};
const struct shape message_shape = {"Message", message_rows, "One message of a conversation, with the variant that is shown."};

static const struct field participant_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The character."},
    {"name", FIELD_TEXT, .is_required = true, .help = "Its name."},
    {"avatar_url", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "Its portrait."},
    {"is_gone", FIELD_BOOL, .is_required = true, .help = "The character has been deleted, or may not be seen any more; the talk stays."},
    {0}};
static const struct shape participant_shape = {"ConversationCharacter", participant_rows, "A character that takes part."};
const struct shape conversation_settings_shape = {"ConversationSettings", conversation_settings_rows, "What a person set for this conversation."};
static const struct field conversation_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The conversation."},
    {"owner_id", FIELD_ID, .is_required = true, .help = "Whose it is."},
    {"title", FIELD_TEXT, .is_required = true, .help = "Its name."},
    {"characters", FIELD_OBJECTS, .shape = &participant_shape, .is_list = true, .is_required = true, .help = "Who takes part."},
    {"persona_id", FIELD_ID, .may_be_null = true, .is_required = true, .help = "Who the person is here; null: their default."},
    {"mode", FIELD_CHOICE, .choices = modes, .is_required = true, .help = "One character, or several."},
    {"settings", FIELD_OBJECT, .shape = &conversation_settings_shape, .is_required = true, .help = "What was set for it."},
    {"head_id", FIELD_ID, .may_be_null = true, .is_required = true, .help = "The last message of the path that is shown."},
    {"from_conversation_id", FIELD_ID, .may_be_null = true, .is_required = true, .help = "The conversation it was branched off."},
    {"from_message_id", FIELD_ID, .may_be_null = true, .is_required = true, .help = "The message at which it was."},
    {"pinned", FIELD_BOOL, .is_required = true, .help = "Stands first in lists."},
    {"archived", FIELD_BOOL, .is_required = true, .help = "Out of the way."},
    {"unread", FIELD_INT, .is_required = true, .help = "Replies that nobody has seen."},
    {"speaking", FIELD_BOOL, .is_required = true, .help = "A reply is under way."},
    {"last_line", FIELD_TEXT, .is_required = true, .help = "The beginning of the newest message."},
    {"last_message_at", FIELD_TIME, .is_required = true, .help = "When something was last said."},
    {"revision", FIELD_INT, .is_required = true, .help = "Raised by every change of title, settings and the like."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "When it began."},
    {"updated_at", FIELD_TIME, .is_required = true, .help = "When it last changed."},
    {"deleted_at", FIELD_TIME, .help = "When it went to the trash."},
    {0}};
const struct shape conversation_shape = {"Conversation", conversation_rows, "A talk with one or more characters."};
/* clang-format on */

struct conversation_settings conversation_settings_read(struct arena *arena, struct str json) {
    struct conversation_settings settings = {0};
    struct field_problems problems = {0};
    const struct json_value *object = NULL;
    if (json.len == 0 || json_parse(arena, json, &object, NULL) != E_OK)
        object = NULL;
    /* A stored member that a later version no longer knows makes a problem and nothing worse: the
     * rest is filled all the same. */
    if (field_read(arena, conversation_settings_rows, object, &settings, &settings.has,
                   &problems) != E_OK)
        problems.count = 0;
    return settings;
}

static bool settings_write_member(struct json *json, const struct conversation_settings *settings,
                                  size_t row) {
    const struct field *field = &conversation_settings_rows[row];
    if (!(settings->has >> row & 1))
        return false;
    const char *at = (const char *)settings + field->offset;
    json_key(json, str_from(field->name));
    switch (field->type) {
    case FIELD_TEXT:
        json_write_str(json, *(const struct str *)(const void *)at);
        return true;
    case FIELD_INT:
        json_write_int(json, *(const int64_t *)(const void *)at);
        return true;
    case FIELD_NUMBER:
        json_write_double(json, *(const double *)(const void *)at);
        return true;
    case FIELD_BOOL:
        json_write_bool(json, *(const bool *)(const void *)at);
        return true;
    case FIELD_TEXTS: {
        const struct field_texts *texts = (const void *)at;
        json_array_begin(json);
        for (size_t i = 0; i < texts->count; i++)
            json_write_str(json, texts->items[i]);
        json_array_end(json);
        return true;
    }
    default:
        json_write_null(json);
        return true;
    }
}

struct str conversation_settings_merge(struct arena *arena, struct str stored,
                                       const struct conversation_settings *change) {
    struct conversation_settings old = conversation_settings_read(arena, stored);
    struct buf buf;
    buf_init(&buf, SETTINGS_LIMIT_BYTES);
    struct json json;
    json_init(&json, &buf);
    json_object_begin(&json);
    for (size_t row = 0; conversation_settings_rows[row].name != NULL; row++)
        if (!settings_write_member(&json, change, row))
            settings_write_member(&json, &old, row);
    json_object_end(&json);
    struct str merged = str_dup(arena, buf_str(&buf));
    buf_release(&buf);
    return merged;
}

struct chat_sampling conversation_sampling(const struct conversation_settings *s) {
    return (struct chat_sampling){
        .temperature = s->temperature,
        .top_p = s->top_p,
        .top_k = s->top_k,
        .min_p = s->min_p,
        .frequency_penalty = s->frequency_penalty,
        .presence_penalty = s->presence_penalty,
        .repetition_penalty = s->repetition_penalty,
        .seed = s->seed,
        .reply_tokens = s->reply_tokens,
        .stop = s->stop.items,
        .stop_count = s->stop.count,
    };
}

bool conversation_may_join(int64_t user_id, int64_t conversation_id) {
    struct arena arena;
    arena_init(&arena);
    struct conversation conversation;
    bool may = user_id != 0 && conversation_load(store_reader(), &arena, conversation_id, user_id,
                                                 &conversation) == E_OK;
    arena_release(&arena);
    return may;
}

static void participant_write(struct json *json, const struct participant *participant) {
    struct arena arena;
    arena_init(&arena);
    json_object_begin(json);
    JSON_ID(json, "id", participant->character_id);
    JSON_STR(json, "name", participant->name);
    JSON_STR(json, "avatar_url",
             character_avatar_url(&arena, participant->character_id, participant->avatar_blob));
    JSON_BOOL(json, "is_gone", participant->is_gone);
    json_object_end(json);
    arena_release(&arena);
}

void conversation_write(struct json *json, const struct conversation *c,
                        const struct participant *participants, size_t participant_count) {
    json_object_begin(json);
    JSON_ID(json, "id", c->id);
    JSON_ID(json, "owner_id", c->owner_id);
    JSON_STR(json, "title", c->title);
    JSON_ARRAY(json, "characters");
    for (size_t i = 0; i < participant_count; i++)
        participant_write(json, &participants[i]);
    json_array_end(json);
    JSON_ID(json, "persona_id", c->persona_id);
    JSON_STR(json, "mode", c->mode);
    JSON_RAW(json, "settings", c->settings.len > 0 ? c->settings : STR("{}"));
    JSON_ID(json, "head_id", c->head_id);
    JSON_ID(json, "from_conversation_id", c->from_conversation_id);
    JSON_ID(json, "from_message_id", c->from_message_id);
    JSON_BOOL(json, "pinned", c->pinned);
    JSON_BOOL(json, "archived", c->archived);
    JSON_INT(json, "unread", c->unread);
    JSON_BOOL(json, "speaking", turn_is_running(c->id));
    JSON_STR(json, "last_line", c->last_line);
    JSON_TIME(json, "last_message_at", c->last_message_at);
    JSON_INT(json, "revision", c->revision);
    JSON_TIME(json, "created_at", c->created_at);
    JSON_TIME(json, "updated_at", c->updated_at);
    if (c->deleted_at != 0)
        JSON_TIME(json, "deleted_at", c->deleted_at);
    json_object_end(json);
}

static void usage_write(struct json *json, const struct message *m) {
    JSON_OBJECT(json, "usage");
    json_key(json, STR("prompt_tokens"));
    m->prompt_tokens < 0 ? json_write_null(json) : json_write_int(json, m->prompt_tokens);
    json_key(json, STR("reply_tokens"));
    m->reply_tokens < 0 ? json_write_null(json) : json_write_int(json, m->reply_tokens);
    json_object_end(json);
}

void message_write(struct json *json, const struct message *m) {
    json_object_begin(json);
    JSON_ID(json, "id", m->id);
    JSON_ID(json, "conversation_id", m->conversation_id);
    JSON_ID(json, "parent_id", m->parent_id);
    JSON_STR(json, "role", m->role);
    JSON_OBJECT(json, "author");
    JSON_STR(json, "kind", m->author_kind);
    JSON_ID(json, "id", m->author_id);
    JSON_STR(json, "name", m->author_name);
    json_object_end(json);
    JSON_STR(json, "content", m->content);
    JSON_OBJECT(json, "swipe");
    JSON_INT(json, "index", m->swipe_index);
    JSON_INT(json, "count", m->swipe_count);
    json_object_end(json);
    JSON_STR(json, "state", m->state);
    JSON_BOOL(json, "hidden", m->hidden);
    if (m->reasoning.len > 0)
        JSON_STR(json, "reasoning", m->reasoning);
    if (m->model.len > 0)
        JSON_STR(json, "model", m->model);
    if (m->prompt_tokens >= 0 || m->reply_tokens >= 0)
        usage_write(json, m);
    if (m->finish_reason.len > 0)
        JSON_STR(json, "finish_reason", m->finish_reason);
    if (m->external_id.len > 0)
        JSON_STR(json, "external_id", m->external_id);
    JSON_INT(json, "revision", m->revision);
    JSON_TIME(json, "created_at", m->created_at);
    JSON_TIME(json, "updated_at", m->updated_at);
    if (m->deleted_at != 0)
        JSON_TIME(json, "deleted_at", m->deleted_at);
    json_object_end(json);
}

struct str conversation_line(struct arena *arena, struct str content) {
    struct str cut = text_cut(str_trim(content), LAST_LINE_CHARACTERS);
    char *line = str_dup_z(arena, cut);
    size_t n = 0;
    for (size_t i = 0; i < cut.len; i++) {
        bool is_markup = line[i] == '*' || line[i] == '_' || line[i] == '`';
        bool is_space = line[i] == '\n' || line[i] == '\r' || line[i] == '\t' || line[i] == ' ';
        if (is_markup || (is_space && (n == 0 || line[n - 1] == ' ')))
            continue;
        line[n++] = is_space ? ' ' : line[i];
    }
    line[n] = 0;
    return (struct str){line, n};
}
