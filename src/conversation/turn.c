/*
 * A turn: one chat message, from the moment somebody asks to the moment the reply is on disk.
 *
 * The stages stand below in the order in which they happen, each a short function that answers
 * NEXT, WAIT (an event will resume it) or FAIL. A turn belongs to its conversation: no connection
 * can end it. Four events come from outside, and every stage answers them the same way:
 *
 *   stop (the person)    what is awaited is cancelled, what was spoken is kept, finish reason
 * `stopped` failed (the model)   route.c has tried every model that may speak before the first
 * token; after it, the text is kept and marked listener left        nothing shutdown             it
 * speaks until the grace ends, then is kept and marked `interrupted`; what a crash left is marked
 * so at the next start
 *
 * Durable first: nobody hears of the person's message, and no model is asked, before its commit is
 * on disk. While the commit is under way the turn already recalls and assembles, so that durability
 * costs a person no time; should another message have slipped in between, that work is done again.
 *
 * The text grows in one buffer. Listeners get it in batches (the first piece at once, then at most
 * one every 50 ms), the store gets the whole of it once a second, and at the end the final state in
 * one transaction with its usage and its prompt. If the disk fails at that moment the text stays in
 * memory and is tried again: a reply that people have read is not thrown away.
 *
 * One reply at a time in a conversation; a message that wants no reply may be added at any time.
 */
#include "conversation/turn.h"

#include "account/account.h"
#include "base/banned.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/map.h"
#include "base/metric.h"
#include "conversation/conversation_store.h"
#include "conversation/prompt.h"
#include "conversation/room.h"
#include "loop/loop.h"
#include "lore/activate.h"
#include "model/model.h"
#include "model/route.h"
#include "model/tokens.h"
#include "net/limit.h"

#include <stddef.h>
#include <stdlib.h>

#define TURN_MAGIC 0x7475726e
#define BATCH_MS   50   /* listeners: a screen shows no more than this as movement */
#define FLUSH_MS   1000 /* store: what a crash may cost of a reply in progress */
#define REPLY_LIMIT_BYTES                                                                        \
    ((size_t)1 << 20) /* a quarter of a million tokens: no reply is longer, a model gone wild is \
                       */
#define EVENT_LIMIT_BYTES         ((size_t)8 << 20)
#define PROMPT_RECORD_LIMIT_BYTES ((size_t)16 << 20)
#define HISTORY_PAGE              64
#define HISTORY_LIMIT                                                           \
    2000 /* messages; a context of 64,000 tokens holds about as many short ones \
          */
#define LORE_SCAN_MESSAGES 50 /* the deepest that a book may look */
#define LORE_BUDGET_SHARE  4  /* a quarter of the context */
#define KEEP_RETRY_MS      1000
#define KEEP_RETRIES       300 /* five minutes to make room on a full disk */

METRIC_COUNTER(turns_started, "troupe_turns_started_total", "Turns that were admitted.");
METRIC_LABELLED(turns_complete, "troupe_turns_total", "outcome=\"complete\"",
                "Turns by how they ended.");
METRIC_LABELLED(turns_stopped, "troupe_turns_total", "outcome=\"stopped\"",
                "Turns by how they ended.");
METRIC_LABELLED(turns_interrupted, "troupe_turns_total", "outcome=\"interrupted\"",
                "Turns by how they ended.");
METRIC_LABELLED(turns_failed, "troupe_turns_total", "outcome=\"failed\"",
                "Turns by how they ended.");
METRIC_GAUGE(turns_running, "troupe_turns_running", "Replies that are being spoken now.");
METRIC_HISTOGRAM(first_token, "troupe_first_token_seconds",
                 "From the request to the first piece of the reply.");

enum step { NEXT, WAIT, FAIL };

/*        stage      what it does                                             waits for */
#define TURN_STAGES(X)                                                                          \
    X(ADMIT, admit)       /* who, where, and is somebody speaking already     -              */ \
    X(RECORD, record)     /* hands message and empty reply to the writer      -              */ \
    X(RECALL, recall)     /* the talk so far, the lore that fires             -              */ \
    X(ASSEMBLE, assemble) /* the prompt, to the model's budget                -              */ \
    X(ANNOUNCE, announce) /* now that it is on disk, everybody may know       the commit     */ \
    X(SPEAK, speak)       /* the model, delta by delta                        the model      */ \
    X(KEEP, keep)         /* the whole reply, its prompt, its cost            the commit     */ \
    X(SETTLE, settle)     /* the end is told and counted                      -              */

#define STAGE_NAME(name, function) STAGE_##name,
enum stage { TURN_STAGES(STAGE_NAME) STAGE_OVER };
#undef STAGE_NAME

