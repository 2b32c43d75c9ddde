/*
 * openapi.json (OpenAPI 3.1) from the route rows; what their fields may hold is openapi_schema.c.
 *
 * The rows are what the server itself obeys, so the document cannot promise anything else: paths
 * and their parameters, bodies, queries, who may call, what comes back, and the problems that the
 * gate answers. Named shapes become components and are referred to. It is written once, when
 * somebody first asks for it.
 */
#include "net/router.h"

#include "base/check.h"
#include "base/map.h"
#include "net/http.h"
#include "net/openapi_inside.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/banned.h"

#define DOCUMENT_CEILING_BYTES (8 << 20)

static struct buf document;

/* --- parameters ------------------------------------------------------------------------------- */

static void parameter_begin(struct json *json, const char *where, struct str name,
                            bool is_required) {
    json_object_begin(json);
    JSON_STR(json, "name", name);
    JSON_STR(json, "in", str_from(where));
    JSON_BOOL(json, "required", is_required);
}

static void write_path_parameters(struct json *json, const char *pattern) {
    struct str rest = str_from(pattern), part;
    while (str_next(&rest, '/', &part)) {
        if (part.len < 3 || part.at[0] != '{')
            continue;
        parameter_begin(json, "path", str_slice(part, 1, part.len - 1), true);
        JSON_OBJECT(json, "schema");
        if (str_ends(part, STR("id}")))
            openapi_id(json, false);
        else
            openapi_type(json, "string", false);
        json_object_end(json);
        json_object_end(json);
    }
}

static void write_query_parameters(struct json *json, const struct field *rows) {
    for (size_t i = 0; rows != NULL && rows[i].name != NULL; i++) {
        parameter_begin(json, "query", str_from(rows[i].name), rows[i].is_required);
        if (rows[i].help != NULL)
            JSON_STR(json, "description", str_from(rows[i].help));
        struct field row = rows[i];
        row.help = NULL;
        json_key(json, STR("schema"));
        openapi_property(json, &row, true);
        json_object_end(json);
    }
}

static void write_header_parameter(struct json *json, const char *name, const char *help) {
    parameter_begin(json, "header", str_from(name), false);
    JSON_STR(json, "description", str_from(help));
    JSON_OBJECT(json, "schema");
    openapi_type(json, "string", false);
    json_object_end(json);
    json_object_end(json);
}

static void write_parameters(struct json *json, const struct route *route) {
    JSON_ARRAY(json, "parameters");
    write_path_parameters(json, route->pattern);
    write_query_parameters(json, route->query);
    if (route->method == METHOD_POST && route->who != WHO_ANYONE)
        write_header_parameter(json, "Idempotency-Key",
                               "A repeat with the same key within 24 hours gets the first answer.");
    if (route->method == METHOD_PATCH || route->method == METHOD_PUT)
        write_header_parameter(json, "If-Match",
                               "The ETag that the change is based on; 412 if stale.");
    if (route->answers_cookie) {
        parameter_begin(json, "header", STR("X-Troupe-Request"), false);
        JSON_STR(json, "description", STR("Needed when the refresh cookie is sent."));
        JSON_OBJECT(json, "schema");
        openapi_type(json, "string", false);
        json_object_end(json);
        json_object_end(json);
    }
    json_array_end(json);
}

/* --- bodies and answers ----------------------------------------------------------------------- */

static void write_multipart_schema(struct json *json) {
    json_object_begin(json);
    JSON_STR(json, "type", STR("object"));
    JSON_OBJECT(json, "additionalProperties");
    JSON_STR(json, "type", STR("string"));
    JSON_STR(json, "contentMediaType", STR("application/octet-stream"));
    json_object_end(json);
    json_object_end(json);
}

static void write_media(struct json *json, const char *type) {
    json_key(json, str_from(type));
    json_object_begin(json);
    json_key(json, STR("schema"));
}

