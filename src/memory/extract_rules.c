/*
 * Learning without a model: statements are read by patterns (pattern_rows.c). What is found is
 * plain ("Mia lives in Bristol.") and mostly right, because a pattern must begin where a statement
 * does and most of what people say matches none. That it was found by rules is kept with every fact.
 *
 * Not taken: questions, suppositions, quotations (clauses.c); objects that stand for nothing by
 * themselves ("I love it"); what passes with the day ("I have a headache"). "Remember that ..." is
 * taken as it was said when no pattern fits.
 */
#include "base/buf.h"
#include "base/check.h"
#include "base/text.h"
#include "memory/calendar.h"
#include "memory/extract.h"
#include "memory/patterns.h"

#include <string.h>

#include "base/banned.h"

#define RULES_CONFIDENCE     0.8
#define CHARACTER_CONFIDENCE 0.6
#define REMEMBER_IMPORTANCE  0.95
#define OBJECT_WORDS         10
#define HAS_WORDS            6

/* An object that begins with one of these says nothing by itself. */
static const char EMPTY_FIRST[] =
    "it that this them him her you me us how when what where why who there here these those everything nothing anything something "
    "everyone nobody someone if so too but not been had got to going doing being seeing hearing talking your yours";
static const char EMPTY_ONLY[] =
    "themselves one ones lot lots bit things stuff day night time idea ideas all both each my their a an the way";
/* What somebody has or is today and not tomorrow. */
static const char PASSING[] =
    "question questions feeling idea point problem problems moment minute second lot bit few headache cold hunch look go chance choice "
    "reason drink crush thing things day night time morning evening week weekend afternoon while word favour favor request fever hangover "
    "appetite doubt clue guess mess tired hungry little second sec fool idiot suggestion plan plans story talk chat break shower nap "
    "bad good great wonderful fun blast ball sip bite dinner lunch breakfast coffee kind sort couple try rest sense secret surprise "
    "nightmare dream thought lie liar joke fan";
static const char PASSING_FIRST[] =
    "bit little lot lots hard long bad great good nice lovely wonderful terrible horrible rough tough busy weird strange funny quick feeling "
    "question different sudden kind sort mess total complete hell couple few such crazy fantastic amazing";

static const char NO_PLACE[] =
    "bed sleep work school college church prison jail be get have do see try die hell sleeping fear hope love peace";

/* What people are, in capitals or not, and are not called. */
static const char NO_NAME[] =
    "sorry hungry tired happy sad bored fine okay ok good great ready here back home late busy sick excited done confused glad sure serious right "
    "wrong lost away alone scared afraid angry mad cold hot drunk sober free single married not so very just really also still too in at on from with";
static const char NATIONS[] =
    "german french english british scottish irish welsh american canadian mexican brazilian spanish portuguese italian dutch belgian swiss "
    "austrian polish czech russian ukrainian greek turkish swedish norwegian danish finnish indian chinese japanese korean "
    "australian catholic muslim jewish buddhist hindu christian";
static const char NO_WISH[] =
    "think say believe know see hear be imagine hope pretend feel"; /* "I like to think" */

struct speaker {
    struct arena *arena;
    const struct memory_line *line;
    struct str name, listener;
};

/* --- the day of a plan ------------------------------------------------------------------------- */

static const char *const WEEKDAYS[] = {"sunday",   "monday", "tuesday", "wednesday",
                                       "thursday", "friday", "saturday"};
static int index_of(struct str low, const char *const *names, size_t count, size_t shortest) {
    for (size_t i = 0; i < count; i++)
        if (low.len >= shortest && low.len <= strlen(names[i]) &&
            str_eq_nocase(low, str_slice(str_from(names[i]), 0, low.len)))
            return (int)i;
    return -1;
}

