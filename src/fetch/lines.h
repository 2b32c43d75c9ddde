/*
 * Readers of streamed bodies, fed with whatever pieces arrive: server-sent events (HTML living
 * standard, section 9.2) and newline-delimited JSON. A piece may cut a line, a CRLF or a character
 * anywhere.
 */
#pragma once

#include "base/buf.h"

#define LINES_LIMIT_BYTES \
    (1 << 20) /* the longest line or event; a model's event is some hundred bytes */

enum lines_kind { LINES_SSE, LINES_NDJSON };

struct lines {
    enum lines_kind kind;
    struct buf line;  /* the line that is still coming */
    struct buf data;  /* of SSE: the event's data so far */
    struct buf event; /* of SSE: the event's type */
    bool saw_cr;
    bool is_past_bom;
    bool has_data;
};

/* `event` is STR_NONE for NDJSON and for events without a type. Return false to stop (lines_feed
 * then returns E_CANCELLED). */
typedef bool (*lines_fn)(void *ctx, struct str event, struct str data);

void lines_init(struct lines *lines, enum lines_kind kind);
void lines_release(struct lines *lines);
MUST_USE enum err lines_feed(struct lines *lines, struct str bytes, lines_fn fn,
                             void *ctx); /* E_LIMIT: too long */
/* The body has ended: gives the last NDJSON line that had no newline, and the last SSE event that
 * had no empty line (it may be cut off). */
MUST_USE enum err lines_end(struct lines *lines, lines_fn fn, void *ctx);
