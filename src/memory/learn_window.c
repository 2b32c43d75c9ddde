/*
 * What a job of learning does next (learn_inside.h): it looks at the conversation as it is now, and
 * finds messages that changed after they were learnt from, else new ones, else a stale summary, else
 * a stretch of talk that is long enough to be summed up.
 *
 * Looking reads a few hundred rows and, for the counts of a summary, all messages of the talk once;
 * so it runs in the pool, and nobody who talks meanwhile waits for it.
 */
#include "memory/learn_inside.h"

#include "base/buf.h"
#include "base/clock.h"
#include "memory/learn.h"
#include "memory/memory_index.h"
#include "model/index.h"

#include "base/banned.h"

#define CONTEXT_LINES 4  /* before the new ones, to understand "it" and "there" */
#define KNOWN_SHOWN   40 /* facts that a model is told */
#define BEGIN_LINES   48 /* of a talk that is longer than this only the end is learnt from */
#define SAID_LIMIT    2000
#define STRETCH_LINES 64 /* the most of one episode */
#define STRETCH_LEAST 4
#define PAUSE_MS      ((int64_t)6 * 3600 * 1000) /* after it a new episode begins */
#define UNSUPPORTED   64                         /* facts that are dropped in one write */
#define LATEST_MS     20000                      /* a job waits for quiet no longer than this */

/* --- messages ----------------------------------------------------------------------------------- */

static enum err take_context(struct db *db, struct learn *learn) {
    struct memory_line *before;
    size_t count;
    if (learn->count == 0)
        return E_OK;
    learn->fresh = learn->count;
    enum err err =
        memory_store_lines_before(db, &learn->arena, learn->conversation_id,
                                  learn->lines[0].message_id, CONTEXT_LINES, &before, &count);
    if (err != E_OK || count == 0)
        return err;
    struct memory_line *all = ARENA_ARRAY(&learn->arena, struct memory_line, count + learn->count);
    for (size_t i = 0; i < count; i++)
        all[i] = before[i];
    for (size_t i = 0; i < learn->count; i++)
        all[count + i] = learn->lines[i];
    learn->lines = all;
    learn->count += count;
    return E_OK;
}

/* Of a long talk that was brought in the end is enough, unless all was asked for; what was said here
 * is never left out, however late the first look comes. */
static enum err begin_late(struct db *db, struct learn *learn, int64_t *after) {
    struct memory_line *newest;
    size_t count, said = (size_t)learn->progress.waiting;
    if (*after != 0 || learn->is_all)
        return E_OK;
    said = said < SAID_LIMIT ? said : SAID_LIMIT;
    size_t limit = said > BEGIN_LINES ? said : BEGIN_LINES;
    size_t wanted = said > LEARN_WINDOW_LINES ? said : LEARN_WINDOW_LINES;
    enum err err = memory_store_lines_before(db, &learn->arena, learn->conversation_id, 0,
                                             limit + 1, &newest, &count);
    if (err == E_OK && count > limit)
        *after = newest[count - wanted - 1].message_id;
    return err;
}

/* True when there are messages to be looked at again. */
static bool take_changed(struct db *db, struct learn *learn, enum err *err) {
    const struct memory_progress *progress = &learn->progress;
    if (progress->again_from == 0)
        return false;
    *err = memory_store_lines(db, &learn->arena, learn->conversation_id, progress->again_from - 1,
                              progress->again_to, LEARN_WINDOW_LINES, &learn->lines, &learn->count);
    learn->is_again = true;
    learn->work = LEARN_EXTRACT;
    if (*err == E_OK)
        *err = take_context(db, learn);
    return true;
}

static bool take_new(struct db *db, struct learn *learn, enum err *err) {
    int64_t after = learn->progress.learnt_to;
    *err = begin_late(db, learn, &after);
    if (*err == E_OK)
        *err = memory_store_lines(db, &learn->arena, learn->conversation_id, after, 0,
                                  LEARN_WINDOW_LINES, &learn->lines, &learn->count);
    learn->is_again = false;
    learn->work = LEARN_EXTRACT;
    if (*err != E_OK || learn->count == 0)
        return false;
    *err = take_context(db, learn);
    return true;
}

/* --- stretches ---------------------------------------------------------------------------------- */

/* A stretch ends at a pause, or when enough was said. */
static size_t stretch_of(const struct learn *learn) {
    const struct memory_line *lines = learn->lines;
    size_t count = learn->count;
    for (size_t i = STRETCH_LEAST; i < count; i++)
        if (lines[i].at - lines[i - 1].at >= PAUSE_MS)
            return i;
    size_t enough = learn->is_rewound ? STRETCH_LEAST : (size_t)memory_settings.sum_every;
    return count >= enough ? count : 0;
}

