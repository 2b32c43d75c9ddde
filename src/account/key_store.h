/* The SQL of keys, of people and of the house. See account_store.h. */
#pragma once

#include "account/account.h"

struct api_key {
    int64_t id, user_id;
    struct str name, hint, scopes;
    uint8_t hash[32];
    int64_t created_at, expires_at, last_used_at;
};
/* Those that were not revoked, newest first. */
MUST_USE enum err api_key_list(struct db *db, struct arena *arena, int64_t user_id,
                               struct api_key **items, size_t *count);
/* E_LIMIT when they have as many as one can have. */
MUST_USE enum err api_key_insert(struct tx *tx, const struct api_key *key);
/* E_ABSENT when it is not theirs or revoked already. */
MUST_USE enum err api_key_revoke(struct tx *tx, int64_t user_id, int64_t id, int64_t now);
/* All of a person. */
MUST_USE enum err api_keys_revoke(struct tx *tx, int64_t user_id, int64_t now);
MUST_USE enum err api_key_touch(struct tx *tx, int64_t id, int64_t now);
/* Who shows it. E_DENIED when it is nobody's, over or revoked, or its person is disabled or gone. */
MUST_USE enum err api_key_caller(struct db *db, const uint8_t hash[32], int64_t now,
                                 struct caller *caller);

struct signing_key_row {
    struct str kid, secret_sealed;
    int64_t retired_at;
};
/* The one that signs first, then those that only verify, newest first. */
MUST_USE enum err signing_key_list(struct db *db, struct arena *arena,
                                   struct signing_key_row **items, size_t *count);
/* It signs from now on; the one before is retired. */
MUST_USE enum err signing_key_insert(struct tx *tx, struct str kid, struct str secret_sealed,
                                     int64_t now);
