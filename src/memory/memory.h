/*
 * What characters remember of people: facts, episodes, summaries, and how the two stand. The rules
 * of memory, as other features and the other files of this folder see them; no HTTP, no SQL.
 *
 * A fact is one plain sentence with a subject, a key (its predicate), a value, the messages it comes
 * from, and the time in which it holds. Equal facts become one; of a predicate that has one value
 * only (where somebody lives) a new value closes the old fact with a date and points to itself.
 *
 * What this folder needs from the floors above comes as struct memory_hooks.
 */
#pragma once

#include "base/arena.h"
#include "base/config.h"
#include "base/json.h"
#include "store/job.h"
#include "store/store.h"

struct memory_settings {
    int64_t every;     /* messages between two extractions */
    int64_t sum_every; /* messages between two summaries */
    int64_t recall_ms; /* the longest that a reply waits for what is looked up for it */
    bool learns;       /* whether anything is extracted at all */
};
extern struct memory_settings memory_settings;
extern const struct setting memory_setting_rows[];

/* --- whose memory ------------------------------------------------------------------------------- */

struct memory_scope {
    int64_t user_id, character_id, conversation_id;
    bool is_shared;      /* all conversations of these two, not only this one */
    bool needs_approval; /* what is extracted waits for the person */
    bool learns;         /* the person lets this conversation be learnt from */
};
/* E_ABSENT when there is no such conversation or it is in the trash; otherwise whatever its owner. */
MUST_USE enum err memory_scope_of(struct db *db, int64_t conversation_id,
                                  struct memory_scope *scope);

/* --- facts -------------------------------------------------------------------------------------- */

struct memory_fact {
    int64_t id, user_id, character_id, conversation_id;
    struct str kind;    /* "fact", "preference", "relationship", "event" */
    struct str subject; /* "user", "character", or a name */
    struct str predicate, object, identity, text;
    double importance, confidence;
    int64_t valid_from, valid_to; /* valid_to 0: it holds */
    int64_t superseded_by;
    struct str state; /* "active", "proposed", "superseded" */
    bool pinned;
    int64_t uses, last_used_at;
    struct str made_by; /* "model", "rules", "person" */
    int64_t revision, created_at, updated_at;
    const int64_t *sources; /* messages, oldest first */
    size_t source_count;
};

enum memory_which {
    MEMORY_HOLDING, /* state active and not closed: what prompts may use */
    MEMORY_ALL,     /* also proposed and superseded */
};
/* The facts of a scope, pinned first, then by importance, then newest. At most `limit`. Any thread
 * that owns `db`. */
MUST_USE enum err memory_facts(struct db *db, struct arena *arena, const struct memory_scope *scope,
                               enum memory_which which, size_t limit, struct memory_fact **facts,
                               size_t *count);
/* Facts stood in a prompt: uses and last_used_at. Inside a write. */
MUST_USE enum err memory_used(struct tx *tx, const int64_t *fact_ids, size_t count, int64_t now);

/* --- summaries and episodes --------------------------------------------------------------------- */

struct memory_summary {
    int64_t id, conversation_id;
    struct str kind, text; /* "recent", "full", "relationship" */
    int64_t covers_from, covers_to;
    bool is_edited, is_stale;
    int64_t own_bytes; /* of an edited one: what a person wrote is its beginning, as long as this */
    struct str made_by;
    int64_t revision, created_at, updated_at;
};
/*
 * What stands for the talk that no longer fits: the full summary (when something before
 * `history_from_id`, the oldest message that is sent, is covered by it), and how the two stand.
 * Texts are empty when there is none.
 */
struct memory_summary_texts {
    struct str full, relationship;
};
MUST_USE enum err memory_summary_text(struct db *db, struct arena *arena, int64_t conversation_id,
                                      int64_t history_from_id, struct memory_summary_texts *texts);
MUST_USE enum err memory_summaries(struct db *db, struct arena *arena, int64_t conversation_id,
                                   struct memory_summary **items, size_t *count);

struct memory_episode {
    int64_t id, user_id, character_id, conversation_id;
    struct str title, text, mood;
    int64_t started_at, ended_at, covers_from, covers_to;
    double importance;
    bool is_stale;
    struct str made_by;
    int64_t revision, created_at, updated_at;
};
/* Oldest first, those that begin after message `after_id`. */
MUST_USE enum err memory_episodes(struct db *db, struct arena *arena, int64_t conversation_id,
                                  int64_t after_id, size_t limit, struct memory_episode **items,
                                  size_t *count);
/* True when nothing of this message is to be remembered: it was forgotten. */
bool memory_is_withheld(struct db *db, int64_t message_id);

/* --- learning: what conversation code calls in its own writes ----------------------------------- */

struct memory_said {
    int64_t conversation_id, user_id;
    int64_t count;   /* messages: 2 for a turn with its reply */
    struct str text; /* the person's, to see whether it asks to be remembered; may be STR_NONE */
};
/* One statement; a second one when it is time for a job. */
MUST_USE enum err memory_said(struct tx *tx, const struct memory_said *said);
/* Messages (ids from .. to) that may have been learnt from were edited, deleted, restored or
 * swiped: what was made of them is stale, and they are looked at again. */
MUST_USE enum err memory_changed(struct tx *tx, int64_t conversation_id, int64_t from_id,
                                 int64_t to_id);
/* The conversation is about to be deleted for good. */
MUST_USE enum err memory_gone(struct tx *tx, int64_t conversation_id);

/* --- what the floors above hand in -------------------------------------------------------------- */

/* One thing said, of the path that is shown. */
struct memory_line {
    int64_t message_id, at; /* ms */
    bool is_user;
    struct str name; /* of the speaker */
    struct str text;
};
struct memory_cast {
    struct str user_name, character_name;
    struct str route;        /* of the conversation */
    const struct str *cards; /* texts that are never memory: card, persona, lore, system prompt */
    size_t card_count;
};
struct memory_hooks {
    /* E_ABSENT when the conversation is gone. Texts are the arena's. */
    enum err (*cast)(struct db *db, struct arena *arena, int64_t conversation_id,
                     struct memory_cast *cast);
    /* Tells those who listen to a conversation. */
    void (*publish)(int64_t conversation_id, const char *type, struct str data);
};
void memory_start(const struct memory_hooks *hooks);
extern const struct job_kind memory_jobs[]; /* learn.c */
