/*
 * The prompt: a list of parts, filled by priority into the budget, laid out in a fixed order.
 *
 * Order of what is sent, chosen so that as much as possible of the beginning stays the same from
 * turn to turn (the endpoint's prompt cache lives from it):
 *
 *   system    house or card prompt · constant lore before the character · description · personality
 * · scenario · persona · examples system    lore that fired by a key (changes with the talk, so it
 * stands after all that does not) · summary of the talk that is not sent · what is remembered of it
 * history   oldest to newest, the author's note laid in
 * `author_note_depth` messages from the end system    post-history instructions
 *
 * Filling is another order: the newest message first, then what makes the character, then notes,
 * lore (at most a quarter), the talk from new to old, and what is left for examples. A part is cut
 * at a character border when it has to be, never below its minimum; history messages are whole or
 * not there. Counts are tokens.h estimates times the model's scale; a twentieth of the context
 * stays free against the error of the estimate.
 *
 * Prompts are data that other people wrote: macros are replaced once, nothing is run.
 */
#include "conversation/prompt.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "model/tokens.h"

#include <string.h>

#include "base/banned.h"

/* What the house says when a card brings no system prompt of its own. */
static const char house_prompt[] =
    "Write {{char}}'s next reply in a conversation between {{char}} and {{user}}. Stay in character: speak and act only as "
    "{{char}}, in {{char}}'s own voice, and never decide what {{user}} says, does or feels. Put actions between *asterisks* and "
    "speech in quotation marks or plain text, as the talk so far does. Be concrete, move the scene on, and leave {{user}} "
    "something to answer.";

enum priority {
    PRIORITY_NEWEST = 100,
    PRIORITY_SYSTEM = 95,
    PRIORITY_DESCRIPTION = 90,
    PRIORITY_PERSONA = 85,
    PRIORITY_PERSONALITY = 80,
    PRIORITY_NOTE = 75,
    PRIORITY_RECENT = 70,
    PRIORITY_LORE = 60,
    PRIORITY_KNOWLEDGE = 59,
    PRIORITY_MEMORY = 58,
    PRIORITY_SUMMARY = 56,
    PRIORITY_HISTORY = 50,
    PRIORITY_EXAMPLES = 40,
};

#define RECENT_MESSAGES      6  /* the talk's last exchange or three outrank lore */
#define MESSAGE_FRAME_TOKENS 4  /* what a chat template adds around one message */
#define SAFETY_SHARE         20 /* one twentieth of the context is left free */
#define DESCRIPTION_SHARE \
    2 /* description at most half, examples a sixth, lore a quarter, notes an eighth */
#define EXAMPLES_SHARE      6
#define LORE_SHARE          4
#define NOTE_SHARE          8
#define MEMORY_SHARE        5 /* a fifth of the budget for what is remembered, an eighth for the summary */
#define KNOWLEDGE_SHARE     5 /* likewise of what documents say */
#define SUMMARY_SHARE       8
#define FIXED_PARTS         12
#define LEAST_USEFUL_TOKENS 24 /* of a cut description or example */
#define RECORD_LIMIT_BYTES  ((size_t)16 << 20)

struct builder {
    struct arena *arena;
    const struct prompt_input *input;
    struct prompt *prompt;
    struct macro_context macros;
    int64_t room;
};

static int64_t count_tokens(const struct builder *b, struct str text) {
    return (int64_t)((double)tokens_estimate(text) * b->input->tokens_scale + 0.5);
}

static struct str shown_name(const struct prompt_input *input) {
    return character_shown_name(input->character);
}

/* What this talk says instead of the card. */
static struct str scenario_of(const struct prompt_input *input) {
    bool is_own = input->settings != NULL && input->settings->scenario.len > 0;
    return is_own ? input->settings->scenario : input->character->scenario;
}

/* Macros replaced; a text whose expansion would pass the ceiling stays as it is. */
static struct str expand(const struct builder *b, struct str text) {
    struct str out;
    return macro_expand(b->arena, text, &b->macros, &out) == E_OK ? out : text;
}

