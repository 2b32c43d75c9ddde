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
/*
 * Before mdb_env_open: LMDB gives its lock file a length, no blocks, and writes into it through a
 * mapping, which on a full disk is a signal and no error code. So the blocks are there first, or
 * ENOSPC is the answer. Not while the environment is open: closing the file lets go of its locks.
 */
int vector_make_lock(const char *path);
/* LMDB's code as the house's; damage is logged and remembered, so that the next start begins anew. */
#define VECTOR_MISFIT (-1) /* not one of LMDB's: dims are not the space's */
enum err vector_err(int result);

/* --- damage (vector_heal.c) ------------------------------------------------------------------------ */

bool vector_is_damage(int result); /* what a good environment never answers */
bool vector_is_sound(const char *path, int (*open_and_check)(const char *path));
bool vector_set_aside(const char *path); /* errno when not */
void vector_mark_damaged(const char *path, int result);

/* --- keys --------------------------------------------------------------------------------------- */

/* encoder, space, kind, item: big-endian, signed numbers with their sign bit turned, so that bytes
 * are ordered as numbers are. */
enum vector_kind {
    VECTOR_HEAD = 1, /* struct vector_head; item is 0 */
    VECTOR_TAIL,     /* an item of its own */
    VECTOR_SIGNS,    /* of a block; item is where the block begins */
    VECTOR_ROWS,     /* of the same block */
};
#define VECTOR_BLOCK_MOST  1024        /* rows of a block, at the most */
#define VECTOR_BLOCK_MAGIC 0x4B4C4256u /* "VBLK": what a block begins with */
#define VECTOR_SIGNS_MAGIC 0x474E5356u /* "VSNG": what its signs begin with */
#define VECTOR_KEY_LEN     21
struct vector_key {
    uint8_t bytes[VECTOR_KEY_LEN];
};
struct vector_key vector_key(struct vector_space space, enum vector_kind kind, int64_t item);
struct vector_key vector_key_at(const struct vector_key *like, int64_t item); /* same kind */
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
bool vector_head_read(MDB_val value, struct vector_head *head);
int vector_head_put(MDB_txn *txn, struct vector_space space, const struct vector_head *head);

/* An item of the tail: dims, parts, then a scale for each part, the rows, the rests. */
struct vector_single {
    uint32_t parts;
    const uint8_t *scales; /* floats, anywhere in memory */
    const int8_t *rows;
    const uint8_t *rests;
};
bool vector_single_read(MDB_val value, uint32_t dims, struct vector_single *single);
size_t vector_single_bytes(uint32_t dims, uint32_t parts);
/* Into `bytes`, which holds as many. False when a value is not finite. */
bool vector_single_shape(const struct vector_item *item, uint8_t *bytes);
struct vector_draft;
/* Rows [from, from + parts) of the draft, which are an item. */
void vector_single_write(const struct vector_draft *draft, size_t from, size_t parts,
                         uint8_t *bytes);
float vector_float_at(const uint8_t *floats, size_t index);

/* --- blocks: many items in one value (vector_block.c) --------------------------------------------- */

/* The rows of a block as they lie in the file: sorted by item and part; numbers may be anywhere in
 * memory, so they are read with the functions. */
struct vector_block {
    size_t count, stride;
    const int8_t *rows;
    const uint8_t *items, *scales, *parts, *rests;
};
bool vector_block_read(MDB_val value, uint32_t dims, struct vector_block *block);
int64_t vector_block_item(const struct vector_block *block, size_t row);
uint16_t vector_block_part(const struct vector_block *block, size_t row);
/* The first row of the item, or count; *parts is how many rows it has. */
size_t vector_block_find(const struct vector_block *block, int64_t item, size_t *parts);

/* A block that is being made. */
struct vector_draft {
    uint32_t dims;
    size_t count, room;
    int8_t *rows;
    uint8_t *rests;
    int64_t *items;
    float *scales;
    uint16_t *parts;
};
struct vector_row {
    int64_t item;
    const int8_t *row;
    const uint8_t *rest;
    float scale;
    uint16_t part;
};
struct vector_row vector_block_row(const struct vector_block *block, size_t row);
struct vector_row vector_single_row(const struct vector_single *single, int64_t item, size_t part,
                                    uint32_t dims);
void vector_draft_add(struct vector_draft *draft, const struct vector_row *row);
void vector_draft_release(struct vector_draft *draft);
size_t vector_block_bytes(uint32_t dims, size_t count);
/* Rows [from, from + count) as a value of vector_block_bytes. */
void vector_block_write(const struct vector_draft *draft, size_t from, size_t count, uint8_t *out);

/* Walks over the blocks of a space. 0, MDB_NOTFOUND at the end, or an error. */
struct vector_walk {
    struct vector_key like;
    uint32_t dims;
    MDB_cursor *cursor;
    int64_t first; /* the block's key: its items are not below it */
    MDB_val value;
};
int vector_walk_open(struct vector_walk *walk, MDB_txn *txn, struct vector_space space,
                     enum vector_kind kind, uint32_t dims);
void vector_walk_close(struct vector_walk *walk);
int vector_walk_first(struct vector_walk *walk);
int vector_walk_next(struct vector_walk *walk);
/* The last one whose key is not above `item`. */
int vector_walk_to(struct vector_walk *walk, int64_t item);

/* --- changes inside blocks (vector_merge.c) --------------------------------------------------------- */

/* Takes those of the items (sorted) out of the space's blocks that are in one. */
int vector_blocks_remove(MDB_txn *txn, struct vector_space space, struct vector_head *head,
                         const int64_t *items, size_t count);
/* Moves a tail that is too long into blocks, as many as one transaction may write. */
int vector_blocks_merge(MDB_txn *txn, struct vector_space space, struct vector_head *head);

/* --- signs of a block (vector_signs.c) -------------------------------------------------------------- */

struct vector_signs {
    size_t count;
    float factor_unit, shift_unit;
    float middle_scale, middle_square; /* of `middle`: its scale, its length squared */
    const int8_t *middle;
    const uint8_t *groups;
};
bool vector_signs_read(MDB_val value, uint32_t dims, struct vector_signs *signs);
size_t vector_signs_bytes(uint32_t dims, size_t count);
void vector_signs_write(const struct vector_draft *draft, size_t from, size_t count, uint8_t *out);

/* From the product with a row; with its rest more exactly. */
static inline float vector_cosine(const struct vector_query *query, int32_t dot, float scale) {
    return (float)dot * (scale * query->scale);
}

float vector_cosine_exactly(const struct vector_query *query, const struct vector_row *row);

/* How a question looks at a block: what to give to `choose`, for the cosine that a row must probably
 * reach. */
struct vector_view {
    float constant, unit;
    struct vector_choice choice;
};
void vector_view_make(const struct vector_query *query, const struct vector_tables *tables,
                      const struct vector_signs *signs, uint32_t dims, struct vector_view *view);
void vector_view_aim(struct vector_view *view, float cosine);
