/*
 * A search embeds the question (when there is an encoder), then a pool thread takes the chunks that
 * have its words and those whose vectors are near, and weighs both: a chunk counts when its meaning
 * is close, when it has half of the words, or some of each. Knowledge that says nothing to the
 * question stays out of the prompt: a wrong citation is worse than none.
 *
 * Whoever asks waits at most until the deadline; the work goes on in the pool and answers nobody.
 */
#include "character/knowledge.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/id.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "memory/words.h"

#include <stdlib.h>

#include "base/banned.h"

#define WORDS_LIMIT    24
#define CANDIDATES     32 /* by words, and by meaning */
#define QUERY_BYTES    4096
#define QUESTION_BYTES 2000 /* the beginning of a long message says what it is about */
#define NEAR_ENOUGH \
    0.30 /* cosine of all-MiniLM; questions beside the point stay below 0.22, those to the point reach 0.34 to 0.47 */
#define HALF_THE_WORDS  0.5
#define NEAR_WITH_WORDS 0.20
#define SOME_WORDS      0.25
#define WEIGHT_OF_WORDS 0.5

/* --- what is found --------------------------------------------------------------------------- */

static enum err load(struct db *db, struct arena *arena, int64_t item,
                     struct index_source *source) {
    struct knowledge_chunk chunk;
    enum err err = knowledge_chunk_load(db, arena, item, &chunk);
    if (err != E_OK)
        return err;
    struct str *piece = ARENA_NEW(arena, struct str);
    *piece = str_printf(arena, STR_FMT "%s" STR_FMT, STR_ARG(chunk.heading),
                        chunk.heading.len > 0 ? ". " : "", STR_ARG(chunk.content));
    source->space = chunk.character_id;
    source->pieces = piece;
    source->piece_count = 1;
    return E_OK;
}

static enum err list(struct db *db, int64_t after, size_t limit, struct index_place *places,
                     size_t *count) {
    return knowledge_chunks_after(db, after, limit, places, count);
}

const struct index_kind knowledge_kind = {.name = "knowledge", .load = load, .list = list};

/* --- changes --------------------------------------------------------------------------------- */

enum err knowledge_add(struct tx *tx, struct knowledge_document *document,
                       const struct chunk *chunks) {
    struct knowledge_document known[KNOWLEDGE_DOCUMENTS_LIMIT];
    struct arena arena;
    size_t count;
    arena_init(&arena);
    enum err err = knowledge_documents(tx_db(tx), &arena, document->character_id,
                                       KNOWLEDGE_DOCUMENTS_LIMIT, known, &count);
    arena_release(&arena);
    if (err == E_OK && count == KNOWLEDGE_DOCUMENTS_LIMIT)
        err = E_LIMIT;
    document->id = id_new();
    if (err == E_OK)
        err = knowledge_add_document(tx, document);
    for (int64_t i = 0; i < document->chunk_count && err == E_OK; i++) {
        struct knowledge_chunk chunk = {.id = id_new(),
                                        .document_id = document->id,
                                        .character_id = document->character_id,
                                        .place = i,
                                        .heading = chunks[i].heading,
                                        .content = chunks[i].content};
        err = knowledge_add_chunk(tx, &chunk);
        if (err == E_OK)
            err = index_touch_vectors(tx, &knowledge_kind, chunk.id, chunk.character_id,
                                      chunk.character_id);
    }
    return err;
}

enum err knowledge_remove(struct tx *tx, int64_t character_id, int64_t document_id) {
    int64_t *ids = malloc(sizeof(int64_t) * CHUNKS_LIMIT);
    size_t count = 0;
    BUG_IF(ids == NULL);
    enum err err = knowledge_chunk_ids(tx_db(tx), document_id, CHUNKS_LIMIT, ids, &count);
    if (err == E_OK)
        err = knowledge_remove_document(tx, character_id, document_id);
    for (size_t i = 0; i < count && err == E_OK; i++) {
        err = knowledge_remove_words(tx, ids[i]);
        if (err == E_OK)
            err = index_touch(tx, &knowledge_kind, ids[i], character_id, character_id);
    }
    free(ids);
    return err;
}

