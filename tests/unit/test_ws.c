/* links: troupe_net troupe_embedded wslay */
/*
 * RFC 6455 in both halves: the reader alone (against wslay's writer, and against every UTF-8
 * sequence of border bytes), and an echo server on a connection without a socket, put through the
 * cases of the Autobahn suite (groups 1 to 10, by its numbers) and those it leaves out.
 */
#include "base/arena.h"
#include "base/check.h"
#include "base/text.h"
#include "loop/loop.h"
#include "net/conn.h"
#include "net/frame.h"
#include "net/listener.h"
#include "net/router.h"
#include "net/ws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>
#include <cmocka.h>

#include "ws_words.h"

/* --- an echo server --------------------------------------------------------------------------- */

static struct ws_limits echo_limits;

static void echo(struct ws *ws, bool is_text, struct str bytes) {
    if (str_eq(bytes, STR("close-me")))
        ws_close(ws, 4001, "as you wish");
    else
        ws_send(ws, is_text, bytes);
}

static void echo_closed(struct ws *ws) {
    free(ws);
}

static const struct ws_handler echo_handler = {.message = echo, .closed = echo_closed};

static void get_echo(struct request *request) {
    struct str protocol;
    if (!ws_check(request, "troupe.v1", &protocol))
        return;
    struct ws *ws = malloc(sizeof(*ws));
    if (!ws_accept(request, ws, &echo_handler, &echo_limits, protocol))
        free(ws);
}

static const struct route echo_routes[] = {
    {.method = METHOD_GET, .pattern = "/echo", .handle = get_echo, .who = WHO_ANYONE}, {0}};
static const struct route *const tables[] = {echo_routes, NULL};

struct peer {
    struct conn *conn;
    struct buf out; /* what the server sent since the last look */
};

static void sink(void *ctx, struct str bytes) {
    buf_add_str(&((struct peer *)ctx)->out, bytes);
}

static void peer_open(struct peer *peer) {
    buf_init(&peer->out, OUT_BYTES);
    peer->conn = conn_test_new(sink, peer);
}

static void peer_free(struct peer *peer) {
    conn_test_free(peer->conn);
    buf_release(&peer->out);
}

#define GOOD_HEAD                                     \
    "GET /echo HTTP/1.1\r\nHost: 127.0.0.1:8420\r\n"  \
    "Upgrade: websocket\r\nConnection: Upgrade\r\n"   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" \
    "Sec-WebSocket-Version: 13\r\n"

static void peer_upgrade(struct peer *peer) {
    peer_open(peer);
    conn_test_feed(peer->conn, STR(GOOD_HEAD "\r\n"));
    conn_test_flush(peer->conn);
    assert_true(str_starts(buf_str(&peer->out), STR("HTTP/1.1 101 ")));
    assert_true(str_ends(buf_str(&peer->out), STR("\r\n\r\n")));
    buf_clear(&peer->out);
}

static void feed(struct peer *peer, struct str bytes, size_t piece) {
    for (size_t i = 0; i < bytes.len; i += piece) {
        conn_test_feed(peer->conn, str_slice(bytes, i, i + piece));
        if (piece < bytes.len && bytes.len < 4096)
            conn_test_flush(peer->conn);
    }
    conn_test_flush(peer->conn);
}

static const struct ws_limits AMPLE = {.message_bytes = 16 << 20, .fragments = 70000};

static int set_up(void **state) {
    (void)state;
    loop_init();
    router_init(tables);
    echo_limits = AMPLE;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    router_release();
    loop_release();
    return 0;
}

/* --- Autobahn --------------------------------------------------------------------------------- */

struct autobahn {
    const char *number; /* of the suite, or what it is about */
    const char *sent;
    const char *answered;
    bool is_closed; /* the server then closes TCP */
};

