/* What is remembered, as a part of the prompt: chosen within a budget, in the order of time, fenced
 * as data. */
#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "memory/score.h"
#include "net/field.h"

/* One thing that is remembered; all in the arena of the prompt. */
struct prompt_memory {
    const char *kind; /* "message", "fact" */
    int64_t id, message_id;
    int64_t conversation_id; /* where it was said: with shared memory another talk than this one */
    struct str speaker;      /* of a message */
    int64_t said_at;
    struct str text;
    double score;
    float signals[SIGNAL_COUNT]; /* of a message; see score.h */
    int64_t tokens;              /* what its line takes */
    bool is_dropped;             /* there was no room */
};

/*
 * The part's text: what fits into `budget_tokens` (after `scale`), best first, put into the order of
 * time. Sets tokens and is_dropped of each. STR_NONE when nothing is left.
 */
struct str prompt_memory_text(struct arena *arena, struct prompt_memory *memories, size_t count,
                              int64_t budget_tokens, double scale);
void prompt_memory_write(struct json *json, const struct prompt_memory *memory);
extern const struct shape prompt_memory_shape;
