/* links: troupe_model troupe_vendor_free */
#include "talk.h"

#include "base/json.h"

#define HEAD "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define START \
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_01\",\"role\":\"assistant\",\"content\":[],\"usage\":{\"input_tokens\":31,\"output_tokens\":1}}}\n\n"
#define BLOCK(n, type)                                                                 \
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":" n \
    ",\"content_block\":{\"type\":\"" type "\",\"text\":\"\"}}\n\n"
#define DELTA(text)                                                                                                                       \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"" text \
    "\"}}\n\n"
#define THOUGHT(text)                                                                                                                             \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"" text \
    "\"}}\n\n"
#define BLOCK_STOP \
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
#define PING "event: ping\ndata: {\"type\":\"ping\"}\n\n"
#define FINISH(reason)                                                                             \
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"" reason \
    "\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":7}}\n\n"
#define STOP "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"

static void run(const char *path, const char *answer) {
    struct fake_step script[] = {{FAKE_RAW, answer}, {FAKE_CLOSE}, {0}};
    talk_run(&chat_anthropic, path, script);
}

static void a_reply_streams(void **state) {
    (void)state;
    run("", HEAD START BLOCK("0", "text") PING DELTA("Lit and ") DELTA("steady.")
                BLOCK_STOP FINISH("end_turn") STOP);
    assert_true(talk.is_done);
    assert_string_equal(talk.text, "Lit and steady.");
    assert_int_equal(talk.usage.prompt_tokens, 31);
    assert_int_equal(talk.usage.reply_tokens, 7);
    assert_int_equal(talk.finish, CHAT_FINISH_STOP);
}

static void cached_tokens_are_prompt_too(void **state) {
    (void)state;
    run("", HEAD
        "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":900,\"cache_creation_input_tokens\":95}}}\n\n" DELTA(
            "a") FINISH("end_turn") STOP);
    assert_int_equal(talk.usage.prompt_tokens, 1000);
}

static void counts_that_cannot_be_meant_are_not_taken(void **state) {
    (void)state;
    run("", HEAD
        "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9223372036854775807,\"cache_read_input_tokens\":9223372036854775807,\"cache_creation_input_tokens\":5}}}\n\n" DELTA(
            "a") FINISH("end_turn") STOP);
    assert_true(talk.is_done);
    assert_int_equal(talk.usage.prompt_tokens, -1);
    assert_int_equal(talk.usage.reply_tokens, 7);
}

static const struct json_value *sent(struct arena *arena) {
    const struct json_value *body;
    arena_init(arena);
    assert_int_equal(json_parse(arena, str_from(talk_sent(0)), &body, NULL), E_OK);
    return body;
}

static void assert_text(const struct json_value *body, const char *path, const char *expected) {
    struct str text = json_string(json_path(body, path), STR_NONE);
    if (!str_eq(text, str_from(expected)))
        fail_msg("%s: \"" STR_FMT "\"", path, STR_ARG(text));
}

