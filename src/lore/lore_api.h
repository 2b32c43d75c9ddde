/* Routes of lorebooks. Listed by app.c. */
#pragma once

#include "net/router.h"

extern const struct route lore_routes[];
