/*
 * A character has a handful of pieces: a first one of what stands on the playbill (name, tagline,
 * tags, personality), then its description and scenario in stretches of some sentences, because an
 * encoder reads no more than a few hundred words well. A character is as like as its best piece.
 *
 * Likeness to another character asks with the middle of its pieces: what it is about as a whole.
 */
#include "character/likeness.h"

#include "character/character_list_store.h"
#include "character/character_store.h"
#include "character/document.h"

#include <stdlib.h>

#include "base/banned.h"

#define PIECES_LIMIT  12   /* of a character: 12 x 384 bytes */
#define STRETCH_BYTES 600  /* about 120 words */
#define PARTS_A_HIT   4    /* pieces of one character may fill a list of hits: more are asked for */
#define HITS_LIMIT    1000 /* of one search */

struct pieces {
    struct arena *arena;
    struct str *items;
    size_t count;
};

static void add_piece(struct pieces *pieces, struct str text) {
    text = str_trim(text);
    if (text.len > 0 && pieces->count < PIECES_LIMIT)
        pieces->items[pieces->count++] = str_dup(pieces->arena, text);
}

static void add_stretches(struct pieces *pieces, struct str text) {
    while (text.len > 0 && pieces->count < PIECES_LIMIT)
        add_piece(pieces, stretch_take(&text, STRETCH_BYTES));
}

static enum err load(struct db *db, struct arena *arena, int64_t item,
                     struct index_source *source) {
    struct character c;
    enum err err = character_store_load_any(db, arena, item, &c);
    if (err == E_OK && c.deleted_at != 0)
        err = E_ABSENT;
    if (err != E_OK)
        return err;
    struct pieces pieces = {.arena = arena, .items = ARENA_ARRAY(arena, struct str, PIECES_LIMIT)};
    add_piece(&pieces,
              str_printf(arena, STR_FMT ". " STR_FMT " " STR_FMT " " STR_FMT, STR_ARG(c.name),
                         STR_ARG(c.tagline), STR_ARG(c.tags), STR_ARG(c.personality)));
    add_stretches(&pieces, c.description);
    add_stretches(&pieces, c.scenario);
    source->space = CHARACTER_SPACE;
    source->pieces = pieces.items;
    source->piece_count = pieces.count;
    return E_OK;
}

static enum err list(struct db *db, int64_t after, size_t limit, struct index_place *places,
                     size_t *count) {
    enum { PAGE = 256 };
    int64_t ids[PAGE];
    enum err err = character_store_ids_after(db, after, limit < PAGE ? limit : PAGE, ids, count);
    for (size_t i = 0; i < *count; i++)
        places[i] = (struct index_place){ids[i], CHARACTER_SPACE, CHARACTER_SPACE};
    return err;
}

const struct index_kind character_kind = {.name = "character", .load = load, .list = list};

enum err character_touch(struct tx *tx, int64_t character_id) {
    return index_touch(tx, &character_kind, character_id, CHARACTER_SPACE, CHARACTER_SPACE);
}

/* --- asking ---------------------------------------------------------------------------------- */

/* Hits are parts, best first: the first part of a character is its place. */
static void take(const struct vector_hit *hits, size_t hit_count, int64_t without, int64_t *ids,
                 size_t limit, size_t *count) {
    *count = 0;
    for (size_t i = 0; i < hit_count && *count < limit; i++) {
        bool is_known = hits[i].item == without;
        for (size_t j = 0; j < *count && !is_known; j++)
            is_known = ids[j] == hits[i].item;
        if (!is_known)
            ids[(*count)++] = hits[i].item;
    }
}

static enum err find(const float *query, struct index_encoder encoder, int64_t without,
                     int64_t *ids, size_t limit, size_t *count) {
    size_t wanted = limit * PARTS_A_HIT < HITS_LIMIT ? limit * PARTS_A_HIT : HITS_LIMIT;
    struct vector_hit *hits = malloc(wanted * sizeof(*hits));
    if (hits == NULL)
        return E_BUSY;
    struct vector_search search = {.space = {.id = CHARACTER_SPACE, .encoder = encoder.id},
                                   .query = query,
                                   .dims = encoder.dims,
                                   .limit = wanted};
    size_t hit_count = 0;
    enum err err = pool_vector_search(&search, hits, &hit_count);
    if (err == E_OK)
        take(hits, hit_count, without, ids, limit, count);
    free(hits);
    return err;
}

enum err pool_characters_meant(const float *question, struct index_encoder encoder, int64_t *ids,
                               size_t limit, size_t *count) {
    return find(question, encoder, 0, ids, limit, count);
}

enum err pool_characters_like(int64_t character_id, struct index_encoder encoder, int64_t *ids,
                              size_t limit, size_t *count) {
    struct vector_space space = {.id = CHARACTER_SPACE, .encoder = encoder.id};
    uint16_t parts = 0;
    float *values = malloc(sizeof(float) * encoder.dims * PIECES_LIMIT);
    if (values == NULL)
        return E_BUSY;
    enum err err = pool_vector_get(space, character_id, encoder.dims, values, PIECES_LIMIT, &parts);
    if (err == E_OK && parts == 0)
        err = E_ABSENT;
    for (size_t part = 1; part < parts && err == E_OK; part++)
        for (size_t i = 0; i < encoder.dims; i++)
            values[i] += values[part * encoder.dims + i];
    if (err == E_OK)
        err = find(values, encoder, character_id, ids, limit, count);
    free(values);
    return err;
}
