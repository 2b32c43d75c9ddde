/* The libraries of net/: parsers say their version only when they are compiled in. */
#include "net/version.h"

#include <llhttp.h>
#include <wslay/wslayver.h>

#include "base/banned.h"

void net_print_versions(struct buf *out) {
    buf_printf(out, "llhttp %d.%d.%d\nwslay %s\n", LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR,
               LLHTTP_VERSION_PATCH, WSLAY_VERSION);
}
