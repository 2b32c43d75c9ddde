/*
 * A turn is derived: message and chosen variant are the truth. What is read for scoring stands in
 * one covering index, so that ten thousand turns are a walk through a few hundred pages and no text
 * is touched; texts are read for what has been found.
 *
 * A talk is a tree (conversation/message_store.h): turns of branches that are not shown were never
 * said on this path, and are not recalled. The path is a few stretches, (branch, up to message).
 */
#include "memory/turn_store.h"

#include "base/buf.h"
#include "base/check.h"
#include "model/chat.h"
#include "store/rows.h"

#include <math.h>
#include <string.h>

#include "base/banned.h"

#define PARENTS_ASKED     16  /* back over hidden and deleted messages to the turn before */
#define STRETCHES_LIMIT   256 /* forks on one path that count; nobody forks further */
#define COUNTS_PACKED     16  /* see store/word_counts.h */
#define QUERY_LIMIT_BYTES (8 << 10)

/* --- one turn ------------------------------------------------------------------------------- */

enum err turn_text(struct db *db, struct arena *arena, int64_t message_id,
                   struct memory_turn *turn) {
    struct stmt *s = DB_SQL(
        db, "SELECT m.conversation_id, m.branch_id, m.author_kind, m.author_id, m.author_name, "
            "  m.created_at, v.content, m.extra "
            "FROM message m JOIN variant v ON v.message_id = m.id AND v.place = m.chosen "
            "WHERE m.id = :message AND m.deleted_at IS NULL AND m.hidden = 0 "
            "  AND m.role <> 'system' AND v.state <> 'streaming' "
            "  AND NOT EXISTS (SELECT 1 FROM memory_withheld w WHERE w.message_id = m.id)");
    bind_id(s, ":message", message_id);
    *turn = (struct memory_turn){.message_id = message_id};
    if (stmt_row(s)) {
        turn->conversation_id = column_id(s, 0);
        turn->branch_id = column_id(s, 1);
        turn->side = str_eq(column_str(s, 2), STR("user")) ? MEMORY_USER : MEMORY_CHARACTER;
        turn->speaker_id = column_id(s, 3);
        turn->speaker_name = column_str_dup(s, 4, arena);
        turn->said_at = column_time(s, 5);
        turn->text = chat_without_note(column_str_dup(s, 6, arena));
        const struct json_value *extra = NULL;
        if (!column_is_null(s, 7) && json_parse(arena, column_str(s, 7), &extra, NULL) == E_OK)
            turn->text = text_with_captions(arena, turn->text, extra);
    }
    enum err err = stmt_done(s);
    return err != E_OK ? err : turn->text.len == 0 ? E_ABSENT : E_OK;
}

static int64_t turn_before(struct db *db, int64_t message_id) {
    for (int i = 0; i < PARENTS_ASKED && message_id != 0; i++) {
        struct stmt *s =
            DB_SQL(db, "SELECT m.parent_id, t.message_id FROM message m "
                       "LEFT JOIN memory_turn t ON t.message_id = m.parent_id WHERE m.id = :id");
        bind_id(s, ":id", message_id);
        int64_t found = 0;
        message_id = 0;
        if (stmt_row(s)) {
            message_id = column_id(s, 0);
            found = column_id(s, 1);
        }
        if (stmt_done(s) != E_OK || found != 0)
            return found;
    }
    return 0;
}

enum err turn_of_message(struct db *db, struct arena *arena, int64_t message_id,
                         struct memory_turn *turn) {
    enum err err = turn_text(db, arena, message_id, turn);
    if (err != E_OK)
        return err;
    turn->previous_id = turn_before(db, message_id);
    turn->form = text_form_of(arena, turn->text);
    return E_OK;
}

/* An index over another table forgets a row only when it is told what stood there. */
static enum err unindex(struct tx *tx, int64_t message_id) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT INTO memory_words (memory_words, rowid, text, scope) "
                          "SELECT 'delete', message_id, text, scope FROM memory_turn "
                          "WHERE message_id = :message");
    bind_id(s, ":message", message_id);
    return stmt_run(s);
}

