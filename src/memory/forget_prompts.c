/*
 * Recorded prompts show what stood in them, memories too. A durable job, which carries no text, takes
 * the memories and summaries out of every prompt of a conversation since the oldest of the forgotten
 * facts, some prompts a write, so that turns come in between.
 */
#include "memory/forget.h"

#include "base/buf.h"
#include "base/deflate.h"
#include "base/id.h"
#include "memory/memory_store.h"

#include "base/banned.h"

#define RECORD_LIMIT_BYTES  ((size_t)16 << 20)
#define SCRUB_BATCH         8  /* prompts of one write: some milliseconds */
#define CONVERSATIONS_AHEAD 64 /* looked up at once */

/* --- which prompts ---------------------------------------------------------------------------- */

static enum err queue_one(struct tx *tx, int64_t conversation_id, int64_t user_id, int64_t since) {
    int64_t job_id;
    struct arena arena;
    arena_init(&arena);
    enum err err = job_add(tx, "memory.scrub", user_id,
                           str_printf(&arena, "{\"conversation_id\":\"%s\",\"since\":%lld}",
                                      id_text(conversation_id).at, (long long)since),
                           0, &job_id);
    arena_release(&arena);
    return err;
}

enum err forget_queue_scrub(struct tx *tx, const struct memory_scope *scope, int64_t since) {
    if (!scope->is_shared)
        return queue_one(tx, scope->conversation_id, scope->user_id, since);
    int64_t ids[CONVERSATIONS_AHEAD], after = 0;
    size_t count = CONVERSATIONS_AHEAD;
    enum err err = E_OK;
    while (err == E_OK && count == CONVERSATIONS_AHEAD) {
        err = memory_store_conversations(tx_db(tx), scope, after, ids, CONVERSATIONS_AHEAD, &count);
        for (size_t i = 0; i < count && err == E_OK; i++)
            err = queue_one(tx, after = ids[i], scope->user_id, since);
    }
    return err;
}

/* --- without what was remembered -------------------------------------------------------------- */

static bool is_memory_part(const struct json_value *part) {
    struct str name = json_string(json_member(part, "name"), STR(""));
    return str_eq(name, STR("memories")) || str_eq(name, STR("summary"));
}

static bool has_memory(const struct json_value *record) {
    const struct json_value *part = json_first(json_member(record, "parts"));
    for (; part != NULL; part = json_next(part))
        if (is_memory_part(part) && json_string(json_member(part, "content"), STR("")).len > 0)
            return true;
    return json_count(json_member(record, "memories")) > 0;
}

static void write_parts(struct json *json, const struct json_value *parts) {
    json_array_begin(json);
    for (const struct json_value *part = json_first(parts); part; part = json_next(part)) {
        bool is_memory = is_memory_part(part);
        json_object_begin(json);
        for (const struct json_value *member = json_first(part); member;
             member = json_next(member)) {
            json_key(json, json_name(member));
            if (is_memory && str_eq(json_name(member), STR("content")))
                json_write_str(json, STR(""));
            else
                json_write_value(json, member);
        }
        json_object_end(json);
    }
    json_array_end(json);
}

/* The record without what was remembered; STR_NONE when it had nothing of it. */
static struct str cleaned(struct arena *arena, struct str deflated) {
    struct str text;
    const struct json_value *record = NULL;
    if (inflate_bytes(arena, deflated, RECORD_LIMIT_BYTES, &text) != E_OK ||
        json_parse(arena, text, &record, NULL) != E_OK || !has_memory(record))
        return STR_NONE;
    struct buf buf;
    struct json json;
    buf_init(&buf, RECORD_LIMIT_BYTES);
    json_init(&json, &buf);
    json_object_begin(&json);
    for (const struct json_value *member = json_first(record); member; member = json_next(member)) {
        json_key(&json, json_name(member));
        if (str_eq(json_name(member), STR("parts"))) {
            write_parts(&json, member);
        } else if (str_eq(json_name(member), STR("memories"))) {
            json_array_begin(&json);
            json_array_end(&json);
        } else {
            json_write_value(&json, member);
        }
    }
    json_object_end(&json);
    struct str out = deflate_bytes(arena, buf_str(&buf));
    buf_release(&buf);
    return out;
}

/* --- the job ---------------------------------------------------------------------------------- */

struct scrub {
    int64_t conversation_id, since;
    struct memory_prompt last; /* that was cleaned; its record is not kept */
};

static enum err writer_scrub(struct tx *tx, void *ctx, bool *has_more) {
    struct scrub *scrub = ctx;
    struct memory_prompt prompts[SCRUB_BATCH];
    struct arena arena;
    size_t count;
    arena_init(&arena);
    tx_overwrite_freed(tx, true);
    enum err err = memory_store_prompts(tx_db(tx), &arena, scrub->conversation_id, scrub->since,
                                        &scrub->last, prompts, SCRUB_BATCH, &count);
    for (size_t i = 0; i < count && err == E_OK; i++) {
        scrub->last = prompts[i];
        prompts[i].record = cleaned(&arena, prompts[i].record);
        if (prompts[i].record.at != NULL)
            err = memory_store_save_prompt(tx, &prompts[i]);
    }
    scrub->last.record = STR_NONE;
    *has_more = count == SCRUB_BATCH;
    arena_release(&arena);
    return err;
}

void forget_run_scrub(struct job *job) {
    const struct json_value *payload = NULL;
    struct scrub *scrub = ARENA_NEW(&job->arena, struct scrub);
    if (json_parse(&job->arena, job->payload, &payload, NULL) != E_OK ||
        id_parse(json_string(json_member(payload, "conversation_id"), STR("")),
                 &scrub->conversation_id) != E_OK)
        return job_finish(job, E_INPUT, "the job names no conversation");
    scrub->since = json_int(json_member(payload, "since"), 0);
    job_run_batches(job, writer_scrub, scrub, "recorded prompts could not be cleaned");
}
