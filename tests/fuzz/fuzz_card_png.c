/* links: troupe_character
 *
 * Bytes as a card file: whatever is taken must be written as V2 and V3 and read back with the same
 * name; a portrait that passed must pass again unchanged. */
#include "card_fuzz.h"
#include "character/card_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_and_read(struct arena *arena, const struct card_file *file) {
    struct str v2 = written(arena, &file->card, CARD_V2_COPY), png,
               v3 = written(arena, &file->card, CARD_V3);
    bool has_png = file->portrait.kind == IMAGE_PNG;
    struct card_file again;
    const char *problem;
    BUG_IF(pool_card_file_png(arena, has_png ? file->portrait.bytes : STR_NONE,
                              file->card.character.name, v2, v3, &png) != E_OK);
    BUG_IF(pool_card_file_read(arena, png, &again, &problem) != E_OK);
    BUG_IF(!str_eq(again.card.character.name, file->card.character.name));
    BUG_IF(again.portrait.kind != IMAGE_PNG);
    BUG_IF(has_png && !str_eq(again.portrait.bytes, file->portrait.bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct card_file file;
    struct image image, again;
    const char *problem = NULL;
    struct str bytes = str_of((const char *)data, size);
    arena_init(&arena);
    if (pool_card_file_read(&arena, bytes, &file, &problem) == E_OK)
        write_and_read(&arena, &file);
    else
        BUG_IF(problem == NULL);
    if (pool_image_check(&arena, bytes, &image, &problem) == E_OK) {
        BUG_IF(pool_image_check(&arena, image.bytes, &again, &problem) != E_OK);
        BUG_IF(!str_eq(again.bytes, image.bytes) || again.width != image.width);
    }
    arena_release(&arena);
    return 0;
}
