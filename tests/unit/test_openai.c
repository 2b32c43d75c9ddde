/* links: troupe_model troupe_vendor_free */
#include "talk.h"

#include "base/json.h"

#define HEAD FAKE_STREAM_HEAD("text/event-stream")
#define DELTA(text)                                                                                                     \
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text \
    "\"},\"finish_reason\":null}]}\n\n"
#define FINISH(reason) \
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" reason "\"}]}\n\n"
#define USAGE \
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":21,\"completion_tokens\":6,\"total_tokens\":27}}\n\n"
#define DONE "data: [DONE]\n\n"

static void run(const struct fake_step *script) {
    talk_run(&chat_openai, "", script);
}

/* One stream, sent in one piece. */
static void run_stream(const char *body) {
    struct fake_step script[] = {{FAKE_RAW, HEAD}, {FAKE_CHUNK, body}, {FAKE_LAST_CHUNK}, {0}};
    run(script);
}

static const char PLAIN[] =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n" DELTA(
        "The lamp") DELTA(" is lit.") FINISH("stop") USAGE DONE;

static void a_reply_streams(void **state) {
    (void)state;
    run_stream(PLAIN);
    assert_true(talk.is_done);
    assert_string_equal(talk.text, "The lamp is lit.");
    assert_int_equal(talk.finish, CHAT_FINISH_STOP);
    assert_int_equal(talk.usage.prompt_tokens, 21);
    assert_int_equal(talk.usage.reply_tokens, 6);
    assert_int_equal(talk.delta_count, 2);
}

static void the_request_is_what_the_protocol_asks(void **state) {
    (void)state;
    static const struct str stops[] = {{"\nMira:", 6}, {"\"x\"", 3}};
    request.sampling = (struct chat_sampling){.temperature = 0.8,
                                              .top_p = 0.9,
                                              .top_k = 40,
                                              .min_p = 0.05,
                                              .frequency_penalty = -1,
                                              .presence_penalty = 0.5,
                                              .repetition_penalty = 1.1,
                                              .seed = 5,
                                              .reply_tokens = 300,
                                              .stop = stops,
                                              .stop_count = 2};
    run_stream(PLAIN);
    struct arena arena;
    const struct json_value *sent;
    arena_init(&arena);
    assert_int_equal(json_parse(&arena, str_from(talk_sent(0)), &sent, NULL), E_OK);
    assert_non_null(strstr(fake.requests[0], "POST /v1/chat/completions HTTP/1.1\r\n"));
    assert_non_null(strstr(fake.requests[0], "Authorization: Bearer sk-secret-key\r\n"));
    assert_true(str_eq(json_string(json_path(sent, "model"), STR_NONE), STR("test-model")));
    assert_true(json_bool(json_path(sent, "stream"), false));
    assert_true(json_bool(json_path(sent, "stream_options.include_usage"), false));
    assert_int_equal(json_int(json_path(sent, "max_tokens"), 0), 300);
    assert_true(json_number(json_path(sent, "temperature"), 0) == 0.8);
    assert_int_equal(json_int(json_path(sent, "top_k"), 0), 40);
    assert_int_equal(json_int(json_path(sent, "seed"), 0), 5);
    assert_int_equal(json_type(json_path(sent, "frequency_penalty")), JSON_ABSENT);
    assert_true(json_number(json_path(sent, "repeat_penalty"), 0) == 1.1);
    assert_true(str_eq(json_string(json_path(sent, "stop.0"), STR_NONE), STR("\nMira:")));
    assert_int_equal(json_count(json_path(sent, "messages")), 2);
    assert_true(str_eq(json_string(json_path(sent, "messages.0.role"), STR_NONE), STR("system")));
    assert_true(
        str_eq(json_string(json_path(sent, "messages.1.content"), STR_NONE), STR("Good evening.")));
    arena_release(&arena);
}

/* The strict ones are known by their host's name, so a path will do. */
static void strict_hosts_get_only_what_they_know(void **state) {
    (void)state;
    static const struct str stops[] = {{"a1", 2}, {"b2", 2}, {"c3", 2}, {"d4", 2}, {"e5", 2}};
    request.sampling = (struct chat_sampling){.temperature = 0.8,
                                              .top_p = -1,
                                              .top_k = 40,
                                              .min_p = 0.05,
                                              .frequency_penalty = -1,
                                              .presence_penalty = -1,
                                              .repetition_penalty = 1.1,
                                              .seed = 5,
                                              .reply_tokens = 300,
                                              .stop = stops,
                                              .stop_count = 5};
    request.message_count = 3;
    request.is_continue = true;
    struct fake_step script[] = {{FAKE_RAW, HEAD}, {FAKE_CHUNK, PLAIN}, {FAKE_LAST_CHUNK}, {0}};
    talk_run(&chat_openai, "/api.openai.com/v1", script);
    assert_null(strstr(talk_sent(0), "top_k"));
    assert_null(strstr(talk_sent(0), "min_p"));
    assert_null(strstr(talk_sent(0), "penalty"));
    assert_null(strstr(talk_sent(0), "\"max_tokens\""));
    assert_non_null(strstr(talk_sent(0), "\"max_completion_tokens\":300"));
    assert_non_null(strstr(talk_sent(0), "\"stop\":[\"a1\",\"b2\",\"c3\",\"d4\"]"));
    assert_non_null(
        strstr(talk_sent(0), "Continue your last message")); /* it cannot go on by itself */
    talk_again();
    talk_run(&chat_openai, "/api.mistral.ai/v1", script);
    assert_non_null(strstr(talk_sent(0), "\"random_seed\":5"));
    assert_null(strstr(talk_sent(0), "stream_options"));
    assert_null(strstr(talk_sent(0), "top_k"));
    assert_non_null(strstr(talk_sent(0), "\"content\":\"Evening.\",\"prefix\":true}]"));
    assert_null(strstr(talk_sent(0), "continue_final_message"));
}

