/* The SQL of what sums up a talk: summaries and episodes. See memory_store.h; the lists are in
 * memory.h, because prompts need them too. */
#pragma once

#include "memory/memory.h"

/* --- summaries: one of a kind in a conversation ------------------------------------------------- */

/* E_ABSENT when there is none of this kind. */
MUST_USE enum err memory_store_summary(struct db *db, struct arena *arena, int64_t conversation_id,
                                       struct str kind, struct memory_summary *summary);
MUST_USE enum err memory_store_summary_by_id(struct db *db, struct arena *arena, int64_t id,
                                             struct memory_summary *summary);
/* New, or instead of the one of its kind, whose id and moment of making stay; raises the revision. */
MUST_USE enum err memory_store_save_summary(struct tx *tx, const struct memory_summary *summary);
MUST_USE enum err memory_store_remove_summary(struct tx *tx, int64_t id);
/* Ids above `after`, of everybody, by id: for a rebuild of the index. Up to `limit`. */
MUST_USE enum err memory_store_next_summary(struct db *db, int64_t after, size_t limit,
                                            int64_t *ids, size_t *count);

/* --- episodes ----------------------------------------------------------------------------------- */

/* E_ABSENT. */
MUST_USE enum err memory_store_episode(struct db *db, struct arena *arena, int64_t id,
                                       struct memory_episode *episode);
/* New, or instead of the one with its id; raises the revision. */
MUST_USE enum err memory_store_save_episode(struct tx *tx, const struct memory_episode *episode);
MUST_USE enum err memory_store_remove_episode(struct tx *tx, int64_t id);
MUST_USE enum err memory_store_next_episode(struct db *db, int64_t after, size_t limit,
                                            int64_t *ids, size_t *count);
/* Whether an episode waits to be made anew. */
bool memory_store_has_stale(struct db *db, int64_t conversation_id);

/* --- both --------------------------------------------------------------------------------------- */

/* A covered message (ids from .. to) has changed: what covers it is to be made anew. */
MUST_USE enum err memory_store_make_stale(struct tx *tx, int64_t conversation_id, int64_t from,
                                          int64_t to);
