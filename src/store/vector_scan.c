/*
 * The loops over rows in plain C, and the choice of the best kernels for this processor.
 *
 * The plain ones define what the others must give: all of it is whole numbers, so the order of
 * additions does not matter and tests compare bit for bit.
 */
#include "store/vector_scan.h"

#include "base/cpu.h"

#include <pthread.h>
#include <string.h>

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

uint64_t vector_choose_plain(const struct vector_choice *choice, const uint32_t *sums,
                             const uint8_t *factors) {
    uint64_t chosen = 0;
    for (size_t row = 0; row < VECTOR_GROUP_ROWS; row++) {
        int16_t shift;
        memcpy(&shift, factors + VECTOR_GROUP_ROWS + row * sizeof(shift), sizeof(shift));
        int32_t value =
            factors[row] * ((int32_t)sums[row] + choice->offset) + (shift * choice->ratio >> 8);
        chosen |= (uint64_t)(value >= choice->threshold) << row;
    }
    return chosen;
}

static uint64_t plain_choose(const struct vector_choice *choice, const uint8_t *group) {
    uint32_t sums[VECTOR_GROUP_ROWS] = {0};
    const uint8_t *tables = choice->tables;
    for (size_t i = 0; i < choice->bytes; i++, tables += VECTOR_TABLE_LEN)
        for (size_t row = 0; row < VECTOR_GROUP_ROWS; row++) {
            uint8_t signs = *group++;
            sums[row] += tables[signs & 15] + (uint32_t)tables[16 + (signs >> 4)];
        }
    return vector_choose_plain(choice, sums, group);
}

static const struct vector_kernels plain = {
    .name = "plain", .dots = plain_dots, .choose = plain_choose};

/* --- which there are ---------------------------------------------------------------------------- */

static const struct vector_kernels *all[6];
static const struct vector_kernels *best;

static void look_around(void) {
    const struct vector_kernels *found[] = {vector_kernels_avx2(), vector_kernels_avx512(),
                                            vector_kernels_neon(), vector_kernels_dotprod()};
    size_t count = 0;
    all[count++] = &plain;
    for (size_t i = 0; i < sizeof(found) / sizeof(found[0]); i++)
        if (found[i] != NULL)
            all[count++] = found[i];
    best = cpu_is_plain() ? &plain : all[count - 1];
}

static void look_once(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, look_around);
}

const struct vector_kernels *const *vector_kernels_all(void) {
    look_once();
    return all;
}

const struct vector_kernels *vector_kernels(void) {
    look_once();
    return best;
}
