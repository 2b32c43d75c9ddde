/* links: troupe_model troupe_vendor_free troupe_store troupe_embedded */
/* Answers of embedders: whatever an endpoint sends is refused, or is vectors of length 1. The first
 * byte says for how many texts, and which protocol. */
#include "model/embed_remote.h"

#include "base/check.h"

#include <math.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct str texts[8] = {{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1},
                                        {"e", 1}, {"f", 1}, {"g", 1}, {"h", 1}};
    const struct json_value *document = NULL;
    struct arena arena;
    if (size == 0)
        return 0;
    const struct embed_remote_kind *kind = data[0] & 1 ? &embed_openai_kind : &embed_ollama_kind;
    struct embed_part part = {.texts = texts, .count = 1 + (data[0] >> 1) % 8};
    part.is_old = data[0] & 128 && part.count == 1;
    struct embed_vectors vectors = {.count = part.count};
    arena_init(&arena);
    if (json_parse(&arena, str_of((const char *)data + 1, size - 1), &document, NULL) == E_OK &&
        kind->read(&arena, document, &part, &vectors) == NULL &&
        embed_remote_judge(&vectors) == NULL)
        for (size_t i = 0; i < vectors.count; i++) {
            double sum = 0;
            for (size_t d = 0; d < vectors.dims; d++)
                sum += (double)vectors.values[i * vectors.dims + d] *
                       vectors.values[i * vectors.dims + d];
            BUG_IF(!(fabs(sum - 1) < 1e-3));
        }
    arena_release(&arena);
    return 0;
}
