/*
 * One probe per host and port. The first question is GET /v1/models, which every one of the servers
 * answers somehow; where nobody listens that fails at once and nothing more is asked. Where
 * somebody does, the other questions follow together, and the answers are judged when all are there
 * or the time is over.
 *
 * The order of judging matters: KoboldCpp imitates Ollama, LM Studio answers every unknown path
 * with status 200, and all of them imitate OpenAI. So a server is known by a field that only it
 * has, never by a path that exists.
 *
 * Only hosts that the operator has named are asked (this machine, if nothing was said).
 */
#include "model/discover.h"

#include "base/check.h"
#include "base/text.h"
#include "fetch/glance.h"
#include "loop/loop.h"
#include "model/listing.h"
#include "model/setting.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define RUN_MAGIC   0x66696e64u
#define PROBE_LIMIT 40
#define BODY_LIMIT  ((size_t)256 << 10) /* hundreds of models; forty probes ask for 360 of these */

enum question {
    ASK_MODELS,
    ASK_KOBOLD,
    ASK_KOBOLD_CONTEXT,
    ASK_OLLAMA_VERSION,
    ASK_OLLAMA_TAGS,
    ASK_LMSTUDIO,
    ASK_VERSION,
    ASK_HEALTH,
    ASK_PROPS,
    QUESTION_COUNT
};

static const char *const PATHS[QUESTION_COUNT] = {
    [ASK_MODELS] = "/v1/models",
    [ASK_KOBOLD] = "/api/extra/version",
    [ASK_KOBOLD_CONTEXT] = "/api/extra/true_max_context_length",
    [ASK_OLLAMA_VERSION] = "/api/version",
    [ASK_OLLAMA_TAGS] = "/api/tags",
    [ASK_LMSTUDIO] = "/api/v0/models",
    [ASK_VERSION] = "/version",
    [ASK_HEALTH] = "/health",
    [ASK_PROPS] = "/props",
};

static const int PORTS[] = {11434, 8080, 1234, 5001, 8000};

struct probe;

struct answer {
    struct probe *probe;
    enum question question;
    struct glance *glance; /* under way */
    int status;            /* 0: no answer */
    struct str body;
    const struct json_value *json; /* NULL: none, or not JSON */
};

struct probe {
    struct run *run;
    struct str host;
    int port;
    struct str base_url;
    struct answer answers[QUESTION_COUNT];
};

struct run {
    uint32_t magic;
    void (*done)(void *ctx, const struct discovery *found);
    void *ctx;
    struct discovery found;
    struct probe probes[PROBE_LIMIT];
    size_t probe_count;
    int waiting; /* answers under way */
    bool is_over;
    struct timer timer;
};

/* --- judging ---------------------------------------------------------------------------------- */

static const struct json_value *json_of(const struct probe *probe, enum question question) {
    const struct answer *answer = &probe->answers[question];
    return answer->status == 200 ? answer->json : NULL;
}

static struct str text_at(const struct probe *probe, enum question question, const char *path) {
    return json_string(json_path(json_of(probe, question), path), STR_NONE);
}

static bool is_kobold(const struct probe *probe) {
    return str_eq(text_at(probe, ASK_KOBOLD, "result"), STR("KoboldCpp"));
}

/* A fresh Ollama has `models: null`. */
static bool is_ollama(const struct probe *probe) {
    enum json_type type = json_type(json_member(json_of(probe, ASK_OLLAMA_TAGS), "models"));
    return (type == JSON_ARRAY || type == JSON_NULL) &&
           text_at(probe, ASK_OLLAMA_VERSION, "version").len;
}

static bool is_lmstudio(const struct probe *probe) {
    return json_type(json_member(json_of(probe, ASK_LMSTUDIO), "data")) == JSON_ARRAY;
}

static bool owner_is(const struct probe *probe, struct str owner) {
    return str_eq(text_at(probe, ASK_MODELS, "data.0.owned_by"), owner);
}

/* Its /v1 may want a key; /version never does. */
static bool is_vllm(const struct probe *probe) {
    bool has_length =
        json_type(json_path(json_of(probe, ASK_MODELS), "data.0.max_model_len")) == JSON_NUMBER;
    return text_at(probe, ASK_VERSION, "version").len &&
           (owner_is(probe, STR("vllm")) || has_length || probe->answers[ASK_MODELS].status == 401);
}

static bool is_loading(const struct probe *probe) {
    const struct answer *health = &probe->answers[ASK_HEALTH];
    return health->status == 503 &&
           str_has(json_string(json_path(health->json, "error.message"), STR("")), STR("oading"));
}

