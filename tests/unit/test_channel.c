/* links: troupe_net troupe_embedded */
/*
 * Channels on their two carriers, on connections without sockets: signing in on a WebSocket, what a
 * stranger may not do, the frames of an SSE stream, ends that concern many, and the sweep.
 */
#include "base/check.h"
#include "base/clock.h"
#include "loop/loop.h"
#include "net/channel.h"
#include "net/conn.h"
#include "net/limit.h"
#include "net/router.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "ws_words.h"

/* --- the world around --------------------------------------------------------------------------
 */

static char clock_path[32];
static int clock_file;
static int identified;

static void move_clock(int64_t ms) {
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)ms >> (8 * i));
    assert_int_equal(pwrite(clock_file, bytes, sizeof(bytes), 0), sizeof(bytes));
}

/* Tokens: "ann" and "ann-again" are user 1 by sessions 11 and 12, "bob" user 2 by key 21,
 * "short" user 3 whose token ends in a minute. */
static enum err identify(struct str token, struct caller *caller) {
    identified++;
    if (str_eq(token, STR("ann")))
        *caller = (struct caller){.user_id = 1, .session_id = 11, .role = ROLE_MEMBER};
    else if (str_eq(token, STR("ann-again")))
        *caller = (struct caller){.user_id = 1, .session_id = 12, .role = ROLE_MEMBER};
    else if (str_eq(token, STR("bob")))
        *caller = (struct caller){.user_id = 2, .api_key_id = 21, .role = ROLE_MEMBER};
    else if (str_eq(token, STR("short")))
        *caller = (struct caller){.user_id = 3,
                                  .session_id = 31,
                                  .role = ROLE_MEMBER,
                                  .until_ms = clock_now_ms() + 60000};
    else
        return E_DENIED;
    caller->scopes = SCOPE_ALL;
    return E_OK;
}

static struct channel *newest;
static int closed_count;
static struct buf said; /* what the owner was told */

static void received(struct channel *channel, struct str type, const struct json_value *frame,
                     struct arena *arena) {
    (void)arena;
    newest = channel;
    buf_add_str(&said, type);
    buf_add_char(&said, json_member(frame, "data") ? '+' : '-');
}

static void closed(struct channel *channel) {
    (void)channel;
    closed_count++;
}

static const struct channel_owner owner = {received, closed};

static void get_events(struct request *request) {
    newest = channel_from_request(request, &owner);
}

static void get_plain(struct request *request) {
    reply_bytes(request, 200, STR("text/plain"), STR("plain"));
}

static struct request *waiting;

static void get_later(struct request *request) {
    waiting = request;
}

static const struct route test_routes[] = {
    {.method = METHOD_GET, .pattern = "/later", .handle = get_later, .who = WHO_ANYONE},
    {.method = METHOD_GET,
     .pattern = "/events",
     .handle = get_events,
     .who = WHO_MEMBER,
     .scope = SCOPE_CHAT},
    {.method = METHOD_GET, .pattern = "/plain", .handle = get_plain, .who = WHO_ANYONE},
    {0}};
static const struct route *const tables[] = {ws_routes, test_routes, NULL};

static int set_up(void **state) {
    (void)state;
    snprintf(clock_path, sizeof(clock_path), "/tmp/troupe-chan-XXXXXX");
    clock_file = mkstemp(clock_path);
    setenv("TROUPE_TEST_CLOCK", clock_path, 1);
    clock_init();
    move_clock(0);
    loop_init();
    router_init(tables);
    router_hooks(&(struct router_hooks){.identify = identify});
    channel_serve_websockets(&owner);
    buf_init(&said, 1 << 20);
    newest = NULL;
    closed_count = identified = 0;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    assert_int_equal(channel_count(), 0);
    buf_release(&said);
    router_release();
    limit_release();
    loop_release();
    close(clock_file);
    unlink(clock_path);
    return 0;
}

/* --- a peer ------------------------------------------------------------------------------------
 */

struct peer {
    struct conn *conn;
    struct buf out;
};

static void sink(void *ctx, struct str bytes) {
    buf_add_str(&((struct peer *)ctx)->out, bytes);
}

