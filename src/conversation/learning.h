/* What memory asks of conversations: who talks, by which route, and what of it is the card's. */
#pragma once

#include "memory/memory.h"

extern const struct memory_hooks conversation_memory_hooks; /* handed to memory by app.c */
