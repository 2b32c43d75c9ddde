/* One question or one change each. The queue may be long; everything that is asked of it goes by an
 * index, and what takes many rows out does so in portions, so that people who write do not wait. */
#include "model/index_store.h"

#include "base/clock.h"

#include "base/banned.h"

/* --- encoders --------------------------------------------------------------------------------- */

enum err encoder_load(struct db *db, struct arena *arena, struct str state,
                      struct encoder_row *row) {
    struct stmt *stmt = DB_SQL(
        db, "SELECT id, provider, base_url, model, key_sealed, state, dims, slot, created_at\n"
            "FROM encoder WHERE state = :state ORDER BY id LIMIT 1");
    bind_str(stmt, ":state", state);
    bool is_there = stmt_row(stmt);
    if (is_there)
        *row = (struct encoder_row){
            .id = column_id(stmt, 0),
            .provider = column_str_dup(stmt, 1, arena),
            .base_url = column_str_dup(stmt, 2, arena),
            .model = column_str_dup(stmt, 3, arena),
            .key_sealed = column_blob_dup(stmt, 4, arena),
            .state = column_str_dup(stmt, 5, arena),
            .dims = column_int(stmt, 6),
            .slot = column_int(stmt, 7),
            .created_at = column_time(stmt, 8),
        };
    enum err err = stmt_done(stmt);
    return err != E_OK || is_there ? err : E_ABSENT;
}

bool encoder_was_chosen(struct db *db) {
    return stmt_int(DB_SQL(db, "SELECT max(id) FROM encoder"), 0) != 0;
}

enum err encoder_insert(struct tx *tx, struct encoder_row *row) {
    struct stmt *stmt = DB_SQL(
        tx_db(tx),
        "INSERT INTO encoder (provider, base_url, model, key_sealed, dims, slot, state, created_at)\n"
        "VALUES (:provider, :base_url, :model, :key_sealed, :dims, :slot, :state, :created_at)");
    bind_str(stmt, ":provider", row->provider);
    bind_str(stmt, ":base_url", row->base_url.at ? row->base_url : STR(""));
    bind_str(stmt, ":model", row->model.at ? row->model : STR(""));
    bind_blob(stmt, ":key_sealed", row->key_sealed);
    bind_int(stmt, ":dims", row->dims);
    bind_int(stmt, ":slot", row->slot);
    bind_str(stmt, ":state", row->state);
    bind_time(stmt, ":created_at", clock_now_ms());
    enum err err = stmt_run(stmt);
    row->id = stmt_int(DB_SQL(tx_db(tx), "SELECT last_insert_rowid()"), 0);
    return err;
}

enum err encoder_set_state(struct tx *tx, int64_t id, struct str state) {
    struct stmt *stmt = DB_SQL(tx_db(tx), "UPDATE encoder SET state = :state WHERE id = :id");
    bind_str(stmt, ":state", state);
    bind_id(stmt, ":id", id);
    return stmt_run(stmt);
}

enum err encoder_set_dims(struct tx *tx, int64_t id, int64_t dims) {
    struct stmt *stmt = DB_SQL(tx_db(tx), "UPDATE encoder SET dims = :dims WHERE id = :id");
    bind_int(stmt, ":dims", dims);
    bind_id(stmt, ":id", id);
    return stmt_run(stmt);
}

enum err encoder_set_key(struct tx *tx, int64_t id, struct str key_sealed) {
    struct stmt *stmt = DB_SQL(tx_db(tx), "UPDATE encoder SET key_sealed = :key WHERE id = :id");
    bind_blob(stmt, ":key", key_sealed);
    bind_id(stmt, ":id", id);
    return stmt_run(stmt);
}

enum err encoder_delete(struct tx *tx, int64_t id) {
    struct stmt *stmt = DB_SQL(tx_db(tx), "DELETE FROM encoder WHERE id = :id");
    bind_id(stmt, ":id", id);
    return stmt_run(stmt);
}

/* --- touches ---------------------------------------------------------------------------------- */

