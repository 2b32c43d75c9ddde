/* links: troupe_character */
#include "character/macro.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW_MS INT64_C(1795233791123) /* Saturday, 2026-11-21 04:03:11 UTC */

static struct macro_context context(void) {
    return (struct macro_context){
        .character = STR("Ibid"),
        .user = STR("Mia"),
        .persona = STR("{{user}} is a baker."),
        .description = STR("{{char}} files what {{user}} says. {{random:a,b}} {{personality}}"),
        .personality = STR("prim"),
        .scenario = STR("a library"),
        .original = STR("Be kind, {{char}}."),
        .last_message = STR("I said {{char}}"),
        .now_ms = NOW_MS,
        .idle_ms = 5 * 60 * 1000,
        .seed = 7,
        .random = 42,
    };
}

static struct str expand(struct arena *arena, const char *text, struct macro_context macros) {
    struct str out = STR_NONE;
    assert_int_equal(macro_expand(arena, str_from(text), &macros, &out), E_OK);
    return out;
}

static void is_text(struct str got, const char *expected, const char *why) {
    if (!str_eq(got, str_from(expected)))
        fail_msg("%s: expected \"%s\", got \"%.*s\"", why, expected, STR_ARG(got));
}

static const struct {
    const char *text, *expected, *why;
} rows[] = {
    {"", "", "nothing is nothing"},
    {"Hello.", "Hello.", "text without macros stays"},
    {"{{char}} and {{user}}", "Ibid and Mia", "the two names"},
    {"{{CHAR}} {{Char}} {{ user }}", "Ibid Ibid Mia", "letter case and blanks do not matter"},
    {"<BOT> <bot> <USER> <user> <char>", "Ibid Ibid Mia Mia Ibid", "the old spelling of V1"},
    {"a < b, <b>bold</b>, <usher>", "a < b, <b>bold</b>, <usher>", "other angles stay"},
    {"{{{char}}}", "{Ibid}", "a macro in braces"},
    {"{{char}", "{{char}", "not closed: text"},
    {"{{ hello {{char}}", "{{ hello Ibid", "a stray opener does not swallow what follows"},
    {"char}} {{char}}", "char}} Ibid", "a stray closer is text"},
    {"{{nosuch}} {{nosuch::a}}", "{{nosuch}} {{nosuch::a}}", "unknown macros stay as written"},
    {"{{nosuch {{char}}}}", "{{nosuch Ibid}}", "inside an unknown one the known ones work"},
    {"{{getvar::x}}", "{{getvar::x}}", "variables are not ours"},
    {"{{}}", "{{}}", "no name"},
    {"x{{// a {{char}}\nb }}y", "xy", "a comment is removed, over lines"},
    {"x{{comment: seen}}y{{hidden_key:dragon}}z", "xyz", "removed from prompts"},
    {"{{reverse:abc}}", "cba", "turned round"},
    {"{{reverse:caf\xC3\xA9 \xF0\x9F\x98\x80}}",
     "\xF0\x9F\x98\x80 \xC3\xA9"
     "fac",
     "by code points"},
    {"{{reverse:{{char}}!}}", "!dibI", "arguments are expanded"},
    {"{{random:only}}", "only", "one choice"},
    {"{{random: a\\,b }}", "a,b", "an escaped comma does not separate; blanks go"},
    {"{{random:: a, b }}", " a, b ", "with :: the comma is text"},
    {"{{random:{{char}},{{char}}}}", "Ibid", "choices may be macros"},
    {"{{random}}", "{{random}}", "without choices it is no macro"},
    {"{{pick:only}}", "only", "one choice"},
    {"{{roll:0}}{{roll:d}}{{roll:9999d6}}{{roll:x}}", "", "rolls without sense yield nothing"},
    {"{{roll:1}} {{roll:d1}} {{roll 1d1+4}} {{roll:3d1-1}}", "1 1 5 2", "the forms of dice"},
    {"{{time}} {{isotime}} {{isodate}}", "4:03 AM 04:03 2026-11-21", "the clock"},
    {"{{date}} {{weekday}}", "November 21, 2026 Saturday", "the day"},
    {"{{time_UTC+9}} {{time::UTC-5}} {{time_UTC+5:30}}", "1:03 PM 11:03 PM 9:33 AM", "zones"},
    {"{{time::Mars}}", "{{time::Mars}}", "no such zone: as written"},
    {"{{datetimeformat DD.MM.YYYY HH:mm:ss dddd}}", "21.11.2026 04:03:11 Saturday", "formats"},
    {"{{idle_duration}} {{idleDuration}}", "5 minutes 5 minutes", "since the last message"},
    {"a{{newline}}b{{space}}c{{noop}}d", "a\nb cd", "small things"},
    {"a\n\n{{trim}}\n\nb", "ab", "trim takes the line ends on both sides"},
    {"{{trim}}\nb", "b", "trim at the start"},
    {"{{scenario}} {{personality}}", "a library prim", "fields of the card"},
    {"{{persona}}", "Mia is a baker.", "a field may name the two"},
    {"{{description}}", "Ibid files what Mia says. {{random:a,b}} {{personality}}",
     "a field expands names, and nothing else"},
    {"{{original}} {{lastMessage}}", "Be kind, {{char}}. I said {{char}}",
     "what people wrote is not expanded again"},
    {"{{lastUserMessage}}|{{mesExamples}}|{{charVersion}}", "||", "what is absent is nothing"},
    {"{{group}} {{charIfNotGroup}}", "Ibid Ibid", "a group of one"},
};

