/* links: troupe_base */
#include "base/check.h"
#include "base/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static int64_t per_minute, body_bytes, idle_ms, retry_s, any;
static bool is_open;
static struct str name, secret, short_text;
static int mode;

static const char *const MODES[] = {"closed", "invite", "open", NULL};

static const struct setting LIMITS[] = {
    {"limits", "requests_per_minute", SETTING_INT, &per_minute, "600", 0, 100000,
     .help = "Requests a minute."},
    {"limits", "body_bytes", SETTING_INT, &body_bytes, "1MiB", 1024, 1 << 30, "bytes",
     .help = "Largest body."},
    {"limits", "idle_ms", SETTING_INT, &idle_ms, "30s", 1, 3600000, "ms",
     .help = "Longest silence."},
    {"limits", "retry_s", SETTING_INT, &retry_s, "1min", 1, 864000, "s",
     .help = "Time between tries."},
    {"limits", "any", SETTING_INT, &any, "-1", .help = "Without bounds."},
    {NULL},
};
static const struct setting SERVER[] = {
    {"server", "is_open", SETTING_BOOL, &is_open, "no", .help = "Whether everybody may look."},
    {"server", "name", SETTING_TEXT, &name, "Troupe", 1, 20, .needs_restart = true,
     .help = "Its name."},
    {"server", "key", SETTING_TEXT, &secret, "", .is_secret = true,
     .help = "The key of something."},
    {"server", "long_text", SETTING_TEXT, &short_text, "", .help = "Anything."},
    {"accounts", "registration", SETTING_CHOICE, &mode, "closed", .choices = MODES,
     .help = "Who may come."},
    {NULL},
};
static const struct setting *const TABLES[] = {LIMITS, SERVER, NULL};

static struct config config;

static int setup(void **state) {
    (void)state;
    config_init(&config, TABLES);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    config_release(&config);
    return 0;
}

static bool mentions(const char *part) {
    return str_has(buf_str(&config.problems), str_from(part));
}

static void read_text(const char *bytes, size_t len) {
    char path[] = "/tmp/troupe-config-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
    config_read_file(&config, path, true);
    unlink(path);
}

static void every_setting_begins_with_its_default(void **state) {
    (void)state;
    assert_int_equal(per_minute, 600);
    assert_int_equal(body_bytes, 1 << 20);
    assert_int_equal(idle_ms, 30000);
    assert_int_equal(retry_s, 60);
    assert_int_equal(any, -1);
    assert_false(is_open);
    assert_true(str_eq(name, STR("Troupe")));
    assert_int_equal(mode, 0);
    assert_int_equal(config.problem_count, 0);
}

/* One flag: what it sets, or the words of the problem. */
static const struct {
    const char *flag;
    int64_t *number;
    int64_t value;
    const char *problem;
} FLAGS[] = {
    {"--limits.requests_per_minute=5", &per_minute, 5, NULL},
    {"limits.requests_per_minute=0", &per_minute, 0, NULL},
    {"--limits.requests_per_minute=100001", &per_minute, 600, "between 0 and 100000"},
    {"--limits.requests_per_minute=-1", &per_minute, 600, "between 0 and 100000"},
    {"--limits.requests_per_minute=5x", &per_minute, 600, "whole number"},
    {"--limits.requests_per_minute=", &per_minute, 600, "whole number"},
    {"--limits.requests_per_minute=5s", &per_minute, 600, "whole number"},
    {"--limits.requests_per_minute", &per_minute, 600, "expected --section.key=value"},
    {"--limits.body_bytes=2048", &body_bytes, 2048, NULL},
    {"--limits.body_bytes=2 KiB", &body_bytes, 2048, NULL},
    {"--limits.body_bytes=1GiB", &body_bytes, 1 << 30, NULL},
    {"--limits.body_bytes=9223372036854775807GiB", &body_bytes, 1 << 20, "whole number of bytes"},
    {"--limits.idle_ms=250ms", &idle_ms, 250, NULL},
    {"--limits.idle_ms=5min", &idle_ms, 300000, NULL},
    {"--limits.idle_ms=1h", &idle_ms, 3600000, NULL},
    {"--limits.idle_ms=1d", &idle_ms, 30000, "between 1 and 3600000"},
    {"--limits.retry_s=10d", &retry_s, 864000, NULL},
    {"--limits.retry_s=5ms", &retry_s, 60, "whole number of s"},
    {"--limits.any=-9223372036854775808", &any, INT64_MIN, NULL},
    {"--limits.reqests_per_minute=5", &per_minute, 600, "did you mean limits.requests_per_minute?"},
    {"--nothing.like_it=5", &per_minute, 600, "unknown setting nothing.like_it\n"},
};

