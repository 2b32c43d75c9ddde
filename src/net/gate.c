/*
 * The gate: everything between a whole head and the handler, in the order in which it must be
 * asked, with the statuses that refuse.
 *
 * - framing: one Host, no Transfer-Encoding but exactly chunked, nothing doubled (400, 501; closes)
 * - target: path decoded once, Host among the names of this server against rebinding (400, 421)
 * - route: the row; else the embedded app, OPTIONS, 405 with Allow, 404
 * - set-up: before an owner exists only set-up answers (403)
 * - caller: bearer token (401)
 * - rate: by user, by address without one (429)
 * - right: role and scope of the row; a cookie's caller comes from our own page (401, 403)
 * - crowd: as many handlers at work as may be (503)
 * - body: length, type, 100-continue (413, 415, 417)
 * - fields, when the body is here: query and body rows (400, 422)
 *
 * All but the last is decided on the head alone, so that a refused upload is never read (RFC 9110
 * section 10.1.1).
 */
#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include "net/asset.h"
#include "net/http.h"
#include "net/listener.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/banned.h"

#define BODY_LIMIT_BYTES     (1 << 20)  /* JSON, when the row says nothing */
#define IGNORED_BODY_BYTES   (64 << 10) /* a body where none belongs */
#define IDEMPOTENCY_KEY_MAX  255
#define DUPLICATE_NAME_BYTES 80 /* of a member's name in an answer; no field has a longer one */

/* --- framing ---------------------------------------------------------------------------------- */

static int known_index(struct str name) {
    static const struct str NAMES[KNOWN_COUNT] = {
        [KNOWN_HOST] = {"host", 4},
        [KNOWN_CONTENT_TYPE] = {"content-type", 12},
        [KNOWN_CONTENT_LENGTH] = {"content-length", 14},
        [KNOWN_TRANSFER_ENCODING] = {"transfer-encoding", 17},
        [KNOWN_AUTHORIZATION] = {"authorization", 13},
        [KNOWN_EXPECT] = {"expect", 6},
        [KNOWN_ORIGIN] = {"origin", 6},
        [KNOWN_CONTENT_ENCODING] = {"content-encoding", 16},
        [KNOWN_IDEMPOTENCY_KEY] = {"idempotency-key", 15},
    };
    for (int i = 0; i < KNOWN_COUNT; i++)
        if (name.len == NAMES[i].len && str_eq_nocase(name, NAMES[i]))
            return i;
    return -1;
}

/* Remembers the fields that the server reads. False when one of them is there twice. */
static bool index_headers(struct exchange *exchange) {
    for (size_t i = 0; i < exchange->request.header_count; i++) {
        int known = known_index(exchange->headers[i].name);
        if (known < 0)
            continue;
        if (exchange->known[known].at != NULL)
            return false;
        exchange->known[known] = exchange->headers[i].value;
    }
    return true;
}

static bool is_ascii(struct str s) {
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] >= 0x80)
            return false;
    return true;
}

static bool refuse(struct exchange *exchange, int status, const char *detail) {
    reply_refuse(exchange, status, detail);
    return false;
}

static bool check_framing(struct exchange *exchange) {
    if (!index_headers(exchange))
        return refuse(exchange, 400, "A header that must be single is there twice.");
    struct str coding = exchange->known[KNOWN_TRANSFER_ENCODING];
    if (coding.at != NULL && exchange->is_http10)
        return refuse(exchange, 400, "HTTP/1.0 has no Transfer-Encoding.");
    if (coding.at != NULL && exchange->known[KNOWN_CONTENT_LENGTH].at != NULL)
        return refuse(exchange, 400, "The length of the body is stated twice.");
    if (coding.at != NULL && !str_eq_nocase(coding, STR("chunked")))
        return refuse(exchange, 501, "The only transfer coding known here is chunked.");
    static const enum known_header PLAIN[] = {KNOWN_HOST, KNOWN_CONTENT_TYPE, KNOWN_ORIGIN,
                                              KNOWN_AUTHORIZATION};
    for (size_t i = 0; i < COUNT_OF(PLAIN); i++)
        if (!is_ascii(exchange->known[PLAIN[i]]))
            return refuse(exchange, 400, "A header holds bytes that are not ASCII.");
    return true;
}

