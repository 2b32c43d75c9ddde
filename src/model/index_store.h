/* SQL of the queue, the rebuilds and the encoders. */
#pragma once

#include "store/store.h"

struct encoder_row {
    int64_t id;
    struct str provider, base_url, model, key_sealed, state;
    int64_t dims, slot, created_at;
};

/* A row of the queue, or a touch. */
struct queue_row {
    int64_t change, item, encoder, space, group, attempts, due_at;
    struct str kind;
    bool is_touch; /* `change` is of index_touch: of encoder 0, never tried, due now */
};

struct rebuild_row {
    int64_t encoder; /* 0: words, then the vectors of every encoder */
    struct str kind; /* that is being listed; STR_NONE: all are in the queue */
    int64_t after, total;
};

#define QUEUE_KIND_SPACE STR("space") /* everything of the space goes */
#define QUEUE_DUE_NOW    0
#define QUEUE_DUE_BULK   1 /* when nothing that is due now waits */

/* --- encoders --------------------------------------------------------------------------------- */
/* E_ABSENT when there is none in this state. */
MUST_USE enum err encoder_load(struct db *db, struct arena *arena, struct str state,
                               struct encoder_row *row);
bool encoder_was_chosen(struct db *db);
/* Gives row->id. */
MUST_USE enum err encoder_insert(struct tx *tx, struct encoder_row *row);
MUST_USE enum err encoder_set_state(struct tx *tx, int64_t id, struct str state);
MUST_USE enum err encoder_set_dims(struct tx *tx, int64_t id, int64_t dims);
MUST_USE enum err encoder_set_key(struct tx *tx, int64_t id, struct str key_sealed);
MUST_USE enum err encoder_delete(struct tx *tx, int64_t id);

/* --- touches ---------------------------------------------------------------------------------- */
MUST_USE enum err touch_put(struct tx *tx, const struct queue_row *row);
/* The oldest first; the kinds live in the arena. */
MUST_USE enum err touch_list(struct db *db, struct arena *arena, struct queue_row *rows,
                             size_t limit, size_t *count);
MUST_USE enum err touch_end_to(struct tx *tx, int64_t change); /* this one, and all before it */

/* --- the queue -------------------------------------------------------------------------------- */
/* What counts or looks for rows of encoder 0 counts the touches with them. */

/* Replaces the row of the same item and encoder; the space that it still waits to leave is kept. */
MUST_USE enum err queue_put(struct tx *tx, const struct queue_row *row);
/* For every encoder that is in use or being built. */
MUST_USE enum err queue_put_vectors(struct tx *tx, const struct queue_row *row);
/* Rows of an encoder that are due, in order. Gives how many; *next_at is when the first that is not
 * due will be (0: none). */
MUST_USE enum err queue_due(struct db *db, struct arena *arena, int64_t encoder, int64_t now_ms,
                            struct queue_row *rows, size_t limit, size_t *count, int64_t *next_at);
MUST_USE enum err queue_end(struct tx *tx, int64_t change);
/* It failed `attempts` times; a touch becomes a row of the queue. */
MUST_USE enum err queue_put_off(struct tx *tx, const struct queue_row *row, int64_t attempts,
                                int64_t due_at);
/* Takes up to `limit` rows out; *count tells how many. */
MUST_USE enum err queue_clear_encoder(struct tx *tx, int64_t encoder, int64_t limit,
                                      int64_t *count);
MUST_USE enum err queue_clear_group(struct tx *tx, int64_t group);
/* Counts at most `limit`. */
int64_t queue_count(struct db *db, int64_t encoder, int64_t limit);
int64_t queue_count_group(struct db *db, int64_t group, int64_t encoder);
bool queue_has_fresh(struct db *db, int64_t encoder); /* rows that have not failed yet */
/* Takes back what failures put off: it is due again. */
MUST_USE enum err queue_hurry(struct tx *tx, int64_t encoder);

/* --- rebuilds --------------------------------------------------------------------------------- */
/* E_ABSENT when none is under way for the encoder. */
MUST_USE enum err rebuild_load(struct db *db, struct arena *arena, int64_t encoder,
                               struct rebuild_row *row);
MUST_USE enum err rebuild_put(struct tx *tx, const struct rebuild_row *row);
MUST_USE enum err rebuild_delete(struct tx *tx, int64_t encoder);

/* --- what LMDB is compared with --------------------------------------------------------------- */
int64_t index_seen_load(struct db *db); /* the number of the last batch that is in LMDB */
MUST_USE enum err index_seen_store(struct tx *tx, int64_t seen);
bool compaction_is_queued(struct db *db);
