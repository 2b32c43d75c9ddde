/*
 * What makes vectors: shown, tried, changed. A key goes in and never comes out, and is bound to the
 * address that it was entered for.
 *
 * PUT says what shall be in use. The endpoint is tried before it is accepted; then everything is
 * embedded anew in the background, while searches go on with what is there (index_change.c). PUT of
 * what is in use calls a change off. The job "index.rebuild" carries the progress as events.
 */
#include "model/embedder_api.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/keyfile.h"
#include "model/exchange.h"
#include "model/index_change.h"
#include "model/index_inside.h"
#include "model/model_api.h"

#include <math.h>
#include <stdlib.h>

#include "base/banned.h"

struct embedder_body {
    struct str provider, base_url, model, api_key;
};

/* clang-format off */
static const char *const PROVIDERS[] = {"none", "builtin", "openai", "ollama", NULL};
static const char *const STATES[] = {"none", "ready", "working", "failing", "unavailable", NULL};

static const struct field body_fields[] = {
    {"provider", FIELD_CHOICE, AT(struct embedder_body, provider), .is_required = true, .choices = PROVIDERS, .help = "builtin needs no service; openai is also llama.cpp, vLLM and LM Studio; none: words alone."},
    {"base_url", FIELD_TEXT, AT(struct embedder_body, base_url), .max = 500, .help = "Address of the endpoint, with or without /v1."},
    {"model", FIELD_TEXT, AT(struct embedder_body, model), .max = 200, .help = "The endpoint's name for the model."},
    {"api_key", FIELD_TEXT, AT(struct embedder_body, api_key), .is_secret = true, .may_be_null = true, .max = 500, .help = "Kept sealed and never shown again; when it is not sent, the one that is kept for this address is used."},
    {0}};

static const struct field next_rows[] = {
    {"provider", FIELD_CHOICE, .choices = PROVIDERS, .is_required = true},
    {"base_url", FIELD_TEXT, .is_required = true},
    {"model", FIELD_TEXT, .is_required = true},
    {"has_key", FIELD_BOOL, .is_required = true},
    {"dims", FIELD_INT, .is_required = true, .help = "Width of its vectors; 0: not known yet."},
    {"done", FIELD_INT, .is_required = true, .help = "Items that are embedded by it."},
    {"total", FIELD_INT, .is_required = true, .help = "Of so many; grows while they are listed."},
    {"error", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "Why it does not go on."},
    {0}};
static const struct shape next_shape = {"EmbedderChange", next_rows, "An embedder that everything is being embedded by, to take over when that is done."};

static const struct field embedder_rows[] = {
    {"provider", FIELD_CHOICE, .choices = PROVIDERS, .is_required = true},
    {"base_url", FIELD_TEXT, .is_required = true},
    {"model", FIELD_TEXT, .is_required = true},
    {"has_key", FIELD_BOOL, .is_required = true, .help = "A key is kept for it."},
    {"dims", FIELD_INT, .is_required = true, .help = "Width of its vectors; 0: not known yet."},
    {"state", FIELD_CHOICE, .choices = STATES, .is_required = true, .help = "working: something waits to be embedded; failing: its endpoint does, and is left alone for a while; unavailable: this build has no weights."},
    {"error", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "Of the last failure, in plain words."},
    {"builtin_is_available", FIELD_BOOL, .is_required = true, .help = "This build can embed by itself."},
    {"words_pending", FIELD_INT, .is_required = true, .help = "Items whose words are still to be written."},
    {"vectors_pending", FIELD_INT, .is_required = true, .help = "Items that are still to be embedded."},
    {"items", FIELD_INT, .is_required = true, .help = "Items that can be found by meaning."},
    {"vectors", FIELD_INT, .is_required = true, .help = "Their pieces, one vector each; those of a change under way are among them."},
    {"bytes", FIELD_INT, .is_required = true, .help = "Size of their files."},
    {"next", FIELD_OBJECT, .shape = &next_shape, .may_be_null = true, .is_required = true, .help = "The change under way."},
    {0}};
