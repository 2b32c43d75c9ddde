/*
 * A fact is one sentence; an episode and a summary are cut like turns. Their words need no step of
 * their own: those of facts are written with the fact, of the others there are few.
 */
#include "memory/memory_index.h"

#include "memory/memory_store.h"
#include "memory/pieces.h"

#include "base/banned.h"

static void cut(struct arena *arena, struct str text, struct index_source *source) {
    size_t count;
    source->pieces = pieces_of(arena, text, &count);
    source->piece_count = count;
}

/* What waits for approval, and what is over, is not recalled. */
static enum err load_fact(struct db *db, struct arena *arena, int64_t item,
                          struct index_source *source) {
    struct memory_fact fact;
    enum err err = memory_store_fact(db, arena, item, &fact);
    if (err != E_OK || str_eq(fact.state, STR("proposed")))
        return err != E_OK ? err : E_ABSENT;
    source->space = fact.conversation_id;
    cut(arena, fact.text, source);
    return E_OK;
}

static enum err load_episode(struct db *db, struct arena *arena, int64_t item,
                             struct index_source *source) {
    struct memory_episode episode;
    enum err err = memory_store_episode(db, arena, item, &episode);
    if (err != E_OK)
        return err;
    source->space = episode.conversation_id;
    cut(arena, episode.text, source);
    return E_OK;
}

static enum err load_summary(struct db *db, struct arena *arena, int64_t item,
                             struct index_source *source) {
    struct memory_summary summary;
    enum err err = memory_store_summary_by_id(db, arena, item, &summary);
    if (err != E_OK)
        return err;
    source->space = summary.conversation_id;
    cut(arena, summary.text, source);
    return E_OK;
}

#define LIST_LIMIT 512

typedef enum err (*next_fn)(struct db *db, int64_t after, size_t limit, int64_t *ids,
                            size_t *count);
typedef enum err (*load_fn)(struct db *db, struct arena *arena, int64_t item,
                            struct index_source *source);

static enum err list(struct db *db, int64_t after, size_t limit, struct index_place *places,
                     size_t *count, next_fn next, load_fn load) {
    int64_t ids[LIST_LIMIT];
    size_t found = 0;
    struct arena arena;
    arena_init(&arena);
    *count = 0;
    enum err err = next(db, after, limit < LIST_LIMIT ? limit : LIST_LIMIT, ids, &found);
    for (size_t i = 0; i < found && err == E_OK; i++) {
        struct index_source source = {0};
        err = load(db, &arena, ids[i], &source);
        if (err ==
            E_ABSENT) /* listed all the same, so that the walk goes on behind it: its vectors go */
            err = E_OK;
        if (err == E_OK)
            places[(*count)++] = (struct index_place){ids[i], source.space, source.space};
    }
    arena_release(&arena);
    return err;
}

static enum err list_facts(struct db *db, int64_t after, size_t limit, struct index_place *places,
                           size_t *count) {
    return list(db, after, limit, places, count, memory_store_next, load_fact);
}

static enum err list_episodes(struct db *db, int64_t after, size_t limit,
                              struct index_place *places, size_t *count) {
    return list(db, after, limit, places, count, memory_store_next_episode, load_episode);
}

static enum err list_summaries(struct db *db, int64_t after, size_t limit,
                               struct index_place *places, size_t *count) {
    return list(db, after, limit, places, count, memory_store_next_summary, load_summary);
}

const struct index_kind memory_kind_fact = {.name = "fact", .load = load_fact, .list = list_facts};
const struct index_kind memory_kind_episode = {
    .name = "episode", .load = load_episode, .list = list_episodes};
const struct index_kind memory_kind_summary = {
    .name = "summary", .load = load_summary, .list = list_summaries};
