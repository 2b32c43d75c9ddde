/*
 * What is forgotten is nowhere afterwards: not in its row (facts have no word index that would have
 * to be rewritten), not among the vectors, not in summaries and episodes that told it, not in the
 * answers kept for repeated requests, not in the recorded prompts, and not in freed pages or in the
 * log. What stays is a digest, so that it is not learnt again, and, when the messages are withheld
 * too, their ids: the talk itself is the person's to delete.
 * Recorded prompts are cleaned afterwards, see forget_prompts.c.
 */
#include "memory/forget.h"

#include "base/buf.h"
#include "base/clock.h"
#include "memory/memory_index.h"
#include "memory/memory_store.h"
#include "memory/pieces.h"
#include "memory/turn.h"
#include "memory/words.h"

#include <stdlib.h>

#include "base/banned.h"

#define TOPIC_STEMS       16
#define TELLS_SHARE       0.6    /* of a fact's words in one sentence of a summary ... */
#define TELLS_VALUE_SHARE 0.33   /* ... or so many, with all of its value's */
#define EVERY_FACT        100000 /* of one talk; years of it are some thousands */
#define EVERY_EPISODE     10000
#define WITHHELD_AT_ONCE  500 /* messages, in one write */

/* --- what tells of it ------------------------------------------------------------------------- */

struct topic {
    struct str stems[TOPIC_STEMS];
    struct str words[TOPIC_STEMS];
    size_t count;
    double share; /* so many of the stems must be there */
    struct str value[TOPIC_STEMS];
    size_t value_count;
    double value_share; /* or so many, when all of these are */
};

static void topic_read(struct arena *arena, struct str text, struct topic *topic) {
    size_t count;
    struct memory_word *words = memory_words(arena, text, 100, &count);
    topic->count = 0;
    for (int pass = 0; pass < 2 && topic->count == 0; pass++)
        for (size_t i = 0; i < count && topic->count < TOPIC_STEMS; i++)
            if (pass == 1 || !words[i].is_stopword) {
                topic->stems[topic->count] = words[i].stem;
                topic->words[topic->count++] = words[i].folded;
            }
}

static size_t hits_of(const struct memory_word *words, size_t count, const struct str *stems,
                      size_t stem_count) {
    size_t hits = 0;
    for (size_t i = 0; i < stem_count; i++)
        for (size_t k = 0; k < count; k++)
            if (str_eq(words[k].stem, stems[i])) {
                hits++;
                break;
            }
    return hits;
}

static bool tells(struct arena *arena, const struct topic *topic, struct str text) {
    size_t count;
    struct memory_word *words = memory_words(arena, text, 2000, &count);
    double share = topic->count == 0 ? 0
                                     : (double)hits_of(words, count, topic->stems, topic->count) /
                                           (double)topic->count;
    bool has_value = topic->value_count > 0 &&
                     hits_of(words, count, topic->value, topic->value_count) == topic->value_count;
    return topic->count > 0 &&
           (share >= topic->share || (has_value && share >= topic->value_share));
}

/* The text without the sentences that tell; the same text when none does. */
static struct str without(struct arena *arena, const struct topic *topic, struct str text,
                          bool *changed) {
    struct buf buf;
    struct str rest = text, line;
    buf_init(&buf, 1 << 20);
    while (str_next(&rest, '\n', &line)) {
        size_t count, kept = 0;
        struct str *pieces = pieces_of(arena, line, &count);
        for (size_t i = 0; i < count; i++) {
            if (tells(arena, topic, pieces[i])) {
                *changed = true;
                continue;
            }
            buf_add_str(&buf, kept++ > 0 ? STR(" ") : buf.len > 0 ? STR("\n") : STR(""));
            buf_add_str(&buf, str_trim(pieces[i]));
        }
    }
    struct str out = *changed ? str_dup(arena, buf_str(&buf)) : text;
    buf_release(&buf);
    return out;
}

