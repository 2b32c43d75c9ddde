/*
 * The SQL of signing in: sessions, their refresh tokens, and the failures that make the next try wait.
 *
 * Of tokens only the hashes are here. A session keeps its row until a day after the moment
 * at which it would have ended by itself, so that a stolen token is known as one of a family that ended.
 */
#include "account/session_store.h"

#include "base/crypto.h"
#include "store/rows.h"

#include <string.h>

#include "base/banned.h"

#define SESSIONS_SHOWN 100 /* the newest; the others end by themselves */
#define SWEEP_AFTER_MS ((int64_t)24 * 3600 * 1000)

/* --- sessions --------------------------------------------------------------------------------- */

enum err session_list(struct db *db, struct arena *arena, int64_t user_id, int64_t now,
                      struct session **items, size_t *count) {
    struct stmt *s = DB_SQL(
        db,
        "SELECT id, user_id, device, address, created_at, last_used_at, expires_at FROM session "
        "WHERE user_id = :user AND revoked_at IS NULL AND expires_at > :now "
        "ORDER BY id DESC "
        "LIMIT :limit");
    bind_id(s, ":user", user_id);
    bind_time(s, ":now", now);
    bind_int(s, ":limit", SESSIONS_SHOWN);
    *items = ARENA_ARRAY(arena, struct session, SESSIONS_SHOWN);
    *count = 0;
    while (*count < SESSIONS_SHOWN && stmt_row(s))
        (*items)[(*count)++] = (struct session){
            .id = column_id(s, 0),
            .user_id = column_id(s, 1),
            .device = column_str_dup(s, 2, arena),
            .address = column_str_dup(s, 3, arena),
            .created_at = column_time(s, 4),
            .last_used_at = column_time(s, 5),
            .expires_at = column_time(s, 6),
        };
    return stmt_done(s);
}

enum err session_insert(struct tx *tx, const struct session *session) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO session (id, user_id, device, address, created_at, last_used_at, expires_at) "
        "VALUES (:id, :user, :device, :address, :now, :now, :expires)");
    bind_id(s, ":id", session->id);
    bind_id(s, ":user", session->user_id);
    bind_str(s, ":device", session->device);
    bind_str(s, ":address", session->address);
    bind_time(s, ":now", session->created_at);
    bind_time(s, ":expires", session->expires_at);
    return stmt_run(s);
}

enum err session_revoke(struct tx *tx, int64_t user_id, int64_t session_id, int64_t except_id,
                        struct str reason, int64_t now) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "UPDATE session SET revoked_at = :now, revoke_reason = :reason "
                          "WHERE user_id = :user AND revoked_at IS NULL "
                          "  AND id = COALESCE(:session, id) AND id IS NOT :except");
    bind_id(s, ":user", user_id);
    bind_id(s, ":session", session_id);
    bind_id(s, ":except", except_id);
    bind_str(s, ":reason", reason);
    bind_time(s, ":now", now);
    enum err err = stmt_run(s);
    return err != E_OK ? err : session_id == 0 || stmt_changed(s) == 1 ? E_OK : E_ABSENT;
}

enum err session_touch(struct tx *tx, int64_t session_id, struct str address, int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx), "UPDATE session SET last_used_at = :now, address = :address WHERE id = :id");
    bind_id(s, ":id", session_id);
    bind_str(s, ":address", address);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

enum err session_caller(struct db *db, int64_t session_id, int64_t user_id, int64_t now,
                        struct caller *caller) {
    struct stmt *s = DB_SQL(
        db,
        "SELECT u.role FROM session s JOIN user u ON u.id = s.user_id "
        "WHERE s.id = :session AND s.user_id = :user AND s.revoked_at IS NULL AND s.expires_at > :now "
        "  AND u.disabled_at IS NULL AND u.deleted_at IS NULL");
    bind_id(s, ":session", session_id);
    bind_id(s, ":user", user_id);
    bind_time(s, ":now", now);
    bool is_live = stmt_row(s);
    if (is_live)
        *caller = (struct caller){.user_id = user_id,
                                  .session_id = session_id,
                                  .role = account_role(column_str(s, 0)),
                                  .scopes = SCOPE_ALL};
    enum err err = stmt_done(s);
    return err != E_OK ? err : is_live ? E_OK : E_DENIED;
}

/* --- refresh tokens --------------------------------------------------------------------------- */

