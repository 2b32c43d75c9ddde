/* links: troupe_store */
#include "store/vector.h"

#include "base/check.h"
#include "store/vector_inside.h"
#include "scratch.h"
#include "vector_model.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

static struct vector_tuning usual;

static int set_up(void **state) {
    (void)state;
    usual = vector_tuning;
    model.count = 0;
    scratch_make();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    vector_close();
    vector_tuning = usual;
    scratch_remove();
    return 0;
}

#define SPACE ((struct vector_space){7, 1})

static struct vector_item item_of(struct vector_space space, int64_t id, uint16_t parts) {
    static float values[MODEL_PART_LIMIT * MODEL_DIMS];
    model_values(values, (size_t)parts * MODEL_DIMS);
    return (struct vector_item){space, id, values, parts, MODEL_DIMS};
}

/* Into both. */
static void put(struct vector_space space, int64_t id, uint16_t parts) {
    struct vector_item item = item_of(space, id, parts);
    assert_int_equal(pool_vector_write(&item, 1, 0), E_OK);
    model_write(&item);
}

static void put_many(struct vector_space space, int64_t first, int count) {
    enum { EACH = 2 };
    float *values = malloc(sizeof(float) * EACH * MODEL_DIMS * (size_t)count);
    struct vector_item *items = calloc((size_t)count, sizeof(*items));
    model_values(values, (size_t)count * EACH * MODEL_DIMS);
    for (int i = 0; i < count; i++) {
        items[i] = (struct vector_item){space, first + i, values + i * EACH * MODEL_DIMS, EACH,
                                        MODEL_DIMS};
        model_write(&items[i]);
    }
    assert_int_equal(pool_vector_write(items, (size_t)count, first + count), E_OK);
    free(items);
    free(values);
}

static int folders_set_aside(void) {
    int count = 0;
    DIR *folder = opendir(scratch);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += strncmp(entry->d_name, "vectors.broken-", 15) == 0;
    closedir(folder);
    return count;
}

static void it_is_made_counted_and_opened_again(void **state) {
    (void)state;
    assert_int_equal(vector_count(SPACE), 0); /* closed */
    assert_int_equal(vector_stats().parts, 0);
    assert_int_equal(vector_open(scratch), E_OK);
    assert_int_equal(vector_count(SPACE), 0);
    assert_int_equal(vector_seen(), 0);
    put_many(SPACE, 1, 250);
    vector_close();
    assert_int_equal(vector_open(scratch), E_OK);
    assert_int_equal(vector_count(SPACE), 500);
    assert_int_equal(vector_seen(), 251);
    assert_int_equal(vector_stats().items, 250);
    assert_int_equal(vector_stats().parts, 500);
    assert_true(vector_stats().bytes > 500 * MODEL_DIMS);
    assert_true(model_agrees(SPACE));
    assert_int_equal(folders_set_aside(), 0);
}

static void what_is_put_is_found(void **state) {
    (void)state;
    struct vector_space spaces[] = {{7, 1}, {7, 2}, {8, 1}, {-3, 1}, {INT64_MAX, 1}};
    assert_int_equal(vector_open(scratch), E_OK);
    for (size_t i = 0; i < 300; i++)
        put(spaces[model_below(COUNT_OF(spaces))], (int64_t)model_below(60) - 20,
            (uint16_t)model_below(MODEL_PART_LIMIT + 1)); /* 0: it goes */
    for (size_t i = 0; i < COUNT_OF(spaces); i++)
        assert_true(model_agrees(spaces[i]));
    assert_int_equal(pool_vector_drop(spaces[0]), E_OK);
    model_drop(spaces[0]);
    for (size_t i = 0; i < COUNT_OF(spaces); i++)
        assert_true(model_agrees(spaces[i]));
    assert_int_equal(pool_vector_drop((struct vector_space){0, 1}), E_OK);
    model_drop((struct vector_space){0, 1});
    for (size_t i = 0; i < COUNT_OF(spaces); i++)
        assert_true(model_agrees(spaces[i]));
    assert_int_equal(vector_stats().items, (int64_t)model.count);
}

