/* links: troupe_net troupe_embedded
 *
 * Bodies and query strings against field rows of every type: whatever comes, the answer is a filled struct or named problems, never both, never a crash.
 */
#include "base/check.h"
#include "net/field.h"

#include <string.h>

#include "base/banned.h"

#define LIMIT_BYTES ((size_t)1 << 16)

struct inner {
    struct str name;
    int64_t count;
};
struct outer {
    struct str text, choice;
    int64_t number, id, at;
    double ratio;
    bool flag;
    struct field_texts texts;
    struct field_ids ids;
    const struct inner *object;
    struct field_objects objects;
    const struct json_value *json;
};

/* clang-format off */
static const char *const choices[] = {"red", "green", NULL};
static const struct field inner_rows[] = {
    {"name", FIELD_TEXT, AT(struct inner, name), .is_required = true, .max = 8},
    {"count", FIELD_INT, AT(struct inner, count), .min = -5, .max = 5, .fallback = "1"},
    {0}};
static const struct field outer_rows[] = {
    {"text", FIELD_TEXT, AT(struct outer, text), .min = 1, .max = 20},
    {"choice", FIELD_CHOICE, AT(struct outer, choice), .choices = choices, .fallback = "red"},
    {"number", FIELD_INT, AT(struct outer, number), .min = 0, .max = 100},
    {"id", FIELD_ID, AT(struct outer, id), .may_be_null = true},
    {"at", FIELD_TIME, AT(struct outer, at)},
    {"ratio", FIELD_NUMBER, AT(struct outer, ratio), .min = -1, .max = 1},
    {"flag", FIELD_BOOL, AT(struct outer, flag), .fallback = "true"},
    {"texts", FIELD_TEXTS, AT(struct outer, texts), .max = 4, .item_max = 8},
    {"ids", FIELD_IDS, AT(struct outer, ids), .max = 4},
    {"object", FIELD_OBJECT, AT(struct outer, object), .rows = inner_rows, .size = sizeof(struct inner)},
    {"objects", FIELD_OBJECTS, AT(struct outer, objects), .rows = inner_rows, .size = sizeof(struct inner), .max = 4},
    {"json", FIELD_JSON, AT(struct outer, json), .max = 256},
    {0}};
static const struct field query_rows[] = {
    {"text", FIELD_TEXT, AT(struct outer, text), .max = 20},
    {"choice", FIELD_CHOICE, AT(struct outer, choice), .choices = choices},
    {"number", FIELD_INT, AT(struct outer, number), .min = 0, .max = 100, .fallback = "20"},
    {"id", FIELD_ID, AT(struct outer, id)},
    {"flag", FIELD_BOOL, AT(struct outer, flag)},
    {0}};
/* clang-format on */

static void judge(enum err err, const struct outer *out, const struct field_problems *problems) {
    BUG_IF((err == E_OK) != (problems->count == 0));
    if (err != E_OK)
        return;
    BUG_IF(out->number < 0 || out->number > 100 || out->texts.count > 4 || out->ids.count > 4 ||
           out->objects.count > 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct outer out = {0};
    struct field_problems problems = {0};
    uint64_t has = 0;
    const struct json_value *value = NULL;
    struct str text = str_of((const char *)data, size);
    if (size > LIMIT_BYTES)
        return 0;
    arena_init(&arena);
    if (json_parse(&arena, text, &value, NULL) == E_OK)
        judge(field_read(&arena, outer_rows, value, &out, &has, &problems), &out, &problems);
    out = (struct outer){0};
    problems = (struct field_problems){0};
    judge(field_read_query(&arena, query_rows, text, &out, &has, &problems), &out, &problems);
    arena_release(&arena);
    return 0;
}