/* `is_closed` goes with every Close that the server sends, and only with it. */
static const struct autobahn AUTOBAHN[] = {
    {"1.1.1", "text: close:1000", "text: close:1000", true},
    {"1.1.2", "text:*125 close:1000", "text:*125 close:1000", true},
    {"1.1.3", "text:*126 close:1000", "text:*126 close:1000", true},
    {"1.1.4", "text:*127 close:1000", "text:*127 close:1000", true},
    {"1.1.5", "text:*128 close:1000", "text:*128 close:1000", true},
    {"1.1.6", "text:*65535 close:1000", "text:*65535 close:1000", true},
    {"1.1.7", "text:*65536 close:1000", "text:*65536 close:1000", true},
    {"1.2.1", "bin: close:1000", "bin: close:1000", true},
    {"1.2.2", "bin:*125 close:1000", "bin:*125 close:1000", true},
    {"1.2.5", "bin:%FE%FF%00 close:1000", "bin:%FE%FF%00 close:1000", true},
    {"1.2.7", "bin:*65536 close:1000", "bin:*65536 close:1000", true},
    {"2.1", "ping: close:1000", "pong: close:1000", true},
    {"2.2", "ping:Hello close:1000", "pong:Hello close:1000", true},
    {"2.3", "ping:%00%FF%FE%FD%FC%FB%00%FF close:1000", "pong:%00%FF%FE%FD%FC%FB%00%FF close:1000",
     true},
    {"2.4", "ping:*125 close:1000", "pong:*125 close:1000", true},
    {"2.5", "ping:*126", "close:1002", true},
    {"2.7", "pong: close:1000", "close:1000", true},
    {"2.8", "pong:unsolicited close:1000", "close:1000", true},
    {"2.9", "pong:unsolicited ping:payload close:1000", "pong:payload close:1000", true},
    {"2.10", "ping:1 ping:2 ping:3 ping:4 ping:5 ping:6 ping:7 ping:8 ping:9 ping:10 close:1000",
     "pong:1 pong:2 pong:3 pong:4 pong:5 pong:6 pong:7 pong:8 pong:9 pong:10 close:1000", true},
    {"3.1", "rsv1.text:Hello", "close:1002", true},
    {"3.2", "text:Hello rsv2.text:Hello ping:", "text:Hello close:1002", true},
    {"3.3", "text:Hello rsv3.text:Hello ping:", "text:Hello close:1002", true},
    {"3.4", "text:Hello rsv4.text:Hello ping:", "text:Hello close:1002", true},
    {"3.5", "rsv5.bin:%FF", "close:1002", true},
    {"3.6", "rsv6.ping:Hello", "close:1002", true},
    {"3.7", "rsv7.close", "close:1002", true},
    {"4.1.1", "op3.text:", "close:1002", true},
    {"4.1.2", "op4.text:Hello", "close:1002", true},
    {"4.1.3", "text:Hello op5.text: ping:", "text:Hello close:1002", true},
    {"4.1.4", "text:Hello op6.text:Hello ping:", "text:Hello close:1002", true},
    {"4.1.5", "text:Hello op7.text: ping:", "text:Hello close:1002", true},
    {"4.2.1", "op11.text:", "close:1002", true},
    {"4.2.2", "op12.text:Hello", "close:1002", true},
    {"4.2.3", "text:Hello op13.text: ping:", "text:Hello close:1002", true},
    {"4.2.4", "text:Hello op14.text:Hello ping:", "text:Hello close:1002", true},
    {"4.2.5", "text:Hello op15.text: ping:", "text:Hello close:1002", true},
    {"5.1", "ping-:frag cont:ment", "close:1002", true},
    {"5.2", "pong-:frag cont:ment", "close:1002", true},
    {"5.3", "text-:frag cont:ment close:1000", "text:fragment close:1000", true},
    {"5.6", "text-:frag ping:p cont:ment close:1000", "pong:p text:fragment close:1000", true},
    {"5.9", "cont:x text:Hello close:1000", "close:1002", true},
    {"5.12", "cont-:x text:Hello close:1000", "close:1002", true},
    {"5.15", "text-:a cont:b cont-:c text:Hello", "text:ab close:1002", true},
    {"5.16", "cont-:x text:Hello cont:x cont-:x text:Hello cont:x", "close:1002", true},
    {"5.17", "cont:x text:Hello cont:x", "close:1002", true},
    {"5.18", "text-:a text:b", "close:1002", true},
    {"5.18 binary", "text-:a bin:b", "close:1002", true},
    {"5.19", "text-:1 cont-:2 ping:a cont-:3 cont-:4 ping:b cont:5 close:1000",
     "pong:a pong:b text:12345 close:1000", true},
    {"6.1.1", "text: close:1000", "text: close:1000", true},
    {"6.1.2", "text-: cont-: cont: close:1000", "text: close:1000", true},
    {"6.1.3", "text-: cont-:middle cont: close:1000", "text:middle close:1000", true},
    {"6.2.1", "text:Hello-%C2%B5@%C3%9F%C3%B6%C3%A4%C3%BC%C3%A0%C3%A1-UTF-8!! close:1000",
     "text:Hello-%C2%B5@%C3%9F%C3%B6%C3%A4%C3%BC%C3%A0%C3%A1-UTF-8!! close:1000", true},
    {"6.2.2", "text-:Hello-%C2%B5@%C3%9F%C3%B6%C3%A4 cont:%C3%BC%C3%A0%C3%A1!! close:1000",
     "text:Hello-%C2%B5@%C3%9F%C3%B6%C3%A4%C3%BC%C3%A0%C3%A1!! close:1000", true},
    {"6.2.4", "text-:%CE cont-:%BA cont-:%E1 cont-:%BD cont:%B9 close:1000",
     "text:%CE%BA%E1%BD%B9 close:1000", true},
    {"6.3.1", "text:%CE%BA%E1%BD%B9%CF%83%CE%BC%CE%B5%ED%A0%80edited", "close:1007", true},
    {"6.3.2", "text-:%CE%BA cont-:%ED cont-:%A0 cont:%80", "close:1007", true},
    {"6.4.1, fails before the end", "text-:%CE%BA%E1%BD%B9 cont-:%F4%90%80%80", "close:1007", true},
    {"6.4.2, fails at the first bad byte", "text-:%CE%BA cont-:%F4%90", "close:1007", true},
    {"7.1.1", "text:Hello close:1000", "text:Hello close:1000", true},
    {"7.1.2", "close:1000 close:1000", "close:1000", true},
    {"7.1.3", "close:1000 ping:", "close:1000", true},
    {"7.1.4", "close:1000 text:Hello", "close:1000", true},
    {"7.1.5", "text-:frag close:1000 cont:ment", "close:1000", true},
    {"7.3.1", "close", "close", true},
    {"7.3.2", "close:%03", "close:1002", true},
    {"7.3.3", "close:1000", "close:1000", true},
    {"7.3.4", "close:1000,Hello", "close:1000", true},
    {"7.3.5", "close:1000,*123", "close:1000", true},
    {"7.3.6", "close:1000,*124", "close:1002", true},
    {"7.5.1", "close:1000,%CE%BA%ED%A0%80", "close:1007", true},
    {"7.7.1", "close:1000", "close:1000", true},
    {"7.7.2", "close:1001", "close:1001", true},
    {"7.7.3", "close:1002", "close:1002", true},
    {"7.7.4", "close:1003", "close:1003", true},
    {"7.7.5", "close:1007", "close:1007", true},
    {"7.7.6", "close:1008", "close:1008", true},
    {"7.7.7", "close:1009", "close:1009", true},
    {"7.7.8", "close:1010", "close:1010", true},
    {"7.7.9", "close:1011", "close:1011", true},
    {"registered since", "close:1012", "close:1012", true},
    {"registered since", "close:1014", "close:1014", true},
    {"7.7.10", "close:3000", "close:3000", true},
    {"7.7.11", "close:3999", "close:3999", true},
    {"7.7.12", "close:4000", "close:4000", true},
    {"7.7.13", "close:4999", "close:4999", true},
    {"7.9.1", "close:0", "close:1002", true},
    {"7.9.2", "close:999", "close:1002", true},
    {"7.9.3", "close:1004", "close:1002", true},
    {"7.9.4", "close:1005", "close:1002", true},
    {"7.9.5", "close:1006", "close:1002", true},
    {"7.9.6", "close:1016", "close:1002", true},
    {"7.9.6 TLS", "close:1015", "close:1002", true},
    {"7.9.7", "close:1100", "close:1002", true},
    {"7.9.8", "close:2000", "close:1002", true},
    {"7.9.9", "close:2999", "close:1002", true},
    {"7.13.1", "close:5000", "close:1002", true},
    {"7.13.2", "close:65535", "close:1002", true},
    {"two messages", "text:a text:b bin:c", "text:a text:b bin:c", false},
    {"unmasked", "bare.text:Hello", "close:1002", true},
    {"unmasked control", "bare.ping:", "close:1002", true},
    {"overlong length", "long16.text:short", "close:1002", true},
    {"overlong length", "long64.text:short", "close:1002", true},
    {"overlong length", "long64.text:*65535", "close:1002", true},
    {"overlong length of a ping", "long16.ping:short", "close:1002", true},
    {"highest bit of the length", "top.text:short", "close:1002", true},
    {"2^62 bytes announced", "huge.bin:", "close:1009", true},
    {"cut inside a character", "text:%E2%82", "close:1007", true},
    {"surrogate pair", "text:%ED%A0%80%ED%B0%80", "close:1007", true},
    {"NUL and noncharacters are text", "text:%00%EF%BF%BE%F4%8F%BF%BF",
     "text:%00%EF%BF%BE%F4%8F%BF%BF", false},
    {"binary need not be UTF-8", "bin-:%ED cont:%A0", "bin:%ED%A0", false},
    {"we close first, the answer ends it", "text:close-me text:late close:4001", "close:4001",
     true},
    {"we close first: late data is not echoed", "text:close-me text:late ping:late", "close:4001",
     false},
    {"we close first: errors still end it", "text:close-me rsv1.text:x", "close:4001", true},
};

