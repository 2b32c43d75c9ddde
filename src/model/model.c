/*
 * The registry in memory: all models and routes, read at start and after each change, swapped as
 * one. It is asked for every reply and changed once in a month.
 *
 * Keys stay sealed here. One is opened for a call, into the caller's arena, and its bytes are wiped
 * when that arena goes.
 */
#include "model/model.h"

#include "base/check.h"
#include "base/id.h"
#include "base/keyfile.h"
#include "base/log.h"
#include "model/model_store.h"
#include "model/queue.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define SCALE_WORTH_WRITING 0.02 /* a smaller change is below what the estimate is good for */

static struct {
    struct arena arena;
    struct model_list models;
    struct route_rows routes;
    bool is_loaded;
} registry;

enum err model_reload(void) {
    struct arena arena;
    struct model_list models;
    struct route_rows routes;
    arena_init(&arena);
    enum err err = models_load(store_reader(), &arena, &models);
    if (err == E_OK)
        err = routes_load(store_reader(), &arena, &routes);
    if (err) {
        arena_release(&arena);
        return err;
    }
    model_release();
    registry.arena = arena;
    registry.models = models;
    registry.routes = routes;
    registry.is_loaded = true;
    queue_look_again();
    return E_OK;
}

void model_release(void) {
    if (registry.is_loaded)
        arena_release(&registry.arena);
    registry.is_loaded = false;
    registry.models = (struct model_list){0};
    registry.routes = (struct route_rows){0};
}

const struct model *model_at(size_t index) {
    return index < registry.models.count ? &registry.models.items[index] : NULL;
}

static struct model *find(int64_t id) {
    for (size_t i = 0; i < registry.models.count; i++)
        if (registry.models.items[i].id == id)
            return &registry.models.items[i];
    return NULL;
}

const struct model *model_find(int64_t id) {
    return find(id);
}

static struct str host_of(struct str url) {
    ptrdiff_t scheme = str_find(url, STR("://"), 0);
    size_t from = scheme < 0 ? 0 : (size_t)scheme + 3;
    bool is_six = from < url.len && url.at[from] == '[';
    size_t to = from += is_six;
    while (to < url.len && url.at[to] != '/' && url.at[to] != (is_six ? ']' : ':'))
        to++;
    return str_slice(url, from, to);
}

bool model_is_local(const struct model *model) {
    static const char *const beginnings[] = {"127.", "10.", "192.168.", "169.254.",
                                             "fe80", "fd",  "fc"};
    struct str host = host_of(model->base_url);
    int64_t second = 0;
    if (str_find_char(host, '.', 0) < 0 && str_find_char(host, ':', 0) < 0)
        return true; /* localhost, a name in the house's network or of a container */
    if (str_eq(host, STR("::1")) || str_ends(host, STR(".local")) || str_ends(host, STR(".lan")) ||
        str_ends(host, STR(".internal")))
        return true;
    for (size_t i = 0; i < COUNT_OF(beginnings); i++)
        if (str_starts(host, str_from(beginnings[i])) &&
            (beginnings[i][0] != 'f' || str_find_char(host, ':', 0) > 0))
            return true;
    struct str rest = host, part;
    bool is_172 = str_next(&rest, '.', &part) && str_eq(part, STR("172")) &&
                  str_next(&rest, '.', &part) && str_to_int(part, &second) == E_OK;
    return is_172 && second >= 16 && second <= 31;
}

size_t model_route(struct str route, const struct model *models[ROUTE_LENGTH_LIMIT]) {
    size_t count = 0;
    for (size_t i = 0; i < registry.routes.count && count < ROUTE_LENGTH_LIMIT; i++) {
        if (!str_eq(registry.routes.items[i].name, route))
            continue;
        const struct model *model = model_find(registry.routes.items[i].model_id);
        if (model && model->is_enabled)
            models[count++] = model;
    }
    int64_t id;
    if (count == 0 && id_parse(route, &id) == E_OK) {
        const struct model *model = model_find(id);
        if (model && model->is_enabled)
            models[count++] = model;
    }
    return count;
}

bool model_next_route(size_t *at, struct route_list *route) {
    if (*at >= registry.routes.count)
        return false;
    *route = (struct route_list){.name = registry.routes.items[*at].name};
    for (; *at < registry.routes.count && str_eq(registry.routes.items[*at].name, route->name);
         ++*at)
        if (route->count < ROUTE_LENGTH_LIMIT)
            route->model_ids[route->count++] = registry.routes.items[*at].model_id;
    return true;
}

/* --- endpoints -------------------------------------------------------------------------------- */

static enum err open_key(struct arena *arena, const struct model *model, struct str *key) {
    *key = STR_NONE;
    if (model->key_sealed.len == 0)
        return E_OK;
    struct str context = str_printf(arena, "model:%s", id_text(model->id).at);
    enum err err = keyfile_unseal(arena, context, model->key_sealed, key);
    if (err != E_OK)
        log_error("model", "a sealed key could not be opened; enter it again",
                  LF_ID("model", model->id));
    return err;
}

enum err model_endpoint(struct arena *arena, const struct model *model,
                        struct chat_endpoint *endpoint) {
    *endpoint = (struct chat_endpoint){
        .model_id = model->id,
        .name = str_dup(arena, model->name),
        .base_url = str_dup(arena, model->base_url),
        .model = str_dup(arena, model->model),
        .context_tokens = model->context_tokens,
    };
    return open_key(arena, model, &endpoint->api_key);
}

/* --- the scale of the token estimate ---------------------------------------------------------- */

struct scale_write {
    int64_t id;
    double scale;
};

static enum err write_scale(struct tx *tx, void *ctx) {
    const struct scale_write *write = ctx;
    return model_set_scale(tx, write->id, write->scale);
}

static void scale_written(enum err err, void *ctx) {
    if (err)
        log_warn("model", "the scale of an estimate could not be stored",
                 LF_Z("error", err_word(err)));
    free(ctx);
}

void model_note_scale(int64_t id, double scale) {
    struct model *model = find(id);
    if (model == NULL || fabs(scale - model->tokens_scale) < SCALE_WORTH_WRITING)
        return;
    model->tokens_scale = scale;
    struct scale_write *write = malloc(sizeof *write);
    BUG_IF(write == NULL);
    *write = (struct scale_write){id, scale};
    store_write(write_scale, scale_written, write);
}
