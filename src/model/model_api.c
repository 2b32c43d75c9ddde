/*
 * The registry's routes. A key goes in and never comes out: answers say has_key. When the address
 * of a model changes, its key must be entered again, so that nobody who may edit a model can send
 * its key to a server of their own.
 *
 * Each change is one write; when it is on disk the registry is read again, then the answer leaves.
 */
#include "model/model_api.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/keyfile.h"
#include "base/log.h"
#include "model/exchange.h"
#include "model/model_store.h"
#include "model/queue.h"
#include "model/route.h"
#include "model/trial.h"
#include "store/audit.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define ROUTE_LIMIT      32
#define ROUTE_NAME_BYTES 40

struct model_body {
    struct str name, provider, base_url, model, api_key, route;
    int64_t context_tokens, reply_tokens, concurrency;
    bool is_enabled;
};

struct route_body {
    struct str name;
    struct field_ids model_ids;
};

struct routes_body {
    struct field_objects routes;
};

/* clang-format off */
static const char *const PROVIDERS[] = {"openai", "ollama", "anthropic", "understudy", NULL};
static const char *const HEALTHS[] = {"unknown", "ok", "failing", "resting", NULL};

static const struct field create_fields[] = {
    {"name", FIELD_TEXT, AT(struct model_body, name), .is_required = true, .min = 1, .max = 80, .help = "What people see; unique."},
    {"provider", FIELD_CHOICE, AT(struct model_body, provider), .is_required = true, .choices = PROVIDERS, .help = "The protocol that the endpoint speaks; openai is also that of llama.cpp, vLLM, LM Studio, KoboldCpp and OpenRouter."},
    {"base_url", FIELD_TEXT, AT(struct model_body, base_url), .max = 500, .help = "Address of the endpoint, with or without /v1."},
    {"model", FIELD_TEXT, AT(struct model_body, model), .max = 200, .help = "The endpoint's name for the model."},
    {"api_key", FIELD_TEXT, AT(struct model_body, api_key), .is_secret = true, .may_be_null = true, .max = 500, .help = "Kept sealed and never shown again."},
    {"context_tokens", FIELD_INT, AT(struct model_body, context_tokens), .min = 512, .max = 10000000, .fallback = "8192", .help = "What a prompt and its reply must fit into."},
    {"reply_tokens", FIELD_INT, AT(struct model_body, reply_tokens), .min = 16, .max = 200000, .fallback = "1024", .help = "The longest reply."},
    {"concurrency", FIELD_INT, AT(struct model_body, concurrency), .max = 10000, .fallback = "0", .help = "Replies at once; who comes later waits in a fair queue. 0: as many as come."},
    {"is_enabled", FIELD_BOOL, AT(struct model_body, is_enabled), .fallback = "true", .help = "A model that is not enabled is left out of every route."},
    {"route", FIELD_TEXT, AT(struct model_body, route), .min = 1, .max = ROUTE_NAME_BYTES, .help = "Also puts the model at the end of this route."},
    {0}};

static const struct field change_fields[] = {
    {"name", FIELD_TEXT, AT(struct model_body, name), .min = 1, .max = 80, .help = "What people see; unique."},
    {"provider", FIELD_CHOICE, AT(struct model_body, provider), .choices = PROVIDERS, .help = "The protocol that the endpoint speaks."},
    {"base_url", FIELD_TEXT, AT(struct model_body, base_url), .max = 500, .help = "Address of the endpoint; with a new one the key must be sent again."},
    {"model", FIELD_TEXT, AT(struct model_body, model), .max = 200, .help = "The endpoint's name for the model."},
    {"api_key", FIELD_TEXT, AT(struct model_body, api_key), .is_secret = true, .may_be_null = true, .max = 500, .help = "A new key; null takes it away."},
    {"context_tokens", FIELD_INT, AT(struct model_body, context_tokens), .min = 512, .max = 10000000, .help = "What a prompt and its reply must fit into."},
    {"reply_tokens", FIELD_INT, AT(struct model_body, reply_tokens), .min = 16, .max = 200000, .help = "The longest reply."},
    {"concurrency", FIELD_INT, AT(struct model_body, concurrency), .max = 10000, .help = "Replies at once; 0: as many as come."},
    {"is_enabled", FIELD_BOOL, AT(struct model_body, is_enabled), .help = "A model that is not enabled is left out of every route."},
    {0}};

