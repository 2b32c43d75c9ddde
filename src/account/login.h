/*
 * Signing in and staying signed in: passwords, lockout, sessions with rotating refresh tokens,
 * access tokens, API keys.
 */
#pragma once

#include "account/account_store.h"

/* What a new or refreshed session gives to the client. Texts in the arena. */
struct grant {
    int64_t user_id;
    struct session session;
    struct refresh_token refresh;
    struct str refresh_text; /* the token itself: only ever in the cookie */
};

/* Prepares session and refresh token for a user; session_insert and refresh_insert make it real. */
void grant_new(struct arena *arena, const struct request *request, int64_t user_id,
               struct grant *grant);
/* The same family, a new refresh token. */
void grant_renew(struct arena *arena, const struct refresh_token *before, struct grant *grant);
enum err writer_grant(struct tx *tx, void *grant); /* a store_write_fn */

/* A signed access token for a session. */
struct str access_token(struct arena *arena, int64_t user_id, int64_t session_id);
/* {"keys": [...]} */
struct str access_jwks(struct arena *arena);

/* Who shows this token: account_identify without its cache. */
MUST_USE enum err token_caller(struct str token, struct caller *caller);

/* "account:<hash of the folded address>", "address:<ip>" */
struct str failure_subject_account(struct arena *arena, struct str email_folded);
struct str failure_subject_address(struct arena *arena, struct str address);
#define FREE_TRIES_ACCOUNT 10
#define FREE_TRIES_ADDRESS 30
#define LONGEST_WAIT_ACCOUNT \
    ((int64_t)60 * 1000) /* a stranger can slow a person down, not lock them out */
#define LONGEST_WAIT_ADDRESS ((int64_t)15 * 60 * 1000)
/* Inside a write: E_DENIED when the session has ended since the request was let in, which another
 * process may have done, or a write that stood before this one. For what would outlive the session. */
MUST_USE enum err session_check(struct tx *tx, const struct caller *caller);
/* Inside a write: a new password for somebody who had lost theirs, or whose account somebody else may
 * have had. All that was got with the old one ends: sessions, API keys, and the wait for whoever tried.
 * `actor_id` goes into the audit log; 0: the command line. After the commit: account_changed(),
 * channel_end_session(). */
MUST_USE enum err account_replace_password(struct tx *tx, int64_t user_id, struct str email_folded,
                                           struct str phc, int64_t actor_id, int64_t now);
/* Milliseconds to wait before the next try; 0: none. */
int64_t login_wait_ms(struct arena *arena, struct str email_folded, struct str address);

/* Compares in the pool; a user who is not there (phc STR_NONE) costs the same time. */
typedef void (*login_checked_fn)(enum err err, bool matches, bool needs_rehash, void *ctx);
void login_check_password(struct arena *arena, struct str phc, struct str password,
                          login_checked_fn done, void *ctx);

#define API_KEY_PREFIX "tk_"
/* A new key: its text (shown once) and what is stored. */
struct str api_key_new(struct arena *arena, struct api_key *key);
void token_hash(struct str token, uint8_t hash[32]);
/* Opens or makes the signing keys. */
MUST_USE enum err signing_keys_open(void);
