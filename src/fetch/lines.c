/*
 * Lines, then events. A piece is walked once; a line that lies whole inside a piece is read where
 * it is, only what is cut off is kept.
 *
 * Two departures from the letter of the standard, both for servers that exist:
 * - A field named `error` (llama.cpp until 2025 writes its errors so) is an event of type "error"
 * whose data is the field's value.
 * - At the end of the body a last event without its empty line is given (KoboldCpp ends with `data:
 * [DONE]` and nothing after it). Whoever reads it must expect that it was cut off.
 */
#include "fetch/lines.h"

#include <string.h>

#include "base/banned.h"

static const struct str BOM = {"\xEF\xBB\xBF", 3};

void lines_init(struct lines *lines, enum lines_kind kind) {
    *lines = (struct lines){.kind = kind};
    buf_init(&lines->line, LINES_LIMIT_BYTES);
    buf_init(&lines->data, LINES_LIMIT_BYTES);
    buf_init(&lines->event, LINES_LIMIT_BYTES);
}

void lines_release(struct lines *lines) {
    buf_release(&lines->line);
    buf_release(&lines->data);
    buf_release(&lines->event);
}

/* --- server-sent events ----------------------------------------------------------------------- */

static enum err dispatch(struct lines *lines, lines_fn fn, void *ctx) {
    bool goes_on = true;
    if (lines->has_data) {
        struct str event = lines->event.len ? buf_str(&lines->event) : STR_NONE;
        goes_on = fn(ctx, event, buf_str(&lines->data));
    }
    lines->has_data = false;
    buf_clear(&lines->data);
    buf_clear(&lines->event);
    return goes_on ? E_OK : E_CANCELLED;
}

static void add_data(struct lines *lines, struct str value) {
    if (lines->has_data)
        buf_add_char(&lines->data, '\n');
    lines->has_data = true;
    buf_add_str(&lines->data, value);
}

static void take_field(struct lines *lines, struct str name, struct str value) {
    if (str_eq(name, STR("data"))) {
        add_data(lines, value);
    } else if (str_eq(name, STR("event"))) {
        buf_clear(&lines->event);
        buf_add_str(&lines->event, value);
    } else if (str_eq(name, STR("error"))) {
        buf_clear(&lines->event);
        buf_add_str(&lines->event, name);
        add_data(lines, value);
    }
}

static enum err take_sse_line(struct lines *lines, struct str line, lines_fn fn, void *ctx) {
    if (line.len == 0)
        return dispatch(lines, fn, ctx);
    const char *colon = memchr(line.at, ':', line.len);
    if (colon == line.at) /* a comment */
        return E_OK;
    struct str name = line, value = STR("");
    if (colon) {
        name.len = (size_t)(colon - line.at);
        value = str_slice(line, name.len + 1, line.len);
        if (value.len && value.at[0] == ' ')
            value = str_slice(value, 1, value.len);
    }
    take_field(lines, name, value);
    return lines->data.err ? lines->data.err : lines->event.err;
}

/* --- lines ------------------------------------------------------------------------------------ */

static enum err take_json_line(struct str line, lines_fn fn, void *ctx) {
    line = str_trim(line);
    return line.len == 0 || fn(ctx, STR_NONE, line) ? E_OK : E_CANCELLED;
}

static enum err take_line(struct lines *lines, struct str line, lines_fn fn, void *ctx) {
    if (!lines->is_past_bom) {
        lines->is_past_bom = true;
        if (str_starts(line, BOM))
            line = str_slice(line, BOM.len, line.len);
    }
    return lines->kind == LINES_SSE ? take_sse_line(lines, line, fn, ctx)
                                    : take_json_line(line, fn, ctx);
}

/* A line that was kept in part ends here. */
static enum err take_kept_line(struct lines *lines, struct str rest, lines_fn fn, void *ctx) {
    if (lines->line.len == 0)
        return take_line(lines, rest, fn, ctx);
    buf_add_str(&lines->line, rest);
    enum err err = lines->line.err;
    if (err == E_OK)
        err = take_line(lines, buf_str(&lines->line), fn, ctx);
    buf_clear(&lines->line);
    return err;
}

/* JSON may hold a bare CR between values, so only LF ends a line there. */
static size_t find_end(enum lines_kind kind, struct str bytes) {
    size_t at = 0;
    while (at < bytes.len && bytes.at[at] != '\n' && (kind == LINES_NDJSON || bytes.at[at] != '\r'))
        at++;
    return at;
}

enum err lines_feed(struct lines *lines, struct str bytes, lines_fn fn, void *ctx) {
    while (bytes.len) {
        bool is_second_half = lines->saw_cr && bytes.at[0] == '\n';
        lines->saw_cr = false;
        if (is_second_half) {
            bytes = str_slice(bytes, 1, bytes.len);
            continue;
        }
        size_t end = find_end(lines->kind, bytes);
        if (end == bytes.len) {
            buf_add_str(&lines->line, bytes);
            return lines->line.err;
        }
        lines->saw_cr = bytes.at[end] == '\r';
        enum err err = take_kept_line(lines, str_slice(bytes, 0, end), fn, ctx);
        if (err)
            return err;
        bytes = str_slice(bytes, end + 1, bytes.len);
    }
    return E_OK;
}

enum err lines_end(struct lines *lines, lines_fn fn, void *ctx) {
    enum err err = E_OK;
    if (lines->line.len)
        err = take_kept_line(lines, STR(""), fn, ctx);
    if (err == E_OK && lines->kind == LINES_SSE)
        err = dispatch(lines, fn, ctx);
    return err;
}
