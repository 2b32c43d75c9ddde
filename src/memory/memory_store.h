/*
 * The SQL of what is learnt, a pair of files a subject: facts, what sums up, how far learning has
 * come, forgetting, the talk; here: whose it is. Reads give structs in the caller's arena and take
 * the connection of the thread that asks; changes take a struct tx and run on the writer thread.
 * Other errors than those named are the store's (E_STORAGE).
 */
#pragma once

#include "memory/fact_store.h"
#include "memory/forget_store.h"
#include "memory/memory.h"
#include "memory/progress_store.h"
#include "memory/summary_store.h"
#include "memory/talk_store.h"

/* The scope whatever the switches say; E_ABSENT: no such conversation, or it is in the trash. */
MUST_USE enum err memory_store_scope(struct db *db, int64_t conversation_id,
                                     struct memory_scope *scope);
/* False also for a conversation in the trash. */
bool memory_store_owns(struct db *db, int64_t conversation_id, int64_t user_id);
/* Ids above `after` of the conversations of the same two, in the trash or not: for what was shared.
 * Up to `limit`, by id. */
MUST_USE enum err memory_store_conversations(struct db *db, const struct memory_scope *scope,
                                             int64_t after, int64_t *ids, size_t limit,
                                             size_t *count);
