/* Accounts as rules and as what other features ask of them. */
#pragma once

#include "base/arena.h"
#include "base/config.h"
#include "net/request.h"
#include "store/store.h"

struct account_settings {
    int registration;       /* index in {"closed", "invite", "open"} */
    int64_t access_token_s; /* life of an access token */
    int64_t session_days;   /* absolute end of a session */
    int64_t idle_days;      /* a session that is not used ends */
    int64_t password_min;   /* characters */
    int verify_email;       /* index in {"off", "relay", "always"} */
};
extern struct account_settings account_settings;
extern const struct setting account_setting_rows[];

struct persona {
    int64_t id; /* 0: made from the display name */
    struct str name, description, avatar_blob;
    bool is_default;
    int64_t revision, created_at, updated_at;
};

/* Who this person is in a talk: the persona asked for (if it is theirs), else the default one, else
 * the display name. */
MUST_USE enum err account_persona(struct db *db, struct arena *arena, int64_t user_id,
                                  int64_t persona_id, struct persona *persona);
/* Inside a write: this person's persona of that name (case does not count), made when there is none;
 * 0 when the name is their display name, or they have as many personas as one can have. */
MUST_USE enum err account_persona_named(struct tx *tx, int64_t user_id, struct str name,
                                        int64_t *persona_id);
/* True when whoever registers without invitation must verify their address before they sign in. */
bool account_must_verify(void);
/* True when this persona belongs to this person. */
bool account_owns_persona(struct db *db, int64_t user_id, int64_t persona_id);
bool account_is_adult(struct db *db, int64_t user_id);
/* How far this person's clock is ahead of UTC at that moment, by their preference. */
int64_t account_utc_offset_ms(struct db *db, int64_t user_id, int64_t at_ms);
/* True when it is the picture of a person or a persona: a blob_used_fn. */
bool account_uses_blob(struct db *db, struct str key);

/* "member" ... "owner", and back; ROLE_NOBODY for a word that is no role. */
struct str account_role_word(enum role role);
enum role account_role(struct str word);

/* True once an owner exists. Cached; loop thread. */
bool account_is_set_up(void);
/* For the router: who shows this bearer token (access token or API key). */
enum err account_identify(struct str token, struct caller *caller);
/* True when this token was somebody's lately, from memory alone. */
bool account_knows(struct str token);

/* Creates a user inside a write; the password is hashed already. E_CONFLICT when the address is
 * taken. */
struct new_user {
    struct str email, display_name, password_phc;
    enum role role;
    bool must_verify; /* no sign-in before the address is verified */
    int64_t id;       /* out */
};
MUST_USE enum err account_create(struct tx *tx, struct new_user *user);
/* The one-time set-up code of this start: made when there is no owner, valid for 24 h, compared in
 * constant time. Text lives until the next call. */
struct str account_setup_code(void);
bool account_check_setup_code(struct str code);
/* After the commit of a new owner, a changed role, an ended session: forgets what is cached of this
 * person. */
void account_changed(int64_t user_id);
/* Answers a sign-in: writes the session and the refresh token, then 200/201 {user, access_token,
 * expires_in} with the cookie. For login, register, set-up. */
void account_reply_signed_in(struct request *request, int64_t user_id, int status);
extern const struct shape account_signed_in_shape; /* its schema */
/* Opens signing keys, makes the first one. After store_open. */
MUST_USE enum err account_start(void);

/* Why a password is refused, for a person; NULL when it will do. */
const char *account_password_problem(struct str password);
/* Hashes in the pool. done comes later, on the loop: E_OK and the PHC string (the request's arena),
 * or E_BUSY when too many wait. */
typedef void (*account_hashed_fn)(enum err err, struct str phc, void *ctx);
void account_hash_password(struct request *request, struct str password, account_hashed_fn done,
                           void *ctx);
/* True when it can be an e-mail address; *folded is the form that is compared. */
bool account_email_is_valid(struct arena *arena, struct str email, struct str *folded);

/* --- asking again: confirm.c ---------------------------------------------------------------------- */

/* Whether the password is the caller's: E_OK, E_DENIED, or E_BUSY when too many ask. done comes
 * later, on the loop; after too many wrong ones it does not come, and the request has been answered
 * with the time to wait. */
typedef void (*account_checked_fn)(enum err err, void *ctx);
void account_check_password(struct request *request, struct str password, account_checked_fn done,
                            void *ctx);

/* --- leaving: leave.c ------------------------------------------------------------------------- */

/* Told inside the write that closes an account, and (returns) in the one that opens it again with
 * the moment at which it was closed. Set once at start. */
typedef enum err (*account_leave_fn)(struct tx *tx, int64_t user_id, int64_t left_at, bool returns);
void account_on_leave(account_leave_fn fn);
bool account_may_leave(struct db *db, int64_t user_id); /* false for the owner */
/* Inside a write: the account is closed, and may be opened again by signing in before `erase_at`.
 * E_CONFLICT for the owner. After the commit: account_changed(), channel_end_session(). */
MUST_USE enum err account_leave(struct tx *tx, int64_t user_id, int64_t erase_at, int64_t now);
/* Inside the write of a sign-in; E_ABSENT when it is too late. */
MUST_USE enum err account_return(struct tx *tx, int64_t user_id, int64_t now);
/* Somebody whose moment has come; 0: nobody. */
int64_t account_to_erase(struct db *db, int64_t now);
/* Inside writes, for good: first, in portions, kept answers, usage and jobs; last the account with
 * all that hangs on it. Again is fine. */
MUST_USE enum err account_erase_traces(struct tx *tx, int64_t user_id, bool *more);
MUST_USE enum err account_erase(struct tx *tx, int64_t user_id);
/* The browser forgets its session: the cookie, and what it kept of us. */
void account_forget_session(struct request *request);

/* --- for the command line --------------------------------------------------------------------- */
struct buf;
/* One line per user: id, role, e-mail, name, when made, disabled or not. */
MUST_USE enum err account_print_users(struct db *db, struct buf *out);
struct password_reset {
    struct str email;
    struct str password_phc;
};
/* A store_write_fn over struct password_reset: sets the password, ends every session, API key and
 * lockout.
 * E_ABSENT when there is no such user. */
enum err writer_account_reset_password(struct tx *tx, void *password_reset);