static void open_peer(struct peer *peer, const char *head) {
    buf_init(&peer->out, OUT_BYTES);
    peer->conn = conn_test_new(sink, peer);
    conn_test_feed(peer->conn, str_from(head));
    conn_test_flush(peer->conn);
}

static void free_peer(struct peer *peer) {
    conn_test_free(peer->conn);
    buf_release(&peer->out);
}

#define SOCKET_HEAD                                                 \
    "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n" \
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"          \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: troupe.v1\r\n"

/* Forgets the 101; what followed it stays. */
static void drop_head(struct peer *peer) {
    struct str out = buf_str(&peer->out);
    ptrdiff_t end = str_find(out, STR("\r\n\r\n"), 0);
    assert_true(str_starts(out, STR("HTTP/1.1 101 ")) && end > 0);
    assert_true(str_has(out, STR("Sec-WebSocket-Protocol: troupe.v1\r\n")));
    buf_drop_front(&peer->out, (size_t)end + 4);
}

static void open_socket(struct peer *peer) {
    open_peer(peer, SOCKET_HEAD "\r\n");
    drop_head(peer);
}

/* Sends frames, gives what came back since the last look. Borrowed until the next call. */
static const char *say(struct peer *peer, const char *words) {
    static char shown[16384];
    struct buf sent, out;
    buf_init(&sent, OUT_BYTES);
    buf_init(&out, sizeof(shown) - 1);
    write_words(&sent, str_from(words));
    if (sent.len > 0)
        conn_test_feed(peer->conn, buf_str(&sent));
    conn_test_flush(peer->conn);
    show(&out, buf_str(&peer->out));
    buf_clear(&peer->out);
    memcpy(shown, out.len ? out.at : "", out.len);
    shown[out.len] = 0;
    buf_release(&sent);
    buf_release(&out);
    return shown;
}

#define HELLO_ANN "text:{\"type\":\"auth\",\"token\":\"ann\"}"
#define OK_1      "text:{\"type\":\"auth:ok\",\"data\":{\"user_id\":\"0000000000001\"}}"
#define OK_2      "text:{\"type\":\"auth:ok\",\"data\":{\"user_id\":\"0000000000002\"}}"

/* --- signing in --------------------------------------------------------------------------------
 */

static void signs_in_by_first_message(void **state) {
    (void)state;
    struct peer peer;
    open_socket(&peer);
    assert_int_equal(channel_count(), 1);
    assert_string_equal(say(&peer, HELLO_ANN), OK_1);
    assert_string_equal(
        say(&peer, "text:{\"type\":\"a\",\"data\":{\"x\":1}} text:{\"type\":\"b\",\"x\":1}"), "");
    assert_true(str_eq(buf_str(&said), STR("a+b-")));
    assert_int_equal(channel_caller(newest)->user_id, 1);
    free_peer(&peer);
    assert_int_equal(closed_count, 1);
}

static void signs_in_with_the_token_in_data(void **state) {
    (void)state;
    struct peer peer;
    open_socket(&peer);
    assert_string_equal(say(&peer, "text:{\"type\":\"auth\",\"data\":{\"token\":\"bob\"}}"), OK_2);
    free_peer(&peer);
}

static void signs_in_by_header(void **state) {
    (void)state;
    struct peer peer;
    open_peer(&peer, SOCKET_HEAD "Authorization: Bearer bob\r\n\r\n");
    drop_head(&peer);
    assert_string_equal(say(&peer, "text:{\"type\":\"a\"}"), OK_2);
    assert_true(str_eq(buf_str(&said), STR("a-")));
    free_peer(&peer);
}

static void a_bad_header_is_no_upgrade(void **state) {
    (void)state;
    struct peer peer;
    open_peer(&peer, SOCKET_HEAD "Authorization: Bearer wrong\r\n\r\n");
    assert_true(str_starts(buf_str(&peer.out), STR("HTTP/1.1 401 ")));
    assert_int_equal(channel_count(), 0);
    free_peer(&peer);
}

