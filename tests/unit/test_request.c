/* links: troupe_net troupe_embedded */
#include "rig_http.h"

/* --- a small house with callers, fields and revisions ------------------------------------------- */

static int handled, identified;
static struct caller seen_caller;
static char seen_address[64];
static bool seen_secure;
static struct request *held;

static void note(struct request *request) {
    handled++;
    seen_caller = request->caller;
    seen_secure = request->is_secure;
    snprintf(seen_address, sizeof(seen_address), STR_FMT, STR_ARG(request->address));
}

static void plain(struct request *request) {
    note(request);
    struct json *json = reply_json(request);
    json_object_begin(json);
    JSON_INT(json, "handled", handled);
    json_object_end(json);
    reply_send(request, 200);
}

static void revised(struct request *request) {
    note(request);
    if (reply_if_unchanged(request, 7))
        return;
    reply_bytes(request, 200, STR("text/plain"), STR("seven"));
}

static int64_t expected_revision;

static void change(struct request *request) {
    note(request);
    expected_revision = request_expected_revision(request);
    if (!request_may_change(request, 7))
        return;
    reply_empty(request, 204);
}

struct patch {
    struct str title;
    struct str note;
};

static bool has_title, has_note;

static void patch(struct request *request) {
    note(request);
    has_title = request_has(request, struct patch, title);
    has_note = request_has(request, struct patch, note);
    reply_empty(request, 204);
}

static void cookies(struct request *request) {
    note(request);
    reply_cookie(request, "refresh", STR("secret"), 60);
    struct str cookie = request_cookie(request, "refresh");
    reply_bytes(request, 200, STR("text/plain"), cookie.at != NULL ? cookie : STR("none"));
}

static void files(struct request *request) {
    note(request);
    reply_bytes(request, 200, STR("text/plain"), request->content);
}

static void hold(struct request *request) {
    note(request);
    held = request;
}

static void listed(struct request *request) {
    struct json *json = reply_list_begin(request);
    json_write_int(json, 1);
    json_write_int(json, 2);
    reply_list_end(request, STR_NONE);
}

static void failing(struct request *request) {
    struct json *json = reply_json(request); /* half an answer, then a mistake */
    json_object_begin(json);
    reply_error(request, E_STORAGE);
}

static const struct field PATCH[] = {
    {"title", FIELD_TEXT, AT(struct patch, title), .max = 10},
    {"note", FIELD_TEXT, AT(struct patch, note), .may_be_null = true},
    {0}};
/* clang-format off */
static const struct route ROUTES[] = {
    {METHOD_GET, "/healthz", plain},
    {METHOD_GET, "/api/v1/open", plain, .scope = SCOPE_READ},
    {METHOD_GET, "/api/v1/mine", plain, .who = WHO_MEMBER, .scope = SCOPE_READ},
    {METHOD_POST, "/api/v1/mine", plain, .who = WHO_MEMBER, .scope = SCOPE_READ | SCOPE_WRITE},
    {METHOD_GET, "/api/v1/session", plain, .who = WHO_MEMBER},
    {METHOD_GET, "/api/v1/staff", plain, .who = WHO_MODERATOR, .scope = SCOPE_ADMIN},
    {METHOD_GET, "/api/v1/revised", revised, .who = WHO_MEMBER, .scope = SCOPE_READ},
    {METHOD_PATCH, "/api/v1/revised", change, .who = WHO_MEMBER, .scope = SCOPE_WRITE},
    {METHOD_PATCH, "/api/v1/patch", patch, .body = PATCH, .body_size = sizeof(struct patch)},
    {METHOD_PUT, "/api/v1/optional", patch, .body = PATCH, .body_size = sizeof(struct patch), .body_is_optional = true},
    {METHOD_POST, "/api/v1/refresh", cookies, .answers_cookie = true},
    {METHOD_POST, "/api/v1/login", plain, .is_costly = true},
    {METHOD_POST, "/api/v1/files", files, .is_multipart = true},
    {METHOD_GET, "/api/v1/hold", hold},
    {METHOD_POST, "/api/v1/hold", hold, .who = WHO_MEMBER, .scope = SCOPE_WRITE},
    {METHOD_GET, "/api/v1/list", listed},
    {METHOD_GET, "/api/v1/failing", failing},
    {METHOD_GET, "/api/v1/setup", plain},
    {0}};
