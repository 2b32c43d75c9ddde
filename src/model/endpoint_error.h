/*
 * What an endpoint's refusal or failure means: as a code, and as words for a person. Shared by the
 * adapters of chats and of embeddings. Any thread.
 */
#pragma once

#include "base/json.h"

/* Of an HTTP status other than 200. */
enum err endpoint_error_of_status(int status);
/* Of an error's type or code (`overloaded_error`); `otherwise` when they say nothing. */
enum err endpoint_error_of(const struct json_value *error, enum err otherwise);
/* The endpoint's own words in an error document of any of the known shapes; STR_NONE when there are
 * none. Borrowed from the document. */
struct str endpoint_error_text(const struct json_value *document);
/* What the endpoint did, in half a sentence. Static. */
const char *endpoint_error_verdict(enum err err);

struct endpoint_error {
    const char *what;  /* what happened, without a full stop */
    int status;        /* 0: none */
    struct str words;  /* the endpoint's own; may be STR_NONE */
    size_t most_bytes; /* of the words; 0: as many as fit */
    struct str key;    /* does not stand in the sentence, whole or in part */
};
/* One sentence with a NUL in `out`, cut to `size` bytes at a whole character. */
void endpoint_error_write(char *out, size_t size, const struct endpoint_error *error);
