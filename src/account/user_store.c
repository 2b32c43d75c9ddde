/*
 * The SQL of people. Whoever left is there until they are erased (leave_store.c), and is found only by
 * who asks for that.
 */
#include "account/user_store.h"

#include "base/text.h"
#include "store/rows.h"

#include "base/banned.h"

#define USER_COLUMNS                                                                                       \
    "id, email, display_name, role, password_phc, avatar_blob, preferences, is_adult, adult_declared_at, " \
    "disabled_at, revision, created_at, updated_at, erase_at, email_verified_at, must_verify "

/* --- reading ---------------------------------------------------------------------------------- */

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
    return stmt_done_one(s, is_there);
}

enum err user_load(struct db *db, struct arena *arena, int64_t id, struct user *user) {
    struct stmt *s =
        DB_SQL(db, "SELECT " USER_COLUMNS "FROM user WHERE id = :id AND deleted_at IS NULL");
    bind_id(s, ":id", id);
    return one_user(s, arena, user);
}

enum err user_load_name(struct db *db, struct arena *arena, int64_t id, struct str *display_name) {
    struct stmt *s =
        DB_SQL(db, "SELECT display_name FROM user WHERE id = :id AND deleted_at IS NULL");
    bind_id(s, ":id", id);
    bool is_there = stmt_row(s);
    if (is_there)
        *display_name = column_str_dup(s, 0, arena);
    return stmt_done_one(s, is_there);
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

bool account_uses_blob(struct db *db, struct str key) {
    struct stmt *s = DB_SQL(db, "SELECT EXISTS (SELECT 1 FROM user WHERE avatar_blob = :key) "
                                "OR EXISTS (SELECT 1 FROM persona WHERE avatar_blob = :key)");
    bind_str(s, ":key", key);
    return stmt_int(s, 1) != 0;
}

/* --- changing --------------------------------------------------------------------------------- */

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
    return stmt_run_one(s);
}
