/*
 * How far learning has come in a conversation, when it is due again, and how the two stand with each
 * other: one row, which every turn raises.
 */
#include "memory/progress_store.h"

#include "store/rows.h"

#include "base/banned.h"

#define WAITING_MOST (INT64_C(1) << 40)

enum err memory_store_progress(struct db *db, struct arena *arena, int64_t conversation_id,
                               struct memory_progress *progress) {
    *progress = (struct memory_progress){.conversation_id = conversation_id,
                                         .status = STR("strangers"),
                                         .mood = STR(""),
                                         .made_by = STR("rules")};
    struct stmt *s = DB_SQL(
        db,
        "SELECT waiting, queued, learnt_to, summed_to, again_from, again_to, status, closeness, "
        "mood, made_by, updated_at FROM memory_progress WHERE conversation_id = :conversation");
    bind_id(s, ":conversation", conversation_id);
    if (stmt_row(s)) {
        progress->waiting = column_int(s, 0);
        progress->queued = column_int(s, 1);
        progress->learnt_to = column_id(s, 2);
        progress->summed_to = column_id(s, 3);
        progress->again_from = column_id(s, 4);
        progress->again_to = column_id(s, 5);
        progress->status = column_str_dup(s, 6, arena);
        progress->closeness = column_double(s, 7);
        progress->mood = column_str_dup(s, 8, arena);
        progress->made_by = column_str_dup(s, 9, arena);
        progress->updated_at = column_time(s, 10);
    }
    return stmt_done(s);
}

/* A change with RETURNING is stepped to its end when it gave a row; a step after the end would begin
 * it anew. */
static enum err end_change(struct stmt *s, bool has_row) {
    return has_row ? stmt_run(s) : stmt_done(s);
}

static enum err load_waiting(struct db *db, int64_t conversation_id, int64_t *waiting,
                             int64_t *queued, bool *is_there) {
    struct stmt *s = DB_SQL(db, "SELECT waiting, queued FROM memory_progress "
                                "WHERE conversation_id = :conversation");
    bind_id(s, ":conversation", conversation_id);
    *is_there = stmt_row(s);
    *waiting = *is_there ? column_int(s, 0) : 0;
    *queued = *is_there ? column_int(s, 1) : 0;
    return stmt_done(s);
}

static enum err save_waiting(struct tx *tx, int64_t conversation_id, int64_t waiting,
                             int64_t queued, bool is_there) {
    struct stmt *s =
        is_there
            ? DB_SQL(tx_db(tx), "UPDATE memory_progress SET waiting = :waiting, "
                                "queued = :queued WHERE conversation_id = :conversation")
            : DB_SQL(tx_db(tx), "INSERT INTO memory_progress (conversation_id, waiting, queued) "
                                "VALUES (:conversation, :waiting, :queued)");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":waiting", waiting);
    bind_int(s, ":queued", queued);
    return stmt_run(s);
}

/* Whether `count` more have just made it `every`, or four, sixteen, ... times as many. */
static bool has_just_reached(int64_t waiting, int64_t count, int64_t every) {
    while (waiting - count >= every && every < WAITING_MOST)
        every *= 4;
    return waiting >= every;
}

/* `queued` counts how often the mark was reached since the last job ended: at the first time one is
 * added, and now and then again when ever more has gathered, lest the first was given up. */
enum err memory_store_said(struct tx *tx, int64_t conversation_id, int64_t count, int64_t every,
                           bool at_once, bool *queues) {
    int64_t waiting, queued;
    bool is_there;
    enum err err = load_waiting(tx_db(tx), conversation_id, &waiting, &queued, &is_there);
    if (err != E_OK)
        return err;
    waiting += count;
    queued += at_once || waiting >= every;
    *queues =
        at_once || (waiting >= every && queued == 1) || has_just_reached(waiting, count, every);
    return save_waiting(tx, conversation_id, waiting, queued, is_there);
}

enum err memory_store_save_progress(struct tx *tx, const struct memory_progress *progress) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO memory_progress (conversation_id, waiting, queued, learnt_to, summed_to, again_from, again_to, status, closeness, "
        "    mood, made_by, updated_at) "
        "VALUES (:conversation, :waiting, :queued, :learnt, :summed, :from, :to, :status, :closeness, :mood, :made_by, :now) "
        "ON CONFLICT (conversation_id) DO UPDATE SET waiting = excluded.waiting, queued = excluded.queued, "
        "    learnt_to = excluded.learnt_to, summed_to = excluded.summed_to, again_from = excluded.again_from, "
        "    again_to = excluded.again_to, status = excluded.status, closeness = excluded.closeness, mood = excluded.mood, "
        "    made_by = excluded.made_by, updated_at = excluded.updated_at");
    bind_id(s, ":conversation", progress->conversation_id);
    bind_int(s, ":waiting", progress->waiting);
    bind_int(s, ":queued", progress->queued);
    bind_int(s, ":learnt", progress->learnt_to);
    bind_int(s, ":summed", progress->summed_to);
    bind_int(s, ":from", progress->again_from);
    bind_int(s, ":to", progress->again_to);
    bind_str(s, ":status", progress->status);
    bind_double(s, ":closeness", progress->closeness);
    bind_str(s, ":mood", progress->mood);
    bind_str(s, ":made_by", progress->made_by);
    bind_int(s, ":now", progress->updated_at);
    return stmt_run(s);
}

/* Only what was learnt from already is looked at again. */
enum err memory_store_look_again(struct tx *tx, int64_t conversation_id, int64_t from, int64_t to,
                                 bool *queues) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "UPDATE memory_progress SET queued = queued + 1, "
        "    again_from = CASE WHEN again_from = 0 THEN :from ELSE min(again_from, :from) END, "
        "    again_to = max(again_to, min(:to, learnt_to)) "
        "WHERE conversation_id = :conversation AND learnt_to >= :from RETURNING queued = 1");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":from", from);
    bind_int(s, ":to", to);
    bool is_there = stmt_row(s);
    *queues = is_there && column_bool(s, 0);
    return end_change(s, is_there);
}

enum err memory_store_counts(struct db *db, int64_t conversation_id, struct memory_counts *counts) {
    struct stmt *s = DB_SQL(db, "SELECT count(*), min(created_at), max(created_at) FROM message "
                                "WHERE conversation_id = :conversation AND deleted_at IS NULL "
                                "AND role IN ('user', 'assistant')");
    bind_id(s, ":conversation", conversation_id);
    bool is_there = stmt_row(s);
    if (is_there)
        *counts = (struct memory_counts){column_int(s, 0), column_time(s, 1), column_time(s, 2)};
    return stmt_done_one(s, is_there);
}
