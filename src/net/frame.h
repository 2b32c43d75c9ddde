/*
 * One event, encoded once, shared by every listener: {"type": "...", "seq": n, "data": {...}}. Counted references; loop thread only.
 * Carriers add their own clothes (a WebSocket head, `id:` and `data:` lines) and keep them in the frame, so that a thousand listeners cost one encoding.
 */
#pragma once

#include "base/buf.h"

struct frame {
    int references;
    int64_t seq;        /* 0: not part of a conversation's sequence */
    const char *type;   /* static text */
    char *text;         /* the JSON */
    size_t len;
    uint8_t ws_head[10]; /* server frames are not masked: a head of 2, 4 or 10 bytes fits every listener */
    uint8_t ws_head_len;
    char *sse;          /* built when the first SSE listener needs it */
    size_t sse_len;
};

/* Takes the bytes of `data` (one JSON object, or empty for {}) and closes it with type and seq. The caller has one reference. */
struct frame *frame_new(const char *type, int64_t seq, struct str data);
struct frame *frame_hold(struct frame *frame);
void frame_let_go(struct frame *frame); /* NULL is fine */
