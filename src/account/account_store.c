/* The SQL of accounts. Secrets reach this file only hashed or sealed. */
#include "account/account_store.h"

#include "base/text.h"

#include "base/banned.h"

#include <string.h>

#define USER_COLUMNS                                                                                       \
    "id, email, display_name, role, password_phc, avatar_blob, preferences, is_adult, adult_declared_at, " \
    "disabled_at, revision, created_at, updated_at, erase_at, email_verified_at, must_verify "
#define PERSONA_COLUMNS \
    "id, name, description, avatar_blob, is_default, revision, created_at, updated_at "

#define PERSONAS_SHOWN 100
#define SESSIONS_SHOWN 100
#define API_KEYS_SHOWN 100
#define KEYS_SHOWN     16
#define SWEEP_AFTER_MS ((int64_t)24 * 3600 * 1000)

/* --- users
 * -------------------------------------------------------------------------------------------------------------
 */

static void user_from_row(struct stmt *s, struct arena *arena, struct user *user) {
    *user = (struct user){
        .id = column_id(s, 0),
        .email = column_str_dup(s, 1, arena),
        .display_name = column_str_dup(s, 2, arena),
        .role = column_str_dup(s, 3, arena),
        .password_phc = column_str_dup(s, 4, arena),
        .avatar_blob = column_str_dup(s, 5, arena),
        .preferences = column_str_dup(s, 6, arena),
        .is_adult = column_bool(s, 7),
        .adult_declared_at = column_time(s, 8),
        .disabled_at = column_time(s, 9),
        .revision = column_int(s, 10),
        .created_at = column_time(s, 11),
        .updated_at = column_time(s, 12),
        .erase_at = column_time(s, 13),
        .email_verified_at = column_time(s, 14),
        .must_verify = column_bool(s, 15),
    };
}

static enum err one_user(struct stmt *s, struct arena *arena, struct user *user) {
    bool is_there = stmt_row(s);
    if (is_there)
        user_from_row(s, arena, user);
    enum err err = stmt_done(s);
    return err != E_OK ? err : is_there ? E_OK : E_ABSENT;
}

enum err user_load(struct db *db, struct arena *arena, int64_t id, struct user *user) {
    struct stmt *s =
        DB_SQL(db, "SELECT " USER_COLUMNS "FROM user WHERE id = :id AND deleted_at IS NULL");
    bind_id(s, ":id", id);
    return one_user(s, arena, user);
}

enum err user_load_by_email(struct db *db, struct arena *arena, struct str email_folded,
                            struct user *user) {
    struct stmt *s = DB_SQL(db, "SELECT " USER_COLUMNS
                                "FROM user WHERE email_folded = :email AND deleted_at IS NULL");
    bind_str(s, ":email", email_folded);
    return one_user(s, arena, user);
}

enum err user_load_to_sign_in(struct db *db, struct arena *arena, struct str email_folded,
                              int64_t now, struct user *user) {
    struct stmt *s = DB_SQL(db, "SELECT " USER_COLUMNS "FROM user WHERE email_folded = :email "
                                "AND (deleted_at IS NULL OR erase_at > :now)");
    bind_str(s, ":email", email_folded);
    bind_time(s, ":now", now);
    return one_user(s, arena, user);
}

enum err user_load_erased(struct db *db, struct arena *arena, int64_t id, struct user *user) {
    struct stmt *s =
        DB_SQL(db, "SELECT " USER_COLUMNS "FROM user WHERE id = :id AND deleted_at IS NOT NULL");
    bind_id(s, ":id", id);
    return one_user(s, arena, user);
}

enum err user_list(struct db *db, struct arena *arena, int64_t after_id, size_t limit,
                   struct user **items, size_t *count) {
    return user_search(db, arena, after_id, STR_NONE, STR_NONE, limit, items, count);
}

/* SQLite folds ASCII only, so names are compared here. */
static bool holds_words(struct stmt *s, struct str words) {
    struct arena scratch;
    arena_init(&scratch);
    bool holds = str_has(text_fold(&scratch, column_str(s, 1)), words) ||
                 str_has(text_fold(&scratch, column_str(s, 2)), words);
    arena_release(&scratch);
    return holds;
}

