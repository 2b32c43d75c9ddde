/*
 * Two pieces of work in the pool with the encoder between them:
 *
 *   gather   the scope's turns without their texts, the names that are spoken under; the question
 *            read against these names; how often its words stand in which turn
 *   ask      the rewritten question becomes a vector (index_ask, some ten milliseconds)
 *   rank     one walk over the scope's vectors, the sum of score.c, the texts of the best
 *
 * A reply is never late because of memory. When the deadline passes while the question is embedded,
 * ranking goes on without it; when it passes while the pool works, the caller is told E_TIMEOUT at
 * once and what the pool still does is for nobody.
 */
#include "memory/recall.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/metric.h"
#include "loop/pool.h"
#include "model/index.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define MAGIC               0x4c434552U
#define CONVERSATIONS_LIMIT 200    /* of one person with one character that are searched together */
#define TURNS_LIMIT         200000 /* of one scope: 30 MB while it is searched */
#define SPEAKERS_LIMIT      32     /* names in one scope */

METRIC_HISTOGRAM(scan_time, "troupe_recall_scan_seconds",
                 "Time to compare a question with the vectors of its scope.");

enum phase { GATHERING, ASKING, RANKING, OVER };

/* A speaker of the scope: `who` of all rows of one person is the same. */
struct cast {
    struct memory_speaker rows[SPEAKERS_LIMIT];
    int64_t ids[SPEAKERS_LIMIT];
    size_t count;
};

/* One conversation of the scope: turns [from, to). */
struct part {
    int64_t conversation_id;
    size_t from, to;
};

struct recall {
    uint32_t magic;
    struct arena arena;
    struct recall_ask ask;
    recall_done_fn done; /* NULL: has been told */
    void *ctx;
    enum phase phase;
    struct pool_job *job;
    struct index_question *question_call;
    struct timer deadline;
    struct index_encoder encoder;
    bool is_cancelled, is_late;
    enum err err;

    struct part *parts;
    size_t part_count;
    struct score_turn *turns;
    double *turn_norms, *pair_norms; /* 0: no vectors */
    size_t count;
    struct cast cast;
    struct question question;
    uint8_t *counts; /* [term][turn] */
    struct learnt *learnt;
    size_t learnt_count;
    const float *vector; /* of the question; NULL: none */
    size_t dims;
    struct recall_hit *hits;
    size_t hit_count;
};

/* Where a kind other than messages may stand: every fifth place, so that what was said leads. */
#define LEARNT_EVERY 5

static struct pool_kind recall_kind = {.name = "recall", .running_limit = 2, .queue_limit = 64};

/* --- gather (pool) -------------------------------------------------------------------------- */

static int who_of(struct cast *cast, const struct turn_row *row) {
    int who = -1;
    for (size_t i = 0; i < cast->count; i++) {
        if (cast->rows[i].side != row->side || cast->ids[i] != row->speaker_id)
            continue;
        who = cast->rows[i].who;
        if (str_eq(cast->rows[i].name, row->speaker_name))
            return who;
    }
    if (cast->count == SPEAKERS_LIMIT)
        return who;
    if (who < 0)
        who = (int)cast->count;
    cast->rows[cast->count] =
        (struct memory_speaker){.side = row->side, .who = who, .name = row->speaker_name};
    cast->ids[cast->count++] = row->speaker_id;
    return who;
}

static enum err gather_part(struct recall *r, struct db *db, struct part *part,
                            struct turn_row **rows) {
    size_t count;
    bool is_this = part->conversation_id == r->ask.conversation_id;
    enum err err = turn_rows(db, &r->arena, part->conversation_id, is_this ? r->ask.before_id : 0,
                             r->encoder.slot, rows, &count);
    part->from = r->count;
    r->count += count;
    part->to = r->count;
    return err;
}

