/* links: troupe_base
 *
 * Documents from anywhere: the scan, the tree and the writer. Both readers judge alike; what is taken comes back
 * from our own writer as the same text when it is read and written again; and cJSON, which takes more than we do,
 * reads the same tree from whatever we take (but for strings with NUL, which it cuts).
 */
#include "base/check.h"
#include "base/json.h"
#include "base/text.h"

#include <cJSON.h>
#include <string.h>

#include "base/banned.h"

#define LIMIT_BYTES ((size_t)1 << 16)

static struct str write_again(struct arena *arena, const struct json_value *value) {
    struct buf buf;
    struct json json;
    buf_init(&buf, LIMIT_BYTES * 8);
    json_init(&json, &buf);
    json_write_value(&json, value);
    BUG_IF(buf.err != E_OK);
    struct str text = str_dup(arena, buf_str(&buf));
    buf_release(&buf);
    return text;
}

/* cJSON ends a string at its first NUL. */
static void compare_texts(struct str ours, const char *theirs) {
    BUG_IF(!text_is_utf8(ours));
    BUG_IF(theirs == NULL || strcmp(ours.at, theirs) != 0);
}

static void compare_trees(const struct json_value *ours, const cJSON *theirs) {
    switch (json_type(ours)) {
    case JSON_ABSENT:
        BUG("a value of no type");
    case JSON_NULL:
        BUG_IF(!cJSON_IsNull(theirs));
        break;
    case JSON_BOOL:
        BUG_IF(!cJSON_IsBool(theirs) || json_bool(ours, false) != (cJSON_IsTrue(theirs) != 0));
        break;
    case JSON_NUMBER:
        BUG_IF(!cJSON_IsNumber(theirs) || json_number(ours, -1) != theirs->valuedouble);
        break;
    case JSON_STRING:
        BUG_IF(!cJSON_IsString(theirs));
        compare_texts(json_string(ours, STR_NONE), theirs->valuestring);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        BUG_IF(json_type(ours) == JSON_ARRAY ? !cJSON_IsArray(theirs) : !cJSON_IsObject(theirs));
        const cJSON *their_child = theirs->child;
        size_t count = 0;
        for (const struct json_value *child = json_first(ours); child; child = json_next(child)) {
            BUG_IF(their_child == NULL);
            if (json_name(child).at)
                compare_texts(json_name(child), their_child->string);
            compare_trees(child, their_child);
            their_child = their_child->next;
            count++;
        }
        BUG_IF(their_child != NULL || count != json_count(ours));
        break;
    }
}

static void judge_taken(struct arena *arena, struct str text, const struct json_value *value) {
    const struct json_value *again = NULL;
    struct str once = write_again(arena, value);
    BUG_IF(json_parse(arena, once, &again, NULL) != E_OK);
    BUG_IF(!str_eq(once, write_again(arena, again)));
    cJSON *theirs = cJSON_ParseWithLength(text.at, text.len);
    BUG_IF(theirs == NULL);
    compare_trees(value, theirs);
    cJSON_Delete(theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct str text = str_of((const char *)data, size);
    struct json_error error = {0};
    const struct json_value *value = NULL;
    if (size > LIMIT_BYTES)
        return 0;
    arena_init(&arena);
    enum err scanned = json_scan(text, &error);
    BUG_IF(scanned != E_OK && (error.reason == NULL || error.offset_bytes > size));
    BUG_IF(json_parse(&arena, text, &value, NULL) != scanned);
    if (scanned == E_OK)
        judge_taken(&arena, text, value);
    arena_release(&arena);
    return 0;
}
