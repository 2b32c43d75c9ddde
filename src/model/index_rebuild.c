/*
 * Everything again. A rebuild lists every item of every kind into the queue, in portions, and
 * remembers how far it came; from there on its items are rows like others. It is over when all are
 * listed and no row is left that has not at least been tried. So a rebuild survives any death, and
 * one item that cannot be embedded does not hold it up.
 *
 * There are three: of words (encoder 0; each row then leaves vectors to be made, so this is
 * everything), of the encoder in use (LMDB was lost), and of one that is being built, which takes
 * the place of the one in use in the moment in which it is complete (index_change.c).
 *
 * Healing. Each batch has a number. LMDB keeps it in the batch's own transaction, SQLite in the
 * write that ends the batch's rows, after it. So at a start LMDB is as far as SQLite, or one ahead
 * (the crash between the two; the rows are still in the queue). Anything else is another LMDB or
 * another SQLite than it was (set aside, restored): everything of LMDB goes and is made again.
 */
#include "model/index_inside.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "loop/loop.h"
#include "model/index_change.h"

#include <string.h>

#include "base/banned.h"

#define LIST_LIMIT  200 /* items of one write: a few milliseconds */
#define RETRY_MS    5000
#define COUNT_LIMIT 10000 /* counted on the loop; beyond it the pool's count is shown */

static struct {
    bool is_listing, is_ending, is_healing;
    struct timer timer;
    int64_t target; /* encoder of the listing under way */
} re;

/* --- what is under way ------------------------------------------------------------------------ */

static void look_at(struct db *db, struct arena *arena, int64_t encoder, struct rebuild *rebuild) {
    struct rebuild_row row;
    *rebuild = (struct rebuild){0};
    if (rebuild_load(db, arena, encoder, &row) == E_OK)
        *rebuild = (struct rebuild){
            .is_there = true, .is_listed = row.kind.at == NULL, .total = row.total};
}

void rebuild_look(struct db *db) {
    struct arena arena;
    arena_init(&arena);
    look_at(db, &arena, 0, &the_index.words_rebuild);
    for (int at = 0; at < ENCODER_PLACES; at++) {
        the_index.rebuilds[at] = (struct rebuild){0};
        if (the_index.encoders[at].is_there)
            look_at(db, &arena, the_index.encoders[at].row.id, &the_index.rebuilds[at]);
    }
    arena_release(&arena);
}

/* --- listing (writer) ------------------------------------------------------------------------- */

/* The kind that `name` stands for: the first for "", NULL past the last. */
static const struct index_kind *kind_at(struct str name) {
    return name.len == 0 ? the_index.kinds[0] : index_kind_find(name);
}

static const struct index_kind *kind_after(const struct index_kind *kind) {
    for (size_t i = 0; the_index.kinds[i] != NULL; i++)
        if (the_index.kinds[i] == kind)
            return the_index.kinds[i + 1];
    return NULL;
}

static enum err list_some(struct tx *tx, struct rebuild_row *row, const struct index_kind *kind) {
    struct index_place places[LIST_LIMIT];
    size_t count = 0;
    enum err err = kind->list(tx_db(tx), row->after, LIST_LIMIT, places, &count);
    for (size_t i = 0; i < count && err == E_OK; i++) {
        struct queue_row item = {.kind = str_from(kind->name),
                                 .item = places[i].item,
                                 .encoder = row->encoder,
                                 .space = places[i].space,
                                 .group = places[i].group,
                                 .due_at = QUEUE_DUE_BULK};
        err = queue_put(tx, &item);
        row->after = places[i].item;
    }
    row->total += (int64_t)count;
    if (err == E_OK && count < LIST_LIMIT) {
        kind = kind_after(kind);
        row->kind = kind != NULL ? str_from(kind->name) : STR_NONE;
        row->after = 0;
    }
    return err;
}

static enum err writer_list(struct tx *tx, void *ctx) {
    struct rebuild_row row;
    struct arena arena;
    (void)ctx;
    arena_init(&arena);
    enum err err = rebuild_load(tx_db(tx), &arena, re.target, &row);
    if (err == E_OK && row.kind.at != NULL) {
        const struct index_kind *kind = kind_at(row.kind);
        if (kind != NULL && row.kind.len == 0)
            row.kind = str_from(kind->name);
        if (kind != NULL)
            err = list_some(tx, &row, kind);
        else
            row.kind = STR_NONE;
        if (err == E_OK)
            err = rebuild_put(tx, &row);
    }
    arena_release(&arena);
    return err == E_ABSENT ? E_OK : err;
}

static void list_again(void *ctx) {
    (void)ctx;
    rebuild_go();
}

