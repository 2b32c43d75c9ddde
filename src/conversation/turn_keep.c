/*
 * The end of a turn: keep and settle. Reply, prompt and usage are one commit; if the disk fails at
 * that moment the text stays in memory and is tried again.
 */
#include "conversation/turn_inside.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "conversation/conversation_store.h"
#include "conversation/message_store.h"
#include "memory/memory.h"
#include "model/model.h"
#include "model/tokens.h"

#include "base/banned.h"

#define PROMPT_RECORD_LIMIT_BYTES ((size_t)16 << 20)
#define KEEP_RETRY_MS             1000
#define KEEP_RETRIES              300 /* five minutes to make room on a full disk */

METRIC_LABELLED(turns_complete, "troupe_turns_total", "outcome=\"complete\"",
                "Turns by how they ended.");
METRIC_LABELLED(turns_stopped, "troupe_turns_total", "outcome=\"stopped\"",
                "Turns by how they ended.");
METRIC_LABELLED(turns_interrupted, "troupe_turns_total", "outcome=\"interrupted\"",
                "Turns by how they ended.");
METRIC_LABELLED(turns_failed, "troupe_turns_total", "outcome=\"failed\"",
                "Turns by how they ended.");

/* --- keep ------------------------------------------------------------------------------------- */

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

enum err writer_keep_prompt(struct tx *tx, const struct turn *turn, int64_t now) {
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
    return err != E_OK ? err : writer_keep_memories(tx, turn, now);
}

/* There is something to learn from; what is said anew is learnt anew. */
static enum err writer_learn(struct tx *tx, const struct turn *turn) {
    int64_t conversation_id = turn->order.conversation_id;
    if (turn->order.kind == TURN_REGENERATE || turn->order.kind == TURN_CONTINUE)
        return memory_changed(tx, conversation_id, turn->reply.id, turn->reply.id);
    bool has_said = turn->said.id != 0;
    return memory_said(tx, &(struct memory_said){.conversation_id = conversation_id,
                                                 .user_id = turn->order.user_id,
                                                 .count = has_said ? 2 : 1,
                                                 .text = has_said ? turn->said.content : STR_NONE});
}

/* On the writer thread; the loop waits, so the whole turn may be read. */
static enum err writer_keep(struct tx *tx, void *ctx) {
    const struct turn *turn = ctx;
    struct variant_text text = {
        .conversation_id = turn->order.conversation_id,
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
    if (err == E_OK && turn->prompt.message_count > 0 && !turn->is_prompt_kept)
        err = writer_keep_prompt(tx, turn, text.now);
    if (err == E_OK && turn->prompt.message_count > 0)
        err = model_record_usage(tx, &usage);
    if (err == E_OK)
        err =
            conversation_spoken(tx, turn->order.conversation_id, turn->reply.id,
                                conversation_line(&arena, text.content), turn->is_unseen, text.now);
    if (err == E_OK)
        err = writer_learn(tx, turn);
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
    turn->stage = STAGE_SETTLE;
    turn_resume(turn);
}

enum step stage_keep(struct turn *turn) {
    turn_tell(turn);
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

/* --- settle ----------------------------------------------------------------------------------- */

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
    turn_event_begin(&event, turn);
    JSON_ID(&event.json, "message_id", turn->reply.id);
    JSON_RAW(&event.json, "message", message);
    if (turn->err != E_OK) {
        write_error(&event.json, turn);
        turn_event_publish(&event, turn, "message:stream:error");
        return;
    }
    JSON_OBJECT(&event.json, "usage");
    JSON_INT(&event.json, "prompt_tokens", turn->reply.prompt_tokens);
    JSON_INT(&event.json, "reply_tokens", turn->reply.reply_tokens);
    JSON_BOOL(&event.json, "is_estimated", !is_usage_reported(turn));
    json_object_end(&event.json);
    JSON_STR(&event.json, "finish_reason", turn->reply.finish_reason);
    turn_event_publish(&event, turn, "message:stream:complete");
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

enum step stage_settle(struct turn *turn) {
    struct str said = turn->said.id != 0 ? turn_message_text(&turn->arena, &turn->said) : STR_NONE;
    struct str reply = STR_NONE;
    if (turn->reply.id != 0) {
        reply = turn_message_text(&turn->arena, &turn->reply);
        tell_end(turn, reply);
        count_end(turn);
    }
    if (turn->listener.finished != NULL)
        turn->listener.finished(turn->listener.ctx, turn->err, said, reply, turn->detail);
    turn->listener = (struct turn_listener){0};
    return NEXT;
}
