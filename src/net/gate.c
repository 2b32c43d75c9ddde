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
 * section 10.1.1). The first two stand in gate_head.c, the last two in gate_body.c, the rest here.
 */
#include "base/check.h"
#include "net/asset.h"
#include "net/gate_inside.h"

#include <stdio.h>

#include "base/banned.h"

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
    if (gate_is_listed_origin(exchange->known[KNOWN_ORIGIN]) &&
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

static bool has_secret(const struct field *rows) {
    for (; rows != NULL && rows->name != NULL; rows++)
        if (rows->is_secret)
            return true;
    return false;
}

static bool find_route(struct exchange *exchange) {
    unsigned allow = 0;
    const struct route *route = exchange->request.route = router_find(exchange, &allow);
    exchange->has_secret = route != NULL && has_secret(route->body);
    if (exchange->has_secret)
        arena_wipe_on_release(&exchange->arena);
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

/* --- crowd, and all of it --------------------------------------------------------------------- */

/* Health and pages are answered also then: they cost nothing, and somebody must see what goes on. */
static bool check_crowd(struct exchange *exchange) {
    if (!is_product(exchange->request.route) || !http_is_crowded())
        return true;
    reply_retry_later(&exchange->request, 503, 2, "The server is busy. Try again in a moment.");
    return false;
}

bool gate_admit(struct exchange *exchange) {
    return gate_judge_head(exchange) && gate_check_expect(exchange) && find_route(exchange) &&
           check_set_up(exchange) && identify(exchange) && check_rate(exchange) &&
           check_role(exchange) && check_forgery(exchange) && check_crowd(exchange) &&
           gate_check_body(exchange);
}
