/* The SQL of turns: what was said, as recall finds it. Reads give structs in the caller's arena;
 * changes run on the writer thread. */
#pragma once

#include "memory/pieces.h"
#include "memory/question.h"
#include "store/store.h"

/* One message that may be remembered. */
struct memory_turn {
    int64_t message_id, conversation_id, branch_id;
    int64_t previous_id; /* the turn before it on its path; 0: it is the first */
    enum memory_side side;
    int64_t speaker_id;
    struct str speaker_name;
    int64_t said_at;
    struct str text;
    struct text_form form;
};

/* As it is in the truth now. E_ABSENT when nothing of this message is to be remembered: deleted,
 * hidden, unfinished, empty, withheld, or gone. */
MUST_USE enum err turn_of_message(struct db *db, struct arena *arena, int64_t message_id,
                                  struct memory_turn *turn);
/* Only its text; E_ABSENT as above. */
MUST_USE enum err turn_text(struct db *db, struct arena *arena, int64_t message_id,
                            struct memory_turn *turn);
/* Row and words, new or instead of what was there. */
MUST_USE enum err turn_save(struct tx *tx, const struct memory_turn *turn);
/* Of a message that has no turn yet: a look-up less. */
MUST_USE enum err turn_add(struct tx *tx, const struct memory_turn *turn);
/* Those of messages from this id on; 0: all. */
MUST_USE enum err turn_remove_from(struct tx *tx, int64_t conversation_id, int64_t from_id);
MUST_USE enum err turn_remove(struct tx *tx, int64_t message_id);
/* The lengths of sums of vectors; see schema.sql. */
MUST_USE enum err turn_norms_save(struct tx *tx, int64_t message_id, int slot, double turn_norm,
                                  double pair_norm);
int64_t turn_previous(struct db *db, int64_t message_id);

struct turn_place {
    int64_t message_id, conversation_id;
};
/* Ids of messages above `after`, by id. */
MUST_USE enum err turn_list(struct db *db, int64_t after, size_t limit, struct turn_place *places,
                            size_t *count);

/* Turns that follow a message, down the tree over messages that are no turns. waiting_slot -1: all;
 * else only those whose length together with it is assumed (negative) in that slot. */
MUST_USE enum err turns_after(struct db *db, int64_t message_id, int waiting_slot, size_t limit,
                              struct turn_place *places, size_t *count);
/* The turns that follow the message come to know what stands before them now. Gives up to `limit` of
 * them. */
MUST_USE enum err turn_relink(struct tx *tx, int64_t message_id, size_t limit,
                              struct turn_place *places, size_t *count);

/* --- recall --------------------------------------------------------------------------------- */

/* E_ABSENT when it is not this person's, or in the trash. */
MUST_USE enum err turn_conversation(struct db *db, int64_t conversation_id, int64_t user_id);
/* All conversations of this person with a character of that one, itself among them; newest first. */
MUST_USE enum err turn_conversations(struct db *db, struct arena *arena, int64_t conversation_id,
                                     int64_t user_id, size_t limit, int64_t **ids, size_t *count);

/* A turn without its text. */
struct turn_row {
    int64_t id, said_at;
    enum memory_side side;
    int64_t speaker_id;
    struct str speaker_name; /* one copy for all turns under that name */
    bool is_question, has_time, has_number;
    double turn_norm, pair_norm; /* 0: no vectors yet */
};
/* The turns of the path that is shown, by id, those before `before_id` (0: all). `slot` is
 * index_encoder.slot. */
MUST_USE enum err turn_rows(struct db *db, struct arena *arena, int64_t conversation_id,
                            int64_t before_id, int slot, struct turn_row **rows, size_t *count);
/* How often each term stands in each turn: visit(ctx, message_id, counts) for turns with at least
 * one of them, by id; counts has one entry per term. */
typedef void (*turn_counts_fn)(void *ctx, int64_t message_id, const uint8_t *counts);
MUST_USE enum err turn_counts(struct db *db, struct arena *arena, int64_t conversation_id,
                              const struct question_term *terms, size_t count, turn_counts_fn visit,
                              void *ctx);
/* What people see of a turn that was found. */
struct turn_shown {
    int64_t message_id, conversation_id, said_at;
    enum memory_side side;
    struct str speaker_name, text, external_id;
};
MUST_USE enum err turn_show(struct db *db, struct arena *arena, int64_t message_id,
                            struct turn_shown *shown);
/* Turns of a conversation, and those whose vectors are there. */
MUST_USE enum err turn_totals(struct db *db, int64_t conversation_id, int slot, int64_t *turns,
                              int64_t *with_vectors);
/* Only the turns. */
MUST_USE enum err turn_total(struct db *db, int64_t conversation_id, int64_t *turns);
