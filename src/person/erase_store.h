/* What deleting leaves behind, and how it goes: inside person only. Each is a portion, on the writer
 * thread. */
#pragma once

#include "store/store.h"

#define ERASE_WORD_TABLES 4
/* Rewrites the segments of a table of search words, in which deleted rows are only marked. `is_first`
 * begins anew; *more: call again. */
MUST_USE enum err erase_merge_words(struct tx *tx, int table, bool is_first, bool *more);
/* Takes pages that are free and writes zeros there. *more: there are others. */
MUST_USE enum err erase_fill_zeros(struct tx *tx, bool *more);
/* Gives them back, still zeros. */
MUST_USE enum err erase_drop_zeros(struct tx *tx, bool *more);
