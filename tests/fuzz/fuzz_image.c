/* links: troupe_base
 *
 * Portraits. Whatever comes: what is taken has a size and stays below the limits, what is refused is
 * refused in words, and cleaning is done once: a clean picture comes through unchanged, so nothing that
 * was cut away was hiding something else. */
#include "base/check.h"
#include "base/image.h"

#include <string.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct image image, again;
    const char *problem = NULL;
    arena_init(&arena);
    if (pool_image_check(&arena, str_of((const char *)data, size), &image, &problem) != E_OK) {
        BUG_IF(problem == NULL);
    } else {
        BUG_IF(image.width == 0 || image.width > IMAGE_SIDE_LIMIT || image.height == 0 ||
               image.height > IMAGE_SIDE_LIMIT || image.bytes.len > IMAGE_LIMIT_BYTES);
        BUG_IF(image_sniff(image.bytes) != image.kind);
        BUG_IF(pool_image_check(&arena, image.bytes, &again, &problem) != E_OK);
        BUG_IF(!str_eq(again.bytes, image.bytes) || again.width != image.width);
    }
    arena_release(&arena);
    return 0;
}