static void take_row(struct recall *r, size_t t, int64_t conversation_id,
                     const struct turn_row *row) {
    r->turns[t] = (struct score_turn){
        .id = row->id,
        .at_ms = row->said_at + r->ask.utc_offset_ms,
        .conversation_id = conversation_id,
        .who = who_of(&r->cast, row),
        .is_question = row->is_question,
        .has_time = row->has_time,
        .has_number = row->has_number,
    };
    r->turn_norms[t] = row->turn_norm;
    r->pair_norms[t] = row->pair_norm;
}

static enum err gather_turns(struct recall *r, struct db *db) {
    int64_t *ids = &r->ask.conversation_id;
    size_t count = 1;
    enum err err = turn_conversation(db, r->ask.conversation_id, r->ask.user_id);
    if (err == E_OK && r->ask.is_shared)
        err = turn_conversations(db, &r->arena, r->ask.conversation_id, r->ask.user_id,
                                 CONVERSATIONS_LIMIT, &ids, &count);
    if (err != E_OK)
        return err;
    r->parts = ARENA_ARRAY(&r->arena, struct part, count + 1);
    struct turn_row **rows = ARENA_ARRAY(&r->arena, struct turn_row *, count + 1);
    for (size_t i = 0; i < count && err == E_OK && r->count < TURNS_LIMIT; i++) {
        r->parts[r->part_count].conversation_id = ids[i];
        err = gather_part(r, db, &r->parts[r->part_count], &rows[r->part_count]);
        r->part_count++;
    }
    r->turns = ARENA_ARRAY(&r->arena, struct score_turn, r->count + 1);
    r->turn_norms = ARENA_ARRAY(&r->arena, double, r->count + 1);
    r->pair_norms = ARENA_ARRAY(&r->arena, double, r->count + 1);
    for (size_t i = 0; i < r->part_count && err == E_OK; i++)
        for (size_t t = r->parts[i].from; t < r->parts[i].to; t++)
            take_row(r, t, r->parts[i].conversation_id, &rows[i][t - r->parts[i].from]);
    return err;
}

/* What is found comes by id, as the turns of a part stand: one walk over both. */
struct cursor {
    struct recall *recall;
    size_t at, to;
};

static bool reach(struct cursor *cursor, int64_t id) {
    const struct score_turn *turns = cursor->recall->turns;
    while (cursor->at < cursor->to && turns[cursor->at].id < id)
        cursor->at++;
    return cursor->at < cursor->to && turns[cursor->at].id == id;
}

static void take_counts(void *ctx, int64_t message_id, const uint8_t *counts) {
    struct cursor *cursor = ctx;
    struct recall *r = cursor->recall;
    if (reach(cursor, message_id))
        for (size_t q = 0; q < r->question.term_count; q++)
            r->counts[q * r->count + cursor->at] = counts[q];
}

static enum err gather_words(struct recall *r, struct db *db) {
    enum err err = E_OK;
    r->counts = arena_zero(&r->arena, r->count * r->question.term_count + 1);
    for (size_t i = 0; i < r->part_count && err == E_OK; i++) {
        struct cursor cursor = {.recall = r, .at = r->parts[i].from, .to = r->parts[i].to};
        err = turn_counts(db, &r->arena, r->parts[i].conversation_id, r->question.terms,
                          r->question.term_count, take_counts, &cursor);
    }
    return err;
}

static enum err gather_learnt(struct recall *r, struct db *db) {
    struct memory_scope scope;
    enum err err = memory_scope_of(db, r->ask.conversation_id, &scope);
    scope.is_shared = r->ask.is_shared;
    return err != E_OK
               ? err
               : learnt_load(db, &r->arena, &scope, r->ask.kinds, &r->learnt, &r->learnt_count);
}

static void pool_gather(void *ctx) {
    struct recall *r = ctx;
    struct db *db = pool_reader_open();
    r->err = db == NULL ? E_STORAGE : gather_turns(r, db);
    if (r->err == E_OK) {
        r->question = question_read(&r->arena, r->ask.text, r->cast.rows, r->cast.count,
                                    r->ask.now_ms + r->ask.utc_offset_ms);
        r->err = gather_words(r, db);
    }
    if (r->err == E_OK)
        r->err = gather_learnt(r, db);
    pool_reader_close(db);
}

