/* links: troupe_model troupe_vendor_free */
#include "talk.h"

#include "base/json.h"

#define HEAD FAKE_STREAM_HEAD("application/x-ndjson")
#define LINE(text)                                                                                                       \
    "{\"model\":\"m\",\"created_at\":\"2026-01-01T10:00:00.1Z\",\"message\":{\"role\":\"assistant\",\"content\":\"" text \
    "\"},\"done\":false}\n"
#define END \
    "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":26,\"eval_count\":3}\n"

static void run_stream(const char *body) {
    struct fake_step script[] = {{FAKE_RAW, HEAD}, {FAKE_CHUNK, body}, {FAKE_LAST_CHUNK}, {0}};
    talk_run(&chat_ollama, "", script);
}

static void a_reply_streams(void **state) {
    (void)state;
    run_stream(LINE("Good") LINE(" evening.") END);
    assert_true(talk.is_done);
    assert_string_equal(talk.text, "Good evening.");
    assert_int_equal(talk.usage.prompt_tokens, 26);
    assert_int_equal(talk.usage.reply_tokens, 3);
    assert_int_equal(talk.finish, CHAT_FINISH_STOP);
}

static void the_request_is_what_the_protocol_asks(void **state) {
    (void)state;
    static const struct str stop = {"\nYou:", 5};
    request.sampling = (struct chat_sampling){.temperature = 0.8,
                                              .top_p = -1,
                                              .top_k = 30,
                                              .min_p = -1,
                                              .frequency_penalty = -1,
                                              .presence_penalty = -1,
                                              .repetition_penalty = 1.1,
                                              .seed = 9,
                                              .reply_tokens = 300,
                                              .stop = &stop,
                                              .stop_count = 1};
    run_stream(LINE("a") END);
    struct arena arena;
    const struct json_value *sent;
    arena_init(&arena);
    assert_int_equal(json_parse(&arena, str_from(talk_sent(0)), &sent, NULL), E_OK);
    assert_true(strncmp(fake.requests[0], "POST /api/chat HTTP/1.1\r\n", 25) == 0);
    assert_int_equal(json_int(json_path(sent, "options.num_ctx"), 0), 4096);
    assert_int_equal(json_int(json_path(sent, "options.num_predict"), 0), 300);
    assert_int_equal(json_int(json_path(sent, "options.top_k"), 0), 30);
    assert_int_equal(json_int(json_path(sent, "options.seed"), 0), 9);
    assert_true(json_number(json_path(sent, "options.repeat_penalty"), 0) == 1.1);
    assert_int_equal(json_type(json_path(sent, "options.top_p")), JSON_ABSENT);
    assert_true(str_eq(json_string(json_path(sent, "options.stop.0"), STR_NONE), stop));
    assert_int_equal(json_type(json_path(sent, "keep_alive")), JSON_STRING);
    assert_true(json_bool(json_path(sent, "stream"), false));
    assert_int_equal(json_count(json_path(sent, "messages")), 2);
    arena_release(&arena);
}

static void addresses_are_taken_as_people_paste_them(void **state) {
    (void)state;
    static const char *const PATHS[] = {"", "/", "/api", "/v1", "/v1/", "/api/chat"};
    for (size_t i = 0; i < sizeof PATHS / sizeof *PATHS; i++) {
        struct fake_step script[] = {
            {FAKE_RAW, HEAD}, {FAKE_CHUNK, LINE("a") END}, {FAKE_LAST_CHUNK}, {0}};
        talk_run(&chat_ollama, PATHS[i], script);
        if (strncmp(fake.requests[0], "POST /api/chat HTTP/1.1\r\n", 25) != 0)
            fail_msg("%s: %.40s", PATHS[i], fake.requests[0]);
        talk_again();
    }
}

static const struct {
    const char *body, *text, *reasoning, *why;
    enum chat_finish finish;
} GOOD[] = {
    {LINE("a") "\r\n" LINE("b") "\n\n" END, "ab", "", "CRLF and empty lines"},
    {LINE("a") "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"length\"}", "a", "",
     "no last line end, no counts", CHAT_FINISH_LENGTH},
    {LINE("a") "{\"done\":true}\n", "a", "", "a last line with nothing in it"},
    {LINE("a") END LINE("b"), "a", "", "lines after the end"},
    {LINE("a") "{\"message\":{\"content\":null},\"done\":false}\n" END, "a", "", "null content"},
    {"{\"message\":{\"role\":\"assistant\",\"content\":\"\",\"thinking\":\"Hm.\"},\"done\":false}\n" LINE(
         "Yes.") END,
     "Yes.", "Hm.", "thinking"},
    {"{\"message\":{\"content\":\"Yes.\",\"thinking\":\"Hm.\"},\"done\":false}\n" END, "Yes.",
     "Hm.", "both in one line"},
    {LINE("<think>") LINE("Hm.") LINE("</think>\\n\\n") LINE("Yes.") END, "Yes.", "Hm.",
     "thinking in tags, from older servers"},
    {LINE("\xF0\x9F") LINE("\x98\x80") END, "\xF0\x9F\x98\x80", "", "a character in two lines"},
    {"{\"message\":{\"content\":\"All at once.\"},\"done\":true,\"done_reason\":\"stop\"}",
     "All at once.", "", "a server that does not stream (KoboldCpp)"},
    {LINE("a") "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"unload\"}\n", "a",
     "", "an unusual reason", CHAT_FINISH_OTHER},
};

