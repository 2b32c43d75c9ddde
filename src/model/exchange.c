/*
 * The life of a call: start -> head (status and type say what the body will be) -> body ->
 * conclude. done or failed is told from on_done only, when the connection has been given back, so
 * that there is one place where a call ends. After the end mark of a stream the endpoint has
 * END_GRACE_MS to close properly; a connection that ended properly is used again by the next call.
 *
 * What counts as success: the endpoint said why it stopped, or sent its end mark. A stream that
 * ends otherwise has broken off; what was said is delivered, then the call fails.
 *
 * Deadlines: no byte for first_token_ms (later stall_ms), or no text for PATIENCE times as long
 * while the endpoint keeps sending signs of life (comments, pings). libcurl's own gap deadline
 * would not see the difference, so it is set to the longest that can be meant. And reply_ms for the
 * whole: an endpoint that says a word now and then is never silent and never done.
 */
#include "model/exchange.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/text.h"
#include "model/endpoint_error.h"
#include "model/setting.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define CALL_MAGIC      0x63616c6cu
#define PATIENCE        3    /* signs of life are worth this many deadlines */
#define FINISH_GRACE_MS 2000 /* after a finish reason: the usage, the end mark */
#define END_GRACE_MS    200
#define ATTEMPT_LIMIT   4
#define REFUSAL_LIMIT   ((size_t)64 << 10)
#define DOCUMENT_LIMIT  ((size_t)4 << 20)
#define STREAM_LIMIT    ((size_t)64 << 20) /* a reply is some kilobytes; this is a runaway */
#define REQUEST_LIMIT   ((size_t)32 << 20)
#define TOKENS_BELIEVED 10000000 /* the largest context that a model may be given (model_api.c) */
#define EVENT_SCRATCH   4096
#define EXCERPT_BYTES   200 /* of an answer that cannot be read */

static void send_request(struct chat_call *call);

/* The first of them is told. */
static void fail(struct chat_call *call, enum err err, const char *what, int status,
                 struct str words) {
    if (call->failure)
        return;
    call->failure = err;
    const struct endpoint_error error = {
        .what = what, .status = status, .words = words, .key = call->request->endpoint.api_key};
    endpoint_error_write(call->detail, sizeof call->detail, &error);
}

/* Of what was to be an answer only its beginning is shown. */
static void fail_unread(struct chat_call *call, struct str answer) {
    if (call->failure)
        return;
    call->failure = E_UPSTREAM;
    const struct endpoint_error error = {.what = "The endpoint sent something that is not JSON",
                                         .words = answer,
                                         .most_bytes = EXCERPT_BYTES,
                                         .key = call->request->endpoint.api_key};
    endpoint_error_write(call->detail, sizeof call->detail, &error);
}

/* --- what the adapters' readers call ---------------------------------------------------------- */

static bool is_blank(struct str s) {
    return str_trim(s).len == 0;
}

static int64_t patience_ms(const struct chat_call *call) {
    const struct chat_endpoint *endpoint = &call->request->endpoint;
    if (!call->has_progress)
        return endpoint->first_token_ms > 0 ? endpoint->first_token_ms
                                            : model_settings.first_token_ms;
    return endpoint->stall_ms > 0 ? endpoint->stall_ms : model_settings.stall_ms;
}

static void on_watch(void *ctx);

/* The first piece ends the long wait; from here the gaps are watched. */
static void note_progress(struct chat_call *call) {
    call->last_progress_us = clock_mono_us();
    if (call->has_progress)
        return;
    call->has_progress = true;
    if (call->fetch)
        fetch_gather(call->fetch);
    if (!call->is_finished)
        timer_start(&call->watch, patience_ms(call), on_watch, call);
}

static void pass_text(void *ctx, struct str text) {
    struct chat_call *call = ctx;
    if (call->is_cancelled)
        return;
    call->has_text = call->has_text || !is_blank(text);
    call->events.delta(call->ctx, text);
}

static void pass_reasoning(void *ctx, struct str text) {
    struct chat_call *call = ctx;
    call->has_reasoning = true;
    if (call->events.reasoning && !call->is_cancelled)
        call->events.reasoning(call->ctx, text);
}

