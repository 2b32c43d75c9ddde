/*
 * Vectors: LMDB under DIR/vectors. SQLite is the truth; everything here can be made again from it.
 *
 * A space holds what is searched together (the talk of a conversation, the cast, a character's
 * knowledge) under one encoder. An item of a space has one or more parts (the sentences of a
 * message), each a vector that is stored as int8 with one scale; large spaces have sign bits for a
 * first pass as well. What is not finite (NaN, infinity) is refused with E_INPUT; a vector of zeros
 * is kept and has the cosine 0 with everything.
 *
 * Functions named pool_ may wait for the disk or burn a millisecond: pool threads and the command
 * line only. They may be called from several threads at once.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define VECTOR_DIMS_LIMIT  4096  /* the widest that public encoders make is 3,072 */
#define VECTOR_PARTS_LIMIT 1024  /* of one item */
#define VECTOR_HITS_LIMIT  10000 /* of one search */

struct vector_space {
    int64_t id;       /* conversation, character, or one of the house's own numbers; never 0 */
    uint32_t encoder; /* row of table `encoder`: vectors of different encoders never meet */
};

struct vector_item {
    struct vector_space space;
    int64_t id;
    const float *values; /* parts x dims, need not be normalised; NULL when parts is 0 */
    uint16_t parts;      /* 0: the item goes */
    uint16_t dims;
};

MUST_USE enum err
vector_open(const char *directory); /* creates; a broken environment is set aside and made anew */
void vector_close(void);

/* One durable transaction: all or nothing. Replaces all parts of each item; of an item that is
 * there twice the last one counts. `seen` is what the truth calls the last change that is in here
 * from now on (never goes back; 0 leaves it). E_INPUT: a value is not finite, or the space holds
 * vectors of other dims; E_LIMIT: too many parts or dims. */
MUST_USE enum err pool_vector_write(const struct vector_item *items, size_t count, int64_t seen);
int64_t vector_seen(void); /* of the last committed transaction; 0 in a new environment */
/* Everything of a space, or (id 0) of an encoder. */
MUST_USE enum err pool_vector_drop(struct vector_space space);
/* Rewrites the files from what is alive, so that no byte of what was deleted is left in them;
 * searches go on meanwhile, writes wait. */
MUST_USE enum err pool_vector_compact(void);

struct vector_hit {
    int64_t item;
    float cosine;
    uint16_t part;
};
/* The best `limit` parts, best first; ties by item, part. Exact (over the stored int8 vectors) in
 * small spaces; in large ones sign bits choose what is looked at. `hits` holds limit entries;
 * returns how many in *count. E_INPUT when dims is not the space's, E_LIMIT when
 * limit is over VECTOR_HITS_LIMIT. */
struct vector_search {
    struct vector_space space;
    const float *query; /* dims values */
    size_t dims, limit;
    bool is_exact; /* look at every vector, whatever the size */
};
MUST_USE enum err pool_vector_search(const struct vector_search *search, struct vector_hit *hits,
                                     size_t *count);

/* Every part of a space with its cosine, in the order of item and part. `values` times `scale` is
 * the normalised vector in the store's own basis, a rotation of the encoder's: sums and products
 * among such vectors are what they are in the encoder's. Borrowed for the call, which must not
 * call the store. */
struct vector_part {
    int64_t item;
    uint16_t part;
    float cosine;
    float scale;
    const int8_t *values;
};
typedef void (*vector_visit_fn)(const struct vector_part *part, void *ctx);
MUST_USE enum err pool_vector_scan(struct vector_space space, const float *query, size_t dims,
                                   vector_visit_fn visit, void *ctx);
/* The parts of one item, normalised, in the encoder's basis, into `values` (room for `limit`
 * parts of dims); *parts is how many there are, 0 when there is no such item. */
MUST_USE enum err pool_vector_get(struct vector_space space, int64_t item, size_t dims,
                                  float *values, uint16_t limit, uint16_t *parts);

struct vector_stats {
    int64_t items, parts, bytes; /* bytes: of the files */
};
struct vector_stats vector_stats(void);          /* of everything */
int64_t vector_count(struct vector_space space); /* parts of a space; cheap */