static enum err load_summaries(struct db *db, struct learn *learn) {
    struct summary_work *work = &learn->summary;
    struct memory_fact *facts;
    size_t count;
    *work = (struct summary_work){.cast = &learn->cast,
                                  .scope = learn->scope,
                                  .lines = learn->lines,
                                  .count = learn->count,
                                  .progress = learn->progress};
    enum err err =
        memory_store_summary(db, &learn->arena, learn->conversation_id, STR("full"), &work->full);
    if (err == E_OK || err == E_ABSENT)
        err = memory_store_summary(db, &learn->arena, learn->conversation_id, STR("recent"),
                                   &work->recent);
    if (err == E_OK || err == E_ABSENT)
        err = memory_store_summary(db, &learn->arena, learn->conversation_id, STR("relationship"),
                                   &work->relationship);
    if (err == E_OK || err == E_ABSENT)
        err = memory_store_counts(db, learn->conversation_id, &work->counts);
    if (err == E_OK)
        err = memory_store_facts(db, &learn->arena, &learn->scope, false, 400, &facts, &count);
    if (err != E_OK)
        return err;
    struct memory_fact *bonds = ARENA_ARRAY(&learn->arena, struct memory_fact, count + 1);
    for (size_t i = 0; i < count; i++)
        if (str_eq(facts[i].kind, STR("relationship")))
            bonds[work->bond_count++] = facts[i];
    work->bonds = bonds;
    if (work->full.text.at == NULL)
        work->full.text = STR("");
    if (work->relationship.text.at == NULL)
        work->relationship.text = STR("");
    return E_OK;
}

static bool take_stretch(struct db *db, struct learn *learn, enum err *err) {
    int64_t after = learn->progress.summed_to;
    *err = begin_late(db, learn, &after);
    if (*err == E_OK)
        *err = memory_store_lines(db, &learn->arena, learn->conversation_id, after, 0,
                                  STRETCH_LINES, &learn->lines, &learn->count);
    if (*err != E_OK)
        return false;
    learn->count = stretch_of(learn);
    learn->fresh = learn->count;
    learn->work = LEARN_SUM;
    learn->is_again = false;
    if (learn->count == 0)
        return false;
    *err = load_summaries(db, learn);
    return true;
}

/* --- the look ----------------------------------------------------------------------------------- */

static enum err load(struct db *db, struct learn *learn) {
    arena_release(&learn->arena);
    arena_init(&learn->arena);
    enum err err = memory_store_scope(db, learn->conversation_id, &learn->scope);
    if (err == E_OK)
        err = learn_hooks->cast(db, &learn->arena, learn->conversation_id, &learn->cast);
    if (err == E_OK)
        err = memory_store_progress(db, &learn->arena, learn->conversation_id, &learn->progress);
    if (err == E_OK)
        err = memory_store_facts(db, &learn->arena, &learn->scope, false, KNOWN_SHOWN,
                                 &learn->known, &learn->known_count);
    return err;
}

static bool is_early(struct db *db, struct learn *learn) {
    struct memory_line *newest;
    size_t count;
    int64_t now = clock_now_ms();
    if (learn->since_ms == 0 || learn->since_ms <= now - LATEST_MS)
        return false;
    return memory_store_lines_before(db, &learn->arena, learn->conversation_id, 0, 1, &newest,
                                     &count) == E_OK &&
           count > 0 && newest->at <= now && newest->at > now - LEARN_QUIET_MS;
}

/* True when the job does not go on at once. */
static bool begin(struct db *db, struct learn *learn) {
    learn->has_begun = true;
    learn->said_seen = learn->progress.queued;
    if (!learn->is_all)
        return false;
    learn->total = memory_store_line_count(db, learn->conversation_id, 0);
    learn->step = LEARN_FROM_START;
    return learn->job->attempt == 1; /* one that was cut off goes on where it was */
}

enum err pool_look(struct learn *learn, struct db *db) {
    learn->step = LEARN_EARLY;
    if (!learn->has_begun && is_early(db, learn))
        return E_OK;
    enum err err = load(db, learn);
    learn->step = LEARN_GONE;
    if (err != E_OK)
        return err == E_ABSENT ? E_OK : err;
    if (!learn->has_begun && begin(db, learn))
        return E_OK;
    learn->step = LEARN_END;
    if (!learn->scope.learns)
        return E_OK;
    if (take_changed(db, learn, &err))
        learn->step = LEARN_AGAIN;
    else if (err == E_OK && take_new(db, learn, &err))
        learn->step = LEARN_READ;
    else if (err == E_OK && memory_store_has_stale(db, learn->conversation_id))
        learn->step = LEARN_REWIND;
    else if (err == E_OK && take_stretch(db, learn, &err))
        learn->step = LEARN_READ;
    return err;
}

/* --- whether it is still so -------------------------------------------------------------------- */

static bool is_summary_as_read(struct tx *tx, struct learn *learn, struct str kind,
                               const struct memory_summary *read) {
    struct memory_summary now = {0};
    enum err err =
        memory_store_summary(tx_db(tx), &learn->arena, learn->conversation_id, kind, &now);
    return (err == E_OK || err == E_ABSENT) && now.id == read->id && now.revision == read->revision;
}

