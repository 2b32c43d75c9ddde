/*
 * Measures the built-in embedder on one core and prints one JSON object:
 *
 *     memory_embed [WEIGHTS] [ROUNDS]
 *
 * Each figure is the median of ROUNDS turns in milliseconds of this thread's own processor time, so a busy
 * machine costs caches and clock but not waiting. The yardstick (bare_encoder.c) takes turns with it. Resident
 * memory is read from the kernel: before the first text, after the last, and after the rest.
 */
#include "bare_encoder.h"
#include "embedder_file.h"
#include "embedder_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MOST 1000

static const struct str QUESTION =
    STR("When did I move to the little house by the sea with my sister?");
static const struct str TURN[] = {
    STR("I went to the market this morning and bought six lemons."),
    STR("It rained the whole way back."),
    STR("Do you want to bake that cake?"),
};

static const struct embedder_weights *weights;
static struct embedder_scratch *scratch;
static int rounds = 100;

static double now_ms(void) {
    struct timespec at;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values) {
    qsort(values, (size_t)rounds, sizeof(*values), by_size);
    return values[rounds / 2];
}

static double resident_mb(void) {
    long pages = 0, skipped;
    FILE *in = fopen("/proc/self/statm", "r");
    if (in == NULL || fscanf(in, "%ld %ld", &skipped, &pages) != 2)
        pages = -1;
    if (in != NULL)
        fclose(in);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

/* Text to vector, once. */
static double once(const struct embedder_kernel *kernel, const struct str *texts, size_t count,
                   size_t *tokens) {
    static float vectors[EMBEDDER_PASS_TEXTS][EMBEDDER_DIMS];
    struct embedder_pass pass;
    double began = now_ms();
    embedder_pass_init(&pass, weights, kernel, scratch);
    for (size_t i = 0; i < count; i++)
        if (!embedder_pass_add(&pass, texts[i]))
            break;
    while (embedder_pass_step(&pass))
        continue;
    embedder_pass_result(&pass, vectors[0]);
    *tokens = pass.token_count;
    return now_ms() - began;
}

static double bare_once(struct bare_encoder *bare, size_t tokens) {
    double began = now_ms();
    if (!(bare_encoder_run(bare, tokens) >= 0))
        abort();
    return now_ms() - began;
}

static void print_work(const char *name, const struct embedder_kernel *kernel,
                       const struct str *texts, size_t count, struct bare_encoder *bare) {
    static double ours[ROUNDS_MOST], theirs[ROUNDS_MOST];
    size_t tokens = 0;
    once(kernel, texts, count, &tokens);
    for (int i = 0; i < rounds; i++) {
        ours[i] = once(kernel, texts, count, &tokens);
        theirs[i] = bare != NULL ? bare_once(bare, tokens) : 0;
    }
    printf("\"%s\": {\"tokens\": %zu, \"ms\": %.3f", name, tokens, median(ours));
    if (bare != NULL)
        printf(", \"bare_ms\": %.3f, \"ratio\": %.2f", median(theirs),
               median(theirs) / median(ours));
    printf("}, ");
}

/* The longest text, and as many short ones as a pass takes. */
static void print_large(const struct embedder_kernel *kernel, struct bare_encoder *bare) {
    static char words[2048];
    struct str longest = {words, sizeof(words)}, many[EMBEDDER_PASS_TEXTS];
    for (size_t i = 0; i < sizeof(words); i++)
        words[i] = "we sang "[i % 8];
    for (size_t i = 0; i < EMBEDDER_PASS_TEXTS; i++)
        many[i] = TURN[i % 3];
    print_work("longest", kernel, &longest, 1, bare);
    print_work("batch", kernel, many, EMBEDDER_PASS_TEXTS, NULL);
}

static void print_kernels(void) {
    printf("\"kernels\": {");
    const char *comma = "";
    for (size_t i = 0; embedder_kernels[i] != NULL; i++) {
        size_t tokens;
        double times[ROUNDS_MOST];
        if (!embedder_kernels[i]->is_supported())
            continue;
        for (int round = 0; round < rounds; round++)
            times[round] = once(embedder_kernels[i], &QUESTION, 1, &tokens);
        printf("%s\"%s\": %.3f", comma, embedder_kernels[i]->name, median(times));
        comma = ", ";
    }
    printf("}");
}

int main(int argc, char **argv) {
    weights = embedder_file_map(argc > 1 ? argv[1] : EMBEDDER_FILE);
    if (argc > 2)
        rounds = atoi(argv[2]);
    if (weights == NULL || rounds < 1 || rounds > ROUNDS_MOST) {
        fputs("usage: memory_embed [WEIGHTS] [ROUNDS]\n", stderr);
        return 1;
    }
    const struct embedder_kernel *kernel = embedder_kernel_best();
    double asleep = resident_mb();
    scratch =
        mmap(NULL, sizeof(*scratch), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (scratch == MAP_FAILED)
        return 1;
    printf("{\"kernel\": \"%s\", ", kernel->name);
    print_work("first_question", kernel, &QUESTION, 1, NULL);
    print_large(kernel, NULL);
    double awake = resident_mb();
    embedder_file_rest(weights);
    munmap(scratch, sizeof(*scratch));
    printf("\"resident_mb\": {\"asleep\": %.1f, \"awake\": %.1f, \"rested\": %.1f}, ", asleep,
           awake, resident_mb());
    scratch =
        mmap(NULL, sizeof(*scratch), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct bare_encoder *bare = bare_encoder_new();
    if (bare == NULL || scratch == MAP_FAILED)
        return 1;
    size_t tokens; /* the first question after a rest finds its pages in the system's cache */
    printf("\"woken_ms\": %.3f, ", once(kernel, &QUESTION, 1, &tokens));
    print_work("question", kernel, &QUESTION, 1, bare);
    print_work("turn", kernel, TURN, 3, bare);
    print_large(kernel, bare);
    print_kernels();
    printf("}\n");
    bare_encoder_free(bare);
    return 0;
}