/* --- target and Host -------------------------------------------------------------------------- */

static bool check_target(struct exchange *exchange) {
    struct request *request = &exchange->request;
    const char *name = llhttp_method_name((llhttp_method_t)exchange->parser.method);
    request->method = head_method(str_from(name));
    if (exchange->parser.method == HTTP_CONNECT)
        return refuse(exchange, 405, "This is no proxy.");
    if (head_target_parse(request->target, request->method, &exchange->target) != E_OK ||
        head_path_decode(&exchange->arena, exchange->target.path, &request->path) != E_OK)
        return refuse(exchange, 400, "The path is malformed.");
    request->query = exchange->target.query;
    return true;
}

/* True when `origin` ("https://name:port") names this host. */
static bool is_origin_host(struct str origin, struct str name) {
    ptrdiff_t at = str_find(origin, STR("://"), 0);
    if (at < 0)
        return false;
    struct str rest = str_slice(origin, (size_t)at + 3, origin.len);
    struct str host;
    return str_next(&rest, '/', &host) && str_eq_nocase(head_host_name(host), name);
}

static bool is_listed_host(struct str host) {
    struct str name = head_host_name(host);
    if (is_origin_host(net_settings.public_url, name))
        return true;
    struct str rest = net_settings.allowed_origins;
    struct str origin;
    while (str_next(&rest, ',', &origin))
        if (is_origin_host(str_trim(origin), name))
            return true;
    return false;
}

static bool check_host(struct exchange *exchange) {
    struct str host = exchange->known[KNOWN_HOST];
    if (host.at == NULL && exchange->is_http10)
        return true;
    if (!head_host_is_valid(host))
        return refuse(exchange, 400, "The Host header is missing or malformed.");
    if (exchange->target.authority.at != NULL)
        host = exchange->known[KNOWN_HOST] = exchange->target.authority;
    if (!listener_needs_local_host() || head_host_is_local(host) || is_listed_host(host))
        return true;
    return refuse(exchange, 421,
                  "This server does not answer for that host name; see net.public_url.");
}

/* --- who is at the other end ------------------------------------------------------------------ */

static bool is_address(struct str address) {
    char text[46];
    unsigned char bytes[16];
    if (address.len == 0 || address.len >= sizeof(text))
        return false;
    memcpy(text, address.at, address.len);
    text[address.len] = '\0';
    return uv_inet_pton(AF_INET, text, bytes) == 0 || uv_inet_pton(AF_INET6, text, bytes) == 0;
}

/* One line of addresses from its right end on; *address is the last one that may be believed. True when
 * nothing further left may: anybody could have written it. */
static bool take_forwarded(struct str list, struct str *address) {
    do {
        size_t comma = list.len;
        while (comma > 0 && list.at[comma - 1] != ',')
            comma--;
        struct str one = str_trim(str_slice(list, comma, list.len));
        if (!is_address(one))
            return true;
        *address = one;
        if (!listener_is_proxy(one))
            return true;
        list.len = comma > 0 ? comma - 1 : 0;
    } while (list.len > 0);
    return false;
}

/* Lines of one name are one list (RFC 9110 section 5.3). A proxy that does not join them (HAProxy) adds
 * its own behind what the client wrote, so the last one counts first. */
static struct str forwarded_for(const struct request *request) {
    struct str address = request->address;
    for (size_t i = request->header_count; i > 0; i--)
        if (str_eq_nocase(request->headers[i - 1].name, STR("x-forwarded-for")) &&
            take_forwarded(request->headers[i - 1].value, &address))
            break;
    return address;
}

