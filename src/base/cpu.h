/*
 * Whether kernels may use more of the processor than every one of its family has.
 *
 * The vector store and the embedder choose their kernels by what the machine can do. With
 * TROUPE_TEST_KERNELS=plain in the environment they take the plain twins instead, so that a test (or
 * somebody who doubts a processor) sees the house as it is on a machine that has nothing else.
 */
#pragma once

#include <stdbool.h>

bool cpu_is_plain(void); /* any thread; always the same answer */
