/*
 * Signing up, in and out.
 *
 * Whoever signs in gets an access token in the answer and a refresh token in a cookie that scripts
 * cannot read. What is answered for a wrong password does not tell whether the account exists, and
 * takes the same time.
 */
#include "account/account_api.h"

#include "account/login.h"
#include "account/mail_store.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/metric.h"
#include "net/channel.h"

#include <string.h>

#include "base/banned.h"

#define REFRESH_COOKIE "troupe_refresh"
#define GRACE_MS       ((int64_t)20 * 1000) /* two tabs, or an answer that was lost */
#define ADULT_YEARS    18
#define HOUR_MS        ((int64_t)3600 * 1000)
#define DAY_S          ((int64_t)24 * 3600)

METRIC_LABELLED(logins_good, "troupe_logins_total", "result=\"good\"", "Sign-ins by result.");
METRIC_LABELLED(logins_bad, "troupe_logins_total", "result=\"bad\"", "Sign-ins by result.");
METRIC_COUNTER(refresh_reuses, "troupe_refresh_reuses_total",
               "Refresh tokens shown again after they were replaced; their sessions were ended.");

struct register_body {
    struct str email, password, display_name, invite_code;
};
struct login_body {
    struct str email, password;
};
struct age_body {
    struct str birth_date;
    bool is_adult;
};
struct password_body {
    struct str current_password, new_password;
};

/* clang-format off */
static const struct field register_fields[] = {
    {"email", FIELD_TEXT, AT(struct register_body, email), .is_required = true, .min = 3, .max = 254, .help = "The address to sign in with."},
    {"password", FIELD_TEXT, AT(struct register_body, password), .is_secret = true, .is_required = true, .min = 1, .max = 1024, .help = "A long one; any characters."},
    {"display_name", FIELD_TEXT, AT(struct register_body, display_name), .is_required = true, .min = 1, .max = 80, .help = "How characters will call you."},
    {"invite_code", FIELD_TEXT, AT(struct register_body, invite_code), .max = 64, .may_be_null = true, .help = "Where accounts are made by invitation."},
    {0}};
static const struct field login_fields[] = {
    {"email", FIELD_TEXT, AT(struct login_body, email), .is_required = true, .min = 1, .max = 254, .help = "Your address."},
    {"password", FIELD_TEXT, AT(struct login_body, password), .is_secret = true, .is_required = true, .min = 1, .max = 1024, .help = "Your password."},
    {0}};
static const struct field age_fields[] = {
    {"birth_date", FIELD_TEXT, AT(struct age_body, birth_date), .min = 10, .max = 10, .help = "YYYY-MM-DD; only whether it makes you an adult is stored."},
    {"is_adult", FIELD_BOOL, AT(struct age_body, is_adult), .help = "The same as a plain declaration."},
    {0}};
static const struct field password_fields[] = {
    {"current_password", FIELD_TEXT, AT(struct password_body, current_password), .is_secret = true, .is_required = true, .min = 1, .max = 1024, .help = "The one you have."},
    {"new_password", FIELD_TEXT, AT(struct password_body, new_password), .is_secret = true, .is_required = true, .min = 1, .max = 1024, .help = "The one you want."},
    {0}};
static const char *const role_words[] = {"owner", "admin", "moderator", "creator", "member", NULL};
static const struct field user_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The person."},
    {"email", FIELD_TEXT, .is_required = true, .help = "The address to sign in with."},
    {"display_name", FIELD_TEXT, .is_required = true, .help = "How characters call them."},
    {"role", FIELD_CHOICE, .choices = role_words, .is_required = true, .help = "What they may do."},
    {"avatar_url", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "Their picture."},
    {"is_adult", FIELD_BOOL, .is_required = true, .help = "They declared an adult age."},
    {"disabled", FIELD_BOOL, .is_required = true, .help = "They may not sign in."},
    {"email_verified", FIELD_BOOL, .is_required = true, .help = "A link that was sent to the address came back."},
    {"revision", FIELD_INT, .is_required = true, .help = "Raised by every change."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "Since when."},
    {"updated_at", FIELD_TIME, .is_required = true, .help = "Last change."},
    {0}};
