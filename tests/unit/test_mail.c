/* links: troupe_fetch */
/* A mail as bytes: what stands in the header, what nobody can put there, lines and their letters. */
#include "fetch/mail.h"

#include "base/arena.h"
#include "base/check.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "loop/pool.h"
#include "stuck_names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FROM STR("stage@troupe.test")

static struct mail_message message = {
    .id = 1, .at_ms = 1767694830000, .to = {"alice@example.net", 17}, .subject = {"Hello", 5}};

static enum err write_mail(struct buf *out, struct str to, struct str subject, struct str text,
                           struct str name) {
    struct mail_message mail = message;
    mail.to = to;
    mail.subject = subject;
    mail.text = text;
    buf_clear(out);
    return mail_write(out, &mail, FROM, name);
}

static void addresses_that_are_safe_and_those_that_are_not(void **state) {
    (void)state;
    static const struct {
        const char *address;
        bool is_safe;
        const char *why;
    } rows[] = {
        {"a@b", true, "a host without a dot is the admin's business"},
        {"o'neil+tag@example.co.uk", true, "plain"},
        {"j\xc3\xbcrgen@b\xc3\xbc"
         "cher.example",
         true, "letters of the world (RFC 6531)"},
        {"-f@example.org", true, "no shell ever sees it"},
        {"", false, "nothing"},
        {"@example.org", false, "no name"},
        {"alice@", false, "no host"},
        {"alice", false, "no @"},
        {"a@b@c", false, "two"},
        {"alice@example.org\r\nBcc: eve@example.org", false, "a header of its own"},
        {"alice@example.org\nX: y", false, "likewise"},
        {"alice@exam\0ple.org", true, "cut by C before it comes here"},
        {"alice @example.org", false, "a blank"},
        {"alice@example.org>", false, "the end of the envelope"},
        {"<alice@example.org", false, "its beginning"},
        {"a,b@example.org", false, "two recipients"},
        {"\"a\"@example.org", false, "quoted local parts are not taken"},
        {"alice@[127.0.0.1]", false, "nor literal hosts"},
        {"a\xe2\x80\xa8@example.org", false, "U+2028, a line end to some"},
        {"a\xe2\x80\xae@example.org", false, "U+202E, which turns what follows"},
        {"a\xc2\x85@example.org", false, "U+0085, a control character"},
        {"a\xff@example.org", false, "not UTF-8"},
        {"1234567890123456789012345678901234567890123456789012345678901234@e.org", true, "64"},
        {"12345678901234567890123456789012345678901234567890123456789012345@e.org", false, "65"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (mail_address_is_safe(str_from(rows[i].address)) != rows[i].is_safe)
            fail_msg("%s (%s)", rows[i].address, rows[i].why);
}

static void the_smallest_mail(void **state) {
    struct buf out;
    (void)state;
    buf_init(&out, 1 << 16);
    assert_int_equal(write_mail(&out, message.to, STR("Hello"), STR("Hi.\n"), STR("Troupe")), E_OK);
    char *bytes = buf_take(&out, NULL);
    assert_string_equal(bytes, "Date: Tue, 06 Jan 2026 10:20:30 +0000\r\n"
                               "From: \"Troupe\" <stage@troupe.test>\r\n"
                               "To: <alice@example.net>\r\n"
                               "Message-ID: <0000000000001@troupe.test>\r\n"
                               "Subject: Hello\r\n"
                               "MIME-Version: 1.0\r\n"
                               "Auto-Submitted: auto-generated\r\n"
                               "Content-Type: text/plain; charset=UTF-8\r\n"
                               "Content-Transfer-Encoding: quoted-printable\r\n"
                               "\r\n"
                               "Hi.\r\n");
    free(bytes);
}

static void header_values_are_words_and_nothing_else(void **state) {
    static const struct {
        struct str subject, name;
        const char *expected, *why;
    } rows[] = {
        {{"Best\xc3\xa4tigen", 11},
         {"", 0},
         "Subject: =?UTF-8?B?QmVzdMOkdGlnZW4=?=\r\n",
         "RFC 2047"},
        {{"a", 1}, {"", 0}, "From: <stage@troupe.test>\r\n", "no name"},
        {{"a", 1},
         {"A \"B\" \\", 7},
         "From: \"A \\\"B\\\" \\\\\" <stage@troupe.test>\r\n",
         "quoted"},
        {{"a", 1}, {"x <y@z>, w", 10}, "From: \"x <y@z>, w\" <stage", "no second address"},
        {{"a\r\nBcc: x@y.z", 13},
         {"", 0},
         "Subject: =?UTF-8?B?YQ0KQmNjOiB4QHkueg==?=\r\n",
         "an injected header is letters of the subject"},
        {{"a", 1}, {"b\nX: y", 6}, "From: =?UTF-8?B?YgpYOiB5?= <stage", "likewise"},
        {{"=?UTF-8?B?YQ==?=", 16},
         {"", 0},
         "Subject: =?UTF-8?B?PT9VVEYtOD9CP1lRPT0/PQ==?=\r\n",
         "what looks encoded is not decoded"},
        {{"\xff", 1}, {"", 0}, "Subject: =?UTF-8?B?77+9?=\r\n", "not UTF-8: repaired"},
        {{"12345678901234567890123456789012345678901234\xc3\xa4z", 47},
         {"", 0},
         "Subject: =?UTF-8?B?MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ=?=\r\n"
         " =?UTF-8?B?w6R6?=\r\n",
         "folded between characters"},
    };
    struct buf out;
    (void)state;
    buf_init(&out, 1 << 16);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(write_mail(&out, message.to, rows[i].subject, STR("x\n"), rows[i].name),
                         E_OK);
        if (!str_has(buf_str(&out), str_from(rows[i].expected)))
            fail_msg("%s:\n" STR_FMT, rows[i].why, STR_ARG(buf_str(&out)));
    }
    assert_int_equal(write_mail(&out, STR("a@b\r\nX: y"), STR("a"), STR("x"), STR("")), E_INPUT);
    char longer[401];
    memset(longer, 'x', sizeof longer);
    assert_int_equal(write_mail(&out, message.to, str_of(longer, sizeof longer), STR("x"), STR("")),
                     E_LIMIT);
    buf_release(&out);
}

static void text_is_quoted_printable(void **state) {
    static const struct {
        struct str text;
        const char *expected, *why;
    } rows[] = {
        {{"a=b\n", 4}, "a=3Db\r\n", "the sign itself"},
        {{"\xc3\xa4\n", 3}, "=C3=A4\r\n", "UTF-8"},
        {{"end \nend\t\n", 10}, "end=20\r\nend=09\r\n", "blanks at the end of a line"},
        {{"a b\tc\n", 6}, "a b\tc\r\n", "blanks inside"},
        {{".\n..\n", 5}, ".\r\n..\r\n", "dots are libcurl's to stuff"},
        {{"a\rb\n", 4}, "a=0Db\r\n", "a bare CR ends no line"},
        {{"a\r\nb\n", 5}, "a\r\nb\r\n", "CRLF is a line end"},
        {{"a\0b\n", 4}, "a=00b\r\n", "NUL"},
        {{"a\n\nb", 4}, "a\r\n\r\nb\r\n", "an empty line, and none at the end"},
    };
    struct buf out;
    (void)state;
    buf_init(&out, 1 << 16);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(write_mail(&out, message.to, STR("a"), rows[i].text, STR("")), E_OK);
        ptrdiff_t at = str_find(buf_str(&out), STR("\r\n\r\n"), 0);
        struct str body = str_slice(buf_str(&out), (size_t)at + 4, out.len);
        if (!str_eq(body, str_from(rows[i].expected)))
            fail_msg("%s: " STR_FMT, rows[i].why, STR_ARG(body));
    }
    buf_release(&out);
}

