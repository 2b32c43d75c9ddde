/* links: troupe_base */
#include "base/arena.h"
#include "base/check.h"
#include "base/list.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* Runs fn in a child with its error output thrown away; true when the child did not end well. */
static bool dies(void (*fn)(void)) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        fn();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void bytes_are_aligned_apart_and_kept(void **state) {
    (void)state;
    static const size_t SIZES[] = {0,    1,     15, 16,      17, 100,     4000, 4096,
                                   5000, 70000, 3,  1 << 20, 9,  2 << 20, 1};
    struct arena arena;
    unsigned char *at[COUNT_OF(SIZES)];
    arena_init(&arena);
    size_t sum = 0;
    for (size_t i = 0; i < COUNT_OF(SIZES); i++) {
        at[i] = arena_alloc(&arena, SIZES[i]);
        assert_int_equal((uintptr_t)at[i] % 16, 0);
        memset(at[i], (int)i + 1, SIZES[i]);
        sum += SIZES[i];
    }
    assert_int_equal(arena.used_bytes, sum);
    for (size_t i = 0; i < COUNT_OF(SIZES); i++)
        for (size_t k = 0; k < SIZES[i]; k++)
            if (at[i][k] != i + 1)
                fail_msg("byte %zu of allocation %zu was overwritten", k, i);
    arena_release(&arena);
}

static void zeroed_memory_is_zero(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    for (int round = 0; round < 3; round++) {
        int64_t *numbers = ARENA_ARRAY(&arena, int64_t, 1000);
        for (int i = 0; i < 1000; i++)
            assert_int_equal(numbers[i], 0);
        memset(numbers, 0xAA, 8000);
    }
    arena_release(&arena);
}

static void a_small_request_lives_in_the_callers_bytes(void **state) {
    (void)state;
    char scratch[1000];
    struct arena arena;
    arena_init_with(&arena, scratch, sizeof(scratch));
    char *inside = arena_alloc(&arena, 500);
    assert_true(inside >= scratch && inside + 500 <= scratch + sizeof(scratch));
    char *outside = arena_alloc(&arena, 500);
    assert_true(outside < scratch || outside >= scratch + sizeof(scratch));
    memset(inside, 1, 500);
    memset(outside, 2, 500);
    arena_release(&arena);
    memset(scratch, 0, sizeof(scratch)); /* it is the caller's again */
}

static void too_small_scratch_is_left_alone(void **state) {
    (void)state;
    char scratch[40];
    for (size_t len = 0; len <= sizeof(scratch); len++) {
        memset(scratch, 'x', sizeof(scratch));
        struct arena arena;
        arena_init_with(&arena, scratch, len);
        memset(arena_alloc(&arena, 64), 0, 64);
        arena_release(&arena);
        for (size_t i = len; i < sizeof(scratch); i++)
            assert_int_equal(scratch[i], 'x');
    }
}

struct trace {
    struct arena *arena;
    char letter;
};
static char trace_order[8];
static size_t trace_count;

static char letter_a = 'a', letter_c = 'c', letter_z = 'z';

static void note(void *ctx) {
    trace_order[trace_count++] = *(char *)ctx;
}

static void note_and_add(void *ctx) {
    struct trace *trace = ctx;
    trace_order[trace_count++] = trace->letter;
    arena_on_release(trace->arena, note, &letter_z);
}

static void destructors_run_newest_first_and_may_add_one(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    trace_count = 0;
    struct trace adding = {.arena = &arena, .letter = 'b'};
    arena_on_release(&arena, note, &letter_a);
    arena_on_release(&arena, note_and_add, &adding);
    arena_on_release(&arena, note, &letter_c);
    arena_release(&arena);
    assert_int_equal(trace_count, 4);
    assert_memory_equal(trace_order, "cbza", 4);
    arena_release(&arena); /* nothing runs twice */
    assert_int_equal(trace_count, 4);
}