static enum err index_words(struct tx *tx, int64_t message_id) {
    struct stmt *s = DB_SQL(tx_db(tx), "INSERT INTO memory_words (rowid, text, scope) "
                                       "SELECT message_id, text, scope FROM memory_turn "
                                       "WHERE message_id = :message");
    bind_id(s, ":message", message_id);
    return stmt_run(s);
}

static enum err save_row(struct tx *tx, const struct memory_turn *turn) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO memory_turn (message_id, conversation_id, branch_id, previous_id, side, "
        "  speaker_id, speaker_name, said_at, is_question, has_time, has_number, text, scope) "
        "VALUES (:message, :conversation, :branch, :previous, :side, :speaker, :name, :said_at, "
        "  :is_question, :has_time, :has_number, :text, CAST(:conversation AS TEXT)) "
        "ON CONFLICT (message_id) DO UPDATE SET previous_id = excluded.previous_id, "
        "  side = excluded.side, speaker_id = excluded.speaker_id, "
        "  speaker_name = excluded.speaker_name, said_at = excluded.said_at, "
        "  is_question = excluded.is_question, has_time = excluded.has_time, "
        "  has_number = excluded.has_number, text = excluded.text, turn_norm_0 = NULL, "
        "  pair_norm_0 = NULL, turn_norm_1 = NULL, pair_norm_1 = NULL");
    bind_id(s, ":message", turn->message_id);
    bind_id(s, ":conversation", turn->conversation_id);
    bind_id(s, ":branch", turn->branch_id);
    bind_id(s, ":previous", turn->previous_id);
    bind_int(s, ":side", turn->side);
    bind_int(s, ":speaker", turn->speaker_id);
    bind_str(s, ":name", turn->speaker_name);
    bind_time(s, ":said_at", turn->said_at);
    bind_bool(s, ":is_question", turn->form.is_question);
    bind_bool(s, ":has_time", turn->form.has_time);
    bind_bool(s, ":has_number", turn->form.has_number);
    bind_str(s, ":text", turn->text);
    return stmt_run(s);
}

enum err turn_save(struct tx *tx, const struct memory_turn *turn) {
    enum err err = unindex(tx, turn->message_id);
    return err != E_OK ? err : turn_add(tx, turn);
}

enum err turn_add(struct tx *tx, const struct memory_turn *turn) {
    enum err err = save_row(tx, turn);
    return err != E_OK ? err : index_words(tx, turn->message_id);
}

enum err turn_remove(struct tx *tx, int64_t message_id) {
    enum err err = unindex(tx, message_id);
    if (err != E_OK)
        return err;
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM memory_turn WHERE message_id = :message");
    bind_id(s, ":message", message_id);
    return stmt_run(s);
}

enum err turn_remove_from(struct tx *tx, int64_t conversation_id, int64_t from_id) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT INTO memory_words (memory_words, rowid, text, scope) "
                          "SELECT 'delete', message_id, text, scope FROM memory_turn "
                          "WHERE conversation_id = :conversation AND message_id >= :from");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":from", from_id);
    enum err err = stmt_run(s);
    if (err != E_OK)
        return err;
    s = DB_SQL(tx_db(tx), "DELETE FROM memory_turn "
                          "WHERE conversation_id = :conversation AND message_id >= :from");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":from", from_id);
    return stmt_run(s);
}

enum err turn_norms_save(struct tx *tx, int64_t message_id, int slot, double turn_norm,
                         double pair_norm) {
    struct stmt *s = DB_SQL(tx_db(tx), "UPDATE memory_turn SET "
                                       "  turn_norm_0 = IIF(:slot = 0, :turn, turn_norm_0), "
                                       "  pair_norm_0 = IIF(:slot = 0, :pair, pair_norm_0), "
                                       "  turn_norm_1 = IIF(:slot = 1, :turn, turn_norm_1), "
                                       "  pair_norm_1 = IIF(:slot = 1, :pair, pair_norm_1) "
                                       "WHERE message_id = :message");
    bind_id(s, ":message", message_id);
    bind_int(s, ":slot", slot);
    bind_double(s, ":turn", turn_norm);
    bind_double(s, ":pair", pair_norm);
    return stmt_run(s);
}

