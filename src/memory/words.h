/*
 * The words of a talk as memory compares them: folded, accents off, without the words that every
 * sentence has, as stems.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

/* One word of a text. */
struct memory_word {
    struct str written; /* a view of the text */
    struct str folded;  /* lower case, accents off */
    struct str stem;    /* what equal words have in common */
    bool is_stopword;   /* in every talk: "the", "did", "you" */
    bool is_capital;    /* written with a capital first letter */
};

/* The words of a text in order, in the arena; at most `limit` (what follows is not read). */
struct memory_word *memory_words(struct arena *arena, struct str text, size_t limit, size_t *count);
bool memory_is_stopword(struct str folded);
