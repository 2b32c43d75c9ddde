/*
 * The prompt of a turn: parts with priority, filled into the token budget, laid out as messages,
 * and recorded for the inspector.
 */
#pragma once

#include "character/character.h"
#include "conversation/conversation.h"
#include "conversation/prompt_knowledge.h"
#include "conversation/prompt_memory.h"
#include "lore/activate.h"

/* What a prompt is made of. All borrowed for the length of the call; results are in the arena. */
struct prompt_input {
    const struct character *character;
    struct str user_name;  /* persona or display name */
    struct str persona;    /* description of the persona */
    struct str group;      /* names of all characters of the talk; STR_NONE: the character's */
    int64_t utc_offset_ms; /* of the person's clock */
    const struct conversation_settings *settings;
    const struct lore_hit *lore; /* in prompt order, dropped ones at the end */
    size_t lore_count;
    struct prompt_memory *memories; /* best first; what had no room is marked */
    size_t memory_count;
    struct prompt_knowledge *knowledge; /* best first; what had no room is marked */
    size_t knowledge_count;
    struct str summary;            /* what stands for the talk that is not sent; STR_NONE */
    const struct message *history; /* newest first */
    size_t history_count;
    bool is_continue;                  /* the newest message is the reply that goes on */
    int64_t conversation_id;           /* seeds {{pick}} */
    int64_t context_tokens;            /* of the model */
    int64_t reply_tokens;              /* reserved for the reply */
    double tokens_scale;               /* of the model's tokenizer against our estimate */
    struct str model_name, route_name; /* for the record */
};

/* One piece of the prompt, kept or not. */
struct prompt_part {
    const char *name; /* "system", "description", "lore", "history" ... */
    enum chat_role role;
    int priority;       /* filled from high to low */
    int64_t min_tokens; /* less than this is not worth a place: dropped rather than cut further */
    int64_t max_tokens; /* 0: no ceiling of its own */
    int64_t tokens;     /* what it takes, after cutting; 0 when dropped */
    struct str content; /* macros replaced, after cutting */
    struct str speaker; /* of history */
    int64_t message_id; /* of history */
    bool is_truncated, is_dropped;
};

struct prompt {
    struct prompt_part *parts; /* in the order of the prompt */
    size_t part_count;
    int64_t budget_tokens, used_tokens;
    bool is_history_cut;
    struct chat_message *messages; /* what is sent */
    size_t message_count;
    struct chat_card card; /* for the stand-in */
};

/* E_LIMIT when even what must be there does not fit (a tiny context and an enormous message). */
MUST_USE enum err prompt_assemble(struct arena *arena, const struct prompt_input *input,
                                  struct prompt *prompt);
/* The inspector's JSON. */
void prompt_write(struct json *json, const struct prompt_input *input, const struct prompt *prompt);
extern const struct shape prompt_shape;
/* A greeting with its macros replaced, as the first message of a talk; `input` without lore,
 * history, settings and model. */
struct str prompt_greeting(struct arena *arena, const struct prompt_input *input,
                           struct str greeting);
