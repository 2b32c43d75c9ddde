/*
 * A question and the turn that answers it are written from two sides: "When did Ann move?" asks for
 * "I moved in June". So names of those who take part are no terms (every turn of Ann is Ann's), they
 * say whose turn is wanted, and before the question is embedded it is put into the first person:
 * "When did I move?". Measured: the similarity of the question as it is finds 30 % of the evidence,
 * rewritten 61 % (memory.md).
 *
 * In a live talk nobody is named: what the person says of itself ("my sister") is in the person's
 * turns, what it asks the other ("your sister") in the other's, and is embedded as the other would
 * say it.
 */
#include "memory/question.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/text.h"

#include <string.h>

#include "base/banned.h"

#define EMBED_LIMIT_BYTES ((size_t)8 << 10)
#define NAMES_LIMIT       64 /* words of names in one scope */

/* A word of somebody's name. */
struct name_word {
    struct str folded;
    int who;
};

struct reading {
    struct arena *arena;
    struct str text;
    struct memory_word *words;
    size_t count;
    int *who; /* of each word: whose name it is, -1: nobody's */
    struct name_word names[NAMES_LIMIT];
    size_t name_count;
    bool has_capitals; /* beyond the first word: then a name is written with one */
};

/* --- names ---------------------------------------------------------------------------------- */

static void take_names(struct reading *r, const struct memory_speaker *speakers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t n;
        struct memory_word *words = memory_words(r->arena, speakers[i].name, 8, &n);
        for (size_t k = 0; k < n && r->name_count < NAMES_LIMIT; k++)
            if (text_length(words[k].folded) >= 2 && !words[k].is_stopword)
                r->names[r->name_count++] = (struct name_word){words[k].folded, speakers[i].who};
    }
}

/* The owner of a name; -1 when it is nobody's, -2 when it is more than one's. */
static int owner_of(const struct reading *r, struct str folded) {
    int who = -1;
    for (size_t i = 0; i < r->name_count; i++)
        if (str_eq(r->names[i].folded, folded))
            who = who == -1 || who == r->names[i].who ? r->names[i].who : -2;
    return who;
}

/* Edits between two short words, or `limit` + 1 when it is more (Levenshtein, by rows). */
static int edits(struct str a, struct str b, int limit) {
    enum { LONGEST = 32 };
    if (a.len > LONGEST || b.len > LONGEST)
        return limit + 1;
    int row[LONGEST + 1];
    for (size_t k = 0; k <= b.len; k++)
        row[k] = (int)k;
    for (size_t i = 1; i <= a.len; i++) {
        int corner = row[0];
        row[0] = (int)i;
        for (size_t k = 1; k <= b.len; k++) {
            int above = row[k], best = corner + (a.at[i - 1] != b.at[k - 1]);
            best = above + 1 < best ? above + 1 : best;
            row[k] = row[k - 1] + 1 < best ? row[k - 1] + 1 : best;
            corner = above;
        }
    }
    return row[b.len];
}

/* A name that is typed a little wrong is still meant: one letter of four, two of six. */
static int owner_of_likeness(const struct reading *r, struct str folded) {
    int limit = folded.len >= 6 ? 2 : folded.len >= 4 ? 1 : 0, who = -1;
    for (size_t i = 0; i < r->name_count && limit > 0; i++)
        if (r->names[i].folded.len >= 4 && edits(folded, r->names[i].folded, limit) <= limit)
            who = who == -1 || who == r->names[i].who ? r->names[i].who : -2;
    return who;
}

static void find_names(struct reading *r) {
    bool is_found = false;
    for (size_t i = 0; i < r->count; i++) {
        const struct memory_word *word = &r->words[i];
        bool may_be = word->is_capital || !r->has_capitals;
        r->who[i] = may_be ? owner_of(r, word->folded) : -1;
        is_found = is_found || r->who[i] != -1;
    }
    for (size_t i = 1; i < r->count && !is_found; i++)
        if (r->words[i].is_capital && !r->words[i].is_stopword)
            r->who[i] = owner_of_likeness(r, r->words[i].folded);
}

/* The one who is named; -1 when nobody or several are. *is_several tells which. */
static int named_one(const struct reading *r, bool *is_several) {
    int who = -1;
    *is_several = false;
    for (size_t i = 0; i < r->count; i++) {
        if (r->who[i] == -1)
            continue;
        *is_several = *is_several || r->who[i] == -2 || (who != -1 && who != r->who[i]);
        who = r->who[i];
    }
    return *is_several ? -1 : who;
}