/* Ids that come in order, in any order, in the middle; items replaced and deleted in blocks. */
static void blocks_hold_what_entries_did(void **state) {
    (void)state;
    static const uint32_t sizes[][2] = {{64, 16}, {16, 4}, {128, 300}, {4, 0}};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        vector_tuning.block_rows = sizes[i][0];
        vector_tuning.tail_rows = sizes[i][1];
        struct vector_space space = {20 + (int64_t)i, 3};
        if (i == 0)
            assert_int_equal(vector_open(scratch), E_OK);
        for (int64_t id = 1; id <= 150; id++)
            put(space, id * 10, (uint16_t)(1 + model_below(MODEL_PART_LIMIT)));
        assert_true(model_agrees(space));
        for (int round = 0; round < 200; round++)
            put(space, (int64_t)model_below(1800) - 100, (uint16_t)model_below(MODEL_PART_LIMIT));
        assert_true(model_agrees(space));
        put_many(space, 3000, 200);
        put_many(space, 395, 100);
        put_many(space, -500, 30);
        assert_true(model_agrees(space));
        for (int round = 0; round < 400; round++)
            put(space, (int64_t)model_below(1500), 0);
        assert_true(model_agrees(space));
        for (int64_t id = 3000; id < 3200; id++)
            put(space, id, 0);
        assert_true(model_agrees(space));
    }
    assert_int_equal(pool_vector_compact(), E_OK);
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        assert_true(model_agrees((struct vector_space){20 + (int64_t)i, 3}));
    assert_int_equal(vector_stats().items, (int64_t)model.count);
    assert_int_equal(pool_vector_drop((struct vector_space){20, 3}), E_OK);
    model_drop((struct vector_space){20, 3});
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        assert_true(model_agrees((struct vector_space){20 + (int64_t)i, 3}));
}

/* The same for every id, so that a hit can be judged without a list. */
static void values_of(int64_t id, float *values, size_t dims) {
    uint64_t seed = (uint64_t)id * 0x9E3779B97F4A7C15u + 1;
    for (size_t i = 0; i < dims; i++)
        values[i] = model_next_normal(&seed);
}

/* --- the files ------------------------------------------------------------------------------------- */

static bool holds(const char *path, const void *bytes, size_t len) {
    struct stat info;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &info) != 0)
        return false;
    char *all = malloc((size_t)info.st_size + 1);
    assert_true(read(fd, all, (size_t)info.st_size) == info.st_size);
    bool found = memmem(all, (size_t)info.st_size, bytes, len) != NULL;
    free(all);
    close(fd);
    return found;
}

/* Any twelve bytes of what is stored of a vector. */
static bool is_in_the_files(const float *values) {
    int8_t row[VECTOR_STRIDE_UNIT];
    uint8_t rest[VECTOR_STRIDE_UNIT / 2];
    float scale;
    assert_true(vector_shape(values, MODEL_DIMS, row, rest, &scale));
    const char *path = scratch_path("vectors/data.mdb");
    for (size_t i = 0; i + 12 <= MODEL_DIMS; i += 12)
        if (holds(path, row + i, 12) || holds(path, rest + i / 2, 12))
            return true;
    return false;
}

static void nothing_of_the_deleted_is_left_after_compaction(void **state) {
    (void)state;
    enum { GONE = 40 };
    static float gone[GONE][MODEL_DIMS];
    vector_tuning.block_rows = 64;
    vector_tuning.tail_rows = 32;
    assert_int_equal(vector_open(scratch), E_OK);
    for (int64_t id = 0; id < 400; id++)
        put(SPACE, id, 1);
    put((struct vector_space){8, 1}, 1, 2);
    int found = 0;
    for (int i = 0; i < GONE; i++) { /* of blocks and of the tail, deleted and replaced */
        int64_t id = i < GONE / 2 ? i * 7 : 399 - i;
        memcpy(gone[i], model_find(SPACE, id)->values, sizeof(gone[i]));
        put(SPACE, id, (uint16_t)(i % 2));
        found += is_in_the_files(gone[i]);
    }
    assert_true(found > GONE / 2); /* or the next lines show nothing */
    memcpy(gone[0], model_find((struct vector_space){8, 1}, 1)->values, sizeof(gone[0]));
    assert_int_equal(pool_vector_drop((struct vector_space){8, 1}), E_OK);
    model_drop((struct vector_space){8, 1});
    assert_int_equal(pool_vector_compact(), E_OK);
    for (int i = 0; i < GONE; i++)
        assert_false(is_in_the_files(gone[i]));
    assert_true(is_in_the_files(model_find(SPACE, 200)->values));
    assert_true(model_agrees(SPACE));
    vector_close();
    assert_int_equal(vector_open(scratch), E_OK);
    assert_true(model_agrees(SPACE));
    put(SPACE, 500, 1);
    for (int i = 0; i < GONE; i++) /* pages that are used again hold nothing old either */
        assert_false(is_in_the_files(gone[i]));
}

