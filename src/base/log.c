/*
 * A line is built on the stack, in a buf whose room is its ceiling, by the JSON writer: no
 * allocation, so that even "out of memory" can be said, and nothing that comes in can break out of
 * its string.
 *
 * Nobody waits long for whoever reads the lines. A pipe, socket or terminal is asked first (poll);
 * one that has no room for PATIENCE_MS costs this line and those behind it, without another wait,
 * until it has room again; then the first line says how many were lost. A line is no longer than
 * what a pipe takes in one piece when it takes anything (PIPE_BUF), so the write that follows does
 * not wait either, and lines of different threads or processes do not mix.
 */
#include "base/log.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

#define MESSAGE_BYTES    256 /* a sentence of ours; with it every head fits */
#define PATIENCE_MS      200 /* a reader that is merely busy (journald) is back by then */
#define REQUEST_ID_BYTES 64
#define END_BYTES        16 /* ,"cut":true} and the line end */

_Static_assert(LOG_LINE_BYTES <= PIPE_BUF, "a line leaves in one piece");

static _Atomic int lowest = LOG_INFO;
static _Thread_local char request_id[REQUEST_ID_BYTES];
static _Thread_local size_t request_id_len;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t lost_lines; /* under the lock: since one left */

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
    JSON_STR(json, "message", str_slice(str_from(message), 0, MESSAGE_BYTES));
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

static size_t compose(char line[LOG_LINE_BYTES + BUF_SLACK_BYTES], enum log_level level,
                      const char *component, const char *message, const struct log_field *fields) {
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
    return buf.len;
}

/* --- the reader ------------------------------------------------------------------------------- */

static bool takes_a_line(void) {
    struct pollfd reader = {.fd = STDERR_FILENO, .events = POLLOUT};
    int count;
    int wait_ms = lost_lines > 0 ? 0 : PATIENCE_MS;
    while ((count = poll(&reader, 1, wait_ms)) < 0 && errno == EINTR)
        continue;
    return count != 0;
}

/* False when nobody reads. A reader that is gone for good costs the line. */
static bool emit(const char *line, size_t len) {
    if (!takes_a_line())
        return false;
    while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
        continue;
    return true;
}

static void tell_lost(void) {
    char line[LOG_LINE_BYTES + BUF_SLACK_BYTES];
    size_t len = compose(line, LOG_WARN, "log", "lines were lost: nobody read them",
                         (const struct log_field[]){LF_INT("count", lost_lines), {0}});
    if (emit(line, len))
        lost_lines = 0;
}

void log_write(enum log_level level, const char *component, const char *message,
               const struct log_field *fields) {
    int kept_errno = errno;
    char line[LOG_LINE_BYTES + BUF_SLACK_BYTES];
    size_t len = compose(line, level, component, message, fields);
    pthread_mutex_lock(&lock);
    if (lost_lines > 0)
        tell_lost();
    if (lost_lines > 0 || !emit(line, len))
        lost_lines++;
    pthread_mutex_unlock(&lock);
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
