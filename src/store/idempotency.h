/*
 * Idempotency-Key: the first answer to a key within 24 h is the answer to every repeat (IETF
 * httpapi draft).
 *
 * A claim is written before the handler runs; the answer is recorded before it is sent. After a
 * crash between the two the repeat is told 409: the work may have been done, and is not done twice.
 */
#pragma once

#include "store/store.h"

enum idempotency_state {
    IDEMPOTENCY_NEW,
    IDEMPOTENCY_RUNNING,
    IDEMPOTENCY_ANSWERED,
    IDEMPOTENCY_OTHER_REQUEST
};

struct idempotency {
    int64_t user_id;
    struct str key;               /* at most 255 bytes */
    uint8_t fingerprint[32];      /* of method, path and body, keyed */
    enum idempotency_state state; /* out of claim */
    int status;                   /* the recorded answer; in for record */
    struct str content_type;
    struct str body;
    struct arena *arena; /* for the recorded answer */
};

enum err idempotency_claim(struct tx *tx, void *idempotency);  /* a store_write_fn */
enum err idempotency_record(struct tx *tx, void *idempotency); /* a store_write_fn */
enum err idempotency_forget(
    struct tx *tx,
    void *idempotency); /* a store_write_fn: the request failed before it changed anything */
