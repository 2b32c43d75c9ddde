/*
 * A block: up to 1,024 vectors of a space in one value.
 *
 * An entry of its own for every vector would cost a step of the cursor each, more than the product
 * itself. The value of a block lies on pages of its own, one after the other (LMDB calls them
 * overflow pages), so a walk over its rows is a walk over memory. The head has 48 bytes: with
 * LMDB's 16 in front, rows begin at a line of the cache.
 *
 *     head | rows: count x stride | items: count x int64 | scales: count x float
 *          | parts: count x uint16 | rests: count x stride / 2
 *
 * Small blocks may lie in a shared page and begin anywhere; so nothing but bytes is read directly.
 */
#include "store/vector_inside.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

struct block_head {
    uint32_t magic, dims, count;
    uint8_t zero[36];
};
_Static_assert(sizeof(struct block_head) == 48, "rows begin at a line of the cache");

#define ROW_EXTRA (sizeof(int64_t) + sizeof(float) + sizeof(uint16_t))

size_t vector_block_bytes(uint32_t dims, size_t count) {
    return sizeof(struct block_head) +
           count * (vector_stride(dims) + vector_rest_bytes(dims) + ROW_EXTRA);
}

bool vector_block_read(MDB_val value, uint32_t dims, struct vector_block *block) {
    struct block_head head;
    if (value.mv_size < sizeof(head))
        return false;
    memcpy(&head, value.mv_data, sizeof(head));
    if (head.magic != VECTOR_BLOCK_MAGIC || head.dims != dims || head.count == 0 ||
        head.count > VECTOR_BLOCK_MOST || value.mv_size != vector_block_bytes(dims, head.count))
        return false;
    block->count = head.count;
    block->stride = vector_stride(dims);
    block->rows = (const int8_t *)value.mv_data + sizeof(head);
    block->items = (const uint8_t *)block->rows + block->count * block->stride;
    block->scales = block->items + block->count * sizeof(int64_t);
    block->parts = block->scales + block->count * sizeof(float);
    block->rests = block->parts + block->count * sizeof(uint16_t);
    return true;
}

int64_t vector_block_item(const struct vector_block *block, size_t row) {
    int64_t item;
    memcpy(&item, block->items + row * sizeof(item), sizeof(item));
    return item;
}

uint16_t vector_block_part(const struct vector_block *block, size_t row) {
    uint16_t part;
    memcpy(&part, block->parts + row * sizeof(part), sizeof(part));
    return part;
}

struct vector_row vector_block_row(const struct vector_block *block, size_t row) {
    return (struct vector_row){
        .item = vector_block_item(block, row),
        .row = block->rows + row * block->stride,
        .rest = block->rests + row * (block->stride / 2),
        .scale = vector_float_at(block->scales, row),
        .part = vector_block_part(block, row),
    };
}

size_t vector_block_find(const struct vector_block *block, int64_t item, size_t *parts) {
    size_t low = 0, high = block->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (vector_block_item(block, middle) < item)
            low = middle + 1;
        else
            high = middle;
    }
    for (*parts = 0; low + *parts < block->count; ++*parts)
        if (vector_block_item(block, low + *parts) != item)
            break;
    return *parts > 0 ? low : block->count;
}

/* --- making one --------------------------------------------------------------------------------- */

static void *wider(void *old, size_t bytes) {
    void *memory = realloc(old, bytes);
    BUG_IF(memory == NULL);
    return memory;
}

void vector_draft_add(struct vector_draft *draft, const struct vector_row *row) {
    size_t stride = vector_stride(draft->dims), rest_bytes = vector_rest_bytes(draft->dims);
    if (draft->count == draft->room) {
        draft->room = draft->room > 0 ? draft->room * 2 : 256;
        draft->rows = wider(draft->rows, draft->room * stride);
        draft->rests = wider(draft->rests, draft->room * rest_bytes);
        draft->items = wider(draft->items, draft->room * sizeof(*draft->items));
        draft->scales = wider(draft->scales, draft->room * sizeof(*draft->scales));
        draft->parts = wider(draft->parts, draft->room * sizeof(*draft->parts));
    }
    memcpy(draft->rows + draft->count * stride, row->row, stride);
    memcpy(draft->rests + draft->count * rest_bytes, row->rest, rest_bytes);
    draft->items[draft->count] = row->item;
    draft->scales[draft->count] = row->scale;
    draft->parts[draft->count++] = row->part;
}

void vector_draft_release(struct vector_draft *draft) {
    free(draft->rows);
    free(draft->rests);
    free(draft->items);
    free(draft->scales);
    free(draft->parts);
}

static uint8_t *put(uint8_t *out, const void *bytes, size_t len) {
    memcpy(out, bytes, len);
    return out + len;
}

void vector_block_write(const struct vector_draft *draft, size_t from, size_t count, uint8_t *out) {
    struct block_head head = {
        .magic = VECTOR_BLOCK_MAGIC, .dims = draft->dims, .count = (uint32_t)count};
    size_t stride = vector_stride(draft->dims);
    out = put(out, &head, sizeof(head));
    out = put(out, draft->rows + from * stride, count * stride);
    out = put(out, draft->items + from, count * sizeof(*draft->items));
    out = put(out, draft->scales + from, count * sizeof(*draft->scales));
    out = put(out, draft->parts + from, count * sizeof(*draft->parts));
    put(out, draft->rests + from * vector_rest_bytes(draft->dims),
        count * vector_rest_bytes(draft->dims));
}
