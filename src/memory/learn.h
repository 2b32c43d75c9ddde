/* Learning from a talk, as a durable job: learn.c. */
#pragma once

#include "memory/memory.h"

/* Inside a write: a job for this conversation; queueing twice does no harm. */
MUST_USE enum err learn_queue(struct tx *tx, int64_t conversation_id, int64_t user_id);
/* The same, as soon as nobody has said anything there for a moment. */
MUST_USE enum err learn_queue_when_quiet(struct tx *tx, int64_t conversation_id, int64_t user_id);
/* The same for all that was ever said there; the id of the job. */
MUST_USE enum err learn_queue_all(struct tx *tx, int64_t conversation_id, int64_t user_id,
                                  int64_t *job_id);
extern const struct memory_hooks *learn_hooks; /* set by memory_start */