static const struct field model_rows[] = {
    {"id", FIELD_ID, .is_required = true},
    {"name", FIELD_TEXT, .is_required = true, .help = "What people see."},
    {"provider", FIELD_CHOICE, .choices = PROVIDERS, .is_required = true},
    {"base_url", FIELD_TEXT, .is_required = true},
    {"model", FIELD_TEXT, .is_required = true, .help = "The endpoint's name for it."},
    {"has_key", FIELD_BOOL, .is_required = true, .help = "A key is kept for it."},
    {"context_tokens", FIELD_INT, .is_required = true},
    {"reply_tokens", FIELD_INT, .is_required = true},
    {"concurrency", FIELD_INT, .is_required = true, .help = "Replies at once; 0: as many as come."},
    {"waiting", FIELD_INT, .is_required = true, .help = "How many wait for it now."},
    {"tokens_scale", FIELD_NUMBER, .is_required = true, .help = "What token estimates are multiplied with, learned from reported usage."},
    {"is_enabled", FIELD_BOOL, .is_required = true},
    {"health", FIELD_CHOICE, .choices = HEALTHS, .is_required = true, .help = "As the last calls found it."},
    {"resting_ms", FIELD_INT, .is_required = true, .help = "How long it is still left alone after failures; 0: it is not."},
    {"revision", FIELD_INT, .is_required = true},
    {"created_at", FIELD_TIME, .is_required = true},
    {"updated_at", FIELD_TIME, .is_required = true},
    {0}};
static const struct shape model_shape = {"Model", model_rows, "A model that this house may use."};

static const struct field route_fields[] = {
    {"name", FIELD_TEXT, AT(struct route_body, name), .is_required = true, .min = 1, .max = ROUTE_NAME_BYTES, .help = "Small letters, digits, '-' and '_'; \"default\" answers when nothing else is said."},
    {"model_ids", FIELD_IDS, AT(struct route_body, model_ids), .is_required = true, .max = ROUTE_LENGTH_LIMIT, .help = "In the order in which they are asked."},
    {0}};
static const struct field routes_fields[] = {
    {"routes", FIELD_OBJECTS, AT(struct routes_body, routes), .is_required = true, .max = ROUTE_LIMIT, .rows = route_fields, .size = sizeof(struct route_body), .help = "All routes; one that is missing is taken away."},
    {0}};
static const struct shape route_shape = {"Route", route_fields, "A named, ordered list of models."};
static const struct field routes_rows[] = {
    {"routes", FIELD_OBJECTS, .shape = &route_shape, .is_list = true, .is_required = true},
    {0}};
static const struct shape routes_shape = {"Routes", routes_rows, "All routes. A route without models is answered by the Understudy."};

static const char *const CHOICE_KINDS[] = {"route", "model", "understudy", NULL};
static const struct field choice_rows[] = {
    {"id", FIELD_TEXT, .is_required = true, .help = "What to send as `model`."},
    {"name", FIELD_TEXT, .is_required = true},
    {"kind", FIELD_CHOICE, .choices = CHOICE_KINDS, .is_required = true},
    {"context_tokens", FIELD_INT, .is_required = true},
    {"reply_tokens", FIELD_INT, .is_required = true},
    {0}};
static const struct shape choice_shape = {"ModelChoice", choice_rows, "Something that a conversation may be answered by."};

static const struct field trial_rows[] = {
    {"ok", FIELD_BOOL, .is_required = true, .help = "The model answered."},
    {"reply", FIELD_TEXT, .is_required = true, .help = "What it said, cut."},
    {"first_token_ms", FIELD_INT, .is_required = true, .may_be_null = true},
    {"total_ms", FIELD_INT, .is_required = true},
    {"error", FIELD_TEXT, .is_required = true, .may_be_null = true, .help = "What went wrong, in plain words."},
    {"models", FIELD_TEXTS, .is_required = true, .help = "The names that the endpoint lists; empty when it does not."},
    {"is_listed", FIELD_BOOL, .is_required = true, .may_be_null = true, .help = "Whether the model's name is among them; null when there is no list."},
    {0}};
