/*
 * Routes as rows. A row is everything that is known about an endpoint: it finds the handler, checks
 * who may, validates the fields, limits the body, and is the source of openapi.json and of the
 * tests that try every route with another person's ids.
 */
#pragma once

#include "net/request.h"

typedef void (*handler_fn)(struct request *request);

enum who {
    WHO_ANYONE, /* also without an account */
    WHO_MEMBER, /* any signed-in person */
    WHO_CREATOR,
    WHO_MODERATOR,
    WHO_ADMIN,
    WHO_OWNER,
};

struct route {
    enum method method;
    const char *pattern; /* "/api/v1/conversations/{id}/messages/{message_id}"; a name that ends in
                            "id" is an id, others are words */
    handler_fn handle;
    enum who who;
    unsigned scope;           /* what an API key needs: SCOPE_READ ... ; 0: keys may not call it */
    const struct field *body; /* rows of the JSON body; NULL: none is taken */
    size_t body_size;         /* sizeof the struct they fill */
    const struct field *query;
    size_t query_size;
    size_t body_limit_bytes; /* 0: 1 MiB for JSON */
    bool body_is_optional;   /* an absent body counts as {} */
    bool is_multipart;       /* multipart/form-data: the handler reads request->content with
                                multipart_next() */
    bool is_raw;             /* any content type; the handler reads request->content */
    bool is_costly;          /* counts against the stricter limit (sign-in, import) */
    bool answers_cookie;     /* may be called with the refresh cookie: needs X-Troupe-Request and a
                                same-origin call */
    const char *tag;         /* heading in the documentation: "conversations" */
    const char *operation;   /* operationId: "sendMessage" */
    const char *summary;     /* one sentence */
    int status;              /* of success; 0: 200 */
    const struct shape *answer; /* NULL: no body */
    bool answer_is_list;        /* {"items": [answer], "next_cursor"} */
    const char *answer_type;    /* other than application/json: "text/event-stream", "image/png" */
    bool answers_secret;        /* a key or a token, shown once: never kept for a repeat */
};

/* Tables end with a row whose pattern is NULL. `tables` is NULL-terminated and stays. */
void router_init(const struct route *const *tables);
void router_release(void);
/* Walks every route, for openapi.json and tests. */
const struct route *router_at(size_t index); /* NULL past the end */

/* What net must ask the floors above; set once by app.c. */
struct router_hooks {
    /* Who shows this bearer token: E_OK and *caller, or E_DENIED. Synchronous: a cache in front of
     * a look-up. */
    enum err (*identify)(struct str token, struct caller *caller);
    /* True for a token that was somebody's lately, from memory alone. NULL: none is known. */
    bool (*knows)(struct str token);
    /* Idempotency-Key on a POST: may answer by itself. proceed(request) runs the handler; record is
     * called with the finished answer before it is sent. NULL: off */
    void (*idempotency_begin)(struct request *request, struct str key,
                              void (*proceed)(struct request *request));
    void (*idempotency_record)(struct request *request, int status, struct str content_type,
                               struct str body, void (*sent)(struct request *request));
    /* False until an owner exists: only set-up routes answer. */
    bool (*is_set_up)(void);
};
void router_hooks(const struct router_hooks *hooks);

/* openapi.json, OpenAPI 3.1, from the rows. Built once, on first use. */
struct str router_openapi(void);
extern const struct route openapi_routes[]; /* GET /api/v1/openapi.json */