static void the_request_is_what_the_protocol_asks(void **state) {
    (void)state;
    static const struct chat_message messages[] = {
        {.role = CHAT_SYSTEM, .content = {"Card.", 5}},
        {.role = CHAT_SYSTEM, .content = {"Lore.", 5}},
        {.role = CHAT_ASSISTANT, .content = {"Greeting.", 9}},
        {.role = CHAT_USER, .content = {"A", 1}},
        {.role = CHAT_USER, .content = {"B", 1}},
        {.role = CHAT_ASSISTANT, .content = {"  ", 2}},
        {.role = CHAT_ASSISTANT, .content = {"C", 1}},
        {.role = CHAT_SYSTEM, .content = {"Note.", 5}},
        {.role = CHAT_USER, .content = {"D", 1}},
    };
    static const struct str stops[] = {{"\n", 1}, {"\nYou:", 5}};
    request.messages = messages;
    request.message_count = 9;
    request.sampling = (struct chat_sampling){.temperature = 1.4,
                                              .top_p = 0.9,
                                              .top_k = 40,
                                              .min_p = 0.1,
                                              .frequency_penalty = 1,
                                              .presence_penalty = 1,
                                              .repetition_penalty = 1.1,
                                              .seed = 3,
                                              .reply_tokens = 300,
                                              .stop = stops,
                                              .stop_count = 2};
    run("/v1", HEAD DELTA("a") FINISH("end_turn") STOP);
    struct arena arena;
    const struct json_value *body = sent(&arena);
    assert_true(strncmp(fake.requests[0], "POST /v1/messages HTTP/1.1\r\n", 28) == 0);
    assert_non_null(strstr(fake.requests[0], "x-api-key: sk-secret-key\r\n"));
    assert_non_null(strstr(fake.requests[0], "anthropic-version: 2023-06-01\r\n"));
    assert_null(strstr(fake.requests[0], "Authorization"));
    assert_text(body, "system.0.text", "Card.");
    assert_text(body, "system.1.text", "Lore.");
    assert_int_equal(json_count(json_path(body, "messages")), 5);
    assert_text(body, "messages.0.role", "user"); /* somebody must begin */
    assert_text(body, "messages.1.content.0.text", "Greeting.");
    assert_text(body, "messages.2.content.0.text", "A\n\nB");
    assert_text(body, "messages.3.content.0.text", "C"); /* the blank one is gone */
    assert_text(body, "messages.4.content.0.text", "[Note.]\n\nD");
    assert_int_equal(json_int(json_path(body, "max_tokens"), 0), 300);
    assert_true(json_number(json_path(body, "temperature"), 0) == 1.0); /* the range ends there */
    assert_int_equal(json_type(json_path(body, "top_p")), JSON_ABSENT);
    assert_int_equal(json_type(json_path(body, "min_p")), JSON_ABSENT);
    assert_int_equal(json_type(json_path(body, "seed")), JSON_ABSENT);
    assert_int_equal(json_count(json_path(body, "stop_sequences")),
                     1);                                /* white space alone is refused there */
    assert_null(strstr(talk_sent(0), "cache_control")); /* only at Anthropic's own host */
    arena_release(&arena);
}

/* Behind the system text and behind the last turn but one. The host is known by its name, so a path
 * will do. */
static void prompts_are_marked_for_the_cache_at_anthropics_own_host(void **state) {
    (void)state;
    static const struct chat_message messages[] = {
        {.role = CHAT_SYSTEM, .content = {"Card.", 5}},
        {.role = CHAT_SYSTEM, .content = {"Lore.", 5}},
        {.role = CHAT_USER, .content = {"A", 1}},
        {.role = CHAT_ASSISTANT, .content = {"B", 1}},
        {.role = CHAT_USER, .content = {"C", 1}},
    };
    request.messages = messages;
    request.message_count = 5;
    run("/api.anthropic.com", HEAD DELTA("a") FINISH("end_turn") STOP);
    struct arena arena;
    const struct json_value *body = sent(&arena);
    assert_int_equal(json_type(json_path(body, "system.0.cache_control")), JSON_ABSENT);
    assert_text(body, "system.1.cache_control.type", "ephemeral");
    assert_int_equal(json_type(json_path(body, "messages.0.content.0.cache_control")), JSON_ABSENT);
    assert_text(body, "messages.1.content.0.cache_control.type", "ephemeral");
    assert_int_equal(json_type(json_path(body, "messages.2.content.0.cache_control")), JSON_ABSENT);
    arena_release(&arena);
}

static void an_empty_talk_still_has_a_turn(void **state) {
    (void)state;
    request.message_count = 1; /* the system text alone */
    run("", HEAD DELTA("a") FINISH("end_turn") STOP);
    struct arena arena;
    const struct json_value *body = sent(&arena);
    assert_int_equal(json_count(json_path(body, "messages")), 1);
    assert_text(body, "messages.0.role", "user");
    arena_release(&arena);
}

static void a_message_is_gone_on_with(void **state) {
    (void)state;
    static const struct chat_message messages[] = {
        {.role = CHAT_USER, .content = {"A", 1}},
        {.role = CHAT_ASSISTANT, .content = {"I was \n", 7}}};
    request.messages = messages;
    request.message_count = 2;
    request.is_continue = true;
    run("", HEAD DELTA("going.") FINISH("end_turn") STOP);
    struct arena arena;
    const struct json_value *body = sent(&arena);
    assert_text(body, "messages.1.role", "assistant");
    assert_text(body, "messages.1.content.0.text", "I was"); /* white space at the end is refused */
    arena_release(&arena);
}

