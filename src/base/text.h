/* What text means: UTF-8, case folding, words. Everything that needs Unicode tables is here (utf8proc). */
#pragma once

#include "base/arena.h"
#include "base/str.h"

bool text_is_utf8(struct str s); /* RFC 3629: no surrogates, no overlong forms; NUL is valid UTF-8 */
/* The longest prefix that is whole UTF-8; the 0 to 3 bytes after it may begin a character that is still to come. */
size_t text_whole_prefix(struct str s);
size_t text_length(struct str s);                /* code points */
struct str text_cut(struct str s, size_t count); /* at most `count` code points, never inside a character */
/* Case-folded, canonically composed, marks kept: for comparing keys and names. */
struct str text_fold(struct arena *arena, struct str s);
/* Replaces what is not UTF-8 by U+FFFD. */
struct str text_repair(struct arena *arena, struct str s);
/* Steps through the words of a text (letters, digits, marks; apostrophes inside). False at the end. */
bool text_next_word(struct str text, size_t *at, struct str *word);
/* 0 (nothing in common) to 1 (the same), by trigrams of the folded texts. For "did you mean". */
double text_similarity(struct str a, struct str b);
