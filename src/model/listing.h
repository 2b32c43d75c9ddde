/* The names of models in what endpoints answer to "which models have you?", in all their shapes. */
#pragma once

#include "base/arena.h"
#include "base/json.h"

struct listing {
    struct str *names; /* the arena's */
    size_t count;
    int64_t context_tokens; /* of the first model that says; 0: none does */
};

/* An object with `data` (OpenAI), with `models` (Ollama), or a bare array (Together). At most
 * `limit` names; duplicates once. */
struct listing listing_read(struct arena *arena, const struct json_value *document, size_t limit);
