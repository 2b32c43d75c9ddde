/*
 * Matching goes from left to right and tries again with fewer words where a phrase was too greedy.
 * Captured words are turned from the first person into the third ("my" is "their"), because they
 * end up in a sentence about the speaker.
 */
#include "memory/patterns.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/text.h"
#include "memory/calendar.h"

#include <string.h>

#include "base/banned.h"

#define PHRASE_WORDS 12
#define PLACE_WORDS  5
#define NAME_WORDS   3

static const char LEADS[] =
    "well oh so yes yeah yep no nope hey hi hello okay ok actually honestly anyway also and but btw please listen look haha lol hmm um uh "
    "ah wow sure right sorry thanks plus because since fyi today nowadays currently now then recently finally indeed "
    "remember note know see personally lately sadly unfortunately luckily yesterday";
static const char RELATIVES[] =
    "mother father sister brother son daughter wife husband boyfriend girlfriend partner fiance fiancée fiancee cousin aunt uncle niece "
    "nephew grandmother grandfather grandson granddaughter twin stepmother stepfather stepsister stepbrother roommate "
    "flatmate housemate boss colleague neighbour neighbor friend bestie ex baby kid child teacher coach mentor";
static const char PETS[] =
    "dog cat puppy kitten hamster rabbit bunny parrot budgie horse pony goldfish fish snake lizard gecko turtle tortoise ferret "
    "rat mouse bird chicken hen duck goat pig spider tarantula hedgehog cockatiel canary iguana llama donkey";
static const char STOPS[] =
    "because but so when while since which who whom that if though although whenever where until unless as \" like";
static const char PLACE_STOPS[] =
    "because but so when while since which who that if though although until unless as for with right these at near "
    "before after and i my from during on by alone together anymore last next this these now about where to every each \" "
    "yesterday today tomorrow soon";
static const char FILLERS[] =
    "too though now anyway haha lol actually either again already well honestly btw please ok okay anymore xd yeah "
    "then obviously tho really a lot so much very more than anything forever right moment these days still originally";
static const char MONTHS[] =
    "january february march april may june july august september october november december jan feb mar apr jun jul aug sep "
    "sept oct nov dec";

struct state {
    struct arena *arena;
    const struct token *tokens;
    size_t count;
    struct match *match;
};

/* --- captured text ------------------------------------------------------------------------------ */

static struct str third_person(struct str low) {
    static const struct {
        const char *first;
        const char *third;
    } words[] = {{"my", "their"},   {"mine", "theirs"},       {"me", "them"},
                 {"i", "they"},     {"myself", "themselves"}, {"our", "their"},
                 {"us", "them"},    {"we", "they"},           {"am", "are"},
                 {"ours", "theirs"}};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (str_eq(low, str_from(words[i].first)))
            return str_from(words[i].third);
    return STR_NONE;
}

/* What stood between two words: nothing before 's, a hyphen, or a space. */
static void add_gap(struct buf *buf, const struct token *left, const struct token *right) {
    if (right->low.at[0] == '\'')
        return;
    const char *end = left->view.at + left->view.len;
    bool is_near = right->view.at == end + 1;
    buf_add_char(buf, is_near && strchr("-&/.", *end) && *end ? *end : ' ');
    if (right->has_break && buf->at[buf->len - 1] == ' ')
        buf_cut(buf, buf->len - 1), buf_add_str(buf, STR(", "));
}

static struct str phrase(struct state *s, size_t from, size_t to) {
    struct buf buf;
    buf_init(&buf, 4000);
    for (size_t i = from; i < to; i++) {
        if (i > from)
            add_gap(&buf, &s->tokens[i - 1], &s->tokens[i]);
        struct str third = third_person(s->tokens[i].low);
        buf_add_str(&buf, third.len > 0 ? third : s->tokens[i].view);
    }
    struct str text = str_dup(s->arena, buf_str(&buf));
    buf_release(&buf);
    return text;
}

static struct str capitalised(struct arena *arena, struct str word) {
    char *copy = str_dup_z(arena, word);
    if (word.len > 0 && copy[0] >= 'a' && copy[0] <= 'z')
        copy[0] = (char)(copy[0] - 32);
    return str_of(copy, word.len);
}