static void flags_set_or_explain(void **state) {
    for (size_t i = 0; i < COUNT_OF(FLAGS); i++) {
        teardown(state);
        setup(state);
        config_read_flag(&config, str_from(FLAGS[i].flag));
        if (*FLAGS[i].number != FLAGS[i].value)
            fail_msg("%s gave %lld", FLAGS[i].flag, (long long)*FLAGS[i].number);
        assert_int_equal(config.problem_count, FLAGS[i].problem != NULL);
        if (FLAGS[i].problem && !mentions(FLAGS[i].problem))
            fail_msg("%s: %.*s", FLAGS[i].flag, STR_ARG(buf_str(&config.problems)));
    }
}

static void booleans_have_four_spellings(void **state) {
    (void)state;
    static const char *const WORDS[] = {"true", "false", "yes", "no",   "on",
                                        "off",  "1",     "0",   "TRUE", "Off"};
    for (size_t i = 0; i < COUNT_OF(WORDS); i++) {
        char flag[64];
        is_open = i % 2;
        snprintf(flag, sizeof(flag), "server.is_open=%s", WORDS[i]);
        config_read_flag(&config, str_from(flag));
        assert_int_equal(is_open, i % 2 == 0);
    }
    assert_int_equal(config.problem_count, 0);
    config_read_flag(&config, STR("server.is_open=maybe"));
    assert_true(mentions("server.is_open must be true or false"));
}

static void texts_and_choices_are_judged(void **state) {
    (void)state;
    config_read_flag(&config, STR("server.name=M\xC3\xBCllers B\xC3\xBChne"));
    config_read_flag(&config, STR("accounts.registration=open"));
    assert_int_equal(config.problem_count, 0);
    assert_true(str_eq(name, STR("M\xC3\xBCllers B\xC3\xBChne")));
    assert_int_equal(mode, 2);
    config_read_flag(&config, STR("server.name="));
    assert_true(mentions("server.name must have 1 to 20 bytes"));
    config_read_flag(&config, STR("server.name=123456789012345678901"));
    config_read_flag(&config, STR("server.name=a\x01"));
    config_read_flag(&config, STR("server.name=a\xFF"));
    config_read_flag(&config, STR("accounts.registration=Open"));
    assert_true(mentions("must be one of: closed, invite, open"));
    assert_int_equal(config.problem_count, 5);
    assert_true(str_eq(name, STR("M\xC3\xBCllers B\xC3\xBChne")));
}

static void secrets_are_not_repeated_in_problems(void **state) {
    (void)state;
    config_read_flag(&config, STR("server.key=hunter2\x01"));
    assert_int_equal(config.problem_count, 1);
    assert_false(mentions("hunter2"));
}

static void a_file_sets_what_it_names(void **state) {
    (void)state;
    static const char TEXT[] = "\xEF\xBB\xBF; a comment\n"
                               "# another\r\n"
                               "\n"
                               "[limits]\r\n"
                               "requests_per_minute = 7 ; why\n"
                               "   body_bytes: 4KiB\n" /* indented: still a line of its own */
                               "[ server ]\n"
                               "name=A = B\n"
                               "key=\n"
                               "[limits]\n"
                               "idle_ms = 1s"; /* no line end */
    read_text(TEXT, sizeof(TEXT) - 1);
    assert_int_equal(per_minute, 7);
    assert_int_equal(body_bytes, 4096);
    assert_int_equal(idle_ms, 1000);
    assert_true(str_eq(name, STR("A = B")));
    if (config.problem_count)
        fail_msg("%.*s", STR_ARG(buf_str(&config.problems)));
}

