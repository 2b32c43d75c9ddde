/* links: troupe_model troupe_vendor_free troupe_store troupe_embedded */
#include "model/chat.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "loop/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TALK_LIMIT 64

static struct arena arena;
static struct chat_card card;
static struct str lore[16];
static struct chat_message messages[TALK_LIMIT];
static size_t message_count;
static struct chat_request request;

/* What was told of the reply under way. */
static char said[32768];
static size_t said_len, delta_count;
static bool is_done, is_failed;
static enum chat_finish finish;
static enum err err;
static int64_t first_us, last_us, began_us;
static size_t cancel_after;
static struct chat_call *call;

static void on_delta(void *ctx, struct str text) {
    (void)ctx;
    assert_non_null(call); /* not from inside start */
    assert_false(is_done || is_failed);
    assert_true(text_is_utf8(text));
    assert_true(said_len + text.len < sizeof said);
    memcpy(said + said_len, text.at, text.len);
    said_len += text.len;
    said[said_len] = '\0';
    last_us = clock_mono_us();
    if (delta_count++ == 0)
        first_us = last_us;
    if (delta_count == cancel_after)
        chat_understudy.cancel(call);
}

static void on_done(void *ctx, enum chat_finish how, const struct chat_usage *usage) {
    (void)ctx;
    assert_false(is_done || is_failed);
    assert_int_equal(usage->prompt_tokens, -1); /* nothing is reported that was not counted */
    is_done = true;
    finish = how;
    loop_stop(0);
}

static void on_failed(void *ctx, const struct chat_failure *failure) {
    (void)ctx;
    assert_false(is_done || is_failed);
    is_failed = true;
    err = failure->err;
    loop_stop(0);
}

/* --- a card and a talk ------------------------------------------------------------------------ */

static struct str replace(struct str text, struct str from, struct str to) {
    struct buf out;
    buf_init(&out, 1 << 20);
    ptrdiff_t at;
    while ((at = str_find(text, from, 0)) >= 0) {
        buf_add_str(&out, str_slice(text, 0, (size_t)at));
        buf_add_str(&out, to);
        text = str_slice(text, (size_t)at + from.len, text.len);
    }
    buf_add_str(&out, text);
    struct str replaced = str_dup(&arena, buf_str(&out));
    buf_release(&out);
    return replaced;
}

static struct str member(const struct json_value *data, const char *name) {
    struct str text = json_string(json_member(data, name), STR(""));
    text = replace(text, STR("{{char}}"), json_string(json_member(data, "name"), STR("")));
    return replace(text, STR("{{user}}"), STR("Sam"));
}

static const struct json_value *load(const char *path) {
    static char text[1 << 20];
    const struct json_value *json;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text, file);
    fclose(file);
    assert_int_equal(json_parse(&arena, str_of(text, len), &json, NULL), E_OK);
    return json_member(json, "data");
}

static const struct json_value *entries;

static void open_card(const char *path) {
    const struct json_value *data = load(path);
    card = (struct chat_card){
        .character_name = json_string(json_member(data, "name"), STR("")),
        .user_name = STR("Sam"),
        .greeting = member(data, "first_mes"),
        .examples = member(data, "mes_example"),
        .description = member(data, "description"),
        .lore = lore,
    };
    entries = json_member(json_member(data, "character_book"), "entries");
    messages[0] = (struct chat_message){.role = CHAT_ASSISTANT, .content = card.greeting};
    message_count = 1;
}

/* Entries that are always in mind, and those whose key the person has said. */
static void fire_lore(struct str text) {
    card.lore_count = 0;
    for (const struct json_value *entry = json_first(entries); entry; entry = json_next(entry)) {
        bool fires = json_bool(json_member(entry, "constant"), false);
        for (const struct json_value *key = json_first(json_member(entry, "keys")); key;
             key = json_next(key))
            fires = fires || str_has(text_fold(&arena, text), json_string(key, STR("?")));
        if (fires && card.lore_count < 16)
            lore[card.lore_count++] = replace(json_string(json_member(entry, "content"), STR("")),
                                              STR("{{char}}"), card.character_name);
    }
}

static int set_up(void **state) {
    (void)state;
    arena_init(&arena);
    understudy_settings = (struct understudy_settings){.tokens_per_second = 0, .seed = 7};
    cancel_after = 0;
    open_card("assets/characters/otar-lomidze/card.json");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_release(&arena);
    return 0;
}

