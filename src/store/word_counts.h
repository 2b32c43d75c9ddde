/* An auxiliary function for FTS5: word_counts(table, from) tells for a found row how often each
 * phrase of the query stands in it. Part of db.c; nobody else includes it. */
#pragma once

#include "base/err.h"

struct sqlite3;

/*
 * SELECT rowid, word_counts(words, 0) FROM words WHERE words MATCH :query: sixteen phrases from
 * number `from` on, four bits each, the first in the lowest; 15 stands for 15 or more. Everything
 * that is made of term counts (bm25 with other constants) can be computed from them.
 */
MUST_USE enum err word_counts_register(struct sqlite3 *sqlite);
