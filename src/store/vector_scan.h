/*
 * The arithmetic of the vector store: a vector as it is stored (vector_shape), a question as it is
 * asked, and the loops over rows, for every kind of processor with the same result to the bit.
 *
 * Rows are int8 and padded with zeros to VECTOR_STRIDE_UNIT, so that a kernel never needs a rest.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define VECTOR_STRIDE_UNIT 64   /* bytes of a cache line and of the widest register */
#define VECTOR_DIMS_MOST   4096 /* the bound that keeps every sum in 32 bits */
#define VECTOR_QUERY_MOST  4095 /* a question's values: 13 bits */

static inline size_t vector_stride(size_t dims) {
    return (dims + VECTOR_STRIDE_UNIT - 1) / VECTOR_STRIDE_UNIT * VECTOR_STRIDE_UNIT;
}

/* A question: `wide` for processors that multiply 16 bits, the same as 64 * high + low for those
 * that multiply 8. */
struct vector_query {
    _Alignas(64) int16_t wide[VECTOR_DIMS_MOST];
    _Alignas(64) int8_t high[VECTOR_DIMS_MOST];
    _Alignas(64) int8_t low[VECTOR_DIMS_MOST];
    int32_t high_sum, low_sum; /* what a bias of the rows by one adds to the products */
    float scale;               /* wide times scale is the normalised question */
    size_t stride;
};

/* Normalises, turns into the store's basis, rounds to int8. False when a value is not finite. */
MUST_USE bool vector_shape(const float *values, size_t dims, int8_t *row, float *scale);
MUST_USE bool vector_shape_query(const float *values, size_t dims, struct vector_query *query);
/* Back into the encoder's basis. */
void vector_unshape(const int8_t *row, float scale, size_t dims, float *values);

struct vector_kernels {
    const char *name;
    /* out[i] = the product of the question with row i. */
    void (*dots)(const struct vector_query *query, const int8_t *rows, size_t count, int32_t *out);
};
/* The best of this processor; the list of all that run on it, ended by NULL, begins with the plain
 * one. */
const struct vector_kernels *vector_kernels(void);
const struct vector_kernels *const *vector_kernels_all(void);