/* Each has exactly the problems it should, with the right line, and nothing is set by the wrong
 * lines. */
static const struct {
    const char *text;
    const char *problems[3];
} FILES[] = {
    {"[limits]\nrequests_per_minute = 1\nrequests_per_minute = 2\n",
     {"line 3: limits.requests_per_minute stands twice"}},
    {"[limits]\nrequest_per_minute = 1\n",
     {"line 2: unknown setting limits.request_per_minute (did you mean"}},
    {"requests_per_minute = 1\n", {"line 1: unknown setting .requests_per_minute"}},
    {"[limits\nx\n",
     {"line 1: a section without its closing bracket",
      "line 2: neither [section] nor key = value"}},
    {"[limits]\nrequests_per_minute\n", {"line 2: neither [section] nor key = value"}},
    {"[limits]\nidle_ms = 5 apples\n\nany = x\n",
     {"line 2: limits.idle_ms must", "line 4: limits.any must"}},
    {"[limits]\n= 5\n", {"line 2: unknown setting limits."}},
    {"[limits]\nany = 1\n any2 = 3\n",
     {"line 3: unknown setting limits.any2 (did you mean limits.any?)"}},
    {"[limits]\nany ; = 3\n", {"line 2 is neither [section] nor key = value"}},
};

static void a_file_is_explained_line_by_line(void **state) {
    for (size_t i = 0; i < COUNT_OF(FILES); i++) {
        teardown(state);
        setup(state);
        read_text(FILES[i].text, strlen(FILES[i].text));
        int expected = 0;
        for (; expected < 3 && FILES[i].problems[expected]; expected++)
            if (!mentions(FILES[i].problems[expected]))
                fail_msg("file %zu: %.*s", i, STR_ARG(buf_str(&config.problems)));
        assert_int_equal(config.problem_count, expected);
    }
}

static void long_lines_are_refused_not_cut(void **state) {
    for (size_t len = 150; len < 5000; len = len < 210 ? len + 1 : len * 2) {
        teardown(state);
        setup(state);
        char text[6000];
        int used = snprintf(text, sizeof(text), "[server]\nlong_text = ");
        memset(text + used, 'x', len);
        size_t line = (size_t)used + len - strlen("[server]\n");
        memcpy(text + used + len, "\nis_open = yes\n", 15);
        read_text(text, (size_t)used + len + 15);
        assert_true(is_open);
        assert_int_equal(config.problem_count, line > 190);
        assert_int_equal(short_text.len, line > 190 ? 0 : len);
        if (line > 190)
            assert_true(mentions("line 2: the line is longer than 190 bytes"));
    }
}

static void binary_and_endless_files_end(void **state) {
    (void)state;
    read_text("[server]\nname = a\0b\n", 20);
    assert_true(mentions("without control characters"));
    config_read_file(&config, "/dev/zero", true);
    assert_true(mentions("is larger than 1048576 bytes") || mentions("longer than 190 bytes"));
    config_read_file(&config, "/tmp", true);
    assert_true(mentions("/tmp: cannot be read: Is a directory"));
}

static void a_missing_file_is_a_problem_only_when_it_must_exist(void **state) {
    (void)state;
    config_read_file(&config, "/nonexistent/troupe.ini", false);
    assert_int_equal(config.problem_count, 0);
    config_read_file(&config, "/nonexistent/troupe.ini", true);
    assert_int_equal(config.problem_count, 1);
    assert_true(mentions("cannot be opened"));
}

