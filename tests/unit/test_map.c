/* links: troupe_base */
#include "base/check.h"
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void text_keys_are_copied_found_replaced_and_removed(void **state) {
    (void)state;
    struct map map;
    char key[] = "alpha";
    int one = 1, two = 2;
    map_init(&map);
    assert_null(map_find(&map, STR("alpha")));
    assert_null(map_remove(&map, STR("alpha")));
    map_put(&map, str_from(key), &one);
    key[0] = 'X'; /* the map has its own copy */
    assert_ptr_equal(map_find(&map, STR("alpha")), &one);
    assert_null(map_find(&map, STR("Xlpha")));
    map_put(&map, STR("alpha"), &two);
    assert_int_equal(map.count, 1);
    assert_ptr_equal(map_remove(&map, STR("alpha")), &two);
    assert_null(map_find(&map, STR("alpha")));
    assert_int_equal(map.count, 0);
    map_release(&map);
}

static void odd_keys_are_keys_like_others(void **state) {
    (void)state;
    struct map map;
    int values[4];
    map_init(&map);
    map_put(&map, STR(""), &values[0]);
    map_put(&map, STR("a\0b"), &values[1]);
    map_put(&map, STR("a\0c"), &values[2]);
    map_put_id(&map, 0, &values[3]); /* an id is never a text, not even an empty one */
    assert_ptr_equal(map_find(&map, STR("")), &values[0]);
    assert_ptr_equal(map_find(&map, STR_NONE), &values[0]);
    assert_ptr_equal(map_find(&map, STR("a\0b")), &values[1]);
    assert_ptr_equal(map_find(&map, STR("a\0c")), &values[2]);
    assert_ptr_equal(map_find_id(&map, 0), &values[3]);
    assert_null(map_find(&map, STR("a")));
    assert_int_equal(map.count, 4);
    map_release(&map);
}

#define IDS 2000

/* Random puts and removals, compared with a plain array after every step. */
static void it_agrees_with_an_array_under_random_changes(void **state) {
    (void)state;
    static int values[IDS];
    bool is_there[IDS] = {false};
    size_t count = 0;
    struct map map;
    map_init(&map);
    srand(1);
    for (int step = 0; step < 60000; step++) {
        int id = rand() % IDS;
        char key[16];
        snprintf(key, sizeof(key), "k%d", id);
        bool by_text = id % 2, adds = rand() % 100 < (step / 10000 % 2 ? 30 : 70);
        if (adds) {
            if (by_text)
                map_put(&map, str_from(key), &values[id]);
            else
                map_put_id(&map, id, &values[id]);
            count += !is_there[id];
        } else {
            void *was = by_text ? map_remove(&map, str_from(key)) : map_remove_id(&map, id);
            assert_ptr_equal(was, is_there[id] ? &values[id] : NULL);
            count -= is_there[id];
        }
        is_there[id] = adds;
        assert_int_equal(map.count, count);
        int probe = rand() % IDS;
        snprintf(key, sizeof(key), "k%d", probe);
        void *found = probe % 2 ? map_find(&map, str_from(key)) : map_find_id(&map, probe);
        assert_ptr_equal(found, is_there[probe] ? &values[probe] : NULL);
    }
    size_t cursor = 0, walked = 0;
    struct str key;
    int64_t id;
    void *value;
    while (map_next(&map, &cursor, &key, &id, &value)) {
        size_t at = (size_t)((int *)value - values);
        assert_true(is_there[at]);
        assert_int_equal(key.at != NULL, at % 2);
        if (!key.at)
            assert_int_equal(id, at);
        is_there[at] = false; /* each once */
        walked++;
    }
    assert_int_equal(walked, count);
    map_release(&map);
}

static void the_hash_depends_on_every_byte_and_the_length(void **state) {
    (void)state;
    char bytes[32] = {0};
    for (size_t len = 1; len <= sizeof(bytes); len++) {
        uint64_t plain = map_hash(bytes, len);
        assert_int_not_equal(plain, map_hash(bytes, len - 1));
        assert_int_equal(plain, map_hash(bytes, len));
        for (size_t i = 0; i < len; i++) {
            bytes[i] = 1;
            assert_int_not_equal(plain, map_hash(bytes, len));
            bytes[i] = 0;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_keys_are_copied_found_replaced_and_removed),
        cmocka_unit_test(odd_keys_are_keys_like_others),
        cmocka_unit_test(it_agrees_with_an_array_under_random_changes),
        cmocka_unit_test(the_hash_depends_on_every_byte_and_the_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