static bool is_forwarded_from_tls(const struct request *request) {
    for (size_t i = request->header_count; i > 0; i--)
        if (str_eq_nocase(request->headers[i - 1].name, STR("x-forwarded-proto")))
            return str_eq_nocase(request->headers[i - 1].value, STR("https"));
    return false;
}

static void find_peer(struct exchange *exchange) {
    struct request *request = &exchange->request;
    if (!conn_is_from_proxy(request->conn))
        return;
    request->address = forwarded_for(request);
    request->is_secure = is_forwarded_from_tls(request);
}

static bool is_listed_origin(struct str origin) {
    struct str rest = net_settings.allowed_origins;
    struct str listed;
    while (str_next(&rest, ',', &listed))
        if (str_eq(str_trim(listed), origin))
            return true;
    return false;
}

/* The origin of public_url, without a path that may follow. */
static struct str public_origin(void) {
    struct str url = net_settings.public_url;
    ptrdiff_t scheme = str_find(url, STR("://"), 0);
    ptrdiff_t slash = scheme < 0 ? -1 : str_find_char(url, '/', (size_t)scheme + 3);
    return slash < 0 ? url : str_slice(url, 0, (size_t)slash);
}

bool gate_is_own_origin(const struct request *request, struct str origin) {
    if (origin.len == 0 || str_eq(origin, STR("null")))
        return false;
    if (str_eq(origin, public_origin()) || is_listed_origin(origin))
        return true;
    ptrdiff_t at = str_find(origin, STR("://"), 0);
    bool is_web = str_starts(origin, STR("http://")) || str_starts(origin, STR("https://"));
    return is_web && str_eq_nocase(str_slice(origin, (size_t)at + 3, origin.len),
                                   exchange_of(request)->known[KNOWN_HOST]);
}

/* Pages of listed origins may read the answers; errors too, or a script sees only a failure. */
static void allow_origin(struct exchange *exchange) {
    struct str origin = exchange->known[KNOWN_ORIGIN];
    if (origin.len == 0 || net_settings.allowed_origins.len == 0)
        return;
    reply_header(&exchange->request, "Vary", STR("Origin"));
    if (!is_listed_origin(origin))
        return;
    reply_header(&exchange->request, "Access-Control-Allow-Origin", origin);
    reply_header(&exchange->request, "Access-Control-Expose-Headers",
                 STR("ETag, Retry-After, X-Request-Id, RateLimit-Limit, RateLimit-Remaining, "
                     "RateLimit-Reset, Content-Disposition"));
}

/* --- route ------------------------------------------------------------------------------------ */

static const struct {
    enum method method;
    const char *name;
} METHODS[] = {{METHOD_GET, "GET"},        {METHOD_HEAD, "HEAD"},   {METHOD_POST, "POST"},
               {METHOD_PUT, "PUT"},        {METHOD_PATCH, "PATCH"}, {METHOD_DELETE, "DELETE"},
               {METHOD_OPTIONS, "OPTIONS"}};

static void add_allow(struct exchange *exchange, const char *header, unsigned allow) {
    char list[64];
    size_t len = 0;
    for (size_t i = 0; i < COUNT_OF(METHODS); i++)
        if ((allow & 1u << METHODS[i].method) != 0)
            len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", len > 0 ? ", " : "",
                                    METHODS[i].name);
    reply_header(&exchange->request, header, str_of(list, len));
}

static bool answer_options(struct exchange *exchange, unsigned allow) {
    struct request *request = &exchange->request;
    add_allow(exchange, "Allow", allow);
    if (is_listed_origin(exchange->known[KNOWN_ORIGIN]) &&
        request_header(request, "access-control-request-method").at != NULL) {
        add_allow(exchange, "Access-Control-Allow-Methods", allow);
        reply_header(request, "Access-Control-Allow-Headers",
                     STR("Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, "
                         "Last-Event-ID, X-Troupe-Request"));
        reply_header(request, "Access-Control-Max-Age", STR("600"));
    }
    reply_empty(request, 204);
    return false;
}

