/*
 * Ollama's own embedder: POST /api/embed with many texts; servers from before that route are asked
 * at /api/embeddings, one text at a time.
 *
 * `truncate` stays at its default, true: a text that is longer than the model's context is cut by
 * the server rather than refused.
 */
#include "model/embed_remote.h"

#include "base/check.h"
#include "model/exchange.h"

#include "base/banned.h"

static struct str address(struct arena *arena, struct str base_url, bool is_old) {
    return ollama_address(arena, base_url, is_old ? STR("embeddings") : STR("embed"));
}

static void write_body(struct json *json, const struct embed_endpoint *endpoint,
                       const struct embed_part *part) {
    json_object_begin(json);
    JSON_STR(json, "model", endpoint->model);
    if (part->is_old) {
        JSON_STR(json, "prompt", part->texts[0]);
    } else {
        JSON_ARRAY(json, "input");
        for (size_t i = 0; i < part->count; i++)
            json_write_str(json, part->texts[i]);
        json_array_end(json);
    }
    json_object_end(json);
}

static const char *read(struct arena *arena, const struct json_value *document,
                        const struct embed_part *part, struct embed_vectors *vectors) {
    if (part->is_old)
        return embed_read_vector(arena, json_member(document, "embedding"), vectors, 0);
    const struct json_value *all = json_member(document, "embeddings");
    size_t place = 0;
    if (json_type(all) != JSON_ARRAY)
        return "it has no embeddings";
    if (json_count(all) != part->count)
        return "it does not have one vector for each text";
    for (const struct json_value *one = json_first(all); one; one = json_next(one), place++) {
        const char *wrong = embed_read_vector(arena, one, vectors, place);
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}

const struct embed_remote_kind embed_ollama_kind = {
    .address = address, .write_body = write_body, .read = read, .has_old_form = true};

static bool is_available(void) {
    return true;
}

static struct embed_call *start(const struct embed_request *request, embed_done_fn done,
                                void *ctx) {
    return embed_remote_start(&embed_ollama_kind, request, done, ctx);
}

const struct embed_port embed_ollama = {
    .provider = "ollama",
    .is_available = is_available,
    .start = start,
    .cancel = embed_remote_cancel,
};
