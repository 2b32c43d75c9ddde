/*
 * English has some hundred and fifty words that say how a sentence is built and not what it is
 * about; a question is made of them to a good half. They are no terms: every turn has them, and
 * together they would outweigh the one word that matters. What asks for a time or a number ("when",
 * "how many") is read by question.c before it is dropped here.
 *
 * A possessive belongs to its word ("Ann's" is "ann"); other apostrophes stand inside ("don't").
 */
#include "memory/words.h"

#include "base/check.h"
#include "base/text.h"
#include "memory/stem.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

/* clang-format off */
/* Sorted: looked up by halving. */
static const char *const stopwords[] = {
    "a", "about", "above", "after", "again", "against", "ago", "all", "also", "am", "an", "and", "any", "are", "aren't", "as", "at",
    "be", "because", "been", "before", "being", "below", "between", "both", "but", "by",
    "can", "can't", "cannot", "could", "couldn't",
    "d", "did", "didn't", "do", "does", "doesn't", "doing", "don", "don't", "down", "during",
    "each", "either", "else", "ever", "every",
    "few", "for", "from", "further",
    "had", "hadn't", "has", "hasn't", "have", "haven't", "having", "he", "he'd", "he'll", "he's", "her", "here", "hers", "herself",
    "him", "himself", "his", "how",
    "i", "i'd", "i'll", "i'm", "i've", "if", "in", "into", "is", "isn't", "it", "it's", "its", "itself",
    "just", "ll", "m", "may", "me", "might", "more", "most", "much", "must", "my", "myself",
    "no", "nor", "not", "now",
    "of", "off", "on", "once", "one", "only", "or", "other", "our", "ours", "ourselves", "out", "over", "own",
    "re", "s", "same", "shall", "she", "she'd", "she'll", "she's", "should", "shouldn't", "so", "some", "such",
    "t", "than", "that", "that's", "the", "their", "theirs", "them", "themselves", "then", "there", "there's", "these", "they",
    "they'd", "they'll", "they're", "they've", "this", "those", "through", "to", "too",
    "under", "until", "up", "us", "ve", "very",
    "was", "wasn't", "we", "we'd", "we'll", "we're", "we've", "were", "weren't", "what", "what's", "when", "where", "which", "while",
    "who", "who's", "whom", "whose", "why", "will", "with", "won't", "would", "wouldn't",
    "you", "you'd", "you'll", "you're", "you've", "your", "yours", "yourself", "yourselves",
};
/* clang-format on */

static int compare(const void *key, const void *entry) {
    return str_compare(*(const struct str *)key, str_from(*(const char *const *)entry));
}

bool memory_is_stopword(struct str folded) {
    return bsearch(&folded, stopwords, COUNT_OF(stopwords), sizeof stopwords[0], compare) != NULL;
}

/* Typographic apostrophes become the plain one, so that "don’t" is "don't". */
static struct str plain_apostrophes(struct arena *arena, struct str word) {
    static const char curly[] = "\xe2\x80\x99";
    if (str_find(word, STR(curly), 0) < 0)
        return word;
    char *at = arena_alloc(arena, word.len);
    size_t len = 0;
    for (size_t i = 0; i < word.len;) {
        bool is_curly = str_starts(str_slice(word, i, word.len), STR(curly));
        at[len++] = is_curly ? '\'' : word.at[i];
        i += is_curly ? 3 : 1;
    }
    return str_of(at, len);
}

static struct str without_possessive(struct str word) {
    if (str_ends(word, STR("'s")))
        return str_slice(word, 0, word.len - 2);
    if (str_ends(word, STR("'")))
        return str_slice(word, 0, word.len - 1);
    return word;
}

static struct memory_word read_word(struct arena *arena, struct str written) {
    struct memory_word word = {.written = written};
    struct str folded = plain_apostrophes(arena, text_bare(arena, written));
    word.is_stopword = memory_is_stopword(folded);
    word.folded = without_possessive(folded);
    word.is_stopword = word.is_stopword || memory_is_stopword(word.folded) ||
                       word.folded.len == 0; /* accents that stand alone */
    char out[STEM_LIMIT_BYTES];
    word.stem = str_dup(arena, stem(word.folded, out));
    struct str first = text_cut(written, 1);
    word.is_capital = !str_eq(text_fold(arena, first), first);
    return word;
}

struct memory_word *memory_words(struct arena *arena, struct str text, size_t limit,
                                 size_t *count) {
    struct memory_word *words = NULL;
    size_t room = 0, at = 0;
    struct str written;
    *count = 0;
    while (*count < limit && text_next_word(text, &at, &written)) {
        ARENA_GROW(arena, words, *count, room);
        words[(*count)++] = read_word(arena, written);
    }
    return words;
}
