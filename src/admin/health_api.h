/* GET /healthz, /readyz and /metrics: for supervisors, balancers and Prometheus. */
#pragma once

#include "net/router.h"

extern const struct route health_routes[];
