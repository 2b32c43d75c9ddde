/* What the files of the vector store share: the environment, keys, values. For nobody else, save
 * its tests. */
#pragma once

#include "store/vector.h"
#include "store/vector_scan.h"

#include <lmdb.h>

/* Sizes that tests make small. Changed only while the store is closed. */
struct vector_tuning {
    size_t map_bytes;    /* of the first map; it doubles when full */
    uint32_t block_rows; /* at most this many rows make a block */
    uint32_t tail_rows;  /* a tail that is longer is moved into blocks */
    uint32_t exact_rows; /* spaces up to this size are searched exactly */
};
extern struct vector_tuning vector_tuning;

/* --- the environment (vector_file.c); functions that return int give LMDB's codes --------------- */

struct vector_totals {
    uint32_t version;
    uint32_t zero;
    int64_t seen, items, parts;
};

/* A reading transaction; the environment stays where it is until it ends. */
int vector_read_begin(MDB_txn **txn);
void vector_read_end(MDB_txn *txn);
/* Runs `change` in a durable transaction, from its beginning again when the map had to grow. Its
 * error undoes all. */
typedef int (*vector_change_fn)(MDB_txn *txn, struct vector_totals *totals, void *ctx);
MUST_USE enum err vector_change(vector_change_fn change, void *ctx);
MDB_dbi vector_table(void);
/* Exchanges data.mdb for the one that `fill` makes in the folder `path`, from what `txn` sees.
 * Writes wait as long as it takes, reads only while the files are exchanged. */
typedef int (*vector_fill_fn)(MDB_txn *txn, MDB_dbi vectors, MDB_dbi state, const char *path);
MUST_USE enum err vector_exchange(vector_fill_fn fill);
/* LMDB's code as the house's; damage is logged and remembered, so that the next start begins anew. */
#define VECTOR_MISFIT (-1) /* not one of LMDB's: dims are not the space's */
enum err vector_err(int result);

/* --- keys --------------------------------------------------------------------------------------- */

/* encoder, space, kind, item: big-endian, signed numbers with their sign bit turned, so that bytes
 * are ordered as numbers are. */
enum vector_kind {
    VECTOR_HEAD = 1, /* struct vector_head; item is 0 */
    VECTOR_TAIL,     /* an item of its own */
};
#define VECTOR_KEY_LEN 21
struct vector_key {
    uint8_t bytes[VECTOR_KEY_LEN];
};
struct vector_key vector_key(struct vector_space space, enum vector_kind kind, int64_t item);
int64_t vector_key_item(MDB_val key);
/* True when the key begins as `like` does: same encoder and space (and kind). */
#define VECTOR_KEY_SPACE 12
#define VECTOR_KEY_KIND  13
bool vector_key_begins(MDB_val key, const struct vector_key *like, size_t len);

/* --- values: lengths are checked, whatever the file says ------------------------------------------ */

/* What a space holds. */
struct vector_head {
    uint32_t dims;
    uint32_t tail_items, tail_rows;
    uint32_t blocks;
    int64_t items, rows;
};
/* MDB_NOTFOUND (and zeros) when there is no such space, MDB_CORRUPTED when it cannot be. */
int vector_head_get(MDB_txn *txn, struct vector_space space, struct vector_head *head);
int vector_head_put(MDB_txn *txn, struct vector_space space, const struct vector_head *head);

/* An item of the tail: dims, parts, then a scale for each part, then the rows. */
struct vector_single {
    uint32_t parts;
    const uint8_t *scales; /* floats, anywhere in memory */
    const int8_t *rows;
};
bool vector_single_read(MDB_val value, uint32_t dims, struct vector_single *single);
size_t vector_single_bytes(uint32_t dims, uint32_t parts);
/* Into `bytes`, which holds as many; rows are made from floats. */
bool vector_single_write(const struct vector_item *item, uint8_t *bytes);
float vector_float_at(const uint8_t *floats, size_t index);
