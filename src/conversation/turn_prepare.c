/*
 * The first half of a turn, before anybody hears of it: admit, record, recall, assemble. Recall and
 * assemble run while the commit of record is under way.
 */
#include "conversation/turn_inside.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "character/character.h"
#include "conversation/conversation_store.h"
#include "conversation/message_store.h"
#include "lore/activate.h"
#include "memory/memory.h"
#include "model/tokens.h"
#include "net/limit.h"

#include "base/banned.h"

#define HISTORY_PAGE 64
#define HISTORY_LIMIT \
    2000 /* messages; a context of 64,000 tokens holds about as many short ones \
          */
#define LORE_SCAN_MESSAGES 50 /* the deepest that a book may look */
#define LORE_BUDGET_SHARE  4  /* a quarter of the context */

/* --- admit ------------------------------------------------------------------------------------ */

static enum err refuse(struct turn *turn, enum err err, const char *detail) {
    turn->detail = detail;
    return err;
}

/* The message that is regenerated or continued: a character's, finished, and here. */
static enum err admit_reply(struct turn *turn) {
    struct db *db = store_reader();
    enum err err = message_load(db, &turn->arena, turn->order.conversation_id,
                                turn->order.message_id, -1, &turn->reply);
    if (err != E_OK)
        return err;
    if (turn->reply.deleted_at != 0)
        return E_ABSENT;
    if (!str_eq(turn->reply.role, STR("assistant")))
        return refuse(turn, E_INPUT,
                      "Only what a character said can be said again or gone on with.");
    turn->is_path_changed = turn->order.message_id != turn->conversation.head_id;
    bool is_continue = turn->order.kind == TURN_CONTINUE;
    turn->leaf_id = is_continue ? turn->reply.id : turn->reply.parent_id;
    if (is_continue && turn->is_path_changed)
        return refuse(
            turn, E_INPUT,
            "Only the last message of the talk can be gone on with; branch off here first.");
    return E_OK;
}

static struct str join_names(struct arena *arena, const struct participant *participants,
                             size_t count) {
    struct str names = STR_NONE;
    for (size_t i = 0; i < count; i++)
        if (!participants[i].is_gone)
            names = str_printf(arena, STR_FMT "%s" STR_FMT, STR_ARG(names),
                               names.len > 0 ? ", " : "", STR_ARG(participants[i].name));
    return names;
}

static enum err admit_speaker(struct turn *turn) {
    struct participant *participants;
    size_t count;
    struct db *db = store_reader();
    enum err err = conversation_participants(db, &turn->prompt_arena, turn->order.conversation_id,
                                             &participants, &count);
    if (err != E_OK)
        return err;
    if (count > 1)
        turn->group = join_names(&turn->arena, participants, count);
    for (size_t i = 0; i < count; i++)
        if (!participants[i].is_gone &&
            character_load(db, &turn->prompt_arena, participants[i].character_id,
                           turn->order.user_id, &turn->character) == E_OK)
            return character_is_open_to(db, &turn->character, turn->order.user_id)
                       ? E_OK
                       : refuse(turn, E_DENIED,
                                "This character is for adults: declare your age in your profile "
                                "to go on talking.");
    return refuse(
        turn, E_INPUT,
        "The character of this conversation is gone, or may not be seen any more. One of your own "
        "comes back from the trash.");
}

static enum err admit_kind(struct turn *turn) {
    switch (turn->order.kind) {
    case TURN_REGENERATE:
    case TURN_CONTINUE:
        return admit_reply(turn);
    case TURN_REPLY:
        return turn->conversation.head_id != 0
                   ? E_OK
                   : refuse(turn, E_INPUT, "Nothing has been said yet.");
    case TURN_SEND:
        return E_OK;
    }
    return E_INPUT;
}

static enum err admit_order(struct turn *turn) {
    const struct turn_order *order = &turn->order;
    struct db *db = store_reader();
    if (loop_phase() != LOOP_RUNNING)
        return refuse(turn, E_BUSY, "The server is stopping; try again in a moment.");
    enum err err = conversation_load(db, &turn->arena, order->conversation_id, order->user_id,
                                     &turn->conversation);
    if (err != E_OK)
        return err;
    if (turn_wants_reply(turn) && turn_is_running(order->conversation_id))
        return refuse(turn, E_CONFLICT, "A reply is under way here. Stop it, or wait for its end.");
    if (turn_wants_reply(turn) && limits.turns_per_user > 0 &&
        turn_count_of(order->user_id) >= limits.turns_per_user)
        return refuse(turn, E_LIMIT,
                      "Too many replies are under way for you. Wait for one to end.");
    turn->leaf_id = turn->conversation.head_id;
    if ((err = admit_kind(turn)) != E_OK)
        return err;
    turn->settings = conversation_settings_read(&turn->arena, turn->conversation.settings);
    err = account_persona(db, &turn->arena, order->user_id, turn->conversation.persona_id,
                          &turn->persona);
    if (err == E_OK && turn_wants_reply(turn))
        err = admit_speaker(turn);
    return err;
}

