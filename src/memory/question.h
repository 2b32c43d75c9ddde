/* What somebody wants to know, read so that turns can be found that tell it. */
#pragma once

#include "memory/timewords.h"

#define QUESTION_TERMS_LIMIT \
    24 /* each costs a look-up; longer texts are taken by their first words */
#define QUESTION_WORDS_LIMIT 200

enum memory_side { MEMORY_USER, MEMORY_CHARACTER };

/* Somebody who speaks in the scope. The same person under two names is two rows with one `who`. */
struct memory_speaker {
    enum memory_side side;
    int who;
    struct str name;
};

struct question_term {
    struct str word; /* folded, as the index is asked for it */
    struct str stem;
};

struct question {
    struct question_term terms[QUESTION_TERMS_LIMIT];
    size_t term_count;
    struct str embed_text; /* rewritten to the first person; "" when there is nothing to embed */
    int wanted;            /* `who` of the speaker whose turns are asked for; -1: nobody's */
    bool asks_time, asks_number;
    struct time_range ranges[TIME_RANGES_LIMIT];
    size_t range_count;
};

/* `now_ms` is the moment of the question. Texts are the arena's or views of `text`. */
struct question question_read(struct arena *arena, struct str text,
                              const struct memory_speaker *speakers, size_t speaker_count,
                              int64_t now_ms);
