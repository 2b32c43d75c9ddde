/*
 * What a turn remembers: when the talk is longer than the prompt, the turns before it that fit what
 * was just said. Recall works in the pool while the commit of the turn is under way; whoever waits
 * for the reply waits for it at most DEADLINE_MS, and then the prompt goes out without.
 *
 * Nothing is asked when everything that was said is in the prompt already: then there is nothing to
 * remember. A turn that ends while recall works is no longer found by its id, and the answer is for
 * nobody.
 */
#include "conversation/turn_inside.h"

#include "base/check.h"
#include "base/clock.h"
#include "conversation/prompt_memory.h"
#include "memory/recall.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define DEADLINE_MS    300
#define HITS           24 /* a fifth of a small context holds about as many lines */
#define MEMORY_SHARE   5  /* of the budget; messages that memories may push out count as not sent */
#define LEAST_SENTENCE 1.5F /* 5 times a cosine of 0.3: below it meaning says nothing */
#define LEAST_OF_BEST  0.5  /* a hit that is half as good as the best is not what was meant */

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

/* What the character is to answer: the newest thing that a person said. */
static struct str question_of(const struct turn *turn) {
    for (size_t i = 0; i < turn->history_count; i++)
        if (str_eq(turn->history[i].role, STR("user")))
            return turn->history[i].content;
    return STR("");
}

/* Something speaks for the hit itself, not only for its place in the talk. */
static bool is_worth_telling(const struct recall_hit *hit, double best) {
    bool has_words = hit->signals[SIGNAL_WORDS] > 0;
    bool has_meaning = hit->signals[SIGNAL_SENTENCE] >= LEAST_SENTENCE;
    return (has_words || has_meaning) && hit->score >= best * LEAST_OF_BEST;
}

static void take_hits(struct turn *turn, const struct recall_answer *answer) {
    struct arena *arena = &turn->prompt_arena;
    turn->memories = ARENA_ARRAY(arena, struct prompt_memory, answer->count + 1);
    for (size_t i = 0; i < answer->count; i++) {
        const struct recall_hit *hit = &answer->hits[i];
        if (!is_worth_telling(hit, answer->hits[0].score))
            continue;
        struct prompt_memory *memory = &turn->memories[turn->memory_count++];
        *memory = (struct prompt_memory){
            .kind = "message",
            .id = hit->turn.message_id,
            .message_id = hit->turn.message_id,
            .speaker = str_dup(arena, hit->turn.speaker_name),
            .said_at = hit->turn.said_at,
            .text = str_dup(arena, hit->turn.text),
            .score = hit->score,
        };
        memcpy(memory->signals, hit->signals, sizeof memory->signals);
    }
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

void turn_remember(struct turn *turn) {
    turn_forget_memories(turn);
    int64_t before = sent_from(turn);
    struct str question = question_of(turn);
    if (before == 0 || question.len == 0)
        return;
    struct turn_memory *memory = calloc(1, sizeof *memory);
    BUG_IF(memory == NULL);
    memory->turn_id = turn->id;
    turn->remembering = memory;
    memory->recall = recall_start(
        &(struct recall_ask){
            .conversation_id = turn->order.conversation_id,
            .user_id = turn->order.user_id,
            .before_id = before,
            .text = question,
            .now_ms = clock_now_ms(),
            .utc_offset_ms = turn->input.utc_offset_ms,
            .limit = HITS,
            .deadline_ms = DEADLINE_MS,
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
    if (turn->remembering != NULL && turn->err == E_OK)
        return WAIT;
    if (turn->memory_count > 0 && turn->err == E_OK)
        turn_assemble(turn);
    return NEXT;
}