static struct str day_text(struct arena *arena, int64_t day, bool whole_month) {
    struct calendar_date date = calendar_date(day);
    return whole_month
               ? str_printf(arena, "in %s %d", calendar_month_names[date.month - 1], date.year)
               : str_printf(arena, "on %d %s %d", date.day, calendar_month_names[date.month - 1],
                            date.year);
}

static int64_t small_number(struct str low) {
    static const char *const words[] = {"zero", "one",   "two",   "three", "four", "five",
                                        "six",  "seven", "eight", "nine",  "ten"};
    int64_t value;
    if (str_to_int(low, &value) == E_OK)
        return value >= 0 && value < 1000 ? value : -1;
    if (word_in(low, "a an"))
        return 1;
    if (str_eq(low, STR("couple")))
        return 2;
    return index_of(low, words, COUNT_OF(words), 3);
}

static int64_t unit_days(struct str low) {
    if (word_in(low, "day days"))
        return 1;
    if (word_in(low, "week weeks"))
        return 7;
    if (word_in(low, "month months"))
        return 30;
    return word_in(low, "year years") ? 365 : 0;
}

/* Day and month, either way round, in the next twelve months. */
static bool named_date(const struct clause *clause, size_t i, int64_t today, int64_t *day) {
    struct str low = clause->tokens[i].low;
    int month = index_of(low, calendar_month_names, 12, 3);
    if (month < 0 || (str_eq(low, STR("may")) && !clause->tokens[i].is_capital))
        return false;
    for (size_t k = 0; k < 2; k++) {
        size_t at = k == 0 ? i + 1 : i - 1;
        if (k == 1 && i > 1 && str_eq(clause->tokens[at].low, STR("of")))
            at--;
        if (at >= clause->count || (k == 1 && i == 0))
            continue;
        struct str digits = clause->tokens[at].low;
        while (digits.len > 0 && digits.at[digits.len - 1] > '9')
            digits.len--;
        int64_t number;
        if (str_to_int(digits, &number) != E_OK || number < 1 || number > 31)
            continue;
        int year = calendar_date(today).year;
        *day = calendar_day(year, month + 1, (int)number);
        if (*day < today)
            *day = calendar_day(year + 1, month + 1, (int)number);
        return true;
    }
    return false;
}

/* When something that is to come is: the text for the sentence, or nothing. `cut` is where the
 * words about time begin. */
static struct str plan_day(struct arena *arena, const struct clause *clause, int64_t now_ms,
                           size_t *cut) {
    int64_t today = calendar_day_of(now_ms), day;
    for (size_t i = 1; i < clause->count; i++) {
        struct str low = clause->tokens[i].low, before = clause->tokens[i - 1].low;
        struct str after = i + 1 < clause->count ? clause->tokens[i + 1].low : STR("");
        bool has_lead = word_in(before, "on next this in at by the coming");
        *cut = has_lead ? i - 1 : i;
        if (*cut > 1 && word_in(clause->tokens[*cut - 1].low, "on of"))
            --*cut;
        if (str_eq(low, STR("tomorrow")))
            return day_text(arena, today + 1, false);
        if (word_in(low, "tonight today"))
            return day_text(arena, today, false);
        int weekday = index_of(low, WEEKDAYS, 7, 6);
        if (weekday >= 0 && !str_eq(before, STR("every")) && !str_eq(before, STR("last"))) {
            int64_t ahead = (weekday - calendar_weekday(today) + 7) % 7;
            return day_text(arena, today + (ahead == 0 ? 7 : ahead), false);
        }
        if (word_in(before, "next") && str_eq(low, STR("week")))
            return str_printf(arena, "in the week of %s", day_text(arena, today + 7, false).at + 3);
        if (word_in(before, "next") && word_in(low, "month year"))
            return day_text(arena, today + unit_days(low), true);
        if (str_eq(low, STR("weekend")) && word_in(before, "this the next"))
            return str_printf(
                arena, "on the weekend of %s",
                day_text(arena, today + (6 - calendar_weekday(today) + 7) % 7, false).at + 3);
        if (str_eq(before, STR("in")) && small_number(low) > 0 && unit_days(after) > 0)
            return day_text(arena, today + small_number(low) * unit_days(after),
                            unit_days(after) >= 30);
        if (named_date(clause, i, today, &day)) {
            while (*cut > 1 && (word_in(clause->tokens[*cut - 1].low, "on the of") ||
                                (clause->tokens[*cut - 1].low.at[0] >= '0' &&
                                 clause->tokens[*cut - 1].low.at[0] <= '9')))
                --*cut;
            return day_text(arena, day, false);
        }
        if (str_eq(before, STR("in")) && index_of(low, calendar_month_names, 12, 3) >= 0) {
            int month = index_of(low, calendar_month_names, 12, 3) + 1,
                year = calendar_date(today).year;
            day = calendar_day(year, month, 28);
            return day_text(arena,
                            day < today ? calendar_day(year + 1, month, 1)
                                        : calendar_day(year, month, 1),
                            true);
        }
    }
    return STR_NONE;
}

