/* links: troupe_character */
#include "character/card.h"

#include "base/check.h"
#include "each_arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct card card_of(const char *json) {
    struct card card;
    const char *problem = NULL;
    if (card_read(&arena, str_from(json), &card, &problem) != E_OK)
        fail_msg("%s: %s", problem, json);
    return card;
}

static struct str written(const struct card *card, enum card_format format) {
    struct buf buf;
    struct json json;
    buf_init(&buf, 64 << 20);
    json_init(&json, &buf);
    card_write(&json, card, format);
    assert_int_equal(buf.err, E_OK);
    struct str text = str_dup(&arena, buf_str(&buf));
    buf_release(&buf);
    return text;
}

static const struct json_value *parsed(struct str text) {
    const struct json_value *value;
    struct json_error error = {0};
    if (json_parse(&arena, text, &value, &error) != E_OK)
        fail_msg("we wrote what is no JSON: %s at %zu: %.*s", error.reason, error.offset_bytes,
                 STR_ARG(text));
    return value;
}

/* The same JSON value, whatever the order of members. */
static bool is_same(const struct json_value *a, const struct json_value *b) {
    if (json_type(a) != json_type(b) || json_count(a) != json_count(b))
        return false;
    const struct json_value *i, *k;
    switch (json_type(a)) {
    case JSON_OBJECT:
        for (i = json_first(a); i; i = json_next(i)) {
            k = json_first(b);
            while (k && !str_eq(json_name(k), json_name(i)))
                k = json_next(k);
            if (k == NULL || !is_same(i, k))
                return false;
        }
        return true;
    case JSON_ARRAY:
        for (i = json_first(a), k = json_first(b); i; i = json_next(i), k = json_next(k))
            if (!is_same(i, k))
                return false;
        return true;
    case JSON_STRING:
        return str_eq(json_string(a, STR_NONE), json_string(b, STR_NONE));
    case JSON_NUMBER:
        return str_eq(json_number_text(a), json_number_text(b)) ||
               json_number(a, 0) == json_number(b, 1);
    case JSON_BOOL:
        return json_bool(a, false) == json_bool(b, false);
    default:
        return true;
    }
}

static void is_given_back(const char *json, enum card_format format, const char *why) {
    struct card card = card_of(json);
    struct str out = written(&card, format);
    if (!is_same(parsed(str_from(json)), parsed(out)))
        fail_msg("%s: not the same:\n%s\n%.*s", why, json, STR_ARG(out));
    struct card again;
    const char *problem;
    assert_int_equal(card_read(&arena, out, &again, &problem), E_OK);
    assert_true(is_same(parsed(out), parsed(written(&again, format)))); /* and stays so */
}

#define SIX                                                          \
    "\"name\":\"Ibid\",\"description\":\"d\",\"personality\":\"p\"," \
    "\"scenario\":\"s\",\"first_mes\":\"f\",\"mes_example\":\"m\""
#define V2_REST                                                                  \
    "\"creator_notes\":\"n\",\"system_prompt\":\"sp\","                          \
    "\"post_history_instructions\":\"ph\",\"alternate_greetings\":[\"g\",\"\"]," \
    "\"tags\":[\"Library\",\"paper\"],\"creator\":\"c\",\"character_version\":\"1.1\""
#define V2(top, data) \
    "{" SIX "," top "\"spec\":\"chara_card_v2\",\"spec_version\":\"2.0\",\"data\":{" data "}}"
#define V3(top, data) \
    "{" top "\"spec\":\"chara_card_v3\",\"spec_version\":\"3.0\",\"data\":{" data "}}"

