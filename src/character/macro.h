/*
 * Macros of cards and prompts ({{char}}, {{user}}, {{random:a,b}}, {{pick}}, {{roll:2d6}},
 * {{time}} ...), as the card specification V3 and SillyTavern have them. Expansion never runs code,
 * happens once (what a macro yields is not expanded again, save that the fields of a card may name
 * {{char}} and {{user}}), and is bounded in work and output.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

/* Texts that are absent yield nothing. */
struct macro_context {
    struct str character; /* {{char}} */
    struct str user;      /* {{user}}; absent: "User", because a card must always have somebody */
    struct str persona, description, personality, scenario; /* {{persona}} ... */
    struct str original; /* {{original}}: what a card's system prompt replaces */
    struct str last_message, last_user_message, last_character_message;
    struct str group;       /* {{group}}: all characters of the scene; absent: the character */
    struct str mes_example; /* {{mesExamples}} */
    struct str first_mes;   /* {{charFirstMessage}} */
    struct str character_version, creator_notes;
    struct str system_prompt, post_history_instructions; /* {{charPrompt}}, {{charInstruction}} */
    struct str model;                                    /* {{model}} */
    int64_t now_ms;
    int64_t utc_offset_ms; /* of {{time}}, {{date}} ...: the person's clock; 0 is UTC */
    int64_t idle_ms;       /* since the last message */
    int64_t seed;          /* of {{pick}}: the conversation's id, so that a pick stays */
    uint64_t random;       /* of {{random}} and {{roll}}: changes each time */
};

#define MACRO_OUTPUT_LIMIT_BYTES (256 << 10)
#define MACRO_EXPANSIONS_LIMIT   10000 /* what comes after stays as it was written */
#define MACRO_DEPTH_LIMIT        8     /* macros inside the arguments of macros */

/* Unknown macros stay as they are. E_LIMIT when the output would pass the ceiling. */
MUST_USE enum err macro_expand(struct arena *arena, struct str text,
                               const struct macro_context *context, struct str *out);
