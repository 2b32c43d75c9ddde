/* links: troupe_base */
#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const struct {
    int64_t id;
    const char *text;
} TEXTS[] = {
    {1, "0000000000001"},
    {31, "000000000000Z"},
    {32, "0000000000010"},
    {INT64_MAX, "7ZZZZZZZZZZZZ"},
    {INT64_C(0x123456789ABCDEF), "028T5CY4TQKFF"},
};

static void ids_have_thirteen_letters_and_come_back(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(TEXTS); i++) {
        int64_t id = 0;
        assert_string_equal(id_text(TEXTS[i].id).at, TEXTS[i].text);
        assert_int_equal(id_parse(str_from(TEXTS[i].text), &id), E_OK);
        assert_int_equal(id, TEXTS[i].id);
    }
    int64_t id = 0;
    assert_int_equal(id_parse(STR("7zzzzzzzzzzzz"), &id), E_OK);
    assert_int_equal(id, INT64_MAX);
}

static const struct {
    struct str text;
    const char *why;
} REFUSED[] = {
    {{"", 0}, "empty"},
    {{"000000000001", 12}, "twelve letters"},
    {{"00000000000001", 14}, "fourteen letters"},
    {{"0000000000000", 13}, "zero is no id"},
    {{"8000000000000", 13}, "the 64th bit"},
    {{"ZZZZZZZZZZZZZ", 13}, "65 bits"},
    {{"000000000000I", 13}, "I is no letter"},
    {{"000000000000L", 13}, "L is no letter"},
    {{"000000000000O", 13}, "O is no letter"},
    {{"000000000000u", 13}, "U is no letter"},
    {{"000000000000-", 13}, "punctuation"},
    {{"00000000000\xC3\xA4", 13}, "not ASCII"},
    {{"000000\0000001", 13}, "NUL inside"},
    {{" 000000000001", 13}, "a blank"},
};

static void what_is_no_id_is_refused_and_changes_nothing(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(REFUSED); i++) {
        int64_t id = 4711;
        if (id_parse(REFUSED[i].text, &id) != E_INPUT || id != 4711)
            fail_msg("%s", REFUSED[i].why);
    }
}

static void they_tell_when_they_were_made(void **state) {
    (void)state;
    int64_t before = clock_now_ms();
    int64_t at = id_at_ms(id_new());
    assert_in_range(at, before, clock_now_ms() + 1);
}

static void *take_many(void *out) {
    int64_t *ids = out;
    for (int i = 0; i < 20000; i++)
        ids[i] = id_new();
    return NULL;
}

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void threads_get_growing_ids_and_never_the_same(void **state) {
    (void)state;
    static int64_t ids[4][20000];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, ids[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++)
        for (int k = 1; k < 20000; k++)
            if (ids[i][k] <= ids[i][k - 1])
                fail_msg("an id did not grow");
    int64_t *all = &ids[0][0];
    qsort(all, 80000, sizeof(*all), compare);
    for (int i = 1; i < 80000; i++)
        if (all[i] == all[i - 1])
            fail_msg("an id was given twice");
}

static void they_grow_when_the_clock_steps_back(void **state) {
    (void)state;
    char path[] = "/tmp/troupe-clock-XXXXXX";
    int fd = mkstemp(path);
    int64_t forward = 3600 * 1000, back = -forward;
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &forward, 8, 0), 8);
    setenv("TROUPE_TEST_CLOCK", path, 1);
    clock_init();
    int64_t id = id_new();
    assert_int_equal(pwrite(fd, &back, 8, 0), 8);
    for (int i = 0; i < 1000; i++) {
        int64_t next = id_new();
        assert_true(next > id);
        id = next;
    }
    close(fd);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_have_thirteen_letters_and_come_back),
        cmocka_unit_test(what_is_no_id_is_refused_and_changes_nothing),
        cmocka_unit_test(they_tell_when_they_were_made),
        cmocka_unit_test(threads_get_growing_ids_and_never_the_same),
        cmocka_unit_test(they_grow_when_the_clock_steps_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
