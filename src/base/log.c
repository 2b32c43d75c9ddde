/*
 * A line is built on the stack, in a buf whose room is its ceiling, by the JSON writer: no
 * allocation, so that even "out of memory" can be said, and nothing that comes in can break out of
 * its string.
 */
#include "base/log.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

#define REQUEST_ID_BYTES 64
#define END_BYTES        16 /* ,"cut":true} and the line end */

static _Atomic int lowest = LOG_INFO;
static _Thread_local char request_id[REQUEST_ID_BYTES];
static _Thread_local size_t request_id_len;

void log_init(enum log_level level) {
    atomic_store_explicit(&lowest, (int)level, memory_order_relaxed);
}

bool log_is_on(enum log_level level) {
    return (int)level >= atomic_load_explicit(&lowest, memory_order_relaxed);
}

void log_request_id(struct str id) {
    request_id_len = id.len < REQUEST_ID_BYTES ? id.len : REQUEST_ID_BYTES;
    if (request_id_len)
        memcpy(request_id, id.at, request_id_len);
}

static struct str level_word(enum log_level level) {
    switch (level) {
    case LOG_DEBUG:
        return STR("debug");
    case LOG_INFO:
        return STR("info");
    case LOG_WARN:
        return STR("warn");
    case LOG_ERROR:
        break;
    }
    return STR("error");
}

static void write_head(struct json *json, enum log_level level, const char *component,
                       const char *message) {
    char at[RFC3339_LEN + 1];
    clock_rfc3339(clock_now_ms(), at);
    json_object_begin(json);
    JSON_STR(json, "at", str_of(at, RFC3339_LEN));
    JSON_STR(json, "level", level_word(level));
    JSON_STR(json, "component", str_from(component));
    JSON_STR(json, "message", str_slice(str_from(message), 0, LOG_VALUE_BYTES));
    if (request_id_len)
        JSON_STR(json, "request_id", str_of(request_id, request_id_len));
}

static void write_field(struct json *json, const struct log_field *field) {
    json_key(json, str_from(field->name));
    switch (field->kind) {
    case LOG_FIELD_STR:
        json_write_str(json, str_slice(field->text, 0, LOG_VALUE_BYTES));
        break;
    case LOG_FIELD_INT:
        json_write_int(json, field->number);
        break;
    case LOG_FIELD_ID:
        json_write_id(json, field->number);
        break;
    case LOG_FIELD_END:
        break;
    }
}

/* Writes the fields that fit; a line that is cut is still one JSON object. */
static bool write_fields(struct json *json, const struct log_field *fields) {
    bool is_cut = false;
    for (const struct log_field *field = fields; field && field->kind != LOG_FIELD_END; field++) {
        size_t before = json->buf->len;
        write_field(json, field);
        if (json->buf->err != E_OK) {
            buf_cut(json->buf, before);
            json->needs_comma = true;
            is_cut = true;
        }
    }
    return is_cut;
}

/* One write: lines of different threads do not mix. A reader that is gone or full costs the line,
 * never the server. */
static void emit(const char *line, size_t len) {
    while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
        continue;
}

void log_write(enum log_level level, const char *component, const char *message,
               const struct log_field *fields) {
    int kept_errno = errno;
    char line[LOG_LINE_BYTES + BUF_SLACK_BYTES];
    size_t room = LOG_LINE_BYTES - END_BYTES;
    struct buf buf = {.at = line, .room = room, .ceiling_bytes = room};
    struct json json;
    json_init(&json, &buf);
    write_head(&json, level, component, message);
    bool is_cut = write_fields(&json, fields);
    buf.room = buf.ceiling_bytes = LOG_LINE_BYTES;
    if (is_cut)
        JSON_BOOL(&json, "cut", true);
    json_object_end(&json);
    buf_add_char(&buf, '\n');
    emit(line, buf.len);
    errno = kept_errno;
}

_Noreturn void bug_at(const char *file, int line, const char *format, ...) {
    char reason[LOG_VALUE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    log_write(LOG_ERROR, "bug", "stopped by a bug",
              (const struct log_field[]){
                  LF_Z("reason", reason), LF_Z("file", file), LF_INT("line", line), {0}});
    abort();
}
