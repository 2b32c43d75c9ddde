/*
 * The OpenAI-compatible embedder: POST /v1/embeddings, as OpenAI, llama.cpp, vLLM, LM Studio and
 * others speak it.
 *
 * Floats are asked for, because every server knows them; base64 is taken too, because some send it
 * whatever was asked. Vectors belong to texts by `index`, not by their place; a server that sends no
 * index at all is taken at its order.
 */
#include "model/embed_remote.h"

#include "base/check.h"
#include "model/exchange.h"

#include "base/banned.h"

static struct str address(struct arena *arena, struct str base_url, bool is_old) {
    (void)is_old;
    return openai_address(arena, base_url, STR("embeddings"));
}

static void write_body(struct json *json, const struct embed_endpoint *endpoint,
                       const struct embed_part *part) {
    json_object_begin(json);
    JSON_STR(json, "model", endpoint->model);
    JSON_ARRAY(json, "input");
    for (size_t i = 0; i < part->count; i++)
        json_write_str(json, part->texts[i]);
    json_array_end(json);
    JSON_STR(json, "encoding_format", STR("float"));
    json_object_end(json);
}

static const char *read(struct arena *arena, const struct json_value *document,
                        const struct embed_part *part, struct embed_vectors *vectors) {
    const struct json_value *data = json_member(document, "data");
    bool is_there[EMBED_BATCH_LIMIT] = {false};
    size_t place = 0;
    if (json_type(data) != JSON_ARRAY)
        return "it has no data";
    if (json_count(data) != part->count)
        return "it does not have one vector for each text";
    for (const struct json_value *item = json_first(data); item; item = json_next(item), place++) {
        int64_t index = json_int(json_member(item, "index"), (int64_t)place);
        if (index < 0 || (size_t)index >= part->count || is_there[index])
            return "two vectors claim one text, or one claims none";
        is_there[index] = true;
        const char *wrong =
            embed_read_vector(arena, json_member(item, "embedding"), vectors, (size_t)index);
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}

const struct embed_remote_kind embed_openai_kind = {
    .address = address, .write_body = write_body, .read = read};

static bool is_available(void) {
    return true;
}

static struct embed_call *start(const struct embed_request *request, embed_done_fn done,
                                void *ctx) {
    return embed_remote_start(&embed_openai_kind, request, done, ctx);
}

const struct embed_port embed_openai = {
    .provider = "openai",
    .is_available = is_available,
    .start = start,
    .cancel = embed_remote_cancel,
};