static void stop_reading(struct chat_call *call) {
    if (call->fetch)
        fetch_cancel(call->fetch);
}

void exchange_text(struct chat_call *call, struct str text) {
    if (text.len == 0 || call->is_cancelled || filter_has_stopped(&call->filter))
        return;
    note_progress(call);
    filter_feed(&call->filter, text);
    if (filter_has_stopped(&call->filter)) {
        exchange_finish(call, CHAT_FINISH_STOP);
        stop_reading(call);
    }
}

void exchange_reasoning(struct chat_call *call, struct str text) {
    if (text.len == 0 || call->is_cancelled)
        return;
    note_progress(call);
    pass_reasoning(call, text);
}

static void on_grace_over(void *ctx) {
    stop_reading(ctx);
}

void exchange_finish(struct chat_call *call, enum chat_finish finish) {
    if (call->is_finished)
        return;
    call->is_finished = true;
    call->finish = finish;
    timer_start(&call->watch, FINISH_GRACE_MS, on_grace_over, call);
}

void exchange_end(struct chat_call *call) {
    exchange_finish(call, CHAT_FINISH_STOP);
    timer_start(&call->watch, END_GRACE_MS, on_grace_over, call);
}

void exchange_fail(struct chat_call *call, enum err err, struct str detail) {
    fail(call, err, endpoint_error_verdict(err), 0, detail);
    timer_start(&call->watch, END_GRACE_MS, on_grace_over, call);
}

int64_t exchange_tokens(const struct json_value *count) {
    int64_t tokens = json_int(count, -1);
    return tokens >= 0 && tokens <= TOKENS_BELIEVED ? tokens : -1;
}

void exchange_usage(struct chat_call *call, int64_t prompt_tokens, int64_t reply_tokens) {
    if (prompt_tokens >= 0)
        call->usage.prompt_tokens = prompt_tokens;
    if (reply_tokens >= 0)
        call->usage.reply_tokens = reply_tokens;
}

/* --- deadlines -------------------------------------------------------------------------------- */

/* Milliseconds until the call has been silent for too long. */
static int64_t patience_left_ms(const struct chat_call *call) {
    int64_t now_us = clock_mono_us(), patience = patience_ms(call);
    int64_t bytes_left_ms = patience - (now_us - call->last_byte_us) / 1000;
    int64_t text_left_ms = PATIENCE * patience - (now_us - call->last_progress_us) / 1000;
    return bytes_left_ms < text_left_ms ? bytes_left_ms : text_left_ms;
}

static void on_watch(void *ctx) {
    struct chat_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    int64_t left_ms = patience_left_ms(call);
    if (left_ms > 0) {
        timer_start(&call->watch, left_ms, on_watch, call);
        return;
    }
    fail(call, E_TIMEOUT,
         call->has_progress ? "The endpoint fell silent in the middle of the reply"
                            : "The endpoint did not begin to answer in time",
         0, STR_NONE);
    stop_reading(call);
}

static void begin_watch(struct chat_call *call) {
    call->last_byte_us = call->last_progress_us = clock_mono_us();
    timer_start(&call->watch, patience_ms(call), on_watch, call);
}

/* --- the body --------------------------------------------------------------------------------- */

static void read_event(struct chat_call *call, struct arena *arena, struct str name,
                       struct str data) {
    const struct json_value *event = NULL;
    if (json_parse(arena, data, &event, NULL) != E_OK) {
        struct str mended = mend_event(&call->mend, arena, data);
        if (json_parse(arena, mended, &event, NULL) != E_OK) {
            if (call->is_ending) /* the stream was cut inside this event */
                return;
            fail_unread(call, data);
            return;
        }
    }
    call->kind->read_event(call, name, event);
}

static bool on_line(void *ctx, struct str name, struct str data) {
    struct chat_call *call = ctx;
    if (str_starts(str_trim(data), STR("[DONE]"))) {
        exchange_end(call);
        return false;
    }
    char scratch[EVENT_SCRATCH];
    struct arena arena;
    arena_init_with(&arena, scratch, sizeof scratch);
    read_event(call, &arena, name, data);
    arena_release(&arena);
    return !call->failure && !call->is_cancelled && !filter_has_stopped(&call->filter);
}