/* Has the request answered; `said` holds the reply. */
static void run(void) {
    static const struct chat_events EVENTS = {on_delta, NULL, on_done, on_failed};
    said_len = delta_count = 0;
    said[0] = '\0';
    is_done = is_failed = false;
    call = NULL;
    loop_init();
    began_us = clock_mono_us();
    struct chat_call *begun = chat_understudy.start(&request, &EVENTS, NULL);
    assert_int_equal(delta_count, 0);
    call = begun;
    loop_run();
    loop_release();
    assert_true(is_done || is_failed);
}

static struct chat_request plain_request(void) {
    return (struct chat_request){.messages = messages,
                                 .message_count = message_count,
                                 .card = &card,
                                 .sampling = {-1, -1, -1, -1, -1, -1, -1, -1, 2000, NULL, 0}};
}

/* Says something and gets the reply, which joins the talk. */
static struct str say(const char *text) {
    assert_true(message_count + 2 <= TALK_LIMIT);
    fire_lore(str_from(text));
    messages[message_count++] = (struct chat_message){.role = CHAT_USER, .content = str_from(text)};
    request = plain_request();
    run();
    struct str reply = str_dup(&arena, str_of(said, said_len));
    messages[message_count++] = (struct chat_message){.role = CHAT_ASSISTANT, .content = reply};
    return reply;
}

#define NOTE_MARK "No language model is connected"

/* --- honesty ---------------------------------------------------------------------------------- */

static void the_first_reply_says_that_it_is_no_model(void **state) {
    (void)state;
    struct str reply = say("Hello!");
    assert_true(str_starts(reply, STR("*(" NOTE_MARK)));
    assert_true(str_has(reply, STR("no model")));
    struct str part = chat_without_note(reply);
    assert_true(part.len > 0 && str_ends(reply, part));
    assert_false(str_has(part, STR("model")));
    assert_false(str_has(say("What are you cooking?"), STR(NOTE_MARK)));
    assert_false(str_has(say("I see."), STR(NOTE_MARK)));
}

/* What only looks like a note is the character's. */
static void what_is_in_the_part_is_no_note(void **state) {
    (void)state;
    static const char *const PARTS[] = {
        "*(She whispers.)* Hello.",
        "*(the Understudy looks up)* Hello.", /* it goes on in the same paragraph */
        "*(the Understudy\n)*\n\nHello.",
        "*(the Understudy",
        "Hello. *(the Understudy)*",
        "",
    };
    for (size_t i = 0; i < sizeof PARTS / sizeof *PARTS; i++)
        assert_true(str_eq(chat_without_note(str_from(PARTS[i])), str_from(PARTS[i])));
    assert_int_equal(chat_without_note(STR("*(I am the Understudy.)*")).len, 0);
}

static void whoever_asks_is_told_the_truth(void **state) {
    (void)state;
    static const char *const QUESTIONS[] = {
        "Are you an AI?", "wait. are you real?",      "Which model is this?", "Is this ChatGPT?",
        "ARE YOU A BOT",  "so are you human or what", "Bist du eine KI?",
    };
    say("Hello!");
    for (size_t i = 0; i < sizeof QUESTIONS / sizeof *QUESTIONS; i++) {
        struct str reply = say(QUESTIONS[i]);
        assert_false(str_has(chat_without_note(reply), STR("AI model")));
        if (!str_has(reply, STR("I am no AI model")))
            fail_msg("%s: " STR_FMT, QUESTIONS[i], STR_ARG(reply));
    }
    assert_false(str_has(say("I painted the boat red."), STR("I am no AI model")));
}

/* --- in character ----------------------------------------------------------------------------- */

static void a_known_question_gets_the_authors_answer(void **state) {
    (void)state;
    static const struct {
        const char *said, *answer, *why;
    } rows[] = {
        {"Tell me a joke.", "A man goes to the doctor", "word for word"},
        {"do you know a joke?", "A man goes to the doctor", "another way round"},
        {"What are you cooking tonight?", "Listen.", "with a word more"},
        {"hi!", "gamarjoba", "one greeting stands for all"},
        {"Bye!", "nobody goes down my ladder empty", "and one farewell"},
        {"i feel so sad", "peel this garlic", "nearly the same"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        message_count = 1;
        struct str reply = say(rows[i].said);
        if (!str_has(reply, str_from(rows[i].answer)))
            fail_msg("%s: " STR_FMT, rows[i].why, STR_ARG(reply));
    }
}

static void what_was_said_is_turned_round(void **state) {
    (void)state;
    static const struct {
        const char *said, *turned;
    } rows[] = {
        {"I lost my red bicycle near the harbour.", "ou lost your red bicycle near the harbour"},
        {"My brother never writes to me.", "our brother never writes to you"},
        {"I am afraid of my own voice, honestly.", "ou are afraid of your own voice"},
        {"I was in Lisbon when it happened", "ou were in Lisbon"},
    };
    say("Hello!");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str reply = say(rows[i].said);
        if (!str_has(reply, str_from(rows[i].turned)))
            fail_msg("%s: " STR_FMT, rows[i].said, STR_ARG(reply));
    }
}

