/*
 * The embedding port: texts in, vectors out. The stand-in (vendor-free/embedder.c) runs in the pool;
 * remote ones (embed_openai.c, embed_ollama.c) call an endpoint.
 *
 * start() returns at once; done comes exactly once, on the loop thread, never from inside start().
 * cancel() leads to done(E_CANCELLED). Values are normalised to length 1.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

#define EMBED_BATCH_LIMIT 64 /* texts of one call */

struct embed_endpoint {
    struct str base_url, model, api_key; /* of remote ones; api_key opened, cleared by its owner */
};

struct embed_request {
    const struct str *texts; /* stay until done; an empty text gives a zero vector */
    size_t count;            /* 1 .. EMBED_BATCH_LIMIT */
    struct embed_endpoint endpoint;
    bool is_urgent; /* a person waits for it (a question): before the batches of the background */
};

struct embed_answer {
    enum err
        err; /* E_UPSTREAM, E_TIMEOUT, E_BUSY, E_LIMIT, E_DENIED, E_ABSENT (no such model), E_CANCELLED */
    const float *values; /* count x dims, borrowed during the call */
    size_t dims;
    int64_t retry_after_ms; /* 0: not said */
    struct str detail;      /* of a failure; borrowed, without keys */
};

typedef void (*embed_done_fn)(const struct embed_answer *answer, void *ctx);
struct embed_call;

struct embed_port {
    const char *provider; /* "builtin", "openai", "ollama" */
    /* Whether it can work at all here (the weights are in this build, or beside it). */
    bool (*is_available)(void);
    struct embed_call *(*start)(const struct embed_request *request, embed_done_fn done, void *ctx);
    void (*cancel)(struct embed_call *call);
};

extern const struct embed_port embed_builtin; /* vendor-free/embedder.c */
extern const struct embed_port embed_openai;
extern const struct embed_port embed_ollama;
const struct embed_port *embed_port_find(struct str provider); /* NULL: unknown */

/* --- any number of texts: embed.c cuts them into calls ---------------------------------------- */

struct embed_batch_options {
    const struct embed_port *port;
    struct embed_endpoint endpoint;
    const struct str *texts; /* stay until done */
    size_t count;            /* at least 1 */
    size_t call_texts;       /* of one call: 1 .. EMBED_BATCH_LIMIT */
    bool is_urgent;
    int tries; /* of one call, when trying again can help; the waits between them are short */
};

struct embed_batch;
/* done comes exactly once, later. values then hold all texts; zeros for empty ones. */
struct embed_batch *embed_batch_start(const struct embed_batch_options *options, embed_done_fn done,
                                      void *ctx);
void embed_batch_cancel(struct embed_batch *batch);
/* Inside done: the values are the caller's from now on, to be freed. */
float *embed_batch_take(struct embed_batch *batch);

/* The setting of the built-in embedder: rows in model/setting.c, the value in its own folder. */
struct embedder_settings {
    struct str weights; /* a path; empty: inside the binary, or beside it */
};
extern struct embedder_settings embedder_settings;
