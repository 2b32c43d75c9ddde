/*
 * Mends one event of a stream that is not JSON by the letter because a character was cut: servers
 * that stream token by token send a character's bytes in two events, or the two halves of a
 * surrogate pair (`\ud83d`, then `\ude00`). The first half is taken out of its string and put into
 * the next one; what has no other half becomes U+FFFD.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

struct mend {
    char bytes[4]; /* the beginning of a character, held for the next event */
    size_t count;
    unsigned surrogate; /* a high surrogate, held likewise; 0: none */
};

/* Gives a mended copy. Only for events that failed to parse as they came. */
struct str mend_event(struct mend *mend, struct arena *arena, struct str event);
