/* links: troupe_net */
/* A frame as every carrier will send it: JSON, the WebSocket head before it, server-sent lines. */
#include "base/check.h"
#include "net/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void assert_text(struct str got, const char *expected, const char *why) {
    if (!str_eq(got, str_from(expected)))
        fail_msg("%s: got " STR_FMT, why, STR_ARG(got));
}

static void encodes(void **state) {
    (void)state;
    static const struct {
        int64_t seq, conversation_id;
        const char *data;
        const char *expected;
        const char *why;
    } rows[] = {
        {0, 0, "", "{\"type\":\"t\",\"data\":{}}", "no data is an empty object"},
        {0, 0, "{\"a\":1}", "{\"type\":\"t\",\"data\":{\"a\":1}}", "an answer to one channel"},
        {7, 0, "{}", "{\"type\":\"t\",\"seq\":7,\"data\":{}}", "a seq"},
        {9007199254740991, 0, "{}", "{\"type\":\"t\",\"seq\":9007199254740991,\"data\":{}}",
         "the largest seq that JavaScript has"},
        {0, 1, "{}", "{\"type\":\"t\",\"conversation_id\":\"0000000000001\",\"data\":{}}",
         "which conversation"},
        {0, 0, "{\r\n\"a\":\n1}", "{\"type\":\"t\",\"data\":{  \"a\": 1}}",
         "a raw line end would end an SSE line"},
        {0, 0, "{\"a\":\"\\n\"}", "{\"type\":\"t\",\"data\":{\"a\":\"\\n\"}}",
         "an escaped one stays"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct frame *frame =
            frame_new("t", rows[i].seq, rows[i].conversation_id, str_from(rows[i].data));
        assert_text(frame->text, rows[i].expected, rows[i].why);
        assert_true(str_has(frame->text, frame->data));
        assert_ptr_equal(frame->data.at + frame->data.len + 1, frame->text.at + frame->text.len);
        frame_let_go(frame);
    }
}

static void heads(void **state) {
    (void)state;
    static const struct {
        uint64_t len;
        size_t head_len;
        uint8_t head[FRAME_WS_HEAD_MAX];
        const char *why;
    } rows[] = {
        {0, 2, {0x81, 0}, "empty"},
        {125, 2, {0x81, 125}, "the longest short form"},
        {126, 4, {0x81, 126, 0, 126}, "the first that needs 16 bits"},
        {65535, 4, {0x81, 126, 0xFF, 0xFF}, "the last that fits 16 bits"},
        {65536, 10, {0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}, "the first that needs 64 bits"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t head[FRAME_WS_HEAD_MAX] = {0};
        size_t len = frame_ws_head(head, 0x81, rows[i].len);
        if (len != rows[i].head_len || memcmp(head, rows[i].head, len) != 0)
            fail_msg("%s", rows[i].why);
    }
}

/* Head and text are one run of bytes, for texts on both sides of each border. */
static void head_stands_before_text(void **state) {
    (void)state;
    static const size_t lens[] = {0, 50, 90, 103, 104, 105, 65511, 65512, 65514, 70000};
    for (size_t i = 0; i < COUNT_OF(lens); i++) {
        char *data = malloc(lens[i] + 4);
        data[0] = '[';
        data[1] = '"';
        memset(data + 2, 'x', lens[i]);
        memcpy(data + 2 + lens[i], "\"]", 2);
        struct frame *frame = frame_new("t", 0, 0, str_of(data, lens[i] + 4));
        uint8_t head[FRAME_WS_HEAD_MAX];
        size_t head_len = frame_ws_head(head, 0x81, frame->text.len);
        assert_int_equal(frame->ws.len, head_len + frame->text.len);
        assert_memory_equal(frame->ws.at, head, head_len);
        assert_ptr_equal(frame->ws.at + head_len, frame->text.at);
        frame_let_go(frame);
        free(data);
    }
}

static void server_sent_lines(void **state) {
    (void)state;
    struct frame *numbered = frame_new("message:updated", 5, 0, STR("{\"a\":\"x\"}"));
    assert_text(frame_sse(numbered),
                "id: 5\nevent: message:updated\ndata: "
                "{\"type\":\"message:updated\",\"seq\":5,\"data\":{\"a\":\"x\"}}\n\n",
                "an event of the sequence");
    assert_ptr_equal(frame_sse(numbered).at, frame_sse(numbered).at); /* made once */
    frame_let_go(numbered);
    struct frame *plain = frame_new("typing:start", 0, 0, STR_NONE);
    assert_text(frame_sse(plain),
                "event: typing:start\ndata: {\"type\":\"typing:start\",\"data\":{}}\n\n",
                "no id line: Last-Event-ID stays what it was");
    frame_let_go(plain);
    struct frame *joined = frame_new("conversation:joined", 0, 0, STR_NONE);
    joined->sse_id = 41;
    assert_true(str_starts(frame_sse(joined), STR("id: 41\n")));
    frame_let_go(joined);
}

static void references(void **state) {
    (void)state;
    struct frame *frame = frame_new("t", 0, 0, STR_NONE);
    for (int i = 0; i < 1000; i++)
        frame_hold(frame);
    assert_int_equal(frame->references, 1001);
    for (int i = 0; i < 1001; i++)
        frame_let_go(frame); /* AddressSanitizer sees one free too many or too few */
    frame_let_go(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes),
        cmocka_unit_test(heads),
        cmocka_unit_test(head_stands_before_text),
        cmocka_unit_test(server_sent_lines),
        cmocka_unit_test(references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