const struct shape user_shape = {"User", user_rows, "A person with an account."};
static const struct field signed_in_rows[] = {
    {"user", FIELD_OBJECT, .shape = &user_shape, .is_required = true, .help = "Who you are."},
    {"access_token", FIELD_TEXT, .is_required = true, .help = "For the Authorization header."},
    {"expires_in", FIELD_INT, .is_required = true, .help = "Seconds until it must be renewed by POST /auth/refresh."},
    {"has_returned", FIELD_BOOL, .is_required = true, .help = "The account had been deleted and was to be erased; signing in brought it back."},
    {0}};
const struct shape account_signed_in_shape = {"SignedIn", signed_in_rows, "A session has begun or was renewed."};
/* clang-format on */

void user_write(struct json *json, const struct user *user) {
    struct arena arena;
    arena_init(&arena);
    json_object_begin(json);
    JSON_ID(json, "id", user->id);
    JSON_STR(json, "email", user->email);
    JSON_STR(json, "display_name", user->display_name);
    JSON_STR(json, "role", user->role);
    JSON_STR(json, "avatar_url",
             user->avatar_blob.len == 0
                 ? STR_NONE
                 : str_printf(&arena, "/api/v1/media/" STR_FMT, STR_ARG(user->avatar_blob)));
    JSON_BOOL(json, "is_adult", user->is_adult);
    JSON_BOOL(json, "disabled", user->disabled_at != 0);
    JSON_BOOL(json, "email_verified", user->email_verified_at != 0);
    JSON_INT(json, "revision", user->revision);
    JSON_TIME(json, "created_at", user->created_at);
    JSON_TIME(json, "updated_at", user->updated_at);
    json_object_end(json);
    arena_release(&arena);
}

/* --- the answer to a sign-in ------------------------------------------------------------------ */

struct signing_in {
    struct grant grant; /* first: writer_grant gets the same pointer */
    struct request *request;
    int status;
    struct refresh_token before; /* of a refresh */
    bool is_reuse;
    bool has_returned; /* the account was to be erased, and is not any more */
};

static void answer(struct signing_in *in) {
    struct request *request = in->request;
    struct user user;
    enum err err = user_load(store_reader(), request->arena, in->grant.user_id, &user);
    if (err != E_OK)
        return reply_error(request, err);
    reply_cookie(request, REFRESH_COOKIE, in->grant.refresh_text,
                 account_settings.idle_days * DAY_S);
    struct json *json = reply_json(request);
    json_object_begin(json);
    json_key(json, STR("user"));
    user_write(json, &user);
    JSON_STR(json, "access_token", access_token(request->arena, user.id, in->grant.session.id));
    JSON_INT(json, "expires_in", account_settings.access_token_s);
    JSON_BOOL(json, "has_returned", in->has_returned);
    json_object_end(json);
    reply_send(request, in->status);
}

static void on_granted(enum err err, void *ctx) {
    struct signing_in *in = ctx;
    if (err != E_OK)
        return reply_error(in->request, err);
    answer(in);
}

void account_reply_signed_in(struct request *request, int64_t user_id, int status) {
    struct signing_in *in = ARENA_NEW(request->arena, struct signing_in);
    grant_new(request->arena, request, user_id, &in->grant);
    in->request = request;
    in->status = status;
    store_write(writer_grant, on_granted, in);
}

/* --- register --------------------------------------------------------------------------------- */

struct registration {
    struct request *request;
    struct new_user user;
    struct str invite_code; /* STR_NONE where none is needed */
    struct str email_folded;
    bool must_verify, is_asked; /* is_asked: the address gets a link, needed or not */
    struct mailing welcome;     /* where is_asked */
    struct mailing warning;     /* where must_verify: to whom has that address already */
};

/* The address has an account: its holder is told, and gets a way in. As seldom as they can ask for
 * one themselves: a stranger's registrations fill no mailbox. */
