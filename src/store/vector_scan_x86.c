/*
 * The loops over rows for processors with AVX2, and with AVX-512 BW and VNNI.
 *
 * Products. AVX2 widens rows to 16 bits and multiplies with 16 (vpmaddwd). VNNI multiplies bytes,
 * the left ones without a sign: rows are moved up by 128, what that adds (128 times the sum of the
 * question) is taken off at the end, and the question comes in two halves, 64 * high + low. Four
 * rows at once share the loads of the question.
 *
 * Signs. vpshufb looks 32 (64) halves of bytes up in a table of 16 at once. Two values of a table
 * fit a byte; such sums are added up in 16 bits without unpacking: once as they are (low + 256 *
 * high), once the high ones alone, and the low ones are the difference. 16 bits last for 256 bytes
 * of signs.
 */
#include "store/vector_scan.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "base/banned.h"

#define CHUNK_BYTES 256 /* of signs, that 16 bits last for: 256 * 2 * 127 = 65,024 */

/* --- AVX2 --------------------------------------------------------------------------------------- */

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline int32_t add_lanes(__m256i sum) {
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1));
    return _mm_cvtsi128_si32(four);
}

/* The sums of four registers, less a bias, side by side. */
AVX2 static inline void put_four(int32_t *out, __m256i a, __m256i b, __m256i c, __m256i d,
                                 int32_t bias) {
    __m256i four = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
    _mm_storeu_si128((__m128i *)out, _mm_sub_epi32(sum, _mm_set1_epi32(bias)));
}

AVX2 static inline __m256i product(const int8_t *row, __m256i question) {
    __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)row));
    return _mm256_madd_epi16(wide, question);
}

AVX2 static int32_t avx2_dot(const struct vector_query *query, const int8_t *row) {
    __m256i sum = _mm256_setzero_si256(), other = sum;
    for (size_t i = 0; i < query->stride; i += 32) {
        const __m256i *wide = (const __m256i *)(query->wide + i);
        sum = _mm256_add_epi32(sum, product(row + i, _mm256_load_si256(wide)));
        other = _mm256_add_epi32(other, product(row + i + 16, _mm256_load_si256(wide + 1)));
    }
    return add_lanes(_mm256_add_epi32(sum, other));
}

AVX2 static void avx2_dots(const struct vector_query *query, const int8_t *rows, size_t count,
                           int32_t *out) {
    const size_t stride = query->stride;
    size_t row = 0;
    for (; row + 4 <= count; row += 4, rows += 4 * stride) {
        __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
        for (size_t i = 0; i < stride; i += 16) {
            __m256i question = _mm256_load_si256((const __m256i *)(query->wide + i));
            a = _mm256_add_epi32(a, product(rows + i, question));
            b = _mm256_add_epi32(b, product(rows + stride + i, question));
            c = _mm256_add_epi32(c, product(rows + 2 * stride + i, question));
            d = _mm256_add_epi32(d, product(rows + 3 * stride + i, question));
        }
        put_four(out + row, a, b, c, d, 0);
    }
    for (; row < count; row++, rows += stride)
        out[row] = avx2_dot(query, rows);
}

/* 16 sums of 16 bits, even and odd rows apart, are added to the sums of 32 rows. */
AVX2 static inline void add_sums(uint32_t *sums, __m256i both, __m256i odd) {
    __m256i even = _mm256_sub_epi16(both, _mm256_slli_epi16(odd, 8));
    __m256i halves[] = {_mm256_unpacklo_epi16(even, odd), _mm256_unpackhi_epi16(even, odd)};
    for (size_t i = 0; i < 4; i++) { /* unpacking works in each half of the register */
        __m256i half = halves[i % 2];
        __m128i eight = i < 2 ? _mm256_castsi256_si128(half) : _mm256_extracti128_si256(half, 1);
        __m256i *at = (__m256i *)(sums + 8 * i);
        _mm256_store_si256(at,
                           _mm256_add_epi32(_mm256_load_si256(at), _mm256_cvtepu16_epi32(eight)));
    }
}

AVX2 static void avx2_chunk(const uint8_t *tables, const uint8_t *signs, size_t bytes,
                            uint32_t *sums) {
    const __m256i low_half = _mm256_set1_epi8(15);
    __m256i both = _mm256_setzero_si256(), odd = both;
    for (size_t i = 0; i < bytes; i++) {
        __m256i sign = _mm256_loadu_si256((const __m256i *)(signs + i * VECTOR_GROUP_ROWS));
        const __m128i *table = (const __m128i *)(tables + i * VECTOR_TABLE_LEN);
        __m256i low = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_load_si128(table)),
                                          _mm256_and_si256(sign, low_half));
        __m256i high = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_load_si128(table + 1)),
                                           _mm256_and_si256(_mm256_srli_epi16(sign, 4), low_half));
        __m256i sum = _mm256_add_epi8(low, high);
        both = _mm256_add_epi16(both, sum);
        odd = _mm256_add_epi16(odd, _mm256_srli_epi16(sum, 8));
    }
    add_sums(sums, both, odd);
}

