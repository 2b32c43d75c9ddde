/*
 * Endpoints complain in many shapes: a status, a document with a code or a type, a sentence, a web
 * page. Here they become a code of ours and a sentence for the person who connected the endpoint.
 *
 * The sentence goes to people, and into no log, because it may quote what was said. The key, which some
 * endpoints quote back, is taken out first, and only then the sentence is cut, so that no beginning of
 * a key stays at the cut.
 */
#include "model/endpoint_error.h"

#include "base/check.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define WORDS_BYTES  ((size_t)64 << 10) /* more of an endpoint's words is not looked at */
#define SHORTEST_KEY 4 /* less than this is no secret, and stands in every sentence */

/* --- as a code ---------------------------------------------------------------------------------- */

enum err endpoint_error_of_status(int status) {
    switch (status) {
    case 401:
    case 402:
    case 403:
        return E_DENIED;
    case 404:
        return E_ABSENT;
    case 408:
    case 504:
    case 524:
        return E_TIMEOUT;
    case 429:
        return E_LIMIT;
    case 503:
    case 529:
        return E_BUSY;
    }
    return status >= 400 && status < 500 ? E_INPUT : E_UPSTREAM;
}

enum err endpoint_error_of(const struct json_value *error, enum err otherwise) {
    static const struct {
        struct str word;
        enum err err;
    } KINDS[] = {
        {{"overload", 8}, E_BUSY},          {{"unavailable", 11}, E_BUSY},
        {{"rate_limit", 10}, E_LIMIT},      {{"quota", 5}, E_LIMIT},
        {{"authentication", 14}, E_DENIED}, {{"permission", 10}, E_DENIED},
        {{"billing", 7}, E_DENIED},         {{"api_key", 7}, E_DENIED},
        {{"not_found", 9}, E_ABSENT},       {{"timeout", 7}, E_TIMEOUT},
        {{"invalid_request", 15}, E_INPUT}, {{"exceed_context", 14}, E_INPUT},
        {{"context_length", 14}, E_INPUT},
    };
    struct str type = json_string(json_member(error, "type"), STR(""));
    struct str code = json_string(json_member(error, "code"), STR(""));
    int64_t status = json_int(json_member(error, "code"), 0);
    for (size_t i = 0; i < COUNT_OF(KINDS); i++)
        if (str_has(type, KINDS[i].word) || str_has(code, KINDS[i].word))
            return KINDS[i].err;
    return status >= 400 && status < 600 ? endpoint_error_of_status((int)status) : otherwise;
}

struct str endpoint_error_text(const struct json_value *document) {
    static const char *const PLACES[] = {
        "error.message", "error",          "message",     "detail", "detail.msg",
        "detail.0.msg",  "detail.message", "error.error", "msg",
    };
    for (size_t i = 0; i < COUNT_OF(PLACES); i++) {
        struct str text = json_string(json_path(document, PLACES[i]), STR_NONE);
        if (str_trim(text).len)
            return str_trim(text);
    }
    return STR_NONE;
}

/* --- as a sentence ------------------------------------------------------------------------------ */

const char *endpoint_error_verdict(enum err err) {
    switch (err) {
    case E_DENIED:
        return "The endpoint refused the key";
    case E_ABSENT:
        return "The endpoint does not know this model or address";
    case E_LIMIT:
        return "The endpoint limits how often it may be asked";
    case E_BUSY:
        return "The endpoint is overloaded or still loading";
    case E_INPUT:
        return "The endpoint refused the request";
    case E_TIMEOUT:
        return "The endpoint did not answer in time";
    default:
        return "The endpoint failed";
    }
}

/* The words without the key, and without characters that have no place in a sentence. */
static struct str clean(struct arena *arena, const struct endpoint_error *error) {
    struct str text = text_repair(arena, str_slice(error->words, 0, WORDS_BYTES));
    struct str key = error->key;
    char *at = str_dup_z(arena, text);
    ptrdiff_t found = key.len < SHORTEST_KEY ? -1 : str_find(text, key, 0);
    for (; found >= 0; found = str_find(text, key, (size_t)found + key.len))
        memset(at + found, '*', key.len);
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)at[i] < 0x20 || at[i] == 0x7f)
            at[i] = ' ';
    struct str whole = str_of(at, text.len);
    return error->most_bytes > 0 ? text_cut_bytes(whole, error->most_bytes) : whole;
}

void endpoint_error_write(char *out, size_t size, const struct endpoint_error *error) {
    struct arena scratch;
    arena_init(&scratch);
    struct str words = clean(&scratch, error);
    char number[16] = "";
    if (error->status != 0)
        snprintf(number, sizeof number, " (%d)", error->status);
    snprintf(out, size, "%s%s%s" STR_FMT, error->what, number, words.len > 0 ? ": " : ".",
             STR_ARG(words));
    out[text_whole_prefix(str_from(out))] = '\0';
    arena_release(&scratch);
}
