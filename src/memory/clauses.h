/*
 * A message cut into clauses that can be matched: one statement each, contractions opened, without
 * questions, suppositions, quotations and stage directions.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

struct token {
    struct str view; /* as it was written */
    struct str low;  /* lower case; of a contraction the word that it stands for */
    bool is_capital;
    bool is_adverb; /* "really", "just": a pattern passes over it */
    bool has_break; /* a comma or the like stands before it */
};

struct clause {
    const struct token *tokens;
    size_t count;
    bool is_first; /* of its sentence */
    bool is_last;
};

/* Statements only. `is_character`: speech in quotation marks with a narration around it is theirs. */
struct clause *clauses_of(struct arena *arena, struct str text, bool is_character, size_t *count);
/* Whether a word stands in a list of words between spaces. */
bool word_in(struct str word, const char *list);
