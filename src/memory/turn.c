/*
 * What is indexed is the chosen variant of every message that may be remembered, sentence by
 * sentence, in the space of its conversation. Of the vectors two lengths are kept beside the words:
 * with them the cosine of a question with the mean of a turn, and with the mean of two turns, can
 * be had from the cosines of sentences alone, and a search reads every vector once.
 */
#include "memory/turn.h"

#include "memory/memory.h"

#include "base/check.h"

#include <math.h>

#include "base/banned.h"

enum { DIGEST_TURN, DIGEST_PAIR };

#define PREVIOUS_PARTS  16 /* of the turn before: more would not turn its mean */
#define FOLLOWERS_LIMIT 64 /* branches that fork behind one message */
#define USUAL_PRODUCT \
    0.3 /* of the vectors of two turns that follow one another, where one is not known */

static enum err load(struct db *db, struct arena *arena, int64_t item,
                     struct index_source *source) {
    struct memory_turn turn;
    enum err err = turn_text(db, arena, item, &turn);
    if (err != E_OK)
        return err;
    source->space = turn.conversation_id;
    source->pieces = pieces_of(arena, turn.text, &source->piece_count);
    return E_OK;
}

static enum err touch_vectors(struct tx *tx, const struct turn_place *places, size_t count) {
    enum err err = E_OK;
    for (size_t i = 0; i < count && err == E_OK; i++)
        err = index_touch_vectors(tx, &memory_message_kind, places[i].message_id,
                                  places[i].conversation_id, places[i].conversation_id);
    return err;
}

/* The length that a turn has together with the one before it changes with that one: the turns that
 * follow are made anew, after this one, for they wait at the end of the queue. */
static enum err touch_followers(struct tx *tx, int64_t item) {
    struct turn_place places[FOLLOWERS_LIMIT];
    size_t count = 0;
    enum err err = turn_relink(tx, item, FOLLOWERS_LIMIT, places, &count);
    return err == E_OK ? touch_vectors(tx, places, count) : err;
}

static enum err writer_words(struct tx *tx, int64_t item) {
    struct arena arena;
    struct memory_turn turn;
    arena_init(&arena);
    enum err err = turn_of_message(tx_db(tx), &arena, item, &turn);
    if (err == E_OK)
        err = turn_save(tx, &turn);
    else if (err == E_ABSENT)
        err = turn_remove(tx, item);
    arena_release(&arena);
    return err == E_OK ? touch_followers(tx, item) : err;
}

/* The sum of unit vectors, and its length. */
static double add_up(const float *values, size_t count, size_t dims, double *sum) {
    double square = 0;
    for (size_t d = 0; d < dims; d++) {
        sum[d] = 0;
        for (size_t i = 0; i < count; i++)
            sum[d] += (double)values[i * dims + d];
        square += sum[d] * sum[d];
    }
    return sqrt(square);
}

/* The product of this turn's vector and the one before, both of length 1. False: that one has no
 * vectors yet. */
static bool product_before(struct db *db, const struct index_vectors *vectors, const double *sum,
                           double length, double *product) {
    int64_t previous = turn_previous(db, vectors->item);
    struct arena arena;
    arena_init(&arena);
    float *values = arena_alloc(&arena, sizeof(float) * PREVIOUS_PARTS * vectors->dims);
    double *other = arena_alloc(&arena, sizeof(double) * vectors->dims);
    uint16_t parts = 0;
    if (pool_vector_get(vectors->space, previous, vectors->dims, values, PREVIOUS_PARTS, &parts) ==
            E_OK &&
        parts > 0) {
        double other_length = add_up(values, parts, vectors->dims, other), dot = 0;
        for (size_t d = 0; d < vectors->dims; d++)
            dot += sum[d] * other[d];
        *product = other_length > 0 && length > 0 ? dot / length / other_length : 0;
    }
    arena_release(&arena);
    return parts > 0;
}

static void pool_digest(struct db *db, const struct index_vectors *vectors,
                        struct index_digest *digest) {
    struct arena arena;
    arena_init(&arena);
    double *sum = arena_alloc(&arena, sizeof(double) * vectors->dims);
    double length = add_up(vectors->values, vectors->piece_count, vectors->dims, sum);
    bool is_first = turn_previous(db, vectors->item) == 0;
    double product = USUAL_PRODUCT;
    bool is_known = is_first || product_before(db, vectors, sum, length, &product);
    double together = is_first ? 1 : sqrt(2 + 2 * product);
    digest->values[DIGEST_TURN] = length / (double)vectors->piece_count;
    digest->values[DIGEST_PAIR] = is_known ? together : -together;
    arena_release(&arena);
}

static enum err writer_vectors(struct tx *tx, int64_t item, int slot,
                               const struct index_digest *digest) {
    struct turn_place places[FOLLOWERS_LIMIT];
    size_t count = 0;
    enum err err =
        turn_norms_save(tx, item, slot, digest->values[DIGEST_TURN], digest->values[DIGEST_PAIR]);
    if (err == E_OK) /* those that were embedded before this one, which failed for a while */
        err = turns_after(tx_db(tx), item, slot, FOLLOWERS_LIMIT, places, &count);
    return err == E_OK ? touch_vectors(tx, places, count) : err;
}

static enum err list(struct db *db, int64_t after, size_t limit, struct index_place *places,
                     size_t *count) {
    enum { PAGE = 256 };
    struct turn_place page[PAGE];
    enum err err = turn_list(db, after, limit < PAGE ? limit : PAGE, page, count);
    for (size_t i = 0; i < *count; i++)
        places[i] = (struct index_place){.item = page[i].message_id,
                                         .space = page[i].conversation_id,
                                         .group = page[i].conversation_id};
    return err;
}

const struct index_kind memory_message_kind = {
    .name = "message",
    .load = load,
    .writer_words = writer_words,
    .pool_digest = pool_digest,
    .writer_vectors = writer_vectors,
    .list = list,
};

enum err memory_touch_message(struct tx *tx, int64_t message_id, int64_t conversation_id) {
    return index_touch(tx, &memory_message_kind, message_id, conversation_id, conversation_id);
}

enum err memory_add_turn(struct tx *tx, const struct memory_turn *turn) {
    enum err err = turn_add(tx, turn);
    return err != E_OK ? err
                       : index_touch_vectors(tx, &memory_message_kind, turn->message_id,
                                             turn->conversation_id, turn->conversation_id);
}

enum err memory_drop_turns(struct tx *tx, int64_t conversation_id, int64_t from_id) {
    tx_overwrite_freed(tx, false);
    return turn_remove_from(tx, conversation_id, from_id);
}

enum err memory_drop_conversation(struct tx *tx, int64_t conversation_id) {
    enum err err = turn_remove_from(tx, conversation_id, 0);
    if (err == E_OK)
        err = memory_gone(tx, conversation_id);
    return err != E_OK ? err : index_drop(tx, conversation_id, conversation_id);
}