static void run_case(const struct autobahn *row, size_t piece) {
    struct peer peer;
    struct buf sent, shown;
    buf_init(&sent, OUT_BYTES);
    buf_init(&shown, OUT_BYTES);
    write_words(&sent, str_from(row->sent));
    peer_upgrade(&peer);
    feed(&peer, buf_str(&sent), piece);
    show(&shown, buf_str(&peer.out));
    if (!str_eq(buf_str(&shown), str_from(row->answered)))
        fail_msg("%s in pieces of %zu: answered " STR_FMT, row->number, piece,
                 STR_ARG(buf_str(&shown)));
    if (conn_is_open(peer.conn) == row->is_closed)
        fail_msg("%s in pieces of %zu: %s", row->number, piece,
                 row->is_closed ? "not closed" : "closed");
    buf_release(&sent);
    buf_release(&shown);
    peer_free(&peer);
}

static void autobahn(void **state) {
    (void)state;
    static const size_t pieces[] = {SIZE_MAX / 2, 1, 2, 3, 7, 997};
    for (size_t i = 0; i < COUNT_OF(AUTOBAHN); i++)
        for (size_t p = 0; p < COUNT_OF(pieces); p++)
            if (strlen(AUTOBAHN[i].sent) < 4096)
                run_case(&AUTOBAHN[i], pieces[p]);
}

