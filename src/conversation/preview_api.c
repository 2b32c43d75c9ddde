/*
 * What a character that is being written would send: the prompt of its first reply, in parts with
 * token counts, from texts that are stored nowhere. It is made by the same assembly as every other
 * prompt, so what an author sees here is what a model will read. Lore is left out: which entries
 * fire depends on what is said.
 */
#include "conversation/conversation_api.h"

#include "account/account.h"
#include "base/clock.h"
#include "conversation/prompt.h"
#include "model/route.h"
#include "net/router.h"

#include "base/banned.h"

#define TEXT_LENGTH 200000 /* code points of one field, as in a character */
#define NAME_LENGTH 200
#define MAIN_ROUTE  "default"

struct preview_body {
    struct str name, nickname, description, personality, scenario, first_mes, mes_example;
    struct str system_prompt, post_history_instructions, message;
};

/* clang-format off */
#define TEXT_ROW(member, words) {#member, FIELD_TEXT, AT(struct preview_body, member), .max = TEXT_LENGTH, .help = words}
static const struct field preview_fields[] = {
    {"name", FIELD_TEXT, AT(struct preview_body, name), .is_required = true, .min = 1, .max = NAME_LENGTH, .help = "Its name."},
    {"nickname", FIELD_TEXT, AT(struct preview_body, nickname), .max = NAME_LENGTH, .help = "What {{char}} becomes, when it is not empty."},
    TEXT_ROW(description, "Who it is."),
    TEXT_ROW(personality, "In short."),
    TEXT_ROW(scenario, "Where it begins."),
    TEXT_ROW(first_mes, "The greeting that opens the talk."),
    TEXT_ROW(mes_example, "How it talks; blocks begin with <START>."),
    TEXT_ROW(system_prompt, "Instead of the house's; {{original}} is what it replaces."),
    TEXT_ROW(post_history_instructions, "Said after the talk."),
    TEXT_ROW(message, "What you would say after the greeting; may be empty."),
    {0}};
/* clang-format on */

static struct character character_of(const struct preview_body *body) {
    return (struct character){
        .name = body->name,
        .nickname = body->nickname,
        .description = body->description,
        .personality = body->personality,
        .scenario = body->scenario,
        .first_mes = body->first_mes,
        .mes_example = body->mes_example,
        .system_prompt = body->system_prompt,
        .post_history_instructions = body->post_history_instructions,
        .alternate_greetings = STR("[]"),
    };
}

static struct message said(const char *role, struct str name, struct str content) {
    return (struct message){
        .role = str_from(role), .author_name = name, .content = content, .swipe_count = 1};
}

/* The talk so far, newest first: what the person would say, and the greeting. */
static size_t history_of(struct arena *arena, const struct prompt_input *input,
                         const struct preview_body *body, struct message history[2]) {
    size_t count = 0;
    if (body->message.len > 0)
        history[count++] = said("user", input->user_name, body->message);
    if (body->first_mes.len > 0)
        history[count++] = said("assistant", character_shown_name(input->character),
                                prompt_greeting(arena, input, body->first_mes));
    return count;
}

static void preview(struct request *request) {
    const struct preview_body *body = request->body;
    struct arena *arena = request->arena;
    struct character character = character_of(body);
    struct persona persona;
    enum err err = account_persona(store_reader(), arena, request->caller.user_id, 0, &persona);
    if (err != E_OK)
        return reply_error(request, err);
    struct conversation_settings settings = conversation_settings_read(arena, STR("{}"));
    struct route_plan plan = route_plan(STR(MAIN_ROUTE));
    struct message history[2];
    struct prompt_input input = {
        .character = &character,
        .user_name = persona.name,
        .persona = persona.description,
        .utc_offset_ms =
            account_utc_offset_ms(store_reader(), request->caller.user_id, clock_now_ms()),
        .settings = &settings,
        .history = history,
        .context_tokens = plan.context_tokens,
        .reply_tokens = plan.reply_tokens,
        .tokens_scale = plan.tokens_scale,
        .model_name = plan.model_name,
        .route_name = STR(MAIN_ROUTE),
    };
    input.history_count = history_of(arena, &input, body, history);
    struct prompt prompt;
    if (prompt_assemble(arena, &input, &prompt) != E_OK)
        return reply_field_problem(request, "description",
                                   "The card is too long for the context of the model.");
    prompt_write(reply_json(request), &input, &prompt);
    reply_send(request, 200);
}

/* clang-format off */
const struct route preview_routes[] = {
    {METHOD_POST, "/api/v1/characters/preview", preview, WHO_MEMBER, SCOPE_READ, .body = preview_fields, .body_size = sizeof(struct preview_body),
     .tag = "characters", .operation = "previewCharacter", .summary = "The prompt that a character would send, from texts that are stored nowhere.", .answer = &prompt_shape},
    {0}};
/* clang-format on */
