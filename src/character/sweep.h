/* Empties the trash of characters after 30 days. */
#pragma once

#include "store/job.h"

extern const struct job_kind character_jobs[];