static void v2_comes_back(void **state) {
    (void)state;
    is_given_back(V2("", SIX "," V2_REST ",\"extensions\":{}"), CARD_V2, "the plain card");
    is_given_back(V2("\"metadata\":{\"version\":1},\"create_date\":\"x\",\"avatar\":\"none\",",
                     SIX "," V2_REST ",\"extensions\":{}"),
                  CARD_V2, "unknown members on top");
    is_given_back(V2("", SIX "," V2_REST ",\"extensions\":{\"chub\":{\"full_path\":\"a/b\","
                             "\"n\":[1,2.50,1e2,12345678901234567890,null,true]}},"
                             "\"mystery\":{\"deep\":[[[{}]]]},\"nickname\":\"Ib\""),
                  CARD_V2, "unknown members in data and extensions; numbers keep their digits");
    is_given_back(V2("",
                     SIX "," V2_REST
                         ",\"extensions\":{\"talkativeness\":\"0.5\",\"world\":\"\",\"fav\":false,"
                         "\"depth_prompt\":{\"prompt\":\"\",\"depth\":4,\"role\":\"system\"}}"),
                  CARD_V2, "SillyTavern's extensions");
    is_given_back(
        V2("",
           SIX "," V2_REST ",\"extensions\":{},\"character_book\":{\"name\":\"B\","
               "\"description\":\"\",\"scan_depth\":50,\"token_budget\":500,"
               "\"recursive_scanning\":false,\"extensions\":{\"x\":1},\"odd\":[],\"entries\":["
               "{\"keys\":[\"a\",\"b\"],\"content\":\"@@depth 4\\nc\",\"extensions\":"
               "{\"position\":1,\"selectiveLogic\":0,\"my\":{\"own\":1}},\"enabled\":false,"
               "\"insertion_order\":10,\"case_sensitive\":null,\"name\":\"\",\"priority\":10,"
               "\"id\":7,\"comment\":\"\",\"selective\":false,\"secondary_keys\":[],"
               "\"constant\":false,\"position\":\"after_char\",\"use_regex\":true,\"who\":\"me\"},"
               "{\"keys\":[],\"content\":\"\",\"extensions\":{},\"enabled\":true,"
               "\"insertion_order\":-1.5,\"case_sensitive\":true,\"priority\":0,"
               "\"selective\":true,\"secondary_keys\":[\"s\"],\"constant\":true,"
               "\"position\":3,\"id\":\"text\"}]}"),
        CARD_V2, "a book with all members, the odd ones too");
    is_given_back(V2("", SIX "," V2_REST ",\"extensions\":{},\"character_book\":null"), CARD_V2,
                  "a book that is null");
}

static void v3_comes_back(void **state) {
    (void)state;
    is_given_back(V3("", SIX "," V2_REST ",\"extensions\":{},\"group_only_greetings\":[]"), CARD_V3,
                  "the plain card");
    is_given_back(
        V3("\"name\":\"Ibid\",\"extra\":[{}],",
           SIX "," V2_REST ",\"extensions\":{\"x-risu\":{}},\"group_only_greetings\":[\"all\"],"
               "\"nickname\":\"\",\"source\":[],\"creation_date\":0,"
               "\"modification_date\":1700000000,\"creator_notes_multilingual\":{\"de\":\"n\"},"
               "\"assets\":[{\"type\":\"icon\",\"uri\":\"ccdefault:\",\"name\":\"main\","
               "\"ext\":\"png\"}],\"future\":{\"a\":1}"),
        CARD_V3, "all optional members, and unknown ones");
    is_given_back(
        V3("", SIX "," V2_REST ",\"extensions\":{},\"group_only_greetings\":[],\"character_book\":{"
                   "\"extensions\":{},\"entries\":[{\"keys\":[\"/a/i\"],\"content\":\"c\","
                   "\"extensions\":{},\"enabled\":true,\"insertion_order\":0,"
                   "\"use_regex\":true,\"constant\":false}]}"),
        CARD_V3, "a book of V3");
    is_given_back("{\"spec\":\"chara_card_v3\",\"spec_version\":\"3.1\",\"data\":{" SIX "," V2_REST
                  ",\"extensions\":{},\"group_only_greetings\":[]}}",
                  CARD_V3, "a newer version keeps its number");
}

