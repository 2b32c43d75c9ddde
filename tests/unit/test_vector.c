/* links: troupe_store */
#include "store/vector.h"

#include "base/check.h"
#include "scratch.h"

#include <dirent.h>
#include <lmdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

static int set_up(void **state) {
    (void)state;
    scratch_make();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    vector_close();
    scratch_remove();
    return 0;
}

/* As the memory will: 16-byte keys, values of a few hundred bytes. */
static void put_items(int count) {
    MDB_env *environment;
    MDB_txn *txn;
    MDB_dbi items;
    assert_int_equal(mdb_env_create(&environment), 0);
    mdb_env_set_maxdbs(environment, 4);
    mdb_env_set_mapsize(environment, 64 << 20);
    assert_int_equal(mdb_env_open(environment, scratch_path("vectors"), 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(environment, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "items", 0, &items), 0);
    for (int i = 0; i < count; i++) {
        unsigned char key[16] = {0}, value[400] = {1};
        key[14] = (unsigned char)(i >> 8);
        key[15] = (unsigned char)i;
        MDB_val k = {sizeof(key), key}, v = {sizeof(value), value};
        assert_int_equal(mdb_put(txn, items, &k, &v, 0), 0);
    }
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(environment);
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
    assert_int_equal(vector_count(), 0); /* closed */
    assert_int_equal(vector_open(scratch), E_OK);
    assert_int_equal(vector_count(), 0);
    vector_close();
    put_items(500);
    assert_int_equal(vector_open(scratch), E_OK);
    assert_int_equal(vector_count(), 500);
    assert_int_equal(folders_set_aside(), 0);
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
        vector_close();
        put_items(500);
        spoils[i](scratch_path("vectors/data.mdb"));
        assert_int_equal(vector_open(scratch), E_OK);
        assert_int_equal(vector_count(), 0);
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
    assert_int_equal(vector_count(), 0);
}

int main(void) {
#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(it_is_made_counted_and_opened_again),
        IN_SCRATCH(what_is_damaged_is_set_aside_and_made_anew),
        IN_SCRATCH(what_cannot_be_written_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
