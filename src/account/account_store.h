/* The SQL of accounts: users, personas, sessions, keys, invites, failures. Reads give structs in
 * the caller's arena; changes run on the writer thread. */
#pragma once

#include "account/account.h"

struct user {
    int64_t id;
    struct str email, display_name, role, password_phc, avatar_blob, preferences;
    bool is_adult;
    bool must_verify; /* no sign-in before the address is verified */
    int64_t email_verified_at, adult_declared_at, disabled_at, revision, created_at, updated_at;
    int64_t erase_at; /* 0: is here */
};

MUST_USE enum err user_load(struct db *db, struct arena *arena, int64_t id, struct user *user);
MUST_USE enum err user_load_by_email(struct db *db, struct arena *arena, struct str email_folded,
                                     struct user *user);
/* The same, and also somebody who left and may still come back: erase_at tells. */
MUST_USE enum err user_load_to_sign_in(struct db *db, struct arena *arena, struct str email_folded,
                                       int64_t now, struct user *user);
/* Somebody who left, whether they may still come back or not. */
MUST_USE enum err user_load_erased(struct db *db, struct arena *arena, int64_t id,
                                   struct user *user);

/* --- leave_store.c ---------------------------------------------------------------------------- */

/* Closed until `erase_at`, and open again. E_ABSENT when there is nothing to close, or to open. */
MUST_USE enum err user_close(struct tx *tx, int64_t id, int64_t erase_at, int64_t now);
MUST_USE enum err user_open(struct tx *tx, int64_t id, int64_t now);
/* Of somebody who left: the moment; 0 for everybody else. */
int64_t user_left_at(struct db *db, int64_t id);
/* Somebody whose moment to be erased has come; 0: nobody. */
int64_t user_to_erase(struct db *db, int64_t now);
/* Portions of what has no place in a conversation or a character; *more when there is more. */
MUST_USE enum err user_erase_traces(struct tx *tx, int64_t id, bool *more);
MUST_USE enum err user_erase(struct tx *tx, int64_t id);

/* --- account_store.c -------------------------------------------------------------------------- */

/* By id, ascending, after `after_id`. */
MUST_USE enum err user_list(struct db *db, struct arena *arena, int64_t after_id, size_t limit,
                            struct user **items, size_t *count);
/* The same of those whose folded name or address holds `words`, and of one role; STR_NONE: of all. */
MUST_USE enum err user_search(struct db *db, struct arena *arena, int64_t after_id,
                              struct str words, struct str role, size_t limit, struct user **items,
                              size_t *count);
bool user_owner_exists(struct db *db);

struct user_change {
    int64_t id;
    struct str display_name, preferences, avatar_blob, role, password_phc; /* STR_NONE: stays */
    bool has_disabled;
    bool is_disabled;
    bool declares_age;
    bool is_adult;
};
MUST_USE enum err user_insert(struct tx *tx, const struct new_user *user, struct str email_folded,
                              struct str role, int64_t now);
/* They signed in all the same, because the house does not ask for it any more. */
MUST_USE enum err user_need_not_verify(struct tx *tx, int64_t id);
MUST_USE enum err user_update(struct tx *tx, const struct user_change *change, int64_t now);

MUST_USE enum err persona_list(struct db *db, struct arena *arena, int64_t user_id,
                               struct persona **items, size_t *count);
MUST_USE enum err persona_load(struct db *db, struct arena *arena, int64_t user_id,
                               int64_t persona_id, struct persona *persona);
MUST_USE enum err persona_load_default(struct db *db, struct arena *arena, int64_t user_id,
                                       struct persona *persona);
MUST_USE enum err persona_insert(struct tx *tx, int64_t user_id, const struct persona *persona,
                                 int64_t now);
MUST_USE enum err persona_update(struct tx *tx, int64_t user_id, const struct persona *persona,
                                 int64_t now);
MUST_USE enum err persona_delete(struct tx *tx, int64_t user_id, int64_t persona_id);

struct session {
    int64_t id, user_id;
    struct str device, address;
    int64_t created_at, last_used_at, expires_at, revoked_at;
};
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

struct refresh_token {
    uint8_t hash[32];
    int64_t session_id, user_id;
    int64_t issued_at, expires_at, used_at;
    bool session_is_over;
    bool successor_is_used;
};
MUST_USE enum err refresh_load(struct db *db, const uint8_t hash[32], int64_t now,
                               struct refresh_token *token);
MUST_USE enum err refresh_insert(struct tx *tx, const struct refresh_token *token);
MUST_USE enum err refresh_use(struct tx *tx, const uint8_t hash[32], const uint8_t successor[32],
                              int64_t now);

struct api_key {
    int64_t id, user_id;
    struct str name, hint, scopes;
    uint8_t hash[32];
    int64_t created_at, expires_at, last_used_at;
};
MUST_USE enum err api_key_list(struct db *db, struct arena *arena, int64_t user_id,
                               struct api_key **items, size_t *count);
MUST_USE enum err api_key_insert(struct tx *tx, const struct api_key *key);
MUST_USE enum err api_key_revoke(struct tx *tx, int64_t user_id, int64_t id, int64_t now);
MUST_USE enum err api_key_touch(struct tx *tx, int64_t id, int64_t now);
MUST_USE enum err api_key_caller(struct db *db, const uint8_t hash[32], int64_t now,
                                 struct caller *caller);

struct invite {
    int64_t id;
    struct str code, role, note;
    int64_t uses_left, created_by, created_at, expires_at;
};
MUST_USE enum err invite_list(struct db *db, struct arena *arena, int64_t before_id, size_t limit,
                              struct invite **items, size_t *count);
MUST_USE enum err invite_insert(struct tx *tx, const struct invite *invite);
MUST_USE enum err invite_revoke(struct tx *tx, int64_t id, int64_t now);
/* Takes one use; *role is what the invited become. E_DENIED when the code is unknown, used up, over
 * or revoked. */
MUST_USE enum err invite_use(struct tx *tx, struct arena *arena, struct str code, int64_t now,
                             struct str *role);

/* Moment until which sign-ins for this subject wait; 0: none. */
int64_t failure_locked_until(struct db *db, struct str subject);
MUST_USE enum err failure_add(struct tx *tx, struct str subject, int64_t free_tries,
                              int64_t longest_ms, int64_t now);
MUST_USE enum err failure_clear(struct tx *tx, struct str subject);

/* Removes what has been over for a while: sessions, tokens, failures, idempotency answers. */
MUST_USE enum err account_sweep(struct tx *tx, int64_t now);

struct signing_key_row {
    struct str kid, secret_sealed;
    int64_t retired_at;
};
MUST_USE enum err signing_key_list(struct db *db, struct arena *arena,
                                   struct signing_key_row **items, size_t *count);
MUST_USE enum err signing_key_insert(struct tx *tx, struct str kid, struct str secret_sealed,
                                     int64_t now);
