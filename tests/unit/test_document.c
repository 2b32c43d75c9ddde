/* links: troupe_character troupe_vendor_free troupe_store troupe_embedded */
/* Documents: HTML as text, text as chunks. */
#include "character/document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *why, *html, *text;
} pages[] = {
    {"words", "plain words", "plain words"},
    {"marks inside a line", "a <b>bold</b> word", "a bold word"},
    {"paragraphs", "<p>one</p><p>two</p>", "one\n\n\n\ntwo\n\n"},
    {"a heading", "x<h2>Title</h2>y", "x\n\n## Title\n\ny"},
    {"lines", "a<br>b<li>c", "a\nb\nc"},
    {"entities", "&lt;tag&gt; &amp; &#65;&#x42; &auml;", "<tag> & AB ä"},
    {"what is no entity stays", "a & b &nosuch; &;", "a & b &nosuch; &;"},
    {"a number that is no character", "&#0;&#x110000;&#xD800;", "   "},
    {"what is not shown", "a<script>let b = '<p>';</script>c<style>d</style>e", "ace"},
    {"a script without an end", "a<script>b", "a"},
    {"comments", "a<!-- <p>no</p> -->b<!-- open", "ab"},
    {"a tag without an end", "a<p", "a\n\n"},
    {"nothing in a tag", "a<>b</>c", "abc"},
    {"tables", "<tr><td>a</td><td>b</td></tr>", " a  b \n"},
};

static void html_is_read_for_its_words(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        struct arena arena;
        arena_init(&arena);
        struct str text = document_from_html(&arena, str_from(pages[i].html));
        if (!str_eq(text, str_from(pages[i].text)))
            fail_msg("%s: \"%.*s\"", pages[i].why, STR_ARG(text));
        arena_release(&arena);
    }
}

static void chunks_follow_the_headings(void **state) {
    (void)state;
    struct arena arena;
    size_t count;
    arena_init(&arena);
    struct chunk *chunks = document_chunks(
        &arena, STR("before\n# A\none\ntwo\n\nthree\n## B\n\nfour\n# C\n#no heading\n### D\n"),
        &count);
    static const char *const expected[][2] = {
        {"", "before"}, {"A", "one\ntwo\n\nthree"}, {"A > B", "four"}, {"C", "#no heading"}};
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++) {
        assert_true(str_eq(chunks[i].heading, str_from(expected[i][0])));
        assert_true(str_eq(chunks[i].content, str_from(expected[i][1])));
    }
    arena_release(&arena);
}

/* Nothing is lost, nothing is too long, no character is split. */
static void long_paragraphs_are_cut_at_sentences(void **state) {
    (void)state;
    static char text[20000];
    size_t len = 0, count, total = 0;
    struct arena arena;
    while (len < sizeof(text) - 40)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "Über die Brücke. ");
    arena_init(&arena);
    struct chunk *chunks = document_chunks(&arena, str_of(text, len), &count);
    assert_true(count > 10);
    for (size_t i = 0; i < count; i++) {
        assert_true(chunks[i].content.len <= 1300);
        assert_true(str_ends(chunks[i].content, STR(".")));
        total += chunks[i].content.len;
    }
    assert_true(total + count * 2 >= len - 2);
    arena_release(&arena);
}

static void a_document_has_a_last_chunk(void **state) {
    (void)state;
    static char text[CHUNKS_LIMIT * 8];
    size_t len = 0, count;
    struct arena arena;
    for (int i = 0; len + 16 < sizeof(text) && i < CHUNKS_LIMIT + 500; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "# a\nb\n");
    arena_init(&arena);
    document_chunks(&arena, str_of(text, len), &count);
    assert_int_equal(count, CHUNKS_LIMIT);
    arena_release(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(html_is_read_for_its_words),
        cmocka_unit_test(chunks_follow_the_headings),
        cmocka_unit_test(long_paragraphs_are_cut_at_sentences),
        cmocka_unit_test(a_document_has_a_last_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
