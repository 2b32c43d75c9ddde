/* The key that seals secrets at rest: 32 random bytes in DIR/key, mode 0600, made at the first
 * start. Everything sealed is lost without it. */
#pragma once

#include "base/err.h"

#include <stdint.h>

/* E_DENIED when the file is readable by others; E_STORAGE when it cannot be read or made; the
 * reason is logged for a person. */
MUST_USE enum err keyfile_open(const char *directory);
const uint8_t *keyfile_key(void); /* 32 bytes */
