/* The libraries of base/, as they are at run time where the library says, else as they were at
 * build time. */
#include "base/version.h"

#include <cjson/cJSON.h>
#include <mbedtls/version.h>
#include <utf8proc.h>
#include <zlib.h>

#include "base/banned.h"

void base_print_versions(struct buf *out) {
    buf_printf(out, "mbedtls %s\ncjson %s\nutf8proc %s\nzlib %s\n", MBEDTLS_VERSION_STRING,
               cJSON_Version(), utf8proc_version(), zlibVersion());
}