static void a_compaction_that_was_cut_off_is_forgotten(void **state) {
    (void)state;
    assert_int_equal(vector_open(scratch), E_OK);
    put_many(SPACE, 1, 50);
    vector_close();
    assert_int_equal(mkdir(scratch_path("vectors.new"), 0700), 0);
    FILE *file = fopen(scratch_path("vectors.new/data.mdb"), "w");
    fputs("half", file);
    fclose(file);
    assert_int_equal(vector_open(scratch), E_OK);
    assert_int_not_equal(access(scratch_path("vectors.new"), F_OK), 0);
    assert_int_equal(pool_vector_compact(), E_OK);
    assert_true(model_agrees(SPACE));
    assert_int_not_equal(access(scratch_path("vectors.new"), F_OK), 0);
}

static void the_map_grows(void **state) {
    (void)state;
    vector_tuning.map_bytes = 128 << 10;
    assert_int_equal(vector_open(scratch), E_OK);
    put_many(SPACE, 1, 1500);
    for (int64_t id = 2000; id < 2050; id++)
        put(SPACE, id, 3);
    assert_true(vector_stats().bytes > 4 * 128 << 10);
    assert_true(model_agrees(SPACE));
    vector_close();
    assert_int_equal(vector_open(scratch), E_OK); /* the file is larger than the first map */
    assert_true(model_agrees(SPACE));
    put_many(SPACE, 3000, 500);
    assert_int_equal(pool_vector_compact(), E_OK);
    put_many(SPACE, 4000, 500);
    assert_true(model_agrees(SPACE));
}

static _Noreturn void grow_elsewhere(int start) {
    char byte;
    if (read(start, &byte, 1) != 1 || vector_open(scratch) != E_OK)
        _exit(1);
    put_many(SPACE, 1, 1500);
    vector_close();
    _exit(0);
}

/* The command line beside a running server. */
static void the_map_grew_elsewhere(void **state) {
    (void)state;
    int start[2], status;
    assert_int_equal(pipe(start), 0);
    vector_tuning.map_bytes = 256 << 10;
    uint64_t seed = model_seed;
    pid_t child = fork(); /* before an environment is open: one must not be taken along */
    if (child == 0)
        grow_elsewhere(start[0]);
    assert_int_equal(vector_open(scratch), E_OK);
    assert_true(model_agrees(SPACE));
    assert_int_equal(write(start[1], "", 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(vector_count(SPACE), 3000);
    put(SPACE, 5000, 2);
    model_drop(SPACE);
    model_seed = seed; /* what the child made */
    put_many((struct vector_space){8, 1}, 1, 1500);
    for (size_t i = 0; i < model.count; i++)
        model.items[i].space = SPACE;
    assert_int_equal(pool_vector_drop((struct vector_space){8, 1}), E_OK);
    struct vector_item gone = {SPACE, 5000, NULL, 0, 0};
    assert_int_equal(pool_vector_write(&gone, 1, 0), E_OK);
    assert_true(model_agrees(SPACE));
    close(start[0]);
    close(start[1]);
}

/* What LMDB writes into through a mapping has its blocks, or a full disk would be a SIGBUS. */
static void the_lock_file_is_no_hole(void **state) {
    (void)state;
    struct stat info;
    assert_int_equal(vector_open(scratch), E_OK);
    assert_int_equal(stat(scratch_path("vectors/lock.mdb"), &info), 0);
    assert_int_equal(info.st_size, 8192); /* LMDB made it no longer */
    assert_true(info.st_blocks * 512 >= info.st_size);
    vector_close();
    assert_int_equal(unlink(scratch_path("vectors/lock.mdb")),
                     0); /* as in a folder from a backup */
    assert_int_equal(vector_open(scratch), E_OK);
    assert_int_equal(folders_set_aside(), 0);
    assert_int_equal(stat(scratch_path("vectors/lock.mdb"), &info), 0);
    assert_true(info.st_blocks * 512 >= info.st_size);
}

/* A file that may not grow answers as a full disk does: with an error at the write. */
static void a_full_disk_stores_nothing(void **state) {
    (void)state;
    struct rlimit usual_limit, small;
    enum { COUNT = 400 };
    static float values[COUNT * MODEL_DIMS];
    static struct vector_item items[COUNT];
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(vector_open(scratch), E_OK);
    put_many(SPACE, 1, 50);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &usual_limit), 0);
    small = usual_limit;
    small.rlim_cur = (rlim_t)vector_stats().bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    model_values(values, COUNT * MODEL_DIMS);
    for (int i = 0; i < COUNT; i++)
        items[i] = (struct vector_item){SPACE, 1000 + i, values + i * MODEL_DIMS, 1, MODEL_DIMS};
    for (int round = 0; round < 3; round++) {
        assert_int_equal(pool_vector_write(items, COUNT, 5000), E_STORAGE);
        assert_int_equal(vector_seen(), 51);
        assert_true(model_agrees(SPACE));
    }
    small.rlim_cur = 8192; /* there is no room for the copy */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(pool_vector_compact(), E_STORAGE);
    assert_true(model_agrees(SPACE));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &usual_limit), 0);
    assert_int_equal(pool_vector_write(items, COUNT, 5000), E_OK);
    for (int i = 0; i < COUNT; i++)
        model_write(&items[i]);
    assert_true(model_agrees(SPACE));
    assert_int_equal(pool_vector_compact(), E_OK);
    assert_true(model_agrees(SPACE));
    vector_close();
    assert_int_equal(vector_open(scratch), E_OK);
    assert_int_equal(folders_set_aside(), 0);
    assert_true(model_agrees(SPACE));
}

