/*
 * A frame parser of our own instead of wslay's: wslay's contexts hold read buffers of 4 KB each and
 * may have read ahead into them, and nothing tells from outside whether a frame is half read, so
 * they cannot be given back while a connection is idle. 10,000 idle sockets would cost 80 MB; here
 * they cost sizeof(struct ws_reader) each. (tests/unit/test_ws.c lets wslay write the frames that
 * this file reads.)
 *
 * A frame is read in two steps: head() collects the 2 to 14 bytes of the head and judges them as
 * soon as each rule can be judged; payload() unmasks what has come straight into the message. Text
 * is checked byte by byte as it comes, so that the first impossible byte ends the connection, also
 * in the middle of a frame. A message's announced length is compared with the limit before a byte
 * of it is kept, and memory grows with what has come, never with what was announced.
 *
 * The message and the control frame under way live in an assembly, which is borrowed from a spare
 * (there is one, for the usual case that messages come whole) and given back at rest.
 *
 * Rules: RFC 6455 sections 5.2 (frame), 5.4 (fragments), 5.5 (control), 8.1 (UTF-8; the table of
 * RFC 3629 section 4).
 */
#include "net/ws_frame.h"

#include "base/buf.h"
#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define CONTROL_BYTES_MAX 125
#define SPARE_KEEP_BYTES  (16 << 10) /* a command is rarely larger */

struct ws_assembly {
    struct buf message;
    size_t control_len;
    uint8_t control[CONTROL_BYTES_MAX];
};

static struct ws_assembly *spare; /* loop thread only */

static struct ws_assembly *assembly_take(void) {
    struct ws_assembly *assembly = spare;
    spare = NULL;
    if (assembly == NULL) {
        assembly = calloc(1, sizeof(*assembly));
        if (assembly == NULL)
            BUG("out of memory: a message");
    }
    return assembly;
}

static void assembly_give_back(struct ws_assembly *assembly) {
    if (spare == NULL) {
        buf_shrink(&assembly->message, SPARE_KEEP_BYTES);
        spare = assembly;
        return;
    }
    buf_release(&assembly->message);
    free(assembly);
}

void ws_reader_release(struct ws_reader *reader) {
    if (reader->assembly != NULL)
        assembly_give_back(reader->assembly);
    *reader = (struct ws_reader){0};
}

bool ws_code_is_valid(int code) {
    if (code >= 3000)
        return code <= 4999;
    return code >= 1000 && code <= 1014 && code != 1004 && code != WS_CODE_NONE &&
           code != WS_CODE_LOST;
}

/* --- UTF-8 ------------------------------------------------------------------------------------ */

/* What may follow a first byte: how many bytes, and the bounds of the first of them. */
static bool utf8_begin(uint8_t state[3], uint8_t byte) {
    state[1] = 0x80;
    state[2] = 0xBF;
    if (byte >= 0xC2 && byte <= 0xDF)
        state[0] = 1;
    else if (byte >= 0xE0 && byte <= 0xEF)
        state[0] = 2;
    else if (byte >= 0xF0 && byte <= 0xF4)
        state[0] = 3;
    else
        return byte < 0x80;
    if (byte == 0xE0)
        state[1] = 0xA0; /* else overlong */
    else if (byte == 0xED)
        state[2] = 0x9F; /* else a surrogate */
    else if (byte == 0xF0)
        state[1] = 0x90; /* else overlong */
    else if (byte == 0xF4)
        state[2] = 0x8F; /* else above U+10FFFF */
    return true;
}

static size_t ascii_run(const uint8_t *at, size_t len) {
    size_t i = 0;
    for (uint64_t word; i + sizeof(word) <= len; i += sizeof(word)) {
        memcpy(&word, at + i, sizeof(word));
        if (word & UINT64_C(0x8080808080808080))
            break;
    }
    return i;
}

/* False at the first byte that cannot be part of the text. */
static bool utf8_go_on(uint8_t state[3], const uint8_t *at, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (state[0] == 0) {
            i += ascii_run(at + i, len - i);
            if (i == len)
                break;
            if (!utf8_begin(state, at[i]))
                return false;
            continue;
        }
        if (at[i] < state[1] || at[i] > state[2])
            return false;
        state[0]--;
        state[1] = 0x80;
        state[2] = 0xBF;
    }
    return true;
}

