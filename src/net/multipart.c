/*
 * multipart/form-data, one part at a time (RFC 7578, RFC 2046 section 5.1).
 *
 * The body lies in memory, so a part is a view of it. A delimiter is CR LF "--" boundary; what
 * stands before the first one is ignored, what stands behind the closing one too. Part heads are
 * bounded: MULTIPART_HEAD_BYTES, of which only Content-Disposition and Content-Type are read.
 *
 * A file name is a label from a stranger: folders, control characters and quotes are cut from it,
 * and it never becomes a path.
 */
#include "net/multipart.h"

#include "base/text.h"

#include <string.h>
#include "base/banned.h"

#define BOUNDARY_MAX         70 /* RFC 2046 section 5.1.1 */
#define MULTIPART_HEAD_BYTES 4096
#define NAME_MAX_BYTES       255

/* Where the quoted text that begins at `at` ends: at its second quote, or at the end of the value
 * when it has none. Browsers write %22 for a quote; a backslash escapes only a quote, so that
 * Windows paths of old browsers survive until their folders are cut. */
static size_t quote_end(struct str value, size_t at) {
    for (size_t i = at + 1; i < value.len; i++) {
        if (value.at[i] == '"')
            return i;
        if (value.at[i] == '\\' && i + 1 < value.len && value.at[i + 1] == '"')
            i++;
    }
    return value.len;
}

/* What stands between the quotes at the front; without an arena as it was written. */
static struct str quoted_text(struct arena *arena, struct str value) {
    size_t end = quote_end(value, 0), len = 0;
    if (end == value.len)
        return STR_NONE;
    struct str inside = str_slice(value, 1, end);
    if (arena == NULL)
        return inside;
    char *out = arena_alloc(arena, inside.len + 1);
    for (size_t i = 0; i < inside.len; i++) {
        if (inside.at[i] == '\\' && i + 1 < inside.len && inside.at[i + 1] == '"')
            i++;
        out[len++] = inside.at[i];
    }
    return str_of(out, len);
}

static struct str parameter_value(struct arena *arena, struct str rest) {
    struct str token = STR("");
    if (rest.len > 0 && rest.at[0] == '"')
        return quoted_text(arena, rest);
    (void)str_next(&rest, ';', &token);
    return str_trim(token);
}

/* One parameter of a header value: name=token or name="quoted". STR_NONE when it is not there. */
static struct str parameter_find(struct arena *arena, struct str value, struct str name) {
    for (size_t at = 0; at < value.len; at++) {
        if (value.at[at] == '"')
            at = quote_end(value, at); /* the value of another parameter */
        if (at == value.len || value.at[at] != ';')
            continue;
        struct str rest = str_trim(str_slice(value, at + 1, value.len));
        if (rest.len > name.len && rest.at[name.len] == '=' &&
            str_eq_nocase(str_slice(rest, 0, name.len), name))
            return parameter_value(arena, str_slice(rest, name.len + 1, rest.len));
    }
    return STR_NONE;
}

static bool is_boundary(struct str s) {
    if (s.len == 0 || s.len > BOUNDARY_MAX || s.at[s.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        bool is_letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_letter && (c == '\0' || strchr("'()+_,-./:=? ", c) == NULL))
            return false;
    }
    return true;
}

/* The first delimiter at or behind `from`: where it begins, and the first byte behind it. One
 * search for all of it: a body of nothing but dashes has a beginning of one at every byte. */
static bool delimiter_find(const struct multipart *multipart, size_t from, size_t *begin,
                           size_t *end) {
    char text[4 + BOUNDARY_MAX] = "\r\n--";
    memcpy(text + 4, multipart->boundary.at, multipart->boundary.len);
    struct str delimiter = str_of(text, 4 + multipart->boundary.len);
    struct str first = str_slice(delimiter, 2, delimiter.len); /* no line ends before it */
    if (from == 0 && str_starts(multipart->rest, first)) {
        *begin = 0;
        *end = first.len;
        return true;
    }
    ptrdiff_t at = str_find(multipart->rest, delimiter, from);
    *begin = (size_t)at;
    *end = (size_t)at + delimiter.len;
    return at >= 0;
}