/* --- many threads -------------------------------------------------------------------------------- */

#define CROWD ((struct vector_space){77, 5})

static _Atomic bool crowd_goes;
static _Atomic int crowd_errors, crowd_searches;

static void *search_on(void *ctx) {
    float question[MODEL_DIMS], values[MODEL_DIMS];
    struct vector_hit hits[10];
    size_t count;
    values_of((int64_t)(intptr_t)ctx, question, MODEL_DIMS);
    while (crowd_goes) {
        struct vector_search search = {CROWD, question, MODEL_DIMS, 10, false};
        if (pool_vector_search(&search, hits, &count) != E_OK || count != 10)
            crowd_errors++;
        for (size_t i = 0; i < count; i++) {
            values_of(hits[i].item, values, MODEL_DIMS);
            if (fabs(hits[i].cosine - model_cosine(question, values)) > 0.002 ||
                (i > 0 && hits[i - 1].cosine < hits[i].cosine))
                crowd_errors++;
        }
        crowd_searches++;
    }
    return NULL;
}

static void write_crowd(int64_t from, int count, bool are_there) {
    static float values[100 * MODEL_DIMS];
    static struct vector_item items[100];
    for (int i = 0; i < count; i++) {
        values_of(from + i, values + i * MODEL_DIMS, MODEL_DIMS);
        items[i] = (struct vector_item){CROWD, from + i, values + i * MODEL_DIMS, are_there ? 1 : 0,
                                        MODEL_DIMS};
    }
    assert_int_equal(pool_vector_write(items, (size_t)count, 0), E_OK);
}

static void searches_go_on_while_it_changes(void **state) {
    (void)state;
    pthread_t threads[3];
    vector_tuning = (struct vector_tuning){
        .map_bytes = 256 << 10, .block_rows = 64, .tail_rows = 32, .exact_rows = 500};
    assert_int_equal(vector_open(scratch), E_OK);
    for (int64_t from = 1; from < 401; from += 100)
        write_crowd(from, 100, true);
    crowd_goes = true;
    for (intptr_t i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, search_on, (void *)(i + 1000));
    for (int round = 0; round < 40; round++) {
        write_crowd(1000 + round * 50, 50, true);
        write_crowd(401 + round * 10, 10, round % 3 == 0);
        if (round % 4 == 3)
            write_crowd(1000 + round * 50 - 60, 50, false);
        if (round % 10 == 9)
            assert_int_equal(pool_vector_compact(), E_OK);
    }
    while (crowd_searches < 100)
        usleep(1000);
    crowd_goes = false;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(crowd_errors, 0);
}

/* --- two passes ------------------------------------------------------------------------------------ */

