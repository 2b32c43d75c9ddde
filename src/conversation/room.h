/*
 * A room: who listens to a conversation, the sequence of its events, and a ring of the recent ones,
 * so that a client which comes back goes on from the last event it saw. A room exists while
 * somebody listens or a turn speaks, and a while longer for those who reconnect. An idle one costs
 * a few hundred bytes: the ring exists only while there is something in it.
 *
 * seq starts at the milliseconds since 2020 times 64 when a room is made, so that it also grows
 * across restarts without being stored, and is exact in JavaScript. It then counts up by one.
 */
#pragma once

#include "base/list.h"
#include "net/channel.h"

/* A reply that is being spoken: what a late listener is shown first. Owned by the turn. */
struct room_speech {
    struct list link;
    int64_t turn_id;
    int64_t message_id;
    int64_t swipe;
    struct str text; /* all that listeners have been sent so far; the turn keeps it up to date */
    struct str reasoning; /* likewise; STR_NONE without */
};

/*
 * Encodes the event once and gives it to the ring and to every listener. type is static text, data
 * one JSON object. A conversation to which nobody listens and in which nobody speaks has no room:
 * then nothing happens. (Chunks cost the ring little more than their delta when that is the last
 * member of data: {"message_id": ..., "delta": "..."}.)
 */
void room_publish(int64_t conversation_id, const char *type, struct str data);
/* What is only true now (typing): without seq, not kept, to everybody but `except` (may be NULL).
 */
void room_broadcast(int64_t conversation_id, const char *type, struct str data,
                    const struct channel *except);

/*
 * Joins: sends conversation:joined {conversation_id, seq, resumed, streaming: [{turn_id,
 * message_id, swipe, content, reasoning?}]}. If the ring still has every event after after_seq:
 * resumed is true, streaming is empty, and those events follow. Otherwise resumed is false,
 * streaming is what is being spoken now, and the client reads its messages again; what follows
 * continues both. after_seq < 0: from now on. Whoever calls has checked that the listener may be
 * here. Joining twice sends again. False: the channel is in ROOMS_PER_CHANNEL rooms already.
 */
#define ROOMS_PER_CHANNEL 64
bool room_join(int64_t conversation_id, struct channel *channel, int64_t after_seq);
void room_leave(int64_t conversation_id, struct channel *channel);
bool room_has(int64_t conversation_id, const struct channel *channel);
/* The channel is gone: leaves every room that it is in. */
void room_leave_all(struct channel *channel);
/* How many listen now. */
int64_t room_listeners(int64_t conversation_id);

void room_speech_begin(int64_t conversation_id, struct room_speech *speech);
void room_speech_end(struct room_speech *speech); /* safe when it never began */

/* Everybody out: the conversation is gone, or who may be in it has changed. Listeners get an error
 * not_found with the conversation_id; channels that exist for this room end. */
void room_close(int64_t conversation_id);
void room_release_all(void);
/* How many rooms there are. */
int64_t room_count(void);