static void the_environment_sets_and_slips_are_named(void **state) {
    (void)state;
    const char *const environment[] = {"HOME=/root",
                                       "TROUPE_LIMITS_REQUESTS_PER_MINUTE=9",
                                       "TROUPE_ACCOUNTS_REGISTRATION=invite",
                                       "TROUPE_LIMITS_BURST=1",
                                       "TROUPE_LIMIT_REQUESTS_PER_MINUTE=1",
                                       "TROUPE_TEST_CLOCK=/tmp/x",
                                       "TROUPE_IMAGE=debian",
                                       "TROUPE_SERVER_NAME",
                                       NULL};
    config_read_environment(&config, (char **)environment);
    assert_int_equal(per_minute, 9);
    assert_int_equal(mode, 1);
    assert_true(mentions("unknown variable TROUPE_LIMITS_BURST"));
    assert_true(mentions(
        "TROUPE_LIMIT_REQUESTS_PER_MINUTE (did you mean TROUPE_LIMITS_REQUESTS_PER_MINUTE?)"));
    assert_int_equal(config.problem_count, 2);
}

static void a_reload_keeps_what_needs_a_restart(void **state) {
    (void)state;
    config_read_flag(&config, STR("server.name=First"));
    config_read_flag(&config, STR("limits.any=5"));
    struct config again;
    config_init_reload(&again, TABLES);
    assert_true(str_eq(name, STR("First")));
    assert_int_equal(any, -1);
    config_read_flag(&again, STR("server.name=Second"));
    config_read_flag(&again, STR("limits.any=6"));
    config_read_flag(&again, STR("server.name="));
    assert_int_equal(again.problem_count, 1); /* judged all the same */
    assert_true(str_eq(name, STR("First")));
    assert_int_equal(any, 6);
    config_release(&again);
}

static int source_of(const char *full_name) {
    const struct setting *nearest;
    ptrdiff_t index = config_find(&config, str_from(full_name), &nearest);
    assert_true(index >= 0);
    return config.sources[index];
}

/* Stored by an admin: stronger than the file, weaker than the environment and flags. */
static void who_said_so_is_known_and_the_strongest_wins(void **state) {
    (void)state;
    char retry[] = "TROUPE_LIMITS_RETRY_S=30", *environment[] = {retry, NULL};
    static const char file[] = "[limits]\nany = 1\nbody_bytes = 2048\nretry_s = 10\n";
    read_text(file, sizeof file - 1);
    config_read_stored(&config, STR("limits.any"), STR("2"));
    config_read_stored(&config, STR("limits.retry_s"), STR("20"));
    config_read_stored(&config, STR("server.name"), STR("Stored"));
    config_read_stored(&config, STR("of.tomorrow"), STR("1")); /* another version's: no problem */
    config_read_environment(&config, environment);
    config_read_flag(&config, STR("server.name=Flag"));
    assert_int_equal(config.problem_count, 0);
    assert_int_equal(any, 2);
    assert_int_equal(retry_s, 30);
    assert_true(str_eq(name, STR("Flag")));
    assert_int_equal(source_of("limits.any"), SOURCE_STORED);
    assert_int_equal(source_of("limits.body_bytes"), SOURCE_FILE);
    assert_int_equal(source_of("limits.retry_s"), SOURCE_ENVIRONMENT);
    assert_int_equal(source_of("server.name"), SOURCE_FLAG);
    assert_int_equal(source_of("server.is_open"), SOURCE_DEFAULT);
    config_read_stored(&config, STR("limits.body_bytes"), STR("1")); /* too small */
    assert_int_equal(config.problem_count, 1);
    assert_int_equal(body_bytes, 2048);
    assert_int_equal(source_of("limits.body_bytes"), SOURCE_FILE);
}

static void origins_outlive_a_reload_where_values_do(void **state) {
    (void)state;
    config_read_flag(&config, STR("server.name=First"));
    config_read_flag(&config, STR("limits.any=5"));
    struct config again;
    config_init_reload(&again, TABLES);
    config_read_stored(&again, STR("server.name"), STR("Second"));
    config_keep_sources(&again, &config);
    struct config first = config;
    config = again;
    assert_int_equal(source_of("server.name"), SOURCE_FLAG);
    assert_int_equal(source_of("limits.any"), SOURCE_DEFAULT);
    config = first;
    config_release(&again);
}