static const struct shape trial_shape = {"ModelTest", trial_rows, "What a small talk with the model showed."};
/* clang-format on */

/* --- answers ---------------------------------------------------------------------------------- */

static void write_model(struct json *json, const struct model *model) {
    struct route_health health = route_health(model);
    json_object_begin(json);
    JSON_ID(json, "id", model->id);
    JSON_STR(json, "name", model->name);
    JSON_STR(json, "provider", model->provider);
    JSON_STR(json, "base_url", model->base_url);
    JSON_STR(json, "model", model->model);
    JSON_BOOL(json, "has_key", model->key_sealed.len > 0);
    JSON_INT(json, "context_tokens", model->context_tokens);
    JSON_INT(json, "reply_tokens", model->reply_tokens);
    JSON_INT(json, "concurrency", model->concurrency);
    JSON_INT(json, "waiting", queue_length(model->id));
    JSON_DOUBLE(json, "tokens_scale", model->tokens_scale);
    JSON_BOOL(json, "is_enabled", model->is_enabled);
    JSON_STR(json, "health", str_from(HEALTHS[health.state]));
    JSON_INT(json, "resting_ms", health.resting_ms);
    JSON_INT(json, "revision", model->revision);
    JSON_TIME(json, "created_at", model->created_at);
    JSON_TIME(json, "updated_at", model->updated_at);
    json_object_end(json);
}

static void reply_model(struct request *request, int64_t id, int status) {
    const struct model *model = model_find(id);
    if (model == NULL) /* taken away by somebody else in the same moment */
        return reply_error(request, E_ABSENT);
    reply_etag(request, model->revision);
    write_model(reply_json(request), model);
    reply_send(request, status);
}

static void list_models(struct request *request) {
    struct json *json = reply_list_begin(request);
    const struct model *model;
    for (size_t i = 0; (model = model_at(i)) != NULL; i++)
        write_model(json, model);
    reply_list_end(request, STR_NONE);
}

static void get_model(struct request *request) {
    reply_model(request, request->ids[0], 200);
}

/* --- what may stand in a row ------------------------------------------------------------------ */

static bool has_scheme(struct str url) {
    return str_starts(url, STR("http://")) || str_starts(url, STR("https://"));
}

/* NULL when the address is good. Keys belong into their own field, not into the address. */
const char *model_url_problem(struct str url) {
    ptrdiff_t scheme = str_find(url, STR("://"), 0);
    struct str rest = scheme < 0 ? url : str_slice(url, (size_t)scheme + 3, url.len);
    if (scheme >= 0 && !has_scheme(url))
        return "The address must begin with http:// or https://.";
    if (rest.len == 0 || rest.at[0] == '/' || rest.at[0] == ':')
        return "The address has no host.";
    for (size_t i = 0; i < url.len; i++)
        if ((unsigned char)url.at[i] <= ' ' || url.at[i] == '"' || url.at[i] == '<' ||
            url.at[i] == '\\')
            return "The address has characters that no address has.";
    if (str_find_char(rest, '@', 0) >= 0)
        return "Put the key into its own field, not into the address.";
    return str_find_char(rest, '?', 0) >= 0 || str_find_char(rest, '#', 0) >= 0
               ? "The address ends before '?' and '#'."
               : NULL;
}

/* True when the address, as it was sent, may stand in a row of this provider; else the 422 has been
 * sent. */
static bool check_url(struct request *request, struct str provider, struct str url) {
    bool is_remote = !str_eq(provider, STR("understudy"));
    const char *problem = is_remote ? model_url_problem(str_trim(url)) : NULL;
    if (problem)
        reply_field_problem(request, "base_url", "%s", problem);
    return problem == NULL;
}

