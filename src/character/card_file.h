/*
 * The files that cards travel in: JSON, and PNG with the card in a text chunk. Everything here
 * counts pixels and inflates, so it runs on a pool thread.
 */
#pragma once

#include "character/card.h"
#include "base/image.h"

#define CARD_FILE_LIMIT_BYTES (64 << 20)

struct card_file {
    struct card card;
    struct image portrait; /* IMAGE_NONE: the file had none that can be shown */
};

/*
 * By content, never by name. E_INPUT or E_LIMIT with a reason for a person in *problem (static). A
 * card whose picture is damaged is read without it, with a warning; a picture that is a bomb
 * refuses the file.
 */
MUST_USE enum err pool_card_file_read(struct arena *arena, struct str bytes, struct card_file *file,
                                      const char **problem);

/*
 * A PNG that carries the card: `portrait` (a clean PNG) or a placard, with the V2 text in `chara`
 * and, unless ccv3 is STR_NONE, the V3 text in `ccv3`. `chara` stands first: one reader takes the
 * first text chunk whatever it is called.
 */
MUST_USE enum err pool_card_file_png(struct arena *arena, struct str portrait, struct str name,
                                     struct str chara, struct str ccv3, struct str *png);
