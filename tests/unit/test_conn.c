/* links: troupe_net troupe_embedded */
#include "rig_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct conn *other; /* upgraded or streaming */
static struct buf heard;
static int closed_calls, let_go_calls, hold_calls;
static char state_mark;

static void other_received(struct conn *conn, struct str bytes) {
    assert_ptr_equal(conn_state(conn), &state_mark);
    buf_add_str(&heard, bytes);
}

static void other_closed(struct conn *conn) {
    assert_ptr_equal(conn, other);
    closed_calls++;
    other = NULL;
}

static const struct conn_protocol OTHER = {
    .name = "other", .received = other_received, .closed = other_closed};

static void answer_upgrade(struct request *request) {
    reply_header(request, "X-Extra", STR("yes"));
    other = request_upgrade(request, "other", &OTHER, &state_mark);
}

static void answer_stream(struct request *request) {
    other = request_stream(request, 200, STR("text/event-stream"), &OTHER, &state_mark);
}

static void answer_plain(struct request *request) {
    reply_bytes(request, 200, STR("text/plain"), STR("plain"));
}

static void answer_huge(struct request *request) {
    char *bytes = arena_alloc(request->arena, 20 << 20);
    memset(bytes, 'h', 20 << 20);
    reply_bytes(request, 200, STR("text/plain"), str_of(bytes, 20 << 20));
}

static void answer_raw(struct request *request) {
    reply_empty(request, 204);
}

static const struct route ROUTES[] = {
    {METHOD_GET, "/upgrade", answer_upgrade},
    {METHOD_GET, "/stream", answer_stream},
    {METHOD_GET, "/plain", answer_plain},
    {METHOD_GET, "/huge", answer_huge},
    {METHOD_POST, "/raw", answer_raw, .is_raw = true, .body_limit_bytes = 100},
    {0}};
static const struct route *const TABLES[] = {ROUTES, NULL};

static int setup(void **state) {
    (void)state;
    other = NULL;
    closed_calls = let_go_calls = hold_calls = 0;
    buf_init(&heard, 1 << 20);
    rig_start(TABLES);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    rig_stop();
    buf_release(&heard);
    return 0;
}

static void let_go(void *owner) {
    assert_ptr_equal(owner, &let_go_calls);
    let_go_calls++;
}

#define ASK(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"

/* --- without sockets -------------------------------------------------------------------------- */

static void an_upgrade_hands_over_what_came_behind(void **state) {
    (void)state;
    for (int cut = 0; cut < CUTS; cut++) {
        struct rig rig;
        closed_calls = 0;
        buf_clear(&heard);
        rig_open(&rig);
        rig_feed(&rig,
                 STR("GET /upgrade HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
                     "Upgrade: other\r\n\r\nhello, frames"),
                 (enum cut)cut);
        assert_int_equal(rig_status(&rig, 0), 101);
        assert_true(rig_has(&rig, "Upgrade: other\r\nConnection: Upgrade\r\n"));
        assert_true(rig_has(&rig, "X-Extra: yes\r\n"));
        assert_false(rig_has(&rig, "Content-Length"));
        assert_true(str_eq(buf_str(&heard), STR("hello, frames")));
        conn_send(other, "answer", 6);
        conn_test_flush(rig.conn);
        assert_true(rig_has(&rig, "\r\n\r\nanswer"));
        assert_int_equal(closed_calls, 0);
        rig_close(&rig);
        assert_int_equal(closed_calls, 1);
    }
}

static void a_stream_is_chunked_and_the_next_request_follows(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    rig_feed(&rig, STR(ASK("/stream") ASK("/plain")), CUT_WHOLE);
    assert_int_equal(rig_answers(&rig), 1);
    conn_send(other, "one", 3);
    conn_send_shared(other, STR("twenty letters long."), let_go, &let_go_calls);
    conn_test_flush(rig.conn);
    assert_true(rig_has(&rig, "Transfer-Encoding: chunked\r\n"));
    assert_true(rig_has(&rig, "\r\n\r\n3\r\none\r\n14\r\ntwenty letters long.\r\n"));
    assert_int_equal(let_go_calls, 1);
    conn_stream_end(other);
    assert_int_equal(closed_calls, 0); /* never inside the call */
    conn_test_flush(rig.conn);
    assert_int_equal(closed_calls, 1);
    assert_true(rig_has(&rig, "\r\n0\r\n\r\nHTTP/1.1 200"));
    assert_true(rig_has(&rig, "plain"));
    rig_close(&rig);
    assert_int_equal(closed_calls, 1);
}