enum err refresh_load(struct db *db, const uint8_t hash[32], int64_t now,
                      struct refresh_token *token) {
    uint8_t asked[32]; /* hash may be the one inside *token */
    memcpy(asked, hash, sizeof asked);
    struct stmt *s = DB_SQL(
        db, "SELECT t.session_id, s.user_id, t.issued_at, t.expires_at, t.used_at, "
            "  s.revoked_at IS NOT NULL OR s.expires_at <= :now OR u.disabled_at IS NOT NULL "
            "    OR u.deleted_at IS NOT NULL, "
            "  (SELECT c.used_at IS NOT NULL FROM refresh_token c WHERE c.hash = t.successor) "
            "FROM refresh_token t "
            "JOIN session s ON s.id = t.session_id "
            "JOIN user u ON u.id = s.user_id "
            "WHERE t.hash = :hash");
    bind_blob(s, ":hash", sha256_str(asked));
    bind_time(s, ":now", now);
    bool is_there = stmt_row(s);
    if (is_there) {
        *token = (struct refresh_token){
            .session_id = column_id(s, 0),
            .user_id = column_id(s, 1),
            .issued_at = column_time(s, 2),
            .expires_at = column_time(s, 3),
            .used_at = column_time(s, 4),
            .session_is_over = column_bool(s, 5),
            .successor_is_used = column_bool(s, 6),
        };
        memcpy(token->hash, asked, sizeof token->hash);
    }
    return stmt_done_one(s, is_there);
}

enum err refresh_insert(struct tx *tx, const struct refresh_token *token) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT INTO refresh_token (hash, session_id, issued_at, expires_at) "
                          "VALUES (:hash, :session, :issued, :expires)");
    bind_blob(s, ":hash", sha256_str(token->hash));
    bind_id(s, ":session", token->session_id);
    bind_time(s, ":issued", token->issued_at);
    bind_time(s, ":expires", token->expires_at);
    return stmt_run(s);
}

enum err refresh_use(struct tx *tx, const uint8_t hash[32], const uint8_t successor[32],
                     int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "UPDATE refresh_token SET used_at = COALESCE(used_at, :now), successor = :successor WHERE hash = :hash");
    bind_blob(s, ":hash", sha256_str(hash));
    bind_blob(s, ":successor", sha256_str(successor));
    bind_time(s, ":now", now);
    return stmt_run(s);
}

/* --- failures --------------------------------------------------------------------------------- */

int64_t failure_locked_until(struct db *db, struct str subject) {
    struct stmt *s = DB_SQL(db, "SELECT locked_until FROM login_failure WHERE subject = :subject");
    bind_str(s, ":subject", subject);
    return stmt_int(s, 0);
}

enum err failure_add(struct tx *tx, struct str subject, int64_t free_tries, int64_t longest_ms,
                     int64_t now) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT INTO login_failure (subject, count, last_at, locked_until) "
                          "VALUES (:subject, 1, :now, 0) "
                          "ON CONFLICT (subject) DO UPDATE "
                          "SET count = count + 1, last_at = :now, "
                          "    locked_until = IIF(count + 1 <= :free, 0, "
                          "      :now + MIN(:longest, 1000 << MIN(count - :free, 20)))");
    bind_str(s, ":subject", subject);
    bind_int(s, ":free", free_tries);
    bind_int(s, ":longest", longest_ms);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

enum err failure_clear(struct tx *tx, struct str subject) {
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM login_failure WHERE subject = :subject");
    bind_str(s, ":subject", subject);
    return stmt_run(s);
}

/* --- what is over ----------------------------------------------------------------------------- */

enum err account_sweep(struct tx *tx, int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "DELETE FROM session WHERE id IN (SELECT id FROM session WHERE expires_at < :before LIMIT 500)");
    bind_time(s, ":before", now - SWEEP_AFTER_MS);
    enum err err = stmt_run(s);
    if (err != E_OK)
        return err;
    s = DB_SQL(tx_db(tx), "DELETE FROM login_failure WHERE last_at < :before");
    bind_time(s, ":before", now - SWEEP_AFTER_MS);
    if ((err = stmt_run(s)) != E_OK)
        return err;
    s = DB_SQL(tx_db(tx), "DELETE FROM idempotency WHERE created_at < :before");
    bind_time(s, ":before", now - SWEEP_AFTER_MS);
    return stmt_run(s);
}
