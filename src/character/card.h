/*
 * Character cards V1, V2 and V3 as JSON, both ways. What we have no name for is kept in its place
 * and given back on export. No files, no SQL: containers are card_file.h.
 */
#pragma once

#include "base/json.h"
#include "character/character.h"
#include "lore/book.h"

#define CARD_JSON_LIMIT_BYTES (8 << 20)
#define CARD_NAME_LENGTH      200 /* code points; what is longer is cut */
#define CARD_WARNINGS_LIMIT   8

struct card {
    int version;                /* 1, 2 or 3: of the file */
    struct character character; /* the card's fields and what it says of ours; ids are 0 */
    bool has_book;
    struct lore_book book;
    const char *warnings[CARD_WARNINGS_LIMIT]; /* static texts for a person */
    size_t warning_count;
};

/*
 * Reads a card's JSON. E_INPUT with a reason for a person in *problem (static): no JSON, no card,
 * an encrypted card, another kind of file. Texts are the arena's. Whatever is odd but clear is
 * taken: numbers as texts, one text as a list, members that are missing.
 */
MUST_USE enum err card_read(struct arena *arena, struct str json, struct card *card,
                            const char **problem);

enum card_format {
    CARD_V2,
    CARD_V2_COPY, /* the reduced copy beside a V3 card, for readers that do not know V3: says so */
    CARD_V3,
};
/* One whole JSON object. `character.unknown` tells what else stood in the card that it came from.
 */
void card_write(struct json *json, const struct card *card, enum card_format format);

/* The same as text; STR_NONE when it is longer than any card may be. */
struct str card_text(struct arena *arena, const struct card *card, enum card_format format);
/* The card of a character, whosever it is, in the trash or not: for its owner's own download. */
MUST_USE enum err card_load_any(struct db *db, struct arena *arena, int64_t id, struct card *card);

/* What a character is before anything is said. */
struct character character_empty(void);
void card_warn(struct card *card, const char *warning);
