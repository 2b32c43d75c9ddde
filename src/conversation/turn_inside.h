/*
 * What the files of a turn share, and nobody else sees: the turn itself and its stages. Told in
 * turn.c; turn_prepare.c, turn_speak.c and turn_keep.c hold the stages in the order in which they
 * happen.
 */
#pragma once

#include "account/account.h"
#include "base/list.h"
#include "conversation/conversation.h"
#include "conversation/prompt.h"
#include "conversation/room.h"
#include "conversation/turn.h"
#include "loop/loop.h"
#include "model/route.h"

#define TURN_MAGIC             0x7475726e
#define TURN_EVENT_LIMIT_BYTES ((size_t)8 << 20)

enum step {
    NEXT,
    LATER, /* NEXT, in the next turn of the loop: what was asked of others is handed over before */
    WAIT,
    FAIL
};

/* clang-format off */
/*    stage     function           what it does                                        waits for */
#define TURN_STAGES(X)                                                                              \
    X(ADMIT,    stage_admit)    /* who, where, and is somebody speaking already        -          */ \
    X(RECORD,   stage_record)   /* hands message and empty reply to the writer         -          */ \
    X(RECALL,   stage_recall)   /* the talk so far, the lore that fires                -          */ \
    X(ASSEMBLE, stage_assemble) /* the prompt, to the model's budget                   -          */ \
    X(ANNOUNCE, stage_announce) /* now that it is on disk, everybody may know          the commit */ \
    X(REMEMBER, stage_remember) /* what was said before what is sent joins the prompt  the pool   */ \
    X(SPEAK,    stage_speak)    /* the model, delta by delta                           the model  */ \
    X(KEEP,     stage_keep)     /* the whole reply, its prompt, its cost               the commit */ \
    X(SETTLE,   stage_settle)   /* the end is told and counted                         -          */
/* clang-format on */

#define STAGE_NAME(name, function) STAGE_##name,
enum stage { TURN_STAGES(STAGE_NAME) STAGE_OVER };
#undef STAGE_NAME

struct turn {
    uint32_t magic;
    struct arena arena; /* everything below that is text, save the two bufs; begins in `room` */
    char room[1280];    /* enough for most turns while they speak: a thousand do so at once */
    struct list link;   /* in `running` */
    int64_t id;
    struct turn_order order;
    struct turn_listener listener;
    enum stage stage;
    bool is_waiting;

    struct conversation conversation;
    struct conversation_settings settings;
    struct character character;
    struct persona persona;
    struct str group;     /* names of all who are in the talk, when it is more than one */
    struct message said;  /* the person's; id 0 when nobody spoke (regenerate, continue) */
    struct message reply; /* the character's; id 0 when none is wanted */
    int64_t leaf_id;      /* where the talk stood when the turn was admitted */
    bool is_path_changed; /* the reply was not the end of the shown path */

    struct {
        /* The writer's copies until the commit: there they get branch and parent. */
        struct message said, reply;
    } recording;
    enum err record_err;
    bool is_recorded;
    bool is_unseen; /* nobody was there when the reply ended */
    /* What the prompt is made of, and the prompt: let go as soon as the model speaks and the record is
     * on disk, because a thousand turns would keep a hundred megabytes for nothing. */
    struct arena prompt_arena;
    bool is_prompt_under_way; /* a flush carries it: the arena must stay */
    bool is_prompt_kept;      /* its record is on disk */
    struct message *history;  /* newest first */
    size_t history_count;
    struct lore_hit *lore;
    size_t lore_count;
    struct turn_knowledge *consulting;  /* under way; see turn_knowledge.c */
    struct prompt_knowledge *knowledge; /* best first */
    size_t knowledge_count;
    struct turn_memory *remembering; /* under way; see turn_memory.c */
    struct prompt_memory *memories;  /* best first */
    size_t memory_count;
    struct str summary; /* of what is not sent */
    struct route_plan plan;
    struct prompt_input input;
    struct prompt prompt;
    struct chat_request request;
    struct route_call *call;

    struct buf text; /* the reply so far, whole; of CONTINUE it begins with what was there */
    struct buf reasoning;
    size_t told_len; /* of text: what listeners have */
    size_t told_reasoning_len;
    size_t stored_len; /* of text: what the last flush took */
    size_t before_len; /* of CONTINUE: what was there before */
    struct room_speech speech;
    struct timer batch_timer, flush_timer, retry_timer;
    struct list
        to_tell;     /* linked until the end of this turn of the loop: there is something to tell */
    int64_t told_us; /* when listeners last got something */

    bool is_stopped;     /* by the person */
    bool is_shut_down;   /* by the end of the grace */
    const char *outcome; /* 'complete', 'stopped', 'interrupted', 'failed' */
    const char *finish_reason;
    enum err err;       /* of the failure */
    const char *detail; /* for a person; the arena's */
    struct chat_usage usage;
    int64_t model_id;
    struct str model_name;
    int keep_tries;
    int64_t began_us, first_token_us, ended_us;
};

/* --- stages: turn_prepare.c, turn_speak.c, turn_keep.c ---------------------------------------- */
enum step stage_admit(struct turn *turn);
enum step stage_record(struct turn *turn);
enum step stage_recall(struct turn *turn);
enum step stage_assemble(struct turn *turn);
enum step stage_announce(struct turn *turn);
enum step stage_remember(struct turn *turn);
enum step stage_speak(struct turn *turn);
enum step stage_keep(struct turn *turn);
enum step stage_settle(struct turn *turn);

/* --- turn.c ----------------------------------------------------------------------------------- */
/* An event came for the stage that waits: it runs again and sees what has changed. */
void turn_resume(struct turn *turn);
bool turn_wants_reply(const struct turn *turn);
struct turn *turn_find(int64_t turn_id); /* NULL: it is over */
int64_t turn_count_of(int64_t user_id);
/* A message as clients see it, in the arena. */
struct str turn_message_text(struct arena *arena, const struct message *message);
/* An event of this turn: begin writes its ids, publish closes it and gives it to the room. */
struct event {
    struct buf buf;
    struct json json;
};
void turn_event_begin(struct event *event, const struct turn *turn);
void turn_event_publish(struct event *event, const struct turn *turn, const char *type);

/* --- turn_prepare.c: the prompt again, with what has been remembered since --------------------- */
void turn_assemble(struct turn *turn);

/* --- turn_knowledge.c --------------------------------------------------------------------------- */
/* Begins to look up what the character's documents say to this. */
void turn_consult(struct turn *turn);
void turn_stop_consulting(struct turn *turn);

/* --- turn_memory.c ------------------------------------------------------------------------------ */
/* Begins to remember what is not in the assembled prompt, if there is any. */
void turn_remember(struct turn *turn);
/* What the character is to answer: the newest thing that a person said. */
struct str turn_question(const struct turn *turn);
/* Facts that stood in the prompt were used. Writer thread, with the record of the prompt. */
enum err writer_keep_memories(struct tx *tx, const struct turn *turn, int64_t now);
/* What is under way is for nobody any more. */
void turn_forget_memories(struct turn *turn);

/* --- turn_keep.c ----------------------------------------------------------------------------------- */
/* Writer thread: the record of the prompt, as it was sent. */
enum err writer_keep_prompt(struct tx *tx, const struct turn *turn, int64_t now);

/* --- turn_speak.c ----------------------------------------------------------------------------- */
/* Gives listeners what they have not got yet. */
void turn_tell(struct turn *turn);
