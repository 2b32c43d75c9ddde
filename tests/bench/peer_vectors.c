/* Reads what memory_vector dumped, has a peer build its store of it, asks, and prints (peer_vectors.h). */
#include "peer_vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define QUESTIONS    100 /* of the dump */
#define ASKED        30  /* of them, twice: the first round brings the pages in */
#define ENOUGH       0.9 /* of the best must be found */
#define MOST_COUNT   ((size_t)1000000)
#define NS_OF_ONE_MS 1e6
#define MS_OF_ONE_S  1e3

static float *questions;
static int64_t *best;

static double now_ms(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * MS_OF_ONE_S + (double)at.tv_nsec / NS_OF_ONE_MS;
}

static void *read_all(FILE *in, size_t size, size_t count) {
    void *out = malloc(size * count);
    if (out != NULL && fread(out, size, count, in) == count)
        return out;
    perror("the dump");
    exit(1);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static size_t known_among(size_t question, const int64_t *numbers, size_t count) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < PEER_BEST; k++)
            found += numbers[i] == best[question * PEER_BEST + k];
    return found;
}

/* The share of the best that was found. */
static double ask_all(double *p50_ms) {
    double times[ASKED];
    size_t found = 0;
    for (size_t i = 0; i < ASKED; i++) {
        int64_t numbers[PEER_BEST];
        double began = now_ms();
        size_t count = peer_ask(questions + i * PEER_DIMS, numbers);
        times[i] = now_ms() - began;
        found += known_among(i, numbers, count);
    }
    qsort(times, ASKED, sizeof(*times), by_size);
    *p50_ms = times[ASKED / 2];
    return (double)found / (ASKED * PEER_BEST);
}

int main(int argc, char **argv) {
    FILE *in = argc == 3 || argc == 5 ? fopen(argv[1], "rb") : NULL;
    struct peer_work work = {.count = argc > 2 ? strtoul(argv[2], NULL, 10) : 0};
    if (in == NULL || work.count == 0 || work.count > MOST_COUNT) {
        fprintf(stderr, "usage: %s DUMP COUNT [FIRST EACH]\n", argv[0]);
        return 1;
    }
    char folder[] = "/tmp/troupe-peer-XXXXXX";
    work.first = argc == 5 ? strtoul(argv[3], NULL, 10) : 0;
    work.each = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;
    work.vectors = read_all(in, sizeof(float) * PEER_DIMS, work.count);
    work.folder = mkdtemp(folder);
    questions = read_all(in, sizeof(float) * PEER_DIMS, QUESTIONS);
    best = read_all(in, sizeof(int64_t) * PEER_BEST, QUESTIONS);
    fclose(in);
    double began = now_ms(), p50_ms;
    peer_build(&work);
    double built_ms = now_ms() - began, recall = ask_all(&p50_ms);
    while (recall < ENOUGH && peer_widen())
        recall = ask_all(&p50_ms);
    recall = ask_all(&p50_ms);
    printf("{\"p50_ms\": %.4f, \"recall\": %.4f, \"built_s\": %.2f}\n", p50_ms, recall,
           built_ms / MS_OF_ONE_S);
    rmdir(folder);
    return 0;
}