static void write_body(struct json *json, const struct route *route) {
    if (route->body == NULL && !route->is_multipart && !route->is_raw)
        return;
    JSON_OBJECT(json, "requestBody");
    JSON_BOOL(json, "required", !route->body_is_optional);
    JSON_OBJECT(json, "content");
    if (route->is_multipart) {
        write_media(json, "multipart/form-data");
        write_multipart_schema(json);
        json_object_end(json);
    }
    if (route->body != NULL) {
        write_media(json, "application/json");
        openapi_object(json, route->body, true);
        json_object_end(json);
    }
    if (route->is_raw && route->body == NULL) {
        write_media(json, "application/octet-stream");
        json_object_begin(json);
        json_object_end(json);
        json_object_end(json);
    }
    json_object_end(json);
    json_object_end(json);
}

static void write_list_schema(struct json *json, const struct shape *shape) {
    json_object_begin(json);
    JSON_STR(json, "type", STR("object"));
    JSON_OBJECT(json, "properties");
    JSON_OBJECT(json, "items");
    JSON_STR(json, "type", STR("array"));
    json_key(json, STR("items"));
    openapi_ref(json, "schemas", shape->name);
    json_object_end(json);
    JSON_OBJECT(json, "next_cursor");
    openapi_type(json, "string", true);
    JSON_STR(json, "description",
             STR("Give it back as ?cursor= for the next page; null on the last."));
    json_object_end(json);
    json_object_end(json);
    JSON_ARRAY(json, "required");
    json_write_str(json, STR("items"));
    json_write_str(json, STR("next_cursor"));
    json_array_end(json);
    json_object_end(json);
}

static void write_answer_schema(struct json *json, const struct route *route) {
    if (route->answer != NULL && route->answer_is_list)
        write_list_schema(json, route->answer);
    else if (route->answer != NULL)
        openapi_ref(json, "schemas", route->answer->name);
    else {
        json_object_begin(json);
        json_object_end(json);
    }
}

static void write_success(struct json *json, const struct route *route) {
    int status = route->status != 0 ? route->status : 200;
    char code[STR_INT_BYTES];
    json_key(json, str_of(code, str_print_int(code, status)));
    json_object_begin(json);
    JSON_STR(json, "description", STR("Done."));
    if (route->answer != NULL || route->answer_type != NULL) {
        JSON_OBJECT(json, "content");
        if (route->answer != NULL || route->answer_type == NULL) {
            write_media(json, "application/json");
            write_answer_schema(json, route);
            json_object_end(json);
        }
        if (route->answer_type != NULL && strcmp(route->answer_type, "application/json") != 0) {
            json_key(json, str_from(route->answer_type));
            json_object_begin(json);
            json_object_end(json);
        }
        json_object_end(json);
    }
    json_object_end(json);
}

static const struct {
    const char *code, *name, *description;
} PROBLEMS[] = {
    {"400", "Malformed", "The request is malformed, or its body is not JSON."},
    {"401", "Unauthorized", "No token, or not a valid one."},
    {"403", "Forbidden", "The caller may not do this."},
    {"404", "NotFound", "It is not there, or not visible to the caller."},
    {"409", "Conflict", "It has been changed meanwhile, or exists already."},
    {"412", "PreconditionFailed", "The ETag in If-Match is stale."},
    {"413", "TooLarge", "The body is larger than the route takes."},
    {"415", "WrongType", "The body has another type than the route takes."},
    {"422", "Invalid", "Fields are not valid; they are named."},
    {"429", "TooMany", "Too many requests; Retry-After says when to come again."},
    {"503", "Overloaded", "Overloaded or stopping; Retry-After says when to come again."},
    {"507", "StorageFull", "It could not be stored."},
};

static bool may_answer(const struct route *route, int code) {
    bool has_body = route->body != NULL || route->is_multipart || route->is_raw;
    bool writes = route->method != METHOD_GET;
    switch (code) {
    case 401:
    case 403:
        return route->who != WHO_ANYONE || route->scope != 0 || route->answers_cookie;
    case 404:
        return strchr(route->pattern, '{') != NULL;
    case 409:
    case 507:
        return writes;
    case 412:
        return route->method == METHOD_PATCH || route->method == METHOD_PUT;
    case 413:
    case 415:
        return has_body;
    case 422:
        return has_body || route->query != NULL;
    default:
        return true;
    }
}

