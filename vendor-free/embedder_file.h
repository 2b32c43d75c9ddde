/*
 * Where the weights are: inside the binary, or in a file beside it. They are mapped, never read: a
 * page comes into memory when it is first touched, and is shared with every process that has it.
 */
#pragma once

#include "embedder_weights.h"

/* The weights at `path`, until the process ends. NULL when it is not such a file. */
const struct embedder_weights *embedder_file_map(const char *path);
/* By the setting, inside, or beside the binary, in this order; NULL: nowhere. Looks once. Loop. */
const struct embedder_weights *embedder_file_find(void);
/* They will be used soon: the disk may begin. */
void embedder_file_wake(const struct embedder_weights *weights);
/* They will not be used for a while: their pages leave this process, and come back by themselves. */
void embedder_file_rest(const struct embedder_weights *weights);
