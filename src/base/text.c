/*
 * Validation is hand-written, because every body and frame passes it: eight ASCII bytes at a time,
 * and the ranges of RFC 3629 for the rest. Folding and categories come from utf8proc's tables;
 * plain ASCII never reaches them.
 */
#include "base/text.h"

#include "base/check.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/banned.h"

#define HIGH_BITS    UINT64_C(0x8080808080808080)
#define MARKS_IN_ROW 30 /* UAX #15 section 13: more than any language needs */
#define SIMILARITY_CODE_POINTS \
    1024 /* a name, a key, a title; what is longer is compared by its beginning */

/* --- UTF-8 ------------------------------------------------------------------------------------ */

static inline size_t skip_ascii(struct str s, size_t at) {
    while (at + 8 <= s.len) {
        uint64_t word;
        memcpy(&word, s.at + at, 8);
        word = le64toh(word) & HIGH_BITS;
        if (word)
            return at + (size_t)(__builtin_ctzll(word) >> 3);
        at += 8;
    }
    while (at < s.len && (unsigned char)s.at[at] < 0x80)
        at++;
    return at;
}

/*
 * How many bytes at `at` belong to one character (RFC 3629 section 4). *is_whole tells whether it
 * is complete; otherwise the count is that of the maximal part: what could begin a character and
 * should become one U+FFFD. At least 1.
 */
static size_t part_at(struct str s, size_t at, bool *is_whole) {
    const unsigned char *p = (const unsigned char *)s.at + at;
    size_t left = s.len - at;
    unsigned char lead = p[0], low = 0x80, high = 0xBF;
    *is_whole = lead < 0x80;
    size_t want = lead < 0x80   ? 1
                  : lead < 0xC2 ? 0
                  : lead < 0xE0 ? 2
                  : lead < 0xF0 ? 3
                  : lead < 0xF5 ? 4
                                : 0;
    if (want < 2)
        return 1;
    low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : low; /* no overlong forms */
    high = lead == 0xED   ? 0x9F
           : lead == 0xF4 ? 0x8F
                          : high; /* no surrogates, nothing above U+10FFFF */
    for (size_t i = 1; i < want; i++) {
        if (i == left || p[i] < low || p[i] > high)
            return i;
        low = 0x80;
        high = 0xBF;
    }
    *is_whole = true;
    return want;
}

size_t text_char(struct str s, size_t at, uint32_t *code_point) {
    bool is_whole;
    if (at >= s.len)
        return 0;
    size_t len = part_at(s, at, &is_whole);
    if (!is_whole)
        return 0;
    if (code_point) {
        const unsigned char *p = (const unsigned char *)s.at + at;
        uint32_t value = len == 1 ? p[0] : p[0] & (0xFFu >> (len + 1));
        for (size_t i = 1; i < len; i++)
            value = value << 6 | (p[i] & 0x3F);
        *code_point = value;
    }
    return len;
}

/* Passes most characters beyond ASCII: two bytes, and three whose second has its whole range. */
static inline size_t skip_common(struct str s, size_t at) {
    const unsigned char *p = (const unsigned char *)s.at;
    while (at + 3 <= s.len) {
        unsigned char lead = p[at];
        if (lead >= 0xC2 && lead < 0xE0 && (p[at + 1] & 0xC0) == 0x80)
            at += 2;
        else if (lead > 0xE0 && lead < 0xF0 && lead != 0xED && (p[at + 1] & 0xC0) == 0x80 &&
                 (p[at + 2] & 0xC0) == 0x80)
            at += 3;
        else
            break;
    }
    return at;
}

size_t text_whole_prefix(struct str s) {
    size_t at = 0;
    while ((at = skip_common(s, skip_ascii(s, at))) < s.len) {
        bool is_whole;
        if ((unsigned char)s.at[at] < 0x80)
            continue;
        size_t len = part_at(s, at, &is_whole);
        if (!is_whole)
            break;
        at += len;
    }
    return at;
}

bool text_is_utf8(struct str s) {
    return text_whole_prefix(s) == s.len;
}

static bool is_continuation(char c) {
    return ((unsigned char)c & 0xC0) == 0x80;
}

size_t text_length(struct str s) {
    size_t count = 0;
    for (size_t i = 0; i < s.len; i++)
        count += !is_continuation(s.at[i]);
    return count;
}