static bool are_lines_as_read(struct tx *tx, struct learn *learn) {
    const struct memory_line *read = learn->lines;
    struct memory_line *now;
    size_t count;
    if (memory_store_lines(tx_db(tx), &learn->arena, learn->conversation_id, read[0].message_id - 1,
                           read[learn->count - 1].message_id, learn->count + 1, &now,
                           &count) != E_OK ||
        count != learn->count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (now[i].message_id != read[i].message_id || !str_eq(now[i].text, read[i].text))
            return false;
    return true;
}

bool writer_is_as_read(struct tx *tx, struct learn *learn) {
    const struct summary_work *work = &learn->summary;
    struct memory_progress now;
    if (memory_store_progress(tx_db(tx), &learn->arena, learn->conversation_id, &now) != E_OK ||
        !are_lines_as_read(tx, learn))
        return false;
    if (learn->work == LEARN_EXTRACT)
        return learn->is_again || now.learnt_to == learn->progress.learnt_to;
    return now.summed_to == learn->progress.summed_to &&
           is_summary_as_read(tx, learn, STR("recent"), &work->recent) &&
           is_summary_as_read(tx, learn, STR("full"), &work->full) &&
           is_summary_as_read(tx, learn, STR("relationship"), &work->relationship);
}

/* --- writes that come first ---------------------------------------------------------------------- */

/* All that was ever said is read from the beginning; the marks stay where they are when nothing is
 * before them. */
enum err writer_from_start(struct tx *tx, void *ctx) {
    struct learn *learn = ctx;
    struct memory_progress now;
    enum err err = memory_store_progress(tx_db(tx), &learn->arena, learn->conversation_id, &now);
    now.learnt_to = 0;
    return err == E_OK ? memory_store_save_progress(tx, &now) : err;
}

/* Facts that only changed messages speak for go before those are read again. */
enum err writer_drop(struct tx *tx, void *ctx) {
    struct learn *learn = ctx;
    int64_t ids[UNSUPPORTED];
    size_t count;
    tx_overwrite_freed(tx, false);
    enum err err =
        memory_store_unsupported(tx_db(tx), learn->conversation_id, learn->progress.again_from,
                                 learn->progress.again_to, ids, UNSUPPORTED, &count);
    for (size_t i = 0; i < count && err == E_OK; i++) {
        err = memory_store_remove(tx, ids[i]);
        if (err == E_OK)
            err = index_touch(tx, &memory_kind_fact, ids[i], learn->conversation_id,
                              learn->conversation_id);
    }
    if (err != E_OK || learn->count > 0)
        return err;
    struct memory_progress now; /* nothing is left there: the range is done */
    err = memory_store_progress(tx_db(tx), &learn->arena, learn->conversation_id, &now);
    now.again_from = now.again_to = 0;
    return err == E_OK ? memory_store_save_progress(tx, &now) : err;
}

/* Episodes from the first stale one on go, and are made again; the full summary is made of the
 * episodes before them. What a person wrote stays. */
enum err writer_rewind(struct tx *tx, void *ctx) {
    struct learn *learn = ctx;
    struct memory_episode *episodes;
    struct memory_summary full;
    struct memory_progress now;
    size_t count, first = 0;
    struct arena *arena = &learn->arena;
    struct buf base;
    tx_overwrite_freed(tx, false);
    enum err err =
        memory_episodes(tx_db(tx), arena, learn->conversation_id, 0, 2000, &episodes, &count);
    if (err == E_OK)
        err = memory_store_progress(tx_db(tx), arena, learn->conversation_id, &now);
    if (err != E_OK)
        return err;
    buf_init(&base, 1 << 20);
    while (first < count && !episodes[first].is_stale) {
        buf_add_str(&base, first > 0 ? STR("\n") : STR(""));
        buf_add_str(&base, episodes[first++].text);
    }
    now.summed_to = first > 0 ? episodes[first - 1].covers_to : 0;
    for (size_t i = first; i < count && err == E_OK; i++) {
        err = memory_store_remove_episode(tx, episodes[i].id);
        if (err == E_OK)
            err = index_touch(tx, &memory_kind_episode, episodes[i].id, learn->conversation_id,
                              learn->conversation_id);
    }
    if (err == E_OK)
        err = memory_store_summary(tx_db(tx), arena, learn->conversation_id, STR("full"), &full);
    if (err == E_OK && !full.is_edited) {
        full.text = str_dup(arena, buf_str(&base));
        full.is_stale = false;
        full.covers_to = now.summed_to > 0 ? now.summed_to : full.covers_from;
        full.updated_at = clock_now_ms();
        err = full.text.len > 0 ? memory_store_save_summary(tx, &full)
                                : memory_store_remove_summary(tx, full.id);
    } else if (err == E_OK) {
        full.is_stale = false;
        full.updated_at = clock_now_ms();
        err = memory_store_save_summary(tx, &full);
    }
    buf_release(&base);
    return err == E_OK || err == E_ABSENT ? memory_store_save_progress(tx, &now) : err;
}
