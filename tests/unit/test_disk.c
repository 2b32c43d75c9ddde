/* links: troupe_vendor_free troupe_store */
#include "store/blob.h"

#include "base/check.h"
#include "base/clock.h"
#include "scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <cmocka.h>

/* SHA-256 of "abc" (FIPS 180-4, example). */
#define ABC_KEY "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static struct arena arena;

static int set_up(void **state) {
    (void)state;
    scratch_make();
    arena_init(&arena);
    blob_use(&blob_disk, scratch);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_release(&arena);
    scratch_remove();
    return 0;
}

static int files_in(const char *name) {
    int count = 0;
    DIR *folder = opendir(scratch_path(name));
    if (folder == NULL)
        return -1;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static void bytes_come_back_by_the_hash_of_their_content(void **state) {
    (void)state;
    static const struct str rows[] = {{"abc", 3}, {"", 0}, {"a\0b", 3}};
    char key[BLOB_KEY_LEN + 1];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct str bytes = STR_NONE;
        assert_int_equal(blob_port()->pool_put(rows[i], key), E_OK);
        assert_int_equal(blob_port()->load(&arena, str_from(key), &bytes), E_OK);
        assert_true(str_eq(bytes, rows[i]));
    }
    assert_int_equal(blob_port()->pool_put(STR("abc"), key), E_OK); /* again is fine */
    assert_string_equal(key, ABC_KEY);
    assert_int_equal(files_in("blobs/ba"), 1);
    assert_int_equal(files_in("blobs/new"), 0);
}

static void the_data_folder_need_not_be_there_yet(void **state) {
    (void)state;
    char key[BLOB_KEY_LEN + 1];
    blob_use(&blob_disk, scratch_path("fresh"));
    assert_int_equal(blob_port()->pool_put(STR("abc"), key), E_OK);
    assert_int_equal(files_in("fresh/blobs/ba"), 1);
}