/* Half of what is made has a centre in common with others. */
static void make_lumpy(float *values, size_t dims) {
    float centre[512];
    values_of((int64_t)model_below(60), centre, dims);
    float share = model_below(4) == 0 ? 0 : 0.8f;
    for (size_t i = 0; i < dims; i++)
        values[i] = share * centre[i] + 0.7f * model_normal() + (i % 9 == 0 ? 0.8f : 0);
}

static size_t hits_in_common(const struct vector_hit *a, const struct vector_hit *b, size_t count) {
    size_t common = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++)
            common += a[i].item == b[k].item && a[i].part == b[k].part;
    return common;
}

static void two_passes_find_what_one_does(void **state) {
    (void)state;
    enum { DIMS = 384, COUNT = 12000, BATCH = 500, LIMIT = 10, ASKED = 60 };
    static float values[BATCH * DIMS];
    struct vector_item items[BATCH];
    struct vector_hit wanted[LIMIT], got[LIMIT];
    size_t count, common = 0;
    assert_int_equal(vector_open(scratch), E_OK);
    for (int64_t id = 0; id < COUNT; id += BATCH) {
        for (int64_t i = 0; i < BATCH; i++) {
            make_lumpy(values + i * DIMS, DIMS);
            items[i] = (struct vector_item){SPACE, id + i, values + i * DIMS, 1, DIMS};
        }
        assert_int_equal(pool_vector_write(items, BATCH, 0), E_OK);
    }
    for (int i = 0; i < ASKED; i++) {
        make_lumpy(values, DIMS);
        struct vector_search search = {SPACE, values, DIMS, LIMIT, true};
        assert_int_equal(pool_vector_search(&search, wanted, &count), E_OK);
        assert_int_equal(count, LIMIT);
        search.is_exact = false;
        assert_int_equal(pool_vector_search(&search, got, &count), E_OK);
        assert_int_equal(count, LIMIT);
        common += hits_in_common(wanted, got, LIMIT);
    }
    assert_true(common >= ASKED * LIMIT * 995 / 1000);
}

/* Blocks whose rows are all the same, or nothing, have no signs to tell them apart. */
static void two_passes_find_equals(void **state) {
    (void)state;
    struct vector_hit hits[30];
    size_t count;
    float values[MODEL_DIMS], zeros[MODEL_DIMS] = {0};
    vector_tuning = (struct vector_tuning){
        .map_bytes = 1 << 20, .block_rows = 64, .tail_rows = 8, .exact_rows = 0};
    assert_int_equal(vector_open(scratch), E_OK);
    values_of(1, values, MODEL_DIMS);
    for (int64_t id = 300; id > 0; id--) {
        struct vector_item item = {SPACE, id, id % 100 < 50 ? values : zeros, 1, MODEL_DIMS};
        assert_int_equal(pool_vector_write(&item, 1, 0), E_OK);
    }
    struct vector_search search = {SPACE, values, MODEL_DIMS, 30, false};
    assert_int_equal(pool_vector_search(&search, hits, &count), E_OK);
    assert_int_equal(count, 30);
    for (int i = 0; i < 30; i++) /* ties by item */
        assert_true(hits[i].item == i + 1 && hits[i].cosine > 0.999f);
    search.query = zeros;
    assert_int_equal(pool_vector_search(&search, hits, &count), E_OK);
    for (int i = 0; i < 30; i++)
        assert_true(hits[i].item == i + 1 && hits[i].cosine == 0);
}

/* --- damage inside -------------------------------------------------------------------------------- */

static int spoil_value(MDB_txn *txn, struct vector_totals *totals, void *ctx) {
    (void)totals;
    struct vector_key key = vector_key(SPACE, *(enum vector_kind *)ctx, 0);
    char junk[600] = {1, 2, 3};
    MDB_val k = {sizeof(key.bytes), key.bytes}, v = {sizeof(junk), junk};
    return mdb_put(txn, vector_table(), &k, &v, 0);
}