/* --- rank (pool) ---------------------------------------------------------------------------- */

/* The parts of one item follow one another: their sum and their best. */
struct walk {
    struct cursor cursor;
    double sum; /* of the item's cosines so far */
    size_t parts;
};

static void take_vector(const struct vector_part *part, void *ctx) {
    struct walk *walk = ctx;
    struct recall *r = walk->cursor.recall;
    if (!reach(&walk->cursor, part->item)) {
        struct learnt *learnt = learnt_find(r->learnt, r->learnt_count, part->item);
        if (learnt != NULL && (!learnt->has_vector || part->cosine > learnt->cosine)) {
            learnt->has_vector = true;
            learnt->cosine = part->cosine;
        }
        return;
    }
    struct score_turn *turn = &r->turns[walk->cursor.at];
    bool is_first = !turn->has_vectors;
    turn->sentence = is_first || part->cosine > turn->sentence ? part->cosine : turn->sentence;
    turn->has_vectors = true;
    walk->sum = is_first ? (double)part->cosine : walk->sum + (double)part->cosine;
    walk->parts = is_first ? 1 : walk->parts + 1;
    turn->pair = (float)(walk->sum / (double)walk->parts); /* the mean, until all are there */
}

/* From means of sentences to cosines with whole turns, and with pairs. */
static void join_pairs(struct recall *r, const struct part *part) {
    double before = 0;
    for (size_t t = part->from; t < part->to; t++) {
        struct score_turn *turn = &r->turns[t];
        double norm = r->turn_norms[t] > 0 ? r->turn_norms[t] : 1;
        double own = turn->has_vectors ? (double)turn->pair / norm : 0;
        double length = t == part->from || r->pair_norms[t] <= 0 ? 1 : r->pair_norms[t];
        turn->pair = turn->has_vectors ? (float)((own + before) / length) : 0;
        before = own;
    }
}

/* A fact is one more sentence of the turns from which it was learnt. */
static void join_facts(struct recall *r, const struct part *part) {
    for (size_t i = 0; i < r->learnt_count; i++) {
        const struct learnt *learnt = &r->learnt[i];
        if (!learnt->has_vector || learnt->conversation_id != part->conversation_id)
            continue;
        for (size_t k = 0; k < learnt->source_count; k++) {
            struct cursor cursor = {.recall = r, .at = part->from, .to = part->to};
            if (reach(&cursor, learnt->sources[k]) && r->turns[cursor.at].sentence < learnt->cosine)
                r->turns[cursor.at].sentence = learnt->cosine;
        }
    }
}

static void rank_meaning(struct recall *r) {
    int64_t us = 0;
    for (size_t i = 0; i < r->part_count; i++) {
        const struct part *part = &r->parts[i];
        struct vector_space space = {.id = part->conversation_id, .encoder = r->encoder.id};
        struct walk walk = {.cursor = {.recall = r, .at = part->from, .to = part->to}};
        int64_t began_us = clock_mono_us();
        enum err err = pool_vector_scan(space, r->vector, r->dims, take_vector, &walk);
        us += clock_mono_us() - began_us;
        if (err != E_OK)
            continue; /* words find what they can */
        join_pairs(r, part);
        join_facts(r, part);
    }
    metric_observe_us(&scan_time, us);
}

static float speaker_of(const struct recall *r, const struct learnt *learnt) {
    if (r->question.wanted < 0 || learnt->side < 0)
        return 0.5F;
    for (size_t i = 0; i < r->cast.count; i++)
        if (r->cast.rows[i].who == r->question.wanted)
            return (int)r->cast.rows[i].side == learnt->side ? 1.0F : 0.0F;
    return 0.5F;
}

