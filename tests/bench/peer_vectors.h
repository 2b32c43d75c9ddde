/*
 * Vector stores of others, asked what memory_vector asks of ours: the vectors, questions and best
 * tens that it wrote with --dump. A peer is one file that defines these; peer_vectors.c measures.
 *
 *     peer_NAME DUMP COUNT [FIRST EACH]
 *
 * With FIRST and EACH only the vectors [FIRST, FIRST + EACH) are searched, among all. Prints one
 * JSON object: how long building took, the median of a question, the share of the best ten found.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PEER_DIMS 384
#define PEER_BEST 10

/* Everything is in one process; what fails ends it. */
struct peer_work {
    const float *vectors; /* of length 1; vector i has the number i + 1 */
    size_t count;
    size_t first, each; /* each 0: all are searched */
    const char *folder; /* for files; removed afterwards */
};

void peer_build(const struct peer_work *work);
/* The numbers of the best, in any order; how many. */
size_t peer_ask(const float *question, int64_t *numbers);
/* True when the search can be made wider and was: until nine in ten of the best are found. */
int peer_widen(void);

#ifdef __cplusplus
}
#endif
