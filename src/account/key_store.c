/*
 * The SQL of keys: those that people make for their programs, of which only the hash is here, and those
 * that the house signs access tokens with, sealed under the key file.
 */
#include "account/key_store.h"

#include "base/crypto.h"
#include "store/rows.h"

#include "base/banned.h"

#define API_KEYS_LIMIT     100 /* of one person; a list shows them all */
#define SIGNING_KEYS_SHOWN 16  /* the newest; tokens of older ones are long over */

/* --- API keys --------------------------------------------------------------------------------- */

enum err api_key_list(struct db *db, struct arena *arena, int64_t user_id, struct api_key **items,
                      size_t *count) {
    struct stmt *s = DB_SQL(
        db,
        "SELECT id, user_id, name, hint, scopes, created_at, expires_at, last_used_at FROM api_key "
        "WHERE user_id = :user AND revoked_at IS NULL "
        "ORDER BY id DESC "
        "LIMIT :limit");
    bind_id(s, ":user", user_id);
    bind_int(s, ":limit", API_KEYS_LIMIT);
    *items = ARENA_ARRAY(arena, struct api_key, API_KEYS_LIMIT);
    *count = 0;
    while (*count < API_KEYS_LIMIT && stmt_row(s))
        (*items)[(*count)++] = (struct api_key){
            .id = column_id(s, 0),
            .user_id = column_id(s, 1),
            .name = column_str_dup(s, 2, arena),
            .hint = column_str_dup(s, 3, arena),
            .scopes = column_str_dup(s, 4, arena),
            .created_at = column_time(s, 5),
            .expires_at = column_time(s, 6),
            .last_used_at = column_time(s, 7),
        };
    return stmt_done(s);
}

static int64_t api_key_count(struct db *db, int64_t user_id) {
    struct stmt *s =
        DB_SQL(db, "SELECT COUNT(*) FROM api_key WHERE user_id = :user AND revoked_at IS NULL");
    bind_id(s, ":user", user_id);
    return stmt_int(s, 0);
}

enum err api_key_insert(struct tx *tx, const struct api_key *key) {
    if (api_key_count(tx_db(tx), key->user_id) >= API_KEYS_LIMIT)
        return E_LIMIT;
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO api_key (id, user_id, name, hint, hash, scopes, created_at, expires_at) "
        "VALUES (:id, :user, :name, :hint, :hash, :scopes, :now, :expires)");
    bind_id(s, ":id", key->id);
    bind_id(s, ":user", key->user_id);
    bind_str(s, ":name", key->name);
    bind_str(s, ":hint", key->hint);
    bind_blob(s, ":hash", sha256_str(key->hash));
    bind_str(s, ":scopes", key->scopes);
    bind_time(s, ":now", key->created_at);
    bind_time(s, ":expires", key->expires_at);
    return stmt_run(s);
}

enum err api_key_revoke(struct tx *tx, int64_t user_id, int64_t id, int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "UPDATE api_key SET revoked_at = :now WHERE id = :id AND user_id = :user AND revoked_at IS NULL");
    bind_id(s, ":id", id);
    bind_id(s, ":user", user_id);
    bind_time(s, ":now", now);
    return stmt_run_one(s);
}

enum err api_keys_revoke(struct tx *tx, int64_t user_id, int64_t now) {
    struct stmt *s =
        DB_SQL(tx_db(tx),
               "UPDATE api_key SET revoked_at = :now WHERE user_id = :user AND revoked_at IS NULL");
    bind_id(s, ":user", user_id);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

enum err api_key_touch(struct tx *tx, int64_t id, int64_t now) {
    struct stmt *s = DB_SQL(tx_db(tx), "UPDATE api_key SET last_used_at = :now WHERE id = :id");
    bind_id(s, ":id", id);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

static unsigned scopes_from(struct str words) {
    unsigned scopes = 0;
    for (struct str word; str_next(&words, ' ', &word);)
        scopes |= str_eq(word, STR("read"))    ? SCOPE_READ
                  : str_eq(word, STR("write")) ? SCOPE_WRITE
                  : str_eq(word, STR("chat"))  ? SCOPE_CHAT
                  : str_eq(word, STR("admin")) ? SCOPE_ADMIN
                                               : 0;
    return scopes;
}

enum err api_key_caller(struct db *db, const uint8_t hash[32], int64_t now, struct caller *caller) {
    struct stmt *s = DB_SQL(
        db,
        "SELECT k.id, k.user_id, k.scopes, u.role, k.expires_at FROM api_key k JOIN user u ON u.id = k.user_id "
        "WHERE k.hash = :hash AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > :now) "
        "  AND u.disabled_at IS NULL AND u.deleted_at IS NULL");
    bind_blob(s, ":hash", sha256_str(hash));
    bind_time(s, ":now", now);
    bool is_live = stmt_row(s);
    if (is_live)
        *caller = (struct caller){
            .api_key_id = column_id(s, 0),
            .user_id = column_id(s, 1),
            .scopes = scopes_from(column_str(s, 2)),
            .role = account_role(column_str(s, 3)),
            .until_ms = column_is_null(s, 4) ? INT64_MAX : column_time(s, 4),
        };
    enum err err = stmt_done(s);
    return err != E_OK ? err : is_live ? E_OK : E_DENIED;
}

/* --- signing keys ----------------------------------------------------------------------------- */

enum err signing_key_list(struct db *db, struct arena *arena, struct signing_key_row **items,
                          size_t *count) {
    struct stmt *s = DB_SQL(db, "SELECT kid, secret_sealed, retired_at FROM signing_key "
                                "ORDER BY retired_at IS NOT NULL, created_at DESC "
                                "LIMIT :limit -- a handful of rows: sorted in memory");
    bind_int(s, ":limit", SIGNING_KEYS_SHOWN);
    *items = ARENA_ARRAY(arena, struct signing_key_row, SIGNING_KEYS_SHOWN);
    *count = 0;
    while (*count < SIGNING_KEYS_SHOWN && stmt_row(s))
        (*items)[(*count)++] = (struct signing_key_row){
            .kid = column_str_dup(s, 0, arena),
            .secret_sealed = column_blob_dup(s, 1, arena),
            .retired_at = column_time(s, 2),
        };
    return stmt_done(s);
}

enum err signing_key_insert(struct tx *tx, struct str kid, struct str secret_sealed, int64_t now) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "UPDATE signing_key SET retired_at = :now WHERE retired_at IS NULL");
    bind_time(s, ":now", now);
    enum err err = stmt_run(s);
    if (err != E_OK)
        return err;
    s = DB_SQL(
        tx_db(tx),
        "INSERT INTO signing_key (kid, secret_sealed, created_at) VALUES (:kid, :secret, :now)");
    bind_str(s, ":kid", kid);
    bind_blob(s, ":secret", secret_sealed);
    bind_time(s, ":now", now);
    return stmt_run(s);
}
