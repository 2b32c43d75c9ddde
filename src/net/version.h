/* Which libraries this floor stands on, for `troupe version`. */
#pragma once

#include "base/buf.h"

void net_print_versions(struct buf *out); /* a line each: "name version" */
