/*
 * The tokenizer of BERT's uncased models, in one walk over the text.
 *
 * Per character: what is broken, a control character or U+FFFD goes; white space ends a word; a
 * Chinese character is a word of its own; everything else is decomposed (NFD), loses its accents
 * (Mn) and its capitals; each punctuation character (every ASCII symbol is one) is a word of its
 * own. Words are collected in a small buffer and cut at once into the longest pieces that the
 * vocabulary has, from the left; a word of more than 100 characters, or with a stretch that no
 * piece covers, becomes one [UNK].
 *
 * Work is bounded by the text: a piece has at most 18 bytes, so a word of n bytes costs at most 18 n
 * look-ups, and the walk stops when the ids are full. "[CLS]" in a text is three words, not a
 * command.
 */
#include "wordpiece.h"

#include "base/text.h"

#include <string.h>

#include "base/banned.h"

#define WORD_CHARACTERS_LIMIT 100
#define WORD_BYTES            (WORD_CHARACTERS_LIMIT * 4)
#define REPLACEMENT           0xFFFD

struct splitter {
    const struct wordpiece_vocabulary *vocabulary;
    uint16_t *ids;
    size_t count, limit; /* one place is kept for [SEP] */
    size_t len;          /* bytes of the word so far */
    size_t characters;   /* of the word so far; may pass the limit, its bytes do not */
    char word[WORD_BYTES];
};

/* --- a word to pieces ------------------------------------------------------------------------- */

static uint16_t find_piece(const struct wordpiece_vocabulary *vocabulary, const char *bytes,
                           size_t len, bool is_inside) {
    uint32_t at = wordpiece_hash(bytes, len, is_inside);
    for (size_t probes = 0; probes < WORDPIECE_SLOTS; probes++, at++) {
        uint16_t id = vocabulary->slot[at % WORDPIECE_SLOTS];
        if (id >= WORDPIECE_COUNT)
            break;
        const struct wordpiece_entry *entry = &vocabulary->entry[id];
        if (entry->len == len && entry->is_inside == is_inside &&
            memcmp(entry->bytes, bytes, len) == 0)
            return id;
    }
    return WORDPIECE_ABSENT;
}

/* The longest piece at the front of `bytes`; *len becomes its length. */
static uint16_t longest_piece(const struct wordpiece_vocabulary *vocabulary, const char *bytes,
                              size_t *len, bool is_inside) {
    size_t try = *len < WORDPIECE_BYTES_LIMIT ? *len : WORDPIECE_BYTES_LIMIT;
    for (; try > 0; try--) {
        uint16_t id = find_piece(vocabulary, bytes, try, is_inside);
        if (id != WORDPIECE_ABSENT) {
            *len = try;
            return id;
        }
    }
    return WORDPIECE_ABSENT;
}

static void add_id(struct splitter *splitter, uint16_t id) {
    if (splitter->count < splitter->limit)
        splitter->ids[splitter->count++] = id;
}

/* An unknown stretch makes the whole word unknown, so pieces are counted back. Those that found no
 * room do not matter. */
static void end_word(struct splitter *splitter) {
    size_t before = splitter->count;
    bool is_known = splitter->characters <= WORD_CHARACTERS_LIMIT;
    for (size_t at = 0, len; is_known && at < splitter->len; at += len) {
        len = splitter->len - at;
        uint16_t id = longest_piece(splitter->vocabulary, splitter->word + at, &len, at > 0);
        is_known = id != WORDPIECE_ABSENT;
        add_id(splitter, id);
    }
    if (!is_known) {
        splitter->count = before;
        add_id(splitter, WORDPIECE_UNKNOWN);
    }
    splitter->len = 0;
    splitter->characters = 0;
}

static void end_word_if_any(struct splitter *splitter) {
    if (splitter->characters > 0)
        end_word(splitter);
}

/* --- characters to words ---------------------------------------------------------------------- */

static size_t encode(uint32_t c, char out[4]) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = len - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(lead[len] | c);
    return len;
}

static void add_character(struct splitter *splitter, uint32_t c) {
    if (++splitter->characters <= WORD_CHARACTERS_LIMIT)
        splitter->len += encode(c, splitter->word + splitter->len);
}

static void add_alone(struct splitter *splitter, uint32_t c) {
    end_word_if_any(splitter);
    add_character(splitter, c);
    end_word(splitter);
}

/* The ranges that the makers of BERT call Chinese; the fourth begins where theirs does. */
static bool is_chinese(uint32_t c) {
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
           (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
           (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

static bool is_ascii_symbol(uint32_t c) {
    return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
           (c >= 123 && c <= 126);
}

/* ASCII is most of most texts and needs no tables. */
static void take_ascii(struct splitter *splitter, uint32_t c) {
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
        end_word_if_any(splitter);
    else if (is_ascii_symbol(c))
        add_alone(splitter, c);
    else if (c > ' ' && c != 127)
        add_character(splitter, c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static void take_part(struct splitter *splitter, uint32_t c) {
    if (c < 0x80) {
        take_ascii(splitter, c);
        return;
    }
    switch (text_class(c)) {
    case TEXT_MARK:
        break;
    case TEXT_SPACE:
        end_word_if_any(splitter);
        break;
    case TEXT_PUNCTUATION:
        add_alone(splitter, c);
        break;
    default:
        add_character(splitter, text_lower(c));
    }
}

static void take_character(struct splitter *splitter, uint32_t c) {
    if (c < 0x80) {
        take_ascii(splitter, c);
        return;
    }
    if (c == REPLACEMENT || text_class(c) == TEXT_CONTROL)
        return;
    bool stands_alone = is_chinese(c);
    uint32_t parts[TEXT_DECOMPOSITION_LIMIT];
    size_t count = text_decompose(c, parts);
    if (stands_alone)
        end_word_if_any(splitter);
    for (size_t i = 0; i < count; i++)
        take_part(splitter, parts[i]);
    if (stands_alone)
        end_word_if_any(splitter);
}

size_t wordpiece_split(const struct wordpiece_vocabulary *vocabulary, struct str text,
                       uint16_t *ids, size_t limit) {
    struct splitter splitter = {.vocabulary = vocabulary, .ids = ids, .limit = limit - 1};
    add_id(&splitter, WORDPIECE_BEGIN);
    for (size_t at = 0; at < text.len && splitter.count < splitter.limit;) {
        uint32_t c;
        size_t len = text_char(text, at, &c);
        if (len > 0)
            take_character(&splitter, c);
        at += len > 0 ? len : 1;
    }
    end_word_if_any(&splitter);
    ids[splitter.count] = WORDPIECE_END;
    return splitter.count + 1;
}
