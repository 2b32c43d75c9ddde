/* A turn cut into the sentences that get a vector each, and what can be seen from its form. */
#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"

#define PIECES_LIMIT 64 /* of one turn; the sentences after are part of the last */

/* Views of `text`, in order; 0 for a text without a word. */
struct str *pieces_of(struct arena *arena, struct str text, size_t *count);

struct text_form {
    bool is_question; /* ends with a question mark */
    bool has_time;    /* says when: "yesterday", "in May", "two weeks ago", "2023" */
    bool has_number;  /* digits or a word for a number */
};
struct text_form text_form_of(struct arena *arena, struct str text);

/* What is remembered of a message: its text, and behind it in brackets the captions of pictures that
 * an import knows of (`extra`, may be NULL). */
struct str text_with_captions(struct arena *arena, struct str text, const struct json_value *extra);