enum err touch_put(struct tx *tx, const struct queue_row *row) {
    struct stmt *stmt = DB_SQL(tx_db(tx), "INSERT INTO index_touch (kind, item, space, group_id)\n"
                                          "VALUES (:kind, :item, :space, :group)");
    bind_str(stmt, ":kind", row->kind);
    bind_int(stmt, ":item", row->item);
    bind_int(stmt, ":space", row->space);
    bind_int(stmt, ":group", row->group);
    return stmt_run(stmt);
}

enum err touch_list(struct db *db, struct arena *arena, struct queue_row *rows, size_t limit,
                    size_t *count) {
    struct stmt *stmt =
        DB_SQL(db, "SELECT change, kind, item, space, group_id FROM index_touch ORDER BY change\n"
                   "LIMIT :limit");
    bind_int(stmt, ":limit", (int64_t)limit);
    for (*count = 0; stmt_row(stmt); ++*count)
        rows[*count] = (struct queue_row){
            .change = column_int(stmt, 0),
            .kind = column_str_dup(stmt, 1, arena),
            .item = column_int(stmt, 2),
            .space = column_int(stmt, 3),
            .group = column_int(stmt, 4),
            .due_at = QUEUE_DUE_NOW,
            .is_touch = true,
        };
    return stmt_done(stmt);
}

enum err touch_end_to(struct tx *tx, int64_t change) {
    struct stmt *stmt = DB_SQL(tx_db(tx), "DELETE FROM index_touch WHERE change <= :change");
    bind_int(stmt, ":change", change);
    return stmt_run(stmt);
}

static int64_t count_touches(struct db *db, int64_t limit) {
    struct stmt *stmt = DB_SQL(db, "SELECT count(*) FROM (SELECT 1 FROM index_touch LIMIT :limit)");
    bind_int(stmt, ":limit", limit);
    return stmt_int(stmt, 0);
}

static int64_t count_touches_of_group(struct db *db, int64_t group) {
    struct stmt *stmt = DB_SQL(db, "SELECT count(*) FROM index_touch WHERE group_id = :group");
    bind_int(stmt, ":group", group);
    return stmt_int(stmt, 0);
}

/* What could not be written waits apart, so that the others go on. */
static enum err touch_put_off(struct tx *tx, int64_t change, int64_t attempts, int64_t due_at) {
    struct stmt *stmt = DB_SQL(
        tx_db(tx), "INSERT OR REPLACE INTO index_queue\n"
                   "    (kind, item, encoder_id, space, group_id, attempts, due_at)\n"
                   "SELECT kind, item, 0, space, group_id, :attempts, :due_at FROM index_touch\n"
                   "WHERE change = :change");
    bind_int(stmt, ":attempts", attempts);
    bind_int(stmt, ":due_at", due_at);
    bind_int(stmt, ":change", change);
    enum err err = stmt_run(stmt);
    if (err != E_OK)
        return err;
    stmt = DB_SQL(tx_db(tx), "DELETE FROM index_touch WHERE change = :change");
    bind_int(stmt, ":change", change);
    return stmt_run(stmt);
}

/* --- the queue -------------------------------------------------------------------------------- */

static void bind_row(struct stmt *stmt, const struct queue_row *row) {
    bind_str(stmt, ":kind", row->kind);
    bind_int(stmt, ":item", row->item);
    bind_int(stmt, ":space", row->space);
    bind_int(stmt, ":group", row->group);
    bind_int(stmt, ":due_at", row->due_at);
}

enum err queue_put(struct tx *tx, const struct queue_row *row) {
    struct stmt *stmt = DB_SQL(
        tx_db(tx),
        "INSERT OR REPLACE INTO index_queue (kind, item, encoder_id, space, group_id, due_at)\n"
        "VALUES (:kind, :item, :encoder,\n"
        "        coalesce((SELECT space FROM index_queue\n"
        "                  WHERE kind = :kind AND item = :item AND encoder_id = :encoder), :space),\n"
        "        :group, :due_at)");
    bind_row(stmt, row);
    bind_int(stmt, ":encoder", row->encoder);
    return stmt_run(stmt);
}