int64_t turn_previous(struct db *db, int64_t message_id) {
    struct stmt *s = DB_SQL(db, "SELECT previous_id FROM memory_turn WHERE message_id = :message");
    bind_id(s, ":message", message_id);
    return stmt_int(s, 0);
}

enum err turn_list(struct db *db, int64_t after, size_t limit, struct turn_place *places,
                   size_t *count) {
    struct stmt *s = DB_SQL(db, "SELECT id, conversation_id FROM message WHERE id > :after "
                                "ORDER BY id LIMIT :limit");
    bind_int(s, ":after", after);
    bind_int(s, ":limit", (int64_t)limit);
    *count = 0;
    while (*count < limit && stmt_row(s))
        places[(*count)++] = (struct turn_place){column_id(s, 0), column_id(s, 1)};
    return stmt_done(s);
}

/* Words are mostly written in the order in which they were said: nothing later is there yet. */
static bool has_later(struct db *db, int64_t message_id) {
    struct stmt *s = DB_SQL(db, "SELECT 1 FROM memory_turn WHERE message_id > :message "
                                "AND conversation_id = (SELECT conversation_id FROM message "
                                "  WHERE id = :message) LIMIT 1");
    bind_id(s, ":message", message_id);
    return stmt_int(s, 0) != 0;
}

enum err turns_after(struct db *db, int64_t message_id, int waiting_slot, size_t limit,
                     struct turn_place *places, size_t *count) {
    *count = 0;
    if (!has_later(db, message_id))
        return E_OK;
    struct stmt *s = DB_SQL(
        db, "WITH RECURSIVE seen (id, depth) AS ("
            "  SELECT id, 1 FROM message WHERE parent_id = :message "
            "  UNION ALL "
            "  SELECT m.id, seen.depth + 1 FROM seen JOIN message m ON m.parent_id = seen.id "
            "  WHERE seen.depth < :parents "
            "    AND NOT EXISTS (SELECT 1 FROM memory_turn t WHERE t.message_id = seen.id)) "
            "SELECT t.message_id, t.conversation_id "
            "FROM seen CROSS JOIN memory_turn t ON t.message_id = seen.id "
            "WHERE :slot < 0 OR IIF(:slot = 0, t.pair_norm_0, t.pair_norm_1) < 0 LIMIT :limit");
    bind_id(s, ":message", message_id);
    bind_int(s, ":parents", PARENTS_ASKED);
    bind_int(s, ":slot", waiting_slot);
    bind_int(s, ":limit", (int64_t)limit);
    while (*count < limit && stmt_row(s))
        places[(*count)++] = (struct turn_place){column_id(s, 0), column_id(s, 1)};
    return stmt_done(s);
}

enum err turn_relink(struct tx *tx, int64_t message_id, size_t limit, struct turn_place *places,
                     size_t *count) {
    enum err err = turns_after(tx_db(tx), message_id, -1, limit, places, count);
    for (size_t i = 0; i < *count && err == E_OK; i++) {
        struct stmt *s = DB_SQL(tx_db(tx), "UPDATE memory_turn SET previous_id = :previous "
                                           "WHERE message_id = :message");
        bind_id(s, ":previous", turn_before(tx_db(tx), places[i].message_id));
        bind_id(s, ":message", places[i].message_id);
        err = stmt_run(s);
    }
    return err;
}

/* --- a scope -------------------------------------------------------------------------------- */

enum err turn_conversation(struct db *db, int64_t conversation_id, int64_t user_id) {
    struct stmt *s = DB_SQL(db, "SELECT 1 FROM conversation WHERE id = :id AND owner_id = :user "
                                "AND deleted_at IS NULL");
    bind_id(s, ":id", conversation_id);
    bind_id(s, ":user", user_id);
    return stmt_int(s, 0) == 1 ? E_OK : E_ABSENT;
}

