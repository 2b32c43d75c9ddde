/*
 * AVX-VNNI, which processors without AVX-512 have (the small servers that stand at home among them):
 * multiplying and adding is one instruction. A tile has 6 rows: 12 sums of the 16 registers.
 */
#ifdef __AVX2__
#define LANE_BYTES 32
#include "embedder_float.h"

#include <cpuid.h>
#include <immintrin.h>

#define ROWS_MOST  6
#define CPUID_VNNI (1u << 4) /* leaf 7.1, eax; clang 14 does not know the name */

static bool is_supported(void) {
    unsigned a = 0, b, c, d;
    return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) &&
           (a & CPUID_VNNI) != 0;
}

/* By hand, as in embedder_kernel_avx512.c. */
static inline __m256i add_pairs(__m256i sums, __m256i values, __m256i pair) {
    __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sums) : "x"(values), "x"(pair));
    return sums;
}

#include "embedder_avx2.h"

const struct embedder_kernel embedder_kernel_vnni =
    EMBEDDER_KERNEL("avx-vnni", is_supported, product);
#endif
