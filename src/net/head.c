/*
 * What llhttp leaves to its user, measured with 8.1 (Debian 12, strict mode) and 9.2 (Debian 13):
 * bare LF, folded lines, empty names, several spaces in the request line, other protocols and
 * versions, empty lines without end, sizes and counts. Here each of them is one check over whole
 * lines, before the parser sees a byte; the parser then judges the same bytes a second time. The
 * lines behind a chunked body are no different: where they end decides where the next request
 * begins.
 *
 * A line is looked at once, when it is complete; what has been searched is remembered, so that a
 * head that comes byte by byte costs no more than one that comes whole.
 */
#include "net/head.h"

#include "base/text.h"

#include <string.h>
#include "base/banned.h"

#define BLANK_LINES_LIMIT 2 /* RFC 9112 section 2.2 asks for at least one */
#define METHOD_LIMIT      24

/* --- the raw lines ---------------------------------------------------------------------------- */

static bool is_token_char(unsigned char c) {
    if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
        return true;
    return c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_token(struct str s) {
    for (size_t i = 0; i < s.len; i++)
        if (!is_token_char((unsigned char)s.at[i]))
            return false;
    return s.len > 0;
}

static int version_check(struct str version, const char **why) {
    if (str_eq(version, STR("HTTP/1.1")) || str_eq(version, STR("HTTP/1.0")))
        return 0;
    *why = "The request line does not end in HTTP/1.1.";
    if (version.len != 8 || !str_starts(version, STR("HTTP/")) || version.at[6] != '.')
        return 400;
    bool is_version = version.at[5] >= '0' && version.at[5] <= '9' && version.at[7] >= '0' &&
                      version.at[7] <= '9';
    if (!is_version || version.at[5] == '0')
        return 400; /* 0.9 has no head at all */
    *why = "This server speaks HTTP/1.1.";
    return 505;
}

static bool method_is_known(struct str name) {
    static const char *const KNOWN[] = {
        "GET",      "HEAD",    "POST",       "PUT",       "PATCH",  "DELETE",    "OPTIONS",
        "TRACE",    "CONNECT", "PROPFIND",   "PROPPATCH", "MKCOL",  "COPY",      "MOVE",
        "LOCK",     "UNLOCK",  "SEARCH",     "REPORT",    "BIND",   "REBIND",    "UNBIND",
        "ACL",      "MERGE",   "MKACTIVITY", "CHECKOUT",  "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE",
        "M-SEARCH", "PURGE",   "MKCALENDAR", "LINK",      "UNLINK", "SOURCE",    NULL};
    for (size_t i = 0; KNOWN[i] != NULL; i++)
        if (str_eq(name, str_from(KNOWN[i])))
            return true;
    return false;
}

enum method head_method(struct str name) {
    static const struct {
        struct str name;
        enum method method;
    } ROWS[] = {
        {{"GET", 3}, METHOD_GET},         {{"POST", 4}, METHOD_POST},
        {{"HEAD", 4}, METHOD_HEAD},       {{"PUT", 3}, METHOD_PUT},
        {{"PATCH", 5}, METHOD_PATCH},     {{"DELETE", 6}, METHOD_DELETE},
        {{"OPTIONS", 7}, METHOD_OPTIONS},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        if (str_eq(name, ROWS[i].name))
            return ROWS[i].method;
    return METHOD_OTHER;
}

/* METHOD SP target SP HTTP/1.x, each space single (RFC 9112 section 3). */
static int request_line_check(struct str line, const char **why) {
    *why = "The request line is malformed.";
    ptrdiff_t first = str_find_char(line, ' ', 0);
    if (first <= 0 || first > METHOD_LIMIT)
        return 400;
    ptrdiff_t second = str_find_char(line, ' ', (size_t)first + 1);
    if (second <= first + 1 || str_find_char(line, ' ', (size_t)second + 1) >= 0)
        return 400;
    struct str method = str_slice(line, 0, (size_t)first);
    if (!is_token(method))
        return 400;
    int status = version_check(str_slice(line, (size_t)second + 1, line.len), why);
    if (status != 0)
        return status;
    *why = "This server does not know the method.";
    return method_is_known(method) ? 0 : 501;
}

static int field_line_check(struct head_scan *scan, struct str line, const char **why) {
    if (line.at[0] == ' ' || line.at[0] == '\t') {
        *why = "A header line is folded or begins with a space.";
        return 400;
    }
    ptrdiff_t colon = str_find_char(line, ':', 0);
    if (colon <= 0 || line.at[colon - 1] == ' ' || line.at[colon - 1] == '\t') {
        *why = "A header has no name, or a space behind its name.";
        return 400;
    }
    if (++scan->fields > HEAD_FIELDS_LIMIT) {
        *why = "The request has more than 100 headers.";
        return 431;
    }
    return 0;
}

/* A whole line without its CRLF. 200 at the empty line that ends the head. */
static int line_check(struct head_scan *scan, struct str line, const char **why) {
    if (line.len > 0 && memchr(line.at, '\r', line.len) != NULL) {
        *why = "A carriage return stands alone.";
        return 400;
    }
    if (!scan->has_request_line) {
        if (line.len == 0 && ++scan->blank_lines <= BLANK_LINES_LIMIT)
            return 0;
        scan->has_request_line = true;
        return request_line_check(line, why);
    }
    if (line.len == 0)
        return 200;
    return field_line_check(scan, line, why);
}

/* The line under way has no end yet: is it too long, or no HTTP at all? */
static int unfinished_check(const struct head_scan *scan, struct str bytes, const char **why) {
    size_t len = bytes.len - scan->line_at;
    if (!scan->has_request_line) {
        unsigned char first = len > 0 ? (unsigned char)bytes.at[scan->line_at] : 'G';
        *why = "This is not HTTP.";
        if (!is_token_char(first) && first != '\r')
            return 400;
        *why = "The request line is longer than 8 KiB.";
        return len > HEAD_REQUEST_LINE_BYTES ? 414 : 0;
    }
    *why = "The headers are longer than 16 KiB, or one of them than 8 KiB.";
    return len > HEAD_LINE_BYTES || bytes.len >= HEAD_LIMIT_BYTES ? 431 : 0;
}

static int line_length_check(const struct head_scan *scan, size_t len, size_t end,
                             const char **why) {
    *why = "The request line is longer than 8 KiB.";
    if (!scan->has_request_line)
        return len > HEAD_REQUEST_LINE_BYTES ? 414 : 0;
    *why = "The headers are longer than 16 KiB, or one of them than 8 KiB.";
    return len > HEAD_LINE_BYTES || end > HEAD_LIMIT_BYTES ? 431 : 0;
}

int head_scan(struct head_scan *scan, struct str bytes, size_t *head_len, const char **why) {
    while (scan->search_at < bytes.len) {
        const char *end = memchr(bytes.at + scan->search_at, '\n', bytes.len - scan->search_at);
        if (end == NULL)
            break;
        size_t line_end = (size_t)(end - bytes.at);
        if (line_end == scan->line_at || end[-1] != '\r') {
            *why = "A line does not end in CR LF.";
            return 400;
        }
        int status = line_length_check(scan, line_end - 1 - scan->line_at, line_end + 1, why);
        if (status == 0)
            status = line_check(scan, str_slice(bytes, scan->line_at, line_end - 1), why);
        scan->line_at = scan->search_at = line_end + 1;
        if (status != 0) {
            *head_len = scan->line_at;
            return status;
        }
    }
    scan->search_at = bytes.len;
    return unfinished_check(scan, bytes, why);
}

/* --- trailers --------------------------------------------------------------------------------- */

enum trailer_place { LINE_BEGINS, IN_NAME, IN_VALUE, LAST_LINE, TRAILERS_END };

static bool is_blank(unsigned char c) {
    return c == ' ' || c == '\t';
}

/* Where the next byte stands; -1 when this one may not be there. Line ends are judged already. */
static int trailer_place_after(const struct trailer_scan *scan, unsigned char c) {
    switch (scan->place) {
    case LINE_BEGINS:
        return c == '\r' ? LAST_LINE : is_blank(c) || c == ':' ? -1 : IN_NAME;
    case IN_NAME:
        if (c == ':')
            return is_blank(scan->last) ? -1 : IN_VALUE;
        return c == '\r' ? -1 : IN_NAME;
    case IN_VALUE:
        return c == '\n' ? LINE_BEGINS : IN_VALUE;
    default:
        return TRAILERS_END;
    }
}

bool trailer_scan(struct trailer_scan *scan, struct str bytes) {
    for (size_t i = 0; i < bytes.len && scan->place != TRAILERS_END; i++) {
        unsigned char c = (unsigned char)bytes.at[i];
        int place = trailer_place_after(scan, c);
        if ((scan->last == '\r') != (c == '\n') || place < 0)
            return false;
        scan->place = (unsigned char)place;
        scan->last = c;
    }
    return true;
}

/* --- target and path -------------------------------------------------------------------------- */

static struct str scheme_cut(struct str target) {
    static const struct str SCHEMES[] = {{"http://", 7}, {"https://", 8}};
    for (size_t i = 0; i < 2; i++)
        if (target.len > SCHEMES[i].len &&
            str_eq_nocase(str_slice(target, 0, SCHEMES[i].len), SCHEMES[i]))
            return str_slice(target, SCHEMES[i].len, target.len);
    return STR_NONE;
}

static enum err absolute_parse(struct str target, struct head_target *out) {
    struct str rest = scheme_cut(target);
    if (rest.at == NULL)
        return E_INPUT;
    size_t end = 0;
    while (end < rest.len && rest.at[end] != '/' && rest.at[end] != '?')
        end++;
    out->authority = str_slice(rest, 0, end);
    out->path = str_slice(rest, end, rest.len);
    return head_host_is_valid(out->authority) ? E_OK : E_INPUT;
}

enum err head_target_parse(struct str target, enum method method, struct head_target *out) {
    *out = (struct head_target){.path = target};
    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.at[i];
        if (c <= ' ' || c >= 0x7f || c == '#' || c == '\\')
            return E_INPUT;
    }
    if (target.len == 1 && target.at[0] == '*')
        return method == METHOD_OPTIONS ? E_OK : E_INPUT;
    if (target.len == 0)
        return E_INPUT;
    if (target.at[0] != '/') {
        enum err err = absolute_parse(target, out);
        if (err != E_OK)
            return err;
    }
    ptrdiff_t question = str_find_char(out->path, '?', 0);
    if (question >= 0) {
        out->query = str_slice(out->path, (size_t)question + 1, out->path.len);
        out->path = str_slice(out->path, 0, (size_t)question);
    }
    if (out->path.len == 0)
        out->path = STR("/"); /* absolute form without a path (RFC 9112 section 3.2.1) */
    return E_OK;
}

static bool has_dot_segment(struct str path) {
    struct str part;
    while (str_next(&path, '/', &part))
        if (str_eq(part, STR(".")) || str_eq(part, STR("..")))
            return true;
    return false;
}

static bool is_clean(struct str path) {
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.at[i];
        if (c < ' ' || c == 0x7f || c == '\\')
            return false;
    }
    return true;
}

