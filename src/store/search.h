/* From what people type to an FTS5 query that cannot be a syntax error: every word quoted, the last
 * one a prefix. */
#pragma once

#include "base/arena.h"
#include "base/str.h"

#define SEARCH_WORDS_LIMIT 16 /* more words than a person looks for; the rest is ignored */

/* STR_NONE when there is no word in it. `is_typing`: the last word matches as a prefix. */
struct str search_query(struct arena *arena, struct str typed, bool is_typing);
/* As search_query with words joined by OR over trigrams, for typo tolerance on a trigram-tokenised
 * table. */
struct str search_fuzzy_query(struct arena *arena, struct str typed);
