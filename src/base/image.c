/*
 * Nothing is decoded or encoded again: a picture is copied piece by piece, and only pieces that are
 * needed to show it are copied. Animations stay animated.
 *
 * Sources: PNG third edition section 5.6; ITU-T T.81 annex B (JPEG), EXIF 2.3 section 4.6.2; RFC
 * 9649 (WebP container).
 */
#include "base/image.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/png.h"

#include <string.h>

#include "base/banned.h"

#define PROFILE_LIMIT_BYTES (4 << 20) /* of a colour profile, inflated */

static const char damaged[] = "The picture is damaged.";
static const char too_large[] =
    "The picture is larger than 8192 pixels on a side or 40 megapixels.";
static const char bomb[] = "The picture unpacks to more than it says.";

static const unsigned char *bytes_of(struct str s) {
    return (const unsigned char *)s.at;
}

enum image_kind image_sniff(struct str bytes) {
    if (str_starts(bytes, str_of("\x89PNG\r\n\x1A\n", 8)))
        return IMAGE_PNG;
    if (str_starts(bytes, str_of("\xFF\xD8\xFF", 3)))
        return IMAGE_JPEG;
    if (bytes.len >= 12 && str_starts(bytes, STR("RIFF")) &&
        str_eq(str_slice(bytes, 8, 12), STR("WEBP")))
        return IMAGE_WEBP;
    return IMAGE_NONE;
}

struct str image_mime(enum image_kind kind) {
    switch (kind) {
    case IMAGE_PNG:
        return STR("image/png");
    case IMAGE_JPEG:
        return STR("image/jpeg");
    case IMAGE_WEBP:
        return STR("image/webp");
    case IMAGE_NONE:
        break;
    }
    return STR("application/octet-stream");
}

static enum err set_size(struct image *image, uint32_t width, uint32_t height) {
    if (width == 0 || height == 0)
        return E_INPUT;
    if (width > IMAGE_SIDE_LIMIT || height > IMAGE_SIDE_LIMIT ||
        (uint64_t)width * height > IMAGE_PIXELS_LIMIT)
        return E_LIMIT;
    if (image->width == 0) {
        image->width = width;
        image->height = height;
    }
    return E_OK;
}

/* --- PNG ------------------------------------------------------------------------------------ */

/* Chunks that a picture needs. Text, times, EXIF and the private chunks of programs are not among
 * them. */
static const char png_kept[][5] = {"IHDR", "PLTE", "IDAT", "IEND", "tRNS", "gAMA", "cHRM", "sRGB",
                                   "iCCP", "cICP", "sBIT", "bKGD", "pHYs", "acTL", "fcTL", "fdAT"};

static bool is_kept(struct str type) {
    for (size_t i = 0; i < COUNT_OF(png_kept); i++)
        if (str_eq(type, str_of(png_kept[i], 4)))
            return true;
    return false;
}

