/* links: troupe_base */
#include "base/zip.h"

#include "base/arena.h"
#include "base/clock.h"
#include "scratch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <cmocka.h>

#define AT_MS 1795256311000LL /* 2026-11-21T10:18:31Z */

static struct arena arena;
static char path[4200];
static int fd;

static int set_up(void **state) {
    (void)state;
    scratch_make();
    arena_init(&arena);
    snprintf(path, sizeof path, "%s/a.zip", scratch);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    return fd >= 0 ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    close(fd);
    arena_release(&arena);
    scratch_remove();
    return 0;
}

static void add_entry(struct zip *zip, const char *name, struct str bytes, bool is_packed) {
    zip_begin(zip, str_from(name), is_packed);
    zip_write(zip, bytes);
    zip_end(zip);
}

/* --- a reader as dumb as they come: from the end to the directory, from there to each entry ------ */

static uint32_t get(const uint8_t *at, int bytes) {
    uint32_t value = 0;
    for (int i = bytes; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

static const uint8_t *load(size_t *len) {
    struct stat info;
    assert_int_equal(fstat(fd, &info), 0);
    *len = (size_t)info.st_size;
    uint8_t *bytes = arena_alloc(&arena, *len + 1);
    assert_int_equal(pread(fd, bytes, *len, 0), (ssize_t)*len);
    return bytes;
}

static struct str unpack(const uint8_t *data, size_t stored, size_t plain) {
    char *out = arena_alloc(&arena, plain + 1);
    z_stream stream = {.next_in = (z_const Bytef *)(uintptr_t)data,
                       .avail_in = (uInt)stored,
                       .next_out = (Bytef *)out,
                       .avail_out = (uInt)plain + 1};
    assert_int_equal(inflateInit2(&stream, -15), Z_OK);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.total_out, plain);
    inflateEnd(&stream);
    return str_of(out, plain);
}

/* The content of the entry of that name, everything about it checked on the way. */
static struct str entry(const char *name) {
    size_t len;
    const uint8_t *zip = load(&len), *end = zip + len - 22;
    assert_int_equal(get(end, 4), 0x06054b50);
    assert_int_equal(get(end + 8, 2), get(end + 10, 2));
    const uint8_t *row = zip + get(end + 16, 4);
    assert_ptr_equal(row + get(end + 12, 4), end);
    for (uint32_t i = 0; i < get(end + 10, 2); i++) {
        assert_int_equal(get(row, 4), 0x02014b50);
        size_t name_len = get(row + 28, 2);
        const uint8_t *local = zip + get(row + 42, 4);
        assert_int_equal(get(local, 4), 0x04034b50);
        assert_memory_equal(local + 4, row + 6, 26); /* the same is said twice */
        assert_memory_equal(local + 30, row + 46, name_len);
        assert_int_equal(get(row + 8, 2) & (1 << 3), 0); /* no data descriptor */
        assert_int_equal(get(row + 38, 4) >> 16, 0100600);
        if (str_eq(str_of((const char *)row + 46, name_len), str_from(name))) {
            size_t stored = get(row + 20, 4), plain = get(row + 24, 4);
            const uint8_t *data = local + 30 + name_len;
            struct str bytes = get(row + 10, 2) == 0 ? str_of((const char *)data, stored)
                                                     : unpack(data, stored, plain);
            assert_int_equal(bytes.len, plain);
            assert_int_equal(crc32(0, (const Bytef *)bytes.at, (uInt)bytes.len), get(row + 16, 4));
            return bytes;
        }
        row += 46 + name_len + get(row + 30, 2) + get(row + 32, 2);
    }
    return STR_NONE;
}

static void what_is_written_is_read(void **state) {
    (void)state;
    struct zip *zip = zip_new(fd, AT_MS);
    int64_t bytes = 0;
    char *large = arena_alloc(&arena, 300000);
    for (size_t i = 0; i < 300000; i++)
        large[i] = (char)(i * 2654435761u >> 13);
    add_entry(zip, "README.txt", STR("Hello, hello, hello."), false);
    add_entry(zip, "empty", STR(""), false);
    add_entry(zip, "pictures/one.png", str_of(large, 300000), true);
    zip_begin(zip, STR("conversations/L\xc3\xb6we.json"), false);
    for (int i = 0; i < 5000; i++) {
        zip_write(zip, STR("a line of many\n"));
        zip_write(zip, STR(""));
    }
    zip_end(zip);
    assert_int_equal(zip_finish(zip, &bytes), E_OK);
    zip_free(zip);
    size_t len;
    (void)load(&len);
    assert_int_equal(len, bytes);
    assert_true(str_eq(entry("README.txt"), STR("Hello, hello, hello.")));
    assert_int_equal(entry("empty").len, 0);
    assert_true(entry("empty").at != NULL);
    assert_true(str_eq(entry("pictures/one.png"), str_of(large, 300000)));
    assert_int_equal(entry("conversations/L\xc3\xb6we.json").len, 75000);
    assert_true(bytes < 310000); /* and what repeats itself is small */
    assert_true(entry("another").at == NULL);
}

static void an_archive_of_nothing_is_one(void **state) {
    (void)state;
    struct zip *zip = zip_new(fd, AT_MS);
    int64_t bytes = 0;
    assert_int_equal(zip_finish(zip, &bytes), E_OK);
    assert_int_equal(bytes, 22);
    zip_free(zip);
}

/* MS-DOS time: years since 1980, months, days; hours, minutes, seconds by two. */
static void time_is_as_dos_had_it(void **state) {
    (void)state;
    static const struct {
        int64_t at_ms;
        uint32_t date, time;
    } rows[] = {
        {AT_MS, 46 << 9 | 11 << 5 | 21, 10 << 11 | 18 << 5 | 15},
        {0, 0 << 9 | 1 << 5 | 1, 0}, /* before 1980 there is no time */
        {4354819199000LL, 127 << 9 | 12 << 5 | 31, 23 << 11 | 59 << 5 | 29},
        {4354819200000LL, 1 << 5 | 1, 0}, /* 2108 neither */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t len;
        struct zip *zip = zip_new(fd, rows[i].at_ms);
        add_entry(zip, "a", STR("a"), true);
        assert_int_equal(zip_finish(zip, NULL), E_OK);
        zip_free(zip);
        const uint8_t *bytes = load(&len);
        assert_int_equal(get(bytes + 10, 2), rows[i].time);
        assert_int_equal(get(bytes + 12, 2), rows[i].date);
    }
}

static enum err write_two(struct str bytes, int64_t *whole) {
    assert_int_equal(ftruncate(fd, 0), 0);
    struct zip *zip = zip_new(fd, AT_MS);
    add_entry(zip, "a", bytes, true);
    add_entry(zip, "b", bytes, false);
    enum err err = zip_finish(zip, whole);
    assert_int_equal(err, zip_err(zip));
    zip_free(zip);
    return err;
}

/* A file that may not grow beyond some size fails at that place, whichever it is, and says so. */
static void a_full_disk_is_told(void **state) {
    (void)state;
    struct rlimit before;
    char *noise = arena_alloc(&arena, 100000);
    for (size_t i = 0; i < 100000; i++)
        noise[i] = (char)(i * 2654435761u >> 15);
    int64_t whole = 0;
    assert_int_equal(write_two(str_of(noise, 100000), &whole), E_OK);
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    for (int64_t room = 0; room <= whole; room += room + 4000 < whole ? 4000 : 1) {
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){(rlim_t)room, before.rlim_max});
        assert_int_equal(write_two(str_of(noise, 100000), NULL), room < whole ? E_STORAGE : E_OK);
        if (whole - room > 4 && room + 4000 >= whole)
            room = whole - 4;
    }
    setrlimit(RLIMIT_FSIZE, &before);
}