static bool is_llamacpp(const struct probe *probe) {
    bool is_well = text_at(probe, ASK_HEALTH, "status").len > 0;
    bool has_props = json_type(json_member(json_of(probe, ASK_PROPS),
                                           "default_generation_settings")) == JSON_OBJECT;
    return is_loading(probe) || (is_well && (has_props || owner_is(probe, STR("llamacpp"))));
}

static bool is_openai(const struct probe *probe) {
    enum json_type type = json_type(json_member(json_of(probe, ASK_MODELS), "data"));
    int status = probe->answers[ASK_MODELS].status;
    return type == JSON_ARRAY ||
           ((status == 401 || status == 403) && probe->answers[ASK_MODELS].json);
}

static const struct {
    const char *kind, *label, *provider;
    bool (*is_it)(const struct probe *probe);
    enum question list; /* where the models stand */
    enum question version;
    const char *version_path;
    enum question context;
    const char *context_path;
} KINDS[] = {
    {"koboldcpp", "KoboldCpp", "openai", is_kobold, ASK_MODELS, ASK_KOBOLD, "version",
     ASK_KOBOLD_CONTEXT, "value"},
    {"ollama", "Ollama", "ollama", is_ollama, ASK_OLLAMA_TAGS, ASK_OLLAMA_VERSION, "version",
     ASK_MODELS, ""},
    {"lmstudio", "LM Studio", "openai", is_lmstudio, ASK_LMSTUDIO, ASK_MODELS, "", ASK_MODELS, ""},
    {"vllm", "vLLM", "openai", is_vllm, ASK_MODELS, ASK_VERSION, "version", ASK_MODELS, ""},
    {"llamacpp", "llama.cpp", "openai", is_llamacpp, ASK_MODELS, ASK_PROPS, "build_info", ASK_PROPS,
     "default_generation_settings.n_ctx"},
    {"openai", "OpenAI-compatible server", "openai", is_openai, ASK_MODELS, ASK_MODELS, "",
     ASK_MODELS, ""},
};

static void describe(struct run *run, const struct probe *probe, size_t kind) {
    struct arena *arena = &run->found.arena;
    struct discovered *it = &run->found.items[run->found.count++];
    struct listing listing =
        listing_read(arena, json_of(probe, KINDS[kind].list), DISCOVER_MODEL_LIMIT);
    int64_t context =
        json_int(json_path(json_of(probe, KINDS[kind].context), KINDS[kind].context_path), 0);
    struct str version = text_at(probe, KINDS[kind].version, KINDS[kind].version_path);
    int status = probe->answers[ASK_MODELS].status;
    *it = (struct discovered){
        .kind = KINDS[kind].kind,
        .label = KINDS[kind].label,
        .provider = KINDS[kind].provider,
        .base_url = probe->base_url,
        .version = str_dup(arena, text_cut(version, 60)),
        .models = listing.names,
        .model_count = listing.count,
        .context_tokens = context > 0 ? context : listing.context_tokens,
        .needs_key = (status == 401 || status == 403) && listing.count == 0,
        .is_loading = is_loading(probe),
    };
}

static void parse_answers(struct arena *arena, struct probe *probe) {
    for (size_t i = 0; i < QUESTION_COUNT; i++) {
        struct answer *answer = &probe->answers[i];
        struct str body = str_trim(answer->body);
        if (answer->status && body.len &&
            json_parse(arena, text_repair(arena, body), &answer->json, NULL) != E_OK)
            answer->json = NULL;
    }
}

/* A tree costs many times its text, so only those of one probe are there at a time. */
static void judge(struct run *run, struct probe *probe) {
    struct arena scratch;
    arena_init(&scratch);
    parse_answers(&scratch, probe);
    for (size_t i = 0; i < COUNT_OF(KINDS); i++)
        if (KINDS[i].is_it(probe)) {
            describe(run, probe, i);
            break;
        }
    arena_release(&scratch);
}

static void conclude(struct run *run) {
    timer_stop(&run->timer);
    run->found.items = ARENA_ARRAY(&run->found.arena, struct discovered, run->probe_count + 1);
    for (size_t i = 0; i < run->probe_count; i++)
        judge(run, &run->probes[i]);
    run->done(run->ctx, &run->found);
    arena_release(&run->found.arena);
    run->magic = 0;
    free(run);
}

/* --- asking ----------------------------------------------------------------------------------- */

static void ask(struct probe *probe, enum question question);

