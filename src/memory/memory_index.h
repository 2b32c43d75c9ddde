/* What is learnt is found by meaning: facts, episodes and summaries as kinds of the index. */
#pragma once

#include "model/index.h"

extern const struct index_kind memory_kind_fact, memory_kind_episode, memory_kind_summary;
