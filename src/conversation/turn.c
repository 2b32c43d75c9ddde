/*
 * A turn: one chat message, from the moment somebody asks to the moment the reply is on disk.
 *
 * The stages are listed in turn_inside.h and stand, in the order in which they happen, in
 * turn_prepare.c (before anybody hears of it), turn_speak.c (the words) and turn_keep.c (the end).
 * Each is a short function that answers NEXT, LATER (the same, when the loop has come round), WAIT
 * (an event will resume it) or FAIL; this file drives them. A turn belongs to its conversation: no
 * connection can end it. Four events come from outside, and every stage answers them the same way:
 *
 *   stop (the person)   what is awaited is cancelled, what was spoken is kept, finish reason `stopped`
 *   failed (the model)  route.c has tried every model that may speak before the first token; after
 *                       it, the text is kept and marked
 *   listener left       nothing
 *   shutdown            it speaks until the grace ends, then is kept and marked `interrupted`; what a
 *                       crash left is marked so at the next start
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
#include "conversation/turn_inside.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/map.h"
#include "base/metric.h"
#include "conversation/conversation_store.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/banned.h"

/* A quarter of a million tokens: no reply is longer, a model gone wild is. */
#define REPLY_LIMIT_BYTES ((size_t)1 << 20)

METRIC_COUNTER(turns_started, "troupe_turns_started_total", "Turns that were admitted.");
METRIC_GAUGE(turns_running, "troupe_turns_running", "Replies that are being spoken now.");

static struct list running = {&running, &running};
static struct map by_id;           /* every turn */
static struct map by_conversation; /* the one that speaks */

struct turn *turn_find(int64_t turn_id) {
    return map_find_id(&by_id, turn_id);
}

bool turn_wants_reply(const struct turn *turn) {
    return turn->order.kind != TURN_SEND || turn->order.wants_reply;
}

void turn_event_begin(struct event *event, const struct turn *turn) {
    buf_init(&event->buf, TURN_EVENT_LIMIT_BYTES);
    json_init(&event->json, &event->buf);
    json_object_begin(&event->json);
    JSON_ID(&event->json, "conversation_id", turn->order.conversation_id);
    JSON_ID(&event->json, "turn_id", turn->id);
}

void turn_event_publish(struct event *event, const struct turn *turn, const char *type) {
    json_object_end(&event->json);
    if (event->buf.err == E_OK)
        room_publish(turn->order.conversation_id, type, buf_str(&event->buf));
    buf_release(&event->buf);
}

struct str turn_message_text(struct arena *arena, const struct message *message) {
    struct buf buf;
    struct json json;
    buf_init(&buf, TURN_EVENT_LIMIT_BYTES);
    json_init(&json, &buf);
    message_write(&json, message);
    struct str text = str_dup(arena, buf_str(&buf));
    buf_release(&buf);
    return text;
}

/* --- the driver ------------------------------------------------------------------------------- */

static void turn_free(struct turn *turn) {
    turn_stop_consulting(turn);
    turn_forget_memories(turn);
    list_remove(&turn->to_tell);
    timer_stop(&turn->batch_timer);
    timer_stop(&turn->flush_timer);
    timer_stop(&turn->retry_timer);
    if (list_is_linked(&turn->speech.link))
        room_speech_end(&turn->speech);
    buf_release(&turn->text);
    buf_release(&turn->reasoning);
    turn->magic = 0;
    arena_release(&turn->prompt_arena);
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
        if (step == LATER)
            return loop_later(advance, turn);
    }
    leave_house(turn);
}

/* An event came for the stage that waits: it runs again and sees what has changed. */
void turn_resume(struct turn *turn) {
    if (turn->is_waiting)
        advance(turn);
}

/* --- from outside ----------------------------------------------------------------------------- */

static struct turn *turn_new(const struct turn_order *order, const struct turn_listener *listener) {
    struct turn *turn = calloc(1, sizeof *turn);
    BUG_IF(turn == NULL);
    turn->magic = TURN_MAGIC;
    arena_init_with(&turn->arena, turn->room, sizeof turn->room);
    arena_init(&turn->prompt_arena);
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
    if (stage_admit(turn) != NEXT) {
        enum err err = turn->err;
        *detail = turn->detail;
        turn_free(turn);
        return err;
    }
    turn->stage = STAGE_RECORD;
    *turn_id = turn->id;
    list_add_last(&running, &turn->link);
    map_put_id(&by_id, turn->id, turn);
    if (turn_wants_reply(turn))
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

int64_t turn_count_of(int64_t user_id) {
    int64_t count = 0;
    LIST_EACH(&running, node)
        count += CONTAINER_OF(node, struct turn, link)->order.user_id == user_id;
    return count;
}

int64_t turn_stop_person(int64_t user_id) {
    LIST_EACH(&running, node) {
        const struct turn *turn = CONTAINER_OF(node, struct turn, link);
        if (turn->order.user_id == user_id)
            (void)turn_stop(turn->order.conversation_id);
    }
    return turn_count_of(user_id);
}

bool turn_is_running(int64_t conversation_id) {
    return map_find_id(&by_conversation, conversation_id) != NULL;
}

int64_t turn_count(void) {
    return (int64_t)by_id.count;
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
    loop_on_stopped(on_stopped, NULL);
    return err;
}
