/*
 * The job `memory.learn`: what was said in a conversation since the last time becomes facts,
 * summaries and episodes. It runs after the turn, in the background, one window of the talk after
 * another:
 *
 *     window     what is next: messages that changed after they were learnt from, else new ones
 *     ask        a model, through background.c, which lets people's turns go first; with the
 *                Understudy nobody is asked
 *     read       in the pool: the model's answer, or the rules; what comes from the card is refused
 *     merge      one write: facts, and how far learning has come
 *
 * until nothing is left, then the same for summaries. Every write carries its watermark, so a job
 * that dies in the middle goes on where it was, and running twice changes nothing.
 *
 * The model is the first of the route `memory`, if the house has one, else of the conversation's. A
 * model that fails or does not answer in JSON is asked again with the job's next attempt; then the
 * rules do the work, so that learning never stands still.
 *
 * Nobody learns while people talk: a job that came from a message waits until the conversation has
 * been quiet for a moment, and then reads in one go what came meanwhile ("remember ..." and a talk
 * that never pauses do not wait).
 *
 * An imported talk is not learnt from as a whole when it goes on: a job begins with its newest
 * window, unless it was asked for all (POST /memory/extract).
 */
#include "memory/learn.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/metric.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "memory/extract.h"
#include "memory/forget.h"
#include "memory/memory_index.h"
#include "memory/merge.h"
#include "memory/summary.h"
#include "model/background.h"
#include "model/model.h"

#include "base/banned.h"

#define WINDOW_LINES    24 /* new lines that a model is asked about at once */
#define CONTEXT_LINES   4  /* before them, to understand "it" and "there" */
#define KNOWN_SHOWN     40 /* facts that a model is told */
#define BEGIN_LINES     48 /* of a talk that is longer than this only the end is learnt from */
#define STRETCH_LINES   64 /* the most of one episode */
#define STRETCH_LEAST   4
#define PAUSE_MS        ((int64_t)6 * 3600 * 1000) /* after it a new episode begins */
#define AGAIN_LIMIT     200                        /* changed messages that are looked at again */
#define ANSWER_TOKENS   1500
#define ATTEMPTS_MODEL  2  /* of a job, before the rules take over */
#define TRIES_ENDPOINT  20 /* that people's turns may end a call */
#define CANCEL_CHECK_MS 300
#define QUIET_MS        1000  /* of a conversation, before it is learnt from */
#define LATEST_MS       20000 /* it waits no longer, though the talk goes on */
#define UNSUPPORTED     64

METRIC_COUNTER(windows_learnt, "troupe_memory_windows_total",
               "Windows of talk that were learnt from.");
METRIC_COUNTER(facts_added, "troupe_memory_facts_added_total", "Facts that were learnt.");
METRIC_COUNTER(facts_repeated, "troupe_memory_facts_repeated_total", "Facts that were said again.");
METRIC_COUNTER(facts_refused, "troupe_memory_facts_refused_total",
               "Items that were refused: from the card, or forgotten.");

const struct memory_hooks *learn_hooks;

static struct pool_kind learn_pool = {.name = "learn", .running_limit = 1, .queue_limit = 64};

enum work { WORK_EXTRACT, WORK_SUM };

struct learn {
    struct job *job;
    struct arena arena; /* of this window */
    int64_t conversation_id;
    bool is_all;    /* the whole talk was asked for */
    bool was_model; /* may be asked, still */
    struct memory_scope scope;
    struct memory_cast cast;
    struct memory_progress progress;
    enum work work;
    bool is_rewound; /* summaries are made anew */
    bool is_again;   /* the window is of messages that changed */
    struct str route;

    struct memory_line *lines;
    size_t count, fresh;
    struct memory_fact *known;
    size_t known_count;
    struct summary_work summary;

    struct chat_request request;
    struct background_call *call;
    struct timer watch; /* whether the job was cancelled */
    int tries;
    struct str answer;
    struct usage_record usage;
    bool was_asked, is_read;

    struct memory_items items;
    size_t refused;
    struct summary_result result;
    struct merge merge;
    int64_t since_ms;  /* it has waited for a quiet moment; 0: does not wait */
    int64_t said_seen; /* progress.queued when the job began */
    size_t added, repeated, closed;
    int64_t done, total; /* messages, for the progress of an extraction that was asked for */
};

