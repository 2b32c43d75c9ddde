/* links: troupe_character
 *
 * Text as a card: what is taken must be written, and what was written must be read and written the
 * same again. */
#include "card_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct card card, again;
    const char *problem = NULL;
    arena_init(&arena);
    if (card_read(&arena, str_of((const char *)data, size), &card, &problem) == E_OK) {
        struct str v3 = written(&arena, &card, CARD_V3),
                   copy = written(&arena, &card, CARD_V2_COPY);
        BUG_IF(card_read(&arena, copy, &again, &problem) != E_OK);
        BUG_IF(card_read(&arena, v3, &again, &problem) != E_OK);
        struct str twice = written(&arena, &again, CARD_V3);
        BUG_IF(card_read(&arena, twice, &again, &problem) != E_OK);
        BUG_IF(!str_eq(twice, written(&arena, &again, CARD_V3)));
    } else {
        BUG_IF(problem == NULL);
    }
    arena_release(&arena);
    return 0;
}