static struct macro_context macros_of(const struct prompt_input *input) {
    uint64_t random;
    crypto_random(&random, sizeof random);
    const struct character *character = input->character;
    struct macro_context macros = {
        .character = shown_name(input),
        .user = input->user_name,
        .persona = input->persona,
        .group = input->group,
        .description = character->description,
        .personality = character->personality,
        .scenario = scenario_of(input),
        .mes_example = character->mes_example,
        .first_mes = character->first_mes,
        .system_prompt = character->system_prompt,
        .post_history_instructions = character->post_history_instructions,
        .creator_notes = character->creator_notes,
        .character_version = character->character_version,
        .model = input->model_name,
        .utc_offset_ms = input->utc_offset_ms,
        .now_ms = clock_now_ms(),
        .seed = input->conversation_id,
        .random = random,
    };
    for (size_t i = input->history_count; i-- > 0;) {
        const struct message *m = &input->history[i];
        macros.last_message = m->content;
        if (str_eq(m->role, STR("user")))
            macros.last_user_message = m->content;
        else if (str_eq(m->role, STR("assistant")))
            macros.last_character_message = m->content;
    }
    if (input->history_count > 1)
        macros.idle_ms = macros.now_ms - input->history[1].created_at;
    return macros;
}

static struct prompt_part *add(struct builder *b, const char *name, enum chat_role role,
                               int priority, struct str content) {
    struct prompt_part *part = &b->prompt->parts[b->prompt->part_count++];
    *part = (struct prompt_part){
        .name = name, .role = role, .priority = priority, .content = content, .is_dropped = true};
    return part;
}

/* A text of the card under a heading line; nothing at all when the text is empty. */
static struct prompt_part *add_titled(struct builder *b, const char *name, int priority,
                                      const char *title, struct str text) {
    struct str body = str_trim(expand(b, text));
    if (body.len == 0)
        return NULL;
    if (title != NULL)
        body = str_concat(b->arena, str_printf(b->arena, "%s\n", title), body);
    return add(b, name, CHAT_SYSTEM, priority, body);
}

static void limit_part(struct prompt_part *part, int64_t min_tokens, int64_t max_tokens) {
    if (part == NULL)
        return;
    part->min_tokens = min_tokens;
    part->max_tokens = max_tokens;
}

static struct str join_lore(const struct builder *b, bool constant) {
    const struct prompt_input *input = b->input;
    struct buf buf;
    buf_init(&buf, RECORD_LIMIT_BYTES);
    for (size_t i = 0; i < input->lore_count; i++) {
        const struct lore_hit *hit = &input->lore[i];
        bool is_constant = hit->key.at == NULL;
        if (hit->is_dropped || is_constant != constant)
            continue;
        if (buf.len > 0)
            buf_add_str(&buf, STR("\n\n"));
        buf_add_str(&buf, str_trim(hit->content));
    }
    struct str joined = str_dup(b->arena, buf_str(&buf));
    buf_release(&buf);
    return joined;
}

/* What was said before the talk that is sent: its summary, and single things that fit what is said
 * now. They change with every turn, so they stand after all that does not. Texts of people: macros
 * in them mean nothing. */
static void add_remembered(struct builder *b) {
    const struct prompt_input *input = b->input;
    int64_t budget = b->prompt->budget_tokens;
    struct str quoted = prompt_knowledge_text(b->arena, input->knowledge, input->knowledge_count,
                                              budget / KNOWLEDGE_SHARE, input->tokens_scale);
    if (quoted.len > 0)
        add(b, "knowledge", CHAT_SYSTEM, PRIORITY_KNOWLEDGE, quoted);
    if (input->summary.len > 0) {
        struct prompt_part *part =
            add(b, "summary", CHAT_SYSTEM, PRIORITY_SUMMARY,
                str_concat(b->arena, STR("What has been so far:\n"), input->summary));
        limit_part(part, LEAST_USEFUL_TOKENS, budget / SUMMARY_SHARE);
    }
    struct str text = prompt_memory_text(b->arena, input->memories, input->memory_count,
                                         budget / MEMORY_SHARE, input->tokens_scale);
    if (text.len > 0)
        add(b, "memories", CHAT_SYSTEM, PRIORITY_MEMORY, text);
}

