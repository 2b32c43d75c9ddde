/*
 * What the Understudy says: a reply put together from the card's own writing and from what the
 * person has just said. No learning, no understanding, and no claim to either.
 */
#pragma once

#include "model/chat.h"

/* The whole reply, in the arena. The same request and seed give the same reply. */
struct str improvise(struct arena *arena, const struct chat_request *request, uint64_t seed);
