/* links: troupe_memory */
#include "memory/question.h"

#include "base/buf.h"
#include "base/check.h"
#include "memory/pieces.h"
#include "memory/stem.h"
#include "scratch.h"
#include "store/db.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TEXT(s) \
    { s, sizeof(s) - 1 }

static const struct memory_speaker cast[] = {
    {MEMORY_USER, 0, TEXT("Ann Lindqvist")},
    {MEMORY_CHARACTER, 1, TEXT("Bo")},
};

/* terms: stems in order; wanted: 0 Ann (the person), 1 Bo, -1 nobody. */
static const struct row {
    const char *text, *embed, *terms;
    int wanted;
    bool asks_time, asks_number;
} rows[] = {
    {"When did Ann move?", "When did I move?", "move", 0, true, false},
    {"What is Ann's favourite tea?", "What is my favourite tea?", "favourit tea", 0, false, false},
    {"What is Ann\xe2\x80\x99s job?", "What is my job?", "job", 0, false, false},
    {"Where does Ann Lindqvist work?", "Where do I work?", "work", 0, false, false},
    {"What is Ann Lindqvist's cat called?", "What is my cat called?", "cat call", 0, false, false},
    {"Why did Bo sell his boat?", "Why did I sell my boat?", "sell boat", 1, false, false},
    {"What did Bo tell her, and what hurt him?", "What did I tell my, and what hurt me?",
     "tell hurt", 1, false, false},
    {"Did Ann and Bo meet in Paris?", "Did we meet in Paris?", "meet pari", -1, false, false},
    {"How many bicycles does Bo own?", "How many bicycles do I own?", "mani bicycl", 1, false,
     true},
    {"What are Ann and Bo's plans?", "What are our plans?", "plan", -1, false, false},
    {"Is Bo happy, and has he slept?", "am I happy, and have I slept?", "happi slept", 1, false,
     false},
    {"Ann is tall, isn't she?", "I am tall, isn't I?", "tall", 0, false, false},
    {"How long was Ann in Spain?", "How long was I in Spain?", "long spain", 0, true, true},
    {"Which year did the war end?", "Which year did the war end?", "year war end", -1, true, false},
    {"what did ann say", "what did I say", "sai", 0, false, false},
    {"What does Lindqvist grow?", "What do I grow?", "grow", 0, false, false},
    {"Where did Lindqist go?", "Where did I go?", "go", 0, false, false},
    {"where is my sister", "where is my sister", "sister", 0, false, false},
    {"where is your sister?", "where is my sister?", "sister", 1, false, false},
    {"Do you remember my sister?", "Do you remember my sister?", "rememb sister", 0, false, false},
    {"What did you tell me about yourself?", "What did I tell you about myself?", "tell", 1, false,
     false},
    {"Can you tell me where my keys are?", "Can you tell me where my keys are?", "tell kei", 0,
     false, false},
    {"tea tea TEA teas", "tea tea TEA teas", "tea", -1, false, false},
    {"the of and", "the of and", "", -1, false, false},
    {"caf\xc3\xa9 cr\xc3\xa8me", "caf\xc3\xa9 cr\xc3\xa8me", "cafe creme", -1, false, false},
    {"", "", "", -1, false, false},
};

static struct str terms_of(struct arena *arena, const struct question *q) {
    struct buf buf;
    buf_init(&buf, 4096);
    for (size_t i = 0; i < q->term_count; i++) {
        if (i > 0)
            buf_add_char(&buf, ' ');
        buf_add_str(&buf, q->terms[i].stem);
    }
    struct str text = str_dup(arena, buf_str(&buf));
    buf_release(&buf);
    return text;
}

static void questions_are_read(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena;
        arena_init(&arena);
        struct question q = question_read(&arena, str_from(rows[i].text), cast, COUNT_OF(cast), 0);
        struct str terms = terms_of(&arena, &q);
        if (!str_eq(q.embed_text, str_from(rows[i].embed)) ||
            !str_eq(terms, str_from(rows[i].terms)) || q.wanted != rows[i].wanted ||
            q.asks_time != rows[i].asks_time || q.asks_number != rows[i].asks_number)
            fail_msg("%s: \"" STR_FMT "\", terms \"" STR_FMT "\", wanted %d, time %d, number %d",
                     rows[i].text, STR_ARG(q.embed_text), STR_ARG(terms), q.wanted, q.asks_time,
                     q.asks_number);
        arena_release(&arena);
    }
}

