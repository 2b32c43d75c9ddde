/*
 * NEON, for every 64-bit ARM: 16-bit numbers are multiplied four at a time and added to four sums. A
 * tile is 4 rows x 16 outputs: 16 of the 32 registers.
 */
#ifdef __aarch64__
#define LANE_BYTES 16
#include "embedder_float.h"

#include <arm_neon.h>

#define OUTPUTS   16
#define ROWS_MOST 4

static bool always(void) {
    return true;
}

static inline void finish(int32x4_t sums, float in_scale, const float *scale, const float *bias,
                          float *out) {
    float32x4_t value = vmulq_n_f32(vcvtq_f32_s32(sums), in_scale);
    vst1q_f32(out, vaddq_f32(vmulq_f32(value, vld1q_f32(scale)), vld1q_f32(bias)));
}

/* The weights of 16 outputs for two inputs: all of the first, all of the second. */
struct widened {
    int16x8_t first[2], second[2];
};

static inline struct widened widen(const int8_t *values) {
    struct widened wide;
    for (int half = 0; half < 2; half++) {
        int8x8x2_t parted = vld2_s8(values + half * EMBEDDER_BLOCK);
        wide.first[half] = vmovl_s8(parted.val[0]);
        wide.second[half] = vmovl_s8(parted.val[1]);
    }
    return wide;
}

#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3)
#define DECLARE(row) \
    int32x4_t a##row = vdupq_n_s32(0), b##row = a##row, c##row = a##row, d##row = a##row;
#define ADD_LANE(row, which, lane)                                                  \
    a##row = vmlal_lane_s16(a##row, vget_low_s16(wide.which[0]), pair##row, lane);  \
    b##row = vmlal_lane_s16(b##row, vget_high_s16(wide.which[0]), pair##row, lane); \
    c##row = vmlal_lane_s16(c##row, vget_low_s16(wide.which[1]), pair##row, lane);  \
    d##row = vmlal_lane_s16(d##row, vget_high_s16(wide.which[1]), pair##row, lane);
#define ADD(row)                                          \
    if (rows > (row)) {                                   \
        int16x4_t pair##row = pair_of(in + (row)*inputs); \
        ADD_LANE(row, first, 0)                           \
        ADD_LANE(row, second, 1)                          \
    }
#define FINISH(row)                                                    \
    if (rows > (row)) {                                                \
        float *to = out + (row)*matrix->outputs;                       \
        finish(a##row, in_scale[row], scale, bias, to);                \
        finish(b##row, in_scale[row], scale + 4, bias + 4, to + 4);    \
        finish(c##row, in_scale[row], scale + 8, bias + 8, to + 8);    \
        finish(d##row, in_scale[row], scale + 12, bias + 12, to + 12); \
    }

static inline int16x4_t pair_of(const int16_t *in) {
    int32_t pair;
    memcpy(&pair, in, sizeof(pair));
    return vreinterpret_s16_s32(vdup_n_s32(pair));
}

static inline __attribute__((always_inline)) void tile(const struct embedder_matrix *matrix,
                                                       size_t block, const int16_t *in,
                                                       const float *in_scale, float *out,
                                                       const int rows, const size_t inputs) {
    const int8_t *values = matrix->values + block * inputs;
    EACH_ROW(DECLARE)
    for (size_t k = 0; k < inputs; k += 2, in += 2, values += 2 * EMBEDDER_BLOCK) {
        struct widened wide = widen(values);
        EACH_ROW(ADD)
    }
    const float *scale = matrix->scale + block, *bias = matrix->bias + block;
    EACH_ROW(FINISH)
}

#define EACH_ROW_COUNT(inputs) \
    TILE_OF(1, inputs);        \
    TILE_OF(2, inputs);        \
    TILE_OF(3, inputs);        \
    TILE_OF(4, inputs);
#include "embedder_product.h"

const struct embedder_kernel embedder_kernel_neon = EMBEDDER_KERNEL("neon", always, product);
#endif
