/*
 * Whose memory it is comes before everything else: who asks for another person's is told that there
 * is none.
 */
#include "memory/memory_request.h"

#include "base/buf.h"
#include "memory/learn.h"
#include "memory/memory_store.h"

#include "base/banned.h"

#define EVENT_LIMIT_BYTES 1000 /* an id and a word */

bool memory_is_callers(struct request *request, int64_t conversation_id) {
    if (memory_store_owns(store_reader(), conversation_id, request->caller.user_id))
        return true;
    reply_error(request, E_ABSENT);
    return false;
}

bool memory_request_scope(struct request *request, struct memory_scope *scope) {
    if (!memory_is_callers(request, request->ids[0]))
        return false;
    enum err err = memory_store_scope(store_reader(), request->ids[0], scope);
    if (err != E_OK)
        reply_error(request, err);
    return err == E_OK;
}

/* Its own facts, or those that are shared with it. */
static bool is_shown(const struct memory_scope *scope, const struct memory_fact *fact) {
    return fact->user_id == scope->user_id &&
           (fact->conversation_id == scope->conversation_id ||
            (scope->is_shared && fact->character_id == scope->character_id));
}

bool memory_request_fact(struct request *request, struct memory_scope *scope,
                         struct memory_fact *fact) {
    if (!memory_request_scope(request, scope))
        return false;
    enum err err = memory_store_fact(store_reader(), request->arena, request->ids[1], fact);
    if (err == E_OK && !is_shown(scope, fact))
        err = E_ABSENT;
    if (err == E_OK)
        err = memory_store_sources(store_reader(), request->arena, fact);
    if (err != E_OK)
        reply_error(request, err);
    return err == E_OK;
}

enum err writer_expected_fact(struct tx *tx, struct arena *arena, int64_t id, int64_t expected,
                              struct memory_fact *fact) {
    enum err err = memory_store_fact(tx_db(tx), arena, id, fact);
    return err == E_OK && expected >= 0 && expected != fact->revision ? E_CONFLICT : err;
}

void memory_tell_updated(struct request *request, const char *what) {
    struct buf buf;
    struct json json;
    buf_init(&buf, EVENT_LIMIT_BYTES);
    json_init(&json, &buf);
    json_object_begin(&json);
    JSON_ID(&json, "conversation_id", request->ids[0]);
    JSON_STR(&json, "what", str_from(what));
    json_object_end(&json);
    if (learn_hooks != NULL)
        learn_hooks->publish(request->ids[0], "memory:updated", buf_str(&buf));
    buf_release(&buf);
}
