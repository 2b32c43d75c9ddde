/* links: troupe_store */
#include "store/vector_scan.h"

#include "base/check.h"
#include "vector_model.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const size_t all_dims[] = {1,   2,   3,   7,   8,   63,   64,   65,
                                  100, 127, 384, 511, 768, 1000, 3072, 4096};

/* --- kernels against the plain ones ------------------------------------------------------------- */

static struct vector_query query;

/* A question as vector_shape_query leaves it, of any values within its bounds. */
static void ask(size_t dims, int16_t (*value)(void)) {
    memset(&query, 0, sizeof(query));
    query.stride = vector_stride(dims);
    for (size_t i = 0; i < dims; i++) {
        query.wide[i] = value();
        query.high[i] = (int8_t)((query.wide[i] + 32) >> 6);
        query.low[i] = (int8_t)(query.wide[i] - query.high[i] * 64);
        query.high_sum += query.high[i];
        query.low_sum += query.low[i];
    }
}

static int16_t any_value(void) {
    return (int16_t)((int)model_below(2 * VECTOR_QUERY_MOST + 1) - VECTOR_QUERY_MOST);
}
static int16_t greatest_value(void) {
    return VECTOR_QUERY_MOST;
}
static int16_t least_value(void) {
    return -VECTOR_QUERY_MOST;
}
static int16_t no_value(void) {
    return 0;
}
static int16_t (*const questions[])(void) = {any_value, greatest_value, least_value, no_value};

static void fill(uint8_t *bytes, size_t count, int kind) {
    static const uint8_t same[] = {0x7F, 0x81, 0x80, 0xFF, 0x00};
    for (size_t i = 0; i < count; i++)
        bytes[i] = kind == 0 ? (uint8_t)model_random() : same[kind - 1];
}

static void products_are_the_same_to_the_bit(void **state) {
    (void)state;
    enum { ROWS = 9 };
    const struct vector_kernels *const *kernels = vector_kernels_all();
    uint8_t *memory = malloc(ROWS * VECTOR_DIMS_MOST + 64);
    for (size_t d = 0; d < COUNT_OF(all_dims); d++)
        for (size_t q = 0; q < COUNT_OF(questions); q++)
            for (int kind = 0; kind < 6; kind++) {
                size_t stride = vector_stride(all_dims[d]), offset = model_below(64);
                int32_t wanted[ROWS], got[ROWS + 1];
                ask(all_dims[d], questions[q]);
                fill(memory + offset, ROWS * stride, kind);
                const int8_t *rows = (const int8_t *)memory + offset; /* aligned to nothing */
                kernels[0]->dots(&query, rows, ROWS, wanted);
                for (size_t k = 1; kernels[k] != NULL; k++)
                    for (size_t count = 0; count <= ROWS; count++) {
                        memset(got, 0x5A, sizeof(got));
                        kernels[k]->dots(&query, rows, count, got);
                        assert_memory_equal(got, wanted, count * sizeof(*got));
                        assert_int_equal(got[count], 0x5A5A5A5A);
                    }
            }
    free(memory);
}

/* The plain one against arithmetic that cannot overflow. */
static void products_are_right(void **state) {
    (void)state;
    int8_t *row = malloc(VECTOR_DIMS_MOST);
    for (size_t q = 0; q < COUNT_OF(questions); q++)
        for (int kind = 0; kind < 3; kind++) { /* -128 is no value of a row */
            int64_t wanted = 0;
            int32_t got;
            ask(VECTOR_DIMS_MOST, questions[q]);
            fill((uint8_t *)row, VECTOR_DIMS_MOST, kind);
            for (size_t i = 0; i < VECTOR_DIMS_MOST; i++) {
                row[i] = row[i] == INT8_MIN ? 0 : row[i];
                wanted += (int64_t)query.wide[i] * row[i];
            }
            vector_kernels_all()[0]->dots(&query, row, 1, &got);
            assert_true(got == wanted);
        }
    free(row);
}

static const struct {
    int32_t offset, ratio, threshold;
} choices[] = {
    {0, 0, 0},
    {-6000, 300, 1000},
    {-6000, 300, -200000},
    {VECTOR_OFFSET_MOST, VECTOR_RATIO_MOST, VECTOR_THRESHOLD_MOST},
    {VECTOR_OFFSET_MOST, -VECTOR_RATIO_MOST, 250000000},
    {-VECTOR_OFFSET_MOST, -VECTOR_RATIO_MOST, -VECTOR_THRESHOLD_MOST},
    {-VECTOR_OFFSET_MOST, VECTOR_RATIO_MOST, -240000000},
};

static void choices_are_the_same_to_the_bit(void **state) {
    (void)state;
    const struct vector_kernels *const *kernels = vector_kernels_all();
    static _Alignas(64) uint8_t tables[VECTOR_DIMS_MOST / 8 * VECTOR_TABLE_LEN];
    uint8_t *memory = malloc(vector_group_bytes(VECTOR_DIMS_MOST) + 64);
    int chosen = 0, refused = 0;
    for (size_t d = 0; d < COUNT_OF(all_dims); d++)
        for (size_t c = 0; c < COUNT_OF(choices); c++)
            for (int kind = 0; kind < 6; kind++) {
                size_t offset = model_below(64), bytes = vector_sign_bytes(all_dims[d]);
                for (size_t i = 0; i < bytes * VECTOR_TABLE_LEN; i++)
                    tables[i] =
                        kind == 1 ? VECTOR_TABLE_MOST : (uint8_t)model_below(VECTOR_TABLE_MOST + 1);
                fill(memory + offset, vector_group_bytes(all_dims[d]), kind);
                struct vector_choice choice = {tables, bytes, choices[c].offset, choices[c].ratio,
                                               choices[c].threshold};
                if (c == 0) /* about half */
                    choice.offset = -(int32_t)bytes * VECTOR_TABLE_MOST, choice.ratio = 100;
                uint64_t wanted = kernels[0]->choose(&choice, memory + offset);
                for (size_t k = 1; kernels[k] != NULL; k++)
                    assert_true(kernels[k]->choose(&choice, memory + offset) == wanted);
                chosen += wanted != 0;
                refused += wanted != UINT64_MAX;
            }
    assert_true(chosen > 50 && refused > 50); /* or the rows above say nothing */
    free(memory);
}

