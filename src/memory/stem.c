/*
 * M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, as it stands there: the
 * tokenizer of FTS5 follows the same paper, and what we call one term must be one term to the
 * index too. A word is seen as [C](VC)^m[V]; m is called its measure, and most rules ask for it.
 */
#include "memory/stem.h"

#include "base/check.h"

#include <string.h>

#include "base/banned.h"

struct word {
    char *at;
    size_t len;
};

struct rule {
    const char *suffix, *instead;
};

static bool is_consonant(const struct word *w, size_t i) {
    switch (w->at[i]) {
    case 'a':
    case 'e':
    case 'i':
    case 'o':
    case 'u':
        return false;
    case 'y':
        return i == 0 || !is_consonant(w, i - 1);
    default:
        return true;
    }
}

/* How often a vowel is followed by a consonant in the first `len` letters. */
static int measure(const struct word *w, size_t len) {
    int m = 0;
    bool was_vowel = false;
    for (size_t i = 0; i < len; i++) {
        bool consonant = is_consonant(w, i);
        m += was_vowel && consonant;
        was_vowel = !consonant;
    }
    return m;
}

static bool has_vowel(const struct word *w, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (!is_consonant(w, i))
            return true;
    return false;
}

static bool ends_double(const struct word *w) {
    return w->len >= 2 && w->at[w->len - 1] == w->at[w->len - 2] && is_consonant(w, w->len - 1);
}

/* consonant, vowel, consonant other than w, x, y: "hop", not "bow". */
static bool ends_cvc(const struct word *w, size_t len) {
    if (len < 3 || !is_consonant(w, len - 1) || is_consonant(w, len - 2) ||
        !is_consonant(w, len - 3))
        return false;
    return strchr("wxy", w->at[len - 1]) == NULL;
}

static bool ends(const struct word *w, const char *suffix) {
    size_t n = strlen(suffix);
    return w->len > n && memcmp(w->at + w->len - n, suffix, n) == 0;
}

/* A replacement is never longer than what was there with the letters before it: it fits. */
static void replace(struct word *w, const char *suffix, const char *instead) {
    size_t n = strlen(instead);
    w->len -= strlen(suffix);
    memcpy(w->at + w->len, instead, n);
    w->len += n;
}

/* The first suffix that fits decides; it is replaced when the measure before it is above `m`. */
static void apply(struct word *w, const struct rule *rules, size_t count, int m) {
    for (size_t i = 0; i < count; i++) {
        if (!ends(w, rules[i].suffix))
            continue;
        if (measure(w, w->len - strlen(rules[i].suffix)) > m)
            replace(w, rules[i].suffix, rules[i].instead);
        return;
    }
}

static void step_plural(struct word *w) {
    if (ends(w, "sses") || ends(w, "ies"))
        w->len -= 2;
    else if (ends(w, "s") && !ends(w, "ss"))
        w->len--;
}

static void step_past(struct word *w) {
    if (ends(w, "eed")) {
        if (measure(w, w->len - 3) > 0)
            w->len--;
        return;
    }
    if (ends(w, "ed") && has_vowel(w, w->len - 2))
        w->len -= 2;
    else if (ends(w, "ing") && has_vowel(w, w->len - 3))
        w->len -= 3;
    else
        return;
    if (ends(w, "at") || ends(w, "bl") || ends(w, "iz"))
        w->at[w->len++] = 'e';
    else if (ends_double(w) && strchr("lsz", w->at[w->len - 1]) == NULL)
        w->len--;
    else if (measure(w, w->len) == 1 && ends_cvc(w, w->len))
        w->at[w->len++] = 'e';
}

static void step_y(struct word *w) {
    if (ends(w, "y") && has_vowel(w, w->len - 1))
        w->at[w->len - 1] = 'i';
}

/* clang-format off */
static const struct rule double_suffixes[] = {
    {"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"}, {"anci", "ance"}, {"izer", "ize"}, {"logi", "log"},
    {"bli", "ble"}, {"alli", "al"}, {"entli", "ent"}, {"eli", "e"}, {"ousli", "ous"}, {"ization", "ize"},
    {"ation", "ate"}, {"ator", "ate"}, {"alism", "al"}, {"iveness", "ive"}, {"fulness", "ful"},
    {"ousness", "ous"}, {"aliti", "al"}, {"iviti", "ive"}, {"biliti", "ble"},
};
static const struct rule endings[] = {
    {"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"}, {"ical", "ic"}, {"ful", ""}, {"ness", ""},
};
static const struct rule rest[] = {
    {"al", ""}, {"ance", ""}, {"ence", ""}, {"er", ""}, {"ic", ""}, {"able", ""}, {"ible", ""}, {"ant", ""},
    {"ement", ""}, {"ment", ""}, {"ent", ""}, {"ou", ""}, {"ism", ""}, {"ate", ""},
    {"iti", ""}, {"ous", ""}, {"ive", ""}, {"ize", ""},
};
/* clang-format on */

/* "ion" goes when an s or a t stands before it, which stays and counts. */
static void step_rest(struct word *w) {
    if (ends(w, "sion") || ends(w, "tion")) {
        if (measure(w, w->len - 3) > 1)
            w->len -= 3;
        return;
    }
    apply(w, rest, COUNT_OF(rest), 1);
}

static void step_e(struct word *w) {
    if (ends(w, "e")) {
        int m = measure(w, w->len - 1);
        if (m > 1 || (m == 1 && !ends_cvc(w, w->len - 1)))
            w->len--;
    }
    if (ends(w, "ll") && measure(w, w->len - 1) > 1)
        w->len--;
}

static bool is_plain(struct str word) {
    for (size_t i = 0; i < word.len; i++)
        if (word.at[i] < 'a' || word.at[i] > 'z')
            return false;
    return word.len >= 3;
}

struct str stem(struct str word, char out[STEM_LIMIT_BYTES]) {
    if (word.len > STEM_LIMIT_BYTES - 2 || !is_plain(word))
        return word;
    memcpy(out, word.at, word.len);
    struct word w = {.at = out, .len = word.len};
    step_plural(&w);
    step_past(&w);
    step_y(&w);
    apply(&w, double_suffixes, COUNT_OF(double_suffixes), 0);
    apply(&w, endings, COUNT_OF(endings), 0);
    step_rest(&w);
    step_e(&w);
    return str_of(out, w.len);
}
