/*
 * In the manner of Weizenbaum's ELIZA (CACM 9, 1966): a clause about the person is looked for by
 * its opening, its pronouns are swapped, and it is put into a pattern; without one, the longest
 * word that means something takes its place.
 */
#include "reflect.h"

#include "base/buf.h"
#include "base/text.h"

#include <string.h>

#include "base/banned.h"

#define REPLY_LIMIT_BYTES 16384

static const struct {
    const char *from, *to;
} SWAPS[] = {
    {"i", "you"},           {"me", "you"},          {"my", "your"},    {"mine", "yours"},
    {"myself", "yourself"}, {"am", "are"},          {"i'm", "you're"}, {"i've", "you've"},
    {"i'd", "you'd"},       {"i'll", "you'll"},     {"you", "me"},     {"your", "my"},
    {"yours", "mine"},      {"yourself", "myself"}, {"was", "were"},   {"you're", "I'm"},
    {"you've", "I've"},
};

static struct str swap_word(struct str word) {
    for (size_t i = 0; i < sizeof SWAPS / sizeof *SWAPS; i++)
        if (str_eq_nocase(word, str_from(SWAPS[i].from)))
            return str_from(SWAPS[i].to);
    return word;
}

static struct str turn_round(struct arena *arena, struct str clause) {
    struct buf out;
    buf_init(&out, REPLY_LIMIT_BYTES);
    struct str rest = clause, word;
    bool was_i = false;
    while (str_next(&rest, ' ', &word)) {
        if (word.len == 0)
            continue;
        if (out.len)
            buf_add_char(&out, ' ');
        bool is_was =
            str_eq_nocase(word, STR("was")) && !was_i; /* "the house was", but "you were" */
        buf_add_str(&out, is_was ? word : swap_word(word));
        was_i = str_eq_nocase(word, STR("i"));
    }
    struct str turned = str_dup(arena, buf_str(&out));
    buf_release(&out);
    return turned;
}

/* Up to the first mark or joining word, and not longer than what one repeats in conversation. */
static struct str clause_end(struct str s) {
    static const char *const JOINTS[] = {
        ",", ".",     "!",         "?",       ";",      ":",       "\n",   "\"", "*",
        "(", " but ", " because ", " and i ", " when ", " while ", " so ", " - "};
    size_t end = s.len;
    for (size_t i = 0; i < sizeof JOINTS / sizeof *JOINTS; i++) {
        ptrdiff_t at = str_find(s, str_from(JOINTS[i]), 0);
        if (at >= 0 && (size_t)at < end)
            end = (size_t)at;
    }
    s = str_trim(str_slice(s, 0, end));
    return s.len <= 70 ? s : STR_NONE;
}

static bool is_plain(struct str s) {
    size_t other = 0;
    for (size_t i = 0; i < s.len; i++)
        other += (unsigned char)s.at[i] >= 0x80;
    return other * 5 < s.len;
}

/* A clause about the person: "I miss my brother" gives "you miss your brother". STR_NONE when there
 * is none. */
static struct str clause_of(struct scene *scene) {
    static const char *const OPENINGS[] = {
        "i feel ",  "i felt ",   "i'm ",     "i am ",    "i miss ",     "i love ",
        "i hate ",  "i need ",   "i lost ",  "i found ", "i dream",     "i fear ",
        "i hope ",  "i wish ",   "i like ",  "i want ",  "i remember ", "i saw ",
        "i had ",   "i have ",   "i made ",  "i was ",   "i can't ",    "i don't ",
        "i never ", "i always ", "i think ", "i work ",  "i live ",     "my "};
    for (size_t i = 0; i < sizeof OPENINGS / sizeof *OPENINGS; i++) {
        ptrdiff_t at = scene_find_word(scene->said, str_from(OPENINGS[i]));
        struct str clause =
            at < 0 ? STR_NONE : clause_end(str_slice(scene->said, (size_t)at, scene->said.len));
        if (scene_count_char(clause, ' ') >= 1)
            return turn_round(scene->arena, clause);
    }
    return STR_NONE;
}

static struct str last_sentence(struct str said) {
    struct str sentence = said;
    while (scene_next_sentence(&said, &sentence))
        ;
    return sentence;
}

/* The longest word that means something, with the word before it if that does, too: "red bicycle".
 */
static struct str phrase_of(struct str said) {
    struct str word, previous = STR_NONE, best = STR_NONE;
    struct stem stem;
    for (size_t at = 0; text_next_word(said, &at, &word);) {
        bool is_good = scene_counts(word, &stem) && word.len >= 4;
        bool follows = is_good && previous.len && word.at == previous.at + previous.len + 1 &&
                       word.at[-1] == ' ';
        struct str candidate = follows ? str_of(previous.at, previous.len + 1 + word.len) : word;
        if (is_good && candidate.len > best.len)
            best = candidate;
        previous = is_good ? word : STR_NONE;
    }
    return best.len <= 40 ? best : STR_NONE;
}

