/* A very small talk with a model, to see whether it works: what it says, how fast, and which models
 * its endpoint lists. Nothing of it is stored. */
#pragma once

#include "model/model.h"

#define TRIAL_MODEL_LIMIT 200

struct trial;

struct trial_result {
    struct str reply;
    int64_t first_token_ms; /* -1: none came */
    int64_t total_ms;
    struct str error; /* in plain words; STR_NONE: it works */
    const struct str *models;
    size_t model_count;
    bool is_listed; /* the model's own name is among them */
};

/* done comes once, later; the result is borrowed during the call. The model may change meanwhile.
 */
struct trial *trial_start(const struct model *model,
                          void (*done)(void *ctx, const struct trial_result *result), void *ctx);
void trial_cancel(struct trial *trial); /* done still comes */
