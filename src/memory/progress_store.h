/* The SQL of learning's progress in a conversation, and of how the two stand. See memory_store.h. */
#pragma once

#include "memory/memory.h"

struct memory_progress {
    int64_t conversation_id;
    int64_t waiting;              /* messages said since the last look */
    int64_t queued;               /* how often the mark was reached since the last job ended */
    int64_t learnt_to, summed_to; /* the newest message that was learnt from, was summed up */
    int64_t again_from, again_to; /* messages that changed after that; 0: none */
    struct str status, mood;      /* how the two stand: "friends"; one word */
    struct str made_by;           /* "model", "rules", "person" */
    double closeness;             /* 0 to 1 */
    int64_t updated_at;           /* ms; 0: never */
};
/* Strangers, and all zero, when nothing has been said yet. */
MUST_USE enum err memory_store_progress(struct db *db, struct arena *arena, int64_t conversation_id,
                                        struct memory_progress *progress);
MUST_USE enum err memory_store_save_progress(struct tx *tx, const struct memory_progress *progress);
/* `count` more messages were said, of which every `every` are looked at (`at_once`: without waiting
 * for so many). *queues: a job has to be added now. */
MUST_USE enum err memory_store_said(struct tx *tx, int64_t conversation_id, int64_t count,
                                    int64_t every, bool at_once, bool *queues);
/* Messages from .. to changed; those that were learnt from already are to be looked at again.
 * *queues: a job has to be added. */
MUST_USE enum err memory_store_look_again(struct tx *tx, int64_t conversation_id, int64_t from,
                                          int64_t to, bool *queues);

struct memory_counts {
    int64_t messages, first_at, last_at; /* of persons and characters; ms, 0: none */
};
MUST_USE enum err memory_store_counts(struct db *db, int64_t conversation_id,
                                      struct memory_counts *counts);
