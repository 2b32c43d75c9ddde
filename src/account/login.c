/*
 * Signing in and staying signed in.
 *
 * A password is compared by Argon2id in the pool, at most two at once, and always: for an address
 * that nobody has, a hash of nobody's password is compared, so that time tells nothing. Failures
 * are counted by account and by address. After some free tries each further one doubles the wait;
 * an account waits a minute at the most, so that a stranger can slow a person down but not lock
 * them out.
 *
 * A session is a family of refresh tokens (RFC 9700 section 4.14): each is used once and replaced;
 * only its SHA-256 is stored. Showing a used one again ends the family, except within twenty
 * seconds and while its successor has not been used: two tabs, or an answer that was lost.
 *
 * Access tokens are ES256 JWTs of a few minutes. Their signature says that we made them; whether
 * the session still lives is asked from the database, behind the cache in account.c. Keys are
 * sealed at rest under the key file.
 */
#include "account/login.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/keyfile.h"
#include "base/log.h"
#include "loop/pool.h"
#include "net/limit.h"
#include "store/audit.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define TOKEN_TYPE        STR("at+jwt") /* RFC 9068: this purpose and no other */
#define ISSUER            STR("troupe")
#define AUDIENCE          STR("troupe-api")
#define LEEWAY_MS         ((int64_t)60 * 1000)
#define KEYS_LIMIT        16
#define DEVICE_BYTES      120
#define DAY_MS            ((int64_t)24 * 3600 * 1000)
#define PASSWORDS_AT_ONCE 2 /* 19 MiB each */
#define PASSWORDS_WAITING 64

static struct es256_key keys[KEYS_LIMIT]; /* keys[0] signs */
static size_t key_count;
static size_t point_count; /* of the first keys the public half is known */
static struct pool_kind password_kind = {
    .name = "password", .running_limit = PASSWORDS_AT_ONCE, .queue_limit = PASSWORDS_WAITING};

/* --- signing keys ----------------------------------------------------------------------------- */

struct new_key {
    struct es256_key key;
    struct arena arena;
};

static enum err writer_new_key(struct tx *tx, void *ctx) {
    struct new_key *new = ctx;
    struct str kid = str_from(new->key.kid);
    struct str sealed = crypto_seal(&new->arena, keyfile_key(), kid,
                                    str_of((const char *)new->key.secret, sizeof new->key.secret));
    return signing_key_insert(tx, kid, sealed, clock_now_ms());
}

static enum err make_first_key(void) {
    struct new_key new = {0};
    arena_init(&new.arena);
    arena_wipe_on_release(&new.arena);
    es256_generate(&new.key);
    enum err err = store_write_and_wait(writer_new_key, &new);
    if (err == E_OK)
        keys[key_count++] = new.key;
    point_count = key_count;
    arena_release(&new.arena);
    return err;
}

static enum err open_key(struct arena *arena, const struct signing_key_row *row) {
    struct str secret;
    enum err err = keyfile_unseal(arena, row->kid, row->secret_sealed, &secret);
    if (err != E_OK || secret.len != 32)
        return E_DENIED;
    memcpy(keys[key_count].secret, secret.at, secret.len);
    return E_OK;
}

/* The public halves cost a third of a millisecond each: they are computed when the first token comes,
 * not while somebody waits for the start. */
static void ensure_points(void) {
    for (; point_count < key_count; point_count++) {
        uint8_t secret[32];
        memcpy(secret, keys[point_count].secret, sizeof secret);
        BUG_IF(es256_from_secret(&keys[point_count], secret) !=
               E_OK); /* sealed by us, so it was a key */
    }
}

enum err signing_keys_open(void) {
    struct arena arena;
    struct signing_key_row *rows;
    size_t count;
    arena_init(&arena);
    key_count = point_count = 0;
    enum err err = signing_key_list(store_reader(), &arena, &rows, &count);
    for (size_t i = 0; err == E_OK && i < count; i++) {
        err = open_key(&arena, &rows[i]);
        if (err == E_OK)
            key_count++;
        else
            log_error(
                "account",
                "a signing key does not open: is this the key file that belongs to this data folder?",
                LF_STR("kid", rows[i].kid));
    }
    arena_release(&arena);
    return err == E_OK && key_count == 0 ? make_first_key() : err;
}

struct str access_jwks(struct arena *arena) {
    ensure_points();
    struct buf buf;
    struct json json;
    buf_init(&buf, 1 << 16);
    json_init(&json, &buf);
    json_object_begin(&json);
    JSON_ARRAY(&json, "keys");
    for (size_t i = 0; i < key_count; i++)
        json_write_raw(&json, es256_jwk(arena, &keys[i]));
    json_array_end(&json);
    json_object_end(&json);
    struct str text = str_dup(arena, buf_str(&buf));
    buf_release(&buf);
    return text;
}

/* --- tokens ----------------------------------------------------------------------------------- */

void token_hash(struct str token, uint8_t hash[32]) {
    crypto_sha256(token, hash);
}