enum err user_search(struct db *db, struct arena *arena, int64_t after_id, struct str words,
                     struct str role, size_t limit, struct user **items, size_t *count) {
    struct stmt *s = DB_SQL(db, "SELECT " USER_COLUMNS "FROM user "
                                "WHERE id > :after AND deleted_at IS NULL "
                                "AND (:role IS NULL OR role = :role) "
                                "ORDER BY id");
    bind_int(s, ":after", after_id);
    bind_str(s, ":role", role);
    *items = ARENA_ARRAY(arena, struct user, limit);
    *count = 0;
    while (*count < limit && stmt_row(s))
        if (words.len == 0 || holds_words(s, words))
            user_from_row(s, arena, &(*items)[(*count)++]);
    return stmt_done(s);
}

bool user_owner_exists(struct db *db) {
    struct stmt *s =
        DB_SQL(db, "SELECT 1 FROM user WHERE role = 'owner' AND deleted_at IS NULL LIMIT 1");
    return stmt_int(s, 0) == 1;
}

enum err user_insert(struct tx *tx, const struct new_user *user, struct str email_folded,
                     struct str role, int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO user (id, email, email_folded, display_name, role, password_phc, must_verify, created_at, updated_at) "
        "VALUES (:id, :email, :folded, :name, :role, :phc, :must_verify, :now, :now) "
        "ON CONFLICT DO NOTHING");
    bind_id(s, ":id", user->id);
    bind_str(s, ":email", user->email);
    bind_str(s, ":folded", email_folded);
    bind_str(s, ":name", user->display_name);
    bind_str(s, ":role", role);
    bind_str(s, ":phc", user->password_phc);
    bind_bool(s, ":must_verify", user->must_verify);
    bind_time(s, ":now", now);
    enum err err = stmt_run(s);
    return err != E_OK ? err : stmt_changed(s) == 1 ? E_OK : E_CONFLICT;
}

enum err user_need_not_verify(struct tx *tx, int64_t id) {
    struct stmt *s = DB_SQL(tx_db(tx), "UPDATE user SET must_verify = 0 WHERE id = :id");
    bind_id(s, ":id", id);
    return stmt_run(s);
}

enum err user_update(struct tx *tx, const struct user_change *c, int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx), "UPDATE user "
                   "SET display_name = COALESCE(:name, display_name), "
                   "    preferences = COALESCE(:preferences, preferences), "
                   "    avatar_blob = COALESCE(:avatar, avatar_blob), "
                   "    role = COALESCE(:role, role), "
                   "    password_phc = COALESCE(:phc, password_phc), "
                   "    disabled_at = IIF(:has_disabled, IIF(:disabled, :now, NULL), disabled_at), "
                   "    is_adult = IIF(:declares, :adult, is_adult), "
                   "    adult_declared_at = IIF(:declares, :now, adult_declared_at), "
                   "    revision = revision + 1, updated_at = :now "
                   "WHERE id = :id AND deleted_at IS NULL");
    bind_id(s, ":id", c->id);
    bind_str(s, ":name", c->display_name);
    bind_str(s, ":preferences", c->preferences);
    bind_str(s, ":avatar", c->avatar_blob);
    bind_str(s, ":role", c->role);
    bind_str(s, ":phc", c->password_phc);
    bind_bool(s, ":has_disabled", c->has_disabled);
    bind_bool(s, ":disabled", c->is_disabled);
    bind_bool(s, ":declares", c->declares_age);
    bind_bool(s, ":adult", c->is_adult);
    bind_time(s, ":now", now);
    enum err err = stmt_run(s);
    return err != E_OK ? err : stmt_changed(s) == 1 ? E_OK : E_ABSENT;
}

/* --- personas
 * -------------------------------------------------------------------------------------------------------------
 */

