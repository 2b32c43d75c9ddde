/* Rows both ways. What is written is remembered in a bit per row, so that a kept member of the same
 * name does not come twice. */
#include "lore/members.h"

#include "base/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define TEXT_LIMIT_BYTES ((size_t)64 << 20) /* no input is that large: its readers have limits */
#define INT_LIMIT        2147483647

/* --- values --------------------------------------------------------------------------------- */

/* SQLite and C functions behind us see a text end at a NUL; no card means one. */
static struct str without_nul(struct arena *arena, struct str text) {
    if (text.len == 0 || memchr(text.at, '\0', text.len) == NULL)
        return text;
    char *out = arena_alloc(arena, text.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] != '\0')
            out[n++] = text.at[i];
    out[n] = '\0';
    return str_of(out, n);
}

struct str member_text(struct arena *arena, const struct json_value *value) {
    if (json_type(value) == JSON_NUMBER)
        return str_dup(arena, json_number_text(value));
    struct str text = json_string(value, STR_NONE);
    return text.at ? without_nul(arena, text) : STR_NONE;
}

static struct str take(struct arena *arena, struct buf *buf) {
    struct str text = str_dup(arena, buf->at ? buf_str(buf) : STR(""));
    buf_release(buf);
    return text;
}

struct str member_json(struct arena *arena, const struct json_value *value) {
    struct buf buf;
    struct json json;
    buf_init(&buf, TEXT_LIMIT_BYTES);
    json_init(&json, &buf);
    json_write_value(&json, value);
    return take(arena, &buf);
}

struct str member_of_texts(struct arena *arena, const struct field_texts *texts) {
    struct buf buf;
    struct json json;
    buf_init(&buf, TEXT_LIMIT_BYTES);
    json_init(&json, &buf);
    json_array_begin(&json);
    for (size_t i = 0; i < texts->count; i++)
        json_write_str(&json, texts->items[i]);
    json_array_end(&json);
    return take(arena, &buf);
}

static void write_texts(struct json *json, struct arena *arena, const struct json_value *value) {
    if (json_type(value) == JSON_ARRAY) {
        for (const struct json_value *i = json_first(value); i; i = json_next(i)) {
            struct str text = member_text(arena, i);
            if (text.at)
                json_write_str(json, text);
        }
        return;
    }
    struct str rest = member_text(arena, value), part;
    while (str_next(&rest, ',', &part))
        if (str_trim(part).len > 0)
            json_write_str(json, str_trim(part));
}

struct str member_texts(struct arena *arena, const struct json_value *value) {
    enum json_type type = json_type(value);
    if (type != JSON_ARRAY && type != JSON_STRING)
        return STR_NONE;
    struct buf buf;
    struct json json;
    buf_init(&buf, TEXT_LIMIT_BYTES);
    json_init(&json, &buf);
    json_array_begin(&json);
    write_texts(&json, arena, value);
    json_array_end(&json);
    return take(arena, &buf);
}

/* --- reading -------------------------------------------------------------------------------- */

static bool is_one_of(struct str text, const char *const *choices) {
    for (; *choices; choices++)
        if (str_eq(text, str_from(*choices)))
            return true;
    return false;
}

/* True when the value said something, which is now in `at`. */
static bool read_text(struct arena *arena, const struct member *row, const struct json_value *value,
                      struct str *at) {
    struct str text = row->kind == MEMBER_TEXTS ? member_texts(arena, value)
                      : row->kind == MEMBER_OBJECT && json_type(value) == JSON_OBJECT
                          ? member_json(arena, value)
                      : row->kind == MEMBER_TEXT ? member_text(arena, value)
                                                 : STR_NONE;
    if (text.at == NULL || (row->choices && !is_one_of(text, row->choices)))
        return false;
    *at = text;
    return text.len > (row->kind == MEMBER_TEXT ? 0 : 2);
}

/* true, "true", 1 */
static int read_bool(const struct json_value *value) {
    struct str text = json_string(value, STR_NONE);
    if (text.at)
        return str_eq_nocase(text, STR("true")) ? 1 : str_eq_nocase(text, STR("false")) ? 0 : -1;
    if (json_type(value) == JSON_NUMBER)
        return json_number(value, 0) != 0;
    return json_type(value) == JSON_BOOL ? json_bool(value, false) : -1;
}

/* A number, or a text that is one; NAN otherwise. */
static double read_number(const struct json_value *value) {
    double number = json_number(value, NAN);
    struct str text = json_string(value, STR_NONE);
    if (text.at && str_to_double(str_trim(text), &number) != E_OK)
        return NAN;
    return number;
}

