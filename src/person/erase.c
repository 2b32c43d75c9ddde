/*
 * Erasing a person: a list of portions, run on the writer one after another, each a transaction of
 * some milliseconds, so that the others of the house talk on.
 *
 *     conversations   messages with all their texts, what was learnt from them, their vectors
 *     characters      with versions, lore and documents; others keep what they talked about with them
 *     traces          answers kept for repeats, usage, jobs
 *     words           the indexes of search words are merged: deleting only marks there
 *     zeros, undo     pages that were freed before are overwritten
 *     account         the row, with all that hangs on it
 *
 * The account goes last: as long as it is there somebody is to be erased, and a process that dies
 * begins the list again, where everything that has been done is nothing to do. Then pictures that
 * nobody refers to any more and the archive's file go from the disk; a death just before that leaves
 * them to the sweeps (store/sweep.c, export.c), within a day.
 *
 * Vectors are taken out by the index after the commit, and their files rewritten (index_drop).
 * What stays: lines of the audit log, which have an id and no name; and what others said and own.
 *
 * A picture that was put in the last minutes may belong to a write that is still under way, for equal
 * bytes are one blob: it is left to the sweep.
 */
#include "person/erase.h"

#include "account/account.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "character/character.h"
#include "conversation/conversation.h"
#include "conversation/turn.h"
#include "loop/pool.h"
#include "person/erase_store.h"
#include "person/export.h"
#include "person/export_store.h"
#include "store/blob.h"
#include "store/sweep.h"

#include <stdlib.h>

#include "base/banned.h"

#define PICTURES_LIMIT   60000
#define PICTURE_FRESH_MS ((int64_t)5 * 60 * 1000)
#define PAUSE_SHARE      3 /* for three parts of four the writer is for those who talk */

/* One person under way. */
struct erase {
    struct job *job;
    struct arena arena;
    int64_t user_id;
    size_t stage;
    int table;     /* of search words */
    bool is_begun; /* the table's merge */
    bool more;
    int64_t portions;
    int64_t asked_us; /* when the portion was asked for */
    struct timer pause;
    enum err err;
    struct str *pictures;
    size_t picture_count;
};

static struct pool_kind look_kind = {
    .name = "person.erase", .running_limit = 1, .queue_limit = 8, .is_background = true};

enum err erase_order(struct tx *tx) {
    return job_add(tx, "person.erase", 0, STR_NONE, 0, NULL);
}

/* --- the list --------------------------------------------------------------------------------- */

static enum err conversations(struct tx *tx, struct erase *erase) {
    return conversation_erase(tx, erase->user_id, &erase->more);
}

static enum err characters(struct tx *tx, struct erase *erase) {
    return character_erase(tx, erase->user_id, &erase->more);
}

static enum err traces(struct tx *tx, struct erase *erase) {
    return account_erase_traces(tx, erase->user_id, &erase->more);
}

static enum err words(struct tx *tx, struct erase *erase) {
    bool more;
    enum err err = erase_merge_words(tx, erase->table, !erase->is_begun, &more);
    erase->is_begun = more;
    erase->table += !more;
    erase->more = erase->table < ERASE_WORD_TABLES;
    return err;
}

static enum err zeros(struct tx *tx, struct erase *erase) {
    return erase_fill_zeros(tx, &erase->more);
}

static enum err undo(struct tx *tx, struct erase *erase) {
    return erase_drop_zeros(tx, &erase->more);
}

static enum err account(struct tx *tx, struct erase *erase) {
    return account_erase(tx, erase->user_id);
}

typedef enum err (*portion_fn)(struct tx *tx, struct erase *erase);
static const portion_fn portions[] = {conversations, characters, traces, words,
                                      zeros,         undo,       account};

static enum err writer_portion(struct tx *tx, void *ctx) {
    struct erase *erase = ctx;
    tx_overwrite_freed(tx, true);
    erase->more = false;
    return portions[erase->stage](tx, erase);
}

/* --- what lies on the disk ---------------------------------------------------------------------- */

