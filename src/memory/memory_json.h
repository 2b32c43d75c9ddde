/* What is remembered, as the API shows it: rows and writers. Inside memory only. */
#pragma once

#include "memory/memory.h"
#include "net/field.h"

extern const struct shape memory_fact_shape, memory_episode_shape, memory_summary_shape;
extern const char *const memory_fact_kinds[], *const memory_summary_kinds[], *const memory_makers[];

/* With the sources that the struct holds. */
void memory_fact_write(struct json *json, const struct memory_fact *fact);
void memory_episode_write(struct json *json, const struct memory_episode *episode);
void memory_summary_write(struct json *json, const struct memory_summary *summary);
