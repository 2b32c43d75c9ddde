/*
 * A listener on any carrier: WebSocket, SSE, (Socket.IO,) or a POST that streams. Features see only
 * this: they push frames, and are told when the listener speaks or leaves. A message cannot tell
 * which carrier it travels on.
 *
 * A channel's unsent bytes are bounded (1 MiB): past that it is closed with 1013, and the client
 * comes back with the last seq it saw. Loop thread only.
 */
#pragma once

#include "base/list.h"
#include "net/frame.h"
#include "net/router.h"

struct channel;

/* What a channel's owner wants to know. Set once by app.c for WebSocket channels; given per call
 * for SSE. NULL members are left out. */
struct channel_owner {
    /* A frame came in from a client that has signed in: an object with a `type`. What it says
     * stands in its member `data`; without one, beside `type`. All is the arena's. */
    void (*received)(struct channel *channel, struct str type, const struct json_value *frame,
                     struct arena *arena);
    /* The channel is gone; called exactly once, later than channel_close(). */
    void (*closed)(struct channel *channel);
};

/* --- for features ----------------------------------------------------------------------------- */

void channel_send(struct channel *channel, struct frame *frame); /* takes its own reference */
/* An answer to this channel alone: {"type": type, "data": data}; data is one JSON object or empty.
 */
void channel_tell(struct channel *channel, const char *type, struct str data);
/* {"type": "error", "data": {"code", "detail"}} */
void channel_error(struct channel *channel, const char *code, const char *detail);
/* Ends the channel: a WebSocket with the closing handshake, others after what was sent. What is
 * sent from now on is dropped. */
void channel_close(struct channel *channel, int code, const char *reason);
/* The same, because all has been said: WebSocket code 1000. */
void channel_finish(struct channel *channel);
bool channel_is_open(const struct channel *channel);
const struct caller *channel_caller(const struct channel *channel);
/* True for a channel that exists for one subject (SSE, a streaming POST): when the subject goes, so
 * does the channel. */
bool channel_is_single(const struct channel *channel);
void *channel_get(const struct channel *channel); /* the owner's pointer, NULL at first */
void channel_set(struct channel *channel, void *pointer);
/* The rooms that the channel is in: a list head kept by conversation/room.c. */
struct list *channel_memberships(struct channel *channel);
size_t channel_unsent_bytes(const struct channel *channel);
/* Counts a ping in this second: false when there were too many. */
bool channel_may_ping(struct channel *channel);

/*
 * Turns a request into an SSE stream: 200, text/event-stream, no-store, X-Accel-Buffering: no; a
 * comment at least every 15 s keeps proxies awake. The request counts as answered. Never NULL: when the
 * peer has left meanwhile, or only asked for the head, the channel is closed already, what is sent
 * is dropped, and `closed` comes soon.
 */
struct channel *channel_from_request(struct request *request, const struct channel_owner *owner);

/* --- for app.c and account -------------------------------------------------------------------- */

/* GET /ws: handshake, `troupe.v1`, sign-in within 5 s by first message or by Authorization header.
 */
extern const struct route ws_routes[];
void channel_serve_websockets(const struct channel_owner *owner);
/* Closes every channel of a session, API key or user that has ended, with 4401 (0 matches nothing).
 */
void channel_end_session(int64_t user_id, int64_t session_id, int64_t api_key_id);
/* To every channel of a person that stands for the person, not for one subject. */
void channel_send_user(int64_t user_id, struct frame *frame);
/* Closes the channels of a person's other sessions; those of API keys stay. */
void channel_end_other_sessions(int64_t user_id, int64_t session_id);
/* Closes all with 1001, for a stop. */
void channel_drain(void);
int64_t channel_count(void);
