/* Forgetting: what would go, and that it goes without a trace. */
#pragma once

#include "memory/memory.h"

#define FORGET_LIMIT    1000   /* facts and episodes, at once */
#define FORGET_MESSAGES 200000 /* of a topic: as many as are recalled in one talk */

/* What goes. Texts are the arena's. */
struct forget {
    struct memory_scope scope;
    struct memory_fact *facts;
    size_t fact_count;
    struct memory_episode *episodes;
    size_t episode_count;
    struct memory_summary *summaries; /* as they will be; an empty text: it goes */
    size_t summary_count;
    int64_t *messages; /* that are withheld from now on */
    size_t message_count, message_limit;
    size_t withheld_count; /* so many of them are, by what has been written */
    int64_t since;         /* prompts before this moment cannot hold any of it */
};

/* What speaks of a topic: all of its words. E_INPUT when it has none. Any thread. */
MUST_USE enum err forget_topic(struct db *db, struct arena *arena, struct str topic,
                               bool with_messages, struct forget *forget);
/* One fact; scope and what else tells it. */
MUST_USE enum err forget_fact(struct db *db, struct arena *arena, const struct memory_fact *fact,
                              bool with_messages, struct forget *forget);
/* Inside a write: rows, words, what was kept for repeats, and a job for the recorded prompts; of the
 * messages a few hundred. Others who write need not wait for thousands: while withheld_count is less
 * than message_count, writer_withhold() goes on in the next write. */
MUST_USE enum err writer_forget(struct tx *tx, struct forget *forget);
MUST_USE enum err writer_withhold(struct tx *tx, struct forget *forget);
/* Inside a write: everything that was learnt in the conversation of forget->scope, which is told as
 * it was; other talks keep what they share. The two are strangers again, and what was said so far is
 * learnt from only when somebody asks for it. */
MUST_USE enum err writer_forget_everything(struct tx *tx, struct arena *arena,
                                           struct forget *forget);
/* After the commit: the vectors, at once. done when they are gone from the disk. Loop. */
void forget_vectors(const struct forget *forget, store_done_fn done, void *ctx);

/* --- recorded prompts: forget_prompts.c --------------------------------------------------------- */

struct job;
void forget_run_scrub(struct job *job); /* kind "memory.scrub", in learn.c's table */
/* Inside a write: jobs that take the memories out of the prompts of a scope's conversations that were
 * recorded since a moment (ms). */
MUST_USE enum err forget_queue_scrub(struct tx *tx, const struct memory_scope *scope,
                                     int64_t since);
