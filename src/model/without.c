/*
 * Servers of the same family differ in what they take, and say so in prose. What is known of them is
 * not kept over a restart: a server that was updated is asked anew, and forgetting costs one more
 * request.
 */
#include "model/without.h"

#include "base/check.h"

#include "base/banned.h"

#define REMEMBERED 64 /* endpoints; a few are in use */

/* --- what a refusal is about -------------------------------------------------------------------- */

/* Words in a refusal that name what it is about. */
static const struct {
    unsigned without;
    struct str word;
} REFUSED[] = {
    {WITHOUT_STREAM_OPTIONS, {"stream_options", 14}},
    {WITHOUT_EXTRAS, {"top_k", 5}},
    {WITHOUT_EXTRAS, {"min_p", 5}},
    {WITHOUT_EXTRAS, {"repetition_penalty", 18}},
    {WITHOUT_EXTRAS, {"repeat_penalty", 14}},
    {WITHOUT_PENALTIES, {"frequency_penalty", 17}},
    {WITHOUT_PENALTIES, {"presence_penalty", 16}},
    {WITHOUT_TEMPERATURE, {"temperature", 11}},
    {WITHOUT_TOP_P, {"top_p", 5}},
    {WITHOUT_SEED, {"seed", 4}},
    {WITHOUT_STOP, {"'stop'", 6}},
    {WITHOUT_STOP, {"\"stop\"", 6}},
    {WITHOUT_STOP, {"stop_sequences", 14}},
    {WITHOUT_MAX_TOKENS, {"max_completion_tokens", 21}},
    {WITHOUT_PREFILL, {"continue_final_message", 22}},
    {WITHOUT_PREFILL, {"add_generation_prompt", 21}},
    {WITHOUT_PREFILL, {"prefill", 7}},
    {WITHOUT_PREFILL, {"last role", 9}},
    {WITHOUT_PREFILL, {"last message", 12}},
    {WITHOUT_PREFILL, {"final message", 13}},
    {WITHOUT_FREE_ROLES, {"alternat", 8}},
    {WITHOUT_FREE_ROLES, {"ystem role", 10}},
    {WITHOUT_CACHE_MARKS, {"cache_control", 13}},
    {WITHOUT_SCHEMA, {"response_format", 15}},
    {WITHOUT_SCHEMA, {"json_schema", 11}},
    {WITHOUT_SCHEMA, {"'format'", 8}},
    {WITHOUT_SCHEMA, {"grammar", 7}},
};

/* Jinja's complaints come as 500 from some servers. */
unsigned without_refused(int status, struct str text) {
    if (status != 400 && status != 422 && status != 500)
        return 0;
    unsigned bits = 0;
    for (size_t i = 0; i < COUNT_OF(REFUSED); i++)
        if (str_has(text, REFUSED[i].word))
            bits |= REFUSED[i].without;
    return bits;
}

/* --- what endpoints were found to refuse -------------------------------------------------------- */

/* A ring of endpoints by hash. */
static struct {
    uint64_t endpoint;
    unsigned without;
} remembered[REMEMBERED];
static size_t remembered_next;

/* FNV-1a, 64 bits: no adversary, an admin types these. */
static uint64_t endpoint_hash(const struct chat_endpoint *endpoint) {
    struct str parts[] = {endpoint->base_url, STR("\n"), endpoint->model};
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t p = 0; p < COUNT_OF(parts); p++)
        for (size_t i = 0; i < parts[p].len; i++)
            hash = (hash ^ (unsigned char)parts[p].at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

unsigned without_recall(const struct chat_endpoint *endpoint) {
    uint64_t hash = endpoint_hash(endpoint);
    for (size_t i = 0; i < REMEMBERED; i++)
        if (remembered[i].endpoint == hash)
            return remembered[i].without;
    return 0;
}

void without_remember(const struct chat_endpoint *endpoint, unsigned without) {
    uint64_t hash = endpoint_hash(endpoint);
    size_t slot = remembered_next;
    for (size_t i = 0; i < REMEMBERED; i++)
        if (remembered[i].endpoint == hash)
            slot = i;
    if (slot == remembered_next)
        remembered_next = (remembered_next + 1) % REMEMBERED;
    remembered[slot].endpoint = hash;
    remembered[slot].without = without;
}
