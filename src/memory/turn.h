/* Messages as what can be found: the kind of the index, and what conversation code calls. */
#pragma once

#include "memory/turn_store.h"
#include "model/index.h"

extern const struct index_kind memory_message_kind; /* listed by app.c */

/* Inside a write: the message was said, finished, edited, swiped, hidden, shown, deleted or brought
 * back. Its words follow the commit, its vectors later. */
MUST_USE enum err memory_touch_message(struct tx *tx, int64_t message_id, int64_t conversation_id);
/* Inside a write: a message that nobody has seen yet, with its words at once (an import). */
MUST_USE enum err memory_add_turn(struct tx *tx, const struct memory_turn *turn);
/* Inside a write: of a conversation that goes for good, messages from this id on go before it. */
MUST_USE enum err memory_drop_turns(struct tx *tx, int64_t conversation_id, int64_t from_id);
/* Inside a write: the conversation goes for good, and its messages with it. */
MUST_USE enum err memory_drop_conversation(struct tx *tx, int64_t conversation_id);
