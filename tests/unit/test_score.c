/* links: troupe_memory */
#include "memory/score.h"

#include "base/check.h"
#include "each_arena.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define HOUR ((int64_t)3600 * 1000)

/* Four turns of one conversation in two sittings; one term. */
static struct score_output score_four(const struct question *q, struct score_turn *turns,
                                      const uint8_t *counts) {
    struct score_input input = {.question = q, .turns = turns, .count = 4, .counts = counts};
    struct score_output output;
    score_turns(&arena, &input, &output);
    return output;
}

static void fill_turns(struct score_turn turns[4]) {
    static const int64_t hours[] = {0, 1, 20, 21};
    for (int i = 0; i < 4; i++)
        turns[i] = (struct score_turn){
            .id = i + 1, .conversation_id = 1, .at_ms = hours[i] * HOUR, .who = i % 2};
}

static void close_to(double value, double expected, const char *what) {
    if (fabs(value - expected) > 1e-5)
        fail_msg("%s: %f instead of %f", what, value, expected);
}

/* By hand: N = 4, the term stands once in turn 1. idf = ln(1 + 3.5/1.5); bm25 of one occurrence is
 * idf * 1.9/1.9, the bound 1.9 idf, so words = 1/1.9. Pairs: turns 1 and 2 have it: idf' = ln(1 +
 * 2.5/2.5), share idf'/(1.9 idf). */
static void words_by_hand(void **state) {
    (void)state;
    struct question q = {.term_count = 1, .wanted = -1};
    struct score_turn turns[4];
    uint8_t counts[4] = {0, 1, 0, 0};
    fill_turns(turns);
    struct score_output out = score_four(&q, turns, counts);
    double idf = log(1 + 3.5 / 1.5), pair_idf = log(2);
    close_to((double)out.signals[1][SIGNAL_WORDS], 5 / 1.9, "the turn's own words");
    close_to((double)out.signals[1][SIGNAL_WORDS_PAIR], 11 * pair_idf / idf / 1.9, "as a pair");
    close_to((double)out.signals[2][SIGNAL_WORDS_PAIR], 11 * pair_idf / idf / 1.9,
             "of the pair after");
    close_to((double)out.signals[0][SIGNAL_WORDS_NEXT], 2 / 1.9, "before it");
    close_to((double)out.signals[0][SIGNAL_SESSION_WORDS], 3, "the sitting has the word");
    close_to((double)out.signals[2][SIGNAL_SESSION_WORDS], 0, "the next sitting has not");
    close_to((double)out.signals[3][SIGNAL_WORDS], 0, "what has nothing");
    close_to((double)out.signals[3][SIGNAL_SPEAKER], 1, "nobody is asked for: half of two");
}

static void repeated_words_saturate(void **state) {
    (void)state;
    struct question q = {.term_count = 1, .wanted = -1};
    struct score_turn turns[4];
    uint8_t counts[4] = {15, 0, 1, 0};
    fill_turns(turns);
    struct score_output out = score_four(&q, turns, counts);
    float many = out.signals[0][SIGNAL_WORDS], one = out.signals[2][SIGNAL_WORDS];
    assert_true(many > one && many < 2 * one);
}

static void signs_of_a_dialogue(void **state) {
    (void)state;
    struct question q = {.wanted = 1, .asks_time = true, .asks_number = true};
    struct score_turn turns[4];
    fill_turns(turns);
    turns[0].is_question = true;
    turns[1].has_time = true;
    turns[2].has_number = true;
    struct score_output out = score_four(&q, turns, NULL);
    close_to(out.scores[0], -1, "a question of the other");
    close_to(out.scores[1], 3, "the one who is asked for says when");
    close_to(out.scores[2], 0.5, "the other says a number");
    close_to(out.scores[3], 2, "the one who is asked for");
}