static void lore_that_fired_is_told(void **state) {
    (void)state;
    int told = 0;
    say("Hello!");
    for (int seed = 1; seed <= 10; seed++) {
        understudy_settings.seed = seed;
        message_count = 3;
        struct str reply = say("Does the captain ever raise her voice against the engineer?");
        for (size_t i = 0; i < card.lore_count; i++)
            told += str_has(reply, str_slice(lore[i], 0, 30)) || str_has(reply, STR("Gregory")) ||
                    str_has(reply, STR("Adebayo"));
    }
    assert_true(told >= 5);
}

/* Twenty turns of small talk with each of the cast: never a line twice, never empty, always a
 * question or a farewell to go on from. */
static void nothing_is_said_twice(void **state) {
    (void)state;
    static const char *const CAST[] = {"otar-lomidze", "auntie-fola",    "ibid",
                                       "fenella-rusk", "tavita-faleafa", "great-ghoshal",
                                       "emmot-thurlby"};
    static const char *const TALK[] = {
        "Hello!",
        "I had a long day.",
        "My train was late.",
        "Tell me a joke.",
        "That is funny.",
        "What is this place?",
        "I like the rain.",
        "How are you?",
        "I miss my brother.",
        "He lives by the sea.",
        "Do you like the sea?",
        "Maybe one day.",
        "I can't sleep.",
        "What would you do?",
        "I never learned to cook.",
        "Teach me something.",
        "I will try.",
        "Who taught you?",
        "That is kind.",
        "It is late, goodnight.",
    };
    for (size_t c = 0; c < sizeof CAST / sizeof *CAST; c++) {
        char path[128];
        snprintf(path, sizeof path, "assets/characters/%s/card.json", CAST[c]);
        open_card(path);
        for (size_t i = 0; i < sizeof TALK / sizeof *TALK; i++) {
            struct str reply = say(TALK[i]), rest = reply, paragraph;
            assert_true(is_done && str_trim(reply).len > 10);
            assert_false(str_has(reply, STR("{{")) || str_has(reply, STR("%n")) ||
                         str_has(reply, STR("%c")));
            while (str_next(&rest, '\n', &paragraph))
                for (size_t m = 1; m + 1 < message_count && paragraph.len > 40; m++)
                    if (messages[m].role == CHAT_ASSISTANT &&
                        str_has(messages[m].content, paragraph))
                        fail_msg("%s repeats: " STR_FMT, CAST[c], STR_ARG(paragraph));
        }
    }
}

/* --- seed, pace, limits ----------------------------------------------------------------------- */

static void a_seed_makes_it_repeatable(void **state) {
    (void)state;
    struct str first = say("I had a long day on the water.");
    message_count = 1;
    assert_true(str_eq(say("I had a long day on the water."), first));
    bool differs = false;
    for (int seed = 100; seed < 110 && !differs; seed++) {
        understudy_settings.seed = seed;
        message_count = 1;
        differs = !str_eq(say("I had a long day on the water."), first);
    }
    assert_true(differs);
    understudy_settings.seed = 0; /* the request's own seed counts then */
    message_count = 1;
    messages[message_count++] =
        (struct chat_message){.role = CHAT_USER, .content = STR("I had a long day.")};
    request = plain_request();
    request.sampling.seed = 5;
    run();
    struct str once = str_dup(&arena, str_of(said, said_len));
    run();
    assert_true(str_eq(str_of(said, said_len), once));
}

static void words_come_at_the_set_pace(void **state) {
    (void)state;
    understudy_settings.tokens_per_second = 400;
    say("Hello!");
    int64_t expected_us = (int64_t)said_len / 4 * 1000000 / 400;
    assert_true(delta_count > 20);
    assert_true(first_us - began_us < 50000); /* the first word at once */
    assert_in_range(last_us - first_us, expected_us * 7 / 10, expected_us * 14 / 10 + 100000);
}

static void without_a_pace_it_comes_at_once(void **state) {
    (void)state;
    say("Hello!");
    assert_int_equal(delta_count, 1);
    assert_int_equal(finish, CHAT_FINISH_STOP);
}

static void a_reply_keeps_its_limit(void **state) {
    (void)state;
    fire_lore(STR("Hello!"));
    messages[message_count++] = (struct chat_message){.role = CHAT_USER, .content = STR("Hello!")};
    request = plain_request();
    request.sampling.reply_tokens = 30;
    run();
    assert_int_equal(finish, CHAT_FINISH_LENGTH);
    assert_in_range(said_len, 80, 120);
}

