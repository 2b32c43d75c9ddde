/* links: troupe_memory troupe_vendor_free troupe_embedded */
/* Learning by rules: what is said of oneself is found, what nobody claims is not. */
#include "memory/extract.h"

#include "base/check.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SAID_AT 1716206400000 /* Monday, 20 May 2024, 12:00 */

struct row {
    const char *said;
    const char *found
        [4]; /* "predicate=object", "-predicate=object" when it ends, "subject:predicate=object" */
};

/* clang-format off */
static const struct row rows[] = {
    /* who */
    {"My name is Mia.", {"name=Mia"}},
    {"hi! my name's mia", {"name=Mia"}},
    {"I'm Mia, nice to meet you", {"name=Mia"}},
    {"Hello, I am Mia Berg.", {"name=Mia Berg"}},
    {"You can call me Mimi.", {"nickname=Mimi"}},
    {"call me Mimi", {"nickname=Mimi"}},
    {"Everyone calls me Red.", {"nickname=Red"}},
    {"My full name is Mia Louise Berg.", {"full_name=Mia Louise Berg"}},
    {"My last name is Berg.", {"last_name=Berg"}},
    {"I go by Max.", {"nickname=Max"}},
    {"my pronouns are they/them", {"pronouns=they/them"}},
    /* age, birthday */
    {"I'm 27 years old.", {"age=27"}},
    {"im 34", {"age=34"}},
    {"I am twenty-seven years old", {"age=27"}},
    {"I just turned forty!", {"age=40"}},
    {"I'm a 31 year old nurse", {"age=31"}},
    {"My birthday is on May 3rd.", {"birthday=3 May"}},
    {"my birthday is the 14th of February", {"birthday=14 February"}},
    {"I was born on 12 June 1990.", {"birthday=12 June 1990"}},
    {"I was born in 1988.", {"born_in_year=1988"}},
    {"I was born in Lisbon.", {"comes_from=Lisbon"}},
    /* where */
    {"I live in Bristol.", {"lives_in=Bristol"}},
    {"I live in Bristol with my two cats", {"lives_in=Bristol"}},
    {"I currently live in New York City.", {"lives_in=New York City"}},
    {"I've been living in Leeds for ten years.", {"lives_in=Leeds"}},
    {"I moved to Leeds last month.", {"lives_in=Leeds"}},
    {"We moved to Edinburgh because of my job", {"lives_in=Edinburgh"}},
    {"I just moved back to Porto!", {"lives_in=Porto"}},
    {"I moved from Bristol to Leeds.", {"lives_in=Leeds"}},
    {"I'm based in Berlin these days.", {"lives_in=Berlin"}},
    {"I'm from Ohio originally.", {"comes_from=Ohio"}},
    {"I come from a small village near Siena", {NULL}},
    {"I grew up in Naples.", {"comes_from=Naples"}},
    {"I no longer live in Bristol.", {"-lives_in=Bristol"}},
    {"I don't live in Bristol anymore.", {"-lives_in=Bristol"}},
    {"I used to live in Oslo.", {"lived_in=Oslo"}},
    {"My apartment is in Queens.", {"lives_in=Queens"}},
    {"I live with my grandmother.", {"lives_with=grandmother"}},
    {"I live in a bubble", {NULL}},
    {"I'm moving to Madrid next month.", {"plans_to_move=Madrid"}},
    /* work and study */
    {"I work as a nurse.", {"works_as=nurse"}},
    {"I work as an engineer at Siemens.", {"works_as=engineer"}},
    {"I work at the city library.", {"works_at=the city library"}},
    {"I work for Greenpeace", {"works_at=Greenpeace"}},
    {"I work in marketing.", {"works_in=marketing"}},
    {"I'm a carpenter.", {"is=carpenter"}},
    {"I'm an electrician, actually.", {"is=electrician"}},
    {"I started a new job at Mozilla!", {"works_at=Mozilla"}},
    {"I got a job as a baker", {"works_as=baker"}},
    {"I quit my job.", {"-works_at="}},
    {"I got fired yesterday", {"-works_at="}},
    {"I no longer work at Siemens.", {"-works_at=Siemens"}},
    {"I don't work for Greenpeace anymore", {"-works_at=Greenpeace"}},
    {"I retired last year.", {"works_as=retired"}},
    {"I used to work as a chef.", {"worked_as=chef"}},
    {"I teach chemistry.", {"teaches=chemistry"}},
    {"I study biology at Oxford.", {"studies=biology"}},
    {"I'm studying law.", {"studies=law"}},
    {"I run a small bakery.", {"runs=bakery"}},
    {"I live in Bristol and work as a nurse.", {"lives_in=Bristol", "works_as=nurse"}},
    {"I live in Bristol, and I work at the harbour.", {"lives_in=Bristol", "works_at=the harbour"}},
    /* how things stand */
    {"I'm single.", {"relationship_status=single"}},
    {"I got divorced in March", {"relationship_status=divorced"}},
    {"We got married!", {"relationship_status=married"}},
    {"I'm married to Tom.", {"partner=Tom"}},
    {"I am dating Sam.", {"partner=Sam"}},
    {"My girlfriend is called Ida.", {"partner=Ida"}},
    {"my husband's name is Karl", {"partner=Karl"}},
    {"I broke up with Sam.", {"-partner=Sam"}},
    /* family */
    {"My sister is called Anna.", {"sister:named=Anna"}},
    {"My mom's name is Ruth.", {"mom:named=Ruth"}},
    {"I have a brother named Leo.", {"brother:named=Leo"}},
    {"I have two sisters.", {"has_family=2 sisters"}},
    {"I have no siblings", {"has_family=no siblings"}},
    {"I'm an only child.", {"has_family=no siblings"}},
    {"My sister Anna lives in Rome.", {"Anna:lives_in=Rome"}},
    {"My brother works as a pilot.", {"brother:works_as=pilot"}},
    {"My daughter is 5 years old.", {"daughter:age=5"}},
    {"My grandmother passed away.", {"grandmother:lost="}},
    {"My father is a doctor.", {"father:is=doctor"}},
    {"I'm pregnant!", {"expecting=baby"}},
    /* animals */
    {"I have a dog.", {"has_pet=dog"}},
    {"I have a cat named Luna.", {"has_pet=cat Luna"}},
    {"My cat's name is Luna.", {"has_pet=cat Luna"}},
    {"My dog is called Rex", {"has_pet=dog Rex"}},
    {"We adopted a kitten called Pixel", {"has_pet=kitten Pixel"}},
    {"I've got a hamster", {"has_pet=hamster"}},
    {"My dog Rex died last week.", {"lost_pet=Rex"}},
    {"I have three cats.", {"has_pet=3 cats"}},
    /* body and food */
    {"I'm allergic to peanuts.", {"allergic_to=peanuts"}},
    {"My boyfriend Tom is allergic to nuts.", {"Tom:allergic_to=nuts"}},
    {"My sister is allergic to cats.", {"sister:allergic_to=cats"}},
    {"I have been learning Portuguese for a year.", {"learns=Portuguese"}},
    {"I am learning to play the harp", {"learns=play the harp"}},
    {"I'm learning how to weld.", {"learns=weld"}},
    {"My aunt Vera moved to Malta.", {"Vera:lives_in=Malta"}},
    {"I've been studying botany", {"studies=botany"}},
    {"I am severely allergic to bee stings", {"allergic_to=bee stings"}},
    {"I have a shellfish allergy.", {"allergic_to=shellfish"}},
    {"I'm lactose intolerant.", {"allergic_to=lactose"}},
    {"I'm a vegetarian.", {"diet=vegetarian"}},
    {"I went vegan", {"diet=vegan"}},
    {"I don't eat pork.", {"avoids=pork"}},
    {"I don't drink.", {"avoids=alcohol"}},
    {"I was diagnosed with celiac disease.", {"has_condition=celiac disease"}},
    {"I'm afraid of spiders.", {"fears=spiders"}},
    {"I quit smoking.", {"did=quit smoking"}},
    /* likes */
    {"I love hiking.", {"likes=hiking"}},
    {"I really like strong coffee.", {"likes=strong coffee"}},
    {"I enjoy cooking and gardening.", {"likes=cooking and gardening"}},
    {"I'm a big fan of jazz", {"likes=jazz"}},
    {"I'm into photography.", {"likes=photography"}},
    {"I hate mushrooms.", {"dislikes=mushrooms"}},
    {"I can't stand loud music.", {"dislikes=loud music"}},
    {"I don't like horror movies.", {"dislikes=horror movies"}},
    {"I'm not a fan of crowds.", {"dislikes=crowds"}},
    {"I never liked football", {"dislikes=football"}},
    {"My favourite colour is green.", {"favourite_colour=green"}},
    {"my favorite food is ramen", {"favourite_food=ramen"}},
    {"My favourite book is The Hobbit", {"favourite_book=The Hobbit"}},
    {"I prefer tea over coffee.", {"prefers=tea"}},
    {"I used to love sushi.", {"-likes=sushi"}},
    {"I don't like coffee anymore.", {"-likes=coffee"}},
    {"I no longer like jazz.", {"-likes=jazz"}},
    {"I love to swim in the sea.", {"likes=to swim in the sea"}},
    /* doing and having */
    {"I play the piano.", {"plays=piano"}},
    {"I play football.", {"plays=football"}},
    {"I can speak Spanish.", {"can=speak Spanish"}},
    {"I speak Portuguese and a little German.", {"speaks=Portuguese and a little German"}},
    {"I drive an old Volvo.", {"drives=old Volvo"}},
    {"I collect stamps.", {"collects=stamps"}},
    {"I own a boat.", {"has=boat"}},
    {"I have a motorbike.", {"has=motorbike"}},
    {"I sold my motorbike.", {"-has=motorbike"}},
    {"I go running every morning.", {"habit=running"}},
    {"I used to play chess.", {"used_to=play chess"}},
    {"I'm learning Japanese.", {"learns=Japanese"}},
    {"My dream is to open a bookshop.", {"goal=to open a bookshop"}},
    {"I am writing a novel.", {"works_on=novel"}},
    {"I'm left-handed.", {"handedness=left"}},
    {"I'm German.", {"nationality=German"}},
    /* the two */
    {"You're my best friend.", {"user calls:bond=best friend"}},
    {"I love you", {"bond=love"}},
    /* plans */
    {"I have an exam on Friday.", {"plans=exam on 24 May 2024"}},
    {"I have a job interview tomorrow.", {"plans=job interview on 21 May 2024"}},
    {"My exam is on June 3rd.", {"plans=exam on 3 June 2024"}},
    {"We're flying to Rome in two weeks.", {"plans=Rome on 3 June 2024"}},
    {"I'm visiting my parents next week", {"plans=their parents in the week of 27 May 2024"}},
    {"We are getting married on 12 October.", {"plans=wedding on 12 October 2024"}},
    /* remembering */
    {"Remember that I'm allergic to nuts.", {"allergic_to=nuts"}},
    {"Please remember: my locker code is 4711.", {"asked_to_remember=my locker code is 4711"}},
    {"Don't forget that my sister is called Anna.", {"sister:named=Anna"}},
    /* beginnings that people use */
    {"By the way, I live in Porto.", {"lives_in=Porto"}},
    {"Well, I'm a nurse.", {"is=nurse"}},
    {"haha yeah i love cats", {"likes=cats"}},
    {"I like tea but I hate milk", {"likes=tea", "dislikes=milk"}},
    {"Honestly I prefer the mountains", {"prefers=the mountains"}},
    {"I told you I live in Porto.", {"lives_in=Porto"}},
    {"\"I live in Porto,\" I say.", {"lives_in=Porto"}},
    {"*waves* I'm from Chile", {"comes_from=Chile"}},
    {"I got the job at the museum!", {"works_at=the museum"}},
    {"We have two kids, Tom and Lily.", {"has_family=2 kids"}},
    {"My favourite film of all time is Alien.", {"favourite_film=Alien"}},
    {"My favourite ice cream is pistachio.", {"favourite_ice_cream=pistachio"}},
    {"My parents live in Florida.", {"family:lives_in=Florida"}},
    {"Anna is my sister.", {"sister:named=Anna"}},
    {"Luna is my cat.", {"has_pet=cat Luna"}},
    {"I work nights at the hospital.", {"works_at=the hospital"}},
    {"*she laughs* My name is Mia.", {"name=Mia"}},
    /* nothing of it is claimed */
    {"I'm 30 and single.", {"age=30"}},
    {"I run every morning.", {"habit=run every morning"}},
    {"I'm Sorry!", {NULL}},
    {"I have my reasons.", {NULL}},
    {"I speak the truth.", {NULL}},
    {"I play with fire.", {NULL}},
    {"I hate myself.", {NULL}},
    {"I used to think so too.", {NULL}},
    {"My mother is Italian.", {NULL}},
    {"I draw my sword. \"My name is Sir Galen!\" I shout.", {NULL}},
    {"I have a crush on you.", {NULL}},
    {"I work out every day.", {NULL}},
    {"I want to be with you.", {NULL}},
    {"I'm Hungry.", {NULL}},
    {"I like to think that I'm a good person.", {NULL}},
    {"I have a gift for you.", {NULL}},
    {"I'm studying for my exams.", {NULL}},
    {"I'm going to bed, good night.", {NULL}},
    {"I can't wait to see you!", {NULL}},
    {"I don't remember my password.", {NULL}},
    {"Do I live in Bristol?", {NULL}},
    {"Do you think I like tea?", {NULL}},
    {"If I lived in Rome, I would eat out every day.", {NULL}},
    {"I wish I had a dog.", {NULL}},
    {"Imagine I have a yacht.", {NULL}},
    {"Suppose I work as a spy.", {NULL}},
    {"I might move to Paris.", {NULL}},
    {"Maybe I'm allergic to work.", {NULL}},
    {"I would love a cat.", {NULL}},
    {"She said \"I live in Rome\".", {NULL}},
    {"My friend says I am lazy.", {NULL}},
    {"He told me I have a gift.", {NULL}},
    {"The song goes: \"I love rock and roll\".", {NULL}},
    {"\"I am the king of Rome,\" says the madman.", {NULL}},
    {"I dreamed I had a horse.", {NULL}},
    {"*I live in a castle and rule the land*", {NULL}},
    {"I love it.", {NULL}},
    {"I like that.", {NULL}},
    {"I love how you say that", {NULL}},
    {"I hate this.", {NULL}},
    {"I have a question.", {NULL}},
    {"I have a headache", {NULL}},
    {"I have a feeling.", {NULL}},
    {"I'm a bit tired.", {NULL}},
    {"I am tired.", {NULL}},
    {"I'm fine, thanks.", {NULL}},
    {"I'm in the kitchen", {NULL}},
    {"I have been busy.", {NULL}},
    {"I have to go.", {NULL}},
    {"I like your hat.", {NULL}},
    {"I'm 5 minutes away", {NULL}},
    {"You live in Bristol.", {NULL}},
    {"Tell me about your sister.", {NULL}},
    {"The weather is nice today.", {NULL}},
    {"I work hard.", {NULL}},
    {"What if I had a twin?", {NULL}},
    {"They live in a small house.", {NULL}},
    {"I had a great day", {NULL}},
    {"I have a dream", {NULL}},
    {"I am not a nurse.", {NULL}},
    {"I don't live in Rome.", {NULL}},
};
/* clang-format on */