static void write_responses(struct json *json, const struct route *route) {
    JSON_OBJECT(json, "responses");
    write_success(json, route);
    for (size_t i = 0; i < COUNT_OF(PROBLEMS); i++) {
        if (!may_answer(route, atoi(PROBLEMS[i].code)))
            continue;
        json_key(json, str_from(PROBLEMS[i].code));
        openapi_ref(json, "responses", PROBLEMS[i].name);
    }
    json_object_end(json);
}

/* --- operations ------------------------------------------------------------------------------- */

static const char *const METHOD_NAMES[] = {"get",   "head",   "post",   "put",
                                           "patch", "delete", "options"};
static const char *const WHO_WORDS[] = {"anyone",    "member", "creator",
                                        "moderator", "admin",  "owner"};

static void write_scopes(struct json *json, unsigned scopes) {
    static const char *const NAMES[] = {"read", "write", "chat", "admin"};
    JSON_ARRAY(json, "x-scopes");
    for (unsigned i = 0; i < COUNT_OF(NAMES); i++)
        if ((scopes & 1u << i) != 0)
            json_write_str(json, str_from(NAMES[i]));
    json_array_end(json);
}

static void write_security(struct json *json, const struct route *route) {
    JSON_ARRAY(json, "security");
    if (route->who == WHO_ANYONE) {
        json_object_begin(json);
        json_object_end(json);
    }
    if (route->who != WHO_ANYONE || route->scope != 0) {
        json_object_begin(json);
        JSON_ARRAY(json, "bearer");
        json_array_end(json);
        json_object_end(json);
    }
    json_array_end(json);
}

/* operationId must be there and unique; where a row has none, method and pattern make one. */
static void write_operation_id(struct json *json, const struct route *route) {
    char text[160];
    size_t len = 0;
    if (route->operation != NULL) {
        JSON_STR(json, "operationId", str_from(route->operation));
        return;
    }
    for (const char *c = METHOD_NAMES[route->method]; *c != '\0'; c++)
        text[len++] = *c;
    for (const char *c = route->pattern; *c != '\0' && len < sizeof(text); c++)
        text[len++] = isalnum((unsigned char)*c) ? *c : '_';
    JSON_STR(json, "operationId", str_of(text, len));
}

static void write_operation(struct json *json, const struct route *route) {
    json_key(json, str_from(METHOD_NAMES[route->method]));
    json_object_begin(json);
    write_operation_id(json, route);
    if (route->summary != NULL)
        JSON_STR(json, "summary", str_from(route->summary));
    if (route->tag != NULL) {
        JSON_ARRAY(json, "tags");
        json_write_str(json, str_from(route->tag));
        json_array_end(json);
    }
    JSON_STR(json, "x-who", str_from(WHO_WORDS[route->who]));
    write_scopes(json, route->scope);
    write_security(json, route);
    write_parameters(json, route);
    write_body(json, route);
    write_responses(json, route);
    json_object_end(json);
}

static bool is_first_of_pattern(size_t index) {
    const struct route *route = router_at(index);
    for (size_t i = 0; i < index; i++)
        if (strcmp(router_at(i)->pattern, route->pattern) == 0)
            return false;
    return true;
}

static void write_paths(struct json *json) {
    JSON_OBJECT(json, "paths");
    for (size_t i = 0; router_at(i) != NULL; i++) {
        if (!is_first_of_pattern(i))
            continue;
        const char *pattern = router_at(i)->pattern;
        json_key(json, str_from(pattern));
        json_object_begin(json);
        for (size_t j = i; router_at(j) != NULL; j++)
            if (strcmp(router_at(j)->pattern, pattern) == 0)
                write_operation(json, router_at(j));
        json_object_end(json);
    }
    json_object_end(json);
}

/* --- components ------------------------------------------------------------------------------- */

static void write_shape(struct json *json, struct map *done, const struct shape *shape);

static void write_shapes_of(struct json *json, struct map *done, const struct field *rows) {
    for (size_t i = 0; rows != NULL && rows[i].name != NULL; i++) {
        if (rows[i].shape != NULL)
            write_shape(json, done, rows[i].shape);
        write_shapes_of(json, done, rows[i].rows);
    }
}

