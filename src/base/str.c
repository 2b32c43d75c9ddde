/* Views of text, and the small encodings that every floor needs. Nothing here allocates except into
 * the caller's arena. */
#include "base/str.h"

#include "base/arena.h"
#include "base/check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

/* --- views ------------------------------------------------------------------------------------ */

struct str str_from(const char *zero_terminated) {
    return zero_terminated ? (struct str){zero_terminated, strlen(zero_terminated)} : STR_NONE;
}

struct str str_of(const char *at, size_t len) {
    return (struct str){at, len};
}

char *str_dup_z(struct arena *arena, struct str s) {
    char *copy = arena_alloc(arena, s.len + 1);
    if (s.len)
        memcpy(copy, s.at, s.len);
    copy[s.len] = '\0';
    return copy;
}

struct str str_dup(struct arena *arena, struct str s) {
    return s.at ? (struct str){str_dup_z(arena, s), s.len} : STR_NONE;
}

/* Most of what is formatted is short, and formatted once. */
struct str str_printf(struct arena *arena, const char *format, ...) {
    char room[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(room, sizeof room, format, args);
    BUG_IF(len < 0);
    char *at = arena_alloc(arena, (size_t)len + 1);
    if ((size_t)len < sizeof room)
        memcpy(at, room, (size_t)len + 1);
    else
        vsnprintf(at, (size_t)len + 1, format, again);
    va_end(again);
    va_end(args);
    return (struct str){at, (size_t)len};
}

struct str str_concat(struct arena *arena, struct str a, struct str b) {
    char *at = arena_alloc(arena, a.len + b.len + 1);
    if (a.len > 0)
        memcpy(at, a.at, a.len);
    if (b.len > 0)
        memcpy(at + a.len, b.at, b.len);
    at[a.len + b.len] = '\0';
    return (struct str){at, a.len + b.len};
}

bool str_eq(struct str a, struct str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool str_eq_nocase(struct str a, struct str b) {
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    return true;
}

int str_compare(struct str a, struct str b) {
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared ? memcmp(a.at, b.at, shared) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

bool str_starts(struct str s, struct str prefix) {
    return s.len >= prefix.len && str_eq(str_of(s.at, prefix.len), prefix);
}

bool str_ends(struct str s, struct str suffix) {
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.at + s.len - suffix.len, suffix.at, suffix.len) == 0);
}

bool str_has(struct str s, struct str part) {
    return str_find(s, part, 0) >= 0;
}

ptrdiff_t str_find(struct str s, struct str part, size_t from) {
    if (from > s.len || part.len > s.len - from)
        return -1;
    if (part.len == 0)
        return (ptrdiff_t)from;
    const char *at = memmem(s.at + from, s.len - from, part.at, part.len);
    return at ? at - s.at : -1;
}

ptrdiff_t str_find_char(struct str s, char c, size_t from) {
    if (from >= s.len)
        return -1;
    const char *at = memchr(s.at + from, c, s.len - from);
    return at ? at - s.at : -1;
}

struct str str_slice(struct str s, size_t from, size_t to) {
    if (to > s.len)
        to = s.len;
    if (from > to)
        from = to;
    return s.at ? (struct str){s.at + from, to - from} : STR_NONE;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s) {
    while (s.len && is_blank(s.at[0])) {
        s.at++;
        s.len--;
    }
    while (s.len && is_blank(s.at[s.len - 1]))
        s.len--;
    return s;
}

bool str_next(struct str *rest, char separator, struct str *part) {
    if (rest->at == NULL)
        return false;
    ptrdiff_t cut = str_find_char(*rest, separator, 0);
    if (cut < 0) {
        *part = *rest;
        *rest = STR_NONE;
        return true;
    }
    *part = str_slice(*rest, 0, (size_t)cut);
    *rest = str_slice(*rest, (size_t)cut + 1, rest->len);
    return true;
}

bool str_take_digits(struct str *rest, size_t most, int64_t *number) {
    size_t n = 0;
    int64_t value = 0;
    for (; n < rest->len && n < most && rest->at[n] >= '0' && rest->at[n] <= '9'; n++)
        value = value * 10 + (rest->at[n] - '0');
    if (n == 0)
        return false;
    *number = value;
    *rest = str_slice(*rest, n, rest->len);
    return true;
}

/* --- numbers ---------------------------------------------------------------------------------- */

enum err str_to_int(struct str s, int64_t *out) {
    bool is_negative = s.len > 0 && s.at[0] == '-';
    size_t i = is_negative;
    if (i == s.len)
        return E_INPUT;
    int64_t value = 0; /* kept negative, because -2^63 has no positive twin */
    for (; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, s.at[i] - '0', &value))
            return E_INPUT;
    }
    if (!is_negative && __builtin_sub_overflow((int64_t)0, value, &value))
        return E_INPUT;
    *out = value;
    return E_OK;
}

static size_t skip_digits(struct str s, size_t at) {
    while (at < s.len && s.at[at] >= '0' && s.at[at] <= '9')
        at++;
    return at;
}

/* RFC 8259 section 6: -?int frac? exp? */
static bool is_number(struct str s) {
    size_t at = s.len > 0 && s.at[0] == '-';
    size_t end = skip_digits(s, at);
    if (end == at || (s.at[at] == '0' && end > at + 1))
        return false;
    if (end < s.len && s.at[end] == '.') {
        at = end + 1;
        end = skip_digits(s, at);
        if (end == at)
            return false;
    }
    if (end < s.len && (s.at[end] == 'e' || s.at[end] == 'E')) {
        at = end + 1;
        at += at < s.len && (s.at[at] == '+' || s.at[at] == '-');
        end = skip_digits(s, at);
        if (end == at)
            return false;
    }
    return end == s.len;
}