enum err queue_put_vectors(struct tx *tx, const struct queue_row *row) {
    struct stmt *stmt = DB_SQL(
        tx_db(tx),
        "INSERT OR REPLACE INTO index_queue (kind, item, encoder_id, space, group_id, due_at)\n"
        "SELECT :kind, :item, e.id,\n"
        "       coalesce((SELECT space FROM index_queue\n"
        "                 WHERE kind = :kind AND item = :item AND encoder_id = e.id), :space),\n"
        "       :group, :due_at\n"
        "FROM encoder e WHERE e.state IN ('active', 'building') AND e.provider <> 'none'");
    bind_row(stmt, row);
    return stmt_run(stmt);
}

static struct queue_row read_row(struct stmt *stmt, struct arena *arena, int64_t encoder) {
    return (struct queue_row){
        .change = column_int(stmt, 0),
        .kind = column_str_dup(stmt, 1, arena),
        .item = column_int(stmt, 2),
        .encoder = encoder,
        .space = column_int(stmt, 3),
        .group = column_int(stmt, 4),
        .attempts = column_int(stmt, 5),
        .due_at = column_int(stmt, 6),
    };
}

enum err queue_due(struct db *db, struct arena *arena, int64_t encoder, int64_t now_ms,
                   struct queue_row *rows, size_t limit, size_t *count, int64_t *next_at) {
    struct stmt *stmt =
        DB_SQL(db, "SELECT change, kind, item, space, group_id, attempts, due_at\n"
                   "FROM index_queue WHERE encoder_id = :encoder ORDER BY due_at, change\n"
                   "LIMIT :limit");
    bind_int(stmt, ":encoder", encoder);
    bind_int(stmt, ":limit", (int64_t)limit);
    *count = 0;
    *next_at = 0;
    while (*next_at == 0 && stmt_row(stmt)) {
        struct queue_row row = read_row(stmt, arena, encoder);
        if (row.due_at > now_ms)
            *next_at = row.due_at;
        else
            rows[(*count)++] = row;
    }
    return stmt_done(stmt);
}

enum err queue_end(struct tx *tx, int64_t change) {
    struct stmt *stmt = DB_SQL(tx_db(tx), "DELETE FROM index_queue WHERE change = :change");
    bind_int(stmt, ":change", change);
    return stmt_run(stmt);
}

enum err queue_put_off(struct tx *tx, const struct queue_row *row, int64_t attempts,
                       int64_t due_at) {
    if (row->is_touch)
        return touch_put_off(tx, row->change, attempts, due_at);
    struct stmt *stmt =
        DB_SQL(tx_db(tx), "UPDATE index_queue SET attempts = :attempts, due_at = :due_at\n"
                          "WHERE change = :change");
    bind_int(stmt, ":attempts", attempts);
    bind_int(stmt, ":due_at", due_at);
    bind_int(stmt, ":change", row->change);
    return stmt_run(stmt);
}

enum err queue_clear_encoder(struct tx *tx, int64_t encoder, int64_t limit, int64_t *count) {
    struct stmt *stmt = DB_SQL(
        tx_db(tx), "DELETE FROM index_queue WHERE change IN (\n"
                   "SELECT change FROM index_queue WHERE encoder_id = :encoder LIMIT :limit)");
    bind_int(stmt, ":encoder", encoder);
    bind_int(stmt, ":limit", limit);
    enum err err = stmt_run(stmt);
    *count = stmt_changed(stmt);
    return err;
}

enum err queue_clear_group(struct tx *tx, int64_t group) {
    struct stmt *stmt = DB_SQL(tx_db(tx), "DELETE FROM index_queue WHERE group_id = :group");
    bind_int(stmt, ":group", group);
    return stmt_run(stmt);
}

int64_t queue_count(struct db *db, int64_t encoder, int64_t limit) {
    struct stmt *stmt =
        DB_SQL(db, "SELECT count(*) FROM (\n"
                   "SELECT 1 FROM index_queue WHERE encoder_id = :encoder LIMIT :limit)");
    bind_int(stmt, ":encoder", encoder);
    bind_int(stmt, ":limit", limit);
    int64_t count = stmt_int(stmt, 0);
    return encoder == 0 && count < limit ? count + count_touches(db, limit - count) : count;
}