static void write_shape(struct json *json, struct map *done, const struct shape *shape) {
    struct str name = str_from(shape->name);
    const struct shape *known = map_find(done, name);
    if (known != NULL && known->rows != shape->rows)
        BUG("two shapes are named %s", shape->name);
    if (known != NULL)
        return;
    map_put(done, name, (void *)(uintptr_t)shape);
    json_key(json, name);
    openapi_object(json, shape->rows, false);
    write_shapes_of(json, done, shape->rows);
}

static void write_problem_schema(struct json *json) {
    json_key(json, STR("Problem"));
    json_write_raw(
        json, STR("{\"type\":\"object\",\"description\":\"RFC 9457\",\"properties\":{"
                  "\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},"
                  "\"status\":{\"type\":\"integer\"},\"detail\":{\"type\":\"string\"},"
                  "\"request_id\":{\"type\":\"string\"},\"errors\":{\"type\":\"array\",\"items\":{"
                  "\"type\":\"object\",\"properties\":{\"field\":{\"type\":\"string\"},"
                  "\"message\":{\"type\":\"string\"}},\"required\":[\"field\",\"message\"]}}},"
                  "\"required\":[\"type\",\"title\",\"status\",\"detail\",\"request_id\"]}"));
}

static void write_schemas(struct json *json) {
    struct map done;
    map_init(&done);
    JSON_OBJECT(json, "schemas");
    write_problem_schema(json);
    for (size_t i = 0; router_at(i) != NULL; i++) {
        const struct route *route = router_at(i);
        if (route->answer != NULL)
            write_shape(json, &done, route->answer);
        write_shapes_of(json, &done, route->body);
        write_shapes_of(json, &done, route->query);
    }
    json_object_end(json);
    map_release(&done);
}

static void write_problem_responses(struct json *json) {
    JSON_OBJECT(json, "responses");
    for (size_t i = 0; i < COUNT_OF(PROBLEMS); i++) {
        json_key(json, str_from(PROBLEMS[i].name));
        json_object_begin(json);
        JSON_STR(json, "description", str_from(PROBLEMS[i].description));
        JSON_OBJECT(json, "content");
        write_media(json, "application/problem+json");
        openapi_ref(json, "schemas", "Problem");
        json_object_end(json);
        json_object_end(json);
        json_object_end(json);
    }
    json_object_end(json);
}

static void write_components(struct json *json) {
    JSON_OBJECT(json, "components");
    write_schemas(json);
    write_problem_responses(json);
    json_key(json, STR("securitySchemes"));
    json_write_raw(json, STR("{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\",\"description\":"
                             "\"An access token or an API key.\"}}"));
    json_object_end(json);
}

struct str router_openapi(void) {
    if (document.len > 0)
        return buf_str(&document);
    struct json json;
    buf_init(&document, DOCUMENT_CEILING_BYTES);
    json_init(&json, &document);
    json_object_begin(&json);
    JSON_STR(&json, "openapi", STR("3.1.0"));
    JSON_OBJECT(&json, "info");
    JSON_STR(&json, "title", STR("Troupe"));
    JSON_STR(&json, "version", STR(TROUPE_VERSION));
    JSON_STR(&json, "summary", STR("A private theatre for AI characters."));
    json_object_end(&json);
    write_paths(&json);
    write_components(&json);
    json_object_end(&json);
    BUG_IF(document.err != E_OK);
    return buf_str(&document);
}

void openapi_release(void) {
    if (document.ceiling_bytes != 0)
        buf_release(&document);
}

static void answer_openapi(struct request *request) {
    reply_header(request, "Cache-Control", STR("no-cache"));
    reply_shared(request, 200, STR("application/json; charset=utf-8"), router_openapi());
}

const struct route openapi_routes[] = {{METHOD_GET, "/api/v1/openapi.json", answer_openapi,
                                        WHO_ANYONE, .tag = "operations", .operation = "openapi",
                                        .summary = "This description of the API (OpenAPI 3.1).",
                                        .answer_type = "application/json"},
                                       {0}};
