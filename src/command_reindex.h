/* `troupe reindex`: words and vectors of everything again. */
#pragma once

#include "command.h"

int command_reindex(const struct command *command, const struct app_options *options);
