/*
 * JSON lines on standard error: one event, one line, past tense, stable message with fields. No
 * message text, no secrets; e-mail addresses at most at debug. Any thread may log: a line leaves in
 * one write(2), and nobody waits long for its reader (what it does not take is left out and counted).
 *
 * A line: {"at":"2026-11-21T03:52:00.123Z","level":"info","component":"turn","message":"turn
 * settled","request_id":"...",<fields>}. It is at most LOG_LINE_BYTES long: values are cut to
 * LOG_VALUE_BYTES, and fields that do not fit are left out and marked "cut":true.
 */
#pragma once

#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
    const char *name;
    enum { LOG_FIELD_END, LOG_FIELD_STR, LOG_FIELD_INT, LOG_FIELD_ID } kind;
    struct str text;
    int64_t number;
};

#define LOG_LINE_BYTES  4096
#define LOG_VALUE_BYTES 1024

/* Until it is called, the level is info. */
void log_init(enum log_level level);
bool log_is_on(enum log_level level);
/* The request id that this thread's lines carry until it is set again; STR_NONE for none. The bytes
 * are copied (at most 64). */
void log_request_id(struct str id);
/* `fields` ends with a row of kind LOG_FIELD_END, or is NULL. errno is kept. */
void log_write(enum log_level level, const char *component, const char *message,
               const struct log_field *fields);

#define LF_STR(n, v) ((struct log_field){.name = (n), .kind = LOG_FIELD_STR, .text = (v)})
#define LF_Z(n, v)   ((struct log_field){.name = (n), .kind = LOG_FIELD_STR, .text = str_from(v)})
#define LF_INT(n, v) ((struct log_field){.name = (n), .kind = LOG_FIELD_INT, .number = (v)})
#define LF_ID(n, v)  ((struct log_field){.name = (n), .kind = LOG_FIELD_ID, .number = (v)})

/* log_info("turn", "turn settled", LF_ID("turn", id), LF_INT("ms", 3120)) */
#define LOG_AT(level, component, message, ...)                                    \
    do {                                                                          \
        if (log_is_on(level))                                                     \
            log_write(level, component, message,                                  \
                      (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}}); \
    } while (0)
#define log_debug(component, message, ...) LOG_AT(LOG_DEBUG, component, message, __VA_ARGS__)
#define log_info(component, message, ...)  LOG_AT(LOG_INFO, component, message, __VA_ARGS__)
#define log_warn(component, message, ...)  LOG_AT(LOG_WARN, component, message, __VA_ARGS__)
#define log_error(component, message, ...) LOG_AT(LOG_ERROR, component, message, __VA_ARGS__)
