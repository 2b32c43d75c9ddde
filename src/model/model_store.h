/* SQL of the registry: models, routes, usage. */
#pragma once

#include "model/model.h"
#include "store/store.h"

struct model_list {
    struct model *items;
    size_t count;
};

struct route_row {
    struct str name;
    int64_t place;
    int64_t model_id;
};

struct route_rows {
    struct route_row *items;
    size_t count;
};

MUST_USE enum err models_load(struct db *db, struct arena *arena,
                              struct model_list *models); /* by name */
MUST_USE enum err routes_load(struct db *db, struct arena *arena,
                              struct route_rows *rows); /* by name, place */

/* Whether another model than `id` has this name. */
bool model_name_is_taken(struct tx *tx, struct str name, int64_t id);
/* `model->key_sealed` STR_NONE: no key. E_LIMIT: there are too many. */
MUST_USE enum err model_insert(struct tx *tx, const struct model *model);
/* Writes every column. E_ABSENT; E_CONFLICT when the revision is not `expected` (-1: any). */
MUST_USE enum err model_update(struct tx *tx, const struct model *model, int64_t expected);
MUST_USE enum err model_delete(struct tx *tx, int64_t id); /* also from its routes. E_ABSENT */
MUST_USE enum err model_set_scale(struct tx *tx, int64_t id, double scale);

MUST_USE enum err route_clear(struct tx *tx);
MUST_USE enum err route_put(struct tx *tx, struct str name, int64_t place, int64_t model_id);
MUST_USE enum err route_append(struct tx *tx, struct str name,
                               int64_t model_id); /* at the end; nothing when it is there */
