/*
 * A room: who listens to a conversation, the sequence of its events, and a ring of the recent ones, so that a client which comes back goes on from the last
 * event it saw. A room exists while somebody listens or a turn speaks, and a while longer for those who reconnect. An idle one costs a few hundred bytes:
 * the ring is allocated by the first event.
 *
 * seq starts at the milliseconds since 2020 times 64 when a room is made, so that it also grows across restarts without being stored, and is exact in JavaScript. It
 * then counts up by one.
 */
#pragma once

#include "base/list.h"
#include "net/channel.h"

struct room;

/* A reply that is being spoken: what a late listener is shown first. Owned by the turn. */
struct room_speech {
    struct list link;
    int64_t turn_id;
    int64_t message_id;
    int64_t swipe;
    struct str text;      /* all that listeners have been sent so far; the turn keeps it up to date */
    struct str reasoning; /* likewise; STR_NONE without */
};

/* Encodes the event once and gives it to the ring and to every listener. A conversation to which nobody listens and in which nobody speaks has no room: then nothing happens. */
void room_publish(int64_t conversation_id, const char *type, struct str data);

/* Joins: sends conversation:joined {conversation_id, seq, resumed, streaming: [{turn_id, message_id, swipe, content}]}, then every event after after_seq if the ring still has them
 * all (resumed: true). after_seq < 0: from now on. Whoever calls has checked that the listener may be here. Joining twice re-sends. */
void room_join(int64_t conversation_id, struct channel *channel, int64_t after_seq);
void room_leave(int64_t conversation_id, struct channel *channel);
/* The channel is gone: leaves every room that it is in. */
void room_leave_all(struct channel *channel);
/* How many listen now. */
int64_t room_listeners(int64_t conversation_id);

void room_speech_begin(int64_t conversation_id, struct room_speech *speech);
void room_speech_end(struct room_speech *speech);

/* Everybody out: the conversation is gone, or this person may no longer be in it. */
void room_close(int64_t conversation_id);
void room_release_all(void);
