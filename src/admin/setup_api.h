/* The first five minutes: is anybody here yet, the owner, and the models on this box. */
#pragma once

#include "net/router.h"

extern const struct route setup_routes[];
