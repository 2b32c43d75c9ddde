/*
 * The endings that most statements have, beside the verbs of db.h: one row or none, the first column
 * of all rows, a change that must meet a row.
 *
 *     bool is_there = stmt_row(s);
 *     if (is_there)
 *         *book = column_book(s, arena);
 *     return stmt_done_one(s, is_there);
 */
#pragma once

#include "store/db.h"

/* As stmt_done(); E_ABSENT when there was no row. */
MUST_USE enum err stmt_done_one(struct stmt *stmt, bool is_there);
/* As stmt_run(); E_ABSENT when no row was changed. */
MUST_USE enum err stmt_run_one(struct stmt *stmt);
/* The ids in the first column, up to `limit` of them, then stmt_done(). `*count` is set in any case. */
MUST_USE enum err stmt_ids(struct stmt *stmt, int64_t *ids, size_t limit, size_t *count);
