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

/* What int8 rounds off: sixteenths of a step, -8 to 7, stored as 0 to 15, two in a byte. */
static inline size_t vector_rest_bytes(size_t dims) {
    return vector_stride(dims) / 2;
}

/* Normalises, turns into the store's basis, rounds to int8 and a rest. False when a value is not
 * finite. */
MUST_USE bool vector_shape(const float *values, size_t dims, int8_t *row, uint8_t *rest,
                           float *scale);
MUST_USE bool vector_shape_query(const float *values, size_t dims, struct vector_query *query);
/* Back into the encoder's basis. */
void vector_unshape(const int8_t *row, const uint8_t *rest, float scale, size_t dims,
                    float *values);
/* The product of the question with the rest of a row, in sixteenths of what `dots` counts. */
int32_t vector_rest_dot(const struct vector_query *query, const uint8_t *rest);

/*
 * Signs: of every value of a row, less the middle of its block, one bit. 64 rows make a group, byte
 * by byte: byte 0 of 64 rows, byte 1 of 64 rows ...; then 64 factors (uint8) and 64 shifts (int16,
 * little-endian), whose meaning is in vector_signs.c.
 */
#define VECTOR_GROUP_ROWS 64
static inline size_t vector_sign_bytes(size_t dims) { /* of one row */
    return (dims + 7) / 8;
}
static inline size_t vector_group_bytes(size_t dims) {
    return VECTOR_GROUP_ROWS * (vector_sign_bytes(dims) + 3);
}
/* For every half of a byte the 16 sums that its bits choose, each up to VECTOR_TABLE_MOST. */
#define VECTOR_TABLE_MOST 127
#define VECTOR_TABLE_LEN  32 /* of one byte: 16 for its low half, 16 for the high one */

/* The tables of a question, for vector_choice. One unit of a sum is `unit` (of the product of the
 * normalised question with a row's signs); `base` is what the sum of all is too high by. */
struct vector_tables {
    _Alignas(64) uint8_t sums[VECTOR_DIMS_MOST / 8 * VECTOR_TABLE_LEN];
    float unit, base;
};
void vector_tables_make(const struct vector_query *query, size_t dims,
                        struct vector_tables *tables);

/* A row is chosen when
 * factor * (sum of its table values + offset) + (shift * ratio >> 8) >= threshold;
 * the bounds keep that in 32 bits. */
#define VECTOR_OFFSET_MOST    (1 << 20)
#define VECTOR_RATIO_MOST     65535
#define VECTOR_THRESHOLD_MOST (1 << 30)
struct vector_choice {
    const uint8_t *tables; /* bytes x VECTOR_TABLE_LEN */
    size_t bytes;          /* of one row */
    int32_t offset, ratio, threshold;
};

struct vector_kernels {
    const char *name;
    /* out[i] = the product of the question with row i. */
    void (*dots)(const struct vector_query *query, const int8_t *rows, size_t count, int32_t *out);
    /* Bit i is set when row i of the group is chosen. */
    uint64_t (*choose)(const struct vector_choice *choice, const uint8_t *group);
};
/* The best of this processor; the list of all that run on it, ended by NULL, begins with the plain
 * one. */
const struct vector_kernels *vector_kernels(void);
const struct vector_kernels *const *vector_kernels_all(void);

/* Of one kind of processor each, for vector_scan.c; NULL when this one is not of the kind. */
const struct vector_kernels *vector_kernels_avx2(void);
const struct vector_kernels *vector_kernels_avx512(void);
const struct vector_kernels *vector_kernels_neon(void);
const struct vector_kernels *vector_kernels_dotprod(void);
/* The last step of `choose`, from the sums. */
uint64_t vector_choose_plain(const struct vector_choice *choice, const uint32_t *sums,
                             const uint8_t *factors);
