/*
 * A bit per hashed three-byte piece stands before memmem(): with a book of five hundred keys and
 * four kilobytes of talk, four hundred and ninety are refused by reading a few bits.
 */
#include "lore/match.h"

#include "base/check.h"
#include "base/text.h"

#include <string.h>

#include "base/banned.h"

#define PIECE           3   /* bytes; a shorter key is looked for without asking the bits */
#define PIECES_ASKED    24  /* of a long key; more would not refuse more */
#define TRIES           256 /* places where a key stands inside another word, before we give up */
#define NOTE_WORD       STR("comment:")
#define KEY_LIMIT_BYTES 4000 /* a thousand characters, as the API takes them */
#define KEY_WORK_BYTES  64   /* what asking the bits costs, as bytes of memmem() */

/* --- keys ----------------------------------------------------------------------------------- */

/* /pattern/flags, with flags of JavaScript and no bare slash inside. */
static bool is_pattern(struct str key) {
    if (key.len < 3 || key.at[0] != '/')
        return false;
    size_t end = key.len;
    while (end > 1 && strchr("gimsuy", key.at[end - 1]) && key.at[end - 1] != '\0')
        end--;
    if (end < 3 || key.at[end - 1] != '/')
        return false;
    for (size_t i = 1; i + 1 < end; i++) {
        if (key.at[i] == '\\')
            i++;
        else if (key.at[i] == '/')
            return false;
    }
    return true;
}

static bool has_blank(struct str text) {
    for (size_t i = 0; i < text.len; i++)
        if (strchr(" \t\r\n", text.at[i]) && text.at[i] != '\0')
            return true;
    return false;
}

struct lore_key lore_key_read(struct arena *arena, struct str written, bool is_exact,
                              bool is_word) {
    struct str trimmed = str_trim(written);
    struct lore_key key = {.shown = str_dup(arena, trimmed), .is_exact = is_exact};
    key.is_pattern = is_pattern(trimmed);
    if (trimmed.len <= KEY_LIMIT_BYTES && trimmed.len > 0)
        key.text = is_exact ? key.shown : text_fold(arena, trimmed);
    key.is_word = is_word && !has_blank(trimmed);
    return key;
}

/* --- the text ------------------------------------------------------------------------------- */

void haystack_init(struct haystack *haystack, struct arena *arena) {
    memset(haystack, 0, sizeof(*haystack));
    haystack->arena = arena;
    buf_init(&haystack->exact, HAYSTACK_LIMIT_BYTES);
    buf_init(&haystack->folded, HAYSTACK_LIMIT_BYTES * 3); /* folding may lengthen */
}

void haystack_release(struct haystack *haystack) {
    buf_release(&haystack->exact);
    buf_release(&haystack->folded);
}

static unsigned piece_at(const char *at) {
    uint32_t bytes = (uint32_t)(unsigned char)at[0] | (uint32_t)(unsigned char)at[1] << 8 |
                     (uint32_t)(unsigned char)at[2] << 16;
    return (bytes * UINT32_C(2654435761)) >> 16; /* Knuth's multiplicative hash, its best bits */
}

static void mark_pieces(uint64_t *bits, struct str text, size_t from) {
    for (size_t i = from; i + PIECE <= text.len; i++) {
        unsigned piece = piece_at(text.at + i);
        bits[piece / 64] |= UINT64_C(1) << (piece % 64);
    }
}

static void append(struct buf *buf, uint64_t *bits, struct str text) {
    size_t before = buf->len;
    buf_add_str(buf, text);
    buf_add_char(buf, '\n');
    mark_pieces(bits, buf_str(buf), before);
}

static bool is_note(struct str text, size_t at) {
    struct str rest = str_slice(text, at + 2, text.len);
    return str_starts(rest, STR("//")) ||
           str_eq_nocase(str_slice(rest, 0, NOTE_WORD.len), NOTE_WORD);
}

