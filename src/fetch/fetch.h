/*
 * Outbound HTTP: libcurl multi on the loop. libcurl is initialised when the first call is made, not
 * at start.
 *
 * Every call has deadlines, a ceiling of bytes, no redirects, http and https only, and can be
 * cancelled. Bytes arrive as they come (decoded if compressed). done comes exactly once, last,
 * later, on the loop thread.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

struct fetch;

struct fetch_header {
    struct str name;
    struct str value;
};

struct fetch_result {
    enum err
        err; /* E_OK whenever an HTTP answer came whole, whatever its status; E_TIMEOUT, E_UPSTREAM
                (connection, broken off), E_INPUT (the address), E_LIMIT, E_CANCELLED */
    int status;             /* 0 when no status line came */
    int64_t retry_after_ms; /* from Retry-After, seconds or date; 0: none */
    int64_t connect_us, first_byte_us, total_us;
    struct str reason; /* for a person: "connection refused"; borrowed during the call */
};

struct fetch_options {
    const char *method; /* "GET", "POST" */
    struct str url;
    const struct fetch_header *headers;
    size_t header_count;
    struct str body;       /* copied */
    int64_t connect_ms;    /* 0: 5,000 */
    int64_t first_byte_ms; /* 0: 60,000: from the request sent to the first byte of the body */
    int64_t idle_ms;       /* 0: 30,000 between two reads */
    int64_t total_ms;      /* 0: none */
    size_t limit_bytes;    /* 0: 8 MiB of body */
    /* The status line and headers are there (final answer only). May be NULL. */
    void (*head)(void *ctx, int status, struct str content_type);
    /* Some bytes of the body. May be NULL. */
    void (*body_bytes)(void *ctx, struct str bytes);
    void (*done)(void *ctx, const struct fetch_result *result);
    void *ctx;
};

/* Copies what it needs of the options. Never NULL; a bad address fails by done(). */
struct fetch *fetch_start(const struct fetch_options *options);
void fetch_cancel(struct fetch *fetch); /* done(E_CANCELLED) comes, later */
/* A stream for a person, who hears it already: when many run, its bytes may wait 200 ms from now on. */
void fetch_gather(struct fetch *fetch);
void fetch_release(
    void); /* cancels what is left (done comes from inside this one) and lets libcurl go */