static void note_picture(void *ctx, struct str key) {
    struct erase *erase = ctx;
    if (erase->picture_count < PICTURES_LIMIT)
        erase->pictures[erase->picture_count++] = str_dup(&erase->arena, key);
}

/* Before the rows go that name them. */
static void pool_look(void *ctx) {
    struct erase *erase = ctx;
    struct db *db = pool_reader_open();
    erase->err = db == NULL ? E_STORAGE : person_pictures(db, erase->user_id, note_picture, erase);
    pool_reader_close(db);
}

static void pool_remove_pictures(void *ctx) {
    const struct erase *erase = ctx;
    for (size_t i = 0; i < erase->picture_count; i++)
        (void)blob_port()->pool_remove(erase->pictures[i], clock_now_ms() - PICTURE_FRESH_MS);
}

/* --- one after another -------------------------------------------------------------------------- */

static void next_person(struct job *job);

static struct job *drop(struct erase *erase) {
    struct job *job = erase->job;
    arena_release(&erase->arena);
    free(erase);
    return job;
}

static void give_up(struct erase *erase, enum err err, const char *reason) {
    job_finish(drop(erase), err, reason);
}

static void on_files_gone(enum err err, void *ctx) {
    struct erase *erase = ctx;
    (void)err; /* the sweeps see to what is left */
    log_info("person", "somebody was erased", LF_ID("user", erase->user_id),
             LF_INT("portions", erase->portions));
    next_person(drop(erase));
}

static void on_pictures_gone(enum err err, void *ctx) {
    (void)err;
    export_sweep(on_files_gone, ctx);
}

static void rows_are_gone(struct erase *erase) {
    size_t unused = 0;
    account_changed(erase->user_id);
    for (size_t i = 0; i < erase->picture_count; i++)
        if (!blob_is_used(erase->pictures[i]))
            erase->pictures[unused++] = erase->pictures[i];
    erase->picture_count = unused;
    if (pool_run(&look_kind, pool_remove_pictures, on_pictures_gone, erase, NULL) != E_OK)
        on_pictures_gone(E_BUSY, erase);
}

static void on_portion(enum err err, void *ctx);

static void next_portion(void *ctx) {
    struct erase *erase = ctx;
    erase->asked_us = clock_mono_us();
    store_write(writer_portion, on_portion, erase);
}

static void on_portion(enum err err, void *ctx) {
    struct erase *erase = ctx;
    if (err == E_OK && erase->job->is_cancelled)
        err = E_CANCELLED;
    if (err != E_OK)
        return give_up(erase, err, "somebody who left could not be erased");
    job_progress(erase->job, ++erase->portions, 0);
    erase->stage += !erase->more;
    if (erase->stage == COUNT_OF(portions))
        return rows_are_gone(erase);
    int64_t took_ms = (clock_mono_us() - erase->asked_us) / 1000;
    timer_start(&erase->pause, took_ms * PAUSE_SHARE, next_portion, erase);
}

static void on_looked(enum err err, void *ctx) {
    struct erase *erase = ctx;
    if (err == E_OK)
        err = erase->err;
    if (err != E_OK)
        return give_up(erase, err, "what somebody who left has could not be read");
    next_portion(erase);
}

static void on_swept(enum err err, void *ctx) {
    job_finish(ctx, err, "archives that are over could not be removed");
}

static void next_person(struct job *job) {
    int64_t user_id = account_to_erase(store_reader(), clock_now_ms());
    if (user_id == 0 || job->is_cancelled)
        return export_sweep(on_swept, job);
    if (turn_stop_person(user_id) > 0) /* what is being said is kept first; soon, again */
        return job_finish(job, E_BUSY, "a reply is still being kept");
    struct erase *erase = calloc(1, sizeof *erase);
    BUG_IF(erase == NULL);
    *erase = (struct erase){.job = job, .user_id = user_id};
    arena_init(&erase->arena);
    erase->pictures = ARENA_ARRAY(&erase->arena, struct str, PICTURES_LIMIT);
    if (pool_run(&look_kind, pool_look, on_looked, erase, NULL) != E_OK)
        give_up(erase, E_BUSY, NULL);
}

void erase_run(struct job *job) {
    next_person(job);
}