static void next(struct learn *learn);

/* --- queueing --------------------------------------------------------------------------------- */

struct when {
    bool is_all;
    int64_t since_ms; /* waits for quiet since then; 0: does not */
};

static enum err queue(struct tx *tx, int64_t conversation_id, int64_t user_id, struct when when,
                      int64_t *job_id) {
    struct arena arena;
    int64_t id = 0;
    arena_init(&arena);
    struct str payload = str_printf(
        &arena, "{\"conversation_id\":\"%s\",\"all\":%s,\"since\":%lld}",
        id_text(conversation_id).at, when.is_all ? "true" : "false", (long long)when.since_ms);
    int64_t run_at_ms = when.since_ms != 0 ? clock_now_ms() + QUIET_MS : 0;
    enum err err = job_add(tx, "memory.learn", user_id, payload, run_at_ms, &id);
    arena_release(&arena);
    if (job_id != NULL)
        *job_id = id;
    return err;
}

enum err learn_queue(struct tx *tx, int64_t conversation_id, int64_t user_id) {
    return queue(tx, conversation_id, user_id, (struct when){0}, NULL);
}

enum err learn_queue_when_quiet(struct tx *tx, int64_t conversation_id, int64_t user_id) {
    struct when when = {.since_ms = clock_now_ms()};
    return queue(tx, conversation_id, user_id, when, NULL);
}

enum err learn_queue_all(struct tx *tx, int64_t conversation_id, int64_t user_id, int64_t *job_id) {
    return queue(tx, conversation_id, user_id, (struct when){.is_all = true}, job_id);
}