/* --- head ------------------------------------------------------------------------------------- */

static bool is_control(uint8_t opcode) {
    return opcode >= WS_CLOSE;
}

static uint8_t opcode_of(const struct ws_reader *reader) {
    return reader->head[0] & 0x0F;
}

static bool is_final(const struct ws_reader *reader) {
    return reader->head[0] & 0x80;
}

/* The first byte alone: reserved bits, opcode, and whether the frame fits what came before. */
static int judge_first(const struct ws_reader *reader, const struct ws_limits *limits) {
    uint8_t opcode = opcode_of(reader);
    if (reader->head[0] & 0x70)
        return WS_CODE_PROTOCOL;
    if (opcode > WS_PONG || (opcode > WS_BINARY && opcode < WS_CLOSE))
        return WS_CODE_PROTOCOL;
    if (is_control(opcode))
        return is_final(reader) ? 0 : WS_CODE_PROTOCOL;
    if ((opcode == WS_CONTINUATION) != (reader->message_opcode != 0))
        return WS_CODE_PROTOCOL;
    return reader->fragments >= limits->fragments ? WS_CODE_POLICY : 0;
}

/* The second byte: masked, and no long form for control frames. */
static int judge_second(const struct ws_reader *reader) {
    if (!(reader->head[1] & 0x80))
        return WS_CODE_PROTOCOL;
    if (is_control(opcode_of(reader)) && (reader->head[1] & 0x7F) > CONTROL_BYTES_MAX)
        return WS_CODE_PROTOCOL;
    return 0;
}

static size_t length_bytes(const struct ws_reader *reader) {
    uint8_t form = reader->head[1] & 0x7F;
    return form == 127 ? 8 : form == 126 ? 2 : 0;
}

/* The length is whole: shortest form, below 2^63, within the limit. */
static int judge_length(struct ws_reader *reader, const struct ws_limits *limits) {
    size_t bytes = length_bytes(reader);
    uint64_t len = bytes == 0 ? reader->head[1] & 0x7F : 0;
    for (size_t i = 0; i < bytes; i++)
        len = len << 8 | reader->head[2 + i];
    if ((bytes == 2 && len < 126) || (bytes == 8 && (len <= UINT16_MAX || len >> 63)))
        return WS_CODE_PROTOCOL;
    reader->payload_left = len;
    if (is_control(opcode_of(reader)))
        return 0;
    size_t so_far =
        reader->message_opcode != 0 && reader->assembly ? reader->assembly->message.len : 0;
    return len > limits->message_bytes || so_far > limits->message_bytes - len ? WS_CODE_TOO_BIG
                                                                               : 0;
}

static int judge_head(struct ws_reader *reader, const struct ws_limits *limits) {
    if (reader->head_len == 1)
        return judge_first(reader, limits);
    if (reader->head_len == 2) {
        int code = judge_second(reader);
        if (code != 0 || length_bytes(reader) != 0)
            return code;
    }
    if (reader->head_len == 2 + length_bytes(reader))
        return judge_length(reader, limits);
    return 0;
}

static void begin_payload(struct ws_reader *reader, const struct ws_limits *limits) {
    uint8_t opcode = opcode_of(reader);
    if (reader->assembly == NULL)
        reader->assembly = assembly_take();
    reader->is_in_payload = true;
    reader->mask_at = 0;
    if (is_control(opcode)) {
        reader->assembly->control_len = 0;
        return;
    }
    reader->fragments++;
    reader->assembly->message.ceiling_bytes =
        limits->message_bytes; /* may have changed meanwhile */
    if (opcode != WS_CONTINUATION) {
        reader->message_opcode = opcode;
        memset(reader->utf8, 0, sizeof(reader->utf8));
        buf_clear(&reader->assembly->message);
    }
}

/* Takes bytes of the head. Sets *taken; a close code when they break a rule. */
static int head(struct ws_reader *reader, struct str bytes, const struct ws_limits *limits,
                size_t *taken) {
    for (*taken = 0; *taken < bytes.len;) {
        reader->head[reader->head_len++] = (uint8_t)bytes.at[(*taken)++];
        int code = judge_head(reader, limits);
        if (code != 0)
            return code;
        if (reader->head_len >= 2 && reader->head_len == 2 + length_bytes(reader) + 4) {
            begin_payload(reader, limits);
            return 0;
        }
    }
    return 0;
}

