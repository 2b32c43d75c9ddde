/*
 * One table gives every result code its HTTP status, its word and whether trying again can help.
 * Statuses stay inside what clients and proxies of ours are promised: an endpoint that failed or
 * took too long is a 503 of ours (with Retry-After), because no proxy stands behind us that a 502
 * or 504 could mean.
 */
#include "base/err.h"

#include "base/check.h"
#include "base/banned.h"

static const struct err_row {
    int status;
    const char *word;
    bool is_retryable;
} ROWS[] = {
    [E_OK] = {200, "ok", false},
    [E_INPUT] = {422, "invalid", false},
    [E_DENIED] = {403, "denied", false},
    [E_ABSENT] = {404, "not_found", false},
    [E_CONFLICT] = {409, "conflict", false},
    [E_LIMIT] = {413, "limit", false},
    [E_BUSY] = {503, "busy", true},
    [E_TIMEOUT] = {503, "timeout", true},
    [E_UPSTREAM] = {503, "upstream", true},
    [E_STORAGE] = {507, "storage", true},
    [E_CANCELLED] = {503, "cancelled", true},
};

static const struct err_row *row_of(enum err err) {
    BUG_IF((unsigned)err >= COUNT_OF(ROWS));
    return &ROWS[err];
}

int err_status(enum err err) {
    return row_of(err)->status;
}

const char *err_word(enum err err) {
    return row_of(err)->word;
}

bool err_is_retryable(enum err err) {
    return row_of(err)->is_retryable;
}