/* What does not change from turn to turn, in the order in which it is sent. */
static void add_character(struct builder *b) {
    const struct prompt_input *input = b->input;
    const struct character *c = input->character;
    const struct conversation_settings *s = input->settings;
    int64_t budget = b->prompt->budget_tokens;
    struct str system = s->system_prompt.len > 0   ? s->system_prompt
                        : c->system_prompt.len > 0 ? c->system_prompt
                                                   : str_from(house_prompt);
    add_titled(b, "system", PRIORITY_SYSTEM, NULL, system);
    limit_part(add_titled(b, "lore_constant", PRIORITY_LORE, NULL, join_lore(b, true)),
               LEAST_USEFUL_TOKENS, budget / LORE_SHARE);
    struct str name = shown_name(input);
    limit_part(add_titled(b, "description", PRIORITY_DESCRIPTION,
                          str_printf(b->arena, "About " STR_FMT ":", STR_ARG(name)).at,
                          c->description),
               LEAST_USEFUL_TOKENS, budget / DESCRIPTION_SHARE);
    limit_part(add_titled(b, "personality", PRIORITY_PERSONALITY,
                          str_printf(b->arena, STR_FMT "'s personality:", STR_ARG(name)).at,
                          c->personality),
               LEAST_USEFUL_TOKENS, budget / NOTE_SHARE);
    limit_part(add_titled(b, "scenario", PRIORITY_PERSONALITY, "Scenario:", scenario_of(b->input)),
               LEAST_USEFUL_TOKENS, budget / NOTE_SHARE);
    limit_part(add_titled(b, "persona", PRIORITY_PERSONA,
                          str_printf(b->arena, "About " STR_FMT ":", STR_ARG(input->user_name)).at,
                          input->persona),
               LEAST_USEFUL_TOKENS, budget / NOTE_SHARE);
    limit_part(
        add_titled(b, "examples", PRIORITY_EXAMPLES, "Examples of how they talk:", c->mes_example),
        LEAST_USEFUL_TOKENS * 4, budget / EXAMPLES_SHARE);
    limit_part(add_titled(b, "lore", PRIORITY_LORE, "What is known here:", join_lore(b, false)),
               LEAST_USEFUL_TOKENS, budget / LORE_SHARE);
    add_remembered(b);
}

static enum chat_role role_of(const struct message *m) {
    return str_eq(m->role, STR("assistant")) ? CHAT_ASSISTANT
           : str_eq(m->role, STR("user"))    ? CHAT_USER
                                             : CHAT_SYSTEM;
}

static int history_priority(size_t age) {
    return age == 0 ? PRIORITY_NEWEST : age < RECENT_MESSAGES ? PRIORITY_RECENT : PRIORITY_HISTORY;
}

static void add_note(struct builder *b) {
    struct prompt_part *note =
        add_titled(b, "author_note", PRIORITY_NOTE, NULL, b->input->settings->author_note);
    limit_part(note, 1, b->prompt->budget_tokens / NOTE_SHARE);
}

static void add_history(struct builder *b) {
    const struct prompt_input *input = b->input;
    size_t depth = (size_t)input->settings->author_note_depth;
    if (depth >= input->history_count)
        add_note(b);
    for (size_t age = input->history_count; age-- > 0;) {
        const struct message *m = &input->history[age];
        if (!m->hidden && m->content.len > 0) {
            struct prompt_part *part =
                add(b, "history", role_of(m), history_priority(age), m->content);
            part->speaker = m->author_name;
            part->message_id = m->id;
        }
        if (age == depth)
            add_note(b);
    }
    if (!input->is_continue)
        limit_part(add_titled(b, "post_history", PRIORITY_NOTE, NULL,
                              input->character->post_history_instructions),
                   1, b->prompt->budget_tokens / NOTE_SHARE);
}