struct str access_token(struct arena *arena, int64_t user_id, int64_t session_id) {
    ensure_points();
    int64_t now_s = clock_now_ms() / 1000;
    struct str claims = str_printf(
        arena,
        "{\"iss\":\"troupe\",\"aud\":\"troupe-api\",\"sub\":\"%s\",\"sid\":\"%s\",\"jti\":\"%s\",\"iat\":%lld,"
        "\"nbf\":%lld,\"exp\":%lld}",
        id_text(user_id).at, id_text(session_id).at, id_text(id_new()).at, (long long)now_s,
        (long long)now_s, (long long)(now_s + account_settings.access_token_s));
    return es256_sign(arena, &keys[0], TOKEN_TYPE, claims);
}

/* The signature is good: is it for us, for now, and whose? */
static enum err judge_claims(struct arena *arena, struct str text, int64_t *user_id,
                             int64_t *session_id, int64_t *until_ms) {
    const struct json_value *claims;
    if (json_parse(arena, text, &claims, NULL) != E_OK)
        return E_DENIED;
    int64_t now = clock_now_ms();
    *until_ms = json_int(json_member(claims, "exp"), 0) * 1000;
    bool is_ours = str_eq(json_string(json_member(claims, "iss"), STR_NONE), ISSUER) &&
                   str_eq(json_string(json_member(claims, "aud"), STR_NONE), AUDIENCE);
    bool is_now = *until_ms > now &&
                  json_int(json_member(claims, "nbf"), INT64_MAX / 2000) * 1000 <= now + LEEWAY_MS;
    if (!is_ours || !is_now ||
        id_parse(json_string(json_member(claims, "sub"), STR_NONE), user_id) != E_OK ||
        id_parse(json_string(json_member(claims, "sid"), STR_NONE), session_id) != E_OK)
        return E_DENIED;
    return E_OK;
}

static enum err access_caller(struct str token, struct caller *caller) {
    struct arena arena;
    struct str claims;
    int64_t user_id, session_id, until_ms;
    arena_init(&arena);
    ensure_points();
    enum err err = es256_verify(&arena, keys, key_count, TOKEN_TYPE, token, &claims);
    if (err == E_OK)
        err = judge_claims(&arena, claims, &user_id, &session_id, &until_ms);
    if (err == E_OK)
        err = session_caller(store_reader(), session_id, user_id, clock_now_ms(), caller);
    if (err == E_OK)
        caller->until_ms = until_ms;
    arena_release(&arena);
    return err;
}

enum err token_caller(struct str token, struct caller *caller) {
    if (!str_starts(token, STR(API_KEY_PREFIX)))
        return access_caller(token, caller);
    uint8_t hash[32];
    token_hash(token, hash);
    return api_key_caller(store_reader(), hash, clock_now_ms(), caller);
}

static struct str random_text(struct arena *arena) {
    uint8_t bytes[32];
    crypto_random(bytes, sizeof bytes);
    return base64url_encode(arena, str_of((const char *)bytes, sizeof bytes));
}

struct str api_key_new(struct arena *arena, struct api_key *key) {
    struct str text = str_printf(arena, API_KEY_PREFIX STR_FMT, STR_ARG(random_text(arena)));
    token_hash(text, key->hash);
    key->hint = str_slice(text, 0, sizeof API_KEY_PREFIX - 1 + 4);
    return text;
}

/* --- sessions --------------------------------------------------------------------------------- */

static void new_refresh(struct arena *arena, struct grant *grant, int64_t now) {
    grant->refresh_text = random_text(arena);
    token_hash(grant->refresh_text, grant->refresh.hash);
    grant->refresh.session_id = grant->session.id;
    grant->refresh.issued_at = now;
    grant->refresh.expires_at = now + account_settings.idle_days * DAY_MS;
}

void grant_new(struct arena *arena, const struct request *request, int64_t user_id,
               struct grant *grant) {
    int64_t now = clock_now_ms();
    struct str device = request_header(request, "user-agent");
    *grant = (struct grant){.user_id = user_id};
    grant->session = (struct session){
        .id = id_new(),
        .user_id = user_id,
        .device = device.at == NULL ? STR("") : str_slice(device, 0, DEVICE_BYTES),
        .address = request->address,
        .created_at = now,
        .expires_at = now + account_settings.session_days * DAY_MS,
    };
    new_refresh(arena, grant, now);
}

void grant_renew(struct arena *arena, const struct refresh_token *before, struct grant *grant) {
    *grant = (struct grant){.user_id = before->user_id};
    grant->session.id = before->session_id;
    new_refresh(arena, grant, clock_now_ms());
}

enum err writer_grant(struct tx *tx, void *ctx) {
    const struct grant *grant = ctx;
    enum err err = session_insert(tx, &grant->session);
    return err != E_OK ? err : refresh_insert(tx, &grant->refresh);
}

/* --- passwords -------------------------------------------------------------------------------- */

