/*
 * The writer: the hottest path of the server, since every answer and every frame leaves through it.
 * So no formatter, no byte loop over text that needs no escape, one question about room per value,
 * and nothing allocated besides the buf.
 *
 * Strings are copied sixteen bytes at a time into the buf's slack and looked at in the same step; a
 * block that holds a quote, a backslash or a control byte is taken up to that byte. Whether all of
 * it was UTF-8 is asked only when a byte above 0x7F went by.
 */
#include "base/json.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/json_bits.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define SHORT_BYTES \
    40 /* the longest thing written at one go: a comma, a number or a moment in quotes. It fits \
          the slack. */

_Static_assert(SHORT_BYTES <= BUF_SLACK_BYTES,
               "short values are written before the room is asked for");

void json_init(struct json *json, struct buf *buf) {
    *json = (struct json){.buf = buf};
}

/* --- short values ----------------------------------------------------------------------------- */

/* Where the next bytes go, a comma already placed; NULL after an error. Up to SHORT_BYTES may be
 * written there, then `commit`. */
static inline char *begin(struct json *json) {
    struct buf *buf = json->buf;
    if (__builtin_expect(buf->at == NULL || buf->err != E_OK, 0) && !buf_reserve(buf, 1))
        return NULL;
    char *to = buf->at + buf->len;
    *to = ',';
    return to + json->needs_comma;
}

/* Counts what was written up to `end`, if the ceiling allows it. The bytes lie in the slack and
 * survive growth. */
static inline void commit(struct json *json, const char *end, bool needs_comma) {
    struct buf *buf = json->buf;
    size_t len = (size_t)(end - (buf->at + buf->len));
    json->needs_comma = needs_comma;
    if (__builtin_expect(len > buf->room - buf->len, 0) && !buf_reserve(buf, len))
        return;
    buf->len += len;
}

/* The usual case, without a call. */
static inline bool has_room(const struct buf *buf, size_t len) {
    return __builtin_expect(buf->err == E_OK && buf->at != NULL && len <= buf->room - buf->len, 1);
}

static inline void write_short(struct json *json, const char *text, size_t len, bool needs_comma) {
    char *to = begin(json);
    if (to == NULL)
        return;
    memcpy(to, text, len);
    commit(json, to + len, needs_comma);
}

void json_object_begin(struct json *json) {
    write_short(json, "{", 1, false);
}

void json_array_begin(struct json *json) {
    write_short(json, "[", 1, false);
}

static void write_end(struct json *json, char closing) {
    json->needs_comma = false;
    write_short(json, &closing, 1, true);
}

void json_object_end(struct json *json) {
    write_end(json, '}');
}

void json_array_end(struct json *json) {
    write_end(json, ']');
}

void json_write_null(struct json *json) {
    write_short(json, "null", 4, true);
}

void json_write_bool(struct json *json, bool value) {
    write_short(json, value ? "true" : "false", value ? 4 : 5, true);
}

void json_write_int(struct json *json, int64_t value) {
    char *to = begin(json);
    if (to)
        commit(json, to + str_print_int(to, value), true);
}