/* True when the rest of the row is good; else the 422 has been sent. */
static bool check_row(struct request *request, const struct model *row, struct str api_key) {
    bool is_remote = !str_eq(row->provider, STR("understudy"));
    if (is_remote && str_trim(row->model).len == 0) {
        reply_field_problem(request, "model",
                            "Which model of the endpoint? POST .../test lists their names.");
        return false;
    }
    for (size_t i = 0; i < api_key.len; i++)
        if ((unsigned char)api_key.at[i] <= ' ' || (unsigned char)api_key.at[i] >= 0x7f) {
            reply_field_problem(request, "api_key",
                                "A key has no spaces and only ASCII characters.");
            return false;
        }
    return true;
}

static struct str seal(struct arena *arena, int64_t id, struct str api_key) {
    if (api_key.len == 0)
        return STR_NONE;
    return crypto_seal(arena, keyfile_key(), str_printf(arena, "model:%s", id_text(id).at),
                       api_key);
}

/* With a scheme, without trailing slashes. */
static struct str tidy_url(struct arena *arena, struct str url) {
    return str_trim(url).len ? exchange_base(arena, url) : STR("");
}

/* --- changes ---------------------------------------------------------------------------------- */

struct change {
    struct request *request;
    struct model row;
    struct str route;   /* to be put at the end of; STR_NONE: none */
    int64_t expected;   /* revision; -1: any */
    bool is_name_taken; /* said by the writer */
    const struct routes_body *routes;
    int status;
};

static void reload(void) {
    enum err err = model_reload();
    if (err)
        log_error("model", "the registry could not be read again", LF_Z("error", err_word(err)));
}

static void reply_changed(enum err err, void *ctx) {
    struct change *change = ctx;
    struct request *request = change->request;
    if (err == E_OK)
        reload();
    if (change->is_name_taken)
        reply_problem(request, 409, "There is a model of this name already.");
    else if (err == E_CONFLICT)
        reply_problem(request, 412,
                      "The model has been changed by somebody else since you looked.");
    else if (err)
        reply_error(request, err);
    else
        reply_model(request, change->row.id, change->status);
}

static bool name_is_taken(struct tx *tx, struct change *change) {
    change->is_name_taken = model_name_is_taken(tx, change->row.name, change->row.id);
    return change->is_name_taken;
}

static enum err note(struct tx *tx, const struct change *change, const char *action,
                     const char *what, struct str to) {
    struct request *request = change->request;
    bool is_route = change->routes != NULL;
    return audit_add(
        tx, &(struct audit){.actor_id = request->caller.user_id,
                            .action = str_from(action),
                            .target_kind = is_route ? STR("route") : STR("model"),
                            .target_id = change->row.id,
                            .detail = to.len > 0 ? audit_change(request->arena, what, STR_NONE, to)
                                                 : STR_NONE});
}

static enum err writer_create(struct tx *tx, void *ctx) {
    struct change *change = ctx;
    if (name_is_taken(tx, change))
        return E_CONFLICT;
    enum err err = model_insert(tx, &change->row);
    if (err == E_OK && change->route.len > 0)
        err = route_append(tx, change->route, change->row.id);
    return err ? err : note(tx, change, "model.create", "name", change->row.name);
}

static bool is_route_name(struct str name) {
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return name.len > 0 && name.len <= ROUTE_NAME_BYTES;
}

static void create_model(struct request *request) {
    const struct model_body *body = request->body;
    struct change *change = ARENA_NEW(request->arena, struct change);
    int64_t id = id_new();
    *change =
        (struct change){.request = request, .route = body->route, .expected = -1, .status = 201};
    change->row = (struct model){
        .id = id,
        .name = str_trim(body->name),
        .provider = body->provider,
        .base_url = tidy_url(request->arena, body->base_url),
        .model = str_trim(body->model),
        .key_sealed = seal(request->arena, id, body->api_key),
        .context_tokens = body->context_tokens,
        .reply_tokens = body->reply_tokens,
        .concurrency = body->concurrency,
        .is_enabled = body->is_enabled,
        .updated_at = clock_now_ms(),
    };
    if (change->row.name.len == 0)
        return reply_field_problem(request, "name", "A model needs a name.");
    if (body->route.len && !is_route_name(body->route))
        return reply_field_problem(request, "route", "Small letters, digits, '-' and '_' only.");
    if (check_url(request, body->provider, body->base_url) &&
        check_row(request, &change->row, body->api_key))
        store_write(writer_create, reply_changed, change);
}