static void without_a_key_no_header_is_sent(void **state) {
    (void)state;
    request.endpoint.api_key = STR_NONE;
    run_stream(PLAIN);
    assert_null(strstr(fake.requests[0], "Authorization"));
}

static void addresses_are_taken_as_people_paste_them(void **state) {
    (void)state;
    static const struct {
        const char *path, *asked, *why;
    } rows[] = {
        {"", "/v1/chat/completions", "no path"},
        {"/", "/v1/chat/completions", "a slash"},
        {"/v1", "/v1/chat/completions", "with the version"},
        {"/v1/", "/v1/chat/completions", "and a slash"},
        {"/v1/chat/completions", "/v1/chat/completions", "the whole address"},
        {"/api/v1", "/api/v1/chat/completions", "OpenRouter"},
        {"/openai/v1", "/openai/v1/chat/completions", "RunPod"},
        {"/v1beta/openai", "/v1beta/openai/chat/completions", "Gemini"},
        {"/llm", "/llm/v1/chat/completions", "behind a proxy"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake_step script[] = {{FAKE_RAW, HEAD}, {FAKE_CHUNK, PLAIN}, {FAKE_LAST_CHUNK}, {0}};
        char expected[128];
        talk_run(&chat_openai, rows[i].path, script);
        snprintf(expected, sizeof expected, "POST %s HTTP/1.1\r\n", rows[i].asked);
        if (strncmp(fake.requests[0], expected, strlen(expected)) != 0)
            fail_msg("%s: %.60s", rows[i].why, fake.requests[0]);
        talk_again();
    }
}

/* --- endings and forms of streams that are good ----------------------------------------------- */

static const struct {
    const char *body, *text, *why;
    enum chat_finish finish;
} GOOD[] = {
    {DELTA("a") FINISH("stop"), "a", "no [DONE], finish reason seen"},
    {DELTA("a") DONE, "a", "[DONE] without a finish reason"},
    {DELTA("a") FINISH("stop") "data: [DONE]", "a", "KoboldCpp's [DONE] without a line end"},
    {DELTA("a") FINISH("stop") "data:  [DONE] \n\n", "a", "white space around [DONE]"},
    {DELTA("a") FINISH("stop") DONE DELTA("b"), "a", "what comes after [DONE] is not for us"},
    {DELTA("a") FINISH("stop") DONE "garbage", "a", "rubbish after [DONE]"},
    {"\xEF\xBB\xBF" DELTA("a") FINISH("stop"), "a", "a byte order mark"},
    {": OPENROUTER PROCESSING\n\n" DELTA("a") ":\n\n" FINISH("stop"), "a", "comments"},
    {"event: ping\ndata: {\"type\":\"ping\"}\n\n" DELTA("a") FINISH("stop"), "a", "unknown events"},
    {"data: {\"choices\":[{\"delta\":{\"content\":\n"
     "data: \"a\"}}]}\n\n" FINISH("stop"),
     "a", "one event over two data lines"},
    {"data: {\"choices\":[]}\n\ndata: {}\n\n" DELTA("a") FINISH("stop"), "a",
     "empty and missing choices"},
    {"data: {\"choices\":[{\"delta\":{\"content\":null}}]}\n\ndata: {\"choices\":[{}]}\n\n" DELTA(
         "a") FINISH("stop"),
     "a", "null content, missing delta"},
    {"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"a\"},\"finish_reason\":\"null\"}]}\n\n" DELTA(
         "b") FINISH("stop"),
     "ab", "KoboldCpp's word null, its roles"},
    {"data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n" DONE,
     "a", "the finish comes with text"},
    {"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"finish_reason\":\"eos\"}\n\n", "a",
     "Together's reason at the top"},
    {DELTA("a") FINISH("length") DONE, "a", "length", CHAT_FINISH_LENGTH},
    {DELTA("a") FINISH("content_filter") DONE, "a", "a filter", CHAT_FINISH_FILTER},
    {DELTA("a") FINISH("banana") DONE, "a", "a word nobody knows", CHAT_FINISH_OTHER},
    {DELTA("\\ud83d\\ude00") FINISH("stop"), "\xF0\x9F\x98\x80", "a pair of surrogates"},
    {DELTA("\\ud83d") DELTA("\\ude00!") FINISH("stop"), "\xF0\x9F\x98\x80!",
     "a pair in two events"},
    {DELTA("\xF0\x9F") DELTA("\x98\x80!") FINISH("stop"), "\xF0\x9F\x98\x80!",
     "a character in two events"},
    {DELTA("a\xFFz") FINISH("stop"), "a\xEF\xBF\xBDz", "a byte that is none"},
    {DELTA("\\ude00x") FINISH("stop"), "\xEF\xBF\xBDx", "a second half alone"},
    {"data: {\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"}]}}]}\n\n" FINISH(
         "stop"),
     "a", "Mistral's parts"},
    {"data: {\"choices\":[{\"delta\":{\"refusal\":\"No.\"}}]}\n\n" FINISH("stop"), "No.",
     "a refusal is a reply"},
    {"data: {\"error\":null,\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n" FINISH("stop"), "a",
     "an error that is none"},
};

