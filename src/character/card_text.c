/* A character as the text of a card: for files that leave the house, one by one (file_api.c) or all of a
 * person's at once (person/export.c). */
#include "character/card.h"

#include "character/character_store.h"
#include "lore/lore.h"

#include "base/banned.h"

#define JSON_LIMIT_BYTES (32 << 20)

struct str card_text(struct arena *arena, const struct card *card, enum card_format format) {
    struct buf buf;
    struct json json;
    buf_init(&buf, JSON_LIMIT_BYTES);
    json_init(&json, &buf);
    card_write(&json, card, format);
    struct str text = buf.err == E_OK ? str_dup(arena, buf_str(&buf)) : STR_NONE;
    buf_release(&buf);
    return text;
}

enum err card_load_any(struct db *db, struct arena *arena, int64_t id, struct card *card) {
    *card = (struct card){.version = 3};
    enum err err = character_store_load_any(db, arena, id, &card->character);
    if (err != E_OK)
        return err;
    err = lore_book_of_character(db, arena, id, &card->book);
    card->has_book = err == E_OK;
    return err == E_ABSENT ? E_OK : err;
}
