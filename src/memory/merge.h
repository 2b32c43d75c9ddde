/* What is learnt meets what is known: the same is counted once, the new closes what it contradicts. */
#pragma once

#include "memory/extract.h"

struct merge {
    struct memory_scope scope;
    const char *made_by; /* "model", "rules", "person" */
    bool is_final;       /* no approval is needed, whatever the scope says */
    int64_t now;
    /* out */
    size_t added, repeated, closed, refused;
    int64_t added_id; /* the last that was added, or repeated */
};
/* Inside a write. */
MUST_USE enum err writer_merge(struct tx *tx, const struct memory_items *items,
                               struct merge *merge);
/* A proposed fact is accepted: it closes what it contradicts, or what it says is over. */
MUST_USE enum err writer_accept(struct tx *tx, struct memory_fact *fact,
                                const struct memory_scope *scope, int64_t now);
