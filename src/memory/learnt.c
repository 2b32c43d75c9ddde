/*
 * Few things are learnt of a talk beside the many that are said, so they are read whole and compared
 * in memory; their vectors lie in the same space as those of turns and are met on the same walk.
 */
#include "memory/learnt.h"

#include "memory/memory_store.h"

#include <stdlib.h>

#include "base/banned.h"

#define FACTS_LIMIT     1000
#define EPISODES_LIMIT  500
#define SUMMARIES_LIMIT 8

static int side_of(struct str subject) {
    return str_eq(subject, STR("user"))        ? MEMORY_USER
           : str_eq(subject, STR("character")) ? MEMORY_CHARACTER
                                               : -1;
}

static enum err add_facts(struct db *db, struct arena *arena, const struct memory_scope *scope,
                          struct learnt *items, size_t *count) {
    struct memory_fact *facts;
    size_t n;
    enum err err = memory_facts(db, arena, scope, MEMORY_HOLDING, FACTS_LIMIT, &facts, &n);
    for (size_t i = 0; i < n && err == E_OK; i++)
        items[(*count)++] = (struct learnt){
            .kind = RECALL_FACT,
            .id = facts[i].id,
            .conversation_id = facts[i].conversation_id,
            .message_id = facts[i].source_count > 0 ? facts[i].sources[0] : 0,
            .at_ms = facts[i].valid_from,
            .side = side_of(facts[i].subject),
            .text = facts[i].text,
            .sources = facts[i].sources,
            .source_count = facts[i].source_count,
        };
    return err;
}

static enum err add_episodes(struct db *db, struct arena *arena, int64_t conversation_id,
                             struct learnt *items, size_t *count) {
    struct memory_episode *episodes;
    size_t n;
    enum err err = memory_episodes(db, arena, conversation_id, 0, EPISODES_LIMIT, &episodes, &n);
    for (size_t i = 0; i < n && err == E_OK; i++)
        items[(*count)++] = (struct learnt){
            .kind = RECALL_EPISODE,
            .id = episodes[i].id,
            .conversation_id = conversation_id,
            .message_id = episodes[i].covers_from,
            .at_ms = episodes[i].started_at,
            .side = -1,
            .text = episodes[i].text,
        };
    return err;
}

static enum err add_summaries(struct db *db, struct arena *arena, int64_t conversation_id,
                              struct learnt *items, size_t *count) {
    struct memory_summary *summaries;
    size_t n;
    enum err err = memory_summaries(db, arena, conversation_id, &summaries, &n);
    for (size_t i = 0; i < n && i < SUMMARIES_LIMIT && err == E_OK; i++)
        items[(*count)++] = (struct learnt){
            .kind = RECALL_SUMMARY,
            .id = summaries[i].id,
            .conversation_id = conversation_id,
            .message_id = summaries[i].covers_from,
            .at_ms = summaries[i].updated_at,
            .side = -1,
            .text = summaries[i].text,
        };
    return err;
}

static int by_id(const void *a, const void *b) {
    int64_t x = ((const struct learnt *)a)->id, y = ((const struct learnt *)b)->id;
    return x < y ? -1 : x > y;
}

enum err learnt_load(struct db *db, struct arena *arena, const struct memory_scope *scope,
                     unsigned kinds, struct learnt **items, size_t *count) {
    *items = ARENA_ARRAY(arena, struct learnt, FACTS_LIMIT + EPISODES_LIMIT + SUMMARIES_LIMIT);
    *count = 0;
    enum err err = E_OK;
    if (kinds >> RECALL_FACT & 1)
        err = add_facts(db, arena, scope, *items, count);
    if (err == E_OK && (kinds >> RECALL_EPISODE & 1))
        err = add_episodes(db, arena, scope->conversation_id, *items, count);
    if (err == E_OK && (kinds >> RECALL_SUMMARY & 1))
        err = add_summaries(db, arena, scope->conversation_id, *items, count);
    qsort(*items, *count, sizeof(struct learnt), by_id);
    return err;
}

struct learnt *learnt_find(struct learnt *items, size_t count, int64_t id) {
    struct learnt key = {.id = id};
    return count == 0 ? NULL : bsearch(&key, items, count, sizeof key, by_id);
}
