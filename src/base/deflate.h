/* zlib streams of whole texts: what is kept for long and read seldom (recorded prompts). */
#pragma once

#include "base/arena.h"
#include "base/str.h"

struct str deflate_bytes(struct arena *arena, struct str bytes);
/* E_INPUT when it is no zlib stream, E_LIMIT past limit_bytes. */
MUST_USE enum err inflate_bytes(struct arena *arena, struct str deflated, size_t limit_bytes,
                                struct str *bytes);