static void streams_of_every_house_are_read(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        run_stream(GOOD[i].body);
        if (!talk.is_done || strcmp(talk.text, GOOD[i].text) != 0 || talk.finish != GOOD[i].finish)
            fail_msg("%s: \"%s\" %s", GOOD[i].why, talk.text, talk.detail);
        talk_again();
    }
}

static void streams_are_read_however_they_are_cut(void **state) {
    (void)state;
    static const char *const ENDS[] = {"\n", "\r\n", "\r"};
    for (size_t e = 0; e < 3; e++) {
        char body[2048];
        size_t len = 0;
        for (const char *at = DELTA("Gr\xC3\xBC\xC3\x9F dich \xF0\x9F\x98\x80")
                 DELTA(" \xE4\xBD\xA0") FINISH("stop") DONE;
             *at; at++)
            if (*at == '\n')
                len += (size_t)snprintf(body + len, sizeof body - len, "%s", ENDS[e]);
            else
                body[len++] = *at;
        body[len] = '\0';
        struct fake_step script[] = {
            {FAKE_RAW, HEAD}, {FAKE_DRIP_CHUNKS, body}, {FAKE_LAST_CHUNK}, {0}};
        run(script);
        assert_true(talk.is_done);
        assert_string_equal(talk.text, "Gr\xC3\xBC\xC3\x9F dich \xF0\x9F\x98\x80 \xE4\xBD\xA0");
        talk_again();
    }
}

