/*
 * Conversations as rules: who may be here, what their settings are, what a message looks like to
 * clients. The tree of messages and its branches are told in conversation_store.h and schema.sql.
 */
#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "character/macro.h"
#include "model/chat.h"
#include "net/field.h"
#include "store/store.h"

struct conversation {
    int64_t id, owner_id;
    struct str title;
    int64_t persona_id;
    struct str mode;
    struct str settings; /* JSON object, see struct conversation_settings */
    int64_t head_id;     /* 0: nothing has been said */
    int64_t from_conversation_id, from_message_id;
    bool pinned, archived;
    int64_t unread;
    struct str last_line;
    int64_t last_message_at, revision, created_at, updated_at, deleted_at;
};

/* Who takes part; avatar and name are today's, or those of then when the character is gone. */
struct participant {
    int64_t character_id;
    struct str name;
    struct str avatar_blob;
    bool is_gone;
};

/* One message with the variant that is shown. */
struct message {
    int64_t id, conversation_id, branch_id, parent_id;
    int64_t parent_variant; /* -1 at the root */
    struct str role, author_kind;
    int64_t author_id;
    struct str author_name;
    int64_t swipe_index, swipe_count;
    bool hidden;
    struct str external_id;
    struct str extra; /* JSON, of an import; written, not read back */
    int64_t revision, created_at, updated_at, deleted_at;
    struct str state, content, reasoning, model, finish_reason;
    int64_t prompt_tokens, reply_tokens; /* -1: not known */
};

/* What a person sets for one conversation; `has` bits tell what was said (bit = row of
 * conversation_settings_rows). */
struct conversation_settings {
    struct str author_note;
    int64_t author_note_depth; /* messages from the end; 0: at the very end */
    struct str scenario;       /* instead of the card's */
    struct str system_prompt;  /* instead of the card's */
    struct str route;          /* model route; STR_NONE: "default" */
    bool memory,
        shared_memory; /* when said, instead of the person's preferences; read by memory_store.c */
    double temperature, top_p, min_p, frequency_penalty, presence_penalty, repetition_penalty;
    int64_t top_k, seed, reply_tokens;
    struct field_texts stop;
    uint64_t has;
};
extern const struct field conversation_settings_rows[];

/* Reads the stored JSON; members that are not (or no longer) known are passed over. */
struct conversation_settings conversation_settings_read(struct arena *arena, struct str json);
/* Lays the members of `change` (a checked settings struct with its has bits) over the stored JSON
 * and gives the new JSON. */
struct str conversation_settings_merge(struct arena *arena, struct str stored,
                                       const struct conversation_settings *change);
struct chat_sampling conversation_sampling(const struct conversation_settings *settings);

/* True when this person may listen and speak here. Loop thread; one indexed look-up. */
bool conversation_may_join(int64_t user_id, int64_t conversation_id);

/* --- when its owner leaves: erase_store.c ------------------------------------------------------- */

/* The conversations of a person, in the trash or not, after `after`, by id: up to `limit`. */
MUST_USE enum err conversation_ids(struct db *db, int64_t owner_id, int64_t after, int64_t *ids,
                                   size_t limit, size_t *count);
/* Inside a write, for good: a portion of one of this person's conversations. *more: call again. */
MUST_USE enum err conversation_erase(struct tx *tx, int64_t owner_id, bool *more);

void conversation_write(struct json *json, const struct conversation *conversation,
                        const struct participant *participants, size_t participant_count);
void message_write(struct json *json, const struct message *message);
extern const struct shape conversation_shape;
extern const struct shape conversation_settings_shape;
extern const struct shape message_shape;

/* The beginning of a text as one line, for lists: at most 120 characters, markup and line ends
 * flattened. */
struct str conversation_line(struct arena *arena, struct str content);
