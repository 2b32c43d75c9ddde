/*
 * What a card says is not learnt from a talk: a model that is asked what to remember likes to repeat
 * the description it was given, and a character likes to tell it. A sentence is the card's when
 * nearly all of its words (as stems, without those of every sentence and without the two names)
 * stand close together somewhere in the card.
 */
#include "base/map.h"
#include "memory/extract.h"
#include "memory/words.h"

#include "base/banned.h"

#define CARD_WORDS     20000
#define SENTENCE_WORDS 200
#define LINE_WORDS     1000
#define NEAR_WORDS     30  /* of the card: about two sentences */
#define CARD_SHARE     0.8 /* of the sentence's words */
#define FEW_WORDS      2   /* so few prove nothing, unless they all stand side by side */

struct card_guard {
    struct str *stems;
    size_t count;
    const struct memory_cast *cast;
};

static bool is_name(const struct memory_cast *cast, struct arena *arena, struct str stem) {
    struct str names[] = {cast->user_name, cast->character_name};
    for (size_t i = 0; i < 2; i++) {
        size_t count;
        struct memory_word *words = memory_words(arena, names[i], 8, &count);
        for (size_t k = 0; k < count; k++)
            if (str_eq(words[k].stem, stem))
                return true;
    }
    return false;
}

static size_t content_stems(struct arena *arena, struct str text, size_t limit, struct str *stems) {
    size_t count, kept = 0;
    struct memory_word *words = memory_words(arena, text, limit, &count);
    for (size_t i = 0; i < count && kept < limit; i++)
        if (!words[i].is_stopword)
            stems[kept++] = words[i].stem;
    return kept;
}

struct card_guard *card_guard_new(struct arena *arena, const struct memory_cast *cast) {
    struct card_guard *guard = ARENA_NEW(arena, struct card_guard);
    guard->cast = cast;
    size_t bytes = 0;
    for (size_t i = 0; i < cast->card_count; i++)
        bytes += cast->cards[i].len;
    size_t room = bytes / 2 + 1 < CARD_WORDS ? bytes / 2 + 1 : CARD_WORDS;
    guard->stems = ARENA_ARRAY(arena, struct str, room);
    for (size_t i = 0; i < cast->card_count && guard->count < room; i++)
        guard->count +=
            content_stems(arena, cast->cards[i], room - guard->count, guard->stems + guard->count);
    return guard;
}

/* How many of the words stand within NEAR_WORDS from `at`. */
static size_t words_near(const struct card_guard *guard, size_t at, const struct str *stems,
                         size_t count) {
    size_t hits = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = at; k < guard->count && k < at + NEAR_WORDS; k++)
            if (str_eq(guard->stems[k], stems[i])) {
                hits++;
                break;
            }
    return hits;
}

bool card_guard_says(const struct card_guard *guard, struct arena *arena, struct str text) {
    struct str stems[SENTENCE_WORDS];
    size_t all = content_stems(arena, text, SENTENCE_WORDS, stems), count = 0;
    for (size_t i = 0; i < all; i++)
        if (!is_name(guard->cast, arena, stems[i]))
            stems[count++] = stems[i];
    if (count == 0)
        return false;
    double wanted = count <= FEW_WORDS ? 1.0 : CARD_SHARE;
    for (size_t at = 0; at < guard->count; at++) {
        bool begins = false;
        for (size_t i = 0; i < count && !begins; i++)
            begins = str_eq(guard->stems[at], stems[i]);
        if (begins && (double)words_near(guard, at, stems, count) >= wanted * (double)count)
            return true;
    }
    return false;
}

bool card_guard_is_own(const struct card_guard *guard, struct arena *arena, struct str text,
                       struct str line) {
    struct str stems[SENTENCE_WORDS], said[LINE_WORDS];
    size_t count = content_stems(arena, text, SENTENCE_WORDS, stems), hits = 0, own = 0;
    size_t said_count = content_stems(arena, line, LINE_WORDS, said);
    for (size_t i = 0; i < count; i++) {
        if (is_name(guard->cast, arena, stems[i]))
            continue;
        own++;
        for (size_t k = 0; k < said_count; k++)
            if (str_eq(said[k], stems[i])) {
                hits++;
                break;
            }
    }
    return own > 0 && hits * 2 >= own;
}
