/* links: troupe_net */
#include "base/embedded.h"
#include "rig_http.h"

/* Files of the test's own instead of the packed ones. */
#define S(literal) \
    { (literal), sizeof(literal) - 1 }
/* clang-format off */
static const struct embedded FILES[] = {
    {.name = S("web/app.3f2a.js"), .mime = S("text/javascript; charset=utf-8"), .bytes = S("0123456789"), .gzip = S("gz"),
     .brotli = S("b"), .etag = S("\"h1\""), .etag_gzip = S("\"h1-gz\""), .etag_brotli = S("\"h1-br\""), .is_immutable = true},
    {.name = S("web/empty.txt"), .mime = S("text/plain; charset=utf-8"), .bytes = S(""), .etag = S("\"h2\"")},
    {.name = S("web/icon.png"), .mime = S("image/png"), .bytes = S("PNGPNG"), .etag = S("\"h3\"")},
    {.name = S("web/index.html"), .mime = S("text/html; charset=utf-8"), .bytes = S("<html>"), .gzip = S("gzhtml"),
     .etag = S("\"h4\""), .etag_gzip = S("\"h4-gz\"")},
    {.name = S("web/sw.js"), .mime = S("text/javascript; charset=utf-8"), .bytes = S("worker"), .etag = S("\"h7\"")},
    {.name = S("web/über uns.txt"), .mime = S("text/plain; charset=utf-8"), .bytes = S("us"), .etag = S("\"h5\"")},
    {.name = S("secret.sql"), .mime = S("text/plain"), .bytes = S("no"), .etag = S("\"h6\"")},
};
/* clang-format on */

const struct embedded *embedded_find(struct str name) {
    for (size_t i = 0; i < COUNT_OF(FILES); i++)
        if (str_eq(FILES[i].name, name))
            return &FILES[i];
    return NULL;
}

static const struct route ROUTES[] = {{0}};
static const struct route *const TABLES[] = {ROUTES, NULL};
static struct buf out;

static int setup(void **state) {
    (void)state;
    rig_start(TABLES);
    buf_init(&out, 1 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    buf_release(&out);
    rig_stop();
    return 0;
}

static int ask(const char *method, const char *path, const char *headers) {
    char request[2048];
    snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", method, path,
             headers);
    return rig_ask(&out, request);
}

static const char *body(void) {
    return strstr(out.at, "\r\n\r\n") + 4;
}

static bool said(const char *text) {
    return strstr(out.at, text) != NULL;
}

#define APP  "/app.3f2a.js"
#define HTML "Accept: text/html,*/*\r\n"

static const struct {
    const char *path, *headers;
    int status;
    const char *body; /* NULL: not looked at */
    const char *why;
} PATHS[] = {
    {"/", "", 200, "<html>", "the first page, whoever asks"},
    {"/index.html", "", 200, "<html>", "by name"},
    {APP, "", 200, "0123456789", "a file"},
    {"/%61pp.3f2a.js", "", 200, "0123456789", "an encoded name"},
    {"/%C3%BCber%20uns.txt", "", 200, "us", "a name that must be encoded"},
    {"/chat/0000000000001", HTML, 200, "<html>", "a page of the app"},
    {"/setup?code=1", HTML, 200, "<html>", "with a query"},
    {"/chat", "", 404, NULL, "a program asks for a page"},
    {"/chat", "Accept: application/json\r\n", 404, NULL, "JSON is no page"},
    {"/missing.js", HTML, 404, NULL, "a missing file is no page"},
    {"/api", HTML, 404, NULL, "the API has no pages"},
    {"/api/v1/nothing", HTML, 404, NULL, "nor below"},
    {"/v1/nothing", HTML, 404, NULL, "nor the other API"},
    {"/ws/x", HTML, 404, NULL, "nor sockets"},
    {"/socket.io/x", HTML, 404, NULL, "nor the other sockets"},
    {"/apiary", HTML, 200, "<html>", "only whole names"},
    {"/secret.sql", HTML, 404, NULL, "only web/ is the site"},
    {"/../secret.sql", HTML, 400, NULL, "no way up"},
    {"/%2e%2e/secret.sql", HTML, 400, NULL, "no encoded way up"},
    {"/..%2fsecret.sql", HTML, 400, NULL, "no way up through an encoded slash"},
    {"/app.3f2a.js/", HTML, 404, NULL, "a file is no folder"},
};

static void paths_are_looked_up_never_joined(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(PATHS); i++) {
        int status = ask("GET", PATHS[i].path, PATHS[i].headers);
        if (status != PATHS[i].status ||
            (PATHS[i].body != NULL && strcmp(body(), PATHS[i].body) != 0))
            fail_msg("%s (%s): %d\n%s", PATHS[i].why, PATHS[i].path, status, out.at);
    }
    assert_int_equal(ask("POST", "/index.html", ""), 404);
}

