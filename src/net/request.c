/*
 * What handlers ask of a request: headers, cookies, fields that were there, revisions (RFC 9110
 * section 13).
 *
 * The ETag of an item is made of its revision and of who looks (user and role): two people may see
 * different fields of the same revision, and a strong tag must tell such representations apart. The
 * revision stands in it readably, so If-Match can be compared inside the write.
 */
#include "net/request.h"

#include "base/check.h"
#include "net/http.h"

#include <stdio.h>
#include <string.h>
#include "base/banned.h"

struct str request_header(const struct request *request, const char *name) {
    struct str wanted = str_from(name);
    for (size_t i = 0; i < request->header_count; i++)
        if (str_eq_nocase(request->headers[i].name, wanted))
            return request->headers[i].value;
    return STR_NONE;
}

bool request_list_has(const struct request *request, const char *name, struct str token) {
    struct str wanted = str_from(name);
    for (size_t i = 0; i < request->header_count; i++) {
        struct str rest = request->headers[i].value, part;
        if (!str_eq_nocase(request->headers[i].name, wanted))
            continue;
        while (str_next(&rest, ',', &part))
            if (str_eq_nocase(str_trim(part), token))
                return true;
    }
    return false;
}

/* The first cookie of that name; values are never decoded (RFC 6265 section 4.2). */
static struct str cookie_find(struct str cookies, struct str name) {
    struct str pair;
    while (str_next(&cookies, ';', &pair)) {
        struct str value = str_trim(pair);
        struct str key;
        if (str_next(&value, '=', &key) && str_eq(str_trim(key), name))
            return value.at == NULL ? STR("") : str_trim(value);
    }
    return STR_NONE;
}

struct str request_cookie(const struct request *request, const char *name) {
    char full[128];
    int len = snprintf(full, sizeof(full), "%s%s", request->is_secure ? "__Host-" : "", name);
    BUG_IF(len < 0 || (size_t)len >= sizeof(full));
    return cookie_find(request_header(request, "cookie"), str_of(full, (size_t)len));
}

bool request_has_field(const struct request *request, size_t offset) {
    const struct field *rows = request->route != NULL ? request->route->body : NULL;
    for (size_t i = 0; rows != NULL && rows[i].name != NULL; i++)
        if (rows[i].offset == offset)
            return (request->body_has & UINT64_C(1) << i) != 0;
    return false;
}

bool request_on_gone(struct request *request, void (*fn)(struct request *request, void *ctx),
                     void *ctx) {
    struct exchange *exchange = exchange_of(request);
    MAGIC_CHECK(exchange, EXCHANGE_MAGIC);
    exchange->on_gone = fn;
    exchange->gone_ctx = ctx;
    return request->conn != NULL;
}

/* --- revisions -------------------------------------------------------------------------------- */

#define TAG_BYTES 48

/* FNV-1a over who looks; it only has to differ, and to be the same after a restart. */
static uint32_t reader_hash(const struct request *request) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    uint64_t words[2] = {(uint64_t)request->caller.user_id, (uint64_t)request->caller.role};
    const unsigned char *bytes = (const unsigned char *)words;
    for (size_t i = 0; i < sizeof(words); i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return (uint32_t)(hash ^ hash >> 32);
}

static struct str tag_of(const struct request *request, int64_t revision, char out[TAG_BYTES]) {
    int len = snprintf(out, TAG_BYTES, "\"r%lld-%08x\"", (long long)revision, reader_hash(request));
    return str_of(out, (size_t)len);
}

/* Takes the next tag off a list; commas inside quotes belong to the tag. */
static bool tag_next(struct str *rest, bool *is_weak, struct str *tag) {
    *rest = str_trim(*rest);
    while (rest->len > 0 && rest->at[0] == ',')
        *rest = str_trim(str_slice(*rest, 1, rest->len));
    *is_weak = str_starts(*rest, STR("W/"));
    if (*is_weak)
        *rest = str_slice(*rest, 2, rest->len);
    if (rest->len == 0 || rest->at[0] != '"')
        return false;
    ptrdiff_t end = str_find_char(*rest, '"', 1);
    if (end < 0)
        return false;
    *tag = str_slice(*rest, 0, (size_t)end + 1);
    *rest = str_slice(*rest, (size_t)end + 1, rest->len);
    return true;
}

bool request_tag_matches(struct str list, struct str tag, bool must_be_strong) {
    struct str one;
    bool is_weak;
    if (str_eq(str_trim(list), STR("*")))
        return true;
    while (tag_next(&list, &is_weak, &one))
        if (str_eq(one, tag) && !(must_be_strong && is_weak))
            return true;
    return false;
}

void reply_etag(struct request *request, int64_t revision) {
    char tag[TAG_BYTES];
    reply_header(request, "ETag", tag_of(request, revision, tag));
}

static bool is_read(const struct request *request) {
    return request->method == METHOD_GET || request->method == METHOD_HEAD;
}

bool reply_if_unchanged(struct request *request, int64_t revision) {
    char text[TAG_BYTES];
    struct str tag = tag_of(request, revision, text);
    reply_header(request, "ETag", tag);
    struct str known = request_header(request, "if-none-match");
    if (known.at == NULL || !request_tag_matches(known, tag, false))
        return false;
    if (is_read(request))
        reply_empty(request, 304);
    else
        reply_problem(request, 412, "It exists already.");
    return true;
}

bool reply_if_read_unchanged(struct request *request, int64_t revision) {
    if (is_read(request))
        return reply_if_unchanged(request, revision);
    reply_etag(request, revision);
    return false;
}

/* The revision inside one of our tags, or 0. */
static int64_t revision_of(const struct request *request, struct str tag) {
    int64_t revision = 0;
    ptrdiff_t dash = str_find_char(tag, '-', 0);
    char text[TAG_BYTES];
    if (tag.len < 4 || tag.at[1] != 'r' || dash < 3 ||
        str_to_int(str_slice(tag, 2, (size_t)dash), &revision) != E_OK || revision <= 0)
        return 0;
    return str_eq(tag, tag_of(request, revision, text)) ? revision : 0;
}

int64_t request_expected_revision(const struct request *request) {
    struct str list = request_header(request, "if-match");
    struct str tag;
    bool is_weak;
    if (list.at == NULL || str_eq(str_trim(list), STR("*")))
        return -1;
    while (tag_next(&list, &is_weak, &tag)) {
        int64_t revision = is_weak ? 0 : revision_of(request, tag);
        if (revision != 0)
            return revision;
    }
    return 0;
}

bool request_may_change(struct request *request, int64_t revision) {
    char text[TAG_BYTES];
    struct str list = request_header(request, "if-match");
    if (list.at == NULL || request_tag_matches(list, tag_of(request, revision, text), true))
        return true;
    reply_problem(request, 412, "It has been changed since you read it.");
    return false;
}