static void on_listed(enum err err, void *ctx) {
    (void)ctx;
    re.is_listing = false;
    if (the_index.is_stopped || the_index.is_draining)
        return;
    if (err != E_OK)
        return timer_start(&re.timer, RETRY_MS, list_again, NULL);
    rebuild_look(store_reader());
    for (int at = 0; at < ENCODER_PLACES; at++)
        the_index.encoders[at].has_work = true;
    if (re.target == 0)
        words_go();
    vectors_go();
    rebuild_go();
}

static void list(int64_t target) {
    re.is_listing = true;
    re.target = target;
    store_write(writer_list, on_listed, NULL);
}

void rebuild_go(void) {
    if (re.is_listing || the_index.is_draining || the_index.is_stopped)
        return;
    if (the_index.words_rebuild.is_there && !the_index.words_rebuild.is_listed)
        return list(0);
    for (int at = 0; at < ENCODER_PLACES; at++)
        if (the_index.rebuilds[at].is_there && !the_index.rebuilds[at].is_listed)
            return list(the_index.encoders[at].row.id);
}

/* --- complete --------------------------------------------------------------------------------- */

static enum err retire_active(struct tx *tx) {
    struct encoder_row active;
    struct arena arena;
    arena_init(&arena);
    enum err err = encoder_load(tx_db(tx), &arena, STR("active"), &active);
    if (err == E_OK)
        err = encoder_set_state(tx, active.id, STR("retired"));
    arena_release(&arena);
    return err == E_ABSENT ? E_OK : err;
}

/* Whether the rebuild of `encoder` has come to its end, as the truth says it. */
static bool is_complete(struct db *db, int64_t encoder) {
    struct rebuild_row row;
    struct arena arena;
    arena_init(&arena);
    enum err err = rebuild_load(db, &arena, encoder, &row);
    bool is_over = err == E_OK && row.kind.at == NULL && !queue_has_fresh(db, encoder);
    arena_release(&arena);
    return is_over;
}

static enum err writer_end(struct tx *tx, void *ctx) {
    struct encoder_row *row = ctx;
    if (!is_complete(tx_db(tx), row->id) || (row->id != 0 && queue_has_fresh(tx_db(tx), 0)))
        return E_CONFLICT; /* something was touched in the last moment */
    enum err err = rebuild_delete(tx, row->id);
    if (err != E_OK || !str_eq(row->state, STR("building")))
        return err;
    err = retire_active(tx);
    return err == E_OK ? encoder_set_state(tx, row->id, STR("active")) : err;
}

static struct encoder_row ending;

void index_reload(void) {
    if (encoders_reload() != E_OK)
        log_error("index", "the encoders could not be read again");
    rebuild_look(store_reader());
}

/* Another rebuild may have become complete meanwhile and was not judged: everybody looks again. After
 * a conflict there are new rows, and the step that their touch asked for comes first. */
static void look_again(enum err err) {
    for (int at = 0; at < ENCODER_PLACES; at++) {
        the_index.encoders[at].has_work = true;
        if (err == E_STORAGE)
            the_index.encoders[at].rests_until_us = clock_mono_us() + RETRY_MS * 1000;
    }
    if (err != E_CONFLICT)
        vectors_go();
}

static void on_ended(enum err err, void *ctx) {
    (void)ctx;
    re.is_ending = false;
    if (the_index.is_stopped)
        return;
    bool is_change = str_eq(ending.state, STR("building"));
    if (err == E_OK) {
        log_info("index", is_change ? "the new embedder has taken over" : "a rebuild was completed",
                 LF_INT("encoder", ending.id));
        index_reload();
        if (is_change)
            change_is_over();
    }
    look_again(err);
}

static void end(int64_t id, const char *state) {
    re.is_ending = true;
    ending = (struct encoder_row){.id = id, .state = str_from(state)};
    store_write(writer_end, on_ended, &ending);
}

/* An endpoint that fails puts its rows off, all of them in the end; that is not what complete
 * means. A few rows that no endpoint takes are. */
static bool can_be_trusted(enum encoder_place at) {
    const struct encoder *encoder = &the_index.encoders[at];
    int64_t total = the_index.rebuilds[at].total;
    int64_t failed = queue_count(store_reader(), encoder->row.id, COUNT_LIMIT);
    return encoder->failures == 0 && (failed == 0 || (failed < total && failed <= 3 + total / 20));
}

void rebuild_check(enum encoder_place at) {
    const struct rebuild *rebuild = &the_index.rebuilds[at];
    if (re.is_ending || the_index.is_draining)
        return;
    if (rebuild->is_there && rebuild->is_listed && can_be_trusted(at) &&
        is_complete(store_reader(), the_index.encoders[at].row.id))
        return end(the_index.encoders[at].row.id, at == ENCODER_BUILDING ? "building" : "active");
    if (at == ENCODER_ACTIVE && the_index.words_rebuild.is_there &&
        the_index.words_rebuild.is_listed && is_complete(store_reader(), 0))
        end(0, "active");
}