static void damage_that_a_search_finds_heals_at_the_next_start(void **state) {
    (void)state;
    static enum vector_kind kinds[] = {VECTOR_HEAD, VECTOR_TAIL, VECTOR_SIGNS, VECTOR_ROWS};
    struct vector_hit hit;
    size_t count;
    float values[MODEL_DIMS];
    vector_tuning = (struct vector_tuning){
        .map_bytes = 1 << 20, .block_rows = 64, .tail_rows = 8, .exact_rows = 0};
    values_of(1, values, MODEL_DIMS);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        assert_int_equal(vector_open(scratch), E_OK);
        put_many(SPACE, 0, 100);
        assert_int_equal(vector_change(spoil_value, &kinds[i]), E_OK);
        struct vector_search search = {SPACE, values, MODEL_DIMS, 1, false};
        assert_int_equal(pool_vector_search(&search, &hit, &count), E_STORAGE);
        assert_int_equal(count, 0);
        vector_close();
        assert_int_equal(vector_open(scratch), E_OK);
        assert_int_equal(folders_set_aside(), (int)i + 1);
        assert_int_equal(vector_stats().items, 0);
        assert_int_equal(vector_seen(), 0); /* so that all is made again */
        vector_close();
        usleep(2000); /* the names hold milliseconds */
    }
}

static void an_item_comes_back_as_it_was(void **state) {
    (void)state;
    float values[MODEL_PART_LIMIT * MODEL_DIMS];
    uint16_t parts;
    assert_int_equal(vector_open(scratch), E_OK);
    put(SPACE, 5, 3);
    assert_int_equal(pool_vector_get(SPACE, 5, MODEL_DIMS, values, MODEL_PART_LIMIT, &parts), E_OK);
    assert_int_equal(parts, 3);
    const struct model_item *item = model_find(SPACE, 5);
    for (int part = 0; part < 3; part++) {
        double length = 0;
        for (int i = 0; i < MODEL_DIMS; i++)
            length += pow(values[part * MODEL_DIMS + i], 2);
        assert_true(fabs(length - 1) < 0.02);
        assert_true(model_cosine(values + part * MODEL_DIMS, item->values + part * MODEL_DIMS) >
                    0.9995);
    }
    assert_int_equal(pool_vector_get(SPACE, 5, MODEL_DIMS, values, 2, &parts), E_OK);
    assert_int_equal(parts, 2);
    assert_int_equal(pool_vector_get(SPACE, 6, MODEL_DIMS, values, 2, &parts), E_OK);
    assert_int_equal(parts, 0);
    assert_int_equal(pool_vector_get((struct vector_space){9, 9}, 5, MODEL_DIMS, values, 2, &parts),
                     E_OK);
    assert_int_equal(parts, 0);
    assert_int_equal(pool_vector_get(SPACE, 5, MODEL_DIMS - 1, values, 2, &parts), E_INPUT);
}

static void what_makes_no_sense_is_refused(void **state) {
    (void)state;
    float values[MODEL_DIMS] = {1}, question[MODEL_DIMS] = {1};
    struct vector_hit hit;
    size_t count;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    assert_int_equal(vector_open(scratch), E_OK);
    put(SPACE, 1, 1);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct vector_item good = item_of(SPACE, 2, 1), wrong = {SPACE, 3, values, 1, MODEL_DIMS},
                           both[] = {good, wrong};
        values[MODEL_DIMS - 1] = bad[i];
        assert_int_equal(pool_vector_write(both, 2, 9), E_INPUT);
        assert_int_equal(vector_count(SPACE), 1); /* nothing of it */
        assert_int_equal(vector_seen(), 0);
        question[0] = bad[i];
        struct vector_search search = {SPACE, question, MODEL_DIMS, 1, false};
        assert_int_equal(pool_vector_search(&search, &hit, &count), E_INPUT);
    }
    struct vector_item item = item_of(SPACE, 2, 1);
    item.dims = MODEL_DIMS - 1; /* the space has others */
    assert_int_equal(pool_vector_write(&item, 1, 0), E_INPUT);
    struct vector_search search = {SPACE, item.values, MODEL_DIMS - 1, 1, false};
    assert_int_equal(pool_vector_search(&search, &hit, &count), E_INPUT);
    search.dims = MODEL_DIMS;
    search.limit = VECTOR_HITS_LIMIT + 1;
    assert_int_equal(pool_vector_search(&search, &hit, &count), E_LIMIT);
    search.limit = 0;
    assert_int_equal(pool_vector_search(&search, &hit, &count), E_INPUT);
    item.dims = VECTOR_DIMS_LIMIT + 1;
    assert_int_equal(pool_vector_write(&item, 1, 0), E_LIMIT);
    item.dims = 1, item.parts = VECTOR_PARTS_LIMIT + 1;
    assert_int_equal(pool_vector_write(&item, 1, 0), E_LIMIT);
    assert_true(model_agrees(SPACE));
}

