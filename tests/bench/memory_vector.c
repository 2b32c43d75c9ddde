/*
 * What the vector store costs, beside the bandwidth of this machine's memory in the same run:
 *
 *     memory_vector [--count N] [--spaces N] [--dims N] [--kind clustered|uniform]
 *                   [--folder DIR] [--dump FILE]
 *
 * One space of --count vectors, or --spaces of them with 2,000 each. Prints a JSON line for each
 * measurement: times of searches for the best ten (of the clock, and of the processor alone, which
 * says more where others are at work), how fast that is beside a plain loop that reads as many
 * bytes, and how many of the truly best ten (by the exact product of floats) are among them. The
 * vectors are made here: clusters of clusters, as sentences are (a topic, a way to say it, the rest)
 * around a common middle, a tenth that belongs nowhere; or, with --kind uniform, no order at all.
 * --dump writes vectors, questions and the best ten for memory_vector.py, which asks other libraries
 * the same.
 */
#include "store/vector.h"
#include "store/vector_inside.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUESTIONS 100
#define BEST      10

#define EACH 2000 /* vectors of one space of many */

static struct {
    const char *folder, *dump, *kind;
    size_t dims, count, spaces;
} options = {.folder = "/tmp", .kind = "clustered", .dims = 384, .count = 100000};

static FILE *dump;

