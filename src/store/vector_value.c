/*
 * Keys and values of the vector store, as bytes. A reader takes nothing from a value before it has
 * checked it against the value's length: pages may be damaged without LMDB noticing.
 */
#include "store/vector_inside.h"

#include "base/check.h"

#include <string.h>

#include "base/banned.h"

/* --- keys --------------------------------------------------------------------------------------- */

static void put_big(uint8_t *out, uint64_t number, size_t len) {
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(number >> (8 * (len - 1 - i)));
}

static uint64_t turned(int64_t number) {
    return (uint64_t)number ^ (uint64_t)1 << 63;
}

struct vector_key vector_key(struct vector_space space, enum vector_kind kind, int64_t item) {
    struct vector_key key;
    put_big(key.bytes, space.encoder, 4);
    put_big(key.bytes + 4, turned(space.id), 8);
    key.bytes[VECTOR_KEY_SPACE] = (uint8_t)kind;
    put_big(key.bytes + VECTOR_KEY_KIND, turned(item), 8);
    return key;
}

struct vector_key vector_key_at(const struct vector_key *like, int64_t item) {
    struct vector_key key = *like;
    put_big(key.bytes + VECTOR_KEY_KIND, turned(item), 8);
    return key;
}

int64_t vector_key_item(MDB_val key) {
    uint64_t number = 0;
    const uint8_t *bytes = key.mv_data;
    for (size_t i = VECTOR_KEY_KIND; i < VECTOR_KEY_LEN; i++)
        number = number << 8 | bytes[i];
    return (int64_t)(number ^ (uint64_t)1 << 63);
}

bool vector_key_begins(MDB_val key, const struct vector_key *like, size_t len) {
    return key.mv_size == VECTOR_KEY_LEN && memcmp(key.mv_data, like->bytes, len) == 0;
}

/* --- the head of a space ------------------------------------------------------------------------ */

static bool is_head_sane(const struct vector_head *head) {
    return head->dims > 0 && head->dims <= VECTOR_DIMS_LIMIT && head->items >= head->tail_items &&
           head->rows >= head->tail_rows && head->rows >= head->items;
}

bool vector_head_read(MDB_val value, struct vector_head *head) {
    memset(head, 0, sizeof(*head));
    if (value.mv_size != sizeof(*head))
        return false;
    memcpy(head, value.mv_data, sizeof(*head));
    return is_head_sane(head);
}

int vector_head_get(MDB_txn *txn, struct vector_space space, struct vector_head *head) {
    struct vector_key key = vector_key(space, VECTOR_HEAD, 0);
    MDB_val k = {sizeof(key.bytes), key.bytes}, v;
    memset(head, 0, sizeof(*head));
    int result = mdb_get(txn, vector_table(), &k, &v);
    if (result != 0)
        return result;
    return vector_head_read(v, head) ? 0 : MDB_CORRUPTED;
}

int vector_head_put(MDB_txn *txn, struct vector_space space, const struct vector_head *head) {
    struct vector_key key = vector_key(space, VECTOR_HEAD, 0);
    struct vector_head copy = *head;
    MDB_val k = {sizeof(key.bytes), key.bytes}, v = {sizeof(copy), &copy};
    if (head->rows == 0) {
        int result = mdb_del(txn, vector_table(), &k, NULL);
        return result == MDB_NOTFOUND ? 0 : result;
    }
    return mdb_put(txn, vector_table(), &k, &v, 0);
}

/* --- an item of its own --------------------------------------------------------------------------- */

struct single_head {
    uint16_t dims, parts;
};

float vector_float_at(const uint8_t *floats, size_t index) {
    float value;
    memcpy(&value, floats + index * sizeof(value), sizeof(value));
    return value;
}

size_t vector_single_bytes(uint32_t dims, uint32_t parts) {
    return sizeof(struct single_head) +
           parts * (sizeof(float) + vector_stride(dims) + vector_rest_bytes(dims));
}

bool vector_single_read(MDB_val value, uint32_t dims, struct vector_single *single) {
    struct single_head head;
    if (value.mv_size < sizeof(head))
        return false;
    memcpy(&head, value.mv_data, sizeof(head));
    if (head.dims != dims || head.parts == 0 || head.parts > VECTOR_PARTS_LIMIT ||
        value.mv_size != vector_single_bytes(dims, head.parts))
        return false;
    const uint8_t *bytes = value.mv_data;
    single->parts = head.parts;
    single->scales = bytes + sizeof(head);
    single->rows = (const int8_t *)(single->scales + head.parts * sizeof(float));
    single->rests = (const uint8_t *)single->rows + head.parts * vector_stride(dims);
    return true;
}

struct vector_row vector_single_row(const struct vector_single *single, int64_t item, size_t part,
                                    uint32_t dims) {
    return (struct vector_row){
        .item = item,
        .row = single->rows + part * vector_stride(dims),
        .rest = single->rests + part * vector_rest_bytes(dims),
        .scale = vector_float_at(single->scales, part),
        .part = (uint16_t)part,
    };
}

bool vector_single_shape(const struct vector_item *item, uint8_t *bytes) {
    struct single_head head = {.dims = item->dims, .parts = item->parts};
    const size_t stride = vector_stride(item->dims), rest_bytes = vector_rest_bytes(item->dims);
    uint8_t *scales = bytes + sizeof(head), *rows = scales + item->parts * sizeof(float);
    uint8_t *rests = rows + item->parts * stride;
    memcpy(bytes, &head, sizeof(head));
    for (size_t part = 0; part < item->parts; part++) {
        float scale;
        if (!vector_shape(item->values + part * item->dims, item->dims,
                          (int8_t *)rows + part * stride, rests + part * rest_bytes, &scale))
            return false;
        memcpy(scales + part * sizeof(scale), &scale, sizeof(scale));
    }
    return true;
}

void vector_single_write(const struct vector_draft *draft, size_t from, size_t parts,
                         uint8_t *bytes) {
    struct single_head head = {.dims = (uint16_t)draft->dims, .parts = (uint16_t)parts};
    const size_t stride = vector_stride(draft->dims), rest_bytes = vector_rest_bytes(draft->dims);
    uint8_t *scales = bytes + sizeof(head), *rows = scales + parts * sizeof(float);
    memcpy(bytes, &head, sizeof(head));
    memcpy(scales, draft->scales + from, parts * sizeof(float));
    memcpy(rows, draft->rows + from * stride, parts * stride);
    memcpy(rows + parts * stride, draft->rests + from * rest_bytes, parts * rest_bytes);
}
