/* The formula of recall: how well each turn of a scope answers a question. No I/O. */
#pragma once

#include "memory/question.h"
#include "net/field.h"

/* A turn as the formula sees it. */
struct score_turn {
    int64_t id, at_ms;
    int64_t conversation_id;
    int who; /* its speaker */
    bool is_question, has_time, has_number;
    bool has_vectors;
    float sentence; /* best cosine of the question with one of its sentences */
    float pair;     /* cosine with the mean of this turn and the one before */
};

/* The shares of a score, weighted: their sum is the score. The order is that of score_names. */
enum signal {
    SIGNAL_SENTENCE,
    SIGNAL_PAIR,
    SIGNAL_SESSION,
    SIGNAL_NEXT,
    SIGNAL_ANSWER,
    SIGNAL_WORDS,
    SIGNAL_WORDS_PAIR,
    SIGNAL_WORDS_NEXT,
    SIGNAL_SESSION_WORDS,
    SIGNAL_SPEAKER,
    SIGNAL_QUESTION,
    SIGNAL_TIME,
    SIGNAL_NUMBER,
    SIGNAL_DATE,
    SIGNAL_COUNT
};
extern const char *const signal_names[SIGNAL_COUNT];
extern const struct shape recall_signals_shape; /* a member for each, in answers */

/* A text that is no turn: a fact, an episode. It has no neighbours and no sitting, so what a turn
 * gets from them its own text gives. */
struct score_text {
    const uint8_t *counts; /* [term] */
    bool has_vectors;
    float cosine;
    float speaker; /* 1: about the one who is asked for, 0: about another, 0.5: open */
    int64_t at_ms;
};

struct score_input {
    const struct question *question;
    const struct score_turn *turns; /* by conversation, then in the order in which they were said */
    size_t count;
    const uint8_t *counts; /* [term][turn]: how often the term stands in the turn */
    const struct score_text *texts;
    size_t text_count;
};

/* For each turn and text its signals, and their sum. All in the arena. */
struct score_output {
    double *scores;
    float (*signals)[SIGNAL_COUNT];
    double *text_scores;
    float (*text_signals)[SIGNAL_COUNT];
};
void score_turns(struct arena *arena, const struct score_input *input, struct score_output *output);
/* The places of the best `limit` of `count` scores, best first; equal ones newest first. */
size_t score_best(struct arena *arena, const double *scores, size_t count, size_t limit,
                  size_t **places);