struct turn {
    uint32_t magic;
    struct arena arena; /* everything below that is text, save the two bufs */
    struct list link;   /* in `running` */
    int64_t id;
    struct turn_order order;
    struct turn_listener listener;
    enum stage stage;
    bool is_waiting;

    struct conversation conversation;
    struct conversation_settings settings;
    struct character character;
    struct persona persona;
    struct message said;  /* the person's; id 0 when nobody spoke (regenerate, continue) */
    struct message reply; /* the character's; id 0 when none is wanted */
    int64_t leaf_id;      /* where the talk stood when the turn was admitted */
    bool is_path_changed; /* the reply was not the end of the shown path */

    struct {
        struct message said,
            reply; /* the writer's copies until the commit: there they get branch and parent */
    } recording;
    enum err record_err;
    bool is_recorded;
    bool is_unseen;          /* nobody was there when the reply ended */
    struct message *history; /* newest first */
    size_t history_count;
    struct lore_hit *lore;
    size_t lore_count;
    struct route_plan plan;
    struct prompt_input input;
    struct prompt prompt;
    struct chat_request request;
    struct route_call *call;

    struct buf text; /* the reply so far, whole; of CONTINUE it begins with what was there */
    struct buf reasoning;
    size_t told_len; /* of text: what listeners have */
    size_t told_reasoning_len;
    size_t stored_len; /* of text: what the last flush took */
    size_t before_len; /* of CONTINUE: what was there before */
    struct room_speech speech;
    struct timer batch_timer, flush_timer, retry_timer;
    int64_t told_us; /* when listeners last got something */

    bool is_stopped;     /* by the person */
    bool is_shut_down;   /* by the end of the grace */
    const char *outcome; /* 'complete', 'stopped', 'interrupted', 'failed' */
    const char *finish_reason;
    enum err err;       /* of the failure */
    const char *detail; /* for a person; the arena's */
    struct chat_usage usage;
    int64_t model_id;
    struct str model_name;
    int keep_tries;
    int64_t began_us, first_token_us, ended_us;
};

static struct list running = {&running, &running};
static struct map by_id;           /* every turn */
static struct map by_conversation; /* the one that speaks */
static bool is_draining;

static void advance(void *turn);
static void resume(struct turn *turn);

/* --- events for listeners
 * ------------------------------------------------------------------------------------------------
 */

struct event {
    struct buf buf;
    struct json json;
};

static void event_begin(struct event *event, const struct turn *turn) {
    buf_init(&event->buf, EVENT_LIMIT_BYTES);
    json_init(&event->json, &event->buf);
    json_object_begin(&event->json);
    JSON_ID(&event->json, "conversation_id", turn->order.conversation_id);
    JSON_ID(&event->json, "turn_id", turn->id);
}

static void event_publish(struct event *event, const struct turn *turn, const char *type) {
    json_object_end(&event->json);
    if (event->buf.err == E_OK)
        room_publish(turn->order.conversation_id, type, buf_str(&event->buf));
    buf_release(&event->buf);
}

static struct str message_text(struct arena *arena, const struct message *message) {
    struct buf buf;
    struct json json;
    buf_init(&buf, EVENT_LIMIT_BYTES);
    json_init(&json, &buf);
    message_write(&json, message);
    struct str text = str_dup(arena, buf_str(&buf));
    buf_release(&buf);
    return text;
}

/* --- admit
 * ------------------------------------------------------------------------------------------------------------------
 */

static int64_t turns_of(int64_t user_id) {
    int64_t count = 0;
    LIST_EACH(&running, node)
    count += CONTAINER_OF(node, struct turn, link)->order.user_id == user_id;
    return count;
}

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

