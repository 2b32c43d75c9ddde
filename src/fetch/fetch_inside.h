/*
 * What the files of a call know of it and nobody else does.
 *
 *   fetch.c         its life: options, the engine that libcurl and the loop share, the end
 *   fetch_result.c  how it ended, in numbers and in words for a person
 */
#pragma once

#include "base/list.h"
#include "fetch/curl_library.h"
#include "fetch/fetch.h"
#include "loop/loop.h"

#define FETCH_MAGIC 0x66657463u
#define FETCH_RETRY_AFTER_LIMIT_MS \
    ((int64_t)24 * 3600 * 1000) /* "a day" stands for whatever is longer */

struct fetch {
    uint32_t magic;
    struct list node;
    CURL *easy;
    struct list watches; /* sockets that libcurl waits for on its behalf */
    struct curl_slist *headers;
    char *body; /* of the request; NULL once libcurl needs it no more */
    size_t body_len;
    void (*head)(void *ctx, int status, struct str content_type);
    void (*body_bytes)(void *ctx, struct str bytes);
    void (*done)(void *ctx, const struct fetch_result *result);
    void *ctx;
    int64_t connect_ms, first_byte_ms, idle_ms, total_ms;
    size_t limit_bytes, got_bytes;
    int64_t last_read_us;
    int64_t retry_after_ms;
    struct timer deadline; /* first byte, then gaps */
    bool is_in_multi;
    bool is_sent;  /* connected, the request is on its way */
    bool has_head; /* the final answer's headers are there */
    bool has_bytes;
    bool may_gather;
    enum err stopped; /* why we ended it ourselves; E_OK: we did not */
    const char *stopped_reason;
    char reason[CURL_ERROR_SIZE]; /* libcurl writes its own words here */
};

/* `code` is libcurl's, of no meaning when the call was stopped. The reason is the call's. */
struct fetch_result fetch_result_of(struct fetch *fetch, const struct curl_library *curl,
                                    CURLcode code);