static bool is_found(const struct memory_item *item, const char *expected) {
    char text[512];
    struct str subject = item->subject;
    bool is_own = str_eq(subject, STR("user")) || str_eq(subject, STR("Mia"));
    snprintf(text, sizeof text, "%s" STR_FMT "%s" STR_FMT "=" STR_FMT, item->ends ? "-" : "",
             is_own ? 0 : (int)subject.len, subject.at, is_own ? "" : ":", STR_ARG(item->predicate),
             STR_ARG(item->object));
    const char *colon = strchr(expected, ':');
    if (is_own && colon)
        expected = colon + 1;
    return strcmp(text, expected) == 0;
}

static bool check(const struct row *row) {
    struct arena arena;
    arena_init(&arena);
    struct memory_cast cast = {.user_name = STR("Mia"), .character_name = STR("Ada")};
    struct memory_line line = {.message_id = 7,
                               .at = SAID_AT,
                               .is_user = true,
                               .name = STR("Mia"),
                               .text = str_from(row->said)};
    struct memory_items items = {0};
    extract_by_rules(&arena, &line, &cast, &items);
    size_t wanted = 0, hits = 0;
    while (wanted < 4 && row->found[wanted])
        wanted++;
    for (size_t w = 0; w < wanted; w++)
        for (size_t i = 0; i < items.count; i++)
            if (is_found(&items.items[i], row->found[w])) {
                hits++;
                break;
            }
    bool good = hits == wanted && items.count == wanted;
    if (!good) {
        print_error("%s\n", row->said);
        for (size_t i = 0; i < items.count; i++)
            print_error("    %s" STR_FMT ":" STR_FMT "=" STR_FMT " | " STR_FMT "\n",
                        items.items[i].ends ? "-" : "", STR_ARG(items.items[i].subject),
                        STR_ARG(items.items[i].predicate), STR_ARG(items.items[i].object),
                        STR_ARG(items.items[i].text));
    }
    arena_release(&arena);
    return good;
}

