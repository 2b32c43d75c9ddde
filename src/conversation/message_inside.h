/* What the files that change the tree of messages share. Inside message_*_store.c only; writer
 * thread. */
#pragma once

#include "conversation/message_store.h"

/* The row alone, without its variants; its place in the tree is the caller's to know. */
MUST_USE enum err message_insert(struct tx *tx, const struct message *m);
/* The path that ends at `head_id` (0: nothing is left) is shown, and its end is the conversation's
 * last line. */
MUST_USE enum err conversation_show_end(struct tx *tx, int64_t conversation_id, int64_t head_id,
                                        int64_t now);
