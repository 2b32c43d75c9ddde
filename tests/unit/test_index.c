/* links: troupe_model troupe_vendor_free troupe_store troupe_embedded */
#include "model/index.h"

#include "base/check.h"
#include "base/keyfile.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "loop/pool.h"
#include "model/index_change.h"
#include "scratch.h"
#include "store/job.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { BUILTIN_DIMS = 64, REMOTE_DIMS = 96, WIDE_DIMS = 112 };

/* --- the truth: notes in memory, each in a space, each sentence a piece ----------------------- */

#define NOTES 400

struct note {
    bool is_there;
    int64_t space;
    const char *text;  /* sentences end with '.' */
    _Atomic int words; /* how often they were written, by the writer */
    double digest[2];  /* by slot: the sum of its vectors' first values */
};
static struct note notes[NOTES]; /* by item; 0 is none */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum err words_fail_for_9; /* what writing the words of item 9 gives */
static int storage_failures;      /* so many ends of a batch fail */
static int asked_for;             /* writes that are not on disk yet */

static enum err note_load(struct db *db, struct arena *arena, int64_t item,
                          struct index_source *source) {
    assert_non_null(db);
    pthread_mutex_lock(&lock);
    struct note note = notes[item];
    pthread_mutex_unlock(&lock);
    if (!note.is_there)
        return E_ABSENT;
    struct str *pieces = ARENA_ARRAY(arena, struct str, 64), rest = str_from(note.text);
    source->space = note.space;
    source->pieces = pieces;
    for (struct str piece; source->piece_count < 64 && str_next(&rest, '.', &piece);)
        if (str_trim(piece).len > 0)
            pieces[source->piece_count++] = str_trim(piece);
    return E_OK;
}

static enum err note_words(struct tx *tx, int64_t item) {
    assert_non_null(tx);
    if (item == 9 && words_fail_for_9 != E_OK)
        return words_fail_for_9;
    pthread_mutex_lock(&lock);
    notes[item].words++;
    pthread_mutex_unlock(&lock);
    return E_OK;
}

/* What was just stored can be read again: the batch is in the store. */
static void note_digest(struct db *db, const struct index_vectors *vectors,
                        struct index_digest *digest) {
    uint16_t parts = 0;
    float *values = calloc(vectors->piece_count * vectors->dims, sizeof *values);
    assert_non_null(db);
    assert_int_equal(pool_vector_get(vectors->space, vectors->item, vectors->dims, values,
                                     (uint16_t)vectors->piece_count, &parts),
                     E_OK);
    assert_int_equal(parts, vectors->piece_count);
    for (size_t i = 0; i < vectors->piece_count; i++)
        digest->values[0] += vectors->values[i * vectors->dims];
    free(values);
}

static enum err note_vectors(struct tx *tx, int64_t item, int slot,
                             const struct index_digest *digest) {
    assert_non_null(tx);
    if (storage_failures > 0 && storage_failures-- > 0)
        return E_STORAGE;
    pthread_mutex_lock(&lock);
    notes[item].digest[slot] = digest->values[0];
    pthread_mutex_unlock(&lock);
    return E_OK;
}

static enum err note_list(struct db *db, int64_t after, size_t limit, struct index_place *places,
                          size_t *count) {
    (void)db;
    pthread_mutex_lock(&lock);
    for (int64_t item = after + 1; item < NOTES && *count < limit; item++)
        if (notes[item].is_there)
            places[(*count)++] = (struct index_place){item, notes[item].space, notes[item].space};
    pthread_mutex_unlock(&lock);
    return E_OK;
}

static const struct index_kind note_kind = {.name = "note",
                                            .load = note_load,
                                            .writer_words = note_words,
                                            .pool_digest = note_digest,
                                            .writer_vectors = note_vectors,
                                            .list = note_list};
static const struct index_kind *const KINDS[] = {&note_kind, NULL};

/* --- two embedders that do as they are told --------------------------------------------------- */

struct embed_call {
    const struct embed_request *request;
    embed_done_fn done;
    void *ctx;
    size_t dims;
    bool is_cancelled;
    struct timer timer;
};

