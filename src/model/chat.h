/*
 * The chat port: messages in, a stream of deltas out. Adapters (openai.c, ollama.c, anthropic.c)
 * and the stand-in (vendor-free/understudy.c) look the same from here.
 *
 * start() returns at once; events come later, on the loop thread, never from inside start().
 * Exactly one of done and failed comes, last. cancel() asks an adapter to stop: failed(E_CANCELLED)
 * still comes, later. Text is whole UTF-8: an adapter holds back a split character.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"

enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT };

struct chat_message {
    enum chat_role role;
    struct str name; /* of the speaker; may be STR_NONE */
    struct str content;
};

/* What a stand-in may draw on, beside the messages: the same card that the prompt was made of. */
struct chat_memory {
    struct str speaker; /* "" or STR_NONE: nobody's words */
    struct str text;
};

struct chat_card {
    int64_t character_id;
    struct str character_name;
    struct str user_name;
    struct str greeting; /* macros replaced, like all below */
    struct str examples; /* mes_example */
    struct str description;
    struct str personality;
    struct str scenario;
    const struct str *lore; /* contents of the entries that fired */
    size_t lore_count;
    const struct chat_memory *memories; /* what was remembered, best first */
    size_t memory_count;
};

struct chat_sampling {
    double temperature; /* < 0: the endpoint's default, likewise below */
    double top_p;
    int64_t top_k;
    double min_p;
    double frequency_penalty;
    double presence_penalty;
    double repetition_penalty;
    int64_t seed;
    int64_t reply_tokens; /* the most that may be answered */
    const struct str *stop;
    size_t stop_count;
};

struct chat_endpoint {
    int64_t model_id; /* 0: the Understudy */
    struct str name;  /* what people see */
    struct str base_url;
    struct str model;
    struct str api_key;     /* opened; cleared by the owner after use. Never logged */
    int64_t context_tokens; /* what the prompt was assembled for; Ollama cuts prompts in silence
                               unless it is told */
    int64_t first_token_ms; /* deadline for the first delta; 0: the setting */
    int64_t stall_ms;       /* deadline between deltas; 0: the setting */
};

struct chat_request {
    int64_t estimated_tokens; /* of the whole prompt, for scale 1.0; 0: whoever needs it counts */
    const struct chat_message *messages;
    size_t message_count;
    const struct chat_card *card;
    struct chat_sampling sampling;
    struct chat_endpoint endpoint;
    bool is_continue; /* the last message is an assistant's, to be gone on with */
    struct str
        json_schema; /* the answer is to be JSON like this, where the endpoint can; STR_NONE: text */
    int64_t user_id;    /* who waits for it; 0: nobody */
    bool is_background; /* nobody waits for it: set by background.c */
};

struct chat_usage {
    int64_t prompt_tokens; /* -1: not reported */
    int64_t reply_tokens;
};

enum chat_finish { CHAT_FINISH_STOP, CHAT_FINISH_LENGTH, CHAT_FINISH_FILTER, CHAT_FINISH_OTHER };

/* Why a call failed, in words for a person and a program. */
struct chat_failure {
    enum err
        err;    /* E_UPSTREAM, E_TIMEOUT, E_DENIED (key refused), E_ABSENT (no such model), E_LIMIT
                   (429), E_BUSY (overloaded), E_CANCELLED, E_INPUT (refused our request) */
    int status; /* HTTP, 0 when there was none */
    int64_t retry_after_ms; /* 0: not said */
    struct str detail;      /* borrowed during the call; cut to 500 bytes, without keys */
};

struct chat_events {
    void (*delta)(void *ctx, struct str text);     /* of the reply */
    void (*reasoning)(void *ctx, struct str text); /* thinking, kept apart; may be NULL */
    void (*done)(void *ctx, enum chat_finish finish, const struct chat_usage *usage);
    void (*failed)(void *ctx, const struct chat_failure *failure);
};

struct chat_call; /* an adapter's own */

struct chat_port {
    const char *provider; /* "openai" */
    /* The request must stay until done or failed; its messages and card until the first delta (until
     * the end when is_continue: what is said again is held back). */
    struct chat_call *(*start)(const struct chat_request *request, const struct chat_events *events,
                               void *ctx);
    void (*cancel)(struct chat_call *call);
};

extern const struct chat_port chat_openai;
extern const struct chat_port chat_ollama;
extern const struct chat_port chat_anthropic;
extern const struct chat_port chat_understudy;               /* vendor-free/understudy.c */
const struct chat_port *chat_port_find(struct str provider); /* NULL: unknown */
const char *
chat_finish_word(enum chat_finish finish); /* "stop", "length", "content_filter", "other" */

/* What a stand-in says of itself is nobody's part: it stands alone in the first paragraph of its reply,
 * between these, and names it. */
#define CHAT_NOTE_BEGIN "*("
#define CHAT_NOTE_NAME  "the Understudy"
#define CHAT_NOTE_END   ")*"
/* A reply without such a note: what was said in the part, a view of it. */
struct str chat_without_note(struct str reply);

/* Settings of the stand-in (vendor-free/understudy.c): its pace and seed. */
struct understudy_settings {
    int64_t tokens_per_second; /* 0: all at once */
    int64_t seed; /* 0: differs from reply to reply; else the same talk gives the same answer */
};
extern struct understudy_settings understudy_settings;