static void cancelled_in_the_middle(void **state) {
    (void)state;
    understudy_settings.tokens_per_second = 200;
    cancel_after = 5;
    fire_lore(STR("Hello!"));
    messages[message_count++] = (struct chat_message){.role = CHAT_USER, .content = STR("Hello!")};
    request = plain_request();
    run();
    assert_true(is_failed);
    assert_int_equal(err, E_CANCELLED);
    assert_int_equal(delta_count, 5);
}

/* --- going on --------------------------------------------------------------------------------- */

static void a_line_that_was_cut_is_finished(void **state) {
    (void)state;
    struct str whole = say("Tell me a joke.");
    messages[message_count - 1].content = str_slice(whole, 0, whole.len - 60);
    request = plain_request();
    request.is_continue = true;
    run();
    assert_true(str_eq(str_of(said, said_len), str_slice(whole, whole.len - 60, whole.len)));
}

static void a_finished_message_gets_some_more(void **state) {
    (void)state;
    say("Tell me a joke.");
    request = plain_request();
    request.is_continue = true;
    run();
    assert_true(is_done && said_len > 20);
    assert_false(str_has(str_of(said, said_len), STR(NOTE_MARK)));
}

/* --- cards of every kind ---------------------------------------------------------------------- */

static void no_card_at_all(void **state) {
    (void)state;
    messages[0] = (struct chat_message){.role = CHAT_USER,
                                        .content = STR("Say hello in one short sentence.")};
    message_count = 1;
    request = plain_request();
    request.card = NULL;
    run();
    assert_true(is_done && said_len > 20);
    message_count = 0;
    request = plain_request();
    request.card = NULL;
    run();
    assert_true(is_done && said_len > 0);
}

static void an_empty_card(void **state) {
    (void)state;
    card = (struct chat_card){.character_name = STR("X"), .user_name = STR(""), .lore = lore};
    entries = NULL;
    message_count = 0;
    static const char *const TALK[] = {
        "",        " ",  "?",      "\xE6\x98\xA8\xE6\x97\xA5", "a", "%n %s {{char}} *", "\"\"\"***",
        "I I I I", "my", "i feel "};
    for (size_t i = 0; i < sizeof TALK / sizeof *TALK; i++) {
        struct str reply = say(TALK[i]);
        assert_true(is_done && reply.len > 0);
    }
}

static void a_hostile_card(void **state) {
    (void)state;
    struct buf examples;
    buf_init(&examples, 4 << 20);
    for (int i = 0; i < 3000; i++)
        buf_printf(
            &examples,
            "<START>\nSam: question %d?\nX: *A*\"\"** \xF0\x9F\x98\x80 'x'. %%n {} \"I. Am. \"\nX:\n",
            i);
    for (int i = 0; i < 20000; i++)
        buf_add_str(&examples, STR("X: word\xE2\x80\xA6"));
    static char long_lore[300000];
    memset(long_lore, 'A', sizeof long_lore);
    lore[0] = str_of(long_lore, sizeof long_lore);
    lore[1] = STR("*");
    card = (struct chat_card){.character_name = STR("X"),
                              .user_name = STR("Sam"),
                              .examples = str_dup(&arena, buf_str(&examples)),
                              .lore = lore,
                              .lore_count = 2};
    buf_release(&examples);
    entries = NULL;
    messages[0] =
        (struct chat_message){.role = CHAT_USER, .content = str_of(long_lore, sizeof long_lore)};
    message_count = 1;
    request = plain_request();
    int64_t before_us = clock_mono_us();
    run();
    assert_true(is_done && text_is_utf8(str_of(said, said_len)));
    assert_true(clock_mono_us() - before_us <
                500000); /* a sanitizer build on a busy machine; some milliseconds in truth */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    log_init(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(the_first_reply_says_that_it_is_no_model),
        TEST(what_is_in_the_part_is_no_note),
        TEST(whoever_asks_is_told_the_truth),
        TEST(a_known_question_gets_the_authors_answer),
        TEST(what_was_said_is_turned_round),
        TEST(lore_that_fired_is_told),
        TEST(nothing_is_said_twice),
        TEST(a_seed_makes_it_repeatable),
        TEST(words_come_at_the_set_pace),
        TEST(without_a_pace_it_comes_at_once),
        TEST(a_reply_keeps_its_limit),
        TEST(cancelled_in_the_middle),
        TEST(a_line_that_was_cut_is_finished),
        TEST(a_finished_message_gets_some_more),
        TEST(no_card_at_all),
        TEST(an_empty_card),
        TEST(a_hostile_card),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
