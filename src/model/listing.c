/* Only a name is needed of an entry; everything else may be missing, null or of another type. */
#include "model/listing.h"

#include "base/banned.h"

#define NAME_BYTES 200

static const struct json_value *entries_of(const struct json_value *document) {
    if (json_type(document) == JSON_ARRAY)
        return document;
    const struct json_value *data = json_member(document, "data");
    return json_type(data) == JSON_ARRAY ? data : json_member(document, "models");
}

static struct str name_of(const struct json_value *entry) {
    static const char *const NAMES[] = {"id", "name", "model", "key"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        struct str name = json_string(json_member(entry, NAMES[i]), STR_NONE);
        if (name.len && name.len <= NAME_BYTES)
            return name;
    }
    return STR_NONE;
}

/* vLLM, llama.cpp, OpenRouter, LM Studio, Anthropic. */
static int64_t context_of(const struct json_value *entry) {
    static const char *const PLACES[] = {"max_model_len",      "meta.n_ctx",
                                         "context_length",     "loaded_context_length",
                                         "max_context_length", "max_input_tokens"};
    for (size_t i = 0; i < sizeof PLACES / sizeof *PLACES; i++) {
        int64_t tokens = json_int(json_path(entry, PLACES[i]), 0);
        if (tokens > 0)
            return tokens;
    }
    return 0;
}

static bool is_known(const struct listing *listing, struct str name) {
    for (size_t i = 0; i < listing->count; i++)
        if (str_eq(listing->names[i], name))
            return true;
    return false;
}

struct listing listing_read(struct arena *arena, const struct json_value *document, size_t limit) {
    struct listing listing = {.names = ARENA_ARRAY(arena, struct str, limit)};
    for (const struct json_value *entry = json_first(entries_of(document));
         entry && listing.count < limit; entry = json_next(entry)) {
        struct str name = name_of(entry);
        if (name.len == 0 || is_known(&listing, name))
            continue;
        listing.names[listing.count++] = str_dup(arena, name);
        if (listing.context_tokens == 0)
            listing.context_tokens = context_of(entry);
    }
    return listing;
}
