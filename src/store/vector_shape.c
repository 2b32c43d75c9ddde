/*
 * A vector becomes a row: normalised, turned, rounded.
 *
 * Turning: encoders put much of a vector into few of its values, which wastes both int8 (the largest
 * value sets the step for all) and sign bits (a value that is always positive says nothing). A
 * fixed random rotation spreads every vector evenly, and changes no product. It is made of sign
 * flips, the fast Walsh-Hadamard transform over the largest power of two that fits, at the head and
 * at the tail of the vector in turns, and, when the two are not the same, a butterfly between the
 * halves (the walk of Kac) so that both mix. Each step is its own inverse.
 *
 * Rounding: int8 is what a search reads, with one scale for the vector (after the turn no value
 * stands out, so its steps are used). Among a million vectors neighbours are closer than int8 can
 * tell, so the four bits below are kept as well, apart, for the last few that a search compares.
 *
 * The length is taken in double: squares of the largest and of denormal floats fit.
 */
#include "store/vector_scan.h"

#include "base/check.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/banned.h"

#define ROUNDS 4

typedef float lanes __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t int_lanes __attribute__((vector_size(32), aligned(4), may_alias));
#define LANES 8

/* --- the rotation ----------------------------------------------------------------------------- */

static uint64_t noise(uint64_t at) { /* splitmix64: Steele, Lea, Flood 2014 */
    uint64_t z = (at + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Sign bits of every round, made once. */
static pthread_once_t flips_made = PTHREAD_ONCE_INIT;
static uint32_t flips[ROUNDS][VECTOR_DIMS_MOST];

static void make_flips(void) {
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < VECTOR_DIMS_MOST; i++)
            flips[round][i] = (uint32_t)(noise(round << 16 | i / 64 * 64) >> i % 64 & 1) << 31;
}

static void flip(float *x, size_t dims, size_t round) {
    const uint32_t *bits = flips[round];
    size_t i = 0;
    for (; i + LANES <= dims; i += LANES)
        *(int_lanes *)(x + i) ^= *(const int_lanes *)(bits + i);
    for (; i < dims; i++) {
        uint32_t word;
        memcpy(&word, x + i, sizeof(word));
        word ^= bits[i];
        memcpy(x + i, &word, sizeof(word));
    }
}

/* a, b -> (a + b), (a - b) for two runs of `count`. */
static void butterfly(float *a, float *b, size_t count) {
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        lanes x = *(lanes *)(a + i), y = *(lanes *)(b + i);
        *(lanes *)(a + i) = x + y;
        *(lanes *)(b + i) = x - y;
    }
    for (; i < count; i++) {
        float x = a[i], y = b[i];
        a[i] = x + y;
        b[i] = x - y;
    }
}

static void multiply(float *x, size_t count, float factor) {
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        *(lanes *)(x + i) *= factor;
    for (; i < count; i++)
        x[i] *= factor;
}

/* The steps of 1, 2 and 4 within eight values: each meets its partner, one of the two negative. */
static void hadamard_eights(float *x, size_t count) {
    const lanes ones = {1, -1, 1, -1, 1, -1, 1, -1}, twos = {1, 1, -1, -1, 1, 1, -1, -1},
                fours = {1, 1, 1, 1, -1, -1, -1, -1};
    for (size_t i = 0; i < count; i += LANES) {
        lanes a = *(lanes *)(x + i);
        a = a * ones + __builtin_shufflevector(a, a, 1, 0, 3, 2, 5, 4, 7, 6);
        a = a * twos + __builtin_shufflevector(a, a, 2, 3, 0, 1, 6, 7, 4, 5);
        a = a * fours + __builtin_shufflevector(a, a, 4, 5, 6, 7, 0, 1, 2, 3);
        *(lanes *)(x + i) = a;
    }
}

static void hadamard(float *x, size_t count) {
    size_t half = 1;
    if (count >= LANES) {
        hadamard_eights(x, count);
        half = LANES;
    }
    for (; half < count; half *= 2)
        for (size_t i = 0; i < count; i += 2 * half)
            butterfly(x + i, x + i + half, half);
    multiply(x, count, 1.0f / sqrtf((float)count));
}

static size_t power_within(size_t dims) {
    size_t power = 1;
    while (power * 2 <= dims)
        power *= 2;
    return power;
}

static void mix_halves(float *x, size_t dims) {
    size_t half = dims / 2;
    butterfly(x, x + dims - half, half);
    multiply(x, half, 0.70710678f);
    multiply(x + dims - half, half, 0.70710678f);
}

static void turn(float *x, size_t dims) {
    pthread_once(&flips_made, make_flips);
    size_t power = power_within(dims);
    for (size_t round = 0; round < ROUNDS; round++) {
        flip(x, dims, round);
        hadamard(round % 2 == 0 ? x : x + dims - power, power);
        if (power != dims)
            mix_halves(x, dims);
    }
}

