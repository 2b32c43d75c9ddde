/* links: troupe_embedded troupe_base */
#include "base/embedded.h"

#include "base/arena.h"
#include "base/check.h"
#include "scratch.h"

#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <zlib.h>
#include <cmocka.h>

static struct arena arena;

static int set_up(void **state) {
    (void)state;
    scratch_make();
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_release(&arena);
    scratch_remove();
    return 0;
}

/* --- the table of this build ------------------------------------------------------------------ */

static void the_table_is_sorted_and_finds_every_row(void **state) {
    (void)state;
    assert_true(embedded_count() > 0);
    for (size_t i = 0; i < embedded_count(); i++) {
        const struct embedded *row = embedded_at(i);
        assert_ptr_equal(embedded_find(row->name), row);
        if (i > 0)
            assert_true(str_compare(embedded_at(i - 1)->name, row->name) < 0);
    }
    assert_null(embedded_at(embedded_count()));
}

static void what_is_not_there_is_not_found(void **state) {
    (void)state;
    static const struct str names[] = {
        {"", 0}, {NULL, 0}, {"schema.sq", 9}, {"schema.sqlx", 11}, {"zzz", 3}, {"\xff", 1}};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_null(embedded_find(names[i]));
}

static void the_schema_is_the_file_with_a_nul_behind_it(void **state) {
    (void)state;
    const struct embedded *schema = embedded_find(STR("schema.sql"));
    assert_non_null(schema);
    assert_true(str_starts(schema->bytes, STR("-- Troupe")));
    assert_int_equal(schema->bytes.at[schema->bytes.len], '\0');
    assert_int_equal(strlen(schema->bytes.at), schema->bytes.len);
    assert_null(schema->gzip.at);
}

/* --- the program ------------------------------------------------------------------------------ */

