/*
 * The middle of a turn, once the message is on disk: announce and speak. The text grows in one
 * buffer; listeners get it in batches, the store gets the whole of it once a second.
 */
#include "conversation/turn_inside.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "conversation/message_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define BATCH_MS       50   /* listeners: a screen shows no more than this as movement */
#define FIRST_FLUSH_MS 100  /* soon: it carries the prompt, whose memory is then free */
#define FLUSH_MS       1000 /* store: what a crash may cost of a reply in progress */

METRIC_HISTOGRAM(first_token, "troupe_first_token_seconds",
                 "From the request to the first piece of the reply.");

/* --- announce --------------------------------------------------------------------------------- */

static void announce_said(struct turn *turn) {
    struct str message = turn_message_text(&turn->prompt_arena, &turn->said);
    struct event event;
    turn_event_begin(&event, turn);
    JSON_RAW(&event.json, "message", message);
    if (turn->order.client_id.at != NULL)
        JSON_STR(&event.json, "client_id", turn->order.client_id);
    turn_event_publish(&event, turn, "message:received");
    if (turn->listener.recorded != NULL)
        turn->listener.recorded(turn->listener.ctx, turn->id, message);
}

static void announce_reply(struct turn *turn) {
    struct event event;
    turn_event_begin(&event, turn);
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
    turn_event_publish(&event, turn, "message:stream:start");
    if (turn->said.id == 0 && turn->listener.recorded != NULL)
        turn->listener.recorded(turn->listener.ctx, turn->id,
                                turn_message_text(&turn->prompt_arena, &turn->reply));
}

enum step stage_announce(struct turn *turn) {
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
        turn->said.id != 0 && turn_wants_reply(turn) && turn->said.parent_id != turn->leaf_id;
    if (has_slipped_in) {
        turn->leaf_id = turn->said.parent_id;
        turn->err = E_OK;
        turn->stage = STAGE_RECORD; /* NEXT leads to recall */
        return NEXT;
    }
    if (turn->said.id != 0)
        announce_said(turn);
    if (!turn_wants_reply(turn)) {
        turn->outcome = "complete";
        turn->stage = STAGE_KEEP; /* NEXT leads to settle */
        return NEXT;
    }
    announce_reply(turn);
    return NEXT;
}

/* --- speak ------------------------------------------------------------------------------------ */

void turn_tell(struct turn *turn) {
    timer_stop(&turn->batch_timer);
    list_remove(&turn->to_tell);
    if (turn->told_len == turn->text.len && turn->told_reasoning_len == turn->reasoning.len)
        return;
    struct event event;
    turn_event_begin(&event, turn);
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
    turn_event_publish(&event, turn, "message:stream:chunk");
}

/* With a full house each batch holds more: a read, and a write per listener, is what a thousand streams
 * cost, and the page draws smoothly whatever comes. A little shorter than fetch.c lets a stream gather. */
static int64_t batch_ms(void) {
    int64_t speaking = turn_count();
    return speaking < 100 ? BATCH_MS : speaking < 400 ? 80 : 160;
}

static void on_batch_due(void *ctx) {
    turn_tell(ctx);
}

static struct list to_tell = {&to_tell, &to_tell};

static void tell_all(void *ctx) {
    (void)ctx;
    while (!list_is_empty(&to_tell))
        turn_tell(CONTAINER_OF(to_tell.next, struct turn, to_tell));
}

/* At the end of this turn of the loop: pieces that were read together are told together. */
static void tell_now(struct turn *turn) {
    if (list_is_empty(&to_tell))
        loop_later(tell_all, NULL);
    list_add_last(&to_tell, &turn->to_tell);
}

static void tell_soon(struct turn *turn) {
    if (timer_is_armed(&turn->batch_timer) || list_is_linked(&turn->to_tell))
        return;
    int64_t since_ms = (clock_mono_us() - turn->told_us) / 1000;
    if (turn->told_us == 0 || since_ms >= batch_ms())
        tell_now(turn);
    else
        timer_start(&turn->batch_timer, batch_ms() - since_ms, on_batch_due, turn);
}

/* What one flush carries to the writer: copies, because the turn speaks on meanwhile. The first one
 * also carries the prompt, which stays as it is until then; the turn outlives its flushes, because
 * its own last write comes after them. */
struct flush {
    struct variant_text text;
    struct arena arena;
    struct turn *prompt_of; /* NULL: the prompt is on disk already */
};

static enum err writer_flush(struct tx *tx, void *ctx) {
    struct flush *flush = ctx;
    enum err err = variant_save(tx, &flush->text);
    return err != E_OK || flush->prompt_of == NULL
               ? err
               : writer_keep_prompt(tx, flush->prompt_of, flush->text.now);
}

/* Not once the turn is being kept: then the writer may be reading it. */
static void let_go_of_prompt(struct turn *turn) {
    if (turn->stage != STAGE_SPEAK)
        return;
    turn->is_prompt_kept = true;
    if (turn->order.kind == TURN_CONTINUE)
        return; /* the model may say again what it goes on from: that is compared to the end */
    turn->history = NULL;
    turn->lore = NULL;
    turn->prompt.parts = NULL;
    turn->prompt.messages = NULL;
    turn->request.messages = NULL;
    turn->request.message_count = 0;
    turn->request.card = NULL;
    arena_release(&turn->prompt_arena);
    arena_init(&turn->prompt_arena);
}

static void on_flushed(enum err err, void *ctx) {
    struct flush *flush = ctx;
    if (err != E_OK)
        log_warn("turn", "flush failed, the reply goes on",
                 LF_ID("message", flush->text.message_id), LF_Z("error", err_word(err)));
    if (flush->prompt_of != NULL)
        flush->prompt_of->is_prompt_under_way = false;
    if (flush->prompt_of != NULL && err == E_OK)
        let_go_of_prompt(flush->prompt_of);
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
        .conversation_id = turn->order.conversation_id,
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
    if (!turn->is_prompt_kept && !turn->is_prompt_under_way)
        flush->prompt_of = turn;
    turn->is_prompt_under_way = turn->is_prompt_under_way || flush->prompt_of != NULL;
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
    timer_start(&turn->flush_timer, FIRST_FLUSH_MS, on_flush_due, turn);
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
    turn_resume(turn);
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
    turn_resume(turn);
}

/* The model has as many replies under way as it may. */
static void on_queued(void *ctx, int64_t position) {
    struct turn *turn = ctx;
    struct event event;
    MAGIC_CHECK(turn, TURN_MAGIC);
    turn_event_begin(&event, turn);
    JSON_ID(&event.json, "message_id", turn->reply.id);
    JSON_INT(&event.json, "position", position);
    turn_event_publish(&event, turn, "queue");
}

static const struct route_events route_events = {on_began, on_delta,  on_reasoning,
                                                 on_done,  on_failed, on_queued};

enum step stage_speak(struct turn *turn) {
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
        .estimated_tokens = (int64_t)((double)turn->prompt.used_tokens / turn->input.tokens_scale),
        .sampling = conversation_sampling(&turn->settings),
        .is_continue = turn->order.kind == TURN_CONTINUE,
        .user_id = turn->order.user_id,
    };
    turn->call = route_start(turn->input.route_name, &turn->request, &route_events, turn);
    return WAIT;
}