/* False: it does not tell of it. What a person wrote and what was added stay apart. */
static bool leave_out(struct arena *arena, const struct topic *topic,
                      struct memory_summary *summary) {
    bool changed = false;
    size_t own_bytes = summary->is_edited ? (size_t)summary->own_bytes : 0;
    struct str own = str_slice(summary->text, 0, own_bytes);
    struct str added = str_trim(str_slice(summary->text, own_bytes, summary->text.len));
    own = without(arena, topic, own, &changed);
    added = without(arena, topic, added, &changed);
    if (!changed)
        return false;
    summary->is_edited = own.len > 0;
    summary->own_bytes = (int64_t)own.len;
    summary->text = str_printf(arena, STR_FMT "%s" STR_FMT, STR_ARG(own),
                               own.len > 0 && added.len > 0 ? "\n" : "", STR_ARG(added));
    return true;
}

static enum err find_told(struct db *db, struct arena *arena, const struct topic *topic,
                          struct forget *forget) {
    struct memory_summary *summaries;
    struct memory_episode *episodes;
    size_t count;
    enum err err = memory_summaries(db, arena, forget->scope.conversation_id, &summaries, &count);
    for (size_t i = 0; i < count && err == E_OK; i++) {
        if (leave_out(arena, topic, &summaries[i]))
            forget->summaries[forget->summary_count++] = summaries[i];
    }
    if (err == E_OK)
        err = memory_episodes(db, arena, forget->scope.conversation_id, 0, EVERY_EPISODE, &episodes,
                              &count);
    for (size_t i = 0; i < count && err == E_OK && forget->episode_count < FORGET_LIMIT; i++)
        if (tells(arena, topic, episodes[i].text) || tells(arena, topic, episodes[i].title))
            forget->episodes[forget->episode_count++] = episodes[i];
    return err;
}

static void add_message(struct forget *forget, int64_t message_id) {
    for (size_t i = 0; i < forget->message_count; i++)
        if (forget->messages[i] == message_id)
            return;
    if (forget->message_count < forget->message_limit)
        forget->messages[forget->message_count++] = message_id;
}

static enum err add_fact(struct db *db, struct arena *arena, const struct memory_fact *fact,
                         bool with_messages, struct forget *forget) {
    struct memory_fact *added = &forget->facts[forget->fact_count++];
    *added = *fact;
    enum err err = memory_store_sources(db, arena, added);
    for (size_t i = 0; i < added->source_count && with_messages; i++)
        add_message(forget, added->sources[i]);
    if (forget->since == 0 || fact->created_at < forget->since)
        forget->since = fact->created_at;
    return err;
}

static void begin(struct arena *arena, size_t message_limit, struct forget *forget) {
    struct memory_scope scope = forget->scope;
    *forget = (struct forget){.scope = scope, .message_limit = message_limit};
    forget->facts = ARENA_ARRAY(arena, struct memory_fact, FORGET_LIMIT);
    forget->episodes = ARENA_ARRAY(arena, struct memory_episode, FORGET_LIMIT);
    forget->summaries = ARENA_ARRAY(arena, struct memory_summary, 4);
    forget->messages = ARENA_ARRAY(arena, int64_t, message_limit);
}

/* "word" AND "word": quoted, so that nothing of it is an operator. */
static struct str match_of(struct arena *arena, const struct topic *topic) {
    struct buf buf;
    buf_init(&buf, 8000);
    buf_add_str(&buf, STR("text : ("));
    for (size_t i = 0; i < topic->count; i++) {
        buf_add_str(&buf, i > 0 ? STR(" AND \"") : STR("\""));
        for (size_t k = 0; k < topic->words[i].len; k++)
            if (topic->words[i].at[k] != '"')
                buf_add_char(&buf, topic->words[i].at[k]);
        buf_add_char(&buf, '"');
    }
    buf_add_char(&buf, ')');
    struct str match = str_dup(arena, buf_str(&buf));
    buf_release(&buf);
    return match;
}

