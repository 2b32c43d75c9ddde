/* The SQL of invitations. See account_store.h. */
#pragma once

#include "account/account.h"

struct invite {
    int64_t id;
    struct str code, role, note;
    int64_t uses_left, created_by, created_at, expires_at;
};
/* Newest first, before `before_id` (0: from the end), without those that were revoked. */
MUST_USE enum err invite_list(struct db *db, struct arena *arena, int64_t before_id, size_t limit,
                              struct invite **items, size_t *count);
MUST_USE enum err invite_insert(struct tx *tx, const struct invite *invite);
/* *role is what the invited would have become. E_ABSENT when there is none, or it is revoked already. */
MUST_USE enum err invite_revoke(struct tx *tx, struct arena *arena, int64_t id, int64_t now,
                                struct str *role);
/* Takes one use; *role is what the invited become. E_DENIED when the code is unknown, used up, over
 * or revoked. */
MUST_USE enum err invite_use(struct tx *tx, struct arena *arena, struct str code, int64_t now,
                             struct str *role);
