/*
 * A frame is one allocation: the struct, room for a WebSocket head, the JSON. The head is written
 * backwards from the JSON, so that head and text are one run of bytes and a listener costs one
 * writev slot. Server-sent lines are a second copy, because `data:` stands before the JSON and the
 * empty line after it; they are made once, and only when somebody listens that way.
 */
#include "net/frame.h"

#include "base/check.h"
#include "base/id.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define WS_TEXT_WHOLE   0x81 /* FIN and opcode 1 */
#define WRAPPING_BYTES  96   /* {"type":"","seq":,"conversation_id":"","data":} with both numbers */
#define SSE_LINES_BYTES 64   /* id:, event:, data: and the line ends, without type and JSON */

size_t frame_ws_head(uint8_t head[FRAME_WS_HEAD_MAX], uint8_t first, uint64_t len) {
    head[0] = first;
    if (len < 126) {
        head[1] = (uint8_t)len;
        return 2;
    }
    int bytes = len <= UINT16_MAX ? 2 : 8;
    head[1] = bytes == 2 ? 126 : 127;
    for (int i = 0; i < bytes; i++)
        head[2 + i] = (uint8_t)(len >> (8 * (bytes - 1 - i)));
    return 2 + (size_t)bytes;
}

static char *append(char *at, struct str s) {
    memcpy(at, s.at, s.len);
    return at + s.len;
}

static char *append_int(char *at, int64_t value) {
    return at + str_print_int(at, value);
}

static void replace(char *at, size_t len, char old, char new) {
    char *end = at + len;
    while ((at = memchr(at, old, (size_t)(end - at))) != NULL)
        *at++ = new;
}

/* JSON has raw line ends only between tokens, where any white space will do. */
static char *append_one_line(char *at, struct str json) {
    memcpy(at, json.at, json.len);
    replace(at, json.len, '\n', ' ');
    replace(at, json.len, '\r', ' ');
    return at + json.len;
}

static char *write_text(struct frame *frame, char *at, int64_t conversation_id, struct str data) {
    at = append(at, STR("{\"type\":\""));
    at = append(at, str_from(frame->type));
    at = append(at, STR("\""));
    if (frame->seq != 0) {
        at = append(at, STR(",\"seq\":"));
        at = append_int(at, frame->seq);
    }
    if (conversation_id != 0) {
        at = append(at, STR(",\"conversation_id\":\""));
        at = append(at, str_of(id_text(conversation_id).at, ID_TEXT_LEN));
        at = append(at, STR("\""));
    }
    at = append(at, STR(",\"data\":"));
    frame->data = str_of(at, data.len);
    at = append_one_line(at, data);
    return append(at, STR("}"));
}

struct frame *frame_new(const char *type, int64_t seq, int64_t conversation_id, struct str data) {
    if (data.len == 0)
        data = STR("{}");
    size_t room = FRAME_WS_HEAD_MAX + WRAPPING_BYTES + strlen(type) + data.len;
    struct frame *frame = malloc(sizeof(*frame) + room);
    if (frame == NULL)
        BUG("out of memory: a frame of %zu bytes", room);
    *frame = (struct frame){.references = 1, .seq = seq, .sse_id = seq, .type = type};
    char *text = (char *)(frame + 1) + FRAME_WS_HEAD_MAX;
    char *end = write_text(frame, text, conversation_id, data);
    frame->text = str_of(text, (size_t)(end - text));
    uint8_t head[FRAME_WS_HEAD_MAX];
    size_t head_len = frame_ws_head(head, WS_TEXT_WHOLE, frame->text.len);
    memcpy(text - head_len, head, head_len);
    frame->ws = str_of(text - head_len, head_len + frame->text.len);
    return frame;
}

struct frame *frame_hold(struct frame *frame) {
    BUG_IF(frame->references < 1);
    frame->references++;
    return frame;
}

void frame_let_go(struct frame *frame) {
    if (frame == NULL)
        return;
    BUG_IF(frame->references < 1);
    if (--frame->references > 0)
        return;
    free(frame->sse);
    free(frame);
}

struct str frame_sse(struct frame *frame) {
    if (frame->sse == NULL) {
        struct str type = str_from(frame->type);
        frame->sse = malloc(SSE_LINES_BYTES + type.len + frame->text.len);
        if (frame->sse == NULL)
            BUG("out of memory: an event of %zu bytes", frame->text.len);
        char *at = frame->sse;
        if (frame->sse_id != 0) {
            at = append(at, STR("id: "));
            at = append_int(at, frame->sse_id);
            at = append(at, STR("\n"));
        }
        at = append(at, STR("event: "));
        at = append(at, type);
        at = append(at, STR("\ndata: "));
        at = append(at, frame->text);
        at = append(at, STR("\n\n"));
        frame->sse_len = (size_t)(at - frame->sse);
    }
    return str_of(frame->sse, frame->sse_len);
}

size_t frame_bytes(const struct frame *frame) {
    return sizeof(*frame) + frame->text.len + FRAME_WS_HEAD_MAX + frame->sse_len;
}