static enum err warn_holder(struct tx *tx, struct registration *registration) {
    struct arena *arena = registration->request->arena;
    struct str subject =
        str_printf(arena, "exists:" STR_FMT,
                   STR_ARG(failure_subject_account(arena, registration->email_folded)));
    int64_t wait_ms, holder = correspondent_find(tx_db(tx), registration->email_folded);
    enum err err = quota_take(tx, subject, 1, HOUR_MS, clock_now_ms(), &wait_ms);
    if (err == E_OK && holder != 0)
        err = mailing_write(tx, &registration->warning, holder);
    return err == E_LIMIT || err == E_ABSENT ? E_OK : err;
}

/* Invitation and account are one transaction: a code is used up exactly when somebody came in with
 * it. */
static enum err writer_register(struct tx *tx, void *ctx) {
    struct registration *registration = ctx;
    struct str role = STR("member");
    enum err err = E_OK;
    if (registration->invite_code.at != NULL)
        err = invite_use(tx, registration->request->arena, registration->invite_code,
                         clock_now_ms(), &role);
    registration->user.role = account_role(role);
    if (err == E_OK)
        err = account_create(tx, &registration->user);
    if (err == E_CONFLICT && registration->must_verify)
        return warn_holder(tx, registration);
    if (err == E_OK && registration->is_asked)
        err = mailing_write(tx, &registration->welcome, registration->user.id);
    /* Who need not verify does not wait for mail. */
    return err == E_BUSY && !registration->must_verify ? E_OK : err;
}

/* Who must verify gets no session yet, and the same answer whether the account was made or was
 * there: what is true stands in the mail. */
static void answer_verify_first(struct registration *registration) {
    log_info("account", "registration waits for its address", LF_ID("user", registration->user.id));
    reply_empty(registration->request, 202);
}

static void on_registered(enum err err, void *ctx) {
    struct registration *registration = ctx;
    struct request *request = registration->request;
    if (err == E_DENIED)
        return reply_field_problem(request, "invite_code",
                                   "This invite code is unknown, used up or over.");
    if (err == E_CONFLICT)
        return reply_problem(request, 409,
                             "There is an account with this address. Sign in instead.");
    if (err == E_BUSY)
        return reply_retry_later(request, 503, 600,
                                 "This house writes too much mail at the moment. Try again later.");
    if (err != E_OK)
        return reply_error(request, err);
    if (registration->must_verify)
        return answer_verify_first(registration);
    log_info("account", "account was made", LF_ID("user", registration->user.id));
    account_reply_signed_in(request, registration->user.id, 201);
}

static void register_hashed(enum err err, struct str phc, void *ctx) {
    struct registration *registration = ctx;
    if (err != E_OK)
        return reply_error(registration->request, err);
    registration->user.password_phc = phc;
    store_write(writer_register, on_registered, registration);
}

static void register_account(struct request *request) {
    enum { CLOSED, INVITE, OPEN };
    const struct register_body *body = request->body;
    struct str folded;
    if (!account_is_set_up())
        return reply_problem(
            request, 403,
            "This house has no owner yet: open the set-up link that the server printed.");
    if (account_settings.registration == CLOSED)
        return reply_problem(request, 403, "New accounts are not open here. Ask the owner.");
    if (account_settings.registration == INVITE && body->invite_code.len == 0)
        return reply_field_problem(request, "invite_code", "An invite code is needed here.");
    if (!account_email_is_valid(request->arena, body->email, &folded))
        return reply_field_problem(request, "email", "This is not an e-mail address.");
    const char *problem = account_password_problem(body->password);
    if (problem != NULL)
        return reply_field_problem(request, "password", "%s", problem);
    struct registration *registration = ARENA_NEW(request->arena, struct registration);
    registration->request = request;
    registration->email_folded = folded;
    registration->must_verify = account_settings.registration == OPEN &&
                                body->invite_code.len == 0 && account_must_verify();
    registration->is_asked =
        registration->must_verify || (outbox_has_relay() && account_must_verify());
    struct str language = request_header(request, "accept-language");
    mailing_prepare(&registration->welcome, request->arena, LETTER_VERIFY, language);
    mailing_prepare(&registration->warning, request->arena, LETTER_EXISTS, language);
    registration->user = (struct new_user){.email = body->email,
                                           .display_name = body->display_name,
                                           .role = ROLE_MEMBER,
                                           .must_verify = registration->must_verify};
    registration->invite_code = body->invite_code.len > 0 ? body->invite_code : STR_NONE;
    account_hash_password(request, body->password, register_hashed, registration);
}

