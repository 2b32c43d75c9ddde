/*
 * sqlite-vec: a table of float vectors with a partition key, as its guide shows, in memory (nothing
 * is read from a disk). The extension is a library that TROUPE_BENCH_VEC0 names.
 */
#include "peer_vectors.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

static sqlite3_stmt *ask;
static int64_t asked_space;

static void must(sqlite3 *db, int result) {
    if (result == SQLITE_OK || result == SQLITE_DONE)
        return;
    fprintf(stderr, "sqlite-vec: %s\n", sqlite3_errmsg(db));
    exit(1);
}

static int64_t space_of(const struct peer_work *work, size_t i) {
    return work->each == 0 ? 0 : (int64_t)(i / work->each);
}

void peer_build(const struct peer_work *work) {
    sqlite3 *db;
    sqlite3_stmt *insert;
    const char *library = getenv("TROUPE_BENCH_VEC0");
    must(NULL, sqlite3_open(":memory:", &db));
    must(db, sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL));
    must(db, sqlite3_load_extension(db, library, "sqlite3_vec_init", NULL));
    must(db, sqlite3_exec(db,
                          "CREATE VIRTUAL TABLE item USING vec0(space INTEGER PARTITION KEY, "
                          "embedding FLOAT[384] distance_metric=cosine); BEGIN",
                          NULL, NULL, NULL));
    must(db, sqlite3_prepare_v2(db, "INSERT INTO item (rowid, space, embedding) VALUES (?, ?, ?)",
                                -1, &insert, NULL));
    for (size_t i = 0; i < work->count; i++) {
        sqlite3_bind_int64(insert, 1, (int64_t)i + 1);
        sqlite3_bind_int64(insert, 2, space_of(work, i));
        sqlite3_bind_blob(insert, 3, work->vectors + i * PEER_DIMS, PEER_DIMS * sizeof(float),
                          SQLITE_STATIC);
        must(db, sqlite3_step(insert));
        must(db, sqlite3_reset(insert));
    }
    sqlite3_finalize(insert);
    must(db, sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
    must(db, sqlite3_prepare_v2(db,
                                "SELECT rowid FROM item WHERE embedding MATCH ? AND k = ? "
                                "AND space = ? ORDER BY distance",
                                -1, &ask, NULL));
    asked_space = space_of(work, work->first);
}

size_t peer_ask(const float *question, int64_t *numbers) {
    size_t count = 0;
    sqlite3_bind_blob(ask, 1, question, PEER_DIMS * sizeof(float), SQLITE_STATIC);
    sqlite3_bind_int(ask, 2, PEER_BEST);
    sqlite3_bind_int64(ask, 3, asked_space);
    while (sqlite3_step(ask) == SQLITE_ROW && count < PEER_BEST)
        numbers[count++] = sqlite3_column_int64(ask, 0);
    must(sqlite3_db_handle(ask), sqlite3_reset(ask));
    return count;
}

int peer_widen(void) {
    return 0; /* it reads every vector */
}
