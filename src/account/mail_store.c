/* The SQL of mail. Tokens reach this file only hashed, texts only sealed. */
#include "account/mail_store.h"

#include "base/crypto.h"
#include "store/rows.h"

#include "base/banned.h"

#define SWEEP_ROWS        500 /* at one go: the writer has others to serve */
#define UNVERIFIED_FOR_MS ((int64_t)7 * 24 * 3600 * 1000)
#define QUOTA_KEPT_MS     ((int64_t)24 * 3600 * 1000)

/* --- quotas ----------------------------------------------------------------------------------- */

enum err quota_take(struct tx *tx, struct str subject, int64_t limit, int64_t window_ms,
                    int64_t now, int64_t *wait_ms) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT INTO mail_quota (subject, count, began_at) "
                          "VALUES (:subject, 1, :now) "
                          "ON CONFLICT (subject) DO UPDATE "
                          "SET count = IIF(began_at + :window <= :now, 1, count + 1), "
                          "    began_at = IIF(began_at + :window <= :now, :now, began_at) "
                          "RETURNING count, began_at");
    bind_str(s, ":subject", subject);
    bind_time(s, ":now", now);
    bind_int(s, ":window", window_ms);
    int64_t count = 0, began_at = now;
    if (stmt_row(s)) {
        count = column_int(s, 0);
        began_at = column_time(s, 1);
    }
    enum err err = stmt_done(s);
    *wait_ms = count > limit ? began_at + window_ms - now : 0;
    return err != E_OK ? err : count > limit ? E_LIMIT : E_OK;
}

enum err quota_forget(struct tx *tx, struct str account) {
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM mail_quota WHERE subject IN "
                                       "('reset:' || :account, 'verify:' || :account, "
                                       " 'exists:' || :account)");
    bind_str(s, ":account", account);
    return stmt_run(s);
}

/* --- tokens ----------------------------------------------------------------------------------- */

enum err email_token_put(struct tx *tx, const struct email_token *token) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT OR REPLACE INTO email_token (hash, user_id, purpose, email_folded, created_at, expires_at) "
        "VALUES (:hash, :user, :purpose, :email, :created, :expires)");
    bind_blob(s, ":hash", sha256_str(token->hash));
    bind_id(s, ":user", token->user_id);
    bind_str(s, ":purpose", token->purpose);
    bind_str(s, ":email", token->email_folded);
    bind_time(s, ":created", token->created_at);
    bind_time(s, ":expires", token->expires_at);
    return stmt_run(s);
}

enum err email_token_find(struct db *db, const uint8_t hash[32], struct str purpose, int64_t now,
                          int64_t *user_id) {
    struct stmt *s =
        DB_SQL(db, "SELECT u.id FROM email_token t JOIN user u ON u.id = t.user_id "
                   "WHERE t.hash = :hash AND t.purpose = :purpose AND t.expires_at > :now "
                   "  AND u.email_folded = t.email_folded "
                   "  AND u.disabled_at IS NULL AND u.deleted_at IS NULL");
    bind_blob(s, ":hash", sha256_str(hash));
    bind_str(s, ":purpose", purpose);
    bind_time(s, ":now", now);
    *user_id = stmt_int(s, 0);
    return *user_id != 0 ? E_OK : E_ABSENT;
}

enum err email_token_use(struct tx *tx, const uint8_t hash[32], struct str purpose, int64_t now,
                         int64_t *user_id) {
    enum err err = email_token_find(tx_db(tx), hash, purpose, now, user_id);
    if (err != E_OK)
        return err;
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM email_token WHERE hash = :hash");
    bind_blob(s, ":hash", sha256_str(hash));
    return stmt_run(s);
}

enum err email_tokens_end(struct tx *tx, int64_t user_id) {
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM email_token WHERE user_id = :user");
    bind_id(s, ":user", user_id);
    return stmt_run(s);
}

enum err email_resets_end(struct tx *tx, int64_t user_id, int64_t now) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "DELETE FROM email_token WHERE user_id = :user AND purpose = 'reset'");
    bind_id(s, ":user", user_id);
    enum err err = stmt_run(s);
    return err != E_OK ? err : mail_void(tx, user_id, STR("reset"), STR("exists"), now);
}

/* --- people ----------------------------------------------------------------------------------- */

