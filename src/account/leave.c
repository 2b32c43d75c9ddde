/*
 * Leaving the house, and coming back in time.
 *
 * Whoever leaves is gone for everybody at once: sessions and sockets end, keys open nothing, no list
 * names them. But nothing is erased before a moment that is set then; until it comes, signing in
 * with the old address and password opens the account again and everything is as it was. From that
 * moment on nobody can come back, and person/erase.c takes all of it away.
 *
 * What a person has put on the stage goes and comes with them: whoever keeps characters is told
 * inside the same write (account_on_leave). The audit log keeps that somebody left, by id alone.
 *
 * The owner cannot leave: a house without one cannot be looked after, and the first stranger who
 * finds its set-up page would be the next.
 */
#include "account/account.h"

#include "account/account_store.h"
#include "account/login.h"
#include "account/mail_store.h"
#include "base/check.h"
#include "base/clock.h"
#include "store/audit.h"

#include "base/banned.h"

static account_leave_fn on_leave;

void account_on_leave(account_leave_fn fn) {
    on_leave = fn;
}

static enum err note(struct tx *tx, int64_t actor_id, int64_t user_id, const char *action) {
    return audit_add(tx, &(struct audit){.actor_id = actor_id,
                                         .action = str_from(action),
                                         .target_kind = STR("user"),
                                         .target_id = user_id});
}

bool account_may_leave(struct db *db, int64_t user_id) {
    struct arena arena;
    struct user user;
    arena_init(&arena);
    bool may =
        user_load(db, &arena, user_id, &user) == E_OK && account_role(user.role) != ROLE_OWNER;
    arena_release(&arena);
    return may;
}

enum err account_leave(struct tx *tx, int64_t user_id, int64_t erase_at, int64_t now) {
    if (!account_may_leave(tx_db(tx), user_id))
        return E_CONFLICT;
    enum err err = user_close(tx, user_id, erase_at, now);
    if (err == E_OK)
        err = session_revoke(tx, user_id, 0, 0, STR("revoked"), now);
    if (err == E_OK && on_leave != NULL)
        err = on_leave(tx, user_id, now, false);
    return err == E_OK ? note(tx, user_id, user_id, "user.leave") : err;
}

enum err account_return(struct tx *tx, int64_t user_id, int64_t now) {
    int64_t left_at = user_left_at(tx_db(tx), user_id);
    enum err err = user_open(tx, user_id, now);
    if (err != E_OK)
        return err;
    if (on_leave != NULL)
        err = on_leave(tx, user_id, left_at, true);
    return err == E_OK ? note(tx, user_id, user_id, "user.return") : err;
}

/* --- erasing ---------------------------------------------------------------------------------- */

int64_t account_to_erase(struct db *db, int64_t now) {
    return user_to_erase(db, now);
}

enum err account_erase_traces(struct tx *tx, int64_t user_id, bool *more) {
    return user_erase_traces(tx, user_id, more);
}

enum err account_erase(struct tx *tx, int64_t user_id) {
    struct arena arena;
    struct user user;
    arena_init(&arena);
    enum err err = user_load_erased(tx_db(tx), &arena, user_id, &user);
    if (err == E_OK) {
        struct str folded = user.email;
        (void)account_email_is_valid(&arena, user.email, &folded);
        struct str account = failure_subject_account(&arena, folded);
        err = failure_clear(tx, account);
        if (err == E_OK)
            err = quota_forget(tx, account);
    }
    if (err == E_OK)
        err = user_erase(tx, user_id);
    if (err == E_OK) /* by the house itself */
        err = note(tx, 0, user_id, "user.erase");
    arena_release(&arena);
    return err == E_ABSENT ? E_OK : err; /* erased already */
}