static void expands(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        is_text(expand(&arena, rows[i].text, context()), rows[i].expected, rows[i].why);
    arena_release(&arena);
}

static void values_are_not_choices(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    struct macro_context macros = context();
    macros.user = STR("Mia, the {{char}}}}");
    is_text(expand(&arena, "{{random:{{user}}}}", macros), "Mia, the {{char}}}}",
            "a comma, braces or a macro in a name do nothing");
    macros.user = STR_NONE;
    is_text(expand(&arena, "{{user}}", macros), "User", "there is always somebody");
    arena_release(&arena);
}

static void chance_is_fair_and_picks_stay(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    int counts[3] = {0}, picks_changed = 0;
    struct macro_context macros = context();
    struct str first = expand(&arena, "{{pick:a,b,c}}", macros);
    for (int i = 0; i < 3000; i++) {
        macros.random = (uint64_t)i;
        counts[expand(&arena, "{{random:a,b,c}}", macros).at[0] - 'a']++;
        picks_changed += !str_eq(expand(&arena, "{{pick:a,b,c}}", macros), first);
    }
    for (int i = 0; i < 3; i++)
        assert_in_range(counts[i], 850, 1150);
    assert_int_equal(picks_changed, 0);

    int different = 0;
    for (int64_t seed = 0; seed < 100; seed++) {
        macros.seed = seed;
        different += !str_eq(expand(&arena, "{{pick:a,b,c}}", macros), first);
    }
    assert_in_range(different, 50, 85); /* another conversation picks anew */
    arena_release(&arena);
}

static void rolls_stay_in_range(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    bool seen[21] = {false};
    for (uint64_t i = 0; i < 1000; i++) {
        struct macro_context macros = context();
        macros.random = i;
        int64_t value = 0;
        assert_int_equal(str_to_int(expand(&arena, "{{roll:d20}}", macros), &value), E_OK);
        assert_in_range(value, 1, 20);
        seen[value] = true;
        assert_int_equal(str_to_int(expand(&arena, "{{roll:2d6+3}}", macros), &value), E_OK);
        assert_in_range(value, 5, 15);
    }
    for (int i = 1; i <= 20; i++)
        assert_true(seen[i]);
    arena_release(&arena);
}

/* Texts made to cost: each must end soon, and either fit or say that it does not. */
static void is_bounded(void **state) {
    (void)state;
    static const char *const pieces[] = {"{{",
                                         "}}",
                                         "{{random:",
                                         "{{a{{",
                                         "{{reverse:",
                                         "{{newline::99}}",
                                         "{{description}}",
                                         "<user>",
                                         "{{trim}}\n"};
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        struct buf text;
        buf_init(&text, MACRO_OUTPUT_LIMIT_BYTES);
        while (text.len + strlen(pieces[i]) <= MACRO_OUTPUT_LIMIT_BYTES)
            buf_add_str(&text, str_from(pieces[i]));
        struct macro_context macros = context();
        macros.description = buf_str(&text);
        struct str out = STR_NONE;
        enum err err = macro_expand(&arena, buf_str(&text), &macros, &out);
        assert_true(err == E_OK || err == E_LIMIT);
        if (err == E_OK)
            assert_true(out.len <= MACRO_OUTPUT_LIMIT_BYTES);
        buf_release(&text);
    }
    struct str huge = str_of(arena_zero(&arena, MACRO_OUTPUT_LIMIT_BYTES + 1),
                             MACRO_OUTPUT_LIMIT_BYTES + 1),
               out;
    struct macro_context macros = context();
    assert_int_equal(macro_expand(&arena, huge, &macros, &out), E_LIMIT);
    arena_release(&arena);
}

static void depth_is_bounded(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    struct buf text;
    buf_init(&text, 1 << 16);
    for (int i = 0; i < 20; i++)
        buf_add_str(&text, STR("{{random:"));
    buf_add_str(&text, STR("x"));
    for (int i = 0; i < 20; i++)
        buf_add_str(&text, STR("}}"));
    struct macro_context macros = context();
    struct str out = STR_NONE;
    assert_int_equal(macro_expand(&arena, buf_str(&text), &macros, &out), E_OK);
    assert_true(str_has(out, STR("{{random:")));
    assert_true(out.len < text.len);
    buf_release(&text);
    arena_release(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expands),
        cmocka_unit_test(values_are_not_choices),
        cmocka_unit_test(chance_is_fair_and_picks_stay),
        cmocka_unit_test(rolls_stay_in_range),
        cmocka_unit_test(is_bounded),
        cmocka_unit_test(depth_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
