/* links: troupe_net troupe_embedded */
#include "base/buf.h"
#include "net/multipart.h"
#include "each_arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TYPE       "multipart/form-data; boundary=XX"
#define HEAD(line) "--XX\r\nContent-Disposition: form-data; " line "\r\n"

/* One part of a body; the rest of the row says what it must be. */
static const struct {
    const char *body;
    const char *name, *file_name, *type, *bytes;
    const char *why;
} PARTS[] = {
    {HEAD("name=\"a\"") "\r\nvalue\r\n--XX--", "a", NULL, NULL, "value", "plain field"},
    {HEAD("name=a") "\r\nvalue\r\n--XX--\r\n", "a", NULL, NULL, "value", "unquoted name"},
    {"preamble\r\n" HEAD("name=\"a\"") "\r\nvalue\r\n--XX--epilogue", "a", NULL, NULL, "value",
     "preamble and epilogue"},
    {HEAD("name=\"a\"") "\r\n\r\n--XX--", "a", NULL, NULL, "", "empty part"},
    {HEAD("name=\"a\"") "\r\n--XX--", "a", NULL, NULL, "", "empty part without its own line end"},
    {HEAD("name=\"f\"; filename=\"c.png\"") "Content-Type: image/png\r\n\r\n\x89PNG\r\n--XX--", "f",
     "c.png", "image/png", "\x89PNG", "a file"},
    {HEAD("name=\"f\"; filename=\"\"") "\r\n\r\n--XX--", "f", "", NULL, "", "no file chosen"},
    {HEAD("filename=\"a;name=b\"; name=\"f\"") "\r\nx\r\n--XX--", "f", "a;name=b", NULL, "x",
     "a parameter inside quotes"},
    {HEAD("name=\"a\\\"; filename=\\\"b\"") "\r\nx\r\n--XX--", "a\"; filename=\"b", NULL, NULL, "x",
     "a quote inside quotes begins nothing"},
    {HEAD("name=\"f\"; filename=\"../../etc/passwd\"") "\r\nx\r\n--XX--", "f", "passwd", NULL, "x",
     "folders are cut"},
    {HEAD("name=\"f\"; filename=\"C:\\dir\\c.png\"") "\r\nx\r\n--XX--", "f", "c.png", NULL, "x",
     "Windows folders are cut"},
    {HEAD("name=\"f\"; filename=\"..\"") "\r\nx\r\n--XX--", "f", "", NULL, "x", "dots are no name"},
    {HEAD("name=\"f\"; filename=\"a\\\"b\x01.png\"") "\r\nx\r\n--XX--", "f", "ab.png", NULL, "x",
     "quotes and controls are cut"},
    {HEAD("name=\"f\"; filename=\"caf\xc3\xa9.png\"") "\r\nx\r\n--XX--", "f", "caf\xc3\xa9.png",
     NULL, "x", "UTF-8 stays"},
    {HEAD("name=\"a\"") "\r\n--XX inside\r\nx\r\n--XX--", NULL, NULL, NULL, NULL,
     "a delimiter inside ends the part"},
    {HEAD("name=\"a\"") "\r\nx--XX--y\r\n--XX--", "a", NULL, NULL, "x--XX--y",
     "no line begin, no delimiter"},
    {HEAD("name=\"a\"") "\r\n\r\n--X\r\n-\r\n--XX--", "a", NULL, NULL, "\r\n--X\r\n-",
     "almost a delimiter"},
    {"--XX \t\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--XX--", "a", NULL, NULL,
     "x", "white space behind a delimiter"},
    {"--XX\r\ncontent-disposition: FORM-DATA; NAME=\"a\"\r\nX-Other: y\r\n\r\nx\r\n--XX--", "a",
     NULL, NULL, "x", "any case, other headers"},
    {HEAD("name=\"a\"") "\r\nvalue", NULL, NULL, NULL, NULL, "no end"},
    {HEAD("name=\"a\"") "\r\nvalue\r\n--X", NULL, NULL, NULL, NULL, "half an end"},
    {HEAD("name=\"a\"") "value\r\n--XX--", NULL, NULL, NULL, NULL, "no empty line"},
    {HEAD("name=\"a") "\r\nvalue\r\n--XX--", NULL, NULL, NULL, NULL, "a quote without an end"},
    {HEAD("x=\"a\"") "\r\nvalue\r\n--XX--", NULL, NULL, NULL, NULL, "no name"},
    {"--XX\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\nx\r\n--XX--", NULL, NULL, NULL,
     NULL, "not form-data"},
    {"--XX\r\nContent-Type: text/plain\r\n\r\nx\r\n--XX--", NULL, NULL, NULL, NULL,
     "no disposition"},
    {"--XX\r\nnonsense\r\n\r\nx\r\n--XX--", NULL, NULL, NULL, NULL, "a header without a colon"},
    {"--XXnonsense\r\n\r\nx\r\n--XX--", NULL, NULL, NULL, NULL, "text behind the delimiter"},
};

