/*
 * The product in registers of 256 bits: a tile of ROWS_MOST x 16 outputs. The including file, a
 * kernel, gives add_pairs(sums, values, pair), which multiplies 16 pairs of 16-bit numbers and adds
 * them to 8 sums, and ROWS_MOST, 4 or 6.
 */
#include <immintrin.h>

#define OUTPUTS 16

static inline __m256i widen(const int8_t *values) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)values));
}

static inline __m256i pair_of(const int16_t *in) {
    int32_t pair;
    memcpy(&pair, in, sizeof(pair));
    return _mm256_set1_epi32(pair);
}

static inline void finish(__m256i sums, float in_scale, const float *scale, const float *bias,
                          float *out) {
    __m256 value = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), _mm256_set1_ps(in_scale));
    value = _mm256_mul_ps(value, _mm256_loadu_ps(scale));
    _mm256_storeu_ps(out, _mm256_add_ps(value, _mm256_loadu_ps(bias)));
}

/* The sums have names, and are no array: a compiler keeps names in registers. */
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define DECLARE(row) __m256i left##row = _mm256_setzero_si256(), right##row = left##row;
#define ADD(row)                                         \
    if (rows > (row)) {                                  \
        __m256i pair = pair_of(in + (row)*inputs);       \
        left##row = add_pairs(left##row, left, pair);    \
        right##row = add_pairs(right##row, right, pair); \
    }
#define FINISH(row)                                                     \
    if (rows > (row)) {                                                 \
        float *to = out + (row)*matrix->outputs;                        \
        finish(left##row, in_scale[row], scale, bias, to);              \
        finish(right##row, in_scale[row], scale + 8, bias + 8, to + 8); \
    }

static inline __attribute__((always_inline)) void tile(const struct embedder_matrix *matrix,
                                                       size_t block, const int16_t *in,
                                                       const float *in_scale, float *out,
                                                       const int rows, const size_t inputs) {
    const int8_t *values = matrix->values + block * inputs;
    EACH_ROW(DECLARE)
    for (size_t k = 0; k < inputs; k += 2, in += 2, values += 2 * EMBEDDER_BLOCK) {
        __m256i left = widen(values), right = widen(values + EMBEDDER_BLOCK);
        EACH_ROW(ADD)
    }
    const float *scale = matrix->scale + block, *bias = matrix->bias + block;
    EACH_ROW(FINISH)
}

#if ROWS_MOST == 6
#define TILES_ABOVE(inputs) \
    TILE_OF(5, inputs);     \
    TILE_OF(6, inputs);
#else
#define TILES_ABOVE(inputs)
#endif
#define EACH_ROW_COUNT(inputs) \
    TILE_OF(1, inputs);        \
    TILE_OF(2, inputs);        \
    TILE_OF(3, inputs);        \
    TILE_OF(4, inputs);        \
    TILES_ABOVE(inputs)
#include "embedder_product.h"
