/* A card as its text, for what must be readable again. */
#pragma once

#include "base/check.h"
#include "character/card.h"

#define WRITTEN_LIMIT_BYTES ((size_t)64 << 20)

static inline struct str written(struct arena *arena, const struct card *card,
                                 enum card_format format) {
    struct buf buf;
    struct json json;
    buf_init(&buf, WRITTEN_LIMIT_BYTES);
    json_init(&json, &buf);
    card_write(&json, card, format);
    BUG_IF(buf.err != E_OK);
    struct str text = str_dup(arena, buf_str(&buf));
    buf_release(&buf);
    return text;
}