struct str failure_subject_account(struct arena *arena, struct str email_folded) {
    uint8_t hash[32];
    crypto_sha256(email_folded, hash);
    struct str hex = hex_encode(arena, str_of((const char *)hash, 16));
    return str_printf(arena, "account:" STR_FMT, STR_ARG(hex));
}

struct str failure_subject_address(struct arena *arena, struct str address) {
    char text[LIMIT_NETWORK_BYTES];
    struct str network = limit_network(address, text);
    return str_printf(arena, "address:" STR_FMT, STR_ARG(network));
}

int64_t login_wait_ms(struct arena *arena, struct str email_folded, struct str address) {
    struct db *db = store_reader();
    int64_t account = failure_locked_until(db, failure_subject_account(arena, email_folded));
    int64_t from = failure_locked_until(db, failure_subject_address(arena, address));
    int64_t until = account > from ? account : from, now = clock_now_ms();
    return until > now ? until - now : 0;
}

enum err session_check(struct tx *tx, const struct caller *caller) {
    struct caller now;
    return session_caller(tx_db(tx), caller->session_id, caller->user_id, clock_now_ms(), &now);
}

/* Who changes a password that they know keeps their keys, for programs go on (account_api.c). Who gets
 * a new one because it was lost cannot tell what else was: a key is as good as a password, and outlives
 * every session. */
enum err account_replace_password(struct tx *tx, int64_t user_id, struct str email_folded,
                                  struct str phc, int64_t actor_id, int64_t now) {
    struct arena arena;
    arena_init(&arena);
    enum err err = user_update(tx, &(struct user_change){.id = user_id, .password_phc = phc}, now);
    if (err == E_OK)
        err = session_revoke(tx, user_id, 0, 0, STR("password"), now);
    if (err == E_OK)
        err = api_keys_revoke(tx, user_id, now);
    if (err == E_OK)
        err = failure_clear(tx, failure_subject_account(&arena, email_folded));
    if (err == E_OK)
        err = audit_add(tx, &(struct audit){.actor_id = actor_id,
                                            .action = STR("user.password"),
                                            .target_kind = STR("user"),
                                            .target_id = user_id});
    arena_release(&arena);
    return err;
}

struct check {
    struct str phc, password;
    enum err err;
    bool is_somebody, matches, needs_rehash;
    login_checked_fn done;
    void *ctx;
};

/* The hash of a password that nobody has, with today's cost, for addresses that nobody has. Made
 * once, in the pool. */
static struct str nobody(void) {
    static _Thread_local char phc[160];
    if (phc[0] == 0) {
        struct arena arena;
        struct str made;
        char random[32];
        arena_init(&arena);
        crypto_random(random, sizeof random);
        if (pool_password_hash(&arena, str_of(random, sizeof random), &made) == E_OK &&
            made.len < sizeof phc)
            memcpy(phc, made.at, made.len + 1);
        arena_release(&arena);
    }
    return str_from(phc);
}

static void pool_check(void *ctx) {
    struct check *check = ctx;
    check->err = pool_password_verify(check->is_somebody ? check->phc : nobody(), check->password,
                                      &check->matches, &check->needs_rehash);
    if (!check->is_somebody) {
        check->matches = false;
        check->err = E_OK;
    }
}

static void on_checked(enum err err, void *ctx) {
    struct check *check = ctx;
    check->done(err != E_OK ? err : check->err, check->matches, check->needs_rehash, check->ctx);
}

static void refuse_later(void *ctx) {
    struct check *check = ctx;
    check->done(E_BUSY, false, false, check->ctx);
}

void login_check_password(struct arena *arena, struct str phc, struct str password,
                          login_checked_fn done, void *ctx) {
    struct check *check = ARENA_NEW(arena, struct check);
    *check = (struct check){
        .phc = phc, .password = password, .is_somebody = phc.len > 0, .done = done, .ctx = ctx};
    if (pool_run(&password_kind, pool_check, on_checked, check, NULL) != E_OK)
        loop_later(refuse_later, check);
}

struct hashing {
    struct arena *arena;
    struct str password, phc;
    enum err err;
    account_hashed_fn done;
    void *ctx;
};

static void pool_hash(void *ctx) {
    struct hashing *hashing = ctx;
    hashing->err = pool_password_hash(hashing->arena, hashing->password, &hashing->phc);
}

static void on_hashed(enum err err, void *ctx) {
    struct hashing *hashing = ctx;
    hashing->done(err != E_OK ? err : hashing->err, hashing->phc, hashing->ctx);
}

static void hash_refused(void *ctx) {
    on_hashed(E_BUSY, ctx);
}

void account_hash_password(struct request *request, struct str password, account_hashed_fn done,
                           void *ctx) {
    struct hashing *hashing = ARENA_NEW(request->arena, struct hashing);
    *hashing =
        (struct hashing){.arena = request->arena, .password = password, .done = done, .ctx = ctx};
    if (pool_run(&password_kind, pool_hash, on_hashed, hashing, NULL) != E_OK)
        loop_later(hash_refused, hashing);
}
