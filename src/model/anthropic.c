/*
 * Anthropic's Messages protocol. The system text stands apart from the messages; user and assistant
 * take turns and the user begins; nothing may be empty and a last assistant turn may not end in
 * white space. What the prompt has as later system messages becomes part of a user's turn.
 *
 * Prompt caching: two marks, one behind the system text (the card does not change), one behind the
 * last turn but one (the history only grows). Servers that imitate the protocol may refuse the
 * marks, so they go to Anthropic's own host only.
 *
 * Events are told apart by `type` inside the data; the name of the event is used where imitators
 * leave it out.
 */
#include "model/chat.h"

#include "model/endpoint_error.h"
#include "model/exchange.h"
#include "model/turns.h"

#include "base/banned.h"

#define DEFAULT_REPLY_TOKENS 1024 /* max_tokens has no default there */

static const struct str HOST = {"api.anthropic.com", 17};

struct str anthropic_address(struct arena *arena, struct str base_url, struct str what) {
    static const struct str ENDS[] = {{"/messages", 9}, {"/v1", 3}};
    struct str base = exchange_base(arena, base_url);
    for (size_t i = 0; i < sizeof ENDS / sizeof *ENDS; i++)
        if (str_ends(base, ENDS[i]))
            base.len -= ENDS[i].len;
    return str_printf(arena, STR_FMT "/v1/" STR_FMT, STR_ARG(base), STR_ARG(what));
}

static struct str address(struct arena *arena, struct str base_url) {
    return anthropic_address(arena, base_url, STR("messages"));
}

static void write_headers(struct arena *arena, const struct chat_endpoint *endpoint,
                          struct exchange_headers *headers) {
    (void)arena;
    headers->items[headers->count++] =
        (struct fetch_header){STR("anthropic-version"), STR("2023-06-01")};
    if (endpoint->api_key.len)
        headers->items[headers->count++] =
            (struct fetch_header){STR("x-api-key"), endpoint->api_key};
}

/* --- request ---------------------------------------------------------------------------------- */

static void write_mark(struct json *json) {
    JSON_OBJECT(json, "cache_control");
    JSON_STR(json, "type", STR("ephemeral"));
    json_object_end(json);
}

static void write_block(struct json *json, struct str text, bool is_marked) {
    json_object_begin(json);
    JSON_STR(json, "type", STR("text"));
    JSON_STR(json, "text", text);
    if (is_marked)
        write_mark(json);
    json_object_end(json);
}

static void write_system(struct json *json, const struct turns *turns, size_t head,
                         bool is_marked) {
    if (head == 0)
        return;
    JSON_ARRAY(json, "system");
    for (size_t i = 0; i < head; i++)
        write_block(json, turns->messages[i].content, is_marked && i + 1 == head);
    json_array_end(json);
}

static struct str trim_end(struct str s) {
    while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\n' || s.at[s.len - 1] == '\t' ||
                     s.at[s.len - 1] == '\r'))
        s.len--;
    return s;
}

static void write_turn(struct json *json, const struct chat_message *message, bool is_last,
                       bool is_marked) {
    bool is_assistant = message->role == CHAT_ASSISTANT;
    json_object_begin(json);
    JSON_STR(json, "role", is_assistant ? STR("assistant") : STR("user"));
    JSON_ARRAY(json, "content");
    write_block(json, is_last && is_assistant ? trim_end(message->content) : message->content,
                is_marked);
    json_array_end(json);
    json_object_end(json);
}

/* Blank system texts would be refused. */
static size_t drop_blank_head(struct turns *turns) {
    size_t head = 0, kept = 0;
    while (head < turns->count && turns->messages[head].role == CHAT_SYSTEM) {
        if (str_trim(turns->messages[head].content).len)
            turns->messages[kept++] = turns->messages[head];
        head++;
    }
    for (size_t i = head; i < turns->count; i++)
        turns->messages[kept + i - head] = turns->messages[i];
    turns->count -= head - kept;
    return kept;
}

/* The range ends at 1 here. `top_p` beside a temperature is refused by the newest models, so of two
 * that are set temperature wins. */
static void write_sampling(struct chat_call *call, struct json *json) {
    const struct chat_sampling *sampling = &call->request->sampling;
    bool has_temperature = sampling->temperature >= 0 && !(call->without & WITHOUT_TEMPERATURE);
    if (has_temperature) {
        call->sent |= WITHOUT_TEMPERATURE;
        JSON_DOUBLE(json, "temperature", sampling->temperature > 1 ? 1 : sampling->temperature);
    }
    if (sampling->top_p >= 0 && !has_temperature && !(call->without & WITHOUT_TOP_P)) {
        call->sent |= WITHOUT_TOP_P;
        JSON_DOUBLE(json, "top_p", sampling->top_p);
    }
    if (sampling->top_k > 0 && !(call->without & WITHOUT_EXTRAS)) {
        call->sent |= WITHOUT_EXTRAS;
        JSON_INT(json, "top_k", sampling->top_k);
    }
}

static void write_stops(struct chat_call *call, struct json *json) {
    const struct chat_sampling *sampling = &call->request->sampling;
    if (sampling->stop_count == 0 || (call->without & WITHOUT_STOP))
        return;
    call->sent |= WITHOUT_STOP;
    JSON_ARRAY(json, "stop_sequences");
    for (size_t i = 0; i < sampling->stop_count; i++)
        if (str_trim(sampling->stop[i]).len) /* white space alone is refused */
            json_write_str(json, sampling->stop[i]);
    json_array_end(json);
}

