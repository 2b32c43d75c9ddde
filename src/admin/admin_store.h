/* The SQL of the administration: stored settings, and the numbers of the house. */
#pragma once

#include "store/store.h"

struct stored_setting {
    struct str name, value;
    int64_t changed_by, changed_at;
};
/* All of them: there are no more than settings. */
MUST_USE enum err setting_list(struct db *db, struct arena *arena, struct stored_setting **items,
                               size_t *count);
MUST_USE enum err setting_put(struct tx *tx, const struct stored_setting *setting);
MUST_USE enum err setting_remove(struct tx *tx, struct str name);

struct house_counts {
    int64_t people, people_disabled, characters, conversations, messages, jobs_waiting, jobs_dead;
    int64_t messages_lately, replies_lately, prompt_tokens_lately, reply_tokens_lately;
};
/* Walks whole tables: for a pool thread. "Lately": since the moment of that id. */
MUST_USE enum err pool_house_counts(struct db *db, int64_t since_id, struct house_counts *counts);
