/*
 * What a turn remembers: when the talk is longer than the prompt, the turns before it that fit what
 * was just said. Recall works in the pool while the commit of the turn is under way; whoever waits
 * for the reply waits for it at most memory.recall_ms, and then the prompt goes out without.
 *
 * Nothing is asked when everything that was said is in the prompt already: then there is nothing to
 * remember. A turn that ends while recall works is no longer found by its id, and the answer is for
 * nobody.
 */
#include "conversation/turn_inside.h"

#include "base/check.h"
#include "base/clock.h"
#include "conversation/prompt_memory.h"
#include "memory/memory.h"
#include "memory/recall.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define NOTHING_BEFORE  1 /* no message has a smaller id */
#define IMPORTANT_FACTS 5
#define IMPORTANT       0.7 /* of 0 to 1 */
#define HITS            24  /* a fifth of a small context holds about as many lines */
#define MEMORY_SHARE    5 /* of the budget; messages that memories may push out count as not sent */
#define LEAST_SENTENCE  1.5F /* 5 times a cosine of 0.3: below it meaning says nothing */
#define LEAST_OF_BEST   0.5  /* a hit that is half as good as the best is not what was meant */

/* Facts that stood in the prompt. Writer thread. */
enum err writer_keep_memories(struct tx *tx, const struct turn *turn, int64_t now) {
    int64_t used[HITS + IMPORTANT_FACTS];
    size_t count = 0;
    for (size_t i = 0; i < turn->memory_count; i++)
        if (!turn->memories[i].is_dropped && strcmp(turn->memories[i].kind, "fact") == 0)
            used[count++] = turn->memories[i].id;
    return memory_used(tx, used, count, now);
}

struct turn_memory {
    int64_t turn_id; /* 0: nobody waits */
    struct recall *recall;
};

/* The oldest message that is sent even when memories take their share; 0 when nothing is cut. */
static int64_t sent_from(const struct turn *turn) {
    const struct prompt *prompt = &turn->prompt;
    int64_t room = prompt->budget_tokens / MEMORY_SHARE, from = 0;
    for (size_t i = 0; i < prompt->part_count; i++) {
        const struct prompt_part *part = &prompt->parts[i];
        if (part->message_id == 0 || part->is_dropped)
            continue;
        from = part->message_id;
        room -= part->tokens;
        if (room <= 0)
            break;
    }
    return prompt->is_history_cut ? from : 0;
}

struct str turn_question(const struct turn *turn) {
    for (size_t i = 0; i < turn->history_count; i++)
        if (str_eq(turn->history[i].role, STR("user")))
            return turn->history[i].content;
    return STR("");
}

static bool is_taken(const struct turn *turn, int64_t id) {
    for (size_t i = 0; i < turn->memory_count; i++)
        if (turn->memories[i].id == id)
            return true;
    return false;
}

/* Something speaks for the hit itself, not only for its place in the talk. */
static bool is_worth_telling(const struct recall_hit *hit, double best) {
    bool has_words = hit->signals[SIGNAL_WORDS] > 0;
    bool has_meaning = hit->signals[SIGNAL_SENTENCE] >= LEAST_SENTENCE;
    return (has_words || has_meaning) && hit->score >= best * LEAST_OF_BEST;
}

static void take_hit(struct turn *turn, const struct recall_hit *hit) {
    struct arena *arena = &turn->prompt_arena;
    bool is_fact = hit->kind == RECALL_FACT;
    struct prompt_memory *memory = &turn->memories[turn->memory_count++];
    *memory = (struct prompt_memory){
        .kind = is_fact ? "fact" : "message",
        .id = hit->id,
        .message_id = hit->turn.message_id,
        .conversation_id = hit->turn.conversation_id,
        .speaker = is_fact ? STR_NONE : str_dup(arena, hit->turn.speaker_name),
        .said_at = hit->turn.said_at,
        .text = str_dup(arena, hit->turn.text),
        .score = hit->score,
    };
    memcpy(memory->signals, hit->signals, sizeof memory->signals);
}

