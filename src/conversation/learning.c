/*
 * Memory stands below conversations and characters and knows neither; here is what it needs of both.
 * The texts of the card, its lorebook and what the person set instead of them (scenario, system
 * prompt, author's note) are handed down so that none of it is taken for something that was said.
 */
#include "conversation/learning.h"

#include "account/account.h"
#include "character/character.h"
#include "conversation/conversation_store.h"
#include "conversation/room.h"
#include "lore/lore.h"

#include "base/banned.h"

#define CARD_TEXTS 12 /* beside the entries of the book */

static void add_text(struct memory_cast *cast, struct str *cards, struct str text) {
    if (text.len > 0)
        cards[cast->card_count++] = text;
}

/* A character that is gone has no card any more; its name is the one of then. */
static enum err add_card(struct db *db, struct arena *arena, const struct participant *participant,
                         int64_t user_id, const struct conversation_settings *settings,
                         struct memory_cast *cast) {
    struct character character = {0};
    struct lore_book book = {0};
    enum err err = character_load(db, arena, participant->character_id, user_id, &character);
    if (err == E_OK)
        err = lore_book_of_character(db, arena, participant->character_id, &book);
    if (err != E_OK && err != E_ABSENT)
        return err;
    struct str *cards = ARENA_ARRAY(arena, struct str, CARD_TEXTS + book.entry_count);
    cast->character_name = character.id != 0 ? character_shown_name(&character) : participant->name;
    add_text(cast, cards, character.description);
    add_text(cast, cards, character.personality);
    add_text(cast, cards, character.scenario);
    add_text(cast, cards, character.first_mes);
    add_text(cast, cards, character.alternate_greetings);
    add_text(cast, cards, character.mes_example);
    add_text(cast, cards, character.system_prompt);
    add_text(cast, cards, character.post_history_instructions);
    add_text(cast, cards, settings->scenario);
    add_text(cast, cards, settings->system_prompt);
    add_text(cast, cards, settings->author_note);
    for (size_t i = 0; i < book.entry_count; i++)
        add_text(cast, cards, book.entries[i].content);
    cast->cards = cards;
    return E_OK;
}

static enum err cast_of(struct db *db, struct arena *arena, int64_t conversation_id,
                        struct memory_cast *cast) {
    struct memory_scope scope;
    struct conversation conversation;
    struct participant *participants;
    struct persona persona;
    size_t count;
    *cast = (struct memory_cast){.character_name = STR("The character")};
    enum err err = memory_scope_of(db, conversation_id, &scope);
    if (err == E_OK)
        err = conversation_load(db, arena, conversation_id, scope.user_id, &conversation);
    if (err == E_OK)
        err = account_persona(db, arena, scope.user_id, conversation.persona_id, &persona);
    if (err == E_OK)
        err = conversation_participants(db, arena, conversation_id, &participants, &count);
    if (err != E_OK)
        return err;
    struct conversation_settings settings =
        conversation_settings_read(arena, conversation.settings);
    cast->user_name = persona.name;
    cast->route = settings.route.len > 0 ? settings.route : STR("default");
    return count > 0 ? add_card(db, arena, &participants[0], scope.user_id, &settings, cast) : E_OK;
}

const struct memory_hooks conversation_memory_hooks = {.cast = cast_of, .publish = room_publish};
