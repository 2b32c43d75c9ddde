/* links: troupe_memory troupe_vendor_free troupe_embedded
 *
 * Bytes as the answer of a model that was asked what to remember: whatever is taken is whole UTF-8,
 * within its limits, and cites lines that are there. The same bytes are read as something that
 * somebody said, by the rules. */
#include "base/check.h"
#include "base/clock.h"
#include "base/text.h"
#include "memory/extract.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct memory_cast cast = {.user_name = {"Mia", 3}, .character_name = {"Ada", 3}};
static const struct memory_line lines[] = {
    {.message_id = 101, .at = 1000, .is_user = true, .text = {"I live in Leeds.", 16}},
    {.message_id = 102, .at = 2000, .is_user = false, .text = {"How nice.", 9}},
};
static const struct memory_fact known[] = {{.id = 77, .text = {"Mia lives in York.", 18}}};
static const struct extract_window window = {
    .cast = &cast, .lines = lines, .count = 2, .fresh = 2, .known = known, .known_count = 1};

static void check(const struct memory_items *items, int64_t least, int64_t most) {
    BUG_IF(items->count > EXTRACT_ITEMS_LIMIT);
    for (size_t i = 0; i < items->count; i++) {
        const struct memory_item *item = &items->items[i];
        BUG_IF(!text_is_utf8(item->text) || !text_is_utf8(item->object) ||
               !text_is_utf8(item->subject));
        BUG_IF(item->text.len == 0 || text_length(item->text) > EXTRACT_TEXT_LIMIT);
        BUG_IF(!(item->importance >= 0 && item->importance <= 1) ||
               !(item->confidence >= 0 && item->confidence <= 1));
        BUG_IF(item->source_count == 0 || item->predicate.len == 0);
        for (size_t k = 0; k < item->source_count; k++)
            BUG_IF(item->sources[k] < least || item->sources[k] > most);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct memory_items items = {0};
    struct str text = str_of((const char *)data, size);
    arena_init(&arena);
    extract_read(&arena, text, &window, &items);
    check(&items, 101, 102);
    struct memory_line line = {
        .message_id = 9, .at = 1716206400000, .is_user = size % 2 == 0, .text = text};
    items.count = 0;
    extract_by_rules(&arena, &line, &cast, &items);
    check(&items, 9, 9);
    arena_release(&arena);
    return 0;
}
