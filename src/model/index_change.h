/* Making everything again, and changing what makes the vectors: for the admin's routes, the command
 * line and app.c. Loop. */
#pragma once

#include "model/index_store.h"
#include "store/job.h"

extern const struct job_kind index_jobs[]; /* listed by app.c */

/* Words and vectors of everything, beginning as soon as done has been told. E_BUSY: one was asked
 * for this very moment. */
MUST_USE enum err index_reindex(store_done_fn done, void *ctx);
/* Nothing waits that has not been tried. */
bool index_is_idle(void);

struct index_progress {
    int64_t words, vectors; /* items that wait; counted up to 10,000, then roughly */
    bool has_encoder;       /* vectors can be made here at all */
    const char *trouble;    /* of the encoder's last failure; "" */
};
struct index_progress index_progress(void);
/* Chooses an encoder: it is built in the background and then takes over; the one that is in use
 * only gets its key anew. row: provider, base_url, model, key_sealed, dims (0: not known); stays
 * until done. has_key: key_sealed was said. E_BUSY: another change is being written. */
MUST_USE enum err index_change(const struct encoder_row *row, bool has_key, store_done_fn done,
                               void *ctx);
/* Gives up the one being built; the one in use stays. */
MUST_USE enum err index_cancel_change(store_done_fn done, void *ctx);

/* What stands in the database, for a look from outside: any thread. */
struct index_description {
    struct str provider, base_url, model; /* provider "none": words alone */
    int64_t waiting;                      /* items that are still to be embedded */
    bool is_available;                    /* this build can do it */
};
void index_describe(struct db *db, struct arena *arena, struct index_description *description);