static void lines_of_every_kind_are_read(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        run_stream(GOOD[i].body);
        if (!talk.is_done || strcmp(talk.text, GOOD[i].text) != 0 ||
            strcmp(talk.reasoning, GOOD[i].reasoning) != 0 || talk.finish != GOOD[i].finish)
            fail_msg("%s: \"%s\" \"%s\" %s", GOOD[i].why, talk.text, talk.reasoning, talk.detail);
        talk_again();
    }
}

static void lines_are_read_byte_by_byte(void **state) {
    (void)state;
    struct fake_step script[] = {
        {FAKE_RAW, HEAD},
        {FAKE_DRIP_CHUNKS, LINE("Gr\xC3\xBC\xC3\x9F dich \xF0\x9F\x98\x80") END},
        {FAKE_LAST_CHUNK},
        {0}};
    talk_run(&chat_ollama, "", script);
    assert_true(talk.is_done);
    assert_string_equal(talk.text, "Gr\xC3\xBC\xC3\x9F dich \xF0\x9F\x98\x80");
}

static const struct {
    const char *answer;
    enum err err;
    const char *word, *text, *why;
} BAD[] = {
    {"HTTP/1.0 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n{\"error\":\"model crashed hard\"}\n",
     E_UPSTREAM, "model crashed hard", "", "an error as the first line"},
    {"HTTP/1.0 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n" LINE(
         "a") "{\"error\":\"out of memory\"}\n",
     E_UPSTREAM, "out of memory", "a", "an error after some text"},
    {"HTTP/1.0 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n" LINE("a"), E_UPSTREAM,
     "broke off", "a", "no end"},
    {"HTTP/1.0 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n" LINE("a") "<html>", E_UPSTREAM,
     "broke off", "a", "rubbish at the end"},
    {"HTTP/1.0 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n" LINE("a") "<html>\n" LINE("b"),
     E_UPSTREAM, "not JSON: <html>", "a", "rubbish in the middle is shown"},
    {"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", E_UPSTREAM, "web page", "",
     "a page"},
    {"HTTP/1.0 200 OK\r\n\r\n", E_UPSTREAM, "empty", "", "nothing"},
    {"HTTP/1.0 404 X\r\nContent-Type: application/json\r\n\r\n{\"error\":\"model 'x' not found\"}",
     E_ABSENT, "model 'x' not found", "", "an unknown model"},
    {"HTTP/1.0 503 X\r\n\r\n{\"error\":\"server busy, please try again.\"}", E_BUSY, "server busy",
     "", "too many requests wait"},
    {"HTTP/1.0 400 X\r\n\r\n{\"error\":\"\\\"x\\\" does not support thinking\"}", E_INPUT,
     "does not support thinking", "", "a request it cannot do"},
    {"HTTP/1.0 500 X\r\n\r\n{\"error\":\"unexpected response\"}", E_UPSTREAM, "unexpected response",
     "", "a crash"},
};

static void failures_are_told_in_words(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct fake_step script[] = {{FAKE_RAW, BAD[i].answer}, {FAKE_CLOSE}, {0}};
        talk_run(&chat_ollama, "", script);
        if (!talk.is_failed || talk.err != BAD[i].err || strstr(talk.detail, BAD[i].word) == NULL ||
            strcmp(talk.text, BAD[i].text) != 0)
            fail_msg("%s: %s, \"%s\", said \"%s\"", BAD[i].why, err_word(talk.err), talk.detail,
                     talk.text);
        talk_again();
    }
}

static void loading_may_take_its_time_up_to_the_deadline(void **state) {
    (void)state;
    struct fake_step slow[] = {{FAKE_WAIT, .ms = 300},
                               {FAKE_RAW, HEAD},
                               {FAKE_CHUNK, LINE("a") END},
                               {FAKE_LAST_CHUNK},
                               {0}};
    talk_run(&chat_ollama, "", slow);
    assert_true(talk.is_done);
    talk_again();
    struct fake_step stuck[] = {{FAKE_WAIT, .ms = 600},
                                {FAKE_RAW, HEAD},
                                {FAKE_CHUNK, LINE("a") END},
                                {FAKE_LAST_CHUNK},
                                {0}};
    talk_run(&chat_ollama, "", stuck);
    assert_int_equal(talk.err, E_TIMEOUT);
}

static void a_message_is_gone_on_with(void **state) {
    (void)state;
    request.message_count = 3;
    request.is_continue = true;
    run_stream(LINE(" Come in.") END);
    assert_string_equal(talk.text, " Come in.");
    assert_non_null(strstr(talk_sent(0), "{\"role\":\"assistant\",\"content\":\"Evening.\"}]"));
}

int main(void) {
    log_init(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TALK_TEST(a_reply_streams),
        TALK_TEST(the_request_is_what_the_protocol_asks),
        TALK_TEST(addresses_are_taken_as_people_paste_them),
        TALK_TEST(lines_of_every_kind_are_read),
        TALK_TEST(lines_are_read_byte_by_byte),
        TALK_TEST(failures_are_told_in_words),
        TALK_TEST(loading_may_take_its_time_up_to_the_deadline),
        TALK_TEST(a_message_is_gone_on_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
