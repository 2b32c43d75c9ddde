/* Empties the trash of conversations and messages after 30 days. */
#pragma once

#include "store/job.h"

extern const struct job_kind conversation_jobs[];