static void counts_that_cannot_be_meant_are_not_taken(void **state) {
    (void)state;
    static const struct {
        const char *usage;
        int64_t prompt_tokens, reply_tokens;
    } rows[] = {
        {"{\"prompt_tokens\":10000000,\"completion_tokens\":0}", 10000000, 0},
        {"{\"prompt_tokens\":10000001,\"completion_tokens\":3}", -1, 3},
        {"{\"prompt_tokens\":9223372036854775807,\"completion_tokens\":1e300}", -1, -1},
        {"{\"prompt_tokens\":-5,\"completion_tokens\":\"7\"}", -1, -1},
        {"{\"prompt_tokens\":2.5,\"completion_tokens\":null}", -1, -1},
        {"[]", -1, -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[512];
        snprintf(body, sizeof body, "%sdata: {\"choices\":[],\"usage\":%s}\n\n",
                 DELTA("a") FINISH("stop"), rows[i].usage);
        run_stream(body);
        if (!talk.is_done || talk.usage.prompt_tokens != rows[i].prompt_tokens ||
            talk.usage.reply_tokens != rows[i].reply_tokens)
            fail_msg("%s: %lld %lld", rows[i].usage, (long long)talk.usage.prompt_tokens,
                     (long long)talk.usage.reply_tokens);
        talk_again();
    }
}

static void a_stream_may_end_with_its_connection(void **state) {
    (void)state;
    struct fake_step script[] = {
        {FAKE_RAW,
         "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" DELTA("a") FINISH("stop")},
        {FAKE_CLOSE},
        {0}};
    run(script);
    assert_true(talk.is_done);
    assert_string_equal(talk.text, "a");
}

static void after_a_finish_a_broken_connection_is_no_failure(void **state) {
    (void)state;
    struct fake_step script[] = {{FAKE_RAW, HEAD},
                                 {FAKE_CHUNK, DELTA("a") FINISH("stop")},
                                 {FAKE_WAIT, .ms = 10},
                                 {FAKE_RESET},
                                 {0}};
    run(script);
    assert_true(talk.is_done);
}

static void after_done_nobody_waits_for_the_server(void **state) {
    (void)state;
    struct fake_step script[] = {{FAKE_RAW, HEAD}, {FAKE_CHUNK, PLAIN}, {FAKE_HANG}, {0}};
    int64_t before_us = clock_mono_us();
    run(script);
    assert_true(talk.is_done);
    assert_true(clock_mono_us() - before_us < 600000);
}

/* --- thinking --------------------------------------------------------------------------------- */

#define THOUGHT(name, text) "data: {\"choices\":[{\"delta\":{\"" name "\":\"" text "\"}}]}\n\n"

static void thinking_is_kept_apart(void **state) {
    (void)state;
    static const struct {
        const char *body, *reasoning, *text, *why;
    } rows[] = {
        {THOUGHT("reasoning_content", "Hm. ") THOUGHT("reasoning_content", "So.") DELTA("Yes.")
             FINISH("stop"),
         "Hm. So.", "Yes.", "DeepSeek, llama.cpp"},
        {THOUGHT("reasoning", "Hm.") DELTA("Yes.") FINISH("stop"), "Hm.", "Yes.",
         "vLLM, OpenRouter, Ollama"},
        {THOUGHT("thinking", "Hm.") DELTA("Yes.") FINISH("stop"), "Hm.", "Yes.", "others"},
        {"data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"Hm.\",\"reasoning\":\"Hm.\",\"content\":\"Yes.\"}}]}\n\n" FINISH(
             "stop"),
         "Hm.", "Yes.", "twice the same, with text"},
        {DELTA("<think>\\nHm.</think>\\n\\nYes.") FINISH("stop"), "\nHm.", "Yes.",
         "tags in one piece"},
        {DELTA("<th") DELTA("ink>") DELTA("H") DELTA("m.</thi") DELTA("nk>") DELTA("\\n")
             DELTA("Yes.") FINISH("stop"),
         "Hm.", "Yes.", "tags in pieces"},
        {DELTA("\\n <thinking>Hm.</thinking>Yes.") FINISH("stop"), "Hm.", "Yes.",
         "white space before the tag, the other tag"},
        {DELTA("I write <think> in a text.") FINISH("stop"), "", "I write <think> in a text.",
         "a tag inside a text is text"},
        {DELTA("<thick fog>") FINISH("stop"), "", "<thick fog>", "what only begins like a tag"},
        {DELTA("<th") FINISH("stop"), "", "<th", "the same at the very end"},
        {"data: {\"choices\":[{\"delta\":{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"Hm.\"}]}]}}]}\n\n" DELTA(
             "Yes.") FINISH("stop"),
         "Hm.", "Yes.", "Mistral"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        run_stream(rows[i].body);
        if (!talk.is_done || strcmp(talk.reasoning, rows[i].reasoning) != 0 ||
            strcmp(talk.text, rows[i].text) != 0)
            fail_msg("%s: thought \"%s\", said \"%s\" %s", rows[i].why, talk.reasoning, talk.text,
                     talk.detail);
        talk_again();
    }
}

static void a_model_that_only_thinks_has_said_nothing(void **state) {
    (void)state;
    run_stream(THOUGHT("reasoning", "Hm.") FINISH("length") DONE);
    assert_int_equal(talk.err, E_UPSTREAM);
    assert_non_null(strstr(talk.detail, "thinking"));
}

/* --- stop strings ----------------------------------------------------------------------------- */

static void stop_strings_are_cut_even_where_servers_do_not(void **state) {
    (void)state;
    static const struct str stops[] = {{"\nYou:", 5}, {"<|im_end|>", 10}};
    static const struct {
        const char *body, *text, *why;
    } rows[] = {
        {DELTA("Hello.\\nYou: hi") FINISH("stop"), "Hello.", "in one piece"},
        {DELTA("Hello.\\n") DELTA("Yo") DELTA("u: hi") DELTA("more"), "Hello.",
         "in pieces, and the stream goes on"},
        {DELTA("Hello.\\nYo") DELTA("nder.") FINISH("stop"), "Hello.\nYonder.",
         "what only begins like one"},
        {DELTA("Hello.\\nYo") FINISH("stop"), "Hello.\nYo", "the same at the very end"},
        {DELTA("Hi<|im_end|>\\nYou:") FINISH("stop"), "Hi", "the first of two"},
    };
    request.sampling.stop = stops;
    request.sampling.stop_count = 2;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        run_stream(rows[i].body);
        if (!talk.is_done || strcmp(talk.text, rows[i].text) != 0)
            fail_msg("%s: \"%s\" %s", rows[i].why, talk.text, talk.detail);
        talk_again();
    }
}

/* --- going on --------------------------------------------------------------------------------- */

static void a_message_is_gone_on_with(void **state) {
    (void)state;
    request.message_count = 3;
    request.is_continue = true;
    run_stream(DELTA(" Come in.") FINISH("stop"));
    assert_string_equal(talk.text, " Come in.");
    assert_non_null(strstr(talk_sent(0), "\"continue_final_message\":true"));
    assert_non_null(strstr(talk_sent(0), "{\"role\":\"assistant\",\"content\":\"Evening.\"}]"));
}

static void an_echo_of_the_message_is_dropped(void **state) {
    (void)state;
    request.message_count = 3;
    request.is_continue = true;
    run_stream(DELTA("Eve") DELTA("ning. Co") DELTA("me in.") FINISH("stop"));
    assert_string_equal(talk.text, " Come in.");
    talk_again();
    run_stream(DELTA("Eve") DELTA("ry lamp is lit.") FINISH("stop"));
    assert_string_equal(talk.text, "Every lamp is lit.");
    talk_again();
    talk_messages[2].content = STR("Ev\xC3\xA9ning."); /* alike up to the middle of a character */
    run_stream(DELTA("Ev\xC3\xA8nement.") FINISH("stop"));
    assert_string_equal(talk.text, "Ev\xC3\xA8nement.");
    talk_messages[2].content = STR("Evening.");
    talk_again();
    run_stream(DELTA("Evening.") FINISH("stop"));
    assert_true(talk.is_done); /* nothing was added, and that is no failure */
    assert_string_equal(talk.text, "");
}

static void half_an_echo_that_broke_off_is_not_said_again(void **state) {
    (void)state;
    struct fake_step script[] = {{FAKE_RAW, HEAD}, {FAKE_CHUNK, DELTA("Eveni")}, {FAKE_CLOSE}, {0}};
    request.message_count = 3;
    request.is_continue = true;
    run(script);
    assert_int_equal(talk.err, E_UPSTREAM);
    assert_string_equal(talk.text, "");
}

static void who_cannot_go_on_is_asked_in_words(void **state) {
    (void)state;
    static const struct fake_step refuses[] = {
        {FAKE_RAW,
         "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 73\r\n\r\n{\"error\":{\"message\":\"Expected last role User or Tool but got assistant\"}}"},
        {0}};
    static const struct fake_step answers[] = {{FAKE_RAW, HEAD},
                                               {FAKE_CHUNK, DELTA(" Come in.") FINISH("stop") DONE},
                                               {FAKE_LAST_CHUNK},
                                               {0}};
    const struct fake_step *scripts[] = {refuses, answers, NULL};
    request.message_count = 3;
    request.is_continue = true;
    request.endpoint.model = STR("no-prefill");
    talk_run_many(&chat_openai, "", scripts);
    assert_true(talk.is_done);
    assert_int_equal(fake.request_count, 2);
    assert_null(strstr(talk_sent(1), "continue_final_message"));
    assert_non_null(strstr(talk_sent(1), "Continue your last message"));
}

/* --- what is refused is left out -------------------------------------------------------------- */

static void a_refused_field_is_left_out(void **state) {
    (void)state;
    static const struct fake_step refuses[] = {
        {FAKE_RAW,
         "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 96\r\n\r\n{\"error\":{\"message\":\"Unsupported parameter: use max_completion_tokens\",\"param\":\"max_tokens\"}}   "},
        {0}};
    static const struct fake_step answers[] = {
        {FAKE_RAW, HEAD}, {FAKE_CHUNK, DELTA("a") FINISH("stop") DONE}, {FAKE_LAST_CHUNK}, {0}};
    const struct fake_step *scripts[] = {refuses, answers, NULL};
    talk_run_many(&chat_openai, "", scripts);
    assert_true(talk.is_done);
    assert_int_equal(fake.request_count, 2);
    assert_non_null(strstr(talk_sent(0), "\"max_tokens\":300"));
    assert_null(strstr(talk_sent(1), "\"max_tokens\""));
    assert_non_null(strstr(talk_sent(1), "\"max_completion_tokens\":300"));
}

/* What an endpoint refuses is known by its address and model, and a fresh fake has a fresh address;
 * so both talks go to one. */
static void what_was_refused_is_remembered(void **state) {
    (void)state;
    static const struct fake_step refuses[] = {
        {FAKE_RAW,
         "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 60\r\n\r\n{\"error\":{\"message\":\"Unrecognized argument: stream_options\"}}"},
        {0}};
    static const struct fake_step answers[] = {
        {FAKE_RAW, HEAD}, {FAKE_CHUNK, DELTA("a") FINISH("stop") DONE}, {FAKE_LAST_CHUNK}, {0}};
    const struct fake_step *scripts[] = {refuses, answers, NULL};
    static const struct chat_events EVENTS = {talk_on_delta, talk_on_reasoning, talk_on_done,
                                              talk_on_failed};
    talk_run_many(&chat_openai, "", scripts);
    assert_int_equal(fake.request_count, 2);
    assert_null(strstr(talk_sent(1), "stream_options"));
    int port = fake.port;
    talk_again();
    const struct fake_step *only_answers[] = {answers, NULL};
    fake_start_at(&fake, only_answers, port);
    chat_openai.start(&request, &EVENTS, NULL);
    talk.is_started = true;
    loop_run();
    assert_true(talk.is_done);
    assert_int_equal(fake.request_count, 1);
    assert_null(strstr(talk_sent(0), "stream_options"));
}

static void roles_are_merged_for_templates_that_insist(void **state) {
    (void)state;
    static const struct fake_step refuses[] = {
        {FAKE_RAW,
         "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: 80\r\n\r\n{\"error\":{\"code\":500,\"message\":\"Conversation roles must alternate user/assist\"}}"},
        {0}};
    static const struct fake_step answers[] = {
        {FAKE_RAW, HEAD}, {FAKE_CHUNK, DELTA("a") FINISH("stop") DONE}, {FAKE_LAST_CHUNK}, {0}};
    static const struct chat_message messages[] = {
        {.role = CHAT_SYSTEM, .content = {"S1", 2}},
        {.role = CHAT_SYSTEM, .content = {"S2", 2}},
        {.role = CHAT_ASSISTANT, .content = {"Hello.", 6}},
        {.role = CHAT_USER, .content = {"A", 1}},
        {.role = CHAT_SYSTEM, .content = {"note", 4}},
        {.role = CHAT_USER, .content = {"B", 1}},
    };
    const struct fake_step *scripts[] = {refuses, answers, NULL};
    request.messages = messages;
    request.message_count = 6;
    request.endpoint.model = STR("strict-roles");
    talk_run_many(&chat_openai, "", scripts);
    assert_true(talk.is_done);
    assert_non_null(strstr(
        talk_sent(0),
        "\"messages\":[{\"role\":\"system\",\"content\":\"S1\\n\\nS2\"},{\"role\":\"assistant\",\"content\":\"Hello.\"}"));
    assert_non_null(strstr(
        talk_sent(1),
        "\"messages\":[{\"role\":\"user\",\"content\":\"S1\\n\\nS2\"},{\"role\":\"assistant\",\"content\":\"Hello.\"},"
        "{\"role\":\"user\",\"content\":\"A\\n\\n[note]\\n\\nB\"}]"));
}

/* --- whole answers instead of streams --------------------------------------------------------- */

static void run_document(const char *type, const char *body) {
    static char answer[4096];
    snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\n%s%s%sContent-Length: %zu\r\n\r\n%s",
             type[0] ? "Content-Type: " : "", type, type[0] ? "\r\n" : "", strlen(body), body);
    struct fake_step script[] = {{FAKE_RAW, answer}, {0}};
    run(script);
}