struct str text_cut(struct str s, size_t count) {
    size_t i = 0;
    for (; i < s.len; i++)
        if (!is_continuation(s.at[i]) && count-- == 0)
            break;
    return (struct str){s.at, i};
}

struct str text_cut_bytes(struct str s, size_t bytes) {
    if (s.len <= bytes)
        return s;
    while (bytes > 0 && is_continuation(s.at[bytes]))
        bytes--;
    return (struct str){s.at, bytes};
}

struct str text_repair(struct arena *arena, struct str s) {
    if (text_is_utf8(s))
        return s;
    char *out = arena_alloc(arena, s.len * 3 + 1); /* a lone byte becomes three */
    size_t n = 0, at = 0;
    while (at < s.len) {
        bool is_whole;
        size_t len = part_at(s, at, &is_whole);
        memcpy(out + n, is_whole ? s.at + at : "\xEF\xBF\xBD", is_whole ? len : 3);
        n += is_whole ? len : 3;
        at += len;
    }
    out[n] = '\0';
    return (struct str){out, n};
}

/* --- meaning ---------------------------------------------------------------------------------- */

static struct str fold_ascii(struct arena *arena, struct str s) {
    char *out = arena_alloc(arena, s.len + 1);
    for (size_t i = 0; i < s.len; i++)
        out[i] = s.at[i] >= 'A' && s.at[i] <= 'Z' ? (char)(s.at[i] | 0x20) : s.at[i];
    out[s.len] = '\0';
    return (struct str){out, s.len};
}

/* The bytes of the mark at `at` that has a place of its own among others (the first is U+0300), or
 * 0. */
static size_t mark_at(struct str s, size_t at) {
    uint32_t code_point;
    if ((unsigned char)s.at[at] < 0xCC)
        return 0;
    size_t len = text_char(s, at, &code_point);
    return len > 0 && utf8proc_get_property((utf8proc_int32_t)code_point)->combining_class != 0
               ? len
               : 0;
}

/* utf8proc puts a row of marks into order by exchanging neighbours: its time grows with the square
 * of the row. Marks beyond MARKS_IN_ROW are left out. */
static struct str bound_marks(struct arena *arena, struct str s) {
    char *out = NULL;
    size_t n = 0, row = 0, len;
    for (size_t at = 0; at < s.len; at += len) {
        size_t mark = mark_at(s, at);
        len = mark > 0 ? mark : 1;
        row = mark > 0 ? row + 1 : 0;
        if (row > MARKS_IN_ROW && out == NULL) {
            out = arena_alloc(arena, s.len);
            memcpy(out, s.at, n = at);
        }
        if (out != NULL && row <= MARKS_IN_ROW) {
            memcpy(out + n, s.at + at, len);
            n += len;
        }
    }
    return out != NULL ? str_of(out, n) : s;
}

static struct str map_with(struct arena *arena, struct str s, utf8proc_option_t options) {
    if (skip_ascii(s, 0) == s.len)
        return fold_ascii(arena, s);
    s = bound_marks(arena, text_repair(arena, s));
    utf8proc_uint8_t *folded;
    utf8proc_ssize_t len =
        utf8proc_map((const utf8proc_uint8_t *)s.at, (utf8proc_ssize_t)s.len, &folded, options);
    BUG_IF(len < 0); /* the text is UTF-8, so only memory could have failed */
    struct str copy = str_dup(arena, str_of((const char *)folded, (size_t)len));
    free(folded);
    return copy;
}