static void on_answer(void *ctx, enum err err, int status, struct str body) {
    struct answer *answer = ctx;
    struct run *run = answer->probe->run;
    MAGIC_CHECK(run, RUN_MAGIC);
    answer->glance = NULL;
    answer->status = status;
    answer->body = str_dup(&run->found.arena, body);
    bool somebody_listens = err == E_OK || err == E_LIMIT;
    if (answer->question == ASK_MODELS && somebody_listens && !run->is_over)
        for (int q = ASK_MODELS + 1; q < QUESTION_COUNT; q++)
            ask(answer->probe, (enum question)q);
    if (--run->waiting == 0)
        conclude(run);
}

static void ask(struct probe *probe, enum question question) {
    struct answer *answer = &probe->answers[question];
    answer->probe = probe;
    answer->question = question;
    probe->run->waiting++;
    answer->glance = glance_start(&(struct glance_options){
        .host = probe->host,
        .port = probe->port,
        .path = PATHS[question],
        .total_ms = DISCOVER_MS,
        .limit_bytes = BODY_LIMIT,
        .done = on_answer,
        .ctx = answer,
    });
}

static void on_time_over(void *ctx) {
    struct run *run = ctx;
    MAGIC_CHECK(run, RUN_MAGIC);
    run->is_over = true;
    for (size_t i = 0; i < run->probe_count; i++)
        for (size_t q = 0; q < QUESTION_COUNT; q++)
            if (run->probes[i].answers[q].glance)
                glance_cancel(run->probes[i].answers[q].glance);
}

/* --- where ------------------------------------------------------------------------------------ */

static void add_probe(struct run *run, struct str host, int64_t port) {
    if (run->probe_count == PROBE_LIMIT)
        return;
    struct probe *probe = &run->probes[run->probe_count++];
    probe->run = run;
    probe->host = str_dup(&run->found.arena, host);
    probe->port = (int)port;
    probe->base_url =
        str_printf(&run->found.arena, "http://" STR_FMT ":%lld", STR_ARG(host), (long long)port);
}

/* The port behind the last colon, unless that is inside an IPv6 address. */
static bool split_port(struct str *host, int64_t *port) {
    ptrdiff_t colon = -1;
    for (size_t i = 0; i < host->len; i++)
        if (host->at[i] == ':')
            colon = (ptrdiff_t)i;
    if (colon <= 0 || str_find_char(*host, ']', (size_t)colon) >= 0)
        return false;
    if (str_to_int(str_slice(*host, (size_t)colon + 1, host->len), port) != E_OK || *port < 1 ||
        *port > 65535)
        return false;
    *host = str_slice(*host, 0, (size_t)colon);
    return true;
}

static void add_hosts(struct run *run) {
    struct str rest = model_settings.discovery_hosts.at ? model_settings.discovery_hosts
                                                        : STR("127.0.0.1"),
               host;
    while (str_next(&rest, ',', &host)) {
        int64_t port;
        host = str_trim(host);
        if (host.len == 0)
            continue;
        if (split_port(&host, &port)) {
            add_probe(run, host, port);
            continue;
        }
        for (size_t i = 0; i < COUNT_OF(PORTS); i++)
            add_probe(run, host, PORTS[i]);
    }
}

static void conclude_later(void *ctx) {
    conclude(ctx);
}

void discover_start(void (*done)(void *ctx, const struct discovery *found), void *ctx) {
    struct run *run = calloc(1, sizeof *run);
    BUG_IF(run == NULL);
    run->magic = RUN_MAGIC;
    run->done = done;
    run->ctx = ctx;
    arena_init(&run->found.arena);
    add_hosts(run);
    for (size_t i = 0; i < run->probe_count; i++)
        ask(&run->probes[i], ASK_MODELS);
    if (run->probe_count == 0)
        loop_later(conclude_later, run);
    else
        timer_start(&run->timer, DISCOVER_MS, on_time_over, run);
}

void discover_write(struct json *json, const struct discovery *found) {
    json_array_begin(json);
    for (size_t i = 0; i < found->count; i++) {
        const struct discovered *it = &found->items[i];
        json_object_begin(json);
        JSON_STR(json, "kind", str_from(it->kind));
        JSON_STR(json, "label", str_from(it->label));
        JSON_STR(json, "provider", str_from(it->provider));
        JSON_STR(json, "base_url", it->base_url);
        JSON_STR(json, "version", it->version);
        JSON_ARRAY(json, "models");
        for (size_t m = 0; m < it->model_count; m++)
            json_write_str(json, it->models[m]);
        json_array_end(json);
        JSON_INT(json, "context_tokens", it->context_tokens);
        JSON_BOOL(json, "needs_key", it->needs_key);
        JSON_BOOL(json, "is_loading", it->is_loading);
        json_object_end(json);
    }
    json_array_end(json);
}