/* clang-format on */
static const struct route *const TABLES[] = {ROUTES, NULL};

static bool is_set_up;

static enum err identify(struct str token, struct caller *caller) {
    static const struct {
        struct str token;
        struct caller caller;
    } rows[] = {
        {{"member", 6}, {.user_id = 1, .session_id = 5, .role = ROLE_MEMBER, .scopes = SCOPE_ALL}},
        {{"other", 5}, {.user_id = 2, .session_id = 6, .role = ROLE_MEMBER, .scopes = SCOPE_ALL}},
        {{"staff", 5}, {.user_id = 3, .session_id = 7, .role = ROLE_ADMIN, .scopes = SCOPE_ALL}},
        {{"key", 3}, {.user_id = 1, .api_key_id = 8, .role = ROLE_MEMBER, .scopes = SCOPE_READ}},
    };
    identified++;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (str_eq(token, rows[i].token)) {
            *caller = rows[i].caller;
            return E_OK;
        }
    }
    caller->user_id = 99; /* half filled: must not be believed */
    return E_DENIED;
}

static bool knows(struct str token) {
    return str_eq(token, STR("member"));
}

static bool tell_set_up(void) {
    return is_set_up;
}

/* Idempotency without a store: one remembered answer, recorded when the test says so. */
static char recorded[256];
static int recorded_status;
static void (*recorded_sent)(struct request *request);
static struct request *recorded_request;

static void idempotency_begin(struct request *request, struct str key,
                              void (*proceed)(struct request *request)) {
    assert_true(str_eq(key, STR("k1")));
    if (recorded_status != 0)
        reply_bytes(request, recorded_status, STR("text/plain"), str_from(recorded));
    else
        proceed(request);
}

static void idempotency_record(struct request *request, int status, struct str content_type,
                               struct str body, void (*sent)(struct request *request)) {
    assert_true(content_type.len > 0);
    recorded_status = status;
    snprintf(recorded, sizeof(recorded), STR_FMT, STR_ARG(body));
    recorded_request = request;
    recorded_sent = sent;
}

static struct buf out;

static int setup(void **state) {
    (void)state;
    handled = identified = recorded_status = 0;
    is_set_up = true;
    held = NULL;
    rig_start(TABLES);
    router_hooks(&(struct router_hooks){.identify = identify,
                                        .knows = knows,
                                        .is_set_up = tell_set_up,
                                        .idempotency_begin = idempotency_begin,
                                        .idempotency_record = idempotency_record});
    buf_init(&out, 1 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    buf_release(&out);
    rig_stop();
    return 0;
}

static int ask(const char *line, const char *headers, const char *body) {
    char request[4096];
    char length[64] = "";
    if (body != NULL)
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", strlen(body));
    snprintf(request, sizeof(request), "%s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n%s", line,
             headers, length, body != NULL ? body : "");
    return rig_ask(&out, request);
}

static bool said(const char *text) {
    return strstr(out.at, text) != NULL;
}

#define AS(token) "Authorization: Bearer " token "\r\n"
#define JSON_TYPE "Content-Type: application/json\r\n"

/* --- who may ---------------------------------------------------------------------------------- */

static const struct {
    const char *line, *headers;
    int status;
    int64_t user_id; /* who the handler saw; -1: it was not called */
    const char *why;
} RIGHTS[] = {
    {"GET /api/v1/open", "", 200, 0, "anyone"},
    {"GET /api/v1/open", AS("member"), 200, 1, "anyone may also be somebody"},
    {"GET /api/v1/open", AS("nonsense"), 401, -1, "a wrong token is told"},
    {"GET /healthz", AS("nonsense"), 200, 0, "where nobody needs a token a wrong one is nobody"},
    {"GET /healthz", AS("key"), 200, 0, "a key where keys have no business is nobody"},
    {"GET /api/v1/mine", "", 401, -1, "no token"},
    {"GET /api/v1/mine", AS(""), 401, -1, "an empty token"},
    {"GET /api/v1/mine", "Authorization: Basic member\r\n", 401, -1, "another scheme"},
    {"GET /api/v1/mine", "Authorization: bearer member\r\n", 200, 1, "scheme in any case"},
    {"GET /api/v1/mine", AS("member"), 200, 1, "a member"},
    {"GET /api/v1/mine", AS("key"), 200, 1, "a key with the scope"},
    {"POST /api/v1/mine", AS("key"), 403, -1, "a key without one of the scopes"},
    {"POST /api/v1/mine", AS("member"), 200, 1, "sessions have all scopes"},
    {"GET /api/v1/session", AS("key"), 403, -1, "a route that no key may call"},
    {"GET /api/v1/staff", AS("member"), 403, -1, "role too low"},
    {"GET /api/v1/staff", AS("staff"), 200, 3, "a higher role includes the lower"},
    {"GET /api/v1/mine", AS("member") AS("staff"), 400, -1, "two tokens"},
};

static void rows_say_who_may_call(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(RIGHTS); i++) {
        handled = 0;
        int status = ask(RIGHTS[i].line, RIGHTS[i].headers, NULL);
        bool is_right = status == RIGHTS[i].status && handled == (RIGHTS[i].user_id >= 0) &&
                        (handled == 0 || seen_caller.user_id == RIGHTS[i].user_id);
        if (!is_right)
            fail_msg("%s (%s): %d, handler called %d times", RIGHTS[i].why, RIGHTS[i].line, status,
                     handled);
        if (status == 401)
            assert_true(said("WWW-Authenticate: Bearer"));
    }
}