static struct {
    bool is_absent;     /* there is no built-in one */
    enum err fails;     /* every call */
    const char *poison; /* a text with it in it: E_INPUT */
    int64_t delay_ms;
    int64_t retry_after_ms;
    size_t remote_dims;
    size_t calls, texts, at_once, most_at_once, urgent;
    void (*in_call)(void); /* once, when a call has begun */
} told;

static bool builtin_is_available(void) {
    return !told.is_absent;
}

static bool always(void) {
    return true;
}

/* The first numbers tell texts apart, and the embedders. */
static void vector_of(struct str text, size_t dims, float *out) {
    for (size_t d = 0; d < dims; d++)
        out[d] = 1 + (float)((text.at[d % text.len] * 7 + (int)text.len * (int)(d + 3)) % 23);
    double sum = 0;
    for (size_t d = 0; d < dims; d++)
        sum += (double)out[d] * out[d];
    for (size_t d = 0; d < dims; d++)
        out[d] = (float)(out[d] / sqrt(sum));
}

static enum err judge(const struct embed_call *call) {
    if (call->is_cancelled)
        return E_CANCELLED;
    for (size_t i = 0; told.poison != NULL && i < call->request->count; i++)
        if (str_has(call->request->texts[i], str_from(told.poison)))
            return E_INPUT;
    return told.fails;
}

static void answer(void *ctx) {
    struct embed_call *call = ctx;
    struct embed_answer answer = {.err = judge(call), .detail = STR("as told")};
    float *values = calloc(call->request->count * call->dims, sizeof *values);
    for (size_t i = 0; i < call->request->count; i++)
        vector_of(call->request->texts[i], call->dims, values + i * call->dims);
    if (answer.err == E_OK) {
        answer.values = values;
        answer.dims = call->dims;
        told.texts += call->request->count;
    } else {
        answer.retry_after_ms = told.retry_after_ms;
    }
    told.at_once--;
    call->done(&answer, call->ctx);
    free(values);
    free(call);
}

static struct embed_call *begin(const struct embed_request *request, embed_done_fn done, void *ctx,
                                size_t dims) {
    struct embed_call *call = calloc(1, sizeof *call);
    *call = (struct embed_call){.request = request, .done = done, .ctx = ctx, .dims = dims};
    told.calls++;
    told.urgent += request->is_urgent;
    told.at_once += 1;
    if (told.at_once > told.most_at_once)
        told.most_at_once = told.at_once;
    timer_start(&call->timer, told.delay_ms, answer, call);
    if (told.in_call != NULL) {
        void (*fn)(void) = told.in_call;
        told.in_call = NULL;
        fn();
    }
    return call;
}

static struct embed_call *builtin_start(const struct embed_request *request, embed_done_fn done,
                                        void *ctx) {
    return begin(request, done, ctx, BUILTIN_DIMS);
}

static struct embed_call *remote_start(const struct embed_request *request, embed_done_fn done,
                                       void *ctx) {
    return begin(request, done, ctx, told.remote_dims);
}

static void cancel(struct embed_call *call) {
    call->is_cancelled = true;
    timer_start(&call->timer, 0, answer, call);
}

const struct embed_port embed_builtin = {"builtin", builtin_is_available, builtin_start, cancel};
const struct embed_port embed_openai = {"openai", always, remote_start, cancel};
const struct embed_port embed_ollama = {"ollama", always, remote_start, cancel};

/* --- a process: steps, each an action and what must come of it -------------------------------- */

struct step {
    void (*act)(void);
    bool (*is_so)(void);
    const char *what;
};

static struct {
    const struct step *step;
    bool has_acted;
    int waited;
    struct timer timer;
} play_state;

static void look(void *ctx) {
    (void)ctx;
    const struct step *step = play_state.step;
    if (!play_state.has_acted && step->act != NULL)
        step->act();
    play_state.has_acted = true;
    if (step->is_so == NULL || step->is_so()) {
        play_state.step++;
        play_state.has_acted = false;
        play_state.waited = 0;
    } else if (++play_state.waited > 4000) {
        fail_msg("not within 20 s: %s", step->what);
    }
    if (play_state.step->act == NULL && play_state.step->is_so == NULL)
        loop_stop(1000);
    else
        timer_start(&play_state.timer, play_state.has_acted ? 5 : 0, look, NULL);
}

