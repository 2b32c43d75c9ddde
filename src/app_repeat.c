/*
 * A repeat of a POST with the same Idempotency-Key gets the first answer (api.md, IETF httpapi
 * draft).
 *
 * The claim is on disk before the handler runs, the answer before it is sent. Answers of 5xx are
 * not kept: the claim is taken back, so that a repeat may succeed. The same key with another body
 * is refused.
 *
 * What is kept tells nothing to who reads the file. The fingerprint of a request is keyed (a plain
 * digest of a body that brings a password could be guessed as fast as digests are made), and of an
 * answer that shows a key or a token only that it was given is kept: a repeat is told 409.
 */
#include "app_repeat.h"

#include "base/crypto.h"
#include "base/keyfile.h"
#include "base/map.h"
#include "net/router.h"
#include "store/idempotency.h"

#include <stdint.h>

#include "base/banned.h"

#define SHOWN_ONCE 409 /* and no body: what was answered is not told again */

struct repeat {
    struct idempotency
        claim; /* first: the store's functions and our completions get the same pointer */
    struct request *request;
    void (*proceed)(struct request *request);
    void (*sent)(struct request *request);
};

static struct map under_way; /* request -> repeat, for those whose handler runs */

static int64_t key_of(const struct request *request) {
    return (int64_t)(intptr_t)request;
}

static void fingerprint(const struct request *request, uint8_t out[SHA256_BYTES]) {
    struct str whole =
        str_printf(request->arena, "repeat %d " STR_FMT "\n" STR_FMT, (int)request->method,
                   STR_ARG(request->target), STR_ARG(request->content));
    struct str key = str_of((const char *)keyfile_key(), SHA256_BYTES);
    crypto_hmac_sha256(key, whole, out);
}

/* Nothing of the answer was kept. */
static void reply_answered(struct repeat *repeat) {
    const struct idempotency *claim = &repeat->claim;
    if (claim->status == SHOWN_ONCE && claim->body.len == 0)
        return reply_problem(
            repeat->request, SHOWN_ONCE,
            "This was done, and its answer held a secret that is shown once. It is not carried out twice.");
    reply_bytes(repeat->request, claim->status, claim->content_type, claim->body);
}

static void on_claimed(enum err err, void *ctx) {
    struct repeat *repeat = ctx;
    struct request *request = repeat->request;
    if (err != E_OK)
        return reply_error(request, err);
    switch (repeat->claim.state) {
    case IDEMPOTENCY_NEW:
        map_put_id(&under_way, key_of(request), repeat);
        return repeat->proceed(request);
    case IDEMPOTENCY_RUNNING:
        return reply_problem(
            request, 409,
            "A request with this Idempotency-Key is under way, or its answer was lost. It is not carried out twice.");
    case IDEMPOTENCY_OTHER_REQUEST:
        return reply_problem(request, 422, "This Idempotency-Key was used for another request.");
    case IDEMPOTENCY_ANSWERED:
        return reply_answered(repeat);
    }
}

void repeat_begin(struct request *request, struct str key,
                  void (*proceed)(struct request *request)) {
    struct repeat *repeat = ARENA_NEW(request->arena, struct repeat);
    repeat->request = request;
    repeat->proceed = proceed;
    repeat->claim.user_id = request->caller.user_id;
    repeat->claim.key = str_dup(request->arena, key);
    repeat->claim.arena = request->arena;
    fingerprint(request, repeat->claim.fingerprint);
    store_write(idempotency_claim, on_claimed, repeat);
}

static void on_recorded(enum err err, void *ctx) {
    struct repeat *repeat = ctx;
    (void)err; /* the work is done and durable: a repeat is then told 409 instead of the answer */
    repeat->sent(repeat->request);
}

void repeat_record(struct request *request, int status, struct str content_type, struct str body,
                   void (*sent)(struct request *request)) {
    struct repeat *repeat = map_remove_id(&under_way, key_of(request));
    if (repeat == NULL)
        return sent(request);
    repeat->sent = sent;
    repeat->claim.status = status;
    repeat->claim.content_type = content_type;
    repeat->claim.body = body;
    if (request->route->answers_secret && status < 300) {
        repeat->claim.status = SHOWN_ONCE;
        repeat->claim.content_type = repeat->claim.body = STR("");
    }
    store_write(status >= 500 ? idempotency_forget : idempotency_record, on_recorded, repeat);
}