static void before_set_up_only_set_up_answers(void **state) {
    (void)state;
    is_set_up = false;
    assert_int_equal(ask("GET /api/v1/open", "", NULL), 403);
    assert_int_equal(ask("GET /api/v1/setup", "", NULL), 200);
    assert_int_equal(ask("GET /healthz", "", NULL), 200);
}

/* --- cookies and forgery ---------------------------------------------------------------------- */

static const struct {
    const char *headers;
    int status;
    const char *why;
} FORGERIES[] = {
    {"", 200, "no cookie, nothing to forge"},
    {"Cookie: refresh=x\r\n", 200, "a program: a browser says where its page is from"},
    {"Cookie: refresh=x\r\nOrigin: http://localhost\r\n", 403,
     "a form of our own origin can do this"},
    {"Cookie: refresh=x\r\nOrigin: http://evil.example\r\n", 403, "a form of another page"},
    {"Cookie: refresh=x\r\nX-Troupe-Request: 1\r\n", 200, "a program with the header"},
    {"Cookie: refresh=x\r\nX-Troupe-Request: 1\r\nSec-Fetch-Site: same-origin\r\n", 200,
     "our page"},
    {"Cookie: refresh=x\r\nX-Troupe-Request: 1\r\nSec-Fetch-Site: cross-site\r\n", 403,
     "another site"},
    {"Cookie: refresh=x\r\nX-Troupe-Request: 1\r\nSec-Fetch-Site: same-site\r\n", 403, "a sister"},
    {"Cookie: refresh=x\r\nX-Troupe-Request: 1\r\nOrigin: http://localhost\r\n", 200, "our origin"},
    {"Cookie: refresh=x\r\nX-Troupe-Request: 1\r\nOrigin: http://evil.example\r\n", 403,
     "another origin"},
    {"Cookie: refresh=x\r\nX-Troupe-Request: 1\r\nOrigin: null\r\n", 403, "the null origin"},
    {"Cookie: refresh=x\r\nX-Troupe-Request: 1\r\nOrigin: http://localhost.evil.example\r\n", 403,
     "a longer name"},
    {"Cookie: refresh=x\r\nX-Troupe-Request: 1\r\nOrigin: https://troupe.example\r\n", 200,
     "public_url"},
    {"Cookie: refresh=x\r\nSec-Fetch-Site: same-origin\r\n", 403, "without the header"},
};