/* Every length around the limit, with every kind of last letter. */
static void no_line_is_longer_than_76(void **state) {
    struct buf out;
    char text[256];
    (void)state;
    buf_init(&out, 1 << 16);
    for (size_t len = 60; len < 240; len++) {
        for (size_t i = 0; i < len; i++)
            text[i] = i % 7 == 0 ? '=' : i % 11 == 0 ? ' ' : 'a';
        text[len - 1] = len % 3 == 0 ? ' ' : len % 3 == 1 ? '=' : 'a';
        assert_int_equal(write_mail(&out, message.to, STR("a"), str_of(text, len), STR("")), E_OK);
        struct str rest = buf_str(&out), line;
        while (str_next(&rest, '\n', &line))
            assert_true(line.len <= 77); /* with the CR */
    }
    buf_release(&out);
}

/* --- a stop ------------------------------------------------------------------------------------- */

static struct timer stop_timer;
static int ended_at_stop;
static enum mail_fate fate_at_stop;

static void stop_once_it_looks_up(void *ctx) {
    if (atomic_load(&stuck_begun) == 1)
        mail_drain();
    else
        timer_start(&stop_timer, 2, stop_once_it_looks_up, ctx);
}

static void on_stopped(void *ctx, const struct mail_result *result) {
    (void)ctx;
    ended_at_stop = atomic_load(&stuck_ended);
    fate_at_stop = result->fate;
    loop_stop(0);
}

/* The last of all: after it no mail leaves this program any more. */
static void a_stop_waits_for_no_name_that_is_looked_up(void **state) {
    (void)state;
    mail_settings.smtp_url = STR("smtp://stuck.invalid:25");
    mail_settings.from = FROM;
    mail_settings.timeout_ms = 30000;
    loop_init();
    mailbox_init();
    pool_init(1);
    mail_smtp.send(&message, on_stopped, NULL);
    timer_start(&stop_timer, 2, stop_once_it_looks_up, NULL);
    loop_run();
    mail_release();
    pool_release();
    mailbox_release();
    loop_release();
    assert_int_equal(ended_at_stop, 0);
    assert_int_equal(fate_at_stop, MAIL_CANCELLED);
    stuck_let_go(1);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_that_are_safe_and_those_that_are_not),
        cmocka_unit_test(the_smallest_mail),
        cmocka_unit_test(header_values_are_words_and_nothing_else),
        cmocka_unit_test(text_is_quoted_printable),
        cmocka_unit_test(no_line_is_longer_than_76),
        cmocka_unit_test(a_stop_waits_for_no_name_that_is_looked_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
