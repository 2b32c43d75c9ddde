/* Which libraries this floor stands on, for `troupe version`. */
#pragma once

#include "base/buf.h"

void loop_print_versions(struct buf *out); /* a line each: "name version" */
