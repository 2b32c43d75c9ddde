/* Asked once for each choice of kernels: the environment does not change. */
#include "base/cpu.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

bool cpu_is_plain(void) {
    const char *wanted = getenv("TROUPE_TEST_KERNELS");
    return wanted != NULL && strcmp(wanted, "plain") == 0;
}