#define EVERY_METHOD                                                               \
    (1u << METHOD_GET | 1u << METHOD_HEAD | 1u << METHOD_POST | 1u << METHOD_PUT | \
     1u << METHOD_PATCH | 1u << METHOD_DELETE | 1u << METHOD_OPTIONS)

/* No row: perhaps a file of the app, or a method that the path does not take. */
static bool answer_without_route(struct exchange *exchange, unsigned allow) {
    struct request *request = &exchange->request;
    bool reads = request->method == METHOD_GET || request->method == METHOD_HEAD;
    if (allow == 0 && reads && asset_serve(request))
        return false;
    if (request->method == METHOD_OPTIONS && (allow != 0 || str_eq(request->path, STR("*"))))
        return answer_options(exchange, allow != 0 ? allow : EVERY_METHOD);
    if (allow == 0 && request->method == METHOD_OTHER)
        allow = EVERY_METHOD; /* TRACE and its like are refused on every path */
    if (allow == 0) {
        reply_problem(request, 404, "There is nothing at this address.");
        return false;
    }
    add_allow(exchange, "Allow", allow);
    reply_problem(request, 405, "This address does not take that method.");
    return false;
}

static bool find_route(struct exchange *exchange) {
    unsigned allow = 0;
    exchange->request.route = router_find(exchange, &allow);
    return exchange->request.route != NULL || answer_without_route(exchange, allow);
}

/* Routes of the product, in contrast to health, metrics and pages. */
static bool is_product(const struct route *route) {
    struct str pattern = str_from(route->pattern);
    return str_starts(pattern, STR("/api/")) || str_starts(pattern, STR("/v1/"));
}

static bool check_set_up(struct exchange *exchange) {
    const struct route *route = exchange->request.route;
    if (router_hooks_now.is_set_up == NULL || !is_product(route) || route == openapi_routes)
        return true;
    if (str_starts(str_from(route->pattern), STR("/api/v1/setup")) || router_hooks_now.is_set_up())
        return true;
    reply_problem(&exchange->request, 403,
                  "This Troupe has no owner yet. Open its page to set it up.");
    return false;
}

/* --- caller and rate -------------------------------------------------------------------------- */

static bool too_many(struct exchange *exchange, int64_t after_s) {
    reply_retry_later(&exchange->request, 429, after_s > 0 ? after_s : 1,
                      "Too many requests. Try again later.");
    return false;
}

static bool unauthorized(struct exchange *exchange, bool has_token) {
    reply_header(&exchange->request, "WWW-Authenticate",
                 has_token ? STR("Bearer error=\"invalid_token\"") : STR("Bearer"));
    reply_problem(&exchange->request, 401,
                  has_token ? "The token is not valid, or not valid any more."
                            : "Sign in first: this needs a token.");
    return false;
}

static struct str bearer_token(const struct exchange *exchange) {
    struct str value = exchange->known[KNOWN_AUTHORIZATION];
    if (value.len < 8 || !str_eq_nocase(str_slice(value, 0, 7), STR("Bearer ")))
        return STR_NONE;
    return str_trim(str_slice(value, 7, value.len));
}

static struct str subject_of(char *text, size_t size, const char *kind, struct str name) {
    int len = snprintf(text, size, "%s:" STR_FMT, kind, STR_ARG(name));
    return str_of(text, (size_t)len < size ? (size_t)len : size - 1);
}

/*
 * A wrong token costs a signature check of a millisecond, so an address that showed many is not
 * listened to for a while. Who is known already is never kept out by that: strangers behind the
 * same address cannot end somebody's visit.
 */