static uint32_t big32(const unsigned char *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* A frame of an animation must lie inside the canvas (section 11.3.6.2). */
static bool is_inside(const struct png_chunk *chunk, const struct image *image) {
    const unsigned char *p = bytes_of(chunk->data);
    return chunk->data.len == 26 && (uint64_t)big32(p + 4) + big32(p + 12) <= image->width &&
           (uint64_t)big32(p + 8) + big32(p + 16) <= image->height;
}

/* A profile that is too large to be one is left out; it could be a bomb. */
static bool is_small_profile(const struct png_chunk *chunk) {
    ptrdiff_t name = str_find_char(chunk->data, '\0', 0);
    if (name < 0)
        return false;
    struct str deflated = str_slice(chunk->data, (size_t)name + 2, chunk->data.len);
    int64_t count = png_inflated_bytes(deflated, PROFILE_LIMIT_BYTES);
    return count >= 0 && count <= PROFILE_LIMIT_BYTES;
}

static enum err copy_png_chunk(struct buf *out, const struct png_chunk *chunk,
                               const struct image *image) {
    bool is_critical = chunk->type.at[0] < 'a';
    if (!is_kept(chunk->type))
        return is_critical ? E_INPUT : E_OK;
    if (!chunk->is_intact)
        return is_critical ? E_INPUT : E_OK;
    if (str_eq(chunk->type, STR("fcTL")) && !is_inside(chunk, image))
        return E_INPUT;
    if (str_eq(chunk->type, STR("iCCP")) && !is_small_profile(chunk))
        return E_OK;
    buf_add_str(out, chunk->whole);
    return E_OK;
}

static enum err check_png(struct buf *out, struct str bytes, struct image *image,
                          const char **problem) {
    struct png png;
    struct png_chunk chunk;
    struct png_header header;
    enum err err;
    if ((err = png_begin(&png, bytes)) != E_OK || (err = png_next(&png, &chunk)) != E_OK ||
        (err = png_header(&chunk, &header)) != E_OK)
        return E_INPUT;
    if ((err = set_size(image, header.width, header.height)) != E_OK)
        return err;
    png_add_signature(out);
    do {
        if ((err = copy_png_chunk(out, &chunk, image)) != E_OK)
            return err;
    } while ((err = png_next(&png, &chunk)) == E_OK);
    if (err != E_ABSENT || !png.has_end)
        return E_INPUT;
    err = pool_png_pixels(bytes, &header);
    if (err == E_LIMIT)
        *problem = bomb;
    return err;
}

/* --- JPEG ----------------------------------------------------------------------------------- */

#define SOF0  0xC0 /* the first marker of a segment */
#define RST0  0xD0
#define SOI   0xD8
#define EOI   0xD9
#define SOS   0xDA
#define APP0  0xE0
#define APP1  0xE1
#define APP2  0xE2
#define APP14 0xEE

/* A number of EXIF: two or four bytes in the order that the block says. */
static uint32_t exif_number(const unsigned char *p, int count, bool is_big) {
    uint32_t value = 0;
    for (int i = 0; i < count; i++)
        value = value << 8 | p[is_big ? i : count - 1 - i];
    return value;
}

/* Which way is up (1 to 8), or 1: the only thing of EXIF that belongs to the picture. */
static int orientation_of(struct str segment) {
    if (segment.len < 20 || memcmp(segment.at, "Exif\0\0", 6) != 0)
        return 1;
    struct str tiff = str_slice(segment, 6, segment.len);
    const unsigned char *p = bytes_of(tiff);
    bool is_big = p[0] == 'M';
    uint64_t at = exif_number(p + 4, 4, is_big);
    if (at + 2 > tiff.len)
        return 1;
    uint32_t count = exif_number(p + at, 2, is_big);
    for (at += 2; count > 0 && at + 12 <= tiff.len; count--, at += 12) {
        uint32_t value = exif_number(p + at + 8, 2, is_big);
        if (exif_number(p + at, 2, is_big) == 0x0112)
            return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

static void add_orientation(struct buf *out, int orientation) {
    char segment[] = {'\xFF', '\xE1', 0, 34, 'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8,
                      0,      1,      1, 18, 0,   3,   0,   0,   0, 1, 0,   0,   0, 0,  0, 0, 0, 0};
    segment[29] = (char)orientation;
    buf_add(out, segment, sizeof(segment));
}

static bool is_frame_marker(int marker) {
    return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

/* Frames, tables and scans; of the APPn the density, the colour profile and Adobe's transform. A
 * JFIF head of more than 14 bytes holds a small picture of what was there before it was cut. */
static bool keeps_segment(int marker, struct str data) {
    switch (marker) {
    case APP0:
        return data.len == 14 && str_starts(data, STR("JFIF"));
    case APP2:
        return str_starts(data, STR("ICC_PROFILE"));
    case APP14:
        return str_starts(data, STR("Adobe"));
    default:
        return marker >= SOF0 && marker < APP0;
    }
}

/* Markers that begin no segment: stuffed bytes, what is reserved, restarts, a second beginning. */
static bool is_out_of_place(int marker) {
    return marker < SOF0 || (marker >= RST0 && marker <= SOI);
}

/* Where the entropy-coded bytes behind `at` end: at the next marker that is no restart. */
static size_t scan_end(struct str bytes, size_t at) {
    const unsigned char *p = bytes_of(bytes);
    while (at + 1 < bytes.len) {
        const unsigned char *found = memchr(p + at, 0xFF, bytes.len - at - 1);
        if (found == NULL)
            return bytes.len;
        at = (size_t)(found - p);
        if (p[at + 1] != 0 && p[at + 1] != 0xFF && !(p[at + 1] >= 0xD0 && p[at + 1] <= 0xD7))
            return at;
        at += p[at + 1] == 0xFF ? 1 : 2;
    }
    return bytes.len;
}

static enum err read_frame(struct image *image, struct str data) {
    const unsigned char *p = bytes_of(data);
    return data.len < 6
               ? E_INPUT
               : set_size(image, (uint32_t)(p[3] << 8 | p[4]), (uint32_t)(p[1] << 8 | p[2]));
}

/* The segment at *at, a scan with its coded bytes; then *at is behind it. */
static enum err copy_segment(struct buf *out, struct str bytes, struct image *image, size_t *at,
                             bool *has_scan) {
    const unsigned char *p = bytes_of(bytes) + *at;
    int marker = p[1];
    size_t len = (size_t)(p[2] << 8 | p[3]), end = *at + 2 + len;
    if (is_out_of_place(marker) || len < 2 || end > bytes.len)
        return E_INPUT;
    struct str data = str_slice(bytes, *at + 4, end);
    enum err err = is_frame_marker(marker) ? read_frame(image, data) : E_OK;
    int orientation = marker == APP1 ? orientation_of(data) : 1;
    if (orientation > 1)
        add_orientation(out, orientation);
    if (marker == SOS) {
        end = scan_end(bytes, end);
        *has_scan = true;
    }
    if (keeps_segment(marker, data))
        buf_add(out, p, end - *at);
    *at = end;
    return err;
}

static enum err check_jpeg(struct buf *out, struct str bytes, struct image *image) {
    const unsigned char *p = bytes_of(bytes);
    bool has_scan = false;
    enum err err = E_OK;
    size_t at = 2;
    buf_add(out, p, 2);
    while (err == E_OK && at + 4 <= bytes.len && !(p[at] == 0xFF && p[at + 1] == EOI)) {
        if (p[at] != 0xFF)
            err = E_INPUT;
        else if (p[at + 1] == 0xFF) /* fill */
            at++;
        else
            err = copy_segment(out, bytes, image, &at, &has_scan);
    }
    buf_add(out, "\xFF\xD9", 2);
    return err != E_OK ? err : has_scan && image->width > 0 ? E_OK : E_INPUT;
}

/* --- WebP ----------------------------------------------------------------------------------- */

static uint32_t little(const unsigned char *p, int count) {
    return exif_number(p, count, false);
}

/* The size that a piece of picture says it has; E_OK for pieces that say none. */
static enum err read_webp_size(struct image *image, struct str type, struct str data) {
    const unsigned char *p = bytes_of(data);
    if (str_eq(type, STR("VP8X")))
        return data.len < 10 ? E_INPUT
                             : set_size(image, little(p + 4, 3) + 1, little(p + 7, 3) + 1);
    if (str_eq(type, STR("VP8 ")))
        return data.len < 10 || memcmp(p + 3, "\x9D\x01\x2A", 3) != 0
                   ? E_INPUT
                   : set_size(image, little(p + 6, 2) & 0x3FFF, little(p + 8, 2) & 0x3FFF);
    if (str_eq(type, STR("VP8L"))) {
        if (data.len < 5 || p[0] != 0x2F)
            return E_INPUT;
        uint32_t bits = little(p + 1, 4);
        return set_size(image, (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1);
    }
    if (str_eq(type, STR("ANMF")))
        return data.len < 16 ? E_INPUT
                             : set_size(image, little(p + 6, 3) + 1, little(p + 9, 3) + 1);
    return E_OK;
}

static bool is_webp_picture(struct str type) {
    return str_eq(type, STR("VP8 ")) || str_eq(type, STR("VP8L")) || str_eq(type, STR("ANMF"));
}

static bool keeps_webp(struct str type) {
    return is_webp_picture(type) || str_eq(type, STR("VP8X")) || str_eq(type, STR("ALPH")) ||
           str_eq(type, STR("ANIM")) || str_eq(type, STR("ICCP"));
}

#define WEBP_EXIF_AND_XMP 0x0C /* bits of VP8X that say such chunks follow */

static void copy_webp_chunk(struct buf *out, struct str type, struct str whole) {
    size_t start = out->len;
    buf_add_str(out, whole);
    if (whole.len & 1)
        buf_add_char(out, '\0');
    if (str_eq(type, STR("VP8X")) && out->err == E_OK)
        out->at[start + 8] &= (char)~WEBP_EXIF_AND_XMP;
}

static enum err check_webp(struct buf *out, struct str bytes, struct image *image) {
    const unsigned char *p = bytes_of(bytes);
    uint64_t end = (uint64_t)little(p + 4, 4) + 8;
    bool has_picture = false;
    if (end > bytes.len || end < 12)
        return E_INPUT;
    buf_add(out, p, 12);
    for (size_t at = 12; at + 8 <= end;) {
        uint64_t len = little(p + at + 4, 4);
        struct str type = str_slice(bytes, at, at + 4);
        if (at + 8 + len > end)
            return E_INPUT;
        struct str data = str_slice(bytes, at + 8, at + 8 + len);
        enum err err = read_webp_size(image, type, data);
        if (err != E_OK)
            return err;
        if (keeps_webp(type))
            copy_webp_chunk(out, type, str_slice(bytes, at, at + 8 + len));
        has_picture |= is_webp_picture(type);
        at += 8 + len + (len & 1);
    }
    if (out->err == E_OK) {
        uint32_t size = (uint32_t)out->len - 8;
        for (int i = 0; i < 4; i++)
            out->at[4 + i] = (char)(size >> (8 * i));
    }
    return has_picture ? E_OK : E_INPUT;
}

/* -------------------------------------------------------------------------------------------- */

enum err pool_image_check(struct arena *arena, struct str bytes, struct image *image,
                          const char **problem) {
    struct buf out;
    *image = (struct image){.kind = image_sniff(bytes)};
    *problem = "Pictures are PNG, JPEG or WebP.";
    if (image->kind == IMAGE_NONE)
        return E_INPUT;
    *problem = NULL;
    buf_init(&out, IMAGE_LIMIT_BYTES);
    enum err err = image->kind == IMAGE_PNG    ? check_png(&out, bytes, image, problem)
                   : image->kind == IMAGE_JPEG ? check_jpeg(&out, bytes, image)
                                               : check_webp(&out, bytes, image);
    if (err == E_OK && (err = out.err) != E_OK)
        *problem = "The picture is larger than 8 MiB.";
    if (err == E_OK)
        image->bytes = str_dup(arena, buf_str(&out));
    else if (*problem == NULL)
        *problem = err == E_LIMIT ? too_large : damaged;
    buf_release(&out);
    return err;
}
