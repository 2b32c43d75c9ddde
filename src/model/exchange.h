/*
 * One call to a model over HTTP: what the adapters have in common. An adapter writes the request's
 * body and reads parsed events; everything that can go wrong on the way (deadlines, statuses, web
 * pages instead of streams, cut characters, endings without an end mark) is here, once.
 */
#pragma once

#include "base/json.h"
#include "fetch/fetch.h"
#include "fetch/lines.h"
#include "loop/loop.h"
#include "model/chat.h"
#include "model/filter.h"
#include "model/mend.h"
#include "model/without.h"

struct exchange_headers {
    struct fetch_header items[4];
    size_t count;
};

/* What one provider adds. */
struct exchange_kind {
    enum lines_kind lines;
    /* The whole address; from the endpoint's base_url. */
    struct str (*address)(struct arena *arena, struct str base_url);
    void (*write_headers)(struct arena *arena, const struct chat_endpoint *endpoint,
                          struct exchange_headers *headers);
    /* The body. Sets call->sent to the bits of enum without that a refusal may take away. */
    void (*write_body)(struct chat_call *call, struct arena *arena, struct json *json);
    /* One event of the stream. `name` may be STR_NONE. */
    void (*read_event)(struct chat_call *call, struct str name, const struct json_value *event);
    /* The whole answer in one document: from servers that do not stream. */
    void (*read_document)(struct chat_call *call, const struct json_value *document);
};

enum exchange_body { BODY_UNKNOWN, BODY_STREAM, BODY_DOCUMENT, BODY_PAGE, BODY_REFUSAL, BODY_OVER };

struct chat_call {
    uint32_t magic;
    const struct exchange_kind *kind;
    const struct chat_request *request; /* the caller's, until done or failed */
    struct chat_events events;
    void *ctx;
    struct fetch *fetch;
    struct lines lines;
    struct filter filter;
    struct mend mend;
    struct buf body; /* of refusals, documents and web pages */
    enum exchange_body body_kind;
    int status;
    unsigned without, sent; /* enum without */
    int attempts;
    bool is_cancelled;
    bool is_ending;   /* the body is over: what cannot be read was cut off */
    bool is_finished; /* the endpoint said why it stopped */
    enum chat_finish finish;
    struct chat_usage usage;
    bool has_text; /* something other than white space came */
    bool has_reasoning;
    enum err failure;         /* told inside the stream; E_OK: none */
    char detail[500];         /* for a person */
    int64_t last_progress_us; /* of the last text or thinking, or of the start */
    int64_t last_byte_us;
    bool has_progress;
    struct timer watch;
};

struct chat_call *exchange_start(const struct exchange_kind *kind,
                                 const struct chat_request *request,
                                 const struct chat_events *events, void *ctx);
void exchange_cancel(struct chat_call *call);

/* --- for the adapters' readers ---------------------------------------------------------------- */
void exchange_text(struct chat_call *call, struct str text);
void exchange_reasoning(struct chat_call *call, struct str text);
void exchange_finish(struct chat_call *call, enum chat_finish finish); /* usage may still come */
void exchange_end(struct chat_call *call);                             /* nothing will follow */
/* The endpoint reports an error inside an answer. */
void exchange_fail(struct chat_call *call, enum err err, struct str detail);
/* A count of tokens as an endpoint reports it; -1 for what is no such count, or cannot be meant. */
int64_t exchange_tokens(const struct json_value *count);
/* Negative numbers leave what is known. */
void exchange_usage(struct chat_call *call, int64_t prompt_tokens, int64_t reply_tokens);

/* --- shared by adapters, discovery and the test of a model ------------------------------------ */
/* base_url without trailing slashes, with a scheme. */
struct str exchange_base(struct arena *arena, struct str base_url);
/* Address of `what` ("models") at an OpenAI-compatible endpoint, whose base may or may not say /v1.
 */
struct str openai_address(struct arena *arena, struct str base_url, struct str what);
struct str ollama_address(struct arena *arena, struct str base_url, struct str what); /* "tags" */
struct str anthropic_address(struct arena *arena, struct str base_url,
                             struct str what); /* "models" */
