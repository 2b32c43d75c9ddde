/*
 * Characters as rules and as what a turn needs of them. The struct mirrors the table; texts are in
 * an arena. No HTTP, no SQL here.
 *
 * Every save is a revision, whole, with the character's own lorebook: a change of the book is a
 * change of the character. The newest revision equals the character.
 */
#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "store/store.h"

struct lore_book;

struct character {
    int64_t id;
    int64_t owner_id;
    struct str name, nickname, description, personality, scenario, first_mes, mes_example;
    struct str alternate_greetings;  /* JSON array of texts */
    struct str group_only_greetings; /* JSON array of texts */
    struct str system_prompt, post_history_instructions, creator_notes;
    struct str tags; /* JSON array of texts */
    struct str creator, character_version;
    struct str source;     /* JSON array of texts */
    struct str extensions; /* JSON object */
    struct str unknown;    /* JSON object, see card.c */
    struct str tagline, visibility, content_tier, voice;
    double talkativeness;
    int64_t vrm_id;
    struct str model_settings; /* JSON object */
    struct str avatar_blob;    /* STR_NONE: no portrait */
    struct str origin;
    bool is_favourite; /* of the reader it was loaded for */
    int64_t revision, created_at, updated_at, deleted_at;
};

/* Loads a character that `user_id` may see (own, public, or unlisted by its id; those for adults
 * only if the reader is one or the owner). E_ABSENT otherwise, also when it is in the trash. */
MUST_USE enum err character_load(struct db *db, struct arena *arena, int64_t id, int64_t user_id,
                                 struct character *character);
/* This person's own character of exactly that name, the newest. E_ABSENT when there is none. */
MUST_USE enum err character_named(struct db *db, int64_t user_id, struct str name, int64_t *id);
/* The greeting: 0 is first_mes, 1.. the alternates. E_INPUT past the end. Macros are not replaced.
 */
MUST_USE enum err character_greeting(struct arena *arena, const struct character *character,
                                     int64_t index, struct str *greeting);
/* Whether the age gate lets this person have it: made, changed, copied, talked with. Its owner may
 * read it in any case. */
bool character_is_open_to(struct db *db, const struct character *character, int64_t user_id);
int64_t character_greeting_count(struct arena *arena, const struct character *character);
/* What {{char}} is: the nickname if there is one (V3), else the name. */
struct str character_shown_name(const struct character *character);
/* "/api/v1/media/<blob key>" or STR_NONE. The key is the SHA-256 of the picture: it cannot be
 * guessed, so whoever was shown it may load the picture without a header, as <img> must. */
struct str character_avatar_url(struct arena *arena, int64_t id, struct str avatar_blob);
/* Puts the starter cast of the binary on the stage of `owner_id`: public, all-ages, with lore and
 * portraits. Writer thread, once. */
MUST_USE enum err character_add_starters(struct tx *tx, int64_t owner_id);

/* --- changes, on the writer thread ---------------------------------------------------------- */
/* E_DENIED for somebody's own character is the age gate: see character_is_open_to(). */

/* A character of this person that is not in the trash. E_ABSENT for what they may not see,
 * E_DENIED for what is somebody else's. */
MUST_USE enum err character_load_own(struct db *db, struct arena *arena, int64_t id,
                                     int64_t user_id, struct character *character);
/* Revision 1. Fills in id, times and revision; `book` may be NULL. With an id that was reserved
 * (id_new) where others refer to it already. */
MUST_USE enum err character_insert_as(struct tx *tx, int64_t id, struct character *character,
                                      struct lore_book *book);
MUST_USE enum err character_insert(struct tx *tx, struct character *character,
                                   struct lore_book *book);
/* What happens to the character's own book in a save. */
enum book_change { BOOK_STAYS, BOOK_IS_REPLACED, BOOK_IS_REMOVED };
/* The next revision: raises `revision`, sets `updated_at`, stores it all. */
MUST_USE enum err character_save(struct tx *tx, struct character *character, int64_t saved_by,
                                 enum book_change change, struct lore_book *book);
/* For lore_on_change(): the book of this character was changed by its own routes. */
enum err character_book_changed(struct tx *tx, int64_t character_id, int64_t user_id);
MUST_USE enum err character_trash(struct tx *tx, int64_t id, int64_t user_id);
/* E_ABSENT for somebody else's; E_CONFLICT when it is not in the trash. */
MUST_USE enum err character_restore(struct tx *tx, int64_t id, int64_t user_id);
/* The contents of revision n become the next one; visibility stays what it is. */
MUST_USE enum err character_bring_back(struct tx *tx, int64_t id, int64_t user_id, int64_t n);
/* Copies what user_id may see; private, and theirs. *copy_id is filled in. */
MUST_USE enum err character_duplicate(struct tx *tx, int64_t id, int64_t user_id, int64_t *copy_id);
/* The owner leaves: all of theirs go to the trash under that moment; `returns`: those come back. An
 * account_leave_fn. */
enum err character_owner_left(struct tx *tx, int64_t user_id, int64_t left_at, bool returns);
/* For good, one of a closed account's at a time; *more: there may be another. */
MUST_USE enum err character_erase(struct tx *tx, int64_t user_id, bool *more);
/* True when a card, or a revision of one, has this portrait: a blob_used_fn. */
bool character_uses_blob(struct db *db, struct str key);
