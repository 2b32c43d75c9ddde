/* Which version of the library of loop/ this program found at run time, for `troupe version`. */
#include "loop/version.h"

#include <uv.h>

#include "base/banned.h"

void loop_print_versions(struct buf *out) {
    buf_printf(out, "libuv %s\n", uv_version_string());
}