/* How often each term of the question stands in a text. */
static const uint8_t *count_terms(struct recall *r, struct str text) {
    enum { WORDS_LOOKED_AT = 2000, COUNT_MOST = 15 };
    uint8_t *counts = arena_zero(&r->arena, QUESTION_TERMS_LIMIT);
    struct arena scratch;
    size_t count;
    arena_init(&scratch);
    const struct memory_word *words = memory_words(&scratch, text, WORDS_LOOKED_AT, &count);
    for (size_t i = 0; i < count; i++)
        for (size_t q = 0; q < r->question.term_count; q++)
            if (counts[q] < COUNT_MOST && str_eq(words[i].stem, r->question.terms[q].stem))
                counts[q]++;
    arena_release(&scratch);
    return counts;
}

static const struct score_text *texts_of(struct recall *r) {
    struct score_text *texts = ARENA_ARRAY(&r->arena, struct score_text, r->learnt_count + 1);
    for (size_t i = 0; i < r->learnt_count; i++)
        texts[i] = (struct score_text){
            .counts = count_terms(r, r->learnt[i].text),
            .has_vectors = r->learnt[i].has_vector,
            .cosine = r->learnt[i].cosine,
            .speaker = speaker_of(r, &r->learnt[i]),
            .at_ms = r->learnt[i].at_ms + r->ask.utc_offset_ms,
        };
    return texts;
}

static enum err show_turn(struct recall *r, struct db *db, const struct score_output *output,
                          size_t place) {
    struct recall_hit *hit = &r->hits[r->hit_count];
    enum err err = turn_show(db, &r->arena, r->turns[place].id, &hit->turn);
    if (err == E_ABSENT)
        return E_OK; /* it went since the turns were gathered */
    hit->kind = RECALL_MESSAGE;
    hit->id = hit->turn.message_id;
    hit->score = output->scores[place];
    memcpy(hit->signals, output->signals[place], sizeof hit->signals);
    r->hit_count += err == E_OK;
    return err;
}

static void show_learnt(struct recall *r, const struct score_output *output, size_t place) {
    const struct learnt *learnt = &r->learnt[place];
    struct recall_hit *hit = &r->hits[r->hit_count++];
    *hit = (struct recall_hit){
        .kind = learnt->kind,
        .id = learnt->id,
        .turn = {.message_id = learnt->message_id,
                 .conversation_id = learnt->conversation_id,
                 .said_at = learnt->at_ms,
                 .text = learnt->text},
        .score = output->text_scores[place],
    };
    memcpy(hit->signals, output->text_signals[place], sizeof hit->signals);
}

/* Two lists become one, by score; what was learnt never has more than every fifth place of it. */
static enum err show_best(struct recall *r, struct db *db, const struct score_output *output) {
    bool has_turns = r->ask.kinds >> RECALL_MESSAGE & 1;
    size_t *turns, *texts, t = 0, x = 0;
    size_t turn_count =
        score_best(&r->arena, output->scores, has_turns ? r->count : 0, r->ask.limit, &turns);
    size_t text_count =
        score_best(&r->arena, output->text_scores, r->learnt_count, r->ask.limit, &texts);
    r->hits = ARENA_ARRAY(&r->arena, struct recall_hit, r->ask.limit + 1);
    enum err err = E_OK;
    while (err == E_OK && r->hit_count < r->ask.limit && (t < turn_count || x < text_count)) {
        bool may = x < text_count &&
                   (t == turn_count || !has_turns || (x + 1) * LEARNT_EVERY <= r->hit_count + 1);
        if (may && (t == turn_count || output->text_scores[texts[x]] > output->scores[turns[t]]))
            show_learnt(r, output, texts[x++]);
        else
            err = show_turn(r, db, output, turns[t++]);
    }
    return err;
}

static void pool_rank(void *ctx) {
    struct recall *r = ctx;
    struct db *db = pool_reader_open();
    if (r->vector != NULL)
        rank_meaning(r);
    struct score_input input = {
        .question = &r->question,
        .turns = r->turns,
        .count = r->count,
        .counts = r->counts,
        .texts = texts_of(r),
        .text_count = r->learnt_count,
    };
    struct score_output output;
    score_turns(&r->arena, &input, &output);
    r->err = db == NULL ? E_STORAGE : show_best(r, db, &output);
    pool_reader_close(db);
}