static void cookies_only_work_from_our_own_page(void **state) {
    (void)state;
    net_settings.public_url = STR("https://troupe.example/path");
    for (size_t i = 0; i < COUNT_OF(FORGERIES); i++)
        if (ask("POST /api/v1/refresh", FORGERIES[i].headers, NULL) != FORGERIES[i].status)
            fail_msg("%s: %s", FORGERIES[i].why, out.at);
}

static void cookies_are_read_and_set_by_the_house_rules(void **state) {
    (void)state;
    static const struct {
        const char *cookie, *value;
    } rows[] = {{"refresh=x", "x"},
                {"a=b; refresh=x; c=d", "x"},
                {"refresh=x; refresh=y", "x"},
                {"xrefresh=y", "none"},
                {"refresh", ""},
                {"refresh=a=b", "a=b"},
                {"refresh=%41", "%41"},
                {"Refresh=x", "none"},
                {";;; refresh=x", "x"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char headers[256];
        snprintf(headers, sizeof(headers), "X-Troupe-Request: 1\r\nCookie: %s\r\n", rows[i].cookie);
        assert_int_equal(ask("POST /api/v1/refresh", headers, NULL), 200);
        assert_string_equal(strstr(out.at, "\r\n\r\n") + 4, rows[i].value);
        assert_true(
            said("Set-Cookie: refresh=secret; Path=/; HttpOnly; SameSite=Strict; Max-Age=60\r\n"));
    }
}

/* --- addresses behind proxies ------------------------------------------------------------------- */

static void the_last_untrusted_address_counts(void **state) {
    (void)state;
    static const struct {
        const char *forwarded, *address;
    } rows[] = {{"203.0.113.7", "203.0.113.7"},
                {"1.2.3.4, 203.0.113.7", "203.0.113.7"},
                {"203.0.113.7, 10.0.0.2", "203.0.113.7"},
                {"10.0.0.3, 10.0.0.2", "10.0.0.3"},
                {"nonsense", "127.0.0.1"},
                {"1.2.3.4, nonsense", "127.0.0.1"},
                {"", "127.0.0.1"},
                {"2001:db8::1", "2001:db8::1"},
                /* A proxy that does not join lines (HAProxy) adds its own behind the client's. */
                {"1.2.3.4\r\nX-Forwarded-For: 203.0.113.7", "203.0.113.7"},
                {"203.0.113.7\r\nX-Forwarded-For: 10.0.0.2", "203.0.113.7"},
                {"1.2.3.4\r\nX-Forwarded-For: nonsense", "127.0.0.1"},
                {"1.2.3.4\r\nX-Forwarded-For: ", "127.0.0.1"}};
    net_settings.trusted_proxies = STR("10.0.0.0/8");
    for (int is_proxy = 0; is_proxy < 2; is_proxy++) {
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            struct rig rig;
            char request[512];
            rig_open(&rig);
            conn_test_from(rig.conn, STR("127.0.0.1"), is_proxy != 0);
            snprintf(request, sizeof(request),
                     "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: %s\r\n"
                     "X-Forwarded-Proto: https\r\n\r\n",
                     rows[i].forwarded);
            rig_feed(&rig, str_from(request), CUT_WHOLE);
            assert_string_equal(seen_address, is_proxy ? rows[i].address : "127.0.0.1");
            assert_int_equal(seen_secure, is_proxy);
            rig_close(&rig);
        }
    }
}

static void the_last_line_says_whether_it_was_tls(void **state) {
    (void)state;
    net_settings.trusted_proxies = STR("10.0.0.0/8");
    for (int is_tls = 0; is_tls < 2; is_tls++) {
        struct rig rig;
        rig_open(&rig);
        conn_test_from(rig.conn, STR("10.0.0.2"), true);
        rig_feed(&rig,
                 is_tls ? STR("GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
                              "X-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\n\r\n")
                        : STR("GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
                              "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n\r\n"),
                 CUT_WHOLE);
        assert_int_equal(seen_secure, is_tls);
        rig_close(&rig);
    }
}

/* --- limits ------------------------------------------------------------------------------------- */