enum step stage_admit(struct turn *turn) {
    turn->err = admit_order(turn);
    return turn->err == E_OK ? NEXT : FAIL;
}

/* --- record ----------------------------------------------------------------------------------- */

static void make_said(struct turn *turn, int64_t now) {
    turn->said = (struct message){
        .id = id_new(),
        .conversation_id = turn->order.conversation_id,
        .role = STR("user"),
        .author_kind = STR("user"),
        .author_id = turn->order.user_id,
        .author_name = turn->persona.name,
        .swipe_count = 1,
        .state = STR("complete"),
        .content = turn->order.content,
        .prompt_tokens = -1,
        .reply_tokens = -1,
        .revision = 1,
        .created_at = now,
        .updated_at = now,
    };
}

static void make_reply(struct turn *turn, int64_t now) {
    turn->reply = (struct message){
        .id = id_new(),
        .conversation_id = turn->order.conversation_id,
        .parent_id = turn->said.id, /* 0: the head as it is then */
        .role = STR("assistant"),
        .author_kind = STR("character"),
        .author_id = turn->character.id,
        .author_name = str_dup(&turn->arena, turn->character.name),
        .swipe_count = 1,
        .state = STR("streaming"),
        .content = STR(""),
        .prompt_tokens = -1,
        .reply_tokens = -1,
        .revision = 1,
        .created_at = now,
        .updated_at = now,
    };
}

/* On the writer thread, while the loop recalls: it changes only `recording`, which the loop leaves
 * alone until on_recorded. A sure write: what may refuse it is asked before its first change. */
static enum err writer_record(struct tx *tx, void *ctx) {
    struct turn *turn = ctx;
    struct message *said = &turn->recording.said, *reply = &turn->recording.reply;
    int64_t now = clock_now_ms();
    if (turn->order.kind == TURN_REGENERATE)
        return variant_begin(tx, turn->order.conversation_id, reply->id, &reply->swipe_index, now);
    if (turn->order.kind == TURN_CONTINUE)
        return variant_reopen(tx, reply->id, reply->swipe_index, turn->order.user_id, now);
    struct message *spoken[2];
    size_t count = 0;
    if (said->id != 0)
        spoken[count++] = said;
    if (reply->id != 0)
        spoken[count++] = reply;
    struct arena arena;
    arena_init(&arena);
    struct str line = said->id != 0 ? conversation_line(&arena, said->content) : STR_NONE;
    enum err err = message_append(tx, spoken, count, line);
    arena_release(&arena);
    if (err == E_OK && reply->id == 0) /* nothing follows that would count it */
        err = memory_said(tx, &(struct memory_said){.conversation_id = turn->order.conversation_id,
                                                    .user_id = turn->order.user_id,
                                                    .count = 1,
                                                    .text = said->content});
    return err;
}

static void on_recorded(enum err err, void *ctx) {
    struct turn *turn = ctx;
    MAGIC_CHECK(turn, TURN_MAGIC);
    turn->is_recorded = true;
    turn->record_err = err;
    turn->said = turn->recording.said;
    turn->reply = turn->recording.reply;
    turn_resume(turn);
}

enum step stage_record(struct turn *turn) {
    int64_t now = clock_now_ms();
    if (turn->order.kind == TURN_SEND)
        make_said(turn, now);
    if (turn->order.kind == TURN_REPLY ||
        (turn->order.kind == TURN_SEND && turn->order.wants_reply))
        make_reply(turn, now);
    if (turn->order.kind == TURN_REGENERATE) {
        turn->reply.swipe_count++;
        turn->reply.content = STR("");
        turn->reply.reasoning = turn->reply.model = turn->reply.finish_reason = STR_NONE;
        turn->reply.prompt_tokens = turn->reply.reply_tokens = -1;
    }
    if (turn->order.kind == TURN_CONTINUE)
        buf_add_str(&turn->text, turn->reply.content);
    turn->before_len = turn->told_len = turn->stored_len = turn->text.len;
    turn->recording.said = turn->said;
    turn->recording.reply = turn->reply;
    store_write_sure(writer_record, on_recorded, turn);
    /* The writer gets it at the end of this turn of the loop, and what is to be recalled waits for that. */
    return turn_wants_reply(turn) ? LATER : NEXT;
}

/* --- recall ----------------------------------------------------------------------------------- */