static bool identify(struct exchange *exchange) {
    struct request *request = &exchange->request;
    struct str token = bearer_token(exchange);
    if (token.at == NULL || router_hooks_now.identify == NULL)
        return true;
    int64_t wait_s = limit_bad_tokens_wait_s(request->address);
    if (wait_s > 0 && !(router_hooks_now.knows != NULL && router_hooks_now.knows(token)))
        return too_many(exchange, wait_s);
    if (router_hooks_now.identify(token, &request->caller) == E_OK)
        return true;
    request->caller = (struct caller){0};
    limit_bad_token(request->address);
    const struct route *route = request->route;
    bool is_public = route->who == WHO_ANYONE && route->scope == 0;
    return is_public || unauthorized(exchange, true);
}

static bool take_limit(struct exchange *exchange, const char *kind, struct str name,
                       bool is_costly) {
    char text[64];
    struct limit_answer answer = limit_take(subject_of(text, sizeof(text), kind, name), is_costly);
    if (!exchange->has_limit || !answer.is_allowed || is_costly)
        exchange->limit = answer;
    exchange->has_limit = exchange->limit.limit > 0;
    return answer.is_allowed || too_many(exchange, answer.retry_s);
}

static bool check_rate(struct exchange *exchange) {
    struct request *request = &exchange->request;
    char text[LIMIT_NETWORK_BYTES];
    if (!is_product(request->route))
        return true;
    struct str network = limit_network(request->address, text);
    if (request->caller.user_id != 0) {
        char digits[STR_INT_BYTES];
        struct str user = str_of(digits, str_print_int(digits, request->caller.user_id));
        if (!take_limit(exchange, "user", user, false))
            return false;
    } else if (!take_limit(exchange, "address", network, false)) {
        return false;
    }
    return !request->route->is_costly || take_limit(exchange, "costly", network, true);
}

/* --- right ------------------------------------------------------------------------------------ */

static const char *const WHO_NAMES[] = {"anyone",     "members",        "creators",
                                        "moderators", "administrators", "the owner"};

static bool check_role(struct exchange *exchange) {
    struct request *request = &exchange->request;
    const struct route *route = request->route;
    if (route->who == WHO_ANYONE) {
        if (route->scope == 0 && request->caller.api_key_id != 0)
            request->caller = (struct caller){0}; /* keys have no business here: nobody calls */
        return true;
    }
    if (request->caller.user_id == 0)
        return unauthorized(exchange, false);
    if ((int)request->caller.role < (int)route->who) {
        reply_problem(request, 403, "This is for %s.", WHO_NAMES[route->who]);
        return false;
    }
    if (request->caller.api_key_id == 0 ||
        (route->scope != 0 && (request->caller.scopes & route->scope) == route->scope))
        return true;
    reply_problem(request, 403,
                  route->scope == 0 ? "API keys may not do this; sign in."
                                    : "This API key does not have the scope for it.");
    return false;
}

/*
 * The refresh cookie travels by itself, so a call with it must prove that it comes from our own
 * page: a header that no form can send, and what the browser says about the page. Programs send
 * neither Sec-Fetch-Site nor Origin, have no pages of others to be tricked by, and pass.
 */
static bool check_forgery(struct exchange *exchange) {
    struct request *request = &exchange->request;
    if (!request->route->answers_cookie || request_header(request, "cookie").at == NULL)
        return true;
    struct str site = request_header(request, "sec-fetch-site");
    struct str origin = exchange->known[KNOWN_ORIGIN];
    bool is_program = site.at == NULL && origin.at == NULL;
    bool is_ours = is_program || request_header(request, "x-troupe-request").at != NULL;
    if (site.at != NULL)
        is_ours = is_ours && (str_eq(site, STR("same-origin")) || str_eq(site, STR("none")));
    if (origin.at != NULL)
        is_ours = is_ours && gate_is_own_origin(request, origin);
    if (!is_ours)
        reply_problem(request, 403, "This call must come from Troupe's own page.");
    return is_ours;
}

