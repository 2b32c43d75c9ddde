/*
 * Characters by meaning: what they are about as vectors, so that "somebody who repairs clocks"
 * finds the watchmaker, and a character leads to others like it. The vectors lie in one space of
 * the store; without an encoder likeness goes by shared tags, and a search stays one by words.
 */
#pragma once

#include "base/arena.h"
#include "character/character.h"
#include "model/index.h"

#define CHARACTER_SPACE 1 /* vector_space.id: the house's own, below every id that is made */

extern const struct index_kind character_kind;

/* Inside a write: this character appeared, changed, went to the trash or came back. */
MUST_USE enum err character_touch(struct tx *tx, int64_t character_id);

/* Ids, the most like first, without `character_id` itself; of everybody's: the caller leaves out
 * what its reader may not see. Pool thread. E_ABSENT: it has no vectors (yet). */
MUST_USE enum err pool_characters_like(int64_t character_id, struct index_encoder encoder,
                                       int64_t *ids, size_t limit, size_t *count);
/* The same for what somebody looks for, as a vector of encoder.dims. */
MUST_USE enum err pool_characters_meant(const float *question, struct index_encoder encoder,
                                        int64_t *ids, size_t limit, size_t *count);