enum err str_to_double(struct str s, double *out) {
    char copy[129];
    if (s.len >= sizeof(copy) || !is_number(s))
        return E_INPUT;
    memcpy(copy, s.at, s.len);
    copy[s.len] = '\0';
    double value = strtod(copy, NULL); /* the C locale: nobody in this house calls setlocale */
    if (!isfinite(value))
        return E_INPUT;
    *out = value;
    return E_OK;
}

static const char TWO_DIGITS[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
    "8081828384858687888990919293949596979899";

size_t str_print_int(char out[STR_INT_BYTES], int64_t value) {
    char digits[STR_INT_BYTES];
    char *at = digits + sizeof(digits);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    while (rest >= 10) {
        at -= 2;
        memcpy(at, TWO_DIGITS + rest % 100 * 2, 2);
        rest /= 100;
    }
    if (rest || at == digits + sizeof(digits))
        *--at = (char)('0' + rest);
    if (value < 0)
        *--at = '-';
    size_t len = (size_t)(digits + sizeof(digits) - at);
    memcpy(out, at, len);
    return len;
}

/* --- encodings -------------------------------------------------------------------------------- */

static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char BASE64URL[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static struct str encode64(struct arena *arena, struct str bytes, const char *alphabet,
                           bool is_padded) {
    const unsigned char *in = (const unsigned char *)bytes.at;
    char *out = arena_alloc(arena, (bytes.len + 2) / 3 * 4 + 1);
    size_t n = 0;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t count = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t word = (uint32_t)in[i] << 16 | (count > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
                        (count > 2 ? in[i + 2] : 0);
        for (size_t k = 0; k <= count; k++)
            out[n++] = alphabet[word >> (18 - 6 * k) & 63];
        for (size_t k = count; is_padded && k < 3; k++)
            out[n++] = '=';
    }
    out[n] = '\0';
    return (struct str){out, n};
}

/* The value of a letter, or -1. Either alphabet by its last two letters. */
static int value64(char c, char letter62, char letter63) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == letter62 ? 62 : c == letter63 ? 63 : -1;
}

struct str base64url_encode(struct arena *arena, struct str bytes) {
    return encode64(arena, bytes, BASE64URL, false);
}

struct str base64_encode(struct arena *arena, struct str bytes) {
    return encode64(arena, bytes, BASE64, true);
}

/* Collects six bits at a time; gives whole bytes and leaves what remains in the low bits. */
struct bits64 {
    char *out;
    size_t len;
    uint32_t bits;
    int bit_count;
};

static void push64(struct bits64 *bits, int value) {
    bits->bits = bits->bits << 6 | (uint32_t)value;
    bits->bit_count += 6;
    if (bits->bit_count >= 8) {
        bits->bit_count -= 8;
        bits->out[bits->len++] = (char)(bits->bits >> bits->bit_count);
    }
}

enum err base64url_decode(struct arena *arena, struct str text, struct str *bytes) {
    if (text.len % 4 == 1)
        return E_INPUT;
    struct bits64 bits = {.out = arena_alloc(arena, text.len / 4 * 3 + 3)};
    for (size_t i = 0; i < text.len; i++) {
        int value = value64(text.at[i], '-', '_');
        if (value < 0)
            return E_INPUT;
        push64(&bits, value);
    }
    if (bits.bits & ((1u << bits.bit_count) - 1))
        return E_INPUT; /* two spellings of the same bytes would be two tokens */
    bits.out[bits.len] = '\0';
    *bytes = (struct str){bits.out, bits.len};
    return E_OK;
}

enum err base64_decode(struct arena *arena, struct str text, struct str *bytes) {
    struct bits64 bits = {.out = arena_alloc(arena, text.len / 4 * 3 + 3)};
    size_t letters = 0, padding = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '\r' || c == '\n')
            continue;
        if (c == '=' && ++padding <= 2)
            continue;
        int value = value64(c, '+', '/');
        if (value < 0 || padding)
            return E_INPUT;
        push64(&bits, value);
        letters++;
    }
    if (letters % 4 == 1 || (padding && (letters + padding) % 4 != 0))
        return E_INPUT;
    bits.out[bits.len] = '\0';
    *bytes = (struct str){bits.out, bits.len};
    return E_OK;
}

struct str hex_encode(struct arena *arena, struct str bytes) {
    char *out = arena_alloc(arena, bytes.len * 2 + 1);
    for (size_t i = 0; i < bytes.len; i++) {
        out[2 * i] = "0123456789abcdef"[(unsigned char)bytes.at[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[bytes.at[i] & 15];
    }
    out[bytes.len * 2] = '\0';
    return (struct str){out, bytes.len * 2};
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum err percent_decode(struct arena *arena, struct str text, bool plus_is_space, struct str *out) {
    char *at = arena_alloc(arena, text.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_value(text.at[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_value(text.at[i + 2]) : -1;
            if (high < 0 || low < 0)
                return E_INPUT;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0')
            return E_INPUT;
        at[n++] = c;
    }
    at[n] = '\0';
    *out = (struct str){at, n};
    return E_OK;
}
