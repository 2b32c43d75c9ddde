/* What a character looks like outside: the API's objects, and the whole that a revision keeps.
 * Inside character only. */
#pragma once

#include "character/character_list_store.h"
#include "character/character_store.h"
#include "lore/book.h"
#include "net/field.h"

extern const struct shape character_shape;         /* one, with everything */
extern const struct shape character_summary_shape; /* in lists */
extern const char *const character_visibilities[], *const character_tiers[];

void character_write_summary(struct json *json, const struct character_summary *summary);
/* `book` may be NULL. */
void character_write(struct json *json, const struct character *character,
                     const struct lore_book *book);

/* The text of a revision: all that can be brought back. */
struct str character_saved(struct arena *arena, const struct character *character,
                           const struct lore_book *book);
/* Reads it back over `character`, whose ids, origin and times stay. *has_book tells whether there
 * was one. E_INPUT when it is none of ours. */
MUST_USE enum err character_read_saved(struct arena *arena, struct str text,
                                       struct character *character, struct lore_book *book,
                                       bool *has_book);

/* A member of `data` that has no column of its own (assets ...); NULL when absent. */
const struct json_value *character_kept(struct arena *arena, struct str unknown, const char *name);
/* `unknown` with that member set, or taken away (NULL). */
struct str character_keep(struct arena *arena, struct str unknown, const char *name,
                          const struct json_value *value);
