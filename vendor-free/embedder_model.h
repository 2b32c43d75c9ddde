/*
 * The forward pass: token ids of several texts in, a vector of length 1 for each out. A text's
 * vector does not depend on the texts beside it.
 *
 * A pass goes on in steps of one layer, so that whoever runs it can stop between them. It belongs to
 * one thread at a time. Nothing here allocates: scratch is the caller's.
 */
#pragma once

#include "embedder_kernel.h"
#include "embedder_weights.h"

#define EMBEDDER_PASS_TOKENS 256 /* of all texts of a pass; one text never has more */
#define EMBEDDER_PASS_TEXTS  64

struct embedder_scratch {
    uint16_t ids[EMBEDDER_PASS_TOKENS];
    alignas(64) float x[EMBEDDER_PASS_TOKENS * EMBEDDER_DIMS];
    alignas(64) float wide[EMBEDDER_PASS_TOKENS * EMBEDDER_INNER]; /* also queries, keys, values */
    alignas(64) float narrow[EMBEDDER_PASS_TOKENS * EMBEDDER_DIMS];
    alignas(64) int16_t quantised[EMBEDDER_PASS_TOKENS * EMBEDDER_INNER];
    alignas(64) float scale[EMBEDDER_PASS_TOKENS];
    alignas(64) float attention[EMBEDDER_ATTEND_FLOATS(EMBEDDER_PASS_TOKENS)];
};

struct embedder_pass {
    const struct embedder_weights *weights;
    const struct embedder_kernel *kernel;
    struct embedder_scratch *scratch;
    size_t text_count, token_count, layer;
    uint16_t tokens_of[EMBEDDER_PASS_TEXTS];
};

void embedder_pass_init(struct embedder_pass *pass, const struct embedder_weights *weights,
                        const struct embedder_kernel *kernel, struct embedder_scratch *scratch);
/* False when the pass has no room for the text's tokens: run it first. Any text fits an empty pass. */
bool embedder_pass_add(struct embedder_pass *pass, struct str text);
/* One layer; false when all are done. */
bool embedder_pass_step(struct embedder_pass *pass);
/* After the last step: text_count vectors of EMBEDDER_DIMS; zeros for a text without words. */
void embedder_pass_result(const struct embedder_pass *pass, float *vectors);