static void troupe_travels(void **state) {
    (void)state;
    is_given_back(V3("",
                     SIX "," V2_REST
                         ",\"extensions\":{\"talkativeness\":0.7,\"troupe\":{\"tagline\":\"Hm.\","
                         "\"content_tier\":\"mature\",\"voice\":\"v\",\"theirs\":[1]}},"
                         "\"group_only_greetings\":[]"),
                  CARD_V3, "what Troupe alone knows");
    struct card card = card_of(V3("", SIX ",\"extensions\":{\"talkativeness\":\"0.25\","
                                          "\"troupe\":{\"tagline\":\"Hm.\",\"content_tier\":"
                                          "\"adult\"}}"));
    assert_true(str_eq(card.character.tagline, STR("Hm.")));
    assert_true(str_eq(card.character.content_tier, STR("adult")));
    assert_true(card.character.talkativeness == 0.25);
    assert_false(str_has(card.character.extensions, STR("troupe")));
    card = card_of(V3("", SIX ",\"extensions\":{\"troupe\":{\"content_tier\":\"nonsense\"},"
                              "\"talkativeness\":7}"));
    assert_true(str_eq(card.character.content_tier, STR("all_ages")));
    assert_true(card.character.talkativeness == 1);
}

static void v1_becomes_v2_and_v3(void **state) {
    (void)state;
    struct card card = card_of("{" SIX ",\"creatorcomment\":\"note\",\"tags\":\"a, b ,\","
                               "\"talkativeness\":\"0.8\",\"fav\":\"true\",\"chat\":\"secret\","
                               "\"avatar\":\"none\",\"metadata\":{\"tool\":{}}}");
    assert_int_equal(card.version, 1);
    assert_true(str_eq(card.character.creator_notes, STR("note")));
    assert_true(str_eq(card.character.tags, STR("[\"a\",\"b\"]")));
    assert_true(card.character.talkativeness == 0.8);
    const struct json_value *v2 = parsed(written(&card, CARD_V2));
    assert_true(str_eq(json_string(json_member(v2, "mes_example"), STR_NONE), STR("m")));
    assert_true(json_number(json_path(v2, "data.extensions.talkativeness"), 0) == 0.8);
    assert_non_null(json_path(v2, "metadata.tool"));
    assert_null(json_member(v2, "chat"));                  /* a person's, not the card's */
    assert_false(json_bool(json_member(v2, "fav"), true)); /* likewise */
    const struct json_value *v3 = parsed(written(&card, CARD_V3));
    assert_true(str_eq(json_string(json_path(v3, "data.name"), STR_NONE), STR("Ibid")));
    assert_null(json_member(v3, "first_mes")); /* no mirror where there was none */
    assert_int_equal(json_type(json_path(v3, "data.group_only_greetings")), JSON_ARRAY);
}

static void v3_is_reduced_for_v2(void **state) {
    (void)state;
    struct card card = card_of(V3(
        "", SIX "," V2_REST ",\"extensions\":{},\"group_only_greetings\":[\"x\"],"
                "\"nickname\":\"Ib\",\"source\":[\"s\"],\"assets\":[],\"creation_date\":5,"
                "\"future\":1,\"character_book\":{\"extensions\":{},\"entries\":[{\"keys\":[\"k\"],"
                "\"content\":\"@@depth 2\\ntext\",\"extensions\":{},\"enabled\":true,"
                "\"insertion_order\":0,\"use_regex\":false}]}"));
    const struct json_value *copy = parsed(written(&card, CARD_V2_COPY));
    static const char *const gone[] = {"nickname", "source", "group_only_greetings", "assets",
                                       "creation_date"};
    for (size_t i = 0; i < COUNT_OF(gone); i++)
        assert_null(json_member(json_member(copy, "data"), gone[i]));
    assert_non_null(json_path(copy, "data.future"));
    assert_true(
        str_has(json_string(json_path(copy, "data.creator_notes"), STR("")), STR("reduced copy")));
    assert_true(
        str_eq(json_string(json_path(copy, "data.character_book.entries.0.content"), STR_NONE),
               STR("text")));
    const struct json_value *wanted = parsed(written(&card, CARD_V2)); /* V2 on purpose: no hint */
    assert_true(str_eq(json_string(json_path(wanted, "data.creator_notes"), STR("")), STR("n")));
}