enum err knowledge_drop(struct tx *tx, int64_t character_id) {
    struct knowledge_document known[KNOWLEDGE_DOCUMENTS_LIMIT];
    struct arena arena;
    size_t count = 0;
    arena_init(&arena);
    enum err err = knowledge_documents(tx_db(tx), &arena, character_id, KNOWLEDGE_DOCUMENTS_LIMIT,
                                       known, &count);
    for (size_t i = 0; i < count && err == E_OK; i++)
        err = knowledge_remove(tx, character_id, known[i].id);
    arena_release(&arena);
    return err == E_OK && count > 0 ? index_drop(tx, character_id, character_id) : err;
}

/* --- asking ---------------------------------------------------------------------------------- */

struct knowledge_search {
    struct arena arena;
    struct knowledge_ask ask;
    knowledge_done_fn done;
    void *ctx;
    struct timer deadline;
    struct index_question *question;
    struct index_encoder encoder;
    float *vector; /* NULL: words alone */
    struct knowledge_hit hits[CANDIDATES * 2];
    size_t count;
    enum err err;
    bool is_told; /* done has run: what comes now is for nobody */
};

static struct pool_kind search_kind = {.name = "knowledge", .running_limit = 1, .queue_limit = 64};

static void tell(struct knowledge_search *search, enum err err) {
    if (search->is_told)
        return;
    search->is_told = true;
    timer_stop(&search->deadline);
    size_t count = search->count < search->ask.limit ? search->count : search->ask.limit;
    search->done(err, search->hits, err == E_OK ? count : 0, search->ctx);
}

static void release(struct knowledge_search *search) {
    arena_release(&search->arena);
    free(search);
}

static bool is_known(const struct knowledge_search *search, int64_t id) {
    for (size_t i = 0; i < search->count; i++)
        if (search->hits[i].chunk.id == id)
            return true;
    return false;
}

static enum err add_hit(struct knowledge_search *search, struct db *db, int64_t id,
                        double meaning) {
    if (is_known(search, id))
        return E_OK;
    struct knowledge_hit *hit = &search->hits[search->count];
    enum err err = knowledge_chunk_load(db, &search->arena, id, &hit->chunk);
    if (err != E_OK || hit->chunk.character_id != search->ask.character_id)
        return err == E_ABSENT || err == E_OK ? E_OK : err; /* removed a moment ago */
    hit->meaning = meaning;
    search->count++;
    return E_OK;
}

static struct str query_of(struct arena *arena, const struct memory_word *words, size_t count) {
    struct buf query;
    buf_init(&query, QUERY_BYTES);
    for (size_t i = 0; i < count; i++)
        if (!words[i].is_stopword)
            buf_printf(&query, "%s\"" STR_FMT "\"", query.len > 0 ? " OR " : "",
                       STR_ARG(words[i].folded));
    struct str text = query.err == E_OK ? str_dup(arena, buf_str(&query)) : STR_NONE;
    buf_release(&query);
    return text;
}

static bool has_stem(const struct memory_word *words, size_t count, struct str stem) {
    for (size_t i = 0; i < count; i++)
        if (str_eq(words[i].stem, stem))
            return true;
    return false;
}

/* The share of the question's different words that the chunk has. */
static double share_of_words(struct arena *arena, const struct memory_word *words, size_t count,
                             const struct knowledge_chunk *chunk) {
    size_t chunk_count, all = 0, there = 0;
    struct str text =
        str_printf(arena, STR_FMT " " STR_FMT, STR_ARG(chunk->heading), STR_ARG(chunk->content));
    struct memory_word *chunk_words = memory_words(arena, text, 1000, &chunk_count);
    for (size_t i = 0; i < count; i++) {
        if (words[i].is_stopword || has_stem(words, i, words[i].stem))
            continue;
        all++;
        there += has_stem(chunk_words, chunk_count, words[i].stem);
    }
    return all == 0 ? 0 : (double)there / (double)all;
}

static bool is_worth_telling(const struct knowledge_hit *hit) {
    return hit->meaning >= NEAR_ENOUGH || hit->words >= HALF_THE_WORDS ||
           (hit->meaning >= NEAR_WITH_WORDS && hit->words >= SOME_WORDS);
}