static bool read_member(struct arena *arena, const struct member *row,
                        const struct json_value *value, void *at) {
    switch (row->kind) {
    case MEMBER_TEXT:
    case MEMBER_TEXTS:
    case MEMBER_OBJECT:
        return read_text(arena, row, value, at);
    case MEMBER_BOOL:
    case MEMBER_MAYBE_BOOL: {
        int is = read_bool(value);
        if (is < 0)
            return false;
        if (row->kind == MEMBER_BOOL)
            *(bool *)at = is;
        else
            *(int *)at = is;
        return is || row->kind == MEMBER_MAYBE_BOOL;
    }
    case MEMBER_NUMBER:
    case MEMBER_MAYBE_NUMBER: {
        double number = read_number(value);
        if (!isfinite(number))
            return false;
        *(double *)at = number;
        return true;
    }
    case MEMBER_MAYBE_INT: {
        double number = read_number(value);
        if (!(number >= 0 && number <= INT_LIMIT) || number != floor(number))
            return false;
        *(int64_t *)at = (int64_t)number;
        return true;
    }
    }
    return false;
}

static const struct member *row_of(const struct member *rows, size_t count, struct str name) {
    for (size_t i = 0; i < count; i++)
        if (str_eq(name, str_from(rows[i].name)))
            return &rows[i];
    return NULL;
}

struct str members_read(struct arena *arena, const struct member *rows, size_t count,
                        const struct json_value *object, void *out, const char *const *skip) {
    struct buf buf;
    struct json kept;
    buf_init(&buf, TEXT_LIMIT_BYTES);
    json_init(&kept, &buf);
    json_object_begin(&kept);
    const struct json_value *value = json_type(object) == JSON_OBJECT ? json_first(object) : NULL;
    for (; value; value = json_next(value)) {
        struct str name = json_name(value);
        if (skip && is_one_of(name, skip))
            continue;
        const struct member *row = row_of(rows, count, name);
        if (row && (read_member(arena, row, value, (char *)out + row->offset) || row->is_required))
            continue;
        json_key(&kept, name);
        json_write_value(&kept, value);
    }
    json_object_end(&kept);
    return take(arena, &buf);
}

/* --- writing -------------------------------------------------------------------------------- */

static bool says_something(const struct member *row, const void *at) {
    switch (row->kind) {
    case MEMBER_TEXT:
        return ((const struct str *)at)->len > 0;
    case MEMBER_TEXTS:
    case MEMBER_OBJECT:
        return ((const struct str *)at)->len > 2;
    case MEMBER_BOOL:
        return *(const bool *)at;
    case MEMBER_MAYBE_BOOL:
        return *(const int *)at >= 0;
    case MEMBER_NUMBER:
        return true;
    case MEMBER_MAYBE_NUMBER:
        return !isnan(*(const double *)at);
    case MEMBER_MAYBE_INT:
        return *(const int64_t *)at >= 0;
    }
    return false;
}

static void write_member(struct json *json, const struct member *row, const void *at) {
    const struct str *text = at;
    json_key(json, str_from(row->name));
    switch (row->kind) {
    case MEMBER_TEXT:
        json_write_str(json, text->at ? *text : STR(""));
        break;
    case MEMBER_TEXTS:
        json_write_raw(json, text->len ? *text : STR("[]"));
        break;
    case MEMBER_OBJECT:
        json_write_raw(json, text->len ? *text : STR("{}"));
        break;
    case MEMBER_BOOL:
        json_write_bool(json, *(const bool *)at);
        break;
    case MEMBER_MAYBE_BOOL:
        json_write_bool(json, *(const int *)at > 0);
        break;
    case MEMBER_NUMBER:
    case MEMBER_MAYBE_NUMBER:
        json_write_double(json, *(const double *)at);
        break;
    case MEMBER_MAYBE_INT:
        json_write_int(json, *(const int64_t *)at);
        break;
    }
}

static void write_kept(struct json *json, const struct member *rows, size_t count, struct str kept,
                       uint64_t written, const char *const *omit) {
    struct arena arena;
    const struct json_value *object;
    arena_init(&arena);
    if (json_parse(&arena, kept, &object, NULL) == E_OK && json_type(object) == JSON_OBJECT) {
        for (const struct json_value *i = json_first(object); i; i = json_next(i)) {
            const struct member *row = row_of(rows, count, json_name(i));
            if ((row && written >> (row - rows) & 1) || (omit && is_one_of(json_name(i), omit)))
                continue;
            json_key(json, json_name(i));
            json_write_value(json, i);
        }
    }
    arena_release(&arena);
}

void members_write(struct json *json, const struct member *rows, size_t count, const void *in,
                   struct str kept, const char *const *omit) {
    BUG_IF(count > MEMBERS_LIMIT);
    uint64_t written = 0;
    for (size_t i = 0; i < count; i++) {
        const void *at = (const char *)in + rows[i].offset;
        if (omit && is_one_of(str_from(rows[i].name), omit))
            continue;
        if (!rows[i].is_required && !says_something(&rows[i], at))
            continue;
        write_member(json, &rows[i], at);
        written |= UINT64_C(1) << i;
    }
    if (kept.len > 2)
        write_kept(json, rows, count, kept, written, omit);
}
