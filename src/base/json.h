/*
 * JSON in both directions.
 *
 * In: RFC 8259 and nothing else: UTF-8 without a byte order mark, depth 64, no duplicate members,
 * no trailing bytes, numbers that fit a double. Values are read through typed getters. A tree lives
 * in an arena and keeps nothing of the text it came from.
 *
 * Where RFC 8259 leaves a choice (the i_ cases of JSONTestSuite): numbers too large for a double
 * are refused, numbers too small for one are 0; integers beyond 2^53 are taken as doubles, but not
 * as json_int, and keep their digits (json_number_text); lone surrogates, other encodings than
 * UTF-8 and a byte order mark are refused; more than 64 levels are refused. Duplicate members,
 * which RFC 8259 only discourages, are refused and marked as such in the error, so that a route may
 * answer 422 instead of 400.
 *
 * Out: a writer that appends to a buf. It places commas itself and escapes by runs: bytes that need
 * no escape are copied together. What is not UTF-8 leaves as U+FFFD. Ids are written as text, times
 * as RFC 3339.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

#define JSON_DEPTH_LIMIT 64
#define JSON_VALUES_LIMIT \
    (1 << 20) /* in one text; a value costs 64 bytes, so a tree stays below 64 MiB */

struct json_value; /* borrowed from its tree; NULL stands for "absent" everywhere below */

enum json_type {
    JSON_ABSENT,
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

/* Where and why a text is not JSON. */
struct json_error {
    size_t offset_bytes;
    const char *reason; /* static text for a person */
    bool is_duplicate;  /* the text is JSON, but an object has two members of one name ... */
    struct str name;    /* ... which is this; of json_parse's arena, STR_NONE after json_scan */
};

/*
 * E_INPUT, or E_LIMIT past JSON_VALUES_LIMIT or the arena's ceiling, with *error filled (may be
 * NULL). The tree lives as long as the arena; the text is copied and may go.
 */
MUST_USE enum err json_parse(struct arena *arena, struct str text, const struct json_value **value,
                             struct json_error *error);
/* The same judgement, when the values are not wanted. */
MUST_USE enum err json_scan(struct str text, struct json_error *error);

enum json_type json_type(const struct json_value *value);
const struct json_value *json_member(const struct json_value *object,
                                     const char *name); /* NULL when absent */
const struct json_value *json_path(const struct json_value *object,
                                   const char *dotted); /* "choices.0.delta.content" */
const struct json_value *json_item(const struct json_value *array, size_t index);
size_t json_count(const struct json_value *container);
const struct json_value *
json_first(const struct json_value *container); /* first child of an array or object */
const struct json_value *json_next(const struct json_value *child); /* next sibling, or NULL */
struct str json_name(const struct json_value *child); /* its member name, STR_NONE in arrays */

/*
 * Getters give the fallback when the value is absent or of another type. Strings and names borrow
 * from the tree and have a NUL behind them, but may hold others (from \u0000): whoever passes one
 * to a C function looks first.
 */
struct str json_string(const struct json_value *value, struct str fallback);
double json_number(const struct json_value *value, double fallback);
int64_t json_int(const struct json_value *value,
                 int64_t fallback); /* also the fallback when not a whole number within 2^53 */
bool json_bool(const struct json_value *value, bool fallback);
struct str json_number_text(
    const struct json_value *value); /* a number as it was written; STR_NONE for other types */

/* --- writer ----------------------------------------------------------------------------------- */
struct json {
    struct buf *buf;
    bool needs_comma;
};

void json_init(struct json *json, struct buf *buf);
void json_object_begin(struct json *json);
void json_object_end(struct json *json);
void json_array_begin(struct json *json);
void json_array_end(struct json *json);
void json_key(struct json *json, struct str key);
void json_write_str(struct json *json, struct str value); /* STR_NONE is null */
void json_write_int(struct json *json, int64_t value);
void json_write_double(struct json *json, double value); /* not finite is null */
void json_write_bool(struct json *json, bool value);
void json_write_null(struct json *json);
void json_write_id(struct json *json, int64_t id);      /* 0 is null */
void json_write_time(struct json *json, int64_t at_ms); /* 0 is null */
void json_write_raw(struct json *json,
                    struct str text); /* one whole JSON value that is known to be valid */
void json_write_value(
    struct json *json,
    const struct json_value *value); /* numbers keep their digits; absent is null */

/* A key as it will stand there, with a comma before it (left out where none is due): `,"title":`. */
void json_key_text(struct json *json, const char *text, size_t len);

/* Member in one line: JSON_STR(json, "title", title). The key is a literal that needs no escape. */
#define JSON_MEMBER(j, k)    json_key_text((j), ",\"" k "\":", sizeof(",\"" k "\":") - 1)
#define JSON_STR(j, k, v)    (JSON_MEMBER(j, k), json_write_str((j), (v)))
#define JSON_INT(j, k, v)    (JSON_MEMBER(j, k), json_write_int((j), (v)))
#define JSON_DOUBLE(j, k, v) (JSON_MEMBER(j, k), json_write_double((j), (v)))
#define JSON_BOOL(j, k, v)   (JSON_MEMBER(j, k), json_write_bool((j), (v)))
#define JSON_ID(j, k, v)     (JSON_MEMBER(j, k), json_write_id((j), (v)))
#define JSON_TIME(j, k, v)   (JSON_MEMBER(j, k), json_write_time((j), (v)))
#define JSON_RAW(j, k, v)    (JSON_MEMBER(j, k), json_write_raw((j), (v)))
#define JSON_NULL_AT(j, k)   (JSON_MEMBER(j, k), json_write_null((j)))
#define JSON_OBJECT(j, k)    (JSON_MEMBER(j, k), json_object_begin((j)))
#define JSON_ARRAY(j, k)     (JSON_MEMBER(j, k), json_array_begin((j)))

/* Appends `text` escaped, without the quotes. */
void json_escape(struct buf *buf, struct str text);
