/* LMDB: where vectors live. Today it opens, checks and counts its spaces; search comes with the
 * memory. SQLite is the truth: this can be rebuilt. */
#pragma once

#include "base/err.h"

#include <stdint.h>

MUST_USE enum err
vector_open(const char *directory); /* creates; a broken environment is set aside and made anew */
void vector_close(void);
int64_t vector_count(void); /* entries in all spaces */
