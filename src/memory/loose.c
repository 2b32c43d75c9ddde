/*
 * A reader that forgives. Everything that begins with a brace or a bracket is read as far as it
 * makes sense; what is not closed ends with the text. Commas are space. A flood of values, or of
 * depth, ends the reading, never the program.
 */
#include "memory/loose.h"

#include "base/buf.h"
#include "base/text.h"

#include <string.h>

#include "base/banned.h"

#define DEPTH_LIMIT  8
#define VALUES_LIMIT 20000

struct reader {
    struct arena *arena;
    struct str text;
    size_t at;
    size_t values; /* against floods */
};

static void skip_space(struct reader *r) {
    while (r->at < r->text.len) {
        char c = r->text.at[r->at];
        struct str rest = str_slice(r->text, r->at, r->text.len);
        if (c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == ',') {
            r->at++;
        } else if (str_starts(rest, STR("//")) || c == '#') {
            ptrdiff_t end = str_find_char(r->text, '\n', r->at);
            r->at = end < 0 ? r->text.len : (size_t)end;
        } else if (str_starts(rest, STR("/*"))) {
            ptrdiff_t end = str_find(r->text, STR("*/"), r->at);
            r->at = end < 0 ? r->text.len : (size_t)end + 2;
        } else {
            return;
        }
    }
}

static uint32_t hex4(struct str text, size_t at) {
    uint32_t code = 0;
    for (size_t i = 0; i < 4; i++) {
        char c = at + i < text.len ? text.at[at + i] : 'x';
        uint32_t digit = c >= '0' && c <= '9'                 ? (uint32_t)(c - '0')
                         : (c | 32) >= 'a' && (c | 32) <= 'f' ? (uint32_t)((c | 32) - 'a' + 10)
                                                              : 99;
        if (digit == 99)
            return 0xfffd;
        code = code * 16 + digit;
    }
    return code;
}