/* --- payload ---------------------------------------------------------------------------------- */

static void unmask(uint8_t *out, const char *in, size_t len, const uint8_t mask[4], uint8_t at) {
    uint8_t turned[8];
    for (size_t i = 0; i < sizeof(turned); i++)
        turned[i] = mask[(at + i) & 3];
    uint64_t key, word;
    memcpy(&key, turned, sizeof(key));
    size_t i = 0;
    for (; i + sizeof(word) <= len; i += sizeof(word)) {
        memcpy(&word, in + i, sizeof(word));
        word ^= key;
        memcpy(out + i, &word, sizeof(word));
    }
    for (; i < len; i++)
        out[i] = (uint8_t)in[i] ^ turned[i & 7];
}

static uint8_t *place_for(struct ws_reader *reader, size_t len) {
    struct ws_assembly *assembly = reader->assembly;
    if (is_control(opcode_of(reader))) {
        uint8_t *at = assembly->control + assembly->control_len;
        assembly->control_len += len;
        return at;
    }
    bool has_room = buf_reserve(&assembly->message, len);
    BUG_IF(!has_room); /* the limit was checked with the head */
    uint8_t *at = (uint8_t *)assembly->message.at + assembly->message.len;
    assembly->message.len += len;
    return at;
}

static const uint8_t *mask_of(const struct ws_reader *reader) {
    return reader->head + 2 + length_bytes(reader);
}

/* Takes what there is of the payload. */
static int payload(struct ws_reader *reader, struct str bytes, size_t *taken) {
    size_t len = bytes.len < reader->payload_left ? bytes.len : (size_t)reader->payload_left;
    *taken = len;
    if (len == 0)
        return 0;
    uint8_t *at = place_for(reader, len);
    unmask(at, bytes.at, len, mask_of(reader), reader->mask_at);
    reader->mask_at = (uint8_t)((reader->mask_at + len) & 3);
    reader->payload_left -= len;
    bool is_text = !is_control(opcode_of(reader)) && reader->message_opcode == WS_TEXT;
    return is_text && !utf8_go_on(reader->utf8, at, len) ? WS_CODE_NOT_UTF8 : 0;
}

/* The frame is whole: tells the sink when a message or control frame is. */
static int end_frame(struct ws_reader *reader, const struct ws_sink *sink, void *ctx,
                     bool *goes_on) {
    struct ws_assembly *assembly = reader->assembly;
    reader->head_len = 0;
    reader->is_in_payload = false;
    if (is_control(opcode_of(reader))) {
        struct str control = str_of((const char *)assembly->control, assembly->control_len);
        *goes_on = sink->control(ctx, opcode_of(reader), control);
        return 0;
    }
    if (!is_final(reader))
        return 0;
    if (reader->message_opcode == WS_TEXT && reader->utf8[0] != 0)
        return WS_CODE_NOT_UTF8;
    struct str message = assembly->message.len ? buf_str(&assembly->message) : STR("");
    *goes_on = sink->message(ctx, reader->message_opcode == WS_TEXT, message);
    reader->message_opcode = 0;
    reader->fragments = 0;
    return 0;
}

static void rest(struct ws_reader *reader) {
    if (reader->assembly == NULL || reader->is_in_payload || reader->message_opcode != 0)
        return;
    assembly_give_back(reader->assembly);
    reader->assembly = NULL;
}

int ws_read(struct ws_reader *reader, struct str bytes, const struct ws_limits *limits,
            const struct ws_sink *sink, void *ctx) {
    bool goes_on = true;
    while (goes_on && bytes.len > 0) {
        size_t taken;
        int code = reader->is_in_payload ? payload(reader, bytes, &taken)
                                         : head(reader, bytes, limits, &taken);
        if (code != 0)
            return code;
        bytes = str_of(bytes.at + taken, bytes.len - taken);
        if (reader->is_in_payload && reader->payload_left == 0)
            code = end_frame(reader, sink, ctx, &goes_on);
        if (code != 0)
            return code;
    }
    rest(reader);
    return 0;
}
