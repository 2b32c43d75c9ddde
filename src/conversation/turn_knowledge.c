/*
 * What a turn looks up: chunks of the documents that the character knows, as far as they fit what
 * was just said. As with memories (turn_memory.c) the search works while the commit of the turn is
 * under way, and nobody waits for it longer than memory.recall_ms.
 */
#include "conversation/turn_inside.h"

#include "base/check.h"
#include "character/knowledge.h"
#include "memory/memory.h"

#include <stdlib.h>

#include "base/banned.h"

#define HITS 6

struct turn_knowledge {
    int64_t turn_id;
    struct knowledge_search *search;
};

static void take(struct turn *turn, const struct knowledge_hit *hits, size_t count) {
    struct arena *arena = &turn->prompt_arena;
    turn->knowledge = ARENA_ARRAY(arena, struct prompt_knowledge, count + 1);
    for (size_t i = 0; i < count; i++)
        turn->knowledge[i] = (struct prompt_knowledge){
            .chunk_id = hits[i].chunk.id,
            .document_id = hits[i].chunk.document_id,
            .document = str_dup(arena, hits[i].chunk.document_name),
            .heading = str_dup(arena, hits[i].chunk.heading),
            .content = str_dup(arena, hits[i].chunk.content),
            .score = hits[i].score,
            .meaning = hits[i].meaning,
            .words = hits[i].words,
        };
    turn->knowledge_count = count;
}

static void on_found(enum err err, const struct knowledge_hit *hits, size_t count, void *ctx) {
    struct turn_knowledge *knowledge = ctx;
    struct turn *turn = turn_find(knowledge->turn_id);
    free(knowledge);
    if (turn == NULL)
        return;
    MAGIC_CHECK(turn, TURN_MAGIC);
    turn->consulting = NULL;
    if (err == E_OK)
        take(turn, hits, count);
    turn_resume(turn);
}

void turn_consult(struct turn *turn) {
    turn_stop_consulting(turn);
    turn->knowledge = NULL;
    turn->knowledge_count = 0;
    struct str question = turn_question(turn);
    if (question.len == 0 || !knowledge_is_there(store_reader(), turn->character.id))
        return;
    struct turn_knowledge *knowledge = calloc(1, sizeof *knowledge);
    BUG_IF(knowledge == NULL);
    knowledge->turn_id = turn->id;
    turn->consulting = knowledge;
    knowledge->search =
        knowledge_start(&(struct knowledge_ask){.character_id = turn->character.id,
                                                .text = question,
                                                .limit = HITS,
                                                .deadline_ms = memory_settings.recall_ms},
                        on_found, knowledge);
}

void turn_stop_consulting(struct turn *turn) {
    struct turn_knowledge *knowledge = turn->consulting;
    if (knowledge == NULL)
        return;
    turn->consulting = NULL;
    knowledge_cancel(knowledge->search);
    free(knowledge);
}
