/* links: troupe_model troupe_vendor_free troupe_fetch
 * Server-sent events as OpenAI-compatible servers and Anthropic stream them. */
#include "stream_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len) {
    return fuzz_stream(LINES_SSE, input, len);
}
