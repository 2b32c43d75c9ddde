/*
 * What a request to a model can do without. When an endpoint refuses a request and names a field, the
 * request is sent once more without it, and the endpoint is remembered. Loop thread.
 */
#pragma once

#include "model/chat.h"

enum without {
    WITHOUT_STREAM_OPTIONS = 1,
    WITHOUT_EXTRAS = 2, /* top_k, min_p, repetition penalty */
    WITHOUT_PENALTIES = 4,
    WITHOUT_TEMPERATURE = 8,
    WITHOUT_TOP_P = 16,
    WITHOUT_SEED = 32,
    WITHOUT_STOP = 64,
    WITHOUT_MAX_TOKENS = 128, /* max_completion_tokens instead */
    WITHOUT_PREFILL = 256,    /* going on is asked for in words */
    WITHOUT_FREE_ROLES = 512, /* turns must alternate, no system role */
    WITHOUT_CACHE_MARKS = 1024,
    WITHOUT_SCHEMA = 2048, /* JSON is asked for in words alone */
};

/* What a refusal (status and body) is about, as bits of enum without; 0: about something else. */
unsigned without_refused(int status, struct str text);
/* What this endpoint was found to refuse since the start; 0 when it is not known. An endpoint is its
 * address and its model. */
unsigned without_recall(const struct chat_endpoint *endpoint);
void without_remember(const struct chat_endpoint *endpoint, unsigned without);
