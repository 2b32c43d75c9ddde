/*
 * Links that come by mail: a new password for whoever has forgotten theirs, and the proof that an
 * address is somebody's.
 *
 * Asking tells nothing: for an address that nobody has, the same counters are raised, the same one
 * job is written, and the answer leaves after the same commit; whether there is anybody to write to
 * is found out by the job. Only who asks too often is told so, for known and unknown addresses
 * alike.
 *
 * A token is 256 random bits, of which only the SHA-256 is stored; it is good once, for one purpose,
 * while the address is still that person's. Opening a link changes nothing (programs that look for
 * viruses open every link): its page asks, and a POST uses it up. A new password by link ends every
 * session and every API key, signs nobody in, and is told to the address itself.
 */
#include "account/account_api.h"

#include "account/login.h"
#include "account/mail_store.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/channel.h"

#include "base/banned.h"

#define HOUR_MS       ((int64_t)3600 * 1000)
#define ASKS_ACCOUNT  3  /* in an hour, of each purpose: OWASP, Forgot Password */
#define ASKS_ADDRESS  20 /* a household, or an office behind one address */
#define TOKEN_LETTERS 43 /* 32 bytes in base64url */

struct ask_body {
    struct str email;
};
struct reset_body {
    struct str token, password;
};
struct verify_body {
    struct str token;
};

/* clang-format off */
static const struct field ask_fields[] = {
    {"email", FIELD_TEXT, AT(struct ask_body, email), .is_required = true, .min = 1, .max = 254, .help = "The address of the account."},
    {0}};
static const struct field reset_fields[] = {
    {"token", FIELD_TEXT, AT(struct reset_body, token), .is_secret = true, .is_required = true, .min = 1, .max = 100, .help = "From the link, what stands behind the #."},
    {"password", FIELD_TEXT, AT(struct reset_body, password), .is_secret = true, .is_required = true, .min = 1, .max = 1024, .help = "The new one."},
    {0}};
static const struct field verify_fields[] = {
    {"token", FIELD_TEXT, AT(struct verify_body, token), .is_secret = true, .is_required = true, .min = 1, .max = 100, .help = "From the link, what stands behind the #."},
    {0}};
/* clang-format on */

/* --- asking ----------------------------------------------------------------------------------- */

struct asking {
    struct request *request;
    enum letter_kind kind;
    struct str account, address; /* whose quotas it counts against */
    struct str language;
    int64_t user_id; /* 0: nobody */
    int64_t wait_ms;
};

static enum err writer_ask(struct tx *tx, void *ctx) {
    struct asking *asking = ctx;
    int64_t now = clock_now_ms();
    enum err err = quota_take(tx, asking->address, ASKS_ADDRESS, HOUR_MS, now, &asking->wait_ms);
    if (err == E_OK)
        err = quota_take(tx, asking->account, ASKS_ACCOUNT, HOUR_MS, now, &asking->wait_ms);
    return err != E_OK ? err : mailing_ask(tx, asking->kind, asking->user_id, asking->language);
}

static void on_asked(enum err err, void *ctx) {
    struct asking *asking = ctx;
    if (err == E_LIMIT)
        return reply_retry_later(asking->request, 429, (asking->wait_ms + 999) / 1000,
                                 "This was asked for several times. Look into the mailbox, also "
                                 "among the spam, or wait a little.");
    if (err != E_OK)
        return reply_error(asking->request, err);
    reply_empty(asking->request, 202);
}

static void ask(struct request *request, enum letter_kind kind) {
    const struct ask_body *body = request->body;
    struct str folded, purpose = letter_word(kind);
    if (!account_email_is_valid(request->arena, body->email, &folded))
        return reply_field_problem(request, "email", "This is not an e-mail address.");
    struct asking *asking = ARENA_NEW(request->arena, struct asking);
    *asking = (struct asking){
        .request = request,
        .kind = kind,
        .account = str_printf(request->arena, STR_FMT ":" STR_FMT, STR_ARG(purpose),
                              STR_ARG(failure_subject_account(request->arena, folded))),
        .address = failure_subject_address(request->arena, request->address),
        .language = request_header(request, "accept-language"),
        .user_id = correspondent_find(store_reader(), folded),
    };
    store_write(writer_ask, on_asked, asking);
}

static void forgot_password(struct request *request) {
    ask(request, LETTER_RESET);
}

static void resend_verification(struct request *request) {
    ask(request, LETTER_VERIFY);
}

/* --- a new password --------------------------------------------------------------------------- */

struct using {
    struct request *request;
    uint8_t hash[32];
    int64_t user_id;
    struct str password, phc;
    struct mailing notice;
};

static void refuse_token(struct request *request) {
    reply_field_problem(request, "token",
                        "This link was used already, is too old, or was not copied whole. Ask for "
                        "a new one.");
}

/* What is no token of ours has the hash of nothing that is stored. */
static struct using *using_new(struct request *request, struct str token) {
    struct using *using = ARENA_NEW(request->arena, struct using);
    using->request = request;
    token_hash(token.len == TOKEN_LETTERS ? token : STR(""), using->hash);
    return using;
}