/* Whatever a stranger sends but a good token: an error, 4401, nothing for the owner. */
static void strangers_are_turned_away(void **state) {
    (void)state;
    static const char *const rows[] = {
        "text:{\"type\":\"auth\",\"token\":\"wrong\"}",
        "text:{\"type\":\"auth\",\"token\":\"\"}",
        "text:{\"type\":\"auth\",\"token\":5}",
        "text:{\"type\":\"auth\"}",
        "text:{\"type\":\"ping\"}",
        "text:{\"type\":\"conversation:join\",\"data\":{\"id\":\"0000000000001\"}}",
        "text:{}",
        "text:[]",
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct peer peer;
        open_socket(&peer);
        struct str answer = str_from(say(&peer, rows[i]));
        if (!str_starts(answer,
                        STR("text:{\"type\":\"error\",\"data\":{\"code\":\"unauthorized\"")) ||
            !str_ends(answer, STR(" close:4401")))
            fail_msg("%s: " STR_FMT, rows[i], STR_ARG(answer));
        assert_string_equal(say(&peer, HELLO_ANN), ""); /* too late */
        assert_string_equal(say(&peer, "close:4401"), "");
        assert_false(conn_is_open(peer.conn));
        free_peer(&peer);
    }
    assert_int_equal(said.len, 0);
}

static void strangers_may_say_little(void **state) {
    (void)state;
    struct peer peer;
    open_socket(&peer);
    assert_string_equal(say(&peer, "text:*12289"), "close:1009");
    free_peer(&peer);
    open_socket(&peer);
    say(&peer, HELLO_ANN);
    struct str answer = str_from(say(&peer, "text:*12289")); /* no JSON, but not too long */
    assert_true(str_has(answer, STR("\"code\":\"invalid_json\"")));
    free_peer(&peer);
}

static void tokens_are_renewed(void **state) {
    (void)state;
    struct peer peer;
    open_socket(&peer);
    say(&peer, HELLO_ANN);
    assert_string_equal(say(&peer, "text:{\"type\":\"auth\",\"token\":\"ann-again\"}"), OK_1);
    say(&peer, "text:{\"type\":\"a\"}");
    assert_int_equal(channel_caller(newest)->session_id, 12);
    struct str answer = str_from(say(&peer, "text:{\"type\":\"auth\",\"token\":\"bob\"}"));
    assert_true(str_ends(answer, STR(" close:4401"))); /* a socket does not change hands */
    free_peer(&peer);
}

/* Guessing costs: after some wrong tokens the address is not even asked any more. */
static void wrong_tokens_are_counted(void **state) {
    (void)state;
    limits.bad_tokens_per_minute = 60;
    int asked = 0;
    for (int i = 0; i < 200; i++) {
        struct peer peer;
        open_socket(&peer);
        say(&peer, "text:{\"type\":\"auth\",\"token\":\"wrong\"}");
        free_peer(&peer);
        if (identified == asked)
            break;
        asked = identified;
    }
    assert_in_range(asked, 60, 61);
    limits.bad_tokens_per_minute = 0;
}

static void what_is_no_frame(void **state) {
    (void)state;
    struct peer peer;
    open_socket(&peer);
    say(&peer, HELLO_ANN);
    assert_true(str_has(str_from(say(&peer, "text:nonsense")), STR("\"code\":\"invalid_json\"")));
    assert_true(str_has(str_from(say(&peer, "text:{\"type\":5}")), STR("\"code\":\"invalid\"")));
    assert_true(str_has(str_from(say(&peer, "text:7")), STR("\"code\":\"invalid\"")));
    assert_int_equal(said.len, 0);
    assert_string_equal(say(&peer, "bin:%00"), "close:1003");
    free_peer(&peer);
}

/* --- ends --------------------------------------------------------------------------------------
 */

