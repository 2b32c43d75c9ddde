/* What makes memory by meaning, for admins. */
#pragma once

#include "net/router.h"

extern const struct route embedder_routes[];
