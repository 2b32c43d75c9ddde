/*
 * The life of a call: leave out empty texts -> send -> receive whole -> read in the pool (a
 * megabyte of numbers would hold the loop for ten milliseconds) -> next part, or done.
 *
 * All texts go in one request. When the endpoint refuses it because something is too long (400,
 * 413, and 500 from local servers), the texts go one by one; one that is refused alone is halved
 * until it is taken or SHORTEST_BYTES long. So one long sentence costs its own end, never its
 * neighbours.
 *
 * An answer is believed when it has one vector for each text, all of one width, finite and not all
 * zeros: a zero vector would be equally near to everything. Waiting and trying again is the
 * caller's business (embed.c), because only it knows whether somebody waits.
 *
 * Invariants: while a call is with fetch or with the pool, exactly one of the two owes a callback;
 * done is told from conclude() only.
 */
#include "model/embed_remote.h"

#include "base/check.h"
#include "base/text.h"
#include "fetch/fetch.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "model/endpoint_error.h"
#include "model/setting.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define CALL_MAGIC     0x656d6264u
#define DIMS_LIMIT     4096               /* the widest that is sold has 3,072 */
#define ANSWER_LIMIT   ((size_t)16 << 20) /* 64 texts x 4,096 numbers of 24 digits are 6 MiB */
#define REQUEST_LIMIT  ((size_t)4 << 20)
#define TEXT_BYTES     24000 /* of one text: about the 8,192 tokens that the largest take */
#define SHORTEST_BYTES 200   /* below this, length is not what is wrong with a text */
#define IDLE_MS        30000
#define TOTAL_MS       600000 /* of an answer that comes in drops; or as long as a reply may take */
#define WORDS_BYTES    250    /* of an endpoint that complains */

struct embed_call {
    uint32_t magic;
    const struct embed_remote_kind *kind;
    const struct embed_request *request; /* the caller's, until done */
    embed_done_fn done;
    void *ctx;
    struct arena arena; /* of the whole call */
    struct fetch *fetch;
    struct buf body;
    int status;
    struct str *texts; /* without the empty ones, cut to what may be sent */
    size_t *places;    /* of each in the request */
    size_t count;      /* of texts */
    size_t from;       /* the first text that is under way */
    struct embed_part part;
    bool is_old, is_one_by_one, is_cancelled;
    float *values; /* the answer, request->count x dims, zeros where a text was empty */
    size_t dims;
    /* Of the last answer, written in the pool. */
    enum err failure;
    bool is_too_long, is_unknown_address;
    struct embed_vectors vectors;
    struct arena scratch;
    int64_t retry_after_ms;
    char detail[400];
};

static struct pool_kind reading = {.name = "embed.read", .running_limit = 1, .queue_limit = 64};

static void send_part(struct embed_call *call);

/* --- the end ---------------------------------------------------------------------------------- */

static void conclude(struct embed_call *call) {
    struct embed_answer answer = {
        .err = call->is_cancelled ? E_CANCELLED : call->failure,
        .values = call->values,
        .dims = call->dims,
        .retry_after_ms = call->retry_after_ms,
        .detail = str_from(call->detail),
    };
    call->done(&answer, call->ctx);
    buf_release(&call->body);
    free(call->values);
    arena_release(&call->arena);
    call->magic = 0;
    free(call);
}

static void conclude_later(void *ctx) {
    conclude(ctx);
}

static void fail(struct embed_call *call, enum err err, const char *what, struct str words) {
    call->failure = err;
    const struct endpoint_error error = {.what = what,
                                         .words = words,
                                         .most_bytes = WORDS_BYTES,
                                         .key = call->request->endpoint.api_key};
    endpoint_error_write(call->detail, sizeof call->detail, &error);
}

/* --- reading, in the pool --------------------------------------------------------------------- */

static const char *read_base64(struct arena *arena, struct str text, struct embed_vectors *vectors,
                               size_t at) {
    struct str bytes;
    if (base64_decode(arena, text, &bytes) != E_OK || bytes.len == 0 || bytes.len % 4 != 0)
        return "a vector is not base64 of whole numbers";
    size_t dims = bytes.len / 4;
    if (vectors->dims == 0 && dims <= DIMS_LIMIT) {
        vectors->dims = dims;
        vectors->values = ARENA_ARRAY(arena, float, vectors->count *dims);
    }
    if (dims != vectors->dims)
        return "its vectors are not of one width, or too wide";
    memcpy(vectors->values + at * dims, bytes.at, bytes.len); /* both little-endian */
    return NULL;
}

const char *embed_read_vector(struct arena *arena, const struct json_value *value,
                              struct embed_vectors *vectors, size_t at) {
    if (json_type(value) == JSON_STRING)
        return read_base64(arena, json_string(value, STR_NONE), vectors, at);
    if (json_type(value) != JSON_ARRAY || json_count(value) == 0)
        return "a vector is missing";
    size_t dims = json_count(value), i = 0;
    if (vectors->dims == 0 && dims <= DIMS_LIMIT) {
        vectors->dims = dims;
        vectors->values = ARENA_ARRAY(arena, float, vectors->count *dims);
    }
    if (dims != vectors->dims)
        return "its vectors are not of one width, or too wide";
    for (const struct json_value *number = json_first(value); number; number = json_next(number)) {
        if (json_type(number) != JSON_NUMBER)
            return "a vector has something in it that is no number";
        vectors->values[at * dims + i++] = (float)json_number(number, 0);
    }
    return NULL;
}

