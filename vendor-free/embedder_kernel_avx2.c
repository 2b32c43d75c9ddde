/*
 * AVX2. A tile has 4 rows: 8 sums of the 16 registers, and the rest for what is on its way.
 */
#ifdef __AVX2__
#define LANE_BYTES 32
#include "embedder_float.h"

#include <immintrin.h>

#define ROWS_MOST 4

static bool is_supported(void) {
    return __builtin_cpu_supports("avx2");
}

static inline __m256i add_pairs(__m256i sums, __m256i values, __m256i pair) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(values, pair));
}

#include "embedder_avx2.h"

const struct embedder_kernel embedder_kernel_avx2 = EMBEDDER_KERNEL("avx2", is_supported, product);
#endif
