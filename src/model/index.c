/*
 * The queue of what is to be found: the words step takes touches out, writes the words and leaves
 * a row for each encoder's vectors (index_vectors.c).
 *
 * A touch runs on the writer thread and rings a bell, as job_add() does: the loop then asks, GATHER_MS
 * later, for a words step, which queues behind the transaction that touched, so it sees the row
 * exactly when the row exists. Nobody has to be told to begin, and a reply's path pays for one
 * insert.
 *
 * The words step takes what STEP_US allow, so that a person's write that comes meanwhile waits a
 * few milliseconds at most; and while others write, it has one part in SHARE of the writer's time,
 * so that words come a little later when much is said and nobody who speaks waits for them. A row
 * whose words cannot be written is found by taking rows one by one, put off, and comes again; the others go on.
 */
#include "model/index_inside.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "loop/loop.h"
#include "loop/mailbox.h"

#include <stdatomic.h>
#include <string.h>

#include "base/banned.h"

#define STEP_ROWS       64
#define STEP_US         4000
#define SHARE           16
#define GATHER_MS       50   /* what is touched meanwhile is written in one go */
#define STORAGE_WAIT_MS 5000 /* the disk is full: somebody will make room */
#define BACKOFF_MS      ((int64_t)5000)
#define BACKOFF_STEPS   14 /* 5 s doubling to about a day */

METRIC_COUNTER(words_written, "troupe_index_words_total", "Items whose words were written.");

struct index the_index;

static struct {
    _Atomic bool is_open, has_rung;
    struct mail mail;
} bell;

/* The words step: what it may take, and what it met. */
static struct {
    bool is_running, again;
    bool is_gathering; /* the timer will ask for the next step */
    size_t limit;
    size_t count;           /* rows that were done */
    int64_t spent_us;       /* of the writer, for them */
    int64_t writes;         /* of the house, when the last step ended */
    int64_t rests_until_us; /* monotonic; others write */
    bool has_more;
    int64_t next_at;      /* the first row that is not due yet */
    struct queue_row bad; /* the row that failed; its kind is not kept. change 0: none */
    struct timer timer;
} words = {.limit = STEP_ROWS};

const struct index_kind *index_kind_find(struct str name) {
    for (size_t i = 0; the_index.kinds != NULL && the_index.kinds[i] != NULL; i++)
        if (str_eq(str_from(the_index.kinds[i]->name), name))
            return the_index.kinds[i];
    return NULL;
}

/* --- the bell --------------------------------------------------------------------------------- */

static void on_timer(void *ctx) {
    (void)ctx;
    words_go();
}

static void wait_words(int64_t ms) {
    timer_start(&words.timer, ms < 0 ? 0 : ms, on_timer, NULL);
}

/* Whoever is touched first waits a moment for the others: the words of twenty messages cost little
 * more than those of one. */
static void gather(int64_t ms) {
    words.again = words.is_running;
    if (words.is_running || words.is_gathering || the_index.is_draining)
        return;
    int64_t rests_ms = (words.rests_until_us - clock_mono_us()) / 1000;
    words.is_gathering = true;
    wait_words(rests_ms > ms ? rests_ms : ms);
}

/* After a step: whether somebody else wrote since the one before. */
static bool rest(void) {
    int64_t writes = store_cost().writes;
    bool is_alone = writes - words.writes <= 1;
    words.writes = writes;
    words.rests_until_us = is_alone ? 0 : clock_mono_us() + words.spent_us * (SHARE - 1);
    return !is_alone;
}

static void answer_bell(void *ctx) {
    (void)ctx;
    gather(GATHER_MS);
}

/* Once until the next step is asked for: that one runs behind whatever does not ring meanwhile. */
void index_ring(void) {
    if (atomic_load(&bell.is_open) && !atomic_exchange(&bell.has_rung, true))
        mailbox_post(&bell.mail, answer_bell, NULL);
}

/* --- touches ---------------------------------------------------------------------------------- */

