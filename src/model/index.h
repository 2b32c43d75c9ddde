/*
 * What can be found by meaning is indexed: a durable queue of items whose words and vectors are not
 * yet what the truth says, and the encoder that vectors are made with.
 *
 * A feature describes what it lets be found as an index_kind, listed by app.c. Inside its own write
 * it calls index_touch() for everything that appeared, changed or went; after the commit the words
 * are written (milliseconds), then the vectors (in the background, in batches, urgent questions
 * first). The queue is a table: a crash loses no work, and an LMDB that is behind is caught up at
 * start. Changing the encoder builds new spaces while searches use the old ones.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "model/embed.h"
#include "store/store.h"
#include "store/vector.h"

#define INDEX_PIECE_LIMIT 1024 /* of one item; what comes after is not found by meaning */

/* What an item is made of, read from the truth by a pool thread. */
struct index_source {
    int64_t space;            /* vector_space.id */
    const struct str *pieces; /* one vector each: the sentences of a message */
    size_t piece_count;       /* 0: nothing to be found by meaning */
};

/* Vectors that have just been stored. */
struct index_vectors {
    struct vector_space space;
    int64_t item;
    const float *values; /* piece_count x dims, of length 1 each, in the order of the pieces */
    size_t piece_count, dims;
};

/* Where an item is: for a rebuild. */
struct index_place {
    int64_t item, space, group;
};

/* What the truth keeps beside an item about its vectors, e.g. norms of their sums. */
struct index_digest {
    double values[4];
};

struct index_kind {
    const char *name; /* "message", "fact"; a value in the table */
    /* Pool thread. E_ABSENT: the item is gone, and its vectors go. */
    enum err (*load)(struct db *db, struct arena *arena, int64_t item, struct index_source *source);
    /* Writes (or removes) what word search needs. May be NULL. On the writer thread. Other errors
     * than E_STORAGE put this item aside for a while. */
    enum err (*writer_words)(struct tx *tx, int64_t item);
    /* Pool thread, when the whole batch is in the store, so that pool_vector_get() of a neighbour
     * works; neighbours of a later batch are not there yet. May be NULL. */
    void (*pool_digest)(struct db *db, const struct index_vectors *vectors,
                        struct index_digest *digest);
    /* Keeps the digest, in one write with the end of the queue's row. `slot` is index_encoder.slot
     * of the encoder that made the vectors: while a new one is being built, the digests of both
     * live side by side. May be NULL; not called for items that went. */
    enum err (*writer_vectors)(struct tx *tx, int64_t item, int slot,
                               const struct index_digest *digest);
    /* Every item of the kind whose id is above `after`, by id, for a rebuild: up to `limit`. */
    enum err (*list)(struct db *db, int64_t after, size_t limit, struct index_place *places,
                     size_t *count);
};

/* Knows the kinds (NULL-terminated; stay) and the encoder; begins with the words. Loop, before the
 * first request. */
MUST_USE enum err index_start(const struct index_kind *const *kinds);
/* The vectors are open (or could not be opened: then meaning rests): heals what a crash left, goes
 * on with the queue. */
void index_begin(bool has_vectors);
void index_drain(void); /* begins nothing new */
void index_stop(void);

/*
 * Inside a write: the item appeared, changed or went. `space` is where it is (or was; of an item
 * that moves, the space that it leaves). `group` is what pending work is counted by (a
 * conversation); may equal space. The work begins by itself after the commit.
 */
MUST_USE enum err index_touch(struct tx *tx, const struct index_kind *kind, int64_t item,
                              int64_t space, int64_t group);
/* As index_touch when the caller has written the words itself in this transaction (an import). Its
 * vectors are made when nothing else waits. */
MUST_USE enum err index_touch_vectors(struct tx *tx, const struct index_kind *kind, int64_t item,
                                      int64_t space, int64_t group);
/* Everything of a space went, and of its group what still waits: a conversation that is deleted for
 * good. */
MUST_USE enum err index_drop(struct tx *tx, int64_t space, int64_t group);
/* Removes items' vectors at once, under every encoder; done after it is on disk. The files are
 * rewritten without the freed pages soon after, also if the process dies. After the commit that
 * deleted the items. Loop. */
void index_forget(int64_t space, const int64_t *items, size_t count, store_done_fn done, void *ctx);

struct index_pending {
    int64_t words, vectors; /* items of the group that wait for ... */
};
MUST_USE enum err index_pending(struct db *db, int64_t group, struct index_pending *pending);

/* The encoder that searches use now: id 0 when there is none (words alone). */
struct index_encoder {
    uint32_t id;
    int slot;    /* 0 or 1: where digests of its vectors are kept */
    size_t dims; /* 0 until its first vector */
};
struct index_encoder index_encoder(void); /* any thread */
/* Embeds a question with that encoder (index_encoder() of the same turn of the loop tells which),
 * before the batches of the background. done comes exactly once, later: E_ABSENT when there is
 * none; cancel leads to E_CANCELLED. The text is copied. Loop. */
struct index_question;
struct index_question *index_ask(struct str text, embed_done_fn done, void *ctx);
void index_ask_cancel(struct index_question *question);