static void only_we_can_read_them(void **state) {
    (void)state;
    char key[BLOB_KEY_LEN + 1];
    struct stat info;
    assert_int_equal(blob_port()->pool_put(STR("abc"), key), E_OK);
    assert_int_equal(stat(scratch_path("blobs"), &info), 0);
    assert_int_equal(info.st_mode & 077, 0);
    assert_int_equal(
        stat(
            scratch_path("blobs/ba/7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            &info),
        0);
    assert_int_equal(info.st_mode & 077, 0);
}

static void keys_that_are_none_find_nothing(void **state) {
    (void)state;
    static const char *const keys[] = {
        "",
        "abc",
        "../../../../../../../../../../../../../../../../../../etc/passwd",
        "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a/",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad0",
        "0000000000000000000000000000000000000000000000000000000000000000",
    };
    char key[BLOB_KEY_LEN + 1];
    struct str bytes;
    assert_int_equal(blob_port()->pool_put(STR("abc"), key), E_OK);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        assert_int_equal(blob_port()->load(&arena, str_from(keys[i]), &bytes), E_ABSENT);
        assert_int_equal(blob_port()->pool_remove(str_from(keys[i]), INT64_MAX), E_ABSENT);
    }
    assert_int_equal(blob_port()->load(&arena, STR_NONE, &bytes), E_ABSENT);
}

static void what_is_removed_is_gone(void **state) {
    (void)state;
    char key[BLOB_KEY_LEN + 1];
    struct str bytes;
    assert_int_equal(blob_port()->pool_put(STR("abc"), key), E_OK);
    assert_int_equal(blob_port()->pool_remove(str_from(key), INT64_MAX), E_OK);
    assert_int_equal(blob_port()->load(&arena, str_from(key), &bytes), E_ABSENT);
    assert_int_equal(blob_port()->pool_remove(str_from(key), INT64_MAX), E_ABSENT);
    assert_int_equal(blob_port()->pool_put(STR("abc"), key), E_OK);
    assert_int_equal(blob_port()->load(&arena, str_from(key), &bytes), E_OK);
}

static void count_blob(const struct blob_info *info, void *ctx) {
    struct blob_info *last = ctx;
    assert_string_equal(str_dup_z(&arena, info->key), ABC_KEY);
    last->bytes += info->bytes;
    last->put_at_ms = info->put_at_ms;
}

static void what_was_put_lately_stays(void **state) {
    (void)state;
    char key[BLOB_KEY_LEN + 1];
    struct str bytes;
    struct blob_info last = {0};
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(blob_port()->pool_put(STR("abc"), key), E_OK);
    assert_int_equal(blob_port()->pool_remove(str_from(key), clock_now_ms() - 60000), E_CONFLICT);
    assert_int_equal(
        utimensat(
            AT_FDCWD,
            scratch_path("blobs/ba/7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            old, 0),
        0);
    fclose(fopen(scratch_path("blobs/ba/no blob"), "w"));
    for (int shelf = 0; shelf < BLOB_SHELVES; shelf++)
        assert_int_equal(blob_port()->pool_each(shelf, count_blob, &last), E_OK);
    assert_int_equal(last.bytes, 3); /* once, and nothing else */
    assert_int_equal(last.put_at_ms, 1000000);
    assert_int_equal(blob_port()->pool_put(STR("abc"), key),
                     E_OK); /* it was there: now it is new */
    assert_int_equal(blob_port()->pool_remove(str_from(key), 1000001), E_CONFLICT);
    assert_int_equal(blob_port()->load(&arena, str_from(key), &bytes), E_OK);
}

static void a_half_written_file_of_a_crash_is_cleared(void **state) {
    (void)state;
    FILE *half = fopen(scratch_path("blobs/new/0000000000000"), "w");
    fputs("half", half);
    fclose(half);
    blob_use(&blob_disk, scratch);
    assert_int_equal(files_in("blobs/new"), 0);
}

static void a_file_that_was_cut_is_put_again(void **state) {
    (void)state;
    char key[BLOB_KEY_LEN + 1];
    struct str bytes;
    assert_int_equal(blob_port()->pool_put(STR("abc"), key), E_OK);
    assert_int_equal(
        truncate(
            scratch_path("blobs/ba/7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            1),
        0);
    assert_int_equal(blob_port()->pool_put(STR("abc"), key), E_OK);
    assert_int_equal(blob_port()->load(&arena, str_from(key), &bytes), E_OK);
    assert_true(str_eq(bytes, STR("abc")));
}

static void a_full_disk_leaves_nothing_behind(void **state) {
    (void)state;
    static char large[200000];
    char key[BLOB_KEY_LEN + 1];
    struct rlimit before, tight;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    tight = before;
    tight.rlim_cur = 100000; /* as good as full: the second half does not go in */
    setrlimit(RLIMIT_FSIZE, &tight);
    enum err err = blob_port()->pool_put((struct str){large, sizeof(large)}, key);
    setrlimit(RLIMIT_FSIZE, &before);
    struct str bytes;
    assert_int_equal(err, E_STORAGE);
    assert_int_equal(files_in("blobs/new"), 0);
    assert_int_equal(blob_port()->load(&arena, str_from(key), &bytes), E_ABSENT);
}

static void *put_many(void *ctx) {
    (void)ctx;
    for (int i = 0; i < 50; i++) {
        char text[16], key[BLOB_KEY_LEN + 1];
        int len = snprintf(text, sizeof(text), "blob %d", i);
        assert_int_equal(blob_port()->pool_put((struct str){text, (size_t)len}, key), E_OK);
    }
    return NULL;
}

static void threads_that_put_the_same_bytes_do_not_disturb_one_another(void **state) {
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, NULL), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(files_in("blobs/new"), 0);
}

int main(void) {
#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ON_DISK(bytes_come_back_by_the_hash_of_their_content),
        ON_DISK(the_data_folder_need_not_be_there_yet),
        ON_DISK(only_we_can_read_them),
        ON_DISK(keys_that_are_none_find_nothing),
        ON_DISK(what_is_removed_is_gone),
        ON_DISK(what_was_put_lately_stays),
        ON_DISK(a_half_written_file_of_a_crash_is_cleared),
        ON_DISK(a_file_that_was_cut_is_put_again),
        ON_DISK(a_full_disk_leaves_nothing_behind),
        ON_DISK(threads_that_put_the_same_bytes_do_not_disturb_one_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
