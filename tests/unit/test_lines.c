/* links: troupe_fetch */
#include "fetch/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Everything that was given, as "name=data;" one after the other; '|' stands for a line end inside
 * data. */
static char given[4096];
static size_t given_count;
static size_t stop_after; /* 0: never */

static bool take(void *ctx, struct str event, struct str data) {
    (void)ctx;
    size_t used = strlen(given);
    int len = snprintf(given + used, sizeof given - used, STR_FMT "=" STR_FMT ";", STR_ARG(event),
                       STR_ARG(data));
    assert_true(len >= 0 && (size_t)len < sizeof given - used);
    for (char *at = given + used; *at; at++)
        if (*at == '\n')
            *at = '|';
    return ++given_count != stop_after;
}

static void start(struct lines *lines, enum lines_kind kind) {
    given[0] = '\0';
    given_count = stop_after = 0;
    lines_init(lines, kind);
}

struct row {
    const char *bytes;
    const char *expected;
    const char *why;
};

static const struct row SSE[] = {
    {"data: one\n\n", "=one;", "the plainest event"},
    {"data:one\n\n", "=one;", "the space is optional"},
    {"data:  one\n\n", "= one;", "only one space belongs to the syntax"},
    {"data: one\r\n\r\n", "=one;", "CRLF"},
    {"data: one\r\r", "=one;", "CR alone"},
    {"data: one\n\r\n", "=one;", "a mixture"},
    {"data: a\ndata: b\n\n", "=a|b;", "lines of one event are joined"},
    {"data: a\r\ndata: b\rdata: c\n\n", "=a|b|c;", "also with mixed ends"},
    {"data\n\n", "=;", "a field without colon has an empty value, and counts"},
    {"data:\ndata:\n\n", "=|;", "two empty lines of data"},
    {": ping\n\ndata: a\n: ping\n\n", "=a;", "comments are nothing, also inside an event"},
    {":\n\ndata: a\n\n", "=a;", "llama.cpp pings with a bare colon"},
    {"event: error\ndata: a\n\n", "error=a;", "an event has a type"},
    {"event: x\n\ndata: a\n\n", "=a;", "a type without data is forgotten"},
    {"event: x\nevent: y\ndata: a\n\n", "y=a;", "the last type counts"},
    {"id: 5\nretry: 10\ndata: a\n\n", "=a;", "id and retry are not for us"},
    {"foo: bar\ndata: a\n\n", "=a;", "unknown fields"},
    {"Data: a\n\n", "", "names are case-sensitive"},
    {"\xEF\xBB\xBF"
     "data: a\n\n",
     "=a;", "a byte order mark at the start"},
    {"data: a\n\n\xEF\xBB\xBF"
     "data: b\n\n",
     "=a;", "a mark elsewhere is part of the field's name"},
    {"error: {\"code\":500}\n\n", "error={\"code\":500};", "llama.cpp's field of 2025"},
    {"data: a\n\ndata: [DONE]", "=a;=[DONE];", "KoboldCpp ends without a line end"},
    {"data: a\n", "=a;", "an event without its empty line"},
    {"\n\n\n\n", "", "empty lines alone"},
    {"", "", "nothing"},
    {"data: \xF0\x9F\x98\x80\n\n", "=\xF0\x9F\x98\x80;",
     "characters pass whole, however they were cut"},
};

static const struct row NDJSON[] = {
    {"{\"a\":1}\n{\"a\":2}\n", "={\"a\":1};={\"a\":2};", "two lines"},
    {"{\"a\":1}\r\n{\"a\":2}\r\n", "={\"a\":1};={\"a\":2};", "CRLF"},
    {"{\"a\":1}\n\n\n{\"a\":2}", "={\"a\":1};={\"a\":2};", "empty lines, and no end of the last"},
    {"{\"a\":\r1}\n", "={\"a\":\r1};", "a bare CR is white space in JSON"},
    {"\xEF\xBB\xBF{}\n", "={};", "a byte order mark"},
    {" \t \n", "", "white space alone"},
};

static void feed_whole(const struct row *row, enum lines_kind kind) {
    struct lines lines;
    start(&lines, kind);
    assert_int_equal(lines_feed(&lines, str_from(row->bytes), take, NULL), E_OK);
    assert_int_equal(lines_end(&lines, take, NULL), E_OK);
    lines_release(&lines);
    if (strcmp(given, row->expected) != 0)
        fail_msg("%s: expected %s, given %s", row->why, row->expected, given);
}