enum err correspondent_load(struct db *db, struct arena *arena, int64_t user_id,
                            struct correspondent *person) {
    struct stmt *s = DB_SQL(
        db,
        "SELECT id, email, email_folded, role, preferences, email_verified_at IS NOT NULL, must_verify "
        "FROM user WHERE id = :id AND disabled_at IS NULL AND deleted_at IS NULL");
    bind_id(s, ":id", user_id);
    bool is_there = stmt_row(s);
    if (is_there)
        *person = (struct correspondent){
            .id = column_id(s, 0),
            .email = column_str_dup(s, 1, arena),
            .email_folded = column_str_dup(s, 2, arena),
            .role = column_str_dup(s, 3, arena),
            .preferences = column_str_dup(s, 4, arena),
            .is_verified = column_bool(s, 5),
            .must_verify = column_bool(s, 6),
        };
    return stmt_done_one(s, is_there);
}

int64_t correspondent_find(struct db *db, struct str email_folded) {
    struct stmt *s = DB_SQL(db, "SELECT id FROM user WHERE email_folded = :email "
                                "AND disabled_at IS NULL AND deleted_at IS NULL");
    bind_str(s, ":email", email_folded);
    return stmt_int(s, 0);
}

enum err user_verify(struct tx *tx, int64_t user_id, int64_t now) {
    struct stmt *s = DB_SQL(tx_db(tx), "UPDATE user SET must_verify = 0, "
                                       "    email_verified_at = COALESCE(email_verified_at, :now), "
                                       "    revision = revision + 1, updated_at = :now "
                                       "WHERE id = :id AND deleted_at IS NULL");
    bind_id(s, ":id", user_id);
    bind_time(s, ":now", now);
    return stmt_run_one(s);
}

/* --- rows ------------------------------------------------------------------------------------- */

enum err mail_insert(struct tx *tx, const struct outbox_mail *m) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO mail (id, user_id, kind, recipient, subject, text_sealed, state, expires_at, created_at, updated_at) "
        "VALUES (:id, :user, :kind, :recipient, :subject, :text, 'queued', :expires, :now, :now)");
    bind_id(s, ":id", m->id);
    bind_id(s, ":user", m->user_id);
    bind_str(s, ":kind", m->kind);
    bind_str(s, ":recipient", m->recipient);
    bind_str(s, ":subject", m->subject);
    bind_blob(s, ":text", m->text_sealed);
    bind_time(s, ":expires", m->expires_at);
    bind_time(s, ":now", m->created_at);
    return stmt_run(s);
}

enum err mail_void(struct tx *tx, int64_t user_id, struct str kind, struct str other_kind,
                   int64_t now) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "UPDATE mail SET text_sealed = NULL, updated_at = :now, "
                          "    state = IIF(state IN ('queued', 'resting'), 'expired', state) "
                          "WHERE user_id = :user AND kind IN (:kind, :other) "
                          "  AND text_sealed IS NOT NULL");
    bind_id(s, ":user", user_id);
    bind_str(s, ":kind", kind);
    bind_str(s, ":other", other_kind);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

