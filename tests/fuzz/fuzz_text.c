/* links: troupe_base
 *
 * Any bytes as text: repaired they are UTF-8, so are their foldings, their words and every cut; what
 * the JSON writer makes of them the reader gives back; and a name for a file is made of anything. */
#include "base/check.h"
#include "base/json.h"
#include "base/text.h"
#include "base/zip.h"

#include <string.h>

#include "base/banned.h"

#define NAME_BYTES 60

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge_words(struct str whole) {
    struct str word;
    for (size_t at = 0; text_next_word(whole, &at, &word);)
        BUG_IF(word.len == 0 || !text_is_utf8(word));
}

static void judge_json(struct arena *arena, struct str text, struct str whole) {
    struct buf buf;
    struct json json;
    const struct json_value *value;
    buf_init(&buf, 1 << 20);
    json_init(&json, &buf);
    json_write_str(&json, text);
    if (buf.err == E_OK) {
        BUG_IF(json_parse(arena, buf_str(&buf), &value, NULL) != E_OK);
        BUG_IF(!str_eq(json_string(value, STR_NONE), whole));
    }
    buf_release(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct str text = str_of((const char *)data, size);
    arena_init(&arena);
    struct str whole = text_repair(&arena, text), name = zip_name_part(&arena, text, NAME_BYTES);
    BUG_IF(!text_is_utf8(whole) || (text_is_utf8(text) && !str_eq(whole, text)));
    BUG_IF(!text_is_utf8(text_fold(&arena, text)) || !text_is_utf8(text_bare(&arena, text)));
    BUG_IF(!text_is_utf8(text_cut_bytes(whole, size / 2)) || text_similarity(whole, whole) != 1);
    BUG_IF(name.len == 0 || name.len > NAME_BYTES || !text_is_utf8(name));
    judge_words(whole);
    judge_json(&arena, text, whole);
    arena_release(&arena);
    return 0;
}
