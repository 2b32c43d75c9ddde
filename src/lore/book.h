/*
 * A lorebook as cards carry it (`character_book` of V2 and V3): structs and JSON, both ways.
 * Members and entries that we do not understand are kept and given back. No SQL, no HTTP.
 */
#pragma once

#include "base/arena.h"
#include "base/json.h"

#define LORE_ENTRIES_LIMIT    10000
#define LORE_BOOK_LIMIT_BYTES (8 << 20) /* of entries: what a card may carry (character/card.h) */

struct lore_entry {
    int64_t id; /* ours; the `id` that a card gives is only a label, and is in `kept` */
    struct str keys, secondary_keys; /* JSON arrays of texts */
    struct str content, name, comment;
    bool enabled, constant, selective, use_regex;
    int case_sensitive; /* -1: not said */
    double insertion_order;
    double priority;       /* NAN: not said */
    struct str position;   /* "before_char", "after_char"; STR_NONE: not said */
    struct str extensions; /* JSON object */
    struct str kept;       /* JSON object: members that we have no name for */
};

struct lore_book {
    int64_t id, owner_id, character_id;
    struct str name, description;
    int64_t scan_depth, token_budget; /* -1: not said */
    bool recursive_scanning;
    struct str extensions, kept; /* JSON objects */
    int64_t created_at, updated_at;
    struct lore_entry *entries;
    size_t entry_count;
};

extern const char *const lore_positions[]; /* NULL-terminated */

struct lore_entry lore_entry_empty(void);
struct lore_book lore_book_empty(void);

/* E_INPUT when it is no object; E_LIMIT past LORE_ENTRIES_LIMIT. Texts are the arena's. */
MUST_USE enum err lore_book_read(struct arena *arena, const struct json_value *value,
                                 struct lore_book *book);

enum lore_format {
    LORE_V2,       /* as V2 has it */
    LORE_V2_PLAIN, /* likewise, without the decorators that readers of V2 would show as text */
    LORE_V3,
};
/* One whole JSON object. */
void lore_book_write(struct json *json, const struct lore_book *book, enum lore_format format);
/* The members of an entry, into an object that the caller has begun. */
void lore_entry_write(struct json *json, const struct lore_entry *entry, enum lore_format format);