/* Gives a part its place in the budget: whole, cut, or not at all. */
static void place(struct builder *b, struct prompt_part *part) {
    bool is_history = part->message_id != 0;
    int64_t frame = is_history ? MESSAGE_FRAME_TOKENS : 0;
    int64_t whole = count_tokens(b, part->content) + frame;
    int64_t most = part->max_tokens > 0 && part->max_tokens < b->room ? part->max_tokens : b->room;
    if (whole > most) {
        bool may_be_cut =
            (part->min_tokens > 0 && most >= part->min_tokens) || part->priority == PRIORITY_NEWEST;
        if (!may_be_cut || most <= frame)
            return;
        part->content =
            tokens_cut(part->content, (int64_t)((double)(most - frame) / b->input->tokens_scale));
        part->is_truncated = true;
        whole = most;
    }
    part->is_dropped = part->content.len == 0;
    part->tokens = part->is_dropped ? 0 : whole;
    b->room -= part->tokens;
}

/* By falling priority; within one, in the order of the prompt, except history, which is filled from
 * new to old and ends at its first gap. */
static void fill(struct builder *b) {
    static const int priorities[] = {PRIORITY_NEWEST,  PRIORITY_SYSTEM,      PRIORITY_DESCRIPTION,
                                     PRIORITY_PERSONA, PRIORITY_PERSONALITY, PRIORITY_NOTE,
                                     PRIORITY_RECENT,  PRIORITY_LORE,        PRIORITY_KNOWLEDGE,
                                     PRIORITY_MEMORY,  PRIORITY_SUMMARY,     PRIORITY_HISTORY,
                                     PRIORITY_EXAMPLES};
    struct prompt *prompt = b->prompt;
    for (size_t p = 0; p < sizeof priorities / sizeof priorities[0]; p++)
        for (size_t i = 0; i < prompt->part_count; i++) {
            bool is_talk = priorities[p] == PRIORITY_RECENT || priorities[p] == PRIORITY_HISTORY;
            struct prompt_part *part = &prompt->parts[is_talk ? prompt->part_count - 1 - i : i];
            if (part->priority != priorities[p] || (is_talk && prompt->is_history_cut))
                continue;
            place(b, part);
            prompt->is_history_cut = prompt->is_history_cut || (is_talk && part->is_dropped);
        }
    prompt->used_tokens = prompt->budget_tokens - b->room;
}

static bool is_prefix(const struct prompt_part *part) {
    return part->message_id == 0 && strcmp(part->name, "author_note") != 0 &&
           strcmp(part->name, "post_history") != 0 && strcmp(part->name, "lore") != 0 &&
           strcmp(part->name, "summary") != 0 && strcmp(part->name, "memories") != 0 &&
           strcmp(part->name, "knowledge") != 0;
}

/* Neighbouring parts of the stable prefix become one system message; everything else is a message
 * of its own. */
static void lay_out(struct builder *b) {
    struct prompt *prompt = b->prompt;
    struct buf prefix;
    buf_init(&prefix, RECORD_LIMIT_BYTES);
    prompt->messages = ARENA_ARRAY(b->arena, struct chat_message, prompt->part_count + 1);
    size_t n = 1;
    for (size_t i = 0; i < prompt->part_count; i++) {
        const struct prompt_part *part = &prompt->parts[i];
        if (part->is_dropped)
            continue;
        if (!is_prefix(part)) {
            prompt->messages[n++] = (struct chat_message){
                .role = part->role, .name = part->speaker, .content = part->content};
            continue;
        }
        if (prefix.len > 0)
            buf_add_str(&prefix, STR("\n\n"));
        buf_add_str(&prefix, part->content);
    }
    prompt->messages[0] =
        (struct chat_message){.role = CHAT_SYSTEM, .content = str_dup(b->arena, buf_str(&prefix))};
    prompt->message_count = n;
    buf_release(&prefix);
}

