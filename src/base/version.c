/* The libraries of base/, as they are at run time where the library says, else as they were at
 * build time. */
#include "base/version.h"

#include <mbedtls/version.h>
#include <utf8proc.h>
#include <zlib.h>

#include "base/banned.h"

void base_print_versions(struct buf *out) {
    buf_printf(out, "mbedtls %s\nutf8proc %s\nzlib %s\n", MBEDTLS_VERSION_STRING,
               utf8proc_version(), zlibVersion());
}