static double ms_of(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

static double now_ms(void) {
    return ms_of(CLOCK_MONOTONIC);
}

static void write_dump(const void *bytes, size_t len) {
    if (fwrite(bytes, len, 1, dump) != 1) {
        perror(options.dump);
        exit(1);
    }
}

static void must(enum err err, const char *what) {
    if (err == E_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, err_word(err));
    exit(1);
}

/* --- vectors -------------------------------------------------------------------------------------- */

static uint64_t seed = 88172645463325252u;

static uint64_t random_bits(void) { /* xorshift64* */
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * 2685821657736338717u;
}

static float normal(void) { /* Box and Muller */
    double a = ((double)(random_bits() >> 11) + 1) / 9007199254740993.0;
    double b = (double)(random_bits() >> 11) / 9007199254740992.0;
    return (float)(sqrt(-2 * log(a)) * cos(6.283185307179586 * b));
}

#define TOPICS 400
#define WAYS   20 /* of a topic */

static float *topics, *ways;

static void make_topics(void) {
    topics = malloc(sizeof(float) * TOPICS * options.dims);
    ways = malloc(sizeof(float) * TOPICS * WAYS * options.dims);
    for (size_t i = 0; i < TOPICS * options.dims; i++)
        topics[i] = normal();
    for (size_t i = 0; i < TOPICS * WAYS * options.dims; i++)
        ways[i] = normal();
}

/* Of length 1. Values have different spreads, as those of encoders do. */
static void make_vector(float *out) {
    const bool is_uniform = strcmp(options.kind, "uniform") == 0;
    size_t topic = random_bits() % TOPICS, way = topic * WAYS + random_bits() % WAYS;
    float to_topic = is_uniform || random_bits() % 10 == 0 ? 0 : 0.5f,
          to_way = to_topic > 0 ? 0.5f : 0;
    double sum = 0;
    for (size_t i = 0; i < options.dims; i++) {
        float spread = is_uniform ? 1 : 0.5f + (float)(i * 7919 % 97) / 97;
        float common = is_uniform ? 0 : (i % 16 == 0 ? 0.6f : 0); /* the middle of all */
        out[i] = spread * (to_topic * topics[topic * options.dims + i] +
                           to_way * ways[way * options.dims + i] + 0.7f * normal()) +
                 common;
        sum += (double)out[i] * out[i];
    }
    for (size_t i = 0; i < options.dims; i++)
        out[i] = (float)(out[i] / sqrt(sum));
}

typedef float lanes __attribute__((vector_size(16), aligned(4), may_alias));

static float product(const float *a, const float *b) {
    lanes sums[2] = {{0}, {0}};
    for (size_t i = 0; i < options.dims; i += 8)
        for (size_t k = 0; k < 2; k++)
            sums[k] += *(const lanes *)(a + i + 4 * k) * *(const lanes *)(b + i + 4 * k);
    sums[0] += sums[1];
    return sums[0][0] + sums[0][1] + sums[0][2] + sums[0][3];
}

/* --- truth ------------------------------------------------------------------------------------------ */

struct question {
    float *values;
    int64_t items[BEST]; /* best first */
    float cosines[BEST];
    size_t known;
};

static struct question questions[QUESTIONS];

static void make_questions(void) {
    for (size_t i = 0; i < QUESTIONS; i++) {
        if (questions[i].values == NULL)
            questions[i].values = malloc(sizeof(float) * options.dims);
        questions[i].known = 0;
        make_vector(questions[i].values);
    }
}

static void learn(struct question *question, int64_t item, float cosine) {
    size_t at = question->known;
    if (at == BEST && cosine <= question->cosines[--at])
        return;
    for (; at > 0 && question->cosines[at - 1] < cosine; at--) {
        question->cosines[at] = question->cosines[at - 1];
        question->items[at] = question->items[at - 1];
    }
    question->cosines[at] = cosine;
    question->items[at] = item;
    question->known += question->known < BEST;
}

/* --- filling ------------------------------------------------------------------------------------------ */

#define BATCH 2000

static void fill(struct vector_space space, int64_t first, size_t count, bool has_truth,
                 double *store_ms) {
    float *values = malloc(sizeof(float) * BATCH * options.dims);
    struct vector_item items[BATCH];
    for (size_t from = 0; from < count; from += BATCH) {
        size_t many = count - from < BATCH ? count - from : BATCH;
        for (size_t i = 0; i < many; i++) {
            float *vector = values + i * options.dims;
            make_vector(vector);
            items[i] = (struct vector_item){space, first + (int64_t)(from + i), vector, 1,
                                            (uint16_t)options.dims};
            for (size_t q = 0; has_truth && q < QUESTIONS; q++)
                learn(&questions[q], items[i].id, product(questions[q].values, vector));
        }
        if (dump != NULL)
            write_dump(values, sizeof(float) * options.dims * many);
        double began = now_ms();
        must(pool_vector_write(items, many, 0), "write");
        *store_ms += now_ms() - began;
    }
    free(values);
}

/* --- measuring ------------------------------------------------------------------------------------------ */

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

typedef uint64_t words __attribute__((vector_size(32)));

/* The bytes as `streams` runs that are read side by side. */
static double read_ms(const char *memory, size_t bytes, size_t streams) {
    const size_t run = bytes / streams / 128 * 128;
    words sums[4] = {{0}, {0}, {0}, {0}};
    double began = ms_of(CLOCK_THREAD_CPUTIME_ID);
    for (size_t i = 0; i < run; i += 128)
        for (size_t stream = 0; stream < streams; stream++)
            for (size_t k = 0; k < 4; k++)
                sums[k] += *(const words *)(memory + stream * run + i + 32 * k);
    volatile uint64_t kept = (sums[0] + sums[1] + sums[2] + sums[3])[0];
    (void)kept;
    return ms_of(CLOCK_THREAD_CPUTIME_ID) - began;
}

#define READS 21

/* How long a plain loop over as many bytes has the processor: the median, in one run or four. */
static double read_bytes_ms(size_t bytes) {
    size_t rounded = (bytes + 4095) / 4096 * 4096;
    char *memory = aligned_alloc(4096, rounded);
    double times[READS];
    if (memory == NULL)
        exit(1);
    memset(memory, 1, rounded);
    for (size_t i = 0; i < READS; i++)
        times[i] = fmin(read_ms(memory, rounded, 1), read_ms(memory, rounded, 4));
    qsort(times, READS, sizeof(*times), by_size);
    free(memory);
    return times[READS / 2];
}

struct figures {
    double p50_ms, p99_ms, cpu_ms, recall;
};

#define ROUNDS 3 /* over all questions, after one that brings the pages in */

static size_t known_among(const struct question *question, const struct vector_hit *hits,
                          size_t count) {
    size_t found = 0;
    for (size_t hit = 0; hit < count; hit++)
        for (size_t k = 0; k < question->known; k++)
            found += hits[hit].item == question->items[k];
    return found;
}

static struct figures ask(struct vector_space space, bool is_exact) {
    double times[ROUNDS * QUESTIONS], cpu_times[ROUNDS * QUESTIONS];
    size_t found = 0, count;
    struct vector_hit hits[BEST];
    for (size_t i = 0; i < (ROUNDS + 1) * QUESTIONS; i++) {
        const struct question *question = &questions[i % QUESTIONS];
        struct vector_search search = {space, question->values, options.dims, BEST, is_exact};
        double began = now_ms(), cpu_began = ms_of(CLOCK_THREAD_CPUTIME_ID);
        must(pool_vector_search(&search, hits, &count), "search");
        double took = now_ms() - began, cpu_took = ms_of(CLOCK_THREAD_CPUTIME_ID) - cpu_began;
        if (i < QUESTIONS) {
            found += known_among(question, hits, count);
            continue;
        }
        times[i - QUESTIONS] = took;
        cpu_times[i - QUESTIONS] = cpu_took;
    }
    qsort(times, ROUNDS * QUESTIONS, sizeof(*times), by_size);
    qsort(cpu_times, ROUNDS * QUESTIONS, sizeof(*times), by_size);
    return (struct figures){times[ROUNDS * QUESTIONS / 2], times[ROUNDS * QUESTIONS * 99 / 100],
                            cpu_times[ROUNDS * QUESTIONS / 2], (double)found / (QUESTIONS * BEST)};
}

static void hear(const struct vector_part *part, void *ctx) {
    *(double *)ctx += part->cosine;
}

/* A walk that tells every part, as recall does. */
static double tell_all_ms(struct vector_space space) {
    double times[15], sum = 0;
    for (size_t i = 0; i < 15; i++) {
        double began = now_ms();
        must(pool_vector_scan(space, questions[i].values, options.dims, hear, &sum), "scan");
        times[i] = now_ms() - began;
    }
    qsort(times, 15, sizeof(*times), by_size);
    return times[7];
}

static void print(const char *work, size_t count, struct figures figures, const char *more_name,
                  double more) {
    printf("{\"work\":\"%s\",\"kind\":\"%s\",\"kernels\":\"%s\",\"count\":%zu,\"dims\":%zu,"
           "\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"cpu_ms\":%.4f,\"recall\":%.4f,\"%s\":%.4f}\n",
           work, options.kind, vector_kernels()->name, count, options.dims, figures.p50_ms,
           figures.p99_ms, figures.cpu_ms, figures.recall, more_name, more);
    fflush(stdout);
}

static void dump_questions(void) {
    for (size_t i = 0; dump != NULL && i < QUESTIONS; i++)
        write_dump(questions[i].values, sizeof(float) * options.dims);
    for (size_t i = 0; dump != NULL && i < QUESTIONS; i++)
        write_dump(questions[i].items, sizeof(questions[i].items));
    if (dump != NULL && fclose(dump) != 0)
        exit(1);
}

static void measure_one_space(size_t count) {
    struct vector_space space = {1, 1};
    double store_ms = 0;
    make_questions();
    fill(space, 1, count, true, &store_ms);
    dump_questions();
    size_t bytes = count * (vector_stride(options.dims) + sizeof(float));
    struct figures exact = ask(space, true);
    print("every vector", count, exact, "bandwidth_share", read_bytes_ms(bytes) / exact.cpu_ms);
    print("as usual", count, ask(space, false), "store_s", store_ms / 1e3);
    printf("{\"work\":\"every part told\",\"count\":%zu,\"p50_ms\":%.4f}\n", count,
           tell_all_ms(space));
}

static void measure_many_spaces(size_t spaces) {
    const size_t asked = spaces / 2;
    double store_ms = 0;
    make_questions();
    for (size_t i = 0; i < spaces; i++)
        fill((struct vector_space){(int64_t)i + 1, 1}, 1 + (int64_t)(i * EACH), EACH, i == asked,
             &store_ms);
    dump_questions();
    print("one space of many", EACH, ask((struct vector_space){(int64_t)asked + 1, 1}, false),
          "spaces", (double)spaces);
}

static void remove_files(const char *folder) {
    static const char *const names[] = {"/vectors/data.mdb", "/vectors/lock.mdb", "/vectors", ""};
    char path[4096];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s%s", folder, names[i]);
        remove(path);
    }
}

static void read_options(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--folder") == 0)
            options.folder = argv[i + 1];
        else if (strcmp(argv[i], "--dump") == 0)
            options.dump = argv[i + 1];
        else if (strcmp(argv[i], "--kind") == 0)
            options.kind = argv[i + 1];
        else if (strcmp(argv[i], "--dims") == 0)
            options.dims = strtoul(argv[i + 1], NULL, 10) / 8 * 8;
        else if (strcmp(argv[i], "--count") == 0)
            options.count = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--spaces") == 0)
            options.spaces = strtoul(argv[i + 1], NULL, 10);
    }
}

int main(int argc, char **argv) {
    char folder[4096];
    read_options(argc, argv);
    snprintf(folder, sizeof(folder), "%s/troupe-vectors-XXXXXX", options.folder);
    if (mkdtemp(folder) == NULL ||
        (options.dump != NULL && (dump = fopen(options.dump, "w")) == NULL)) {
        perror(folder);
        return 1;
    }
    make_topics();
    must(vector_open(folder), "open");
    if (options.spaces > 0)
        measure_many_spaces(options.spaces);
    else
        measure_one_space(options.count);
    vector_close();
    remove_files(folder);
    return 0;
}