static struct str without_notes(struct arena *arena, struct str text) {
    ptrdiff_t found = str_find(text, STR("{{"), 0);
    if (found < 0)
        return text;
    char *out = arena_alloc(arena, text.len + 1);
    size_t n = 0, at = 0;
    for (; found >= 0; found = str_find(text, STR("{{"), (size_t)found + 2)) {
        if (!is_note(text, (size_t)found))
            continue;
        ptrdiff_t end = str_find(text, STR("}}"), (size_t)found + 2);
        if (end < 0)
            break;
        memcpy(out + n, text.at + at, (size_t)found - at);
        n += (size_t)found - at;
        at = (size_t)end + 2;
        found = end; /* the search goes on behind the closer */
    }
    memcpy(out + n, text.at + at, text.len - at);
    return str_of(out, n + text.len - at);
}

bool haystack_add(struct haystack *haystack, struct str text) {
    size_t room = HAYSTACK_LIMIT_BYTES - haystack->exact.len;
    if (room < 2)
        return false;
    text = without_notes(haystack->arena, str_slice(text, 0, room - 1));
    text = str_slice(text, 0, text_whole_prefix(text));
    append(&haystack->exact, haystack->exact_bits, text);
    append(&haystack->folded, haystack->folded_bits, text_fold(haystack->arena, text));
    return haystack->exact.err == E_OK && haystack->folded.err == E_OK;
}

/* --- looking -------------------------------------------------------------------------------- */

static bool may_have(const uint64_t *bits, struct str key) {
    size_t asked = 0;
    for (size_t i = 0; i + PIECE <= key.len && asked < PIECES_ASKED; i++, asked++) {
        unsigned piece = piece_at(key.at + i);
        if (!(bits[piece / 64] >> (piece % 64) & 1))
            return false;
    }
    return true;
}

static bool is_unspaced(uint32_t c) {
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0x0E00, 0x0EFF},   /* Thai, Lao */
        {0x1000, 0x109F},   /* Myanmar */
        {0x1780, 0x17FF},   /* Khmer */
        {0x2E80, 0x9FFF},   /* Han, kana */
        {0xAC00, 0xD7AF},   /* Hangul */
        {0xF900, 0xFAFF},   /* Han, compatibility */
        {0x20000, 0x3FFFF}, /* Han, supplementary */
    };
    for (size_t i = 0; i < COUNT_OF(ranges); i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return false;
}

/* True when the character at `at` ties to its neighbours, so that there is no border beside it. */
static bool ties(struct str text, size_t at) {
    uint32_t code_point;
    size_t len = text_char(text, at, &code_point), from = 0;
    struct str word;
    if (len == 0)
        return false;
    if (code_point == '_')
        return true;
    return text_next_word(str_slice(text, at, at + len), &from, &word) && !is_unspaced(code_point);
}

static size_t char_before(struct str text, size_t at) {
    while (at > 0 && ((unsigned char)text.at[at - 1] & 0xC0) == 0x80)
        at--;
    return at > 0 ? at - 1 : 0;
}

static bool has_borders(struct str text, size_t from, size_t to) {
    if (from > 0 && ties(text, char_before(text, from)) && ties(text, from))
        return false;
    return to >= text.len || !ties(text, to) || !ties(text, char_before(text, to));
}

/* False once the scan has cost what it may. */
static bool pay(const struct haystack *haystack, size_t bytes) {
    if (haystack->work == NULL)
        return true;
    *haystack->work -= (int64_t)bytes;
    return *haystack->work > 0;
}

bool haystack_has(const struct haystack *haystack, const struct lore_key *key) {
    struct str text = buf_str(key->is_exact ? &haystack->exact : &haystack->folded);
    if (key->is_pattern || key->text.len == 0 || !pay(haystack, KEY_WORK_BYTES) ||
        !may_have(key->is_exact ? haystack->exact_bits : haystack->folded_bits, key->text) ||
        !pay(haystack, text.len))
        return false;
    size_t from = 0;
    for (int tries = 0; tries < TRIES; tries++) {
        ptrdiff_t at = str_find(text, key->text, from);
        if (at < 0)
            return false;
        if (!key->is_word || has_borders(text, (size_t)at, (size_t)at + key->text.len))
            return true;
        from = (size_t)at + 1;
    }
    return false;
}
