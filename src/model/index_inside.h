/*
 * What the files of the index know of each other. All of it is the loop's, except where a comment
 * says otherwise.
 *
 *   index.c          kinds, touches, the step that writes words
 *   index_vectors.c  batches of vectors, one after the other; forgetting
 *   index_batch.c    the steps of a batch: load, store, finish
 *   index_rebuild.c  everything again: listing, ends of rebuilds, healing
 *   index_change.c   another encoder; encoders that go
 *   index_encoder.c  the encoder in use and the one being built; questions
 */
#pragma once

#include "model/index.h"
#include "model/index_store.h"
#include "store/job.h"

enum encoder_place { ENCODER_ACTIVE, ENCODER_BUILDING, ENCODER_PLACES };

struct encoder {
    struct arena arena; /* of row */
    struct encoder_row row;
    bool is_there;                  /* a row other than 'none' */
    const struct embed_port *port;  /* NULL: this program does not know the provider */
    bool has_work;                  /* something may be due */
    int64_t next_at;                /* when what failed comes again, wall clock; 0: nothing */
    int64_t rests_until_us;         /* monotonic; its endpoint fails */
    int failures;                   /* in a row */
    size_t row_limit;               /* of the next batch: 1 while looking for the row that fails */
    int64_t pending, counted_at_us; /* rows of the queue, as counted last */
    char trouble[320];              /* of the last failure, for a person; empty when it works */
};

/* A rebuild under way: of words (encoder 0), of the encoder in use, of the one being built. */
struct rebuild {
    bool is_there, is_listed;
    int64_t total;
};

struct index {
    const struct index_kind *const *kinds;
    struct encoder encoders[ENCODER_PLACES];
    struct rebuild rebuilds[ENCODER_PLACES], words_rebuild;
    int64_t seen; /* number of the last batch; LMDB and SQLite keep it too */
    bool has_vectors, is_draining, is_stopped;
    struct job *job; /* shows the progress of the one being built; NULL: none */
};
extern struct index the_index;

const struct index_kind *index_kind_find(struct str name); /* any thread */

/* index.c */
void words_go(void);
void index_ring(void); /* any thread, inside a write: after its commit the queue is looked at */

/* index_vectors.c */
void vectors_go(void);
void vectors_stop(void); /* cancels the batch that is under way */
/* The encoder of the batch under way is about to be let go of; false: none is. */
bool vectors_are_at(int64_t encoder_id);

/* index_rebuild.c */
void rebuild_go(void);
void rebuild_look(struct db *db);          /* reads what is under way */
void rebuild_check(enum encoder_place at); /* nothing is due for it: it may be complete */
void rebuild_progress(int64_t *done, int64_t *total); /* of the one being built */
void rebuild_stop(void);
void index_reload(void); /* encoders and rebuilds, after a change of their rows */

/* index_change.c */
/* Inside a write: the files of the vectors are rewritten soon. */
MUST_USE enum err compaction_ask(struct tx *tx);
void change_is_over(void); /* the one that was built is in use */
void retire_later(int64_t after_ms);
void change_stop(void);

/* index_encoder.c */
MUST_USE enum err encoders_reload(void);
bool encoder_is_usable(const struct encoder *encoder);
/* Opens the key into the arena. */
MUST_USE enum err encoder_endpoint(struct arena *arena, const struct encoder_row *row,
                                   struct embed_endpoint *endpoint);
void encoder_failed(struct encoder *encoder, enum err err, int64_t retry_after_ms,
                    struct str detail);