static int by_score(const void *a, const void *b) {
    const struct knowledge_hit *x = a, *y = b;
    return x->score < y->score ? 1 : x->score > y->score ? -1 : x->chunk.id < y->chunk.id ? -1 : 1;
}

static void weigh(struct knowledge_search *search, const struct memory_word *words, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < search->count; i++) {
        struct knowledge_hit *hit = &search->hits[i];
        hit->words = share_of_words(&search->arena, words, count, &hit->chunk);
        hit->score = hit->meaning + WEIGHT_OF_WORDS * hit->words;
        if (is_worth_telling(hit))
            search->hits[kept++] = *hit;
    }
    search->count = kept;
    qsort(search->hits, kept, sizeof(search->hits[0]), by_score);
}

static enum err find_near(struct knowledge_search *search, struct db *db) {
    struct vector_hit near[CANDIDATES];
    size_t count = 0;
    struct vector_search ask = {
        .space = {.id = search->ask.character_id, .encoder = search->encoder.id},
        .query = search->vector,
        .dims = search->encoder.dims,
        .limit = CANDIDATES};
    enum err err = pool_vector_search(&ask, near, &count);
    for (size_t i = 0; i < count && err == E_OK; i++)
        err = add_hit(search, db, near[i].item, (double)near[i].cosine);
    return err;
}

static enum err find_words(struct knowledge_search *search, struct db *db,
                           const struct memory_word *words, size_t word_count) {
    int64_t ids[CANDIDATES];
    size_t count = 0;
    struct str query = query_of(&search->arena, words, word_count);
    if (query.len == 0)
        return E_OK;
    enum err err = knowledge_search(db, search->ask.character_id, query, CANDIDATES, ids, &count);
    for (size_t i = 0; i < count && err == E_OK; i++)
        err = add_hit(search, db, ids[i], 0);
    return err;
}

static void pool_find(void *ctx) {
    struct knowledge_search *search = ctx;
    size_t count;
    struct memory_word *words = memory_words(&search->arena, search->ask.text, WORDS_LIMIT, &count);
    struct db *db = pool_reader_open();
    if (db == NULL) {
        search->err = E_STORAGE;
        return;
    }
    if (search->vector != NULL)
        search->err = find_near(search, db);
    if (search->err == E_OK)
        search->err = find_words(search, db, words, count);
    pool_reader_close(db);
    weigh(search, words, count);
}

static void on_found(enum err err, void *ctx) {
    struct knowledge_search *search = ctx;
    tell(search, err != E_OK ? err : search->err);
    release(search);
}

static void on_asked(const struct embed_answer *answer, void *ctx) {
    struct knowledge_search *search = ctx;
    search->question = NULL;
    if (search->is_told)
        return release(search);
    if (answer->err == E_OK && answer->dims == search->encoder.dims) {
        search->vector = ARENA_ARRAY(&search->arena, float, answer->dims);
        for (size_t i = 0; i < answer->dims; i++)
            search->vector[i] = answer->values[i];
    }
    if (pool_run(&search_kind, pool_find, on_found, search, NULL) != E_OK) {
        tell(search, E_BUSY);
        release(search);
    }
}

static void on_late(void *ctx) {
    struct knowledge_search *search = ctx;
    tell(search, E_TIMEOUT);
    if (search->question != NULL)
        index_ask_cancel(search->question);
}

struct knowledge_search *knowledge_start(const struct knowledge_ask *ask, knowledge_done_fn done,
                                         void *ctx) {
    struct knowledge_search *search = calloc(1, sizeof *search);
    BUG_IF(search == NULL);
    arena_init(&search->arena);
    search->ask = *ask;
    search->ask.text = str_dup(&search->arena, str_slice(ask->text, 0, QUESTION_BYTES));
    search->done = done;
    search->ctx = ctx;
    search->encoder = index_encoder();
    if (ask->deadline_ms > 0)
        timer_start(&search->deadline, ask->deadline_ms, on_late, search);
    search->question = index_ask(search->ask.text, on_asked, search);
    return search;
}

void knowledge_cancel(struct knowledge_search *search) {
    search->is_told = true;
    timer_stop(&search->deadline);
    if (search->question != NULL)
        index_ask_cancel(search->question);
}