static void a_space_takes_other_dims_when_it_is_empty(void **state) {
    (void)state;
    struct vector_hit hit;
    size_t count;
    float values[] = {0, 3, 4}, zeros[3] = {0};
    struct vector_item items[] = {{SPACE, 1, values, 1, 3}, {SPACE, 2, zeros, 1, 3}};
    assert_int_equal(vector_open(scratch), E_OK);
    put(SPACE, 1, 1);
    put(SPACE, 1, 0);
    assert_int_equal(pool_vector_write(items, 2, 0), E_OK);
    struct vector_search search = {SPACE, values, 3, 1, false};
    assert_int_equal(pool_vector_search(&search, &hit, &count), E_OK);
    assert_true(count == 1 && hit.item == 1 && fabs(hit.cosine - 1) < 0.01);
}

static void seen_never_goes_back(void **state) {
    (void)state;
    assert_int_equal(vector_open(scratch), E_OK);
    assert_int_equal(pool_vector_write(NULL, 0, 40), E_OK);
    assert_int_equal(pool_vector_write(NULL, 0, 30), E_OK);
    assert_int_equal(pool_vector_write(NULL, 0, 0), E_OK);
    assert_int_equal(vector_seen(), 40);
    vector_close();
    assert_int_equal(vector_seen(), 0);
    assert_int_equal(vector_open(scratch), E_OK);
    assert_int_equal(vector_seen(), 40);
}

static void write_junk(const char *path, long from, long len) {
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, from, SEEK_SET);
    for (long i = 0; i < len; i++)
        fputc(0xA5, file);
    fclose(file);
}

static void spoil_head(const char *path) {
    write_junk(path, 0, 8192);
}
static void spoil_tree(const char *path) {
    struct stat info;
    stat(path, &info);
    write_junk(path, 8192, info.st_size - 8192);
}
static void cut_to_the_head(const char *path) {
    assert_int_equal(truncate(path, 8192), 0);
}

static void what_is_damaged_is_set_aside_and_made_anew(void **state) {
    (void)state;
    static void (*const spoils[])(const char *) = {spoil_head, spoil_tree, cut_to_the_head};
    for (size_t i = 0; i < COUNT_OF(spoils); i++) {
        assert_int_equal(vector_open(scratch), E_OK);
        put_many(SPACE, 1, 250);
        vector_close();
        spoils[i](scratch_path("vectors/data.mdb"));
        assert_int_equal(vector_open(scratch), E_OK);
        assert_int_equal(vector_count(SPACE), 0);
        assert_int_equal(folders_set_aside(), (int)i + 1);
        vector_close();
        usleep(2000); /* the names hold milliseconds */
    }
}

static void what_cannot_be_written_is_refused(void **state) {
    (void)state;
    FILE *file = fopen(scratch_path("vectors"), "w"); /* a file where the folder should be */
    fclose(file);
    assert_int_equal(vector_open(scratch), E_STORAGE);
    assert_int_equal(vector_count(SPACE), 0);
}

int main(void) {
#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(it_is_made_counted_and_opened_again),
        IN_SCRATCH(what_is_put_is_found),
        IN_SCRATCH(blocks_hold_what_entries_did),
        IN_SCRATCH(nothing_of_the_deleted_is_left_after_compaction),
        IN_SCRATCH(a_compaction_that_was_cut_off_is_forgotten),
        IN_SCRATCH(the_map_grows),
        IN_SCRATCH(the_map_grew_elsewhere),
        IN_SCRATCH(the_lock_file_is_no_hole),
        IN_SCRATCH(a_full_disk_stores_nothing),
        IN_SCRATCH(searches_go_on_while_it_changes),
        IN_SCRATCH(two_passes_find_what_one_does),
        IN_SCRATCH(two_passes_find_equals),
        IN_SCRATCH(damage_that_a_search_finds_heals_at_the_next_start),
        IN_SCRATCH(an_item_comes_back_as_it_was),
        IN_SCRATCH(what_makes_no_sense_is_refused),
        IN_SCRATCH(a_space_takes_other_dims_when_it_is_empty),
        IN_SCRATCH(seen_never_goes_back),
        IN_SCRATCH(what_is_damaged_is_set_aside_and_made_anew),
        IN_SCRATCH(what_cannot_be_written_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