AVX2 static uint64_t avx2_pick(const struct vector_choice *choice, const uint32_t *sums,
                               const uint8_t *factors) {
    const __m256i offset = _mm256_set1_epi32(choice->offset),
                  ratio = _mm256_set1_epi32(choice->ratio),
                  below = _mm256_set1_epi32(choice->threshold - 1);
    const uint8_t *shifts = factors + VECTOR_GROUP_ROWS;
    uint64_t chosen = 0;
    for (size_t row = 0; row < VECTOR_GROUP_ROWS; row += 8) {
        __m256i factor = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(factors + row)));
        __m256i shift = _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(shifts + 2 * row)));
        __m256i sum = _mm256_add_epi32(_mm256_load_si256((const __m256i *)(sums + row)), offset);
        __m256i value = _mm256_add_epi32(_mm256_mullo_epi32(factor, sum),
                                         _mm256_srai_epi32(_mm256_mullo_epi32(shift, ratio), 8));
        int bits = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(value, below)));
        chosen |= (uint64_t)(unsigned)bits << row;
    }
    return chosen;
}

AVX2 static uint64_t avx2_choose(const struct vector_choice *choice, const uint8_t *group) {
    _Alignas(32) uint32_t sums[VECTOR_GROUP_ROWS] = {0};
    for (size_t from = 0; from < choice->bytes; from += CHUNK_BYTES) {
        size_t bytes = choice->bytes - from < CHUNK_BYTES ? choice->bytes - from : CHUNK_BYTES;
        const uint8_t *tables = choice->tables + from * VECTOR_TABLE_LEN;
        const uint8_t *signs = group + from * VECTOR_GROUP_ROWS;
        avx2_chunk(tables, signs, bytes, sums);
        avx2_chunk(tables, signs + 32, bytes, sums + 32);
    }
    return avx2_pick(choice, sums, group + choice->bytes * VECTOR_GROUP_ROWS);
}

const struct vector_kernels *vector_kernels_avx2(void) {
    static const struct vector_kernels kernels = {
        .name = "avx2", .dots = avx2_dots, .choose = avx2_choose};
    return __builtin_cpu_supports("avx2") ? &kernels : NULL;
}

/* --- AVX-512 ------------------------------------------------------------------------------------ */

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vnni")))

AVX512 static inline __m512i raised(const int8_t *row) {
    return _mm512_xor_si512(_mm512_loadu_si512(row), _mm512_set1_epi8((char)0x80));
}

/* High and low sums as one, in half the lanes; they may go around on the way. */
AVX512 static inline __m256i joined(__m512i high, __m512i low) {
    __m512i sum = _mm512_add_epi32(_mm512_slli_epi32(high, 6), low);
    return _mm256_add_epi32(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64(sum, 1));
}

AVX512 static void avx512_dots(const struct vector_query *query, const int8_t *rows, size_t count,
                               int32_t *out) {
    const size_t stride = query->stride;
    const int32_t bias = 128 * (64 * query->high_sum + query->low_sum);
    size_t row = 0;
    for (; row + 4 <= count; row += 4, rows += 4 * stride) {
        __m512i high[4], low[4];
#pragma GCC unroll 4 /* or the sums live in memory */
        for (size_t k = 0; k < 4; k++)
            high[k] = low[k] = _mm512_setzero_si512();
        for (size_t i = 0; i < stride; i += 64) {
            __m512i question_high = _mm512_load_si512(query->high + i);
            __m512i question_low = _mm512_load_si512(query->low + i);
#pragma GCC unroll 4 /* or the sums live in memory */
            for (size_t k = 0; k < 4; k++) {
                __m512i values = raised(rows + k * stride + i);
                high[k] = _mm512_dpbusd_epi32(high[k], values, question_high);
                low[k] = _mm512_dpbusd_epi32(low[k], values, question_low);
            }
        }
        put_four(out + row, joined(high[0], low[0]), joined(high[1], low[1]),
                 joined(high[2], low[2]), joined(high[3], low[3]), bias);
    }
    for (; row < count; row++, rows += stride) {
        __m512i high = _mm512_setzero_si512(), low = high;
        for (size_t i = 0; i < stride; i += 64) {
            __m512i values = raised(rows + i);
            high = _mm512_dpbusd_epi32(high, values, _mm512_load_si512(query->high + i));
            low = _mm512_dpbusd_epi32(low, values, _mm512_load_si512(query->low + i));
        }
        out[row] = (int32_t)((uint32_t)add_lanes(joined(high, low)) - (uint32_t)bias);
    }
}

