/* Models and routes for admins, the choice for members, and the test of a model. */
#pragma once

#include "net/router.h"

extern const struct route model_routes[];
/* NULL when the address of an endpoint is good, else what is wrong with it. */
const char *model_url_problem(struct str url);
