/* The SQL of facts: with the messages that they come from and their words. See memory_store.h. */
#pragma once

#include "memory/memory.h"

/* Pinned first, then by importance, then newest; without their sources. `all`: also those that wait,
 * were replaced or are over. At most `limit`. */
MUST_USE enum err memory_store_facts(struct db *db, struct arena *arena,
                                     const struct memory_scope *scope, bool all, size_t limit,
                                     struct memory_fact **facts, size_t *count);
/* Of whomever it is, without its sources; E_ABSENT. */
MUST_USE enum err memory_store_fact(struct db *db, struct arena *arena, int64_t id,
                                    struct memory_fact *fact);
/* Of a conversation, those that are over among them. */
int64_t memory_store_fact_count(struct db *db, int64_t conversation_id);
/* Fills in sources. */
MUST_USE enum err memory_store_sources(struct db *db, struct arena *arena,
                                       struct memory_fact *fact);
/* With its words and sources; revision 1, whatever the struct says. */
MUST_USE enum err memory_store_insert(struct tx *tx, const struct memory_fact *fact);
/* Everything that can change; raises the revision. */
MUST_USE enum err memory_store_update(struct tx *tx, const struct memory_fact *fact);
/* Twice is once. A message that has gone meanwhile is no source. */
MUST_USE enum err memory_store_add_source(struct tx *tx, int64_t fact_id, int64_t message_id);
/* It stood in a prompt. */
MUST_USE enum err memory_store_use(struct tx *tx, int64_t fact_id, int64_t now);
/* Row, words and sources; not the vectors. */
MUST_USE enum err memory_store_remove(struct tx *tx, int64_t fact_id);
/* Ids of facts that nothing but changed messages of a range speaks for; never a person's own or a
 * pinned one. Up to `limit`. */
MUST_USE enum err memory_store_unsupported(struct db *db, int64_t conversation_id, int64_t from,
                                           int64_t to, int64_t *ids, size_t limit, size_t *count);
/* Ids above `after`, of everybody, by id: for a rebuild of the index. Up to `limit`. */
MUST_USE enum err memory_store_next(struct db *db, int64_t after, size_t limit, int64_t *ids,
                                    size_t *count);