enum err index_touch(struct tx *tx, const struct index_kind *kind, int64_t item, int64_t space,
                     int64_t group) {
    struct queue_row row = {.kind = str_from(kind->name),
                            .item = item,
                            .space = space,
                            .group = group,
                            .due_at = QUEUE_DUE_NOW};
    index_ring();
    return kind->writer_words != NULL ? touch_put(tx, &row) : queue_put_vectors(tx, &row);
}

enum err index_touch_vectors(struct tx *tx, const struct index_kind *kind, int64_t item,
                             int64_t space, int64_t group) {
    struct queue_row row = {.kind = str_from(kind->name),
                            .item = item,
                            .space = space,
                            .group = group,
                            .due_at = QUEUE_DUE_BULK};
    index_ring();
    return queue_put_vectors(tx, &row);
}

enum err index_drop(struct tx *tx, int64_t space, int64_t group) {
    struct queue_row row = {.kind = QUEUE_KIND_SPACE, .item = space, .space = space};
    index_ring();
    enum err err = queue_clear_group(tx, group);
    if (err == E_OK)
        err = queue_put_vectors(tx, &row);
    return err == E_OK ? compaction_ask(tx) : err;
}

enum err index_pending(struct db *db, int64_t group, struct index_pending *pending) {
    uint32_t encoder = index_encoder().id;
    pending->words = queue_count_group(db, group, 0);
    pending->vectors = encoder == 0 ? 0 : pending->words + queue_count_group(db, group, encoder);
    return E_OK;
}

/* --- the words step --------------------------------------------------------------------------- */

static enum err end_row(struct tx *tx, const struct queue_row *row) {
    return row->is_touch ? E_OK : queue_end(tx, row->change); /* touches go together, at the end */
}

static enum err write_one(struct tx *tx, struct queue_row *row) {
    const struct index_kind *kind = index_kind_find(row->kind);
    if (kind == NULL) /* of a newer program, or of a feature that is no more */
        return end_row(tx, row);
    enum err err = kind->writer_words != NULL ? kind->writer_words(tx, row->item) : E_OK;
    if (err == E_OK)
        err = end_row(tx, row);
    row->due_at = row->due_at == QUEUE_DUE_BULK ? QUEUE_DUE_BULK : QUEUE_DUE_NOW;
    return err == E_OK ? queue_put_vectors(tx, row) : err;
}

/* Touches first, then what was put off or is made anew. */
static enum err load_rows(struct tx *tx, struct arena *arena, struct queue_row *rows,
                          size_t *count) {
    size_t more = 0;
    words.next_at = 0;
    enum err err = touch_list(tx_db(tx), arena, rows, words.limit, count);
    if (err == E_OK && *count < words.limit)
        err = queue_due(tx_db(tx), arena, 0, clock_now_ms(), rows + *count, words.limit - *count,
                        &more, &words.next_at);
    *count += more;
    return err;
}

static enum err writer_step(struct tx *tx, void *ctx) {
    struct queue_row rows[STEP_ROWS];
    struct arena arena;
    size_t count = 0;
    int64_t began_us = clock_mono_us(), last_touch = 0;
    (void)ctx;
    words.count = 0;
    words.bad.change = 0;
    arena_init(&arena);
    enum err err = load_rows(tx, &arena, rows, &count);
    for (size_t i = 0; i < count && err == E_OK; i++) {
        err = write_one(tx, &rows[i]);
        if (err != E_OK) {
            words.bad = rows[i];
            words.bad.kind = STR_NONE;
            break;
        }
        words.count++;
        if (rows[i].is_touch)
            last_touch = rows[i].change;
        if (clock_mono_us() - began_us > STEP_US)
            break;
    }
    if (err == E_OK && last_touch != 0)
        err = touch_end_to(tx, last_touch);
    words.has_more = err == E_OK && (words.count < count || count == words.limit);
    words.spent_us = clock_mono_us() - began_us;
    arena_release(&arena);
    return err;
}

static enum err writer_put_off(struct tx *tx, void *ctx) {
    (void)ctx;
    int64_t attempts = words.bad.attempts + 1;
    int64_t steps = attempts < BACKOFF_STEPS ? attempts : BACKOFF_STEPS;
    return queue_put_off(tx, &words.bad, attempts, clock_now_ms() + (BACKOFF_MS << (steps - 1)));
}

