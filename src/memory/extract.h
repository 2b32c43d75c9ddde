/*
 * What learning finds in a talk, before it is compared with what is known: items, made by a model
 * (extract_model.c) or by rules (extract_rules.c).
 */
#pragma once

#include "memory/memory.h"

#define EXTRACT_TEXT_LIMIT  400 /* characters of a sentence that is kept */
#define EXTRACT_ITEMS_LIMIT 64  /* of one window */

struct memory_item {
    struct str kind, subject, predicate, object, text; /* as in struct memory_fact */
    double importance, confidence;
    bool ends;          /* it is so no more: closes what it is equal to, and is kept as history */
    int64_t at;         /* when it was said */
    int64_t replaces;   /* the fact that a model says is replaced; 0: none */
    int64_t sources[8]; /* messages */
    size_t source_count;
};

struct memory_items {
    struct memory_item items[EXTRACT_ITEMS_LIMIT];
    size_t count;
};

/* --- extract_rules.c ------------------------------------------------------------------------- */

/* Adds what patterns find in one line. Texts are the arena's. */
void extract_by_rules(struct arena *arena, const struct memory_line *line,
                      const struct memory_cast *cast, struct memory_items *items);

/* --- extract_model.c ------------------------------------------------------------------------- */

/* A window of the talk as a model is asked about it. */
struct extract_window {
    const struct memory_cast *cast;
    const struct memory_line
        *lines; /* the last `fresh` of them are new; those before are context */
    size_t count, fresh;
    const struct memory_fact *known; /* what is remembered already, for the model to refer to */
    size_t known_count;
};
extern const struct str extract_schema; /* JSON Schema of the answer */
struct str extract_instruction(struct arena *arena, const struct memory_cast *cast);
struct str extract_question(struct arena *arena, const struct extract_window *window);
/* Reads the answer, however broken. False when nothing in it looks like an answer at all (an empty
 * list is one). */
bool extract_read(struct arena *arena, struct str answer, const struct extract_window *window,
                  struct memory_items *items);

/* --- guard.c --------------------------------------------------------------------------------- */

struct card_guard;
/* Lives in the arena, and borrows the cast. */
struct card_guard *card_guard_new(struct arena *arena, const struct memory_cast *cast);
/* True when a text says nothing that the card (or the system) does not say. */
bool card_guard_says(const struct card_guard *guard, struct arena *arena, struct str text);
/* True when a line says at least half of it: what a person says themself is theirs. */
bool card_guard_is_own(const struct card_guard *guard, struct arena *arena, struct str text,
                       struct str line);