static void a_stream_for_http_10_ends_with_the_connection(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    rig_feed(&rig, STR("GET /stream HTTP/1.0\r\nHost: localhost\r\n\r\n"), CUT_WHOLE);
    conn_send(other, "one", 3);
    conn_stream_end(other);
    conn_test_flush(rig.conn);
    assert_false(rig_has(&rig, "chunked"));
    assert_true(rig_has(&rig, "\r\n\r\none"));
    assert_false(conn_is_open(rig.conn));
    rig_close(&rig);
    assert_int_equal(closed_calls, 1);
}

static void a_stream_that_asked_to_close_is_the_last_answer(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    rig_feed(
        &rig,
        STR("GET /stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" ASK("/plain")),
        CUT_WHOLE);
    conn_stream_end(other);
    conn_test_flush(rig.conn);
    assert_int_equal(rig_answers(&rig), 1);
    assert_false(conn_is_open(rig.conn));
    rig_close(&rig);
}

static void a_stream_cut_off_has_no_last_chunk(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    rig_feed(&rig, STR(ASK("/stream")), CUT_WHOLE);
    conn_send(other, "one", 3);
    conn_close(other);
    conn_send_shared(other, STR("late"), let_go, &let_go_calls);
    assert_int_equal(let_go_calls, 1); /* dropped, but let go */
    conn_test_flush(rig.conn);
    assert_true(rig_has(&rig, "3\r\none\r\n"));
    assert_false(rig_has(&rig, "\r\n0\r\n"));
    assert_false(rig_has(&rig, "late"));
    rig_close(&rig);
    assert_int_equal(closed_calls, 1);
}

static void the_listener_of_a_stream_leaves(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    rig_feed(&rig, STR(ASK("/stream")), CUT_WHOLE);
    conn_test_feed(rig.conn, STR(""));
    assert_false(conn_is_open(rig.conn));
    rig_close(&rig);
    assert_int_equal(closed_calls, 1);
}

static void head_of_a_stream_has_no_body(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    rig_feed(&rig, STR("HEAD /stream HTTP/1.1\r\nHost: localhost\r\n\r\n" ASK("/plain")),
             CUT_WHOLE);
    assert_null(other);
    assert_int_equal(rig_answers(&rig), 2);
    assert_true(rig_has(&rig, "\r\n\r\nHTTP/1.1 200"));
    rig_close(&rig);
    assert_int_equal(closed_calls, 0);
}

/* Many pieces, small and large, owned and copied, keep their order and are let go once each. */
static void the_queue_keeps_order_and_owners(void **state) {
    (void)state;
    static char bytes[5000];
    struct rig rig;
    struct buf expected;
    buf_init(&expected, 32 << 20);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)('A' + i % 26);
    rig_open(&rig);
    rig_feed(&rig, STR("GET /upgrade HTTP/1.1\r\nHost: localhost\r\n\r\n"), CUT_WHOLE);
    buf_clear(&rig.out);
    srand(7);
    for (int i = 0; i < 3000; i++) {
        size_t len = (size_t)rand() % (i % 10 == 0 ? sizeof(bytes) : 300);
        struct str piece = str_of(bytes + rand() % 20, len > 20 ? len - 20 : len);
        buf_add_str(&expected, piece);
        if (i % 3 == 0) {
            conn_send_shared(other, piece, let_go, &let_go_calls);
            hold_calls++;
        } else {
            conn_send(other, piece.at, piece.len);
        }
        if (i % 97 == 0)
            conn_test_flush(rig.conn);
    }
    conn_test_flush(rig.conn);
    assert_int_equal(conn_unsent_bytes(other), 0);
    assert_int_equal(let_go_calls, hold_calls);
    assert_true(str_eq(buf_str(&rig.out), buf_str(&expected)));
    buf_release(&expected);
    rig_close(&rig);
}

/* --- with sockets ----------------------------------------------------------------------------- */

struct client {
    int port;
    void (*play)(struct client *client);
    char got[4096];
    size_t got_len;
    size_t total;
    int answered, errors;
};

