/* links: troupe_base */
#include "base/check.h"
#include "base/json.h"
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static struct arena arena;
static int real_stderr, file;

/* Standard error goes into a file for the length of a test. */
static int setup(void **state) {
    (void)state;
    char path[] = "/tmp/troupe-log-XXXXXX";
    arena_init(&arena);
    file = mkstemp(path);
    unlink(path);
    real_stderr = dup(STDERR_FILENO);
    dup2(file, STDERR_FILENO);
    log_init(LOG_INFO);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(file);
    log_request_id(STR_NONE);
    arena_release(&arena);
    return 0;
}

static struct str written(void) {
    static char bytes[1 << 20];
    ssize_t len = pread(file, bytes, sizeof(bytes), 0);
    return str_of(bytes, len > 0 ? (size_t)len : 0);
}

/* The only line, which must be one JSON object with its line end. */
static const struct json_value *only_line(void) {
    struct str text = written();
    const struct json_value *value = NULL;
    assert_true(text.len > 0 && text.at[text.len - 1] == '\n');
    assert_int_equal(str_find_char(text, '\n', 0), text.len - 1);
    assert_true(text.len <= LOG_LINE_BYTES);
    assert_int_equal(json_parse(&arena, str_trim(text), &value, NULL), E_OK);
    return value;
}

static void assert_member(const struct json_value *line, const char *name, struct str expected) {
    struct str value = json_string(json_member(line, name), STR("(absent)"));
    if (!str_eq(value, expected))
        fail_msg("%s: \"%.*s\"", name, STR_ARG(value));
}

static void a_line_has_its_head_and_fields(void **state) {
    (void)state;
    log_request_id(STR("req-1"));
    errno = EPIPE;
    log_info("turn", "turn settled", LF_ID("turn", 33), LF_INT("ms", -5), LF_STR("model", STR("m")),
             LF_Z("z", "t"));
    assert_int_equal(errno, EPIPE);
    const struct json_value *line = only_line();
    assert_int_equal(json_string(json_member(line, "at"), STR_NONE).len, 24);
    assert_member(line, "level", STR("info"));
    assert_member(line, "component", STR("turn"));
    assert_member(line, "message", STR("turn settled"));
    assert_member(line, "request_id", STR("req-1"));
    assert_member(line, "turn", STR("0000000000011"));
    assert_member(line, "model", STR("m"));
    assert_member(line, "z", STR("t"));
    assert_int_equal(json_int(json_member(line, "ms"), 0), -5);
    assert_int_equal(json_count(line), 9);
}

static void levels_below_the_mark_are_silent(void **state) {
    (void)state;
    static const enum log_level LEVELS[] = {LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR};
    for (size_t mark = 0; mark < COUNT_OF(LEVELS); mark++) {
        assert_int_equal(ftruncate(file, 0), 0);
        lseek(file, 0, SEEK_SET);
        log_init(LEVELS[mark]);
        log_debug("c", "debug");
        log_info("c", "info");
        log_warn("c", "warn");
        log_error("c", "error");
        size_t lines = 0;
        for (struct str text = written(); lines < text.len && str_find_char(text, '\n', 0) >= 0;
             lines++)
            text = str_slice(text, (size_t)str_find_char(text, '\n', 0) + 1, text.len);
        assert_int_equal(lines, COUNT_OF(LEVELS) - mark);
    }
}

static void hostile_values_stay_inside_their_strings(void **state) {
    (void)state;
    log_warn("net", "header refused", LF_STR("value", STR("a\"}\n{\"level\":\"error\xFF\0x")),
             LF_STR("none", STR_NONE));
    const struct json_value *line = only_line();
    assert_member(line, "level", STR("warn"));
    assert_member(line, "value", STR("a\"}\n{\"level\":\"error\xEF\xBF\xBD\0x"));
    assert_int_equal(json_type(json_member(line, "none")), JSON_NULL);
}