/* 9.1 to 9.4 and 10.1: large messages, whole and in fragments down to 64 bytes. */
static void large_messages(void **state) {
    (void)state;
    static const struct {
        size_t len, fragment;
    } rows[] = {
        {64 << 10, 0},      {256 << 10, 0},      {1 << 20, 0},       {4 << 20, 0},
        {16 << 20, 0},      {4 << 20, 64},       {4 << 20, 256},     {4 << 20, 1 << 10},
        {4 << 20, 4 << 10}, {4 << 20, 64 << 10}, {4 << 20, 1 << 20}, {65536, 1300},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct peer peer;
        struct buf sent, words;
        size_t step = rows[i].fragment ? rows[i].fragment : rows[i].len;
        buf_init(&sent, OUT_BYTES);
        for (size_t at = 0; at < rows[i].len; at += step) {
            size_t len = rows[i].len - at < step ? rows[i].len - at : step;
            struct word word = {.first = (uint8_t)((at + len == rows[i].len ? 0x80 : 0) |
                                                   (at == 0 ? WS_TEXT : WS_CONTINUATION))};
            buf_init(&word.payload, OUT_BYTES);
            buf_reserve(&word.payload, len);
            memset(word.payload.at, 'x', len);
            word.payload.len = len;
            write_word(&sent, &word);
        }
        peer_upgrade(&peer);
        feed(&peer, buf_str(&sent), 65536);
        buf_init(&words, 1 << 10);
        show(&words, buf_str(&peer.out));
        char expected[32];
        snprintf(expected, sizeof(expected), "text:*%zu", rows[i].len);
        assert_true(str_eq(buf_str(&words), str_from(expected)));
        buf_release(&words);
        buf_release(&sent);
        peer_free(&peer);
    }
}