const char *embed_remote_judge(struct embed_vectors *vectors) {
    for (size_t i = 0; i < vectors->count; i++) {
        float *row = vectors->values + i * vectors->dims;
        double sum = 0;
        for (size_t d = 0; d < vectors->dims; d++)
            sum += (double)row[d] * row[d];
        if (!isfinite(sum))
            return "a vector has a number that is not finite";
        if (sum < 1e-20)
            return "a vector is all zeros";
        double factor = 1 / sqrt(sum); /* too small for a float where values are at its end */
        for (size_t d = 0; d < vectors->dims; d++)
            row[d] = (float)(row[d] * factor);
    }
    return NULL;
}

static bool speaks_of_length(struct str words) {
    static const char *const WORDS[] = {"context", "length",  "too long", "too large",
                                        "exceed",  "maximum", "token",    "batch"};
    for (size_t i = 0; i < COUNT_OF(WORDS); i++)
        if (str_has(words, str_from(WORDS[i])))
            return true;
    return false;
}

static void read_refusal(struct embed_call *call, const struct json_value *document) {
    struct str words = document ? endpoint_error_text(document) : STR_NONE;
    int status = call->status;
    enum err err = endpoint_error_of_status(status);
    if (json_type(json_member(document, "error")) == JSON_OBJECT && err != E_LIMIT)
        err = endpoint_error_of(json_member(document, "error"), err);
    call->is_too_long = status == 413 || ((status == 400 || status == 422 || status == 500) &&
                                          speaks_of_length(words));
    call->is_unknown_address = (status == 404 || status == 405) && words.len == 0;
    fail(call, call->is_too_long ? E_INPUT : err, endpoint_error_verdict(err), words);
}

static void read_answer(struct embed_call *call, const struct json_value *document) {
    if (document == NULL)
        return fail(call, E_UPSTREAM, "The endpoint's answer is not JSON", STR_NONE);
    const struct json_value *error = json_member(document, "error");
    if (json_type(error) == JSON_OBJECT || json_type(error) == JSON_STRING) {
        enum err err = endpoint_error_of(error, E_UPSTREAM);
        return fail(call, err, endpoint_error_verdict(err), endpoint_error_text(document));
    }
    call->vectors = (struct embed_vectors){.count = call->part.count};
    const char *wrong = call->kind->read(&call->scratch, document, &call->part, &call->vectors);
    if (wrong == NULL)
        wrong = embed_remote_judge(&call->vectors);
    if (wrong != NULL)
        fail(call, E_UPSTREAM, "The endpoint's answer cannot be used", str_from(wrong));
}

static void pool_read(void *ctx) {
    struct embed_call *call = ctx;
    const struct json_value *document = NULL;
    struct str body = str_trim(buf_str(&call->body));
    MAGIC_CHECK(call, CALL_MAGIC);
    if (body.len &&
        json_parse(&call->scratch, text_repair(&call->scratch, body), &document, NULL) != E_OK)
        document = NULL;
    if (call->status == 200)
        read_answer(call, document);
    else
        read_refusal(call, document);
}

/* --- what becomes of an answer ---------------------------------------------------------------- */

/* Puts the vectors where they belong. False when they do not fit to the earlier ones. */
static bool keep(struct embed_call *call) {
    size_t dims = call->vectors.dims;
    if (call->values == NULL) {
        call->dims = dims;
        call->values = calloc(call->request->count * dims, sizeof *call->values);
        BUG_IF(call->values == NULL);
    }
    if (dims != call->dims) {
        fail(call, E_UPSTREAM, "The endpoint's vectors are not of one width", STR_NONE);
        return false;
    }
    for (size_t i = 0; i < call->part.count; i++)
        memcpy(call->values + call->places[call->from + i] * dims, call->vectors.values + i * dims,
               dims * sizeof *call->values);
    return true;
}

/* Halves the one text that was refused alone. False when it is short already. */
static bool halve(struct embed_call *call) {
    struct str *text = &call->texts[call->from];
    if (text->len / 2 < SHORTEST_BYTES)
        return false;
    *text = text_cut_bytes(*text, text->len / 2);
    return true;
}

/* What to try after a refusal. False: nothing is left. */
static bool may_try_again(struct embed_call *call) {
    if (call->is_unknown_address && call->kind->has_old_form && !call->is_old)
        return call->is_old = call->is_one_by_one = true;
    if (!call->is_too_long)
        return false;
    if (call->part.count == 1)
        return halve(call);
    return call->is_one_by_one = true;
}

