/*
 * What the Understudy has before it when it is asked to speak: the card taken apart into lines it
 * may use, and the person's last words taken apart into what counts in them.
 */
#pragma once

#include "model/chat.h"

#define SCENE_LINE_LIMIT  48  /* example talks that are looked at */
#define SCENE_PIECE_LIMIT 192 /* sentences, gestures, questions */
#define SCENE_STEM_LIMIT  32  /* different words of one message that count */
#define SCENE_STEM_BYTES  24

struct line {
    struct str prompt; /* what the person says in the example */
    struct str reply;
    uint32_t in_prompt, in_reply; /* stems, see scene_stems_in() */
};

struct stem {
    char at[SCENE_STEM_BYTES];
    size_t len;
    int lines_with; /* example talks that have the word */
};

struct pieces {
    struct str items[SCENE_PIECE_LIMIT];
    size_t count;
};

struct scene {
    struct arena *arena;
    const struct chat_request *request;
    const struct chat_card *card;
    struct str said; /* the person's last words */
    struct str name; /* what the narration calls the character */
    uint64_t dice;
    struct line lines[SCENE_LINE_LIMIT];
    size_t line_count;
    struct stem stems[SCENE_STEM_LIMIT];
    size_t stem_count;
    struct pieces gestures, questions, sentences, lore;
    bool has_quotes, has_stars; /* how the card is written */
};

/* Everything of it lives as long as the arena and the request. */
struct scene *scene_read(struct arena *arena, const struct chat_request *request, uint64_t seed);

size_t scene_pick(struct scene *scene, size_t count); /* 0 .. count - 1 */
bool scene_chance(struct scene *scene, unsigned percent);

/* Whether a recent reply has the beginning of this text. */
bool scene_was_said(const struct scene *scene, struct str text);
/* One that was not said yet, from a random place on; STR_NONE when all were. */
struct str scene_pick_new(struct scene *scene, const struct pieces *pieces);
/* No reply of the character follows a word of the person: nobody has been told yet who speaks. */
bool scene_is_first_reply(const struct chat_request *request);

/* True for a word that means something; its stem. */
bool scene_counts(struct str word, struct stem *stem);
/* Which of the person's words a text has: bit i for stem i. */
uint32_t scene_stems_in(const struct scene *scene, struct str text);
/* How much those words say: rare ones more than common ones. */
int scene_weight(const struct scene *scene, uint32_t found);
/* The case-blind place where `words` begin and end with words of `s`, or -1. */
ptrdiff_t scene_find_word(struct str s, struct str words);
/* Cuts the next sentence off the front, with its mark. False at the end. */
bool scene_next_sentence(struct str *rest, struct str *sentence);
size_t scene_count_char(struct str s, char c);
