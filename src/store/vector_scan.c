/*
 * The loops over rows in plain C, and the choice of the best kernels for this processor.
 *
 * The plain ones define what the others must give: all of it is whole numbers, so the order of
 * additions does not matter and tests compare bit for bit.
 */
#include "store/vector_scan.h"

#include "base/banned.h"

static void plain_dots(const struct vector_query *query, const int8_t *rows, size_t count,
                       int32_t *out) {
    for (size_t row = 0; row < count; row++, rows += query->stride) {
        int32_t sum = 0;
        for (size_t i = 0; i < query->stride; i++)
            sum += query->wide[i] * rows[i];
        out[row] = sum;
    }
}

static const struct vector_kernels plain = {.name = "plain", .dots = plain_dots};
static const struct vector_kernels *const all[] = {&plain, NULL};

const struct vector_kernels *const *vector_kernels_all(void) {
    return all;
}

const struct vector_kernels *vector_kernels(void) {
    return &plain;
}