static const struct shape embedder_shape = {"Embedder", embedder_rows, "What memory by meaning is made with, and how far it is."};

static const struct field test_rows[] = {
    {"ok", FIELD_BOOL, .is_required = true, .help = "It embeds."},
    {"dims", FIELD_INT, .is_required = true, .help = "Width of its vectors."},
    {"total_ms", FIELD_INT, .is_required = true},
    {"error", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "What went wrong, in plain words."},
    {0}};
static const struct shape test_shape = {"EmbedderTest", test_rows, "What embedding two sentences showed."};
/* clang-format on */

/* --- showing ---------------------------------------------------------------------------------- */

static void write_row(struct json *json, const struct encoder_row *row) {
    JSON_STR(json, "provider", row->provider.len ? row->provider : STR("none"));
    JSON_STR(json, "base_url", row->base_url.at ? row->base_url : STR(""));
    JSON_STR(json, "model", row->model.at ? row->model : STR(""));
    JSON_BOOL(json, "has_key", row->key_sealed.len > 0);
    JSON_INT(json, "dims", row->dims);
}

static void write_error(struct json *json, const struct encoder *encoder) {
    JSON_STR(json, "error", encoder->trouble[0] ? str_from(encoder->trouble) : STR_NONE);
}

static void write_next(struct json *json) {
    const struct encoder *next = &the_index.encoders[ENCODER_BUILDING];
    int64_t done, total;
    if (!next->is_there)
        return JSON_NULL_AT(json, "next");
    rebuild_progress(&done, &total);
    JSON_OBJECT(json, "next");
    write_row(json, &next->row);
    JSON_INT(json, "done", done);
    JSON_INT(json, "total", total);
    write_error(json, next);
    json_object_end(json);
}

static const char *state_of(const struct encoder *encoder, int64_t waiting) {
    if (!encoder->is_there)
        return "none";
    if (!encoder_is_usable(encoder))
        return "unavailable";
    if (encoder->trouble[0])
        return "failing";
    bool is_rebuilding =
        the_index.words_rebuild.is_there || the_index.rebuilds[ENCODER_ACTIVE].is_there;
    return waiting > 0 || is_rebuilding ? "working" : "ready";
}

static void reply_embedder(struct request *request) {
    const struct encoder *active = &the_index.encoders[ENCODER_ACTIVE];
    struct vector_stats stats = the_index.has_vectors ? vector_stats() : (struct vector_stats){0};
    struct index_progress progress = index_progress();
    int64_t waiting = progress.words + progress.vectors;
    struct json *json = reply_json(request);
    json_object_begin(json);
    write_row(json, &active->row);
    JSON_STR(json, "state", str_from(state_of(active, waiting)));
    write_error(json, active);
    JSON_BOOL(json, "builtin_is_available", embed_builtin.is_available());
    JSON_INT(json, "words_pending", progress.words);
    JSON_INT(json, "vectors_pending", active->is_there ? waiting : 0);
    JSON_INT(json, "items", stats.items);
    JSON_INT(json, "vectors", stats.parts);
    JSON_INT(json, "bytes", stats.bytes);
    write_next(json);
    json_object_end(json);
    reply_send(request, 200);
}

/* --- what was sent ---------------------------------------------------------------------------- */

#define SENT(member) request_has(request, struct embedder_body, member)

/* The key that is kept for this address, of the one in use or the one being built. */
static struct str kept_key(const struct encoder_row *row) {
    for (int at = 0; at < ENCODER_PLACES; at++) {
        const struct encoder *encoder = &the_index.encoders[at];
        if (encoder->is_there && str_eq(encoder->row.base_url, row->base_url) &&
            str_eq(encoder->row.provider, row->provider))
            return encoder->row.key_sealed;
    }
    return STR_NONE;
}

