/*
 * One call to an endpoint that embeds: what the adapters have in common. An adapter writes the
 * request's body and finds the vectors in the answer; deadlines, refusals of texts that are too
 * long, and the judgement of what came (its size, its numbers, its count) are here, once.
 */
#pragma once

#include "base/json.h"
#include "model/embed.h"

/* The texts of one request: some of the caller's, none of them empty. */
struct embed_part {
    const struct str *texts;
    size_t count;
    bool is_old; /* the endpoint knows only the older form of the protocol */
};

/* What an answer holds; values are the reader's arena's. */
struct embed_vectors {
    float *values; /* count x dims, as they came */
    size_t count, dims;
};

struct embed_remote_kind {
    /* The whole address; from the endpoint's base_url. */
    struct str (*address)(struct arena *arena, struct str base_url, bool is_old);
    void (*write_body)(struct json *json, const struct embed_endpoint *endpoint,
                       const struct embed_part *part);
    /* Pool thread. NULL when the vectors are there, else what is wrong with the document. */
    const char *(*read)(struct arena *arena, const struct json_value *document,
                        const struct embed_part *part, struct embed_vectors *vectors);
    bool has_old_form; /* asked, one text at a time, when the newer address is not there */
};

extern const struct embed_remote_kind embed_openai_kind, embed_ollama_kind;

struct embed_call *embed_remote_start(const struct embed_remote_kind *kind,
                                      const struct embed_request *request, embed_done_fn done,
                                      void *ctx);
void embed_remote_cancel(struct embed_call *call);

/* Makes every vector 1 long. NULL, or what is wrong with one of them. */
const char *embed_remote_judge(struct embed_vectors *vectors);

/* --- for the adapters' readers ---------------------------------------------------------------- */
/* One vector, an array of numbers or base64 of packed little-endian floats, as row `at` of
 * `vectors`. The first one sets dims. NULL, or what is wrong with it. */
const char *embed_read_vector(struct arena *arena, const struct json_value *value,
                              struct embed_vectors *vectors, size_t at);
