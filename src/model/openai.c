/*
 * The OpenAI chat completions protocol, as OpenAI speaks it and as those who imitate it do:
 * llama.cpp, vLLM, LM Studio, KoboldCpp, TabbyAPI, text-generation-webui, OpenRouter, Together,
 * Mistral.
 *
 * Dialects are told apart by the host's name where they are known to be strict (OpenAI and Mistral
 * refuse fields they do not know), else everything is sent and what is refused is left out at the
 * second attempt (exchange.h). To go on with a message is native to none of the letter: local
 * servers continue a last assistant message (vLLM wants it said in two fields), Mistral wants
 * `prefix`, OpenAI gets a request in words.
 *
 * Of `choices` only the first is read: one is asked for.
 */
#include "model/chat.h"

#include "model/endpoint_error.h"
#include "model/exchange.h"
#include "model/turns.h"

#include <string.h>

#include "base/banned.h"

#define OPENAI_STOP_LIMIT 4 /* more are a 400 there; the rest is cut by filter.c */

enum dialect { DIALECT_LENIENT, DIALECT_OPENAI, DIALECT_MISTRAL };

/* What each dialect does without from the start. */
static const struct {
    struct str host;
    enum dialect dialect;
    unsigned without;
} DIALECTS[] = {
    {{"api.openai.com", 14}, DIALECT_OPENAI, WITHOUT_EXTRAS | WITHOUT_PREFILL | WITHOUT_MAX_TOKENS},
    {{".openai.azure.com", 17},
     DIALECT_OPENAI,
     WITHOUT_EXTRAS | WITHOUT_PREFILL | WITHOUT_MAX_TOKENS},
    {{"api.mistral.ai", 14}, DIALECT_MISTRAL, WITHOUT_EXTRAS | WITHOUT_STREAM_OPTIONS},
};

static const struct {
    struct str word;
    enum chat_finish finish;
} FINISHES[] = {
    {{"stop", 4}, CHAT_FINISH_STOP},
    {{"eos", 3}, CHAT_FINISH_STOP},
    {{"length", 6}, CHAT_FINISH_LENGTH},
    {{"model_length", 12}, CHAT_FINISH_LENGTH},
    {{"content_filter", 14}, CHAT_FINISH_FILTER},
};

/* --- address ---------------------------------------------------------------------------------- */

static struct str path_of(struct str base) {
    ptrdiff_t scheme = str_find(base, STR("://"), 0);
    ptrdiff_t slash = str_find_char(base, '/', scheme < 0 ? 0 : (size_t)scheme + 3);
    return slash < 0 ? STR("") : str_slice(base, (size_t)slash + 1, base.len);
}

/* True for a segment like v1, v4 or v1beta. */
static bool is_version(struct str segment) {
    return segment.len >= 2 && segment.at[0] == 'v' && segment.at[1] >= '0' && segment.at[1] <= '9';
}

/* People paste the address with and without its version; some services have other paths altogether
 * (.../openai). */
static bool has_version(struct str path) {
    struct str segment, last = STR("");
    while (str_next(&path, '/', &segment)) {
        if (is_version(segment))
            return true;
        last = segment;
    }
    return str_eq(last, STR("openai"));
}

struct str openai_address(struct arena *arena, struct str base_url, struct str what) {
    struct str base = exchange_base(arena, base_url);
    if (str_ends(base, STR("/chat/completions")))
        base.len -= strlen("/chat/completions");
    return str_printf(arena, STR_FMT "%s/" STR_FMT, STR_ARG(base),
                      has_version(path_of(base)) ? "" : "/v1", STR_ARG(what));
}

static struct str address(struct arena *arena, struct str base_url) {
    return openai_address(arena, base_url, STR("chat/completions"));
}

