/* SQL of lists and searches of characters. Inside character only. Reads give structs in the caller's
 * arena and take the connection of the thread that asks. */
#pragma once

#include "character/character.h"

/* What lists show. */
struct character_summary {
    int64_t id, owner_id;
    struct str name, nickname, tagline, tags, creator, visibility, content_tier, avatar_blob;
    double talkativeness;
    bool is_favourite;
    int64_t revision, created_at, updated_at, deleted_at;
};

struct character_list {
    int64_t user_id;
    int64_t before_id; /* INT64_MAX: from the newest */
    int64_t limit;     /* rows to fetch */
    struct str tag;    /* folded; STR_NONE: any */
    struct str tier;   /* STR_NONE: any */
    bool is_mine, is_trash, is_favourites;
    /* Called for each row, in order; the texts are borrowed until it returns. */
    void (*each)(void *ctx, const struct character_summary *summary);
    void *ctx;
    size_t count; /* out */
};
/* Newest first: own and public ones, or only own, or the trash, or favourites. */
MUST_USE enum err character_store_list(struct db *db, struct character_list *list);

struct character_search {
    struct arena *arena;
    int64_t user_id;
    struct str query;     /* FTS5 */
    struct str tag, tier; /* as in lists */
    int64_t limit;
    int64_t *ids;      /* out, best first */
    struct str *names; /* out: name and tags, of the fuzzy search; else NULL */
    size_t count;      /* out */
};
MUST_USE enum err character_store_search(struct db *db, struct character_search *search);
MUST_USE enum err character_store_search_newest(struct db *db, struct character_search *search);
/* By trigrams, for words that are typed wrong. */
MUST_USE enum err character_store_search_fuzzy(struct db *db, struct character_search *search);
/* The summaries of these ids, in their order; those that this person may not see are left out. */
MUST_USE enum err character_store_by_ids(struct db *db, struct arena *arena, int64_t user_id,
                                         const int64_t *ids, size_t id_count,
                                         struct character_summary *items, size_t *count);
/* The summary of one that this person may see. */
MUST_USE enum err character_store_summary(struct db *db, struct arena *arena, int64_t id,
                                          int64_t user_id, struct character_summary *summary);

struct tag_count {
    struct str tag;
    int64_t count;
};
/* Tags of what this person may see, the most used first. Milliseconds with thousands of cards: for
 * a pool thread. */
MUST_USE enum err pool_character_store_tags(struct db *db, struct arena *arena, int64_t user_id,
                                            int64_t limit, struct tag_count *tags, size_t *count);

/* Ids of what is not in the trash, above `after`, in order; for a rebuild of what is found by meaning. */
MUST_USE enum err character_store_ids_after(struct db *db, int64_t after, size_t limit,
                                            int64_t *ids, size_t *count);
/* True when it has this tag (folded). */
bool character_store_has_tag(struct db *db, int64_t id, struct str tag);
