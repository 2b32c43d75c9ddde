/* The house's result codes. A function that can fail returns one; the reason for a person goes into
 * a struct problem. */
#pragma once

#include <stdbool.h>

#define MUST_USE __attribute__((warn_unused_result))

enum err {
    E_OK = 0,
    E_INPUT,     /* what the caller sent is wrong */
    E_DENIED,    /* the caller may not do this */
    E_ABSENT,    /* there is no such thing, or it is not visible to the caller */
    E_CONFLICT,  /* the thing has changed since the caller looked, or exists already */
    E_LIMIT,     /* a ceiling of size, count or rate was reached */
    E_BUSY,      /* try again later: overloaded, draining, locked */
    E_TIMEOUT,   /* a deadline passed */
    E_UPSTREAM,  /* an endpoint that we called failed or lied */
    E_STORAGE,   /* the disk or the database failed; nothing was stored */
    E_CANCELLED, /* whoever asked went away, or asked us to stop */
};

/* The HTTP status that answers an error when the handler knows no better one. */
int err_status(enum err err);

/* A stable lower-case word ("not_found") for answers, events and logs. Never NULL. */
const char *err_word(enum err err);

/* True when the same call may succeed later without a change of input. */
bool err_is_retryable(enum err err);