/* Under AddressSanitizer the bytes that were lent stay readable: the arena gives them back whole. */
static void what_was_in_an_arena_with_a_secret_is_overwritten(void **state) {
    (void)state;
    _Alignas(16) char lent[512];
    struct arena arena;
    for (int is_wiped = 0; is_wiped < 2; is_wiped++) {
        arena_init_with(&arena, lent, sizeof lent);
        memcpy(arena_alloc(&arena, 16), "Bearer sk-quokka", 16);
        if (is_wiped)
            arena_wipe_on_release(&arena); /* what was there before, too */
        memcpy(arena_alloc(&arena, 16), "Bearer sk-wombat", 16);
        arena_release(&arena);
        assert_int_equal(memmem(lent, sizeof lent, "sk-quokka", 9) == NULL, is_wiped);
        assert_int_equal(memmem(lent, sizeof lent, "sk-wombat", 9) == NULL, is_wiped);
        assert_false(arena.is_wiped);
    }
}

static void the_room_left_counts_down_to_the_ceiling(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    assert_int_equal(arena_room(&arena), ARENA_CEILING_BYTES);
    arena.ceiling_bytes = 1000;
    arena_alloc(&arena, 600);
    assert_int_equal(arena_room(&arena), 400);
    arena_alloc(&arena, 400);
    assert_int_equal(arena_room(&arena), 0);
    arena_release(&arena);
}

static void pass_the_ceiling(void) {
    struct arena arena;
    arena_init(&arena);
    arena.ceiling_bytes = 1000;
    arena_alloc(&arena, 1001);
}

static void ask_for_everything(void) {
    struct arena arena;
    arena_init(&arena);
    arena_alloc(&arena, SIZE_MAX);
}

static void an_array_grows_and_keeps_what_it_holds(void **state) {
    (void)state;
    struct arena arena;
    int64_t *items = NULL;
    size_t room = 0, moves = 0;
    arena_init(&arena);
    for (size_t count = 0; count < 1000; count++) {
        int64_t *before = items;
        ARENA_GROW(&arena, items, count, room);
        moves += items != before;
        assert_true(room > count);
        items[count] = (int64_t)count * 7;
    }
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(items[i], (int64_t)i * 7);
    assert_true(moves < 10); /* it doubles */
    arena_release(&arena);
}

static void write_behind_the_last_block(void) {
    struct arena arena;
    arena_init(&arena);
    volatile char *block = arena_alloc(&arena, 64 << 10);
    for (int i = 0; i < 16; i++)
        block[(64 << 10) + i] = 'x';
    arena_release(&arena);
}

static void misuse_stops_the_process(void **state) {
    (void)state;
    assert_true(dies(pass_the_ceiling));
    assert_true(dies(ask_for_everything));
    assert_true(dies(write_behind_the_last_block));
}

struct node {
    int value;
    struct list link;
};

static void a_list_keeps_order_and_survives_removal_while_walking(void **state) {
    (void)state;
    struct list head;
    struct node nodes[5] = {0};
    list_init(&head);
    assert_true(list_is_empty(&head));
    for (int i = 0; i < 5; i++) {
        nodes[i].value = i;
        list_add_last(&head, &nodes[i].link);
    }
    LIST_EACH_SAFE(&head, at) {
        struct node *node = CONTAINER_OF(at, struct node, link);
        if (node->value % 2)
            list_remove(at);
    }
    int expected = 0;
    LIST_EACH(&head, at) {
        assert_int_equal(CONTAINER_OF(at, struct node, link)->value, expected);
        expected += 2;
    }
    assert_int_equal(expected, 6);
    assert_false(list_is_linked(&nodes[1].link));
    list_remove(&nodes[1].link); /* twice is harmless */
    assert_true(list_is_linked(&nodes[2].link));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_aligned_apart_and_kept),
        cmocka_unit_test(zeroed_memory_is_zero),
        cmocka_unit_test(a_small_request_lives_in_the_callers_bytes),
        cmocka_unit_test(too_small_scratch_is_left_alone),
        cmocka_unit_test(destructors_run_newest_first_and_may_add_one),
        cmocka_unit_test(what_was_in_an_arena_with_a_secret_is_overwritten),
        cmocka_unit_test(the_room_left_counts_down_to_the_ceiling),
        cmocka_unit_test(an_array_grows_and_keeps_what_it_holds),
        cmocka_unit_test(misuse_stops_the_process),
        cmocka_unit_test(a_list_keeps_order_and_survives_removal_while_walking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
