/* POST /api/v1/conversations/import */
#pragma once

#include "net/router.h"

extern const struct route import_routes[];