static void feed_cut_in_two(const struct row *row, enum lines_kind kind) {
    struct str all = str_from(row->bytes);
    for (size_t cut = 0; cut <= all.len; cut++) {
        struct lines lines;
        start(&lines, kind);
        assert_int_equal(lines_feed(&lines, str_slice(all, 0, cut), take, NULL), E_OK);
        assert_int_equal(lines_feed(&lines, str_slice(all, cut, all.len), take, NULL), E_OK);
        assert_int_equal(lines_end(&lines, take, NULL), E_OK);
        lines_release(&lines);
        if (strcmp(given, row->expected) != 0)
            fail_msg("%s, cut at %zu: expected %s, given %s", row->why, cut, row->expected, given);
    }
}

static void feed_byte_by_byte(const struct row *row, enum lines_kind kind) {
    struct str all = str_from(row->bytes);
    struct lines lines;
    start(&lines, kind);
    for (size_t i = 0; i < all.len; i++)
        assert_int_equal(lines_feed(&lines, str_slice(all, i, i + 1), take, NULL), E_OK);
    assert_int_equal(lines_end(&lines, take, NULL), E_OK);
    lines_release(&lines);
    if (strcmp(given, row->expected) != 0)
        fail_msg("%s, byte by byte: expected %s, given %s", row->why, row->expected, given);
}

static void feed_rows(const struct row *rows, size_t count, enum lines_kind kind) {
    for (size_t i = 0; i < count; i++) {
        feed_whole(&rows[i], kind);
        feed_cut_in_two(&rows[i], kind);
        feed_byte_by_byte(&rows[i], kind);
    }
}

static void events_are_the_same_however_they_are_cut(void **state) {
    (void)state;
    feed_rows(SSE, sizeof SSE / sizeof *SSE, LINES_SSE);
}

static void json_lines_are_the_same_however_they_are_cut(void **state) {
    (void)state;
    feed_rows(NDJSON, sizeof NDJSON / sizeof *NDJSON, LINES_NDJSON);
}

static void a_reader_may_stop(void **state) {
    (void)state;
    struct lines lines;
    start(&lines, LINES_SSE);
    stop_after = 2;
    assert_int_equal(lines_feed(&lines, STR("data: a\n\ndata: b\n\ndata: c\n\n"), take, NULL),
                     E_CANCELLED);
    assert_string_equal(given, "=a;=b;");
    lines_release(&lines);
}

static void an_endless_line_is_refused(void **state) {
    (void)state;
    enum lines_kind kinds[] = {LINES_SSE, LINES_NDJSON};
    char piece[4096];
    memset(piece, 'x', sizeof piece);
    for (size_t k = 0; k < 2; k++) {
        struct lines lines;
        enum err err = E_OK;
        size_t fed = 0;
        start(&lines, kinds[k]);
        for (; err == E_OK && fed < 2 * LINES_LIMIT_BYTES; fed += sizeof piece)
            err = lines_feed(&lines, str_of(piece, sizeof piece), take, NULL);
        assert_int_equal(err, E_LIMIT);
        assert_in_range(fed, LINES_LIMIT_BYTES, LINES_LIMIT_BYTES + 2 * sizeof piece);
        assert_int_equal(given_count, 0);
        lines_release(&lines);
    }
}

static void an_endless_event_is_refused(void **state) {
    (void)state;
    struct lines lines;
    enum err err = E_OK;
    size_t fed = 0;
    start(&lines, LINES_SSE);
    for (; err == E_OK && fed < 2 * LINES_LIMIT_BYTES; fed += 10)
        err = lines_feed(&lines, STR("data: 0123456789\n"), take, NULL);
    assert_int_equal(err, E_LIMIT);
    assert_in_range(fed, LINES_LIMIT_BYTES - LINES_LIMIT_BYTES / 5, LINES_LIMIT_BYTES + 20);
    lines_release(&lines);
}

static bool count_only(void *ctx, struct str event, struct str data) {
    (void)event, (void)data;
    ++*(size_t *)ctx;
    return true;
}

static void a_flood_of_tiny_events_passes(void **state) {
    (void)state;
    struct lines lines;
    struct buf flood;
    size_t count = 0;
    buf_init(&flood, 4 << 20);
    for (int i = 0; i < 100000; i++)
        buf_add_str(&flood, STR("data:x\r\r"));
    lines_init(&lines, LINES_SSE);
    assert_int_equal(lines_feed(&lines, buf_str(&flood), count_only, &count), E_OK);
    assert_int_equal(count, 100000);
    assert_true(lines.line.room + lines.data.room < 4096); /* what is whole is read where it lies */
    lines_release(&lines);
    buf_release(&flood);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_the_same_however_they_are_cut),
        cmocka_unit_test(json_lines_are_the_same_however_they_are_cut),
        cmocka_unit_test(a_reader_may_stop),
        cmocka_unit_test(an_endless_line_is_refused),
        cmocka_unit_test(an_endless_event_is_refused),
        cmocka_unit_test(a_flood_of_tiny_events_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