static struct str seal(struct arena *arena, struct str base_url, struct str key) {
    struct str context = str_printf(arena, "encoder:" STR_FMT, STR_ARG(base_url));
    return key.len ? crypto_seal(arena, keyfile_key(), context, key) : STR_NONE;
}

static bool is_remote(struct str provider) {
    return str_eq(provider, STR("openai")) || str_eq(provider, STR("ollama"));
}

/* The row that the body describes. False: the 422 has been sent. */
static bool read_row(struct request *request, struct encoder_row *row) {
    const struct embedder_body *body = request->body;
    *row = (struct encoder_row){.provider = body->provider};
    if (!is_remote(body->provider))
        return true;
    const char *problem = model_url_problem(str_trim(body->base_url));
    if (problem != NULL) {
        reply_field_problem(request, "base_url", "%s", problem);
        return false;
    }
    row->model = str_trim(body->model);
    if (row->model.len == 0) {
        reply_field_problem(request, "model", "Which model of the endpoint?");
        return false;
    }
    for (size_t i = 0; i < body->api_key.len; i++)
        if ((unsigned char)body->api_key.at[i] <= ' ' ||
            (unsigned char)body->api_key.at[i] >= 0x7f) {
            reply_field_problem(request, "api_key",
                                "A key has no spaces and only ASCII characters.");
            return false;
        }
    row->base_url = exchange_base(request->arena, body->base_url);
    row->key_sealed = SENT(api_key) ? seal(request->arena, row->base_url, body->api_key)
                                    : str_dup(request->arena, kept_key(row));
    return true;
}

/* --- trying ----------------------------------------------------------------------------------- */

struct trial {
    struct request *request;
    struct encoder_row row;
    struct embed_request asked;
    const struct embed_port *port;
    struct embed_call *call; /* NULL: it could not even be asked */
    int64_t began_us, total_ms;
    size_t dims;
    struct str error; /* STR_NONE: it works */
    void (*then)(struct trial *trial);
};

static const struct str SENTENCES[] = {{"The lamp in the window is lit.", 30},
                                       {"My brother sails to Lisbon in May.", 34}};

/* Two sentences that have nothing in common must not be the same to it. */
static bool are_alike(const float *values, size_t dims) {
    double product = 0;
    for (size_t d = 0; d < dims; d++)
        product += (double)values[d] * values[dims + d];
    return product > 0.9999;
}

static void on_tried(const struct embed_answer *answer, void *ctx) {
    struct trial *trial = ctx;
    struct arena *arena = trial->request->arena;
    request_on_gone(trial->request, NULL, NULL);
    trial->total_ms = (clock_mono_us() - trial->began_us) / 1000;
    trial->dims = answer->err == E_OK ? answer->dims : 0;
    if (answer->err != E_OK)
        trial->error =
            answer->detail.len ? str_dup(arena, answer->detail) : str_from(err_word(answer->err));
    else if (are_alike(answer->values, answer->dims))
        trial->error = STR("It gives two different sentences the same vector.");
    trial->then(trial);
}

static void conclude_later(void *ctx) {
    struct trial *trial = ctx;
    trial->then(trial);
}

static void on_gone(struct request *request, void *ctx) {
    struct trial *trial = ctx;
    (void)request;
    trial->port->cancel(trial->call);
}

static void attempt(struct request *request, const struct encoder_row *row,
                    void (*then)(struct trial *trial)) {
    struct trial *trial = ARENA_NEW(request->arena, struct trial);
    *trial =
        (struct trial){.request = request, .row = *row, .then = then, .began_us = clock_mono_us()};
    trial->asked =
        (struct embed_request){.texts = SENTENCES, .count = COUNT_OF(SENTENCES), .is_urgent = true};
    trial->port = embed_port_find(row->provider);
    if (trial->port != NULL && !trial->port->is_available())
        trial->error = STR("This build has no weights of its own.");
    else if (encoder_endpoint(request->arena, row, &trial->asked.endpoint) != E_OK)
        trial->error = STR("Its key cannot be opened; enter it again.");
    if (trial->port == NULL || trial->error.len > 0)
        return loop_later(conclude_later, trial);
    trial->call = trial->port->start(&trial->asked, on_tried, trial);
    request_on_gone(request, on_gone, trial);
}

