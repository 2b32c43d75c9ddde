/* Messages from any thread to the loop: they run on the loop thread, in the order in which they
 * were posted, later, exactly once. */
#pragma once

#include "loop/loop.h"

struct mail {
    struct mail *next; /* the mailbox's while posted */
    loop_fn fn;
    void *ctx;
};

void mailbox_init(void); /* after loop_init, on the loop thread */
void mailbox_release(void);
/* Runs `fn` before mail is delivered: whoever remembers something of this turn that mail may make out of date. One; NULL: nobody. */
void mailbox_before_delivery(void (*fn)(void));
/* Any thread. The struct is the caller's and is free for reuse when fn runs; many posts cost one
 * wake-up. */
void mailbox_post(struct mail *mail, loop_fn fn, void *ctx);
