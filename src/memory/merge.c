/*
 * A repeat adds its sources and makes the fact surer; it is not stored twice (fact_compare.c tells what
 * is the same).
 *
 * Of some predicates a person has one value at a time. Then a new value closes the old one: it gets
 * an end (the moment at which the new one was said) and points to its successor. When the new one
 * was said earlier (an old talk is read later), it is the one that is closed.
 *
 * Nothing that was forgotten comes back, and nothing is learnt from messages that are withheld.
 * Proposed facts change nothing until they are accepted.
 */
#include "memory/merge.h"

#include "base/id.h"
#include "memory/fact_compare.h"
#include "memory/memory_index.h"
#include "memory/memory_store.h"

#include "base/banned.h"

#define KNOWN_LIMIT      4000 /* facts of a scope that new ones are compared with: the weightiest */
#define CONFIDENCE_LIMIT 0.98

struct known {
    struct memory_fact *facts;
    size_t count, room;
};

static bool is_open(const struct memory_fact *fact) {
    return str_eq(fact->state, STR("active")) && fact->valid_to == 0;
}

static enum err touch(struct tx *tx, const struct memory_fact *fact) {
    return index_touch_vectors(tx, &memory_kind_fact, fact->id, fact->conversation_id,
                               fact->conversation_id);
}

static enum err close_fact(struct tx *tx, struct memory_fact *old, int64_t by, int64_t at,
                           int64_t now) {
    old->state = STR("superseded");
    old->valid_to = at > old->valid_from ? at : old->valid_from;
    old->superseded_by = by;
    old->updated_at = now;
    return memory_store_update(tx, old);
}

static enum err add_sources(struct tx *tx, int64_t fact_id, const struct memory_item *item) {
    enum err err = E_OK;
    for (size_t i = 0; i < item->source_count && err == E_OK; i++)
        if (!memory_store_is_withheld(tx_db(tx), item->sources[i]))
            err = memory_store_add_source(tx, fact_id, item->sources[i]);
    return err;
}

/* Said again: surer, and the fuller sentence stays. */
static enum err repeat(struct tx *tx, struct memory_fact *old, const struct memory_fact *new,
                       const struct memory_item *item, struct merge *merge) {
    double doubt = (1 - old->confidence) * (1 - new->confidence * 0.5);
    old->confidence = 1 - doubt > CONFIDENCE_LIMIT ? CONFIDENCE_LIMIT : 1 - doubt;
    if (new->importance > old->importance)
        old->importance = new->importance;
    bool is_fuller = new->object.len > old->object.len && !old->pinned &&
                     !str_eq(old->made_by, STR("person")) && str_eq(new->predicate, old->predicate);
    if (is_fuller) {
        old->text = new->text;
        old->object = new->object;
        old->identity = new->identity;
    }
    old->updated_at = merge->now;
    merge->repeated++;
    merge->added_id = old->id;
    enum err err = memory_store_update(tx, old);
    if (err == E_OK)
        err = add_sources(tx, old->id, item);
    return err == E_OK && is_fuller ? touch(tx, old) : err;
}

static void remember_known(struct arena *arena, struct known *known,
                           const struct memory_fact *fact) {
    ARENA_GROW(arena, known->facts, known->count, known->room);
    known->facts[known->count++] = *fact;
}

/* Closes what the fact contradicts; when it is older than that, closes the fact itself. */
static enum err settle(struct tx *tx, struct arena *arena, struct known *known,
                       struct memory_fact *fact, int64_t replaces, int64_t now, size_t *closed) {
    enum err err = E_OK;
    for (size_t i = 0; i < known->count && err == E_OK; i++) {
        struct memory_fact *old = &known->facts[i];
        bool is_said = replaces != 0 && old->id == replaces;
        if (old->id == fact->id || !is_open(old) ||
            (!is_said && !fact_contradicts(arena, fact, old)))
            continue;
        bool is_older = fact->valid_from < old->valid_from && !is_said;
        err = is_older ? close_fact(tx, fact, old->id, old->valid_from, now)
                       : close_fact(tx, old, fact->id, fact->valid_from, now);
        ++*closed;
        if (is_older)
            break;
    }
    return err;
}

static enum err insert(struct tx *tx, struct arena *arena, struct known *known,
                       struct memory_fact *fact, const struct memory_item *item,
                       struct merge *merge) {
    if (memory_store_fact_count(tx_db(tx), fact->conversation_id) >= FACTS_LIMIT) {
        merge->refused++;
        return str_eq(fact->made_by, STR("person")) ? E_LIMIT : E_OK;
    }
    enum err err = memory_store_insert(tx, fact);
    if (err == E_OK)
        err = add_sources(tx, fact->id, item);
    if (err == E_OK && str_eq(fact->state, STR("active")))
        err = settle(tx, arena, known, fact, item->replaces, merge->now, &merge->closed);
    if (err == E_OK)
        err = touch(tx, fact);
    remember_known(arena, known, fact);
    merge->added++;
    merge->added_id = fact->id;
    return err;
}