static enum err admit_speaker(struct turn *turn) {
    struct participant *participants;
    size_t count;
    struct db *db = store_reader();
    enum err err = conversation_participants(db, &turn->arena, turn->order.conversation_id,
                                             &participants, &count);
    if (err != E_OK)
        return err;
    for (size_t i = 0; i < count; i++)
        if (!participants[i].is_gone &&
            character_load(db, &turn->arena, participants[i].character_id, turn->order.user_id,
                           &turn->character) == E_OK)
            return E_OK;
    return refuse(
        turn, E_INPUT,
        "The character of this conversation is gone. Restore it from the trash to go on talking.");
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

static bool wants_reply(const struct turn *turn) {
    return turn->order.kind != TURN_SEND || turn->order.wants_reply;
}

static enum err admit_order(struct turn *turn) {
    const struct turn_order *order = &turn->order;
    struct db *db = store_reader();
    if (is_draining)
        return refuse(turn, E_BUSY, "The server is stopping; try again in a moment.");
    enum err err = conversation_load(db, &turn->arena, order->conversation_id, order->user_id,
                                     &turn->conversation);
    if (err != E_OK)
        return err;
    if (wants_reply(turn) && map_find_id(&by_conversation, order->conversation_id) != NULL)
        return refuse(turn, E_CONFLICT, "A reply is under way here. Stop it, or wait for its end.");
    if (wants_reply(turn) && limits.turns_per_user > 0 &&
        turns_of(order->user_id) >= limits.turns_per_user)
        return refuse(turn, E_LIMIT,
                      "Too many replies are under way for you. Wait for one to end.");
    turn->leaf_id = turn->conversation.head_id;
    if ((err = admit_kind(turn)) != E_OK)
        return err;
    turn->settings = conversation_settings_read(&turn->arena, turn->conversation.settings);
    err = account_persona(db, &turn->arena, order->user_id, turn->conversation.persona_id,
                          &turn->persona);
    if (err == E_OK && wants_reply(turn))
        err = admit_speaker(turn);
    return err;
}

static enum step admit(struct turn *turn) {
    turn->err = admit_order(turn);
    return turn->err == E_OK ? NEXT : FAIL;
}

/* --- record
 * ------------------------------------------------------------------------------------------------------------------
 */

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
        .author_name = turn->character.name,
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
 * alone until on_recorded. */
static enum err writer_record(struct tx *tx, void *ctx) {
    struct turn *turn = ctx;
    struct message *said = &turn->recording.said, *reply = &turn->recording.reply;
    int64_t now = clock_now_ms();
    enum err err = E_OK;
    if (turn->order.kind == TURN_REGENERATE)
        return variant_begin(tx, turn->order.conversation_id, reply->id, &reply->swipe_index, now);
    if (turn->order.kind == TURN_CONTINUE)
        return variant_reopen(tx, reply->id, reply->swipe_index, turn->order.user_id, now);
    if (said->id != 0) {
        struct arena arena;
        arena_init(&arena);
        err = message_append(tx, said, conversation_line(&arena, said->content));
        arena_release(&arena);
    }
    if (err == E_OK && reply->id != 0)
        err = message_append(tx, reply, STR_NONE);
    return err;
}

static void on_recorded(enum err err, void *ctx) {
    struct turn *turn = ctx;
    MAGIC_CHECK(turn, TURN_MAGIC);
    turn->is_recorded = true;
    turn->record_err = err;
    turn->said = turn->recording.said;
    turn->reply = turn->recording.reply;
    resume(turn);
}

static enum step record(struct turn *turn) {
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
    store_write(writer_record, on_recorded, turn);
    return NEXT;
}

/* --- recall
 * -------------------------------------------------------------------------------------------------------------------
 */

static void history_add(struct turn *turn, const struct message *message, size_t *room) {
    if (turn->history_count == *room) {
        size_t more = *room == 0 ? HISTORY_PAGE + 1 : *room * 2;
        struct message *items = ARENA_ARRAY(&turn->arena, struct message, more);
        for (size_t i = 0; i < turn->history_count; i++)
            items[i] = turn->history[i];
        turn->history = items;
        *room = more;
    }
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
        enum err err = message_page(store_reader(), &turn->arena, turn->order.conversation_id,
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
    struct str *messages = ARENA_ARRAY(&turn->arena, struct str, count + 1);
    for (size_t i = 0; i < count; i++)
        messages[i] = turn->history[i].content;
    struct lore_scan scan = {
        .character_ids = &turn->character.id,
        .character_count = 1,
        .messages = messages,
        .message_count = count,
        .budget_tokens = turn->plan.context_tokens / LORE_BUDGET_SHARE,
    };
    return lore_activate(store_reader(), &turn->arena, &scan, &turn->lore, &turn->lore_count);
}

static struct str route_name(const struct turn *turn) {
    return turn->settings.route.len > 0 ? turn->settings.route : STR("default");
}

static enum step recall(struct turn *turn) {
    if (!wants_reply(turn)) {
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

/* --- assemble
 * --------------------------------------------------------------------------------------------------------------------
 */

static enum step assemble(struct turn *turn) {
    if (turn->err != E_OK)
        return NEXT;
    turn->input = (struct prompt_input){
        .character = &turn->character,
        .user_name = turn->persona.name,
        .persona = turn->persona.description,
        .settings = &turn->settings,
        .lore = turn->lore,
        .lore_count = turn->lore_count,
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
    turn->err = prompt_assemble(&turn->arena, &turn->input, &turn->prompt);
    if (turn->err != E_OK)
        turn->detail = "The message is too long for the context of this model.";
    return NEXT;
}

/* --- announce
 * --------------------------------------------------------------------------------------------------------------------
 */

static void announce_said(struct turn *turn) {
    struct str message = message_text(&turn->arena, &turn->said);
    struct event event;
    event_begin(&event, turn);
    JSON_RAW(&event.json, "message", message);
    if (turn->order.client_id.at != NULL)
        JSON_STR(&event.json, "client_id", turn->order.client_id);
    event_publish(&event, turn, "message:received");
    if (turn->listener.recorded != NULL)
        turn->listener.recorded(turn->listener.ctx, turn->id, message);
}

static void announce_reply(struct turn *turn) {
    struct event event;
    event_begin(&event, turn);
    JSON_ID(&event.json, "message_id", turn->reply.id);
    JSON_ID(&event.json, "parent_id", turn->reply.parent_id);
    JSON_OBJECT(&event.json, "author");
    JSON_STR(&event.json, "kind", turn->reply.author_kind);
    JSON_ID(&event.json, "id", turn->reply.author_id);
    JSON_STR(&event.json, "name", turn->reply.author_name);
    json_object_end(&event.json);
    JSON_OBJECT(&event.json, "swipe");
    JSON_INT(&event.json, "index", turn->reply.swipe_index);
    JSON_INT(&event.json, "count", turn->reply.swipe_count);
    json_object_end(&event.json);
    JSON_BOOL(&event.json, "continues", turn->order.kind == TURN_CONTINUE);
    JSON_BOOL(&event.json, "path_changed",
              turn->is_path_changed && turn->order.kind == TURN_REGENERATE);
    event_publish(&event, turn, "message:stream:start");
    if (turn->said.id == 0 && turn->listener.recorded != NULL)
        turn->listener.recorded(turn->listener.ctx, turn->id,
                                message_text(&turn->arena, &turn->reply));
}

static enum step announce(struct turn *turn) {
    if (!turn->is_recorded)
        return WAIT;
    if (turn->record_err != E_OK) {
        turn->err = turn->record_err;
        turn->detail = turn->err == E_ABSENT
                           ? "The conversation is gone."
                           : "The message could not be stored; nothing was changed.";
        return FAIL;
    }
    bool has_slipped_in =
        turn->said.id != 0 && wants_reply(turn) && turn->said.parent_id != turn->leaf_id;
    if (has_slipped_in) {
        turn->leaf_id = turn->said.parent_id;
        turn->err = E_OK;
        turn->stage = STAGE_RECORD; /* NEXT leads to recall */
        return NEXT;
    }
    if (turn->said.id != 0)
        announce_said(turn);
    if (!wants_reply(turn)) {
        turn->outcome = "complete";
        turn->stage = STAGE_KEEP; /* NEXT leads to settle */
        return NEXT;
    }
    announce_reply(turn);
    return NEXT;
}

/* --- speak
 * ---------------------------------------------------------------------------------------------------------------------------
 */

static void tell(struct turn *turn) {
    timer_stop(&turn->batch_timer);
    if (turn->told_len == turn->text.len && turn->told_reasoning_len == turn->reasoning.len)
        return;
    struct event event;
    event_begin(&event, turn);
    JSON_ID(&event.json, "message_id", turn->reply.id);
    JSON_STR(&event.json, "delta",
             str_of(turn->text.at + turn->told_len, turn->text.len - turn->told_len));
    if (turn->reasoning.len > turn->told_reasoning_len)
        JSON_STR(&event.json, "reasoning",
                 str_of(turn->reasoning.at + turn->told_reasoning_len,
                        turn->reasoning.len - turn->told_reasoning_len));
    turn->told_len = turn->text.len;
    turn->told_reasoning_len = turn->reasoning.len;
    turn->speech.text = buf_str(&turn->text);
    turn->speech.reasoning = buf_str(&turn->reasoning);
    turn->told_us = clock_mono_us();
    event_publish(&event, turn, "message:stream:chunk");
}

static void on_batch_due(void *ctx) {
    tell(ctx);
}

static void tell_soon(struct turn *turn) {
    if (timer_is_armed(&turn->batch_timer))
        return;
    int64_t since_ms = (clock_mono_us() - turn->told_us) / 1000;
    if (turn->told_us == 0 || since_ms >= BATCH_MS)
        tell(turn);
    else
        timer_start(&turn->batch_timer, BATCH_MS - since_ms, on_batch_due, turn);
}

/* What one flush carries to the writer: copies, because the turn speaks on meanwhile. */
struct flush {
    struct variant_text text;
    struct arena arena;
};

static enum err writer_flush(struct tx *tx, void *ctx) {
    return variant_save(tx, &((struct flush *)ctx)->text);
}

static void on_flushed(enum err err, void *ctx) {
    struct flush *flush = ctx;
    if (err != E_OK)
        log_warn("turn", "flush failed, the reply goes on",
                 LF_ID("message", flush->text.message_id), LF_Z("error", err_word(err)));
    arena_release(&flush->arena);
    free(flush);
}

static void on_flush_due(void *ctx) {
    struct turn *turn = ctx;
    timer_start(&turn->flush_timer, FLUSH_MS, on_flush_due, turn);
    if (turn->stored_len == turn->text.len)
        return;
    struct flush *flush = calloc(1, sizeof *flush);
    BUG_IF(flush == NULL);
    arena_init(&flush->arena);
    flush->text = (struct variant_text){
        .message_id = turn->reply.id,
        .place = turn->reply.swipe_index,
        .state = STR("streaming"),
        .content = str_dup(&flush->arena, buf_str(&turn->text)),
        .reasoning =
            turn->reasoning.len > 0 ? str_dup(&flush->arena, buf_str(&turn->reasoning)) : STR_NONE,
        .model = str_dup(&flush->arena, turn->model_name),
        .prompt_tokens = -1,
        .reply_tokens = -1,
        .now = clock_now_ms(),
    };
    turn->stored_len = turn->text.len;
    store_write(writer_flush, on_flushed, flush);
}

static void on_began(void *ctx, const struct chat_endpoint *endpoint) {
    struct turn *turn = ctx;
    MAGIC_CHECK(turn, TURN_MAGIC);
    turn->model_id = endpoint->model_id;
    turn->model_name = str_dup(&turn->arena, endpoint->name);
}

static void note_first_token(struct turn *turn) {
    if (turn->first_token_us != 0)
        return;
    turn->first_token_us = clock_mono_us();
    metric_observe_us(&first_token, turn->first_token_us - turn->began_us);
    timer_start(&turn->flush_timer, FLUSH_MS, on_flush_due, turn);
}

static void on_delta(void *ctx, struct str text) {
    struct turn *turn = ctx;
    MAGIC_CHECK(turn, TURN_MAGIC);
    note_first_token(turn);
    buf_add_str(&turn->text, text);
    tell_soon(turn);
    if (turn->text.err != E_OK && turn->finish_reason == NULL) {
        turn->finish_reason = "length";
        route_cancel(turn->call);
    }
}

static void on_reasoning(void *ctx, struct str text) {
    struct turn *turn = ctx;
    MAGIC_CHECK(turn, TURN_MAGIC);
    note_first_token(turn);
    buf_add_str(&turn->reasoning, text);
    tell_soon(turn);
}

static bool has_spoken(const struct turn *turn) {
    return turn->text.len > turn->before_len;
}

static void on_done(void *ctx, enum chat_finish finish, const struct chat_usage *usage) {
    struct turn *turn = ctx;
    MAGIC_CHECK(turn, TURN_MAGIC);
    turn->call = NULL;
    turn->usage = *usage;
    turn->outcome = "complete";
    turn->finish_reason = chat_finish_word(finish);
    if (!has_spoken(turn) && turn->order.kind != TURN_CONTINUE) {
        turn->outcome = "failed";
        turn->err = E_UPSTREAM;
        turn->detail = "The model answered with nothing. Try again, or choose another model.";
    }
    resume(turn);
}

static void on_failed(void *ctx, const struct chat_failure *failure) {
    struct turn *turn = ctx;
    MAGIC_CHECK(turn, TURN_MAGIC);
    turn->call = NULL;
    bool is_too_long = turn->finish_reason != NULL && failure->err == E_CANCELLED;
    if (is_too_long) {
        turn->outcome = "complete";
    } else if (turn->is_stopped || turn->is_shut_down) {
        turn->outcome = turn->is_stopped ? "stopped" : "interrupted";
        turn->finish_reason = turn->outcome;
    } else {
        turn->outcome = has_spoken(turn) ? "interrupted" : "failed";
        turn->finish_reason = "error";
        turn->err = failure->err == E_OK ? E_UPSTREAM : failure->err;
        turn->detail = str_dup_z(&turn->arena, failure->detail.len > 0
                                                   ? failure->detail
                                                   : STR("The model could not be reached."));
    }
    resume(turn);
}

static const struct route_events route_events = {on_began, on_delta, on_reasoning, on_done,
                                                 on_failed};

static enum step speak(struct turn *turn) {
    if (turn->outcome != NULL)
        return NEXT;
    if (turn->err != E_OK || turn->is_stopped || turn->is_shut_down) {
        turn->outcome = turn->err != E_OK ? "failed" : turn->is_stopped ? "stopped" : "interrupted";
        turn->finish_reason = turn->err != E_OK ? "error" : turn->outcome;
        return NEXT;
    }
    turn->speech = (struct room_speech){
        .turn_id = turn->id, .message_id = turn->reply.id, .swipe = turn->reply.swipe_index};
    turn->speech.text = buf_str(&turn->text);
    room_speech_begin(turn->order.conversation_id, &turn->speech);
    turn->request = (struct chat_request){
        .messages = turn->prompt.messages,
        .message_count = turn->prompt.message_count,
        .card = &turn->prompt.card,
        .sampling = conversation_sampling(&turn->settings),
        .is_continue = turn->order.kind == TURN_CONTINUE,
    };
    turn->call = route_start(turn->input.route_name, &turn->request, &route_events, turn);
    return WAIT;
}

/* --- keep
 * ------------------------------------------------------------------------------------------------------------------------------
 */

static bool is_usage_reported(const struct turn *turn) {
    return turn->usage.prompt_tokens >= 0 && turn->usage.reply_tokens >= 0;
}

static struct usage_record usage_of(const struct turn *turn) {
    bool is_reported = is_usage_reported(turn);
    return (struct usage_record){
        .user_id = turn->order.user_id,
        .conversation_id = turn->order.conversation_id,
        .message_id = turn->reply.id,
        .model_id = turn->model_id,
        .task = "chat",
        .outcome = turn->outcome,
        .prompt_tokens = is_reported ? turn->usage.prompt_tokens : turn->prompt.used_tokens,
        .reply_tokens = is_reported ? turn->usage.reply_tokens : turn->reply.reply_tokens,
        .is_estimated = !is_reported,
        .first_token_ms =
            turn->first_token_us == 0 ? -1 : (turn->first_token_us - turn->began_us) / 1000,
        .total_ms = (turn->ended_us - turn->began_us) / 1000,
    };
}

static enum err writer_keep_prompt(struct tx *tx, const struct turn *turn, int64_t now) {
    struct buf buf;
    struct json json;
    buf_init(&buf, PROMPT_RECORD_LIMIT_BYTES);
    json_init(&json, &buf);
    prompt_write(&json, &turn->input, &turn->prompt);
    /* A prompt beyond the ceiling is not worth losing the reply for: then it has no record. */
    enum err err = buf.err != E_OK ? E_OK
                                   : prompt_save(tx, turn->reply.id, turn->reply.swipe_index,
                                                 buf_str(&buf), now);
    buf_release(&buf);
    return err;
}

/* On the writer thread; the loop waits, so the whole turn may be read. */
static enum err writer_keep(struct tx *tx, void *ctx) {
    const struct turn *turn = ctx;
    struct variant_text text = {
        .message_id = turn->reply.id,
        .place = turn->reply.swipe_index,
        .state = turn->reply.state,
        .content = turn->reply.content,
        .reasoning = turn->reply.reasoning,
        .model = turn->reply.model,
        .finish_reason = turn->reply.finish_reason,
        .prompt_tokens = turn->reply.prompt_tokens,
        .reply_tokens = turn->reply.reply_tokens,
        .now = turn->reply.updated_at,
    };
    struct usage_record usage = usage_of(turn);
    struct arena arena;
    arena_init(&arena);
    enum err err = variant_save(tx, &text);
    if (err == E_OK)
        err = message_touch(tx, text.message_id, text.now);
    if (err == E_OK && turn->prompt.message_count > 0)
        err = writer_keep_prompt(tx, turn, text.now);
    if (err == E_OK && turn->prompt.message_count > 0)
        err = model_record_usage(tx, &usage);
    if (err == E_OK)
        err =
            conversation_spoken(tx, turn->order.conversation_id, turn->reply.id,
                                conversation_line(&arena, text.content), turn->is_unseen, text.now);
    arena_release(&arena);
    return err;
}

static void on_kept(enum err err, void *ctx);

static void keep_again(void *ctx) {
    store_write(writer_keep, on_kept, ctx);
}

static void on_kept(enum err err, void *ctx) {
    struct turn *turn = ctx;
    MAGIC_CHECK(turn, TURN_MAGIC);
    if (err != E_OK && ++turn->keep_tries < KEEP_RETRIES && loop_phase() == LOOP_RUNNING) {
        log_error("turn", "reply could not be stored, trying again",
                  LF_ID("message", turn->reply.id), LF_Z("error", err_word(err)));
        timer_start(&turn->retry_timer, KEEP_RETRY_MS, keep_again, turn);
        return;
    }
    if (err != E_OK) {
        turn->err = err;
        turn->detail = "The reply could not be stored.";
        turn->outcome = "failed";
    }
    turn->is_waiting = false;
    turn->stage = STAGE_SETTLE;
    advance(turn);
}

static enum step keep(struct turn *turn) {
    tell(turn);
    timer_stop(&turn->flush_timer);
    turn->ended_us = clock_mono_us();
    struct message *reply = &turn->reply;
    bool has_reported = is_usage_reported(turn);
    reply->state = str_from(turn->outcome);
    reply->content = buf_str(&turn->text);
    reply->reasoning = turn->reasoning.len > 0 ? buf_str(&turn->reasoning) : STR_NONE;
    reply->model = turn->model_name;
    reply->finish_reason = str_from(turn->finish_reason);
    reply->prompt_tokens = has_reported ? turn->usage.prompt_tokens : turn->prompt.used_tokens;
    reply->reply_tokens = has_reported ? turn->usage.reply_tokens : tokens_estimate(reply->content);
    reply->updated_at = clock_now_ms();
    reply->revision++;
    turn->is_unseen =
        turn->listener.finished == NULL && room_listeners(turn->order.conversation_id) == 0;
    store_write(writer_keep, on_kept, turn);
    return WAIT;
}

/* --- settle
 * ------------------------------------------------------------------------------------------------------------------------------
 */

static void write_error(struct json *json, const struct turn *turn) {
    JSON_OBJECT(json, "error");
    JSON_STR(json, "code", str_from(err_word(turn->err)));
    JSON_STR(json, "detail",
             str_from(turn->detail != NULL ? turn->detail : "Something went wrong."));
    JSON_BOOL(json, "retryable", err_is_retryable(turn->err) || turn->err == E_UPSTREAM);
    json_object_end(json);
}

static void tell_end(struct turn *turn, struct str message) {
    struct event event;
    event_begin(&event, turn);
    JSON_ID(&event.json, "message_id", turn->reply.id);
    JSON_RAW(&event.json, "message", message);
    if (turn->err != E_OK) {
        write_error(&event.json, turn);
        event_publish(&event, turn, "message:stream:error");
        return;
    }
    JSON_OBJECT(&event.json, "usage");
    JSON_INT(&event.json, "prompt_tokens", turn->reply.prompt_tokens);
    JSON_INT(&event.json, "reply_tokens", turn->reply.reply_tokens);
    JSON_BOOL(&event.json, "is_estimated", !is_usage_reported(turn));
    json_object_end(&event.json);
    JSON_STR(&event.json, "finish_reason", turn->reply.finish_reason);
    event_publish(&event, turn, "message:stream:complete");
}

static void count_end(const struct turn *turn) {
    static const struct {
        const char *outcome;
        struct metric *metric;
    } rows[] = {{"complete", &turns_complete},
                {"stopped", &turns_stopped},
                {"interrupted", &turns_interrupted},
                {"failed", &turns_failed}};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (str_eq(str_from(turn->outcome), str_from(rows[i].outcome)))
            metric_add(rows[i].metric, 1);
    log_info("turn", "turn settled", LF_ID("turn", turn->id),
             LF_ID("conversation", turn->order.conversation_id), LF_Z("outcome", turn->outcome),
             LF_STR("model", turn->model_name), LF_INT("prompt_tokens", turn->reply.prompt_tokens),
             LF_INT("reply_tokens", turn->reply.reply_tokens),
             LF_INT("first_token_ms", turn->first_token_us == 0
                                          ? -1
                                          : (turn->first_token_us - turn->began_us) / 1000),
             LF_INT("ms", (turn->ended_us - turn->began_us) / 1000));
}

static enum step settle(struct turn *turn) {
    struct str said = turn->said.id != 0 ? message_text(&turn->arena, &turn->said) : STR_NONE;
    struct str reply = STR_NONE;
    if (turn->reply.id != 0) {
        reply = message_text(&turn->arena, &turn->reply);
        tell_end(turn, reply);
        count_end(turn);
    }
    if (turn->listener.finished != NULL)
        turn->listener.finished(turn->listener.ctx, turn->err, said, reply, turn->detail);
    turn->listener = (struct turn_listener){0};
    return NEXT;
}

/* --- the driver
 * ----------------------------------------------------------------------------------------------------------------------------
 */

static void turn_free(struct turn *turn) {
    timer_stop(&turn->batch_timer);
    timer_stop(&turn->flush_timer);
    timer_stop(&turn->retry_timer);
    if (list_is_linked(&turn->speech.link))
        room_speech_end(&turn->speech);
    buf_release(&turn->text);
    buf_release(&turn->reasoning);
    turn->magic = 0;
    arena_release(&turn->arena);
    free(turn);
}

static void leave_house(struct turn *turn) {
    list_remove(&turn->link);
    map_remove_id(&by_id, turn->id);
    if (map_find_id(&by_conversation, turn->order.conversation_id) == turn)
        map_remove_id(&by_conversation, turn->order.conversation_id);
    metric_set(&turns_running, (int64_t)by_conversation.count);
    loop_let_go();
    turn_free(turn);
}

/* Ends a turn whose message could not be stored: only the caller that waits needs to know. */
static void give_up(struct turn *turn) {
    if (turn->listener.finished != NULL)
        turn->listener.finished(turn->listener.ctx, turn->err, STR_NONE, STR_NONE, turn->detail);
    leave_house(turn);
}

#define STAGE_ROW(name, function) [STAGE_##name] = function,
static enum step (*const stages[])(struct turn *) = {TURN_STAGES(STAGE_ROW)};
#undef STAGE_ROW

static void advance(void *ctx) {
    struct turn *turn = ctx;
    while (turn->stage < STAGE_OVER) {
        enum step step = stages[turn->stage](turn);
        turn->is_waiting = step == WAIT;
        if (step == WAIT)
            return;
        if (step == FAIL)
            return give_up(turn);
        turn->stage++;
    }
    leave_house(turn);
}

/* An event came for the stage that waits: it runs again and sees what has changed. */
static void resume(struct turn *turn) {
    if (turn->is_waiting)
        advance(turn);
}

/* --- from outside
 * ------------------------------------------------------------------------------------------------------------------------------
 */

static struct turn *turn_new(const struct turn_order *order, const struct turn_listener *listener) {
    struct turn *turn = calloc(1, sizeof *turn);
    BUG_IF(turn == NULL);
    turn->magic = TURN_MAGIC;
    arena_init(&turn->arena);
    turn->id = id_new();
    turn->order = *order;
    turn->order.content = str_dup(&turn->arena, order->content);
    turn->order.client_id =
        order->client_id.at == NULL ? STR_NONE : str_dup(&turn->arena, order->client_id);
    if (listener != NULL)
        turn->listener = *listener;
    turn->usage = (struct chat_usage){-1, -1};
    turn->began_us = clock_mono_us();
    buf_init(&turn->text, REPLY_LIMIT_BYTES);
    buf_init(&turn->reasoning, REPLY_LIMIT_BYTES);
    return turn;
}

enum err turn_start(const struct turn_order *order, const struct turn_listener *listener,
                    int64_t *turn_id, const char **detail) {
    struct turn *turn = turn_new(order, listener);
    if (admit(turn) != NEXT) {
        enum err err = turn->err;
        *detail = turn->detail;
        turn_free(turn);
        return err;
    }
    turn->stage = STAGE_RECORD;
    *turn_id = turn->id;
    list_add_last(&running, &turn->link);
    map_put_id(&by_id, turn->id, turn);
    if (wants_reply(turn))
        map_put_id(&by_conversation, order->conversation_id, turn);
    metric_add(&turns_started, 1);
    metric_set(&turns_running, (int64_t)by_conversation.count);
    loop_hold();
    loop_later(advance, turn);
    return E_OK;
}

void turn_forget_listener(int64_t turn_id) {
    struct turn *turn = map_find_id(&by_id, turn_id);
    if (turn != NULL)
        turn->listener = (struct turn_listener){0};
}

int turn_stop(int64_t conversation_id) {
    struct turn *turn = map_find_id(&by_conversation, conversation_id);
    if (turn == NULL || turn->outcome != NULL)
        return 0;
    turn->is_stopped = true;
    if (turn->call != NULL)
        route_cancel(turn->call);
    return 1;
}

bool turn_is_running(int64_t conversation_id) {
    return map_find_id(&by_conversation, conversation_id) != NULL;
}

int64_t turn_count(void) {
    return (int64_t)by_id.count;
}

static void on_drain(void *ctx) {
    (void)ctx;
    is_draining = true;
}

/* The grace is over: what is still being spoken is kept and marked. */
static void on_stopped(void *ctx) {
    (void)ctx;
    LIST_EACH_SAFE(&running, node) {
        struct turn *turn = CONTAINER_OF(node, struct turn, link);
        turn->is_shut_down = true;
        if (turn->call != NULL)
            route_cancel(turn->call);
    }
}

static enum err writer_recover(struct tx *tx, void *ctx) {
    return conversation_mark_interrupted(tx, clock_now_ms(), ctx);
}

enum err turn_recover(void) {
    int64_t marked = 0;
    enum err err = store_write_and_wait(writer_recover, &marked);
    if (marked > 0)
        log_warn("turn", "replies that a crash cut off were marked", LF_INT("count", marked));
    map_init(&by_id);
    map_init(&by_conversation);
    loop_on_drain(on_drain, NULL);
    loop_on_stopped(on_stopped, NULL);
    return err;
}
