/*
 * Recall: from a question to the turns that answer it, each with the shares of its score.
 *
 * The work is done on pool threads with a reading connection; the question is embedded meanwhile
 * by the index's encoder. Without an encoder, or when it is late, words and the signs of a dialogue
 * find what they can.
 */
#pragma once

#include "memory/learnt.h"
#include "memory/score.h"
#include "memory/turn_store.h"

#define RECALL_LIMIT 100
#define RECALL_ALL   15U /* every recall_kind */

struct recall_ask {
    int64_t conversation_id, user_id;
    bool is_shared;        /* also this person's other talks with the same character */
    int64_t before_id;     /* of this conversation only turns before this message; 0: all */
    struct str text;       /* the question, or the message that somebody has just said */
    int64_t now_ms;        /* its moment */
    int64_t utc_offset_ms; /* of the person's clock: where "yesterday" begins */
    size_t limit;          /* at most RECALL_LIMIT */
    unsigned kinds;        /* bits of enum recall_kind; 0: all */
    int64_t deadline_ms;   /* 0: none. Then without meaning, then not at all */
};

struct recall_hit {
    enum recall_kind kind;
    int64_t id; /* of a message, the message's */
    struct turn_shown
        turn; /* of others: the message they come from (0: none), their text and moment */
    double score;
    float signals[SIGNAL_COUNT];
};

struct recall_answer {
    enum err err; /* E_ABSENT: not this person's conversation; E_TIMEOUT, E_BUSY, E_CANCELLED */
    const struct recall_hit *hits; /* best first; borrowed during the call, as all below */
    size_t count;
    const struct question *question;
    bool has_meaning; /* the question was compared by meaning too */
    size_t turns;     /* that were compared */
};
typedef void (*recall_done_fn)(const struct recall_answer *answer, void *ctx);

struct recall;
/* done comes exactly once, on the loop, later. The text is copied. */
struct recall *recall_start(const struct recall_ask *ask, recall_done_fn done, void *ctx);
/* Leads to done with E_CANCELLED, later. Not after done. */
void recall_cancel(struct recall *recall);
