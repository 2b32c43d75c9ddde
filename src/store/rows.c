/*
 * Each ends its statement: after it the statement may be asked for again. An error of the database
 * goes before "there is none", because then nobody knows.
 */
#include "store/rows.h"

#include "base/banned.h"

enum err stmt_done_one(struct stmt *stmt, bool is_there) {
    enum err err = stmt_done(stmt);
    return err != E_OK ? err : is_there ? E_OK : E_ABSENT;
}

enum err stmt_run_one(struct stmt *stmt) {
    enum err err = stmt_run(stmt);
    return err != E_OK ? err : stmt_changed(stmt) > 0 ? E_OK : E_ABSENT;
}

enum err stmt_ids(struct stmt *stmt, int64_t *ids, size_t limit, size_t *count) {
    *count = 0;
    while (*count < limit && stmt_row(stmt))
        ids[(*count)++] = column_id(stmt, 0);
    return stmt_done(stmt);
}
