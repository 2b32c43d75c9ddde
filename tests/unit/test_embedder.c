/* links: troupe_vendor_free */
#include "base/arena.h"
#include "base/check.h"
#include "embedder_file.h"
#include "embedder_model.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "loop/pool.h"
#include "model/embed.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DIMS           EMBEDDER_DIMS
#define SENTENCES_MOST 400

static const struct embedder_weights *weights;
static struct embedder_scratch *scratch;

static int open_weights(void **state) {
    (void)state;
    embedder_settings.weights = STR(EMBEDDER_FILE);
    weights = embedder_file_find();
    assert_non_null(weights);
    scratch = aligned_alloc(64, sizeof(*scratch));
    assert_non_null(scratch);
    return 0;
}

static int close_weights(void **state) {
    (void)state;
    free(scratch);
    return 0;
}

/* --- the kernels, bit for bit ------------------------------------------------------------------ */

static uint32_t random_state = 20261121;

static uint32_t next_random(void) {
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

static float random_float(void) {
    return (float)next_random() / (1 << 23) - 1.0f;
}

enum data { ORDINARY, ZEROS, TINY, HUGE_VALUES, ONE_SPIKE, DATA_COUNT };

static void fill(float *x, size_t count, enum data data) {
    for (size_t i = 0; i < count; i++) {
        float value = random_float();
        x[i] = data == ZEROS         ? 0.0f
               : data == TINY        ? value * 1e-40f /* denormal */
               : data == HUGE_VALUES ? value * 1e15f
                                     : value;
        if (data == ONE_SPIKE && i % 384 == 77)
            x[i] *= 500;
    }
}

/* Calls `compare` for each kernel but the plain one that this machine can run. */
static void each_kernel(void (*compare)(const struct embedder_kernel *kernel, enum data data)) {
    for (size_t i = 0; embedder_kernels[i] != &embedder_kernel_plain; i++)
        for (enum data data = 0; data < DATA_COUNT && embedder_kernels[i]->is_supported(); data++)
            compare(embedder_kernels[i], data);
}

#define ROWS_MOST 29

static struct {
    float in[ROWS_MOST * EMBEDDER_INNER + 1], a[ROWS_MOST * EMBEDDER_INNER + 1],
        b[ROWS_MOST * EMBEDDER_INNER + 1];
    int16_t quantised[ROWS_MOST * EMBEDDER_INNER], other[ROWS_MOST * EMBEDDER_INNER];
    float scale[ROWS_MOST], other_scale[ROWS_MOST];
    int8_t values[EMBEDDER_INNER * DIMS * 3];
    float weight[3 * DIMS], bias[3 * DIMS];
    float attention[EMBEDDER_ATTEND_FLOATS(ROWS_MOST)];
} work;

static void compare_quantise(const struct embedder_kernel *kernel, enum data data) {
    fill(work.in, COUNT_OF(work.in), data);
    const struct embedder_kernel *plain = &embedder_kernel_plain;
    for (size_t offset = 0; offset < 2; offset++) { /* 1: not aligned to anything */
        plain->quantise(work.in + offset, 5, EMBEDDER_INNER, work.quantised, work.scale);
        kernel->quantise(work.in + offset, 5, EMBEDDER_INNER, work.other, work.other_scale);
        assert_memory_equal(work.quantised, work.other, 5 * EMBEDDER_INNER * sizeof(int16_t));
        assert_memory_equal(work.scale, work.other_scale, 5 * sizeof(float));
    }
}

static void quantise_agrees(void **state) {
    (void)state;
    each_kernel(compare_quantise);
}

/* What is quantised is within half a step of what was. */
static void quantise_is_true(void **state) {
    (void)state;
    for (enum data data = 0; data < DATA_COUNT; data++) {
        fill(work.in, DIMS, data);
        embedder_kernel_plain.quantise(work.in, 1, DIMS, work.quantised, work.scale);
        for (size_t i = 0; i < DIMS; i++) {
            assert_in_range(work.quantised[i] + EMBEDDER_ACTIVATION_MAX, 0,
                            2 * EMBEDDER_ACTIVATION_MAX);
            float error = fabsf((float)work.quantised[i] * work.scale[0] - work.in[i]);
            assert_true(error <= 0.501f * work.scale[0] || data == TINY);
        }
    }
}

static void fill_product(size_t rows, size_t inputs, bool is_extreme) {
    for (size_t i = 0; i < rows * inputs; i++)
        work.quantised[i] = is_extreme ? (i / inputs % 2 ? -1 : 1) * EMBEDDER_ACTIVATION_MAX
                                       : (int16_t)((int32_t)(next_random() % 16129) - 8064);
    for (size_t i = 0; i < sizeof(work.values); i++)
        work.values[i] = is_extreme ? 127 : (int8_t)((int32_t)(next_random() % 255) - 127);
    fill(work.scale, ROWS_MOST, ORDINARY);
    fill(work.weight, COUNT_OF(work.weight), ORDINARY);
    fill(work.bias, COUNT_OF(work.bias), ORDINARY);
}

static const struct { size_t inputs, outputs; } shapes[] = {{384, 32}, {384, 1152}, {1536, 384}};

static struct embedder_matrix shape_matrix(size_t shape) {
    return (struct embedder_matrix){work.values, work.weight, work.bias, shapes[shape].inputs,
                                    shapes[shape].outputs};
}

/* Every count of rows that a tile can have, and some above. */
static void compare_product(const struct embedder_kernel *kernel, enum data data) {
    for (size_t shape = 0; shape < COUNT_OF(shapes); shape++) {
        struct embedder_matrix matrix = shape_matrix(shape);
        size_t rows = data == ORDINARY ? 1 : ROWS_MOST - (size_t)data;
        for (size_t last = data == ORDINARY ? 14 : rows; rows <= last; rows++) {
            fill_product(rows, matrix.inputs, data == HUGE_VALUES);
            size_t bytes = rows * matrix.outputs * sizeof(float);
            embedder_kernel_plain.product(&matrix, work.quantised, work.scale, rows, work.a);
            kernel->product(&matrix, work.quantised, work.scale, rows, work.b);
            assert_memory_equal(work.a, work.b, bytes);
        }
    }
}

static void product_agrees(void **state) {
    (void)state;
    each_kernel(compare_product);
}

/* The plain product against one that cannot overflow, with the largest numbers there can be. */
static void product_is_true(void **state) {
    (void)state;
    for (int is_extreme = 0; is_extreme < 2; is_extreme++) {
        struct embedder_matrix matrix = shape_matrix(2);
        fill_product(3, matrix.inputs, is_extreme);
        embedder_kernel_plain.product(&matrix, work.quantised, work.scale, 3, work.a);
        for (size_t i = 0; i < 3 * matrix.outputs; i++) {
            size_t row = i / matrix.outputs, o = i % matrix.outputs;
            int64_t sum = 0;
            for (size_t k = 0; k < matrix.inputs; k++)
                sum += (int64_t)work.quantised[row * matrix.inputs + k] *
                       work.values[(o / 16 * matrix.inputs / 2 + k / 2) * 32 + o % 16 * 2 + k % 2];
            assert_true(llabs(sum) <= INT32_MAX);
            float expected = (float)sum * work.scale[row] * work.weight[o] + work.bias[o];
            assert_true(work.a[i] == expected);
        }
    }
}

static void compare_floats(const struct embedder_kernel *kernel, enum data data) {
    const struct embedder_kernel *plain = &embedder_kernel_plain;
    size_t count = ROWS_MOST * DIMS;
    fill(work.in, COUNT_OF(work.in), data);
    fill(work.weight, DIMS, ORDINARY);
    fill(work.bias, DIMS, ORDINARY);
    memcpy(work.a, work.in, sizeof(work.a));
    memcpy(work.b, work.in, sizeof(work.b));
    plain->norm(work.a, work.in + 1, ROWS_MOST, work.weight, work.bias);
    kernel->norm(work.b, work.in + 1, ROWS_MOST, work.weight, work.bias);
    assert_memory_equal(work.a, work.b, count * sizeof(float));
    plain->gelu(work.a + 1, count - 16);
    kernel->gelu(work.b + 1, count - 16);
    assert_memory_equal(work.a, work.b, count * sizeof(float));
}

static void floats_agree(void **state) {
    (void)state;
    each_kernel(compare_floats);
}

static void compare_attend(const struct embedder_kernel *kernel, enum data data) {
    for (size_t tokens = 1; tokens <= 20; tokens++) {
        fill(work.in, tokens * 3 * DIMS, data == HUGE_VALUES ? ORDINARY : data);
        embedder_kernel_plain.attend(work.in, tokens, work.attention, work.a);
        kernel->attend(work.in, tokens, work.attention, work.b);
        assert_memory_equal(work.a, work.b, tokens * DIMS * sizeof(float));
    }
}

static void attend_agrees(void **state) {
    (void)state;
    each_kernel(compare_attend);
}

/* Against the textbook, in double. */
static void attend_is_true(void **state) {
    (void)state;
    size_t tokens = 19;
    fill(work.in, tokens * 3 * DIMS, ORDINARY);
    embedder_kernel_plain.attend(work.in, tokens, work.attention, work.a);
    for (size_t head = 0; head < EMBEDDER_HEADS; head++) {
        const float *at = work.in + head * EMBEDDER_HEAD_DIMS;
        for (size_t t = 0; t < tokens; t++) {
            double share[32], total = 0, out[EMBEDDER_HEAD_DIMS] = {0};
            for (size_t other = 0; other < tokens; other++) {
                double dot = 0;
                for (size_t d = 0; d < EMBEDDER_HEAD_DIMS; d++)
                    dot += (double)at[t * 3 * DIMS + d] * at[other * 3 * DIMS + DIMS + d];
                total += share[other] = exp(dot);
            }
            for (size_t other = 0; other < tokens; other++)
                for (size_t d = 0; d < EMBEDDER_HEAD_DIMS; d++)
                    out[d] += share[other] / total * at[other * 3 * DIMS + 2 * DIMS + d];
            for (size_t d = 0; d < EMBEDDER_HEAD_DIMS; d++)
                assert_true(fabs(out[d] - work.a[t * DIMS + head * EMBEDDER_HEAD_DIMS + d]) < 1e-5);
        }
    }
}

static void gelu_is_true(void **state) {
    (void)state;
    for (int i = 0; i < 8192; i++)
        work.a[i] = work.b[i] = (float)(i - 4096) / 256.0f;
    work.a[0] = work.b[0] = -FLT_MAX;
    work.a[1] = work.b[1] = FLT_MAX;
    embedder_kernel_plain.gelu(work.a, 8192);
    for (int i = 0; i < 8192; i++) {
        double x = work.b[i], expected = 0.5 * x * (1 + erf(x / sqrt(2)));
        if (!(fabs(work.a[i] - expected) < 5e-7 + 5e-7 * fabs(expected)))
            fail_msg("gelu(%g) is %g and not %g", x, work.a[i], expected);
    }
}

/* --- the model ---------------------------------------------------------------------------------- */

static struct str expected_file;
static struct arena arena;
static struct str sentences[SENTENCES_MOST];
static float expected[SENTENCES_MOST][DIMS];
static size_t sentence_count;

static void read_expected(void) {
    static char bytes[1 << 20];
    FILE *in = fopen("tests/unit/embedder_expected.txt", "rb");
    assert_non_null(in);
    expected_file = str_of(bytes, fread(bytes, 1, sizeof(bytes), in));
    fclose(in);
    struct str rest = expected_file, line, vector, raw;
    sentence_count = 0;
    while (str_next(&rest, '\n', &line) && line.len > 0) {
        assert_true(sentence_count < SENTENCES_MOST && str_next(&line, '\t', &vector));
        assert_int_equal(base64_decode(&arena, vector, &raw), E_OK);
        assert_int_equal(raw.len, DIMS);
        for (size_t d = 0; d < DIMS; d++)
            expected[sentence_count][d] = (signed char)raw.at[d];
        sentences[sentence_count++] = line;
    }
}

static double cosine(const float *a, const float *b) {
    double dot = 0, aa = 0, bb = 0;
    for (size_t d = 0; d < DIMS; d++) {
        dot += (double)a[d] * b[d];
        aa += (double)a[d] * a[d];
        bb += (double)b[d] * b[d];
    }
    return dot / sqrt(aa * bb);
}

static void embed(const struct embedder_kernel *kernel, const struct str *texts, size_t count,
                  float *vectors) {
    struct embedder_pass pass;
    embedder_pass_init(&pass, weights, kernel, scratch);
    for (size_t i = 0; i < count; i++)
        assert_true(embedder_pass_add(&pass, texts[i]));
    while (embedder_pass_step(&pass))
        continue;
    embedder_pass_result(&pass, vectors);
}

/* The goal: at least 0.995 to the vectors of the model's own engine, on at least 200 sentences. */
static void as_the_engine_of_the_package(void **state) {
    (void)state;
    arena_init(&arena);
    read_expected();
    assert_true(sentence_count >= 200);
    double total = 0;
    for (size_t i = 0; i < sentence_count; i++) {
        float vector[DIMS];
        embed(embedder_kernel_best(), &sentences[i], 1, vector);
        double likeness = cosine(vector, expected[i]);
        if (!(likeness >= 0.995))
            fail_msg("%.4f for '" STR_FMT "'", likeness, STR_ARG(sentences[i]));
        total += likeness;
    }
    assert_true(total / (double)sentence_count >= 0.999);
    arena_release(&arena);
}

static const struct str few[] = {
    {"I like rain.", 12},
    {"", 0},
    {"When did I move to the house by the sea?", 40},
    {" \t\n", 3},
    {"\xFF\xFE", 2},
    {"The captain refused to turn back, even when the mast broke.", 59},
};

/* A text's vector is the same bits alone, in any company, and by every kernel. */
static void company_changes_nothing(void **state) {
    (void)state;
    float together[COUNT_OF(few)][DIMS], alone[DIMS];
    embed(embedder_kernel_best(), few, COUNT_OF(few), together[0]);
    for (size_t i = 0; i < COUNT_OF(few); i++) {
        embed(embedder_kernel_best(), &few[i], 1, alone);
        assert_memory_equal(alone, together[i], sizeof(alone));
        embed(&embedder_kernel_plain, &few[i], 1, alone);
        assert_memory_equal(alone, together[i], sizeof(alone));
    }
}

/* Length 1, and zeros for what has no words. */
static void lengths(void **state) {
    (void)state;
    float vectors[COUNT_OF(few)][DIMS];
    embed(embedder_kernel_best(), few, COUNT_OF(few), vectors[0]);
    for (size_t i = 0; i < COUNT_OF(few); i++) {
        double squares = 0;
        for (size_t d = 0; d < DIMS; d++)
            squares += (double)vectors[i][d] * vectors[i][d];
        bool has_words = i % 2 == 0 ? i < 4 : i == 5;
        assert_true(fabs(squares - (has_words ? 1 : 0)) < 1e-6);
    }
}

/* A long text fills a pass; the next has no room, and fits the next pass. What lies beyond the limit
 * changes nothing. */
static void long_texts(void **state) {
    (void)state;
    static char words[2][4001];
    float vectors[2][DIMS];
    for (size_t i = 0; i < 4000; i++)
        words[0][i] = words[1][i] = "we sang "[i % 8];
    memset(words[1] + 3000, 'x', 500);
    for (size_t i = 0; i < 2; i++) {
        struct embedder_pass pass;
        struct str text = str_of(words[i], 4000);
        embedder_pass_init(&pass, weights, embedder_kernel_best(), scratch);
        assert_true(embedder_pass_add(&pass, text));
        assert_int_equal(pass.token_count, EMBEDDER_TOKEN_LIMIT);
        assert_false(embedder_pass_add(&pass, few[0]));
        embed(embedder_kernel_best(), &text, 1, vectors[i]);
    }
    assert_memory_equal(vectors[0], vectors[1], sizeof(vectors[0]));
}

/* --- the file ----------------------------------------------------------------------------------- */

static void strange_files(void **state) {
    (void)state;
    assert_null(embedder_file_map("/nonexistent/troupe.weights"));
    assert_null(embedder_file_map("/dev/null"));
    assert_null(embedder_file_map("tests/unit"));
    assert_null(embedder_file_map("tests/unit/embedder_expected.txt"));
}

/* Pages that were given back come again by themselves. */
static void pages_come_back(void **state) {
    (void)state;
    float before[DIMS], after[DIMS];
    embed(embedder_kernel_best(), &few[0], 1, before);
    embedder_file_rest(weights);
    embedder_file_wake(weights);
    embed(embedder_kernel_best(), &few[0], 1, after);
    assert_memory_equal(before, after, sizeof(before));
}

/* --- the port ----------------------------------------------------------------------------------- */

struct asked {
    struct embed_call *call;
    int done_count, place; /* in the order of the answers */
    enum err err;
    float first[DIMS], last[DIMS];
    size_t count;
};

static int answer_count, expected_answers;

static void done(const struct embed_answer *answer, void *ctx) {
    struct asked *asked = ctx;
    assert_true(loop_is_thread());
    asked->done_count++;
    asked->place = answer_count++;
    asked->err = answer->err;
    assert_int_equal(answer->dims, DIMS);
    if (answer->err == E_OK) {
        memcpy(asked->first, answer->values, sizeof(asked->first));
        memcpy(asked->last, answer->values + (asked->count - 1) * DIMS, sizeof(asked->last));
    }
    if (answer_count == expected_answers)
        loop_stop(0);
}

static void ask(struct asked *asked, const struct str *texts, size_t count, bool is_urgent) {
    struct embed_request request = {.texts = texts, .count = count, .is_urgent = is_urgent};
    *asked = (struct asked){.count = count};
    asked->call = embed_builtin.start(&request, done, asked);
    assert_int_equal(asked->done_count, 0);
}

static void begin_loop(int answers) {
    loop_init();
    mailbox_init();
    pool_init(2);
    answer_count = 0;
    expected_answers = answers;
}

static void end_loop(void) {
    loop_run();
    pool_release();
    mailbox_release();
    loop_release();
}

static struct str batch[EMBED_BATCH_LIMIT];

static void fill_batch(void) {
    for (size_t i = 0; i < COUNT_OF(batch); i++)
        batch[i] = few[(i + 2) % COUNT_OF(few)];
}

static void answers_once_and_right(void **state) {
    (void)state;
    static struct asked one, many;
    float expected_first[DIMS], expected_last[DIMS];
    fill_batch();
    embed(&embedder_kernel_plain, &batch[0], 1, expected_first);
    embed(&embedder_kernel_plain, &batch[COUNT_OF(batch) - 1], 1, expected_last);
    assert_true(embed_builtin.is_available());
    begin_loop(2);
    ask(&one, batch, 1, true);
    ask(&many, batch, COUNT_OF(batch), false);
    end_loop();
    assert_int_equal(one.done_count, 1);
    assert_int_equal(many.done_count, 1);
    assert_memory_equal(one.first, expected_first, sizeof(expected_first));
    assert_memory_equal(many.first, expected_first, sizeof(expected_first));
    assert_memory_equal(many.last, expected_last, sizeof(expected_last));
}

/* Ten batches are under way or wait; a question asked last is answered before all but the first. */
static void questions_go_first(void **state) {
    (void)state;
    static struct asked batches[10], question;
    fill_batch();
    begin_loop(11);
    for (size_t i = 0; i < COUNT_OF(batches); i++)
        ask(&batches[i], batch, COUNT_OF(batch), false);
    ask(&question, few, 1, true);
    end_loop();
    assert_int_equal(question.err, E_OK);
    assert_true(question.place <= 1);
    for (size_t i = 0; i < COUNT_OF(batches); i++) {
        assert_int_equal(batches[i].done_count, 1);
        assert_int_equal(batches[i].err, E_OK);
    }
}

/* One that waits, one that is at work, one at once. */
static void cancelled(void **state) {
    (void)state;
    static struct asked batches[4];
    fill_batch();
    begin_loop(4);
    for (size_t i = 0; i < COUNT_OF(batches); i++)
        ask(&batches[i], batch, COUNT_OF(batch), false);
    for (size_t i = 0; i < 3; i++)
        embed_builtin.cancel(batches[i].call);
    assert_int_equal(answer_count, 0);
    end_loop();
    for (size_t i = 0; i < COUNT_OF(batches); i++) {
        assert_int_equal(batches[i].done_count, 1);
        assert_int_equal(batches[i].err, i < 3 ? E_CANCELLED : E_OK);
    }
}

static struct timer cancel_soon;

static void cancel_running(void *ctx) {
    embed_builtin.cancel(((struct asked *)ctx)->call);
}

static void cancelled_at_work(void **state) {
    (void)state;
    static struct asked running;
    static struct str long_texts_of[EMBED_BATCH_LIMIT];
    static char words[2001];
    for (size_t i = 0; i < 2000; i++)
        words[i] = "we sang "[i % 8];
    for (size_t i = 0; i < COUNT_OF(long_texts_of); i++)
        long_texts_of[i] = str_of(words, 2000);
    begin_loop(1);
    ask(&running, long_texts_of, COUNT_OF(long_texts_of), false);
    timer_start(&cancel_soon, 30, cancel_running, &running);
    end_loop();
    assert_int_equal(running.done_count, 1);
    assert_int_equal(running.err, E_CANCELLED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantise_agrees),
        cmocka_unit_test(quantise_is_true),
        cmocka_unit_test(product_agrees),
        cmocka_unit_test(product_is_true),
        cmocka_unit_test(floats_agree),
        cmocka_unit_test(attend_agrees),
        cmocka_unit_test(attend_is_true),
        cmocka_unit_test(gelu_is_true),
        cmocka_unit_test(as_the_engine_of_the_package),
        cmocka_unit_test(company_changes_nothing),
        cmocka_unit_test(lengths),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(strange_files),
        cmocka_unit_test(pages_come_back),
        cmocka_unit_test(answers_once_and_right),
        cmocka_unit_test(questions_go_first),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(cancelled_at_work),
    };
    return cmocka_run_group_tests(tests, open_weights, close_weights);
}
