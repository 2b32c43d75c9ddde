/*
 * Views of text: a pointer and a length, never a copy, never a terminator that somebody relies on.
 *
 * A struct str borrows its bytes; whoever made it says for how long. {NULL, 0} means "absent", {"",
 * 0} means "empty".
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

struct str {
    const char *at;
    size_t len;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_NONE     ((struct str){NULL, 0})
#define STR_FMT      "%.*s"
#define STR_ARG(s)   (int)(s).len, (s).at

struct str str_from(const char *zero_terminated); /* NULL gives STR_NONE */
struct str str_of(const char *at, size_t len);

/* Copies into the arena with a NUL after the bytes, so that `.at` of the copy can be given to C
 * functions. */
struct str str_dup(struct arena *arena, struct str s);
char *str_dup_z(struct arena *arena, struct str s);
struct str str_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* One behind the other. For long texts: formatting takes them a character at a time, twice. */
struct str str_concat(struct arena *arena, struct str a, struct str b);

bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b); /* ASCII letters only: header names, tokens */
int str_compare(struct str a, struct str b);    /* as memcmp, the shorter first */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
bool str_has(struct str s, struct str part);
ptrdiff_t str_find(struct str s, struct str part, size_t from); /* index, or -1 */
ptrdiff_t str_find_char(struct str s, char c, size_t from);
struct str str_slice(struct str s, size_t from, size_t to); /* clamped */
struct str str_trim(struct str s); /* ASCII space, tab, CR, LF at both ends */

/* Takes the part before `separator` off the front of *rest (the whole rest when there is none).
 * False when *rest is used up. */
bool str_next(struct str *rest, char separator, struct str *part);
/* Takes decimal digits off the front of *rest, at most `most` (up to 18) of them. False when there
 * are none. */
bool str_take_digits(struct str *rest, size_t most, int64_t *number);

/*
 * Whole-text parsers: anything else than the number makes them fail with E_INPUT and leaves *out
 * alone. Integers are an optional minus and decimal digits; doubles are what JSON calls a number,
 * at most 128 bytes, and finite.
 */
MUST_USE enum err str_to_int(struct str s, int64_t *out);
MUST_USE enum err str_to_double(struct str s, double *out);

#define STR_INT_BYTES 20 /* -9223372036854775808 */
/* Writes the decimal digits without a NUL and gives their count. The fast half of buf_add_int and
 * of the JSON writer. */
size_t str_print_int(char out[STR_INT_BYTES], int64_t value);

/* base64url without padding, strict: no '=', no white space, left-over bits zero (RFC 4648 section
 * 5). */
struct str base64url_encode(struct arena *arena, struct str bytes);
MUST_USE enum err base64url_decode(struct arena *arena, struct str text, struct str *bytes);
/* base64 with padding (RFC 4648 section 4); the reader also takes missing padding and skips line
 * ends, as PNG cards have them. */
struct str base64_encode(struct arena *arena, struct str bytes);
MUST_USE enum err base64_decode(struct arena *arena, struct str text, struct str *bytes);
struct str hex_encode(struct arena *arena, struct str bytes);

/* Percent-decoding, once (ASVS 1.1.1). Fails on a cut escape and on NUL. plus_is_space for query
 * strings. */
MUST_USE enum err percent_decode(struct arena *arena, struct str text, bool plus_is_space,
                                 struct str *out);