/* Two people of one name: nobody is meant; one person of two names: both are meant. */
static void names_that_are_shared(void **state) {
    (void)state;
    static const struct memory_speaker same[] = {{MEMORY_USER, 0, TEXT("Sam Ray")},
                                                 {MEMORY_CHARACTER, 1, TEXT("Sam Lee")}};
    static const struct memory_speaker renamed[] = {{MEMORY_USER, 0, TEXT("Mia")},
                                                    {MEMORY_USER, 0, TEXT("Captain")},
                                                    {MEMORY_CHARACTER, 1, TEXT("Zoe")}};
    struct arena arena;
    arena_init(&arena);
    assert_int_equal(question_read(&arena, STR("Where does Sam live?"), same, 2, 0).wanted, -1);
    assert_int_equal(question_read(&arena, STR("Where does Lee live?"), same, 2, 0).wanted, 1);
    assert_int_equal(question_read(&arena, STR("Where does Captain live?"), renamed, 3, 0).wanted,
                     0);
    assert_int_equal(
        question_read(&arena, STR("Where does Mia the Captain live?"), renamed, 3, 0).wanted, 0);
    arena_release(&arena);
}

static void long_texts_are_bounded(void **state) {
    (void)state;
    struct arena arena;
    struct buf buf;
    arena_init(&arena);
    buf_init(&buf, 1 << 20);
    for (int i = 0; i < 5000; i++)
        buf_printf(&buf, "word%d ", i);
    struct question q = question_read(&arena, buf_str(&buf), cast, COUNT_OF(cast), 0);
    assert_int_equal(q.term_count, QUESTION_TERMS_LIMIT);
    buf_release(&buf);
    arena_release(&arena);
}

/* --- stems ---------------------------------------------------------------------------------- */

static const char vocabulary[] =
    "caresses ponies ties caress cats feed agreed plastered bled motoring sing conflated troubled sized hopping tanned "
    "falling hissing fizzed failing filing happy sky relational conditional rational valenci hesitanci digitizer "
    "conformabli radicalli differentli vileli analogousli vietnamization predication operator feudalism decisiveness "
    "hopefulness callousness formaliti sensitiviti sensibiliti triplicate formative formalize electriciti electrical "
    "hopeful goodness revival allowance inference airliner gyroscopic adjustable defensible irritant replacement "
    "adjustment dependent adoption homologou communism activate angulariti homologous effective bowdlerize probate rate "
    "cease controll roll decision possibly probably biology apologies running flies dies mules denied died owned "
    "humbled meeting stating siezing itemization sensational traditional reference colonizer plotted a an is as be by "
    "university universe generously generate skating skates skater photography photographs children children's houses "
    "easily definitely lovely abilities responsibilities yes says queries biking hiked kayaking zoology technology";

static struct db *db;

static int open_words(void **state) {
    (void)state;
    scratch_make();
    assert_int_equal(db_open(scratch_path("t.db"), DB_WRITE, &db), E_OK);
    assert_int_equal(stmt_run(DB_SQL(db, "CREATE VIRTUAL TABLE stems USING fts5 (text, "
                                         "tokenize = \"porter unicode61\")")),
                     E_OK);
    assert_int_equal(
        stmt_run(DB_SQL(db, "CREATE VIRTUAL TABLE vocabulary USING fts5vocab (stems, instance)")),
        E_OK);
    return 0;
}

static int close_words(void **state) {
    (void)state;
    db_close(db);
    scratch_remove();
    return 0;
}

static void stems_are_those_of_the_index(void **state) {
    (void)state;
    struct str rest = STR(vocabulary), word;
    int64_t id = 0;
    while (str_next(&rest, ' ', &word)) {
        if (str_find_char(word, '\'', 0) >= 0)
            continue; /* the tokenizer makes two words of it */
        struct stmt *s = DB_SQL(db, "INSERT INTO stems (rowid, text) VALUES (:id, :text)");
        bind_int(s, ":id", ++id);
        bind_str(s, ":text", word);
        assert_int_equal(stmt_run(s), E_OK);
        s = DB_SQL(db, "SELECT term FROM vocabulary WHERE doc = :id");
        bind_int(s, ":id", id);
        assert_true(stmt_row(s));
        char out[STEM_LIMIT_BYTES];
        struct str ours = stem(word, out);
        if (!str_eq(ours, column_str(s, 0)))
            fail_msg(STR_FMT ": ours " STR_FMT ", the index has " STR_FMT, STR_ARG(word),
                     STR_ARG(ours), STR_ARG(column_str(s, 0)));
        assert_int_equal(stmt_done(s), E_OK);
    }
}