#define DOCUMENT \
    "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Lit.\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}"

static void a_server_that_does_not_stream(void **state) {
    (void)state;
    run_document("application/json; charset=utf-8", DOCUMENT);
    assert_true(talk.is_done);
    assert_string_equal(talk.text, "Lit.");
    assert_int_equal(talk.usage.prompt_tokens, 9);
    talk_again();
    run_document("", DOCUMENT);
    assert_true(talk.is_done); /* no type at all: the first byte decides */
    talk_again();
    run_document("text/plain", DELTA("a") FINISH("stop"));
    assert_true(talk.is_done);
    assert_string_equal(talk.text, "a");
}

/* --- failures --------------------------------------------------------------------------------- */

static const struct {
    const char *type, *body;
    enum err err;
    const char *word, *why;
} BAD_200[] = {
    {"application/json", "{\"error\":{\"message\":\"No credit left\",\"code\":402}}", E_DENIED,
     "No credit left", "an error with status 200"},
    {"application/json", "{\"error\":\"text\"}", E_UPSTREAM, "text", "an error that is a string"},
    {"application/json", "{\"choices\":[{\"error\":{\"message\":\"provider down\",\"code\":502}}]}",
     E_UPSTREAM, "provider down", "an error inside a choice"},
    {"application/json", "{\"hello\":1}", E_UPSTREAM, "other than a reply", "something else"},
    {"application/json", "null", E_UPSTREAM, "other than a reply", "KoboldCpp's null"},
    {"application/json",
     "{\"choices\":[{\"message\":{\"content\":null},\"finish_reason\":\"stop\"}]}", E_UPSTREAM,
     "nothing", "a reply without words"},
    {"application/json", "{\"cho", E_UPSTREAM, "not JSON", "half a document"},
    {"application/json", "", E_UPSTREAM, "empty", "nothing"},
    {"text/html", "<html>Sign in</html>", E_UPSTREAM, "web page", "a page"},
    {"", "<!doctype html><html>", E_UPSTREAM, "web page", "a page that does not say so"},
    {"text/event-stream", "", E_UPSTREAM, "empty", "an empty stream"},
    {"text/event-stream", DONE, E_UPSTREAM, "nothing", "a stream with nothing in it"},
    {"text/event-stream", DELTA("a"), E_UPSTREAM, "broke off", "neither finish nor [DONE]"},
    {"text/event-stream", DELTA("a") "data: {\"choices\":[{\"del", E_UPSTREAM, "broke off",
     "cut inside an event"},
    {"text/event-stream", "data: {\"choices\":[{\"del\n\n" DELTA("a"), E_UPSTREAM, "not JSON",
     "rubbish in the middle"},
    {"text/event-stream",
     DELTA("a") "data: {\"error\":{\"message\":\"GPU fell over\",\"type\":\"server_error\"}}\n\n",
     E_UPSTREAM, "GPU fell over", "an error in mid-stream"},
    {"text/event-stream",
     DELTA("a") "data: {\"error\":{\"message\":\"busy\",\"type\":\"overloaded_error\"}}\n\n" DONE,
     E_BUSY, "busy", "an error, then [DONE] (vLLM)"},
    {"text/event-stream", DELTA("a") "data: {\"error\":\"slow down\"}\n\n", E_UPSTREAM, "slow down",
     "an error that is a string, in mid-stream"},
    {"text/event-stream",
     DELTA("a") "error: {\"code\":500,\"message\":\"boom\",\"type\":\"server_error\"}\n\n" DONE,
     E_UPSTREAM, "boom", "llama.cpp's error field"},
    {"text/event-stream",
     DELTA(
         "a") "data: {\"error\":{\"code\":\"server_error\",\"message\":\"gone\"},\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n",
     E_UPSTREAM, "gone", "OpenRouter"},
    {"text/event-stream",
     DELTA(
         "a") "data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n",
     E_UPSTREAM, "error", "a finish reason that is an error"},
    {"text/event-stream",
     DELTA("a") "data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":null}]}\n\n",
     E_UPSTREAM, "broke off", "Ollama's /v1 when its model dies"},
};

