/* Jobs as rows, for those who want to see them; nothing here changes one. */
#include "store/job.h"

#include "base/banned.h"

#define JOB_COLUMNS                                                               \
    "id, user_id, kind, state, run_at, attempts, progress, total, is_cancelled, " \
    "reason, created_at, updated_at "

static struct job_row row_of(struct stmt *s, struct arena *arena) {
    return (struct job_row){
        .id = column_id(s, 0),
        .user_id = column_id(s, 1),
        .kind = column_str_dup(s, 2, arena),
        .state = column_str_dup(s, 3, arena),
        .run_at_ms = column_time(s, 4),
        .attempts = column_int(s, 5),
        .progress = column_int(s, 6),
        .total = column_int(s, 7),
        .is_cancelled = column_bool(s, 8),
        .reason = column_str_dup(s, 9, arena),
        .created_at = column_time(s, 10),
        .updated_at = column_time(s, 11),
        .is_standing = job_kind_is_standing(column_str(s, 2)),
    };
}

/* Two statements, so that each walks the index that fits it. */
static struct stmt *list_statement(struct db *db, int64_t user_id) {
    return user_id != 0
               ? DB_SQL(db, "SELECT " JOB_COLUMNS "FROM job WHERE user_id = :user AND id < :before "
                            "AND (:state IS NULL OR state = :state) "
                            "AND (:kind IS NULL OR kind = :kind) ORDER BY id DESC LIMIT :limit")
               : DB_SQL(db, "SELECT " JOB_COLUMNS "FROM job WHERE id < :before "
                            "AND (:state IS NULL OR state = :state) "
                            "AND (:kind IS NULL OR kind = :kind) ORDER BY id DESC LIMIT :limit");
}

enum err job_list(struct db *db, struct arena *arena, int64_t before_id, int64_t user_id,
                  struct str state, struct str kind, size_t limit, struct job_row **items,
                  size_t *count) {
    struct stmt *s = list_statement(db, user_id);
    if (user_id != 0)
        bind_id(s, ":user", user_id);
    bind_int(s, ":before", before_id != 0 ? before_id : INT64_MAX);
    bind_str(s, ":state", state);
    bind_str(s, ":kind", kind);
    bind_int(s, ":limit", (int64_t)limit);
    *items = ARENA_ARRAY(arena, struct job_row, limit);
    *count = 0;
    while (*count < limit && stmt_row(s))
        (*items)[(*count)++] = row_of(s, arena);
    return stmt_done(s);
}

enum err job_load(struct db *db, struct arena *arena, int64_t id, struct job_row *job) {
    struct stmt *s = DB_SQL(db, "SELECT " JOB_COLUMNS "FROM job WHERE id = :id");
    bind_id(s, ":id", id);
    bool is_there = stmt_row(s);
    if (is_there)
        *job = row_of(s, arena);
    enum err err = stmt_done(s);
    return err != E_OK ? err : is_there ? E_OK : E_ABSENT;
}
