/* links: troupe_store */
#include "store/vector_inside.h"

#include "base/check.h"
#include "scratch.h"
#include "vector_model.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

/*
 * A child writes, drops and compacts, and is killed at any moment; the next one goes on. What it
 * does follows from the number of the step alone, and the step is recorded as `seen` in the same
 * transaction, so the parent knows what must be there: every step that was acknowledged, and of the
 * one that was under way all or nothing.
 */
#define ROUNDS 40

static const struct vector_space spaces[] = {{1, 1}, {2, 1}, {1, 2}};

enum step_kind { STEP_WRITE, STEP_DROP, STEP_COMPACT };

struct step {
    enum step_kind kind;
    struct vector_space space; /* to drop */
    struct vector_item items[40];
    size_t count;
    float values[40 * MODEL_PART_LIMIT * MODEL_DIMS];
};

static struct step the_step;

static void add_item(struct step *step, int64_t number, uint64_t choice) {
    struct vector_item *item = &step->items[step->count];
    float *values = step->values + step->count++ * MODEL_PART_LIMIT * MODEL_DIMS;
    bool is_new = choice % 3 != 0;
    item->space = spaces[choice / 3 % COUNT_OF(spaces)];
    item->id =
        is_new ? number * 50 + (int64_t)step->count : (int64_t)model_below((uint64_t)number * 50);
    item->parts = (uint16_t)(is_new ? 1 + model_below(MODEL_PART_LIMIT) : model_below(3));
    item->dims = MODEL_DIMS;
    item->values = values;
    model_values(values, (size_t)item->parts * MODEL_DIMS);
}

static struct step *step_of(int64_t number) {
    struct step *step = &the_step;
    model_seed = (uint64_t)number * 0x9E3779B97F4A7C15u + 7;
    model_random();
    uint64_t choice = model_below(100);
    step->kind = choice < 4 ? STEP_DROP : choice < 9 ? STEP_COMPACT : STEP_WRITE;
    step->space = spaces[model_below(COUNT_OF(spaces))];
    step->count = 0;
    for (size_t count = 1 + model_below(choice < 20 ? 40 : 6);
         step->kind == STEP_WRITE && count > 0; count--)
        add_item(step, number, model_random());
    return step;
}

static void to_model(const struct step *step) {
    if (step->kind == STEP_DROP)
        model_drop(step->space);
    for (size_t i = 0; i < step->count; i++)
        model_write(&step->items[i]);
}

/* Dropping and compacting record nothing: the write behind them does. */
static enum err to_store(const struct step *step, int64_t number) {
    enum err err = E_OK;
    if (step->kind == STEP_DROP)
        err = pool_vector_drop(step->space);
    if (step->kind == STEP_COMPACT)
        err = pool_vector_compact();
    return err != E_OK ? err : pool_vector_write(step->items, step->count, number);
}

static _Noreturn void work(int acknowledged) {
    if (vector_open(scratch) != E_OK)
        _exit(2);
    for (int64_t number = vector_seen() + 1;; number++) {
        if (to_store(step_of(number), number) != E_OK)
            _exit(3);
        if (write(acknowledged, &number, sizeof(number)) != sizeof(number))
            _exit(4);
    }
}

/* The last of up to `most` acknowledged steps; 0 for none. */
static int64_t last_of(int fd, int most) {
    int64_t number = 0, next;
    for (int i = 0; i < most && read(fd, &next, sizeof(next)) == sizeof(next); i++)
        number = next;
    return number;
}

static int64_t run_and_kill(void) {
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        work(ends[1]);
    close(ends[1]);
    int64_t early = last_of(ends[0], rand() % 12); /* however slow the machine is today */
    usleep((useconds_t)(rand() % 8000));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status)); /* it did not give up by itself */
    int64_t late = last_of(ends[0], INT32_MAX);
    close(ends[0]);
    return late > early ? late : early;
}

static bool all_agree(void) {
    for (size_t i = 0; i < COUNT_OF(spaces); i++)
        if (!model_agrees(spaces[i]))
            return false;
    return vector_stats().items == (int64_t)model.count;
}

/* The model at `seen`, or with the drop that comes next. */
static bool store_is_whole(int64_t seen) {
    if (all_agree())
        return true;
    const struct step *next = step_of(seen + 1);
    if (next->kind != STEP_DROP)
        return false;
    model_drop(next->space);
    return all_agree();
}

static int set_up(void **state) {
    (void)state;
    scratch_make();
    vector_tuning = (struct vector_tuning){
        .map_bytes = 256 << 10, .block_rows = 64, .tail_rows = 24, .exact_rows = 200};
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    vector_close();
    scratch_remove();
    return 0;
}

struct listing {
    struct vector_part parts[MODEL_ITEM_LIMIT * MODEL_PART_LIMIT];
    size_t count;
};

static void list(const struct vector_part *part, void *ctx) {
    struct listing *listing = ctx;
    listing->parts[listing->count++] = *part;
}

/* A second environment, made from the model alone, answers with the same bits. */
static void assert_rebuild_is_equal(void) {
    static struct listing survived[COUNT_OF(spaces)], rebuilt;
    float question[MODEL_DIMS];
    model_values(question, MODEL_DIMS);
    for (size_t i = 0; i < COUNT_OF(spaces); i++)
        assert_int_equal(pool_vector_scan(spaces[i], question, MODEL_DIMS, list, &survived[i]),
                         E_OK);
    vector_close();
    const char *other = scratch_path("other");
    assert_int_equal(mkdir(other, 0700), 0);
    assert_int_equal(vector_open(other), E_OK);
    for (size_t i = 0; i < model.count; i++) {
        const struct model_item *item = &model.items[i];
        struct vector_item fresh = {item->space, item->id, item->values, item->parts, MODEL_DIMS};
        assert_int_equal(pool_vector_write(&fresh, 1, 0), E_OK);
    }
    for (size_t i = 0; i < COUNT_OF(spaces); i++) {
        rebuilt.count = 0;
        assert_int_equal(pool_vector_scan(spaces[i], question, MODEL_DIMS, list, &rebuilt), E_OK);
        assert_int_equal(rebuilt.count, survived[i].count);
        for (size_t k = 0; k < rebuilt.count; k++) {
            const struct vector_part *a = &rebuilt.parts[k], *b = &survived[i].parts[k];
            assert_true(a->item == b->item && a->part == b->part && a->cosine == b->cosine);
        }
    }
}

static void killed_at_any_moment_it_is_whole(void **state) {
    (void)state;
    int64_t done = 0; /* steps in the model */
    srand(20261121);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t acknowledged = run_and_kill();
        assert_int_equal(vector_open(scratch), E_OK);
        int64_t seen = vector_seen();
        assert_true(seen >= acknowledged && seen >= done);
        for (; done < seen; done++)
            to_model(step_of(done + 1));
        assert_true(store_is_whole(seen));
        assert_int_not_equal(access(scratch_path("vectors.new"), F_OK), 0);
        if (round < ROUNDS - 1)
            vector_close();
    }
    assert_true(done > ROUNDS);
    assert_rebuild_is_equal();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_at_any_moment_it_is_whole, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
