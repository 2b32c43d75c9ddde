/* The SQL of signing in: sessions, refresh tokens, failures. See account_store.h. */
#pragma once

#include "account/account.h"

/* --- sessions: moments are ms -------------------------------------------------------------------- */

struct session {
    int64_t id, user_id;
    struct str device, address;
    int64_t created_at, last_used_at, expires_at, revoked_at;
};
/* Those that live at `now`, newest first; no more than are shown. */
MUST_USE enum err session_list(struct db *db, struct arena *arena, int64_t user_id, int64_t now,
                               struct session **items, size_t *count);
MUST_USE enum err session_insert(struct tx *tx, const struct session *session);
/* Ends one session of a user, or all but `except_id` when session_id is 0. E_ABSENT when a named
 * one is not theirs or over. */
MUST_USE enum err session_revoke(struct tx *tx, int64_t user_id, int64_t session_id,
                                 int64_t except_id, struct str reason, int64_t now);
MUST_USE enum err session_touch(struct tx *tx, int64_t session_id, struct str address, int64_t now);
/* Who a live session belongs to, as it is now. E_DENIED when it has ended, the person is disabled
 * or gone. */
MUST_USE enum err session_caller(struct db *db, int64_t session_id, int64_t user_id, int64_t now,
                                 struct caller *caller);

/* --- refresh tokens ------------------------------------------------------------------------------ */

struct refresh_token {
    uint8_t hash[32];
    int64_t session_id, user_id;
    int64_t issued_at, expires_at, used_at;
    bool session_is_over;   /* or its person is disabled, or gone */
    bool successor_is_used; /* the token that replaced it */
};
/* `hash` may be the one inside *token. E_ABSENT. */
MUST_USE enum err refresh_load(struct db *db, const uint8_t hash[32], int64_t now,
                               struct refresh_token *token);
MUST_USE enum err refresh_insert(struct tx *tx, const struct refresh_token *token);
/* The first use is what stays written down. */
MUST_USE enum err refresh_use(struct tx *tx, const uint8_t hash[32], const uint8_t successor[32],
                              int64_t now);

/* --- failures ------------------------------------------------------------------------------------- */

/* Moment until which sign-ins for this subject wait; 0: none. */
int64_t failure_locked_until(struct db *db, struct str subject);
/* One more. After `free_tries` each makes the next wait, a second, two, four ... `longest_ms`. */
MUST_USE enum err failure_add(struct tx *tx, struct str subject, int64_t free_tries,
                              int64_t longest_ms, int64_t now);
MUST_USE enum err failure_clear(struct tx *tx, struct str subject);

/* Removes what has been over for a while: sessions, tokens, failures, idempotency answers. */
MUST_USE enum err account_sweep(struct tx *tx, int64_t now);