static void what_is_no_english_word_is_its_own_stem(void **state) {
    (void)state;
    static const char *const words[] = {
        "", "a", "is", "x9ing", "caf\xc3\xa9s", "\xd0\xba\xd0\xbe\xd1\x82"};
    char out[STEM_LIMIT_BYTES];
    for (size_t i = 0; i < COUNT_OF(words); i++)
        assert_true(str_eq(stem(str_from(words[i]), out), str_from(words[i])));
    char longest[200];
    memset(longest, 'e', sizeof longest);
    assert_int_equal(stem(str_of(longest, sizeof longest), out).len, sizeof longest);
}

/* --- pieces and form ------------------------------------------------------------------------- */

static const struct piece_row {
    const char *text, *pieces; /* separated by | */
    bool is_question, has_time, has_number;
} piece_rows[] = {
    {"I moved to Leeds. It rains a lot here!", "I moved to Leeds.|It rains a lot here!", false,
     false, false},
    {"Oh wow! That is great news.", "Oh wow!|That is great news.", false, false, false},
    {"That is great news. Oh wow!", "That is great news. Oh wow!", false, false, false},
    {"It costs 3.50 euros.", "It costs 3.50 euros.", false, false, true},
    {"first line of it\nsecond line of it", "first line of it|second line of it", false, false,
     false},
    {"Look at this! [a photo of a dog. It sleeps]", "Look at this!|[a photo of a dog. It sleeps]",
     false, false, false},
    {"Is it you? [a photo of a dog]", "Is it you?|[a photo of a dog]", true, false, false},
    {"\"Really?!\" *laughs*", "\"Really?!\" *laughs*", false, false, false},
    {"\"Are you really coming?\"", "\"Are you really coming?\"", true, false, false},
    {"I went there last summer with two friends", "I went there last summer with two friends",
     false, true, true},
    {"We met in 2019.", "We met in 2019.", false, true, true},
    {"...", "", false, false, false},
    {"", "", false, false, false},
    {"   \n\n ", "", false, false, false},
    {"[unclosed bracket here", "[unclosed bracket here", false, false, false},
};

static void turns_are_cut_into_sentences(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(piece_rows); i++) {
        struct arena arena;
        struct buf buf;
        size_t count;
        arena_init(&arena);
        buf_init(&buf, 4096);
        struct str text = str_from(piece_rows[i].text);
        struct str *pieces = pieces_of(&arena, text, &count);
        for (size_t k = 0; k < count; k++)
            buf_printf(&buf, "%s" STR_FMT, k > 0 ? "|" : "", STR_ARG(pieces[k]));
        struct text_form form = text_form_of(&arena, text);
        if (!str_eq(buf_str(&buf), str_from(piece_rows[i].pieces)) ||
            form.is_question != piece_rows[i].is_question ||
            form.has_time != piece_rows[i].has_time || form.has_number != piece_rows[i].has_number)
            fail_msg("%s: \"" STR_FMT "\", question %d, time %d, number %d", piece_rows[i].text,
                     STR_ARG(buf_str(&buf)), form.is_question, form.has_time, form.has_number);
        buf_release(&buf);
        arena_release(&arena);
    }
}

static void a_turn_of_a_thousand_sentences_has_a_few_pieces(void **state) {
    (void)state;
    struct arena arena;
    struct buf buf;
    size_t count;
    arena_init(&arena);
    buf_init(&buf, 1 << 20);
    for (int i = 0; i < 1000; i++)
        buf_add_str(&buf, STR("This is a sentence. "));
    struct str *pieces = pieces_of(&arena, buf_str(&buf), &count);
    assert_int_equal(count, PIECES_LIMIT);
    assert_true(pieces[count - 1].at + pieces[count - 1].len == buf.at + buf.len - 1);
    buf_release(&buf);
    arena_release(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_are_read),
        cmocka_unit_test(names_that_are_shared),
        cmocka_unit_test(long_texts_are_bounded),
        cmocka_unit_test_setup_teardown(stems_are_those_of_the_index, open_words, close_words),
        cmocka_unit_test(what_is_no_english_word_is_its_own_stem),
        cmocka_unit_test(turns_are_cut_into_sentences),
        cmocka_unit_test(a_turn_of_a_thousand_sentences_has_a_few_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