static enum err writer_change(struct tx *tx, void *ctx) {
    struct change *change = ctx;
    enum err err =
        name_is_taken(tx, change) ? E_CONFLICT : model_update(tx, &change->row, change->expected);
    return err ? err : note(tx, change, "model.change", "name", change->row.name);
}

#define SENT(member) request_has(request, struct model_body, member)

/* The row as it will be: what was sent over what was there. */
static struct model merged(struct request *request, const struct model *now) {
    const struct model_body *body = request->body;
    struct model row = *now;
    row.name = SENT(name) ? str_trim(body->name) : str_dup(request->arena, now->name);
    row.provider = SENT(provider) ? body->provider : str_dup(request->arena, now->provider);
    row.base_url = SENT(base_url) ? tidy_url(request->arena, body->base_url)
                                  : str_dup(request->arena, now->base_url);
    row.model = SENT(model) ? str_trim(body->model) : str_dup(request->arena, now->model);
    row.key_sealed = SENT(api_key) ? seal(request->arena, now->id, body->api_key)
                                   : str_dup(request->arena, now->key_sealed);
    row.context_tokens = SENT(context_tokens) ? body->context_tokens : now->context_tokens;
    row.reply_tokens = SENT(reply_tokens) ? body->reply_tokens : now->reply_tokens;
    row.concurrency = SENT(concurrency) ? body->concurrency : now->concurrency;
    row.is_enabled = SENT(is_enabled) ? body->is_enabled : now->is_enabled;
    row.updated_at = clock_now_ms();
    return row;
}

static void change_model(struct request *request) {
    const struct model_body *body = request->body;
    const struct model *now = model_find(request->ids[0]);
    if (now == NULL)
        return reply_error(request, E_ABSENT);
    struct change *change = ARENA_NEW(request->arena, struct change);
    *change = (struct change){
        .request = request, .expected = request_expected_revision(request), .status = 200};
    change->row = merged(request, now);
    bool has_moved = !str_eq(change->row.base_url, now->base_url) ||
                     !str_eq(change->row.provider, now->provider);
    if (has_moved && now->key_sealed.len && !SENT(api_key))
        return reply_field_problem(request, "api_key",
                                   "The address has changed, so the key must be entered again.");
    if (change->row.name.len == 0)
        return reply_field_problem(request, "name", "A model needs a name.");
    struct str url = SENT(base_url) ? body->base_url : now->base_url;
    if (check_url(request, change->row.provider, url) &&
        check_row(request, &change->row, SENT(api_key) ? body->api_key : STR_NONE))
        store_write(writer_change, reply_changed, change);
}

static enum err writer_delete(struct tx *tx, void *ctx) {
    struct change *change = ctx;
    enum err err = model_delete(tx, change->row.id);
    return err ? err : note(tx, change, "model.delete", "", STR_NONE);
}

static void reply_deleted(enum err err, void *ctx) {
    struct change *change = ctx;
    if (err)
        return reply_error(change->request, err);
    reload();
    reply_empty(change->request, 204);
}

static void delete_model(struct request *request) {
    struct change *change = ARENA_NEW(request->arena, struct change);
    *change = (struct change){.request = request, .row = {.id = request->ids[0]}};
    store_write(writer_delete, reply_deleted, change);
}

/* --- routes ----------------------------------------------------------------------------------- */

static void write_route(struct json *json, const struct route_list *route) {
    json_object_begin(json);
    JSON_STR(json, "name", route->name);
    JSON_ARRAY(json, "model_ids");
    for (size_t i = 0; i < route->count; i++)
        json_write_id(json, route->model_ids[i]);
    json_array_end(json);
    json_object_end(json);
}

