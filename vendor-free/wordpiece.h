/*
 * WordPiece: text to the ids of its pieces, as the uncased BERT vocabulary wants it.
 *
 * The vocabulary is a plain struct without pointers, made by assets/embedder/quantise.c and read
 * where it lies, in the file of the weights.
 */
#pragma once

#include "base/str.h"

#define WORDPIECE_COUNT       30522
#define WORDPIECE_SLOTS       65536 /* less than half full; a power of two */
#define WORDPIECE_BYTES_LIMIT 18    /* of the longest piece */
#define WORDPIECE_ABSENT      0xFFFF

#define WORDPIECE_UNKNOWN 100 /* [UNK] */
#define WORDPIECE_BEGIN   101 /* [CLS] */
#define WORDPIECE_END     102 /* [SEP] */

struct wordpiece_entry {
    uint8_t len;
    uint8_t is_inside; /* "##ing": a piece that does not begin a word; stored without the marks */
    char bytes[WORDPIECE_BYTES_LIMIT];
};

/* A hash table with linear probing: slot[wordpiece_hash() % WORDPIECE_SLOTS] and what follows. */
struct wordpiece_vocabulary {
    uint16_t slot[WORDPIECE_SLOTS]; /* an id, or WORDPIECE_ABSENT */
    struct wordpiece_entry entry[WORDPIECE_COUNT];
};

/* FNV-1a, finished so that its low bits depend on all of it. */
static inline uint32_t wordpiece_hash(const char *bytes, size_t len, bool is_inside) {
    uint32_t hash = is_inside ? 0x811c9dc5u ^ 0x23u : 0x811c9dc5u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 0x01000193u;
    return hash ^ hash >> 15;
}

/*
 * Writes [CLS], the pieces of `text`, [SEP] into `ids` (room for `limit`, at least 2) and gives
 * their count; pieces that find no room are dropped. A count of 2: nothing in it can be read. Any
 * bytes are taken: what is not UTF-8 is skipped. Any thread.
 */
size_t wordpiece_split(const struct wordpiece_vocabulary *vocabulary, struct str text,
                       uint16_t *ids, size_t limit);