static void read_stream(struct chat_call *call, struct str bytes) {
    enum err err = lines_feed(&call->lines, bytes, on_line, call);
    if (err == E_LIMIT)
        fail(call, E_UPSTREAM, "The endpoint sent a line that is too long", 0, STR_NONE);
    /* After the end mark what follows is let go by; a failure need not be listened to. */
    if (err == E_CANCELLED)
        call->body_kind = BODY_OVER;
    if (call->failure)
        stop_reading(call);
}

/* A body without a telling content type: its first byte decides. */
static enum exchange_body guess(const struct chat_call *call, struct str bytes) {
    struct str text = str_trim(bytes);
    if (text.len == 0)
        return BODY_UNKNOWN;
    if (text.at[0] == '<')
        return BODY_PAGE;
    return text.at[0] == '{' && call->kind->lines == LINES_SSE ? BODY_DOCUMENT : BODY_STREAM;
}

static void on_bytes(void *ctx, struct str bytes) {
    struct chat_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    call->last_byte_us = clock_mono_us();
    if (call->body_kind == BODY_UNKNOWN)
        call->body_kind = guess(call, bytes);
    if (call->body_kind == BODY_STREAM)
        read_stream(call, bytes);
    else if (call->body_kind != BODY_OVER)
        buf_add_str(&call->body, bytes);
}

static enum exchange_body kind_of(const struct chat_call *call, int status, struct str type) {
    if (status != 200 && status != 201)
        return BODY_REFUSAL;
    if (str_has(type, STR("event-stream")) || str_has(type, STR("ndjson")))
        return BODY_STREAM;
    if (str_has(type, STR("json")))
        return call->kind->lines == LINES_NDJSON ? BODY_STREAM : BODY_DOCUMENT;
    return str_has(type, STR("html")) ? BODY_PAGE : BODY_UNKNOWN;
}

