/* What text means: UTF-8, case folding, words. Everything that needs Unicode tables is here
 * (utf8proc). */
#pragma once

#include "base/arena.h"
#include "base/str.h"

bool text_is_utf8(
    struct str s); /* RFC 3629: no surrogates, no overlong forms; NUL is valid UTF-8 */
/*
 * The longest prefix that is whole UTF-8. In a stream the 0 to 3 bytes after it may begin a
 * character that is still to come; when more than three follow, they are not UTF-8.
 */
size_t text_whole_prefix(struct str s);
size_t text_length(struct str s); /* code points */
struct str text_cut(struct str s,
                    size_t count); /* at most `count` code points, never inside a character */
struct str text_cut_bytes(struct str s, size_t bytes); /* at most so many bytes, likewise */
/* Case-folded, canonically composed, marks kept (30 in a row at most): for comparing keys and
 * names. What is not UTF-8 is repaired first. */
struct str text_fold(struct arena *arena, struct str s);
/* Folded, with accents and other marks off: "Café" is "cafe". To find, not to tell apart. */
struct str text_bare(struct arena *arena, struct str s);
/* Replaces what is not UTF-8 by U+FFFD, one for each maximal part (Unicode 15 section 3.9); whole
 * text is given back as it is. */
struct str text_repair(struct arena *arena, struct str s);
/* Steps through the words of a text (letters, digits, marks; apostrophes inside). Start with *at =
 * 0; false at the end. Scripts without spaces come as one run. */
bool text_next_word(struct str text, size_t *at, struct str *word);
/* 0 (nothing in common) to 1 (the same), by trigrams of the folded texts (Dice over the first 1,024
 * code points). For "did you mean". */
double text_similarity(struct str a, struct str b);

/* The bytes of the character that starts at `at` (1 to 4), or 0 when no whole UTF-8 character
 * starts there. The code point may be NULL. */
size_t text_char(struct str s, size_t at, uint32_t *code_point);

/* --- single characters, for tokenizers -------------------------------------------------------- */

enum text_class {
    TEXT_PLAIN,       /* letters, digits, symbols, spacing marks, what is not assigned */
    TEXT_SPACE,       /* Zs, Zl, Zp */
    TEXT_CONTROL,     /* Cc, Cf, Cs, Co: also tab and line feed */
    TEXT_MARK,        /* Mn: an accent that takes no place of its own */
    TEXT_PUNCTUATION, /* P* */
};
enum text_class text_class(uint32_t code_point);
uint32_t text_lower(uint32_t code_point); /* the simple mapping: one for one */

#define TEXT_DECOMPOSITION_LIMIT 4 /* the longest canonical one of Unicode */
/* Canonical decomposition (NFD) of one character; what has none is itself. Gives the count. */
size_t text_decompose(uint32_t code_point, uint32_t out[TEXT_DECOMPOSITION_LIMIT]);
