/* What the vector store should hold: every item in a plain list, searched in double. */
#pragma once

#include "store/vector.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MODEL_DIMS       48
#define MODEL_ITEM_LIMIT 4096
#define MODEL_PART_LIMIT 4

struct model_item {
    struct vector_space space;
    int64_t id;
    uint16_t parts;
    float values[MODEL_PART_LIMIT * MODEL_DIMS];
};

static struct {
    struct model_item items[MODEL_ITEM_LIMIT];
    size_t count;
} model;

/* The same numbers everywhere: xorshift64*. */
static inline uint64_t model_next(uint64_t *seed) {
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * 2685821657736338717u;
}
/* Nearly normal: the sum of four even numbers. */
static inline float model_next_normal(uint64_t *seed) {
    float sum = 0;
    for (int i = 0; i < 4; i++)
        sum += (float)(model_next(seed) >> 40) / (float)(1 << 24) - 0.5f;
    return sum * 1.732f;
}

static uint64_t model_seed = 88172645463325252u;
static inline uint64_t model_random(void) {
    return model_next(&model_seed);
}
static inline uint64_t model_below(uint64_t limit) {
    return model_random() % limit;
}
static inline float model_normal(void) {
    return model_next_normal(&model_seed);
}
static inline void model_values(float *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        values[i] = model_normal();
}

static inline struct model_item *model_find(struct vector_space space, int64_t id) {
    for (size_t i = 0; i < model.count; i++)
        if (model.items[i].id == id && model.items[i].space.id == space.id &&
            model.items[i].space.encoder == space.encoder)
            return &model.items[i];
    return NULL;
}

static inline void model_write(const struct vector_item *item) {
    struct model_item *old = model_find(item->space, item->id);
    if (old != NULL)
        *old = model.items[--model.count];
    if (item->parts == 0)
        return;
    if (model.count == MODEL_ITEM_LIMIT || item->parts > MODEL_PART_LIMIT)
        abort();
    struct model_item *fresh = &model.items[model.count++];
    *fresh = (struct model_item){.space = item->space, .id = item->id, .parts = item->parts};
    memcpy(fresh->values, item->values, sizeof(float) * item->parts * MODEL_DIMS);
}

static inline void model_drop(struct vector_space space) {
    for (size_t i = 0; i < model.count;)
        if (model.items[i].space.encoder == space.encoder &&
            (space.id == 0 || model.items[i].space.id == space.id))
            model.items[i] = model.items[--model.count];
        else
            i++;
}

static inline double model_cosine(const float *a, const float *b) {
    double ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < MODEL_DIMS; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

static inline int model_by_id(const void *a, const void *b) {
    const struct model_item *x = *(struct model_item *const *)a,
                            *y = *(struct model_item *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* The items of a space in order; how many. */
static inline size_t model_list(struct vector_space space, struct model_item **list) {
    size_t count = 0;
    for (size_t i = 0; i < model.count; i++)
        if (model.items[i].space.id == space.id && model.items[i].space.encoder == space.encoder)
            list[count++] = &model.items[i];
    qsort(list, count, sizeof(*list), model_by_id);
    return count;
}

/* --- the store against the model ---------------------------------------------------------------- */

struct model_walk {
    struct model_item *list[MODEL_ITEM_LIMIT];
    size_t count, at;
    uint16_t part;
    const float *question;
    bool is_wrong;
};

static inline void model_visit(const struct vector_part *part, void *ctx) {
    struct model_walk *walk = ctx;
    const struct model_item *item = walk->at < walk->count ? walk->list[walk->at] : NULL;
    if (item == NULL || part->item != item->id || part->part != walk->part ||
        fabs(part->cosine - model_cosine(walk->question, item->values + part->part * MODEL_DIMS)) >
            0.02) {
        walk->is_wrong = true;
        return;
    }
    if (++walk->part == item->parts)
        walk->part = 0, walk->at++;
}

static inline int model_best_first(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x > y ? -1 : x < y;
}

#define MODEL_LIMIT 20

/* The best by the model, to what 12 bits can tell. */
static inline bool model_finds(const struct model_walk *walk, bool is_exact,
                               struct vector_space space) {
    static double cosines[MODEL_ITEM_LIMIT * MODEL_PART_LIMIT];
    struct vector_hit hits[MODEL_LIMIT];
    struct vector_search search = {space, walk->question, MODEL_DIMS, MODEL_LIMIT, is_exact};
    size_t count, known = 0;
    for (size_t i = 0; i < walk->count; i++)
        for (uint16_t part = 0; part < walk->list[i]->parts; part++)
            cosines[known++] =
                model_cosine(walk->question, walk->list[i]->values + part * MODEL_DIMS);
    qsort(cosines, known, sizeof(*cosines), model_best_first);
    if (pool_vector_search(&search, hits, &count) != E_OK ||
        count != (known < MODEL_LIMIT ? known : MODEL_LIMIT))
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct model_item *item = model_find(space, hits[i].item);
        if (item == NULL || hits[i].part >= item->parts ||
            fabs(hits[i].cosine - cosines[i]) > 0.002 ||
            fabs(hits[i].cosine -
                 model_cosine(walk->question, item->values + hits[i].part * MODEL_DIMS)) > 0.002)
            return false;
    }
    return true;
}

/* True when a walk over the space finds what the model has, in order, and a search finds the best of
 * it. */
static inline bool model_agrees(struct vector_space space) {
    static struct model_walk walk;
    float question[MODEL_DIMS];
    walk.count = model_list(space, walk.list);
    walk.at = walk.part = 0;
    walk.is_wrong = false;
    walk.question = question;
    model_values(question, MODEL_DIMS);
    int64_t rows = 0;
    for (size_t i = 0; i < walk.count; i++)
        rows += walk.list[i]->parts;
    return pool_vector_scan(space, question, MODEL_DIMS, model_visit, &walk) == E_OK &&
           !walk.is_wrong && walk.at == walk.count && vector_count(space) == rows &&
           model_finds(&walk, true, space);
}
