/* The library of net/: a parser that says its version only when it is compiled in. */
#include "net/version.h"

#include <llhttp.h>

#include "base/banned.h"

void net_print_versions(struct buf *out) {
    buf_printf(out, "llhttp %d.%d.%d\n", LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR,
               LLHTTP_VERSION_PATCH);
}
