/* The routes and jobs of all that a person has, as a whole: counted, taken along, erased. */
#pragma once

#include "net/router.h"
#include "store/job.h"

extern const struct route person_routes[];
extern const struct job_kind person_jobs[];