static void rates_are_told_and_kept(void **state) {
    (void)state;
    limits.requests_per_minute = 3;
    limits.costly_per_minute = 1;
    assert_int_equal(ask("GET /api/v1/mine", AS("member"), NULL), 200);
    assert_true(said("RateLimit-Limit: 3\r\nRateLimit-Remaining: 2\r\nRateLimit-Reset: "));
    assert_int_equal(ask("GET /api/v1/mine", AS("key"), NULL), 200); /* the same person */
    assert_int_equal(ask("GET /api/v1/mine", AS("member"), NULL), 200);
    assert_int_equal(ask("GET /api/v1/mine", AS("member"), NULL), 429);
    assert_true(said("Retry-After: 2"));
    assert_true(said("RateLimit-Remaining: 0\r\n"));
    assert_int_equal(ask("GET /api/v1/mine", AS("other"), NULL), 200); /* another person */
    assert_int_equal(ask("POST /api/v1/login", "", NULL), 200);
    assert_int_equal(ask("POST /api/v1/login", "", NULL), 429);
    assert_true(said("RateLimit-Limit: 1\r\n"));
    for (int i = 0; i < 10; i++) /* health is never limited */
        assert_int_equal(ask("GET /healthz", "", NULL), 200);
}

/* A signature check is dear: after some wrong tokens of an address no more are looked at. */
/* A household has 2^64 addresses of IPv6: they are one. */
static void addresses_of_one_network_share_a_rate(void **state) {
    (void)state;
    limits.requests_per_minute = 3;
    for (int i = 0; i < 5; i++) {
        struct rig rig;
        char address[32];
        snprintf(address, sizeof(address), "2001:db8::%d", i + 1);
        rig_open(&rig);
        conn_test_from(rig.conn, str_from(address), false);
        rig_feed(&rig, STR("GET /api/v1/open HTTP/1.1\r\nHost: localhost\r\n\r\n"), CUT_WHOLE);
        assert_int_equal(rig_status(&rig, 0), i < 3 ? 200 : 429);
        assert_string_equal(seen_address, i < 3 ? address : "2001:db8::3");
        rig_close(&rig);
    }
}

static void wrong_tokens_are_not_checked_without_end(void **state) {
    (void)state;
    limits.bad_tokens_per_minute = 5;
    for (int i = 0; i < 20; i++) {
        int status = ask("GET /api/v1/mine", AS("nonsense"), NULL);
        assert_int_equal(status, i < 5 ? 401 : 429);
    }
    assert_true(said("Retry-After: 1"));
    assert_int_equal(identified, 5);
    assert_int_equal(handled, 0);
    /* Who is known comes in also then, a stranger with a good token waits. */
    assert_int_equal(ask("GET /api/v1/mine", AS("member"), NULL), 200);
    assert_int_equal(ask("GET /api/v1/mine", AS("other"), NULL), 429);
    limits.bad_tokens_per_minute = 0;
}

/* --- bodies ------------------------------------------------------------------------------------- */

