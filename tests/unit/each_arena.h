/* An arena for each test of a file, or for the file: `arena`. */
#pragma once

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static struct arena arena;

static inline int each_arena_begin(void **state) {
    (void)state;
    arena_init(&arena);
    return 0;
}

static inline int each_arena_end(void **state) {
    (void)state;
    arena_release(&arena);
    return 0;
}

#define ARENA_TEST(test) cmocka_unit_test_setup_teardown(test, each_arena_begin, each_arena_end)
