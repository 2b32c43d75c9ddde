/*
 * NEON with the dot product of bytes (ARMv8.2, most servers and phones): an instruction multiplies
 * four times four bytes. An activation goes as two bytes, 128 x high + low, each exact, with sums of
 * their own that meet at the end. A tile is 2 rows x 16 outputs: 16 of the 32 registers.
 */
#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#define LANE_BYTES 16
#include "embedder_float.h"

#include <arm_neon.h>
#include <sys/auxv.h>

#define OUTPUTS   16
#define ROWS_MOST 2

#ifndef HWCAP_ASIMDDP
#define HWCAP_ASIMDDP (1 << 20)
#endif

static bool is_supported(void) {
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
}

/* Four inputs of 16 outputs: two rows of pairs become quads, four outputs in a register. */
struct quads {
    int8x16_t at[4];
};

static inline struct quads quads_of(const int8_t *values) {
    struct quads quads;
    for (int half = 0; half < 2; half++) {
        int16x8_t first = vreinterpretq_s16_s8(vld1q_s8(values + 16 * half));
        int16x8_t second = vreinterpretq_s16_s8(vld1q_s8(values + 2 * EMBEDDER_BLOCK + 16 * half));
        quads.at[2 * half] = vreinterpretq_s8_s16(vzip1q_s16(first, second));
        quads.at[2 * half + 1] = vreinterpretq_s8_s16(vzip2q_s16(first, second));
    }
    return quads;
}

struct halves {
    int8x8_t high, low;
};

/* Eight activations as 128 x high + low, low from -64 to 63. */
static inline struct halves halves_of(const int16_t *in) {
    int16x8_t value = vld1q_s16(in);
    int16x8_t high = vshrq_n_s16(vaddq_s16(value, vdupq_n_s16(64)), 7);
    int16x8_t low = vsubq_s16(value, vshlq_n_s16(high, 7));
    return (struct halves){vmovn_s16(high), vmovn_s16(low)};
}

static inline void finish(int32x4_t high, int32x4_t low, float in_scale, const float *scale,
                          const float *bias, float *out) {
    int32x4_t sums = vaddq_s32(vshlq_n_s32(high, 7), low);
    float32x4_t value = vmulq_n_f32(vcvtq_f32_s32(sums), in_scale);
    vst1q_f32(out, vaddq_f32(vmulq_f32(value, vld1q_f32(scale)), vld1q_f32(bias)));
}

#define EACH_ROW(DO) DO(0) DO(1)
#define DECLARE(row)                                                                             \
    int32x4_t ha##row = vdupq_n_s32(0), hb##row = ha##row, hc##row = ha##row, hd##row = ha##row; \
    int32x4_t la##row = ha##row, lb##row = ha##row, lc##row = ha##row, ld##row = ha##row;
#define ADD_QUADS(row, quads, lane)                                         \
    ha##row = vdotq_lane_s32(ha##row, quads.at[0], halves##row.high, lane); \
    hb##row = vdotq_lane_s32(hb##row, quads.at[1], halves##row.high, lane); \
    hc##row = vdotq_lane_s32(hc##row, quads.at[2], halves##row.high, lane); \
    hd##row = vdotq_lane_s32(hd##row, quads.at[3], halves##row.high, lane); \
    la##row = vdotq_lane_s32(la##row, quads.at[0], halves##row.low, lane);  \
    lb##row = vdotq_lane_s32(lb##row, quads.at[1], halves##row.low, lane);  \
    lc##row = vdotq_lane_s32(lc##row, quads.at[2], halves##row.low, lane);  \
    ld##row = vdotq_lane_s32(ld##row, quads.at[3], halves##row.low, lane);
#define ADD(row)                                                  \
    if (rows > (row)) {                                           \
        struct halves halves##row = halves_of(in + (row)*inputs); \
        ADD_QUADS(row, early, 0)                                  \
        ADD_QUADS(row, late, 1)                                   \
    }
#define FINISH(row)                                                              \
    if (rows > (row)) {                                                          \
        float *to = out + (row)*matrix->outputs;                                 \
        finish(ha##row, la##row, in_scale[row], scale, bias, to);                \
        finish(hb##row, lb##row, in_scale[row], scale + 4, bias + 4, to + 4);    \
        finish(hc##row, lc##row, in_scale[row], scale + 8, bias + 8, to + 8);    \
        finish(hd##row, ld##row, in_scale[row], scale + 12, bias + 12, to + 12); \
    }

static inline __attribute__((always_inline)) void tile(const struct embedder_matrix *matrix,
                                                       size_t block, const int16_t *in,
                                                       const float *in_scale, float *out,
                                                       const int rows, const size_t inputs) {
    const int8_t *values = matrix->values + block * inputs;
    EACH_ROW(DECLARE)
    for (size_t k = 0; k < inputs; k += 8, in += 8, values += 8 * EMBEDDER_BLOCK) {
        struct quads early = quads_of(values), late = quads_of(values + 4 * EMBEDDER_BLOCK);
        EACH_ROW(ADD)
    }
    const float *scale = matrix->scale + block, *bias = matrix->bias + block;
    EACH_ROW(FINISH)
}

#define EACH_ROW_COUNT(inputs) \
    TILE_OF(1, inputs);        \
    TILE_OF(2, inputs);
#include "embedder_product.h"

const struct embedder_kernel embedder_kernel_dot =
    EMBEDDER_KERNEL("neon-dot", is_supported, product);
#endif
