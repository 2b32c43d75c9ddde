/*
 * Looks for model servers near by: Ollama, llama.cpp, LM Studio, KoboldCpp and vLLM, each told by
 * what only it answers. All ports are asked at once; the whole takes at most DISCOVER_MS.
 */
#pragma once

#include "base/arena.h"
#include "base/json.h"

#define DISCOVER_MS          1500
#define DISCOVER_MODEL_LIMIT 100 /* names that are given per server */

struct discovered {
    const char *kind;  /* "ollama", "llamacpp", "lmstudio", "koboldcpp", "vllm", "openai" (something
                          else that speaks the protocol) */
    const char *label; /* "Ollama" */
    const char *provider; /* the adapter that fits: "ollama" or "openai" */
    struct str base_url;  /* "http://127.0.0.1:11434" */
    struct str version;   /* STR_NONE: not said */
    struct str *models;
    size_t model_count;
    int64_t context_tokens; /* what the server is set to; 0: not said */
    bool needs_key;         /* it answered, but wants to know who asks */
    bool is_loading;        /* it answered that its model is still loading */
};

struct discovery {
    struct arena arena;       /* owns all texts */
    struct discovered *items; /* in the order of the hosts and of the list above */
    size_t count;
};

/* done comes once, later; `found` is borrowed during the call. */
void discover_start(void (*done)(void *ctx, const struct discovery *found), void *ctx);
/* [{"kind", "label", "provider", "base_url", "version", "models": [], "context_tokens",
 * "needs_key", "is_loading"}] */
void discover_write(struct json *json, const struct discovery *found);
