/*
 * The SQL of leaving: an account is closed, opened again, and erased. What grows with a person is
 * deleted in portions, so that people who write do not wait.
 */
#include "account/leave_store.h"

#include "store/rows.h"

#include "base/banned.h"

enum err user_close(struct tx *tx, int64_t id, int64_t erase_at, int64_t now) {
    struct stmt *s = DB_SQL(tx_db(tx), "UPDATE user SET deleted_at = :now, erase_at = :erase_at, "
                                       "    revision = revision + 1, updated_at = :now "
                                       "WHERE id = :id AND deleted_at IS NULL");
    bind_id(s, ":id", id);
    bind_time(s, ":erase_at", erase_at);
    bind_time(s, ":now", now);
    return stmt_run_one(s);
}

enum err user_open(struct tx *tx, int64_t id, int64_t now) {
    struct stmt *s = DB_SQL(tx_db(tx), "UPDATE user SET deleted_at = NULL, erase_at = NULL, "
                                       "    revision = revision + 1, updated_at = :now "
                                       "WHERE id = :id AND erase_at > :now");
    bind_id(s, ":id", id);
    bind_time(s, ":now", now);
    return stmt_run_one(s);
}

int64_t user_left_at(struct db *db, int64_t id) {
    struct stmt *s = DB_SQL(db, "SELECT deleted_at FROM user WHERE id = :id");
    bind_id(s, ":id", id);
    return stmt_int(s, 0);
}

int64_t user_to_erase(struct db *db, int64_t now) {
    struct stmt *s =
        DB_SQL(db, "SELECT id FROM user WHERE erase_at <= :now ORDER BY erase_at LIMIT 1");
    bind_time(s, ":now", now);
    return stmt_int(s, 0);
}

static enum err erase_answers(struct tx *tx, int64_t id, int64_t *changed) {
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM idempotency WHERE user_id = :user AND key IN "
                                       "  (SELECT key FROM idempotency WHERE user_id = :user "
                                       "   LIMIT 200)");
    bind_id(s, ":user", id);
    enum err err = stmt_run(s);
    *changed += stmt_changed(s);
    return err;
}

static enum err erase_usage(struct tx *tx, int64_t id, int64_t *changed) {
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM usage WHERE id IN "
                                       "  (SELECT id FROM usage WHERE user_id = :user LIMIT 1000)");
    bind_id(s, ":user", id);
    enum err err = stmt_run(s);
    *changed += stmt_changed(s);
    return err;
}

static enum err erase_jobs(struct tx *tx, int64_t id, int64_t *changed) {
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM job WHERE id IN "
                                       "  (SELECT id FROM job WHERE user_id = :user LIMIT 1000)");
    bind_id(s, ":user", id);
    enum err err = stmt_run(s);
    *changed += stmt_changed(s);
    return err;
}

enum err user_erase_traces(struct tx *tx, int64_t id, bool *more) {
    int64_t changed = 0;
    enum err err = erase_answers(tx, id, &changed);
    if (err == E_OK)
        err = erase_usage(tx, id, &changed);
    if (err == E_OK)
        err = erase_jobs(tx, id, &changed);
    *more = changed > 0;
    return err;
}

/* Personas, sessions, keys, invitations, favourites, lorebooks and mail go with the row (ON DELETE
 * CASCADE). */
enum err user_erase(struct tx *tx, int64_t id) {
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM user WHERE id = :id AND erase_at IS NOT NULL");
    bind_id(s, ":id", id);
    return stmt_run(s);
}