/* --- templates -------------------------------------------------------------------------------- */

static struct str fill(const struct speaker *speaker, const char *template,
                       const struct match *match, struct str day) {
    struct buf buf;
    buf_init(&buf, 8000);
    for (const char *at = template; *at; at++) {
        if (*at != '$') {
            buf_add_char(&buf, *at);
            continue;
        }
        at++;
        struct str value = *at == 'S'   ? speaker->name
                           : *at == 'L' ? speaker->listener
                           : *at == 'D' ? day
                           : *at == '0' ? match->word
                                        : match->captures[*at - '1'];
        buf_add_str(&buf, value.at ? value : STR(""));
    }
    struct str text = str_trim(str_dup(speaker->arena, buf_str(&buf)));
    buf_release(&buf);
    return text;
}

/* "a engineer": the templates say `a`, the word decides. */
static struct str with_articles(struct arena *arena, struct str text) {
    struct buf buf;
    buf_init(&buf, 8000);
    for (size_t i = 0; i < text.len; i++) {
        bool is_article = text.at[i] == 'a' && i > 0 && text.at[i - 1] == ' ' && i + 2 < text.len &&
                          text.at[i + 1] == ' ';
        buf_add_char(&buf, text.at[i]);
        if (is_article && strchr("aeioAEIO", text.at[i + 2]))
            buf_add_char(&buf, 'n');
    }
    struct str out = str_dup(arena, buf_str(&buf));
    buf_release(&buf);
    return out;
}

/* --- what is worth nothing ---------------------------------------------------------------------- */

static struct str first_word(struct arena *arena, struct str text) {
    size_t at = 0;
    struct str word = STR("");
    return text_next_word(text, &at, &word) ? text_fold(arena, word) : STR("");
}

static struct str second_word(struct arena *arena, struct str text) {
    size_t at = 0;
    struct str word = STR("");
    bool has_two = text_next_word(text, &at, &word) && text_next_word(text, &at, &word);
    return has_two ? text_fold(arena, word) : STR("");
}

static struct str last_word(struct arena *arena, struct str text) {
    size_t at = 0;
    struct str word = STR(""), last = STR("");
    while (text_next_word(text, &at, &word))
        last = word;
    return text_fold(arena, last);
}

static size_t words_of(struct str text) {
    size_t at = 0, count = 0;
    struct str word;
    while (text_next_word(text, &at, &word))
        count++;
    return count;
}

