/*
 * HTTP/1.1 on a connection: one exchange (a request and its answer) at a time, in order.
 *
 * An exchange is everything that a request needs: parser, headers, arena, answer. It is borrowed
 * from a free list when the first byte of a request arrives and goes back when the answer has left
 * and nobody holds its bytes. An idle connection has none. Net's own; features see net/request.h.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "net/conn.h"
#include "net/head.h"
#include "net/limit.h"
#include "net/router.h"

#include <llhttp.h>

#define EXCHANGE_MAGIC         0x45786368u
#define EXCHANGE_SCRATCH_BYTES 4096 /* first block of the arena: enough for most requests */
#define EXCHANGE_EXTRA_BYTES   512  /* headers that the handler adds */
#define REQUEST_ID_LEN         16

/* Headers that the server itself reads; each may occur once (RFC 9110 section 5.3), Cookie and
 * lists aside. */
enum known_header {
    KNOWN_HOST,
    KNOWN_CONTENT_TYPE,
    KNOWN_CONTENT_LENGTH,
    KNOWN_TRANSFER_ENCODING,
    KNOWN_AUTHORIZATION,
    KNOWN_EXPECT,
    KNOWN_ORIGIN,
    KNOWN_CONTENT_ENCODING,
    KNOWN_IDEMPOTENCY_KEY,
    KNOWN_COUNT,
};

struct exchange {
    uint32_t magic;
    int references; /* the exchange itself while it serves, and every queued segment of its bytes */
    bool is_received; /* the whole message is here */
    bool is_running;  /* the handler has it */
    bool is_answered;
    bool is_handed_over;   /* the connection speaks another protocol now */
    bool has_head;         /* the head has been parsed */
    bool expects_continue; /* the peer waits for 100 before it sends the body */
    bool is_in_trailers;   /* the last chunk has been seen */
    bool is_in_parser;     /* inside consume(): a synchronous answer is finished there */
    bool keeps_alive;
    bool is_http10;
    bool is_recorded; /* an Idempotency-Key: the answer is recorded before it leaves */
    bool has_cache_header, has_type_header; /* the handler has said it itself */
    bool has_limit;                         /* limit holds the caller's bucket */
    bool has_secret;                        /* its body is wiped: see struct field */
    uint16_t problem_status;                /* set by a parser callback that refuses */
    const char *problem;
    struct request request;
    llhttp_t parser;
    struct head_scan scan;
    struct trailer_scan trailer_scan;
    struct buf head; /* a head that came in pieces */
    struct str known[KNOWN_COUNT];
    struct head_target target;
    struct buf content; /* the body */
    size_t content_limit_bytes;
    size_t wire_bytes;    /* of the body with its framing */
    size_t period_bytes;  /* body bytes since the last look at the clock */
    size_t skipped_bytes; /* of a body that nobody wants */
    struct limit_answer limit;
    void (*on_gone)(struct request *request, void *ctx);
    void *gone_ctx;
    /* the answer */
    struct buf body;
    struct json json;
    bool has_body; /* body and json are in use */
    int status;    /* the answer while it is being recorded */
    struct str content_type;
    struct str bytes;
    void (*let_go)(void *owner);
    void *owner;
    char *extra; /* header lines that the handler added */
    size_t extra_len, extra_room;
    struct arena arena;
    struct exchange *next_spare;
    char request_id[REQUEST_ID_LEN];
    char address[CONN_ADDRESS_BYTES]; /* of a peer that has left */
    struct header headers[HEAD_FIELDS_LIMIT];
    char extra_bytes[EXCHANGE_EXTRA_BYTES];
    char scratch[EXCHANGE_SCRATCH_BYTES];
};

static inline struct exchange *exchange_of(const struct request *request) {
    return request->net;
}

extern const struct conn_protocol http_protocol;

void http_init(void); /* after loop_init() */
void http_release(void);
void http_opened(struct conn *conn);   /* a connection is new */
void http_refuse(struct conn *conn);   /* above a limit: 503, then closed */
int http_refused_count(void);          /* of those, still open */
void http_continue(struct conn *conn); /* the end of a turn: the next request may begin */
void http_turn_ended(void);            /* the turn's counts go into the metrics */
void http_drain(void);                 /* answers say Connection: close from now on */
bool http_is_draining(void);
bool http_is_crowded(void); /* as many handlers are at work as may be */

/* The handler has the request: a stop waits for its answer. */
void http_started(struct exchange *exchange);
/* The answer has been queued (or dropped, when the peer has left): counts it, lets go of the loop
 * and of the exchange. */
void http_answered(struct exchange *exchange, int status);
/* The request left HTTP: the exchange goes without an end of its own. */
void http_handed_over(struct exchange *exchange, int status);
void exchange_let_go(void *exchange);
/* http_read.c: takes bytes of the exchange's head or body, and calls the gate when either is whole.
 * How many belonged to this request. */
size_t http_read(struct exchange *exchange, struct str bytes);
void http_read_init(void);
void http_read_release(struct exchange *exchange); /* what it has of head and body */
#define HTTP_HEAD_MS 10000                         /* from its first byte to its last */
#define HTTP_BODY_MS 30000                         /* for 8 KiB of a body, or its end */
/* A buffer for an answer's body, from a short free list. */
struct buf http_body_take(void);
void http_body_give(struct buf *buf);

/* router.c: the route of the exchange's method and path. NULL: `*allow` has a bit for each method
 * that the path takes (0: none, there is nothing). */
const struct route *router_find(struct exchange *exchange, unsigned *allow);
extern struct router_hooks router_hooks_now;
void openapi_release(void);

/* gate.c and its halves: everything between a whole head and the handler. False: it has been
 * answered. */
bool gate_admit(struct exchange *exchange);
/* Reads the fields of body and query, then runs the handler. */
void gate_dispatch(struct exchange *exchange);
bool gate_is_own_origin(const struct request *request, struct str origin);

/* reply.c */
void reply_fields(struct exchange *exchange, const struct field_problems *problems); /* 422 */
/* request.c: one of a list of tags, or "*" (RFC 9110 section 8.8.3.2). */
bool request_tag_matches(struct str list, struct str tag, bool must_be_strong);
/* A token (any case) in a header that is a comma-separated list, in one field or in several. */
bool request_list_has(const struct request *request, const char *name, struct str token);

void reply_init(void);
void reply_now(struct exchange *exchange, int status, struct str content_type, struct str bytes,
               void (*let_go)(void *owner), void *owner);
/* An answer without a request that could be read: 400, 408, 431 ... The connection closes. */
void reply_refuse(struct exchange *exchange, int status, const char *detail);
/* Bytes that live as long as the program, or as the owner that let_go frees. */
void reply_shared(struct request *request, int status, struct str content_type, struct str bytes);