static unsigned turn_rules(struct chat_call *call) {
    unsigned rules = TURNS_FOLD_SYSTEM | TURNS_ALTERNATE;
    if (!call->request->is_continue)
        return rules;
    if (call->without & WITHOUT_PREFILL)
        return rules | TURNS_ASK_ON;
    call->sent |= WITHOUT_PREFILL;
    return rules;
}

static void write_body(struct chat_call *call, struct arena *arena, struct json *json) {
    const struct chat_request *request = call->request;
    bool is_marked =
        str_has(request->endpoint.base_url, HOST) && !(call->without & WITHOUT_CACHE_MARKS);
    struct turns turns = turns_shape(arena, request, turn_rules(call));
    size_t head = drop_blank_head(&turns);
    if (is_marked)
        call->sent |= WITHOUT_CACHE_MARKS;
    json_object_begin(json);
    JSON_STR(json, "model", request->endpoint.model);
    JSON_INT(json, "max_tokens",
             request->sampling.reply_tokens > 0 ? request->sampling.reply_tokens
                                                : DEFAULT_REPLY_TOKENS);
    JSON_BOOL(json, "stream", true);
    write_system(json, &turns, head, is_marked);
    JSON_ARRAY(json, "messages");
    for (size_t i = head; i < turns.count; i++)
        write_turn(json, &turns.messages[i], i + 1 == turns.count,
                   is_marked && i + 2 == turns.count);
    json_array_end(json);
    write_sampling(call, json);
    write_stops(call, json);
    json_object_end(json);
}

/* --- answer ----------------------------------------------------------------------------------- */

static void read_stop_reason(struct chat_call *call, const struct json_value *value) {
    struct str reason = json_string(value, STR_NONE);
    if (reason.len == 0)
        return;
    if (str_eq(reason, STR("end_turn")) || str_eq(reason, STR("stop_sequence")))
        exchange_finish(call, CHAT_FINISH_STOP);
    else if (str_eq(reason, STR("max_tokens")) ||
             str_eq(reason, STR("model_context_window_exceeded")))
        exchange_finish(call, CHAT_FINISH_LENGTH);
    else
        exchange_finish(call,
                        str_eq(reason, STR("refusal")) ? CHAT_FINISH_FILTER : CHAT_FINISH_OTHER);
}

/* What was read from and written to the cache is prompt, too; imitators do not say. Numbers are
 * totals, not steps. */
static void read_usage(struct chat_call *call, const struct json_value *usage) {
    int64_t fresh = exchange_tokens(json_member(usage, "input_tokens"));
    int64_t read = exchange_tokens(json_member(usage, "cache_read_input_tokens"));
    int64_t written = exchange_tokens(json_member(usage, "cache_creation_input_tokens"));
    exchange_usage(call,
                   fresh < 0 ? -1 : fresh + (read > 0 ? read : 0) + (written > 0 ? written : 0),
                   exchange_tokens(json_member(usage, "output_tokens")));
}

static void read_delta(struct chat_call *call, const struct json_value *delta) {
    struct str type = json_string(json_member(delta, "type"), STR(""));
    if (str_eq(type, STR("text_delta")))
        exchange_text(call, json_string(json_member(delta, "text"), STR_NONE));
    else if (str_eq(type, STR("thinking_delta")))
        exchange_reasoning(call, json_string(json_member(delta, "thinking"), STR_NONE));
}

/* A block may begin with text; imitators send whole blocks so. */
static void read_block(struct chat_call *call, const struct json_value *block) {
    struct str type = json_string(json_member(block, "type"), STR(""));
    if (str_eq(type, STR("text")))
        exchange_text(call, json_string(json_member(block, "text"), STR_NONE));
    else if (str_eq(type, STR("thinking")))
        exchange_reasoning(call, json_string(json_member(block, "thinking"), STR_NONE));
}

static void read_error(struct chat_call *call, const struct json_value *event) {
    const struct json_value *error = json_member(event, "error");
    struct str words = endpoint_error_text(event);
    exchange_fail(call, endpoint_error_of(error ? error : event, E_UPSTREAM), words);
}

static void read_event(struct chat_call *call, struct str name, const struct json_value *event) {
    struct str type = json_string(json_member(event, "type"), name);
    if (str_eq(name, STR("error")) && json_member(event, "error") == NULL)
        type = name; /* llama.cpp puts another `type` into its errors */
    if (str_eq(type, STR("content_block_delta"))) {
        read_delta(call, json_member(event, "delta"));
    } else if (str_eq(type, STR("content_block_start"))) {
        read_block(call, json_member(event, "content_block"));
    } else if (str_eq(type, STR("message_start"))) {
        read_usage(call, json_path(event, "message.usage"));
    } else if (str_eq(type, STR("message_delta"))) {
        read_usage(call, json_member(event, "usage"));
        read_stop_reason(call, json_path(event, "delta.stop_reason"));
    } else if (str_eq(type, STR("message_stop"))) {
        exchange_end(call);
    } else if (str_eq(type, STR("error")) || json_member(event, "error")) {
        read_error(call, event);
    }
}

static void read_document(struct chat_call *call, const struct json_value *document) {
    const struct json_value *content = json_member(document, "content");
    if (json_type(content) != JSON_ARRAY) {
        read_error(call, document);
        return;
    }
    for (const struct json_value *block = json_first(content); block; block = json_next(block))
        read_block(call, block);
    read_usage(call, json_member(document, "usage"));
    read_stop_reason(call, json_member(document, "stop_reason"));
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

const struct chat_port chat_anthropic = {
    .provider = "anthropic", .start = start, .cancel = exchange_cancel};