static const struct {
    const char *line, *headers, *body;
    int status;
    const char *said, *why;
} BODIES[] = {
    {"PATCH /api/v1/patch", JSON_TYPE, "{}", 204, "", "an empty object"},
    {"PATCH /api/v1/patch", "Content-Type: application/json; charset=utf-8\r\n", "{}", 204, "",
     "with a charset"},
    {"PATCH /api/v1/patch", "Content-Type: APPLICATION/JSON\r\n", "{}", 204, "", "any case"},
    {"PATCH /api/v1/patch", "Content-Type: text/plain\r\n", "{}", 415,
     "Accept: application/json\r\n", "what a form can send"},
    {"PATCH /api/v1/patch", "", "{}", 415, "Accept: application/json\r\n", "no type"},
    {"PATCH /api/v1/patch", JSON_TYPE "Content-Encoding: gzip\r\n", "{}", 415,
     "Accept-Encoding: identity\r\n", "compressed"},
    {"PATCH /api/v1/patch", JSON_TYPE JSON_TYPE, "{}", 400, "", "two types"},
    {"PATCH /api/v1/patch", JSON_TYPE, "{", 400, "not JSON", "cut off"},
    {"PATCH /api/v1/patch", JSON_TYPE, "{}x", 400, "not JSON", "bytes behind"},
    {"PATCH /api/v1/patch", JSON_TYPE, "", 400, "missing", "no body"},
    {"PATCH /api/v1/patch", JSON_TYPE, "{\"titel\":\"x\"}", 422,
     "\"field\":\"titel\",\"message\":\"is not a field here; did you mean title?\"",
     "unknown name"},
    {"PATCH /api/v1/patch", JSON_TYPE, "{\"title\":\"x\",\"title\":\"y\"}", 422,
     "\"field\":\"title\",\"message\":\"is there twice\"", "a name twice"},
    {"PATCH /api/v1/patch", JSON_TYPE, "{\"title\":\"x\",\"title\":\"y\"", 400, "not JSON",
     "a name twice, and cut off"},
    {"PATCH /api/v1/patch", JSON_TYPE, "[]", 422, "JSON object", "a list"},
    {"PUT /api/v1/optional", "", NULL, 204, "", "an optional body"},
    {"PUT /api/v1/optional", JSON_TYPE, " ", 204, "", "an optional body of blanks"},
    {"GET /healthz?x=1", "", NULL, 200, "", "a query where none is read"},
    {"POST /api/v1/login", JSON_TYPE, "{}", 200, "", "an empty object where no body is taken"},
    {"POST /api/v1/login", JSON_TYPE, "{\"a\":1}", 422, "is not a field here",
     "fields where none are taken"},
    {"POST /api/v1/files", "Content-Type: multipart/form-data; boundary=x\r\n", "--x", 200, "--x",
     "multipart comes as it is"},
    {"POST /api/v1/files", JSON_TYPE, "{}", 415, "Accept: multipart/form-data",
     "JSON where files are wanted"},
};

static void bodies_are_checked_by_type_and_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(BODIES); i++) {
        int status = ask(BODIES[i].line, BODIES[i].headers, BODIES[i].body);
        if (status != BODIES[i].status || !said(BODIES[i].said))
            fail_msg("%s: %d\n%s", BODIES[i].why, status, out.at);
    }
}

static void what_was_sent_can_be_told_from_what_was_not(void **state) {
    (void)state;
    assert_int_equal(ask("PATCH /api/v1/patch", JSON_TYPE, "{\"note\":null}"), 204);
    assert_false(has_title);
    assert_true(has_note);
}

/* --- revisions ---------------------------------------------------------------------------------- */

/* The tag of what `out` holds. */
static void take_tag(char tag[64]) {
    const char *at = strstr(out.at, "ETag: ");
    assert_non_null(at);
    snprintf(tag, 64, "%.*s", (int)strcspn(at + 6, "\r"), at + 6);
}