static void stepped(enum err err, void *ctx);

static void was_put_off(enum err err, void *ctx) {
    (void)ctx;
    words.limit = STEP_ROWS;
    words.is_running = false;
    if (err != E_OK)
        wait_words(STORAGE_WAIT_MS);
    else
        words_go();
}

/* A step failed: the rows one by one, until the one is found that fails. */
static void step_failed(enum err err) {
    if (err == E_STORAGE || words.bad.change == 0) {
        words.is_running = false;
        return wait_words(STORAGE_WAIT_MS);
    }
    if (words.limit > 1) {
        words.limit = 1;
        return store_write(writer_step, stepped, NULL);
    }
    log_warn("index", "words of an item could not be written; it comes again",
             LF_INT("change", words.bad.change), LF_INT("attempts", words.bad.attempts + 1),
             LF_Z("error", err_word(err)));
    store_write(writer_put_off, was_put_off, NULL);
}

static void stepped(enum err err, void *ctx) {
    (void)ctx;
    if (the_index.is_stopped)
        return;
    if (err != E_OK)
        return step_failed(err);
    metric_add(&words_written, (int64_t)words.count);
    words.is_running = false;
    for (int i = 0; i < ENCODER_PLACES; i++) /* also when a touch was of vectors alone */
        the_index.encoders[i].has_work = true;
    bool rests = rest();
    if (words.has_more && !rests)
        words_go();
    else if (words.has_more || words.again)
        gather(words.has_more ? 0 : GATHER_MS);
    else if (words.next_at != 0)
        wait_words(words.next_at - clock_now_ms());
    else
        words.limit = STEP_ROWS;
    if (!words.has_more && !encoder_is_usable(&the_index.encoders[ENCODER_ACTIVE]))
        rebuild_check(ENCODER_ACTIVE); /* no vectors will be waited for */
    vectors_go();
}

void words_go(void) {
    words.again = words.is_running;
    if (words.is_running || the_index.is_draining || the_index.is_stopped)
        return;
    words.is_running = true;
    words.is_gathering = false;
    timer_stop(&words.timer);
    atomic_store(&bell.has_rung, false);
    store_write(writer_step, stepped, NULL);
}

/* --- life ------------------------------------------------------------------------------------- */

/* The first start of this data folder by a program that can embed. */
static enum err writer_first(struct tx *tx, void *ctx) {
    struct encoder_row row = {.provider = STR("builtin"), .state = STR("active")};
    (void)ctx;
    if (encoder_was_chosen(tx_db(tx)))
        return E_OK;
    enum err err = encoder_insert(tx, &row);
    struct rebuild_row rebuild = {.encoder = row.id, .kind = STR("")};
    return err == E_OK ? rebuild_put(tx, &rebuild) : err;
}

enum err index_start(const struct index_kind *const *kinds) {
    memset(&the_index, 0, sizeof the_index);
    the_index.kinds = kinds;
    for (size_t i = 0; kinds[i] != NULL; i++) /* a kind that is there twice is listed for ever */
        BUG_IF(index_kind_find(str_from(kinds[i]->name)) != kinds[i] ||
               (i > 0 && kinds[i] == kinds[i - 1]));
    enum err err = E_OK;
    if (embed_builtin.is_available() && !encoder_was_chosen(store_reader()))
        err = store_write_and_wait(writer_first, NULL);
    if (err == E_OK)
        err = encoders_reload();
    atomic_store(&bell.has_rung, false);
    atomic_store(&bell.is_open, true);
    if (err == E_OK)
        words_go();
    return err;
}

void index_drain(void) {
    the_index.is_draining = true;
    atomic_store(&bell.is_open, false);
    timer_stop(&words.timer);
    words.is_gathering = false;
    rebuild_stop();
    change_stop();
    vectors_stop();
}

void index_stop(void) {
    index_drain();
    the_index.is_stopped = true;
    for (int i = 0; i < ENCODER_PLACES; i++)
        arena_release(&the_index.encoders[i].arena);
    memset(the_index.encoders, 0, sizeof the_index.encoders);
}
