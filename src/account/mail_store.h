/* The SQL of mail: tokens that were sent, how much was asked for, the rows of the outbox. */
#pragma once

#include "account/account.h"
#include "account/outbox.h"

/* --- quotas */
/* One more of `limit` within the window that began with the first. E_LIMIT when there is none left;
 * *wait_ms is then until the window ends. */
MUST_USE enum err quota_take(struct tx *tx, struct str subject, int64_t limit, int64_t window_ms,
                             int64_t now, int64_t *wait_ms);

/* All that is counted under this subject of an account. */
MUST_USE enum err quota_forget(struct tx *tx, struct str account);

/* --- tokens */
struct email_token {
    uint8_t hash[32];
    int64_t user_id;
    struct str purpose, email_folded; /* "reset", "verify" */
    int64_t created_at, expires_at;
};
/* Replaces the one of that purpose before it. */
MUST_USE enum err email_token_put(struct tx *tx, const struct email_token *token);
/* Whose it is, when it may still be used: not over, the person there and not disabled, the address
 * still theirs. E_ABSENT. */
MUST_USE enum err email_token_find(struct db *db, const uint8_t hash[32], struct str purpose,
                                   int64_t now, int64_t *user_id);
/* The same, and it is used up. */
MUST_USE enum err email_token_use(struct tx *tx, const uint8_t hash[32], struct str purpose,
                                  int64_t now, int64_t *user_id);
MUST_USE enum err email_tokens_end(struct tx *tx, int64_t user_id);
/* The password has changed: links to a new one end, with the mails that hold them. */
MUST_USE enum err email_resets_end(struct tx *tx, int64_t user_id, int64_t now);

/* --- people, as far as mail is concerned */
struct correspondent {
    int64_t id;
    struct str email, email_folded, role, preferences;
    bool is_verified, must_verify;
};
/* E_ABSENT also when they are disabled. */
MUST_USE enum err correspondent_load(struct db *db, struct arena *arena, int64_t user_id,
                                     struct correspondent *person);
int64_t correspondent_find(struct db *db, struct str email_folded); /* 0: nobody */
/* The address is theirs: verified now, unless it was before. */
MUST_USE enum err user_verify(struct tx *tx, int64_t user_id, int64_t now);

/* --- rows */
MUST_USE enum err mail_insert(struct tx *tx, const struct outbox_mail *mail);
/* Mails to this person of the two kinds that have not left: their links have ended. */
MUST_USE enum err mail_void(struct tx *tx, int64_t user_id, struct str kind, struct str other_kind,
                            int64_t now);
/* After an attempt, or instead of one. keeps_text false removes it. */
MUST_USE enum err mail_move(struct tx *tx, int64_t id, struct str state, struct str reason,
                            bool is_attempt, bool keeps_text, int64_t now);
