/* The key that seals secrets at rest: 32 random bytes in DIR/key, mode 0600, made at the first
 * start. Everything sealed is lost without it. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

/* E_DENIED when the file is readable by others; E_STORAGE when it cannot be read or made; the
 * reason is logged for a person. */
MUST_USE enum err keyfile_open(const char *directory);
const uint8_t *keyfile_key(void); /* 32 bytes */
/* What was sealed with this key and context, in the arena, whose release wipes it. E_DENIED when it
 * was sealed with another key, for another context, or is damaged. */
MUST_USE enum err keyfile_unseal(struct arena *arena, struct str context, struct str sealed,
                                 struct str *secret);
