/*
 * all-MiniLM-L6-v2: a BERT encoder of six layers, 384 wide, 12 heads, post-norm; the mean over all
 * tokens of a text, [CLS] and [SEP] with them, brought to length 1 (Reimers and Gurevych,
 * arXiv 1908.10084; the model card of sentence-transformers/all-MiniLM-L6-v2).
 *
 * The tokens of all texts stand in one matrix, so that a row of weights, once in the cache, serves
 * them all; only attention looks at each text apart. Weights are int8 with a scale for each output;
 * activations are quantised for each token to 14 bits and not to 8: single dimensions of a BERT are
 * fifty times as large as the rest, which 8 bits do not survive, and pairs of 16-bit numbers are
 * what AVX2 multiplies anyway.
 */
#include "embedder_model.h"

#include <math.h>
#include <string.h>

#include "base/banned.h"

void embedder_pass_init(struct embedder_pass *pass, const struct embedder_weights *weights,
                        const struct embedder_kernel *kernel, struct embedder_scratch *scratch) {
    *pass = (struct embedder_pass){.weights = weights, .kernel = kernel, .scratch = scratch};
}

bool embedder_pass_add(struct embedder_pass *pass, struct str text) {
    if (pass->text_count == EMBEDDER_PASS_TEXTS)
        return false;
    uint16_t ids[EMBEDDER_TOKEN_LIMIT];
    size_t count = wordpiece_split(&pass->weights->vocabulary, text, ids, EMBEDDER_TOKEN_LIMIT);
    if (count <= 2)
        count = 0; /* [CLS] [SEP]: nothing that means anything */
    if (count > EMBEDDER_PASS_TOKENS - pass->token_count)
        return false;
    memcpy(pass->scratch->ids + pass->token_count, ids, count * sizeof(*ids));
    pass->token_count += count;
    pass->tokens_of[pass->text_count++] = (uint16_t)count;
    return true;
}

/* --- one layer -------------------------------------------------------------------------------- */

/* Word and position, then the first norm. */
static void look_up(struct embedder_pass *pass) {
    const struct embedder_weights *weights = pass->weights;
    float *x = pass->scratch->x;
    const uint16_t *id = pass->scratch->ids;
    for (size_t text = 0; text < pass->text_count; text++)
        for (size_t t = 0; t < pass->tokens_of[text]; t++, id++, x += EMBEDDER_DIMS)
            for (size_t d = 0; d < EMBEDDER_DIMS; d++)
                x[d] = (float)weights->word[*id][d] * weights->word_scale[*id] +
                       weights->position[t][d];
    pass->kernel->norm(pass->scratch->x, NULL, pass->token_count, weights->norm[0],
                       weights->norm[1]);
}

static void product(const struct embedder_pass *pass, const struct embedder_matrix *matrix,
                    const float *in, float *out) {
    struct embedder_scratch *scratch = pass->scratch;
    pass->kernel->quantise(in, pass->token_count, matrix->inputs, scratch->quantised,
                           scratch->scale);
    pass->kernel->product(matrix, scratch->quantised, scratch->scale, pass->token_count, out);
}

#define MATRIX(layer, name, inputs, outputs)                                               \
    (&(struct embedder_matrix){(layer)->name, (layer)->name##_scale, (layer)->name##_bias, \
                               (inputs), (outputs)})

static void attend(const struct embedder_pass *pass, const struct embedder_layer *layer) {
    struct embedder_scratch *scratch = pass->scratch;
    product(pass, MATRIX(layer, attention_in, EMBEDDER_DIMS, 3 * EMBEDDER_DIMS), scratch->x,
            scratch->wide);
    size_t at = 0;
    for (size_t text = 0; text < pass->text_count; at += pass->tokens_of[text++])
        if (pass->tokens_of[text] > 0)
            pass->kernel->attend(scratch->wide + at * 3 * EMBEDDER_DIMS, pass->tokens_of[text],
                                 scratch->attention, scratch->narrow + at * EMBEDDER_DIMS);
    product(pass, MATRIX(layer, attention_out, EMBEDDER_DIMS, EMBEDDER_DIMS), scratch->narrow,
            scratch->wide);
    pass->kernel->norm(scratch->x, scratch->wide, pass->token_count, layer->attention_norm[0],
                       layer->attention_norm[1]);
}

static void think(const struct embedder_pass *pass, const struct embedder_layer *layer) {
    struct embedder_scratch *scratch = pass->scratch;
    product(pass, MATRIX(layer, inner, EMBEDDER_DIMS, EMBEDDER_INNER), scratch->x, scratch->wide);
    pass->kernel->gelu(scratch->wide, pass->token_count * EMBEDDER_INNER);
    product(pass, MATRIX(layer, outer, EMBEDDER_INNER, EMBEDDER_DIMS), scratch->wide,
            scratch->narrow);
    pass->kernel->norm(scratch->x, scratch->narrow, pass->token_count, layer->outer_norm[0],
                       layer->outer_norm[1]);
}

bool embedder_pass_step(struct embedder_pass *pass) {
    if (pass->token_count == 0 || pass->layer == EMBEDDER_LAYERS)
        return false;
    if (pass->layer == 0)
        look_up(pass);
    const struct embedder_layer *layer = &pass->weights->layer[pass->layer++];
    attend(pass, layer);
    think(pass, layer);
    return pass->layer < EMBEDDER_LAYERS;
}

/* --- the vectors ------------------------------------------------------------------------------ */

static void mean(const float *x, size_t tokens, float *vector) {
    memset(vector, 0, EMBEDDER_DIMS * sizeof(*vector));
    for (size_t t = 0; t < tokens; t++)
        for (size_t d = 0; d < EMBEDDER_DIMS; d++)
            vector[d] += x[t * EMBEDDER_DIMS + d];
    double squares = 0;
    for (size_t d = 0; d < EMBEDDER_DIMS; d++)
        squares += (double)vector[d] * vector[d];
    float inverse = squares > 0 ? (float)(1 / sqrt(squares)) : 0;
    for (size_t d = 0; d < EMBEDDER_DIMS; d++)
        vector[d] *= inverse;
}

void embedder_pass_result(const struct embedder_pass *pass, float *vectors) {
    const float *x = pass->scratch->x;
    for (size_t text = 0; text < pass->text_count; text++, vectors += EMBEDDER_DIMS) {
        mean(x, pass->tokens_of[text], vectors);
        x += (size_t)pass->tokens_of[text] * EMBEDDER_DIMS;
    }
}
