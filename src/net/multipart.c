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

/* One parameter of a header value: name=token or name="quoted". STR_NONE when it is not there. */
static struct str parameter_find(struct arena *arena, struct str value, struct str name) {
    size_t at = 0;
    while (at < value.len) {
        while (at < value.len && value.at[at] != ';' && value.at[at] != '"')
            at++;
        if (at < value.len && value.at[at] == '"') { /* a quoted value of another parameter */
            ptrdiff_t end = str_find_char(value, '"', at + 1);
            if (end < 0)
                return STR_NONE;
            at = (size_t)end + 1;
            continue;
        }
        struct str rest = str_trim(str_slice(value, at + 1, value.len));
        at++;
        if (rest.len <= name.len || rest.at[name.len] != '=' ||
            !str_eq_nocase(str_slice(rest, 0, name.len), name))
            continue;
        rest = str_slice(rest, name.len + 1, rest.len);
        if (rest.len == 0 || rest.at[0] != '"') {
            struct str token = STR("");
            (void)str_next(&rest, ';', &token);
            return str_trim(token);
        }
        char *out = arena != NULL ? arena_alloc(arena, rest.len) : NULL;
        size_t len = 0;
        for (size_t i = 1; i < rest.len; i++) {
            if (rest.at[i] == '"')
                return out != NULL ? str_of(out, len) : str_slice(rest, 1, i);
            /* Browsers write %22 for a quote; a backslash escapes only a quote, so that Windows
             * paths of old browsers survive until their folders are cut. */
            if (rest.at[i] == '\\' && i + 1 < rest.len && rest.at[i + 1] == '"')
                i++;
            if (out != NULL)
                out[len++] = rest.at[i];
        }
        return STR_NONE; /* the quote never ends */
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

/* The first delimiter at or behind `from`: where it begins, and the first byte behind it. */
static bool delimiter_find(const struct multipart *multipart, size_t from, size_t *begin,
                           size_t *end) {
    struct str rest = multipart->rest;
    while (from + 2 + multipart->boundary.len <= rest.len) {
        ptrdiff_t at = str_find(rest, STR("--"), from);
        if (at < 0)
            return false;
        size_t behind = (size_t)at + 2 + multipart->boundary.len;
        bool is_line = at == 0 || (at >= 2 && rest.at[at - 2] == '\r' && rest.at[at - 1] == '\n');
        if (is_line && behind <= rest.len &&
            str_eq(str_slice(rest, (size_t)at + 2, behind), multipart->boundary)) {
            *begin = at == 0 ? 0 : (size_t)at - 2;
            *end = behind;
            return true;
        }
        from = (size_t)at + 1;
    }
    return false;
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
