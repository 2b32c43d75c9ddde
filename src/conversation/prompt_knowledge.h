/* What a character knows from documents, as a part of the prompt: numbered, cited, fenced as data. */
#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "net/field.h"

/* One chunk; all in the arena of the prompt. */
struct prompt_knowledge {
    int64_t chunk_id, document_id;
    struct str document, heading, content;
    double score, meaning, words;
    int64_t tokens;
    bool is_dropped; /* there was no room */
};

/* The part's text: what fits into `budget_tokens`, best first. Sets tokens and is_dropped of each.
 * STR_NONE when nothing is left. */
struct str prompt_knowledge_text(struct arena *arena, struct prompt_knowledge *knowledge,
                                 size_t count, int64_t budget_tokens, double scale);
void prompt_knowledge_write(struct json *json, const struct prompt_knowledge *knowledge);
extern const struct shape prompt_knowledge_shape;
