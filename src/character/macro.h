/*
 * Macros of cards and prompts ({{char}}, {{user}}, {{random:a,b}}, {{pick}}, {{roll:2d6}}, {{time}} ...), as the card specification V3 and SillyTavern have
 * them. Expansion never runs code, happens once (what a macro yields is not expanded again), and is bounded in output.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

struct macro_context {
    struct str character; /* {{char}} */
    struct str user;      /* {{user}} */
    struct str persona, description, personality, scenario; /* {{persona}} ... */
    struct str original;  /* {{original}}: what a card's system prompt replaces */
    struct str last_message, last_user_message, last_character_message;
    int64_t now_ms;
    int64_t idle_ms;      /* since the last message */
    int64_t seed;         /* of {{pick}}: the conversation's id, so that a pick stays */
    uint64_t random;      /* of {{random}} and {{roll}}: changes each time */
};

#define MACRO_OUTPUT_LIMIT_BYTES (256 << 10)

/* Unknown macros stay as they are. E_LIMIT when the output would pass the ceiling. */
MUST_USE enum err macro_expand(struct arena *arena, struct str text, const struct macro_context *context, struct str *out);
