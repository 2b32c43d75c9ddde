/*
 * The second half of the gate: the body, before it is read (its length, its type, whether its
 * sender waits to be asked for it) and when it is here (JSON, the rows of body and query); then the
 * handler.
 *
 * A POST with an Idempotency-Key goes to its handler by way of what was answered to that key
 * before.
 */
#include "base/check.h"
#include "base/json.h"
#include "net/gate_inside.h"

#include "base/banned.h"

#define BODY_LIMIT_BYTES     (1 << 20)  /* JSON, when the row says nothing */
#define IGNORED_BODY_BYTES   (64 << 10) /* a body where none belongs */
#define IDEMPOTENCY_KEY_MAX  255
#define DUPLICATE_NAME_BYTES 80 /* of a member's name in an answer; no field has a longer one */

/* --- before it is read ------------------------------------------------------------------------ */

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

bool gate_check_expect(struct exchange *exchange) {
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

bool gate_check_body(struct exchange *exchange) {
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
