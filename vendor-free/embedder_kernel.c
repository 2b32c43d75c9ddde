/*
 * Which kernels this build has, and which of them this machine can run best. A kernel for another
 * processor family is not compiled at all.
 */
#include "embedder_kernel.h"

#include "base/cpu.h"

/* clang-format off */
const struct embedder_kernel *const embedder_kernels[] = {
#ifdef __x86_64__
    &embedder_kernel_avx512,
    &embedder_kernel_vnni,
    &embedder_kernel_avx2,
#endif
#ifdef __aarch64__
    &embedder_kernel_dot,
    &embedder_kernel_neon,
#endif
    &embedder_kernel_plain,
    NULL,
};
/* clang-format on */

const struct embedder_kernel *embedder_kernel_best(void) {
    static const struct embedder_kernel *best; /* the same answer from every thread */
    const struct embedder_kernel *found = __atomic_load_n(&best, __ATOMIC_RELAXED);
    for (size_t i = 0; found == NULL; i++)
        if (cpu_is_plain() ? embedder_kernels[i] == &embedder_kernel_plain
                           : embedder_kernels[i]->is_supported())
            found = embedder_kernels[i];
    __atomic_store_n(&best, found, __ATOMIC_RELAXED);
    return found;
}
