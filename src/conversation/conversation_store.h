/*
 * The SQL of conversations: lists, settings, trash. Reads take a connection and give structs in the
 * caller's arena; changes take a tx and so run on the writer thread. Messages have a store of their
 * own, message_store.h.
 */
#pragma once

#include "conversation/conversation.h"

/* --- reads ------------------------------------------------------------------------------------ */

/* E_ABSENT when it is not this owner's or is in the trash. */
MUST_USE enum err conversation_load(struct db *db, struct arena *arena, int64_t id,
                                    int64_t owner_id, struct conversation *conversation);
/* Only whether it is this owner's, and where its shown path ends (0: nothing has been said). */
MUST_USE enum err conversation_head(struct db *db, int64_t id, int64_t owner_id, int64_t *head_id);
MUST_USE enum err conversation_load_trashed(struct db *db, struct arena *arena, int64_t id,
                                            int64_t owner_id, struct conversation *conversation);
MUST_USE enum err conversation_participants(struct db *db, struct arena *arena,
                                            int64_t conversation_id,
                                            struct participant **participants, size_t *count);

/* Pinned first, then newest; the place after which to go on is the last item of the page before. */
struct conversation_place {
    bool is_set;
    bool pinned;
    int64_t last_message_at, id;
};
MUST_USE enum err conversation_list(struct db *db, struct arena *arena, int64_t owner_id,
                                    bool archived, const struct conversation_place *after,
                                    size_t limit, struct conversation **items, size_t *count);

/* --- changes (writer thread) ------------------------------------------------------------------ */

/* Inserts the conversation, its participants and the trunk. */
MUST_USE enum err conversation_insert(struct tx *tx, const struct conversation *conversation,
                                      const struct participant *participants, size_t count,
                                      int64_t trunk_id);

/* What is in the trash stays so long. */
#define CONVERSATION_TRASH_MS ((int64_t)30 * 24 * 3600 * 1000)
/*
 * While an import is under way its conversation lies at the far end of the trash, where nobody sees
 * it and the sweep takes what a crash left; at its end it is shown: head, last line, last moment and
 * persona are set.
 */
MUST_USE enum err conversation_hide_import(struct tx *tx, int64_t id, int64_t now);
MUST_USE enum err conversation_show_import(struct tx *tx, const struct conversation *conversation);

struct conversation_change {
    int64_t id, expected_revision; /* -1: whatever it is */
    bool has_title, has_persona, has_pinned, has_archived, has_settings;
    struct str title, settings;
    int64_t persona_id;
    bool pinned, archived;
};
MUST_USE enum err conversation_update(struct tx *tx, const struct conversation_change *change,
                                      int64_t now);
MUST_USE enum err conversation_trash(struct tx *tx, int64_t id, int64_t now);
MUST_USE enum err conversation_restore(struct tx *tx, int64_t id, int64_t now);
MUST_USE enum err conversation_seen(struct tx *tx, int64_t id); /* unread = 0 */
/* A reply has ended: its first line is the conversation's, if it is still the end of the shown
 * path; unread + 1 when nobody was there. */
MUST_USE enum err conversation_spoken(struct tx *tx, int64_t id, int64_t message_id,
                                      struct str last_line, bool is_unseen, int64_t now);
MUST_USE enum err conversation_mark_interrupted(struct tx *tx, int64_t now, int64_t *marked);
/* Deletes a conversation for good, a hundred messages a call, the newest first, so that others
 * who write wait some milliseconds. *more is false when it is gone. */
MUST_USE enum err conversation_discard(struct tx *tx, int64_t id, bool *more);
/* Deletes for good what has been in the trash since before `before_ms`, at most a few hundred rows.
 * *more is true when there is more. */
MUST_USE enum err conversation_sweep(struct tx *tx, int64_t before_ms, bool *more);
