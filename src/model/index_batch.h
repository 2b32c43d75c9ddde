/*
 * The batch of vectors that is under way, and the steps of it that run off the loop.
 *
 * There is one. It belongs to whoever works on it: the pool during pool_batch_load() and
 * pool_batch_store(), the writer during writer_batch_finish(), the loop between them; `phase` is
 * always the loop's.
 */
#pragma once

#include "model/index_inside.h"

#define BATCH_ROWS_LIMIT 64

enum batch_phase { PHASE_IDLE, PHASE_LOAD, PHASE_EMBED, PHASE_STORE, PHASE_FINISH };

struct batch_row {
    struct queue_row queue;
    const struct index_kind *kind; /* NULL: a whole space, or a kind that is no more */
    struct index_source source;
    size_t first_piece;
    enum err err; /* of load */
    bool is_forgotten;
    struct index_digest digest;
};

struct batch {
    enum batch_phase phase;
    struct arena arena;
    struct encoder_row encoder; /* id, dims, slot of the encoder as it was */
    enum encoder_place place;
    struct batch_row *rows;
    size_t row_count, row_limit, piece_limit, piece_count;
    struct str *pieces;
    int64_t next_at, seen, began_us;
    int64_t counted; /* rows of the queue; -1: not counted this time */
    bool wants_count;
    struct embed_batch *embed;
    float *values;
    size_t dims;
    enum err err;
};
extern struct batch the_batch;

void pool_batch_load(void *ctx);
void pool_batch_store(void *ctx);
/* The digests, the ends of the rows, and how far LMDB is. */
MUST_USE enum err writer_batch_finish(struct tx *tx, void *ctx);
/* The first row failed, alone: it comes again, ever later. */
MUST_USE enum err writer_batch_put_off(struct tx *tx, void *ctx);
