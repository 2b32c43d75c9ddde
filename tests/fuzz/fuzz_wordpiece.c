/* links: troupe_vendor_free
 *
 * Any bytes are split: the ids are within the vocabulary, begin with [CLS] and end with [SEP], a
 * smaller limit gives the beginning of the same, and nothing stands behind the limit. */
#include "base/check.h"
#include "embedder_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ids(const uint16_t *ids, size_t count, size_t limit) {
    BUG_IF(count < 2 || count > limit);
    BUG_IF(ids[0] != WORDPIECE_BEGIN || ids[count - 1] != WORDPIECE_END);
    for (size_t i = 0; i < count; i++)
        BUG_IF(ids[i] >= WORDPIECE_COUNT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct embedder_weights *weights;
    if (weights == NULL)
        weights = embedder_file_map(EMBEDDER_FILE);
    BUG_IF(weights == NULL);
    uint16_t ids[EMBEDDER_TOKEN_LIMIT + 1], few[EMBEDDER_TOKEN_LIMIT + 1];
    size_t limit = size > 0 ? 2 + data[0] % (EMBEDDER_TOKEN_LIMIT - 1) : EMBEDDER_TOKEN_LIMIT;
    struct str text = str_of((const char *)data, size);
    ids[EMBEDDER_TOKEN_LIMIT] = few[limit] = 0xBEEF;
    size_t count = wordpiece_split(&weights->vocabulary, text, ids, EMBEDDER_TOKEN_LIMIT);
    size_t few_count = wordpiece_split(&weights->vocabulary, text, few, limit);
    check_ids(ids, count, EMBEDDER_TOKEN_LIMIT);
    check_ids(few, few_count, limit);
    BUG_IF(ids[EMBEDDER_TOKEN_LIMIT] != 0xBEEF || few[limit] != 0xBEEF);
    BUG_IF(few_count != (count < limit ? count : limit));
    BUG_IF(memcmp(ids, few, (few_count - 1) * sizeof(*ids)) != 0);
    return 0;
}
