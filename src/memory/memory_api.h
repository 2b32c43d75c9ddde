/* The routes of what is learnt: facts, episodes, summaries, how the two stand, forgetting. */
#pragma once

#include "net/router.h"

extern const struct route memory_routes[];