static bool is_empty_object(struct arena *arena, const struct pattern *row, struct str object) {
    struct str first = first_word(arena, object), last = last_word(arena, object);
    size_t words = words_of(object);
    bool is_verb = str_eq(first, STR("to")) && words > 1 &&
                   (row->kind[0] == 'p' || str_eq(str_from(row->predicate), STR("goal")));
    bool is_place = strstr(row->words, "<p") != NULL;
    struct str second = second_word(arena, object);
    struct str predicate = str_from(row->predicate);
    if (word_in(predicate, "name named") && (word_in(first, NO_NAME) || word_in(first, NATIONS)))
        return true;
    if (word_in(predicate, "plays speaks") &&
        word_in(first, "with from the about for at in along") &&
        strstr(row->words, "the <x") == NULL && strstr(row->words, "in a") == NULL)
        return true;
    if (word_in(predicate, "used_to") && word_in(first, NO_WISH))
        return true;
    if ((is_verb && word_in(second, NO_WISH)) ||
        (str_eq(str_from(row->predicate), STR("studies")) && word_in(first, "for with hard")))
        return true;
    if (row->flags & PATTERN_WHOLE_OBJECT && word_in(last, "you"))
        return true;
    if (words == 0)
        return true;
    if ((word_in(first, EMPTY_FIRST) && !is_verb) || (words == 1 && word_in(first, EMPTY_ONLY)))
        return true;
    if (is_place && word_in(first, NO_PLACE))
        return true;
    if (is_place && word_in(first, "a an") &&
        !word_in(str_from(row->predicate), "works_at works_as worked_as volunteers plans"))
        return true;
    if (!(row->flags & PATTERN_WHOLE_OBJECT))
        return words > OBJECT_WORDS;
    return words > HAS_WORDS || word_in(last, PASSING) || word_in(first, PASSING_FIRST) ||
           word_in(first, PASSING);
}

/* --- an item -------------------------------------------------------------------------------------- */

/* "favourite_Ice cream" as a key. */
static struct str key_of(struct arena *arena, struct str predicate) {
    struct str folded = text_fold(arena, predicate);
    char *key = str_dup_z(arena, folded);
    for (size_t i = 0; i < folded.len; i++)
        if (key[i] == ' ')
            key[i] = '_';
    return str_of(key, folded.len);
}

static void add_item(const struct speaker *speaker, const struct pattern *row,
                     const struct match *match, struct str day, double importance,
                     struct memory_items *items) {
    struct arena *arena = speaker->arena;
    struct memory_item item = {
        .kind = str_from(row->kind),
        .subject = row->subject             ? fill(speaker, row->subject, match, day)
                   : speaker->line->is_user ? STR("user")
                                            : STR("character"),
        .predicate = key_of(arena, fill(speaker, row->predicate, match, day)),
        .object = row->object[0] ? fill(speaker, row->object, match, day) : STR(""),
        .text = with_articles(arena, fill(speaker, row->text, match, day)),
        .importance = importance > row->importance ? importance : row->importance,
        .confidence = speaker->line->is_user ? RULES_CONFIDENCE : CHARACTER_CONFIDENCE,
        .ends = (row->flags & PATTERN_ENDS) != 0,
        .at = speaker->line->at,
        .sources = {speaker->line->message_id},
        .source_count = 1,
    };
    if (day.len > 0 && row->flags & PATTERN_PLAN)
        item.object = str_printf(arena, STR_FMT " " STR_FMT, STR_ARG(item.object), STR_ARG(day));
    if (item.text.len <= EXTRACT_TEXT_LIMIT && items->count < EXTRACT_ITEMS_LIMIT)
        items->items[items->count++] = item;
}

static bool has_day(const struct pattern *row) {
    return row->flags & PATTERN_PLAN && strstr(row->text, "$D");
}

/* The day that a clause names: the same for every row, so it is looked for once. */
struct plan {
    bool was_sought;
    struct str day; /* empty: none */
    size_t cut;     /* where the words about time begin */
};

static const struct plan *plan_of(const struct speaker *speaker, const struct clause *clause,
                                  struct plan *plan) {
    if (!plan->was_sought)
        plan->day = plan_day(speaker->arena, clause, speaker->line->at, &plan->cut);
    plan->was_sought = true;
    return plan;
}

