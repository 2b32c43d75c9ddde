/* Long work as people see it: their own, and for admins everybody's. */
#pragma once

#include "net/router.h"

extern const struct route job_routes[];
