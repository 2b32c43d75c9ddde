/*
 * The loops over rows for 64-bit ARM: NEON, which every such processor has, and the dot product of
 * ARMv8.2 where there is one. What they do is told in vector_scan_x86.c; tables of 16 are looked up
 * with tbl.
 */
#include "store/vector_scan.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#include <sys/auxv.h>

#include "base/banned.h"

#ifndef HWCAP_ASIMDDP
#define HWCAP_ASIMDDP (1 << 20)
#endif

#define CHUNK_BYTES 256 /* of signs, that 16 bits last for: 256 * 2 * 127 = 65,024 */

static void neon_dots(const struct vector_query *query, const int8_t *rows, size_t count,
                      int32_t *out) {
    for (size_t row = 0; row < count; row++, rows += query->stride) {
        int32x4_t a = vdupq_n_s32(0), b = a;
        for (size_t i = 0; i < query->stride; i += 16) {
            int8x16_t values = vld1q_s8(rows + i);
            int16x8_t low = vmovl_s8(vget_low_s8(values)), high = vmovl_high_s8(values);
            int16x8_t question = vld1q_s16(query->wide + i), next = vld1q_s16(query->wide + i + 8);
            a = vmlal_s16(a, vget_low_s16(low), vget_low_s16(question));
            b = vmlal_high_s16(b, low, question);
            a = vmlal_s16(a, vget_low_s16(high), vget_low_s16(next));
            b = vmlal_high_s16(b, high, next);
        }
        out[row] = vaddvq_s32(vaddq_s32(a, b));
    }
}

__attribute__((target("arch=armv8.2-a+dotprod"))) static void
dotprod_dots(const struct vector_query *query, const int8_t *rows, size_t count, int32_t *out) {
    for (size_t row = 0; row < count; row++, rows += query->stride) {
        int32x4_t high = vdupq_n_s32(0), low = high;
        for (size_t i = 0; i < query->stride; i += 16) {
            int8x16_t values = vld1q_s8(rows + i);
            high = vdotq_s32(high, values, vld1q_s8(query->high + i));
            low = vdotq_s32(low, values, vld1q_s8(query->low + i));
        }
        out[row] = vaddvq_s32(vaddq_s32(vshlq_n_s32(high, 6), low));
    }
}

/* 16 rows. */
static void neon_chunk(const uint8_t *tables, const uint8_t *signs, size_t bytes, uint32_t *sums) {
    uint16x8_t first = vdupq_n_u16(0), second = first;
    for (size_t i = 0; i < bytes; i++) {
        uint8x16_t sign = vld1q_u8(signs + i * VECTOR_GROUP_ROWS);
        const uint8_t *table = tables + i * VECTOR_TABLE_LEN;
        uint8x16_t low = vqtbl1q_u8(vld1q_u8(table), vandq_u8(sign, vdupq_n_u8(15)));
        uint8x16_t high = vqtbl1q_u8(vld1q_u8(table + 16), vshrq_n_u8(sign, 4));
        uint8x16_t sum = vaddq_u8(low, high);
        first = vaddw_u8(first, vget_low_u8(sum));
        second = vaddw_high_u8(second, sum);
    }
    vst1q_u32(sums, vaddw_u16(vld1q_u32(sums), vget_low_u16(first)));
    vst1q_u32(sums + 4, vaddw_high_u16(vld1q_u32(sums + 4), first));
    vst1q_u32(sums + 8, vaddw_u16(vld1q_u32(sums + 8), vget_low_u16(second)));
    vst1q_u32(sums + 12, vaddw_high_u16(vld1q_u32(sums + 12), second));
}

static uint64_t neon_choose(const struct vector_choice *choice, const uint8_t *group) {
    uint32_t sums[VECTOR_GROUP_ROWS] = {0};
    for (size_t from = 0; from < choice->bytes; from += CHUNK_BYTES) {
        size_t bytes = choice->bytes - from < CHUNK_BYTES ? choice->bytes - from : CHUNK_BYTES;
        for (size_t row = 0; row < VECTOR_GROUP_ROWS; row += 16)
            neon_chunk(choice->tables + from * VECTOR_TABLE_LEN,
                       group + from * VECTOR_GROUP_ROWS + row, bytes, sums + row);
    }
    return vector_choose_plain(choice, sums, group + choice->bytes * VECTOR_GROUP_ROWS);
}

const struct vector_kernels *vector_kernels_neon(void) {
    static const struct vector_kernels kernels = {
        .name = "neon", .dots = neon_dots, .choose = neon_choose};
    return &kernels;
}

const struct vector_kernels *vector_kernels_dotprod(void) {
    static const struct vector_kernels kernels = {
        .name = "dotprod", .dots = dotprod_dots, .choose = neon_choose};
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP ? &kernels : NULL;
}

#else

const struct vector_kernels *vector_kernels_neon(void) {
    return NULL;
}

const struct vector_kernels *vector_kernels_dotprod(void) {
    return NULL;
}

#endif