static void who_refuses_a_prefill_is_asked_in_words(void **state) {
    (void)state;
    static const struct fake_step refuses[] = {
        {FAKE_RAW,
         "HTTP/1.1 400 X\r\nContent-Length: 108\r\n\r\n{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"This model does not support prefill here.\"}}"},
        {0}};
    static const struct fake_step answers[] = {
        {FAKE_RAW, HEAD DELTA("x") FINISH("end_turn") STOP}, {FAKE_CLOSE}, {0}};
    const struct fake_step *scripts[] = {refuses, answers, NULL};
    request.message_count = 3;
    request.is_continue = true;
    talk_run_many(&chat_anthropic, "", scripts);
    assert_true(talk.is_done);
    assert_int_equal(fake.request_count, 2);
    assert_non_null(strstr(talk_sent(1), "Continue your last message"));
}

static const struct {
    const char *answer, *text, *reasoning, *why;
    enum chat_finish finish;
} GOOD[] = {
    {HEAD START DELTA("a") BLOCK_STOP FINISH("end_turn"), "a", "",
     "a stop reason, no message_stop"},
    {HEAD START DELTA("a") BLOCK_STOP FINISH("end_turn") STOP "rubbish", "a", "",
     "bytes after the end"},
    {HEAD
     "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n",
     "a", "", "no event names, no start"},
    {HEAD
     "event: ping\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n" STOP,
     "a", "", "the type inside counts"},
    {HEAD
     "event: content_block_delta\ndata: {\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\nevent: message_stop\ndata: {}\n\n",
     "a", "", "the name, where there is no type"},
    {HEAD BLOCK("0", "thinking") THOUGHT("Hm.") BLOCK_STOP BLOCK("1", "text") DELTA("Yes.")
         FINISH("end_turn") STOP,
     "Yes.", "Hm.", "thinking first"},
    {HEAD
         BLOCK("0", "redacted_thinking") "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"signature_delta\",\"signature\":\"x\"}}\n\n" DELTA(
             "a") FINISH("end_turn") STOP,
     "a", "", "unknown blocks"},
    {HEAD "event: brand_new\ndata: {\"type\":\"brand_new\",\"text\":\"b\"}\n\n" DELTA("a") STOP,
     "a", "", "unknown events"},
    {HEAD DELTA("a") FINISH("max_tokens") STOP, "a", "", "length", CHAT_FINISH_LENGTH},
    {HEAD DELTA("a") FINISH("refusal") STOP, "a", "", "a refusal", CHAT_FINISH_FILTER},
    {HEAD FINISH("refusal") STOP, "", "", "a refusal without a word", CHAT_FINISH_FILTER},
    {HEAD DELTA("\\ud83d") DELTA("\\ude00") FINISH("end_turn") STOP, "\xF0\x9F\x98\x80", "",
     "a pair of surrogates over two events"},
    {"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"type\":\"message\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"Hm.\"},{\"type\":\"text\",\"text\":\"Yes.\"}],\"stop_reason\":\"end_turn\"}",
     "Yes.", "Hm.", "a server that does not stream"},
};

static void streams_of_every_house_are_read(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        run("", GOOD[i].answer);
        if (!talk.is_done || strcmp(talk.text, GOOD[i].text) != 0 ||
            strcmp(talk.reasoning, GOOD[i].reasoning) != 0 || talk.finish != GOOD[i].finish)
            fail_msg("%s: \"%s\" \"%s\" %s", GOOD[i].why, talk.text, talk.reasoning, talk.detail);
        talk_again();
    }
}

static void streams_are_read_byte_by_byte(void **state) {
    (void)state;
    struct fake_step script[] = {{FAKE_RAW, FAKE_STREAM_HEAD("text/event-stream")},
                                 {FAKE_DRIP_CHUNKS,
                                  START PING DELTA("Gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80")
                                      FINISH("end_turn") STOP},
                                 {FAKE_LAST_CHUNK},
                                 {0}};
    talk_run(&chat_anthropic, "", script);
    assert_true(talk.is_done);
    assert_string_equal(talk.text, "Gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80");
}

#define ERROR(type, message)                                                      \
    "{\"type\":\"error\",\"error\":{\"type\":\"" type "\",\"message\":\"" message \
    "\"},\"request_id\":\"req_1\"}"