static void limits_hold(void **state) {
    (void)state;
    static const struct {
        struct ws_limits limits;
        struct autobahn row;
    } rows[] = {
        {{100, 10, 0}, {"at the limit", "text:*100", "text:*100", false}},
        {{100, 10, 0}, {"past it", "text:*101", "close:1009", true}},
        {{100, 10, 0}, {"refused by its head", "huge.text:", "close:1009", true}},
        {{100, 10, 0}, {"in fragments", "text-:*60 cont-:*40 cont:", "text:*100", false}},
        {{100, 10, 0}, {"in fragments, past it", "text-:*60 cont:*41", "close:1009", true}},
        {{100, 10, 0},
         {"control frames do not count", "text-:*60 ping:*125 cont:*40", "pong:*125 text:*100",
          false}},
        {{100, 10, 0},
         {"and the next message starts anew", "text:*100 text:*100", "text:*100 text:*100", false}},
        {{100, 3, 0}, {"fragments", "text-: cont-: cont:a", "text:a", false}},
        {{100, 3, 0}, {"too many fragments", "text-: cont-: cont-: cont:a", "close:1008", true}},
        {{100, 10, 3}, {"pings", "ping:1 ping:2 ping:3", "pong:1 pong:2 pong:3", false}},
        {{100, 10, 3},
         {"too many pings", "ping:1 ping:2 ping:3 ping:4 ping:5", "pong:1 pong:2 pong:3 close:1008",
          true}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        echo_limits = rows[i].limits;
        run_case(&rows[i].row, SIZE_MAX / 2);
    }
}

/* --- handshake -------------------------------------------------------------------------------- */

#define REQUEST    "GET /echo HTTP/1.1\r\nHost: 127.0.0.1:8420\r\n"
#define UPGRADE    "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define KEY        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION    "Sec-WebSocket-Version: 13\r\n"

static void handshake(void **state) {
    (void)state;
    static const struct {
        const char *head;
        const char *answered; /* parts of the answer, one after another, by '|' */
        const char *why;
    } rows[] = {
        {REQUEST UPGRADE CONNECTION KEY VERSION,
         "HTTP/1.1 101 |Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
         "the vector of RFC 6455"},
        {REQUEST "upgrade: WebSocket\r\nconnection: keep-alive, upgrade\r\n"
                 "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n",
         "HTTP/1.1 101 ", "other letters, a list"},
        {REQUEST UPGRADE "Connection: keep-alive\r\nConnection: Upgrade\r\n" KEY VERSION,
         "HTTP/1.1 101 ", "a list in two lines"},
        {REQUEST CONNECTION KEY VERSION, "HTTP/1.1 426 |Upgrade: websocket\r\n", "no Upgrade"},
        {REQUEST "Upgrade: h2c\r\n" CONNECTION KEY VERSION, "HTTP/1.1 426 |Upgrade: websocket\r\n",
         "another protocol"},
        {REQUEST UPGRADE KEY VERSION, "HTTP/1.1 400 ", "no Connection"},
        {REQUEST UPGRADE "Connection: close\r\n" KEY VERSION, "HTTP/1.1 400 ",
         "another Connection"},
        {REQUEST UPGRADE CONNECTION VERSION, "HTTP/1.1 400 ", "no key"},
        {REQUEST UPGRADE CONNECTION KEY KEY VERSION, "HTTP/1.1 400 ", "two keys"},
        {REQUEST UPGRADE CONNECTION "Sec-WebSocket-Key: c2hvcnQ=\r\n" VERSION, "HTTP/1.1 400 ",
         "a short key"},
        {REQUEST UPGRADE CONNECTION "Sec-WebSocket-Key: ZmlmdGVlbiBieXRlcyEh\r\n" VERSION,
         "HTTP/1.1 400 ", "15 bytes"},
        {REQUEST UPGRADE CONNECTION "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==\r\n" VERSION,
         "HTTP/1.1 400 ", "no base64"},
        {REQUEST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 8\r\n",
         "HTTP/1.1 426 |Sec-WebSocket-Version: 13\r\n", "an old version"},
        {REQUEST UPGRADE CONNECTION KEY, "HTTP/1.1 426 |Sec-WebSocket-Version: 13\r\n",
         "no version"},
        {REQUEST UPGRADE CONNECTION KEY VERSION "Origin: http://127.0.0.1:8420\r\n",
         "HTTP/1.1 101 ", "our own page"},
        {REQUEST UPGRADE CONNECTION KEY VERSION "Origin: http://evil.example\r\n", "HTTP/1.1 403 ",
         "another page"},
        {REQUEST UPGRADE CONNECTION KEY VERSION "Origin: http://127.0.0.1:9999\r\n",
         "HTTP/1.1 403 ", "another port"},
        {REQUEST UPGRADE CONNECTION KEY VERSION "Origin: null\r\n", "HTTP/1.1 403 ",
         "a sandboxed page"},
        {REQUEST UPGRADE CONNECTION KEY VERSION "Origin: https://app.example\r\n", "HTTP/1.1 101 ",
         "a listed page"},
        {REQUEST UPGRADE CONNECTION KEY VERSION "Origin: https://troupe.example\r\n",
         "HTTP/1.1 101 ", "the public address"},
        {REQUEST UPGRADE CONNECTION KEY VERSION "Sec-WebSocket-Protocol: troupe.v1\r\n",
         "HTTP/1.1 101 |Sec-WebSocket-Protocol: troupe.v1\r\n", "our subprotocol"},
        {REQUEST UPGRADE CONNECTION KEY VERSION "Sec-WebSocket-Protocol: chat, troupe.v1\r\n",
         "HTTP/1.1 101 |Sec-WebSocket-Protocol: troupe.v1\r\n", "one of several"},
        {REQUEST UPGRADE CONNECTION KEY VERSION "Sec-WebSocket-Protocol: chat\r\n",
         "HTTP/1.1 101 |!Sec-WebSocket-Protocol", "none of ours: answer none"},
        {REQUEST UPGRADE CONNECTION KEY VERSION
         "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
         "HTTP/1.1 101 |!Sec-WebSocket-Extensions", "extensions are declined"},
        {"POST /echo HTTP/1.1\r\nHost: 127.0.0.1:8420\r\nContent-Length: 0\r\n" UPGRADE CONNECTION
             KEY VERSION,
         "HTTP/1.1 405 |Allow: ", "not by POST"},
        {"GET /echo HTTP/1.0\r\nHost: 127.0.0.1:8420\r\n" UPGRADE CONNECTION KEY VERSION,
         "HTTP/1.1 400 ", "not in HTTP/1.0"},
        {REQUEST UPGRADE CONNECTION KEY VERSION "Content-Length: 3\r\n", "!HTTP/1.1 101 ",
         "no body"},
        {REQUEST UPGRADE CONNECTION KEY VERSION "Transfer-Encoding: chunked\r\n", "!HTTP/1.1 101 ",
         "no body in chunks"},
    };
    net_settings.allowed_origins = STR("https://other.example, https://app.example");
    net_settings.public_url = STR("https://troupe.example");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct peer peer;
        peer_open(&peer);
        conn_test_feed(peer.conn, str_from(rows[i].head));
        conn_test_feed(peer.conn, STR("\r\n"));
        conn_test_flush(peer.conn);
        struct str parts = str_from(rows[i].answered), part, out = buf_str(&peer.out);
        while (str_next(&parts, '|', &part)) {
            bool is_wanted = part.at[0] != '!';
            if (!is_wanted)
                part = str_slice(part, 1, part.len);
            if (str_has(out, part) != is_wanted)
                fail_msg("%s: " STR_FMT, rows[i].why, STR_ARG(out));
        }
        peer_free(&peer);
    }
    net_settings.allowed_origins = net_settings.public_url = STR_NONE;
}

