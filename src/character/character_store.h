/*
 * SQL of one character. Inside character only. Reads give structs in the caller's arena and take the
 * connection of the thread that asks; changes run on the writer thread. Other errors than those
 * named are the store's (E_STORAGE).
 */
#pragma once

#include "character/character.h"

/* What is for adults only is read by those who declared to be (user.is_adult), and by its owner:
 * a condition of every statement that shows a character `c` to a person :user. */
#define CHARACTER_MAY_BY_TIER                                \
    "(c.content_tier = 'all_ages' OR c.owner_id = :user OR " \
    "(SELECT is_adult FROM user WHERE id = :user)) "

/* Seen with this person's eyes; E_ABSENT when they may not. */
MUST_USE enum err character_store_load(struct db *db, struct arena *arena, int64_t id,
                                       int64_t user_id, struct character *character);
/* Whosever it is, in the trash or not. */
MUST_USE enum err character_store_load_any(struct db *db, struct arena *arena, int64_t id,
                                           struct character *character);

/* Of whatever lies there, in the trash or not. */
MUST_USE enum err character_store_tier(struct db *db, struct arena *arena, int64_t id,
                                       struct str *tier);

struct revision {
    int64_t revision, saved_by, created_at;
    struct str card; /* JSON object; of lists STR_NONE */
};
/* Newest first, those before revision `before`, without their cards. At most `limit`. */
MUST_USE enum err character_store_revisions(struct db *db, int64_t id, int64_t before,
                                            int64_t limit, struct revision *revisions,
                                            size_t *count);
/* E_ABSENT when it is not kept (any more). */
MUST_USE enum err character_store_revision(struct db *db, struct arena *arena, int64_t id,
                                           int64_t n, struct revision *revision);

MUST_USE enum err character_store_insert(struct tx *tx, const struct character *character);
MUST_USE enum err character_store_update(struct tx *tx, const struct character *character);
/* What search and tags know of it: written anew. `tags` is the JSON array's items as one text. */
MUST_USE enum err character_store_index(struct tx *tx, const struct character *character,
                                        const struct str *tags, size_t tag_count);
/* What the character is now as a revision; those before the last `keep` go. */
MUST_USE enum err character_store_add_revision(struct tx *tx, const struct character *character,
                                               int64_t saved_by, struct str card, int64_t keep);
/* Into the trash (ms), or out of it (0). */
MUST_USE enum err character_store_set_deleted(struct tx *tx, int64_t id, int64_t deleted_at);
/* For good, with words, tags, documents and (ON DELETE CASCADE) revisions and lore. */
MUST_USE enum err character_store_delete(struct tx *tx, int64_t id);
/* Deletes for good up to `limit` of what went to the trash before; *has_more when there is more. */
MUST_USE enum err character_store_sweep(struct tx *tx, int64_t before_ms, int64_t limit,
                                        bool *has_more);
/* Twice is once. */
MUST_USE enum err character_store_add_favourite(struct tx *tx, int64_t user_id, int64_t id);
/* E_ABSENT when it was none. */
MUST_USE enum err character_store_remove_favourite(struct tx *tx, int64_t user_id, int64_t id);