static void reply_trial(struct trial *trial) {
    struct json *json = reply_json(trial->request);
    json_object_begin(json);
    JSON_BOOL(json, "ok", trial->error.len == 0);
    JSON_INT(json, "dims", (int64_t)trial->dims);
    JSON_INT(json, "total_ms", trial->total_ms);
    JSON_STR(json, "error", trial->error.len ? trial->error : STR_NONE);
    json_object_end(json);
    reply_send(trial->request, 200);
}

/* --- changing --------------------------------------------------------------------------------- */

static void reply_changed(enum err err, void *ctx) {
    struct request *request = ctx;
    if (err != E_OK)
        return reply_error(request, err);
    reply_embedder(request);
}

static void change(struct trial *trial) {
    struct request *request = trial->request;
    if (trial->error.len > 0)
        return reply_field_problem(request, "provider", STR_FMT, STR_ARG(trial->error));
    trial->row.dims = (int64_t)trial->dims;
    if (index_change(&trial->row, SENT(api_key), reply_changed, request) != E_OK)
        reply_retry_later(request, 503, 1, "Another change is being written.");
}

static void get_embedder(struct request *request) {
    reply_embedder(request);
}

static void put_embedder(struct request *request) {
    struct encoder_row row;
    if (read_row(request, &row))
        attempt(request, &row, change);
}

static void test_embedder(struct request *request) {
    struct encoder_row row;
    if (read_row(request, &row))
        attempt(request, &row, reply_trial);
}

static void delete_change(struct request *request) {
    if (!the_index.encoders[ENCODER_BUILDING].is_there)
        return reply_error(request, E_ABSENT);
    if (index_cancel_change(reply_changed, request) != E_OK)
        reply_retry_later(request, 503, 1, "Another change is being written.");
}

static void reindex(struct request *request) {
    if (index_reindex(reply_changed, request) != E_OK)
        reply_retry_later(request, 503, 1, "It is being asked for already.");
}

/* clang-format off */
const struct route embedder_routes[] = {
    {METHOD_GET, "/api/v1/admin/embedder", get_embedder, WHO_ADMIN, SCOPE_ADMIN, .tag = "models", .operation = "getEmbedder", .summary = "Shows what memory by meaning is made with, how far it is, and the change under way.", .answer = &embedder_shape},
    {METHOD_PUT, "/api/v1/admin/embedder", put_embedder, WHO_ADMIN, SCOPE_ADMIN, .body = body_fields, .body_size = sizeof(struct embedder_body), .tag = "models", .operation = "putEmbedder", .summary = "Chooses an embedder: it is tried, embeds everything in the background, and then takes over.", .answer = &embedder_shape},
    {METHOD_POST, "/api/v1/admin/embedder/test", test_embedder, WHO_ADMIN, SCOPE_ADMIN, .body = body_fields, .body_size = sizeof(struct embedder_body), .tag = "models", .operation = "testEmbedder", .summary = "Has two sentences embedded and tells what happened; changes nothing.", .answer = &test_shape},
    {METHOD_DELETE, "/api/v1/admin/embedder/next", delete_change, WHO_ADMIN, SCOPE_ADMIN, .tag = "models", .operation = "cancelEmbedderChange", .summary = "Gives up the change under way; what is in use stays.", .answer = &embedder_shape},
    {METHOD_POST, "/api/v1/admin/embedder/reindex", reindex, WHO_ADMIN, SCOPE_ADMIN, .tag = "models", .operation = "reindex", .summary = "Makes all words and vectors again, in the background.", .answer = &embedder_shape},
    {0}};
/* clang-format on */
