/*
 * JSON as models write it: in fences, with prose around it, trailing commas, single quotes, names
 * without quotes, comments, or cut off in the middle.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

#define LOOSE_LIMIT_BYTES ((size_t)256 << 10) /* what follows is not read */

enum loose_type { LOOSE_TEXT, LOOSE_WORD, LOOSE_LIST, LOOSE_OBJECT };

struct loose {
    enum loose_type type;
    struct str name; /* of a member */
    struct str text; /* of a text or a bare word (number, true, null) */
    struct loose *first, *next;
};

/* The next object or list of `text` (whole UTF-8) from *at on; NULL when there is none. */
const struct loose *loose_next(struct arena *arena, struct str text, size_t *at);

/* Members by any of these names (between spaces, any case); NULL, "", false, `fallback` without. */
const struct loose *loose_member(const struct loose *object, const char *names);
struct str loose_text(const struct loose *object, const char *names); /* of a list its first */
bool loose_bool(const struct loose *object, const char *names);
/* 0 to 1; also "high", 8 (of ten), 80 (of a hundred), "0.8". */
double loose_share(const struct loose *object, const char *names, double fallback);
