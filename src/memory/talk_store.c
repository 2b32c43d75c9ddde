/*
 * The talk as learning reads it: what was said on the path that is shown, without what a stand-in for a
 * model says of itself.
 */
#include "memory/talk_store.h"

#include "model/chat.h"

#include "base/banned.h"

/* `seen` is the path that is shown: its branches, each up to where the next one leaves it. */
#define LINES_OF_THE_PATH                                                                  \
    "seen (branch_id, up_to) AS ("                                                         \
    "    SELECT h.branch_id, h.id FROM conversation c JOIN message h ON h.id = c.head_id " \
    "    WHERE c.id = :conversation "                                                      \
    "    UNION ALL SELECT b.parent_id, b.fork_message_id FROM seen JOIN branch b "         \
    "    ON b.id = seen.branch_id WHERE b.parent_id IS NOT NULL) "                         \
    "SELECT m.id, m.created_at, m.role = 'user', m.author_name, v.content "                \
    "FROM message m JOIN variant v ON v.message_id = m.id AND v.place = m.chosen "
/* A character's message without one before it is a greeting: text of the card. */
#define SAID_THERE                                                                               \
    "AND EXISTS (SELECT 1 FROM seen WHERE seen.branch_id = m.branch_id AND m.id <= seen.up_to) " \
    "AND m.deleted_at IS NULL AND NOT m.hidden AND m.role IN ('user', 'assistant') "             \
    "AND (m.parent_id IS NOT NULL OR m.role = 'user') "                                          \
    "AND v.state <> 'streaming' AND v.content <> '' "                                            \
    "AND NOT EXISTS (SELECT 1 FROM memory_withheld w WHERE w.message_id = m.id) "

static struct memory_line column_line(struct stmt *s, struct arena *arena) {
    return (struct memory_line){.message_id = column_id(s, 0),
                                .at = column_time(s, 1),
                                .is_user = column_bool(s, 2),
                                .name = column_str_dup(s, 3, arena),
                                .text = chat_without_note(column_str_dup(s, 4, arena))};
}

enum err memory_store_lines(struct db *db, struct arena *arena, int64_t conversation_id,
                            int64_t after, int64_t to, size_t limit, struct memory_line **lines,
                            size_t *count) {
    *lines = ARENA_ARRAY(arena, struct memory_line, limit);
    *count = 0;
    struct stmt *s = DB_SQL(
        db, "WITH RECURSIVE " LINES_OF_THE_PATH
            "WHERE m.conversation_id = :conversation AND m.id > :after AND m.id <= :to " SAID_THERE
            "ORDER BY m.id LIMIT :limit");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":after", after);
    bind_int(s, ":to", to != 0 ? to : INT64_MAX);
    bind_int(s, ":limit", (int64_t)limit);
    while (stmt_row(s))
        (*lines)[(*count)++] = column_line(s, arena);
    return stmt_done(s);
}

enum err memory_store_lines_before(struct db *db, struct arena *arena, int64_t conversation_id,
                                   int64_t before, size_t limit, struct memory_line **lines,
                                   size_t *count) {
    struct memory_line *newest = ARENA_ARRAY(arena, struct memory_line, limit);
    *lines = ARENA_ARRAY(arena, struct memory_line, limit);
    *count = 0;
    struct stmt *s =
        DB_SQL(db, "WITH RECURSIVE " LINES_OF_THE_PATH
                   "WHERE m.conversation_id = :conversation AND m.id < :before " SAID_THERE
                   "ORDER BY m.id DESC LIMIT :limit");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":before", before != 0 ? before : INT64_MAX);
    bind_int(s, ":limit", (int64_t)limit);
    while (stmt_row(s))
        newest[(*count)++] = column_line(s, arena);
    for (size_t i = 0; i < *count; i++)
        (*lines)[i] = newest[*count - 1 - i];
    return stmt_done(s);
}

bool memory_store_has_message(struct db *db, int64_t conversation_id, int64_t message_id) {
    struct stmt *s = DB_SQL(db, "SELECT 1 FROM message WHERE id = :message "
                                "AND conversation_id = :conversation AND deleted_at IS NULL");
    bind_id(s, ":message", message_id);
    bind_id(s, ":conversation", conversation_id);
    return stmt_int(s, 0) == 1;
}

int64_t memory_store_line_count(struct db *db, int64_t conversation_id, int64_t after) {
    struct stmt *s = DB_SQL(db, "SELECT count(*) FROM message "
                                "WHERE conversation_id = :conversation AND id > :after "
                                "AND deleted_at IS NULL");
    bind_id(s, ":conversation", conversation_id);
    bind_int(s, ":after", after);
    return stmt_int(s, 0);
}
