/* links: troupe_net troupe_embedded */
/*
 * WebSocket bytes. The reader must say the same about them however they are cut; a server that
 * echoes them must answer with well-formed frames, at most one Close, and nothing behind it.
 *
 * The first byte of the input decides how the rest is cut.
 */
#include "loop/loop.h"
#include "net/conn.h"
#include "net/router.h"
#include "net/ws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ws_limits LIMITS = {
    .message_bytes = 4096, .fragments = 16, .pings_per_second = 0};

#define MUST(condition) \
    if (!(condition))   \
    __builtin_trap()

/* --- the reader, twice ------------------------------------------------------------------------ */

struct heard {
    struct buf text;
    bool is_over;
};

static bool on_message(void *ctx, bool is_text, struct str bytes) {
    struct heard *heard = ctx;
    MUST(!heard->is_over && bytes.len <= LIMITS.message_bytes);
    buf_printf(&heard->text, "%d %zu ", is_text, bytes.len);
    buf_add_str(&heard->text, bytes);
    return true;
}

static bool on_control(void *ctx, enum ws_opcode opcode, struct str payload) {
    struct heard *heard = ctx;
    MUST(!heard->is_over && payload.len <= 125 && opcode >= WS_CLOSE && opcode <= WS_PONG);
    buf_printf(&heard->text, "%d %zu ", (int)opcode, payload.len);
    buf_add_str(&heard->text, payload);
    heard->is_over = opcode == WS_CLOSE;
    return opcode != WS_CLOSE;
}

static int read_in_pieces(struct heard *heard, struct str bytes, size_t piece) {
    static const struct ws_sink sink = {on_message, on_control};
    struct ws_reader reader = {0};
    int code = 0;
    *heard = (struct heard){.is_over = false};
    buf_init(&heard->text, 64 << 20);
    for (size_t at = 0; at < bytes.len && code == 0 && !heard->is_over; at += piece)
        code = ws_read(&reader, str_slice(bytes, at, at + piece), &LIMITS, &sink, heard);
    ws_reader_release(&reader);
    return code;
}

static void compare_cuts(struct str bytes, size_t piece) {
    struct heard whole, cut;
    int whole_code = read_in_pieces(&whole, bytes, bytes.len ? bytes.len : 1);
    int cut_code = read_in_pieces(&cut, bytes, piece);
    MUST(whole_code == cut_code && str_eq(buf_str(&whole.text), buf_str(&cut.text)));
    MUST(whole_code == 0 || ws_code_is_valid(whole_code));
    buf_release(&whole.text);
    buf_release(&cut.text);
}

/* --- a server --------------------------------------------------------------------------------- */

static void echo(struct ws *ws, bool is_text, struct str bytes) {
    if (bytes.len == 1)
        ws_close(ws, WS_CODE_NORMAL, "");
    else
        ws_send(ws, is_text, bytes);
}

static void closed(struct ws *ws) {
    free(ws);
}

static const struct ws_handler handler = {.message = echo, .closed = closed};

static void get_echo(struct request *request) {
    struct str protocol;
    if (!ws_check(request, "troupe.v1", &protocol))
        return;
    struct ws *ws = malloc(sizeof(*ws));
    if (!ws_accept(request, ws, &handler, &LIMITS, protocol))
        free(ws);
}

static const struct route routes[] = {
    {.method = METHOD_GET, .pattern = "/echo", .handle = get_echo, .who = WHO_ANYONE}, {0}};
static const struct route *const tables[] = {routes, NULL};

static void sink(void *ctx, struct str bytes) {
    buf_add_str(ctx, bytes);
}

static void check_answer(struct str out) {
    bool is_over = false;
    while (out.len > 0) {
        MUST(!is_over && out.len >= 2);
        const uint8_t *at = (const uint8_t *)out.at;
        uint8_t opcode = at[0] & 0x0F, form = at[1];
        MUST((at[0] & 0xF0) == 0x80 && form < 127); /* nothing here is longer than 4,096 bytes */
        MUST(opcode == WS_TEXT || opcode == WS_BINARY || opcode == WS_PONG || opcode == WS_CLOSE);
        size_t head = form == 126 ? 4 : 2;
        MUST(out.len >= head);
        size_t len = form == 126 ? (size_t)at[2] << 8 | at[3] : form;
        MUST(out.len >= head + len && (opcode < WS_CLOSE || len <= 125));
        is_over = opcode == WS_CLOSE;
        if (is_over && len > 0)
            MUST(len >= 2 && ws_code_is_valid(at[2] << 8 | at[3]));
        out = str_slice(out, head + len, out.len);
    }
}

static void talk(struct str bytes, size_t piece) {
    struct buf out;
    buf_init(&out, 256 << 20);
    struct conn *conn = conn_test_new(sink, &out);
    conn_test_feed(conn, STR("GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                             "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
    conn_test_flush(conn);
    MUST(str_starts(buf_str(&out), STR("HTTP/1.1 101 ")));
    buf_clear(&out);
    for (size_t at = 0; at < bytes.len; at += piece) {
        conn_test_feed(conn, str_slice(bytes, at, at + piece));
        conn_test_flush(conn);
    }
    check_answer(buf_str(&out));
    conn_test_free(conn);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool is_ready;
    if (!is_ready) {
        loop_init();
        router_init(tables);
        is_ready = true;
    }
    if (size == 0)
        return 0;
    size_t piece = (size_t)data[0] % 17 + 1;
    struct str bytes = str_of((const char *)data + 1, size - 1);
    compare_cuts(bytes, piece);
    talk(bytes, piece);
    return 0;
}
