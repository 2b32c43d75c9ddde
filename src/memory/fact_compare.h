/* When two facts are the same, and when one ends another: rules alone, of any thread. */
#pragma once

#include "memory/memory.h"

/* The key under which a predicate is known: "residence" is lives_in. Static, given or the arena's. */
struct str memory_predicate(struct arena *arena, struct str predicate);
/* Of this a person has one value at a time. */
bool memory_predicate_is_single(struct str predicate);
/* Equal for what is the same; the arena's. */
struct str memory_identity(struct arena *arena, struct str subject, struct str predicate,
                           struct str object);

/* Both with their identities. One may say more than the other. */
bool fact_is_same(struct arena *arena, const struct memory_fact *a, const struct memory_fact *b);
/* The old one holds no longer when the new one does. */
bool fact_contradicts(struct arena *arena, const struct memory_fact *new,
                      const struct memory_fact *old);
/* What an end closes: the same thing, or with nothing named all of its kind. */
bool fact_is_ended_by(struct arena *arena, const struct memory_fact *end,
                      const struct memory_fact *old);
