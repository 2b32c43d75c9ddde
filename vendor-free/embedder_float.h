/*
 * The float half of a kernel, included by each embedder_kernel_*.c, so that it is compiled once for
 * every instruction set.
 *
 * The same bits everywhere: each sum runs in 16 lanes that are joined as a tree, whatever the width
 * of the machine's registers; products and sums are not fused (-ffp-contract=off); exp and erf are
 * polynomials of ours. Division, square root and rounding are exact by IEEE 754. LANE_BYTES, set
 * before the include, is the width of a register.
 */
#include "embedder_kernel.h"
#include "embedder_weights.h"

#include <math.h>
#include <string.h>

#define LANES      16
#define LANE_PARTS (LANES * 4 / LANE_BYTES)
#define QUERIES    4           /* of attention that go together */
#define ROUNDER    12582912.0f /* 1.5 x 2^23: added and taken away, it rounds to a whole number */

typedef float lane_part __attribute__((vector_size(LANE_BYTES), may_alias, aligned(4)));
struct lanes {
    lane_part part[LANE_PARTS];
};

#define PER_PART for (int p = 0; p < LANE_PARTS; p++)

static inline struct lanes load(const float *at) {
    struct lanes lanes;
    PER_PART lanes.part[p] = *(const lane_part *)(at + p * (LANE_BYTES / 4));
    return lanes;
}

static inline void save(float *at, struct lanes lanes) {
    PER_PART *(lane_part *)(at + p * (LANE_BYTES / 4)) = lanes.part[p];
}

static inline struct lanes same(float value) {
    struct lanes lanes;
    PER_PART lanes.part[p] = value - (lane_part){0};
    return lanes;
}

static inline struct lanes add(struct lanes a, struct lanes b) {
    PER_PART a.part[p] += b.part[p];
    return a;
}

static inline struct lanes multiply(struct lanes a, struct lanes b) {
    PER_PART a.part[p] *= b.part[p];
    return a;
}

static inline float sum(struct lanes lanes) {
    float lane[LANES];
    save(lane, lanes);
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            lane[i] += lane[i + width];
    return lane[0];
}

/* e to the x for x <= 0, to 2e-7 of itself; 0 is never reached. Cody and Waite's reduction, the
 * polynomial of Cephes' expf. */
static inline float exp_below(float x) {
    x = x < -87.0f ? -87.0f : x;
    float rounded = x * 1.44269504f + ROUNDER;
    int32_t bits;
    memcpy(&bits, &rounded, sizeof(bits));
    float n = rounded - ROUNDER;
    float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float y = 1.9875691500e-4f;
    y = y * r + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * (r * r) + r + 1.0f;
    int32_t power = (int32_t)(((uint32_t)bits + 127u) << 23); /* the low bits are n */
    float two_to_n;
    memcpy(&two_to_n, &power, sizeof(two_to_n));
    return y * two_to_n;
}

/* --- quantise --------------------------------------------------------------------------------- */

/* Floats compare as whole numbers do, once the sign is out of the way; and the largest of whole
 * numbers is found by every compiler in whole registers. */
static inline float largest_size(const float *x, size_t count) {
    int32_t most = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t bits;
        memcpy(&bits, x + i, sizeof(bits));
        bits &= INT32_MAX;
        most = bits > most ? bits : most;
    }
    float size;
    memcpy(&size, &most, sizeof(size));
    return size;
}

static void quantise(const float *in, size_t rows, size_t width, int16_t *out, float *scale) {
    for (size_t row = 0; row < rows; row++, in += width, out += width) {
        float most = largest_size(in, width);
        scale[row] = most / EMBEDDER_ACTIVATION_MAX;
        float inverse = most > 1e-30f ? EMBEDDER_ACTIVATION_MAX / most : 0.0f;
        for (size_t i = 0; i < width; i++)
            out[i] = (int16_t)(int32_t)(in[i] * inverse + ROUNDER - ROUNDER);
    }
}

/* --- norm ------------------------------------------------------------------------------------- */

static inline void norm_row(float *x, const float *added, const float *weight, const float *bias) {
    struct lanes total = same(0), squares = same(0);
    for (size_t i = 0; i < EMBEDDER_DIMS; i += LANES) {
        struct lanes value = load(x + i);
        if (added != NULL) {
            value = add(value, load(added + i));
            save(x + i, value);
        }
        total = add(total, value);
    }
    struct lanes mean = same(-(sum(total) / EMBEDDER_DIMS));
    for (size_t i = 0; i < EMBEDDER_DIMS; i += LANES) {
        struct lanes away = add(load(x + i), mean);
        squares = add(squares, multiply(away, away));
    }
    struct lanes inverse = same(1.0f / sqrtf(sum(squares) / EMBEDDER_DIMS + 1e-12f));
    for (size_t i = 0; i < EMBEDDER_DIMS; i += LANES) {
        struct lanes value = multiply(add(load(x + i), mean), inverse);
        save(x + i, add(multiply(value, load(weight + i)), load(bias + i)));
    }
}

static void norm(float *x, const float *added, size_t rows, const float *weight,
                 const float *bias) {
    for (size_t row = 0; row < rows; row++)
        norm_row(x + row * EMBEDDER_DIMS, added != NULL ? added + row * EMBEDDER_DIMS : NULL,
                 weight, bias);
}

/* --- gelu ------------------------------------------------------------------------------------- */

/* x times the share of the normal distribution below x; erf by Abramowitz and Stegun 7.1.26, which
 * is wrong by 1.5e-7 at most. */