enum err mail_move(struct tx *tx, int64_t id, struct str state, struct str reason, bool is_attempt,
                   bool keeps_text, int64_t now) {
    struct stmt *s = DB_SQL(tx_db(tx), "UPDATE mail SET state = :state, reason = :reason, "
                                       "    attempts = attempts + :attempt, "
                                       "    text_sealed = IIF(:keeps, text_sealed, NULL), "
                                       "    updated_at = :now "
                                       "WHERE id = :id");
    bind_id(s, ":id", id);
    bind_str(s, ":state", state);
    bind_str(s, ":reason", reason);
    bind_int(s, ":attempt", is_attempt);
    bind_bool(s, ":keeps", keeps_text);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

static struct outbox_mail mail_from_row(struct stmt *s, struct arena *arena) {
    return (struct outbox_mail){
        .id = column_id(s, 0),
        .user_id = column_id(s, 1),
        .kind = column_str_dup(s, 2, arena),
        .recipient = column_str_dup(s, 3, arena),
        .subject = column_str_dup(s, 4, arena),
        .state = column_str_dup(s, 5, arena),
        .attempts = column_int(s, 6),
        .reason = column_str_dup(s, 7, arena),
        .expires_at = column_time(s, 8),
        .created_at = column_time(s, 9),
        .updated_at = column_time(s, 10),
        .role = column_str_dup(s, 11, arena),
        .has_text = column_bool(s, 12),
    };
}

enum err outbox_list(struct db *db, struct arena *arena, int64_t before_id, struct str state,
                     size_t limit, struct outbox_mail **items, size_t *count) {
    struct stmt *s = DB_SQL(
        db,
        "SELECT m.id, m.user_id, m.kind, m.recipient, m.subject, m.state, m.attempts, m.reason, "
        "    m.expires_at, m.created_at, m.updated_at, u.role, m.text_sealed IS NOT NULL "
        "FROM mail m JOIN user u ON u.id = m.user_id "
        "WHERE m.id < :before AND (:state IS NULL OR m.state = :state) "
        "ORDER BY m.id DESC "
        "LIMIT :limit");
    bind_int(s, ":before", before_id != 0 ? before_id : INT64_MAX);
    bind_str(s, ":state", state);
    bind_int(s, ":limit", (int64_t)limit);
    *items = ARENA_ARRAY(arena, struct outbox_mail, limit);
    *count = 0;
    while (*count < limit && stmt_row(s))
        (*items)[(*count)++] = mail_from_row(s, arena);
    return stmt_done(s);
}

enum err outbox_load(struct db *db, struct arena *arena, int64_t id, struct outbox_mail *mail) {
    struct stmt *s = DB_SQL(
        db,
        "SELECT m.id, m.user_id, m.kind, m.recipient, m.subject, m.state, m.attempts, m.reason, "
        "    m.expires_at, m.created_at, m.updated_at, u.role, m.text_sealed IS NOT NULL, "
        "    m.text_sealed "
        "FROM mail m JOIN user u ON u.id = m.user_id WHERE m.id = :id");
    bind_id(s, ":id", id);
    bool is_there = stmt_row(s);
    if (is_there) {
        *mail = mail_from_row(s, arena);
        mail->text_sealed = column_blob_dup(s, 13, arena);
    }
    return stmt_done_one(s, is_there);
}

/* --- what is over ----------------------------------------------------------------------------- */

static enum err sweep_tokens(struct tx *tx, int64_t now) {
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM email_token WHERE expires_at < :now");
    bind_time(s, ":now", now);
    enum err err = stmt_run(s);
    if (err != E_OK)
        return err;
    s = DB_SQL(tx_db(tx), "DELETE FROM mail_quota WHERE began_at < :before");
    bind_time(s, ":before", now - QUOTA_KEPT_MS);
    return stmt_run(s);
}

static enum err sweep_mail(struct tx *tx, int64_t keep_ms, int64_t now) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "UPDATE mail SET text_sealed = NULL, updated_at = :now, "
                          "    state = IIF(state IN ('queued', 'resting'), 'expired', state) "
                          "WHERE id IN (SELECT id FROM mail WHERE text_sealed IS NOT NULL "
                          "             AND expires_at < :now ORDER BY expires_at LIMIT :limit)");
    bind_time(s, ":now", now);
    bind_int(s, ":limit", SWEEP_ROWS);
    enum err err = stmt_run(s);
    if (err != E_OK)
        return err;
    s = DB_SQL(tx_db(tx), "DELETE FROM mail WHERE id IN (SELECT id FROM mail "
                          "WHERE created_at < :before ORDER BY created_at LIMIT :limit)");
    bind_time(s, ":before", now - keep_ms);
    bind_int(s, ":limit", SWEEP_ROWS);
    return stmt_run(s);
}

/* Accounts that somebody registered and never confirmed: the address is free at once, and they are
 * due to be erased like any account whose days are over (person/erase.c). */
static enum err sweep_unverified(struct tx *tx, int64_t now) {
    struct stmt *s =
        DB_SQL(tx_db(tx),
               "UPDATE user SET deleted_at = :now, erase_at = :now, must_verify = 0, "
               "    email = '', email_folded = 'gone:' || id "
               "WHERE id IN (SELECT id FROM user WHERE must_verify = 1 AND created_at < :before "
               "             ORDER BY created_at LIMIT :limit)");
    bind_time(s, ":now", now);
    bind_time(s, ":before", now - UNVERIFIED_FOR_MS);
    bind_int(s, ":limit", SWEEP_ROWS);
    return stmt_run(s);
}

enum err outbox_sweep(struct tx *tx, int64_t keep_ms, int64_t now) {
    enum err err = sweep_tokens(tx, now);
    if (err == E_OK)
        err = sweep_mail(tx, keep_ms, now);
    return err == E_OK ? sweep_unverified(tx, now) : err;
}