static void history_add(struct turn *turn, const struct message *message, size_t *room) {
    ARENA_GROW(&turn->prompt_arena, turn->history, turn->history_count, *room);
    turn->history[turn->history_count++] = *message;
}

/* Newest first, until the messages read would fill the context by themselves. */
static enum err recall_history(struct turn *turn) {
    int64_t room_tokens = turn->plan.context_tokens;
    size_t room = 0;
    turn->history = NULL;
    turn->history_count = 0;
    if (turn->said.id != 0)
        history_add(turn, &turn->said, &room);
    size_t count = HISTORY_PAGE;
    for (int64_t before = 0; turn->leaf_id != 0 && count == HISTORY_PAGE && room_tokens > 0 &&
                             turn->history_count < HISTORY_LIMIT;) {
        struct message *page;
        enum err err =
            message_page_said(store_reader(), &turn->prompt_arena, turn->order.conversation_id,
                              turn->leaf_id, before, HISTORY_PAGE, &page, &count);
        if (err != E_OK)
            return err;
        for (size_t i = 0; i < count; i++) {
            history_add(turn, &page[i], &room);
            room_tokens -= tokens_estimate(page[i].content);
        }
        before = count > 0 ? page[count - 1].id : 0;
    }
    return E_OK;
}

static enum err recall_lore(struct turn *turn) {
    size_t count =
        turn->history_count < LORE_SCAN_MESSAGES ? turn->history_count : LORE_SCAN_MESSAGES;
    struct str *messages = ARENA_ARRAY(&turn->prompt_arena, struct str, count + 1);
    for (size_t i = 0; i < count; i++)
        messages[i] = turn->history[i].content;
    struct lore_scan scan = {
        .character_ids = &turn->character.id,
        .character_count = 1,
        .messages = messages,
        .message_count = count,
        .budget_tokens = turn->plan.context_tokens / LORE_BUDGET_SHARE,
    };
    return lore_activate(store_reader(), &turn->prompt_arena, &scan, &turn->lore,
                         &turn->lore_count);
}

static struct str route_name(const struct turn *turn) {
    return turn->settings.route.len > 0 ? turn->settings.route : STR("default");
}

enum step stage_recall(struct turn *turn) {
    if (!turn_wants_reply(turn)) {
        turn->stage =
            STAGE_ASSEMBLE; /* nothing to recall or assemble for a message that wants no reply */
        return NEXT;
    }
    turn->plan = route_plan(route_name(turn));
    enum err err = recall_history(turn);
    if (err == E_OK)
        err = recall_lore(turn);
    if (err != E_OK) {
        turn->err = err;
        turn->detail = "What was said before could not be read.";
    }
    return NEXT; /* a failure is answered after the commit, in announce: the person's message counts
                    first */
}

/* --- assemble --------------------------------------------------------------------------------- */

void turn_assemble(struct turn *turn) {
    turn->input = (struct prompt_input){
        .character = &turn->character,
        .user_name = turn->persona.name,
        .persona = turn->persona.description,
        .group = turn->group,
        .utc_offset_ms = account_utc_offset_ms(store_reader(), turn->order.user_id, clock_now_ms()),
        .settings = &turn->settings,
        .lore = turn->lore,
        .lore_count = turn->lore_count,
        .memories = turn->memories,
        .memory_count = turn->memory_count,
        .knowledge = turn->knowledge,
        .knowledge_count = turn->knowledge_count,
        .summary = turn->summary,
        .history = turn->history,
        .history_count = turn->history_count,
        .is_continue = turn->order.kind == TURN_CONTINUE,
        .conversation_id = turn->order.conversation_id,
        .context_tokens = turn->plan.context_tokens,
        .reply_tokens =
            turn->settings.reply_tokens > 0 ? turn->settings.reply_tokens : turn->plan.reply_tokens,
        .tokens_scale = turn->plan.tokens_scale,
        .model_name = str_dup(&turn->arena, turn->plan.model_name),
        .route_name = route_name(turn),
    };
    turn->err = prompt_assemble(&turn->prompt_arena, &turn->input, &turn->prompt);
    if (turn->err != E_OK)
        turn->detail = "The message is too long for the context of this model.";
}

/* Without memories at first: what fits by itself need not be remembered. */
enum step stage_assemble(struct turn *turn) {
    if (turn->err != E_OK)
        return NEXT;
    turn->memories = NULL;
    turn->memory_count = 0;
    turn->knowledge = NULL;
    turn->knowledge_count = 0;
    turn->summary = STR_NONE;
    turn_assemble(turn);
    if (turn->err == E_OK) {
        turn_consult(turn);
        turn_remember(turn);
    }
    return NEXT;
}
