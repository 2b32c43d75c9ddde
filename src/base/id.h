/*
 * Ids: 63-bit numbers that grow with time, shown as 13 letters of Crockford base32 (no I, L, O, U).
 *
 * Layout: 42 bits of milliseconds since 2020, 21 bits of counter that starts at a random place each
 * millisecond. They are unique and strictly increasing within a process, also when the clock steps
 * back, and they are never secrets: what must not be guessed is a token.
 */
#pragma once

#include "base/str.h"

#define ID_TEXT_LEN 13

struct id_text {
    char at[ID_TEXT_LEN + 1];
};

int64_t id_new(void);                             /* any thread */
struct id_text id_text(int64_t id);               /* by value: id_text(id).at */
void id_print(int64_t id, char out[ID_TEXT_LEN]); /* the letters alone, no NUL */
/* Strict: 13 letters, upper or lower case, a positive number. */
MUST_USE enum err id_parse(struct str text, int64_t *id);
int64_t id_at_ms(int64_t id); /* the moment it was made */
