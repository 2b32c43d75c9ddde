/*
 * FTS5 ranks by bm25 with constants of its own. Short texts want others, and some rankings need the
 * counts of a row and of its neighbour together; so the counts themselves are given out, packed
 * into one integer, and nothing is allocated per row.
 */
#include "store/word_counts.h"

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#include "base/banned.h"

#define PHRASES_PACKED 16
#define COUNT_MOST     15

static int count_phrase(const Fts5ExtensionApi *api, Fts5Context *fts, int phrase, int *count) {
    Fts5PhraseIter iter;
    int column, offset;
    *count = 0;
    int result = api->xPhraseFirst(fts, phrase, &iter, &column, &offset);
    for (; result == SQLITE_OK && column >= 0 && *count < COUNT_MOST;
         api->xPhraseNext(fts, &iter, &column, &offset))
        (*count)++;
    return result;
}

static void word_counts(const Fts5ExtensionApi *api, Fts5Context *fts, sqlite3_context *context,
                        int count, sqlite3_value **values) {
    int from = count > 0 ? sqlite3_value_int(values[0]) : 0, result = SQLITE_OK;
    int phrases = api->xPhraseCount(fts);
    uint64_t packed = 0;
    for (int i = 0; i < PHRASES_PACKED && from + i < phrases && result == SQLITE_OK; i++) {
        int found;
        result = count_phrase(api, fts, from + i, &found);
        packed |= (uint64_t)found << (4 * i);
    }
    if (result == SQLITE_OK)
        sqlite3_result_int64(context, (int64_t)packed);
    else
        sqlite3_result_error_code(context, result);
}

/* The address of FTS5's own interface comes as a pointer bound to SELECT fts5(?1). */
static fts5_api *find_api(sqlite3 *sqlite) {
    fts5_api *api = NULL;
    sqlite3_stmt *ask = NULL;
    if (sqlite3_prepare_v2(sqlite, "SELECT fts5(?1)", -1, &ask, NULL) == SQLITE_OK) {
        sqlite3_bind_pointer(ask, 1, (void *)&api, "fts5_api_ptr", NULL);
        sqlite3_step(ask);
    }
    sqlite3_finalize(ask);
    return api;
}

enum err word_counts_register(struct sqlite3 *sqlite) {
    fts5_api *api = find_api(sqlite);
    if (api == NULL || api->iVersion < 2)
        return E_STORAGE;
    return api->xCreateFunction(api, "word_counts", NULL, word_counts, NULL) == SQLITE_OK
               ? E_OK
               : E_STORAGE;
}
