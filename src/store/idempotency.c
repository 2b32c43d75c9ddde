/*
 * The first answer to an Idempotency-Key (draft-ietf-httpapi-idempotency-key-header).
 *
 * Three writes around a handler: claim (the row without a status), then record (the answer) or
 * forget (nothing was done). Because the claim is committed before the handler runs, a repeat that
 * comes while the first is under way, or after a crash in the middle, finds the row without a
 * status and is told so, instead of doing the work twice.
 *
 * A key belongs to one request: the fingerprint is compared, another request under the same key is
 * refused. Rows older than 24 hours are as good as absent, and every claim takes a few of them out,
 * so the table needs no sweeper.
 */
#include "store/idempotency.h"

#include "base/clock.h"

#include <string.h>

#include "base/banned.h"

#define KEPT_FOR_MS (24 * 3600 * 1000LL)

static struct str fingerprint_of(const struct idempotency *claim) {
    return (struct str){(const char *)claim->fingerprint, sizeof(claim->fingerprint)};
}

/* More than one row leaves for each that comes. */
static enum err sweep(struct tx *tx, int64_t before_ms) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "DELETE FROM idempotency WHERE (user_id, key) IN ("
                          "SELECT user_id, key FROM idempotency WHERE created_at <= :before "
                          "ORDER BY created_at LIMIT 4)");
    bind_int(s, ":before", before_ms);
    return stmt_run(s);
}

static enum err remove_key(struct tx *tx, const struct idempotency *claim) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "DELETE FROM idempotency WHERE user_id = :user AND key = :key");
    bind_int(s, ":user", claim->user_id);
    bind_str(s, ":key", claim->key);
    return stmt_run(s);
}

static enum err insert(struct tx *tx, struct idempotency *claim, int64_t now_ms) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT INTO idempotency (user_id, key, fingerprint, created_at) "
                          "VALUES (:user, :key, :fingerprint, :now)");
    bind_int(s, ":user", claim->user_id);
    bind_str(s, ":key", claim->key);
    bind_blob(s, ":fingerprint", fingerprint_of(claim));
    bind_int(s, ":now", now_ms);
    return stmt_run(s);
}

/* Reads the row that stands in `s`. */
static enum idempotency_state judge(struct stmt *s, struct idempotency *claim) {
    if (!str_eq(column_blob_dup(s, 0, claim->arena), fingerprint_of(claim)))
        return IDEMPOTENCY_OTHER_REQUEST;
    if (column_is_null(s, 1))
        return IDEMPOTENCY_RUNNING;
    claim->status = (int)column_int(s, 1);
    claim->content_type = column_str_dup(s, 2, claim->arena);
    claim->body = column_blob_dup(s, 3, claim->arena);
    return IDEMPOTENCY_ANSWERED;
}

enum err idempotency_claim(struct tx *tx, void *ctx) {
    struct idempotency *claim = ctx;
    int64_t now_ms = clock_now_ms(), oldest_ms = now_ms - KEPT_FOR_MS;
    claim->state = IDEMPOTENCY_NEW;
    struct stmt *s = DB_SQL(tx_db(tx), "SELECT fingerprint, status, content_type, body, created_at "
                                       "FROM idempotency WHERE user_id = :user AND key = :key");
    bind_int(s, ":user", claim->user_id);
    bind_str(s, ":key", claim->key);
    bool is_there = stmt_row(s), is_old = is_there && column_time(s, 4) <= oldest_ms;
    if (is_there && !is_old)
        claim->state = judge(s, claim);
    enum err err = stmt_done(s);
    if (err != E_OK || claim->state != IDEMPOTENCY_NEW)
        return err;
    if (is_old)
        err = remove_key(tx, claim);
    if (err == E_OK)
        err = sweep(tx, oldest_ms);
    return err == E_OK ? insert(tx, claim, now_ms) : err;
}

enum err idempotency_record(struct tx *tx, void *ctx) {
    struct idempotency *claim = ctx;
    struct stmt *s = DB_SQL(
        tx_db(tx), "UPDATE idempotency SET status = :status, content_type = :type, body = :body "
                   "WHERE user_id = :user AND key = :key AND status IS NULL");
    bind_int(s, ":status", claim->status);
    bind_str(s, ":type", claim->content_type);
    bind_blob(s, ":body", claim->body);
    bind_int(s, ":user", claim->user_id);
    bind_str(s, ":key", claim->key);
    return stmt_run(s);
}

enum err idempotency_forget(struct tx *tx, void *ctx) {
    struct idempotency *claim = ctx;
    struct stmt *s =
        DB_SQL(tx_db(tx),
               "DELETE FROM idempotency WHERE user_id = :user AND key = :key AND status IS NULL");
    bind_int(s, ":user", claim->user_id);
    bind_str(s, ":key", claim->key);
    return stmt_run(s);
}
