/*
 * Indexed colour: 255 steps of a gradient and one for the letter, so the whole picture is a byte
 * per pixel that deflates to nearly nothing. Letters are 5 by 7 squares; a name that begins with
 * another letter than A to Z or 0 to 9 gets a disc.
 */
#include "character/placard.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/png.h"

#include <string.h>
#include <zlib.h>

#include "base/banned.h"

#define STEPS       255 /* colours of the gradient; the one behind them is the letter's */
#define SQUARE      44  /* pixels a square of a letter is wide */
#define LETTER_LEFT ((PLACARD_WIDTH - 5 * SQUARE) / 2)
#define LETTER_TOP  ((PLACARD_HEIGHT - 7 * SQUARE) / 2)
#define DISC_RADIUS 120

/* Rows of A to Z and 0 to 9, the leftmost square in bit 4. */
static const unsigned char glyphs[36][7] = {
    {14, 17, 17, 31, 17, 17, 17}, {30, 17, 17, 30, 17, 17, 30}, {14, 17, 16, 16, 16, 17, 14},
    {30, 17, 17, 17, 17, 17, 30}, {31, 16, 16, 30, 16, 16, 31}, {31, 16, 16, 30, 16, 16, 16},
    {14, 17, 16, 23, 17, 17, 15}, {17, 17, 17, 31, 17, 17, 17}, {14, 4, 4, 4, 4, 4, 14},
    {7, 2, 2, 2, 2, 18, 12},      {17, 18, 20, 24, 20, 18, 17}, {16, 16, 16, 16, 16, 16, 31},
    {17, 27, 21, 21, 17, 17, 17}, {17, 25, 21, 19, 17, 17, 17}, {14, 17, 17, 17, 17, 17, 14},
    {30, 17, 17, 30, 16, 16, 16}, {14, 17, 17, 17, 21, 18, 13}, {30, 17, 17, 30, 20, 18, 17},
    {15, 16, 16, 14, 1, 1, 30},   {31, 4, 4, 4, 4, 4, 4},       {17, 17, 17, 17, 17, 17, 14},
    {17, 17, 17, 17, 17, 10, 4},  {17, 17, 17, 21, 21, 27, 17}, {17, 17, 10, 4, 10, 17, 17},
    {17, 17, 10, 4, 4, 4, 4},     {31, 1, 2, 4, 8, 16, 31},     {14, 17, 19, 21, 25, 17, 14},
    {4, 12, 4, 4, 4, 4, 14},      {14, 17, 1, 6, 8, 16, 31},    {14, 17, 1, 6, 1, 17, 14},
    {2, 6, 10, 18, 31, 2, 2},     {31, 16, 30, 1, 1, 17, 14},   {6, 8, 16, 30, 17, 17, 14},
    {31, 1, 2, 4, 4, 4, 4},       {14, 17, 17, 14, 17, 17, 14}, {14, 17, 17, 15, 1, 2, 12},
};

static const unsigned char *glyph_of(struct str name) {
    char c = name.len > 0 ? name.at[0] : ' ';
    if (c >= 'a' && c <= 'z')
        c = (char)(c - 'a' + 'A');
    return c >= 'A' && c <= 'Z'   ? glyphs[c - 'A']
           : c >= '0' && c <= '9' ? glyphs[26 + c - '0']
                                  : NULL;
}

static bool is_letter(const unsigned char *glyph, int x, int y) {
    if (glyph == NULL) {
        int dx = x - PLACARD_WIDTH / 2, dy = y - PLACARD_HEIGHT / 2;
        return dx * dx + dy * dy <= DISC_RADIUS * DISC_RADIUS;
    }
    int column = (x - LETTER_LEFT) / SQUARE, row = (y - LETTER_TOP) / SQUARE;
    return x >= LETTER_LEFT && y >= LETTER_TOP && column < 5 && row < 7 &&
           (glyph[row] >> (4 - column) & 1);
}

/* One channel of a hue (0 to 1535 round the circle), darkened. */
static int channel(int hue, int shift) {
    int at = (hue + shift) % 1536, level = at < 256    ? at
                                           : at < 768  ? 255
                                           : at < 1024 ? 1023 - at
                                                       : 0;
    return 40 + level * 110 / 255;
}

static void fill_palette(unsigned char palette[(STEPS + 1) * 3], uint32_t hash) {
    int from = (int)(hash % 1536), to = (from + 200 + (int)(hash >> 16) % 300) % 1536;
    for (int i = 0; i < STEPS; i++)
        for (int c = 0; c < 3; c++) {
            int a = channel(from, c * 512), b = channel(to, c * 512);
            palette[i * 3 + c] = (unsigned char)(a + (b - a) * i / STEPS);
        }
    palette[STEPS * 3] = 250; /* a warm white, as of paper in lamplight */
    palette[STEPS * 3 + 1] = 244;
    palette[STEPS * 3 + 2] = 232;
}

static uint32_t hash_of(struct str name) {
    uint32_t hash = UINT32_C(2166136261); /* FNV-1a */
    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (unsigned char)name.at[i]) * UINT32_C(16777619);
    return hash;
}

static struct str deflated_rows(struct arena *arena, struct str name) {
    const unsigned char *glyph = glyph_of(name);
    size_t row_bytes = PLACARD_WIDTH + 1, size = row_bytes * PLACARD_HEIGHT;
    unsigned char *rows = arena_zero(arena, size); /* filter 0 before each row */
    for (int y = 0; y < PLACARD_HEIGHT; y++)
        for (int x = 0; x < PLACARD_WIDTH; x++) {
            int step = (x + 2 * y) * STEPS / (PLACARD_WIDTH + 2 * PLACARD_HEIGHT);
            rows[(size_t)y * row_bytes + 1 + (size_t)x] =
                (unsigned char)(is_letter(glyph, x, y) ? STEPS : step);
        }
    uLongf len = compressBound(size);
    Bytef *out = arena_alloc(arena, len);
    BUG_IF(compress2(out, &len, rows, size, 9) != Z_OK);
    return str_of((const char *)out, len);
}

struct str pool_placard(struct arena *arena, struct str name) {
    static const unsigned char header[13] = {0,
                                             0,
                                             PLACARD_WIDTH >> 8,
                                             PLACARD_WIDTH & 255,
                                             0,
                                             0,
                                             PLACARD_HEIGHT >> 8,
                                             PLACARD_HEIGHT & 255,
                                             8,
                                             3,
                                             0,
                                             0,
                                             0};
    unsigned char palette[(STEPS + 1) * 3];
    struct buf out;
    fill_palette(palette, hash_of(name));
    buf_init(&out, 1 << 20);
    png_add_signature(&out);
    png_add_chunk(&out, "IHDR", str_of((const char *)header, sizeof(header)));
    png_add_chunk(&out, "PLTE", str_of((const char *)palette, sizeof(palette)));
    png_add_chunk(&out, "IDAT", deflated_rows(arena, name));
    png_add_chunk(&out, "IEND", STR(""));
    struct str png = str_dup(arena, buf_str(&out));
    buf_release(&out);
    return png;
}
