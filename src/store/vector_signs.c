/*
 * The first pass: what one bit of every value says about a product.
 *
 * After the idea of RaBitQ (Gao and Long, SIGMOD 2024). Let m be the middle of a block, x a row,
 * o = x - m, s its signs (+1 or -1). The rotation has made o look random, so the product of
 * anything with o is guessed from its product with s:
 *
 *     <v, o> ~ f <v, s>,   f = |o|^2 / sum |o_i|
 *
 * which is right for v = o and right on average for every v; the error is about f * 0.6 * |v|
 * (sqrt(1 - a^2) for a = <o, s> / (|o| sqrt(dims)), which is near 0.8). For a question q we guess
 * with v = q - m, which is shorter than q where encoders put everything into one corner:
 *
 *     <q, x> = <q - m, o> + <m, o> + <q, m>
 *            ~ f <q, s> + (<m, o> - f <m, s>) + <q, m>
 *                         the row's shift       the block's constant
 *
 * So a row has, besides its bits, a factor (f, 8 bits) and a shift (16 bits), and the question's
 * tables of <q, s> are made once for all blocks. A row is looked at when the guess, raised by
 * MARGIN errors, reaches the cosine that the worst of the best so far has: how many that are
 * depends on the data alone.
 *
 *     head | middle: stride x int8 | groups of 64 rows, see vector_scan.h
 */
#include "store/vector_inside.h"

#include "base/check.h"

#include <math.h>
#include <string.h>

#include "base/banned.h"

#define ERROR_SHARE 0.6f
#define MARGIN \
    2.4f /* with 2.0 one neighbour in 500 is missed among even noise, with 1.6 one in 100 */

struct signs_head {
    uint32_t magic, dims, count;
    float factor_unit, shift_unit, middle_scale, middle_square;
    uint8_t zero[20];
};
_Static_assert(sizeof(struct signs_head) == 48, "groups begin at a line of the cache");

typedef float lanes __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t int_lanes __attribute__((vector_size(16), aligned(4), may_alias));
#define LANES 4

static size_t group_count(size_t rows) {
    return (rows + VECTOR_GROUP_ROWS - 1) / VECTOR_GROUP_ROWS;
}

size_t vector_signs_bytes(uint32_t dims, size_t count) {
    return sizeof(struct signs_head) + vector_stride(dims) +
           group_count(count) * vector_group_bytes(dims);
}

bool vector_signs_read(MDB_val value, uint32_t dims, struct vector_signs *signs) {
    struct signs_head head;
    if (value.mv_size < sizeof(head))
        return false;
    memcpy(&head, value.mv_data, sizeof(head));
    if (head.magic != VECTOR_SIGNS_MAGIC || head.dims != dims || head.count == 0 ||
        head.count > VECTOR_BLOCK_MOST || value.mv_size != vector_signs_bytes(dims, head.count))
        return false;
    const int8_t *middle = (const int8_t *)value.mv_data + sizeof(head);
    *signs = (struct vector_signs){head.count,
                                   head.factor_unit,
                                   head.shift_unit,
                                   head.middle_scale,
                                   head.middle_square,
                                   middle,
                                   (const uint8_t *)middle + vector_stride(dims)};
    return true;
}

/* --- making them ---------------------------------------------------------------------------------- */

static lanes row_lanes(const int8_t *row, float scale) {
    int_lanes whole = {row[0], row[1], row[2], row[3]};
    return __builtin_convertvector(whole, lanes) * scale;
}

static float sum_of(lanes x) {
    return x[0] + x[1] + x[2] + x[3];
}

