/*
 * Characters as rules and as what a turn needs of them. The struct mirrors the table; texts are in an arena. No HTTP, no SQL here.
 */
#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "store/store.h"

struct character {
    int64_t id;
    int64_t owner_id;
    struct str name, nickname, description, personality, scenario, first_mes, mes_example;
    struct str alternate_greetings;  /* JSON array of texts */
    struct str group_only_greetings; /* JSON array of texts */
    struct str system_prompt, post_history_instructions, creator_notes;
    struct str tags;                 /* JSON array of texts */
    struct str creator, character_version;
    struct str source;               /* JSON array of texts */
    struct str extensions;           /* JSON object */
    struct str unknown;              /* JSON object */
    struct str tagline, visibility, content_tier, voice;
    double talkativeness;
    int64_t vrm_id;
    struct str model_settings;       /* JSON object */
    struct str avatar_blob;          /* STR_NONE: no portrait */
    struct str origin;
    bool is_favourite;               /* of the reader it was loaded for */
    int64_t revision, created_at, updated_at, deleted_at;
};

/* Loads a character that `user_id` may see (own, public, or unlisted by its id). E_ABSENT otherwise, also when it is in the trash. */
MUST_USE enum err character_load(struct db *db, struct arena *arena, int64_t id, int64_t user_id, struct character *character);
/* The greeting: 0 is first_mes, 1.. the alternates. E_INPUT past the end. Macros are not replaced. */
MUST_USE enum err character_greeting(struct arena *arena, const struct character *character, int64_t index, struct str *greeting);
int64_t character_greeting_count(struct arena *arena, const struct character *character);
/* What {{char}} is: the nickname if there is one (V3), else the name. */
struct str character_shown_name(const struct character *character);
/* "/api/v1/characters/<id>/avatar?v=<revision part of the blob key>" or STR_NONE. */
struct str character_avatar_url(struct arena *arena, int64_t id, struct str avatar_blob);
/* Puts the starter cast of the binary on the stage of `owner_id`: public, all-ages, with lore and portraits. Writer thread, once. */
MUST_USE enum err character_add_starters(struct tx *tx, int64_t owner_id);
