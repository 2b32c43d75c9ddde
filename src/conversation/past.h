/*
 * The recent events of a room, oldest first, bounded by count and bytes: what makes resuming by seq
 * exact. Part of room.c; nobody else includes it.
 */
#pragma once

#include "net/frame.h"

struct past_entry;

/* Zeroed before use. Events lost_seq + 1 to lost_seq + events are here. */
struct past {
    struct past_entry *oldest, *newest;
    int64_t lost_seq; /* events up to this one are not here */
    uint32_t events;
    uint32_t bytes;
};

#define PAST_EVENTS_MAX 512                /* 25 s of a reply that streams at 20 chunks a second */
#define PAST_BYTES_MAX  (256 << 10)        /* of one room */
#define PAST_TOTAL_MAX  ((size_t)64 << 20) /* of all rooms; beyond it each keeps PAST_BYTES_LEAN */
#define PAST_BYTES_LEAN (16 << 10)

/* The next event, when its data can be kept as a piece of a run; then no frame need exist. */
bool past_add_piece(struct past *past, int64_t seq, const char *type, struct str data);
/* The next event; takes its own reference. */
void past_add_frame(struct past *past, struct frame *frame);
/* Calls fn for every event after after_seq, in order, each with the very bytes it had. */
void past_replay(const struct past *past, int64_t conversation_id, int64_t after_seq,
                 void (*fn)(void *ctx, struct frame *frame), void *ctx);
bool past_reaches(const struct past *past, int64_t after_seq);
/* Forgets all events; seq is the last that was given. */
void past_clear(struct past *past, int64_t seq);
/* Bytes that all rooms keep. */
size_t past_total_bytes(void);
