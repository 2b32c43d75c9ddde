/* links: troupe_model troupe_vendor_free troupe_fetch
 * Lines of JSON as Ollama streams them. */
#include "stream_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len) {
    return fuzz_stream(LINES_NDJSON, input, len);
}
