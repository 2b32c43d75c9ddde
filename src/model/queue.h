/*
 * At most so many calls at a model at once; who comes later waits, in an order that is fair between
 * people, and is told their position. route.c asks before each call.
 */
#pragma once

#include "base/list.h"
#include "loop/loop.h"

/* One call that is at a model or waits for it; part of whatever calls. Begins as zeros. */
struct queue_place {
    int64_t user_id; /* for whom; 0: nobody waits for it, so it comes last */
    /* It is this one's turn, or (is_late) it has waited for too long and is out. Once, later. */
    void (*turn)(struct queue_place *place, bool is_late);
    /* How many stand before it, and it: 1 is next. Told when it changes; 0 when its turn comes. */
    void (*moved)(struct queue_place *place, int64_t position);

    /* the queue's own */
    struct list link;
    struct timer patience;
    int64_t model_id; /* 0: neither inside nor waiting */
    int64_t round;
    int64_t told;
    bool is_inside;
};

/* True: it may call at once. False: it waits, and turn() comes. */
bool queue_enter(struct queue_place *place, int64_t model_id);
/* Out, whether inside or waiting (then turn() does not come); of one that is neither: nothing. */
void queue_leave(struct queue_place *place);
bool queue_is_waiting(const struct queue_place *place);
/* The registry was read again: limits may be others. */
void queue_look_again(void);
/* How many wait for this model. */
int64_t queue_length(int64_t model_id);
