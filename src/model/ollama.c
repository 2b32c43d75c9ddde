/*
 * Ollama's own protocol: POST /api/chat, one JSON object per line. Preferred to its OpenAI
 * imitation, which drops errors in mid-stream and cannot be told the context size: a prompt longer
 * than `num_ctx` is cut in silence, so the size that the prompt was assembled for is always sent.
 *
 * A last assistant message is gone on with by the server. Thinking comes apart in `thinking` or,
 * from older servers, in tags (filter.c). Loading a model can take minutes without a byte; the
 * deadline for the first token is the operator's.
 */
#include "model/chat.h"

#include "model/endpoint_error.h"
#include "model/exchange.h"
#include "model/turns.h"

#include "base/banned.h"

#define KEEP_ALIVE \
    "30m" /* people pause between messages; loading again would cost them half a minute */

static struct str strip(struct str base, struct str end) {
    return str_ends(base, end) ? str_slice(base, 0, base.len - end.len) : base;
}

struct str ollama_address(struct arena *arena, struct str base_url, struct str what) {
    struct str base = exchange_base(arena, base_url);
    base = strip(strip(strip(base, STR("/api/chat")), STR("/api")), STR("/v1"));
    return str_printf(arena, STR_FMT "/api/" STR_FMT, STR_ARG(base), STR_ARG(what));
}

static struct str address(struct arena *arena, struct str base_url) {
    return ollama_address(arena, base_url, STR("chat"));
}

/* Ollama knows no keys, proxies in front of it do. */
static void write_headers(struct arena *arena, const struct chat_endpoint *endpoint,
                          struct exchange_headers *headers) {
    if (endpoint->api_key.len)
        headers->items[headers->count++] = (struct fetch_header){
            STR("Authorization"), str_printf(arena, "Bearer " STR_FMT, STR_ARG(endpoint->api_key))};
}

/* --- request ---------------------------------------------------------------------------------- */

static void write_messages(struct json *json, const struct turns *turns) {
    static const char *const ROLES[] = {
        [CHAT_SYSTEM] = "system", [CHAT_USER] = "user", [CHAT_ASSISTANT] = "assistant"};
    JSON_ARRAY(json, "messages");
    for (size_t i = 0; i < turns->count; i++) {
        json_object_begin(json);
        JSON_STR(json, "role", str_from(ROLES[turns->messages[i].role]));
        JSON_STR(json, "content",
                 turns->messages[i].content.at ? turns->messages[i].content : STR(""));
        json_object_end(json);
    }
    json_array_end(json);
}

static void write_number(struct json *json, struct str name, double value) {
    if (value < 0)
        return;
    json_key(json, name);
    json_write_double(json, value);
}

static void write_whole(struct json *json, struct str name, int64_t value) {
    if (value < 0)
        return;
    json_key(json, name);
    json_write_int(json, value);
}

static void write_options(struct json *json, const struct chat_request *request) {
    const struct chat_sampling *sampling = &request->sampling;
    JSON_OBJECT(json, "options");
    if (request->endpoint.context_tokens > 0)
        JSON_INT(json, "num_ctx", request->endpoint.context_tokens);
    if (sampling->reply_tokens > 0)
        JSON_INT(json, "num_predict", sampling->reply_tokens);
    write_number(json, STR("temperature"), sampling->temperature);
    write_number(json, STR("top_p"), sampling->top_p);
    write_whole(json, STR("top_k"), sampling->top_k);
    write_number(json, STR("min_p"), sampling->min_p);
    write_number(json, STR("frequency_penalty"), sampling->frequency_penalty);
    write_number(json, STR("presence_penalty"), sampling->presence_penalty);
    write_number(json, STR("repeat_penalty"), sampling->repetition_penalty);
    write_whole(json, STR("seed"), sampling->seed);
    if (sampling->stop_count) {
        JSON_ARRAY(json, "stop");
        for (size_t i = 0; i < sampling->stop_count; i++)
            json_write_str(json, sampling->stop[i]);
        json_array_end(json);
    }
    json_object_end(json);
}

static void write_body(struct chat_call *call, struct arena *arena, struct json *json) {
    unsigned rules = TURNS_JOIN_HEAD;
    if (call->without & WITHOUT_FREE_ROLES)
        rules |= TURNS_NO_SYSTEM | TURNS_ALTERNATE;
    else
        call->sent |= WITHOUT_FREE_ROLES;
    struct turns turns = turns_shape(arena, call->request, rules);
    json_object_begin(json);
    JSON_STR(json, "model", call->request->endpoint.model);
    write_messages(json, &turns);
    JSON_BOOL(json, "stream", true);
    JSON_STR(json, "keep_alive", STR(KEEP_ALIVE));
    write_options(json, call->request);
    if (call->request->json_schema.len > 0 && !(call->without & WITHOUT_SCHEMA)) {
        call->sent |= WITHOUT_SCHEMA;
        JSON_RAW(json, "format", call->request->json_schema);
    }
    json_object_end(json);
}

/* --- answer ----------------------------------------------------------------------------------- */

static void read_end(struct chat_call *call, const struct json_value *line) {
    struct str reason = json_string(json_member(line, "done_reason"), STR("stop"));
    exchange_usage(call, exchange_tokens(json_member(line, "prompt_eval_count")),
                   exchange_tokens(json_member(line, "eval_count")));
    exchange_finish(call, str_eq(reason, STR("length")) ? CHAT_FINISH_LENGTH
                          : str_eq(reason, STR("stop")) ? CHAT_FINISH_STOP
                                                        : CHAT_FINISH_OTHER);
    exchange_end(call);
}

/* `{"error": "..."}` is all an error ever is here. The words decide which one. */
static enum err error_of(struct str words) {
    if (str_has(words, STR("not found")))
        return E_ABSENT;
    if (str_has(words, STR("busy")) || str_has(words, STR("loading")))
        return E_BUSY;
    return E_UPSTREAM;
}

static void read_event(struct chat_call *call, struct str name, const struct json_value *line) {
    (void)name;
    if (call->is_finished)
        return;
    const struct json_value *error = json_member(line, "error");
    if (json_type(error) != JSON_ABSENT && json_type(error) != JSON_NULL) {
        struct str words = endpoint_error_text(line);
        exchange_fail(call, error_of(words), words);
        return;
    }
    const struct json_value *message = json_member(line, "message");
    exchange_reasoning(call, json_string(json_member(message, "thinking"), STR_NONE));
    exchange_text(call, json_string(json_member(message, "content"), STR_NONE));
    if (json_bool(json_member(line, "done"), false))
        read_end(call, line);
}

static void read_document(struct chat_call *call, const struct json_value *document) {
    read_event(call, STR_NONE, document);
}

static const struct exchange_kind KIND = {
    .lines = LINES_NDJSON,
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

const struct chat_port chat_ollama = {
    .provider = "ollama", .start = start, .cancel = exchange_cancel};
