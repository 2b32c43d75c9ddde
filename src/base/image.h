/*
 * Portraits: which kind of picture the bytes are (by content, never by name), how large, and the
 * same picture without what is not picture: EXIF with its places and cameras, comments, cards in
 * text chunks, bytes behind the end.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

#define IMAGE_LIMIT_BYTES  (8 << 20) /* of the clean picture */
#define IMAGE_SIDE_LIMIT   8192      /* pixels */
#define IMAGE_PIXELS_LIMIT 40000000  /* of both sides: 160 MB in a browser */

enum image_kind { IMAGE_NONE, IMAGE_PNG, IMAGE_JPEG, IMAGE_WEBP };

struct image {
    enum image_kind kind;
    uint32_t width, height;
    struct str bytes; /* cleaned; the arena's or borrowed */
};

/* By the first bytes alone. */
enum image_kind image_sniff(struct str bytes);
/* "image/png" ...; "application/octet-stream" for none. */
struct str image_mime(enum image_kind kind);
/*
 * E_OK and the clean picture. E_LIMIT: too large in bytes or pixels, or it unpacks to more than it
 * says (a bomb); E_INPUT: damaged, or of no kind that we take. *problem is for a person. Tens of
 * milliseconds for a large PNG: for a pool thread.
 */
MUST_USE enum err pool_image_check(struct arena *arena, struct str bytes, struct image *image,
                                   const char **problem);
