/* One question or one change each. The registry is small: whole tables are read. */
#include "model/model_store.h"

#include "base/clock.h"
#include "base/id.h"
#include "store/rows.h"

#include "base/banned.h"

#define ROUTE_ROWS 2048

static struct model read_model(struct stmt *stmt, struct arena *arena) {
    return (struct model){
        .id = column_id(stmt, 0),
        .name = column_str_dup(stmt, 1, arena),
        .provider = column_str_dup(stmt, 2, arena),
        .base_url = column_str_dup(stmt, 3, arena),
        .model = column_str_dup(stmt, 4, arena),
        .key_sealed = column_blob_dup(stmt, 5, arena),
        .context_tokens = column_int(stmt, 6),
        .reply_tokens = column_int(stmt, 7),
        .tokens_scale = column_double(stmt, 8),
        .is_enabled = column_bool(stmt, 9),
        .revision = column_int(stmt, 10),
        .created_at = column_time(stmt, 11),
        .updated_at = column_time(stmt, 12),
        .concurrency = column_int(stmt, 13),
    };
}

/* What comes between the count and the rows is there at the next load, which follows every change. */
static size_t count_up_to(struct stmt *stmt, size_t limit) {
    int64_t count = stmt_int(stmt, 0);
    return count < 0 ? 0 : (size_t)count < limit ? (size_t)count : limit;
}

enum err models_load(struct db *db, struct arena *arena, struct model_list *models) {
    size_t room = count_up_to(DB_SQL(db, "SELECT count(*) FROM model"), MODEL_LIMIT);
    models->items = ARENA_ARRAY(arena, struct model, room + 1);
    models->count = 0;
    struct stmt *stmt = DB_SQL(
        db,
        "SELECT id, name, provider, base_url, model, key_sealed, context_tokens, reply_tokens,\n"
        "       tokens_scale, is_enabled, revision, created_at, updated_at, concurrency\n"
        "FROM model ORDER BY name");
    while (models->count < room && stmt_row(stmt))
        models->items[models->count++] = read_model(stmt, arena);
    return stmt_done(stmt);
}

enum err routes_load(struct db *db, struct arena *arena, struct route_rows *rows) {
    size_t room = count_up_to(DB_SQL(db, "SELECT count(*) FROM route"), ROUTE_ROWS);
    rows->items = ARENA_ARRAY(arena, struct route_row, room + 1);
    rows->count = 0;
    struct stmt *stmt = DB_SQL(db, "SELECT name, place, model_id FROM route ORDER BY name, place");
    while (rows->count < room && stmt_row(stmt))
        rows->items[rows->count++] = (struct route_row){
            .name = column_str_dup(stmt, 0, arena),
            .place = column_int(stmt, 1),
            .model_id = column_id(stmt, 2),
        };
    return stmt_done(stmt);
}

bool model_name_is_taken(struct tx *tx, struct str name, int64_t id) {
    struct stmt *stmt = DB_SQL(tx_db(tx), "SELECT id FROM model WHERE name = :name AND id <> :id");
    bind_str(stmt, ":name", name);
    bind_id(stmt, ":id", id);
    return stmt_int(stmt, 0) != 0;
}

static void bind_model(struct stmt *stmt, const struct model *model) {
    bind_id(stmt, ":id", model->id);
    bind_str(stmt, ":name", model->name);
    bind_str(stmt, ":provider", model->provider);
    bind_str(stmt, ":base_url", model->base_url);
    bind_str(stmt, ":model", model->model);
    bind_blob(stmt, ":key_sealed", model->key_sealed);
    bind_int(stmt, ":context_tokens", model->context_tokens);
    bind_int(stmt, ":reply_tokens", model->reply_tokens);
    bind_int(stmt, ":concurrency", model->concurrency);
    bind_bool(stmt, ":is_enabled", model->is_enabled);
    bind_time(stmt, ":updated_at", model->updated_at);
}

enum err model_insert(struct tx *tx, const struct model *model) {
    if (stmt_int(DB_SQL(tx_db(tx), "SELECT count(*) FROM model"), 0) >= MODEL_LIMIT)
        return E_LIMIT;
    struct stmt *stmt = DB_SQL(
        tx_db(tx),
        "INSERT INTO model (id, name, provider, base_url, model, key_sealed, context_tokens, reply_tokens,\n"
        "                   concurrency, is_enabled, created_at, updated_at)\n"
        "VALUES (:id, :name, :provider, :base_url, :model, :key_sealed, :context_tokens, :reply_tokens,\n"
        "        :concurrency, :is_enabled, :updated_at, :updated_at)");
    bind_model(stmt, model);
    return stmt_run(stmt);
}