/* What is pinned or matters most has a few places of its own, however little it fits. */
static void take_important(struct turn *turn, int64_t before) {
    struct memory_scope scope;
    struct memory_fact *facts;
    size_t count;
    struct db *db = store_reader();
    if (memory_scope_of(db, turn->order.conversation_id, &scope) != E_OK ||
        memory_facts(db, &turn->prompt_arena, &scope, MEMORY_HOLDING, IMPORTANT_FACTS, &facts,
                     &count) != E_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        bool is_sent = facts[i].source_count > 0 && facts[i].sources[0] >= before &&
                       facts[i].conversation_id == turn->order.conversation_id;
        if (is_sent || (!facts[i].pinned && facts[i].importance < IMPORTANT))
            continue;
        turn->memories[turn->memory_count++] = (struct prompt_memory){
            .kind = "fact",
            .id = facts[i].id,
            .message_id = facts[i].source_count > 0 ? facts[i].sources[0] : 0,
            .conversation_id = facts[i].conversation_id,
            .said_at = facts[i].valid_from,
            .text = facts[i].text,
            .score = facts[i].importance,
        };
    }
}

static void take_hits(struct turn *turn, const struct recall_answer *answer) {
    for (size_t i = 0; i < answer->count; i++)
        if (is_worth_telling(&answer->hits[i], answer->hits[0].score) &&
            !is_taken(turn, answer->hits[i].id))
            take_hit(turn, &answer->hits[i]);
}

/* What stands for the talk that is not sent. */
static void take_summary(struct turn *turn, int64_t before) {
    struct memory_summary_texts texts;
    if (memory_summary_text(store_reader(), &turn->prompt_arena, turn->order.conversation_id,
                            before, &texts) != E_OK)
        return;
    bool has_both = texts.full.len > 0 && texts.relationship.len > 0;
    turn->summary = str_printf(&turn->prompt_arena, STR_FMT "%s" STR_FMT, STR_ARG(texts.full),
                               has_both ? "\n\n" : "", STR_ARG(texts.relationship));
}

static void on_recalled(const struct recall_answer *answer, void *ctx) {
    struct turn_memory *memory = ctx;
    struct turn *turn = memory->turn_id == 0 ? NULL : turn_find(memory->turn_id);
    if (turn != NULL) {
        MAGIC_CHECK(turn, TURN_MAGIC);
        turn->remembering = NULL;
        if (answer->err == E_OK)
            take_hits(turn, answer);
    }
    free(memory);
    if (turn != NULL)
        turn_resume(turn);
}

/* Talks with the same character that are remembered here too. */
static bool is_shared(const struct turn *turn) {
    struct memory_scope scope;
    return memory_scope_of(store_reader(), turn->order.conversation_id, &scope) == E_OK &&
           scope.is_shared;
}

void turn_remember(struct turn *turn) {
    turn_forget_memories(turn);
    int64_t before = sent_from(turn);
    struct str question = turn_question(turn);
    bool has_others = is_shared(turn);
    if (before == 0 && !has_others)
        return;
    turn->memories = ARENA_ARRAY(&turn->prompt_arena, struct prompt_memory, HITS + IMPORTANT_FACTS);
    /* When nothing is cut, all of this talk is sent: only others are asked. */
    before = before == 0 ? NOTHING_BEFORE : before;
    take_important(turn, before);
    take_summary(turn, before);
    if (question.len == 0)
        return;
    struct turn_memory *memory = calloc(1, sizeof *memory);
    BUG_IF(memory == NULL);
    memory->turn_id = turn->id;
    turn->remembering = memory;
    memory->recall = recall_start(
        &(struct recall_ask){
            .conversation_id = turn->order.conversation_id,
            .user_id = turn->order.user_id,
            .is_shared = has_others,
            .before_id = before,
            .text = question,
            .now_ms = clock_now_ms(),
            .utc_offset_ms = turn->input.utc_offset_ms,
            .limit = HITS,
            .kinds = 1U << RECALL_MESSAGE | 1U << RECALL_FACT,
            .deadline_ms = memory_settings.recall_ms,
        },
        on_recalled, memory);
}

void turn_forget_memories(struct turn *turn) {
    struct turn_memory *memory = turn->remembering;
    if (memory == NULL)
        return;
    turn->remembering = NULL;
    memory->turn_id = 0;
    recall_cancel(memory->recall);
}

enum step stage_remember(struct turn *turn) {
    if ((turn->remembering != NULL || turn->consulting != NULL) && turn->err == E_OK)
        return WAIT;
    bool has_more = turn->memory_count > 0 || turn->knowledge_count > 0 || turn->summary.len > 0;
    if (has_more && turn->err == E_OK)
        turn_assemble(turn);
    return NEXT;
}
