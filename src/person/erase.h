/* Everything of a person goes for good: a standing job that looks every hour, and one at once. */
#pragma once

#include "store/job.h"

#define ERASE_UNDO_MS ((int64_t)7 * 24 * 3600 * 1000) /* between leaving and being erased */

/* Inside the write that closes an account whose moment is now. */
MUST_USE enum err erase_order(struct tx *tx);
void erase_run(struct job *job); /* erases everybody whose moment has come; both kinds' run() */