static void write_headers(struct arena *arena, const struct chat_endpoint *endpoint,
                          struct exchange_headers *headers) {
    headers->items[headers->count++] =
        (struct fetch_header){STR("Accept"), STR("text/event-stream")};
    if (endpoint->api_key.len) /* an empty Bearer makes some proxies answer 401 */
        headers->items[headers->count++] = (struct fetch_header){
            STR("Authorization"), str_printf(arena, "Bearer " STR_FMT, STR_ARG(endpoint->api_key))};
}

/* --- request ---------------------------------------------------------------------------------- */

static size_t dialect_of(const struct chat_endpoint *endpoint) {
    for (size_t i = 0; i < sizeof DIALECTS / sizeof *DIALECTS; i++)
        if (str_has(endpoint->base_url, DIALECTS[i].host))
            return i;
    return SIZE_MAX;
}

static const char *role_word(enum chat_role role) {
    return role == CHAT_SYSTEM ? "system" : role == CHAT_USER ? "user" : "assistant";
}

static void write_messages(struct json *json, const struct turns *turns, bool marks_prefix) {
    JSON_ARRAY(json, "messages");
    for (size_t i = 0; i < turns->count; i++) {
        json_object_begin(json);
        JSON_STR(json, "role", str_from(role_word(turns->messages[i].role)));
        JSON_STR(json, "content",
                 turns->messages[i].content.at ? turns->messages[i].content : STR(""));
        if (marks_prefix && i + 1 == turns->count)
            JSON_BOOL(json, "prefix", true);
        json_object_end(json);
    }
    json_array_end(json);
}

/* True when the field may be sent; notes that it was. */
static bool may_send(struct chat_call *call, unsigned without, unsigned bit) {
    if (without & bit)
        return false;
    call->sent |= bit;
    return true;
}

static void write_sampling(struct chat_call *call, struct json *json, unsigned without,
                           enum dialect dialect) {
    const struct chat_sampling *sampling = &call->request->sampling;
    if (sampling->temperature >= 0 && may_send(call, without, WITHOUT_TEMPERATURE))
        JSON_DOUBLE(json, "temperature", sampling->temperature);
    if (sampling->top_p >= 0 && may_send(call, without, WITHOUT_TOP_P))
        JSON_DOUBLE(json, "top_p", sampling->top_p);
    if (sampling->top_k >= 0 && may_send(call, without, WITHOUT_EXTRAS))
        JSON_INT(json, "top_k", sampling->top_k);
    if (sampling->min_p >= 0 && may_send(call, without, WITHOUT_EXTRAS))
        JSON_DOUBLE(json, "min_p", sampling->min_p);
    if (sampling->repetition_penalty >= 0 && may_send(call, without, WITHOUT_EXTRAS)) {
        JSON_DOUBLE(json, "repetition_penalty", sampling->repetition_penalty);
        JSON_DOUBLE(json, "repeat_penalty",
                    sampling->repetition_penalty); /* llama.cpp and LM Studio */
    }
    if (sampling->frequency_penalty >= 0 && may_send(call, without, WITHOUT_PENALTIES))
        JSON_DOUBLE(json, "frequency_penalty", sampling->frequency_penalty);
    if (sampling->presence_penalty >= 0 && may_send(call, without, WITHOUT_PENALTIES))
        JSON_DOUBLE(json, "presence_penalty", sampling->presence_penalty);
    if (sampling->seed >= 0 && may_send(call, without, WITHOUT_SEED)) {
        json_key(json, dialect == DIALECT_MISTRAL ? STR("random_seed") : STR("seed"));
        json_write_int(json, sampling->seed);
    }
}

static void write_stops(struct chat_call *call, struct json *json, unsigned without,
                        enum dialect dialect) {
    const struct chat_sampling *sampling = &call->request->sampling;
    size_t count = sampling->stop_count;
    if (dialect == DIALECT_OPENAI && count > OPENAI_STOP_LIMIT)
        count = OPENAI_STOP_LIMIT;
    if (count == 0 || !may_send(call, without, WITHOUT_STOP))
        return;
    JSON_ARRAY(json, "stop");
    for (size_t i = 0; i < count; i++)
        json_write_str(json, sampling->stop[i]);
    json_array_end(json);
}