static void persona_from_row(struct stmt *s, struct arena *arena, struct persona *persona) {
    *persona = (struct persona){
        .id = column_id(s, 0),
        .name = column_str_dup(s, 1, arena),
        .description = column_str_dup(s, 2, arena),
        .avatar_blob = column_str_dup(s, 3, arena),
        .is_default = column_bool(s, 4),
        .revision = column_int(s, 5),
        .created_at = column_time(s, 6),
        .updated_at = column_time(s, 7),
    };
}

enum err persona_list(struct db *db, struct arena *arena, int64_t user_id, struct persona **items,
                      size_t *count) {
    struct stmt *s = DB_SQL(db, "SELECT " PERSONA_COLUMNS
                                "FROM persona WHERE user_id = :user ORDER BY id LIMIT 100");
    bind_id(s, ":user", user_id);
    *items = ARENA_ARRAY(arena, struct persona, PERSONAS_SHOWN);
    *count = 0;
    while (*count < PERSONAS_SHOWN && stmt_row(s))
        persona_from_row(s, arena, &(*items)[(*count)++]);
    return stmt_done(s);
}

static enum err one_persona(struct stmt *s, struct arena *arena, struct persona *persona) {
    bool is_there = stmt_row(s);
    if (is_there)
        persona_from_row(s, arena, persona);
    enum err err = stmt_done(s);
    return err != E_OK ? err : is_there ? E_OK : E_ABSENT;
}

enum err persona_load(struct db *db, struct arena *arena, int64_t user_id, int64_t persona_id,
                      struct persona *persona) {
    struct stmt *s =
        DB_SQL(db, "SELECT " PERSONA_COLUMNS "FROM persona WHERE id = :id AND user_id = :user");
    bind_id(s, ":id", persona_id);
    bind_id(s, ":user", user_id);
    return one_persona(s, arena, persona);
}

enum err persona_load_default(struct db *db, struct arena *arena, int64_t user_id,
                              struct persona *persona) {
    struct stmt *s = DB_SQL(db, "SELECT " PERSONA_COLUMNS
                                "FROM persona WHERE user_id = :user AND is_default = 1");
    bind_id(s, ":user", user_id);
    return one_persona(s, arena, persona);
}

/* Only one is the default: the one before steps back. */
static enum err take_default(struct tx *tx, int64_t user_id, int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx), "UPDATE persona SET is_default = 0, revision = revision + 1, updated_at = :now "
                   "WHERE user_id = :user AND is_default = 1");
    bind_id(s, ":user", user_id);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

static int64_t persona_count(struct db *db, int64_t user_id) {
    struct stmt *s = DB_SQL(db, "SELECT COUNT(*) FROM persona WHERE user_id = :user");
    bind_id(s, ":user", user_id);
    return stmt_int(s, 0);
}

enum err persona_insert(struct tx *tx, int64_t user_id, const struct persona *p, int64_t now) {
    if (persona_count(tx_db(tx), user_id) >= PERSONAS_SHOWN)
        return E_LIMIT;
    enum err err = p->is_default ? take_default(tx, user_id, now) : E_OK;
    if (err != E_OK)
        return err;
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO persona (id, user_id, name, description, is_default, created_at, updated_at) "
        "VALUES (:id, :user, :name, :description, :default, :now, :now)");
    bind_id(s, ":id", p->id);
    bind_id(s, ":user", user_id);
    bind_str(s, ":name", p->name);
    bind_str(s, ":description", p->description);
    bind_bool(s, ":default", p->is_default);
    bind_time(s, ":now", now);
    return stmt_run(s);
}

enum err persona_update(struct tx *tx, int64_t user_id, const struct persona *p, int64_t now) {
    enum err err = p->is_default ? take_default(tx, user_id, now) : E_OK;
    if (err != E_OK)
        return err;
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "UPDATE persona "
        "SET name = :name, description = :description, avatar_blob = :avatar, is_default = :default, "
        "    revision = revision + 1, updated_at = :now "
        "WHERE id = :id AND user_id = :user");
    bind_id(s, ":id", p->id);
    bind_id(s, ":user", user_id);
    bind_str(s, ":name", p->name);
    bind_str(s, ":description", p->description);
    bind_str(s, ":avatar", p->avatar_blob);
    bind_bool(s, ":default", p->is_default);
    bind_time(s, ":now", now);
    err = stmt_run(s);
    return err != E_OK ? err : stmt_changed(s) == 1 ? E_OK : E_ABSENT;
}

