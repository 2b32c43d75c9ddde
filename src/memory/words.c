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
#define W(word) {word, sizeof word - 1}
static const struct str stopwords[] = {
    W("a"), W("about"), W("above"), W("after"), W("again"), W("against"), W("ago"), W("all"), W("also"), W("am"), W("an"), W("and"), W("any"), W("are"), W("aren't"), W("as"), W("at"),
    W("be"), W("because"), W("been"), W("before"), W("being"), W("below"), W("between"), W("both"), W("but"), W("by"),
    W("can"), W("can't"), W("cannot"), W("could"), W("couldn't"),
    W("d"), W("did"), W("didn't"), W("do"), W("does"), W("doesn't"), W("doing"), W("don"), W("don't"), W("down"), W("during"),
    W("each"), W("either"), W("else"), W("ever"), W("every"),
    W("few"), W("for"), W("from"), W("further"),
    W("had"), W("hadn't"), W("has"), W("hasn't"), W("have"), W("haven't"), W("having"), W("he"), W("he'd"), W("he'll"), W("he's"), W("her"), W("here"), W("hers"), W("herself"),
    W("him"), W("himself"), W("his"), W("how"),
    W("i"), W("i'd"), W("i'll"), W("i'm"), W("i've"), W("if"), W("in"), W("into"), W("is"), W("isn't"), W("it"), W("it's"), W("its"), W("itself"),
    W("just"), W("ll"), W("m"), W("may"), W("me"), W("might"), W("more"), W("most"), W("much"), W("must"), W("my"), W("myself"),
    W("no"), W("nor"), W("not"), W("now"),
    W("of"), W("off"), W("on"), W("once"), W("one"), W("only"), W("or"), W("other"), W("our"), W("ours"), W("ourselves"), W("out"), W("over"), W("own"),
    W("re"), W("s"), W("same"), W("shall"), W("she"), W("she'd"), W("she'll"), W("she's"), W("should"), W("shouldn't"), W("so"), W("some"), W("such"),
    W("t"), W("than"), W("that"), W("that's"), W("the"), W("their"), W("theirs"), W("them"), W("themselves"), W("then"), W("there"), W("there's"), W("these"), W("they"),
    W("they'd"), W("they'll"), W("they're"), W("they've"), W("this"), W("those"), W("through"), W("to"), W("too"),
    W("under"), W("until"), W("up"), W("us"), W("ve"), W("very"),
    W("was"), W("wasn't"), W("we"), W("we'd"), W("we'll"), W("we're"), W("we've"), W("were"), W("weren't"), W("what"), W("what's"), W("when"), W("where"), W("which"), W("while"),
    W("who"), W("who's"), W("whom"), W("whose"), W("why"), W("will"), W("with"), W("won't"), W("would"), W("wouldn't"),
    W("you"), W("you'd"), W("you'll"), W("you're"), W("you've"), W("your"), W("yours"), W("yourself"), W("yourselves"),
};
#define STOPWORD_BYTES 10 /* of the longest */
/* clang-format on */

static int compare(const void *key, const void *entry) {
    return str_compare(*(const struct str *)key, *(const struct str *)entry);
}

bool memory_is_stopword(struct str folded) {
    return folded.len <= STOPWORD_BYTES &&
           bsearch(&folded, stopwords, COUNT_OF(stopwords), sizeof stopwords[0], compare) != NULL;
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
    if (word.folded.len < folded.len)
        word.is_stopword = word.is_stopword || memory_is_stopword(word.folded);
    word.is_stopword |= word.folded.len == 0; /* accents that stand alone */
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
