/*
 * Cryptography, by mbedTLS (2.28 and 3.6) and libargon2; nothing of our own but the glue.
 *
 * The random source is getrandom(2). Everything here may be called from any thread except where it says otherwise. Argon2 and key
 * generation take milliseconds to hundreds of milliseconds and say so in their names (`pool_`).
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

#define SHA256_BYTES 32

void crypto_random(void *out, size_t len); /* stops the process if the kernel has no randomness */
void crypto_sha256(struct str bytes, uint8_t out[SHA256_BYTES]);
void crypto_sha1(struct str bytes, uint8_t out[20]); /* for Sec-WebSocket-Accept only (RFC 6455 section 4.2.2) */
void crypto_hmac_sha256(struct str key, struct str bytes, uint8_t out[SHA256_BYTES]);
bool crypto_equal(struct str a, struct str b); /* constant time for equal lengths */

/* AES-256-GCM. Sealed form: 1 byte version, 12 bytes random nonce, ciphertext, 16 bytes tag. `context` is authenticated, not stored. */
struct str crypto_seal(struct arena *arena, const uint8_t key[32], struct str context, struct str plain);
MUST_USE enum err crypto_open(struct arena *arena, const uint8_t key[32], struct str context, struct str sealed,
                              struct str *plain);

/* Argon2id, m=19456 KiB t=2 p=1 unless crypto_argon2_cost says otherwise. PHC strings; the reader bounds the parameters. */
void crypto_argon2_cost(uint32_t memory_kib, uint32_t rounds);
MUST_USE enum err pool_password_hash(struct arena *arena, struct str password, struct str *phc);
MUST_USE enum err pool_password_verify(struct str phc, struct str password, bool *matches, bool *needs_rehash);

/* ES256 (RFC 7518 section 3.4). The private key is 32 bytes; the public key 64 (x, y). */
struct es256_key {
    uint8_t secret[32];
    uint8_t point[64];
    char kid[44]; /* RFC 7638 thumbprint, base64url, NUL-terminated */
};
void es256_generate(struct es256_key *key);
MUST_USE enum err es256_from_secret(struct es256_key *key, const uint8_t secret[32]);
/* Signs `header.payload`: gives the whole compact JWS. claims_json is an object's text. */
struct str es256_sign(struct arena *arena, const struct es256_key *key, struct str type, struct str claims_json);
/* Splits and checks a compact JWS against one of `keys` by `kid` and `typ`; *claims_json is the payload, not yet judged. E_DENIED for every failure. */
MUST_USE enum err es256_verify(struct arena *arena, const struct es256_key *keys, size_t key_count, struct str type,
                               struct str token, struct str *claims_json);
