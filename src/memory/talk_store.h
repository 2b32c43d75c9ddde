/* The SQL of the talk that is learnt from. See memory_store.h. */
#pragma once

#include "memory/memory.h"

/* What was said on the path that is shown after message `after` (up to `to`, 0: the end), oldest
 * first; without greetings, unfinished, hidden, deleted and withheld ones. At most `limit`. */
MUST_USE enum err memory_store_lines(struct db *db, struct arena *arena, int64_t conversation_id,
                                     int64_t after, int64_t to, size_t limit,
                                     struct memory_line **lines, size_t *count);
/* The last `limit` before `before` (0: before the end), oldest first. */
MUST_USE enum err memory_store_lines_before(struct db *db, struct arena *arena,
                                            int64_t conversation_id, int64_t before, size_t limit,
                                            struct memory_line **lines, size_t *count);
/* Whether a message belongs to a conversation and is not in the trash. */
bool memory_store_has_message(struct db *db, int64_t conversation_id, int64_t message_id);
/* How many messages of whatever path there are behind `after`: an upper bound. */
int64_t memory_store_line_count(struct db *db, int64_t conversation_id, int64_t after);