enum err head_path_decode(struct arena *arena, struct str path, struct str *out) {
    *out = path;
    if (memchr(path.at, '%', path.len) != NULL) {
        enum err err = percent_decode(arena, path, false, out);
        if (err != E_OK)
            return E_INPUT;
        if (!is_clean(*out) || !text_is_utf8(*out))
            return E_INPUT;
    }
    return memchr(out->at, '.', out->len) != NULL && has_dot_segment(*out) ? E_INPUT : E_OK;
}

/* --- Host ------------------------------------------------------------------------------------- */

/* Splits "name:port"; the port may be empty, as the grammar allows. False when it is not digits. */
static bool host_split(struct str host, struct str *name, struct str *port) {
    ptrdiff_t colon;
    *name = host;
    *port = STR_NONE;
    if (host.len > 0 && host.at[0] == '[') {
        ptrdiff_t close = str_find_char(host, ']', 0);
        if (close < 0)
            return false;
        *name = str_slice(host, 0, (size_t)close + 1);
        colon = (size_t)close + 1 < host.len ? close + 1 : -1;
        if (colon >= 0 && host.at[colon] != ':')
            return false;
    } else {
        colon = str_find_char(host, ':', 0);
    }
    if (colon < 0)
        return true;
    *name = str_slice(host, 0, (size_t)colon);
    *port = str_slice(host, (size_t)colon + 1, host.len);
    for (size_t i = 0; i < port->len; i++)
        if (port->at[i] < '0' || port->at[i] > '9')
            return false;
    return port->len <= 5;
}

