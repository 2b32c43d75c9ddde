/*
 * Fields as rows: what a body, a query or an answer may hold. One row validates the input, words
 * the 422, fills a typed struct, and becomes a property in openapi.json. A handler never sees raw
 * JSON except where a row says FIELD_JSON.
 *
 *     struct send_body {
 *         struct str content;
 *         bool reply;
 *     };
 *     static const struct field send_fields[] = {
 *         {"content", FIELD_TEXT, AT(struct send_body, content), .is_required = true, .min = 1,
 *          .max = 100000, .help = "What is said."},
 *         {"reply", FIELD_BOOL, AT(struct send_body, reply), .fallback = "true",
 *          .help = "Whether a character answers."},
 *         {0}};
 *
 * Unknown members are a 422 that names them. Absent optional members get the fallback, or stay zero
 * (STR_NONE, 0, false, NULL); whether a member was there is told by request_has_field().
 */
#pragma once

#include "base/arena.h"
#include "base/json.h"

#include <stddef.h>

enum field_type {
    FIELD_TEXT,    /* struct str; min and max in code points; control characters other than tab and
                      line ends are refused */
    FIELD_INT,     /* int64_t; min and max */
    FIELD_NUMBER,  /* double; min and max */
    FIELD_BOOL,    /* bool */
    FIELD_ID,      /* int64_t, 13 letters on the wire */
    FIELD_CHOICE,  /* struct str, one of `choices` */
    FIELD_TIME,    /* int64_t ms, RFC 3339 on the wire */
    FIELD_TEXTS,   /* struct field_texts; min and max count of items; item_max code points each */
    FIELD_IDS,     /* struct field_ids */
    FIELD_OBJECT,  /* const void * to a struct filled by `rows` (size `size`), NULL when absent */
    FIELD_OBJECTS, /* struct field_objects: array of such structs */
    FIELD_JSON, /* const struct json_value *: any JSON object or value, kept as it is; max bytes of
                   text. As the only row of a body and with the name "*" it is the whole object,
                   whose members the handler judges */
    FIELD_FILE, /* struct str path or bytes of a multipart part: see net/multipart.h */
};

#define FIELD_TEXT_MAX  1000 /* code points, where a row says nothing */
#define FIELD_ITEMS_MAX 100  /* of a list, likewise */

struct field_texts {
    struct str *items;
    size_t count;
};
struct field_ids {
    int64_t *items;
    size_t count;
};
struct field_objects {
    void *items; /* array of the row's struct */
    size_t count;
};

struct shape;

struct field {
    const char *name;
    enum field_type type;
    size_t offset; /* AT(struct, member) */
    bool is_required;
    bool may_be_null; /* JSON null is taken as "absent but said": has_field is true, the value is
                         zero */
    double min,
        max; /* max 0: the type's default ceiling (FIELD_TEXT_MAX, FIELD_ITEMS_MAX, JSON 64 KiB) */
    double item_max;            /* of FIELD_TEXTS */
    const char *const *choices; /* NULL-terminated */
    const char *fallback;       /* as text: "true", "20", "default" */
    const struct field *rows;   /* of FIELD_OBJECT(S) */
    size_t size;                /* sizeof the struct that rows fill */
    const struct shape *shape;  /* in answers: the object is this named schema */
    bool is_list;               /* in answers: an array of `shape` or of the type */
    bool is_secret;   /* of a body: a password, a key. No byte of such a body stays in memory
                                   once it is answered */
    const char *help; /* one sentence for the documentation */
};
#define AT(type, member) .offset = offsetof(type, member)

/* A named schema of openapi.json: an object that several answers share. */
struct shape {
    const char *name; /* "Message" */
    const struct field *rows;
    const char *help;
};

/* What was wrong with one field. */
struct field_problem {
    const char *field; /* "book.entries.3.keys"; the arena's */
    const char *message;
};
struct field_problems {
    struct field_problem items[16]; /* more than these help nobody */
    size_t count;
};

/* Checks `object` against rows and fills `out` (zeroed before). E_INPUT with problems. `has` (may
 * be NULL) gets bit i for row i. */
MUST_USE enum err field_read(struct arena *arena, const struct field *rows,
                             const struct json_value *object, void *out, uint64_t *has,
                             struct field_problems *problems);
/* The same from a query string (already split at '&'): texts are parsed by the row's type. */
MUST_USE enum err field_read_query(struct arena *arena, const struct field *rows, struct str query,
                                   void *out, uint64_t *has, struct field_problems *problems);
/* True for a body whose members have names of their own ("*"). */
bool field_takes_any(const struct field *rows);
/* Writes the rows as a JSON Schema object. */
void field_schema(struct json *json, const struct field *rows);
