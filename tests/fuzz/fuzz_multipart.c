/* links: troupe_net troupe_embedded
 *
 * Multipart bodies: the first line is the content type, the rest the body. Whatever comes, every part lies inside the body, parts come in order and do not overlap, a
 * file's label holds nothing that could be a path, and the walk ends.
 */
#include "base/check.h"
#include "base/text.h"
#include "net/multipart.h"

#include <string.h>

#include "base/banned.h"

#define LIMIT_BYTES ((size_t)1 << 16)

static void judge_label(struct str label) {
    BUG_IF(!text_is_utf8(label) || label.len > 255);
    BUG_IF(str_eq(label, STR("..")) || str_eq(label, STR(".")));
    for (size_t i = 0; i < label.len; i++) {
        unsigned char c = (unsigned char)label.at[i];
        BUG_IF(c < ' ' || c == '/' || c == '\\' || c == '"' || c == 0x7f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > LIMIT_BYTES)
        return 0;
    struct str body = str_of((const char *)data, size), type;
    if (!str_next(&body, '\n', &type) || body.at == NULL)
        return 0;
    struct arena arena;
    struct multipart multipart;
    struct part part;
    arena_init(&arena);
    const char *before = body.at;
    size_t count = 0;
    if (multipart_begin(&multipart, type, body) == E_OK) {
        while (multipart_next(&multipart, &arena, &part) == E_OK) {
            BUG_IF(part.bytes.at < before || part.bytes.at + part.bytes.len > body.at + body.len);
            before = part.bytes.at + part.bytes.len;
            BUG_IF(part.name.at == NULL || ++count > MULTIPART_PARTS_LIMIT);
            judge_label(part.file_name);
        }
    }
    arena_release(&arena);
    return 0;
}