static void add_code(struct buf *buf, uint32_t code) {
    if (code < 0x20 || (code >= 0xd800 && code < 0xe000))
        code = code < 0x20 ? ' ' : 0xfffd;
    if (code < 0x80) {
        buf_add_char(buf, (char)code);
    } else if (code < 0x800) {
        buf_add_char(buf, (char)(0xc0 | code >> 6));
        buf_add_char(buf, (char)(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
        buf_add_char(buf, (char)(0xe0 | code >> 12));
        buf_add_char(buf, (char)(0x80 | (code >> 6 & 0x3f)));
        buf_add_char(buf, (char)(0x80 | (code & 0x3f)));
    } else {
        buf_add_char(buf, (char)(0xf0 | code >> 18));
        buf_add_char(buf, (char)(0x80 | (code >> 12 & 0x3f)));
        buf_add_char(buf, (char)(0x80 | (code >> 6 & 0x3f)));
        buf_add_char(buf, (char)(0x80 | (code & 0x3f)));
    }
}

static void read_escape(struct reader *r, struct buf *buf) {
    char c = r->at < r->text.len ? r->text.at[r->at++] : ' ';
    if (c == 'u') {
        uint32_t code = hex4(r->text, r->at);
        r->at = r->at + 4 < r->text.len ? r->at + 4 : r->text.len;
        bool is_pair = code >= 0xd800 && code < 0xdc00 &&
                       str_starts(str_slice(r->text, r->at, r->text.len), STR("\\u"));
        uint32_t low = is_pair ? hex4(r->text, r->at + 2) : 0;
        if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            r->at = r->at + 6 < r->text.len ? r->at + 6 : r->text.len;
        }
        add_code(buf, code);
        return;
    }
    buf_add_char(buf, strchr("nrtbf", c) && c ? ' ' : c);
}

/* Where a quote inside a text in single quotes is an apostrophe: a letter follows. */
static bool is_apostrophe(const struct reader *r, char quote) {
    char after = r->at + 1 < r->text.len ? r->text.at[r->at + 1] : ' ';
    return quote == '\'' && ((after | 32) >= 'a' && (after | 32) <= 'z');
}

static struct str read_text(struct reader *r) {
    char quote = r->text.at[r->at++];
    struct buf buf;
    buf_init(&buf, LOOSE_LIMIT_BYTES);
    while (r->at < r->text.len) {
        char c = r->text.at[r->at];
        if (c == quote && !is_apostrophe(r, quote))
            break;
        r->at++;
        if (c == '\\')
            read_escape(r, &buf);
        else
            buf_add_char(&buf, c == '\n' || c == '\r' || c == '\t' ? ' ' : c);
    }
    r->at += r->at < r->text.len;
    struct str text = str_dup(r->arena, buf_str(&buf));
    buf_release(&buf);
    return text;
}

static struct str read_word(struct reader *r) {
    size_t from = r->at;
    while (r->at < r->text.len && !strchr(",:{}[]\"\n", r->text.at[r->at]))
        r->at++;
    if (r->at == from)
        r->at++;
    return str_trim(str_slice(r->text, from, r->at));
}

static struct loose *read_value(struct reader *r, int depth);

/* Members of an object, items of a list; a text that ends in the middle ends them too. */
static void read_inside(struct reader *r, struct loose *whole, char end, int depth) {
    struct loose **tail = &whole->first;
    r->at++;
    for (;;) {
        skip_space(r);
        if (r->at >= r->text.len)
            return;
        if (r->text.at[r->at] == end) {
            r->at++;
            return;
        }
        if (strchr("}]", r->text.at[r->at]) && r->text.at[r->at])
            return; /* closes something outside: this one was left open */
        struct str name = STR_NONE;
        if (whole->type == LOOSE_OBJECT) {
            char c = r->text.at[r->at];
            name = c == '"' || c == '\'' ? read_text(r) : read_word(r);
            skip_space(r);
            if (r->at < r->text.len && r->text.at[r->at] == ':')
                r->at++;
        }
        skip_space(r);
        if (r->at >= r->text.len || (r->text.at[r->at] == end))
            continue;
        struct loose *value = read_value(r, depth);
        if (value == NULL)
            return;
        value->name = name;
        *tail = value;
        tail = &value->next;
    }
}

static struct loose *read_value(struct reader *r, int depth) {
    if (depth > DEPTH_LIMIT || ++r->values > VALUES_LIMIT)
        return NULL;
    struct loose *value = ARENA_NEW(r->arena, struct loose);
    char c = r->text.at[r->at];
    if (c == '{' || c == '[') {
        value->type = c == '{' ? LOOSE_OBJECT : LOOSE_LIST;
        read_inside(r, value, c == '{' ? '}' : ']', depth + 1);
    } else if (c == '"' || c == '\'') {
        value->type = LOOSE_TEXT;
        value->text = read_text(r);
    } else {
        value->type = LOOSE_WORD;
        value->text = read_word(r);
    }
    return value;
}

const struct loose *loose_next(struct arena *arena, struct str text, size_t *at) {
    struct reader r = {.arena = arena, .text = str_slice(text, 0, LOOSE_LIMIT_BYTES), .at = *at};
    while (r.at < r.text.len && r.text.at[r.at] != '{' && r.text.at[r.at] != '[')
        r.at++;
    const struct loose *value = r.at < r.text.len ? read_value(&r, 0) : NULL;
    *at = r.at;
    return value;
}

/* --- fields that are near enough ---------------------------------------------------------------- */

const struct loose *loose_member(const struct loose *object, const char *names) {
    struct str rest = str_from(names), name;
    while (str_next(&rest, ' ', &name))
        for (const struct loose *child = object->first; child; child = child->next)
            if (str_eq_nocase(child->name, name))
                return child;
    return NULL;
}

struct str loose_text(const struct loose *object, const char *names) {
    const struct loose *value = loose_member(object, names);
    if (value != NULL && value->type == LOOSE_LIST)
        value = value->first;
    if (value == NULL || (value->type != LOOSE_TEXT && value->type != LOOSE_WORD) ||
        (value->type == LOOSE_WORD && str_eq_nocase(value->text, STR("null"))))
        return STR("");
    return str_trim(value->text);
}

double loose_share(const struct loose *object, const char *names, double fallback) {
    struct str text = loose_text(object, names);
    double value;
    if (str_eq_nocase(text, STR("high")))
        return 0.8;
    if (str_eq_nocase(text, STR("medium")))
        return 0.5;
    if (str_eq_nocase(text, STR("low")))
        return 0.3;
    if (str_to_double(text, &value) != E_OK || value < 0)
        return fallback;
    if (value > 10)
        value /= 100;
    else if (value > 1)
        value /= 10;
    return value > 1 ? 1 : value;
}

bool loose_bool(const struct loose *object, const char *names) {
    struct str text = loose_text(object, names);
    return str_eq_nocase(text, STR("true")) || str_eq_nocase(text, STR("yes")) ||
           str_eq(text, STR("1"));
}
