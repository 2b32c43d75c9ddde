/*
 * The reading half of RFC 6455: bytes in any pieces become whole messages and control frames, or
 * the close code with which the connection must fail. Knows no sockets, so tests and fuzzers feed
 * it directly.
 *
 * A reader at rest (between messages) owns no memory but its struct.
 */
#pragma once

#include "base/str.h"

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
};

/* RFC 6455 section 7.4.1, and the range for private use. */
enum ws_code {
    WS_CODE_NORMAL = 1000,
    WS_CODE_GOING_AWAY = 1001,
    WS_CODE_PROTOCOL = 1002,
    WS_CODE_UNSUPPORTED = 1003,
    WS_CODE_NONE = 1005, /* never on the wire: a Close without a code */
    WS_CODE_LOST = 1006, /* never on the wire: the connection broke */
    WS_CODE_NOT_UTF8 = 1007,
    WS_CODE_POLICY = 1008,
    WS_CODE_TOO_BIG = 1009,
    WS_CODE_TRY_LATER = 1013,
    WS_CODE_SIGN_IN = 4401, /* ours: no token in time, a bad or expired one, or the session ended */
};

struct ws_limits {
    size_t message_bytes;      /* of a whole message, however many frames it has */
    uint32_t fragments;        /* frames of one message */
    uint32_t pings_per_second; /* 0: no limit; used by ws.c */
};

struct ws_assembly;

/* Zeroed before the first byte. */
struct ws_reader {
    struct ws_assembly *assembly; /* the message and control frame under way; NULL at rest */
    uint64_t payload_left;        /* of the frame under way */
    uint32_t fragments;           /* frames of the message so far */
    uint8_t head[14];             /* the frame's head as far as it has come */
    uint8_t head_len;
    bool is_in_payload;     /* the head is complete, payload is awaited */
    uint8_t mask_at;        /* next byte of the mask, 0 to 3 */
    uint8_t message_opcode; /* WS_TEXT, WS_BINARY, or 0 between messages */
    uint8_t utf8[3];        /* continuation bytes awaited, bounds of the next one */
};

/* Who is told. Bytes are borrowed for the call. False: read no further (a Close came). */
struct ws_sink {
    bool (*message)(void *ctx, bool is_text, struct str bytes);
    bool (*control)(void *ctx, enum ws_opcode opcode, struct str payload); /* at most 125 bytes */
};

/* Reads all the bytes. 0, or the close code with which the connection must fail now; after that, or
 * after a sink's false, the reader only takes ws_reader_release(). */
int ws_read(struct ws_reader *reader, struct str bytes, const struct ws_limits *limits,
            const struct ws_sink *sink, void *ctx);
void ws_reader_release(struct ws_reader *reader);
/* Whether a peer may send this close code (RFC 6455 section 7.4.2). */
bool ws_code_is_valid(int code);