/* --- healing ---------------------------------------------------------------------------------- */

/* Everything of an encoder goes, and is made again. */
static enum err again(struct tx *tx, const char *state) {
    struct encoder_row row;
    struct arena arena;
    arena_init(&arena);
    enum err err = encoder_load(tx_db(tx), &arena, str_from(state), &row);
    if (err == E_OK && !str_eq(row.provider, STR("none"))) {
        struct queue_row all = {.kind = QUEUE_KIND_SPACE, .encoder = row.id};
        struct rebuild_row rebuild = {.encoder = row.id, .kind = STR("")};
        err = queue_put(tx, &all);
        if (err == E_OK)
            err = rebuild_put(tx, &rebuild);
    }
    arena_release(&arena);
    return err == E_ABSENT ? E_OK : err;
}

static enum err writer_heal(struct tx *tx, void *ctx) {
    (void)ctx;
    enum err err = again(tx, "active");
    if (err == E_OK)
        err = again(tx, "building");
    return err == E_OK ? index_seen_store(tx, the_index.seen) : err;
}

static void begin(enum err err, void *ctx) {
    (void)ctx;
    re.is_healing = false;
    if (the_index.is_stopped)
        return;
    if (err != E_OK)
        log_error("index", "vectors could not be compared with the truth",
                  LF_Z("error", err_word(err)));
    the_index.has_vectors = true;
    rebuild_look(store_reader());
    words_go();
    rebuild_go();
    retire_later(0);
    vectors_go();
}

void index_begin(bool has_vectors) {
    if (!has_vectors || the_index.is_stopped)
        return;
    int64_t truth = index_seen_load(store_reader()), stored = vector_seen();
    the_index.seen = truth > stored ? truth : stored;
    if (stored == truth || stored == truth + 1)
        return begin(E_OK, NULL);
    log_warn("index", "vectors are not of this database, or were lost; all are made again",
             LF_INT("truth", truth), LF_INT("vectors", stored));
    re.is_healing = true;
    store_write(writer_heal, begin, NULL);
}

/* --- everything, because somebody asks -------------------------------------------------------- */

struct reindex {
    store_done_fn done;
    void *ctx;
};
static struct reindex reindex;

static enum err writer_reindex(struct tx *tx, void *ctx) {
    struct rebuild_row words = {.kind = STR("")};
    (void)ctx;
    enum err err = again(tx, "active");
    if (err == E_OK)
        err = again(tx, "building");
    return err == E_OK ? rebuild_put(tx, &words) : err;
}

static void on_reindex(enum err err, void *ctx) {
    struct reindex *asked = ctx;
    store_done_fn done = asked->done;
    asked->done = NULL;
    if (!the_index.is_stopped && err == E_OK) {
        rebuild_look(store_reader());
        rebuild_go();
    }
    if (done != NULL)
        done(err, asked->ctx);
}

enum err index_reindex(store_done_fn done, void *ctx) {
    if (reindex.done != NULL)
        return E_BUSY;
    reindex = (struct reindex){done, ctx};
    store_write(writer_reindex, on_reindex, &reindex);
    return E_OK;
}

bool index_is_idle(void) {
    struct db *db = store_reader();
    bool is_idle = !re.is_listing && !re.is_ending && !re.is_healing &&
                   !the_index.words_rebuild.is_there && !queue_has_fresh(db, 0);
    for (int at = 0; at < ENCODER_PLACES; at++)
        if (encoder_is_usable(&the_index.encoders[at]))
            is_idle = is_idle && !the_index.rebuilds[at].is_there &&
                      !queue_has_fresh(db, the_index.encoders[at].row.id);
    return is_idle;
}

/* Rows of an encoder, exactly while they are few. */
static int64_t count_rows(const struct encoder *encoder) {
    if (!encoder->is_there)
        return 0;
    int64_t rows = queue_count(store_reader(), encoder->row.id, COUNT_LIMIT);
    return rows == COUNT_LIMIT && encoder->pending > rows ? encoder->pending : rows;
}

struct index_progress index_progress(void) {
    const struct encoder *active = &the_index.encoders[ENCODER_ACTIVE];
    return (struct index_progress){
        .words = queue_count(store_reader(), 0, COUNT_LIMIT),
        .vectors = count_rows(active),
        .has_encoder = encoder_is_usable(active),
        .trouble = active->trouble,
    };
}

void rebuild_progress(int64_t *done, int64_t *total) {
    int64_t left = count_rows(&the_index.encoders[ENCODER_BUILDING]);
    *total = the_index.rebuilds[ENCODER_BUILDING].total;
    *done = *total > left ? *total - left : 0;
}

void rebuild_stop(void) {
    timer_stop(&re.timer);
}