/* --- login ------------------------------------------------------------------------------------ */

struct login {
    struct grant grant; /* first: writer_grant gets the same pointer */
    struct request *request;
    struct user user;
    struct str email_folded;
    bool is_right;
    bool is_early;      /* right, but the address must be verified first */
    struct str new_phc; /* when the stored one has another cost */
};

/* While the password stood in line for its hash, the person may have got another one, or have been
 * disabled: what was right then lets nobody in now. */
static bool is_still_right(struct tx *tx, struct arena *arena, const struct login *login) {
    struct user user;
    return user_load_to_sign_in(tx_db(tx), arena, login->email_folded, clock_now_ms(), &user) ==
               E_OK &&
           user.id == login->user.id && user.disabled_at == 0 &&
           str_eq(user.password_phc, login->user.password_phc);
}

/* Right or wrong, one write: time tells nothing. */
static enum err writer_login(struct tx *tx, void *ctx) {
    struct login *login = ctx;
    struct arena arena;
    int64_t now = clock_now_ms();
    arena_init(&arena);
    login->is_right = login->is_right && is_still_right(tx, &arena, login);
    struct str account = failure_subject_account(&arena, login->email_folded);
    struct str address = failure_subject_address(&arena, login->request->address);
    enum err err;
    if (login->is_right) {
        err = failure_clear(tx, account);
        if (err == E_OK && !login->is_early && login->user.erase_at != 0)
            err = account_return(tx, login->user.id, now);
        if (err == E_OK && login->user.must_verify && !login->is_early)
            err = user_need_not_verify(tx, login->user.id);
        if (err == E_OK && !login->is_early)
            err = writer_grant(tx, &login->grant);
    } else {
        err = failure_add(tx, account, FREE_TRIES_ACCOUNT, LONGEST_WAIT_ACCOUNT, now);
        if (err == E_OK)
            err = failure_add(tx, address, FREE_TRIES_ADDRESS, LONGEST_WAIT_ADDRESS, now);
    }
    arena_release(&arena);
    return err;
}

static void on_login(enum err err, void *ctx) {
    struct login *login = ctx;
    struct request *request = login->request;
    if (err != E_OK)
        return reply_error(request, err);
    metric_add(login->is_right ? &logins_good : &logins_bad, 1);
    if (!login->is_right) {
        log_warn("account", "sign-in was refused", LF_STR("address", request->address));
        return reply_problem(request, 401, "The address or the password is wrong.");
    }
    if (login->is_early)
        return reply_problem(request, 403,
                             "Confirm your address first: open the link in the mail that was sent "
                             "to it.");
    log_info("account", "sign-in", LF_ID("user", login->user.id),
             LF_ID("session", login->grant.session.id));
    struct signing_in *in = ARENA_NEW(request->arena, struct signing_in);
    in->grant = login->grant;
    in->request = request;
    in->status = 200;
    in->has_returned = login->user.erase_at != 0;
    if (in->has_returned)
        log_info("account", "somebody who had left came back", LF_ID("user", login->user.id));
    answer(in);
}

static void on_password_checked(enum err err, bool matches, bool needs_rehash, void *ctx) {
    struct login *login = ctx;
    (void)needs_rehash; /* costs are a constant of this version; a later one rehashes here */
    if (err == E_BUSY)
        return reply_retry_later(login->request, 503, 2,
                                 "Too many people are signing in at once. Try again in a moment.");
    if (err != E_OK)
        return reply_error(login->request, err);
    login->is_right = matches && login->user.disabled_at == 0;
    login->is_early = login->user.must_verify && account_must_verify();
    if (login->is_right)
        grant_new(login->request->arena, login->request, login->user.id, &login->grant);
    store_write(writer_login, on_login, login);
}

