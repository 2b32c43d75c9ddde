/*
 * Embedded files over HTTP.
 *
 * "web/" of the embedded table is the site: a path is looked up there and never joined to a path of
 * the disk. A name with a hash in it never changes and may be kept for a year (RFC 8246);
 * everything else is asked for again and answered 304. Text is there in three codings, packed at
 * build time; each coding is a representation with its own strong ETag, so ranges and conditions
 * never mix them (RFC 9110 section 8.8.3.3).
 *
 * Pages of the app have no file: a GET for a path without a dot, by somebody who reads HTML, gets
 * index.html, and the app finds out the rest.
 */
#include "net/asset.h"

#include "base/embedded.h"
#include "net/http.h"

#include <stdio.h>
#include <string.h>
#include "base/banned.h"

#define NAME_MAX_BYTES 512

/* --- choosing a coding (RFC 9110 section 12.5.3) ---------------------------------------------- */

struct codings {
    int brotli, gzip, identity, other; /* quality in thousandths; -1: not named */
};

/* "q=0.5" of an element's parameters; 1000 when there is none, 0 when it makes no sense. */
static int quality_of(struct str parameters) {
    struct str part;
    while (str_next(&parameters, ';', &part)) {
        part = str_trim(part);
        if (part.len < 3 || (part.at[0] != 'q' && part.at[0] != 'Q') || part.at[1] != '=')
            continue;
        double quality;
        if (str_to_double(str_slice(part, 2, part.len), &quality) != E_OK || quality < 0 ||
            quality > 1)
            return 0;
        return (int)(quality * 1000);
    }
    return 1000;
}

static struct codings codings_read(struct str list) {
    struct codings codings = {-1, -1, -1, -1};
    struct str element;
    while (str_next(&list, ',', &element)) {
        struct str rest = element, name;
        if (!str_next(&rest, ';', &name))
            continue;
        name = str_trim(name);
        int quality = quality_of(rest);
        if (str_eq_nocase(name, STR("br")))
            codings.brotli = quality;
        else if (str_eq_nocase(name, STR("gzip")) || str_eq_nocase(name, STR("x-gzip")))
            codings.gzip = quality;
        else if (str_eq_nocase(name, STR("identity")))
            codings.identity = quality;
        else if (str_eq(name, STR("*")))
            codings.other = quality;
    }
    return codings;
}

struct representation {
    struct str bytes;
    struct str etag;
    struct str coding; /* STR_NONE: identity */
};

static struct representation representation_choose(const struct embedded *file, struct str accept) {
    struct representation identity = {.bytes = file->bytes, .etag = file->etag};
    if (accept.len == 0)
        return identity;
    struct codings codings = codings_read(accept);
    int brotli = codings.brotli >= 0 ? codings.brotli : codings.other;
    int gzip = codings.gzip >= 0 ? codings.gzip : codings.other;
    if (brotli > 0 && brotli >= gzip && brotli >= codings.identity && file->brotli.at != NULL)
        return (struct representation){file->brotli, file->etag_brotli, STR("br")};
    if (gzip > 0 && gzip >= codings.identity && file->gzip.at != NULL)
        return (struct representation){file->gzip, file->etag_gzip, STR("gzip")};
    return identity; /* also when it is forbidden: an answer is better than a 406 */
}

/* --- ranges (RFC 9110 section 14) ------------------------------------------------------------- */

enum range { RANGE_NONE, RANGE_ONE, RANGE_OUTSIDE };

/* Digits with saturation: a number beyond any length is still a number. */
static bool number_read(struct str text, uint64_t *out) {
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        if (*out < UINT64_MAX / 16)
            *out = *out * 10 + (uint64_t)(text.at[i] - '0');
    }
    return text.len > 0;
}

static enum range range_of_suffix(struct str text, size_t len, size_t *first, size_t *last) {
    uint64_t count;
    if (!number_read(text, &count))
        return RANGE_NONE;
    if (count == 0 || len == 0)
        return RANGE_OUTSIDE;
    *first = count >= len ? 0 : len - (size_t)count;
    *last = len - 1;
    return RANGE_ONE;
}

/* One byte range of `len` bytes; several, or other units, are as if there were none. */
static enum range range_read(struct str header, size_t len, size_t *first, size_t *last) {
    if (!str_starts(header, STR("bytes=")) || str_find_char(header, ',', 0) >= 0)
        return RANGE_NONE;
    struct str text = str_trim(str_slice(header, 6, header.len));
    ptrdiff_t dash = str_find_char(text, '-', 0);
    uint64_t from, to = UINT64_MAX;
    if (dash < 0)
        return RANGE_NONE;
    struct str behind = str_slice(text, (size_t)dash + 1, text.len);
    if (dash == 0)
        return range_of_suffix(behind, len, first, last);
    if (!number_read(str_slice(text, 0, (size_t)dash), &from) ||
        (behind.len > 0 && !number_read(behind, &to)) || from > to)
        return RANGE_NONE;
    if (from >= len)
        return RANGE_OUTSIDE;
    *first = (size_t)from;
    *last = to >= len ? len - 1 : (size_t)to;
    return RANGE_ONE;
}