/* Frames in the same segment as the request, and in the same as half of it. */
static void frames_behind_the_request(void **state) {
    (void)state;
    struct buf sent;
    buf_init(&sent, 1 << 16);
    buf_add_str(&sent, STR(GOOD_HEAD "\r\n"));
    write_words(&sent, STR("text:early ping:bird close:1000"));
    for (size_t cut = 1; cut < sent.len; cut++) {
        struct peer peer;
        struct buf shown;
        buf_init(&shown, 1 << 10);
        peer_open(&peer);
        conn_test_feed(peer.conn, str_slice(buf_str(&sent), 0, cut));
        conn_test_flush(peer.conn);
        conn_test_feed(peer.conn, str_slice(buf_str(&sent), cut, sent.len));
        conn_test_flush(peer.conn);
        struct str out = buf_str(&peer.out);
        ptrdiff_t end = str_find(out, STR("\r\n\r\n"), 0);
        assert_true(end > 0);
        show(&shown, str_slice(out, (size_t)end + 4, out.len));
        assert_true(str_eq(buf_str(&shown), STR("text:early pong:bird close:1000")));
        buf_release(&shown);
        peer_free(&peer);
    }
    buf_release(&sent);
}

static void half_close_ends_it(void **state) {
    (void)state;
    struct peer peer;
    peer_upgrade(&peer);
    conn_test_feed(peer.conn, str_of("\x81\x85", 2)); /* a frame begins */
    conn_test_feed(peer.conn, STR(""));
    conn_test_flush(peer.conn);
    assert_false(conn_is_open(peer.conn));
    assert_int_equal(peer.out.len, 0);
    peer_free(&peer);
}

/* A silent peer is pinged, then given up. */
static void keep_alive(void **state) {
    (void)state;
    struct peer peer;
    peer_upgrade(&peer);
    struct ws *ws = conn_state(peer.conn);
    for (int round = 0; round < 5; round++) { /* as long as anything comes it may live */
        ws_keep_alive(ws);
        ws_keep_alive(ws);
        struct buf pong;
        buf_init(&pong, 64);
        write_words(&pong, STR("pong:"));
        feed(&peer, buf_str(&pong), 100);
        assert_true(conn_is_open(peer.conn));
        buf_release(&pong);
    }
    assert_int_equal(peer.out.len, 10 * 2);
    assert_memory_equal(peer.out.at, "\x89\x00", 2);
    ws_keep_alive(ws);
    ws_keep_alive(ws);
    assert_true(conn_is_open(peer.conn));
    ws_keep_alive(ws);
    assert_false(conn_is_open(peer.conn));
    peer_free(&peer);
}