enum err persona_delete(struct tx *tx, int64_t user_id, int64_t persona_id) {
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM persona WHERE id = :id AND user_id = :user");
    bind_id(s, ":id", persona_id);
    bind_id(s, ":user", user_id);
    enum err err = stmt_run(s);
    return err != E_OK ? err : stmt_changed(s) == 1 ? E_OK : E_ABSENT;
}

/* --- sessions
 * ---------------------------------------------------------------------------------------------------------------
 */

enum err session_list(struct db *db, struct arena *arena, int64_t user_id, int64_t now,
                      struct session **items, size_t *count) {
    struct stmt *s = DB_SQL(
        db,
        "SELECT id, user_id, device, address, created_at, last_used_at, expires_at FROM session "
        "WHERE user_id = :user AND revoked_at IS NULL AND expires_at > :now "
        "ORDER BY id DESC "
        "LIMIT 100");
    bind_id(s, ":user", user_id);
    bind_time(s, ":now", now);
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

/* --- refresh tokens
 * -----------------------------------------------------------------------------------------------------------
 */

static struct str hash_str(const uint8_t hash[32]) {
    return str_of((const char *)hash, 32);
}

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
    bind_blob(s, ":hash", hash_str(asked));
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
    enum err err = stmt_done(s);
    return err != E_OK ? err : is_there ? E_OK : E_ABSENT;
}

enum err refresh_insert(struct tx *tx, const struct refresh_token *token) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT INTO refresh_token (hash, session_id, issued_at, expires_at) "
                          "VALUES (:hash, :session, :issued, :expires)");
    bind_blob(s, ":hash", hash_str(token->hash));
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
    bind_blob(s, ":hash", hash_str(hash));
    bind_blob(s, ":successor", hash_str(successor));
    bind_time(s, ":now", now);
    return stmt_run(s);
}

/* --- API keys
 * ----------------------------------------------------------------------------------------------------------------------
 */

enum err api_key_list(struct db *db, struct arena *arena, int64_t user_id, struct api_key **items,
                      size_t *count) {
    struct stmt *s = DB_SQL(
        db,
        "SELECT id, user_id, name, hint, scopes, created_at, expires_at, last_used_at FROM api_key "
        "WHERE user_id = :user AND revoked_at IS NULL "
        "ORDER BY id DESC "
        "LIMIT 100");
    bind_id(s, ":user", user_id);
    *items = ARENA_ARRAY(arena, struct api_key, API_KEYS_SHOWN);
    *count = 0;
    while (*count < API_KEYS_SHOWN && stmt_row(s))
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
    if (api_key_count(tx_db(tx), key->user_id) >= API_KEYS_SHOWN)
        return E_LIMIT;
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO api_key (id, user_id, name, hint, hash, scopes, created_at, expires_at) "
        "VALUES (:id, :user, :name, :hint, :hash, :scopes, :now, :expires)");
    bind_id(s, ":id", key->id);
    bind_id(s, ":user", key->user_id);
    bind_str(s, ":name", key->name);
    bind_str(s, ":hint", key->hint);
    bind_blob(s, ":hash", hash_str(key->hash));
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
    enum err err = stmt_run(s);
    return err != E_OK ? err : stmt_changed(s) == 1 ? E_OK : E_ABSENT;
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
    bind_blob(s, ":hash", hash_str(hash));
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

/* --- invites
 * --------------------------------------------------------------------------------------------------------------------------
 */

