/*
 * What a carrier gives to channel.c: a row of functions, and a struct channel inside its own state.
 * A new carrier is one file: it fills the row, opens a channel when a client has arrived, hands
 * over what the client says, and tells when it is gone. Included by carriers and their tests only.
 */
#pragma once

#include "net/channel.h"

struct carrier {
    const char *name; /* "websocket" */
    bool is_single;   /* see channel_is_single() */
    /* Queues the frame; the carrier takes its own reference. Only called while the channel is open.
     */
    void (*send)(struct channel *channel, struct frame *frame);
    /* Bytes queued and not yet taken by the kernel. */
    size_t (*unsent_bytes)(const struct channel *channel);
    /* Begins the end, once. is_stuck: the client does not read, so nothing is gained by waiting for
     * it. channel_gone() follows later, never from inside. */
    void (*close)(struct channel *channel, int code, const char *reason, bool is_stuck);
    /* Called about every 12 s, also while the channel is closing: keeps proxies awake, finds out
     * that the peer is gone. NULL: not needed. */
    void (*keep_alive)(struct channel *channel);
    /* NULL: the carrier has no way to be pinged by its client. */
    bool (*may_ping)(struct channel *channel);
};

#define CHANNEL_MAGIC 0x4368616eu

struct channel {
    uint32_t magic;
    bool is_open;
    uint32_t visited_s; /* the second of the clock at which keep_alive was called, or the channel
                           opened */
    const struct carrier *carrier;
    const struct channel_owner *owner;
    void *pointer; /* the owner's */
    struct list all;
    struct list memberships;
    struct caller caller; /* user_id 0: not signed in yet */
};

/* The channel joins the list of all. The struct is the carrier's and lives until channel_gone(). */
void channel_begin(struct channel *channel, const struct carrier *carrier,
                   const struct channel_owner *owner, const struct caller *caller);
/* A client that has signed in said something: {"type": ..., "data": ...}. */
void channel_received(struct channel *channel, const struct json_value *frame, struct arena *arena);
/* The carrier's connection is gone: tells the owner, leaves the list. Then the struct may be freed.
 */
void channel_gone(struct channel *channel);
