/*
 * What a character knows from documents: added, removed, and asked for what fits a question, by
 * words and by meaning. A chunk is cited by its document and its heading.
 */
#pragma once

#include "character/knowledge_store.h"

#define KNOWLEDGE_DOCUMENTS_LIMIT 100 /* of a character */
#define KNOWLEDGE_HITS_LIMIT      12

extern const struct index_kind knowledge_kind;

/* In one write; ids are filled in. E_LIMIT: the character has as many as it can have. */
MUST_USE enum err knowledge_add(struct tx *tx, struct knowledge_document *document,
                                const struct chunk *chunks);
MUST_USE enum err knowledge_remove(struct tx *tx, int64_t character_id, int64_t document_id);
/* The character is deleted for good. */
MUST_USE enum err knowledge_drop(struct tx *tx, int64_t character_id);

struct knowledge_hit {
    struct knowledge_chunk chunk;
    double meaning; /* cosine, 0 without an encoder */
    double words;   /* share of the question's words that it has */
    double score;
};

struct knowledge_ask {
    int64_t character_id;
    struct str text; /* copied */
    size_t limit;    /* at most KNOWLEDGE_HITS_LIMIT */
    int64_t deadline_ms;
};

/* Best first; only what is worth telling. Borrowed during the call. */
typedef void (*knowledge_done_fn)(enum err err, const struct knowledge_hit *hits, size_t count,
                                  void *ctx);
struct knowledge_search;
/* done comes exactly once, on the loop, later, unless it is cancelled. */
struct knowledge_search *knowledge_start(const struct knowledge_ask *ask, knowledge_done_fn done,
                                         void *ctx);
/* done does not come any more. Not after done. */
void knowledge_cancel(struct knowledge_search *search);