/* --- the reader alone ------------------------------------------------------------------------- */

struct heard {
    struct buf text; /* every message and control frame, a line each */
};

static bool hear_message(void *ctx, bool is_text, struct str bytes) {
    struct heard *heard = ctx;
    buf_add_str(&heard->text, is_text ? STR("text:") : STR("bin:"));
    show_payload(&heard->text, bytes);
    buf_add_char(&heard->text, '\n');
    return true;
}

static bool hear_control(void *ctx, enum ws_opcode opcode, struct str payload) {
    struct heard *heard = ctx;
    buf_printf(&heard->text, "control %d:", opcode);
    show_payload(&heard->text, payload);
    buf_add_char(&heard->text, '\n');
    return opcode != WS_CLOSE;
}

static const struct ws_sink HEAR = {hear_message, hear_control};

static bool deaf_message(void *ctx, bool is_text, struct str bytes) {
    (void)is_text;
    *(size_t *)ctx = bytes.len + 1;
    return true;
}

static const struct ws_sink DEAF = {deaf_message, NULL};

/* True while some way to go on would make the text valid. */
static bool is_viable(const uint8_t *bytes, size_t len) {
    static const uint8_t next[] = {0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF};
    uint8_t whole[8];
    memcpy(whole, bytes, len);
    for (int more = 0; more <= 3; more++) {
        size_t ways = more == 0 ? 1 : more == 1 ? 6 : more == 2 ? 36 : 216;
        for (size_t way = 0; way < ways; way++) {
            for (size_t i = 0, rest = way; i < (size_t)more; i++, rest /= 6)
                whole[len + i] = next[rest % 6];
            if (text_is_utf8(str_of((const char *)whole, len + (size_t)more)))
                return true;
        }
    }
    return false;
}

/* 6.5 to 6.23: all sequences of four border bytes, judged at the first byte that is too much. */
static void utf8_fails_at_the_first_bad_byte(void **state) {
    (void)state;
    static const uint8_t border[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF,
                                     0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED,
                                     0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
    enum { N = COUNT_OF(border) };
    uint8_t frame[6 + 4] = {0x81, 0x84, 0, 0, 0, 0};
    uint8_t *text = frame + 6;
    for (size_t i = 0; i < (size_t)N * N * N * N; i++) {
        text[0] = border[i % N];
        text[1] = border[i / N % N];
        text[2] = border[i / N / N % N];
        text[3] = border[i / N / N / N];
        struct ws_reader reader = {0};
        size_t got = 0, viable = 0;
        while (viable < 4 && is_viable(text, viable + 1))
            viable++;
        bool is_whole = viable == 4 && text_is_utf8(str_of((const char *)text, 4));
        int code = ws_read(&reader, str_of((const char *)frame, 6), &AMPLE, &DEAF, &got);
        size_t taken = 0;
        while (code == 0 && taken < 4)
            code = ws_read(&reader, str_of((const char *)text + taken++, 1), &AMPLE, &DEAF, &got);
        size_t expected_taken = viable < 4 ? viable + 1 : 4;
        if ((code == 0) != is_whole || (got != 0) != is_whole || taken != expected_taken)
            fail_msg("%02X %02X %02X %02X: code %d after %zu bytes", text[0], text[1], text[2],
                     text[3], code, taken);
        ws_reader_release(&reader);
    }
}

/* The same text with eight ASCII bytes before it and after it: the fast path meets every state. */
static void utf8_inside_ascii(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool is_valid;
    } rows[] = {
        {"abcdefgh\xC3\xA9"
         "abcdefghi",
         true},
        {"abcdefgh\xC3"
         "abcdefgh",
         false},
        {"abcdefgh\xE2\x82\xAC"
         "abcdefghi",
         true},
        {"abcdefghabcdefg\xE2\x82", false},
        {"\xF0\x9F\x98\x80"
         "abcdefghijklmnop",
         true},
        {"abcdefg\xF0\x9F\x98"
         "a",
         false},
        {"abcdefghijklmnopqrstuvwxyz\x80", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf sent;
        struct ws_reader reader = {0};
        size_t got = 0;
        struct word word = {.first = 0x81};
        buf_init(&sent, 1 << 10);
        buf_init(&word.payload, 1 << 10);
        buf_add_str(&word.payload, str_from(rows[i].text));
        write_word(&sent, &word);
        int code = ws_read(&reader, buf_str(&sent), &AMPLE, &DEAF, &got);
        assert_int_equal(code, rows[i].is_valid ? 0 : WS_CODE_NOT_UTF8);
        ws_reader_release(&reader);
        buf_release(&sent);
    }
}

/* At rest a reader owns nothing; in the middle of anything it does. */
static void idle_reader_owns_nothing(void **state) {
    (void)state;
    struct buf sent;
    struct ws_reader reader = {0};
    size_t got = 0;
    buf_init(&sent, 1 << 10);
    write_words(&sent, STR("text:Hello"));
    for (size_t i = 0; i < sent.len; i++) {
        assert_int_equal(ws_read(&reader, str_of(sent.at + i, 1), &AMPLE, &DEAF, &got), 0);
        assert_true((reader.assembly != NULL) == (i >= 5 && i < sent.len - 1));
    }
    assert_int_equal(got, 6);
    assert_null(reader.assembly);
    assert_in_range(sizeof(struct ws_reader), 1, 56);
    assert_in_range(sizeof(struct ws), 1, 96);
    buf_release(&sent);
}

/* --- wslay writes, we read -------------------------------------------------------------------- */

static ssize_t wslay_to_buf(const uint8_t *data, size_t len, int flags, void *ctx) {
    (void)flags;
    buf_add(ctx, data, len);
    return (ssize_t)len;
}

static int wslay_mask(uint8_t *out, size_t len, void *ctx) {
    (void)ctx;
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)rand();
    return 0;
}

