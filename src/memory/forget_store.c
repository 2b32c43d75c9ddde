/*
 * What forgetting leaves and takes: digests that keep a fact from coming back, messages of which
 * nothing is remembered, the answers that were kept for repeats, and the recorded prompts.
 */
#include "memory/forget_store.h"

#include "base/crypto.h"
#include "base/id.h"
#include "store/rows.h"

#include "base/banned.h"

/* --- what does not come back ------------------------------------------------------------------- */

struct digest {
    uint8_t at[SHA256_BYTES];
};

static struct digest digest_of(int64_t conversation_id, struct str identity) {
    struct digest digest;
    struct arena arena;
    arena_init(&arena);
    crypto_sha256(
        str_printf(&arena, "%lld\n" STR_FMT, (long long)conversation_id, STR_ARG(identity)),
        digest.at);
    arena_release(&arena);
    return digest;
}

bool memory_store_is_forgotten(struct db *db, int64_t conversation_id, struct str identity) {
    struct digest digest = digest_of(conversation_id, identity);
    struct stmt *s = DB_SQL(db, "SELECT 1 FROM memory_forgotten "
                                "WHERE conversation_id = :conversation AND digest = :digest");
    bind_id(s, ":conversation", conversation_id);
    bind_blob(s, ":digest", sha256_str(digest.at));
    return stmt_int(s, 0) == 1;
}

enum err memory_store_forget_identity(struct tx *tx, int64_t conversation_id, struct str identity) {
    struct digest digest = digest_of(conversation_id, identity);
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT OR IGNORE INTO memory_forgotten (conversation_id, digest) "
                          "VALUES (:conversation, :digest)");
    bind_id(s, ":conversation", conversation_id);
    bind_blob(s, ":digest", sha256_str(digest.at));
    return stmt_run(s);
}

enum err memory_store_withhold(struct tx *tx, int64_t conversation_id, int64_t message_id) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT OR IGNORE INTO memory_withheld (message_id, conversation_id) "
                          "SELECT id, conversation_id FROM message "
                          "WHERE id = :message AND conversation_id = :conversation");
    bind_id(s, ":message", message_id);
    bind_id(s, ":conversation", conversation_id);
    return stmt_run(s);
}

bool memory_store_is_withheld(struct db *db, int64_t message_id) {
    struct stmt *s = DB_SQL(db, "SELECT 1 FROM memory_withheld WHERE message_id = :message");
    bind_id(s, ":message", message_id);
    return stmt_int(s, 0) == 1;
}

enum err memory_store_mentions(struct db *db, int64_t conversation_id, struct str match,
                               int64_t *ids, size_t limit, size_t *count) {
    struct stmt *s =
        DB_SQL(db, "SELECT t.message_id FROM memory_words w "
                   "CROSS JOIN memory_turn t ON t.message_id = w.rowid "
                   "WHERE memory_words MATCH :match AND t.conversation_id = :conversation "
                   "LIMIT :limit");
    bind_str(s, ":match", match);
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":limit", (int64_t)limit);
    return stmt_ids(s, ids, limit, count);
}

/* --- what goes ----------------------------------------------------------------------------------- */

enum err memory_store_forget_answers(struct tx *tx, int64_t user_id, int64_t fact_id) {
    struct id_text id = id_text(fact_id);
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM idempotency WHERE user_id = :user "
                                       "AND instr(CAST(body AS TEXT), :fact) > 0");
    bind_id(s, ":user", user_id);
    bind_str(s, ":fact", str_from(id.at));
    return stmt_run(s);
}

static enum err run_of(struct stmt *s, int64_t conversation_id) {
    bind_id(s, ":conversation", conversation_id);
    return stmt_run(s);
}

enum err memory_store_forget_all(struct tx *tx, int64_t conversation_id) {
    struct db *db = tx_db(tx);
    enum err err =
        run_of(DB_SQL(db, "DELETE FROM memory_fact WHERE conversation_id = :conversation"),
               conversation_id);
    if (err == E_OK)
        err = run_of(DB_SQL(db, "DELETE FROM memory_episode WHERE conversation_id = :conversation"),
                     conversation_id);
    if (err == E_OK)
        err = run_of(DB_SQL(db, "DELETE FROM memory_summary WHERE conversation_id = :conversation"),
                     conversation_id);
    return err;
}

/* --- recorded prompts ---------------------------------------------------------------------------- */

enum err memory_store_prompts(struct db *db, struct arena *arena, int64_t conversation_id,
                              int64_t since, const struct memory_prompt *after,
                              struct memory_prompt *items, size_t limit, size_t *count) {
    *count = 0;
    struct stmt *s = DB_SQL(
        db,
        "SELECT p.message_id, p.place, p.record FROM message m JOIN prompt p ON p.message_id = m.id "
        "WHERE m.conversation_id = :conversation AND m.id >= :message "
        "AND (m.id > :message OR p.place > :place) AND p.created_at >= :since "
        "ORDER BY m.id, p.place LIMIT :limit");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":message", after->message_id); /* 0 is the beginning, no NULL */
    bind_int(s, ":place", after->place);
    bind_int(s, ":since", since);
    bind_int(s, ":limit", (int64_t)limit);
    while (*count < limit && stmt_row(s))
        items[(*count)++] = (struct memory_prompt){.message_id = column_id(s, 0),
                                                   .place = column_int(s, 1),
                                                   .record = column_blob_dup(s, 2, arena)};
    return stmt_done(s);
}

enum err memory_store_save_prompt(struct tx *tx, const struct memory_prompt *prompt) {
    struct stmt *s = DB_SQL(tx_db(tx), "UPDATE prompt SET record = :record "
                                       "WHERE message_id = :message AND place = :place");
    bind_blob(s, ":record", prompt->record);
    bind_id(s, ":message", prompt->message_id);
    bind_int(s, ":place", prompt->place);
    return stmt_run(s);
}