/* --- rewriting ------------------------------------------------------------------------------ */

struct swap {
    const char *word, *instead;
};

/* clang-format off */
static const struct swap third_person[] = {
    {"he", "I"}, {"she", "I"}, {"him", "me"}, {"his", "my"}, {"her", "my"}, {"hers", "mine"}, {"himself", "myself"},
    {"herself", "myself"}, {"he's", "I'm"}, {"she's", "I'm"}, {NULL, NULL}};
static const struct swap second_person[] = {
    {"you", "I"}, {"your", "my"}, {"yours", "mine"}, {"yourself", "myself"}, {"you're", "I'm"}, {"you've", "I've"},
    {"i", "you"}, {"me", "you"}, {"my", "your"}, {"mine", "yours"}, {NULL, NULL}};
static const struct swap nothing[] = {{NULL, NULL}};
/* clang-format on */

static bool is_possessive(struct str written) {
    return str_ends(written, STR("'s")) || str_ends(written, STR("\xe2\x80\x99s")) ||
           str_ends(written, STR("s'"));
}

static const char *instead_of(struct str folded, const struct swap *swaps) {
    for (; swaps->word != NULL; swaps++)
        if (str_eq(folded, str_from(swaps->word)))
            return swaps->instead;
    return NULL;
}

/* Whether word i becomes "I": the name of the one who is asked about, or a pronoun for it. */
static bool becomes_i(const struct reading *r, size_t i, int first_person,
                      const struct swap *swaps) {
    if (i >= r->count)
        return false;
    while (r->who[i] != -1 && i + 1 < r->count && r->who[i + 1] == r->who[i] &&
           !is_possessive(r->words[i].written))
        i++; /* the last word of a name decides */
    if (r->who[i] != -1)
        return r->who[i] == first_person && !is_possessive(r->words[i].written);
    const char *instead = instead_of(r->words[i].folded, swaps);
    return instead != NULL && strcmp(instead, "I") == 0;
}

/* "does Ann" is "do I", "Ann is" is "I am". */
static const char *verb_of_i(const struct reading *r, size_t i, int first_person,
                             const struct swap *swaps) {
    static const struct swap verbs[] = {{"does", "do"}, {"is", "am"},         {"has", "have"},
                                        {"are", "am"},  {"doesn't", "don't"}, {"hasn't", "haven't"},
                                        {NULL, NULL}};
    bool is_beside = becomes_i(r, i + 1, first_person, swaps) ||
                     (i > 0 && becomes_i(r, i - 1, first_person, swaps));
    return is_beside ? instead_of(text_fold(r->arena, r->words[i].written), verbs) : NULL;
}

static bool is_somebody(const struct reading *r, size_t i) {
    return i < r->count && r->who[i] != -1;
}

/* Both are named: "Ann and Bo" are "we". */
static bool is_and_of_names(const struct reading *r, size_t i) {
    return i > 0 && i < r->count && str_eq(r->words[i].folded, STR("and")) &&
           is_somebody(r, i - 1) && is_somebody(r, i + 1);
}

/* What stands for a word: itself, the first person for the one who is named, nothing for other names. */
static struct str word_instead(const struct reading *r, size_t i, int first_person,
                               const struct swap *swaps) {
    const struct memory_word *word = &r->words[i];
    struct str folded = text_fold(r->arena, word->written);
    if (is_and_of_names(r, i))
        return STR("");
    if (r->who[i] == -1) {
        const char *verb = verb_of_i(r, i, first_person, swaps);
        const char *instead = verb != NULL ? verb : instead_of(folded, swaps);
        return instead != NULL ? str_from(instead) : word->written;
    }
    bool goes_on = i + 1 < r->count && r->who[i + 1] == r->who[i] && !is_possessive(word->written);
    if (is_and_of_names(r, i + 1))
        return is_possessive(r->words[i + 2].written) ? STR("our") : STR("we");
    if (r->who[i] != first_person || goes_on)
        return STR("");
    return is_possessive(word->written) ? STR("my") : STR("I");
}

static struct str rewrite(const struct reading *r, int first_person, const struct swap *swaps) {
    struct buf buf;
    buf_init(&buf, EMBED_LIMIT_BYTES);
    const char *at = r->text.at;
    for (size_t i = 0; i < r->count; i++) {
        struct str written = r->words[i].written;
        struct str word = word_instead(r, i, first_person, swaps);
        struct str before = str_of(at, (size_t)(written.at - at));
        at = written.at + written.len;
        if (word.len == 0 && str_eq(before, STR(" ")))
            continue; /* a name that goes takes its space along */
        buf_add_str(&buf, before);
        buf_add_str(&buf, word);
    }
    buf_add_str(&buf, str_of(at, (size_t)(r->text.at + r->text.len - at)));
    struct str text = str_trim(str_dup(r->arena, buf_str(&buf)));
    buf_release(&buf);
    return text;
}