enum err invite_list(struct db *db, struct arena *arena, int64_t before_id, size_t limit,
                     struct invite **items, size_t *count) {
    struct stmt *s = DB_SQL(
        db,
        "SELECT id, code, role, note, uses_left, created_by, created_at, expires_at FROM invite "
        "WHERE id < :before AND revoked_at IS NULL "
        "ORDER BY id DESC "
        "LIMIT :limit");
    bind_int(s, ":before", before_id == 0 ? INT64_MAX : before_id);
    bind_int(s, ":limit", (int64_t)limit);
    *items = ARENA_ARRAY(arena, struct invite, limit);
    *count = 0;
    while (*count < limit && stmt_row(s))
        (*items)[(*count)++] = (struct invite){
            .id = column_id(s, 0),
            .code = column_str_dup(s, 1, arena),
            .role = column_str_dup(s, 2, arena),
            .note = column_str_dup(s, 3, arena),
            .uses_left = column_int(s, 4),
            .created_by = column_id(s, 5),
            .created_at = column_time(s, 6),
            .expires_at = column_time(s, 7),
        };
    return stmt_done(s);
}

enum err invite_insert(struct tx *tx, const struct invite *i) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO invite (id, code, role, note, uses_left, created_by, created_at, expires_at) "
        "VALUES (:id, :code, :role, :note, :uses, :by, :now, :expires)");
    bind_id(s, ":id", i->id);
    bind_str(s, ":code", i->code);
    bind_str(s, ":role", i->role);
    bind_str(s, ":note", i->note);
    bind_int(s, ":uses", i->uses_left);
    bind_id(s, ":by", i->created_by);
    bind_time(s, ":now", i->created_at);
    bind_time(s, ":expires", i->expires_at);
    return stmt_run(s);
}

enum err invite_revoke(struct tx *tx, int64_t id, int64_t now) {
    struct stmt *s = DB_SQL(
        tx_db(tx), "UPDATE invite SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL");
    bind_id(s, ":id", id);
    bind_time(s, ":now", now);
    enum err err = stmt_run(s);
    return err != E_OK ? err : stmt_changed(s) == 1 ? E_OK : E_ABSENT;
}

enum err invite_use(struct tx *tx, struct arena *arena, struct str code, int64_t now,
                    struct str *role) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "UPDATE invite SET uses_left = uses_left - 1 "
                          "WHERE code = :code AND uses_left > 0 AND revoked_at IS NULL "
                          "  AND (expires_at IS NULL OR expires_at > :now) "
                          "RETURNING role");
    bind_str(s, ":code", code);
    bind_time(s, ":now", now);
    bool is_taken = stmt_row(s);
    if (is_taken)
        *role = column_str_dup(s, 0, arena);
    enum err err = stmt_done(s);
    return err != E_OK ? err : is_taken ? E_OK : E_DENIED;
}

/* --- failures
 * ---------------------------------------------------------------------------------------------------------------------------
 */

int64_t failure_locked_until(struct db *db, struct str subject) {
    struct stmt *s = DB_SQL(db, "SELECT locked_until FROM login_failure WHERE subject = :subject");
    bind_str(s, ":subject", subject);
    return stmt_int(s, 0);
}

enum err failure_add(struct tx *tx, struct str subject, int64_t free_tries, int64_t longest_ms,
                     int64_t now) {
    /* One second after the first try too many, then twice as long each time, up to the longest. */
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

bool account_uses_blob(struct db *db, struct str key) {
    struct stmt *s = DB_SQL(db, "SELECT EXISTS (SELECT 1 FROM user WHERE avatar_blob = :key) "
                                "OR EXISTS (SELECT 1 FROM persona WHERE avatar_blob = :key)");
    bind_str(s, ":key", key);
    return stmt_int(s, 1) != 0;
}

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

/* --- signing keys
 * ---------------------------------------------------------------------------------------------------------------------------
 */

enum err signing_key_list(struct db *db, struct arena *arena, struct signing_key_row **items,
                          size_t *count) {
    struct stmt *s = DB_SQL(db, "SELECT kid, secret_sealed, retired_at FROM signing_key "
                                "ORDER BY retired_at IS NOT NULL, created_at DESC "
                                "LIMIT 16 -- a handful of rows: sorted in memory");
    *items = ARENA_ARRAY(arena, struct signing_key_row, KEYS_SHOWN);
    *count = 0;
    while (*count < KEYS_SHOWN && stmt_row(s))
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