static void long_lines_are_cut_and_say_so(void **state) {
    (void)state;
    static char quotes[100000];
    memset(quotes, '"', sizeof(quotes));
    struct str value = str_of(quotes, sizeof(quotes));
    log_error("c", "much", LF_STR("a", value), LF_STR("b", value), LF_STR("c", value),
              LF_STR("d", value), LF_STR("e", value), LF_STR("f", value), LF_INT("last", 1));
    const struct json_value *line = only_line();
    assert_int_equal(json_string(json_member(line, "a"), STR_NONE).len, LOG_VALUE_BYTES);
    assert_true(json_bool(json_member(line, "cut"), false));
    assert_int_equal(json_int(json_member(line, "last"), 0), 1);
}

static void a_long_request_id_is_cut(void **state) {
    (void)state;
    char id[200];
    memset(id, 'r', sizeof(id));
    log_request_id(str_of(id, sizeof(id)));
    log_info("c", "m");
    assert_int_equal(json_string(json_member(only_line(), "request_id"), STR_NONE).len, 64);
}

static void *log_much(void *name) {
    log_request_id(str_from(name));
    for (int i = 0; i < 500; i++)
        log_info("c", "line", LF_INT("i", i));
    return NULL;
}

static void threads_do_not_mix_lines_or_request_ids(void **state) {
    (void)state;
    pthread_t threads[4];
    char names[4][2] = {"a", "b", "c", "d"};
    int seen[4] = {0};
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, log_much, names[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    struct str text = written(), part;
    while (str_next(&text, '\n', &part) && part.len) {
        const struct json_value *line;
        assert_int_equal(json_parse(&arena, part, &line, NULL), E_OK);
        int thread = json_string(json_member(line, "request_id"), STR("?")).at[0] - 'a';
        assert_int_equal(json_int(json_member(line, "i"), -1), seen[thread]++);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(seen[i], 500);
}

/* Standard error is a pipe that nobody reads: it is waited for once, and what was lost is told when
 * somebody reads again. */
static void a_reader_that_sleeps_costs_lines_and_not_the_server(void **state) {
    (void)state;
    enum { LINES = 5000 };
    static char bytes[1 << 20];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    alarm(60); /* a write that waits would wait for ever */
    for (int i = 0; i < LINES; i++)
        log_info("c", "line", LF_INT("i", i));
    ssize_t len = read(ends[0], bytes, sizeof(bytes));
    assert_true(len > 0 && bytes[len - 1] == '\n');
    struct str text = str_of(bytes, (size_t)len), part;
    int kept = 0;
    const struct json_value *line;
    while (str_next(&text, '\n', &part) && part.len > 0) {
        assert_int_equal(json_parse(&arena, part, &line, NULL), E_OK);
        assert_int_equal(json_int(json_member(line, "i"), -1), kept++);
    }
    assert_in_range(kept, 100, LINES - 1);
    log_info("c", "awake");
    len = read(ends[0], bytes, sizeof(bytes));
    text = str_of(bytes, len > 0 ? (size_t)len : 0);
    assert_true(str_next(&text, '\n', &part));
    assert_int_equal(json_parse(&arena, part, &line, NULL), E_OK);
    assert_member(line, "message", STR("lines were lost: nobody read them"));
    assert_int_equal(json_int(json_member(line, "count"), 0), LINES - kept);
    assert_true(str_next(&text, '\n', &part));
    assert_int_equal(json_parse(&arena, part, &line, NULL), E_OK);
    assert_member(line, "message", STR("awake"));
    alarm(0);
    close(ends[0]);
    close(ends[1]);
}

static void a_bug_leaves_its_line_and_aborts(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        BUG("the %s is gone", "floor");
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    const struct json_value *line = only_line();
    assert_member(line, "level", STR("error"));
    assert_member(line, "reason", STR("the floor is gone"));
    assert_true(str_ends(json_string(json_member(line, "file"), STR("")), STR("test_log.c")));
    assert_true(json_int(json_member(line, "line"), 0) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_has_its_head_and_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(levels_below_the_mark_are_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(hostile_values_stay_inside_their_strings, setup, teardown),
        cmocka_unit_test_setup_teardown(long_lines_are_cut_and_say_so, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_request_id_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_do_not_mix_lines_or_request_ids, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reader_that_sleeps_costs_lines_and_not_the_server, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_bug_leaves_its_line_and_aborts, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