static bool is_host_char(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
           c == '.' || c == '_';
}

static bool is_literal_char(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f') || c == ':' ||
           c == '.';
}

bool head_host_is_valid(struct str host) {
    struct str name, port;
    if (host.len == 0 || host.len > 255 || !host_split(host, &name, &port) || name.len == 0)
        return false;
    if (name.at[0] == '[') {
        for (size_t i = 1; i + 1 < name.len; i++)
            if (!is_literal_char((unsigned char)name.at[i]))
                return false;
        return name.len > 3;
    }
    for (size_t i = 0; i < name.len; i++)
        if (!is_host_char((unsigned char)name.at[i]))
            return false;
    return name.at[0] != '.';
}

struct str head_host_name(struct str host) {
    struct str name, port;
    if (!host_split(host, &name, &port))
        return host;
    if (name.len > 1 && name.at[name.len - 1] == '.')
        name.len--;
    return name;
}

bool head_host_is_local(struct str host) {
    struct str name = head_host_name(host);
    if (name.len > 0 && name.at[0] == '[')
        return true;
    bool is_digits = name.len > 0;
    for (size_t i = 0; i < name.len && is_digits; i++)
        is_digits = (name.at[i] >= '0' && name.at[i] <= '9') || name.at[i] == '.';
    return is_digits || str_eq_nocase(name, STR("localhost")) ||
           (name.len > 10 &&
            str_eq_nocase(str_slice(name, name.len - 10, name.len), STR(".localhost")));
}