static void log_in(struct request *request) {
    const struct login_body *body = request->body;
    struct login *login = ARENA_NEW(request->arena, struct login);
    login->request = request;
    if (!account_email_is_valid(request->arena, body->email, &login->email_folded))
        login->email_folded = body->email; /* nobody's; it takes the same way */
    int64_t wait_ms = login_wait_ms(request->arena, login->email_folded, request->address);
    if (wait_ms > 0)
        return reply_retry_later(request, 429, (wait_ms + 999) / 1000,
                                 "Too many tries. Wait a little.");
    if (user_load_to_sign_in(store_reader(), request->arena, login->email_folded, clock_now_ms(),
                             &login->user) != E_OK)
        login->user = (struct user){0};
    login_check_password(request->arena, login->user.password_phc, body->password,
                         on_password_checked, login);
}

/* --- refresh, logout -------------------------------------------------------------------------- */

static enum err writer_refresh(struct tx *tx, void *ctx) {
    struct signing_in *in = ctx;
    int64_t now = clock_now_ms();
    struct refresh_token *before = &in->before;
    enum err err =
        refresh_load(tx_db(tx), before->hash, now, before); /* again: now nobody else can use it */
    if (err != E_OK)
        return E_DENIED;
    if (before->session_is_over || before->expires_at <= now)
        return E_DENIED;
    bool is_in_grace =
        before->used_at != 0 && now - before->used_at < GRACE_MS && !before->successor_is_used;
    in->is_reuse = before->used_at != 0 && !is_in_grace;
    if (in->is_reuse)
        return session_revoke(tx, before->user_id, before->session_id, 0, STR("reuse"), now);
    if ((err = refresh_insert(tx, &in->grant.refresh)) != E_OK)
        return err;
    if ((err = refresh_use(tx, before->hash, in->grant.refresh.hash, now)) != E_OK)
        return err;
    return session_touch(tx, before->session_id, in->request->address, now);
}

static void refuse_refresh(struct request *request) {
    reply_cookie(request, REFRESH_COOKIE, STR(""), 0);
    reply_problem(request, 401, "The session has ended. Sign in again.");
}

static void on_refreshed(enum err err, void *ctx) {
    struct signing_in *in = ctx;
    if (err == E_OK && in->is_reuse) {
        metric_add(&refresh_reuses, 1);
        log_warn("account", "a used refresh token was shown again, its session was ended",
                 LF_ID("user", in->before.user_id), LF_ID("session", in->before.session_id),
                 LF_STR("address", in->request->address));
        account_changed(in->before.user_id);
        channel_end_session(0, in->before.session_id, 0);
    }
    if (err == E_DENIED || (err == E_OK && in->is_reuse))
        return refuse_refresh(in->request);
    if (err != E_OK)
        return reply_error(in->request, err);
    answer(in);
}

static void refresh(struct request *request) {
    struct str token = request_cookie(request, REFRESH_COOKIE);
    struct signing_in *in = ARENA_NEW(request->arena, struct signing_in);
    uint8_t hash[32];
    if (token.len == 0)
        return reply_problem(request, 401, "There is no session to renew. Sign in.");
    token_hash(token, hash);
    if (refresh_load(store_reader(), hash, clock_now_ms(), &in->before) != E_OK)
        return refuse_refresh(request);
    in->request = request;
    in->status = 200;
    grant_renew(request->arena, &in->before, &in->grant);
    store_write(writer_refresh, on_refreshed, in);
}

void account_forget_session(struct request *request) {
    reply_cookie(request, REFRESH_COOKIE, STR(""), 0);
    reply_header(request, "Clear-Site-Data", STR("\"cache\", \"storage\""));
}

struct ending {
    struct request *request;
    int64_t user_id, session_id;
};

static enum err writer_log_out(struct tx *tx, void *ctx) {
    const struct ending *ending = ctx;
    enum err err =
        session_revoke(tx, ending->user_id, ending->session_id, 0, STR("logout"), clock_now_ms());
    return err == E_ABSENT ? E_OK : err; /* it had ended already: the wish is fulfilled */
}

