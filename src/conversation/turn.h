/*
 * A turn: one chat message from admit to learn. It belongs to the conversation, not to a
 * connection: whoever listens to the room sees it, and with nobody there it is finished and stored
 * all the same. The essay is in turn.c.
 */
#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "net/request.h"

#define TURN_CONTENT_CHARACTERS   100000 /* of one message; twenty pages of a novel */
#define TURN_CLIENT_ID_CHARACTERS 100

struct turn;

enum turn_kind {
    TURN_SEND,       /* a person says something, a character answers */
    TURN_REGENERATE, /* another variant of a reply */
    TURN_CONTINUE,   /* a reply goes on where it ended */
    TURN_REPLY, /* a character answers what stands there (retry after a failure, or the last message
                   is the person's) */
};

/* What somebody asks for. Texts are copied. */
struct turn_order {
    enum turn_kind kind;
    int64_t user_id;
    int64_t conversation_id;
    int64_t message_id;   /* of REGENERATE and CONTINUE */
    struct str content;   /* of SEND */
    struct str client_id; /* the sender's own name for the message, given back in message:received;
                             STR_NONE */
    bool wants_reply;     /* of SEND: false only stores the message */
};

/* What a waiting caller is told. All three are optional; each comes at most once, on the loop,
 * later; after `finished` nothing comes. */
struct turn_listener {
    /* The person's message is on disk (SEND), or the reply's row is (others). message is JSON
     * (api.md's message object). */
    void (*recorded)(void *ctx, int64_t turn_id, struct str message);
    /* The turn is over. On E_OK message is the person's (SEND, else STR_NONE) and reply the
     * character's (STR_NONE when none was wanted). On an error the person's message is still stored
     * if recorded came; detail is for a person, field is the input that was wrong, or NULL. */
    void (*finished)(void *ctx, enum err err, struct str message, struct str reply,
                     const char *detail);
    void *ctx;
};

/* Starts a turn; it goes on by itself, later: no listener is called before this returns. An error
 * means "not admitted": nothing was stored, the listener is told nothing, and *detail (static text;
 * may be NULL) says why: E_ABSENT (no such conversation or message for this person), E_CONFLICT (a
 * reply is under way there), E_LIMIT (too many replies under way for this person), E_INPUT (nothing
 * to answer, or not a reply that can be regenerated), E_BUSY (the server is stopping). */
MUST_USE enum err turn_start(const struct turn_order *order, const struct turn_listener *listener,
                             int64_t *turn_id, const char **detail);
/* The caller that waited has left: it is told nothing more. The turn goes on. */
void turn_forget_listener(int64_t turn_id);
/* Stops what is being said in a conversation; the text so far is kept. How many turns were stopped.
 */
int turn_stop(int64_t conversation_id);
bool turn_is_running(int64_t conversation_id);
/* Stops everything that is being said to a person. How many turns of theirs have not ended yet. */
int64_t turn_stop_person(int64_t user_id);
/* Marks what a crash left in mid-reply as interrupted. Before the listener starts. */
MUST_USE enum err turn_recover(void);
int64_t turn_count(void);