static void sessions_end(void **state) {
    (void)state;
    static const struct {
        int64_t user_id, session_id, api_key_id;
        bool ends_ann, ends_again, ends_bob;
        const char *why;
    } rows[] = {
        {0, 0, 0, false, false, false, "0 matches nothing"},
        {0, 11, 0, true, false, false, "one session"},
        {1, 0, 0, true, true, false, "all of a person"},
        {0, 0, 21, false, false, true, "a key"},
        {9, 99, 999, false, false, false, "somebody else's"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct peer ann, again, bob;
        open_socket(&ann);
        open_socket(&again);
        open_socket(&bob);
        say(&ann, HELLO_ANN);
        say(&again, "text:{\"type\":\"auth\",\"token\":\"ann-again\"}");
        say(&bob, "text:{\"type\":\"auth\",\"token\":\"bob\"}");
        channel_end_session(rows[i].user_id, rows[i].session_id, rows[i].api_key_id);
        if (strcmp(say(&ann, ""), rows[i].ends_ann ? "close:4401" : "") != 0 ||
            strcmp(say(&again, ""), rows[i].ends_again ? "close:4401" : "") != 0 ||
            strcmp(say(&bob, ""), rows[i].ends_bob ? "close:4401" : "") != 0)
            fail_msg("%s", rows[i].why);
        free_peer(&ann);
        free_peer(&again);
        free_peer(&bob);
    }
}

static void the_session_that_asks_stays(void **state) {
    (void)state;
    struct peer ann, again, bob;
    open_socket(&ann);
    open_socket(&again);
    open_socket(&bob);
    say(&ann, HELLO_ANN);
    say(&again, "text:{\"type\":\"auth\",\"token\":\"ann-again\"}");
    say(&bob, "text:{\"type\":\"auth\",\"token\":\"bob\"}");
    channel_end_other_sessions(1, 11);
    assert_string_equal(say(&ann, ""), "");
    assert_string_equal(say(&again, ""), "close:4401");
    assert_string_equal(say(&bob, ""), ""); /* somebody else */
    channel_end_other_sessions(2, 77);
    assert_string_equal(say(&bob, ""), ""); /* a key is no session */
    free_peer(&ann);
    free_peer(&again);
    free_peer(&bob);
}

static void a_stop_says_1001(void **state) {
    (void)state;
    struct peer peer;
    open_socket(&peer);
    say(&peer, HELLO_ANN);
    channel_drain();
    assert_string_equal(say(&peer, ""), "close:1001");
    free_peer(&peer);
}

static void slow_readers_get_1013(void **state) {
    (void)state;
    struct peer peer;
    static char big[200000];
    open_socket(&peer);
    say(&peer, HELLO_ANN);
    say(&peer, "text:{\"type\":\"a\"}");
    memset(big, 'x', sizeof(big));
    memcpy(big, "\"", 1);
    big[sizeof(big) - 1] = '"';
    struct frame *frame = frame_new("t", 0, 0, str_of(big, sizeof(big)));
    for (int i = 0; i < 10; i++) /* without a flush: nothing leaves */
        channel_send(newest, frame);
    assert_int_equal(frame->references, 1 + 6); /* past 1 MiB with the sixth, then no more */
    assert_false(channel_is_open(newest));
    conn_test_flush(peer.conn);
    assert_int_equal(frame->references, 1);
    struct str out = buf_str(&peer.out);
    assert_true(str_has(str_slice(out, out.len - 60, out.len), STR("\x03\xF5too slow")));
    frame_let_go(frame);
    free_peer(&peer);
}

/* --- the sweep ---------------------------------------------------------------------------------
 */

static struct {
    struct peer peers[3];
    int64_t now_ms;
    int rounds;
    int64_t step_ms;
    struct timer step;
    void (*each)(void);
} sweep;

static void stop_loop(void *ctx) {
    (void)ctx;
    loop_stop(0);
}

static void step(void *ctx) {
    if (sweep.each != NULL)
        sweep.each();
    if (sweep.rounds-- == 0) {
        stop_loop(ctx);
        return;
    }
    sweep.now_ms += sweep.step_ms;
    move_clock(sweep.now_ms);
    timer_start(&sweep.step, 5, step, NULL);
}

/* Lets `rounds` times step_ms pass; each() runs after each. */
static void pass(int rounds, int64_t step_ms, void (*each)(void)) {
    sweep.now_ms = 0;
    sweep.rounds = rounds;
    sweep.step_ms = step_ms;
    sweep.each = each;
    timer_start(&sweep.step, 1, step, NULL);
    loop_run();
}

static void answer_pings(void) {
    say(&sweep.peers[0], "pong:");
}

/* One peer answers, one is silent: the second is given up after two pings. */
static void silent_peers_are_given_up(void **state) {
    (void)state;
    open_socket(&sweep.peers[0]);
    open_socket(&sweep.peers[1]);
    say(&sweep.peers[0], HELLO_ANN);
    say(&sweep.peers[1], HELLO_ANN);
    pass(10, 14000, answer_pings);
    assert_true(conn_is_open(sweep.peers[0].conn));
    assert_false(conn_is_open(sweep.peers[1].conn));
    assert_string_equal(say(&sweep.peers[1], ""), "ping: ping:");
    free_peer(&sweep.peers[0]);
    free_peer(&sweep.peers[1]);
}

static bool was_closed;

static void look_for_close(void) {
    was_closed |= str_has(str_from(say(&sweep.peers[0], "pong:")), STR("close:4401"));
    say(&sweep.peers[1], "pong:");
}

/* The token of the first ends after a minute; then it has another minute. The second has no end. */
static void expired_tokens_end_a_socket(void **state) {
    (void)state;
    static const struct {
        int steps_of_14_s;
        bool is_closed;
        const char *why;
    } rows[] = {
        {7, false, "98 s: expired for 38 s, a late renewal would still do"},
        {11, true, "154 s: expired for more than a minute"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        was_closed = false;
        open_socket(&sweep.peers[0]);
        open_socket(&sweep.peers[1]);
        say(&sweep.peers[0], "text:{\"type\":\"auth\",\"token\":\"short\"}");
        say(&sweep.peers[1], HELLO_ANN);
        pass(rows[i].steps_of_14_s, 14000, look_for_close);
        if (was_closed != rows[i].is_closed)
            fail_msg("%s", rows[i].why);
        assert_string_equal(say(&sweep.peers[1], "text:{\"type\":\"a\"}"), "");
        assert_true(conn_is_open(sweep.peers[1].conn));
        free_peer(&sweep.peers[0]);
        free_peer(&sweep.peers[1]);
        loop_release();
        move_clock(0);
        loop_init();
    }
}

/* --- SSE ---------------------------------------------------------------------------------------
 */

#define EVENTS_HEAD "GET /events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ann\r\n\r\n"

static bool shows(const struct peer *peer, const char *part) {
    return str_has(buf_str(&peer->out), str_from(part));
}

static void events_stream(void **state) {
    (void)state;
    struct peer peer;
    open_peer(&peer, EVENTS_HEAD);
    assert_true(shows(&peer, "HTTP/1.1 200 "));
    assert_true(shows(&peer, "text/event-stream"));
    assert_true(shows(&peer, "no-store"));
    assert_true(shows(&peer, "X-Accel-Buffering: no\r\n"));
    assert_true(shows(&peer, "retry: 2000\n\n"));
    assert_true(channel_is_single(newest));
    struct frame *frame = frame_new("message:updated", 7, 0, STR("{\"a\":1}"));
    channel_send(newest, frame);
    frame_let_go(frame);
    conn_test_flush(peer.conn);
    assert_true(shows(&peer, "id: 7\nevent: message:updated\ndata: "
                             "{\"type\":\"message:updated\",\"seq\":7,\"data\":{\"a\":1}}\n\n"));
    channel_finish(newest);
    conn_test_flush(peer.conn);
    assert_true(shows(&peer, "\r\n0\r\n\r\n")); /* a whole body, and the connection serves on */
    assert_int_equal(closed_count, 1);
    conn_test_feed(peer.conn, STR("GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    conn_test_flush(peer.conn);
    assert_true(shows(&peer, "plain"));
    free_peer(&peer);
}

static void events_need_a_person(void **state) {
    (void)state;
    struct peer peer;
    open_peer(&peer, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_true(shows(&peer, "HTTP/1.1 401 "));
    free_peer(&peer);
    open_peer(&peer,
              "HEAD /events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ann\r\n\r\n");
    assert_true(shows(&peer, "HTTP/1.1 200 "));
    assert_false(channel_is_open(newest));
    free_peer(&peer);
    assert_int_equal(closed_count, 0);
    pass(1, 0, NULL);
    assert_int_equal(closed_count, 1);
}

/* A handler that waited (for a commit, say) answers a peer who has left: nothing to answer, and
 * nothing to fall over. */
static void bug_stream_for_a_peer_who_left(void **state) {
    (void)state;
    struct peer peer;
    open_peer(&peer, "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n");
    free_peer(&peer);
    struct channel *channel = channel_from_request(waiting, &owner);
    channel_set(channel, &peer);
    channel_tell(channel, "t", STR_NONE);
    assert_false(channel_is_open(channel));
    assert_int_equal(channel_unsent_bytes(channel), 0);
    assert_int_equal(closed_count, 0);
    channel_finish(channel);
    pass(3, 14000, NULL);
    assert_int_equal(closed_count, 1);
}

static void listeners_that_leave_are_noticed(void **state) {
    (void)state;
    struct peer peer;
    open_peer(&peer, EVENTS_HEAD);
    conn_test_feed(peer.conn, STR(""));
    conn_test_flush(peer.conn);
    assert_false(conn_is_open(peer.conn));
    free_peer(&peer);
    assert_int_equal(closed_count, 1);
}

static void ended_sessions_end_streams(void **state) {
    (void)state;
    struct peer peer;
    open_peer(&peer, EVENTS_HEAD);
    channel_end_session(0, 11, 0);
    conn_test_flush(peer.conn);
    assert_true(shows(&peer, "\r\n0\r\n\r\n"));
    assert_int_equal(channel_count(), 0);
    free_peer(&peer);
}

static void slow_streams_are_cut(void **state) {
    (void)state;
    struct peer peer;
    static char big[400000];
    memset(big, '1', sizeof(big));
    open_peer(&peer, EVENTS_HEAD);
    struct frame *frame = frame_new("t", 1, 0, str_of(big, sizeof(big)));
    for (int i = 0; i < 4; i++)
        channel_send(newest, frame);
    assert_false(channel_is_open(newest));
    assert_false(conn_is_open(peer.conn));
    free_peer(&peer);
    assert_int_equal(frame->references, 1);
    frame_let_go(frame);
}

static void comments_keep_streams_awake(void **state) {
    (void)state;
    open_peer(&sweep.peers[0], EVENTS_HEAD);
    buf_clear(&sweep.peers[0].out);
    pass(4, 14000, NULL);
    conn_test_flush(sweep.peers[0].conn);
    assert_string_equal((buf_add_char(&sweep.peers[0].out, 0), sweep.peers[0].out.at),
                        "3\r\n:\n\n\r\n3\r\n:\n\n\r\n3\r\n:\n\n\r\n3\r\n:\n\n\r\n");
    free_peer(&sweep.peers[0]);
}

int main(void) {
#define CHANNEL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CHANNEL_TEST(signs_in_by_first_message),
        CHANNEL_TEST(signs_in_with_the_token_in_data),
        CHANNEL_TEST(signs_in_by_header),
        CHANNEL_TEST(a_bad_header_is_no_upgrade),
        CHANNEL_TEST(strangers_are_turned_away),
        CHANNEL_TEST(strangers_may_say_little),
        CHANNEL_TEST(tokens_are_renewed),
        CHANNEL_TEST(wrong_tokens_are_counted),
        CHANNEL_TEST(what_is_no_frame),
        CHANNEL_TEST(sessions_end),
        CHANNEL_TEST(the_session_that_asks_stays),
        CHANNEL_TEST(a_stop_says_1001),
        CHANNEL_TEST(slow_readers_get_1013),
        CHANNEL_TEST(silent_peers_are_given_up),
        CHANNEL_TEST(expired_tokens_end_a_socket),
        CHANNEL_TEST(events_stream),
        CHANNEL_TEST(events_need_a_person),
        CHANNEL_TEST(bug_stream_for_a_peer_who_left),
        CHANNEL_TEST(listeners_that_leave_are_noticed),
        CHANNEL_TEST(ended_sessions_end_streams),
        CHANNEL_TEST(slow_streams_are_cut),
        CHANNEL_TEST(comments_keep_streams_awake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
