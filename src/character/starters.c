/* The starter cast: cards and portraits that the binary carries, in the order of cast.json. */
#include "base/check.h"
#include "base/embedded.h"
#include "base/log.h"
#include "character/card.h"
#include "base/image.h"
#include "store/blob.h"

#include "base/banned.h"

static const struct embedded *file_of(struct arena *arena, struct str slug, const char *name) {
    return embedded_find(str_printf(arena, "characters/" STR_FMT "/%s", STR_ARG(slug), name));
}

/* The key is durable before the row names it. */
static enum err put_portrait(struct arena *arena, struct str slug, struct card *card) {
    const struct embedded *file = file_of(arena, slug, "portrait.png");
    struct image image;
    const char *problem;
    char *key = arena_alloc(arena, BLOB_KEY_LEN + 1);
    if (file == NULL)
        return E_OK;
    BUG_IF(pool_image_check(arena, file->bytes, &image, &problem) != E_OK);
    enum err err = blob_port()->pool_put(image.bytes, key);
    if (err == E_OK)
        card->character.avatar_blob = str_of(key, BLOB_KEY_LEN);
    return err;
}

static enum err add_starter(struct tx *tx, struct arena *arena, struct str slug, int64_t owner_id) {
    const struct embedded *file = file_of(arena, slug, "card.json");
    struct card card;
    const char *problem;
    BUG_IF(file == NULL);
    if (card_read(arena, file->bytes, &card, &problem) != E_OK)
        BUG("starter " STR_FMT ": %s", STR_ARG(slug), problem);
    enum err err = put_portrait(arena, slug, &card);
    if (err != E_OK)
        return err;
    card.character.owner_id = owner_id;
    card.character.visibility = STR("public");
    card.character.content_tier = STR("all_ages");
    card.character.origin = STR("starter");
    return character_insert(tx, &card.character, card.has_book ? &card.book : NULL);
}

/* The last of the cast goes first, so that the first of it is the newest, and leads the list. */
enum err character_add_starters(struct tx *tx, int64_t owner_id) {
    const struct embedded *cast = embedded_find(STR("characters/cast.json"));
    const struct json_value *slugs;
    struct arena arena;
    enum err err = E_OK;
    if (cast == NULL)
        return E_OK;
    arena_init(&arena);
    BUG_IF(json_parse(&arena, cast->bytes, &slugs, NULL) != E_OK);
    for (size_t i = json_count(slugs); i > 0 && err == E_OK; i--)
        err = add_starter(tx, &arena, json_string(json_item(slugs, i - 1), STR("")), owner_id);
    if (err == E_OK)
        log_info("character", "starter cast was added",
                 LF_INT("count", (int64_t)json_count(slugs)));
    arena_release(&arena);
    return err;
}