static struct str capital(struct arena *arena, struct str s) {
    char *copy = str_dup_z(arena, s);
    if (s.len && copy[0] >= 'a' && copy[0] <= 'z')
        copy[0] = (char)(copy[0] & ~32);
    return str_of(copy, s.len);
}

/* clang-format off */
static const char *const ABOUT_CLAUSE[] = {
    "{%C,} says %n, and lets it stand for a moment.", "{%C. I won't hurry past that.}",
    "{So %c.} %n nods. {Then let us begin there.}", "{%C? Since when?}", "%n looks up. {%C.}",
    "{%C. I had wondered.}",
    "{If %c, you have come to the right place, or at least to a dry one.}",
};
/* clang-format on */
static const char *const ABOUT_PHRASE[] = {
    "{%C,} %n repeats, as if trying its weight.",
    "{%C. Now there is a thing to bring in here.}",
    "{%C? Go on.}",
    "{You say '%c' as though I would let it pass. I won't.}",
    "{%C,} says %n. {Put that down where I can see it.}",
};
static const char *const ABOUT_QUESTION[] = {
    "{You ask about %c,} says %n. {Most people only ask the time.}",
    "{%C. On that I could talk till the lamps go out, and be wrong.}",
    "{%C! You don't begin with the easy ones.}",
    "{What do I know of %c? Enough to be careful.}",
};
static const char *const ABOUT_NOTHING[] = {
    "{Go on,} says %n. {I am listening.}",
    "{That is the lid of something. Lift it.}",
    "{Hm,} says %n, and waits, in a friendly way.",
    "{Say that again, slower, and leave nothing out.}",
    "{Well,} says %n. {Well, well.}",
    "{Leave it on the table a while. It may open by itself.}",
    "{I have all evening, and it is a long one.}",
    "{Begin anywhere. I will find the front.}",
};

static void add_pattern(struct scene *scene, struct buf *out, const char *pattern,
                        struct str topic) {
    for (const char *at = pattern; *at; at++) {
        if (*at == '{' || *at == '}') {
            if (scene->has_quotes)
                buf_add_char(out, '"');
        } else if (*at == '%') {
            at++;
            buf_add_str(out, *at == 'n'   ? scene->name
                             : *at == 'C' ? capital(scene->arena, topic)
                                          : topic);
        } else {
            buf_add_char(out, *at);
        }
    }
}

/* Patterns that narrate ("says ...") read well only where speech is in quotation marks. */
static bool fits(const struct scene *scene, const char *pattern) {
    return scene->has_quotes || strstr(pattern, "%n") == NULL;
}

/* The pattern's own words are looked for, not what it was filled with. */
static bool was_used(const struct scene *scene, const char *pattern) {
    struct str longest = STR("");
    for (const char *at = pattern; *at;) {
        size_t len = strcspn(at, "{}%");
        if (len > longest.len)
            longest = str_of(at, len);
        at += len;
        at += *at == '%' ? 2 : *at ? 1 : 0;
    }
    return scene_was_said(scene, longest);
}

static struct str fill(struct scene *scene, const char *pattern, struct str topic) {
    struct buf out;
    buf_init(&out, REPLY_LIMIT_BYTES);
    add_pattern(scene, &out, pattern, topic);
    struct str text = str_dup(scene->arena, buf_str(&out));
    buf_release(&out);
    return text;
}

struct str reflect_fill(struct scene *scene, const char *const *patterns, size_t count,
                        struct str topic) {
    size_t from = scene_pick(scene, count);
    for (size_t i = 0; i < count; i++) {
        const char *pattern = patterns[(from + i) % count];
        if (fits(scene, pattern) && !was_used(scene, pattern))
            return fill(scene, pattern, topic);
    }
    return STR_NONE;
}

struct str reflect(struct scene *scene) {
    if (!is_plain(scene->said) || scene->said.len == 0)
        return STR_NONE;
    bool is_question = str_ends(scene->said, STR("?"));
    struct str clause = is_question ? STR_NONE : clause_of(scene);
    if (clause.len)
        return REFLECT_FILL(scene, ABOUT_CLAUSE, clause);
    struct str phrase = phrase_of(last_sentence(scene->said));
    if (phrase.len == 0)
        phrase = phrase_of(scene->said);
    if (phrase.len == 0)
        return REFLECT_FILL(scene, ABOUT_NOTHING, STR(""));
    return is_question ? REFLECT_FILL(scene, ABOUT_QUESTION, phrase)
                       : REFLECT_FILL(scene, ABOUT_PHRASE, phrase);
}
