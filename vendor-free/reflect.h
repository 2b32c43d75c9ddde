/* Turns round what the person said: "I miss my brother" becomes a remark about "you miss your
 * brother". */
#pragma once

#include "scene.h"

/* STR_NONE when nothing was said, or not in Latin letters: the phrases of the house are English. */
struct str reflect(struct scene *scene);

/*
 * One of the patterns that were not used lately, filled; STR_NONE when all were. In a pattern %C is
 * the topic with a capital, %c without, %n the character; { and } stand where speech begins and
 * ends, and become quotation marks where the card has them. Patterns that narrate (%n) are left out
 * where it has none.
 */
struct str reflect_fill(struct scene *scene, const char *const *patterns, size_t count,
                        struct str topic);
#define REFLECT_FILL(scene, patterns, topic) \
    reflect_fill((scene), (patterns), sizeof(patterns) / sizeof *(patterns), (topic))
