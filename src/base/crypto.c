/*
 * Random, digests, sealing and passwords. Tokens are in es256.c.
 *
 * Nothing is initialised at start: mbedTLS contexts live on the stack of the call that needs them
 * (a SHA-256 context costs nothing, a GCM context a microsecond), and Argon2 takes its memory when
 * it hashes.
 */
#include "base/crypto.h"

#include "base/check.h"

#include <argon2.h>
#include <errno.h>
#include <mbedtls/gcm.h>
#include <mbedtls/md.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/sha1.h>
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>

#include "base/banned.h"

#if MBEDTLS_VERSION_MAJOR < 3 /* 2.28 calls the versions that report errors _ret */
#define mbedtls_sha256 mbedtls_sha256_ret
#define mbedtls_sha1   mbedtls_sha1_ret
#endif

/* --- random and digests ----------------------------------------------------------------------- */

void crypto_random(void *out, size_t len) {
    char *at = out;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno != EINTR)
            BUG("no randomness from the kernel: %s", strerror(errno));
        if (got > 0) {
            at += got;
            len -= (size_t)got;
        }
    }
}

static const unsigned char *bytes_of(struct str s) {
    return s.at ? (const unsigned char *)s.at : (const unsigned char *)"";
}

void crypto_sha256(struct str bytes, uint8_t out[SHA256_BYTES]) {
    BUG_IF(mbedtls_sha256(bytes_of(bytes), bytes.len, out, 0) != 0);
}

void crypto_sha1(struct str bytes, uint8_t out[20]) {
    BUG_IF(mbedtls_sha1(bytes_of(bytes), bytes.len, out) != 0);
}

void crypto_hmac_sha256(struct str key, struct str bytes, uint8_t out[SHA256_BYTES]) {
    const mbedtls_md_info_t *sha256 = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
    BUG_IF(mbedtls_md_hmac(sha256, bytes_of(key), key.len, bytes_of(bytes), bytes.len, out) != 0);
}

bool crypto_equal(struct str a, struct str b) {
    if (a.len != b.len)
        return false;
    volatile unsigned char difference = 0;
    for (size_t i = 0; i < a.len; i++)
        difference |= (unsigned char)(a.at[i] ^ b.at[i]);
    return difference == 0;
}

/* --- sealing ---------------------------------------------------------------------------------- */

#define SEAL_VERSION 1
#define NONCE_BYTES  12
#define TAG_BYTES    16
#define SEAL_BYTES   (1 + NONCE_BYTES + TAG_BYTES) /* more than the plain text */

struct str crypto_seal(struct arena *arena, const uint8_t key[32], struct str context,
                       struct str plain) {
    unsigned char *out = arena_alloc(arena, plain.len + SEAL_BYTES + 1);
    unsigned char *nonce = out + 1, *body = nonce + NONCE_BYTES, *tag = body + plain.len;
    out[0] = SEAL_VERSION;
    crypto_random(nonce, NONCE_BYTES);
    mbedtls_gcm_context gcm;
    mbedtls_gcm_init(&gcm);
    BUG_IF(mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, 256) != 0);
    BUG_IF(mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, plain.len, nonce, NONCE_BYTES,
                                     bytes_of(context), context.len, bytes_of(plain), body,
                                     TAG_BYTES, tag) != 0);
    mbedtls_gcm_free(&gcm);
    out[plain.len + SEAL_BYTES] = '\0';
    return (struct str){(char *)out, plain.len + SEAL_BYTES};
}

enum err crypto_open(struct arena *arena, const uint8_t key[32], struct str context,
                     struct str sealed, struct str *plain) {
    if (sealed.len < SEAL_BYTES || sealed.at[0] != SEAL_VERSION)
        return E_DENIED;
    size_t len = sealed.len - SEAL_BYTES;
    const unsigned char *nonce = bytes_of(sealed) + 1, *body = nonce + NONCE_BYTES,
                        *tag = body + len;
    unsigned char *out = arena_alloc(arena, len + 1);
    mbedtls_gcm_context gcm;
    mbedtls_gcm_init(&gcm);
    BUG_IF(mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, 256) != 0);
    int failed = mbedtls_gcm_auth_decrypt(&gcm, len, nonce, NONCE_BYTES, bytes_of(context),
                                          context.len, tag, TAG_BYTES, body, out);
    mbedtls_gcm_free(&gcm);
    if (failed)
        return E_DENIED;
    out[len] = '\0';
    *plain = (struct str){(char *)out, len};
    return E_OK;
}

/* --- passwords -------------------------------------------------------------------------------- */

#define SALT_BYTES     16
#define HASH_BYTES     32
#define MEMORY_KIB_MAX (1u << 20) /* 1 GiB */
#define ROUNDS_MAX     10
#define LANES_MAX      8

static _Atomic uint32_t cost_memory_kib = 19456, cost_rounds = 2;

