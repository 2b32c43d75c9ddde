/*
 * The product over tiles of registers, included by the kernels that have many: a tile of `rows` x
 * OUTPUTS sums stays in registers while it walks along the inputs, so that each weight is widened
 * once for all rows, and each activation read once for all outputs. Weights of a tile (12 to 48 KB)
 * stay in the nearest cache for the next rows.
 *
 * The including file gives ROWS_MOST, OUTPUTS and tile(matrix, block, in, in_scale, out, rows,
 * inputs), to be inlined with `rows` and `inputs` as constants: then every address is a pointer and
 * a number.
 */
#define TILE_OF(rows, inputs)                                 \
    case rows:                                                \
        tile(matrix, block, in, in_scale, out, rows, inputs); \
        break

#define TILES_OF(inputs)                                                                         \
    static void tiles_##inputs(const struct embedder_matrix *matrix, size_t block,               \
                               const int16_t *in, const float *in_scale, float *out, int rows) { \
        switch (rows) { EACH_ROW_COUNT(inputs) }                                                 \
    }

TILES_OF(384)
TILES_OF(1536)

static void product(const struct embedder_matrix *matrix, const int16_t *in, const float *in_scale,
                    size_t rows, float *out) {
    size_t groups = (rows + ROWS_MOST - 1) / ROWS_MOST; /* of nearly the same size */
    for (size_t block = 0; block < matrix->outputs; block += OUTPUTS) {
        for (size_t group = 0; group < groups; group++) {
            size_t from = rows * group / groups, to = rows * (group + 1) / groups;
            const int16_t *group_in = in + from * matrix->inputs;
            float *group_out = out + from * matrix->outputs + block;
            if (matrix->inputs == 384)
                tiles_384(matrix, block, group_in, in_scale + from, group_out, (int)(to - from));
            else
                tiles_1536(matrix, block, group_in, in_scale + from, group_out, (int)(to - from));
        }
    }
}