static void more_entries_than_it_can_count_are_refused(void **state) {
    (void)state;
    struct zip *zip = zip_new(fd, AT_MS);
    char name[16];
    for (int i = 0; i < ZIP_ENTRIES_LIMIT; i++) {
        snprintf(name, sizeof name, "%d", i);
        add_entry(zip, name, STR(""), true);
    }
    assert_int_equal(zip_err(zip), E_OK);
    add_entry(zip, "one more", STR(""), true);
    assert_int_equal(zip_err(zip), E_LIMIT);
    assert_int_equal(zip_finish(zip, NULL), E_LIMIT);
    zip_free(zip);
}

/* Sparse: what is behind 4 GiB is never written, because the sum is looked at first. */
static void more_bytes_than_it_can_count_are_refused(void **state) {
    (void)state;
    size_t len = (size_t)64 << 20;
    char *zeros = calloc(1, len);
    struct zip *zip = zip_new(fd, AT_MS);
    zip_begin(zip, STR("zeros"), false);
    for (int i = 0; i < 64; i++) /* 4 GiB that pack well: the plain size is what is too large */
        zip_write(zip, str_of(zeros, len));
    zip_end(zip);
    assert_int_equal(zip_err(zip), E_LIMIT);
    assert_true(zip_bytes(zip) < 16 << 20);
    zip_free(zip);
    free(zeros);
}

static void names_suit_every_file_system(void **state) {
    (void)state;
    static const struct {
        const char *from;
        size_t limit;
        const char *to;
    } rows[] = {
        {"Ada", 60, "Ada"},
        {"Ada / L\xc3\xb6we", 60, "Ada - L\xc3\xb6we"},
        {"../../etc/passwd", 60, "etc-passwd"},
        {"C:\\con\n\x7f", 60, "C--con"},
        {"a*b?c\"d<e>f|g", 60, "a-b-c-d-e-f-g"},
        {" . - trimmed. ", 60, "trimmed"},
        {"", 60, "unnamed"},
        {"...", 60, "unnamed"},
        {"\xff\xfe", 60, "unnamed"}, /* no text at all */
        {"abc\xc3\xb6", 4, "abc"},   /* never half a character */
        {"\xf0\x9f\xa6\x98\xf0\x9f\xa6\x98", 6, "\xf0\x9f\xa6\x98"},
        {"\xf0\x9f\xa6\x98", 3, "unnamed"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct str name = zip_name_part(&arena, str_from(rows[i].from), rows[i].limit);
        if (!str_eq(name, str_from(rows[i].to)))
            fail_msg("%s became " STR_FMT, rows[i].from, STR_ARG(name));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_archive_of_nothing_is_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(time_is_as_dos_had_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_entries_than_it_can_count_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(more_bytes_than_it_can_count_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(names_suit_every_file_system, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
