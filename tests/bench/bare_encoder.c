/*
 * What the built-in embedder is measured beside: the same six layers, plainly, in f32 with the compiler's
 * vector types: four rows of the input against four rows of weights at a time, eight numbers in a register.
 * Compiled with AVX2 and FMA, it reaches some 40 GFLOP/s on one core, which is what such code reaches.
 */
#include "bare_encoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define D      384
#define INNER  1536
#define LAYERS 6
#define HEADS  12
#define MOST   256

typedef float vec __attribute__((vector_size(32), aligned(4), may_alias));

struct layer {
    float in[3 * D * D], out[D * D], up[INNER * D], down[D * INNER];
};

struct bare_encoder {
    struct layer layer[LAYERS];
    float x[MOST * D], wide[MOST * INNER], narrow[MOST * D], shares[MOST];
};

static float sum(vec v) {
    float total = 0;
    for (int i = 0; i < 8; i++)
        total += v[i];
    return total;
}

/* y[t][o] = x[t] w[o]; outputs % 4 is 0, rows are padded to 4 by the caller's room. */
static void multiply(const float *x, const float *w, size_t rows, size_t inputs, size_t outputs,
                     float *y) {
    for (size_t o = 0; o < outputs; o += 4) {
        for (size_t t = 0; t < rows; t += 4) {
            vec sums[4][4] = {0};
            for (size_t k = 0; k < inputs; k += 8)
#pragma GCC unroll 4
                for (size_t i = 0; i < 4; i++) {
                    vec value = *(const vec *)(x + (t + i) * inputs + k);
#pragma GCC unroll 4
                    for (size_t j = 0; j < 4; j++)
                        sums[i][j] += value * *(const vec *)(w + (o + j) * inputs + k);
                }
            for (size_t i = 0; i < 4; i++)
                for (size_t j = 0; j < 4; j++)
                    y[(t + i) * outputs + o + j] = sum(sums[i][j]);
        }
    }
}

static void norm(float *x, const float *added, size_t rows) {
    for (size_t t = 0; t < rows; t++, x += D, added += D) {
        float mean = 0, squares = 0;
        for (size_t d = 0; d < D; d++)
            mean += x[d] += added[d];
        mean /= D;
        for (size_t d = 0; d < D; d++)
            squares += (x[d] - mean) * (x[d] - mean);
        float inverse = 1 / sqrtf(squares / D + 1e-12f);
        for (size_t d = 0; d < D; d++)
            x[d] = (x[d] - mean) * inverse;
    }
}

static void attend(struct bare_encoder *encoder, size_t rows) {
    for (size_t head = 0; head < HEADS; head++)
        for (size_t t = 0; t < rows; t++) {
            const float *query = encoder->wide + t * 3 * D + head * 32;
            float total = 0, *out = encoder->narrow + t * D + head * 32;
            for (size_t other = 0; other < rows; other++) {
                const float *key = encoder->wide + other * 3 * D + D + head * 32;
                vec dot = {0};
                for (size_t d = 0; d < 32; d += 8)
                    dot += *(const vec *)(query + d) * *(const vec *)(key + d);
                total += encoder->shares[other] = expf(sum(dot) * 0.1767767f);
            }
            memset(out, 0, 32 * sizeof(*out));
            for (size_t other = 0; other < rows; other++)
                for (size_t d = 0; d < 32; d++)
                    out[d] += encoder->shares[other] / total *
                              encoder->wide[other * 3 * D + 2 * D + head * 32 + d];
        }
}

double bare_encoder_run(struct bare_encoder *encoder, size_t tokens) {
    size_t rows = (tokens + 3) / 4 * 4;
    for (size_t i = 0; i < rows * D; i++)
        encoder->x[i] = (float)(i * 7919 % 1000) / 500 - 1;
    for (size_t l = 0; l < LAYERS; l++) {
        struct layer *layer = &encoder->layer[l];
        multiply(encoder->x, layer->in, rows, D, 3 * D, encoder->wide);
        attend(encoder, tokens);
        multiply(encoder->narrow, layer->out, rows, D, D, encoder->wide);
        norm(encoder->x, encoder->wide, rows);
        multiply(encoder->x, layer->up, rows, D, INNER, encoder->wide);
        for (size_t i = 0; i < tokens * INNER; i++)
            encoder->wide[i] *= 0.5f * (1 + erff(encoder->wide[i] * 0.70710678f));
        multiply(encoder->wide, layer->down, rows, INNER, D, encoder->narrow);
        norm(encoder->x, encoder->narrow, rows);
    }
    double squares = 0;
    for (size_t d = 0; d < D; d++) {
        double mean = 0;
        for (size_t t = 0; t < tokens; t++)
            mean += encoder->x[t * D + d] / (double)tokens;
        squares += mean * mean;
    }
    return sqrt(squares);
}

struct bare_encoder *bare_encoder_new(void) {
    struct bare_encoder *encoder = calloc(1, sizeof(*encoder));
    if (encoder == NULL)
        return NULL;
    unsigned state = 1;
    float *weight = (float *)encoder->layer;
    for (size_t i = 0; i < sizeof(encoder->layer) / (sizeof(float)); i++) {
        state = state * 1664525u + 1013904223u;
        weight[i] = ((float)(state >> 8) / (1 << 23) - 1) * 0.05f;
    }
    return encoder;
}

void bare_encoder_free(struct bare_encoder *encoder) {
    free(encoder);
}