/* The middle as it is stored, rounded, and as numbers. */
static void find_middle(const struct vector_draft *draft, size_t from, size_t count,
                        struct signs_head *head, int8_t *stored, float *middle) {
    size_t stride = vector_stride(draft->dims);
    float most = 0;
    memset(middle, 0, stride * sizeof(float));
    for (size_t row = from; row < from + count; row++)
        for (size_t i = 0; i < stride; i += LANES)
            *(lanes *)(middle + i) +=
                row_lanes(draft->rows + row * stride + i, draft->scales[row] / (float)count);
    for (size_t i = 0; i < stride; i++)
        most = fmaxf(most, fabsf(middle[i]));
    head->middle_scale = most / INT8_MAX;
    head->middle_square = 0;
    for (size_t i = 0; i < stride; i++) {
        stored[i] = (int8_t)(most > 0 ? lrintf(middle[i] / most * INT8_MAX) : 0);
        middle[i] = (float)stored[i] * head->middle_scale;
        head->middle_square += middle[i] * middle[i];
    }
}

struct row_signs {
    float factor, shift;
};

struct row_sums {
    lanes lengths, squares, products, signed_sums;
};

/* Adds four values; their signs as bits. */
static int add_values(struct row_sums *sums, lanes x, lanes m) {
    const int_lanes weights = {1, 2, 4, 8}, sign_bit = {INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN};
    lanes o = x - m;
    int_lanes sign = (int_lanes)o & sign_bit, bits = ~(sign >> 31) & weights;
    sums->lengths += (lanes)((int_lanes)o ^ sign);
    sums->squares += o * o;
    sums->products += m * o;
    sums->signed_sums += (lanes)((int_lanes)m ^ sign);
    return bits[0] | bits[1] | bits[2] | bits[3];
}

/* Writes the bits of a row into its column of the group. */
static struct row_signs sign_row(const int8_t *row, float scale, const float *middle, size_t dims,
                                 uint8_t *column) {
    struct row_sums sums = {0};
    for (size_t i = 0; i < dims; i += 8, column += VECTOR_GROUP_ROWS) {
        const lanes *m = (const lanes *)(middle + i);
        int low = add_values(&sums, row_lanes(row + i, scale), m[0]);
        int high = add_values(&sums, row_lanes(row + i + LANES, scale), m[1]);
        *column = (uint8_t)(low | high << 4);
    }
    float length = sum_of(sums.lengths), factor = length > 0 ? sum_of(sums.squares) / length : 0;
    return (struct row_signs){factor, sum_of(sums.products) - factor * sum_of(sums.signed_sums)};
}

static void put_factors(const struct row_signs *rows, size_t count, const struct signs_head *head,
                        uint8_t *factors) {
    for (size_t i = 0; i < count; i++) {
        int16_t shift =
            (int16_t)(head->shift_unit > 0 ? lrintf(rows[i].shift / head->shift_unit) : 0);
        factors[i] =
            (uint8_t)(head->factor_unit > 0 ? lrintf(rows[i].factor / head->factor_unit) : 0);
        memcpy(factors + VECTOR_GROUP_ROWS + i * sizeof(shift), &shift, sizeof(shift));
    }
}

static void choose_units(const struct row_signs *rows, size_t count, struct signs_head *head) {
    float factor = 0, shift = 0;
    for (size_t i = 0; i < count; i++) {
        factor = fmaxf(factor, rows[i].factor);
        shift = fmaxf(shift, fabsf(rows[i].shift));
    }
    head->factor_unit = factor / UINT8_MAX;
    head->shift_unit = shift / INT16_MAX;
}