static void write_file(const char *name, const char *text) {
    FILE *file = fopen(scratch_path(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static struct str read_file(const char *name) {
    FILE *file = fopen(scratch_path(name), "r");
    assert_non_null(file);
    char *at = arena_alloc(&arena, 1 << 20);
    size_t len = fread(at, 1, (1 << 20) - 1, file);
    at[len] = '\0';
    fclose(file);
    return (struct str){at, len};
}

/* pack stands beside this test in the build folder. */
static int run_pack(const char *out, const char *web) {
    static char program[PATH_MAX];
    extern char **environ;
    ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 8);
    assert_true(len > 0);
    program[len] = '\0';
    memcpy(strrchr(program, '/') + 1, "pack", 5);
    char *arguments[] = {program, (char *)(uintptr_t)out, (char *)(uintptr_t)web, NULL};
    pid_t child;
    int status = -1;
    assert_int_equal(posix_spawn(&child, program, NULL, NULL, arguments, environ), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const struct {
    const char *name;
    bool is_immutable;
    const char *mime;
    const char *why;
} files[] = {
    {"index.html", false, "text/html; charset=utf-8", "the shell"},
    {"assets/app-BxY12_a-.js", true, "text/javascript; charset=utf-8",
     "a hash with every sign that it may have"},
    {"assets/hero-portrait.png", false, "image/png", "eight small letters are a word"},
    {"assets/plain.css", false, "text/css; charset=utf-8", "no hash"},
    {"assets/app-abc123.woff2", false, "font/woff2", "too short for a hash"},
    {"other/app-BxY12abc.js", false, "text/javascript; charset=utf-8",
     "not from the bundler's folder"},
    {"odd.xyz", false, "application/octet-stream", "a kind that nobody knows"},
};

static void make_web(void) {
    mkdir(scratch_path("web"), 0700);
    mkdir(scratch_path("web/assets"), 0700);
    mkdir(scratch_path("web/other"), 0700);
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char path[64];
        snprintf(path, sizeof(path), "web/%s", files[i].name);
        write_file(
            path,
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    }
    write_file("web/.hidden", "an editor's leavings");
}

static struct str row_of(struct str table, const char *name) {
    struct str mark = str_printf(&arena, ".name = {\"web/%s\"", name);
    ptrdiff_t from = str_find(table, mark, 0);
    assert_true(from >= 0);
    ptrdiff_t to = str_find(table, STR(".is_immutable = "), (size_t)from);
    assert_true(to >= 0);
    return str_slice(table, (size_t)from, (size_t)to + 22);
}

static void files_get_their_kind_and_hashed_names_are_for_ever(void **state) {
    (void)state;
    make_web();
    assert_int_equal(run_pack(scratch_path("out"), str_printf(&arena, "web=%s/web", scratch).at),
                     0);
    struct str table = read_file("out/embedded.c");
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        struct str row = row_of(table, files[i].name);
        assert_true(str_has(row, str_from(files[i].mime)));
        assert_int_equal(str_has(row, STR(".is_immutable = true")), files[i].is_immutable);
    }
    assert_false(str_has(table, STR("hidden")));
    assert_true(str_has(row_of(table, "index.html"), STR("-br\\\"")));
    assert_false(str_has(row_of(table, "assets/hero-portrait.png"),
                         STR(".gzip"))); /* pictures are small already */
}

static void a_build_repeats_byte_for_byte(void **state) {
    (void)state;
    make_web();
    const char *web = str_printf(&arena, "web=%s/web", scratch).at;
    assert_int_equal(run_pack(scratch_path("one"), web), 0);
    assert_int_equal(run_pack(scratch_path("two"), web), 0);
    assert_true(str_eq(read_file("one/embedded.c"), read_file("two/embedded.c")));
    assert_true(str_eq(read_file("one/embedded_bytes.bin"), read_file("two/embedded_bytes.bin")));
}

static void a_changed_file_gets_another_etag(void **state) {
    (void)state;
    make_web();
    const char *web = str_printf(&arena, "web=%s/web", scratch).at;
    assert_int_equal(run_pack(scratch_path("one"), web), 0);
    write_file("web/odd.xyz", "b");
    assert_int_equal(run_pack(scratch_path("two"), web), 0);
    struct str one = read_file("one/embedded.c"), two = read_file("two/embedded.c");
    struct str etag_one = str_slice(
        row_of(one, "odd.xyz"), (size_t)str_find(row_of(one, "odd.xyz"), STR(".etag"), 0), 4096);
    struct str etag_two = str_slice(
        row_of(two, "odd.xyz"), (size_t)str_find(row_of(two, "odd.xyz"), STR(".etag"), 0), 4096);
    assert_false(str_eq(etag_one, etag_two));
    assert_true(str_eq(row_of(one, "index.html"), row_of(two, "index.html")));
}

static void the_gzip_form_unpacks_to_the_file(void **state) {
    (void)state;
    make_web();
    assert_int_equal(
        run_pack(scratch_path("out"), str_printf(&arena, "web=%s/web/index.html", scratch).at), 0);
    struct str bytes = read_file("out/embedded_bytes.bin"), table = read_file("out/embedded.c");
    /* A single file keeps the name that was given, which is not below web/: nothing is compressed.
     */
    assert_false(str_has(table, STR(".gzip")));
    assert_int_equal(run_pack(scratch_path("out"), str_printf(&arena, "web=%s/web", scratch).at),
                     0);
    bytes = read_file("out/embedded_bytes.bin");
    ptrdiff_t at = str_find(bytes, (struct str){"\x1f\x8b\x08\x00\x00\x00\x00\x00", 8},
                            0); /* time zero, no name */
    assert_true(at >= 0);
    unsigned char plain[512];
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)(bytes.at + at),
                       .avail_in = (uInt)(bytes.len - (size_t)at)};
    stream.next_out = plain;
    stream.avail_out = sizeof(plain);
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.total_out, 103);
    assert_int_equal(plain[102], 'a');
    inflateEnd(&stream);
}

static uint32_t sum_of_all(void) {
    uint32_t sum = 0;
    for (size_t i = 0; i < embedded_count(); i++)
        for (size_t at = 0; at < embedded_at(i)->bytes.len; at++)
            sum = sum * 31 + (unsigned char)embedded_at(i)->bytes.at[at];
    return sum;
}

static void what_rested_is_there_again(void **state) {
    (void)state;
    struct rusage before, after;
    uint32_t sum = sum_of_all();
    embedded_rest();
    getrusage(RUSAGE_SELF, &before);
    assert_int_equal(sum_of_all(), sum);
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_minflt + after.ru_majflt > before.ru_minflt + before.ru_majflt);
}

static void a_source_that_is_not_there_packs_nothing(void **state) {
    (void)state;
    assert_int_equal(run_pack(scratch_path("out"), "web=/nowhere/at/all"), 0);
    assert_false(str_has(read_file("out/embedded.c"), STR("\"web/")));
    assert_int_equal(run_pack(scratch_path("out"), "no equals sign"), 1);
}

int main(void) {
#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_sorted_and_finds_every_row),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(the_schema_is_the_file_with_a_nul_behind_it),
        cmocka_unit_test(what_rested_is_there_again),
        IN_SCRATCH(files_get_their_kind_and_hashed_names_are_for_ever),
        IN_SCRATCH(a_build_repeats_byte_for_byte),
        IN_SCRATCH(a_changed_file_gets_another_etag),
        IN_SCRATCH(the_gzip_form_unpacks_to_the_file),
        IN_SCRATCH(a_source_that_is_not_there_packs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
