/* The picture that an exported card gets when its character has none: the initial on a ground of
 * colours that follow from the name. The same name gives the same bytes. */
#pragma once

#include "base/arena.h"
#include "base/str.h"

/* A PNG of PLACARD_WIDTH by PLACARD_HEIGHT, a few kilobytes. Milliseconds: for a pool thread. */
#define PLACARD_WIDTH  400
#define PLACARD_HEIGHT 600
struct str pool_placard(struct arena *arena, struct str name);
