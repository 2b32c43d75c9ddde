/*
 * The weights of all-MiniLM-L6-v2 as they lie in their file: one struct without pointers, mapped and
 * used where it is. assets/embedder/quantise.c writes it, little-endian, for the kernels' reading.
 *
 * Matrices are int8 with one scale for each output row. Their values stand in blocks of 16 outputs,
 * and in a block by pairs of inputs:
 *
 *     values[(output / 16 * inputs / 2 + input / 2) * 32 + output % 16 * 2 + input % 2]
 *
 * so that 32 bytes, widened to 16 bits, are what one multiply-add of pairs takes for 16 outputs.
 * The query rows of attention_in are divided by the root of 32 already.
 */
#pragma once

#include "wordpiece.h"

#include <stdalign.h>

#define EMBEDDER_DIMS        384
#define EMBEDDER_LAYERS      6
#define EMBEDDER_HEADS       12
#define EMBEDDER_HEAD_DIMS   32
#define EMBEDDER_INNER       1536
#define EMBEDDER_TOKEN_LIMIT 256 /* of one text; the model was trained on no longer ones */
#define EMBEDDER_BLOCK       16  /* outputs that stand together */
#define EMBEDDER_PAGE        4096

#define EMBEDDER_MAGIC   "MiniLM6q"
#define EMBEDDER_VERSION 1

/* inputs x outputs; `name`_scale has one number for each output. */
#define EMBEDDER_MATRIX(name, inputs, outputs)     \
    alignas(64) int8_t name[(inputs) * (outputs)]; \
    alignas(64) float name##_scale[(outputs)];     \
    alignas(64) float name##_bias[(outputs)]

struct embedder_layer {
    EMBEDDER_MATRIX(attention_in, EMBEDDER_DIMS, 3 * EMBEDDER_DIMS); /* queries, keys, values */
    EMBEDDER_MATRIX(attention_out, EMBEDDER_DIMS, EMBEDDER_DIMS);
    EMBEDDER_MATRIX(inner, EMBEDDER_DIMS, EMBEDDER_INNER);
    EMBEDDER_MATRIX(outer, EMBEDDER_INNER, EMBEDDER_DIMS);
    float attention_norm[2][EMBEDDER_DIMS]; /* weight, bias */
    float outer_norm[2][EMBEDDER_DIMS];
};

struct embedder_weights {
    char magic[8];
    uint32_t version;
    uint32_t bytes; /* of the whole struct */
    char source_sha256[64];
    alignas(EMBEDDER_PAGE) struct embedder_layer layer[EMBEDDER_LAYERS];
    float norm[2][EMBEDDER_DIMS];                        /* of the embeddings */
    float position[EMBEDDER_TOKEN_LIMIT][EMBEDDER_DIMS]; /* with the type's vector added */
    alignas(EMBEDDER_PAGE) struct wordpiece_vocabulary vocabulary;
    float word_scale[WORDPIECE_COUNT];
    alignas(64) int8_t word[WORDPIECE_COUNT][EMBEDDER_DIMS];
    alignas(EMBEDDER_PAGE) char end[EMBEDDER_PAGE]; /* zeros: the last page is the file's own */
};