static const struct {
    const char *answer;
    enum err err;
    const char *word, *text, *why;
} BAD[] = {
    {HEAD "event: error\ndata: " ERROR("overloaded_error", "Overloaded") "\n\n", E_BUSY,
     "Overloaded", "", "an error before anything"},
    {HEAD START DELTA("a") "event: error\ndata: " ERROR("api_error", "Internal") "\n\n", E_UPSTREAM,
     "Internal", "a", "an error after some text"},
    {HEAD DELTA(
         "a") "event: error\ndata: {\"code\":500,\"message\":\"boom\",\"type\":\"server_error\"}\n\n",
     E_UPSTREAM, "boom", "a", "llama.cpp's shape"},
    {HEAD DELTA("a") "data: {\"error\":{\"message\":\"odd\"}}\n\n", E_UPSTREAM, "odd", "a",
     "OpenAI's shape, from a clone"},
    {HEAD START DELTA("a") BLOCK_STOP, E_UPSTREAM, "broke off", "a", "no stop reason"},
    {HEAD START PING PING, E_UPSTREAM, "empty", "", "pings and nothing else"},
    {"HTTP/1.0 529 X\r\n\r\n<html>busy</html>", E_BUSY, "web page", "", "529 as a page"},
    {"HTTP/1.0 529 X\r\n\r\n" ERROR("overloaded_error", "Overloaded"), E_BUSY, "Overloaded", "",
     "529"},
    {"HTTP/1.0 401 X\r\n\r\n" ERROR("authentication_error", "invalid x-api-key"), E_DENIED,
     "invalid x-api-key", "", "401"},
    {"HTTP/1.0 404 X\r\n\r\n" ERROR("not_found_error", "model: claude-y"), E_ABSENT,
     "model: claude-y", "", "404"},
    {"HTTP/1.0 413 X\r\n\r\n" ERROR("request_too_large", "too large"), E_INPUT, "too large", "",
     "413"},
    {"HTTP/1.0 429 X\r\nretry-after: 12\r\n\r\n" ERROR("rate_limit_error", "slow down"), E_LIMIT,
     "slow down", "", "429"},
    {"HTTP/1.0 400 X\r\n\r\n" ERROR("billing_error", "no credit"), E_DENIED, "no credit", "",
     "billing, as a 400"},
    {"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" ERROR("api_error", "odd"),
     E_UPSTREAM, "odd", "", "an error with status 200"},
};

static void failures_are_told_in_words(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        run("", BAD[i].answer);
        if (!talk.is_failed || talk.err != BAD[i].err || strstr(talk.detail, BAD[i].word) == NULL ||
            strcmp(talk.text, BAD[i].text) != 0)
            fail_msg("%s: %s, \"%s\", said \"%s\"", BAD[i].why, err_word(talk.err), talk.detail,
                     talk.text);
        talk_again();
    }
}

static void pings_alone_do_not_hold_a_call_for_ever(void **state) {
    (void)state;
    static const struct fake_step ping = {FAKE_CHUNK, PING};
    struct fake_step script[24] = {{FAKE_RAW, FAKE_STREAM_HEAD("text/event-stream")}};
    for (size_t i = 1; i + 2 < 24; i += 2) {
        script[i] = ping;
        script[i + 1] = (struct fake_step){FAKE_WAIT, .ms = 150};
    }
    model_settings.first_token_ms = 200;
    talk_run(&chat_anthropic, "", script);
    assert_int_equal(talk.err, E_TIMEOUT);
}

int main(void) {
    log_init(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TALK_TEST(a_reply_streams),
        TALK_TEST(cached_tokens_are_prompt_too),
        TALK_TEST(counts_that_cannot_be_meant_are_not_taken),
        TALK_TEST(the_request_is_what_the_protocol_asks),
        TALK_TEST(prompts_are_marked_for_the_cache_at_anthropics_own_host),
        TALK_TEST(an_empty_talk_still_has_a_turn),
        TALK_TEST(a_message_is_gone_on_with),
        TALK_TEST(who_refuses_a_prefill_is_asked_in_words),
        TALK_TEST(streams_of_every_house_are_read),
        TALK_TEST(streams_are_read_byte_by_byte),
        TALK_TEST(failures_are_told_in_words),
        TALK_TEST(pings_alone_do_not_hold_a_call_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