static int by_id(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* There may be very many: those that are there as sources of facts are found by halves. */
static enum err find_mentions(struct db *db, struct arena *arena, const struct topic *topic,
                              struct forget *forget) {
    size_t count, sources = forget->message_count;
    int64_t *ids = ARENA_ARRAY(arena, int64_t, FORGET_MESSAGES);
    enum err err = memory_store_mentions(db, forget->scope.conversation_id, match_of(arena, topic),
                                         ids, FORGET_MESSAGES, &count);
    qsort(forget->messages, sources, sizeof(*ids), by_id);
    for (size_t i = 0; i < count && err == E_OK; i++)
        if (forget->message_count < forget->message_limit &&
            bsearch(&ids[i], forget->messages, sources, sizeof(*ids), by_id) == NULL)
            forget->messages[forget->message_count++] = ids[i];
    return err;
}

enum err forget_topic(struct db *db, struct arena *arena, struct str text, bool with_messages,
                      struct forget *forget) {
    struct topic topic = {.share = 1};
    struct memory_fact *facts;
    size_t count;
    begin(arena, with_messages ? FORGET_MESSAGES : FORGET_LIMIT, forget);
    topic_read(arena, text, &topic);
    if (topic.count == 0)
        return E_INPUT;
    enum err err = memory_store_facts(db, arena, &forget->scope, true, EVERY_FACT, &facts, &count);
    for (size_t i = 0; i < count && err == E_OK && forget->fact_count < FORGET_LIMIT; i++) {
        struct str whole =
            str_printf(arena, STR_FMT " " STR_FMT " " STR_FMT, STR_ARG(facts[i].text),
                       STR_ARG(facts[i].object), STR_ARG(facts[i].subject));
        if (tells(arena, &topic, whole))
            err = add_fact(db, arena, &facts[i], with_messages, forget);
    }
    if (err == E_OK)
        err = find_told(db, arena, &topic, forget);
    if (err == E_OK && with_messages)
        err = find_mentions(db, arena, &topic, forget);
    return err;
}

enum err forget_fact(struct db *db, struct arena *arena, const struct memory_fact *fact,
                     bool with_messages, struct forget *forget) {
    struct topic topic = {.share = TELLS_SHARE};
    begin(arena, FORGET_LIMIT, forget);
    enum err err = add_fact(db, arena, fact, with_messages, forget);
    struct topic value = {0};
    topic_read(arena, fact->object, &value);
    topic_read(arena, fact->text, &topic);
    for (size_t i = 0; i < value.count; i++)
        topic.value[topic.value_count++] = value.stems[i];
    topic.value_share = TELLS_VALUE_SHARE;
    return err == E_OK ? find_told(db, arena, &topic, forget) : err;
}

/* --- it goes ---------------------------------------------------------------------------------- */

static enum err remove_facts(struct tx *tx, const struct forget *forget) {
    enum err err = E_OK;
    for (size_t i = 0; i < forget->fact_count && err == E_OK; i++) {
        const struct memory_fact *fact = &forget->facts[i];
        err = memory_store_forget_identity(tx, fact->conversation_id, fact->identity);
        if (err == E_OK)
            err = memory_store_forget_answers(tx, fact->user_id, fact->id);
        if (err == E_OK)
            err = memory_store_remove(tx, fact->id);
        if (err == E_OK)
            err = index_touch(tx, &memory_kind_fact, fact->id, fact->conversation_id,
                              fact->conversation_id);
    }
    return err;
}

static enum err remove_told(struct tx *tx, const struct forget *forget) {
    int64_t conversation = forget->scope.conversation_id;
    enum err err = E_OK;
    for (size_t i = 0; i < forget->episode_count && err == E_OK; i++) {
        err = memory_store_remove_episode(tx, forget->episodes[i].id);
        if (err == E_OK)
            err = index_touch(tx, &memory_kind_episode, forget->episodes[i].id, conversation,
                              conversation);
    }
    for (size_t i = 0; i < forget->summary_count && err == E_OK; i++) {
        struct memory_summary *summary = &forget->summaries[i];
        summary->updated_at = clock_now_ms();
        err = summary->text.len > 0 ? memory_store_save_summary(tx, summary)
                                    : memory_store_remove_summary(tx, summary->id);
        if (err == E_OK)
            err = index_touch(tx, &memory_kind_summary, summary->id, conversation, conversation);
    }
    return err;
}

enum err writer_withhold(struct tx *tx, struct forget *forget) {
    int64_t conversation = forget->scope.conversation_id;
    size_t from = forget->withheld_count, rest = forget->message_count - from;
    size_t to = from + (rest < WITHHELD_AT_ONCE ? rest : WITHHELD_AT_ONCE);
    enum err err = E_OK;
    for (size_t i = from; i < to && err == E_OK; i++) {
        err = memory_store_withhold(tx, conversation, forget->messages[i]);
        if (err == E_OK)
            err = memory_touch_message(tx, forget->messages[i], conversation);
    }
    forget->withheld_count = to;
    return err;
}

enum err writer_forget(struct tx *tx, struct forget *forget) {
    tx_overwrite_freed(tx, true);
    enum err err = remove_facts(tx, forget);
    if (err == E_OK)
        err = remove_told(tx, forget);
    if (err == E_OK)
        err = writer_withhold(tx, forget);
    if (err == E_OK)
        err = forget_queue_scrub(tx, &forget->scope, forget->since);
    return err;
}

static enum err touch_all(struct tx *tx, const struct forget *forget) {
    int64_t conversation = forget->scope.conversation_id;
    enum err err = E_OK;
    for (size_t i = 0; i < forget->fact_count && err == E_OK; i++)
        err = index_touch(tx, &memory_kind_fact, forget->facts[i].id, conversation, conversation);
    for (size_t i = 0; i < forget->episode_count && err == E_OK; i++)
        err = index_touch(tx, &memory_kind_episode, forget->episodes[i].id, conversation,
                          conversation);
    for (size_t i = 0; i < forget->summary_count && err == E_OK; i++)
        err = index_touch(tx, &memory_kind_summary, forget->summaries[i].id, conversation,
                          conversation);
    return err;
}

static enum err find_everything(struct db *db, struct arena *arena, struct forget *forget) {
    int64_t conversation = forget->scope.conversation_id;
    enum err err = memory_store_facts(db, arena, &forget->scope, true, EVERY_FACT, &forget->facts,
                                      &forget->fact_count);
    if (err == E_OK)
        err = memory_episodes(db, arena, conversation, 0, EVERY_EPISODE, &forget->episodes,
                              &forget->episode_count);
    return err != E_OK ? err
                       : memory_summaries(db, arena, conversation, &forget->summaries,
                                          &forget->summary_count);
}

/* What was said so far is not learnt from again by itself; POST /memory/extract does. */
static enum err be_strangers(struct tx *tx, struct arena *arena, int64_t conversation_id) {
    struct memory_progress progress;
    enum err err = memory_store_progress(tx_db(tx), arena, conversation_id, &progress);
    if (err != E_OK)
        return err;
    progress.status = STR("strangers");
    progress.mood = STR("");
    progress.closeness = 0;
    if (progress.summed_to < progress.learnt_to)
        progress.summed_to = progress.learnt_to;
    progress.updated_at = clock_now_ms();
    return memory_store_save_progress(tx, &progress);
}

enum err writer_forget_everything(struct tx *tx, struct arena *arena, struct forget *forget) {
    forget->scope.is_shared = false; /* this talk's own */
    tx_overwrite_freed(tx, true);
    enum err err = find_everything(tx_db(tx), arena, forget);
    for (size_t i = 0; i < forget->fact_count && err == E_OK; i++)
        err = memory_store_forget_answers(tx, forget->scope.user_id, forget->facts[i].id);
    if (err == E_OK)
        err = touch_all(tx, forget);
    if (err == E_OK)
        err = memory_store_forget_all(tx, forget->scope.conversation_id);
    if (err == E_OK)
        err = be_strangers(tx, arena, forget->scope.conversation_id);
    return err == E_OK ? forget_queue_scrub(tx, &forget->scope, 0) : err;
}

void forget_vectors(const struct forget *forget, store_done_fn done, void *ctx) {
    struct arena arena;
    arena_init(&arena);
    size_t room = forget->fact_count + forget->episode_count + forget->summary_count, count = 0;
    int64_t *ids = ARENA_ARRAY(&arena, int64_t, room + 1);
    for (size_t i = 0; i < forget->fact_count; i++)
        if (forget->facts[i].conversation_id == forget->scope.conversation_id)
            ids[count++] = forget->facts[i].id;
    for (size_t i = 0; i < forget->episode_count; i++)
        ids[count++] = forget->episodes[i].id;
    for (size_t i = 0; i < forget->summary_count; i++)
        ids[count++] = forget->summaries[i].id;
    index_forget(forget->scope.conversation_id, ids, count, done, ctx);
    arena_release(&arena);
}
