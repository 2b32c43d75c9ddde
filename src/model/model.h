/* The registry of models: what model_api.c edits, route.c asks. Cached on the loop thread; the rows
 * are few. */
#pragma once

#include "model/chat.h"

#define MODEL_LIMIT 512 /* more than anybody registers; the API refuses the next one */

struct model {
    int64_t id;
    struct str name;
    struct str provider;
    struct str base_url;
    struct str model;
    struct str key_sealed; /* opened only for a call */
    int64_t context_tokens;
    int64_t reply_tokens;
    double tokens_scale;
    int64_t concurrency; /* calls at once; 0: as many as come */
    bool is_enabled;
    int64_t revision;
    int64_t created_at;
    int64_t updated_at;
};

/* Loads the registry; called at start and after every change. */
MUST_USE enum err model_reload(void);
const struct model *model_find(int64_t id);
const struct model *model_at(size_t index); /* in the order of their names; NULL past the end */
/* True when its endpoint is on this machine or in a private network: there one request usually holds
 * up the next. */
bool model_is_local(const struct model *model);
/*
 * The enabled models of a route in order; gives the count (0: the Understudy speaks). A model's own
 * id, as text, is a route of one. Pointers are valid until the registry is loaded again.
 */
#define ROUTE_LENGTH_LIMIT 16
size_t model_route(struct str route, const struct model *models[ROUTE_LENGTH_LIMIT]);
/* Every route, as it is stored, by name. Start with *at = 0; false past the end. */
struct route_list {
    struct str name;
    int64_t model_ids[ROUTE_LENGTH_LIMIT];
    size_t count;
};
bool model_next_route(size_t *at, struct route_list *route);
/* Remembers a better scale of the token estimate; written behind, now and then. */
void model_note_scale(int64_t id, double scale);
void model_release(void);
/* Fills an endpoint from a model; opens the key into the arena. */
MUST_USE enum err model_endpoint(struct arena *arena, const struct model *model,
                                 struct chat_endpoint *endpoint);
/* A usage row, inside the transaction that keeps the reply. */
struct usage_record {
    int64_t user_id, conversation_id, message_id, model_id;
    const char *task;    /* "chat", "memory" */
    const char *outcome; /* 'complete', 'stopped', 'interrupted', 'failed' */
    int64_t prompt_tokens, reply_tokens;
    bool is_estimated;
    int64_t first_token_ms; /* -1: none came */
    int64_t total_ms;
};
struct tx;
MUST_USE enum err model_record_usage(struct tx *tx, const struct usage_record *usage);
