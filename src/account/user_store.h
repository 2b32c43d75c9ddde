/* The SQL of people. See account_store.h. */
#pragma once

#include "account/account.h"

struct user {
    int64_t id;
    struct str email, display_name, role, password_phc, avatar_blob, preferences;
    bool is_adult;
    bool must_verify; /* no sign-in before the address is verified */
    int64_t email_verified_at, adult_declared_at, disabled_at, revision, created_at, updated_at;
    int64_t erase_at; /* 0: is here */
};

/* E_ABSENT, as of the next three. */
MUST_USE enum err user_load(struct db *db, struct arena *arena, int64_t id, struct user *user);
/* The one column that every turn needs. */
MUST_USE enum err user_load_name(struct db *db, struct arena *arena, int64_t id,
                                 struct str *display_name);
MUST_USE enum err user_load_by_email(struct db *db, struct arena *arena, struct str email_folded,
                                     struct user *user);
/* The same, and also somebody who left and may still come back: erase_at tells. */
MUST_USE enum err user_load_to_sign_in(struct db *db, struct arena *arena, struct str email_folded,
                                       int64_t now, struct user *user);
/* Somebody who left, whether they may still come back or not. */
MUST_USE enum err user_load_erased(struct db *db, struct arena *arena, int64_t id,
                                   struct user *user);

/* By id, ascending, after `after_id`. */
MUST_USE enum err user_list(struct db *db, struct arena *arena, int64_t after_id, size_t limit,
                            struct user **items, size_t *count);
/* The same of those whose folded name or address holds `words`, and of one role; STR_NONE: of all. */
MUST_USE enum err user_search(struct db *db, struct arena *arena, int64_t after_id,
                              struct str words, struct str role, size_t limit, struct user **items,
                              size_t *count);
bool user_owner_exists(struct db *db);

/* --- changing; moments are ms ------------------------------------------------------------------- */

struct user_change {
    int64_t id;
    struct str display_name, preferences, avatar_blob, role, password_phc; /* STR_NONE: stays */
    bool has_disabled, is_disabled; /* the second counts when the first is set */
    bool declares_age, is_adult;    /* likewise */
};
/* E_CONFLICT when the address is taken. */
MUST_USE enum err user_insert(struct tx *tx, const struct new_user *user, struct str email_folded,
                              struct str role, int64_t now);
/* They signed in all the same, because the house does not ask for it any more. */
MUST_USE enum err user_need_not_verify(struct tx *tx, int64_t id);
/* Raises the revision. E_ABSENT. */
MUST_USE enum err user_update(struct tx *tx, const struct user_change *change, int64_t now);
