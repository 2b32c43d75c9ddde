/*
 * The front of this folder: settings, the switches of a scope, and what conversation code calls in
 * its writes. Learning itself is learn.c, merging merge.c.
 */
#include "memory/memory.h"

#include "base/check.h"
#include "base/text.h"
#include "memory/learn.h"
#include "memory/memory_store.h"

#include "base/banned.h"

struct memory_settings memory_settings = {
    .every = 6, .sum_every = 24, .recall_ms = 300, .learns = true};

/* clang-format off */
const struct setting memory_setting_rows[] = {
    {"memory", "learns", SETTING_BOOL, &memory_settings.learns, "true", .help = "Whether characters learn from what is said: facts, episodes and summaries, in the background."},
    {"memory", "every", SETTING_INT, &memory_settings.every, "6", .min = 1, .max = 200, .help = "Messages between two looks at what there is to remember; \"remember ...\" is looked at at once."},
    {"memory", "summary_every", SETTING_INT, &memory_settings.sum_every, "24", .min = 4, .max = 1000, .help = "Messages between two looks at the summaries."},
    {"memory", "recall_ms", SETTING_INT, &memory_settings.recall_ms, "300", .min = 20, .max = 10000, .help = "Milliseconds that a reply waits at most for memories and documents that fit what was said; then it comes without."},
    {0}};
/* clang-format on */

enum err memory_scope_of(struct db *db, int64_t conversation_id, struct memory_scope *scope) {
    return memory_store_scope(db, conversation_id, scope);
}

enum err memory_facts(struct db *db, struct arena *arena, const struct memory_scope *scope,
                      enum memory_which which, size_t limit, struct memory_fact **facts,
                      size_t *count) {
    enum err err = memory_store_facts(db, arena, scope, which == MEMORY_ALL, limit, facts, count);
    for (size_t i = 0; i < *count && err == E_OK; i++)
        err = memory_store_sources(db, arena, &(*facts)[i]);
    return err;
}

enum err memory_used(struct tx *tx, const int64_t *fact_ids, size_t count, int64_t now) {
    enum err err = E_OK;
    for (size_t i = 0; i < count && err == E_OK; i++)
        err = memory_store_use(tx, fact_ids[i], now);
    return err;
}

bool memory_is_withheld(struct db *db, int64_t message_id) {
    return memory_store_is_withheld(db, message_id);
}

enum err memory_summary_text(struct db *db, struct arena *arena, int64_t conversation_id,
                             int64_t history_from_id, struct memory_summary_texts *texts) {
    struct memory_summary *items;
    size_t count;
    *texts = (struct memory_summary_texts){STR(""), STR("")};
    enum err err = memory_summaries(db, arena, conversation_id, &items, &count);
    for (size_t i = 0; i < count && err == E_OK; i++) {
        if (str_eq(items[i].kind, STR("relationship")))
            texts->relationship = items[i].text;
        /* What is sent whole needs no summary. */
        if (str_eq(items[i].kind, STR("full")) && items[i].covers_from < history_from_id)
            texts->full = items[i].text;
    }
    return err;
}

/* --- what conversation code calls --------------------------------------------------------------- */

/* "Remember that ...", "don't forget", "please note". */
static bool asks_to_remember(struct str text) {
    static const char *const words[] = {"remember ",
                                        "remember:",
                                        "remember,",
                                        "don't forget",
                                        "dont forget",
                                        "do not forget",
                                        "don\xe2\x80\x99t forget",
                                        "keep in mind",
                                        "never forget",
                                        "make a note"};
    struct arena arena;
    bool found = false;
    arena_init(&arena);
    struct str folded = text_fold(&arena, text_cut(text, 4000));
    for (size_t i = 0; i < COUNT_OF(words) && !found; i++)
        found = str_has(folded, str_from(words[i]));
    found &= !str_has(folded, STR("do you remember")) && !str_has(folded, STR("i remember"));
    arena_release(&arena);
    return found;
}

enum err memory_said(struct tx *tx, const struct memory_said *said) {
    bool queues = false;
    if (!memory_settings.learns)
        return E_OK;
    bool at_once = said->text.len > 0 && asks_to_remember(said->text);
    enum err err = memory_store_said(tx, said->conversation_id, said->count, memory_settings.every,
                                     at_once, &queues);
    if (err != E_OK || !queues)
        return err;
    return at_once ? learn_queue(tx, said->conversation_id, said->user_id)
                   : learn_queue_when_quiet(tx, said->conversation_id, said->user_id);
}

enum err memory_changed(struct tx *tx, int64_t conversation_id, int64_t from_id, int64_t to_id) {
    bool queues = false;
    struct memory_scope scope;
    enum err err = memory_store_look_again(tx, conversation_id, from_id, to_id, &queues);
    if (err == E_OK)
        err = memory_store_make_stale(tx, conversation_id, from_id, to_id);
    if (err != E_OK || !queues || memory_store_scope(tx_db(tx), conversation_id, &scope) != E_OK)
        return err;
    return learn_queue(tx, conversation_id, scope.user_id);
}

enum err memory_gone(struct tx *tx, int64_t conversation_id) {
    tx_overwrite_freed(tx, false);
    return memory_store_forget_all(tx, conversation_id);
}