static const struct {
    const char *accept;
    const char *body, *coding, *etag;
} CODINGS[] = {
    {NULL, "0123456789", NULL, "\"h1\""},
    {"gzip", "gz", "gzip", "\"h1-gz\""},
    {"x-gzip", "gz", "gzip", "\"h1-gz\""},
    {"br", "b", "br", "\"h1-br\""},
    {"gzip, deflate, br, zstd", "b", "br", "\"h1-br\""},
    {"gzip;q=1.0, br;q=0.5", "gz", "gzip", "\"h1-gz\""},
    {"gzip;q=0.5, br;q=0.9", "b", "br", "\"h1-br\""},
    {"br;q=0", "0123456789", NULL, "\"h1\""},
    {"br;q=0, gzip", "gz", "gzip", "\"h1-gz\""},
    {"*", "b", "br", "\"h1-br\""},
    {"*;q=0", "0123456789", NULL, "\"h1\""},
    {"identity", "0123456789", NULL, "\"h1\""},
    {"identity;q=0", "0123456789", NULL, "\"h1\""},
    {"identity;q=1, gzip;q=0.1", "0123456789", NULL, "\"h1\""},
    {"GZIP", "gz", "gzip", "\"h1-gz\""},
    {"br;q=nonsense", "0123456789", NULL, "\"h1\""},
    {"", "0123456789", NULL, "\"h1\""},
    {", ,;q=1,gzip", "gz", "gzip", "\"h1-gz\""},
};

static void codings_are_negotiated_each_with_its_tag(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CODINGS); i++) {
        char headers[128] = "", line[128];
        if (CODINGS[i].accept != NULL)
            snprintf(headers, sizeof(headers), "Accept-Encoding: %s\r\n", CODINGS[i].accept);
        assert_int_equal(ask("GET", APP, headers), 200);
        snprintf(line, sizeof(line), "ETag: %s\r\n", CODINGS[i].etag);
        bool has_coding = said("Content-Encoding: ");
        if (strcmp(body(), CODINGS[i].body) != 0 || !said(line) ||
            has_coding != (CODINGS[i].coding != NULL) || !said("Vary: Accept-Encoding\r\n"))
            fail_msg("%s: %s", headers, out.at);
    }
    assert_int_equal(ask("GET", "/icon.png", "Accept-Encoding: br\r\n"), 200);
    assert_false(said("Vary")); /* there is only one form of it */
}

static const struct {
    const char *range;
    int status;
    const char *body, *content_range;
} RANGES[] = {
    {"bytes=0-0", 206, "0", "bytes 0-0/10"},
    {"bytes=0-1", 206, "01", "bytes 0-1/10"},
    {"bytes=0-", 206, "0123456789", "bytes 0-9/10"},
    {"bytes=7-", 206, "789", "bytes 7-9/10"},
    {"bytes=-1", 206, "9", "bytes 9-9/10"},
    {"bytes=-100", 206, "0123456789", "bytes 0-9/10"},
    {"bytes=8-99999999999999999999999", 206, "89", "bytes 8-9/10"},
    {"bytes=10-", 416, NULL, "bytes */10"},
    {"bytes=99999999999999999999-", 416, NULL, "bytes */10"},
    {"bytes=-0", 416, NULL, "bytes */10"},
    {"bytes=5-2", 200, "0123456789", NULL},
    {"bytes=0-1,3-4", 200, "0123456789", NULL},
    {"items=0-1", 200, "0123456789", NULL},
    {"bytes=a-b", 200, "0123456789", NULL},
    {"bytes=-", 200, "0123456789", NULL},
    {"bytes=", 200, "0123456789", NULL},
    {"bytes=1", 200, "0123456789", NULL},
    {"bytes=+1-2", 200, "0123456789", NULL},
};

static void one_range_is_served_others_are_ignored(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(RANGES); i++) {
        char headers[128], line[64];
        snprintf(headers, sizeof(headers), "Range: %s\r\n", RANGES[i].range);
        snprintf(line, sizeof(line), "Content-Range: %s\r\n",
                 RANGES[i].content_range != NULL ? RANGES[i].content_range : "");
        int status = ask("GET", APP, headers);
        if (status != RANGES[i].status ||
            (RANGES[i].body != NULL && strcmp(body(), RANGES[i].body) != 0) ||
            said(line) != (RANGES[i].content_range != NULL))
            fail_msg("%s: %s", headers, out.at);
    }
    assert_int_equal(ask("HEAD", APP, "Range: bytes=0-1\r\n"), 200);
    assert_true(said("Content-Length: 10\r\n"));
    assert_int_equal(ask("GET", "/empty.txt", "Range: bytes=0-\r\n"), 416);
    assert_int_equal(ask("GET", APP, "Range: bytes=0-0\r\nAccept-Encoding: gzip\r\n"), 206);
    assert_string_equal(body(), "g"); /* ranges count the coded bytes */
    assert_true(said("bytes 0-0/2"));
}