static void list_routes(struct request *request) {
    struct json *json = reply_json(request);
    struct route_list route;
    json_object_begin(json);
    JSON_ARRAY(json, "routes");
    for (size_t at = 0; model_next_route(&at, &route);)
        write_route(json, &route);
    json_array_end(json);
    json_object_end(json);
    reply_send(request, 200);
}

static enum err writer_routes(struct tx *tx, void *ctx) {
    const struct change *change = ctx;
    const struct route_body *routes = change->routes->routes.items;
    enum err err = route_clear(tx);
    for (size_t r = 0; r < change->routes->routes.count && err == E_OK; r++)
        for (size_t i = 0; i < routes[r].model_ids.count && err == E_OK; i++)
            err = route_put(tx, routes[r].name, (int64_t)i, routes[r].model_ids.items[i]);
    for (size_t r = 0; r < change->routes->routes.count && err == E_OK; r++)
        err = note(tx, change, "routes.change", "name", routes[r].name);
    if (err == E_OK && change->routes->routes.count == 0)
        err = note(tx, change, "routes.change", "", STR_NONE);
    return err;
}

static void reply_routes(enum err err, void *ctx) {
    struct change *change = ctx;
    if (err)
        return reply_error(change->request, err);
    reload();
    list_routes(change->request);
}

/* True when no id is unknown or there twice; else the 422 has been sent. */
static bool check_route(struct request *request, const struct route_body *routes, size_t at) {
    const struct field_ids *ids = &routes[at].model_ids;
    char field[48];
    snprintf(field, sizeof field, "routes.%zu.name", at);
    for (size_t i = 0; i < at; i++)
        if (str_eq(routes[i].name, routes[at].name)) {
            reply_field_problem(request, field, "There are two routes of this name.");
            return false;
        }
    if (!is_route_name(routes[at].name)) {
        reply_field_problem(request, field, "Small letters, digits, '-' and '_' only.");
        return false;
    }
    snprintf(field, sizeof field, "routes.%zu.model_ids", at);
    for (size_t i = 0; i < ids->count; i++) {
        bool is_twice = false;
        for (size_t j = 0; j < i; j++)
            is_twice = is_twice || ids->items[j] == ids->items[i];
        if (is_twice || model_find(ids->items[i]) == NULL) {
            reply_field_problem(request, field,
                                is_twice ? "A model stands there twice."
                                         : "There is no such model.");
            return false;
        }
    }
    return true;
}

static void put_routes(struct request *request) {
    const struct routes_body *body = request->body;
    for (size_t i = 0; i < body->routes.count; i++)
        if (!check_route(request, body->routes.items, i))
            return;
    struct change *change = ARENA_NEW(request->arena, struct change);
    *change = (struct change){.request = request, .routes = body};
    store_write(writer_routes, reply_routes, change);
}

/* --- what members may choose ------------------------------------------------------------------ */

static void write_choice(struct json *json, struct str id, struct str name, const char *kind,
                         const struct route_plan *plan) {
    json_object_begin(json);
    JSON_STR(json, "id", id);
    JSON_STR(json, "name", name);
    JSON_STR(json, "kind", str_from(kind));
    JSON_INT(json, "context_tokens", plan->context_tokens);
    JSON_INT(json, "reply_tokens", plan->reply_tokens);
    json_object_end(json);
}

static void list_choices(struct request *request) {
    struct json *json = reply_list_begin(request);
    struct route_list route;
    const struct model *model;
    size_t count = 0;
    for (size_t at = 0; model_next_route(&at, &route); count++) {
        struct route_plan plan = route_plan(route.name);
        write_choice(json, route.name, route.name, plan.is_understudy ? "understudy" : "route",
                     &plan);
    }
    for (size_t i = 0; (model = model_at(i)) != NULL; i++) {
        struct id_text id = id_text(model->id);
        struct route_plan plan = route_plan(str_from(id.at));
        if (model->is_enabled)
            write_choice(json, str_from(id.at), model->name, "model", &plan);
    }
    if (count == 0) { /* no route: the Understudy answers to "default" */
        struct route_plan plan = route_plan(STR("default"));
        write_choice(json, STR("default"), plan.model_name, "understudy", &plan);
    }
    reply_list_end(request, STR_NONE);
}

