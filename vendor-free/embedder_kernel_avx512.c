/*
 * AVX-512 with VNNI: one instruction multiplies 32 pairs of 16-bit numbers and adds them to 16 sums.
 * A tile is 12 rows x 32 outputs: 24 of the 32 registers.
 */
#ifdef __AVX512VNNI__
#define LANE_BYTES 64
#include "embedder_float.h"

#include <immintrin.h>

#define OUTPUTS   32
#define ROWS_MOST 12

static bool is_supported(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
}

static inline __m512i widen(const int8_t *values) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)values));
}

static inline __m512i pair_of(const int16_t *in) {
    int32_t pair;
    memcpy(&pair, in, sizeof(pair));
    return _mm512_set1_epi32(pair);
}

/* By hand, because GCC 12 copies the sums of _mm512_dpwssd_epi32() to the stack at every turn. */
static inline __m512i add_pairs(__m512i sums, __m512i values, __m512i pair) {
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sums) : "v"(values), "v"(pair));
    return sums;
}

static inline void finish(__m512i sums, float in_scale, const float *scale, const float *bias,
                          float *out) {
    __m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_set1_ps(in_scale));
    value = _mm512_mul_ps(value, _mm512_loadu_ps(scale));
    _mm512_storeu_ps(out, _mm512_add_ps(value, _mm512_loadu_ps(bias)));
}

/* The sums have names, and are no array: a compiler keeps names in registers. */
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define DECLARE(row) __m512i left##row = _mm512_setzero_si512(), right##row = left##row;
#define ADD(row)                                         \
    if (rows > (row)) {                                  \
        __m512i pair = pair_of(in + (row)*inputs);       \
        left##row = add_pairs(left##row, left, pair);    \
        right##row = add_pairs(right##row, right, pair); \
    }
#define FINISH(row)                                                                      \
    if (rows > (row)) {                                                                  \
        float *to = out + (row)*matrix->outputs;                                         \
        finish(left##row, in_scale[row], scale, bias, to);                               \
        finish(right##row, in_scale[row], scale + EMBEDDER_BLOCK, bias + EMBEDDER_BLOCK, \
               to + EMBEDDER_BLOCK);                                                     \
    }

static inline __attribute__((always_inline)) void tile(const struct embedder_matrix *matrix,
                                                       size_t block, const int16_t *in,
                                                       const float *in_scale, float *out,
                                                       const int rows, const size_t inputs) {
    const int8_t *values = matrix->values + block * inputs, *next = values + OUTPUTS * inputs;
    EACH_ROW(DECLARE)
    for (size_t k = 0; k < inputs; k += 2, in += 2, values += 2 * EMBEDDER_BLOCK) {
        _mm_prefetch((const char *)next + k * OUTPUTS, _MM_HINT_T0);
        __m512i left = widen(values), right = widen(values + EMBEDDER_BLOCK * inputs);
        EACH_ROW(ADD)
    }
    const float *scale = matrix->scale + block, *bias = matrix->bias + block;
    EACH_ROW(FINISH)
}

#define EACH_ROW_COUNT(inputs) \
    TILE_OF(1, inputs);        \
    TILE_OF(2, inputs);        \
    TILE_OF(3, inputs);        \
    TILE_OF(4, inputs);        \
    TILE_OF(5, inputs);        \
    TILE_OF(6, inputs);        \
    TILE_OF(7, inputs);        \
    TILE_OF(8, inputs);        \
    TILE_OF(9, inputs);        \
    TILE_OF(10, inputs);       \
    TILE_OF(11, inputs);       \
    TILE_OF(12, inputs);
#include "embedder_product.h"

const struct embedder_kernel embedder_kernel_avx512 =
    EMBEDDER_KERNEL("avx512-vnni", is_supported, product);
#endif
