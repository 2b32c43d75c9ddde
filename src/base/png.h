/*
 * PNG as a row of chunks: enough to read what cards hide in it, to judge whether it is a picture,
 * and to write text into it. Pixels are never decoded, only counted.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

struct png {
    struct str bytes;
    size_t at;
    bool has_end; /* IEND was there */
};

struct png_chunk {
    struct str type; /* four letters */
    struct str data;
    struct str whole; /* with length, type and CRC */
    bool is_intact;   /* the CRC is right */
};

struct png_header {
    uint32_t width, height;
    int depth, color;
    bool is_interlaced;
};

/* E_INPUT when the signature is wrong. */
MUST_USE enum err png_begin(struct png *png, struct str bytes);
/* E_ABSENT after IEND or at the end of the bytes; E_INPUT when a chunk is longer than the file. */
MUST_USE enum err png_next(struct png *png, struct png_chunk *chunk);
/* E_INPUT when it is no IHDR, or a combination that PNG does not have. */
MUST_USE enum err png_header(const struct png_chunk *chunk, struct png_header *header);
/* Bytes that the pixels of such a picture are before deflation. */
uint64_t png_raw_bytes(const struct png_header *header);
/*
 * Inflates all IDAT of `bytes` without keeping anything and compares with what the header promises.
 * E_LIMIT: there is more in it than that (a bomb); E_INPUT: less, or not zlib.
 */
MUST_USE enum err pool_png_pixels(struct str bytes, const struct png_header *header);

/* The keyword of a text chunk. E_ABSENT: another chunk; E_INPUT: malformed. */
MUST_USE enum err png_keyword(const struct png_chunk *chunk, struct str *keyword);
/* A text chunk (tEXt, zTXt, iTXt). E_ABSENT: another chunk; E_INPUT: malformed; E_LIMIT: more than
 * `limit_bytes` inflated. */
MUST_USE enum err png_text(struct arena *arena, const struct png_chunk *chunk, size_t limit_bytes,
                           struct str *keyword, struct str *text);
/* Counts what a zlib stream inflates to, at most `limit` + 1; -1 when it is none. */
int64_t png_inflated_bytes(struct str deflated, int64_t limit);

struct buf;
void png_add_signature(struct buf *out);
void png_add_chunk(struct buf *out, const char *type, struct str data);
void png_add_text(struct buf *out, const char *keyword, struct str text);