static int client_connect(struct client *client) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)client->port)};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void client_read(struct client *client, int fd) {
    char bytes[65536];
    ssize_t len;
    while ((len = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
        size_t room = sizeof(client->got) - 1 - client->got_len;
        size_t kept = (size_t)len < room ? (size_t)len : room;
        memcpy(client->got + client->got_len, bytes, kept);
        client->got_len += kept;
        client->total += (size_t)len;
    }
    if (len < 0)
        client->errors++;
    client->got[client->got_len] = '\0';
}

static void *client_thread(void *ctx) {
    struct client *client = ctx;
    client->play(client);
    loop_stop(0);
    return NULL;
}

/* How often the loop has turned: what a client sent before some turns has been read after them, however busy the machine is. */
static _Atomic int64_t turns;

static void count_turn(void *ctx) {
    (void)ctx;
    turns++;
}

static void wait_turns(void) {
    int64_t enough = turns + 6;
    for (int waited_ms = 0; waited_ms < 2000 && turns < enough; waited_ms++)
        usleep(1000);
}

static bool are_all_gone(void) {
    for (int waited_ms = 0; waited_ms < 10000 && conn_count() > 0; waited_ms++)
        usleep(1000);
    return conn_count() == 0;
}

static void run(struct client *client) {
    pthread_t thread;
    loop_after_turn(count_turn, NULL);
    assert_int_equal(listener_start(STR("127.0.0.1:0")), E_OK);
    struct str address = listener_address();
    client->port = atoi(strrchr(address.at, ':') + 1);
    pthread_create(&thread, NULL, client_thread, client);
    loop_run();
    pthread_join(thread, NULL);
    assert_int_equal(conn_count(), 0);
}

static void send_text(int fd, const char *text) {
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* The client goes on sending for a while; it must still read the 413 and no reset (RFC 9112 9.6).
 */
static void play_too_large(struct client *client) {
    static char bytes[65536];
    int fd = client_connect(client);
    send_text(fd, "POST /raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n\r\n");
    for (int i = 0; i < 45; i++)
        if (send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) < 0)
            client->errors++;
    client_read(client, fd);
    close(fd);
}

static void a_413_reaches_who_is_still_sending(void **state) {
    (void)state;
    struct client client = {.play = play_too_large};
    run(&client);
    assert_non_null(strstr(client.got, "HTTP/1.1 413 "));
    assert_int_equal(client.errors, 0);
}

static void play_huge(struct client *client) {
    int fd = client_connect(client);
    send_text(fd, "GET /huge HTTP/1.1\r\nHost: localhost\r\n\r\n"
                  "GET /plain HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    usleep(100000);
    client_read(client, fd);
    close(fd);
}

static void a_slow_reader_gets_all_of_it_in_order(void **state) {
    (void)state;
    struct client client = {.play = play_huge};
    run(&client);
    assert_int_equal(client.errors, 0);
    assert_in_range(client.total, (20 << 20) + 500, (20 << 20) + 1500);
}

/* More connections than allowed are told 503; when others leave there is room again. */
static void play_crowd(struct client *client) {
    int fds[6];
    for (int i = 0; i < 6; i++)
        fds[i] = client_connect(client);
    struct pollfd wait = {.fd = fds[5], .events = POLLIN};
    if (poll(&wait, 1, 5000) == 1)
        client_read(client, fds[5]);
    for (int i = 0; i < 6; i++)
        close(fds[i]);
    client->errors += !are_all_gone();
    int fd = client_connect(client);
    send_text(fd, "GET /plain HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    client_read(client, fd);
    close(fd);
}

static void connections_of_one_address_are_limited(void **state) {
    (void)state;
    struct client client = {.play = play_crowd};
    limits.connections_per_address = 5;
    run(&client);
    assert_int_equal(client.errors, 0);
    assert_non_null(strstr(client.got, "HTTP/1.1 503 "));
    assert_non_null(strstr(client.got, "Retry-After: "));
    assert_non_null(strstr(client.got, "HTTP/1.1 200 OK"));
}

/* No descriptors: nobody is dropped; who waits is answered when one is free again. */
static void play_no_descriptors(struct client *client) {
    int spare = client_connect(client);
    send_text(spare, "GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client->answered += recv(spare, client->got, 64, 0) > 0;
    int waiting = client_connect(client);
    struct rlimit limit, low;
    getrlimit(RLIMIT_NOFILE, &limit);
    low = limit;
    low.rlim_cur = 3; /* below what is open: every new descriptor fails with EMFILE */
    setrlimit(RLIMIT_NOFILE, &low);
    send_text(waiting, "GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n");
    struct pollfd quiet = {.fd = waiting, .events = POLLIN};
    client->errors += poll(&quiet, 1, 300) != 0 && !client->answered;
    setrlimit(RLIMIT_NOFILE, &limit);
    client->answered += recv(waiting, client->got, 64, 0) > 0;
    close(waiting);
    close(spare);
}

static void accepting_pauses_without_descriptors(void **state) {
    (void)state;
    struct client client = {.play = play_no_descriptors};
    run(&client);
    assert_int_equal(client.errors, 0);
    assert_int_equal(client.answered, 2);
}

/* A stop: idle connections end, a request under way is answered and then told to close. */
static void play_drain(struct client *client) {
    int idle = client_connect(client), busy = client_connect(client);
    send_text(busy, "GET /plain HTTP/1.1\r\nHost: localhost\r\n");
    send_text(idle, "GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client->answered += recv(idle, client->got, 400, 0) > 0;
    loop_hold(); /* from here, so that the drain waits for us */
    loop_stop(5000);
    client->answered += recv(idle, client->got, 400, 0) == 0;
    send_text(busy, "\r\n");
    client->got_len = 0;
    client_read(client, busy);
    client->errors += client_connect(client) >= 0;
    close(idle);
    close(busy);
    loop_let_go();
}

static void a_drain_lets_requests_finish(void **state) {
    (void)state;
    struct client client = {.play = play_drain};
    run(&client);
    assert_int_equal(client.answered, 2);
    assert_int_equal(client.errors, 0);
    assert_non_null(strstr(client.got, "HTTP/1.1 200 OK"));
    assert_non_null(strstr(client.got, "Connection: close"));
}

/* --- deadlines, with a clock that the client moves ---------------------------------------------- */

static volatile int64_t *moved_ms;
static char clock_path[64];

static int setup_clock(void **state) {
    snprintf(clock_path, sizeof(clock_path), "/tmp/troupe-test-conn-XXXXXX");
    int fd = mkstemp(clock_path);
    assert_true(fd >= 0 && ftruncate(fd, 8) == 0);
    moved_ms = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    assert_true(moved_ms != MAP_FAILED);
    setenv("TROUPE_TEST_CLOCK", clock_path, 1);
    return setup(state);
}

static int teardown_clock(void **state) {
    teardown(state);
    munmap((void *)(uintptr_t)moved_ms, 8);
    unlink(clock_path);
    unsetenv("TROUPE_TEST_CLOCK");
    clock_init();
    return 0;
}

/* What a peer sends, how the time goes by, and what it hears in the end. */
static const struct slow_row {
    const char *first, *more; /* `more` follows after each step */
    int steps, step_ms;
    const char *heard; /* the status line's begin; "" when it is closed without a word */
    const char *why;
} SLOW[] = {
    {"", "", 1, 76000, "", "nothing at all"},
    {"GET /plain HTTP/1.1\r\nHost: localhost\r\n", "", 1, 11000, "HTTP/1.1 408", "half a head"},
    {"GET /plain HTTP/1.1\r\nHost: localhost\r\nX: ", "y", 12, 1000, "HTTP/1.1 408",
     "a head in drops: the deadline is absolute"},
    {"\r\n", "", 1, 11000, "", "an empty line and nothing more"},
    {"POST /raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90\r\n\r\nx", "", 1, 31000,
     "HTTP/1.1 408", "a body that stops"},
    {"POST /raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90\r\n\r\nx", "y", 7, 5000,
     "HTTP/1.1 408", "a body in drops"},
    {"GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n", "", 1, 76000, "HTTP/1.1 200",
     "idle between requests: closed after the answer, silently"},
};
static const struct slow_row *slow_row;

static void play_slow(struct client *client) {
    int fd = client_connect(client);
    send_text(fd, slow_row->first);
    for (int i = 0; i < slow_row->steps; i++) {
        wait_turns(); /* the server looks at a moved clock every 5 ms */
        send_text(fd, slow_row->more);
        *moved_ms += slow_row->step_ms;
    }
    client_read(client, fd);
    close(fd);
}

static void who_is_slow_is_told_and_closed(void **state) {
    for (size_t i = 0; i < sizeof(SLOW) / sizeof(SLOW[0]); i++) {
        struct client client = {.play = play_slow};
        slow_row = &SLOW[i];
        run(&client);
        const char *second = strstr(client.got + 1, "HTTP/1.1 ");
        if (strncmp(client.got, slow_row->heard, strlen(slow_row->heard)) != 0 ||
            (slow_row->heard[0] == '\0' && client.got_len > 0) || second != NULL)
            fail_msg("%s: heard %s", slow_row->why, client.got);
        if (i + 1 < sizeof(SLOW) / sizeof(SLOW[0])) { /* a fresh loop for each */
            teardown(state);
            setup(state);
        }
    }
}

/* A peer that takes nothing is reset after 30 s; one that takes a little goes on. */
static void play_stalled(struct client *client) {
    char bytes[65536];
    int fd = client_connect(client);
    send_text(fd, "GET /huge HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for (int i = 0; i < 3; i++) { /* an hour would pass like this */
        wait_turns();
        for (int j = 0; j < 20; j++)
            client->total += (size_t)recv(fd, bytes, sizeof(bytes), 0);
        wait_turns();
        *moved_ms += 20000;
    }
    client->answered = conn_count() == 1;
    *moved_ms += 31000;
    wait_turns();
    *moved_ms += 31000;
    client->answered += are_all_gone();
    close(fd);
}

static void who_takes_nothing_is_reset(void **state) {
    (void)state;
    struct client client = {.play = play_stalled};
    run(&client);
    assert_int_equal(client.answered, 2);
}

static void addresses_and_ranges(void **state) {
    (void)state;
    static const struct {
        const char *address, *list;
        bool is_in;
    } rows[] = {
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.2", "10.0.0.1", false},
        {"10.0.0.2", "192.0.2.1, 10.0.0.0/24", true},
        {"10.0.1.2", "10.0.0.0/24", false},
        {"10.0.0.9", "10.0.0.8/31", true},
        {"10.0.0.10", "10.0.0.8/31", false},
        {"::1", "::1", true},
        {"fd00::5", "fd00::/8", true},
        {"fe00::5", "fd00::/8", false},
        {"10.0.0.1", "", false},
        {"10.0.0.1", "0.0.0.0/0", true},
        {"10.0.0.1", "::/0", false},
        {"10.0.0.1", "10.0.0.0/33", false},
        {"10.0.0.1", "10.0.0.0/x", false},
        {"nonsense", "10.0.0.0/8", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        net_settings.trusted_proxies = str_from(rows[i].list);
        if (listener_is_proxy(str_from(rows[i].address)) != rows[i].is_in)
            fail_msg("%s in %s", rows[i].address, rows[i].list);
    }
    net_settings.trusted_proxies = STR("");
    assert_true(listener_is_loopback(STR("127.0.0.1:80")));
    assert_true(listener_is_loopback(STR("localhost:80")));
    assert_true(listener_is_loopback(STR("[::1]:80")));
    assert_false(listener_is_loopback(STR("0.0.0.0:80")));
    assert_false(listener_is_loopback(STR("[::]:80")));
    assert_false(listener_is_loopback(STR("nonsense")));
    assert_int_equal(listener_start(STR("nonsense")), E_INPUT);
    assert_int_equal(listener_start(STR("127.0.0.1:99999")), E_INPUT);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_upgrade_hands_over_what_came_behind),
        TEST(a_stream_is_chunked_and_the_next_request_follows),
        TEST(a_stream_for_http_10_ends_with_the_connection),
        TEST(a_stream_that_asked_to_close_is_the_last_answer),
        TEST(a_stream_cut_off_has_no_last_chunk),
        TEST(the_listener_of_a_stream_leaves),
        TEST(head_of_a_stream_has_no_body),
        TEST(the_queue_keeps_order_and_owners),
        TEST(a_413_reaches_who_is_still_sending),
        TEST(a_slow_reader_gets_all_of_it_in_order),
        TEST(connections_of_one_address_are_limited),
        TEST(accepting_pauses_without_descriptors),
        TEST(a_drain_lets_requests_finish),
        cmocka_unit_test_setup_teardown(who_is_slow_is_told_and_closed, setup_clock,
                                        teardown_clock),
        cmocka_unit_test_setup_teardown(who_takes_nothing_is_reset, setup_clock, teardown_clock),
        TEST(addresses_and_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
