/* PNG, third edition (W3C 2025), sections 5 (chunks), 7.2 and 8 (rows, passes), 11.3.3 (text). */
#include "base/png.h"

#include "base/buf.h"
#include "base/check.h"

#include <string.h>
#include <zlib.h>

#include "base/banned.h"

#define FRAME_BYTES   12 /* length, type, CRC */
#define KEYWORD_BYTES 79
#define SCRATCH_BYTES 32768

static const unsigned char signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};

static uint32_t big32(const char *at) {
    const unsigned char *p = (const unsigned char *)at;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* --- chunks --------------------------------------------------------------------------------- */

enum err png_begin(struct png *png, struct str bytes) {
    *png = (struct png){.bytes = bytes, .at = sizeof(signature)};
    return bytes.len >= sizeof(signature) && memcmp(bytes.at, signature, sizeof(signature)) == 0
               ? E_OK
               : E_INPUT;
}

static bool is_letter(char c) {
    return ((c | 0x20) >= 'a') && ((c | 0x20) <= 'z');
}

enum err png_next(struct png *png, struct png_chunk *chunk) {
    size_t left = png->bytes.len - png->at;
    const char *at = png->bytes.at + png->at;
    if (png->has_end || left == 0)
        return E_ABSENT;
    if (left < FRAME_BYTES || big32(at) > left - FRAME_BYTES)
        return E_INPUT;
    size_t len = big32(at);
    chunk->type = str_of(at + 4, 4);
    chunk->data = str_of(at + 8, len);
    chunk->whole = str_of(at, len + FRAME_BYTES);
    uint32_t crc = (uint32_t)crc32(0, (const Bytef *)at + 4, (uInt)(len + 4));
    chunk->is_intact = crc == big32(at + 8 + len);
    for (int i = 4; i < 8; i++)
        if (!is_letter(at[i]))
            return E_INPUT;
    png->at += chunk->whole.len;
    png->has_end = str_eq(chunk->type, STR("IEND"));
    return E_OK;
}

/* --- pixels --------------------------------------------------------------------------------- */

/* Which depths a colour type has, a bit each (section 11.2.1, table 12). */
static unsigned depths_of(int color) {
    switch (color) {
    case 0:
        return 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8 | 1 << 16;
    case 3:
        return 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8;
    case 2:
    case 4:
    case 6:
        return 1 << 8 | 1 << 16;
    default:
        return 0;
    }
}

enum err png_header(const struct png_chunk *chunk, struct png_header *header) {
    if (!str_eq(chunk->type, STR("IHDR")) || chunk->data.len != 13 || !chunk->is_intact)
        return E_INPUT;
    const char *at = chunk->data.at;
    *header = (struct png_header){
        .width = big32(at),
        .height = big32(at + 4),
        .depth = (unsigned char)at[8],
        .color = (unsigned char)at[9],
        .is_interlaced = at[12] == 1,
    };
    bool is_known = header->depth <= 16 && (depths_of(header->color) >> header->depth & 1) &&
                    at[10] == 0 && at[11] == 0 && (at[12] == 0 || at[12] == 1);
    bool is_sized = header->width > 0 && header->height > 0 && header->width <= INT32_MAX &&
                    header->height <= INT32_MAX;
    return is_known && is_sized ? E_OK : E_INPUT;
}

static uint64_t rows_bytes(const struct png_header *header, uint64_t width, uint64_t height) {
    static const int channels[] = {1, 0, 3, 1, 2, 0, 4};
    if (width == 0 || height == 0)
        return 0;
    uint64_t bits = (uint64_t)channels[header->color] * (uint64_t)header->depth;
    return height * (1 + (width * bits + 7) / 8); /* a filter byte before each row */
}

uint64_t png_raw_bytes(const struct png_header *header) {
    static const struct {
        unsigned x, y, across, down; /* Adam7: where a pass begins, and its steps */
    } passes[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                  {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
    if (!header->is_interlaced)
        return rows_bytes(header, header->width, header->height);
    uint64_t sum = 0;
    for (size_t i = 0; i < COUNT_OF(passes); i++) {
        uint64_t width = (header->width + passes[i].across - 1 - passes[i].x) / passes[i].across;
        uint64_t height = (header->height + passes[i].down - 1 - passes[i].y) / passes[i].down;
        sum += rows_bytes(header, width, height);
    }
    return sum;
}

struct counter {
    z_stream stream;
    uint64_t count;
    bool is_done, is_broken;
};

static void count_begin(struct counter *counter) {
    memset(counter, 0, sizeof(*counter));
    BUG_IF(inflateInit(&counter->stream) != Z_OK);
}

/* Inflates one piece into nothing; stops above `limit`. */
static void count_piece(struct counter *counter, struct str piece, uint64_t limit) {
    unsigned char scratch[SCRATCH_BYTES];
    counter->stream.next_in = (Bytef *)(uintptr_t)piece.at;
    counter->stream.avail_in = (uInt)piece.len;
    while (!counter->is_done && !counter->is_broken && counter->count <= limit) {
        counter->stream.next_out = scratch;
        counter->stream.avail_out = sizeof(scratch);
        int result = inflate(&counter->stream, Z_NO_FLUSH);
        counter->count += sizeof(scratch) - counter->stream.avail_out;
        counter->is_done = result == Z_STREAM_END;
        if (result == Z_BUF_ERROR || (result == Z_OK && counter->stream.avail_out > 0))
            return; /* all of the piece is eaten */
        counter->is_broken = result != Z_OK && result != Z_STREAM_END;
    }
}

enum err pool_png_pixels(struct str bytes, const struct png_header *header) {
    struct png png;
    struct png_chunk chunk;
    struct counter counter;
    uint64_t expected = png_raw_bytes(header);
    enum err err = png_begin(&png, bytes);
    count_begin(&counter);
    while (err == E_OK && (err = png_next(&png, &chunk)) == E_OK)
        if (str_eq(chunk.type, STR("IDAT")))
            count_piece(&counter, chunk.data, expected);
    inflateEnd(&counter.stream);
    if (counter.count > expected)
        return E_LIMIT;
    return err == E_ABSENT && counter.is_done && counter.count == expected ? E_OK : E_INPUT;
}

int64_t png_inflated_bytes(struct str deflated, int64_t limit) {
    struct counter counter;
    count_begin(&counter);
    count_piece(&counter, deflated, (uint64_t)limit);
    inflateEnd(&counter.stream);
    if ((int64_t)counter.count > limit)
        return limit + 1;
    return counter.is_done ? (int64_t)counter.count : -1;
}

/* --- text ----------------------------------------------------------------------------------- */

/* Counted first, so that a bomb costs time, never memory. */
static enum err inflate_text(struct arena *arena, struct str deflated, size_t limit_bytes,
                             struct str *text) {
    int64_t count = png_inflated_bytes(deflated, (int64_t)limit_bytes);
    if (count < 0)
        return E_INPUT;
    if ((size_t)count > limit_bytes)
        return E_LIMIT;
    uLongf len = (uLongf)count;
    Bytef *out = arena_alloc(arena, len + 1);
    if (uncompress(out, &len, (const Bytef *)deflated.at, deflated.len) != Z_OK)
        return E_INPUT;
    *text = str_of((const char *)out, len);
    return E_OK;
}

/* Takes the bytes before the next NUL off the front. */
static bool take_field(struct str *rest, struct str *field) {
    ptrdiff_t end = str_find_char(*rest, '\0', 0);
    if (end < 0)
        return false;
    *field = str_slice(*rest, 0, (size_t)end);
    *rest = str_slice(*rest, (size_t)end + 1, rest->len);
    return true;
}

static enum err international(struct arena *arena, struct str rest, size_t limit_bytes,
                              struct str *text) {
    struct str language, translated;
    if (rest.len < 2)
        return E_INPUT;
    bool is_deflated = rest.at[0] == 1;
    rest = str_slice(rest, 2, rest.len);
    if (!take_field(&rest, &language) || !take_field(&rest, &translated))
        return E_INPUT;
    if (is_deflated)
        return inflate_text(arena, rest, limit_bytes, text);
    *text = rest;
    return rest.len <= limit_bytes ? E_OK : E_LIMIT;
}

enum err png_keyword(const struct png_chunk *chunk, struct str *keyword) {
    struct str rest = chunk->data;
    if (!str_eq(chunk->type, STR("tEXt")) && !str_eq(chunk->type, STR("zTXt")) &&
        !str_eq(chunk->type, STR("iTXt")))
        return E_ABSENT;
    return take_field(&rest, keyword) && keyword->len > 0 && keyword->len <= KEYWORD_BYTES
               ? E_OK
               : E_INPUT;
}

enum err png_text(struct arena *arena, const struct png_chunk *chunk, size_t limit_bytes,
                  struct str *keyword, struct str *text) {
    enum err err = png_keyword(chunk, keyword);
    if (err != E_OK)
        return err;
    struct str rest = str_slice(chunk->data, keyword->len + 1, chunk->data.len);
    if (str_eq(chunk->type, STR("iTXt")))
        return international(arena, rest, limit_bytes, text);
    if (str_eq(chunk->type, STR("zTXt")))
        return rest.len > 1 && rest.at[0] == 0
                   ? inflate_text(arena, str_slice(rest, 1, rest.len), limit_bytes, text)
                   : E_INPUT;
    *text = rest;
    return rest.len <= limit_bytes ? E_OK : E_LIMIT;
}

/* --- writing -------------------------------------------------------------------------------- */

static void add_big32(struct buf *out, uint32_t value) {
    const char bytes[4] = {(char)(value >> 24), (char)(value >> 16), (char)(value >> 8),
                           (char)value};
    buf_add(out, bytes, sizeof(bytes));
}

void png_add_signature(struct buf *out) {
    buf_add(out, signature, sizeof(signature));
}

void png_add_chunk(struct buf *out, const char *type, struct str data) {
    uint32_t crc = (uint32_t)crc32(0, (const Bytef *)type, 4);
    if (data.len > 0)
        crc = (uint32_t)crc32(crc, (const Bytef *)data.at, (uInt)data.len);
    add_big32(out, (uint32_t)data.len);
    buf_add(out, type, 4);
    buf_add_str(out, data);
    add_big32(out, crc);
}

void png_add_text(struct buf *out, const char *keyword, struct str text) {
    struct buf data;
    buf_init(&data, text.len + KEYWORD_BYTES + 1);
    buf_add(&data, keyword, strlen(keyword) + 1);
    buf_add_str(&data, text);
    png_add_chunk(out, "tEXt", buf_str(&data));
    buf_release(&data);
}
