/* links: troupe_fetch */
#include "fetch/glance.h"

#include "base/clock.h"
#include "base/log.h"
#include "fake_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static struct fake fake;
static enum err told_err;
static int told_status, told_count;
static char told_body[4096];
static struct glance *glance;

static void on_done(void *ctx, enum err err, int status, struct str body) {
    (void)ctx;
    assert_non_null(glance); /* not from inside glance_start */
    told_count++;
    told_err = err;
    told_status = status;
    assert_true(body.len < sizeof told_body);
    memcpy(told_body, body.at ? body.at : "", body.len);
    told_body[body.len] = '\0';
    loop_stop(0);
}

static int set_up(void **state) {
    (void)state;
    memset(&fake, 0, sizeof fake);
    told_count = told_status = 0;
    glance = NULL;
    loop_init();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    loop_release();
    fake_release(&fake);
    return 0;
}

static void begin(const char *host, int port) {
    struct glance *begun = glance_start(&(struct glance_options){.host = str_from(host),
                                                                 .port = port,
                                                                 .path = "/version",
                                                                 .total_ms = 150,
                                                                 .limit_bytes = 1000,
                                                                 .done = on_done});
    assert_int_equal(told_count, 0);
    glance = begun;
}

static void run(const char *host, const struct fake_step *script) {
    const struct fake_step *scripts[] = {script, NULL};
    fake_start(&fake, scripts);
    begin(host, fake.port);
    loop_run();
    assert_int_equal(told_count, 1);
}

static const struct {
    const char *why;
    struct fake_step script[4];
    enum err err;
    int status;
    const char *body;
} ROWS[] = {
    {"a length",
     {{FAKE_RAW, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}, {FAKE_HANG}},
     E_OK,
     200,
     "ok"},
    {"to the close", {{FAKE_RAW, "HTTP/1.0 404 No\r\n\r\nno"}, {FAKE_CLOSE}}, E_OK, 404, "no"},
    {"byte by byte",
     {{FAKE_DRIP, "HTTP/1.1 503 Busy\r\ncontent-length:  3 \r\nX: y\r\n\r\nyes"}, {FAKE_HANG}},
     E_OK,
     503,
     "yes"},
    {"no body",
     {{FAKE_RAW, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}, {FAKE_HANG}},
     E_OK,
     200,
     ""},
    {"an early close",
     {{FAKE_RAW, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"}, {FAKE_CLOSE}},
     E_UPSTREAM,
     0,
     ""},
    {"half a head", {{FAKE_RAW, "HTTP/1.1 200 OK\r\nConte"}, {FAKE_CLOSE}}, E_UPSTREAM, 0, ""},
    {"not HTTP", {{FAKE_RAW, "SSH-2.0-OpenSSH\r\n\r\n"}, {FAKE_CLOSE}}, E_UPSTREAM, 0, ""},
    {"a status that is none",
     {{FAKE_RAW, "HTTP/1.1 OK!\r\nContent-Length: 0\r\n\r\n"}, {FAKE_HANG}},
     E_UPSTREAM,
     0,
     ""},
    {"a negative length",
     {{FAKE_RAW, "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nx"}, {FAKE_CLOSE}},
     E_OK,
     200,
     "x"},
    {"a reset",
     {{FAKE_RAW, "HTTP/1.1 200 OK\r\n\r\nx"}, {FAKE_WAIT, .ms = 20}, {FAKE_RESET}},
     E_UPSTREAM,
     0,
     ""},
    {"silence", {{FAKE_HANG}}, E_TIMEOUT, 0, ""},
    {"a body that never comes",
     {{FAKE_RAW, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"}, {FAKE_HANG}},
     E_TIMEOUT,
     0,
     ""},
};

static void answers_of_every_kind(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        run("127.0.0.1", ROWS[i].script);
        if (told_err != ROWS[i].err || told_status != ROWS[i].status ||
            strcmp(told_body, ROWS[i].body) != 0)
            fail_msg("%s: %s %d \"%s\"", ROWS[i].why, err_word(told_err), told_status, told_body);
        tear_down(NULL);
        set_up(NULL);
    }
}

static void more_than_we_take(void **state) {
    (void)state;
    static char flood[40000];
    memset(flood, 'x', sizeof flood);
    struct fake_step script[] = {
        {FAKE_RAW, "HTTP/1.1 200 OK\r\n\r\n"}, {FAKE_RAW, flood, sizeof flood}, {FAKE_HANG}};
    run("127.0.0.1", script);
    assert_int_equal(told_err, E_LIMIT);
}

static void a_name_is_looked_up(void **state) {
    (void)state;
    struct fake_step script[] = {{FAKE_RAW, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
                                 {FAKE_HANG}};
    run("localhost", script);
    /* Where localhost is IPv6 first, nobody listens there: then it must be said, not waited for. */
    assert_true(told_status == 200 || told_err == E_UPSTREAM);
    if (told_status == 200)
        assert_non_null(strstr(fake.requests[0], "GET /version HTTP/1.0\r\nHost: localhost:"));
}

static void nobody_listens(void **state) {
    (void)state;
    begin("127.0.0.1", 1);
    loop_run();
    assert_int_equal(told_err, E_UPSTREAM);
    tear_down(NULL);
    set_up(NULL);
    begin("[::1]", 1);
    loop_run();
    assert_int_equal(told_err, E_UPSTREAM);
}

static void cancelled_at_once(void **state) {
    (void)state;
    begin("localhost", 1);
    glance_cancel(glance);
    glance_cancel(glance);
    loop_run();
    assert_int_equal(told_count, 1);
    assert_int_equal(told_err, E_CANCELLED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    log_init(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(answers_of_every_kind), TEST(more_than_we_take), TEST(a_name_is_looked_up),
        TEST(nobody_listens),        TEST(cancelled_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