/* The shortest of three precisions that reads back the same; whole numbers without a point. */
void json_write_double(struct json *json, double value) {
    char digits[32];
    if (!isfinite(value)) {
        json_write_null(json);
        return;
    }
    if (value == trunc(value) && fabs(value) < 1e15 && !(value == 0 && signbit(value))) {
        json_write_int(json, (int64_t)value);
        return;
    }
    int len = 0;
    for (int precision = 15; precision <= 17; precision++) {
        len = snprintf(digits, sizeof(digits), "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    write_short(json, digits, (size_t)len, true);
}

void json_write_id(struct json *json, int64_t id) {
    if (id == 0) {
        json_write_null(json);
        return;
    }
    char *to = begin(json);
    if (to == NULL)
        return;
    to[0] = '"';
    id_print(id, to + 1);
    to[1 + ID_TEXT_LEN] = '"';
    commit(json, to + ID_TEXT_LEN + 2, true);
}

void json_write_time(struct json *json, int64_t at_ms) {
    if (at_ms == 0) {
        json_write_null(json);
        return;
    }
    char *to = begin(json);
    if (to == NULL)
        return;
    to[0] = '"';
    clock_rfc3339(at_ms, to + 1);
    to[1 + RFC3339_LEN] = '"'; /* over the NUL */
    commit(json, to + RFC3339_LEN + 2, true);
}

/* --- strings ---------------------------------------------------------------------------------- */

/* Writes the escape of one special byte and gives its length, 2 or 6. */
static size_t put_escape(char *to, unsigned char c) {
    static const char LETTERS[128] = {['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
                                      ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't'};
    to[0] = '\\';
    to[1] = LETTERS[c];
    if (to[1])
        return 2;
    memcpy(to, "\\u00", 4);
    to[4] = (char)('0' + (c >> 4));
    to[5] = "0123456789abcdef"[c & 15];
    return 6;
}

/* Copies from *in up to the next special byte or `end`, and may store up to 16 bytes past what it
 * counts. True when one of the bytes seen was above 0x7F. */
static inline bool copy_plain(char **to, const char **in, const char *end) {
    json_bytes16 seen16 = {0};
    uint64_t seen8 = 0;
    while (end - *in >= 16) {
        json_bytes16 bytes;
        memcpy(&bytes, *in, 16);
        memcpy(*to, &bytes, 16);
        seen16 |= bytes;
        int count = json_first_special16(bytes);
        *to += count;
        *in += count;
        if (count < 16)
            goto out;
    }
    while (*in < end) {
        size_t left = (size_t)(end - *in), take = left < 8 ? left : 8;
        uint64_t word = left < 8 ? json_load_tail(*in, left) : json_load8(*in);
        uint64_t marks = json_special8(word), stored = htole64(word);
        memcpy(*to, &stored, 8);
        seen8 |= word;
        size_t count = marks ? (size_t)json_first_mark(marks) : take;
        *to += count;
        *in += count;
        if (marks)
            break;
    }
out:;
    json_halves16 halves = (json_halves16)seen16;
    return ((halves[0] | halves[1] | seen8) & EACH_BYTE(0x80)) != 0;
}

static void add_repaired(struct buf *buf, struct str text, size_t tail);

/* Appends the text escaped, and leaves room for `tail` more bytes. Room for text.len + tail is
 * there already. */
static void add_escaped(struct buf *buf, struct str text, size_t tail) {
    size_t start = buf->len;
    char *to = buf->at + start;
    const char *in = text.at, *end = text.at + text.len;
    bool is_beyond_ascii = false;
    for (;;) {
        is_beyond_ascii |= copy_plain(&to, &in, end);
        if (in == end)
            break;
        char escape[6] = {0};
        size_t len = put_escape(escape, (unsigned char)*in++);
        buf->len = (size_t)(to - buf->at);
        if (!buf_reserve(buf, len + (size_t)(end - in) + tail))
            return;
        to = buf->at + buf->len;
        memcpy(to, escape, sizeof(escape));
        to += len;
    }
    buf->len = (size_t)(to - buf->at);
    if (is_beyond_ascii && !text_is_utf8(text)) {
        buf->len = start;
        add_repaired(buf, text, tail);
    }
}

/* The rare way: text that is not UTF-8 would make the whole answer unreadable. */
static __attribute__((noinline)) void add_repaired(struct buf *buf, struct str text, size_t tail) {
    char scratch[4096];
    struct arena arena;
    arena_init_with(&arena, scratch, sizeof(scratch));
    struct str whole = text_repair(&arena, text);
    if (buf_reserve(buf, whole.len + tail))
        add_escaped(buf, whole, tail);
    arena_release(&arena);
}

void json_escape(struct buf *buf, struct str text) {
    if (text.len && buf_reserve(buf, text.len))
        add_escaped(buf, text, 0);
}

void json_key_text(struct json *json, const char *text, size_t len) {
    struct buf *buf = json->buf;
    size_t skip = json->needs_comma ? 0 : 1;
    if (!has_room(buf, len) && !buf_reserve(buf, len))
        return;
    memcpy(buf->at + buf->len, text + skip, len - skip);
    buf->len += len - skip;
    json->needs_comma = false;
}

/* A string between quotes, and a colon behind it when it is a key. */
static inline void write_quoted(struct json *json, struct str text, bool is_key) {
    struct buf *buf = json->buf;
    size_t tail = is_key ? 2 : 1, most = 2 + text.len + tail;
    if (!has_room(buf, most) && !buf_reserve(buf, json->needs_comma + 1 + text.len + tail))
        return;
    if (json->needs_comma)
        buf->at[buf->len++] = ',';
    buf->at[buf->len++] = '"';
    if (text.len)
        add_escaped(buf, text, tail);
    if (buf->err != E_OK)
        return;
    memcpy(buf->at + buf->len, "\":", 2);
    buf->len += tail;
    json->needs_comma = !is_key;
}

void json_key(struct json *json, struct str key) {
    write_quoted(json, key, true);
}

void json_write_str(struct json *json, struct str value) {
    if (value.at == NULL)
        json_write_null(json);
    else
        write_quoted(json, value, false);
}

/* --- whole values ----------------------------------------------------------------------------- */

void json_write_raw(struct json *json, struct str text) {
    struct buf *buf = json->buf;
    if (!buf_reserve(buf, json->needs_comma + text.len))
        return;
    if (json->needs_comma)
        buf->at[buf->len++] = ',';
    buf_add_str(buf, text);
    json->needs_comma = true;
}

static void write_children(struct json *json, const struct json_value *container, bool is_object) {
    for (const struct json_value *child = json_first(container); child; child = json_next(child)) {
        if (is_object)
            json_key(json, json_name(child));
        json_write_value(json, child);
    }
}

void json_write_value(struct json *json, const struct json_value *value) {
    switch (json_type(value)) {
    case JSON_ABSENT:
    case JSON_NULL:
        json_write_null(json);
        break;
    case JSON_BOOL:
        json_write_bool(json, json_bool(value, false));
        break;
    case JSON_NUMBER:
        json_write_raw(json, json_number_text(value));
        break;
    case JSON_STRING:
        json_write_str(json, json_string(value, STR_NONE));
        break;
    case JSON_ARRAY:
        json_array_begin(json);
        write_children(json, value, false);
        json_array_end(json);
        break;
    case JSON_OBJECT:
        json_object_begin(json);
        write_children(json, value, true);
        json_object_end(json);
        break;
    }
}