static void gelu(float *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float value = x[i], z = fabsf(value) * 0.70710678f;
        float t = 1.0f / (1.0f + 0.3275911f * z);
        float poly = 1.061405429f;
        poly = poly * t - 1.453152027f;
        poly = poly * t + 1.421413741f;
        poly = poly * t - 0.284496736f;
        poly = poly * t + 0.254829592f;
        float tail = 0.5f * (poly * t) * exp_below(-(z * z)); /* beyond |x| */
        x[i] = value * (value < 0 ? tail : 1.0f - tail);
    }
}

/* --- attention -------------------------------------------------------------------------------- */

/* Keys of one head, dimension by dimension, so that a query meets 16 of them at once. */
static inline void turn_keys(const float *in, size_t tokens, size_t padded, float *keys) {
    for (size_t d = 0; d < EMBEDDER_HEAD_DIMS; d++)
        for (size_t t = 0; t < padded; t++)
            keys[d * padded + t] = t < tokens ? in[t * 3 * EMBEDDER_DIMS + d] : 0.0f;
}

/* QUERIES at a time: their sums do not wait for each other. Each sum is the same as alone. */
static inline void score(const float *const query[QUERIES], const float *keys, size_t padded,
                         float *scores) {
    for (size_t t = 0; t < padded; t += LANES) {
        struct lanes total[QUERIES];
        for (size_t q = 0; q < QUERIES; q++)
            total[q] = same(0);
        for (size_t d = 0; d < EMBEDDER_HEAD_DIMS; d++) {
            struct lanes key = load(keys + d * padded + t);
            for (size_t q = 0; q < QUERIES; q++)
                total[q] = add(total[q], multiply(same(query[q][d]), key));
        }
        for (size_t q = 0; q < QUERIES; q++)
            save(scores + q * padded + t, total[q]);
    }
}

/* As above: negative numbers turned round, floats compare as whole numbers. */
static inline float largest(const float *x, size_t count) {
    int32_t most = INT32_MIN;
    for (size_t i = 0; i < count; i++) {
        int32_t bits;
        memcpy(&bits, x + i, sizeof(bits));
        bits ^= (bits >> 31) & INT32_MAX;
        most = bits > most ? bits : most;
    }
    most ^= (most >> 31) & INT32_MAX;
    float value;
    memcpy(&value, &most, sizeof(value));
    return value;
}

/* Scores to shares that add up to 1; the padding gets none. */
static inline void softmax(float *scores, size_t tokens, size_t padded) {
    float most = largest(scores, tokens);
    for (size_t t = 0; t < padded; t++)
        scores[t] = exp_below(scores[t] - most < 0 ? scores[t] - most : 0);
    for (size_t t = tokens; t < padded; t++)
        scores[t] = 0;
    struct lanes total = same(0);
    for (size_t t = 0; t < padded; t += LANES)
        total = add(total, load(scores + t));
    struct lanes share = same(1.0f / sum(total));
    for (size_t t = 0; t < padded; t += LANES)
        save(scores + t, multiply(load(scores + t), share));
}

static inline void mix_values(const float *shares, size_t padded, const float *values,
                              size_t tokens, float *const out[QUERIES]) {
    struct lanes low[QUERIES], high[QUERIES];
    for (size_t q = 0; q < QUERIES; q++)
        low[q] = high[q] = same(0);
    for (size_t t = 0; t < tokens; t++) {
        const float *value = values + t * 3 * EMBEDDER_DIMS;
        struct lanes left = load(value), right = load(value + LANES);
        for (size_t q = 0; q < QUERIES; q++) {
            struct lanes share = same(shares[q * padded + t]);
            low[q] = add(low[q], multiply(share, left));
            high[q] = add(high[q], multiply(share, right));
        }
    }
    for (size_t q = 0; q < QUERIES; q++) {
        save(out[q], low[q]);
        save(out[q] + LANES, high[q]);
    }
}

/* One head. The last queries may be taken twice, with the same result. */
static inline void attend_head(const float *in, size_t tokens, float *scratch, float *out) {
    size_t padded = (tokens + LANES - 1) / LANES * LANES;
    float *keys = scratch, *scores = scratch + padded * EMBEDDER_HEAD_DIMS;
    turn_keys(in + EMBEDDER_DIMS, tokens, padded, keys);
    for (size_t t = 0; t < tokens; t += QUERIES) {
        const float *query[QUERIES];
        float *mixed[QUERIES];
        for (size_t q = 0; q < QUERIES; q++) {
            size_t row = t + q < tokens ? t + q : tokens - 1;
            query[q] = in + row * 3 * EMBEDDER_DIMS;
            mixed[q] = out + row * EMBEDDER_DIMS;
        }
        score(query, keys, padded, scores);
        for (size_t q = 0; q < QUERIES; q++)
            softmax(scores + q * padded, tokens, padded);
        mix_values(scores, padded, in + 2 * EMBEDDER_DIMS, tokens, mixed);
    }
}

static void attend(const float *in, size_t tokens, float *scratch, float *out) {
    for (size_t head = 0; head < EMBEDDER_HEADS; head++)
        attend_head(in + head * EMBEDDER_HEAD_DIMS, tokens, scratch,
                    out + head * EMBEDDER_HEAD_DIMS);
}

/* Everything above with the product of the file that includes us. */
#define EMBEDDER_KERNEL(kernel_name, supported, its_product)                          \
    {                                                                                 \
        .name = (kernel_name), .is_supported = (supported), .product = (its_product), \
        .quantise = quantise, .norm = norm, .gelu = gelu, .attend = attend,           \
    }
