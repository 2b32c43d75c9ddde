/*
 * Is it really them? What cannot be taken back, or would give the account away, asks whoever is
 * signed in for the password once more: a new password, leaving the house. A wrong one counts as
 * one at the door does, because whoever found a token must not try words without end.
 */
#include "account/account.h"

#include "account/account_store.h"
#include "account/login.h"
#include "base/clock.h"

#include "base/banned.h"

struct asking {
    struct str email_folded;
    account_checked_fn done;
    void *ctx;
};

static enum err writer_wrong(struct tx *tx, void *ctx) {
    const struct asking *asking = ctx;
    struct arena arena;
    arena_init(&arena);
    enum err err = failure_add(tx, failure_subject_account(&arena, asking->email_folded),
                               FREE_TRIES_ACCOUNT, LONGEST_WAIT_ACCOUNT, clock_now_ms());
    arena_release(&arena);
    return err;
}

static void on_wrong(enum err err, void *ctx) {
    const struct asking *asking = ctx;
    asking->done(err != E_OK ? err : E_DENIED, asking->ctx);
}

static void on_checked(enum err err, bool matches, bool needs_rehash, void *ctx) {
    struct asking *asking = ctx;
    (void)needs_rehash;
    if (err == E_OK && !matches)
        return store_write(writer_wrong, on_wrong, asking);
    asking->done(err, asking->ctx);
}

void account_check_password(struct request *request, struct str password, account_checked_fn done,
                            void *ctx) {
    struct asking *asking = ARENA_NEW(request->arena, struct asking);
    struct user user;
    *asking = (struct asking){.done = done, .ctx = ctx};
    enum err err = user_load(store_reader(), request->arena, request->caller.user_id, &user);
    if (err != E_OK)
        return reply_error(request, err);
    asking->email_folded = user.email;
    (void)account_email_is_valid(request->arena, user.email, &asking->email_folded);
    int64_t wait_ms = login_wait_ms(request->arena, asking->email_folded, request->address);
    if (wait_ms > 0)
        return reply_retry_later(request, 429, (wait_ms + 999) / 1000,
                                 "Too many tries. Wait a little.");
    login_check_password(request->arena, user.password_phc, password, on_checked, asking);
}