static void another_writer(void **state) {
    (void)state;
    static const size_t lens[] = {0, 1, 7, 8, 9, 124, 125, 126, 127, 4096, 65535, 65536, 100000};
    static const uint8_t opcodes[] = {WS_TEXT, WS_BINARY, WS_PING, WS_PONG};
    struct buf sent;
    struct heard whole, pieces;
    wslay_frame_context_ptr writer;
    struct wslay_frame_callbacks callbacks = {wslay_to_buf, NULL, wslay_mask};
    buf_init(&sent, 16 << 20);
    buf_init(&whole.text, 16 << 20);
    buf_init(&pieces.text, 16 << 20);
    assert_int_equal(wslay_frame_context_init(&writer, &callbacks, &sent), 0);
    for (int i = 0; i < 2000; i++) {
        uint8_t opcode = opcodes[rand() % 4];
        size_t len = opcode >= 8 ? (size_t)(rand() % 126) : lens[(size_t)rand() % COUNT_OF(lens)];
        if (i > 200 && len > 200)
            continue;
        uint8_t *payload = malloc(len + 1);
        for (size_t n = 0; n < len; n++)
            payload[n] = opcode == WS_TEXT ? (uint8_t)(rand() % 128) : (uint8_t)rand();
        struct wslay_frame_iocb frame = {.fin = 1,
                                         .opcode = opcode,
                                         .payload_length = len,
                                         .mask = 1,
                                         .data = payload,
                                         .data_length = len};
        assert_int_equal(wslay_frame_send(writer, &frame), len);
        if (opcode >= 8)
            hear_control(&whole, opcode, str_of((char *)payload, len));
        else
            hear_message(&whole, opcode == WS_TEXT, str_of((char *)payload, len));
        free(payload);
    }
    struct ws_reader reader = {0};
    for (size_t at = 0; at < sent.len;) {
        size_t piece = 1 + (size_t)rand() % 3000;
        struct str part = str_slice(buf_str(&sent), at, at + piece);
        assert_int_equal(ws_read(&reader, part, &AMPLE, &HEAR, &pieces), 0);
        at += part.len;
    }
    assert_true(str_eq(buf_str(&whole.text), buf_str(&pieces.text)));
    assert_null(reader.assembly);
    wslay_frame_context_free(writer);
    buf_release(&sent);
    buf_release(&whole.text);
    buf_release(&pieces.text);
}

int main(void) {
#define WS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WS_TEST(autobahn),
        WS_TEST(large_messages),
        WS_TEST(limits_hold),
        WS_TEST(handshake),
        WS_TEST(frames_behind_the_request),
        WS_TEST(half_close_ends_it),
        WS_TEST(keep_alive),
        cmocka_unit_test(utf8_fails_at_the_first_bad_byte),
        cmocka_unit_test(utf8_inside_ascii),
        cmocka_unit_test(idle_reader_owns_nothing),
        cmocka_unit_test(another_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