static void on_drain(void *ctx) {
    (void)ctx;
    job_drain();
    index_drain();
}

/* One life of the server. */
static void play(const struct step *steps) {
    static const struct job_kind *const JOBS[] = {index_jobs, NULL};
    loop_init();
    mailbox_init();
    pool_init(2);
    assert_int_equal(store_open(scratch), E_OK);
    assert_int_equal(index_start(KINDS), E_OK);
    job_start(JOBS, 0);
    assert_int_equal(store_open_vectors(), E_OK);
    index_begin(true);
    loop_on_drain(on_drain, NULL);
    play_state.step = steps;
    play_state.has_acted = false;
    play_state.waited = 0;
    timer_start(&play_state.timer, 0, look, NULL);
    loop_run();
    index_stop();
    pool_release();
    store_close();
    mailbox_release();
    loop_release();
}

#define PLAY(...) play((const struct step[]){__VA_ARGS__, {0}})

static int set_up(void **state) {
    (void)state;
    memset(notes, 0, sizeof notes);
    memset(&told, 0, sizeof told);
    told.remote_dims = REMOTE_DIMS;
    words_fail_for_9 = E_OK;
    storage_failures = 0;
    asked_for = 0;
    scratch_make();
    assert_int_equal(keyfile_open(scratch), E_OK);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    scratch_remove();
    return 0;
}

/* --- actions ---------------------------------------------------------------------------------- */

struct touch {
    int64_t from, to; /* items, both touched */
    int64_t space;
    bool is_import;
};

static enum err writer_touch(struct tx *tx, void *ctx) {
    const struct touch *touch = ctx;
    enum err err = E_OK;
    for (int64_t item = touch->from; item <= touch->to && err == E_OK; item++)
        err = (touch->is_import ? index_touch_vectors : index_touch)(tx, &note_kind, item,
                                                                     touch->space, touch->space);
    return err;
}

static void free_touch(enum err err, void *ctx) {
    assert_int_equal(err, E_OK);
    asked_for--;
    free(ctx);
}

static void touch(struct touch what) {
    struct touch *copy = malloc(sizeof *copy);
    *copy = what;
    asked_for++;
    store_write(writer_touch, free_touch, copy);
}

static void write_note(int64_t item, int64_t space, const char *text) {
    int64_t was = notes[item].is_there ? notes[item].space : space;
    pthread_mutex_lock(&lock);
    notes[item].is_there = text != NULL;
    notes[item].space = space;
    notes[item].text = text;
    pthread_mutex_unlock(&lock);
    touch((struct touch){.from = item, .to = item, .space = was});
}

/* --- what must be ----------------------------------------------------------------------------- */

static bool is_idle(void) {
    return asked_for == 0 && index_is_idle();
}

static size_t sentences(const char *text) {
    size_t count = 0;
    for (; *text; text++)
        count += *text == '.';
    return count;
}

/* LMDB holds exactly the truth's vectors under the encoder in use, and nothing else. */
static void assert_whole(void) {
    struct index_encoder encoder = index_encoder();
    size_t parts_wanted = 0;
    assert_true(encoder.id != 0);
    for (int64_t item = 1; item < NOTES; item++) {
        struct note *note = &notes[item];
        struct vector_space space = {note->space ? note->space : 1, encoder.id};
        static float values[64 * WIDE_DIMS], expected[WIDE_DIMS];
        uint16_t parts = 0;
        assert_int_equal(pool_vector_get(space, item, encoder.dims, values, 64, &parts), E_OK);
        if (!note->is_there) {
            assert_int_equal(parts, 0);
            continue;
        }
        assert_int_equal(parts, sentences(note->text));
        parts_wanted += parts;
        struct str rest = str_from(note->text), piece;
        double sum = 0;
        for (uint16_t p = 0; p < parts && str_next(&rest, '.', &piece); p++) {
            vector_of(str_trim(piece), encoder.dims, expected);
            sum += expected[0];
            double cosine = 0;
            for (size_t d = 0; d < encoder.dims; d++)
                cosine += (double)values[p * encoder.dims + d] * expected[d];
            if (cosine < 0.999)
                fail_msg("item %lld, part %u: %f", (long long)item, p, cosine);
        }
        assert_true(fabs(note->digest[encoder.slot] - sum) < 1e-4);
    }
    assert_int_equal(vector_stats().parts, parts_wanted);
}

