/*
 * The kernel that every machine can run, in plain C; the others are compared with it bit for bit.
 * Its product is written so that a compiler finds its pairs of 16-bit numbers by itself.
 */
#define LANE_BYTES 16
#include "embedder_float.h"

static bool always(void) {
    return true;
}

static void one_block(const struct embedder_matrix *matrix, size_t block, const int16_t *in,
                      int32_t sums[EMBEDDER_BLOCK]) {
    const int8_t *values = matrix->values + block * EMBEDDER_BLOCK * matrix->inputs;
    memset(sums, 0, EMBEDDER_BLOCK * sizeof(*sums));
    for (size_t k = 0; k < matrix->inputs; k += 2, values += 2 * EMBEDDER_BLOCK)
        for (size_t o = 0; o < EMBEDDER_BLOCK; o++)
            sums[o] += values[2 * o] * in[k] + values[2 * o + 1] * in[k + 1];
}

static void product(const struct embedder_matrix *matrix, const int16_t *in, const float *in_scale,
                    size_t rows, float *out) {
    int32_t sums[EMBEDDER_BLOCK];
    for (size_t block = 0; block < matrix->outputs / EMBEDDER_BLOCK; block++) {
        for (size_t row = 0; row < rows; row++) {
            one_block(matrix, block, in + row * matrix->inputs, sums);
            float *to = out + row * matrix->outputs + block * EMBEDDER_BLOCK;
            for (size_t o = 0; o < EMBEDDER_BLOCK; o++) {
                size_t output = block * EMBEDDER_BLOCK + o;
                to[o] =
                    (float)sums[o] * in_scale[row] * matrix->scale[output] + matrix->bias[output];
            }
        }
    }
}

const struct embedder_kernel embedder_kernel_plain = EMBEDDER_KERNEL("plain", always, product);