static void fill_card(struct builder *b) {
    const struct prompt_input *input = b->input;
    struct str *lore = ARENA_ARRAY(b->arena, struct str, input->lore_count + 1);
    size_t count = 0;
    for (size_t i = 0; i < input->lore_count; i++)
        if (!input->lore[i].is_dropped)
            lore[count++] = expand(b, input->lore[i].content);
    struct chat_memory *memories =
        ARENA_ARRAY(b->arena, struct chat_memory, input->memory_count + 1);
    size_t remembered = 0;
    for (size_t i = 0; i < input->memory_count; i++)
        if (!input->memories[i].is_dropped)
            memories[remembered++] = (struct chat_memory){.speaker = input->memories[i].speaker,
                                                          .text = input->memories[i].text};
    const struct character *c = input->character;
    b->prompt->card = (struct chat_card){
        .character_id = c->id,
        .character_name = shown_name(input),
        .user_name = input->user_name,
        .greeting = expand(b, c->first_mes),
        .examples = expand(b, c->mes_example),
        .description = expand(b, c->description),
        .personality = expand(b, c->personality),
        .scenario = expand(b, scenario_of(input)),
        .lore = lore,
        .lore_count = count,
        .memories = memories,
        .memory_count = remembered,
    };
}

enum err prompt_assemble(struct arena *arena, const struct prompt_input *input,
                         struct prompt *prompt) {
    *prompt = (struct prompt){0};
    prompt->parts = ARENA_ARRAY(arena, struct prompt_part, input->history_count + FIXED_PARTS);
    int64_t context = input->context_tokens - input->context_tokens / SAFETY_SHARE;
    prompt->budget_tokens = context - input->reply_tokens;
    if (prompt->budget_tokens < context / 4)
        prompt->budget_tokens =
            context / 4; /* a reply may not claim nearly all of a small context */
    struct builder b = {
        .arena = arena, .input = input, .prompt = prompt, .room = prompt->budget_tokens};
    b.macros = macros_of(input);
    b.macros.original =
        expand(&b, str_from(house_prompt)); /* a macro's output is not expanded again */
    add_character(&b);
    add_history(&b);
    fill(&b);
    lay_out(&b);
    fill_card(&b);
    return prompt->message_count > 0 && prompt->used_tokens > 0 ? E_OK : E_LIMIT;
}

struct str prompt_greeting(struct arena *arena, const struct prompt_input *input,
                           struct str greeting) {
    struct macro_context macros = macros_of(input);
    struct str out;
    return macro_expand(arena, greeting, &macros, &out) == E_OK ? out : greeting;
}

/* --- the record ------------------------------------------------------------------------------- */

static const char *role_word(enum chat_role role) {
    return role == CHAT_USER ? "user" : role == CHAT_ASSISTANT ? "assistant" : "system";
}

static void part_write(struct json *json, const struct prompt_part *part) {
    json_object_begin(json);
    JSON_STR(json, "name", str_from(part->name));
    JSON_STR(json, "role", str_from(role_word(part->role)));
    JSON_INT(json, "priority", part->priority);
    JSON_INT(json, "tokens", part->tokens);
    if (part->message_id != 0) {
        JSON_ID(json, "message_id", part->message_id);
        JSON_STR(json, "speaker", part->speaker);
    }
    JSON_BOOL(json, "truncated", part->is_truncated);
    JSON_BOOL(json, "dropped", part->is_dropped);
    JSON_STR(json, "content", part->content);
    json_object_end(json);
}

static void lore_write(struct json *json, const struct lore_hit *hit) {
    json_object_begin(json);
    JSON_ID(json, "lorebook_id", hit->lorebook_id);
    JSON_ID(json, "entry_id", hit->entry_id);
    JSON_STR(json, "book", hit->book);
    JSON_STR(json, "entry", hit->entry);
    JSON_STR(json, "key", hit->key);
    JSON_STR(json, "reason", str_from(hit->reason));
    JSON_INT(json, "tokens", hit->tokens);
    JSON_BOOL(json, "dropped", hit->is_dropped);
    json_object_end(json);
}