/* --- the loop's side ------------------------------------------------------------------------ */

static void tell(struct recall *r, enum err err) {
    if (r->done == NULL)
        return;
    recall_done_fn done = r->done;
    r->done = NULL;
    timer_stop(&r->deadline);
    struct recall_answer answer = {.err = err};
    if (err == E_OK) {
        answer.hits = r->hits;
        answer.count = r->hit_count;
        answer.question = &r->question;
        answer.has_meaning = r->vector != NULL;
        answer.turns = r->count;
    }
    done(&answer, r->ctx);
}

static void finish(struct recall *r, enum err err) {
    r->phase = OVER;
    tell(r, r->is_cancelled ? E_CANCELLED : err);
    r->magic = 0;
    arena_release(&r->arena);
    free(r);
}

static void finish_later(void *ctx) {
    struct recall *r = ctx;
    MAGIC_CHECK(r, MAGIC);
    finish(r, r->err);
}

static void on_ranked(enum err err, void *ctx) {
    struct recall *r = ctx;
    MAGIC_CHECK(r, MAGIC);
    r->job = NULL;
    finish(r, err != E_OK ? err : r->err);
}

static void rank(struct recall *r) {
    r->phase = RANKING;
    if (r->is_cancelled || r->done == NULL)
        return finish(r, E_CANCELLED);
    if (pool_run(&recall_kind, pool_rank, on_ranked, r, &r->job) != E_OK)
        finish(r, E_BUSY);
}

static void on_asked(const struct embed_answer *answer, void *ctx) {
    struct recall *r = ctx;
    MAGIC_CHECK(r, MAGIC);
    r->question_call = NULL;
    if (answer->err == E_OK) {
        float *copy = arena_alloc(&r->arena, answer->dims * sizeof(float));
        memcpy(copy, answer->values, answer->dims * sizeof(float));
        r->vector = copy;
        r->dims = answer->dims;
    }
    rank(r);
}

static void on_gathered(enum err err, void *ctx) {
    struct recall *r = ctx;
    MAGIC_CHECK(r, MAGIC);
    r->job = NULL;
    if (err == E_OK)
        err = r->err;
    if (err != E_OK || r->count + r->learnt_count == 0 || r->done == NULL)
        return finish(r, err);
    r->phase = ASKING;
    if (r->encoder.id == 0 || r->question.embed_text.len == 0 || r->is_late)
        return rank(r);
    r->question_call = index_ask(r->question.embed_text, on_asked, r);
}

static void on_deadline(void *ctx) {
    struct recall *r = ctx;
    MAGIC_CHECK(r, MAGIC);
    r->is_late = true;
    if (r->phase == ASKING && r->question_call != NULL)
        index_ask_cancel(r->question_call);
    else
        tell(r, E_TIMEOUT);
}

struct recall *recall_start(const struct recall_ask *ask, recall_done_fn done, void *ctx) {
    struct recall *r = calloc(1, sizeof *r);
    BUG_IF(r == NULL);
    r->magic = MAGIC;
    arena_init(&r->arena);
    r->ask = *ask;
    r->ask.text = str_dup(&r->arena, ask->text);
    r->ask.kinds = ask->kinds == 0 ? RECALL_ALL : ask->kinds;
    r->ask.limit = ask->limit < RECALL_LIMIT ? ask->limit : RECALL_LIMIT;
    r->done = done;
    r->ctx = ctx;
    r->encoder = index_encoder();
    if (ask->deadline_ms > 0)
        timer_start(&r->deadline, ask->deadline_ms, on_deadline, r);
    if (pool_run(&recall_kind, pool_gather, on_gathered, r, &r->job) != E_OK) {
        r->err = E_BUSY;
        loop_later(finish_later, r);
    }
    return r;
}

void recall_cancel(struct recall *recall) {
    MAGIC_CHECK(recall, MAGIC);
    recall->is_cancelled = true;
    if (recall->job != NULL)
        pool_cancel(recall->job);
    else if (recall->question_call != NULL)
        index_ask_cancel(recall->question_call);
}