void memory_start(const struct memory_hooks *hooks) {
    learn_hooks = hooks;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void finish(struct learn *learn, enum err err, const char *reason) {
    struct job *job = learn->job;
    timer_stop(&learn->watch);
    if (learn->added + learn->repeated + learn->closed > 0)
        log_info("memory", "learnt", LF_ID("conversation", learn->conversation_id),
                 LF_INT("added", (int64_t)learn->added),
                 LF_INT("repeated", (int64_t)learn->repeated),
                 LF_INT("closed", (int64_t)learn->closed));
    arena_release(&learn->arena);
    job_finish(job, err, reason);
}

/* What was said meanwhile is counted here, where nothing can come in between. */
static enum err writer_end(struct tx *tx, void *ctx) {
    struct learn *learn = ctx;
    struct arena arena;
    struct memory_progress progress;
    arena_init(&arena);
    enum err err = memory_store_progress(tx_db(tx), &arena, learn->conversation_id, &progress);
    bool was_rung = progress.queued > learn->said_seen || progress.again_from != 0;
    progress.waiting =
        memory_store_line_count(tx_db(tx), learn->conversation_id, progress.learnt_to);
    bool comes_again = was_rung && (progress.waiting > 0 || progress.again_from != 0);
    progress.queued = comes_again;
    progress.updated_at = clock_now_ms();
    if (err == E_OK && progress.learnt_to + progress.waiting > 0)
        err = memory_store_save_progress(tx, &progress);
    if (err == E_OK && comes_again)
        err = learn_queue_when_quiet(tx, learn->conversation_id, learn->scope.user_id);
    arena_release(&arena);
    return err;
}

static void on_ended(enum err err, void *ctx) {
    finish(ctx, err, "what was learnt could not be stored");
}

static void end(struct learn *learn) {
    store_write(writer_end, on_ended, learn);
}

static void give_up(struct learn *learn, enum err err, const char *reason) {
    finish(learn, err, reason);
}

/* --- merge ------------------------------------------------------------------------------------ */

static void publish(struct learn *learn) {
    struct buf buf;
    struct json json;
    buf_init(&buf, 1000);
    json_init(&json, &buf);
    json_object_begin(&json);
    JSON_ID(&json, "conversation_id", learn->conversation_id);
    JSON_INT(&json, "added", (int64_t)learn->merge.added);
    JSON_INT(&json, "repeated", (int64_t)learn->merge.repeated);
    JSON_INT(&json, "closed", (int64_t)learn->merge.closed);
    JSON_STR(&json, "what", learn->work == WORK_SUM ? STR("summary") : STR("facts"));
    json_object_end(&json);
    learn_hooks->publish(learn->conversation_id, "memory:updated", buf_str(&buf));
    buf_release(&buf);
}

/* Only these marks are this job's to move; the rest may have moved meanwhile. */
static enum err save_marks(struct tx *tx, struct learn *learn) {
    struct memory_progress now;
    enum err err = memory_store_progress(tx_db(tx), &learn->arena, learn->conversation_id, &now);
    if (err != E_OK)
        return err;
    int64_t last = learn->lines[learn->count - 1].message_id;
    if (learn->work == WORK_SUM) {
        now.summed_to = last;
        now.status = learn->result.status;
        now.mood = learn->result.mood;
        now.closeness = learn->result.closeness;
        now.made_by = str_from(learn->result.made_by);
    } else if (learn->is_again) {
        bool is_over = last >= now.again_to;
        now.again_from = is_over ? 0 : last + 1;
        now.again_to = is_over ? 0 : now.again_to;
    } else if (last > now.learnt_to) {
        now.learnt_to = last;
    }
    now.updated_at = clock_now_ms();
    return memory_store_save_progress(tx, &now);
}

static enum err writer_learn(struct tx *tx, void *ctx) {
    struct learn *learn = ctx;
    enum err err = E_OK;
    struct memory_scope scope;
    if (memory_store_scope(tx_db(tx), learn->conversation_id, &scope) != E_OK)
        return E_ABSENT; /* in the trash since */
    learn->merge = (struct merge){.scope = learn->scope,
                                  .made_by = learn->is_read && learn->was_asked ? "model" : "rules",
                                  .now = clock_now_ms()};
    if (learn->work == WORK_EXTRACT)
        err = writer_merge(tx, &learn->items, &learn->merge);
    else
        err = writer_summary(tx, &learn->summary, &learn->result, learn->merge.now);
    if (err == E_OK && learn->was_asked)
        err = model_record_usage(tx, &learn->usage);
    return err == E_OK ? save_marks(tx, learn) : err;
}

static void on_learnt(enum err err, void *ctx) {
    struct learn *learn = ctx;
    if (err != E_OK)
        return give_up(learn, err == E_ABSENT ? E_OK : err, "what was learnt could not be stored");
    metric_add(&windows_learnt, 1);
    metric_add(&facts_added, (int64_t)learn->merge.added);
    metric_add(&facts_repeated, (int64_t)learn->merge.repeated);
    metric_add(&facts_refused, (int64_t)(learn->merge.refused + learn->refused));
    learn->added += learn->merge.added;
    learn->repeated += learn->merge.repeated;
    learn->closed += learn->merge.closed;
    if (learn->is_all && learn->work == WORK_EXTRACT) {
        learn->done += (int64_t)learn->fresh;
        job_progress(learn->job, learn->done, learn->total);
    }
    if (learn->work == WORK_SUM ||
        learn->merge.added + learn->merge.repeated + learn->merge.closed > 0)
        publish(learn);
    next(learn);
}

/* --- read (pool) ------------------------------------------------------------------------------ */

static bool is_persons_own(struct learn *learn, const struct card_guard *guard,
                           const struct memory_item *item) {
    for (size_t i = 0; i < item->source_count; i++)
        for (size_t k = 0; k < learn->count; k++)
            if (learn->lines[k].message_id == item->sources[i] && learn->lines[k].is_user &&
                card_guard_is_own(guard, &learn->arena, item->text, learn->lines[k].text))
                return true;
    return false;
}

static void refuse_card(struct learn *learn) {
    if (learn->items.count == 0) /* of most windows: the card need not be read */
        return;
    struct card_guard *guard = card_guard_new(&learn->arena, &learn->cast);
    size_t kept = 0;
    for (size_t i = 0; i < learn->items.count; i++) {
        const struct memory_item *item = &learn->items.items[i];
        if (!is_persons_own(learn, guard, item) &&
            card_guard_says(guard, &learn->arena, item->text))
            learn->refused++;
        else
            learn->items.items[kept++] = *item;
    }
    learn->items.count = kept;
}

static struct extract_window window_of(const struct learn *learn) {
    return (struct extract_window){.cast = &learn->cast,
                                   .lines = learn->lines,
                                   .count = learn->count,
                                   .fresh = learn->fresh,
                                   .known = learn->known,
                                   .known_count = learn->known_count};
}

static void pool_read(void *ctx) {
    struct learn *learn = ctx;
    struct extract_window window = window_of(learn);
    learn->items.count = 0;
    learn->is_read = false;
    if (learn->work == WORK_SUM) {
        if (learn->was_asked)
            learn->is_read =
                summary_read(&learn->arena, learn->answer, &learn->summary, &learn->result);
        else
            summary_by_rules(&learn->arena, &learn->summary, &learn->result);
        return;
    }
    if (learn->was_asked)
        learn->is_read = extract_read(&learn->arena, learn->answer, &window, &learn->items);
    for (size_t i = learn->count - learn->fresh; i < learn->count && !learn->is_read; i++)
        extract_by_rules(&learn->arena, &learn->lines[i], &learn->cast, &learn->items);
    refuse_card(learn);
}

static void on_read(enum err err, void *ctx) {
    struct learn *learn = ctx;
    if (err != E_OK || learn->job->is_cancelled)
        return give_up(learn, E_CANCELLED, "stopped");
    if (learn->was_asked && !learn->is_read && learn->job->attempt < ATTEMPTS_MODEL)
        return give_up(learn, E_BUSY, "the model did not answer in JSON");
    store_write(writer_learn, on_learnt, learn);
}

static void read_answer(struct learn *learn) {
    if (pool_run(&learn_pool, pool_read, on_read, learn, NULL) != E_OK)
        give_up(learn, E_BUSY, "too much is being learnt at once");
}

/* --- ask -------------------------------------------------------------------------------------- */

static void ask(struct learn *learn);

static void on_answer(const struct background_answer *answer, void *ctx) {
    struct learn *learn = ctx;
    learn->call = NULL;
    timer_stop(&learn->watch);
    if (answer->err == E_CANCELLED || learn->job->is_cancelled)
        return give_up(learn, E_CANCELLED, "stopped");
    if (answer->err == E_BUSY && ++learn->tries < TRIES_ENDPOINT)
        return ask(learn);
    if (answer->err != E_OK && learn->job->attempt < ATTEMPTS_MODEL)
        return give_up(learn, E_BUSY, "the model could not be asked");
    learn->was_asked = answer->err == E_OK;
    learn->answer = str_dup(&learn->arena, answer->text);
    learn->usage = (struct usage_record){
        .user_id = learn->scope.user_id,
        .conversation_id = learn->conversation_id,
        .model_id = answer->model_id,
        .task = "memory",
        .outcome = "complete",
        .prompt_tokens = answer->usage.prompt_tokens < 0 ? 0 : answer->usage.prompt_tokens,
        .reply_tokens = answer->usage.reply_tokens < 0 ? 0 : answer->usage.reply_tokens,
        .is_estimated = answer->usage.prompt_tokens < 0,
        .first_token_ms = answer->first_token_ms,
        .total_ms = answer->total_ms,
    };
    read_answer(learn);
}

static void watch(void *ctx) {
    struct learn *learn = ctx;
    if (learn->job->is_cancelled && learn->call != NULL)
        background_cancel(learn->call);
    else
        timer_start(&learn->watch, CANCEL_CHECK_MS, watch, learn);
}

static struct chat_sampling sober(void) {
    return (struct chat_sampling){.temperature = 0.1,
                                  .top_p = -1,
                                  .top_k = -1,
                                  .min_p = -1,
                                  .frequency_penalty = -1,
                                  .presence_penalty = -1,
                                  .repetition_penalty = -1,
                                  .seed = -1,
                                  .reply_tokens = ANSWER_TOKENS};
}

static void ask(struct learn *learn) {
    struct extract_window window = window_of(learn);
    struct arena *arena = &learn->arena;
    bool sums = learn->work == WORK_SUM;
    learn->was_asked = false;
    if (route_plan(learn->route).is_understudy)
        return read_answer(learn);
    struct chat_message *messages = ARENA_ARRAY(arena, struct chat_message, 2);
    messages[0] = (struct chat_message){.role = CHAT_SYSTEM,
                                        .content = sums ? summary_instruction(arena, &learn->cast)
                                                        : extract_instruction(arena, &learn->cast)};
    messages[1] = (struct chat_message){.role = CHAT_USER,
                                        .content = sums ? summary_question(arena, &learn->summary)
                                                        : extract_question(arena, &window)};
    learn->request = (struct chat_request){.messages = messages,
                                           .message_count = 2,
                                           .card = ARENA_NEW(arena, struct chat_card),
                                           .sampling = sober(),
                                           .json_schema = sums ? summary_schema : extract_schema};
    learn->call = background_start(learn->route, &learn->request, on_answer, learn);
    timer_start(&learn->watch, CANCEL_CHECK_MS, watch, learn);
}

/* --- window: what is next ----------------------------------------------------------------------- */

/* A route of its own for memory, if the house has one; else the conversation's. */
static struct str route_of(struct learn *learn) {
    const struct model *models[ROUTE_LENGTH_LIMIT];
    return model_route(STR("memory"), models) > 0 ? STR("memory") : learn->cast.route;
}

static enum err take_context(struct learn *learn) {
    struct memory_line *before;
    size_t count;
    if (learn->count == 0)
        return E_OK;
    learn->fresh = learn->count;
    enum err err =
        memory_store_lines_before(store_reader(), &learn->arena, learn->conversation_id,
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

/* Of a long talk that nobody has learnt from the end is enough, unless all was asked for. */
static enum err begin_late(struct learn *learn, int64_t *after) {
    struct memory_line *newest;
    size_t count;
    if (*after != 0 || learn->is_all)
        return E_OK;
    enum err err = memory_store_lines_before(store_reader(), &learn->arena, learn->conversation_id,
                                             0, BEGIN_LINES + 1, &newest, &count);
    if (err == E_OK && count > BEGIN_LINES)
        *after = newest[count - WINDOW_LINES - 1].message_id;
    return err;
}

/* Facts that only changed messages speak for go before those are read again. */
static enum err writer_drop(struct tx *tx, void *ctx) {
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

static void on_dropped(enum err err, void *ctx) {
    struct learn *learn = ctx;
    if (err != E_OK)
        return give_up(learn, err, "what is no longer so could not be removed");
    if (learn->count == 0)
        return next(learn);
    ask(learn);
}

/* True when there are messages to be looked at again. */
static bool take_changed(struct learn *learn, enum err *err) {
    const struct memory_progress *progress = &learn->progress;
    if (progress->again_from == 0)
        return false;
    *err = memory_store_lines(store_reader(), &learn->arena, learn->conversation_id,
                              progress->again_from - 1, progress->again_to, WINDOW_LINES,
                              &learn->lines, &learn->count);
    learn->is_again = true;
    learn->work = WORK_EXTRACT;
    if (*err == E_OK)
        *err = take_context(learn);
    return true;
}

static bool take_new(struct learn *learn, enum err *err) {
    int64_t after = learn->progress.learnt_to;
    *err = begin_late(learn, &after);
    if (*err == E_OK)
        *err = memory_store_lines(store_reader(), &learn->arena, learn->conversation_id, after, 0,
                                  WINDOW_LINES, &learn->lines, &learn->count);
    learn->is_again = false;
    learn->work = WORK_EXTRACT;
    if (*err != E_OK || learn->count == 0)
        return false;
    *err = take_context(learn);
    return true;
}

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

static enum err load_summaries(struct learn *learn) {
    struct summary_work *work = &learn->summary;
    struct db *db = store_reader();
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

static bool take_stretch(struct learn *learn, enum err *err) {
    int64_t after = learn->progress.summed_to;
    *err = begin_late(learn, &after);
    if (*err == E_OK)
        *err = memory_store_lines(store_reader(), &learn->arena, learn->conversation_id, after, 0,
                                  STRETCH_LINES, &learn->lines, &learn->count);
    if (*err != E_OK)
        return false;
    learn->count = stretch_of(learn);
    learn->fresh = learn->count;
    learn->work = WORK_SUM;
    learn->is_again = false;
    if (learn->count == 0)
        return false;
    *err = load_summaries(learn);
    return true;
}

/* --- stale summaries ---------------------------------------------------------------------------- */

/* Episodes from the first stale one on go, and are made again; the full summary is made of the
 * episodes before them. What a person wrote stays. */
static enum err writer_rewind(struct tx *tx, void *ctx) {
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

static void on_rewound(enum err err, void *ctx) {
    struct learn *learn = ctx;
    if (err != E_OK)
        return give_up(learn, err, "the summary could not be made anew");
    learn->is_rewound = true;
    next(learn);
}

/* --- the walk ----------------------------------------------------------------------------------- */

static enum err load(struct learn *learn) {
    struct db *db = store_reader();
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
    learn->route = route_of(learn);
    return err;
}

static void next(struct learn *learn) {
    enum err err = load(learn);
    learn->tries = 0;
    if (err == E_ABSENT)
        return finish(learn, E_OK, NULL); /* the conversation is gone */
    if (err == E_OK && !learn->scope.learns)
        return end(learn);
    if (learn->job->is_cancelled)
        return give_up(learn, E_CANCELLED, "stopped");
    if (err == E_OK && take_changed(learn, &err) && err == E_OK)
        return store_write(writer_drop, on_dropped, learn);
    if (err == E_OK && take_new(learn, &err) && err == E_OK)
        return ask(learn);
    if (err == E_OK && memory_store_has_stale(store_reader(), learn->conversation_id))
        return store_write(writer_rewind, on_rewound, learn);
    if (err == E_OK && take_stretch(learn, &err) && err == E_OK)
        return ask(learn);
    if (err != E_OK)
        return give_up(learn, err, "what was said could not be read");
    end(learn);
}

/* All that was ever said is read from the beginning; the marks stay where they are when nothing is
 * before them. */
static enum err writer_from_start(struct tx *tx, void *ctx) {
    struct learn *learn = ctx;
    struct memory_progress now;
    enum err err = memory_store_progress(tx_db(tx), &learn->arena, learn->conversation_id, &now);
    now.learnt_to = 0;
    return err == E_OK ? memory_store_save_progress(tx, &now) : err;
}

static void on_from_start(enum err err, void *ctx) {
    struct learn *learn = ctx;
    if (err != E_OK)
        return give_up(learn, err, "learning could not begin");
    next(learn);
}

/* People are talking right now, and have not said much yet. */
static bool is_early(struct learn *learn) {
    struct memory_line *newest;
    size_t count;
    int64_t now = clock_now_ms();
    if (learn->since_ms <= now - LATEST_MS || learn->progress.waiting >= WINDOW_LINES)
        return false;
    return memory_store_lines_before(store_reader(), &learn->arena, learn->conversation_id, 0, 1,
                                     &newest, &count) == E_OK &&
           count > 0 && newest->at <= now && newest->at > now - QUIET_MS;
}

static enum err writer_put_off(struct tx *tx, void *ctx) {
    struct learn *learn = ctx;
    struct when when = {.since_ms = learn->since_ms};
    return queue(tx, learn->conversation_id, learn->scope.user_id, when, NULL);
}

static void run(struct job *job) {
    const struct json_value *payload = NULL;
    struct learn *learn = ARENA_NEW(&job->arena, struct learn);
    learn->job = job;
    arena_init(&learn->arena);
    if (json_parse(&job->arena, job->payload, &payload, NULL) != E_OK ||
        id_parse(json_string(json_member(payload, "conversation_id"), STR("")),
                 &learn->conversation_id) != E_OK)
        return job_finish(job, E_INPUT, "the job names no conversation");
    learn->is_all = json_bool(json_member(payload, "all"), false);
    enum err err = load(learn);
    if (err != E_OK)
        return finish(learn, err == E_ABSENT ? E_OK : err, "the conversation could not be read");
    learn->said_seen = learn->progress.queued;
    learn->since_ms = json_int(json_member(payload, "since"), 0);
    if (learn->since_ms != 0 && is_early(learn))
        return store_write(writer_put_off, on_ended, learn);
    if (!learn->is_all)
        return next(learn);
    learn->total = memory_store_line_count(store_reader(), learn->conversation_id, 0);
    job_progress(job, 0, learn->total);
    /* A job that was cut off goes on where it was. */
    if (job->attempt > 1)
        return next(learn);
    store_write(writer_from_start, on_from_start, learn);
}

const struct job_kind memory_jobs[] = {
    {.name = "memory.learn", .run = run, .attempts_limit = 5, .running_limit = 8},
    {.name = "memory.scrub", .run = forget_run_scrub, .attempts_limit = 20, .running_limit = 1},
    {0},
};
