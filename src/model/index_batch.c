/*
 * The steps of a batch that wait for a disk: reading rows and their pieces, storing vectors, ending
 * rows. LMDB is durable before the queue's rows go, so a batch that was cut off is done once more,
 * with the same outcome.
 */
#include "model/index_batch.h"

#include "base/clock.h"

#include "base/banned.h"

#define BACKOFF_FIRST_MS ((int64_t)5000)
#define BACKOFF_STEPS    14 /* 5 s doubling to about a day */

struct batch the_batch;

/* --- load (pool) ------------------------------------------------------------------------------ */

static bool has_text(const struct index_source *source) {
    for (size_t i = 0; i < source->piece_count; i++)
        if (str_trim(source->pieces[i]).len > 0)
            return true;
    return false;
}

static void load_row(struct db *db, struct batch_row *row) {
    row->kind = index_kind_find(row->queue.kind);
    row->source.space = row->queue.space;
    if (row->kind == NULL)
        return;
    row->err = row->kind->load(db, &the_batch.arena, row->queue.item, &row->source);
    if (row->err == E_ABSENT) {
        row->source = (struct index_source){.space = row->queue.space};
        row->err = E_OK;
    }
    if (row->source.piece_count > INDEX_PIECE_LIMIT)
        row->source.piece_count = INDEX_PIECE_LIMIT;
    if (row->err != E_OK || !has_text(&row->source))
        row->source.piece_count = 0;
}

static void gather_pieces(void) {
    size_t at = 0;
    for (size_t i = 0; i < the_batch.row_count; i++)
        the_batch.piece_count += the_batch.rows[i].source.piece_count;
    the_batch.pieces = ARENA_ARRAY(&the_batch.arena, struct str, the_batch.piece_count + 1);
    for (size_t i = 0; i < the_batch.row_count; i++) {
        struct batch_row *row = &the_batch.rows[i];
        row->first_piece = at;
        for (size_t p = 0; p < row->source.piece_count; p++)
            the_batch.pieces[at++] = row->source.pieces[p];
    }
}

void pool_batch_load(void *ctx) {
    struct queue_row due[BATCH_ROWS_LIMIT];
    size_t count = 0, pieces = 0;
    struct db *db = pool_reader_open();
    (void)ctx;
    the_batch.err = db == NULL
                        ? E_STORAGE
                        : queue_due(db, &the_batch.arena, the_batch.encoder.id, clock_now_ms(), due,
                                    the_batch.row_limit, &count, &the_batch.next_at);
    the_batch.rows = ARENA_ARRAY(&the_batch.arena, struct batch_row, count + 1);
    for (size_t i = 0; i < count && the_batch.err == E_OK && pieces < the_batch.piece_limit; i++) {
        struct batch_row *row = &the_batch.rows[the_batch.row_count++];
        row->queue = due[i];
        load_row(db, row);
        pieces += row->source.piece_count;
    }
    gather_pieces();
    the_batch.counted =
        the_batch.wants_count && db != NULL ? queue_count(db, the_batch.encoder.id, INT64_MAX) : -1;
    pool_reader_close(db);
}

/* --- store (pool) ----------------------------------------------------------------------------- */

static const float *values_of(const struct batch_row *row) {
    return the_batch.values + row->first_piece * the_batch.dims;
}

static bool is_whole_space(const struct batch_row *row) {
    return str_eq(row->queue.kind, QUEUE_KIND_SPACE);
}

static enum err drop_spaces(void) {
    enum err err = E_OK;
    for (size_t i = 0; i < the_batch.row_count && err == E_OK; i++)
        if (is_whole_space(&the_batch.rows[i]))
            err = pool_vector_drop((struct vector_space){the_batch.rows[i].queue.item,
                                                         (uint32_t)the_batch.encoder.id});
    return err;
}