static void on_read(enum err err, void *ctx) {
    struct embed_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    if (err != E_OK)
        call->failure = E_CANCELLED;
    bool goes_on = false;
    if (!call->is_cancelled && call->failure == E_OK && keep(call)) {
        call->from += call->part.count;
        goes_on = call->from < call->count;
    } else if (!call->is_cancelled && call->failure != E_CANCELLED) {
        goes_on = may_try_again(call);
    }
    arena_release(&call->scratch);
    if (goes_on)
        send_part(call);
    else
        conclude(call);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void on_bytes(void *ctx, struct str bytes) {
    struct embed_call *call = ctx;
    buf_add_str(&call->body, bytes);
}

static void on_done(void *ctx, const struct fetch_result *result) {
    struct embed_call *call = ctx;
    MAGIC_CHECK(call, CALL_MAGIC);
    call->fetch = NULL;
    call->status = result->status;
    call->retry_after_ms = result->retry_after_ms;
    if (call->is_cancelled)
        return conclude(call);
    arena_init(&call->scratch);
    if (result->err == E_OK &&
        pool_run(&reading, pool_read, on_read, call, NULL) == E_OK) /* its answer is on_read */
        return;
    if (result->err == E_OK)
        fail(call, E_BUSY, "This server is too busy to read the answer", STR_NONE);
    else if (result->err == E_LIMIT)
        fail(call, E_UPSTREAM, "The endpoint's answer is larger than any that fits", STR_NONE);
    else
        fail(call, result->err == E_TIMEOUT ? E_TIMEOUT : result->err,
             "The endpoint was not reached", result->reason);
    arena_release(&call->scratch);
    conclude(call);
}

static struct fetch *post(struct embed_call *call, struct arena *arena, struct str body) {
    const struct embed_endpoint *endpoint = &call->request->endpoint;
    struct fetch_header headers[2] = {{STR("Content-Type"), STR("application/json")}};
    size_t count = 1;
    if (endpoint->api_key.len)
        headers[count++] = (struct fetch_header){
            STR("Authorization"), str_printf(arena, "Bearer " STR_FMT, STR_ARG(endpoint->api_key))};
    return fetch_start(&(struct fetch_options){
        .method = "POST",
        .url = call->kind->address(arena, endpoint->base_url, call->is_old),
        .headers = headers,
        .header_count = count,
        .body = body,
        .first_byte_ms = model_settings.first_token_ms, /* a local server loads its model first */
        .idle_ms = IDLE_MS,
        .total_ms = model_settings.reply_ms < TOTAL_MS ? model_settings.reply_ms : TOTAL_MS,
        .limit_bytes = ANSWER_LIMIT,
        .body_bytes = on_bytes,
        .done = on_done,
        .ctx = call,
    });
}

static void send_part(struct embed_call *call) {
    struct arena arena;
    struct buf body;
    struct json json;
    call->part = (struct embed_part){.texts = call->texts + call->from,
                                     .count = call->is_one_by_one ? 1 : call->count,
                                     .is_old = call->is_old};
    call->failure = E_OK;
    call->detail[0] = '\0';
    call->is_too_long = call->is_unknown_address = false;
    buf_clear(&call->body);
    arena_init(&arena);
    arena_wipe_on_release(&arena); /* the header with the key */
    buf_init(&body, REQUEST_LIMIT);
    json_init(&json, &body);
    call->kind->write_body(&json, &call->request->endpoint, &call->part);
    call->fetch = post(call, &arena, buf_str(&body));
    buf_release(&body);
    arena_release(&arena);
}

/* --- the public face -------------------------------------------------------------------------- */

static void take_texts(struct embed_call *call) {
    const struct embed_request *request = call->request;
    call->texts = ARENA_ARRAY(&call->arena, struct str, request->count);
    call->places = ARENA_ARRAY(&call->arena, size_t, request->count);
    for (size_t i = 0; i < request->count; i++) {
        if (str_trim(request->texts[i]).len == 0)
            continue;
        call->texts[call->count] = text_cut_bytes(request->texts[i], TEXT_BYTES);
        call->places[call->count++] = i;
    }
}

struct embed_call *embed_remote_start(const struct embed_remote_kind *kind,
                                      const struct embed_request *request, embed_done_fn done,
                                      void *ctx) {
    struct embed_call *call = calloc(1, sizeof *call);
    BUG_IF(call == NULL || request->count == 0 || request->count > EMBED_BATCH_LIMIT);
    call->magic = CALL_MAGIC;
    call->kind = kind;
    call->request = request;
    call->done = done;
    call->ctx = ctx;
    arena_init(&call->arena);
    buf_init(&call->body, ANSWER_LIMIT);
    take_texts(call);
    if (call->count > 0) {
        send_part(call);
        return call;
    }
    call->failure = E_INPUT; /* how wide a zero vector would be, only the endpoint knows */
    snprintf(call->detail, sizeof call->detail, "There is no text to embed.");
    loop_later(conclude_later, call);
    return call;
}

void embed_remote_cancel(struct embed_call *call) {
    MAGIC_CHECK(call, CALL_MAGIC);
    call->is_cancelled = true;
    if (call->fetch)
        fetch_cancel(call->fetch);
}