static void assert_text(struct str got, const char *expected, const char *why, const char *what) {
    if ((expected == NULL) != (got.at == NULL) ||
        (expected != NULL && !str_eq(got, str_from(expected))))
        fail_msg("%s: %s is \"%.*s\"", why, what, STR_ARG(got));
}

static void parts_are_read_or_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(PARTS) / sizeof(PARTS[0]); i++) {
        struct multipart multipart;
        struct part part;
        size_t len = strlen(PARTS[i].body);
        char *copy = malloc(len); /* exactly as long, so that a look beyond is seen */
        memcpy(copy, PARTS[i].body, len);
        assert_int_equal(multipart_begin(&multipart, STR(TYPE), str_of(copy, len)), E_OK);
        enum err err = multipart_next(&multipart, &arena, &part);
        if (err != (PARTS[i].name != NULL ? E_OK : E_INPUT) &&
            !(PARTS[i].name == NULL && err == E_OK &&
              multipart_next(&multipart, &arena, &part) == E_INPUT))
            fail_msg("%s: error %d", PARTS[i].why, err);
        if (PARTS[i].name != NULL) {
            assert_text(part.name, PARTS[i].name, PARTS[i].why, "name");
            assert_text(part.file_name, PARTS[i].file_name, PARTS[i].why, "file name");
            assert_text(part.content_type, PARTS[i].type, PARTS[i].why, "type");
            assert_text(part.bytes, PARTS[i].bytes, PARTS[i].why, "content");
            assert_int_equal(multipart_next(&multipart, &arena, &part), E_ABSENT);
        }
        free(copy);
    }
}

static void boundaries_are_checked(void **state) {
    (void)state;
    static const struct {
        const char *type;
        enum err err;
    } rows[] = {
        {"multipart/form-data; boundary=XX", E_OK},
        {"multipart/form-data; boundary=\"XX\"", E_OK},
        {"multipart/form-data; charset=utf-8; BOUNDARY=XX; x=y", E_OK},
        {"multipart/form-data; boundary=YY", E_INPUT},
        {"multipart/form-data; boundary=", E_INPUT},
        {"multipart/form-data; boundary=\"\"", E_INPUT},
        {"multipart/form-data", E_INPUT},
        {"multipart/form-data; boundary=X\x01", E_INPUT},
        {"multipart/form-data; boundary="
         "0123456789012345678901234567890123456789012345678901234567890123456789x",
         E_INPUT},
        {"", E_INPUT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct multipart multipart;
        if (multipart_begin(&multipart, str_from(rows[i].type), STR("--XX\r\n\r\n--XX--")) !=
            rows[i].err)
            fail_msg("%s", rows[i].type);
    }
}

static void many_parts_come_one_by_one_up_to_the_limit(void **state) {
    (void)state;
    struct buf body;
    struct multipart multipart;
    struct part part;
    buf_init(&body, 1 << 20);
    for (int i = 0; i <= MULTIPART_PARTS_LIMIT; i++)
        buf_printf(&body, "--XX\r\nContent-Disposition: form-data; name=\"n%d\"\r\n\r\n%d\r\n", i,
                   i);
    buf_add_str(&body, STR("--XX--"));
    assert_int_equal(multipart_begin(&multipart, STR(TYPE), buf_str(&body)), E_OK);
    for (int i = 0; i < MULTIPART_PARTS_LIMIT; i++) {
        int64_t number;
        assert_int_equal(multipart_next(&multipart, &arena, &part), E_OK);
        assert_int_equal(str_to_int(part.bytes, &number), E_OK);
        assert_int_equal(number, i);
    }
    assert_int_equal(multipart_next(&multipart, &arena, &part), E_LIMIT);
    buf_release(&body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(parts_are_read_or_refused),
        ARENA_TEST(boundaries_are_checked),
        ARENA_TEST(many_parts_come_one_by_one_up_to_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