struct str text_fold(struct arena *arena, struct str s) {
    return map_with(arena, s, UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
}

struct str text_bare(struct arena *arena, struct str s) {
    return map_with(arena, s,
                    UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD | UTF8PROC_STRIPMARK);
}

static bool is_word_part(uint32_t code_point) {
    switch (utf8proc_category((utf8proc_int32_t)code_point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return true;
    default:
        return false;
    }
}

/* The bytes of the letter, digit or mark at `at`, or 0. */
static size_t word_char(struct str text, size_t at) {
    if (at < text.len && (unsigned char)text.at[at] < 0x80) {
        char c = text.at[at];
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    }
    uint32_t code_point;
    size_t len = text_char(text, at, &code_point);
    return len && is_word_part(code_point) ? len : 0;
}

/* The bytes of an apostrophe (' or U+2019), or 0. */
static size_t apostrophe(struct str text, size_t at) {
    if (at < text.len && text.at[at] == '\'')
        return 1;
    return str_starts(str_slice(text, at, text.len), STR("\xE2\x80\x99")) ? 3 : 0;
}

bool text_next_word(struct str text, size_t *at, struct str *word) {
    size_t start = *at, len;
    while (start < text.len && word_char(text, start) == 0)
        start++;
    size_t end = start;
    while (end < text.len) {
        if ((len = word_char(text, end)) > 0) {
            end += len;
        } else if (end > start && (len = apostrophe(text, end)) > 0 &&
                   word_char(text, end + len) > 0) {
            end += len;
        } else {
            break;
        }
    }
    *at = end;
    *word = str_slice(text, start, end);
    return end > start;
}

/* --- single characters ------------------------------------------------------------------------ */

enum text_class text_class(uint32_t code_point) {
    switch (utf8proc_category((utf8proc_int32_t)code_point)) {
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return TEXT_SPACE;
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
        return TEXT_CONTROL;
    case UTF8PROC_CATEGORY_MN:
        return TEXT_MARK;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return TEXT_PUNCTUATION;
    default:
        return TEXT_PLAIN;
    }
}

uint32_t text_lower(uint32_t code_point) {
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)code_point);
}

size_t text_decompose(uint32_t code_point, uint32_t out[TEXT_DECOMPOSITION_LIMIT]) {
    utf8proc_int32_t parts[TEXT_DECOMPOSITION_LIMIT];
    int boundary = 0;
    utf8proc_ssize_t count =
        utf8proc_decompose_char((utf8proc_int32_t)code_point, parts, TEXT_DECOMPOSITION_LIMIT,
                                UTF8PROC_DECOMPOSE, &boundary);
    if (count < 1 || count > TEXT_DECOMPOSITION_LIMIT) { /* no code point of Unicode */
        out[0] = code_point;
        return 1;
    }
    for (utf8proc_ssize_t i = 0; i < count; i++)
        out[i] = (uint32_t)parts[i];
    return (size_t)count;
}

/* --- likeness --------------------------------------------------------------------------------- */

/* Three code points of 21 bits in one word: trigrams compare as numbers, without collisions. */
struct trigrams {
    uint64_t at[SIMILARITY_CODE_POINTS + 2];
    size_t count;
};

static int compare_words(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Two blanks before and one after, so that beginnings weigh more than ends and a text of one letter
 * has trigrams too. */
static void collect_trigrams(struct trigrams *trigrams, struct str folded) {
    uint64_t window = (uint64_t)' ' << 21 | ' ';
    trigrams->count = 0;
    size_t at = 0;
    uint32_t code_point;
    for (size_t len;
         trigrams->count < SIMILARITY_CODE_POINTS && (len = text_char(folded, at, &code_point));
         at += len) {
        window = (window << 21 | code_point) & ((UINT64_C(1) << 63) - 1);
        trigrams->at[trigrams->count++] = window;
    }
    if (trigrams->count > 0)
        trigrams->at[trigrams->count++] = (window << 21 | ' ') & ((UINT64_C(1) << 63) - 1);
    qsort(trigrams->at, trigrams->count, sizeof(trigrams->at[0]), compare_words);
}

static size_t count_shared(const struct trigrams *a, const struct trigrams *b) {
    size_t i = 0, k = 0, shared = 0;
    while (i < a->count && k < b->count) {
        if (a->at[i] == b->at[k]) {
            shared++;
            i++;
            k++;
        } else if (a->at[i] < b->at[k]) {
            i++;
        } else {
            k++;
        }
    }
    return shared;
}

double text_similarity(struct str a, struct str b) {
    char scratch[4096];
    struct arena arena;
    arena_init_with(&arena, scratch, sizeof(scratch));
    struct trigrams left, right;
    collect_trigrams(&left, text_fold(&arena, text_cut(a, SIMILARITY_CODE_POINTS)));
    collect_trigrams(&right, text_fold(&arena, text_cut(b, SIMILARITY_CODE_POINTS)));
    arena_release(&arena);
    if (left.count + right.count == 0)
        return 1;
    return 2.0 * (double)count_shared(&left, &right) / (double)(left.count + right.count);
}