enum err multipart_begin(struct multipart *multipart, struct str content_type, struct str body) {
    *multipart = (struct multipart){.rest = body};
    multipart->boundary = parameter_find(NULL, content_type, STR("boundary"));
    size_t begin, end;
    if (!is_boundary(multipart->boundary) || !delimiter_find(multipart, 0, &begin, &end))
        return E_INPUT;
    multipart->rest = str_slice(body, end, body.len);
    return E_OK;
}

/* Letters only: no folders, no control characters, nothing that ends a quoted string. */
static struct str label_clean(struct arena *arena, struct str name) {
    for (size_t i = name.len; i > 0; i--) {
        if (name.at[i - 1] == '/' || name.at[i - 1] == '\\') {
            name = str_slice(name, i, name.len);
            break;
        }
    }
    char *out = arena_alloc(arena, name.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.at[i];
        if (c >= ' ' && c != 0x7f && c != '"')
            out[len++] = (char)c;
    }
    struct str label = text_repair(arena, str_of(out, len));
    label = str_slice(label, 0, text_whole_prefix(str_slice(label, 0, NAME_MAX_BYTES)));
    return str_eq(label, STR(".")) || str_eq(label, STR("..")) ? STR("") : label;
}

static enum err disposition_read(struct arena *arena, struct str value, struct part *part) {
    struct str rest = value, kind;
    if (!str_next(&rest, ';', &kind) || !str_eq_nocase(str_trim(kind), STR("form-data")))
        return E_INPUT;
    struct str name = parameter_find(arena, value, STR("name"));
    if (name.at == NULL || name.len > NAME_MAX_BYTES)
        return E_INPUT;
    part->name = name;
    struct str file_name = parameter_find(arena, value, STR("filename"));
    if (file_name.at != NULL)
        part->file_name = label_clean(arena, file_name);
    return E_OK;
}

static enum err head_read(struct arena *arena, struct str head, struct part *part) {
    while (head.len > 0) {
        ptrdiff_t end = str_find(head, STR("\r\n"), 0);
        struct str line = str_slice(head, 0, end < 0 ? head.len : (size_t)end);
        head = end < 0 ? STR("") : str_slice(head, (size_t)end + 2, head.len);
        struct str value = line, name;
        if (!str_next(&value, ':', &name) || value.at == NULL)
            return E_INPUT;
        value = str_trim(value);
        if (str_eq_nocase(name, STR("content-type")))
            part->content_type = value;
        else if (str_eq_nocase(name, STR("content-disposition")) &&
                 (part->name.at != NULL || disposition_read(arena, value, part) != E_OK))
            return E_INPUT;
    }
    return part->name.at != NULL ? E_OK : E_INPUT;
}

/* Behind a delimiter: "--" ends the body, else white space and a line end begin a part. */
static enum err part_begin(struct multipart *multipart) {
    struct str rest = multipart->rest;
    if (str_starts(rest, STR("--")))
        return E_ABSENT;
    size_t at = 0;
    while (at < rest.len && (rest.at[at] == ' ' || rest.at[at] == '\t'))
        at++;
    if (!str_starts(str_slice(rest, at, rest.len), STR("\r\n")))
        return E_INPUT;
    multipart->rest = str_slice(rest, at + 2, rest.len);
    return E_OK;
}

enum err multipart_next(struct multipart *multipart, struct arena *arena, struct part *part) {
    *part = (struct part){0};
    enum err err = part_begin(multipart);
    if (err != E_OK)
        return err;
    if (++multipart->count > MULTIPART_PARTS_LIMIT)
        return E_LIMIT;
    struct str rest = multipart->rest;
    ptrdiff_t blank = str_find(str_slice(rest, 0, MULTIPART_HEAD_BYTES), STR("\r\n\r\n"), 0);
    if (blank <= 0 || head_read(arena, str_slice(rest, 0, (size_t)blank), part) != E_OK)
        return E_INPUT;
    size_t begin, end;
    /* From the line end of the head on, so that an empty part is found too. */
    if (!delimiter_find(multipart, (size_t)blank + 2, &begin, &end))
        return E_INPUT;
    size_t content = (size_t)blank + 4;
    part->bytes = str_slice(rest, content, begin < content ? content : begin);
    multipart->rest = str_slice(rest, end, rest.len);
    return E_OK;
}
