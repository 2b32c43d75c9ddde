/* The routes of what is learnt. recall_api.h has those of what can be found. */
#pragma once

#include "net/router.h"

extern const struct route memory_routes[];  /* memory_api.c: all of it, and how the two stand */
extern const struct route fact_routes[];    /* fact_api.c: one fact: read, add, correct, approve */
extern const struct route forget_routes[];  /* forget_api.c: a fact, a topic, everything */
extern const struct route summary_routes[]; /* summary_api.c: summaries, the timeline */
extern const struct route extract_routes[]; /* extract_api.c: learning from a whole talk */