static void a_value_is_judged_without_being_stored(void **state) {
    (void)state;
    static const struct {
        const char *name, *text;
        int64_t number;
        const char *wrong;
    } rows[] = {
        {"limits.body_bytes", "4KiB", 4096, NULL},
        {"limits.body_bytes", "1", 0, "must be between 1024 and 1073741824"},
        {"limits.any", "x", 0, "must be a whole number"},
        {"server.is_open", "yes", 1, NULL},
        {"server.is_open", "maybe", 0, "must be true or false"},
        {"accounts.registration", "open", 2, NULL},
        {"accounts.registration", "Open", 0, "must be one of: closed, invite, open"},
        {"server.name", "", 0, "must have 1 to 20 bytes"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct setting *nearest;
        struct setting_value value;
        ptrdiff_t index = config_find(&config, str_from(rows[i].name), &nearest);
        const struct setting *row = config_row(&config, (size_t)index);
        const char *wrong = setting_parse(&config.arena, row, str_from(rows[i].text), &value);
        if (rows[i].wrong != NULL)
            assert_string_equal(wrong, rows[i].wrong);
        else
            assert_null(wrong);
        if (rows[i].wrong == NULL)
            assert_int_equal(value.number + value.truth + value.choice, rows[i].number);
    }
    every_setting_begins_with_its_default(state);
    const struct setting *nearest;
    assert_int_equal(config_find(&config, STR("limits.body_byte"), &nearest), -1);
    assert_string_equal(nearest->key, "body_bytes");
    assert_int_equal(config_find(&config, STR("zzz"), &nearest), -1);
    assert_null(nearest);
    assert_null(config_row(&config, 10));
}

/* The example, with every comment mark taken off its settings, is a file without problems that
 * changes nothing. */
static void the_example_is_a_file_of_the_defaults(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 16);
    config_print_example(&config, &out);
    struct str text = buf_str(&out);
    assert_true(str_has(text, STR("[accounts]")) &&
                str_has(text, STR("one of closed, invite, open")));
    assert_true(str_has(text, STR("needs a restart")));
    char *bytes = str_dup_z(&config.arena, text);
    size_t settings = 0;
    for (char *line = bytes; line; line = strchr(line + 1, '\n')) {
        char *mark = *line == '\n' ? line + 1 : line;
        if (*mark == ';' && mark[1] != ' ') {
            *mark = ' ';
            settings++;
        }
    }
    assert_int_equal(settings, 10);
    per_minute = 1;
    read_text(bytes, strlen(bytes));
    if (config.problem_count)
        fail_msg("%.*s", STR_ARG(buf_str(&config.problems)));
    every_setting_begins_with_its_default(state);
    buf_release(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_setting_begins_with_its_default, setup, teardown),
        cmocka_unit_test_setup_teardown(flags_set_or_explain, setup, teardown),
        cmocka_unit_test_setup_teardown(booleans_have_four_spellings, setup, teardown),
        cmocka_unit_test_setup_teardown(texts_and_choices_are_judged, setup, teardown),
        cmocka_unit_test_setup_teardown(secrets_are_not_repeated_in_problems, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_sets_what_it_names, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_is_explained_line_by_line, setup, teardown),
        cmocka_unit_test_setup_teardown(long_lines_are_refused_not_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(binary_and_endless_files_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_file_is_a_problem_only_when_it_must_exist, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_environment_sets_and_slips_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reload_keeps_what_needs_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(who_said_so_is_known_and_the_strongest_wins, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(origins_outlive_a_reload_where_values_do, setup, teardown),
        cmocka_unit_test_setup_teardown(a_value_is_judged_without_being_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(the_example_is_a_file_of_the_defaults, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