enum err turn_conversations(struct db *db, struct arena *arena, int64_t conversation_id,
                            int64_t user_id, size_t limit, int64_t **ids, size_t *count) {
    struct stmt *s =
        DB_SQL(db, "SELECT DISTINCT c.id FROM conversation_character mine "
                   "JOIN conversation_character other ON other.character_id = mine.character_id "
                   "JOIN conversation c ON c.id = other.conversation_id "
                   "WHERE mine.conversation_id = :conversation AND c.owner_id = :user "
                   "  AND c.deleted_at IS NULL "
                   "ORDER BY c.last_message_at DESC LIMIT :limit");
    bind_id(s, ":conversation", conversation_id);
    bind_id(s, ":user", user_id);
    bind_int(s, ":limit", (int64_t)limit);
    *ids = ARENA_ARRAY(arena, int64_t, limit);
    *count = 0;
    while (*count < limit && stmt_row(s))
        (*ids)[(*count)++] = column_id(s, 0);
    return stmt_done(s);
}

struct stretch {
    int64_t branch_id, upto_id;
};

/* The stretches of the shown path, from its end to its root. */
static enum err read_path(struct db *db, int64_t conversation_id, struct stretch *path,
                          size_t *count) {
    struct stmt *s = DB_SQL(db, "SELECT m.branch_id, m.id FROM conversation c "
                                "JOIN message m ON m.id = c.head_id WHERE c.id = :id");
    bind_id(s, ":id", conversation_id);
    *count = 0;
    struct stretch at = {0};
    if (stmt_row(s))
        at = (struct stretch){column_id(s, 0), column_id(s, 1)};
    enum err err = stmt_done(s);
    while (err == E_OK && at.branch_id != 0 && *count < STRETCHES_LIMIT) {
        path[(*count)++] = at;
        s = DB_SQL(db, "SELECT parent_id, fork_message_id FROM branch WHERE id = :id");
        bind_id(s, ":id", at.branch_id);
        at = (struct stretch){0};
        if (stmt_row(s))
            at = (struct stretch){column_id(s, 0), column_id(s, 1)};
        err = stmt_done(s);
    }
    return err;
}

static bool is_on_path(const struct stretch *path, size_t count, int64_t branch_id, int64_t id) {
    for (size_t i = 0; i < count; i++)
        if (path[i].branch_id == branch_id)
            return id <= path[i].upto_id;
    return false;
}

/* `before` rows have been read. */
static struct turn_row read_row(struct stmt *s, struct arena *arena, const struct turn_row *rows,
                                size_t before) {
    struct turn_row row = {
        .id = column_id(s, 0),
        .side = (enum memory_side)column_int(s, 2),
        .speaker_id = column_id(s, 3),
        .said_at = column_time(s, 5),
        .is_question = column_bool(s, 6),
        .has_time = column_bool(s, 7),
        .has_number = column_bool(s, 8),
        .turn_norm = column_double(s, 9),
        .pair_norm = fabs(column_double(s, 10)),
    };
    struct str name = column_str(s, 4);
    for (size_t back = 1; back <= 2 && back <= before; back++) /* two people take turns */
        if (str_eq(rows[before - back].speaker_name, name))
            row.speaker_name = rows[before - back].speaker_name;
    if (row.speaker_name.at == NULL)
        row.speaker_name = str_dup(arena, name);
    return row;
}

enum err turn_rows(struct db *db, struct arena *arena, int64_t conversation_id, int64_t before_id,
                   int slot, struct turn_row **rows, size_t *count) {
    struct stretch path[STRETCHES_LIMIT];
    size_t stretches, room = 0, n = 0;
    struct turn_row *all = NULL;
    enum err err = read_path(db, conversation_id, path, &stretches);
    if (err != E_OK)
        return err;
    struct stmt *s =
        DB_SQL(db, "SELECT message_id, branch_id, side, speaker_id, speaker_name, said_at, "
                   "  is_question, has_time, has_number, IIF(:slot = 0, turn_norm_0, turn_norm_1), "
                   "  IIF(:slot = 0, pair_norm_0, pair_norm_1) "
                   "FROM memory_turn INDEXED BY memory_turn_of_conversation "
                   "WHERE conversation_id = :conversation AND message_id < :before "
                   "ORDER BY message_id");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":before", before_id > 0 ? before_id : INT64_MAX);
    bind_int(s, ":slot", slot);
    while (stmt_row(s)) {
        if (!is_on_path(path, stretches, column_id(s, 1), column_id(s, 0)))
            continue;
        ARENA_GROW(arena, all, n, room);
        all[n] = read_row(s, arena, all, n);
        n++;
    }
    *rows = all;
    *count = n;
    return stmt_done(s);
}