static void answers_that_are_none_are_told_in_words(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof BAD_200 / sizeof *BAD_200; i++) {
        run_document(BAD_200[i].type, BAD_200[i].body);
        if (!talk.is_failed || talk.err != BAD_200[i].err ||
            strstr(talk.detail, BAD_200[i].word) == NULL)
            fail_msg("%s: %s, \"%s\"", BAD_200[i].why, err_word(talk.err), talk.detail);
        if (strstr(BAD_200[i].body, DELTA("a")) == BAD_200[i].body)
            assert_string_equal(talk.text, "a"); /* what was said is kept */
        talk_again();
    }
}

static const struct {
    int status;
    const char *body;
    enum err err;
    const char *word;
} REFUSALS[] = {
    {401,
     "{\"error\":{\"message\":\"Incorrect API key provided: sk-secret-key\",\"type\":\"invalid_request_error\"}}",
     E_DENIED, "Incorrect API key provided: ****"},
    {401, "{\"error\":\"Unauthorized\"}", E_DENIED, "Unauthorized"},
    {401, "{\"detail\":\"Invalid API key\"}", E_DENIED, "Invalid API key"},
    {401, "{\"detail\":{\"error\":\"Unauthorized\",\"msg\":\"Authentication key is missing.\"}}",
     E_DENIED, "Authentication key is missing"},
    {402, "", E_DENIED, "(402)"},
    {403, "<html>", E_DENIED, "web page"},
    {404, "{\"error\":{\"message\":\"The model does not exist\",\"code\":\"model_not_found\"}}",
     E_ABSENT, "does not exist"},
    {404, "", E_ABSENT, "(404)"},
    {408, "", E_TIMEOUT, "(408)"},
    {413, "too large", E_INPUT, "too large"},
    {422, "{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"field required\",\"type\":\"x\"}]}", E_INPUT,
     "field required"},
    {400, "{\"object\":\"error\",\"message\":\"flat words\",\"code\":\"1300\"}", E_INPUT,
     "flat words"},
    {400, "{\"error\":{\"message\":\"exceeds context\",\"type\":\"exceed_context_size_error\"}}",
     E_INPUT, "exceeds context"},
    {429, "{\"error\":{\"message\":\"Rate limit\",\"code\":\"rate_limit_exceeded\"}}", E_LIMIT,
     "Rate limit"},
    {500, "{\"error\":{\"message\":\"overloaded\",\"type\":\"overloaded_error\"}}", E_BUSY,
     "overloaded"},
    {502, "<html><h1>502 Bad Gateway</h1></html>", E_UPSTREAM, "web page"},
    {503, "{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}",
     E_BUSY, "Loading model"},
    {504, "", E_TIMEOUT, "(504)"},
    {524, "<html>", E_TIMEOUT, "web page"},
    {529, "", E_BUSY, "(529)"},
    {307, "", E_UPSTREAM, "another address"},
};

