/*
 * A request and its reply, as handlers see them.
 *
 * A handler is called once the body is there and every field is checked. It answers exactly once,
 * now or later, with one of the reply_ functions; after that the request is gone. Until then the
 * request and everything in its arena stay valid, also when the peer has left: answering a peer who
 * left does nothing. So a handler that waits (for a commit, the pool, a turn) keeps a plain pointer
 * to its request. Loop thread only; the arena may be used by the writer or a pool thread while the
 * handler waits for it.
 */
#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "net/field.h"

enum method {
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_PATCH,
    METHOD_DELETE,
    METHOD_OPTIONS,
    METHOD_OTHER
};

/* What a caller may do; a role includes all before it. */
enum role { ROLE_NOBODY, ROLE_MEMBER, ROLE_CREATOR, ROLE_MODERATOR, ROLE_ADMIN, ROLE_OWNER };

enum scope { SCOPE_READ = 1, SCOPE_WRITE = 2, SCOPE_CHAT = 4, SCOPE_ADMIN = 8, SCOPE_ALL = 15 };

/* Who is calling, as account/ found out. */
struct caller {
    int64_t user_id;    /* 0: nobody signed in */
    int64_t session_id; /* 0 for API keys */
    int64_t api_key_id; /* 0 for sessions */
    enum role role;
    unsigned scopes;  /* enum scope bits; sessions have all */
    int64_t until_ms; /* when the token ends */
};

struct header {
    struct str name;
    struct str value; /* trimmed */
};

struct conn;
struct route;

struct request {
    struct arena *arena;
    enum method method;
    struct str path;   /* decoded once, without the query */
    struct str target; /* as it stood in the request line */
    struct str query;  /* after '?', raw; STR_NONE when there is none */
    const struct header *headers;
    size_t header_count;
    struct str content;       /* the raw body (JSON routes and small raw ones) */
    const void *body;         /* the struct that the route's body rows filled */
    const void *query_fields; /* likewise for the query rows */
    uint64_t body_has;        /* bit i: body row i was there */
    uint64_t query_has;
    int64_t ids[4];      /* the {ids} of the pattern, in order */
    struct str words[4]; /* the other {words} of the pattern, in order, decoded */
    struct caller caller;
    struct str address; /* the client's, after trusted proxies */
    bool is_secure;     /* TLS, ours or a trusted proxy's */
    struct str request_id;
    int64_t began_us;
    const struct route *route;
    struct conn *conn; /* net's own; NULL when the peer has left */
    void *net;         /* net's own */
};

struct str request_header(const struct request *request,
                          const char *name); /* any case; STR_NONE when absent */
struct str request_cookie(const struct request *request, const char *name);
/* True when the body member at this offset was sent (also as null): request_has(request, struct
 * patch, title). */
#define request_has(request, type, member) request_has_field((request), offsetof(type, member))
bool request_has_field(const struct request *request, size_t offset);
/* Calls fn once if the peer leaves before the answer. The request stays valid. Replaces an earlier
 * fn; NULL takes it back. False: the peer has left already, and fn is not called. A peer that only
 * ends its own side of the connection counts as gone from here on. */
bool request_on_gone(struct request *request, void (*fn)(struct request *request, void *ctx),
                     void *ctx);

/* --- answers ---------------------------------------------------------------------------------- */
/* Adds a header to the answer; name is a literal, value is copied. CR and LF in a value are a bug.
 */
void reply_header(struct request *request, const char *name, struct str value);
/* A cookie by the house's rules (HttpOnly, SameSite=Strict, Path=/, `__Host-` and Secure when
 * is_secure). max_age_s 0 deletes it. */
void reply_cookie(struct request *request, const char *name, struct str value, int64_t max_age_s);
/* Sets a strong ETag of revision and reader. If it matches If-None-Match the 304 has been sent and
 * true is returned: return at once. */
bool reply_if_unchanged(struct request *request, int64_t revision);
/* The same for what answers a read and a change alike: after a change it only sets the header. */
bool reply_if_read_unchanged(struct request *request, int64_t revision);
/* Compares If-Match with the revision. False: the 412 has been sent, return at once. True when it
 * matches or was not sent. */
bool request_may_change(struct request *request, int64_t revision);
/* The revision of If-Match as it will be compared in the write itself; -1 when not sent, 0 when it
 * is none of ours (then nothing matches). */
int64_t request_expected_revision(const struct request *request);
void reply_etag(struct request *request, int64_t revision); /* only sets the header */

struct json *reply_json(struct request *request);      /* the writer of the answer's body */
void reply_send(struct request *request, int status);  /* what reply_json wrote */
void reply_empty(struct request *request, int status); /* 202, 204 */
void reply_bytes(struct request *request, int status, struct str content_type,
                 struct str bytes); /* bytes: the arena's, or static */
/* 200 with a file that nobody changes any more (it may be removed meanwhile), however large: it is
 * mapped, not read, and costs no memory of ours. `name` is what it is saved under: letters, digits,
 * '.' and '-'. False: it could not be opened, and nothing has been answered. */
MUST_USE bool reply_file(struct request *request, struct str content_type, const char *path,
                         const char *name);
void reply_redirect(struct request *request, struct str location);
/* problem+json. detail is for a person; format as printf. */
void reply_problem(struct request *request, int status, const char *detail, ...)
    __attribute__((format(printf, 3, 4)));
/* The house's sentence for an error code (E_ABSENT: "There is nothing here, or it is not yours.").
 */
void reply_error(struct request *request, enum err err);
/* 422 with one named field. */
void reply_field_problem(struct request *request, const char *field, const char *message, ...)
    __attribute__((format(printf, 3, 4)));
/* 429 or 503 with Retry-After. */
void reply_retry_later(struct request *request, int status, int64_t after_s, const char *detail);

/* A list: {"items": [...], "next_cursor": ...}. */
struct json *reply_list_begin(struct request *request);
void reply_list_end(struct request *request,
                    struct str next_cursor); /* STR_NONE: the last page; sends 200 */
