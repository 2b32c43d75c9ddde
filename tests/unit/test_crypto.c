/* links: troupe_base */
#include "base/check.h"
#include "base/crypto.h"
#include "base/json.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct arena arena;

static int setup(void **state) {
    (void)state;
    arena_init(&arena);
    crypto_argon2_cost(64,
                       1); /* tests of logic need no hard hash; the vectors carry their own cost */
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_release(&arena);
    return 0;
}

static void assert_hex(const uint8_t *bytes, size_t len, const char *expected) {
    assert_string_equal(hex_encode(&arena, str_of((const char *)bytes, len)).at, expected);
}

/* --- digests -------------------------------------------------------------------------------- */

static void digests_match_their_standards(void **state) {
    (void)state;
    uint8_t out[32];
    crypto_sha256(STR(""), out); /* FIPS 180-4 examples */
    assert_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    crypto_sha256(STR_NONE, out);
    assert_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    crypto_sha256(STR("abc"), out);
    assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    crypto_sha256(STR("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"), out);
    assert_hex(out, 32, "ea866a757e4c38babfa8127cbe9a409d3e1f93a00ff1488ff735fcf917afffd0");
    crypto_sha1(STR("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11"),
                out); /* RFC 6455 section 1.3 */
    assert_string_equal(base64_encode(&arena, str_of((char *)out, 20)).at,
                        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void hmac_matches_rfc_4231(void **state) {
    (void)state;
    uint8_t out[32];
    char key[131];
    memset(key, 0x0b, 20);
    crypto_hmac_sha256(str_of(key, 20), STR("Hi There"), out);
    assert_hex(out, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    crypto_hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), out);
    assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, 131);
    crypto_hmac_sha256(str_of(key, 131),
                       STR("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    assert_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void equality_looks_at_every_byte(void **state) {
    (void)state;
    char a[40], b[40];
    memset(a, 'x', sizeof(a));
    for (size_t len = 0; len < sizeof(a); len++) {
        memcpy(b, a, sizeof(a));
        assert_true(crypto_equal(str_of(a, len), str_of(b, len)));
        assert_false(crypto_equal(str_of(a, len), str_of(b, len + 1)));
        for (size_t i = 0; i < len; i++) {
            b[i] ^= (char)0x80;
            assert_false(crypto_equal(str_of(a, len), str_of(b, len)));
            b[i] ^= (char)0x80;
        }
    }
    assert_true(crypto_equal(STR_NONE, STR("")));
}

static void random_bytes_differ(void **state) {
    (void)state;
    uint8_t a[64] = {0}, b[64] = {0};
    crypto_random(a, sizeof(a));
    crypto_random(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    crypto_random(a, 0);
}

/* --- sealing -------------------------------------------------------------------------------- */

static const uint8_t KEY[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
/* "a secret" under KEY with the context "row 7", made by OpenSSL. */
static const char SEALED[] =
    "\x01\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f\x29\x3b\xad\x03\x1a\x9b\x33\xea\x9a\x9b\x40\x30\xd3\xb2\x5c\xa1\x18\x9a\xeb\xa3\xe8\xfc\xa8\x1d";

static void a_value_sealed_elsewhere_opens(void **state) {
    (void)state;
    struct str plain;
    assert_int_equal(crypto_open(&arena, KEY, STR("row 7"), STR(SEALED), &plain), E_OK);
    assert_true(str_eq(plain, STR("a secret")));
}

static void any_other_bit_key_context_or_length_does_not_open(void **state) {
    (void)state;
    struct str plain = STR("untouched");
    char bytes[sizeof(SEALED)];
    uint8_t key[32];
    for (size_t bit = 0; bit < (sizeof(SEALED) - 1) * 8; bit++) {
        memcpy(bytes, SEALED, sizeof(SEALED));
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(
            crypto_open(&arena, KEY, STR("row 7"), str_of(bytes, sizeof(SEALED) - 1), &plain),
            E_DENIED);
    }
    for (size_t len = 0; len < sizeof(SEALED) - 1; len++)
        assert_int_equal(crypto_open(&arena, KEY, STR("row 7"), str_of(SEALED, len), &plain),
                         E_DENIED);
    memcpy(key, KEY, sizeof(key));
    key[31] ^= 1;
    assert_int_equal(crypto_open(&arena, key, STR("row 7"), STR(SEALED), &plain), E_DENIED);
    assert_int_equal(crypto_open(&arena, KEY, STR("row 8"), STR(SEALED), &plain), E_DENIED);
    assert_int_equal(crypto_open(&arena, KEY, STR_NONE, STR(SEALED), &plain), E_DENIED);
    assert_true(str_eq(plain, STR("untouched")));
}

static void sealing_goes_both_ways_and_never_repeats(void **state) {
    (void)state;
    char text[300];
    memset(text, 's', sizeof(text));
    for (size_t len = 0; len <= sizeof(text); len += 7) {
        struct str plain, one = crypto_seal(&arena, KEY, STR("c"), str_of(text, len));
        struct str two = crypto_seal(&arena, KEY, STR("c"), str_of(text, len));
        assert_int_equal(one.len, len + 29);
        assert_false(str_eq(one, two));
        assert_int_equal(crypto_open(&arena, KEY, STR("c"), one, &plain), E_OK);
        assert_true(str_eq(plain, str_of(text, len)));
    }
}

/* --- passwords ------------------------------------------------------------------------------ */

/* The first is the sheet's (computed with the reference tool), the others are of the reference
 * suite. */
static const char SHEET_PHC[] =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQxMjM0NTY3OA$DEwLbbIZGUtgBuB4gYok6r6hNvevYZoxkwMQ5/LXSaU";

static const struct {
    const char *phc;
    enum err err;
    bool matches; /* the word "password" */
    const char *why;
} PHCS[] = {
    {SHEET_PHC, E_OK, true, "the sheet"},
    {"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", E_OK,
     true, "m=65536"},
    {"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", E_OK,
     true, "m=256"},
    {"$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc", E_OK,
     true, "p=2"},
    {"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQxMjM0NTY3OA$DEwLbbIZGUtgBuB4gYok6r6hNvevYZoxkwMQ5/LXSaV",
     E_INPUT, false, "left-over bits"},
    {"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$Nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", E_OK,
     false, "another hash"},
    {"$argon2id$v=19$m=256,t=2,p=1$d29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", E_OK,
     false, "another salt"},
    {"$argon2id$v=19$m=256,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", E_OK,
     false, "another cost"},
    {"", E_INPUT, false, "empty"},
    {"$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", E_INPUT,
     false, "argon2i"},
    {"$argon2id$v=16$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
     E_INPUT, false, "version"},
    {"$argon2id$v=19$m=2097152,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
     E_INPUT, false, "2 GiB"},
    {"$argon2id$v=19$m=256,t=11,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
     E_INPUT, false, "11 rounds"},
    {"$argon2id$v=19$m=256,t=2,p=9$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
     E_INPUT, false, "9 lanes"},
    {"$argon2id$v=19$m=8,t=2,p=2$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", E_INPUT,
     false, "less than 8 per lane"},
    {"$argon2id$v=19$m=0,t=0,p=0$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", E_INPUT,
     false, "zeros"},
    {"$argon2id$v=19$t=2,m=256,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
     E_INPUT, false, "order"},
    {"$argon2id$v=19$m=256,t=2$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", E_INPUT,
     false, "no lanes"},
    {"$argon2id$v=19$m=256,t=2,p=1,x=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
     E_INPUT, false, "more"},
    {"$argon2id$v=19$m=256,t=2,p=1$c29tZQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", E_INPUT,
     false, "salt of 4 bytes"},
    {"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQ", E_INPUT, false, "hash of 7 bytes"},
    {"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ=$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
     E_INPUT, false, "padding"},
    {"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ", E_INPUT, false, "no hash"},
    {"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4$",
     E_INPUT, false, "more"},
};

static void stored_hashes_are_bounded_and_compared(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(PHCS); i++) {
        bool matches = false, needs_rehash = false;
        enum err err =
            pool_password_verify(str_from(PHCS[i].phc), STR("password"), &matches, &needs_rehash);
        if (err != PHCS[i].err || matches != PHCS[i].matches)
            fail_msg("%s: %s", PHCS[i].why, err_word(err));
        if (err == E_OK)
            assert_true(needs_rehash); /* the cost in force is the tests' */
        if (PHCS[i].matches) {
            assert_int_equal(pool_password_verify(str_from(PHCS[i].phc), STR("Password"), &matches,
                                                  &needs_rehash),
                             E_OK);
            assert_false(matches);
        }
    }
}

static void a_hash_verifies_its_password_and_no_other(void **state) {
    (void)state;
    static const struct str PASSWORDS[] = {
        {"", 0},    {"correct horse", 13},         {"nul\0inside", 10}, {"nul\0other", 9},
        {"nul", 3}, {"p\xC3\xA4ssw\xC3\xB6rd", 10}};
    struct str phc[COUNT_OF(PASSWORDS)];
    for (size_t i = 0; i < COUNT_OF(PASSWORDS); i++)
        assert_int_equal(pool_password_hash(&arena, PASSWORDS[i], &phc[i]), E_OK);
    for (size_t i = 0; i < COUNT_OF(PASSWORDS); i++) {
        for (size_t k = 0; k < COUNT_OF(PASSWORDS); k++) {
            bool matches, needs_rehash;
            assert_int_equal(pool_password_verify(phc[i], PASSWORDS[k], &matches, &needs_rehash),
                             E_OK);
            assert_int_equal(matches, i == k);
            assert_false(needs_rehash);
        }
    }
    assert_true(str_starts(phc[0], STR("$argon2id$v=19$m=64,t=1,p=1$")));
}

static void long_passwords_are_whole_or_refused(void **state) {
    (void)state;
    static char password[PASSWORD_BYTES_MAX + 1];
    struct str phc, none;
    bool matches, needs_rehash;
    memset(password, 'p', sizeof(password));
    assert_int_equal(pool_password_hash(&arena, str_of(password, PASSWORD_BYTES_MAX), &phc), E_OK);
    password[PASSWORD_BYTES_MAX - 1] = 'q'; /* the last byte counts: nothing is cut at 72 */
    assert_int_equal(
        pool_password_verify(phc, str_of(password, PASSWORD_BYTES_MAX), &matches, &needs_rehash),
        E_OK);
    assert_false(matches);
    assert_int_equal(pool_password_hash(&arena, str_of(password, sizeof(password)), &none),
                     E_LIMIT);
    assert_int_equal(
        pool_password_verify(phc, str_of(password, sizeof(password)), &matches, &needs_rehash),
        E_LIMIT);
}

/* --- tokens --------------------------------------------------------------------------------- */

/* RFC 7515 appendix A.3 */
static struct es256_key rfc_key(void) {
    struct es256_key key;
    struct str secret;
    assert_int_equal(
        base64url_decode(&arena, STR("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"), &secret),
        E_OK);
    assert_int_equal(es256_from_secret(&key, (const uint8_t *)secret.at), E_OK);
    return key;
}

static void the_public_half_and_its_name_follow_from_the_secret(void **state) {
    (void)state;
    struct es256_key key = rfc_key();
    assert_string_equal(base64url_encode(&arena, str_of((char *)key.point, 32)).at,
                        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
    assert_string_equal(base64url_encode(&arena, str_of((char *)key.point + 32, 32)).at,
                        "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    assert_string_equal(key.kid, "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
    assert_string_equal(
        es256_jwk(&arena, &key).at,
        "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
        "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\",\"use\":\"sig\",\"alg\":\"ES256\","
        "\"kid\":\"oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U\"}");
}

static void secrets_out_of_range_are_refused(void **state) {
    (void)state;
    static const char ORDER[] = "\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"
                                "\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
    uint8_t secret[32] = {0};
    struct es256_key key;
    assert_int_equal(es256_from_secret(&key, secret), E_INPUT);
    memcpy(secret, ORDER, 32);
    assert_int_equal(es256_from_secret(&key, secret), E_INPUT);
    secret[31]--;
    assert_int_equal(es256_from_secret(&key, secret), E_OK);
    memset(secret, 0xFF, 32);
    assert_int_equal(es256_from_secret(&key, secret), E_INPUT);
}

#define PAYLOAD                                                                                                        \
    "eyJpc3MiOiJodHRwczovL3Ryb3VwZS50ZXN0Iiwic3ViIjoidV80MiIsImF1ZCI6InRyb3VwZS1hcGkiLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6" \
    "MTcwMDAwMDkwMCwianRpIjoiMDFIRjAwMDAwMDAwMDAwMDAwMDAwMDAwMDEifQ"
#define H \
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImVjMSJ9" /* {"alg":"ES256","typ":"JWT","kid":"ec1"} \
                                                            */
#define SIG "X8mTYbKWBU6TpyD5mUEjkniJ_aAsheGwYPpq2sUE20BQQXfKIb1xzDvlsyEJSY9rCKEcePtJbCgSLOOtyxUcxA"

/* Header and signature around the sheet's payload; signatures over odd headers are good ones, made
 * by OpenSSL with the key of A.3. */
static const struct {
    const char *header, *signature;
    bool is_good;
    const char *why;
} TOKENS[] = {
    {H, SIG, true, "the sheet's token"},
    {"eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImVjMSIsImp3ayI6eyJrdHkiOiJFQyIsIngiOiJ2enkwcjVEcTVyakxzS3dneDhfQjRsWC1TVUpNRm1oX3hwMFlrbEp1aVp3IiwieSI6IkIyUzJTNm0zX2FpeDVaQVNmeUVPcENHdTVKZXZycHdlSXFaeTl5UGFjMTQiLCJjcnYiOiJQLTI1NiJ9LCJqa3UiOiJodHRwOi8vZXZpbCJ9",
     "dHu3xg8Cc7CdVnLOKBGJg6r1b-BlU6dyUZSB2MDnD7230yQxIS3VcypwB5o03c1fYKDIcTwiQsdMm5btxmGBdg", true,
     "key material in the header is ignored"},
    {"eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImVjMSIsImp3ayI6eyJrdHkiOiJFQyIsIngiOiJ2enkwcjVEcTVyakxzS3dneDhfQjRsWC1TVUpNRm1oX3hwMFlrbEp1aVp3IiwieSI6IkIyUzJTNm0zX2FpeDVaQVNmeUVPcENHdTVKZXZycHdlSXFaeTl5UGFjMTQiLCJjcnYiOiJQLTI1NiJ9fQ",
     "LG9HpBNCzc6hW8zBakwy9w4hGpyepB2axSbDwowlY7Z53UBMXfCKxs-89C8WSZ7xYfOmuoM9RSx8YGhEMRGfug",
     false, "signed by the key that its own header brings"},
    {"eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImVjMSIsImNyaXQiOlsiZXhwIl19",
     "LNpfwmHd604Fsn91szGkRFMxOn81s3pDhSfzAA2TvP7pHHRwRJIBTnz0wQdbou7YhcjXgUdyxXMi_rsJOs56HA",
     false, "crit"},
    {"eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImVjMSIsImI2NCI6ZmFsc2V9",
     "rZgn7357YYX3gXaBcMfnGxG9TbT2u55ICMy1lE-n5XtjA5qISwq1HRDSUV4BpAuw5XgGp3Iz7aPalRiU0i4u9A",
     false, "b64"},
    {"eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9",
     "nLziHFCNDaBjW8mAwYRsfG0ctoMpMTXlWUTk8CmPNfF5rPIglqJniaSVa_B5R7bqy25BCkREHfE3nioQGSIn0A",
     false, "no kid"},
    {"eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImVjMiJ9",
     "iUWpp01fT4FyIahQceUwlHXqfKqxg_cSOQ0PJBq6zl_jJHhmqwhThdvRaw_zucn--nGmfEjpBBMcdibxB5w5YQ",
     false, "a kid that we do not have"},
    {"eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6MX0",
     "jdq9bnvYjElq0yNRkOxxN3g_NpTwu94tMYG9tF1aijNUjd0ujTcPZ96AHEA_YvvYvuPZOMf78RT16mk2IHTB_A",
     false, "a kid that is a number"},
    {"eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImVjMVx1MDAwMHgifQ",
     "gzODuudSSHXCZj2TYYWF8zk1jZ_nqBKh2JCxFp8L6SSHXRZxyqirAu5Kdje_2FC7ZNJwDcG1bgm1BxfnktYaRA",
     false, "a kid with NUL behind ours"},
    {"eyJhbGciOiJlczI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImVjMSJ9",
     "iLTOLnL4tXdUYWy7sJs3_DZK_lP4JxujyKTv3kjVllHUd9OaqYuaMY7r_6pI8r42OIH0KXqqAfwNLq4Ammu_Jg",
     false, "alg in lower case"},
    {"eyJhbGciOiJFUzM4NCIsInR5cCI6IkpXVCIsImtpZCI6ImVjMSJ9",
     "2xcWh8FHLpKYPAV72UwZRx02tH9-24J5oPf0bNENbju2xL9HB-g1b5uYrdFhSSEg0nj2EY7LavFovsEU0NVNIQ",
     false, "another alg"},
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImVjMSJ9",
     "WIkSfzsMohC4Wn7jbkR_Huerc4auDyLWCOFBHuKW3JP7ISUWwLAkLERSgouYHLzsumVQlpWNcj5asmTOudt6rw",
     false, "HS256 over a good ES256 signature"},
    {"eyJ0eXAiOiJKV1QiLCJraWQiOiJlYzEifQ",
     "5PUDZ4FY0ZEPcj82hLBhZU3XN8YdPRWRFR4t2EhhDODKOX566_EtQxe5Fh3yjpFhggroPzKfNn2gJLudKDOg5w",
     false, "no alg"},
    {"eyJhbGciOiJFUzI1NiIsImFsZyI6Im5vbmUiLCJ0eXAiOiJKV1QiLCJraWQiOiJlYzEifQ",
     "jxM4LB9qU4I9TCn2GWlAvhdgsVTp0cphuunlK7HUvkvM-OOmXxxhCnjzGvpXa1xRu6LbaIAnEUvOpzUw4R3oTQ",
     false, "alg twice"},
    {"WyJFUzI1NiJd",
     "rAlFp67CkwABJW02LO8cfrSRd4qIfca8JYLpw1LG1v5dkxx51tni1ArLWQROwU5dcOAA5gXGjavU-HNCDjJ7Fg",
     false, "a header that is no object"},
    {"eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImVjMSJ9eA",
     "N7-VXS7rnN8mrhuQgdZrjK-ploqRLM1p_ptryqBVwWxeQ0moMaBcqJeYt8l7XAH-a4ndXC8i3uElr3fqdOClTQ",
     false, "bytes behind the header"},
    {"eyJhbGciOiJFUzI1NiIsInR5cCI6InZlcmlmeSIsImtpZCI6ImVjMSJ9",
     "hS3XknAMwEOIp0InF3jR3DGWNzfJR2CZKFjZy30BQdlSoAlZ_THvrhap2xYuCVtU1AG8ObdOxwf7dbH5GkOAoQ",
     false, "a token for another purpose"},
    {"eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjMSJ9",
     "lMiXuXrCBVxMetvDiW2ZZx21Qxk5o3BOY5G3-8JSoglkiB9TqMunl4baewPFwmrtVe6R97AJdZqtigM9N25dZA",
     false, "no typ"},
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImVjMSJ9",
     "iNYrMVYRnKFRIgesPXz42QipxlEoa8hOeMJm5hxjLJA", false, "HMAC keyed with our public key"},
    {H, "vesH_0okSqe2Hd8HXfnfpYGiur_v2u9xbf-vbN9Kfuq96wf_SiRKp7Yd3wdd-d-lgaK6v-_a73Ft_69s30p-6g",
     false, "64 bytes that are no signature"},
    {H, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABQQXfKIb1xzDvlsyEJSY9rCKEcePtJbCgSLOOtyxUcxA",
     false, "r = 0"},
    {H, "X8mTYbKWBU6TpyD5mUEjkniJ_aAsheGwYPpq2sUE20AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
     false, "s = 0"},
    {H, "_____wAAAAD__________7zm-q2nF56E87nKwvxjJVFQQXfKIb1xzDvlsyEJSY9rCKEcePtJbCgSLOOtyxUcxA",
     false, "r = n"},
    {H, "X8mTYbKWBU6TpyD5mUEjkniJ_aAsheGwYPpq2sUE20D_____AAAAAP__________vOb6racXnoTzucrC_GMlUQ",
     false, "s = n"},
    {H, "_____wAAAAD__________7zm-q2nF56E87nKwvxjJVBQQXfKIb1xzDvlsyEJSY9rCKEcePtJbCgSLOOtyxUcxA",
     false, "r = n - 1"},
    {H, "X8mTYbKWBU6TpyD5mUEjkniJ_aAsheGwYPpq2sUE20D_____AAAAAP__________vOb6racXnoTzucrC_GMlUA",
     false, "s = n - 1"},
    {H, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQ",
     false, "r = s = 1"},
    {H, "__________________________________________9QQXfKIb1xzDvlsyEJSY9rCKEcePtJbCgSLOOtyxUcxA",
     false, "r of all ones"},
    {H, "X8mTYbKWBU6TpyD5mUEjkniJ_aAsheGwYPpq2sUE20D__________________________________________w",
     false, "s of all ones"},
    {H, "UEF3yiG9ccw75bMhCUmPawihHHj7SWwoEizjrcsVHMRfyZNhspYFTpOnIPmZQSOSeIn9oCyF4bBg-mraxQTbQA",
     false, "r and s exchanged"},
    {H, "oDZsnU1p-rJsWN8GZr7cbURc_Q16kbzUkr9f6DdeShFQQXfKIb1xzDvlsyEJSY9rCKEcePtJbCgSLOOtyxUcxA",
     false, "n - r"},
    {H, "X8mTYbKWBU6TpyD5mUEjkniJ_aAsheGwYPpq2sUE20Cvvog03kKONMQaTN72tnCUtEXeNKvOMlzhjOcVMU4IjQ",
     true, "n - s: the other root of the same signature, which FIPS 186 takes"},
    {H, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
     false, "r = s = 0"},
    {H,
     "MEQCIF_Jk2GylgVOk6cg-ZlBI5J4if2gLIXhsGD6atrFBNtAAiBQQXfKIb1xzDvlsyEJSY9rCKEcePtJbCgSLOOtyxUcxA",
     false, "DER"},
    {"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0", "", false, "alg none"},
    {"eyJhbGciOiJub25lIiwidHlwIjoiSldUIiwia2lkIjoiZWMxIn0", "", false, "alg none with our kid"},
    {"eyJhbGciOiJuT25FIiwidHlwIjoiSldUIiwia2lkIjoiZWMxIn0", SIG, false,
     "alg none, another spelling"},
    {H, "", false, "no signature"},
    {H, SIG "AA", false, "65 bytes"},
    {H, SIG "==", false, "padding"},
    {H, SIG " ", false, "a blank behind"},
    {H, SIG ".", false, "four parts"},
    {H, SIG ".AA", false, "four parts"},
    {" " H, SIG, false, "a blank before"},
    {"", SIG, false, "no header"},
    {H, "X8mTYbKWBU6TpyD5mUEjkniJ_aAsheGwYPpq2sUE20BQQXfKIb1xzDvlsyEJSY9rCKEcePtJbCgSLOOtyxUcxB",
     false, "left-over bits"},
    {H, "X8mTYbKWBU6TpyD5mUEjkniJ/aAsheGwYPpq2sUE20BQQXfKIb1xzDvlsyEJSY9rCKEcePtJbCgSLOOtyxUcxA",
     false, "the other alphabet"},
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYTEifQ",
     "mQuVtIjkoiqWHcFScfLFwZd4tKMYe2NhAKl3eX0wXb8", false, "HMAC keyed with a public key in PEM"},
    {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImsxIn0",
     "w8nJTITsDMTpTM2OSKvh67-izBeGmdOZ2CcskkLABlQ", false, "HS256"},
    {"eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCIsImtpZCI6ImVkMSJ9",
     "KJpBg2yx4iiVWfIrLBi0fOhvtKCBTREwLVIDaKl1JESoUIx6llKSEhj6ujT74nMHl5M44IddPLg5nF2zDKh5Cw",
     false, "EdDSA"},
};

static void tokens_are_judged_strictly(void **state) {
    (void)state;
    struct es256_key keys[2];
    es256_generate(&keys[0]);
    keys[1] = rfc_key();
    snprintf(keys[1].kid, sizeof(keys[1].kid), "ec1");
    for (int round = 0; round < 2; round++) { /* the second time from what is remembered */
        for (size_t i = 0; i < COUNT_OF(TOKENS); i++) {
            struct str claims = STR_NONE, token = str_printf(&arena, "%s.%s.%s", TOKENS[i].header,
                                                             PAYLOAD, TOKENS[i].signature);
            enum err err = es256_verify(&arena, keys, 2, STR("JWT"), token, &claims);
            if (err != (TOKENS[i].is_good ? E_OK : E_DENIED))
                fail_msg("%s: %s", TOKENS[i].why, err_word(err));
            if (TOKENS[i].is_good)
                assert_true(
                    str_starts(claims, STR("{\"iss\":\"https://troupe.test\",\"sub\":\"u_42\"")));
        }
    }
}

static const char *const NO_TOKENS[] = {
    "",
    ".",
    "..",
    "...",
    "a.b",
    "a.b.c",
    H,
    H "." PAYLOAD,
    H "." PAYLOAD ".",
    H ".." SIG,
    H "." PAYLOAD "=." SIG,
    /* RFC 7515 A.3 as published: it has neither kid nor typ */
    ("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
     "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"),
};

static void what_is_no_token_is_denied(void **state) {
    (void)state;
    struct es256_key key = rfc_key();
    struct str claims;
    snprintf(key.kid, sizeof(key.kid), "ec1");
    for (size_t i = 0; i < COUNT_OF(NO_TOKENS); i++)
        if (es256_verify(&arena, &key, 1, STR("JWT"), str_from(NO_TOKENS[i]), &claims) != E_DENIED)
            fail_msg("%s", NO_TOKENS[i]);
    assert_int_equal(es256_verify(&arena, &key, 1, STR("JWT"), STR_NONE, &claims), E_DENIED);
    assert_int_equal(es256_verify(&arena, &key, 0, STR("JWT"), STR(H "." PAYLOAD "." SIG), &claims),
                     E_DENIED);
    static char longest[TOKEN_BYTES_MAX + 1];
    memset(longest, 'A', sizeof(longest));
    longest[4] = longest[8] = '.';
    assert_int_equal(
        es256_verify(&arena, &key, 1, STR("JWT"), str_of(longest, sizeof(longest)), &claims),
        E_DENIED);
    key.point[63] ^= 1; /* not on the curve */
    assert_int_equal(es256_verify(&arena, &key, 1, STR("JWT"), STR(H "." PAYLOAD "." SIG), &claims),
                     E_DENIED);
}

static void every_changed_letter_of_a_token_is_denied(void **state) {
    (void)state;
    struct es256_key key = rfc_key();
    struct str claims, token = es256_sign(&arena, &key, STR("access"), STR("{\"sub\":\"x\"}"));
    assert_int_equal(es256_verify(&arena, &key, 1, STR("access"), token, &claims), E_OK);
    assert_true(str_eq(claims, STR("{\"sub\":\"x\"}")));
    char *changed = str_dup_z(&arena, token);
    for (size_t i = 0; i < token.len; i++) {
        changed[i] = token.at[i] == 'A' ? 'B' : 'A';
        assert_int_equal(
            es256_verify(&arena, &key, 1, STR("access"), str_of(changed, token.len), &claims),
            E_DENIED);
        changed[i] = token.at[i];
    }
    assert_int_equal(es256_verify(&arena, &key, 1, STR("refresh"), token, &claims), E_DENIED);
}

/* RFC 6979: the nonce follows from key and message, so the same claims give the same token; this one
 * was worked out apart from the program, from section 3.2 and the curve alone. */
static void signatures_are_deterministic(void **state) {
    (void)state;
    struct es256_key key = rfc_key();
    struct str one = es256_sign(&arena, &key, STR("JWT"), STR("{\"sub\":\"u_42\"}"));
    assert_string_equal(one.at, es256_sign(&arena, &key, STR("JWT"), STR("{\"sub\":\"u_42\"}")).at);
    assert_string_equal(
        one.at,
        "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6Im9LSXl3dkdVcFRWVHl4TVEzYndJSWVRVXVkZnJfQ2tMTWpDR"
        "TE5RUNELVUifQ.eyJzdWIiOiJ1XzQyIn0.2bm2zKc-9YrHvb0b-8IQeAL3nC1F_UCzsElQZYSS2i261zjECi_Yp9LOq_"
        "BpV20K1aHkow-14Y3cNKpP4B5-1g");
}

static void a_key_forgets_nothing_of_another(void **state) {
    (void)state;
    struct es256_key mine, yours;
    struct str claims;
    es256_generate(&mine);
    es256_generate(&yours);
    assert_string_not_equal(mine.kid, yours.kid);
    struct str token = es256_sign(&arena, &mine, STR("t"), STR("{}"));
    assert_int_equal(es256_verify(&arena, &mine, 1, STR("t"), token, &claims), E_OK);
    assert_int_equal(es256_verify(&arena, &yours, 1, STR("t"), token, &claims), E_DENIED);
    memcpy(
        yours.kid, mine.kid,
        sizeof(mine.kid)); /* the same name, another key: the memory of good tokens must not help */
    assert_int_equal(es256_verify(&arena, &yours, 1, STR("t"), token, &claims), E_DENIED);
}

static void *sign_and_verify(void *ctx) {
    const struct es256_key *key = ctx;
    struct arena mine;
    arena_init(&mine);
    for (int i = 0; i < 20; i++) {
        struct str claims,
            token = es256_sign(&mine, key, STR("t"), str_printf(&mine, "{\"n\":%d}", i));
        for (int again = 0; again < 3; again++)
            if (es256_verify(&mine, key, 1, STR("t"), token, &claims) != E_OK)
                ctx = NULL;
    }
    arena_release(&mine);
    return ctx;
}

static void threads_may_sign_and_verify_together(void **state) {
    (void)state;
    struct es256_key key;
    pthread_t threads[4];
    es256_generate(&key);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, sign_and_verify, &key);
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_non_null(result);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_match_their_standards),
        cmocka_unit_test(hmac_matches_rfc_4231),
        cmocka_unit_test(equality_looks_at_every_byte),
        cmocka_unit_test(random_bytes_differ),
        cmocka_unit_test(a_value_sealed_elsewhere_opens),
        cmocka_unit_test(any_other_bit_key_context_or_length_does_not_open),
        cmocka_unit_test(sealing_goes_both_ways_and_never_repeats),
        cmocka_unit_test(stored_hashes_are_bounded_and_compared),
        cmocka_unit_test(a_hash_verifies_its_password_and_no_other),
        cmocka_unit_test(long_passwords_are_whole_or_refused),
        cmocka_unit_test(the_public_half_and_its_name_follow_from_the_secret),
        cmocka_unit_test(secrets_out_of_range_are_refused),
        cmocka_unit_test(tokens_are_judged_strictly),
        cmocka_unit_test(what_is_no_token_is_denied),
        cmocka_unit_test(every_changed_letter_of_a_token_is_denied),
        cmocka_unit_test(signatures_are_deterministic),
        cmocka_unit_test(a_key_forgets_nothing_of_another),
        cmocka_unit_test(threads_may_sign_and_verify_together),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