/* A plan is matched without its words about time: "an exam on Friday" is an exam. */
static bool match_row(const struct speaker *speaker, const struct pattern *row,
                      const struct clause *clause, struct match *match, struct plan *plan) {
    if (row->flags & PATTERN_USER && !speaker->line->is_user)
        return false;
    struct clause shorter = *clause;
    if (has_day(row)) {
        if (plan_of(speaker, clause, plan)->day.len == 0)
            return false;
        if (plan->cut >= 2)
            shorter.count = plan->cut;
    }
    if (!pattern_match(speaker->arena, row, &shorter, match))
        return false;
    for (size_t i = 0; i < match->count; i++)
        if (is_empty_object(speaker->arena, row, match->captures[i]))
            return false;
    return true;
}

static bool read_clause(const struct speaker *speaker, const struct clause *clause,
                        double importance, struct memory_items *items) {
    struct plan plan = {0};
    for (const struct pattern *row = pattern_rows; row->words; row++) {
        struct match match;
        if (!pattern_begins(row, clause) || !match_row(speaker, row, clause, &match, &plan))
            continue;
        add_item(speaker, row, &match, has_day(row) ? plan.day : STR(""), importance, items);
        return true;
    }
    return false;
}

/* What should be remembered and fits no pattern is kept in the person's own words. */
static void keep_words(const struct speaker *speaker, const struct clause *clause,
                       struct memory_items *items) {
    const struct token *first = &clause->tokens[0], *last = &clause->tokens[clause->count - 1];
    struct buf buf;
    buf_init(&buf, 4000);
    for (const struct token *token = first; token <= last; token++) {
        if (token > first && token->low.at[0] != '\'')
            buf_add_str(&buf, token->has_break ? STR(", ") : STR(" "));
        buf_add_str(&buf, token->view);
    }
    struct str words = text_cut(str_dup(speaker->arena, buf_str(&buf)), EXTRACT_TEXT_LIMIT / 2);
    buf_release(&buf);
    struct memory_item item = {
        .kind = STR("fact"),
        .subject = speaker->line->is_user ? STR("user") : STR("character"),
        .predicate = STR("asked_to_remember"),
        .object = words,
        .text = str_printf(speaker->arena, STR_FMT " asked to remember: " STR_FMT,
                           STR_ARG(speaker->name), STR_ARG(words)),
        .importance = REMEMBER_IMPORTANCE,
        .confidence = RULES_CONFIDENCE,
        .at = speaker->line->at,
        .sources = {speaker->line->message_id},
        .source_count = 1,
    };
    if (clause->count >= 3 && items->count < EXTRACT_ITEMS_LIMIT)
        items->items[items->count++] = item;
}

void extract_by_rules(struct arena *arena, const struct memory_line *line,
                      const struct memory_cast *cast, struct memory_items *items) {
    struct speaker speaker = {
        .arena = arena,
        .line = line,
        .name = line->is_user ? cast->user_name : cast->character_name,
        .listener = line->is_user ? cast->character_name : cast->user_name,
    };
    size_t count;
    struct clause *clauses = clauses_of(arena, line->text, !line->is_user, &count);
    bool was_asked = false;
    for (size_t i = 0; i < count; i++) {
        bool asks = false;
        size_t lead = pattern_lead(&clauses[i], &asks);
        struct clause clause = clauses[i];
        clause.tokens += lead;
        clause.count -= lead;
        /* "Remember, my sister is called Ann": the request may stand in the clause before. */
        bool is_request =
            clauses[i].count <= 3 &&
            word_in(clauses[i].tokens[clauses[i].count - 1].low, "remember forget this");
        asks |= was_asked;
        was_asked = is_request;
        if (is_request)
            continue;
        if (!read_clause(&speaker, &clause, asks ? REMEMBER_IMPORTANCE : 0, items) && asks &&
            line->is_user)
            keep_words(&speaker, &clause, items);
    }
}