static void on_head(void *ctx, int status, struct str type) {
    struct chat_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    call->status = status;
    call->last_byte_us = clock_mono_us();
    call->body_kind = kind_of(call, status, type);
    buf_release(&call->body);
    buf_init(&call->body, call->body_kind == BODY_DOCUMENT ? DOCUMENT_LIMIT : REFUSAL_LIMIT);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void call_free(struct chat_call *call) {
    timer_stop(&call->watch);
    lines_release(&call->lines);
    filter_release(&call->filter);
    buf_release(&call->body);
    call->magic = 0;
    free(call);
}

static void tell_failed(struct chat_call *call, int64_t retry_after_ms) {
    struct chat_failure failure = {
        .err = call->is_cancelled ? E_CANCELLED : call->failure,
        .status = call->status,
        .retry_after_ms = retry_after_ms,
        .detail = call->is_cancelled ? STR("stopped") : str_from(call->detail),
    };
    call->events.failed(call->ctx, &failure);
    call_free(call);
}

static void tell_done(struct chat_call *call) {
    call->events.done(call->ctx, call->finish, &call->usage);
    call_free(call);
}

static void read_document(struct chat_call *call) {
    struct arena arena;
    arena_init(&arena);
    const struct json_value *document = NULL;
    struct str text = str_trim(buf_str(&call->body));
    if (text.len == 0)
        fail(call, E_UPSTREAM, "The endpoint sent an empty answer", 0, STR_NONE);
    else if (json_parse(&arena, text_repair(&arena, text), &document, NULL) != E_OK)
        fail_unread(call, text);
    else
        call->kind->read_document(call, document);
    arena_release(&arena);
}

/* The endpoint's own words when it gave some; of a web page only that it was one. */
static struct str refusal_words(struct arena *arena, struct str body) {
    const struct json_value *document = NULL;
    struct str text = str_trim(body);
    if (text.len == 0)
        return STR_NONE;
    if (json_parse(arena, text_repair(arena, text), &document, NULL) == E_OK) {
        struct str words = endpoint_error_text(document);
        return words.len ? words : text;
    }
    return text.at[0] == '<' ? STR("it answered with a web page") : text;
}

/* True when the request goes out once more, without what was refused. */
static bool try_without(struct chat_call *call, struct str body) {
    unsigned bits = call->attempts < ATTEMPT_LIMIT ? without_refused(call->status, body) : 0;
    bits &= call->sent & ~call->without;
    if (bits == 0)
        return false;
    call->without |= bits;
    without_remember(&call->request->endpoint, call->without);
    send_request(call);
    return true;
}

static enum err refusal_err(struct arena *arena, int status, struct str body) {
    const struct json_value *document = NULL;
    enum err err = endpoint_error_of_status(status);
    if (json_parse(arena, text_repair(arena, str_trim(body)), &document, NULL) != E_OK)
        return err;
    /* A quota that is used up comes as 429 or 400 and is said in the code; the status stays the
     * better witness elsewhere. */
    return err == E_INPUT || err == E_UPSTREAM
               ? endpoint_error_of(json_member(document, "error"), err)
               : err;
}

static bool conclude_refusal(struct chat_call *call) {
    struct str body = buf_str(&call->body);
    if (try_without(call, body))
        return true;
    struct arena arena;
    arena_init(&arena);
    if (call->status >= 300 && call->status < 400) {
        fail(call, E_UPSTREAM, "The endpoint points to another address; enter that one",
             call->status, STR_NONE);
    } else {
        enum err err = refusal_err(&arena, call->status, body);
        fail(call, err, endpoint_error_verdict(err), call->status, refusal_words(&arena, body));
    }
    arena_release(&arena);
    return false;
}

/* The connection's own failure. A reply that was finished, or has failed already, is not judged by
 * it. */
static void conclude_connection(struct chat_call *call, const struct fetch_result *result) {
    if (call->is_finished)
        return;
    if (result->err == E_TIMEOUT && call->has_progress)
        fail(call, E_TIMEOUT, "It took longer than a reply may", 0, STR_NONE);
    else if (result->err == E_INPUT || result->err == E_TIMEOUT)
        fail(call, result->err, endpoint_error_verdict(result->err), 0, result->reason);
    else if (call->status == 0)
        fail(call, E_UPSTREAM, "The endpoint cannot be reached", 0, result->reason);
    else
        fail(call, E_UPSTREAM, "The reply broke off", 0, result->reason);
}

static void conclude_stream(struct chat_call *call) {
    call->is_ending = true;
    if (call->body_kind == BODY_STREAM && lines_end(&call->lines, on_line, call) == E_LIMIT)
        fail(call, E_UPSTREAM, "The endpoint sent a line that is too long", 0, STR_NONE);
    if (!call->is_finished && !call->failure)
        fail(call, E_UPSTREAM,
             call->has_progress ? "The reply broke off before it was finished"
                                : "The endpoint sent an empty answer",
             0, STR_NONE);
}

/* Nothing at all was said. Going on may well add nothing; a refusal by a filter has its own word.
 */
static void conclude_empty(struct chat_call *call) {
    if (call->has_text || call->request->is_continue || call->finish == CHAT_FINISH_FILTER)
        return;
    if (call->has_reasoning && call->finish == CHAT_FINISH_LENGTH)
        fail(call, E_UPSTREAM,
             "The model used up all its tokens for thinking; allow longer replies", 0, STR_NONE);
    else
        fail(call, E_UPSTREAM, "The model answered with nothing", 0, STR_NONE);
}

/* Judges the body as far as it came. True when another attempt was begun. */
static bool conclude(struct chat_call *call, const struct fetch_result *result) {
    bool broke_off = result->err != E_OK;
    if (call->failure)
        return false;
    if (call->body_kind == BODY_REFUSAL && call->status)
        return conclude_refusal(call);
    if (broke_off)
        conclude_connection(call, result);
    else if (call->body_kind == BODY_DOCUMENT)
        read_document(call);
    else if (call->body_kind == BODY_PAGE)
        fail(call, E_UPSTREAM, "The endpoint answered with a web page; is the address right?", 0,
             STR_NONE);
    else
        conclude_stream(call);
    return false;
}

static void on_done(void *ctx, const struct fetch_result *result) {
    struct chat_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    call->fetch = NULL;
    timer_stop(&call->watch);
    if (!call->is_cancelled && conclude(call, result))
        return;
    if (!call->is_cancelled)
        filter_end(&call->filter, call->failure == E_OK);
    if (!call->is_cancelled && !call->failure)
        conclude_empty(call);
    if (call->is_cancelled || call->failure)
        tell_failed(call, result->retry_after_ms);
    else
        tell_done(call);
}

/* --- the request ------------------------------------------------------------------------------ */

static void reset_body(struct chat_call *call) {
    lines_release(&call->lines);
    lines_init(&call->lines, call->kind->lines);
    buf_clear(&call->body);
    call->body_kind = BODY_UNKNOWN;
    call->status = 0;
    call->sent = 0;
}

static struct fetch *send_body(struct chat_call *call, struct arena *arena, struct str body) {
    const struct chat_endpoint *endpoint = &call->request->endpoint;
    struct exchange_headers headers = {0};
    headers.items[headers.count++] =
        (struct fetch_header){STR("Content-Type"), STR("application/json")};
    call->kind->write_headers(arena, endpoint, &headers);
    int64_t longest_ms = PATIENCE * (model_settings.first_token_ms + model_settings.stall_ms +
                                     endpoint->first_token_ms + endpoint->stall_ms);
    return fetch_start(&(struct fetch_options){
        .method = "POST",
        .url = call->kind->address(arena, endpoint->base_url),
        .headers = headers.items,
        .header_count = headers.count,
        .body = body,
        .first_byte_ms = longest_ms,
        .idle_ms = longest_ms,
        .total_ms = model_settings.reply_ms,
        .limit_bytes = STREAM_LIMIT,
        .head = on_head,
        .body_bytes = on_bytes,
        .done = on_done,
        .ctx = call,
    });
}

static void send_request(struct chat_call *call) {
    struct arena arena;
    struct buf body;
    struct json json;
    arena_init(&arena);
    arena_wipe_on_release(&arena); /* the header with the key */
    buf_init(&body, REQUEST_LIMIT);
    json_init(&json, &body);
    reset_body(call);
    call->attempts++;
    call->kind->write_body(call, &arena, &json);
    if (body.err) { /* the peer will refuse an empty body; this says why */
        fail(call, E_INPUT, "The prompt is larger than can be sent", 0, STR_NONE);
        buf_clear(&body);
    }
    begin_watch(call);
    call->fetch = send_body(call, &arena, buf_str(&body));
    if (call->failure)
        stop_reading(call);
    buf_release(&body);
    arena_release(&arena);
}

struct chat_call *exchange_start(const struct exchange_kind *kind,
                                 const struct chat_request *request,
                                 const struct chat_events *events, void *ctx) {
    struct chat_call *call = calloc(1, sizeof *call);
    BUG_IF(call == NULL);
    call->magic = CALL_MAGIC;
    call->kind = kind;
    call->request = request;
    call->events = *events;
    call->ctx = ctx;
    call->usage = (struct chat_usage){-1, -1};
    call->without = without_recall(&request->endpoint);
    struct str echo = request->is_continue && request->message_count
                          ? request->messages[request->message_count - 1].content
                          : STR_NONE;
    filter_init(&call->filter, request->sampling.stop, request->sampling.stop_count, echo);
    call->filter.text = pass_text;
    call->filter.reasoning = pass_reasoning;
    call->filter.ctx = call;
    buf_init(&call->body, REFUSAL_LIMIT);
    lines_init(&call->lines, kind->lines);
    send_request(call);
    return call;
}

void exchange_cancel(struct chat_call *call) {
    MAGIC_CHECK(call, CALL_MAGIC);
    call->is_cancelled = true;
    stop_reading(call);
}

struct str exchange_base(struct arena *arena, struct str base_url) {
    struct str base = str_trim(base_url);
    while (base.len && base.at[base.len - 1] == '/')
        base.len--;
    if (str_find(base, STR("://"), 0) < 0)
        return str_printf(arena, "http://" STR_FMT, STR_ARG(base));
    return str_dup(arena, base);
}