/* --- vectors into rows ---------------------------------------------------------------------------- */

static double length_of(const float *values, size_t dims) {
    double sum = 0;
    for (size_t i = 0; i < dims; i++)
        sum += (double)values[i] * values[i];
    return sqrt(sum);
}

static double cosine_of(const float *a, const float *b, size_t dims) {
    double sum = 0;
    for (size_t i = 0; i < dims; i++)
        sum += (double)a[i] * b[i];
    return sum / length_of(a, dims) / length_of(b, dims);
}

/* Into a row and back. */
static void there_and_back(const float *values, size_t dims, float *back) {
    int8_t row[VECTOR_DIMS_MOST];
    uint8_t rest[VECTOR_DIMS_MOST / 2];
    float scale;
    assert_true(vector_shape(values, dims, row, rest, &scale));
    for (size_t i = dims; i < vector_stride(dims); i++)
        assert_int_equal(row[i], 0);
    for (size_t i = 0; i < dims; i++)
        assert_true(row[i] != INT8_MIN);
    vector_unshape(row, rest, scale, dims, back);
}

static void a_vector_comes_back_with_length_one(void **state) {
    (void)state;
    static float values[VECTOR_DIMS_MOST], back[VECTOR_DIMS_MOST];
    static const float sizes[] = {1, 1e-3f, FLT_MAX / 4, FLT_MIN, 1e-42f /* denormal */};
    for (size_t d = 0; d < COUNT_OF(all_dims); d++)
        for (size_t s = 0; s < COUNT_OF(sizes); s++) {
            size_t dims = all_dims[d];
            for (size_t i = 0; i < dims; i++)
                values[i] = model_normal() * sizes[s];
            values[model_below(dims)] = 3 * sizes[s];
            there_and_back(values, dims, back);
            assert_true(fabs(length_of(back, dims) - 1) < 0.002);
            assert_true(cosine_of(values, back, dims) > 0.99999 - 0.00004 / (double)dims);
        }
}

static void one_value_alone_is_spread(void **state) {
    (void)state;
    static float values[VECTOR_DIMS_MOST], back[VECTOR_DIMS_MOST];
    int8_t row[VECTOR_DIMS_MOST];
    uint8_t rest[VECTOR_DIMS_MOST / 2];
    float scale;
    for (size_t at = 0; at < 384; at += 17) {
        memset(values, 0, sizeof(values));
        values[at] = -FLT_MAX;
        assert_true(vector_shape(values, 384, row, rest, &scale));
        int used = 0;
        for (size_t i = 0; i < 384; i++)
            used += row[i] != 0;
        assert_true(used > 250);
        there_and_back(values, 384, back);
        assert_true(back[at] < -0.999f);
    }
}

static void what_is_not_finite_is_refused(void **state) {
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    float values[384];
    int8_t row[384];
    uint8_t rest[192];
    float scale;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        for (size_t at = 0; at < 384; at += 383) {
            model_values(values, 384);
            values[at] = bad[i];
            assert_false(vector_shape(values, 384, row, rest, &scale));
            assert_false(vector_shape_query(values, 384, &query));
        }
}

static void zeros_stay_zeros(void **state) {
    (void)state;
    float values[100] = {0}, back[100];
    there_and_back(values, 100, back);
    for (size_t i = 0; i < 100; i++)
        assert_true(back[i] == 0);
    assert_true(vector_shape_query(values, 100, &query));
    assert_true(query.scale == 0);
}

/* The cosine from the rows is that of the vectors, the better with the rest. */
static void cosines_are_kept(void **state) {
    (void)state;
    static float a[VECTOR_DIMS_MOST], b[VECTOR_DIMS_MOST];
    int8_t row[VECTOR_DIMS_MOST];
    uint8_t rest[VECTOR_DIMS_MOST / 2];
    float scale;
    int32_t dot;
    for (size_t d = 4; d < COUNT_OF(all_dims); d++)
        for (int round = 0; round < 20; round++) {
            size_t dims = all_dims[d];
            model_values(a, dims);
            for (size_t i = 0; i < dims; i++)
                b[i] = (float)round / 20 * a[i] + model_normal();
            assert_true(vector_shape(a, dims, row, rest, &scale));
            assert_true(vector_shape_query(b, dims, &query));
            vector_kernels()->dots(&query, row, 1, &dot);
            double wanted = cosine_of(a, b, dims), unit = (double)scale * query.scale;
            double rough = dot * unit, fine = rough + vector_rest_dot(&query, rest) * unit / 16;
            assert_true(fabs(rough - wanted) < 0.06 / sqrt((double)dims));
            assert_true(fabs(fine - wanted) < 0.006 / sqrt((double)dims));
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_right),
        cmocka_unit_test(products_are_the_same_to_the_bit),
        cmocka_unit_test(choices_are_the_same_to_the_bit),
        cmocka_unit_test(a_vector_comes_back_with_length_one),
        cmocka_unit_test(one_value_alone_is_spread),
        cmocka_unit_test(what_is_not_finite_is_refused),
        cmocka_unit_test(zeros_stay_zeros),
        cmocka_unit_test(cosines_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
