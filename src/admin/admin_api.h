/* The house at a glance: numbers, storage, the doctor, the audit log. */
#pragma once

#include "net/router.h"

void admin_use(const char *data); /* the data folder; the text stays */

extern const struct route admin_routes[];
