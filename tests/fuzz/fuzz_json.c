/* links: troupe_base
 *
 * Documents from anywhere: the strict scan, the tree, and the writer. What is taken must come back from our own writer as the same text when it is read and written again, and what
 * the scan refuses must not get a tree.
 */
#include "base/check.h"
#include "base/json.h"

#include <string.h>

#include "base/banned.h"

#define LIMIT_BYTES ((size_t)1 << 16)

static struct str write_again(struct arena *arena, const struct json_value *value) {
    struct buf buf;
    struct json json;
    buf_init(&buf, LIMIT_BYTES * 8);
    json_init(&json, &buf);
    json_write_value(&json, value);
    struct str text = str_dup(arena, buf_str(&buf));
    buf_release(&buf);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct str text = str_of((const char *)data, size);
    const struct json_value *value = NULL, *again = NULL;
    if (size > LIMIT_BYTES)
        return 0;
    arena_init(&arena);
    enum err scanned = json_scan(text, NULL);
    enum err parsed = json_parse(&arena, text, &value, NULL);
    BUG_IF(scanned != parsed);
    if (parsed == E_OK) {
        struct str once = write_again(&arena, value);
        BUG_IF(json_parse(&arena, once, &again, NULL) != E_OK);
        BUG_IF(!str_eq(once, write_again(&arena, again)));
    }
    arena_release(&arena);
    return 0;
}