static void edits_win(void **state) {
    (void)state;
    struct card card =
        card_of("{" SIX ",\"tags\":[],\"spec\":\"chara_card_v3\",\"spec_version\":\"3.0\","
                "\"data\":{" SIX ",\"nickname\":\"\",\"extensions\":{\"talkativeness\":0.1},"
                "\"modification_date\":1,\"character_book\":null}}");
    card.character.name = STR("Opus");
    card.character.nickname = STR("Op");
    card.character.talkativeness = 0.9;
    card.character.revision = 2;
    card.character.created_at = 1000000;
    card.character.updated_at = 2000000;
    card.has_book = true;
    card.book = lore_book_empty();
    const struct json_value *out = parsed(written(&card, CARD_V3)); /* parsing refuses doubles */
    assert_true(str_eq(json_string(json_path(out, "data.name"), STR_NONE), STR("Opus")));
    assert_true(str_eq(json_string(json_member(out, "name"), STR_NONE), STR("Opus"))); /* mirror */
    assert_true(str_eq(json_string(json_path(out, "data.nickname"), STR_NONE), STR("Op")));
    assert_true(json_number(json_path(out, "data.extensions.talkativeness"), 0) == 0.9);
    assert_int_equal(json_int(json_path(out, "data.modification_date"), 0), 2000);
    assert_int_equal(json_type(json_path(out, "data.character_book")), JSON_OBJECT);
}

static const struct {
    const char *json;
    int version; /* 0: refused */
    const char *name;
    const char *why;
} kinds[] = {
    {"{\"name\":\"A\",\"first_mes\":\"\"}", 1, "A", "V1 with one more member"},
    {"{\"name\":\"A\",\"description\":null}", 1, "A", "null where a text is due"},
    {"{\"name\":7,\"description\":\"\"}", 1, "7", "a number where a text is due"},
    {"{\"spec\":\"chara_card_v2\",\"data\":{}}", 2, "Unnamed", "everything missing"},
    {"{\"spec\":\"chara_card_v2\",\"spec_version\":2.0,\"data\":{\"name\":\"A\"}}", 2, "A",
     "a version that is a number"},
    {"{\"spec\":\"chara_card_v2\",\"name\":\"A\",\"description\":\"\"}", 1, "A",
     "V2 without data is V1"},
    {"{\"spec\":\"chara_card_v9\",\"data\":{\"name\":\"A\"}}", 3, "A", "something newer"},
    {"{\"spec\":\"chara_card_v3\",\"data\":{\"nickname\":\"N\",\"tags\":5,"
     "\"alternate_greetings\":\"one\",\"character_book\":[],\"extensions\":[]}}",
     3, "N", "all of the wrong type"},
    {"{\"char_name\":\"P\",\"char_persona\":\"x\"}", 1, "P", "Pygmalion"},
    {"{\"char_name\":\"P\",\"name\":\"Q\",\"description\":\"\"}", 1, "Q", "CAI Tools writes both"},
    {"\xEF\xBB\xBF{\"name\":\"A\",\"description\":\"\"}", 1, "A", "a byte order mark"},
    {"{\"name\":\"A\\u0000B\",\"description\":\"\"}", 1, "AB", "NUL means nothing in a card"},
    {"{\"name\":\"\",\"description\":\"\"}", 1, "Unnamed", "an empty name"},
    {"[]", 0, NULL, "an array"},
    {"5", 0, NULL, "a number"},
    {"{}", 0, NULL, "an empty object"},
    {"", 0, NULL, "nothing"},
    {"{\"name\":\"A\"}", 0, NULL, "a name alone is no card"},
    {"{\"name\":\"A\",\"description\":\"\"", 0, NULL, "cut short"},
    {"{\"name\":\"A\",\"name\":\"B\",\"description\":\"\"}", 0, NULL, "two members of one name"},
    {"{\"name\":\"\\ud800\",\"description\":\"\"}", 0, NULL, "half a surrogate pair"},
    {"{\"type\":\"risuModule\",\"module\":{}}", 0, NULL, "a RisuAI module"},
    {"{\"spec\":\"lorebook_v3\",\"data\":{\"name\":\"x\"}}", 0, NULL, "a lorebook"},
    {"{\"entries\":{}}", 0, NULL, "a World Info file"},
    {"{\"name\":\"A\",\"persona\":{},\"greeting\":\"\",\"scenario\":\"\",\"sampleChat\":\"\","
     "\"description\":\"\"}",
     0, NULL, "Agnai's own"},
    {"rcc||rccv1||x||y||z", 0, NULL, "encrypted by RisuAI"},
};

