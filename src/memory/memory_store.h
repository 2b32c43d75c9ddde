/* The SQL of what is learnt: facts, their sources, episodes, summaries, progress, forgetting. Reads
 * give structs in the caller's arena; changes run on the writer thread. */
#pragma once

#include "memory/memory.h"

/* --- whose ------------------------------------------------------------------------------------ */

/* The scope whatever the switches say; E_ABSENT: no such conversation. */
MUST_USE enum err memory_store_scope(struct db *db, int64_t conversation_id,
                                     struct memory_scope *scope);
bool memory_store_owns(struct db *db, int64_t conversation_id, int64_t user_id);

/* --- facts ------------------------------------------------------------------------------------ */

MUST_USE enum err memory_store_facts(struct db *db, struct arena *arena,
                                     const struct memory_scope *scope, bool all, size_t limit,
                                     struct memory_fact **facts, size_t *count);
MUST_USE enum err memory_store_fact(struct db *db, struct arena *arena, int64_t id,
                                    struct memory_fact *fact);
/* Fills in sources. */
MUST_USE enum err memory_store_sources(struct db *db, struct arena *arena,
                                       struct memory_fact *fact);
MUST_USE enum err memory_store_insert(struct tx *tx, const struct memory_fact *fact);
/* Everything that can change; raises the revision. */
MUST_USE enum err memory_store_update(struct tx *tx, const struct memory_fact *fact);
MUST_USE enum err memory_store_add_source(struct tx *tx, int64_t fact_id, int64_t message_id);
MUST_USE enum err memory_store_use(struct tx *tx, int64_t fact_id, int64_t now);
MUST_USE enum err memory_store_remove(struct tx *tx, int64_t fact_id);
/* Ids of facts that nothing but changed messages of a range speaks for. */
MUST_USE enum err memory_store_unsupported(struct db *db, int64_t conversation_id, int64_t from,
                                           int64_t to, int64_t *ids, size_t limit, size_t *count);
MUST_USE enum err memory_store_next(struct db *db, int64_t after, size_t limit, int64_t *ids,
                                    size_t *count);

/* --- summaries, episodes ---------------------------------------------------------------------- */

MUST_USE enum err memory_store_summary(struct db *db, struct arena *arena, int64_t conversation_id,
                                       struct str kind, struct memory_summary *summary);
MUST_USE enum err memory_store_save_summary(struct tx *tx, const struct memory_summary *summary);
MUST_USE enum err memory_store_remove_summary(struct tx *tx, int64_t id);
MUST_USE enum err memory_store_summary_by_id(struct db *db, struct arena *arena, int64_t id,
                                             struct memory_summary *summary);
MUST_USE enum err memory_store_next_summary(struct db *db, int64_t after, size_t limit,
                                            int64_t *ids, size_t *count);
MUST_USE enum err memory_store_episode(struct db *db, struct arena *arena, int64_t id,
                                       struct memory_episode *episode);
MUST_USE enum err memory_store_save_episode(struct tx *tx, const struct memory_episode *episode);
MUST_USE enum err memory_store_remove_episode(struct tx *tx, int64_t id);
MUST_USE enum err memory_store_next_episode(struct db *db, int64_t after, size_t limit,
                                            int64_t *ids, size_t *count);
bool memory_store_has_stale(struct db *db, int64_t conversation_id); /* an episode */
/* A covered message has changed. */
MUST_USE enum err memory_store_make_stale(struct tx *tx, int64_t conversation_id, int64_t from,
                                          int64_t to);

/* --- progress --------------------------------------------------------------------------------- */

struct memory_progress {
    int64_t conversation_id, waiting, queued, learnt_to, summed_to, again_from, again_to;
    struct str status, mood, made_by;
    double closeness;
    int64_t updated_at;
};
/* All zero when nothing has been said yet. */
MUST_USE enum err memory_store_progress(struct db *db, struct arena *arena, int64_t conversation_id,
                                        struct memory_progress *progress);
/* More was said: *queues is true when a job has to be added now. */
MUST_USE enum err memory_store_said(struct tx *tx, int64_t conversation_id, int64_t count,
                                    int64_t every, bool at_once, bool *queues, bool *is_urgent);
MUST_USE enum err memory_store_save_progress(struct tx *tx, const struct memory_progress *progress);
MUST_USE enum err memory_store_look_again(struct tx *tx, int64_t conversation_id, int64_t from,
                                          int64_t to, bool *queues);

/* --- forgetting ------------------------------------------------------------------------------- */

bool memory_store_is_forgotten(struct db *db, int64_t conversation_id, struct str identity);
MUST_USE enum err memory_store_forget_identity(struct tx *tx, int64_t conversation_id,
                                               struct str identity);
MUST_USE enum err memory_store_withhold(struct tx *tx, int64_t conversation_id, int64_t message_id);
bool memory_store_is_withheld(struct db *db, int64_t message_id);
/* Messages of a conversation with all of the words that an FTS5 expression asks for. */
MUST_USE enum err memory_store_mentions(struct db *db, int64_t conversation_id, struct str match,
                                        int64_t *ids, size_t limit, size_t *count);
/* Answers that were kept for repeats and show this fact, in whatever words it had then. */
MUST_USE enum err memory_store_forget_answers(struct tx *tx, int64_t user_id, int64_t fact_id);
/* Merges the word index, so that nothing of deleted rows is left in it. */
MUST_USE enum err memory_store_merge_words(struct tx *tx);
MUST_USE enum err memory_store_forget_all(struct tx *tx, int64_t conversation_id);

struct memory_prompt {
    int64_t message_id, place;
    struct str record; /* deflated */
};
/* Prompts of a conversation since a moment, after (message_id, place). */
MUST_USE enum err memory_store_prompts(struct db *db, struct arena *arena, int64_t conversation_id,
                                       int64_t since, int64_t after, struct memory_prompt *items,
                                       size_t limit, size_t *count);
MUST_USE enum err memory_store_save_prompt(struct tx *tx, const struct memory_prompt *prompt);
/* Conversations of the same two, for what was shared. */
MUST_USE enum err memory_store_conversations(struct db *db, const struct memory_scope *scope,
                                             int64_t after, int64_t *ids, size_t limit,
                                             size_t *count);

/* --- the talk ---------------------------------------------------------------------------------- */

/* What was said on the path that is shown after `after` (up to `to`, 0: the end), oldest first;
 * without greetings, unfinished, hidden, deleted and withheld ones. */
MUST_USE enum err memory_store_lines(struct db *db, struct arena *arena, int64_t conversation_id,
                                     int64_t after, int64_t to, size_t limit,
                                     struct memory_line **lines, size_t *count);
/* The last `limit` before `before` (0: before the end), oldest first. */
MUST_USE enum err memory_store_lines_before(struct db *db, struct arena *arena,
                                            int64_t conversation_id, int64_t before, size_t limit,
                                            struct memory_line **lines, size_t *count);
int64_t memory_store_line_count(struct db *db, int64_t conversation_id, int64_t after);

/* --- how the two stand ------------------------------------------------------------------------- */

struct memory_counts {
    int64_t messages, first_at, last_at;
};
MUST_USE enum err memory_store_counts(struct db *db, int64_t conversation_id,
                                      struct memory_counts *counts);
