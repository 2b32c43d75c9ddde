/* Documents and their chunks in SQL. */
#pragma once

#include "character/document.h"
#include "model/index.h"
#include "store/store.h"

struct knowledge_document {
    int64_t id, character_id, bytes, chunk_count, added_by, created_at;
    struct str name;
};

struct knowledge_chunk {
    int64_t id, document_id, character_id, place;
    struct str heading, content, document_name;
};

MUST_USE enum err knowledge_documents(struct db *db, struct arena *arena, int64_t character_id,
                                      size_t limit, struct knowledge_document *documents,
                                      size_t *count);
bool knowledge_is_there(struct db *db, int64_t character_id); /* any at all: one look */
MUST_USE enum err knowledge_chunk_load(struct db *db, struct arena *arena, int64_t id,
                                       struct knowledge_chunk *chunk);
/* Chunks of this character that have any of the words (an FTS5 query), best first. */
MUST_USE enum err knowledge_search(struct db *db, int64_t character_id, struct str query,
                                   size_t limit, int64_t *ids, size_t *count);
MUST_USE enum err knowledge_chunks_after(struct db *db, int64_t after, size_t limit,
                                         struct index_place *places, size_t *count);

MUST_USE enum err knowledge_add_document(struct tx *tx, const struct knowledge_document *document);
MUST_USE enum err knowledge_add_chunk(struct tx *tx, const struct knowledge_chunk *chunk);
/* Up to `limit` ids of a document's chunks: those that its removal takes along. */
MUST_USE enum err knowledge_chunk_ids(struct db *db, int64_t document_id, size_t limit,
                                      int64_t *ids, size_t *count);
/* E_ABSENT: not a document of this character. */
MUST_USE enum err knowledge_remove_document(struct tx *tx, int64_t character_id,
                                            int64_t document_id);
MUST_USE enum err knowledge_remove_words(struct tx *tx, int64_t chunk_id);
