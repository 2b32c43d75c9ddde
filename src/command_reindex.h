/* `troupe reindex`: words and vectors of everything again. */
#pragma once

#include "command.h"

int command_reindex(const struct command *command, const struct app_options *options);
/* Hidden, for tests: one line for each item with a digest of its vectors under the encoder in use,
 * then a line with the counts of the store. */
int command_test_vectors(const struct command *command, const struct app_options *options);