static void every_status_has_its_meaning(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof REFUSALS / sizeof *REFUSALS; i++) {
        static char answer[2048];
        snprintf(answer, sizeof answer,
                 "HTTP/1.1 %d X\r\nRetry-After: 7\r\nLocation: /x\r\nContent-Length: %zu\r\n\r\n%s",
                 REFUSALS[i].status, strlen(REFUSALS[i].body), REFUSALS[i].body);
        struct fake_step script[] = {{FAKE_RAW, answer}, {0}};
        run(script);
        if (!talk.is_failed || talk.err != REFUSALS[i].err || talk.status != REFUSALS[i].status ||
            strstr(talk.detail, REFUSALS[i].word) == NULL)
            fail_msg("%d %s: %s, \"%s\"", REFUSALS[i].status, REFUSALS[i].body, err_word(talk.err),
                     talk.detail);
        assert_null(strstr(talk.detail, "sk-secret-key"));
        assert_int_equal(talk.retry_after_ms, 7000);
        assert_int_equal(fake.request_count, 1);
        talk_again();
    }
}

static void a_huge_refusal_is_cut(void **state) {
    (void)state;
    static char answer[70000];
    int head = snprintf(answer, sizeof answer, "HTTP/1.1 500 X\r\nContent-Length: 60000\r\n\r\n");
    memset(answer + head, 'x', 60000);
    struct fake_step script[] = {{FAKE_RAW, answer, (size_t)head + 60000}, {0}};
    run(script);
    assert_int_equal(talk.err, E_UPSTREAM);
    assert_true(strlen(talk.detail) <= 500);
}

static void a_line_without_end_is_refused(void **state) {
    (void)state;
    static char line[1200000];
    memset(line, 'x', sizeof line);
    memcpy(line, "data: ", 6);
    struct fake_step script[] = {
        {FAKE_RAW, HEAD}, {FAKE_CHUNK, line, sizeof line}, {FAKE_HANG}, {0}};
    run(script);
    assert_int_equal(talk.err, E_UPSTREAM);
    assert_non_null(strstr(talk.detail, "too long"));
}

static void nobody_listens(void **state) {
    (void)state;
    struct fake_step script[] = {{0}};
    const struct fake_step *scripts[] = {script, NULL};
    static const struct chat_events EVENTS = {talk_on_delta, talk_on_reasoning, talk_on_done,
                                              talk_on_failed};
    fake_start(&fake, scripts);
    request.endpoint.base_url = STR("127.0.0.1:1");
    chat_openai.start(&request, &EVENTS, NULL);
    talk.is_started = true;
    loop_run();
    assert_int_equal(talk.err, E_UPSTREAM);
    assert_int_equal(talk.status, 0);
    assert_non_null(strstr(talk.detail, "cannot be reached: connection refused"));
}

static void no_first_token(void **state) {
    (void)state;
    struct fake_step silent[] = {{FAKE_HANG}, {0}};
    run(silent);
    assert_int_equal(talk.err, E_TIMEOUT);
    assert_non_null(strstr(talk.detail, "did not begin"));
    talk_again();
    struct fake_step only_head[] = {{FAKE_RAW, HEAD}, {FAKE_HANG}, {0}};
    run(only_head);
    assert_int_equal(talk.err, E_TIMEOUT);
}

static void a_stall_keeps_what_was_said(void **state) {
    (void)state;
    struct fake_step script[] = {{FAKE_RAW, HEAD}, {FAKE_CHUNK, DELTA("a")}, {FAKE_HANG}, {0}};
    int64_t before_us = clock_mono_us();
    run(script);
    int64_t took_ms = (clock_mono_us() - before_us) / 1000;
    assert_int_equal(talk.err, E_TIMEOUT);
    assert_non_null(strstr(talk.detail, "fell silent"));
    assert_string_equal(talk.text, "a");
    assert_in_range(took_ms, 200, 390);
}