static enum err end_facts(struct tx *tx, struct arena *arena, struct known *known,
                          const struct memory_fact *end, int64_t replaces, int64_t now,
                          size_t *closed) {
    enum err err = E_OK;
    for (size_t i = 0; i < known->count && err == E_OK; i++) {
        struct memory_fact *old = &known->facts[i];
        if (old->id == end->id || !is_open(old) || old->valid_from > end->valid_from ||
            (old->id != replaces && !fact_is_ended_by(arena, end, old)))
            continue;
        err = close_fact(tx, old, 0, end->valid_from, now);
        ++*closed;
    }
    return err;
}

static struct memory_fact fact_of(struct arena *arena, const struct memory_item *item,
                                  const struct merge *merge) {
    struct str predicate = memory_predicate(arena, item->predicate);
    bool waits = merge->scope.needs_approval && !merge->is_final;
    return (struct memory_fact){
        .id = id_new(),
        .user_id = merge->scope.user_id,
        .character_id = merge->scope.character_id,
        .conversation_id = merge->scope.conversation_id,
        .kind = item->kind,
        .subject = item->subject,
        .predicate = predicate,
        .object = item->object.at ? item->object : STR(""),
        .identity = memory_identity(arena, item->subject, predicate,
                                    item->object.len > 0 ? item->object : item->text),
        .text = item->text,
        .importance = item->importance,
        .confidence = item->confidence,
        .valid_from = item->at > 0 ? item->at : merge->now,
        .state = waits ? STR("proposed") : STR("active"),
        .made_by = str_from(merge->made_by),
        .updated_at = merge->now,
    };
}

static bool all_withheld(struct tx *tx, const struct memory_item *item) {
    for (size_t i = 0; i < item->source_count; i++)
        if (!memory_store_is_withheld(tx_db(tx), item->sources[i]))
            return false;
    return item->source_count > 0;
}

static enum err merge_item(struct tx *tx, struct arena *arena, struct known *known,
                           const struct memory_item *item, struct merge *merge) {
    struct memory_fact fact = fact_of(arena, item, merge);
    bool is_person = str_eq(fact.made_by, STR("person"));
    if (!is_person && (all_withheld(tx, item) ||
                       memory_store_is_forgotten(tx_db(tx), fact.conversation_id, fact.identity))) {
        merge->refused++;
        return E_OK;
    }
    if (item->ends) {
        size_t closed = 0;
        enum err err = E_OK;
        if (str_eq(fact.state, STR("active")))
            err = end_facts(tx, arena, known, &fact, item->replaces, merge->now, &closed);
        merge->closed += closed;
        if (err != E_OK || closed > 0)
            return err;
        fact.valid_to = fact.valid_from;
        if (str_eq(fact.state, STR("active")))
            fact.state = STR("superseded");
    }
    for (size_t i = 0; i < known->count; i++) {
        struct memory_fact *old = &known->facts[i];
        bool is_comparable = item->ends ? old->valid_to != 0 && str_eq(old->text, fact.text)
                                        : old->valid_to == 0 &&
                                              (is_open(old) || str_eq(old->state, STR("proposed")));
        if (is_comparable && item->replaces != old->id && fact_is_same(arena, &fact, old))
            return repeat(tx, old, &fact, item, merge);
    }
    return insert(tx, arena, known, &fact, item, merge);
}

static enum err load_known(struct tx *tx, struct arena *arena, const struct memory_scope *scope,
                           struct known *known) {
    enum err err = memory_store_facts(tx_db(tx), arena, scope, true, KNOWN_LIMIT, &known->facts,
                                      &known->count);
    known->room = known->count;
    return err;
}

enum err writer_merge(struct tx *tx, const struct memory_items *items, struct merge *merge) {
    struct known known = {0};
    struct arena arena;
    if (items->count == 0)
        return E_OK;
    arena_init(&arena);
    tx_overwrite_freed(tx, false);
    enum err err = load_known(tx, &arena, &merge->scope, &known);
    for (size_t i = 0; i < items->count && err == E_OK; i++)
        err = merge_item(tx, &arena, &known, &items->items[i], merge);
    arena_release(&arena);
    return err;
}

enum err writer_accept(struct tx *tx, struct memory_fact *fact, const struct memory_scope *scope,
                       int64_t now) {
    struct known known = {0};
    struct arena arena;
    size_t closed = 0;
    arena_init(&arena);
    tx_overwrite_freed(tx, false);
    enum err err = load_known(tx, &arena, scope, &known);
    bool is_end = fact->valid_to != 0;
    fact->state = is_end ? STR("superseded") : STR("active");
    fact->updated_at = now;
    if (err == E_OK)
        err = memory_store_update(tx, fact);
    if (err == E_OK)
        err = is_end ? end_facts(tx, &arena, &known, fact, 0, now, &closed)
                     : settle(tx, &arena, &known, fact, 0, now, &closed);
    if (err == E_OK)
        err = touch(tx, fact);
    arena_release(&arena);
    return err;
}