static void tells_kinds_apart(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct card card;
        const char *problem = NULL;
        enum err err = card_read(&arena, str_from(kinds[i].json), &card, &problem);
        if (kinds[i].version == 0) {
            if (err == E_OK || problem == NULL)
                fail_msg("%s: taken", kinds[i].why);
            continue;
        }
        if (err != E_OK || card.version != kinds[i].version ||
            !str_eq(card.character.name, str_from(kinds[i].name)))
            fail_msg("%s: err %d, version %d, name %.*s (%s)", kinds[i].why, err, card.version,
                     STR_ARG(card.character.name), problem ? problem : "");
        written(&card, CARD_V2);
        parsed(written(&card, CARD_V3));
    }
}

static void each_member_may_be_missing_or_odd(void **state) {
    (void)state;
    static const char *const names[] = {"name",
                                        "description",
                                        "personality",
                                        "scenario",
                                        "first_mes",
                                        "mes_example",
                                        "creator_notes",
                                        "system_prompt",
                                        "post_history_instructions",
                                        "alternate_greetings",
                                        "tags",
                                        "creator",
                                        "character_version",
                                        "extensions",
                                        "nickname",
                                        "source",
                                        "group_only_greetings",
                                        "character_book",
                                        "assets"};
    static const char *const values[] = {NULL, "null",   "5",    "\"text\"", "[]",
                                         "{}", "[1,{}]", "true", "-1e3"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        for (size_t k = 0; k < COUNT_OF(values); k++) {
            struct str data = STR("\"x\":1");
            for (size_t n = 0; n < COUNT_OF(names); n++)
                if (n != i)
                    data = str_printf(&arena, "%s,\"%s\":%s", data.at, names[n],
                                      n == 13 || n == 17 ? "{}" : "\"v\"");
                else if (values[k])
                    data = str_printf(&arena, "%s,\"%s\":%s", data.at, names[n], values[k]);
            struct str json =
                str_printf(&arena, "{\"spec\":\"chara_card_v3\",\"data\":{%s}}", data.at);
            struct card card = card_of(json.at);
            parsed(written(&card, CARD_V2_COPY));
            struct str out = written(&card, CARD_V3);
            struct card again = card_of(out.at);
            assert_true(is_same(parsed(out), parsed(written(&again, CARD_V3))));
        }
}

static void long_names_are_cut(void **state) {
    (void)state;
    struct buf json;
    buf_init(&json, 1 << 20);
    buf_add_str(&json, STR("{\"description\":\"\",\"name\":\""));
    for (int i = 0; i < 300; i++)
        buf_add_str(&json, STR("\xC3\xA9"));
    buf_add_str(&json, STR("\"}"));
    struct card card;
    const char *problem;
    assert_int_equal(card_read(&arena, buf_str(&json), &card, &problem), E_OK);
    assert_int_equal(card.character.name.len, 2 * CARD_NAME_LENGTH);
    assert_int_equal(card.warning_count, 1);
    buf_release(&json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(v2_comes_back),        ARENA_TEST(v3_comes_back),
        ARENA_TEST(troupe_travels),       ARENA_TEST(v1_becomes_v2_and_v3),
        ARENA_TEST(v3_is_reduced_for_v2), ARENA_TEST(edits_win),
        ARENA_TEST(tells_kinds_apart),    ARENA_TEST(each_member_may_be_missing_or_odd),
        ARENA_TEST(long_names_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