static void signs_of_life_are_worth_some_patience(void **state) {
    (void)state;
    struct fake_step patient[] = {
        {FAKE_RAW, HEAD},       {FAKE_CHUNK, DELTA("a")},
        {FAKE_WAIT, .ms = 140}, {FAKE_CHUNK, ": ping\n\n"},
        {FAKE_WAIT, .ms = 140}, {FAKE_CHUNK, DELTA("b") FINISH("stop") DONE},
        {FAKE_LAST_CHUNK},      {0}};
    run(patient);
    assert_true(talk.is_done);
    assert_string_equal(talk.text, "ab");
    talk_again();
    struct fake_step endless[] = {
        {FAKE_RAW, HEAD},       {FAKE_CHUNK, DELTA("a")},
        {FAKE_WAIT, .ms = 150}, {FAKE_CHUNK, ":\n\n"},
        {FAKE_WAIT, .ms = 150}, {FAKE_CHUNK, ":\n\n"},
        {FAKE_WAIT, .ms = 150}, {FAKE_CHUNK, ":\n\n"},
        {FAKE_WAIT, .ms = 150}, {FAKE_CHUNK, ":\n\n"},
        {FAKE_WAIT, .ms = 150}, {FAKE_CHUNK, DELTA("b") FINISH("stop") DONE},
        {FAKE_LAST_CHUNK},      {0}};
    run(endless);
    assert_int_equal(talk.err, E_TIMEOUT);
}

/* Never silent, never done: what a stall's deadline does not see. */
static void a_reply_without_end_is_ended(void **state) {
    (void)state;
    static struct fake_step script[404];
    struct fake_step *step = script;
    *step++ = (struct fake_step){FAKE_RAW, HEAD};
    for (int i = 0; i < 200; i++) {
        *step++ = (struct fake_step){FAKE_CHUNK, DELTA("a")};
        *step++ = (struct fake_step){FAKE_WAIT, .ms = 20};
    }
    *step++ = (struct fake_step){FAKE_CHUNK, FINISH("stop") DONE};
    *step++ = (struct fake_step){FAKE_LAST_CHUNK};
    model_settings.reply_ms = 300;
    run(script);
    assert_int_equal(talk.err, E_TIMEOUT);
    assert_in_range(talk.text_len, 1, 100);
    assert_non_null(strstr(talk.detail, "longer than a reply may"));
}

static void an_early_close_keeps_what_was_said(void **state) {
    (void)state;
    struct fake_step script[] = {
        {FAKE_RAW, HEAD}, {FAKE_CHUNK, DELTA("a") DELTA("b")}, {FAKE_CLOSE}, {0}};
    run(script);
    assert_int_equal(talk.err, E_UPSTREAM);
    assert_non_null(strstr(talk.detail, "broke off"));
    assert_string_equal(talk.text, "ab");
}

static void cancelled_in_the_middle(void **state) {
    (void)state;
    struct fake_step script[] = {
        {FAKE_RAW, HEAD},     {FAKE_CHUNK, DELTA("a")},
        {FAKE_WAIT, .ms = 5}, {FAKE_CHUNK, DELTA("b") DELTA("c") DELTA("d")},
        {FAKE_HANG},          {0}};
    talk.cancel_after = 2;
    run(script);
    assert_int_equal(talk.err, E_CANCELLED);
    assert_string_equal(talk.text, "ab"); /* nothing comes after it */
}

static void cancelled_before_it_began(void **state) {
    (void)state;
    static const struct chat_events EVENTS = {talk_on_delta, talk_on_reasoning, talk_on_done,
                                              talk_on_failed};
    struct fake_step script[] = {{FAKE_HANG}, {0}};
    const struct fake_step *scripts[] = {script, NULL};
    fake_start(&fake, scripts);
    request.endpoint.base_url = STR("http://127.0.0.1:1");
    struct chat_call *call = chat_openai.start(&request, &EVENTS, NULL);
    chat_openai.cancel(call);
    talk.is_started = true;
    loop_run();
    assert_int_equal(talk.err, E_CANCELLED);
}

int main(void) {
    log_init(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TALK_TEST(a_reply_streams),
        TALK_TEST(the_request_is_what_the_protocol_asks),
        TALK_TEST(strict_hosts_get_only_what_they_know),
        TALK_TEST(without_a_key_no_header_is_sent),
        TALK_TEST(addresses_are_taken_as_people_paste_them),
        TALK_TEST(streams_of_every_house_are_read),
        TALK_TEST(streams_are_read_however_they_are_cut),
        TALK_TEST(counts_that_cannot_be_meant_are_not_taken),
        TALK_TEST(a_stream_may_end_with_its_connection),
        TALK_TEST(after_a_finish_a_broken_connection_is_no_failure),
        TALK_TEST(after_done_nobody_waits_for_the_server),
        TALK_TEST(thinking_is_kept_apart),
        TALK_TEST(a_model_that_only_thinks_has_said_nothing),
        TALK_TEST(stop_strings_are_cut_even_where_servers_do_not),
        TALK_TEST(a_message_is_gone_on_with),
        TALK_TEST(an_echo_of_the_message_is_dropped),
        TALK_TEST(half_an_echo_that_broke_off_is_not_said_again),
        TALK_TEST(who_cannot_go_on_is_asked_in_words),
        TALK_TEST(a_refused_field_is_left_out),
        TALK_TEST(what_was_refused_is_remembered),
        TALK_TEST(roles_are_merged_for_templates_that_insist),
        TALK_TEST(a_server_that_does_not_stream),
        TALK_TEST(answers_that_are_none_are_told_in_words),
        TALK_TEST(every_status_has_its_meaning),
        TALK_TEST(a_huge_refusal_is_cut),
        TALK_TEST(a_line_without_end_is_refused),
        TALK_TEST(nobody_listens),
        TALK_TEST(no_first_token),
        TALK_TEST(a_stall_keeps_what_was_said),
        TALK_TEST(signs_of_life_are_worth_some_patience),
        TALK_TEST(a_reply_without_end_is_ended),
        TALK_TEST(an_early_close_keeps_what_was_said),
        TALK_TEST(cancelled_in_the_middle),
        TALK_TEST(cancelled_before_it_began),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