/* --- words ---------------------------------------------------------------------------------- */

static void add_quoted(struct buf *query, struct str word) {
    buf_add_char(query, '"');
    for (size_t i = 0; i < word.len; i++)
        if (word.at[i] != '"' && word.at[i] != '\0')
            buf_add_char(query, word.at[i]);
    buf_add_char(query, '"');
}

/* text : ("a" OR "b") AND scope : "123": the terms are phrases 0, 1, 2 ... */
static struct str counts_query(struct arena *arena, int64_t conversation_id,
                               const struct question_term *terms, size_t count) {
    struct buf query;
    buf_init(&query, QUERY_LIMIT_BYTES);
    buf_add_str(&query, STR("text : ("));
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add_str(&query, STR(" OR "));
        add_quoted(&query, terms[i].word);
    }
    buf_printf(&query, ") AND scope : \"%lld\"", (long long)conversation_id);
    struct str text = query.err == E_OK ? str_dup(arena, buf_str(&query)) : STR_NONE;
    buf_release(&query);
    return text;
}

static void unpack(uint8_t *counts, size_t count, size_t from, uint64_t packed) {
    for (size_t i = 0; i < COUNTS_PACKED && from + i < count; i++)
        counts[from + i] = packed >> (4 * i) & 15;
}

enum err turn_counts(struct db *db, struct arena *arena, int64_t conversation_id,
                     const struct question_term *terms, size_t count, turn_counts_fn visit,
                     void *ctx) {
    uint8_t counts[QUESTION_TERMS_LIMIT];
    struct str query = counts_query(arena, conversation_id, terms, count);
    if (count == 0 || query.at == NULL)
        return E_OK;
    struct stmt *s = DB_SQL(db, "SELECT rowid, word_counts(memory_words, 0), "
                                "  IIF(:more, word_counts(memory_words, 16), 0) "
                                "FROM memory_words WHERE memory_words MATCH :query");
    bind_str(s, ":query", query);
    bind_bool(s, ":more", count > COUNTS_PACKED);
    while (stmt_row(s)) {
        unpack(counts, count, 0, (uint64_t)column_int(s, 1));
        unpack(counts, count, COUNTS_PACKED, (uint64_t)column_int(s, 2));
        visit(ctx, column_id(s, 0), counts);
    }
    return stmt_done(s);
}

enum err turn_show(struct db *db, struct arena *arena, int64_t message_id,
                   struct turn_shown *shown) {
    struct stmt *s =
        DB_SQL(db, "SELECT t.conversation_id, t.said_at, t.side, t.speaker_name, t.text, "
                   "  m.external_id "
                   "FROM memory_turn t JOIN message m ON m.id = t.message_id "
                   "WHERE t.message_id = :message");
    bind_id(s, ":message", message_id);
    bool is_there = stmt_row(s);
    if (is_there)
        *shown = (struct turn_shown){
            .message_id = message_id,
            .conversation_id = column_id(s, 0),
            .said_at = column_time(s, 1),
            .side = (enum memory_side)column_int(s, 2),
            .speaker_name = column_str_dup(s, 3, arena),
            .text = column_str_dup(s, 4, arena),
            .external_id = column_str_dup(s, 5, arena),
        };
    return stmt_done_one(s, is_there);
}

enum err turn_totals(struct db *db, int64_t conversation_id, int slot, int64_t *turns,
                     int64_t *with_vectors) {
    struct stmt *s = DB_SQL(db, "SELECT COUNT(*), COUNT(IIF(:slot = 0, turn_norm_0, turn_norm_1)) "
                                "FROM memory_turn INDEXED BY memory_turn_of_conversation "
                                "WHERE conversation_id = :conversation");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":slot", slot);
    *turns = *with_vectors = 0;
    if (stmt_row(s)) {
        *turns = column_int(s, 0);
        *with_vectors = column_int(s, 1);
    }
    return stmt_done(s);
}

enum err turn_total(struct db *db, int64_t conversation_id, int64_t *turns) {
    int64_t with_vectors;
    return turn_totals(db, conversation_id, 0, turns, &with_vectors);
}
