/* What was learnt, as recall finds it: facts, episodes and summaries with their texts, beside the
 * turns. */
#pragma once

#include "memory/memory.h"
#include "memory/score.h"

enum recall_kind { RECALL_MESSAGE, RECALL_FACT, RECALL_EPISODE, RECALL_SUMMARY };

struct learnt {
    enum recall_kind kind;
    int64_t id, conversation_id;
    int64_t message_id; /* the first source, or the first message that is covered; 0: none */
    int64_t at_ms;
    int side; /* whom it is about: enum memory_side, or -1 */
    struct str text;
    const int64_t *sources; /* of a fact */
    size_t source_count;
    bool has_vector;
    float cosine; /* of the question with its best sentence */
};

/* What holds now, of these kinds (bits), by id. */
MUST_USE enum err learnt_load(struct db *db, struct arena *arena, const struct memory_scope *scope,
                              unsigned kinds, struct learnt **items, size_t *count);
/* NULL when there is none of that id. */
struct learnt *learnt_find(struct learnt *items, size_t count, int64_t id);
