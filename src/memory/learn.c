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
 * Of one talk one job learns at a time (job_add_for): two would read the same window, and the second
 * would pay a model for what is then thrown away.
 *
 * Nothing is written of what was made from words that are no longer so: a window whose messages were
 * edited or forgotten meanwhile, a stretch whose summary a person rewrote, is looked at once more.
 *
 * The model is the first of the route `memory`, if the house has one, else of the conversation's. A
 * model that fails or does not answer in JSON is asked again with the job's next attempt; then the
 * rules do the work, so that learning never stands still.
 *
 * Nobody learns while people talk: a job that came from a message waits until the conversation has
 * been quiet for a moment, or for twenty seconds of a talk that never pauses, and then reads in one go
 * what came meanwhile. Only "remember ..." does not wait.
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
#include "memory/forget.h"
#include "memory/learn_inside.h"

#include "base/banned.h"

#define ANSWER_TOKENS   1500
#define ATTEMPTS_MODEL  2  /* of a job, before the rules take over */
#define TRIES_ENDPOINT  20 /* that people's turns may end a call */
#define CANCEL_CHECK_MS 300

METRIC_COUNTER(windows_learnt, "troupe_memory_windows_total",
               "Windows of talk that were learnt from.");
METRIC_COUNTER(facts_added, "troupe_memory_facts_added_total", "Facts that were learnt.");
METRIC_COUNTER(facts_repeated, "troupe_memory_facts_repeated_total", "Facts that were said again.");
METRIC_COUNTER(facts_refused, "troupe_memory_facts_refused_total",
               "Items that were refused: from the card, or forgotten.");

const struct memory_hooks *learn_hooks;

static struct pool_kind learn_pool = {
    .name = "learn", .running_limit = 1, .queue_limit = 64, .is_background = true};

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
    int64_t run_at_ms = when.since_ms != 0 ? clock_now_ms() + LEARN_QUIET_MS : 0;
    enum err err =
        job_add_for(tx, "memory.learn", user_id, conversation_id, payload, run_at_ms, &id);
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
    JSON_STR(&json, "what", learn->work == LEARN_SUM ? STR("summary") : STR("facts"));
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
    if (learn->work == LEARN_SUM) {
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
    learn->is_overtaken = !writer_is_as_read(tx, learn);
    if (learn->is_overtaken)
        return learn->was_asked ? model_record_usage(tx, &learn->usage) : E_OK;
    learn->merge = (struct merge){.scope = learn->scope,
                                  .made_by = learn->is_read && learn->was_asked ? "model" : "rules",
                                  .now = clock_now_ms()};
    if (learn->work == LEARN_EXTRACT)
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
    if (learn->is_overtaken)
        return next(learn);
    metric_add(&windows_learnt, 1);
    metric_add(&facts_added, (int64_t)learn->merge.added);
    metric_add(&facts_repeated, (int64_t)learn->merge.repeated);
    metric_add(&facts_refused, (int64_t)(learn->merge.refused + learn->refused));
    learn->added += learn->merge.added;
    learn->repeated += learn->merge.repeated;
    learn->closed += learn->merge.closed;
    if (learn->is_all && learn->work == LEARN_EXTRACT) {
        learn->done += (int64_t)learn->fresh;
        job_progress(learn->job, learn->done, learn->total);
    }
    if (learn->work == LEARN_SUM ||
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
    if (learn->work == LEARN_SUM) {
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
    bool sums = learn->work == LEARN_SUM;
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

/* --- the walk ----------------------------------------------------------------------------------- */

/* A route of its own for memory, if the house has one; else the conversation's. */
static struct str route_of(struct learn *learn) {
    const struct model *models[ROUTE_LENGTH_LIMIT];
    return model_route(STR("memory"), models) > 0 ? STR("memory") : learn->cast.route;
}

static void on_from_start(enum err err, void *ctx) {
    struct learn *learn = ctx;
    if (err != E_OK)
        return give_up(learn, err, "learning could not begin");
    next(learn);
}

static void on_dropped(enum err err, void *ctx) {
    struct learn *learn = ctx;
    if (err != E_OK)
        return give_up(learn, err, "what is no longer so could not be removed");
    if (learn->count == 0)
        return next(learn);
    ask(learn);
}

static void on_rewound(enum err err, void *ctx) {
    struct learn *learn = ctx;
    if (err != E_OK)
        return give_up(learn, err, "the summary could not be made anew");
    learn->is_rewound = true;
    next(learn);
}

static enum err writer_put_off(struct tx *tx, void *ctx) {
    struct learn *learn = ctx;
    struct when when = {.since_ms = learn->since_ms};
    return queue(tx, learn->conversation_id, learn->job->user_id, when, NULL);
}

static void go(struct learn *learn) {
    switch (learn->step) {
    case LEARN_GONE:
        return finish(learn, E_OK, NULL);
    case LEARN_EARLY:
        return store_write(writer_put_off, on_ended, learn);
    case LEARN_FROM_START:
        job_progress(learn->job, 0, learn->total);
        return store_write(writer_from_start, on_from_start, learn);
    case LEARN_AGAIN:
        return store_write(writer_drop, on_dropped, learn);
    case LEARN_READ:
        return ask(learn);
    case LEARN_REWIND:
        return store_write(writer_rewind, on_rewound, learn);
    case LEARN_END:
        return end(learn);
    }
}

static void pool_next(void *ctx) {
    struct learn *learn = ctx;
    struct db *db = pool_reader_open();
    learn->err = db != NULL ? pool_look(learn, db) : E_STORAGE;
    pool_reader_close(db);
}

static void on_looked(enum err err, void *ctx) {
    struct learn *learn = ctx;
    if (err != E_OK || learn->job->is_cancelled)
        return give_up(learn, E_CANCELLED, "stopped");
    if (learn->err != E_OK)
        return give_up(learn, learn->err, "what was said could not be read");
    learn->route = route_of(learn);
    go(learn);
}

static void next(struct learn *learn) {
    learn->tries = 0;
    if (pool_run(&learn_pool, pool_next, on_looked, learn, NULL) != E_OK)
        give_up(learn, E_BUSY, "too much is being learnt at once");
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
    learn->since_ms = json_int(json_member(payload, "since"), 0);
    next(learn);
}

const struct job_kind memory_jobs[] = {
    {.name = "memory.learn", .run = run, .attempts_limit = 5, .running_limit = 8},
    {.name = "memory.scrub", .run = forget_run_scrub, .attempts_limit = 20, .running_limit = 1},
    {0},
};