/* A range is only for the representation that If-Range names: strongly the same tag, no date. */
static bool may_be_ranged(const struct request *request, struct str etag) {
    if (request->method != METHOD_GET)
        return false;
    struct str condition = request_header(request, "if-range");
    return condition.at == NULL || str_eq(condition, etag);
}

static void answer_bytes(struct request *request, const struct embedded *file,
                         const struct representation *chosen) {
    size_t first = 0, last = 0;
    char text[80];
    struct str header = request_header(request, "range");
    enum range range = RANGE_NONE;
    if (header.at != NULL && may_be_ranged(request, chosen->etag))
        range = range_read(header, chosen->bytes.len, &first, &last);
    if (range == RANGE_NONE) {
        reply_shared(request, 200, file->mime, chosen->bytes);
    } else if (range == RANGE_OUTSIDE) {
        int len = snprintf(text, sizeof(text), "bytes */%zu", chosen->bytes.len);
        reply_header(request, "Content-Range", str_of(text, (size_t)len));
        reply_problem(request, 416, "The file has %zu bytes.", chosen->bytes.len);
    } else {
        int len = snprintf(text, sizeof(text), "bytes %zu-%zu/%zu", first, last, chosen->bytes.len);
        reply_header(request, "Content-Range", str_of(text, (size_t)len));
        reply_shared(request, 206, file->mime, str_slice(chosen->bytes, first, last + 1));
    }
}

/* --- answering -------------------------------------------------------------------------------- */

/* True when a condition has been answered (RFC 9110 section 13.2.2). There are no dates here. */
static bool answer_condition(struct request *request, struct str etag) {
    struct str match = request_header(request, "if-match");
    if (match.at != NULL && !request_tag_matches(match, etag, true)) {
        reply_problem(request, 412, "It is not the version that you asked for.");
        return true;
    }
    struct str none_match = request_header(request, "if-none-match");
    if (none_match.at == NULL || !request_tag_matches(none_match, etag, false))
        return false;
    reply_empty(request, 304);
    return true;
}

/* connect-src 'self' covers sockets of the same host in CSP 3; older Safari needs them by name. */
void asset_security_headers(struct request *request) {
    struct str host = exchange_of(request)->known[KNOWN_HOST];
    struct str policy = str_printf(
        request->arena,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "media-src 'self' blob:; font-src 'self'; connect-src 'self' ws://" STR_FMT
        " wss://" STR_FMT "; worker-src 'self'; manifest-src 'self'; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types svelte-trusted-html "
        "troupe-worker",
        STR_ARG(host), STR_ARG(host));
    reply_header(request, "Content-Security-Policy", policy);
    reply_header(request, "Cross-Origin-Opener-Policy", STR("same-origin"));
    reply_header(request, "X-Frame-Options", STR("DENY"));
    reply_header(request, "Permissions-Policy",
                 STR("camera=(), geolocation=(), payment=(), usb=(), microphone=(self)"));
}

static void serve(struct request *request, const struct embedded *file) {
    struct representation chosen =
        representation_choose(file, request_header(request, "accept-encoding"));
    reply_header(request, "Cache-Control",
                 file->is_immutable ? STR("public, max-age=31536000, immutable") : STR("no-cache"));
    if (file->gzip.at != NULL || file->brotli.at != NULL)
        reply_header(request, "Vary", STR("Accept-Encoding"));
    reply_header(request, "ETag", chosen.etag);
    if (answer_condition(request, chosen.etag))
        return;
    reply_header(request, "Accept-Ranges", STR("bytes"));
    if (chosen.coding.at != NULL)
        reply_header(request, "Content-Encoding", chosen.coding);
    /* A worker is held to the policy of its own answer, not to that of the page that started it. */
    if (str_starts(file->mime, STR("text/html")) || str_eq(file->name, STR("web/sw.js")))
        asset_security_headers(request);
    answer_bytes(request, file, &chosen);
}

static const struct embedded *file_find(struct str path) {
    char name[NAME_MAX_BYTES];
    if (str_eq(path, STR("/")))
        path = STR("/index.html");
    if (path.len < 2 || path.at[0] != '/' || path.len + 3 > sizeof(name))
        return NULL;
    memcpy(name, "web", 3);
    memcpy(name + 3, path.at, path.len);
    return embedded_find(str_of(name, path.len + 3));
}

/* Roots whose unknown paths are mistakes of programs, not pages. */
static bool is_for_programs(struct str path) {
    static const struct str ROOTS[] = {{"/api", 4}, {"/v1", 3}, {"/ws", 3}, {"/socket.io", 10}};
    for (size_t i = 0; i < sizeof(ROOTS) / sizeof(ROOTS[0]); i++)
        if (str_starts(path, ROOTS[i]) &&
            (path.len == ROOTS[i].len || path.at[ROOTS[i].len] == '/'))
            return true;
    return false;
}

static bool is_page(const struct request *request) {
    return str_find_char(request->path, '.', 0) < 0 && !is_for_programs(request->path) &&
           str_has(request_header(request, "accept"), STR("text/html"));
}

bool asset_serve(struct request *request) {
    const struct embedded *file = file_find(request->path);
    if (file == NULL && is_page(request))
        file = embedded_find(STR("web/index.html"));
    if (file == NULL)
        return false;
    serve(request, file);
    return true;
}