enum err model_update(struct tx *tx, const struct model *model, int64_t expected) {
    struct stmt *now = DB_SQL(tx_db(tx), "SELECT revision FROM model WHERE id = :id");
    bind_id(now, ":id", model->id);
    int64_t revision = stmt_int(now, 0);
    if (revision == 0)
        return E_ABSENT;
    if (expected >= 0 && revision != expected)
        return E_CONFLICT;
    struct stmt *stmt = DB_SQL(
        tx_db(tx), "UPDATE model\n"
                   "SET name = :name, provider = :provider, base_url = :base_url, model = :model,\n"
                   "    key_sealed = :key_sealed, context_tokens = :context_tokens,\n"
                   "    reply_tokens = :reply_tokens, concurrency = :concurrency,\n"
                   "    is_enabled = :is_enabled,\n"
                   "    revision = revision + 1, updated_at = :updated_at\n"
                   "WHERE id = :id");
    bind_model(stmt, model);
    return stmt_run(stmt);
}

enum err model_delete(struct tx *tx, int64_t id) {
    struct stmt *stmt = DB_SQL(tx_db(tx), "DELETE FROM model WHERE id = :id");
    bind_id(stmt, ":id", id);
    return stmt_run_one(stmt);
}

enum err model_set_scale(struct tx *tx, int64_t id, double scale) {
    struct stmt *stmt = DB_SQL(tx_db(tx), "UPDATE model SET tokens_scale = :scale WHERE id = :id");
    bind_double(stmt, ":scale", scale);
    bind_id(stmt, ":id", id);
    return stmt_run(stmt);
}

enum err route_clear(struct tx *tx) {
    return stmt_run(DB_SQL(tx_db(tx), "DELETE FROM route"));
}

enum err route_put(struct tx *tx, struct str name, int64_t place, int64_t model_id) {
    struct stmt *stmt = DB_SQL(
        tx_db(tx), "INSERT INTO route (name, place, model_id) VALUES (:name, :place, :model_id)");
    bind_str(stmt, ":name", name);
    bind_int(stmt, ":place", place);
    bind_id(stmt, ":model_id", model_id);
    return stmt_run(stmt);
}

enum err route_append(struct tx *tx, struct str name, int64_t model_id) {
    struct stmt *stmt = DB_SQL(tx_db(tx), "INSERT INTO route (name, place, model_id)\n"
                                          "SELECT :name, coalesce(max(place) + 1, 0), :model_id\n"
                                          "FROM route WHERE name = :name\n"
                                          "HAVING coalesce(sum(model_id = :model_id), 0) = 0");
    bind_str(stmt, ":name", name);
    bind_id(stmt, ":model_id", model_id);
    return stmt_run(stmt);
}

enum err model_record_usage(struct tx *tx, const struct usage_record *usage) {
    struct stmt *stmt = DB_SQL(
        tx_db(tx),
        "INSERT INTO usage (id, user_id, conversation_id, message_id, model_id, task, outcome,\n"
        "                   prompt_tokens, reply_tokens, is_estimated, first_token_ms, total_ms, created_at)\n"
        "VALUES (:id, :user_id, :conversation_id, :message_id, :model_id, :task, :outcome,\n"
        "        :prompt_tokens, :reply_tokens, :is_estimated, :first_token_ms, :total_ms, :created_at)");
    bind_id(stmt, ":id", id_new());
    bind_int(stmt, ":user_id", usage->user_id);
    bind_id(stmt, ":conversation_id", usage->conversation_id);
    bind_id(stmt, ":message_id", usage->message_id);
    bind_id(stmt, ":model_id", usage->model_id);
    bind_str(stmt, ":task", str_from(usage->task));
    bind_str(stmt, ":outcome", str_from(usage->outcome));
    bind_int(stmt, ":prompt_tokens", usage->prompt_tokens);
    bind_int(stmt, ":reply_tokens", usage->reply_tokens);
    bind_bool(stmt, ":is_estimated", usage->is_estimated);
    if (usage->first_token_ms < 0)
        bind_null(stmt, ":first_token_ms");
    else
        bind_int(stmt, ":first_token_ms", usage->first_token_ms);
    bind_int(stmt, ":total_ms", usage->total_ms);
    bind_time(stmt, ":created_at", clock_now_ms());
    return stmt_run(stmt);
}
