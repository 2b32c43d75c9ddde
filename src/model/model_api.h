/* Models and routes for admins, the choice for members, and the test of a model. */
#pragma once

#include "net/router.h"

extern const struct route model_routes[];
