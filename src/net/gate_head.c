/*
 * The first half of the gate, which asks the head alone and no route: whether its framing can be
 * read in one way only, what it asks for and of which host, who is at the other end, and which
 * pages may read the answer.
 *
 * Proxies are believed by their address (net.trusted_proxies), line by line and from the right:
 * what stands left of the first address that is none of theirs, anybody can have written.
 */
#include "base/check.h"
#include "base/log.h"
#include "net/gate_inside.h"
#include "net/listener.h"

#include <string.h>
#include <uv.h>

#include "base/banned.h"

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

/* One line of addresses from its right end on; *address is the last one that may be believed. True
 * when nothing further left may: anybody could have written it. */
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

/* Lines of one name are one list (RFC 9110 section 5.3). A proxy that does not join them (HAProxy)
 * adds its own behind what the client wrote, so the last one counts first. */
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

bool gate_is_listed_origin(struct str origin) {
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
    if (str_eq(origin, public_origin()) || gate_is_listed_origin(origin))
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
    if (!gate_is_listed_origin(origin))
        return;
    reply_header(&exchange->request, "Access-Control-Allow-Origin", origin);
    reply_header(&exchange->request, "Access-Control-Expose-Headers",
                 STR("ETag, Retry-After, X-Request-Id, RateLimit-Limit, RateLimit-Remaining, "
                     "RateLimit-Reset, Content-Disposition"));
}

/* --- all of it -------------------------------------------------------------------------------- */

bool gate_judge_head(struct exchange *exchange) {
    if (!check_framing(exchange) || !check_target(exchange) || !check_host(exchange))
        return false;
    find_peer(exchange);
    allow_origin(exchange);
    log_request_id(exchange->request.request_id);
    return true;
}