static void revisions_answer_conditions(void **state) {
    (void)state;
    char tag[64], other[64], headers[512];
    assert_int_equal(ask("GET /api/v1/revised", AS("member"), NULL), 200);
    take_tag(tag);
    assert_true(tag[0] == '"');
    assert_int_equal(ask("GET /api/v1/revised", AS("other"), NULL), 200);
    take_tag(other);
    assert_string_not_equal(tag, other); /* another reader, another representation */
    static const struct {
        const char *line, *format;
        int status;
        int64_t expected;
    } rows[] = {
        {"GET /api/v1/revised", "If-None-Match: %s\r\n", 304, 0},
        {"HEAD /api/v1/revised", "If-None-Match: %s\r\n", 304, 0},
        {"GET /api/v1/revised", "If-None-Match: W/%s\r\n", 304, 0},
        {"GET /api/v1/revised", "If-None-Match: \"a,b\", %s\r\n", 304, 0},
        {"GET /api/v1/revised", "If-None-Match: *\r\n", 304, 0},
        {"GET /api/v1/revised", "If-None-Match: \"r6-00000000\"\r\n", 200, 0},
        {"PATCH /api/v1/revised", "If-Match: %s\r\n", 204, 7},
        {"PATCH /api/v1/revised", "If-Match: \"x\", %s\r\n", 204, 7},
        {"PATCH /api/v1/revised", "If-Match: *\r\n", 204, -1},
        {"PATCH /api/v1/revised", "", 204, -1},
        {"PATCH /api/v1/revised", "If-Match: W/%s\r\n", 412, 0},
        {"PATCH /api/v1/revised", "If-Match: \"nonsense\"\r\n", 412, 0},
        {"PATCH /api/v1/revised", "If-Match: nonsense\r\n", 412, 0},
        {"PATCH /api/v1/revised", "If-Match: \"r7-ffffffff\"\r\n", 412, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char condition[256];
        snprintf(condition, sizeof(condition), rows[i].format, tag);
        snprintf(headers, sizeof(headers), AS("member") "%s", condition);
        int status = ask(rows[i].line, headers, NULL);
        if (status != rows[i].status ||
            (rows[i].line[0] == 'P' && expected_revision != rows[i].expected))
            fail_msg("%s %s: %d, expected revision %lld", rows[i].line, condition, status,
                     (long long)expected_revision);
        if (status == 304) {
            assert_true(said("ETag: "));
            assert_false(said("\r\nContent-Length:"));
            assert_false(said("\r\nContent-Type:"));
        }
    }
    snprintf(headers, sizeof(headers), AS("member") "If-Match: %s\r\n", other);
    assert_int_equal(ask("PATCH /api/v1/revised", headers, NULL), 412); /* somebody else's tag */
}

/* --- other origins ------------------------------------------------------------------------------ */

static void listed_origins_may_read_answers_and_errors(void **state) {
    (void)state;
    net_settings.allowed_origins = STR("https://one.example, https://two.example");
    assert_int_equal(ask("GET /api/v1/open", "Origin: https://two.example\r\n", NULL), 200);
    assert_true(said("Access-Control-Allow-Origin: https://two.example\r\n"));
    assert_true(said("Vary: Origin\r\n"));
    assert_int_equal(ask("GET /api/v1/mine", "Origin: https://one.example\r\n", NULL), 401);
    assert_true(said("Access-Control-Allow-Origin: https://one.example\r\n"));
    assert_int_equal(ask("OPTIONS /api/v1/mine",
                         "Origin: https://one.example\r\nAccess-Control-Request-Method: GET\r\n",
                         NULL),
                     204);
    assert_true(said("Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n"));
    assert_true(said("Access-Control-Allow-Headers: Authorization"));
    static const char *const STRANGERS[] = {"https://evil.example", "null",
                                            "https://one.example.evil", "http://one.example",
                                            "https://one.example:444"};
    for (size_t i = 0; i < COUNT_OF(STRANGERS); i++) {
        char headers[256];
        snprintf(headers, sizeof(headers), "Origin: %s\r\nAccess-Control-Request-Method: GET\r\n",
                 STRANGERS[i]);
        ask("OPTIONS /api/v1/mine", headers, NULL);
        assert_false(said("Access-Control-"));
        ask("GET /api/v1/open", headers, NULL);
        assert_false(said("Access-Control-"));
    }
}

/* --- Idempotency-Key ---------------------------------------------------------------------------- */

#define KEY AS("member") "Idempotency-Key: k1\r\n"

static void a_repeat_gets_the_first_answer_and_runs_nothing(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    rig_feed(&rig, STR("POST /api/v1/mine HTTP/1.1\r\nHost: localhost\r\n" KEY "\r\n"), CUT_WHOLE);
    assert_int_equal(rig_answers(&rig), 0); /* nothing leaves before it is recorded */
    assert_int_equal(recorded_status, 200);
    recorded_sent(recorded_request);
    conn_test_flush(rig.conn);
    assert_int_equal(rig_status(&rig, 0), 200);
    rig_close(&rig);
    assert_int_equal(ask("POST /api/v1/mine", KEY, NULL), 200);
    assert_true(said("{\"handled\":1}"));
    assert_int_equal(handled, 1);
}

static void a_recorded_answer_survives_the_peer(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    rig_feed(&rig, STR("POST /api/v1/hold HTTP/1.1\r\nHost: localhost\r\n" KEY "\r\n"), CUT_WHOLE);
    rig_close(&rig);
    reply_bytes(held, 200, STR("text/plain"), STR("done"));
    assert_int_equal(recorded_status, 200); /* who comes again finds it */
    recorded_sent(recorded_request);
}

static void must_not_be_told(struct request *request, void *ctx) {
    (void)request, (void)ctx;
    fail_msg("what the handler kept for its answer may be gone by now");
}

/* To a handler its request is over when it has answered, however long the recording takes. */
static void who_has_answered_is_not_told_that_the_peer_left(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    rig_feed(&rig, STR("POST /api/v1/hold HTTP/1.1\r\nHost: localhost\r\n" KEY "\r\n"), CUT_WHOLE);
    assert_true(request_on_gone(held, must_not_be_told, NULL));
    reply_bytes(held, 200, STR("text/plain"), STR("kept"));
    rig_close(&rig);
    recorded_sent(recorded_request);
}

static void keys_are_for_people_and_posts_and_bounded(void **state) {
    (void)state;
    assert_int_equal(ask("GET /api/v1/mine", KEY, NULL), 200);
    assert_int_equal(ask("POST /api/v1/login", "Idempotency-Key: k1\r\n", NULL), 200);
    assert_int_equal(recorded_status, 0);
    char headers[512];
    snprintf(headers, sizeof(headers), AS("member") "Idempotency-Key: %0300d\r\n", 1);
    assert_int_equal(ask("POST /api/v1/mine", headers, NULL), 400);
    assert_int_equal(ask("POST /api/v1/mine", AS("member") "Idempotency-Key:\r\n", NULL), 400);
}

/* --- answers ------------------------------------------------------------------------------------ */

static void lists_have_an_envelope(void **state) {
    (void)state;
    assert_int_equal(ask("GET /api/v1/list", "", NULL), 200);
    assert_true(said("\r\n\r\n{\"items\":[1,2],\"next_cursor\":null}"));
}

static void a_half_written_answer_gives_way_to_the_problem(void **state) {
    (void)state;
    assert_int_equal(ask("GET /api/v1/failing", "", NULL), 507);
    assert_non_null(strstr(out.at, "\r\n\r\n{\"type\":"));
    assert_true(said("application/problem+json"));
}

static void redirects_and_headers_leave_as_given(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig);
    rig_feed(&rig, STR("GET /api/v1/hold HTTP/1.1\r\nHost: localhost\r\n\r\n"), CUT_WHOLE);
    char name[64];
    for (int i = 0; i < 100; i++) { /* more than the room that an exchange brings along */
        snprintf(name, sizeof(name), "value %d of a header that is long enough to fill it", i);
        reply_header(held, "X-Many", str_from(name));
    }
    reply_redirect(held, STR("/somewhere"));
    conn_test_flush(rig.conn);
    assert_int_equal(rig_status(&rig, 0), 302);
    assert_true(rig_has(&rig, "Location: /somewhere\r\n\r\n"));
    assert_true(rig_has(&rig, "X-Many: value 0 of"));
    assert_true(rig_has(&rig, "X-Many: value 99 of"));
    rig_close(&rig);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(rows_say_who_may_call),
        TEST(before_set_up_only_set_up_answers),
        TEST(cookies_only_work_from_our_own_page),
        TEST(cookies_are_read_and_set_by_the_house_rules),
        TEST(the_last_untrusted_address_counts),
        TEST(the_last_line_says_whether_it_was_tls),
        TEST(rates_are_told_and_kept),
        TEST(addresses_of_one_network_share_a_rate),
        TEST(wrong_tokens_are_not_checked_without_end),
        TEST(bodies_are_checked_by_type_and_rows),
        TEST(what_was_sent_can_be_told_from_what_was_not),
        TEST(revisions_answer_conditions),
        TEST(listed_origins_may_read_answers_and_errors),
        TEST(a_repeat_gets_the_first_answer_and_runs_nothing),
        TEST(a_recorded_answer_survives_the_peer),
        TEST(who_has_answered_is_not_told_that_the_peer_left),
        TEST(keys_are_for_people_and_posts_and_bounded),
        TEST(lists_have_an_envelope),
        TEST(a_half_written_answer_gives_way_to_the_problem),
        TEST(redirects_and_headers_leave_as_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