static void write_limits(struct chat_call *call, struct json *json, unsigned without) {
    if (call->request->sampling.reply_tokens <= 0)
        return;
    if (may_send(call, without, WITHOUT_MAX_TOKENS))
        JSON_INT(json, "max_tokens", call->request->sampling.reply_tokens);
    else
        JSON_INT(json, "max_completion_tokens", call->request->sampling.reply_tokens);
}

static void write_streaming(struct chat_call *call, struct json *json, unsigned without) {
    JSON_BOOL(json, "stream", true);
    if (!may_send(call, without, WITHOUT_STREAM_OPTIONS))
        return;
    JSON_OBJECT(json, "stream_options");
    JSON_BOOL(json, "include_usage", true);
    json_object_end(json);
}

static unsigned turn_rules(struct chat_call *call, unsigned without, enum dialect dialect) {
    unsigned rules = dialect == DIALECT_OPENAI ? 0 : TURNS_JOIN_HEAD;
    if (without & WITHOUT_FREE_ROLES)
        rules |= TURNS_NO_SYSTEM | TURNS_ALTERNATE;
    else
        call->sent |= WITHOUT_FREE_ROLES;
    if (call->request->is_continue && (without & WITHOUT_PREFILL))
        rules |= TURNS_ASK_ON;
    return rules;
}

static void write_continue(struct chat_call *call, struct json *json, unsigned without,
                           enum dialect dialect) {
    if (!call->request->is_continue || !may_send(call, without, WITHOUT_PREFILL) ||
        dialect == DIALECT_MISTRAL)
        return;
    JSON_BOOL(json, "continue_final_message", true);
    JSON_BOOL(json, "add_generation_prompt", false);
}

static void write_schema(struct chat_call *call, struct json *json, unsigned without) {
    if (call->request->json_schema.len == 0 || !may_send(call, without, WITHOUT_SCHEMA))
        return;
    JSON_OBJECT(json, "response_format");
    JSON_STR(json, "type", STR("json_schema"));
    JSON_OBJECT(json, "json_schema");
    JSON_STR(json, "name", STR("answer"));
    JSON_BOOL(json, "strict", true);
    JSON_RAW(json, "schema", call->request->json_schema);
    json_object_end(json);
    json_object_end(json);
}

static void write_body(struct chat_call *call, struct arena *arena, struct json *json) {
    const struct chat_request *request = call->request;
    size_t known = dialect_of(&request->endpoint);
    enum dialect dialect = known == SIZE_MAX ? DIALECT_LENIENT : DIALECTS[known].dialect;
    unsigned without = call->without | (known == SIZE_MAX ? 0 : DIALECTS[known].without);
    struct turns turns = turns_shape(arena, request, turn_rules(call, without, dialect));
    bool marks_prefix =
        dialect == DIALECT_MISTRAL && request->is_continue && !(without & WITHOUT_PREFILL);
    json_object_begin(json);
    JSON_STR(json, "model", request->endpoint.model);
    write_messages(json, &turns, marks_prefix);
    write_streaming(call, json, without);
    write_limits(call, json, without);
    write_sampling(call, json, without, dialect);
    write_stops(call, json, without, dialect);
    write_continue(call, json, without, dialect);
    write_schema(call, json, without);
    json_object_end(json);
}

/* --- answer ----------------------------------------------------------------------------------- */

/* Content is a string, or (Mistral's thinking models) an array of typed parts. */
static void read_content(struct chat_call *call, const struct json_value *content) {
    if (json_type(content) == JSON_STRING) {
        exchange_text(call, json_string(content, STR("")));
        return;
    }
    if (json_type(content) != JSON_ARRAY)
        return;
    for (const struct json_value *part = json_first(content); part; part = json_next(part)) {
        struct str type = json_string(json_member(part, "type"), STR(""));
        if (str_eq(type, STR("text")))
            exchange_text(call, json_string(json_member(part, "text"), STR("")));
        else if (str_eq(type, STR("thinking")))
            exchange_reasoning(call, json_string(json_path(part, "thinking.0.text"), STR("")));
    }
}

