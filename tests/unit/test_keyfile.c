/* links: troupe_base */
#include "base/keyfile.h"

#include "base/crypto.h"
#include "base/log.h"
#include "scratch.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>
#include <cmocka.h>

static int set_up(void **state) {
    (void)state;
    scratch_make();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    scratch_remove();
    return 0;
}

static void write_key(size_t len, mode_t mode) {
    char bytes[64] = {1, 2, 3};
    FILE *file = fopen(scratch_path("key"), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
    assert_int_equal(chmod(scratch_path("key"), mode), 0);
}

static void the_first_start_makes_a_key_for_the_owner_alone(void **state) {
    (void)state;
    struct stat info;
    assert_int_equal(keyfile_open(scratch), E_OK);
    assert_int_equal(stat(scratch_path("key"), &info), 0);
    assert_int_equal(info.st_size, 32);
    assert_int_equal(info.st_mode & 0777, 0600);
    uint8_t first[32], zero[32] = {0};
    memcpy(first, keyfile_key(), 32);
    assert_memory_not_equal(first, zero, 32);
    assert_int_equal(keyfile_open(scratch), E_OK); /* the next start finds the same one */
    assert_memory_equal(keyfile_key(), first, 32);
}

static void nothing_else_is_left_in_the_folder(void **state) {
    (void)state;
    int count = 0;
    assert_int_equal(keyfile_open(scratch), E_OK);
    DIR *folder = opendir(scratch);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    assert_int_equal(count, 1);
}

/* A process that died between making its file and giving it its name may have had our number: in a
 * container every first process is 1. */
static void what_a_dead_process_left_behind_is_in_nobodys_way(void **state) {
    (void)state;
    char fresh[64];
    snprintf(fresh, sizeof fresh, "key.%ld", (long)getpid());
    FILE *file = fopen(scratch_path(fresh), "wb");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(keyfile_open(scratch), E_OK);
    assert_int_equal(remove(scratch_path(fresh)), 0);
}

static void two_houses_have_two_keys(void **state) {
    (void)state;
    uint8_t first[32];
    assert_int_equal(keyfile_open(scratch), E_OK);
    memcpy(first, keyfile_key(), 32);
    assert_int_equal(remove(scratch_path("key")), 0);
    assert_int_equal(keyfile_open(scratch), E_OK);
    assert_memory_not_equal(keyfile_key(), first, 32);
}

static void a_key_that_others_can_read_is_refused(void **state) {
    (void)state;
    static const mode_t MODES[] = {0644, 0640, 0604, 0660, 0601};
    for (size_t i = 0; i < sizeof MODES / sizeof *MODES; i++) {
        write_key(32, MODES[i]);
        assert_int_equal(keyfile_open(scratch), E_DENIED);
    }
    write_key(32, 0400);
    assert_int_equal(keyfile_open(scratch), E_OK);
    assert_int_equal(keyfile_key()[0], 1);
}

static void a_damaged_key_is_not_replaced(void **state) {
    (void)state;
    static const size_t SIZES[] = {0, 31, 33, 64};
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        struct stat info;
        write_key(SIZES[i], 0600);
        assert_int_equal(keyfile_open(scratch), E_STORAGE);
        assert_int_equal(stat(scratch_path("key"), &info), 0);
        assert_int_equal(info.st_size, SIZES[i]);
    }
}

static void links_and_folders_are_no_keys(void **state) {
    (void)state;
    write_key(32, 0600);
    assert_int_equal(rename(scratch_path("key"), scratch_path("elsewhere")), 0);
    assert_int_equal(symlink(scratch_path("elsewhere"), scratch_path("key")), 0);
    assert_int_equal(keyfile_open(scratch), E_STORAGE);
    assert_int_equal(remove(scratch_path("key")), 0);
    assert_int_equal(mkdir(scratch_path("key"), 0700), 0);
    assert_int_equal(keyfile_open(scratch), E_STORAGE);
}

static void a_folder_that_is_not_there(void **state) {
    (void)state;
    assert_int_equal(keyfile_open(scratch_path("nowhere")), E_STORAGE);
}

static void what_is_unsealed_is_wiped_with_its_arena(void **state) {
    (void)state;
    static const char SECRET[] = "sk-nobody-should-know";
    char room[4096] = {0};
    struct arena arena, other;
    struct str secret;
    assert_int_equal(keyfile_open(scratch), E_OK);
    arena_init(&other);
    arena_init_with(&arena, room, sizeof room);
    struct str sealed = crypto_seal(&other, keyfile_key(), STR("row:1"), STR(SECRET));
    assert_int_equal(keyfile_unseal(&arena, STR("row:2"), sealed, &secret), E_DENIED);
    assert_int_equal(keyfile_unseal(&arena, STR("row:1"), sealed, &secret), E_OK);
    assert_true(str_eq(secret, STR(SECRET)));
    assert_true(secret.at >= room && secret.at < room + sizeof room);
    arena_release(&arena);
    assert_null(memmem(room, sizeof room, SECRET, sizeof SECRET - 1));
    assert_int_equal(secret.at[0], 0);
    arena_release(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    log_init((enum log_level)(LOG_ERROR + 1)); /* what is refused here is logged, and expected */
    const struct CMUnitTest tests[] = {
        TEST(the_first_start_makes_a_key_for_the_owner_alone),
        TEST(nothing_else_is_left_in_the_folder),
        TEST(what_a_dead_process_left_behind_is_in_nobodys_way),
        TEST(two_houses_have_two_keys),
        TEST(a_key_that_others_can_read_is_refused),
        TEST(a_damaged_key_is_not_replaced),
        TEST(links_and_folders_are_no_keys),
        TEST(a_folder_that_is_not_there),
        TEST(what_is_unsealed_is_wiped_with_its_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