static bool has_pending(int64_t group, int64_t words, int64_t vectors) {
    struct index_pending pending;
    assert_int_equal(index_pending(store_reader(), group, &pending), E_OK);
    return pending.words == words && pending.vectors == vectors;
}

static void three_notes(void) {
    write_note(1, 70, "The lamp is lit. It rains.");
    write_note(2, 70, "We met in May.");
    write_note(3, 80, "Another talk. Of tea. And ships.");
}

/* --- the tests -------------------------------------------------------------------------------- */

static void check_three(void) {
    assert_whole();
    assert_int_equal(vector_stats().items, 3);
    assert_int_equal(vector_count((struct vector_space){70, index_encoder().id}), 3);
    assert_true(has_pending(70, 0, 0) && has_pending(80, 0, 0));
    for (int item = 1; item <= 3; item++)
        assert_int_equal(notes[item].words, 1);
}

static void what_is_touched_becomes_words_and_vectors(void **state) {
    (void)state;
    PLAY({three_notes, is_idle, "three notes"}, {check_three});
    assert_int_equal(told.urgent, 0);
}

static void change_all(void) {
    write_note(1, 70, "It was dark.");
    write_note(2, 70, NULL);
    write_note(3, 90, "Moved. Elsewhere.");
    write_note(4, 70, "");
}

static void changes_replace_deletions_remove_moves_leave(void **state) {
    (void)state;
    PLAY({three_notes, is_idle, "three notes"}, {change_all, is_idle, "changes"}, {assert_whole});
    assert_int_equal(notes[1].words, 2);
}

/* Twice at once, while the first is under way: the row that is ended is not the newer one. */
static void edit_twice(void) {
    told.in_call = change_all;
    three_notes();
}

static void an_edit_during_a_batch_is_not_lost(void **state) {
    (void)state;
    told.delay_ms = 30;
    PLAY({edit_twice, is_idle, "edits"}, {assert_whole});
}

static void import_many(void) {
    for (int64_t item = 1; item < NOTES; item++)
        notes[item] = (struct note){.is_there = true, .space = 70, .text = "One. Two. Three."};
    touch((struct touch){.from = 1, .to = NOTES - 1, .space = 70, .is_import = true});
}

static bool some_are_pending(void) {
    struct index_pending pending;
    assert_int_equal(index_pending(store_reader(), 70, &pending), E_OK);
    return pending.words == 0 && pending.vectors > 0 && pending.vectors < NOTES - 1;
}

static void say_something(void) {
    write_note(1, 70, "Said now.");
}

/* While the import still has vectors to come. */
static bool one_is_done_before_the_rest(void) {
    struct index_pending pending;
    assert_int_equal(index_pending(store_reader(), 70, &pending), E_OK);
    assert_true(pending.vectors > 0);
    return notes[1].words == 1 &&
           vector_count((struct vector_space){70, index_encoder().id}) % 3 == 1;
}

static void an_import_waits_behind_what_is_said(void **state) {
    (void)state;
    told.delay_ms = 20;
    PLAY({import_many, some_are_pending, "an import under way"},
         {say_something, one_is_done_before_the_rest, "what was said"}, {NULL, is_idle, "the rest"},
         {assert_whole});
    assert_int_equal(notes[2].words, 0); /* the importer writes words itself */
    assert_int_equal(told.most_at_once, 1);
}

static void poison_one(void) {
    told.poison = "rains";
    three_notes();
}

static void check_poisoned(void) {
    assert_true(has_pending(70, 0, 1)); /* stays in the queue */
    assert_int_equal(vector_stats().items, 2);
    assert_int_equal(notes[1].words, 1);
}

static void heal_poison(void) {
    told.poison = NULL;
    write_note(1, 70, "The lamp is lit. It rains.");
}

