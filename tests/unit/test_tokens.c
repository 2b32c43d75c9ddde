/* links: troupe_model troupe_vendor_free */
#include "model/tokens.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Texts with what a current tokenizer (o200k) makes of them, as the sheet on prompts measured
 * characters per token for their language. */
static const struct {
    const char *language, *text;
    double characters_per_token;
    double least, most; /* of estimated to real */
} TEXTS[] = {
    {"English",
     "The lamp is lit, the stairs are swept, and the keeper has put the kettle on, because somebody is coming up the path in the rain with no coat.",
     4.49, 0.9, 1.25},
    {"German",
     "Die Lampe brennt, die Treppe ist gekehrt, und der Wärter hat Wasser aufgesetzt, weil jemand ohne Mantel durch den Regen den Weg heraufkommt.",
     3.95, 0.85, 1.4},
    {"French",
     "La lampe est allumée, l'escalier est balayé, et le gardien a mis de l'eau à chauffer, car quelqu'un monte le sentier sous la pluie sans manteau.",
     3.79, 0.8, 1.35},
    {"Russian",
     "Лампа горит, лестница подметена, и смотритель поставил чайник, потому что кто-то поднимается по тропе под дождём без пальто.",
     3.25, 0.8, 1.4},
    {"Chinese",
     "灯已经点亮，楼梯扫干净了，守塔人烧上了水，因为有人没穿外套，正冒着雨沿小路走上来。", 1.13,
     0.8, 1.6},
    {"Japanese",
     "ランプは灯り、階段は掃かれ、灯台守はやかんを火にかけた。誰かが外套もなしに雨の小道を登ってくるからだ。",
     1.11, 0.8, 1.4},
    {"Korean",
     "등불은 켜졌고 계단은 쓸었으며 등대지기는 주전자를 올렸다. 누군가 외투도 없이 빗속의 오솔길을 올라오고 있기 때문이다.",
     1.54, 0.75, 1.4},
};

static void estimates_are_near_the_truth_in_many_scripts(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        struct str text = str_from(TEXTS[i].text);
        double real = (double)text_length(text) / TEXTS[i].characters_per_token;
        double ratio = (double)tokens_estimate(text) / real;
        if (ratio < TEXTS[i].least || ratio > TEXTS[i].most)
            fail_msg("%s: %.2f of the truth", TEXTS[i].language, ratio);
    }
}

static void text_is_never_free_and_nothing_is(void **state) {
    (void)state;
    assert_int_equal(tokens_estimate(STR("")), 0);
    assert_int_equal(tokens_estimate(STR_NONE), 0);
    assert_int_equal(tokens_estimate(STR("a")), 1);
    assert_int_equal(tokens_estimate(STR(" ")), 1);
    assert_int_equal(tokens_estimate(STR("\xff\xfe")), 2); /* broken bytes count, too */
}

/* Characters are counted by the block where they can be: wherever the one stands that ends a block, the sum is the same. */
static void order_does_not_matter(void **state) {
    (void)state;
    static const char plain[] =
        "On the 14th of May, 1887 (a Saturday!), the lamp was lit at 20:05; "
        "nobody had asked for it, and nobody put it out.";
    static const char *const others[] = {
        "\xc3\xa9", "\xe7\x81\xaf", "\xf0\x9f\x8f\xae", "\xff", "7", "\n"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        int64_t expected = 0;
        for (size_t at = 0; at < sizeof plain; at++) {
            char text[sizeof plain + 8];
            int len =
                snprintf(text, sizeof text, "%.*s%s%s", (int)at, plain, others[i], plain + at);
            int64_t tokens = tokens_estimate((struct str){text, (size_t)len});
            expected = at == 0 ? tokens : expected;
            assert_int_equal(tokens, expected);
        }
    }
}

static void whole_is_at_most_its_parts_rounded(void **state) {
    (void)state;
    struct str text = str_from(TEXTS[0].text);
    int64_t whole = tokens_estimate(text);
    int64_t parts =
        tokens_estimate(str_slice(text, 0, 50)) + tokens_estimate(str_slice(text, 50, text.len));
    assert_in_range(parts, whole, whole + 1);
}

static void a_cut_fits_and_ends_at_a_character(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        struct str text = str_from(TEXTS[i].text);
        for (int64_t tokens = 0; tokens < 60; tokens++) {
            struct str prefix = tokens_cut(text, tokens);
            assert_true(tokens_estimate(prefix) <= tokens);
            assert_true(text_is_utf8(prefix));
            assert_ptr_equal(prefix.at, text.at);
        }
    }
}

static void a_cut_is_not_shorter_than_it_must_be(void **state) {
    (void)state;
    struct str text = str_from(TEXTS[0].text);
    struct str prefix = tokens_cut(text, 10);
    assert_true(tokens_estimate(str_slice(text, 0, prefix.len + 4)) > 10);
    assert_int_equal(tokens_cut(text, 1000000).len, text.len);
    assert_int_equal(tokens_cut(text, INT64_MAX).len, text.len);
    assert_int_equal(tokens_cut(text, -5).len, 0);
}

static void the_scale_follows_what_is_reported_slowly(void **state) {
    (void)state;
    double scale = 1.0;
    scale = tokens_calibrate(scale, 1000, 1500);
    assert_true(scale > 1.05 && scale < 1.2);
    for (int i = 0; i < 50; i++)
        scale = tokens_calibrate(scale, 1000, 1500);
    assert_true(scale > 1.48 && scale < 1.52);
}

static void readings_that_cannot_be_meant_change_nothing(void **state) {
    (void)state;
    assert_true(tokens_calibrate(1.2, 5000, 100) ==
                1.2); /* KoboldCpp's constant, or only what was not cached */
    assert_true(tokens_calibrate(1.2, 100, 100000) == 1.2);
    assert_true(tokens_calibrate(1.2, 0, 500) == 1.2);
    assert_true(tokens_calibrate(1.2, 10, 12) == 1.2); /* too short to say anything */
}

static void the_scale_stays_within_bounds(void **state) {
    (void)state;
    double high = 1.9, low = 0.6;
    for (int i = 0; i < 100; i++) {
        high = tokens_calibrate(high, 1000, 3900);
        low = tokens_calibrate(low, 1000, 260);
    }
    assert_true(high == 2.0 && low == 0.5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates_are_near_the_truth_in_many_scripts),
        cmocka_unit_test(text_is_never_free_and_nothing_is),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(whole_is_at_most_its_parts_rounded),
        cmocka_unit_test(a_cut_fits_and_ends_at_a_character),
        cmocka_unit_test(a_cut_is_not_shorter_than_it_must_be),
        cmocka_unit_test(the_scale_follows_what_is_reported_slowly),
        cmocka_unit_test(readings_that_cannot_be_meant_change_nothing),
        cmocka_unit_test(the_scale_stays_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