/* Three names are in use; a server that sends two of them means the same by both. */
static struct str reasoning_of(const struct json_value *message) {
    static const char *const NAMES[] = {"reasoning_content", "reasoning", "thinking"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        struct str text = json_string(json_member(message, NAMES[i]), STR_NONE);
        if (text.len)
            return text;
    }
    return STR_NONE;
}

static void read_message(struct chat_call *call, const struct json_value *message) {
    exchange_reasoning(call, reasoning_of(message));
    read_content(call, json_member(message, "content"));
    read_content(call, json_member(message, "refusal"));
}

/* KoboldCpp writes "null" as a string on every chunk that is not the last. Words we do not know
 * still mean that it stopped. */
static void read_finish(struct chat_call *call, const struct json_value *value) {
    struct str word = json_string(value, STR_NONE);
    if (word.len == 0 || str_eq(word, STR("null")))
        return;
    if (str_eq(word, STR("error"))) {
        exchange_fail(call, E_UPSTREAM, STR("it stopped with an error"));
        return;
    }
    for (size_t i = 0; i < sizeof FINISHES / sizeof *FINISHES; i++)
        if (str_eq(word, FINISHES[i].word)) {
            exchange_finish(call, FINISHES[i].finish);
            return;
        }
    exchange_finish(call, CHAT_FINISH_OTHER);
}

static void read_usage(struct chat_call *call, const struct json_value *usage) {
    exchange_usage(call, exchange_tokens(json_member(usage, "prompt_tokens")),
                   exchange_tokens(json_member(usage, "completion_tokens")));
}

/* True when the object reports an error, which then has been told. */
static bool read_error(struct chat_call *call, const struct json_value *object) {
    const struct json_value *error = json_member(object, "error");
    if (json_type(error) == JSON_ABSENT || json_type(error) == JSON_NULL)
        return false;
    if (json_type(error) == JSON_STRING && json_string(error, STR("")).len == 0)
        return false;
    exchange_fail(call, endpoint_error_of(error, E_UPSTREAM), endpoint_error_text(object));
    return true;
}

static void read_choice(struct chat_call *call, const struct json_value *choice, const char *part) {
    if (choice == NULL || read_error(call, choice))
        return;
    read_message(call, json_member(choice, part));
    read_finish(call, json_member(choice, "finish_reason"));
}

/* Together puts the reason at the top; others leave `choices` empty on the chunk with the usage. */
static void read_event(struct chat_call *call, struct str name, const struct json_value *event) {
    if (str_eq(name, STR("error"))) {
        exchange_fail(call, endpoint_error_of(event, E_UPSTREAM), endpoint_error_text(event));
        return;
    }
    if (read_error(call, event))
        return;
    read_choice(call, json_item(json_member(event, "choices"), 0), "delta");
    read_finish(call, json_member(event, "finish_reason"));
    read_usage(call, json_member(event, "usage"));
}

static void read_document(struct chat_call *call, const struct json_value *document) {
    const struct json_value *choice = json_item(json_member(document, "choices"), 0);
    if (choice == NULL && !read_error(call, document)) {
        struct str words = endpoint_error_text(document);
        exchange_fail(call, E_UPSTREAM,
                      words.len ? words : STR("it answered with something other than a reply"));
        return;
    }
    read_usage(call, json_member(document, "usage"));
    read_choice(call, choice, "message");
    exchange_end(call);
}

static const struct exchange_kind KIND = {
    .lines = LINES_SSE,
    .address = address,
    .write_headers = write_headers,
    .write_body = write_body,
    .read_event = read_event,
    .read_document = read_document,
};

static struct chat_call *start(const struct chat_request *request, const struct chat_events *events,
                               void *ctx) {
    return exchange_start(&KIND, request, events, ctx);
}

const struct chat_port chat_openai = {
    .provider = "openai", .start = start, .cancel = exchange_cancel};