static void on_logged_out(enum err err, void *ctx) {
    struct ending *ending = ctx;
    if (err != E_OK)
        return reply_error(ending->request, err);
    account_changed(ending->user_id);
    channel_end_session(0, ending->session_id, 0);
    account_forget_session(ending->request);
    reply_empty(ending->request, 204);
}

static void log_out(struct request *request) {
    struct ending *ending = ARENA_NEW(request->arena, struct ending);
    struct str token = request_cookie(request, REFRESH_COOKIE);
    *ending = (struct ending){request, request->caller.user_id, request->caller.session_id};
    if (ending->session_id == 0 && token.len > 0) {
        struct refresh_token known;
        uint8_t hash[32];
        token_hash(token, hash);
        if (refresh_load(store_reader(), hash, clock_now_ms(), &known) == E_OK)
            *ending = (struct ending){request, known.user_id, known.session_id};
    }
    if (ending->session_id == 0) {
        reply_cookie(request, REFRESH_COOKIE, STR(""), 0);
        return reply_empty(request, 204);
    }
    store_write(writer_log_out, on_logged_out, ending);
}

/* --- age, password ---------------------------------------------------------------------------- */

struct user_op {
    struct request *request;
    struct user_change change;
    struct str new_password;
};

static void reply_user(struct user_op *op) {
    struct user user;
    enum err err =
        user_load(store_reader(), op->request->arena, op->request->caller.user_id, &user);
    if (err != E_OK)
        return reply_error(op->request, err);
    user_write(reply_json(op->request), &user);
    reply_send(op->request, 200);
}

static enum err writer_change(struct tx *tx, void *ctx) {
    const struct user_op *op = ctx;
    return user_update(tx, &op->change, clock_now_ms());
}

static void on_changed(enum err err, void *ctx) {
    struct user_op *op = ctx;
    if (err != E_OK)
        return reply_error(op->request, err);
    account_changed(op->request->caller.user_id);
    reply_user(op);
}

/* Whole years between a date and now. E_INPUT when it is no date, or lies ahead. */
static enum err years_since(struct str date, int64_t *years) {
    char text[32];
    int64_t born, now = clock_now_ms();
    if (date.len != 10)
        return E_INPUT;
    memcpy(text, date.at, 10);
    memcpy(text + 10, "T00:00:00Z", 11);
    if (clock_parse_rfc3339(str_from(text), &born) != E_OK || born > now)
        return E_INPUT;
    char today[RFC3339_LEN + 1];
    clock_rfc3339(now, today);
    int64_t this_year = 0, that_year = 0;
    if (str_to_int(str_of(today, 4), &this_year) != E_OK ||
        str_to_int(str_of(text, 4), &that_year) != E_OK)
        return E_INPUT;
    *years = this_year - that_year -
             (memcmp(today + 5, text + 5, 5) < 0); /* the birthday of this year is still to come */
    return E_OK;
}

static void verify_age(struct request *request) {
    const struct age_body *body = request->body;
    struct user_op *op = ARENA_NEW(request->arena, struct user_op);
    op->request = request;
    op->change = (struct user_change){
        .id = request->caller.user_id, .declares_age = true, .is_adult = body->is_adult};
    int64_t years;
    if (body->birth_date.len > 0) {
        if (years_since(body->birth_date, &years) != E_OK || years > 130)
            return reply_field_problem(request, "birth_date",
                                       "This is not a date of birth. Write it as YYYY-MM-DD.");
        op->change.is_adult = years >= ADULT_YEARS;
    } else if (!request_has(request, struct age_body, is_adult)) {
        return reply_field_problem(request, "birth_date", "Say your date of birth, or is_adult.");
    }
    store_write(writer_change, on_changed, op);
}

static enum err writer_password(struct tx *tx, void *ctx) {
    const struct user_op *op = ctx;
    int64_t now = clock_now_ms();
    enum err err = session_check(tx, &op->request->caller);
    if (err == E_OK)
        err = user_update(tx, &op->change, now);
    if (err == E_OK)
        err = email_resets_end(tx, op->change.id, now);
    return err != E_OK ? err
                       : session_revoke(tx, op->change.id, 0, op->request->caller.session_id,
                                        STR("password"), now);
}