static void turn_back(float *x, size_t dims) {
    pthread_once(&flips_made, make_flips);
    size_t power = power_within(dims);
    for (size_t round = ROUNDS; round-- > 0;) {
        if (power != dims)
            mix_halves(x, dims);
        hadamard(round % 2 == 0 ? x : x + dims - power, power);
        flip(x, dims, round);
    }
}

/* --- rounding --------------------------------------------------------------------------------- */

/* Into `x` (padded), normalised. False when a value is not finite. */
static bool normalise(const float *values, size_t dims, float *x) {
    double sum = 0;
    for (size_t i = 0; i < dims; i++)
        sum += (double)values[i] * (double)values[i];
    if (!isfinite(sum))
        return false;
    double factor = sum > 0 ? 1 / sqrt(sum) : 0;
    for (size_t i = 0; i < dims; i++)
        x[i] = (float)((double)values[i] * factor);
    return true;
}

static float largest_of(const float *x, size_t dims) {
    float largest = 0;
    for (size_t i = 0; i < dims; i++)
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    return largest;
}

/* To the nearest whole number, by letting the fraction fall off the end of a float; |x * factor|
 * is below 2^22. Writes a multiple of LANES. */
static void round_to(const float *x, size_t dims, float factor, int32_t *out) {
    const float shift = 12582912.0f; /* 1.5 * 2^23 */
    const int32_t shift_bits = 0x4B400000;
    for (size_t i = 0; i < dims; i += LANES) {
        lanes sum = *(const lanes *)(x + i) * factor + shift;
        *(int_lanes *)(out + i) = (int_lanes)sum - shift_bits;
    }
}

/* The common part: *scale and the whole numbers up to `most` in `out`. */
static bool shape(const float *values, size_t dims, int32_t most, int32_t *out, float *scale) {
    float x[VECTOR_DIMS_MOST + LANES];
    BUG_IF(dims == 0 || dims > VECTOR_DIMS_MOST);
    if (!normalise(values, dims, x))
        return false;
    memset(x + dims, 0, LANES * sizeof(float));
    turn(x, dims);
    float largest = largest_of(x, dims);
    *scale = largest / (float)most;
    round_to(x, dims, largest > 0 ? (float)most / largest : 0, out);
    return true;
}

#define REST_STEPS 16
#define REST_ZERO  8 /* how a rest of nothing is stored */

/* A whole number as a row's value; what is left of it. */
static uint8_t split(int32_t whole, int8_t *value) {
    int32_t nearest = (whole + REST_ZERO) >> 4;
    *value = (int8_t)nearest;
    return (uint8_t)(whole - nearest * REST_STEPS + REST_ZERO);
}

bool vector_shape(const float *values, size_t dims, int8_t *row, uint8_t *rest, float *scale) {
    int32_t whole[VECTOR_DIMS_MOST + LANES];
    const size_t stride = vector_stride(dims);
    if (!shape(values, dims, INT8_MAX * REST_STEPS, whole, scale))
        return false;
    *scale *= REST_STEPS;
    memset(whole + dims, 0, (stride - dims) * sizeof(*whole));
    for (size_t i = 0; i < stride; i += 2) {
        uint8_t low = split(whole[i], row + i), high = split(whole[i + 1], row + i + 1);
        rest[i / 2] = (uint8_t)(low | high << 4);
    }
    return true;
}

int32_t vector_rest_dot(const struct vector_query *query, const uint8_t *rest) {
    int32_t low = 0, high = 0, all = 0;
    for (size_t i = 0; i < query->stride / 2; i++) {
        low += query->wide[2 * i] * (rest[i] & 15);
        high += query->wide[2 * i + 1] * (rest[i] >> 4);
    }
    all = 64 * query->high_sum + query->low_sum;
    return low + high - REST_ZERO * all;
}

bool vector_shape_query(const float *values, size_t dims, struct vector_query *query) {
    int32_t whole[VECTOR_DIMS_MOST + LANES];
    if (!shape(values, dims, VECTOR_QUERY_MOST, whole, &query->scale))
        return false;
    query->stride = vector_stride(dims);
    query->high_sum = query->low_sum = 0;
    for (size_t i = 0; i < query->stride; i++) {
        int32_t value = i < dims ? whole[i] : 0, high = (value + 32) >> 6; /* -64 .. 64 */
        query->wide[i] = (int16_t)value;
        query->high[i] = (int8_t)high;
        query->low[i] = (int8_t)(value - high * 64); /* -32 .. 31 */
        query->high_sum += query->high[i];
        query->low_sum += query->low[i];
    }
    return true;
}

void vector_unshape(const int8_t *row, const uint8_t *rest, float scale, size_t dims,
                    float *values) {
    for (size_t i = 0; i < dims; i++) {
        int left = i % 2 == 0 ? rest[i / 2] & 15 : rest[i / 2] >> 4;
        values[i] = ((float)row[i] + (float)(left - REST_ZERO) / REST_STEPS) * scale;
    }
    turn_back(values, dims);
}
