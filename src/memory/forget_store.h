/* The SQL of forgetting: what keeps things from coming back, and what goes. See memory_store.h. */
#pragma once

#include "memory/memory.h"

/* --- what does not come back -------------------------------------------------------------------- */

/* Whether a fact of this identity was forgotten here: told from a digest, the words are nowhere. */
bool memory_store_is_forgotten(struct db *db, int64_t conversation_id, struct str identity);
MUST_USE enum err memory_store_forget_identity(struct tx *tx, int64_t conversation_id,
                                               struct str identity);
/* Nothing is learnt from or recalled of this message any more. A message of another conversation
 * stays as it is. */
MUST_USE enum err memory_store_withhold(struct tx *tx, int64_t conversation_id, int64_t message_id);
bool memory_store_is_withheld(struct db *db, int64_t message_id);
/* Messages of a conversation that an FTS5 expression over `text` finds. Up to `limit`. */
MUST_USE enum err memory_store_mentions(struct db *db, int64_t conversation_id, struct str match,
                                        int64_t *ids, size_t limit, size_t *count);

/* --- what goes ---------------------------------------------------------------------------------- */

/* Answers that were kept for repeats and show this fact, in whatever words it had then. */
MUST_USE enum err memory_store_forget_answers(struct tx *tx, int64_t user_id, int64_t fact_id);
/* Facts, episodes and summaries of a conversation; not their vectors, nor how the two stand. */
MUST_USE enum err memory_store_forget_all(struct tx *tx, int64_t conversation_id);

/* --- recorded prompts --------------------------------------------------------------------------- */

struct memory_prompt {
    int64_t message_id, place; /* of a reply, and of its variant */
    struct str record;         /* deflated */
};
/* Prompts of a conversation recorded since a moment (ms), those behind `after` (message 0: from the
 * first), by message and place. Up to `limit`. */
MUST_USE enum err memory_store_prompts(struct db *db, struct arena *arena, int64_t conversation_id,
                                       int64_t since, const struct memory_prompt *after,
                                       struct memory_prompt *items, size_t limit, size_t *count);
MUST_USE enum err memory_store_save_prompt(struct tx *tx, const struct memory_prompt *prompt);