/* --- body ------------------------------------------------------------------------------------- */

static struct str media_type(struct str content_type) {
    struct str type = STR_NONE;
    struct str rest = content_type;
    if (!str_next(&rest, ';', &type))
        return STR_NONE;
    return str_trim(type);
}

static bool wrong_type(struct exchange *exchange, const char *accepted) {
    reply_header(&exchange->request, "Accept", str_from(accepted));
    reply_problem(&exchange->request, 415, "The body must be %s.", accepted);
    return false;
}

static bool check_type(struct exchange *exchange) {
    const struct route *route = exchange->request.route;
    struct str coding = exchange->known[KNOWN_CONTENT_ENCODING];
    if (coding.len > 0 && !str_eq_nocase(coding, STR("identity"))) {
        reply_header(&exchange->request, "Accept-Encoding", STR("identity"));
        reply_problem(&exchange->request, 415, "Compressed bodies are not taken.");
        return false;
    }
    struct str type = media_type(exchange->known[KNOWN_CONTENT_TYPE]);
    if (route->is_multipart && !str_eq_nocase(type, STR("multipart/form-data"))) {
        if (route->body == NULL || !str_eq_nocase(type, STR("application/json")))
            return wrong_type(exchange, "multipart/form-data");
    } else if (!route->is_multipart && !route->is_raw && route->body != NULL &&
               !str_eq_nocase(type, STR("application/json"))) {
        return wrong_type(exchange, "application/json");
    }
    return true;
}

static size_t body_limit(const struct route *route) {
    if (route->body_limit_bytes != 0)
        return route->body_limit_bytes;
    bool takes_body = route->body != NULL || route->is_raw || route->is_multipart;
    return takes_body ? BODY_LIMIT_BYTES : IGNORED_BODY_BYTES;
}

static bool check_expect(struct exchange *exchange) {
    struct str expect = exchange->known[KNOWN_EXPECT];
    if (expect.at == NULL || exchange->is_http10)
        return true;
    if (!str_eq_nocase(expect, STR("100-continue"))) {
        exchange->keeps_alive = exchange->keeps_alive && exchange->is_received;
        reply_problem(&exchange->request, 417, "The only expectation known here is 100-continue.");
        return false;
    }
    exchange->expects_continue = !exchange->is_received;
    return true;
}

/* Health and pages are answered also then: they cost nothing, and somebody must see what is wrong. */
static bool check_crowd(struct exchange *exchange) {
    if (!is_product(exchange->request.route) || !http_is_crowded())
        return true;
    reply_retry_later(&exchange->request, 503, 2, "The server is busy. Try again in a moment.");
    return false;
}

