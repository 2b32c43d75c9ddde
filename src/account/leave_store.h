/* The SQL of leaving, and of what goes then. See account_store.h. */
#pragma once

#include "account/account.h"

/* Closed until `erase_at`, and open again. E_ABSENT when there is nothing to close, or to open. */
MUST_USE enum err user_close(struct tx *tx, int64_t id, int64_t erase_at, int64_t now);
MUST_USE enum err user_open(struct tx *tx, int64_t id, int64_t now);
/* Of somebody who left: the moment; 0 for everybody else. */
int64_t user_left_at(struct db *db, int64_t id);
/* Somebody whose moment to be erased has come; 0: nobody. */
int64_t user_to_erase(struct db *db, int64_t now);
/* Portions of what has no place in a conversation or a character; *more when there is more. */
MUST_USE enum err user_erase_traces(struct tx *tx, int64_t id, bool *more);
MUST_USE enum err user_erase(struct tx *tx, int64_t id);
