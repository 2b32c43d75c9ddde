/*
 * Cryptography, by mbedTLS (2.28 and 3.6) and libargon2; nothing of our own but the glue.
 *
 * The random source is getrandom(2). Everything here may be called from any thread except where it
 * says otherwise. Argon2 and key generation take milliseconds to hundreds of milliseconds and say
 * so in their names (`pool_`).
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

#define SHA256_BYTES 32

void crypto_random(void *out, size_t len); /* stops the process if the kernel has no randomness */
void crypto_sha256(struct str bytes, uint8_t out[SHA256_BYTES]);
/* The digest as bytes to bind or to encode: a view of it. */
static inline struct str sha256_str(const uint8_t digest[SHA256_BYTES]) {
    return str_of((const char *)digest, SHA256_BYTES);
}
void crypto_sha1(struct str bytes,
                 uint8_t out[20]); /* for Sec-WebSocket-Accept only (RFC 6455 section 4.2.2) */
void crypto_hmac_sha256(struct str key, struct str bytes, uint8_t out[SHA256_BYTES]);
bool crypto_equal(struct str a, struct str b); /* constant time for equal lengths */

/*
 * AES-256-GCM. Sealed form: 1 byte version, 12 bytes random nonce, ciphertext, 16 bytes tag.
 * `context` is authenticated, not stored, so that a sealed value moved to another row does not
 * open. crypto_open answers E_DENIED for whatever is not that form, another key or another context.
 * A key may seal 2^32 values (random nonces, NIST SP 800-38D section 8.3).
 */
struct str crypto_seal(struct arena *arena, const uint8_t key[32], struct str context,
                       struct str plain);
MUST_USE enum err crypto_open(struct arena *arena, const uint8_t key[32], struct str context,
                              struct str sealed, struct str *plain);

/*
 * Argon2id, m=19456 KiB t=2 p=1 unless crypto_argon2_cost says otherwise. PHC strings. The reader
 * bounds the parameters (m <= 1 GiB, t <= 10, p <= 8), so that a bad row is E_INPUT, not a denial
 * of service. Passwords are at most PASSWORD_BYTES_MAX bytes (E_LIMIT; never cut); NUL is a byte
 * like others. E_BUSY when there is no memory for the hash now.
 */
#define PASSWORD_BYTES_MAX 1024
void crypto_argon2_cost(uint32_t memory_kib, uint32_t rounds);
MUST_USE enum err pool_password_hash(struct arena *arena, struct str password, struct str *phc);
MUST_USE enum err pool_password_verify(struct str phc, struct str password, bool *matches,
                                       bool *needs_rehash);

/*
 * ES256 (RFC 7518 section 3.4). The private key is 32 bytes; the public key 64 (x, y). Signatures
 * are deterministic (RFC 6979). A token whose signature was found good is remembered (its SHA-256,
 * the last 1,024 of them), so that a session's later requests cost microseconds; everything else
 * about it is judged each time.
 */
struct es256_key {
    uint8_t secret[32];
    uint8_t point[64];
    char kid[44]; /* RFC 7638 thumbprint, base64url, NUL-terminated */
};
void es256_generate(struct es256_key *key);
/* E_INPUT when the secret is 0 or not below the order of the curve. */
MUST_USE enum err es256_from_secret(struct es256_key *key, const uint8_t secret[32]);
/* The key's public part as a JWK object's text, for the JWKS document. */
struct str es256_jwk(struct arena *arena, const struct es256_key *key);
/* Signs `header.payload`: gives the whole compact JWS. claims_json is an object's text. */
struct str es256_sign(struct arena *arena, const struct es256_key *key, struct str type,
                      struct str claims_json);
#define TOKEN_BYTES_MAX 8192
/*
 * Splits and checks a compact JWS against the one of `keys` that its `kid` names; alg must be ES256
 * and typ `type`; crit and b64 are refused; key material in the header is ignored. *claims_json is
 * the payload, not yet judged. E_DENIED for every failure.
 */
MUST_USE enum err es256_verify(struct arena *arena, const struct es256_key *keys, size_t key_count,
                               struct str type, struct str token, struct str *claims_json);