static bool check_body(struct exchange *exchange) {
    const struct route *route = exchange->request.route;
    if (exchange->is_received)
        return true;
    exchange->content_limit_bytes = body_limit(route);
    bool is_chunked = exchange->known[KNOWN_TRANSFER_ENCODING].at != NULL;
    if (!is_chunked && exchange->parser.content_length > exchange->content_limit_bytes) {
        reply_problem(&exchange->request, 413, "The body may have at most %zu bytes here.",
                      exchange->content_limit_bytes);
        return false;
    }
    if (!check_type(exchange))
        return false;
    if (exchange->expects_continue) {
        conn_send(exchange->request.conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        exchange->expects_continue = false;
    }
    return true;
}

bool gate_admit(struct exchange *exchange) {
    if (!check_framing(exchange) || !check_target(exchange) || !check_host(exchange))
        return false;
    find_peer(exchange);
    allow_origin(exchange);
    log_request_id(exchange->request.request_id);
    return check_expect(exchange) && find_route(exchange) && check_set_up(exchange) &&
           identify(exchange) && check_rate(exchange) && check_role(exchange) &&
           check_forgery(exchange) && check_crowd(exchange) && check_body(exchange);
}

/* --- fields and handler ----------------------------------------------------------------------- */

static void answer_problems(struct request *request, const struct field_problems *problems) {
    reply_fields(exchange_of(request), problems);
}

static bool read_query(struct exchange *exchange) {
    struct request *request = &exchange->request;
    const struct route *route = request->route;
    if (route->query == NULL)
        return true;
    struct field_problems problems = {.count = 0};
    void *out = arena_zero(&exchange->arena, route->query_size > 0 ? route->query_size : 1);
    request->query_fields = out;
    if (field_read_query(&exchange->arena, route->query, request->query, out, &request->query_has,
                         &problems) == E_OK)
        return true;
    answer_problems(request, &problems);
    return false;
}

static bool not_json(struct exchange *exchange, const struct json_error *error) {
    struct field_problems problems = {.count = 1};
    if (error->is_duplicate) { /* JSON it is, but nobody can say what is meant */
        struct str name = str_slice(error->name, 0, DUPLICATE_NAME_BYTES);
        problems.items[0] =
            (struct field_problem){str_dup_z(&exchange->arena, name), "is there twice"};
        answer_problems(&exchange->request, &problems);
        return false;
    }
    reply_problem(&exchange->request, 400, "The body is not JSON: %s at byte %zu.", error->reason,
                  error->offset_bytes);
    return false;
}

static bool read_body(struct exchange *exchange) {
    static const struct field NO_FIELDS[] = {{0}};
    struct request *request = &exchange->request;
    const struct route *route = request->route;
    bool is_json =
        str_eq_nocase(media_type(exchange->known[KNOWN_CONTENT_TYPE]), STR("application/json"));
    request->content = buf_str(&exchange->content);
    if (route->is_raw || (route->is_multipart && !(is_json && route->body != NULL)))
        return true;
    if (route->body == NULL && (!is_json || request->content.len == 0))
        return true;
    struct str text = request->content;
    if (str_trim(text).len == 0) {
        if (!route->body_is_optional) {
            reply_problem(request, 400, "A JSON body is missing.");
            return false;
        }
        text = STR("{}");
    }
    const struct json_value *value;
    struct json_error error = {.reason = "it is malformed"};
    if (json_parse(&exchange->arena, text, &value, &error) != E_OK)
        return not_json(exchange, &error);
    struct field_problems problems = {.count = 0};
    void *out = arena_zero(&exchange->arena, route->body_size > 0 ? route->body_size : 1);
    request->body = out;
    if (field_read(&exchange->arena, route->body != NULL ? route->body : NO_FIELDS, value, out,
                   &request->body_has, &problems) == E_OK)
        return true;
    answer_problems(request, &problems);
    return false;
}

static void handle(struct request *request) {
    request->route->handle(request);
}

static void handle_recorded(struct request *request) {
    exchange_of(request)->is_recorded = true;
    handle(request);
}

/* A POST of somebody signed in, with a key: the first answer is the answer to every repeat. */
static bool is_idempotent(const struct exchange *exchange) {
    return exchange->known[KNOWN_IDEMPOTENCY_KEY].at != NULL &&
           exchange->request.method == METHOD_POST && exchange->request.caller.user_id != 0 &&
           router_hooks_now.idempotency_begin != NULL;
}

void gate_dispatch(struct exchange *exchange) {
    struct request *request = &exchange->request;
    http_started(exchange);
    if (!read_query(exchange) || !read_body(exchange))
        return;
    if (!is_idempotent(exchange)) {
        handle(request);
        return;
    }
    struct str key = exchange->known[KNOWN_IDEMPOTENCY_KEY];
    if (key.len == 0 || key.len > IDEMPOTENCY_KEY_MAX)
        reply_problem(request, 400, "Idempotency-Key must have 1 to %d bytes.",
                      IDEMPOTENCY_KEY_MAX);
    else
        router_hooks_now.idempotency_begin(request, key, handle_recorded);
}