static void on_password_changed(enum err err, void *ctx) {
    struct user_op *op = ctx;
    if (err == E_DENIED)
        return reply_problem(op->request, 401, "The session has ended. Sign in again.");
    if (err != E_OK)
        return reply_error(op->request, err);
    log_info("account", "password was changed, other sessions were ended",
             LF_ID("user", op->change.id));
    account_changed(op->change.id);
    channel_end_other_sessions(op->change.id, op->request->caller.session_id);
    reply_empty(op->request, 204);
}

static void on_new_password_hashed(enum err err, struct str phc, void *ctx) {
    struct user_op *op = ctx;
    if (err != E_OK)
        return reply_error(op->request, err);
    op->change.password_phc = phc;
    store_write(writer_password, on_password_changed, op);
}

static void on_current_checked(enum err err, void *ctx) {
    struct user_op *op = ctx;
    if (err == E_DENIED)
        return reply_field_problem(op->request, "current_password", "This is not your password.");
    if (err != E_OK)
        return reply_error(op->request, err);
    account_hash_password(op->request, op->new_password, on_new_password_hashed, op);
}

static void change_password(struct request *request) {
    const struct password_body *body = request->body;
    struct user_op *op = ARENA_NEW(request->arena, struct user_op);
    op->request = request;
    op->new_password = body->new_password;
    op->change.id = request->caller.user_id;
    const char *problem = account_password_problem(body->new_password);
    if (problem != NULL)
        return reply_field_problem(request, "new_password", "%s", problem);
    account_check_password(request, body->current_password, on_current_checked, op);
}

static void jwks(struct request *request) {
    reply_header(request, "Cache-Control", STR("public, max-age=300"));
    reply_bytes(request, 200, STR("application/jwk-set+json"), access_jwks(request->arena));
}

/* clang-format off */
const struct route account_routes[] = {
    {METHOD_POST, "/api/v1/auth/register", register_account, WHO_ANYONE, .body = register_fields, .body_size = sizeof(struct register_body), .is_costly = true,
     .tag = "auth", .answers_secret = true, .operation = "register", .summary = "Makes an account and signs in; where an address must be verified first, answers 202 without a body and sends a link.", .status = 201, .answer = &account_signed_in_shape},
    {METHOD_POST, "/api/v1/auth/login", log_in, WHO_ANYONE, .body = login_fields, .body_size = sizeof(struct login_body), .is_costly = true,
     .tag = "auth", .answers_secret = true, .operation = "login", .summary = "Signs in; the refresh token comes in a cookie.", .answer = &account_signed_in_shape},
    {METHOD_POST, "/api/v1/auth/refresh", refresh, WHO_ANYONE, .answers_cookie = true, .tag = "auth", .answers_secret = true, .operation = "refresh",
     .summary = "Renews the session by its cookie; the cookie is replaced.", .answer = &account_signed_in_shape},
    {METHOD_POST, "/api/v1/auth/logout", log_out, WHO_ANYONE, .answers_cookie = true, .tag = "auth", .operation = "logout",
     .summary = "Ends the session.", .status = 204},
    {METHOD_POST, "/api/v1/auth/verify-age", verify_age, WHO_MEMBER, .body = age_fields, .body_size = sizeof(struct age_body),
     .tag = "auth", .operation = "verifyAge", .summary = "Declares an age; only whether it is an adult's is stored.", .answer = &user_shape},
    {METHOD_POST, "/api/v1/auth/password", change_password, WHO_MEMBER, .body = password_fields, .body_size = sizeof(struct password_body), .is_costly = true,
     .tag = "auth", .operation = "changePassword", .summary = "Changes the password; every other session ends.", .status = 204},
    {METHOD_GET, "/.well-known/jwks.json", jwks, WHO_ANYONE, .tag = "auth", .operation = "getJwks", .summary = "The public keys that sign access tokens (RFC 7517).",
     .answer_type = "application/jwk-set+json"},
    {0}};
/* clang-format on */
