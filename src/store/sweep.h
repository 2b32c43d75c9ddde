/* Removes blobs that no row refers to. */
#pragma once

#include "store/job.h"

/* True when a row of this feature refers to the blob. Asked on the loop; an index answers it. */
typedef bool (*blob_used_fn)(struct db *db, struct str key);

/* Who may refer to blobs: set once by app.c before jobs start; NULL-terminated, and stays. */
void blob_sweep_ask(const blob_used_fn *askers);

/* True when a row of any feature refers to it. Loop. */
bool blob_is_used(struct str key);

extern const struct job_kind blob_jobs[];
