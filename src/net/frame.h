/*
 * One event, encoded once, shared by every listener:
 *
 *     {"type": "...", "seq": n, "conversation_id": "...", "data": {...}}
 *
 * seq and conversation_id stand only in events of a conversation's sequence. Counted references;
 * loop thread only. Carriers add their own clothes (a WebSocket head, `id:` and `data:` lines) and
 * keep them in the frame, so that a thousand listeners cost one encoding.
 */
#pragma once

#include "base/buf.h"

/* The longest head of a server's WebSocket frame (RFC 6455 section 5.2): 2 bytes and a 64-bit
 * length. Servers do not mask, so one head fits every listener. */
#define FRAME_WS_HEAD_MAX 10

struct frame {
    int references;
    int64_t seq; /* 0: not part of a conversation's sequence */
    int64_t
        sse_id; /* what the `id:` line says: seq, or where the stream goes on from; 0: no line */
    const char *type; /* static text */
    struct str text;  /* the JSON */
    struct str data;  /* the part of text that is the data object, for carriers that wrap it anew */
    struct str ws;    /* the same bytes with the WebSocket head of a text message before them */
    char *sse;        /* the event as lines; made when the first SSE listener needs it */
    size_t sse_len;
};

/*
 * Copies `data` (one JSON object, or empty for {}) and clothes it with type, seq and conversation
 * (0: leave out). Line breaks between its tokens become spaces, so that the JSON is one line. The
 * caller has one reference.
 */
struct frame *frame_new(const char *type, int64_t seq, int64_t conversation_id, struct str data);
struct frame *frame_hold(struct frame *frame);
void frame_let_go(struct frame *frame); /* NULL is fine */
/* The event as server-sent lines; borrowed for the life of the frame. */
struct str frame_sse(struct frame *frame);
/* Writes the head of a server's WebSocket frame: fin and opcode in `first`, then the length. Gives
 * the head's bytes. */
size_t frame_ws_head(uint8_t head[FRAME_WS_HEAD_MAX], uint8_t first, uint64_t len);
/* What the frame costs in memory, for ceilings. */
size_t frame_bytes(const struct frame *frame);