/* --- the test --------------------------------------------------------------------------------- */

static void reply_trial(void *ctx, const struct trial_result *result) {
    struct request *request = ctx;
    request_on_gone(request, NULL, NULL);
    struct json *json = reply_json(request);
    json_object_begin(json);
    JSON_BOOL(json, "ok", result->error.len == 0);
    JSON_STR(json, "reply", result->reply);
    json_key(json, STR("first_token_ms"));
    if (result->first_token_ms < 0)
        json_write_null(json);
    else
        json_write_int(json, result->first_token_ms);
    JSON_INT(json, "total_ms", result->total_ms);
    JSON_STR(json, "error", result->error);
    JSON_ARRAY(json, "models");
    for (size_t i = 0; i < result->model_count; i++)
        json_write_str(json, result->models[i]);
    json_array_end(json);
    json_key(json, STR("is_listed"));
    if (result->model_count == 0)
        json_write_null(json);
    else
        json_write_bool(json, result->is_listed);
    json_object_end(json);
    reply_send(request, 200);
}

static void on_gone(struct request *request, void *ctx) {
    (void)request;
    trial_cancel(ctx);
}

static void test_model(struct request *request) {
    const struct model *model = model_find(request->ids[0]);
    if (model == NULL)
        return reply_error(request, E_ABSENT);
    struct trial *trial = trial_start(model, reply_trial, request);
    request_on_gone(request, on_gone, trial);
}

/* clang-format off */
const struct route model_routes[] = {
    {METHOD_GET, "/api/v1/admin/models", list_models, WHO_ADMIN, SCOPE_ADMIN, .tag = "models", .operation = "listModels", .summary = "Lists every model of this house, with its health.", .answer = &model_shape, .answer_is_list = true},
    {METHOD_POST, "/api/v1/admin/models", create_model, WHO_ADMIN, SCOPE_ADMIN, .body = create_fields, .body_size = sizeof(struct model_body), .tag = "models", .operation = "createModel", .summary = "Adds a model.", .status = 201, .answer = &model_shape},
    {METHOD_GET, "/api/v1/admin/models/{id}", get_model, WHO_ADMIN, SCOPE_ADMIN, .tag = "models", .operation = "getModel", .summary = "Shows one model.", .answer = &model_shape},
    {METHOD_PATCH, "/api/v1/admin/models/{id}", change_model, WHO_ADMIN, SCOPE_ADMIN, .body = change_fields, .body_size = sizeof(struct model_body), .tag = "models", .operation = "changeModel", .summary = "Changes a model; takes effect with the next reply.", .answer = &model_shape},
    {METHOD_DELETE, "/api/v1/admin/models/{id}", delete_model, WHO_ADMIN, SCOPE_ADMIN, .tag = "models", .operation = "deleteModel", .summary = "Takes a model away, also from its routes.", .status = 204},
    {METHOD_POST, "/api/v1/admin/models/{id}/test", test_model, WHO_ADMIN, SCOPE_ADMIN, .tag = "models", .operation = "testModel", .summary = "Has a very small talk with the model and tells what happened.", .answer = &trial_shape},
    {METHOD_GET, "/api/v1/admin/routes", list_routes, WHO_ADMIN, SCOPE_ADMIN, .tag = "models", .operation = "listRoutes", .summary = "Lists the routes.", .answer = &routes_shape},
    {METHOD_PUT, "/api/v1/admin/routes", put_routes, WHO_ADMIN, SCOPE_ADMIN, .body = routes_fields, .body_size = sizeof(struct routes_body), .tag = "models", .operation = "putRoutes", .summary = "Replaces all routes.", .answer = &routes_shape},
    {METHOD_GET, "/api/v1/ai/models", list_choices, WHO_MEMBER, SCOPE_READ, .tag = "models", .operation = "listModelChoices", .summary = "Lists what conversations may be answered by.", .answer = &choice_shape, .answer_is_list = true},
    {0}};
/* clang-format on */
