/* The SQL of personas. See account_store.h. */
#pragma once

#include "account/account.h"

/* By id: all that a person has. */
MUST_USE enum err persona_list(struct db *db, struct arena *arena, int64_t user_id,
                               struct persona **items, size_t *count);
/* Of this person only; E_ABSENT, as of all below. */
MUST_USE enum err persona_load(struct db *db, struct arena *arena, int64_t user_id,
                               int64_t persona_id, struct persona *persona);
MUST_USE enum err persona_load_default(struct db *db, struct arena *arena, int64_t user_id,
                                       struct persona *persona);
/* E_LIMIT when they have as many as one can have. A default takes the place of the one before. */
MUST_USE enum err persona_insert(struct tx *tx, int64_t user_id, const struct persona *persona,
                                 int64_t now);
MUST_USE enum err persona_update(struct tx *tx, int64_t user_id, const struct persona *persona,
                                 int64_t now);
MUST_USE enum err persona_delete(struct tx *tx, int64_t user_id, int64_t persona_id);
