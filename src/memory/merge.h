/* What is learnt meets what is known: the same is counted once, the new closes what it contradicts. */
#pragma once

#include "memory/extract.h"

#define FACTS_LIMIT 20000 /* of one talk, those that are over among them: decades of it */

struct merge {
    struct memory_scope scope;
    const char *made_by; /* "model", "rules", "person" */
    bool is_final;       /* no approval is needed, whatever the scope says */
    int64_t now;
    /* out */
    size_t added, repeated, closed, refused;
    int64_t added_id; /* the last that was added, or repeated */
};
/* Inside a write. A talk that is full learns nothing new (refused); E_LIMIT when a person adds to it. */
MUST_USE enum err writer_merge(struct tx *tx, const struct memory_items *items,
                               struct merge *merge);
/* A proposed fact is accepted: it closes what it contradicts, or what it says is over. */
MUST_USE enum err writer_accept(struct tx *tx, struct memory_fact *fact,
                                const struct memory_scope *scope, int64_t now);