/* What a PHC string says: $argon2id$v=19$m=19456,t=2,p=1$salt$hash */
struct phc {
    uint32_t memory_kib, rounds, lanes;
    struct str salt, hash;
};

void crypto_argon2_cost(uint32_t memory_kib, uint32_t rounds) {
    BUG_IF(memory_kib < 8 || memory_kib > MEMORY_KIB_MAX || rounds < 1 || rounds > ROUNDS_MAX);
    atomic_store(&cost_memory_kib, memory_kib);
    atomic_store(&cost_rounds, rounds);
}

static enum err argon2id(const struct phc *phc, struct str password, uint8_t *hash) {
    int code = argon2id_hash_raw(phc->rounds, phc->memory_kib, phc->lanes, password.at,
                                 password.len, phc->salt.at, phc->salt.len, hash, phc->hash.len);
    BUG_IF(code != ARGON2_OK && code != ARGON2_MEMORY_ALLOCATION_ERROR &&
           code != ARGON2_THREAD_FAIL);
    return code == ARGON2_OK ? E_OK : E_BUSY;
}

/* Standard base64 without its padding. */
static struct str encode_bare(struct arena *arena, struct str bytes) {
    struct str text = base64_encode(arena, bytes);
    while (text.len && text.at[text.len - 1] == '=')
        text.len--;
    return text;
}

enum err pool_password_hash(struct arena *arena, struct str password, struct str *phc) {
    if (password.len > PASSWORD_BYTES_MAX)
        return E_LIMIT;
    uint8_t salt[SALT_BYTES], hash[HASH_BYTES];
    crypto_random(salt, sizeof(salt));
    struct phc made = {.memory_kib = atomic_load(&cost_memory_kib),
                       .rounds = atomic_load(&cost_rounds),
                       .lanes = 1,
                       .salt = {(char *)salt, sizeof(salt)},
                       .hash = {(char *)hash, sizeof(hash)}};
    enum err err = argon2id(&made, password, hash);
    if (err != E_OK)
        return err;
    *phc =
        str_printf(arena, "$argon2id$v=19$m=%u,t=%u,p=1$%.*s$%.*s", made.memory_kib, made.rounds,
                   STR_ARG(encode_bare(arena, made.salt)), STR_ARG(encode_bare(arena, made.hash)));
    return E_OK;
}

/* Takes "m=123" off the front of *rest. */
static bool take_cost(struct str *rest, const char *prefix, uint32_t max, uint32_t *value) {
    struct str part;
    int64_t number;
    if (!str_next(rest, ',', &part) || !str_starts(part, str_from(prefix)) ||
        str_to_int(str_slice(part, 2, part.len), &number) != E_OK || number < 1 || number > max)
        return false;
    *value = (uint32_t)number;
    return true;
}

static bool take_bytes(struct arena *arena, struct str *rest, size_t min, size_t max,
                       struct str *bytes) {
    struct str part;
    return str_next(rest, '$', &part) && part.len <= 128 &&
           base64_decode(arena, part, bytes) == E_OK && str_eq(encode_bare(arena, *bytes), part) &&
           bytes->len >= min && bytes->len <= max;
}

static enum err parse_phc(struct arena *arena, struct str text, struct phc *phc) {
    struct str prefix = STR("$argon2id$v=19$"), costs;
    if (!str_starts(text, prefix))
        return E_INPUT;
    struct str rest = str_slice(text, prefix.len, text.len);
    if (!str_next(&rest, '$', &costs) ||
        !take_cost(&costs, "m=", MEMORY_KIB_MAX, &phc->memory_kib) ||
        !take_cost(&costs, "t=", ROUNDS_MAX, &phc->rounds) ||
        !take_cost(&costs, "p=", LANES_MAX, &phc->lanes) || costs.at != NULL ||
        phc->memory_kib < 8 * phc->lanes)
        return E_INPUT;
    if (!take_bytes(arena, &rest, 8, 64, &phc->salt) ||
        !take_bytes(arena, &rest, 16, 64, &phc->hash) || rest.at != NULL)
        return E_INPUT;
    return E_OK;
}

enum err pool_password_verify(struct str phc, struct str password, bool *matches,
                              bool *needs_rehash) {
    char scratch[1024];
    uint8_t hash[64];
    struct phc stored;
    struct arena arena;
    if (password.len > PASSWORD_BYTES_MAX)
        return E_LIMIT;
    arena_init_with(&arena, scratch, sizeof(scratch));
    enum err err = parse_phc(&arena, phc, &stored);
    if (err == E_OK)
        err = argon2id(&stored, password, hash);
    if (err == E_OK) {
        *matches = crypto_equal(str_of((char *)hash, stored.hash.len), stored.hash);
        *needs_rehash = stored.memory_kib != atomic_load(&cost_memory_kib) ||
                        stored.rounds != atomic_load(&cost_rounds) || stored.lanes != 1 ||
                        stored.hash.len != HASH_BYTES || stored.salt.len < SALT_BYTES;
    }
    arena_release(&arena);
    return err;
}