int64_t queue_count_group(struct db *db, int64_t group, int64_t encoder) {
    struct stmt *stmt = DB_SQL(db, "SELECT count(*) FROM index_queue\n"
                                   "WHERE group_id = :group AND encoder_id = :encoder");
    bind_int(stmt, ":group", group);
    bind_int(stmt, ":encoder", encoder);
    return stmt_int(stmt, 0) + (encoder == 0 ? count_touches_of_group(db, group) : 0);
}

bool queue_has_fresh(struct db *db, int64_t encoder) {
    if (encoder == 0 && count_touches(db, 1) > 0)
        return true;
    struct stmt *stmt = DB_SQL(
        db, "SELECT 1 FROM index_queue WHERE encoder_id = :encoder AND due_at <= :bulk LIMIT 1");
    bind_int(stmt, ":encoder", encoder);
    bind_int(stmt, ":bulk", QUEUE_DUE_BULK);
    return stmt_int(stmt, 0) != 0;
}

enum err queue_hurry(struct tx *tx, int64_t encoder) {
    struct stmt *stmt = DB_SQL(tx_db(tx), "UPDATE index_queue SET due_at = :bulk\n"
                                          "WHERE encoder_id = :encoder AND due_at > :bulk");
    bind_int(stmt, ":encoder", encoder);
    bind_int(stmt, ":bulk", QUEUE_DUE_BULK);
    return stmt_run(stmt);
}

/* --- rebuilds --------------------------------------------------------------------------------- */

enum err rebuild_load(struct db *db, struct arena *arena, int64_t encoder,
                      struct rebuild_row *row) {
    struct stmt *stmt =
        DB_SQL(db, "SELECT kind, after, total FROM index_rebuild WHERE encoder_id = :encoder");
    bind_int(stmt, ":encoder", encoder);
    bool is_there = stmt_row(stmt);
    if (is_there)
        *row = (struct rebuild_row){
            .encoder = encoder,
            .kind = column_str_dup(stmt, 0, arena),
            .after = column_int(stmt, 1),
            .total = column_int(stmt, 2),
        };
    enum err err = stmt_done(stmt);
    return err != E_OK || is_there ? err : E_ABSENT;
}

enum err rebuild_put(struct tx *tx, const struct rebuild_row *row) {
    struct stmt *stmt =
        DB_SQL(tx_db(tx), "INSERT OR REPLACE INTO index_rebuild (encoder_id, kind, after, total)\n"
                          "VALUES (:encoder, :kind, :after, :total)");
    bind_int(stmt, ":encoder", row->encoder);
    bind_str(stmt, ":kind", row->kind);
    bind_int(stmt, ":after", row->after);
    bind_int(stmt, ":total", row->total);
    return stmt_run(stmt);
}

enum err rebuild_delete(struct tx *tx, int64_t encoder) {
    struct stmt *stmt = DB_SQL(tx_db(tx), "DELETE FROM index_rebuild WHERE encoder_id = :encoder");
    bind_int(stmt, ":encoder", encoder);
    return stmt_run(stmt);
}

/* --- what LMDB is compared with --------------------------------------------------------------- */

int64_t index_seen_load(struct db *db) {
    struct stmt *stmt =
        DB_SQL(db, "SELECT CAST(value AS INTEGER) FROM instance WHERE name = 'vectors_seen'");
    return stmt_int(stmt, 0);
}

enum err index_seen_store(struct tx *tx, int64_t seen) {
    struct stmt *stmt =
        DB_SQL(tx_db(tx), "INSERT INTO instance (name, value) VALUES ('vectors_seen', :seen)\n"
                          "ON CONFLICT (name) DO UPDATE SET value = excluded.value");
    char text[STR_INT_BYTES];
    bind_str(stmt, ":seen", str_of(text, str_print_int(text, seen)));
    return stmt_run(stmt);
}

bool compaction_is_queued(struct db *db) {
    struct stmt *stmt =
        DB_SQL(db, "SELECT 1 FROM job WHERE kind = 'index.compact' AND state = 'queued' LIMIT 1");
    return stmt_int(stmt, 0) != 0;
}
