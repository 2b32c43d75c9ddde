/*
 * Objects of other programs, both ways: rows name the members that we understand and where they
 * live in a struct; everything else is kept as it came and given back when the object is written.
 *
 * Reading is liberal (a number where a text is due, one comma-separated text where a list is due,
 * null anywhere); writing is strict. A member that is there but says nothing (an empty nickname, a
 * false flag) counts as "kept", so that an object that nobody changed is written with the same
 * members that it came with.
 */
#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "net/field.h"

#include <stddef.h>

enum member_kind {
    MEMBER_TEXT,         /* struct str; says nothing: "" */
    MEMBER_TEXTS,        /* struct str, a JSON array of texts; says nothing: [] */
    MEMBER_OBJECT,       /* struct str, a JSON object; says nothing: {} */
    MEMBER_BOOL,         /* bool; says nothing: false */
    MEMBER_MAYBE_BOOL,   /* int; -1 not said */
    MEMBER_NUMBER,       /* double */
    MEMBER_MAYBE_NUMBER, /* double; NAN not said */
    MEMBER_MAYBE_INT,    /* int64_t of 0 .. 2^31; -1 not said */
};

struct member {
    const char *name;
    enum member_kind kind;
    size_t offset;
    bool is_required;           /* always written */
    const char *const *choices; /* of MEMBER_TEXT: other texts are kept, not understood */
};
#define MEMBER_AT(type, member) offsetof(type, member)
#define MEMBERS_LIMIT           64 /* rows of one table */

/*
 * Fills `out`, whose members hold their defaults already. Gives the JSON object of what is kept.
 * `skip` (may be NULL, else NULL-terminated) names members that the caller reads himself.
 */
struct str members_read(struct arena *arena, const struct member *rows, size_t count,
                        const struct json_value *object, void *out, const char *const *skip);
/*
 * Writes the members of `in` and then what was kept, into an object that the caller has begun.
 * `omit` (may be NULL, else NULL-terminated) names members that are not to be written.
 */
void members_write(struct json *json, const struct member *rows, size_t count, const void *in,
                   struct str kept, const char *const *omit);

/* The text of a text or of a number (its digits), without NULs; STR_NONE for anything else. */
struct str member_text(struct arena *arena, const struct json_value *value);
/* A JSON array of texts from an array, or from one comma-separated text; STR_NONE for anything
 * else. */
struct str member_texts(struct arena *arena, const struct json_value *value);
/* The JSON text of any value, in the arena. */
struct str member_json(struct arena *arena, const struct json_value *value);
/* The JSON array of the texts that a field of a body gave, in the arena. */
struct str member_of_texts(struct arena *arena, const struct field_texts *texts);
