/* What the routes of memory have in common: whose it is, which fact, and who is told of a change.
 * Inside memory only; loop thread, where nothing else is said. */
#pragma once

#include "memory/memory.h"
#include "net/request.h"

/* False: it is not the caller's conversation, and that has been answered. */
bool memory_is_callers(struct request *request, int64_t conversation_id);
/* The scope of the conversation that the path names first. False: that has been answered. */
bool memory_request_scope(struct request *request, struct memory_scope *scope);
/* And the fact that it names second, with its sources: one that this conversation shows. Texts are
 * the request's arena's. */
bool memory_request_fact(struct request *request, struct memory_scope *scope,
                         struct memory_fact *fact);
/* The fact as it is now, in the same transaction as the change, without its sources. E_ABSENT;
 * E_CONFLICT when it is not the revision that is expected (-1: any). Writer thread. */
MUST_USE enum err writer_expected_fact(struct tx *tx, struct arena *arena, int64_t id,
                                       int64_t expected, struct memory_fact *fact);
/* "memory:updated" to those who listen to the conversation of the path: "facts", "summary",
 * "forgotten". */
void memory_tell_updated(struct request *request, const char *what);
