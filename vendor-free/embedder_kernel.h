/*
 * What the forward pass is made of, once for every instruction set. All of them give the same bits:
 * products are exact integers, and what is float adds up in one fixed order (embedder_float.h), so
 * a vector does not depend on the machine that made it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Largest value of a quantised activation: 1536 x 127 x 8064 stays below 2^31. It splits into two
 * signed bytes, 128 x 63 and a rest of -64 to 63. */
#define EMBEDDER_ACTIVATION_MAX 8064

/* Floats of scratch that attend() needs for a text of `tokens`. */
#define EMBEDDER_ATTEND_FLOATS(tokens) (((tokens) + 15) / 16 * 16 * (32 + 4))

/* A matrix as embedder_weights.h lays it out. */
struct embedder_matrix {
    const int8_t *values;
    const float *scale, *bias; /* one for each output */
    size_t inputs, outputs;    /* multiples of 32 */
};

struct embedder_kernel {
    const char *name;
    bool (*is_supported)(void); /* by the machine we run on */
    /* Rows to int16 with one scale each: in[i] is nearly out[i] * scale. `width` % 16 is 0. */
    void (*quantise)(const float *in, size_t rows, size_t width, int16_t *out, float *scale);
    /* out[row][o] = sum(in[row] * values[o]) * in_scale[row] * scale[o] + bias[o]. */
    void (*product)(const struct embedder_matrix *matrix, const int16_t *in, const float *in_scale,
                    size_t rows, float *out);
    /* x = norm(x + added) * weight + bias, by rows of 384; `added` may be NULL. */
    void (*norm)(float *x, const float *added, size_t rows, const float *weight, const float *bias);
    void (*gelu)(float *x, size_t count); /* in place; count % 16 is 0 */
    /* The attention of one text over itself. in: rows of queries, keys, values; out: rows of 384. */
    void (*attend)(const float *in, size_t tokens, float *scratch, float *out);
};

extern const struct embedder_kernel embedder_kernel_plain, embedder_kernel_avx2,
    embedder_kernel_vnni, embedder_kernel_avx512, embedder_kernel_neon, embedder_kernel_dot;
/* Every kernel of this build, the best first, the plain one last; ends with NULL. */
extern const struct embedder_kernel *const embedder_kernels[];
const struct embedder_kernel *embedder_kernel_best(void); /* for this machine */