static void meaning_and_its_neighbours(void **state) {
    (void)state;
    struct question q = {.wanted = 0};
    struct score_turn turns[4];
    fill_turns(turns);
    static const float sentences[] = {0.8F, 0.2F, 0.4F, 0.0F};
    for (int i = 0; i < 4; i++) {
        turns[i].has_vectors = true;
        turns[i].sentence = sentences[i];
        turns[i].pair = 0.1F;
    }
    turns[0].is_question = true;
    struct score_output out = score_four(&q, turns, NULL);
    close_to((double)out.signals[0][SIGNAL_SENTENCE], 4, "5 times the cosine");
    close_to((double)out.signals[0][SIGNAL_SESSION], 1.5, "3 times the mean of two");
    close_to((double)out.signals[0][SIGNAL_NEXT], 0.2, "what follows");
    close_to((double)out.signals[1][SIGNAL_ANSWER], 0.8, "the answer to a close question");
    close_to((double)out.signals[2][SIGNAL_ANSWER], 0, "no question stands before");
    close_to((double)out.signals[3][SIGNAL_NEXT], 0, "nothing follows");
}

static void turns_whose_vectors_are_still_to_come(void **state) {
    (void)state;
    struct question q = {.wanted = -1};
    struct score_turn turns[4];
    fill_turns(turns);
    for (int i = 0; i < 3; i++) {
        turns[i].has_vectors = true;
        turns[i].sentence = 0.3F;
    }
    struct score_output out = score_four(&q, turns, NULL);
    close_to((double)out.signals[3][SIGNAL_SENTENCE], 1.5, "taken for the mean of the others");
    turns[1].has_vectors = turns[2].has_vectors = false;
    out = score_four(&q, turns, NULL);
    close_to((double)out.signals[0][SIGNAL_SENTENCE], 0, "one of four: words decide");
}

static void conversations_do_not_touch(void **state) {
    (void)state;
    struct question q = {.term_count = 1, .wanted = -1};
    struct score_turn turns[4];
    uint8_t counts[4] = {0, 1, 0, 0};
    fill_turns(turns);
    turns[2].conversation_id = turns[3].conversation_id = 2;
    struct score_output out = score_four(&q, turns, counts);
    close_to((double)out.signals[2][SIGNAL_WORDS_PAIR], 0,
             "the last turn of another talk is no turn before");
}

static void the_best_in_order(void **state) {
    (void)state;
    enum { COUNT = 1000 };
    double scores[COUNT];
    uint32_t seed = 1;
    for (int i = 0; i < COUNT; i++) {
        seed = seed * 1664525U + 1013904223U;
        scores[i] = (double)(seed >> 24) / 16; /* many are equal */
    }
    static const size_t limits[] = {0, 1, 10, 999, 1000, 2000};
    for (size_t k = 0; k < COUNT_OF(limits); k++) {
        size_t *places, n = score_best(&arena, scores, COUNT, limits[k], &places);
        assert_int_equal(n, limits[k] < COUNT ? limits[k] : COUNT);
        for (size_t i = 1; i < n; i++)
            assert_true(scores[places[i - 1]] > scores[places[i]] ||
                        (scores[places[i - 1]] <= scores[places[i]] && places[i - 1] > places[i]));
        size_t better = 0;
        for (size_t i = 0; i < COUNT && n > 0; i++)
            better += scores[i] > scores[places[n - 1]];
        assert_true(better < n || n == 0);
    }
}

static void nothing_at_all(void **state) {
    (void)state;
    struct question q = {.wanted = -1};
    struct score_input input = {.question = &q};
    struct score_output output;
    score_turns(&arena, &input, &output);
    size_t *places;
    assert_int_equal(score_best(&arena, output.scores, 0, 10, &places), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(words_by_hand),
        ARENA_TEST(repeated_words_saturate),
        ARENA_TEST(signs_of_a_dialogue),
        ARENA_TEST(meaning_and_its_neighbours),
        ARENA_TEST(turns_whose_vectors_are_still_to_come),
        ARENA_TEST(conversations_do_not_touch),
        ARENA_TEST(the_best_in_order),
        ARENA_TEST(nothing_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