AVX512 static inline void add_sums_512(uint32_t *sums, __m512i both, __m512i odd) {
    __m512i even = _mm512_sub_epi16(both, _mm512_slli_epi16(odd, 8));
    __m512i halves[] = {_mm512_unpacklo_epi16(even, odd), _mm512_unpackhi_epi16(even, odd)};
    __m256i sixteen[] = {/* unpacking works in each quarter of the register: put them in order */
                         _mm512_castsi512_si256(_mm512_permutex2var_epi64(
                             halves[0], _mm512_set_epi64(0, 0, 0, 0, 9, 8, 1, 0), halves[1])),
                         _mm512_castsi512_si256(_mm512_permutex2var_epi64(
                             halves[0], _mm512_set_epi64(0, 0, 0, 0, 11, 10, 3, 2), halves[1])),
                         _mm512_castsi512_si256(_mm512_permutex2var_epi64(
                             halves[0], _mm512_set_epi64(0, 0, 0, 0, 13, 12, 5, 4), halves[1])),
                         _mm512_castsi512_si256(_mm512_permutex2var_epi64(
                             halves[0], _mm512_set_epi64(0, 0, 0, 0, 15, 14, 7, 6), halves[1]))};
    for (size_t i = 0; i < 4; i++) {
        __m512i at = _mm512_load_si512(sums + 16 * i);
        _mm512_store_si512(sums + 16 * i, _mm512_add_epi32(at, _mm512_cvtepu16_epi32(sixteen[i])));
    }
}

AVX512 static void avx512_chunk(const uint8_t *tables, const uint8_t *signs, size_t bytes,
                                uint32_t *sums) {
    const __m512i low_half = _mm512_set1_epi8(15);
    __m512i both = _mm512_setzero_si512(), odd = both;
    for (size_t i = 0; i < bytes; i++) {
        __m512i sign = _mm512_loadu_si512(signs + i * VECTOR_GROUP_ROWS);
        const __m128i *table = (const __m128i *)(tables + i * VECTOR_TABLE_LEN);
        __m512i low = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_load_si128(table)),
                                          _mm512_and_si512(sign, low_half));
        __m512i high = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_load_si128(table + 1)),
                                           _mm512_and_si512(_mm512_srli_epi16(sign, 4), low_half));
        __m512i sum = _mm512_add_epi8(low, high);
        both = _mm512_add_epi16(both, sum);
        odd = _mm512_add_epi16(odd, _mm512_srli_epi16(sum, 8));
    }
    add_sums_512(sums, both, odd);
}

AVX512 static uint64_t avx512_pick(const struct vector_choice *choice, const uint32_t *sums,
                                   const uint8_t *factors) {
    const __m512i offset = _mm512_set1_epi32(choice->offset),
                  ratio = _mm512_set1_epi32(choice->ratio),
                  threshold = _mm512_set1_epi32(choice->threshold);
    const uint8_t *shifts = factors + VECTOR_GROUP_ROWS;
    uint64_t chosen = 0;
    for (size_t row = 0; row < VECTOR_GROUP_ROWS; row += 16) {
        __m512i factor = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(factors + row)));
        __m512i shift =
            _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(shifts + 2 * row)));
        __m512i sum = _mm512_add_epi32(_mm512_load_si512(sums + row), offset);
        __m512i value = _mm512_add_epi32(_mm512_mullo_epi32(factor, sum),
                                         _mm512_srai_epi32(_mm512_mullo_epi32(shift, ratio), 8));
        chosen |= (uint64_t)_mm512_cmpge_epi32_mask(value, threshold) << row;
    }
    return chosen;
}

AVX512 static uint64_t avx512_choose(const struct vector_choice *choice, const uint8_t *group) {
    _Alignas(64) uint32_t sums[VECTOR_GROUP_ROWS] = {0};
    for (size_t from = 0; from < choice->bytes; from += CHUNK_BYTES) {
        size_t bytes = choice->bytes - from < CHUNK_BYTES ? choice->bytes - from : CHUNK_BYTES;
        avx512_chunk(choice->tables + from * VECTOR_TABLE_LEN, group + from * VECTOR_GROUP_ROWS,
                     bytes, sums);
    }
    return avx512_pick(choice, sums, group + choice->bytes * VECTOR_GROUP_ROWS);
}

const struct vector_kernels *vector_kernels_avx512(void) {
    static const struct vector_kernels kernels = {
        .name = "avx512", .dots = avx512_dots, .choose = avx512_choose};
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni") ? &kernels
                                                                                      : NULL;
}

#else

const struct vector_kernels *vector_kernels_avx2(void) {
    return NULL;
}

const struct vector_kernels *vector_kernels_avx512(void) {
    return NULL;
}

#endif
