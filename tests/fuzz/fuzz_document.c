/* links: troupe_character troupe_vendor_free troupe_store troupe_embedded */
/* Documents of strangers: HTML becomes text, text becomes chunks; both always end, inside their limits. */
#include "base/check.h"
#include "base/text.h"
#include "character/document.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    size_t count;
    arena_init(&arena);
    struct str bytes = str_of((const char *)data, size);
    struct str text = text_repair(&arena, document_from_html(&arena, bytes));
    struct chunk *chunks = document_chunks(&arena, text, &count);
    BUG_IF(count > CHUNKS_LIMIT);
    for (size_t i = 0; i < count; i++) {
        BUG_IF(chunks[i].content.len == 0);
        BUG_IF(!text_is_utf8(chunks[i].content) || !text_is_utf8(chunks[i].heading));
    }
    arena_release(&arena);
    return 0;
}