void prompt_write(struct json *json, const struct prompt_input *input,
                  const struct prompt *prompt) {
    json_object_begin(json);
    JSON_STR(json, "model", input->model_name);
    JSON_STR(json, "route", input->route_name);
    JSON_INT(json, "budget_tokens", prompt->budget_tokens);
    JSON_INT(json, "used_tokens", prompt->used_tokens);
    JSON_INT(json, "reply_tokens", input->reply_tokens);
    JSON_BOOL(json, "history_cut", prompt->is_history_cut);
    JSON_ARRAY(json, "parts");
    for (size_t i = 0; i < prompt->part_count; i++)
        part_write(json, &prompt->parts[i]);
    json_array_end(json);
    JSON_ARRAY(json, "lore");
    for (size_t i = 0; i < input->lore_count; i++)
        lore_write(json, &input->lore[i]);
    json_array_end(json);
    JSON_ARRAY(json, "knowledge");
    for (size_t i = 0; i < input->knowledge_count; i++)
        prompt_knowledge_write(json, &input->knowledge[i]);
    json_array_end(json);
    JSON_ARRAY(json, "memories");
    for (size_t i = 0; i < input->memory_count; i++)
        prompt_memory_write(json, &input->memories[i]);
    json_array_end(json);
    json_object_end(json);
}

/* clang-format off */
static const char *const role_words[] = {"user", "assistant", "system", NULL};
static const struct field part_rows[] = {
    {"name", FIELD_TEXT, .is_required = true, .help = "What this part is."},
    {"role", FIELD_CHOICE, .choices = role_words, .is_required = true, .help = "As whom it is sent."},
    {"priority", FIELD_INT, .is_required = true, .help = "Filled from high to low."},
    {"tokens", FIELD_INT, .is_required = true, .help = "Estimate for this model."},
    {"message_id", FIELD_ID, .help = "Of history: the message."},
    {"speaker", FIELD_TEXT, .help = "Of history: who spoke."},
    {"truncated", FIELD_BOOL, .is_required = true, .help = "Cut to fit."},
    {"dropped", FIELD_BOOL, .is_required = true, .help = "There was no room: not sent."},
    {"content", FIELD_TEXT, .is_required = true, .help = "The text, macros replaced."},
    {0}};
static const struct field lore_rows[] = {
    {"lorebook_id", FIELD_ID, .is_required = true, .help = "The book."},
    {"entry_id", FIELD_ID, .is_required = true, .help = "The entry."},
    {"book", FIELD_TEXT, .is_required = true, .help = "The book's name."},
    {"entry", FIELD_TEXT, .is_required = true, .help = "The entry's name."},
    {"key", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "The key that fired; null for a constant entry."},
    {"reason", FIELD_TEXT, .is_required = true, .help = "Why it fired."},
    {"tokens", FIELD_INT, .is_required = true, .help = "Estimate."},
    {"dropped", FIELD_BOOL, .is_required = true, .help = "It fired, but the budget was used up."},
    {0}};
static const struct shape part_shape = {"PromptPart", part_rows, "One part of a prompt."};
static const struct shape lore_shape = {"PromptLore", lore_rows, "A lore entry that fired, and why."};
static const struct field prompt_rows[] = {
    {"model", FIELD_TEXT, .is_required = true, .help = "The model it was made for."},
    {"route", FIELD_TEXT, .is_required = true, .help = "The route."},
    {"budget_tokens", FIELD_INT, .is_required = true, .help = "Room for the prompt."},
    {"used_tokens", FIELD_INT, .is_required = true, .help = "What it takes."},
    {"reply_tokens", FIELD_INT, .is_required = true, .help = "Kept free for the reply."},
    {"history_cut", FIELD_BOOL, .is_required = true, .help = "Older messages did not fit."},
    {"parts", FIELD_OBJECTS, .shape = &part_shape, .is_list = true, .is_required = true, .help = "In the order in which they are sent."},
    {"lore", FIELD_OBJECTS, .shape = &lore_shape, .is_list = true, .is_required = true, .help = "Which lore fired and why."},
    {"knowledge", FIELD_OBJECTS, .shape = &prompt_knowledge_shape, .is_list = true, .is_required = true, .help = "What was looked up in documents, and why."},
    {"memories", FIELD_OBJECTS, .shape = &prompt_memory_shape, .is_list = true, .is_required = true, .help = "What was remembered, and why."},
    {0}};
const struct shape prompt_shape = {"Prompt", prompt_rows, "The exact prompt of a reply, in its parts."};
/* clang-format on */