void vector_signs_write(const struct vector_draft *draft, size_t from, size_t count, uint8_t *out) {
    struct signs_head head = {
        .magic = VECTOR_SIGNS_MAGIC, .dims = draft->dims, .count = (uint32_t)count};
    struct row_signs rows[VECTOR_BLOCK_MOST];
    float middle[VECTOR_DIMS_MOST];
    const size_t stride = vector_stride(draft->dims), group_bytes = vector_group_bytes(draft->dims);
    const size_t sign_bytes = vector_sign_bytes(draft->dims);
    uint8_t *groups = out + sizeof(head) + stride;
    BUG_IF(count > VECTOR_BLOCK_MOST);
    memset(groups, 0, group_count(count) * group_bytes);
    find_middle(draft, from, count, &head, (int8_t *)out + sizeof(head), middle);
    for (size_t i = 0; i < count; i++)
        rows[i] = sign_row(draft->rows + (from + i) * stride, draft->scales[from + i], middle,
                           draft->dims,
                           groups + i / VECTOR_GROUP_ROWS * group_bytes + i % VECTOR_GROUP_ROWS);
    choose_units(rows, count, &head);
    for (size_t i = 0; i < count; i += VECTOR_GROUP_ROWS)
        put_factors(rows + i, count - i < VECTOR_GROUP_ROWS ? count - i : VECTOR_GROUP_ROWS, &head,
                    groups + i / VECTOR_GROUP_ROWS * group_bytes + sign_bytes * VECTOR_GROUP_ROWS);
    memcpy(out, &head, sizeof(head));
}

/* --- looking through them ------------------------------------------------------------------------- */

/* To whole numbers; what a damaged head makes of it stays within bounds. */
static int32_t bounded(float value, int32_t most) {
    if (!(value < (float)most)) /* not a number either */
        return most;
    return value > (float)-most ? (int32_t)lrintf(value) : -most;
}

/* Sizes of the question's values by fours, which half a byte of signs turns. */
static int32_t four_sizes(const int16_t *wide) {
    int32_t sum = 0;
    for (size_t i = 0; i < 4; i++)
        sum += wide[i] < 0 ? -wide[i] : wide[i];
    return sum;
}

void vector_tables_make(const struct vector_query *query, size_t dims,
                        struct vector_tables *tables) {
    const size_t halves = 2 * vector_sign_bytes(dims);
    int32_t most = 1, all = 0;
    for (size_t half = 0; half < halves; half++) {
        int32_t size = four_sizes(query->wide + 4 * half);
        most = size > most ? size : most;
        all += size;
    }
    const float factor = (float)VECTOR_TABLE_MOST / (float)(2 * most);
    for (size_t half = 0; half < halves; half++) {
        const int16_t *wide = query->wide + 4 * half;
        int32_t size = four_sizes(wide), sum[16] = {size - wide[0] - wide[1] - wide[2] - wide[3]};
        for (size_t bits = 1; bits < 16; bits++) /* one bit more than a sum that is there */
            sum[bits] = sum[bits & (bits - 1)] + 2 * wide[__builtin_ctz((unsigned)bits)];
        for (size_t bits = 0; bits < 16; bits++)
            tables->sums[half * 16 + bits] = (uint8_t)((float)sum[bits] * factor + 0.5f);
    }
    tables->unit = query->scale / factor;
    tables->base = (float)all * factor;
}

void vector_view_make(const struct vector_query *query, const struct vector_tables *tables,
                      const struct vector_signs *signs, uint32_t dims, struct vector_view *view) {
    int32_t dot;
    vector_kernels()->dots(query, signs->middle, 1, &dot);
    float product = (float)dot * query->scale * signs->middle_scale; /* <q, m> */
    float length = sqrtf(fmaxf(0, 1 - 2 * product + signs->middle_square));
    view->constant = product;
    view->unit = signs->factor_unit * tables->unit;
    float offset = MARGIN * ERROR_SHARE * length / tables->unit - tables->base;
    view->choice = (struct vector_choice){
        .tables = tables->sums,
        .bytes = vector_sign_bytes(dims),
        .offset = bounded(offset, VECTOR_OFFSET_MOST),
        .ratio = bounded(signs->shift_unit / view->unit * 256, VECTOR_RATIO_MOST),
    };
}

void vector_view_aim(struct vector_view *view, float cosine) {
    if (!(view->unit > 0)) { /* all rows are the middle, or the question is nothing: look at all */
        view->choice.offset = view->choice.ratio = 0;
        view->choice.threshold = -VECTOR_THRESHOLD_MOST;
        return;
    }
    view->choice.threshold = bounded((cosine - view->constant) / view->unit, VECTOR_THRESHOLD_MOST);
}
