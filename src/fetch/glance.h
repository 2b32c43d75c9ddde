/*
 * One small GET over plain HTTP, without libcurl: for looking at what listens on this machine. A
 * set-up that finds no model, and goes on with the Understudy, then never opens libcurl, which
 * would stay with 8 MB for as long as the process lives.
 *
 * HTTP/1.0, so that no answer comes in chunks; no TLS, no redirects, no compression, no reuse. For
 * everything else there is fetch.h.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct glance;

struct glance_options {
    struct str host; /* a name or an address; IPv6 in brackets */
    int port;
    const char *path; /* "/version"; a literal */
    int64_t total_ms;
    size_t limit_bytes; /* of the body */
    /* Once, later (not at all when the loop ends before). status 0 and an empty body unless a whole
     * answer came: E_OK, E_TIMEOUT, E_UPSTREAM, E_LIMIT, E_CANCELLED. */
    void (*done)(void *ctx, enum err err, int status, struct str body);
    void *ctx;
};

struct glance *glance_start(const struct glance_options *options); /* copies what it needs */
void glance_cancel(struct glance *glance); /* done(E_CANCELLED) comes, later */