static bool is_one_of(struct str word, const char *const *list) {
    for (; *list != NULL; list++)
        if (str_eq(word, str_from(*list)))
            return true;
    return false;
}

/* Nobody is named: whoever's pronoun comes first is asked about. "Do you remember" and its like only
 * open the question. */
static int side_of_pronoun(const struct reading *r) {
    static const char *const own[] = {"i",   "my",   "me", "mine", "myself",
                                      "i'm", "i've", "we", "our",  NULL};
    static const char *const others[] = {"you",    "your",   "yours", "yourself",
                                         "you're", "you've", NULL};
    static const char *const opening[] = {"remember", "recall", "know", "tell",
                                          "think",    "say",    NULL};
    static const char *const asking[] = {"do", "can", "could", "would", "will", NULL};
    for (size_t i = 0; i < r->count; i++) {
        struct str folded = text_fold(r->arena, r->words[i].written);
        if (is_one_of(folded, own))
            return MEMORY_USER;
        bool is_opening = i == 1 && i + 1 < r->count && is_one_of(r->words[0].folded, asking) &&
                          is_one_of(r->words[i + 1].folded, opening);
        if (is_one_of(folded, others) && !is_opening)
            return MEMORY_CHARACTER;
    }
    return -1;
}

/* --- what is asked for ------------------------------------------------------------------------ */

static bool follows(const struct reading *r, size_t i, const char *const *first,
                    const char *const *second) {
    return i + 1 < r->count && is_one_of(r->words[i].folded, first) &&
           is_one_of(r->words[i + 1].folded, second);
}

static void read_flags(const struct reading *r, struct question *q) {
    static const char *const which[] = {"what", "which", NULL};
    static const char *const times[] = {"date", "day", "month", "year", "time", NULL};
    static const char *const how[] = {"how", NULL};
    static const char *const amounts[] = {"many", "much", "long", "old", "often", NULL};
    static const char *const span[] = {"long", NULL};
    q->asks_time = r->count > 0 && str_eq(r->words[0].folded, STR("when"));
    for (size_t i = 0; i < r->count; i++) {
        q->asks_time = q->asks_time || follows(r, i, which, times) || follows(r, i, how, span);
        q->asks_number = q->asks_number || follows(r, i, how, amounts);
    }
}

static bool is_term_new(const struct question *q, struct str stem) {
    for (size_t i = 0; i < q->term_count; i++)
        if (str_eq(q->terms[i].stem, stem))
            return false;
    return true;
}

static void read_terms(const struct reading *r, struct question *q) {
    for (size_t i = 0; i < r->count && q->term_count < QUESTION_TERMS_LIMIT; i++) {
        const struct memory_word *word = &r->words[i];
        if (word->is_stopword || r->who[i] != -1 || !is_term_new(q, word->stem))
            continue;
        q->terms[q->term_count++] = (struct question_term){word->folded, word->stem};
    }
}

struct question question_read(struct arena *arena, struct str text,
                              const struct memory_speaker *speakers, size_t speaker_count,
                              int64_t now_ms) {
    struct question q = {.wanted = -1};
    struct reading r = {.arena = arena, .text = str_trim(text)};
    r.words = memory_words(arena, r.text, QUESTION_WORDS_LIMIT, &r.count);
    r.who = ARENA_ARRAY(arena, int, r.count + 1);
    for (size_t i = 1; i < r.count; i++)
        r.has_capitals = r.has_capitals || r.words[i].is_capital;
    take_names(&r, speakers, speaker_count);
    find_names(&r);
    bool is_several;
    q.wanted = named_one(&r, &is_several);
    const struct swap *swaps = q.wanted >= 0 ? third_person : nothing;
    if (q.wanted < 0 && !is_several) {
        int side = side_of_pronoun(&r);
        for (size_t i = 0; i < speaker_count && q.wanted < 0; i++)
            if ((int)speakers[i].side == side)
                q.wanted = speakers[i].who;
        swaps = side == MEMORY_CHARACTER ? second_person : nothing;
    }
    q.embed_text = rewrite(&r, q.wanted, swaps);
    read_flags(&r, &q);
    read_terms(&r, &q);
    q.range_count = timewords_read(r.words, r.count, now_ms, q.ranges);
    return q;
}