static const struct {
    const char *headers;
    int status;
} CONDITIONS[] = {
    {"If-None-Match: \"h1\"\r\n", 304},
    {"If-None-Match: W/\"h1\"\r\n", 304},
    {"If-None-Match: \"x\", \"h1\"\r\n", 304},
    {"If-None-Match: *\r\n", 304},
    {"If-None-Match: \"h1-br\"\r\n", 200},
    {"If-None-Match: \"h1-br\"\r\nAccept-Encoding: br\r\n", 304},
    {"If-None-Match: \"h1\"\r\nAccept-Encoding: br\r\n", 200},
    {"If-None-Match: h1\r\n", 200},
    {"If-Match: \"h1\"\r\n", 200},
    {"If-Match: *\r\n", 200},
    {"If-Match: W/\"h1\"\r\n", 412},
    {"If-Match: \"x\"\r\n", 412},
    {"If-Match: \"x\"\r\nIf-None-Match: \"h1\"\r\n", 412},
    {"Range: bytes=0-1\r\nIf-Range: \"h1\"\r\n", 206},
    {"Range: bytes=0-1\r\nIf-Range: \"x\"\r\n", 200},
    {"Range: bytes=0-1\r\nIf-Range: W/\"h1\"\r\n", 200},
    {"Range: bytes=0-1\r\nIf-Range: Sat, 21 Nov 2026 03:52:00 GMT\r\n", 200},
    {"Range: bytes=0-1\r\nIf-None-Match: \"h1\"\r\n", 304},
};

static void conditions_are_answered_in_their_order(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CONDITIONS); i++) {
        if (ask("GET", APP, CONDITIONS[i].headers) != CONDITIONS[i].status)
            fail_msg("%s: %s", CONDITIONS[i].headers, out.at);
        if (CONDITIONS[i].status != 304)
            continue;
        assert_string_equal(body(), "");
        assert_true(said("ETag: ") && said("Cache-Control: ") && said("Vary: "));
        assert_false(said("\r\nContent-Type:") || said("\r\nContent-Length:") ||
                     said("Content-Encoding"));
    }
}

static void headers_fit_the_kind_of_file(void **state) {
    (void)state;
    assert_int_equal(ask("GET", APP, ""), 200);
    assert_true(said("Cache-Control: public, max-age=31536000, immutable\r\n"));
    assert_true(said("Content-Type: text/javascript; charset=utf-8\r\n"));
    assert_true(said("Accept-Ranges: bytes\r\n"));
    assert_true(said("X-Content-Type-Options: nosniff\r\n"));
    assert_int_equal(ask("GET", "/", ""), 200);
    assert_true(said("Cache-Control: no-cache\r\n"));
    static const char *const POLICY[] = {"default-src 'none'",
                                         "script-src 'self';",
                                         "style-src 'self';",
                                         "frame-ancestors 'none'",
                                         "base-uri 'none'",
                                         "form-action 'self'",
                                         "object-src 'none'",
                                         "ws://localhost wss://localhost",
                                         "require-trusted-types-for 'script'",
                                         "trusted-types svelte-trusted-html troupe-worker\r\n"};
    for (size_t i = 0; i < COUNT_OF(POLICY); i++)
        if (!said(POLICY[i]))
            fail_msg("the policy lacks %s: %s", POLICY[i], out.at);
    assert_false(said("unsafe-inline") || said("unsafe-eval"));
    assert_int_equal(ask("GET", "/sw.js", ""),
                     200); /* asked for at each start, under a policy of its own */
    assert_true(said("Content-Type: text/javascript; charset=utf-8\r\n"));
    assert_true(said("Cache-Control: no-cache\r\n"));
    assert_true(said("default-src 'none'"));
    assert_int_equal(ask("GET", "/icon.png", ""), 200);
    assert_false(said("Content-Security-Policy"));
    assert_int_equal(ask("HEAD", "/", ""), 200);
    assert_string_equal(body(), "");
    assert_true(said("Content-Length: 6\r\n"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(paths_are_looked_up_never_joined),
        TEST(codings_are_negotiated_each_with_its_tag),
        TEST(one_range_is_served_others_are_ignored),
        TEST(conditions_are_answered_in_their_order),
        TEST(headers_fit_the_kind_of_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
