/*
 * The words of the mails that the house writes, in the languages of its people.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

enum letter_kind {
    LETTER_RESET,   /* a link to a new password */
    LETTER_VERIFY,  /* a link that shows that the address is theirs */
    LETTER_EXISTS,  /* somebody registered with the address of an account that is there */
    LETTER_CHANGED, /* the password was changed by such a link */
    LETTER_TEST,    /* an admin tries the relay */
    LETTER_KINDS
};

struct letter {
    struct str subject, text; /* the arena's, or static */
};

/* "reset" ..., as it stands in the table and in answers. */
struct str letter_word(enum letter_kind kind);
/* False when it is no such word. */
bool letter_of_word(struct str word, enum letter_kind *kind);
/* A language tag ("de-AT", or a whole Accept-Language) to one that there are words in. */
struct str letter_language(struct str tag);
/* `house`: its name; `link`: where the person is to go, STR_NONE for letters without one. */
void letter_write(struct arena *arena, enum letter_kind kind, struct str language, struct str house,
                  struct str link, struct letter *letter);