/* Who read the mail has the address, so it is verified too; what else was sent there ends. */
static enum err end_links(struct tx *tx, int64_t user_id, int64_t now) {
    enum err err = email_tokens_end(tx, user_id);
    if (err == E_OK)
        err = mail_void(tx, user_id, letter_word(LETTER_RESET), letter_word(LETTER_EXISTS), now);
    if (err == E_OK)
        err = mail_void(tx, user_id, letter_word(LETTER_VERIFY), letter_word(LETTER_VERIFY), now);
    return err == E_OK ? user_verify(tx, user_id, now) : err;
}

static enum err writer_reset(struct tx *tx, void *ctx) {
    struct using *using = ctx;
    struct arena *arena = using->request->arena;
    struct correspondent person;
    int64_t now = clock_now_ms();
    enum err err = email_token_use(tx, using->hash, STR("reset"), now, &using->user_id);
    if (err != E_OK)
        return err;
    int64_t id = using->user_id;
    err = correspondent_load(tx_db(tx), arena, id, &person);
    if (err == E_OK)
        err = account_replace_password(tx, id, person.email_folded, using->phc, id, now);
    if (err == E_OK)
        err = end_links(tx, id, now);
    if (err == E_OK)
        err = mailing_write(tx, &using->notice, id);
    return err == E_BUSY ? E_OK : err; /* the notice is less than the password */
}

static void on_reset(enum err err, void *ctx) {
    struct using *using = ctx;
    if (err == E_ABSENT)
        return refuse_token(using->request);
    if (err != E_OK)
        return reply_error(using->request, err);
    log_info("account", "password was reset by mail, every session and API key was ended",
             LF_ID("user", using->user_id));
    account_changed(using->user_id);
    channel_end_session(using->user_id, 0, 0);
    reply_empty(using->request, 204);
}

static void on_hashed(enum err err, struct str phc, void *ctx) {
    struct using *using = ctx;
    if (err == E_BUSY)
        return reply_retry_later(using->request, 503, 2,
                                 "Too many people are signing in at once. Try again in a moment.");
    if (err != E_OK)
        return reply_error(using->request, err);
    using->phc = phc;
    store_write(writer_reset, on_reset, using);
}

/* The token is looked at first: guessing costs us nothing, and what is guessed are 256 bits. */
static void reset_password(struct request *request) {
    const struct reset_body *body = request->body;
    struct using *using = using_new(request, body->token);
    const char *problem = account_password_problem(body->password);
    if (problem != NULL)
        return reply_field_problem(request, "password", "%s", problem);
    if (email_token_find(store_reader(), using->hash, STR("reset"), clock_now_ms(),
                         &using->user_id) != E_OK)
        return refuse_token(request);
    mailing_prepare(&using->notice, request->arena, LETTER_CHANGED,
                    request_header(request, "accept-language"));
    account_hash_password(request, body->password, on_hashed, using);
}

/* --- the address ------------------------------------------------------------------------------ */

static enum err writer_verify(struct tx *tx, void *ctx) {
    struct using *using = ctx;
    struct str kind = letter_word(LETTER_VERIFY);
    int64_t now = clock_now_ms();
    enum err err = email_token_use(tx, using->hash, STR("verify"), now, &using->user_id);
    if (err == E_OK)
        err = mail_void(tx, using->user_id, kind, kind, now);
    return err == E_OK ? user_verify(tx, using->user_id, now) : err;
}

static void on_verified(enum err err, void *ctx) {
    struct using *using = ctx;
    if (err == E_ABSENT)
        return refuse_token(using->request);
    if (err != E_OK)
        return reply_error(using->request, err);
    log_info("account", "address was verified", LF_ID("user", using->user_id));
    account_changed(using->user_id);
    reply_empty(using->request, 204);
}

static void verify_email(struct request *request) {
    const struct verify_body *body = request->body;
    store_write(writer_verify, on_verified, using_new(request, body->token));
}

/* clang-format off */
const struct route recovery_routes[] = {
    {METHOD_POST, "/api/v1/auth/forgot-password", forgot_password, WHO_ANYONE, .body = ask_fields, .body_size = sizeof(struct ask_body), .is_costly = true,
     .tag = "auth", .operation = "forgotPassword", .summary = "Sends a link to a new password, if there is an account; the answer is the same if there is none.", .status = 202},
    {METHOD_POST, "/api/v1/auth/reset-password", reset_password, WHO_ANYONE, .body = reset_fields, .body_size = sizeof(struct reset_body), .is_costly = true,
     .tag = "auth", .operation = "resetPassword", .summary = "Sets the password by such a link, once; every session and API key ends, and nobody is signed in.", .status = 204},
    {METHOD_POST, "/api/v1/auth/verify-email", verify_email, WHO_ANYONE, .body = verify_fields, .body_size = sizeof(struct verify_body), .is_costly = true,
     .tag = "auth", .operation = "verifyEmail", .summary = "Shows by a link that the address is one's own.", .status = 204},
    {METHOD_POST, "/api/v1/auth/verify-email/resend", resend_verification, WHO_ANYONE, .body = ask_fields, .body_size = sizeof(struct ask_body), .is_costly = true,
     .tag = "auth", .operation = "resendVerification", .summary = "Sends that link again, if there is an account whose address is not verified; the answer is the same if there is none.", .status = 202},
    {0}};
/* clang-format on */
