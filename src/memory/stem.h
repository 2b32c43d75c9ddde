/* Porter's stemmer: the same stems as the tokenizer `porter` of FTS5 gives to the index. */
#pragma once

#include "base/str.h"

#define STEM_LIMIT_BYTES 64 /* FTS5 stems no longer words; they stay as they are */

/* `word` is lower case. The stem is written to `out` and given back (never longer than the word);
 * words that are not plain letters a to z, or are shorter than three, are their own stems. */
struct str stem(struct str word, char out[STEM_LIMIT_BYTES]);