static void test_sentences(void **state) {
    (void)state;
    size_t bad = 0;
    assert_true(COUNT_OF(rows) >= 150);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        bad += !check(&rows[i]);
    assert_int_equal(bad, 0);
}

static void test_texts(void **state) {
    (void)state;
    /* clang-format off */
    static const struct { const char *said, *text; bool is_user; } texts[] = {
        {"I live in Bristol.", "Mia lives in Bristol.", true},
        {"I work as an engineer.", "Mia works as an engineer.", true},
        {"My sister Anna lives in Rome.", "Mia's sister Anna lives in Rome.", true},
        {"I love walking with my dog.", "Mia loves walking with their dog.", true},
        {"I'm allergic to peanuts.", "Mia is allergic to peanuts.", true},
        {"\"I grew up in Porto,\" she says with a smile.", "Ada grew up in Porto.", false},
        {"You're my best friend.", "Mia calls Ada their best friend.", true},
    };
    /* clang-format on */
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct arena arena;
        arena_init(&arena);
        struct memory_cast cast = {.user_name = STR("Mia"), .character_name = STR("Ada")};
        struct memory_line line = {.message_id = 7,
                                   .at = SAID_AT,
                                   .is_user = texts[i].is_user,
                                   .text = str_from(texts[i].said)};
        struct memory_items items = {0};
        extract_by_rules(&arena, &line, &cast, &items);
        assert_int_equal(items.count, 1);
        assert_string_equal(str_dup_z(&arena, items.items[0].text), texts[i].text);
        assert_true(str_eq(items.items[0].subject,
                           texts[i].is_user ? items.items[0].subject : STR("character")));
        assert_int_equal(items.items[0].sources[0], 7);
        arena_release(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sentences),
                                       cmocka_unit_test(test_texts)};
    clock_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
