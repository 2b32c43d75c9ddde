/*
 * The head of a request as raw bytes: the strict rules that stand before llhttp, so that nothing
 * that two servers could read in two ways gets through (RFC 9112 sections 2.2, 3, 5, 11.2). Pure
 * functions: no connection, no state but the caller's.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"
#include "net/request.h"

#define HEAD_LIMIT_BYTES        (16 << 10)
#define HEAD_REQUEST_LINE_BYTES 8192 /* RFC 9112 section 3 asks for at least 8000 */
#define HEAD_LINE_BYTES         8192
#define HEAD_FIELDS_LIMIT       100

/* How far a head has been read; zero at first. It survives any cut between two reads. */
struct head_scan {
    size_t line_at;   /* where the line under way begins */
    size_t search_at; /* how far it has been searched for its end */
    unsigned blank_lines;
    unsigned fields;
    bool has_request_line;
};

/*
 * Looks at the bytes from the first one of the head. 0: more is needed; 200: the head is whole and
 * *head_len bytes long; else the status of the refusal, with a reason for the person who wrote the
 * client.
 */
int head_scan(struct head_scan *scan, struct str bytes, size_t *head_len, const char **why);

/* How far the trailers behind a chunked body have been read; zero at first. */
struct trailer_scan {
    unsigned char last;  /* the byte before */
    unsigned char place; /* of the line under way: its beginning, its name, its value; or the end */
};

/*
 * The same rules for the lines behind the last chunk, of which nothing is kept. The bytes come in
 * any pieces; what stands behind the empty line that ends the trailers is not looked at. False:
 * they could be read in two ways.
 */
MUST_USE bool trailer_scan(struct trailer_scan *scan, struct str bytes);

/* The method of the first line. METHOD_OTHER: known to HTTP but never allowed here. */
enum method head_method(struct str name);

/* A request target taken apart: origin-form, absolute-form of http(s), or "*" for OPTIONS. */
struct head_target {
    struct str path;      /* still encoded */
    struct str query;     /* behind '?'; STR_NONE without one */
    struct str authority; /* of the absolute form, else STR_NONE */
};
MUST_USE enum err head_target_parse(struct str target, enum method method, struct head_target *out);

/* Decodes a path once. E_INPUT for bad escapes, NUL, control bytes, backslashes, invalid UTF-8 and
 * dot segments. */
MUST_USE enum err head_path_decode(struct arena *arena, struct str path, struct str *out);

/* uri-host [":" port] by its grammar (RFC 3986 section 3.2.2), not empty, no user part. */
bool head_host_is_valid(struct str host);
/* The name alone, without port and trailing dot; brackets stay. */
struct str head_host_name(struct str host);
/* True for names that no other site can point at this machine: IP literals and localhost. */
bool head_host_is_local(struct str host);
