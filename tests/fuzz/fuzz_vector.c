/* links: troupe_store
 *
 * Bytes as values of the vector store. First as they are; then as what a damaged page may hold: a
 * head and a length that fit, and anything behind them. Whatever a reader takes, everything that it
 * points at is used as a search and a merge use it. */
#include "base/check.h"
#include "store/vector_inside.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct vector_query *question(size_t dims) {
    static struct vector_query query;
    static float values[VECTOR_DIMS_LIMIT];
    static size_t made;
    if (made == dims)
        return &query;
    made = dims;
    for (size_t i = 0; i < dims; i++)
        values[i] = (float)(i * 7919 % 101) - 50;
    BUG_IF(!vector_shape_query(values, dims, &query));
    return &query;
}

static void use_rows(const struct vector_draft *draft) {
    uint8_t *block = malloc(vector_block_bytes(draft->dims, draft->count));
    uint8_t *signs = malloc(vector_signs_bytes(draft->dims, draft->count));
    float values[VECTOR_DIMS_LIMIT];
    BUG_IF(block == NULL || signs == NULL);
    vector_block_write(draft, 0, draft->count, block);
    vector_signs_write(draft, 0, draft->count, signs);
    vector_unshape(draft->rows, draft->rests, draft->scales[0], draft->dims, values);
    free(block);
    free(signs);
}

static bool use_single(MDB_val value, uint32_t dims) {
    struct vector_single single;
    struct vector_draft draft = {.dims = dims};
    int32_t dots[VECTOR_PARTS_LIMIT];
    if (!vector_single_read(value, dims, &single))
        return false;
    vector_kernels()->dots(question(dims), single.rows, single.parts, dots);
    for (size_t i = 0; i < single.parts; i++) {
        struct vector_row row = vector_single_row(&single, 1, i, dims);
        (void)vector_cosine_exactly(question(dims), &row);
        vector_draft_add(&draft, &row);
    }
    use_rows(&draft);
    vector_draft_release(&draft);
    return true;
}

static bool use_block(MDB_val value, uint32_t dims) {
    struct vector_block block;
    struct vector_draft draft = {.dims = dims};
    int32_t dots[VECTOR_BLOCK_MOST];
    size_t parts;
    if (!vector_block_read(value, dims, &block))
        return false;
    vector_kernels()->dots(question(dims), block.rows, block.count, dots);
    for (size_t i = 0; i < block.count; i++) {
        struct vector_row row = vector_block_row(&block, i);
        BUG_IF(vector_block_find(&block, row.item, &parts) > block.count);
        vector_draft_add(&draft, &row);
    }
    use_rows(&draft);
    vector_draft_release(&draft);
    return true;
}

static bool use_signs(MDB_val value, uint32_t dims) {
    static struct vector_tables tables;
    static const float aims[] = {-1, 0, 0.5f, 1};
    struct vector_signs signs;
    struct vector_view view;
    if (!vector_signs_read(value, dims, &signs))
        return false;
    vector_tables_make(question(dims), dims, &tables);
    vector_view_make(question(dims), &tables, &signs, dims, &view);
    for (size_t i = 0; i < COUNT_OF(aims); i++) {
        vector_view_aim(&view, aims[i]);
        for (size_t row = 0; row < signs.count; row += VECTOR_GROUP_ROWS) {
            const uint8_t *group =
                signs.groups + row / VECTOR_GROUP_ROWS * vector_group_bytes(dims);
            uint64_t plain = vector_kernels_all()[0]->choose(&view.choice, group);
            BUG_IF(vector_kernels()->choose(&view.choice, group) != plain);
        }
    }
    return true;
}

static void use_all(MDB_val value, uint32_t dims) {
    struct vector_head head;
    if (vector_head_read(value, &head))
        BUG_IF(head.dims == 0 || head.dims > VECTOR_DIMS_LIMIT);
    (void)(use_single(value, dims) || use_block(value, dims) || use_signs(value, dims));
}

/* `len` bytes of the input, over and over, behind `head`; in memory of that very length. */
static MDB_val fitted(const void *head, size_t head_len, size_t len, const uint8_t *data,
                      size_t size) {
    uint8_t *bytes = malloc(len);
    BUG_IF(bytes == NULL);
    for (size_t i = 0; i < len; i++)
        bytes[i] = i < head_len ? ((const uint8_t *)head)[i] : data[i % size];
    return (MDB_val){len, bytes};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 4)
        return 0;
    uint32_t dims = 1 + (data[0] | (uint32_t)data[1] << 8) % 300, count = 1 + data[2] % 130;
    MDB_val value = fitted(NULL, 0, size - 3, data + 3, size - 3);
    use_all(value, dims);
    free(value.mv_data);

    uint16_t single[2] = {(uint16_t)dims, (uint16_t)count};
    value = fitted(single, sizeof(single), vector_single_bytes(dims, count), data + 3, size - 3);
    BUG_IF(!use_single(value, dims)); /* it fits */
    free(value.mv_data);

    uint32_t block[3] = {VECTOR_BLOCK_MAGIC, dims, count};
    value = fitted(block, sizeof(block), vector_block_bytes(dims, count), data + 3, size - 3);
    BUG_IF(!use_block(value, dims));
    free(value.mv_data);

    uint32_t signs[3] = {VECTOR_SIGNS_MAGIC, dims, count};
    value = fitted(signs, sizeof(signs), vector_signs_bytes(dims, count), data + 3, size - 3);
    BUG_IF(!use_signs(value, dims));
    free(value.mv_data);
    return 0;
}