/* --- what one element takes: how many tokens from `at`, 0 for none --------------------------------- */

static int number_word(struct str low) {
    static const char *const words[] = {"zero",    "one",     "two",       "three",    "four",
                                        "five",    "six",     "seven",     "eight",    "nine",
                                        "ten",     "eleven",  "twelve",    "thirteen", "fourteen",
                                        "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
    static const char *const tens[] = {"twenty", "thirty",  "forty",  "fifty",
                                       "sixty",  "seventy", "eighty", "ninety"};
    int64_t value;
    if (low.len <= 4 && str_to_int(low, &value) == E_OK && value >= 0)
        return (int)value;
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (str_eq(low, str_from(words[i])))
            return (int)i;
    for (size_t i = 0; i < COUNT_OF(tens); i++)
        if (str_eq(low, str_from(tens[i])))
            return (int)(20 + 10 * i);
    return -1;
}

static size_t take_number(struct state *s, size_t at, int *value) {
    *value = number_word(s->tokens[at].low);
    if (*value < 0)
        return 0;
    int more = at + 1 < s->count && *value >= 20 && *value % 10 == 0 && *value < 100 &&
                       s->tokens[at].low.at[0] > '9'
                   ? number_word(s->tokens[at + 1].low)
                   : -1;
    if (more <= 0 || more > 9)
        return 1;
    *value += more;
    return 2;
}

static size_t take_name(struct state *s, size_t at, bool any) {
    size_t n = 0;
    while (at + n < s->count && n < NAME_WORDS && s->tokens[at + n].is_capital &&
           !str_eq(s->tokens[at + n].low, STR("i")) && (n == 0 || !s->tokens[at + n].has_break))
        n++;
    if (n == 0 && any && at + 1 == s->count && number_word(s->tokens[at].low) < 0 &&
        !word_in(s->tokens[at].low,
                 "not a the so you it her him later back out sick tired fine ok okay"))
        return 1;
    return n;
}

static size_t take_word(struct state *s, size_t at, const char *list) {
    return word_in(s->tokens[at].low, list);
}

static size_t take_relative(struct state *s, size_t at) {
    size_t skip = word_in(
        s->tokens[at].low,
        "little big older younger elder twin best late oldest youngest eldest dear new old good");
    if (at + skip >= s->count || !take_word(s, at + skip, RELATIVES))
        return 0;
    size_t n = skip + 1;
    if (at + n + 1 < s->count && str_eq(s->tokens[at + n].low, STR("in")) &&
        str_eq(s->tokens[at + n + 1].low, STR("law")))
        n += 2;
    if (at + n < s->count && str_eq(s->tokens[at + n].low, STR("friend")))
        n++;
    return n;
}

static size_t take_pet(struct state *s, size_t at) {
    size_t n = 0;
    /* "old grey cat": up to two words before the animal, "guinea pig" among them */
    while (n < 2 && at + n < s->count && !take_word(s, at + n, PETS) &&
           !word_in(s->tokens[at + n].low, "and is 's was a the not of for to"))
        n++;
    return at + n < s->count && take_word(s, at + n, PETS) ? n + 1 : 0;
}

static int month_of(struct str low) {
    for (size_t i = 0; i < COUNT_OF(calendar_month_names); i++)
        if (word_in(low, MONTHS) && low.len >= 3 &&
            str_eq_nocase(str_slice(low, 0, 3), str_slice(str_from(calendar_month_names[i]), 0, 3)))
            return (int)i + 1;
    return 0;
}

static int day_number(struct str low) {
    size_t digits = 0;
    int value = 0;
    while (digits < low.len && digits < 2 && low.at[digits] >= '0' && low.at[digits] <= '9')
        value = value * 10 + (low.at[digits++] - '0');
    struct str tail = str_slice(low, digits, low.len);
    bool is_day = digits > 0 && (tail.len == 0 || word_in(tail, "st nd rd th"));
    return is_day && value >= 1 && value <= 31 ? value : 0;
}

/* "3 May", "the 3rd of May", "May 3rd", each maybe with a year. */
static size_t take_date(struct state *s, size_t at, struct str *text) {
    size_t i = at;
    int day = 0, month = 0;
    int64_t year;
    if (i < s->count && str_eq(s->tokens[i].low, STR("the")))
        i++;
    if (i < s->count && (day = day_number(s->tokens[i].low)) > 0) {
        i++;
        if (i < s->count && str_eq(s->tokens[i].low, STR("of")))
            i++;
        month = i < s->count ? month_of(s->tokens[i].low) : 0;
    } else if (i < s->count && (month = month_of(s->tokens[i].low)) > 0) {
        i++;
        if (i < s->count && str_eq(s->tokens[i].low, STR("the")))
            i++;
        day = i < s->count ? day_number(s->tokens[i].low) : 0;
    }
    if (day == 0 || month == 0)
        return 0;
    i++;
    *text = str_printf(s->arena, "%d %s", day, calendar_month_names[month - 1]);
    if (i < s->count && s->tokens[i].low.len == 4 && str_to_int(s->tokens[i].low, &year) == E_OK) {
        *text = str_printf(s->arena, STR_FMT " %d", STR_ARG(*text), (int)year);
        i++;
    }
    return i - at;
}

static size_t take_year(struct state *s, size_t at) {
    int64_t year;
    struct str low = s->tokens[at].low;
    return low.len == 4 && str_to_int(low, &year) == E_OK && year >= 1900 && year <= 2100;
}

/* The longest phrase from `at`; fillers at its end are let go. */
static size_t phrase_length(struct state *s, size_t at, const char *stops, size_t limit,
                            bool breaks) {
    size_t n = 0;
    while (at + n < s->count && n < limit && !word_in(s->tokens[at + n].low, stops) &&
           !(n > 0 && breaks && s->tokens[at + n].has_break))
        n++;
    while (n > 1 && word_in(s->tokens[at + n - 1].low, FILLERS))
        n--;
    return n;
}

/* --- the walk --------------------------------------------------------------------------------- */

static bool walk(struct state *s, const char *words, size_t at);

static bool capture(struct state *s, struct str text, const char *rest, size_t at) {
    if (s->match->count == PATTERN_CAPTURES)
        return false;
    s->match->captures[s->match->count++] = text;
    if (walk(s, rest, at))
        return true;
    s->match->count--;
    return false;
}

static bool walk_class(struct state *s, struct str element, const char *rest, size_t at) {
    int value = 0;
    size_t n;
    struct str date = STR_NONE;
    if (at >= s->count)
        return false;
    if (str_eq(element, STR("@num")))
        return (n = take_number(s, at, &value)) > 0 &&
               capture(s, str_printf(s->arena, "%d", value), rest, at + n);
    if (str_eq(element, STR("@date")))
        return (n = take_date(s, at, &date)) > 0 && capture(s, date, rest, at + n);
    if (str_eq(element, STR("@year")))
        n = take_year(s, at);
    else if (str_eq(element, STR("@rel")))
        n = take_relative(s, at);
    else if (str_eq(element, STR("@pet")))
        n = take_pet(s, at);
    else
        n = take_name(s, at, str_eq(element, STR("@any")));
    if (n == 0)
        return false;
    struct str text = phrase(s, at, at + n);
    return capture(
        s, element.at[1] == 'n' || element.at[1] == 'a' ? capitalised(s->arena, text) : text, rest,
        at + n);
}

static bool walk_phrase(struct state *s, struct str element, const char *rest, size_t at) {
    if (at >= s->count)
        return false;
    char kind = element.at[1];
    size_t n = kind == 'w'   ? 1
               : kind == 'p' ? phrase_length(s, at, PLACE_STOPS, PLACE_WORDS, true)
                             : phrase_length(s, at, STOPS, PHRASE_WORDS, true);
    for (; n > 0; n--)
        if (capture(s, phrase(s, at, at + n), rest, at + n))
            return true;
    return false;
}

static bool is_one_of(struct str low, struct str alternatives) {
    struct str word;
    while (str_next(&alternatives, '|', &word))
        if (str_eq(low, word) || (str_eq(word, STR("is")) && str_eq(low, STR("'s"))))
            return true;
    return false;
}

static bool walk_words(struct state *s, struct str element, const char *rest, size_t at) {
    struct str before = s->match->word;
    if (at >= s->count || !is_one_of(s->tokens[at].low, element))
        return false;
    if (str_find_char(element, '|', 0) >= 0)
        s->match->word = s->tokens[at].is_capital ? s->tokens[at].view : s->tokens[at].low;
    if (walk(s, rest, at + 1))
        return true;
    s->match->word = before;
    return false;
}

static bool at_end(struct state *s, size_t at) {
    while (at < s->count && word_in(s->tokens[at].low, FILLERS))
        at++;
    return at >= s->count || s->tokens[at].has_break || word_in(s->tokens[at].low, "and but");
}

static bool walk(struct state *s, const char *words, size_t at) {
    while (*words == ' ')
        words++;
    if (*words == 0)
        return true;
    const char *end = strchrnul(words, ' ');
    struct str element = str_of(words, (size_t)(end - words));
    if (element.at[0] == '$')
        return at_end(s, at);
    if (element.at[0] == '?') {
        struct str optional = str_slice(element, 1, element.len);
        if (at < s->count && is_one_of(s->tokens[at].low, optional) && walk(s, end, at + 1))
            return true;
        return walk(s, end, at);
    }
    bool found = element.at[0] == '@'   ? walk_class(s, element, end, at)
                 : element.at[0] == '<' ? walk_phrase(s, element, end, at)
                                        : walk_words(s, element, end, at);
    if (found)
        return true;
    return at < s->count && s->tokens[at].is_adverb && walk(s, words, at + 1);
}

/* How many tokens from `at` are the words of `words`; 0 when they are not. */
static size_t begins_with(const struct clause *clause, size_t at, const char *words) {
    struct str rest = str_from(words), word;
    size_t n = 0;
    while (str_next(&rest, ' ', &word)) {
        if (at + n >= clause->count || !str_eq(clause->tokens[at + n].low, word))
            return 0;
        n++;
    }
    return n;
}

size_t pattern_lead(const struct clause *clause, bool *asks_to_remember) {
    static const struct {
        const char *words;
        bool remembers;
    } phrases[] = {{"please remember that", true},
                   {"please remember", true},
                   {"remember that", true},
                   {"remember this", true},
                   {"remember", true},
                   {"do not forget that", true},
                   {"do not forget", true},
                   {"never forget that", true},
                   {"never forget", true},
                   {"keep in mind that", true},
                   {"keep in mind", true},
                   {"note that", true},
                   {"by the way", false},
                   {"to be honest", false},
                   {"in fact", false},
                   {"as you know", false},
                   {"you know", false},
                   {"fun fact", false},
                   {"these days", false},
                   {"i told you that", false},
                   {"i told you", false},
                   {"i said that", false},
                   {"i said", false},
                   {"guess what", false},
                   {"the thing is", false},
                   {"at the moment", false},
                   {"right now", false},
                   {"i have to say that", false},
                   {"i have to say", false},
                   {"i must say", false},
                   {"i think that", false},
                   {"i think", false},
                   {"i guess", false},
                   {"as for me", false},
                   {"for the record", false},
                   {"i forgot to mention that", false},
                   {"i forgot to mention", false},
                   {"let me tell you", false},
                   {"to tell the truth", false},
                   {"believe it or not", false}};
    size_t at = 0, n = 1;
    while (n > 0 && at + 1 < clause->count) {
        n = 0;
        for (size_t i = 0; i < COUNT_OF(phrases) && n == 0; i++) {
            n = begins_with(clause, at, phrases[i].words);
            *asks_to_remember |= n > 0 && phrases[i].remembers;
        }
        if (n == 0 && word_in(clause->tokens[at].low, LEADS))
            n = 1;
        at += n;
    }
    return at < clause->count ? at : 0;
}

bool pattern_begins(const struct pattern *pattern, const struct clause *clause) {
    const char *words = pattern->words;
    if (strchr("@<?$", words[0]))
        return true;
    struct str first = str_of(words, (size_t)(strchrnul(words, ' ') - words));
    for (size_t i = 0; i < clause->count; i++) {
        if (is_one_of(clause->tokens[i].low, first))
            return true;
        if (!clause->tokens[i].is_adverb)
            return false;
    }
    return false;
}

bool pattern_match(struct arena *arena, const struct pattern *pattern, const struct clause *clause,
                   struct match *match) {
    struct state s = {arena, clause->tokens, clause->count, match};
    *match = (struct match){0};
    return walk(&s, pattern->words, 0);
}