static void an_item_that_cannot_be_embedded_blocks_nobody(void **state) {
    (void)state;
    PLAY({poison_one, is_idle, "two of three"}, {check_poisoned},
         {heal_poison, is_idle, "the third"}, {assert_whole});
}

static void words_fail(void) {
    words_fail_for_9 = E_INPUT;
    for (int item = 5; item < 15; item++)
        write_note(item, 70, "A note.");
}

static bool all_but_9(void) {
    int done = 0;
    for (int item = 5; item < 15; item++)
        done += notes[item].words > 0; /* a step that failed in the middle was undone */
    return done == 9 && is_idle();
}

static void words_heal(void) {
    assert_true(has_pending(70, 1, 1));
    words_fail_for_9 = E_OK;
    write_note(9, 70, "A note.");
}

static void words_that_fail_block_nobody(void **state) {
    (void)state;
    PLAY({words_fail, all_but_9, "nine of ten"}, {words_heal, is_idle, "the tenth"},
         {assert_whole});
}

static void fail_endpoint(void) {
    told.fails = E_BUSY;
    three_notes();
}

/* Nothing is charged to the items, nothing is lost. */
static bool has_tried(void) {
    return told.calls >= 1 && has_pending(70, 0, 2) && has_pending(80, 0, 1);
}

static void mend_endpoint(void) {
    told.fails = E_OK;
}

static void an_endpoint_that_is_busy_rests_and_charges_nobody(void **state) {
    (void)state;
    told.retry_after_ms = 60000; /* more than a batch waits by itself */
    PLAY({fail_endpoint, has_tried, "a try"}, {mend_endpoint});
    told.retry_after_ms = 0;
    PLAY({NULL, is_idle, "the next life"}, {assert_whole});
}

static void without_an_embedder_there_are_words(void **state) {
    (void)state;
    told.is_absent = true;
    PLAY({three_notes, is_idle, "words"});
    assert_int_equal(notes[3].words, 1);
    assert_int_equal(told.calls, 0);
    told.is_absent = false; /* the next version has one inside: everything is embedded */
    PLAY({NULL, is_idle, "vectors"}, {assert_whole});
}

/* --- deaths ----------------------------------------------------------------------------------- */

static bool storage_has_failed(void) {
    return storage_failures == 0;
}

static void fail_storage(void) {
    storage_failures = 1;
    three_notes();
}

/* LMDB has the batch, SQLite does not know it: the next life does it once more. The first listing of
 * a new house is over by then: a listing that is cut off goes on, and touches what it finds. */
static void a_batch_that_lmdb_has_and_sqlite_does_not_is_done_again(void **state) {
    (void)state;
    PLAY({NULL, is_idle, "a new house"}, {fail_storage, storage_has_failed, "a batch cut off"});
    size_t before = told.texts;
    PLAY({NULL, is_idle, "the next life"}, {assert_whole});
    assert_int_equal(told.texts - before, 6);
}