/* An item that moved leaves the space where it was. */
static size_t list_items(struct vector_item *items) {
    size_t count = 0;
    for (size_t i = 0; i < the_batch.row_count; i++) {
        struct batch_row *row = &the_batch.rows[i];
        uint32_t encoder = (uint32_t)the_batch.encoder.id;
        bool stays = !row->is_forgotten && row->source.piece_count > 0;
        if (row->err != E_OK || is_whole_space(row))
            continue;
        if (!stays || row->source.space != row->queue.space)
            items[count++] =
                (struct vector_item){.space = {row->queue.space, encoder}, .id = row->queue.item};
        if (stays)
            items[count++] = (struct vector_item){.space = {row->source.space, encoder},
                                                  .id = row->queue.item,
                                                  .values = values_of(row),
                                                  .parts = (uint16_t)row->source.piece_count,
                                                  .dims = (uint16_t)the_batch.dims};
    }
    return count;
}

static bool has_vectors(const struct batch_row *row) {
    return row->err == E_OK && !row->is_forgotten && row->source.piece_count > 0;
}

static void digest_all(void) {
    struct db *db = pool_reader_open();
    for (size_t i = 0; i < the_batch.row_count && db != NULL; i++) {
        struct batch_row *row = &the_batch.rows[i];
        if (!has_vectors(row) || row->kind->pool_digest == NULL)
            continue;
        struct index_vectors vectors = {
            .space = {row->source.space, (uint32_t)the_batch.encoder.id},
            .item = row->queue.item,
            .values = values_of(row),
            .piece_count = row->source.piece_count,
            .dims = the_batch.dims,
        };
        row->kind->pool_digest(db, &vectors, &row->digest);
    }
    the_batch.err = db == NULL ? E_STORAGE : the_batch.err;
    pool_reader_close(db);
}

void pool_batch_store(void *ctx) {
    struct vector_item *items =
        ARENA_ARRAY(&the_batch.arena, struct vector_item, 2 * the_batch.row_count + 1);
    (void)ctx;
    the_batch.err = drop_spaces();
    size_t count = list_items(items);
    if (the_batch.err == E_OK && count > 0)
        the_batch.err = pool_vector_write(items, count, the_batch.seen);
    if (the_batch.err == E_OK)
        digest_all();
}

/* --- finish (writer) -------------------------------------------------------------------------- */

static int64_t backoff_ms(int64_t attempts) {
    int64_t steps = attempts < BACKOFF_STEPS ? attempts : BACKOFF_STEPS;
    return BACKOFF_FIRST_MS << (steps - 1);
}

static enum err put_off(struct tx *tx, const struct batch_row *row) {
    int64_t attempts = row->queue.attempts + 1;
    return queue_put_off(tx, &row->queue, attempts, clock_now_ms() + backoff_ms(attempts));
}

static enum err finish_row(struct tx *tx, const struct batch_row *row) {
    if (row->err != E_OK)
        return put_off(tx, row);
    enum err err = E_OK;
    if (has_vectors(row) && row->kind->writer_vectors != NULL)
        err = row->kind->writer_vectors(tx, row->queue.item, (int)the_batch.encoder.slot,
                                        &row->digest);
    return err == E_OK ? queue_end(tx, row->queue.change) : err;
}

enum err writer_batch_finish(struct tx *tx, void *ctx) {
    enum err err = index_seen_store(tx, the_batch.seen);
    (void)ctx;
    if (err == E_OK && the_batch.encoder.dims == 0 && the_batch.dims > 0)
        err = encoder_set_dims(tx, the_batch.encoder.id, (int64_t)the_batch.dims);
    for (size_t i = 0; i < the_batch.row_count && err == E_OK; i++)
        err = finish_row(tx, &the_batch.rows[i]);
    return err;
}

/* The one row of the batch fails. */
enum err writer_batch_put_off(struct tx *tx, void *ctx) {
    (void)ctx;
    return put_off(tx, &the_batch.rows[0]);
}
