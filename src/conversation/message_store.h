/*
 * The SQL of the tree of messages: message_store.c reads it, message_edit_store.c changes it and
 * message_copy_store.c copies a path of it (writer thread).
 *
 * Two facts carry the tree:
 *   1. Ids grow along every path, because a child is made after its parent. So "older than" is
 * "smaller id", on every branch.
 *   2. On the path that is shown, a message's chosen variant is the one that its child follows
 * (child.parent_variant). Every change keeps that true.
 */
#pragma once

#include "conversation/conversation.h"

/* --- reads ------------------------------------------------------------------------------------ */

/* One message with its chosen variant, or with variant `place` when that is >= 0. Also from the
 * trash: see deleted_at. */
MUST_USE enum err message_load(struct db *db, struct arena *arena, int64_t conversation_id,
                               int64_t message_id, int64_t place, struct message *message);
/* A page of the path that ends at `leaf_id`, newest first, ids smaller than before_id (0: from the
 * leaf on); without what is in the trash. */
MUST_USE enum err message_page(struct db *db, struct arena *arena, int64_t conversation_id,
                               int64_t leaf_id, int64_t before_id, size_t limit,
                               struct message **items, size_t *count);
/* The same for a prompt: of each message only what was said, by whom and when, whether it is hidden, and its place
 * among others (ids, variant) are read; the rest is zero. */
MUST_USE enum err message_page_said(struct db *db, struct arena *arena, int64_t conversation_id,
                                    int64_t leaf_id, int64_t before_id, size_t limit,
                                    struct message **items, size_t *count);
/* Where a path goes on from a variant of a message: the newest child again and again. The message
 * itself when nothing follows. */
int64_t message_deepest(struct db *db, int64_t message_id, int64_t place);
/* True when the message stands on the path that ends at leaf_id. */
bool message_is_on_path(struct db *db, int64_t message_id, int64_t leaf_id);
int64_t message_chosen(struct db *db, int64_t message_id);

struct message_variant {
    int64_t place;
    struct str state, content, model, finish_reason;
    int64_t created_at;
};
MUST_USE enum err message_variants(struct db *db, struct arena *arena, int64_t message_id,
                                   struct message_variant **items, size_t *count);
struct message_revision {
    int64_t place, revision, saved_by, created_at;
    struct str kind, content;
};
MUST_USE enum err message_revisions(struct db *db, struct arena *arena, int64_t message_id,
                                    struct message_revision **items, size_t *count);
/* The ends of all branches, for the tree view. */
struct branch_tip {
    int64_t id, parent_id; /* 0: the first */
    int64_t leaf_id, fork_message_id, created_at;
    struct str last_line;
};
MUST_USE enum err conversation_branches(struct db *db, struct arena *arena, int64_t conversation_id,
                                        struct branch_tip **items, size_t *count);
/* The recorded prompt, inflated JSON. E_ABSENT when there is none. */
MUST_USE enum err prompt_load(struct db *db, struct arena *arena, int64_t message_id, int64_t place,
                              struct str *record);

/* --- changes (writer thread) ------------------------------------------------------------------ */

/* A stretch of the tree that begins after fork_message_id of its parent branch; both 0 for the
 * trunk. */
MUST_USE enum err branch_insert(struct tx *tx, int64_t id, int64_t conversation_id,
                                int64_t parent_id, int64_t fork_message_id, int64_t now);
/* Appends messages to the path, one behind the other: the first to the head as it is now, or after its
 * `parent_id` when that is not 0. Picks or makes the branch, sets the head, touches the conversation,
 * whose `last_line` (STR_NONE: stays) is shown in lists. Fills branch_id, parent_id, parent_variant of
 * each. E_ABSENT when the conversation is gone: then nothing was changed. */
MUST_USE enum err message_append(struct tx *tx, struct message *const *messages, size_t count,
                                 struct str last_line);
/* A message whose place on its path is known, with `swipe_count` texts (an import). The head and the
 * conversation's times are the caller's, and so are its words. */
MUST_USE enum err message_insert_said(struct tx *tx, const struct message *message,
                                      const struct str *texts);
/* The texts of `variants` become swipes 1.. of a message that has been appended (greetings). */
MUST_USE enum err message_add_greetings(struct tx *tx, int64_t message_id, const struct str *texts,
                                        size_t count, int64_t chosen, int64_t now);
/* A new, streaming variant, chosen at once; the head becomes the message. *place is out. */
MUST_USE enum err variant_begin(struct tx *tx, int64_t conversation_id, int64_t message_id,
                                int64_t *place, int64_t now);
/* The chosen variant streams again (continue); its text before is kept as a revision. */
MUST_USE enum err variant_reopen(struct tx *tx, int64_t message_id, int64_t place, int64_t saved_by,
                                 int64_t now);

/* What is known of a variant at a flush, or at its end. */
struct variant_text {
    int64_t conversation_id, message_id, place;
    struct str state, content, reasoning, model, finish_reason;
    int64_t prompt_tokens, reply_tokens; /* -1: not known */
    int64_t now;
};
MUST_USE enum err variant_save(struct tx *tx, const struct variant_text *text);
MUST_USE enum err prompt_save(struct tx *tx, int64_t message_id, int64_t place, struct str record,
                              int64_t now);

/* Raises the revision: the text has changed. */
MUST_USE enum err message_touch(struct tx *tx, int64_t message_id, int64_t now);
MUST_USE enum err message_edit(struct tx *tx, const struct message *old, struct str content,
                               int64_t saved_by, int64_t now);
MUST_USE enum err message_refuse_edit(struct tx *tx, const struct message *current,
                                      struct str content, int64_t saved_by, int64_t now);
MUST_USE enum err message_hide(struct tx *tx, int64_t conversation_id, int64_t message_id,
                               bool hidden, int64_t now);
/* Trash: one message, or it and all after it on the path. *deleted is how many. The head moves to
 * what is left. */
MUST_USE enum err message_trash(struct tx *tx, int64_t conversation_id, int64_t message_id,
                                bool from_here, int64_t now, int64_t *deleted);
/* Brings back what was trashed together with this message; the path through it is shown again. */
MUST_USE enum err message_restore(struct tx *tx, int64_t conversation_id, int64_t message_id,
                                  int64_t now, int64_t *restored);
MUST_USE enum err message_choose(struct tx *tx, int64_t conversation_id, int64_t message_id,
                                 int64_t place, int64_t now);
/* Shows the path that ends at leaf_id: sets the head, and every chosen variant on the way. */
MUST_USE enum err conversation_show_path(struct tx *tx, int64_t conversation_id, int64_t leaf_id,
                                         int64_t now);
/* Copies the path up to `upto_id` with its variants into another conversation that has just been
 * inserted. */
MUST_USE enum err conversation_copy_path(struct tx *tx, int64_t from_id, int64_t upto_id,
                                         int64_t to_id, int64_t trunk_id, int64_t now);