static void wreck_lmdb(void) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", scratch_path("vectors"));
    assert_int_equal(nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void lost_vectors_are_made_again(void **state) {
    (void)state;
    PLAY({import_many, is_idle, "an import"}, {say_something, is_idle, "something said"});
    wreck_lmdb();
    int words_before = notes[1].words;
    PLAY({NULL, is_idle, "healing"}, {assert_whole});
    assert_int_equal(notes[1].words, words_before); /* words are in SQLite, and were not lost */
}

static void say_more(void) {
    for (int item = 1; item < 6; item++)
        write_note(item, 70, "Something else. Altogether.");
}

static char copy_of_sqlite[PATH_MAX];

static void run_shell(const char *format, const char *a, const char *b) {
    char command[3 * PATH_MAX];
    snprintf(command, sizeof command, format, a, b);
    assert_int_equal(system(command), 0); /* NOLINT: paths are ours */
}

/* SQLite is older than LMDB: a backup was restored. What LMDB knows beyond it goes. */
static void vectors_of_another_time_go(void **state) {
    (void)state;
    PLAY({three_notes, is_idle, "three notes"});
    snprintf(copy_of_sqlite, sizeof copy_of_sqlite, "%s", scratch_path("kept.db"));
    run_shell("cp '%s' '%s'", scratch_path("troupe.db"), copy_of_sqlite);
    struct note kept[NOTES];
    memcpy(kept, notes, sizeof kept);
    PLAY({say_more, is_idle, "more"}, {three_notes, is_idle, "again"},
         {say_more, is_idle, "and again"});
    run_shell("cp '%s' '%s'", copy_of_sqlite, scratch_path("troupe.db"));
    memcpy(notes, kept, sizeof notes);
    PLAY({NULL, is_idle, "healing"}, {assert_whole});
}

/* --- another encoder -------------------------------------------------------------------------- */

static struct encoder_row chosen;
static enum err change_err;

static void on_change(enum err err, void *ctx) {
    (void)ctx;
    change_err = err;
    asked_for--;
}

static void choose_remote(void) {
    chosen = (struct encoder_row){
        .provider = STR("openai"), .base_url = STR("http://127.0.0.1:1"), .model = STR("tiny")};
    asked_for++;
    assert_int_equal(index_change(&chosen, false, on_change, NULL), E_OK);
}

static void choose_builtin(void) {
    chosen = (struct encoder_row){.provider = STR("builtin")};
    asked_for++;
    assert_int_equal(index_change(&chosen, false, on_change, NULL), E_OK);
}

static void choose_none(void) {
    chosen = (struct encoder_row){.provider = STR("none")};
    asked_for++;
    assert_int_equal(index_change(&chosen, false, on_change, NULL), E_OK);
}

static uint32_t first_encoder;
static int first_slot;

static void note_encoder(void) {
    first_encoder = index_encoder().id;
    first_slot = index_encoder().slot;
}

static bool new_is_half_built(void) {
    assert_int_equal(index_encoder().id, first_encoder); /* searches use the old one */
    int64_t old_parts = vector_count((struct vector_space){70, first_encoder});
    int64_t all = vector_stats().parts;
    return all > old_parts + 300 && all < 2 * old_parts; /* more than one batch */
}

static bool new_is_in_use_and_old_is_gone(void) {
    return index_encoder().id != first_encoder && index_encoder().id != 0 &&
           vector_count((struct vector_space){70, first_encoder}) == 0 && is_idle();
}

static void another_encoder_is_built_while_the_old_one_serves(void **state) {
    (void)state;
    told.delay_ms = 5;
    PLAY({import_many, is_idle, "an import"}, {note_encoder},
         {choose_remote, new_is_half_built, "half of it"}, {say_more, NULL, NULL},
         {NULL, new_is_in_use_and_old_is_gone, "the change"}, {assert_whole});
    assert_int_equal(index_encoder().dims, REMOTE_DIMS);
    assert_int_equal(index_encoder().slot, 1 - first_slot);
    assert_int_equal(change_err, E_OK);
}

static void building_goes_on_in_the_next_life(void **state) {
    (void)state;
    told.delay_ms = 5;
    PLAY({import_many, is_idle, "an import"}, {note_encoder},
         {choose_remote, new_is_half_built, "half of it"});
    size_t before = told.texts;
    PLAY({NULL, new_is_in_use_and_old_is_gone, "the change"}, {assert_whole});
    assert_true(told.texts - before < 3 * (NOTES - 1)); /* not from the beginning */
}

static void call_off(void) {
    asked_for++;
    assert_int_equal(index_cancel_change(on_change, NULL), E_OK);
}

static bool only_the_old_is_left(void) {
    return vector_stats().parts == vector_count((struct vector_space){70, first_encoder}) &&
           is_idle();
}

static void a_change_that_is_called_off_leaves_the_old_one(void **state) {
    (void)state;
    told.delay_ms = 5;
    PLAY({import_many, is_idle, "an import"}, {note_encoder},
         {choose_remote, new_is_half_built, "half of it"},
         {call_off, only_the_old_is_left, "the old one"}, {assert_whole});
    assert_int_equal(index_encoder().id, first_encoder);
    PLAY({say_more, is_idle, "life goes on"}, {assert_whole});
}

static void fail_remote(void) {
    told.fails = E_UPSTREAM;
    choose_remote();
}

static bool has_failed_often(void) {
    return told.calls >= 4 && told.at_once == 0 && play_state.waited > 400; /* and a while longer */
}

static void old_one_is_kept(void) {
    assert_int_equal(index_encoder().id, first_encoder);
    told.fails = E_OK;
}

/* All rows of the new one are put off in the end; that must not pass for complete. */
static void an_encoder_that_only_fails_never_takes_over(void **state) {
    (void)state;
    PLAY({say_something, is_idle, "one note"}, {note_encoder},
         {fail_remote, has_failed_often, "tries"}, {old_one_is_kept});
}

static bool no_vectors_are_left(void) {
    return vector_stats().parts == 0;
}

static void no_encoder_is_a_choice(void **state) {
    (void)state;
    PLAY({three_notes, is_idle, "three notes"}, {choose_none});
    PLAY({NULL, no_vectors_are_left, "the next life"});
    assert_int_equal(index_encoder().id, 0);
    PLAY({choose_builtin, is_idle, "a new choice"}, {assert_whole});
    assert_true(index_encoder().id != 0);
}

static void widen(void) {
    told.remote_dims = WIDE_DIMS;
    say_more();
}

static size_t calls_then;

static bool is_refused(void) {
    return told.calls > calls_then && has_pending(70, 0, 4) && has_pending(80, 0, 1);
}

static void check_width(void) {
    assert_int_equal(index_encoder().dims, REMOTE_DIMS);
    told.remote_dims = WIDE_DIMS;
    chosen = (struct encoder_row){.provider = STR("openai"),
                                  .base_url = STR("http://127.0.0.1:1"),
                                  .model = STR("tiny"),
                                  .dims = WIDE_DIMS};
    asked_for++;
    assert_int_equal(index_change(&chosen, false, on_change, NULL), E_OK);
}

static bool is_wide(void) {
    return index_encoder().dims == WIDE_DIMS && is_idle();
}

static bool is_remote(void) {
    calls_then = told.calls;
    return index_encoder().dims == REMOTE_DIMS && is_idle();
}

static void a_model_that_changed_its_width_is_noticed(void **state) {
    (void)state;
    PLAY({three_notes, is_idle, "three notes"}, {choose_remote, is_remote, "the change"},
         {widen, is_refused, "a try"}, {check_width, is_wide, "chosen again"});
}

/* --- reindex, forget, drop -------------------------------------------------------------------- */

static void plant_orphan(void) {
    float values[BUILTIN_DIMS] = {1};
    struct vector_item orphan = {.space = {70, index_encoder().id},
                                 .id = 399,
                                 .values = values,
                                 .parts = 1,
                                 .dims = BUILTIN_DIMS};
    assert_int_equal(pool_vector_write(&orphan, 1, 0), E_OK);
    asked_for++;
    assert_int_equal(index_reindex(on_change, NULL), E_OK);
}

static bool is_again(void) {
    return notes[1].words == 2 && notes[3].words == 2 && is_idle();
}

static void reindex_makes_everything_again(void **state) {
    (void)state;
    PLAY({three_notes, is_idle, "three notes"}, {plant_orphan, is_again, "all again"},
         {assert_whole});
}

static bool is_forgotten;

static void on_forgotten(enum err err, void *ctx) {
    (void)ctx;
    assert_int_equal(err, E_OK);
    struct vector_space space = {70, index_encoder().id};
    float values[8 * BUILTIN_DIMS];
    uint16_t parts = 1;
    assert_int_equal(pool_vector_get(space, 1, BUILTIN_DIMS, values, 8, &parts), E_OK);
    assert_int_equal(parts, 0);
    is_forgotten = true;
}

static void forget_first(void) {
    const int64_t items[] = {1};
    notes[1].is_there = false;
    touch((struct touch){.from = 1, .to = 1, .space = 70});
    index_forget(70, items, 1, on_forgotten, NULL);
}

static bool has_forgotten(void) {
    return is_forgotten;
}

static void change_and_forget(void) {
    is_forgotten = false;
    told.delay_ms = 300; /* the batch that would bring it back is under way meanwhile */
    told.in_call = forget_first;
    write_note(1, 70, "A secret. That goes.");
}

static void what_is_forgotten_goes_at_once_and_does_not_come_back(void **state) {
    (void)state;
    PLAY({three_notes, is_idle, "three notes"}, {change_and_forget, has_forgotten, "forgotten"},
         {NULL, is_idle, "the rest"}, {assert_whole});
    assert_int_equal(told.at_once, 0);
}

static enum err writer_drop(struct tx *tx, void *ctx) {
    (void)ctx;
    return index_drop(tx, 70, 70);
}

static void drop_space(void) {
    notes[1].is_there = notes[2].is_there = false;
    asked_for++;
    store_write(writer_drop, on_change, NULL);
}

static void a_space_that_went_is_empty(void **state) {
    (void)state;
    PLAY({three_notes, is_idle, "three notes"}, {drop_space, is_idle, "the drop"}, {assert_whole});
    assert_int_equal(told.at_once, 0);
}

/* --- questions -------------------------------------------------------------------------------- */

static struct {
    int count;
    enum err err;
    size_t dims;
} asked;

static void on_asked(const struct embed_answer *said, void *ctx) {
    (void)ctx;
    asked.count++;
    asked.err = said->err;
    asked.dims = said->dims;
}

static void ask(void) {
    char text[] = "Is the lamp lit?";
    memset(&asked, 0, sizeof asked);
    index_ask(str_from(text), on_asked, NULL);
    memset(text, 'x', sizeof text - 1); /* it was copied */
    assert_int_equal(asked.count, 0);
}

static void ask_and_cancel(void) {
    memset(&asked, 0, sizeof asked);
    index_ask_cancel(index_ask(STR("Never mind."), on_asked, NULL));
}

static bool was_answered(void) {
    return asked.count == 1 && asked.err == E_OK && asked.dims == BUILTIN_DIMS;
}

static bool was_cancelled(void) {
    return asked.count == 1 && asked.err == E_CANCELLED;
}

static bool was_absent(void) {
    return asked.count == 1 && asked.err == E_ABSENT;
}

static void questions_are_embedded(void **state) {
    (void)state;
    PLAY({three_notes, is_idle, "three notes"}, {ask, was_answered, "an answer"},
         {ask_and_cancel, was_cancelled, "a cancel"}, {choose_none, is_idle, "no encoder"},
         {ask, was_absent, "none to ask"}, {ask_and_cancel, was_cancelled, "a cancel"});
    assert_int_equal(told.urgent, 2);
}

/* A stop in the middle of everything; the next life finishes. */
static bool is_embedding(void) {
    return told.at_once == 1;
}

static void a_stop_while_embedding_loses_nothing(void **state) {
    (void)state;
    told.delay_ms = 3000;
    PLAY({three_notes, is_embedding, "a call"});
    told.delay_ms = 0;
    PLAY({NULL, is_idle, "the next life"}, {assert_whole});
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_touched_becomes_words_and_vectors),
        TEST(changes_replace_deletions_remove_moves_leave),
        TEST(an_edit_during_a_batch_is_not_lost),
        TEST(an_import_waits_behind_what_is_said),
        TEST(an_item_that_cannot_be_embedded_blocks_nobody),
        TEST(words_that_fail_block_nobody),
        TEST(an_endpoint_that_is_busy_rests_and_charges_nobody),
        TEST(without_an_embedder_there_are_words),
        TEST(a_batch_that_lmdb_has_and_sqlite_does_not_is_done_again),
        TEST(lost_vectors_are_made_again),
        TEST(vectors_of_another_time_go),
        TEST(another_encoder_is_built_while_the_old_one_serves),
        TEST(building_goes_on_in_the_next_life),
        TEST(a_change_that_is_called_off_leaves_the_old_one),
        TEST(an_encoder_that_only_fails_never_takes_over),
        TEST(no_encoder_is_a_choice),
        TEST(a_model_that_changed_its_width_is_noticed),
        TEST(reindex_makes_everything_again),
        TEST(what_is_forgotten_goes_at_once_and_does_not_come_back),
        TEST(a_space_that_went_is_empty),
        TEST(questions_are_embedded),
        TEST(a_stop_while_embedding_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
