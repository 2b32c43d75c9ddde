/*
 * How a reply comes about:
 *
 *   1. The person's words are looked up in the example talks of the card (rare words count more
 * than common ones, a like-sounding question most of all). A good match is answered with the
 * author's own line.
 *   2. Otherwise the reply is composed: a gesture from the examples; what the person said, turned
 * round ("my brother" -> "your brother"); a sentence of the lore that fired, or of the examples,
 * that shares a word; and a question back.
 *   3. Before the first reply, and whenever somebody asks, a note out of character says that no
 * model is at work.
 *
 * Nothing is said twice: every line is looked for in the recent messages first. What the card is
 * written in (quotation marks, asterisks around actions) is kept. The phrases of the house are
 * English; a person who writes in other letters gets the card's lines alone.
 *
 * Going on with a message: where the text breaks off inside one of the author's lines, the line is
 * finished; else a composed piece follows.
 */
#include "improvise.h"

#include "base/buf.h"
#include "base/text.h"

#include <string.h>

#include "base/banned.h"

#define REPLY_LIMIT_BYTES 16384
#define LINE_LIMIT        48  /* example talks that are looked at */
#define PIECE_LIMIT       192 /* sentences, gestures, questions */
#define STEM_LIMIT        24  /* different words of one message that count */
#define STEM_BYTES        24
#define RECENT_MESSAGES   24 /* the replies in which repetition is looked for */
#define PROBE_BYTES       48 /* so much of a line tells whether it was said */
#define MATCH_ENOUGH      12 /* score of an example that answers by itself */
#define TEXT_LOOKED_AT    2000

struct line {
    struct str prompt; /* what the person says in the example */
    struct str reply;
    int score;
};

struct stem {
    char at[STEM_BYTES];
    size_t len;
    int lines_with; /* example talks that have the word */
};

struct pieces {
    struct str items[PIECE_LIMIT];
    size_t count;
};

struct scene {
    struct arena *arena;
    const struct chat_request *request;
    const struct chat_card *card;
    struct str said; /* the person's last words */
    struct str name; /* what the narration calls the character */
    uint64_t dice;
    struct line lines[LINE_LIMIT];
    size_t line_count;
    struct stem stems[STEM_LIMIT];
    size_t stem_count;
    struct pieces gestures, questions, sentences, lore;
    bool has_quotes, has_stars; /* how the card is written */
};

static const struct chat_card NOBODY = {.character_name = {"The Understudy", 14},
                                        .user_name = {"You", 3}};

/* --- dice ------------------------------------------------------------------------------------- */

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t roll(struct scene *scene) {
    uint64_t z = scene->dice += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t pick(struct scene *scene, size_t count) {
    return count ? (size_t)(roll(scene) % count) : 0;
}

static bool chance(struct scene *scene, unsigned percent) {
    return roll(scene) % 100 < percent;
}

/* --- what was said ---------------------------------------------------------------------------- */

static bool was_said(const struct scene *scene, struct str text) {
    struct str probe = str_trim(str_slice(text, 0, PROBE_BYTES));
    size_t seen = 0;
    for (size_t i = scene->request->message_count; i-- > 0 && seen < RECENT_MESSAGES;) {
        const struct chat_message *message = &scene->request->messages[i];
        if (message->role != CHAT_ASSISTANT)
            continue;
        seen++;
        if (str_has(message->content, probe))
            return true;
    }
    return false;
}

/* One that was not said yet, from a random place on; STR_NONE when all were. */
static struct str pick_new(struct scene *scene, const struct pieces *pieces) {
    size_t from = pick(scene, pieces->count);
    for (size_t i = 0; i < pieces->count; i++) {
        struct str piece = pieces->items[(from + i) % pieces->count];
        if (!was_said(scene, piece))
            return piece;
    }
    return STR_NONE;
}

/* No reply of the character follows a word of the person: nobody has been told yet who speaks. */
static bool is_first_reply(const struct chat_request *request) {
    bool has_spoken = false;
    for (size_t i = 0; i < request->message_count; i++) {
        if (request->messages[i].role == CHAT_USER)
            has_spoken = true;
        else if (request->messages[i].role == CHAT_ASSISTANT && has_spoken)
            return false;
    }
    return true;
}

static struct str last_words(const struct chat_request *request) {
    for (size_t i = request->message_count; i-- > 0;)
        if (request->messages[i].role == CHAT_USER)
            return str_trim(str_slice(request->messages[i].content, 0, TEXT_LOOKED_AT));
    return STR("");
}

/* --- words ------------------------------------------------------------------------------------ */

static const char *const STOPWORDS[] = {
    "about",    "after",  "again",  "all",     "also",      "and",    "any",    "anything", "are",
    "been",     "before", "but",    "can",     "come",      "could",  "did",    "does",     "doing",
    "don't",    "even",   "ever",   "for",     "from",      "get",    "give",   "going",    "good",
    "got",      "had",    "has",    "have",    "he",        "her",    "here",   "him",      "his",
    "how",      "i'm",    "into",   "it's",    "its",       "just",   "know",   "let",      "like",
    "lot",      "made",   "make",   "many",    "maybe",     "me",     "more",   "much",     "must",
    "my",       "never",  "not",    "now",     "off",       "okay",   "one",    "only",     "other",
    "our",      "out",    "over",   "please",  "quite",     "rather", "really", "said",     "say",
    "see",      "she",    "should", "some",    "something", "still",  "such",   "sure",     "tell",
    "than",     "that",   "that's", "the",     "their",     "them",   "then",   "there",    "these",
    "they",     "thing",  "think",  "this",    "those",     "time",   "too",    "very",     "want",
    "was",      "way",    "well",   "were",    "what",      "what's", "when",   "where",    "which",
    "while",    "who",    "why",    "will",    "with",      "would",  "yes",    "you",      "your",
    "yourself", "myself", "always", "because", "today",     "them",   "being",  "whether",
};

static bool is_stopword(struct str word) {
    for (size_t i = 0; i < sizeof STOPWORDS / sizeof *STOPWORDS; i++)
        if (str_eq(word, str_from(STOPWORDS[i])))
            return true;
    return false;
}

static bool ends_with(const struct stem *stem, const char *end, size_t at_least) {
    return stem->len >= at_least && str_ends(str_of(stem->at, stem->len), str_from(end));
}

/* Lower case, and the commonest endings off: "baking" meets "bake" only in its first letters, which
 * is enough for a stand-in. */
static bool stem_of(struct str word, struct stem *stem) {
    if (word.len < 3 || word.len > STEM_BYTES)
        return false;
    *stem = (struct stem){.len = word.len};
    for (size_t i = 0; i < word.len; i++)
        stem->at[i] = word.at[i] >= 'A' && word.at[i] <= 'Z' ? (char)(word.at[i] | 32) : word.at[i];
    if (is_stopword(str_of(stem->at, stem->len)))
        return false;
    if (ends_with(stem, "'s", 4))
        stem->len -= 2;
    if (ends_with(stem, "ing", 6))
        stem->len -= 3;
    else if (ends_with(stem, "ed", 5))
        stem->len -= 2;
    else if (ends_with(stem, "s", 4))
        stem->len -= 1;
    if (ends_with(stem, "e", 4))
        stem->len -= 1;
    return true;
}

static bool same_stem(const struct stem *a, const struct stem *b) {
    return a->len == b->len && memcmp(a->at, b->at, a->len) == 0;
}

static bool has_stem(struct str text, const struct stem *wanted) {
    struct str word;
    struct stem stem;
    for (size_t at = 0; text_next_word(text, &at, &word);)
        if (stem_of(word, &stem) && same_stem(&stem, wanted))
            return true;
    return false;
}

static void collect_stems(struct scene *scene) {
    struct str word;
    struct stem stem;
    for (size_t at = 0;
         text_next_word(scene->said, &at, &word) && scene->stem_count < STEM_LIMIT;) {
        bool is_known = !stem_of(word, &stem);
        for (size_t i = 0; i < scene->stem_count && !is_known; i++)
            is_known = same_stem(&scene->stems[i], &stem);
        if (!is_known)
            scene->stems[scene->stem_count++] = stem;
    }
}

/* A word that stands in one example says more than one that stands in all. */
static int rarity(const struct stem *stem) {
    return stem->lines_with <= 1 ? 3 : stem->lines_with == 2 ? 2 : 1;
}

static int shared_words(const struct scene *scene, struct str text) {
    int score = 0;
    for (size_t i = 0; i < scene->stem_count; i++)
        if (has_stem(text, &scene->stems[i]))
            score += rarity(&scene->stems[i]);
    return score;
}

/* --- the card, taken apart -------------------------------------------------------------------- */

static void add_piece(struct pieces *pieces, struct str piece) {
    if (pieces->count < PIECE_LIMIT)
        pieces->items[pieces->count++] = piece;
}

static struct str without_label(struct str line, struct str name) {
    if (name.len == 0 || line.len <= name.len || line.at[name.len] != ':')
        return STR_NONE;
    return str_eq_nocase(str_slice(line, 0, name.len), name)
               ? str_trim(str_slice(line, name.len + 1, line.len))
               : STR_NONE;
}

/* From the label to where the next speaker or the end begins, all lines as they stand. */
static struct str extend(struct str speech, struct str line) {
    if (speech.at == NULL)
        return STR_NONE;
    return str_of(speech.at, (size_t)(line.at + line.len - speech.at));
}

struct parsing {
    struct str prompt, reply;
    struct str *open; /* whose speech goes on */
};

static void keep_line(struct scene *scene, struct parsing *parsing) {
    struct str reply = str_trim(parsing->reply);
    if (reply.len && scene->line_count < LINE_LIMIT)
        scene->lines[scene->line_count++] =
            (struct line){.prompt = str_trim(parsing->prompt), .reply = reply};
    *parsing = (struct parsing){0};
}

static void take_example_line(struct scene *scene, struct parsing *parsing, struct str line) {
    struct str of_person = without_label(line, scene->card->user_name);
    struct str of_character = without_label(line, scene->card->character_name);
    if (str_eq_nocase(str_trim(line), STR("<START>"))) {
        keep_line(scene, parsing);
    } else if (of_person.at) {
        keep_line(scene, parsing);
        parsing->prompt = of_person;
        parsing->open = &parsing->prompt;
    } else if (of_character.at && parsing->reply.at == NULL) {
        parsing->reply = of_character;
        parsing->open = &parsing->reply;
    } else if (of_character.at) {
        struct str prompt = parsing->prompt;
        keep_line(scene, parsing);
        parsing->prompt = prompt;
        parsing->reply = of_character;
        parsing->open = &parsing->reply;
    } else if (parsing->open) {
        *parsing->open = extend(*parsing->open, line);
    }
}

static void read_examples(struct scene *scene) {
    struct parsing parsing = {0};
    struct str rest = scene->card->examples, line;
    while (str_next(&rest, '\n', &line))
        take_example_line(scene, &parsing, line);
    keep_line(scene, &parsing);
}

/* The first character of a sentence is a letter outside ASCII or a capital: what begins otherwise
 * was cut out of something. */
static bool begins_well(struct str s) {
    return s.len && ((unsigned char)s.at[0] >= 0xC3 || (s.at[0] >= 'A' && s.at[0] <= 'Z'));
}

static bool is_speakable(struct str s, size_t least, size_t most) {
    return s.len >= least && s.len <= most && begins_well(s) && !str_has(s, STR("\n")) &&
           !str_has(s, STR("\"")) && !str_has(s, STR(" '")) && !str_ends(s, STR("'")) &&
           !str_has(s, STR("*"));
}

/* Cuts the next sentence off the front. Marks of its end stay with it. */
static bool next_sentence(struct str *rest, struct str *sentence) {
    *rest = str_trim(*rest);
    if (rest->len == 0)
        return false;
    size_t at = 0;
    while (at < rest->len) {
        char c = rest->at[at++];
        bool ends = c == '.' || c == '!' || c == '?' || c == '\n';
        if (ends && (at == rest->len || rest->at[at] == ' ' || rest->at[at] == '\n' || c == '\n'))
            break;
    }
    *sentence = str_trim(str_slice(*rest, 0, at));
    *rest = str_slice(*rest, at, rest->len);
    return true;
}

/* Sentences of one stretch of speech; the last one, if it asks, is a question that can be asked
 * again. */
static void read_speech(struct scene *scene, struct str speech, bool is_last) {
    struct str sentence = STR_NONE;
    while (next_sentence(&speech, &sentence))
        if (is_speakable(sentence, 16, 180) && !str_ends(sentence, STR("?")))
            add_piece(&scene->sentences, sentence);
    if (is_last && is_speakable(sentence, 10, 140) && str_ends(sentence, STR("?")))
        add_piece(&scene->questions, sentence);
}

/* Speech and actions take turns at every asterisk; quotation marks are dropped, they are set anew.
 */
static void read_reply(struct scene *scene, struct str reply) {
    struct str rest = reply, part;
    bool is_action = false;
    for (; str_next(&rest, '*', &part); is_action = !is_action) {
        struct str clean = str_trim(part);
        if (is_action && is_speakable(clean, 12, 140) && str_ends(clean, STR(".")))
            add_piece(&scene->gestures, clean);
        struct str speech;
        while (!is_action && str_next(&clean, '"', &speech))
            read_speech(scene, speech, str_trim(rest).len == 0 && str_trim(clean).len == 0);
    }
}

static void read_lore(struct scene *scene) {
    for (size_t i = 0; i < scene->card->lore_count; i++) {
        struct str rest = scene->card->lore[i], sentence;
        while (next_sentence(&rest, &sentence))
            if (sentence.len >= 20 && sentence.len <= 400 && begins_well(sentence) &&
                !str_has(sentence, STR("*")))
                add_piece(&scene->lore, sentence);
    }
}

static size_t count_char(struct str s, char c) {
    size_t count = 0;
    for (size_t i = 0; i < s.len; i++)
        count += s.at[i] == c;
    return count;
}

/* "Dame Emmot Thurlby" is Emmot, "Ibid, Under-Librarian" is Ibid. */
static struct str short_name(struct str name) {
    static const char *const TITLES[] = {"Dame",      "Sir",  "Dr",   "Dr.", "Doctor", "Captain",
                                         "Professor", "Lady", "Lord", "Mr",  "Mr.",    "Mrs",
                                         "Mrs.",      "Ms",   "Miss", "The", "King",   "Queen"};
    struct str rest = name, word;
    if (!str_next(&rest, ',', &word))
        return name;
    rest = word;
    while (str_next(&rest, ' ', &word)) {
        bool is_title = false;
        for (size_t i = 0; i < sizeof TITLES / sizeof *TITLES; i++)
            is_title = is_title || str_eq(word, str_from(TITLES[i]));
        if (!is_title && word.len)
            return word;
    }
    return name;
}

static void read_card(struct scene *scene) {
    read_examples(scene);
    read_lore(scene);
    for (size_t i = 0; i < scene->line_count; i++)
        read_reply(scene, scene->lines[i].reply);
    read_reply(scene, scene->card->greeting);
    scene->has_quotes =
        count_char(scene->card->greeting, '"') + count_char(scene->card->examples, '"') >= 2;
    scene->has_stars =
        count_char(scene->card->greeting, '*') + count_char(scene->card->examples, '*') >= 2;
    scene->name = short_name(scene->card->character_name);
}

/* --- 1. the author's own answer --------------------------------------------------------------- */

static void weigh_stems(struct scene *scene) {
    for (size_t s = 0; s < scene->stem_count; s++)
        for (size_t i = 0; i < scene->line_count; i++)
            scene->stems[s].lines_with += has_stem(scene->lines[i].prompt, &scene->stems[s]) ||
                                          has_stem(scene->lines[i].reply, &scene->stems[s]);
}

static void score_lines(struct scene *scene) {
    for (size_t i = 0; i < scene->line_count; i++) {
        struct line *line = &scene->lines[i];
        double likeness = text_similarity(scene->said, line->prompt);
        line->score = 5 * shared_words(scene, line->prompt) + 2 * shared_words(scene, line->reply);
        if (likeness > 0.45)
            line->score += (int)(likeness * 20);
        if (was_said(scene, line->reply))
            line->score = 0;
    }
}

/* A long message needs more in common with an example before somebody else's answer fits it. */
static const struct line *find_answer(struct scene *scene) {
    const struct line *best = NULL;
    int needed = MATCH_ENOUGH + (int)(scene->said.len / 12);
    for (size_t i = 0; i < scene->line_count; i++)
        if (scene->lines[i].score >= needed &&
            (best == NULL || scene->lines[i].score > best->score))
            best = &scene->lines[i];
    return best;
}

/* --- 2. what the person said, turned round ---------------------------------------------------- */

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

/* The case-blind place where `word` begins a word of `s`, or -1. */
static ptrdiff_t find_word(struct str s, struct str word) {
    for (size_t at = 0; at + word.len <= s.len; at++)
        if ((at == 0 || s.at[at - 1] == ' ' || s.at[at - 1] == '\n') &&
            str_eq_nocase(str_slice(s, at, at + word.len), word))
            return (ptrdiff_t)at;
    return -1;
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
        ptrdiff_t at = find_word(scene->said, str_from(OPENINGS[i]));
        struct str clause =
            at < 0 ? STR_NONE : clause_end(str_slice(scene->said, (size_t)at, scene->said.len));
        if (count_char(clause, ' ') >= 1)
            return turn_round(scene->arena, clause);
    }
    return STR_NONE;
}

/* The longest word that means something, with the word before it if that does, too: "red bicycle".
 */
static struct str phrase_of(struct scene *scene) {
    struct str word, previous = STR_NONE, best = STR_NONE;
    struct stem stem;
    for (size_t at = 0; text_next_word(scene->said, &at, &word);) {
        bool counts = stem_of(word, &stem) && word.len >= 4;
        bool follows = counts && previous.len && word.at == previous.at + previous.len + 1 &&
                       word.at[-1] == ' ';
        struct str candidate = follows ? str_of(previous.at, previous.len + 1 + word.len) : word;
        if (counts && candidate.len > best.len)
            best = candidate;
        previous = counts ? word : STR_NONE;
    }
    return best.len <= 40 ? best : STR_NONE;
}

static struct str capital(struct arena *arena, struct str s) {
    char *copy = str_dup_z(arena, s);
    if (s.len && copy[0] >= 'a' && copy[0] <= 'z')
        copy[0] = (char)(copy[0] & ~32);
    return str_of(copy, s.len);
}

/* In the patterns: %C the clause or phrase with a capital, %c without, %n the character. {quotes}
 * stand where speech is. */
static const char *const ABOUT_CLAUSE[] = {
    "{%C,} says %n, and lets it stand for a moment.",
    "{%C. I won't hurry past that.}",
    "{So %c.} %n nods. {Then let us begin there.}",
    "{%C? Since when?}",
    "%n looks up. {%C.}",
    "{%C. I had wondered.}",
    "{If %c, you have come to the right place, or at least to a dry one.}",
};
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
};
static const char *const QUESTIONS[] = {
    "And what happened then?",
    "Who else knows about it?",
    "What would you do, if it were up to you?",
    "What brought that to mind?",
    "And you, how did you come by it?",
    "What did it look like from where you stood?",
    "Which part of it do you keep coming back to?",
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

static struct str fill_one(struct scene *scene, const char *const *patterns, size_t count,
                           struct str topic) {
    struct str text = STR_NONE;
    size_t from = pick(scene, count);
    for (size_t i = 0; i < count; i++) {
        const char *pattern = patterns[(from + i) % count];
        if (!fits(scene, pattern))
            continue;
        struct buf out;
        buf_init(&out, REPLY_LIMIT_BYTES);
        add_pattern(scene, &out, pattern, topic);
        text = str_dup(scene->arena, buf_str(&out));
        buf_release(&out);
        if (!was_said(scene, text))
            break;
    }
    return text;
}

#define FILL(scene, patterns, topic) \
    fill_one((scene), (patterns), sizeof(patterns) / sizeof *(patterns), (topic))

static struct str reflect(struct scene *scene) {
    if (!is_plain(scene->said) || scene->said.len == 0)
        return STR_NONE;
    bool is_question = str_ends(scene->said, STR("?"));
    struct str clause = is_question ? STR_NONE : clause_of(scene);
    if (clause.len)
        return FILL(scene, ABOUT_CLAUSE, clause);
    struct str phrase = phrase_of(scene);
    if (phrase.len == 0)
        return FILL(scene, ABOUT_NOTHING, STR(""));
    return is_question ? FILL(scene, ABOUT_QUESTION, phrase) : FILL(scene, ABOUT_PHRASE, phrase);
}

/* --- 3. what the card adds -------------------------------------------------------------------- */

/* The unsaid piece that shares most with the person's words; its index, or -1. */
static ptrdiff_t find_shared(const struct scene *scene, const struct pieces *pieces) {
    ptrdiff_t best = -1;
    int best_score = 0;
    for (size_t i = 0; i < pieces->count; i++) {
        int score = shared_words(scene, pieces->items[i]);
        if (score > best_score && !was_said(scene, pieces->items[i])) {
            best = (ptrdiff_t)i;
            best_score = score;
        }
    }
    return best;
}

/* Where the lore fits: a sentence that shares a word, else any that was not told yet, in its order.
 */
static ptrdiff_t find_lore(struct scene *scene) {
    ptrdiff_t at = find_shared(scene, &scene->lore);
    if (at >= 0 || !chance(scene, 60))
        return at;
    for (size_t i = 0; i < scene->lore.count; i++)
        if (!was_said(scene, scene->lore.items[i]))
            return (ptrdiff_t)i;
    return -1;
}

/* Two sentences of lore that follow one another are told together. */
static struct str lore_told(const struct scene *scene, size_t at) {
    struct str told = scene->lore.items[at];
    if (at + 1 == scene->lore.count)
        return told;
    struct str next = scene->lore.items[at + 1];
    bool follows = next.at > told.at && next.at - (told.at + told.len) <= 2;
    return follows && told.len + next.len < 320
               ? str_of(told.at, (size_t)(next.at + next.len - told.at))
               : told;
}

/* A name inside a sentence (capitals that do not begin it): what a question can be asked about. */
static struct str name_in(const struct scene *scene, struct str sentence) {
    struct str word, found = STR_NONE;
    bool is_first = true;
    for (size_t at = 0; text_next_word(sentence, &at, &word); is_first = false) {
        bool is_name = !is_first && word.len >= 3 && word.at[0] >= 'A' && word.at[0] <= 'Z' &&
                       word.at[-1] == ' ' && word.at[-2] != '.';
        bool is_own = str_has(scene->card->character_name, word);
        if (!is_name || is_own)
            continue;
        bool goes_on = found.len && word.at == found.at + found.len + 1;
        if (found.len && !goes_on)
            break;
        found = goes_on ? str_of(found.at, found.len + 1 + word.len) : word;
    }
    return found.len <= 40 ? found : STR_NONE;
}

static const char *const LORE_QUESTIONS[] = {
    "Has anybody told you about %c before?",
    "What would you have made of %c?",
    "Does %c mean anything to you?",
    "And %c, what have you heard of that?",
};

static struct str ask(struct scene *scene, struct str lore) {
    struct str name = lore.len ? name_in(scene, lore) : STR_NONE;
    struct str question = name.len ? FILL(scene, LORE_QUESTIONS, name) : STR_NONE;
    if (question.len && !was_said(scene, question))
        return question;
    question = pick_new(scene, &scene->questions);
    return question.len ? question : FILL(scene, QUESTIONS, STR(""));
}

/* --- putting it together ---------------------------------------------------------------------- */

static void begin_paragraph(struct buf *out) {
    if (out->len)
        buf_add_str(out, STR("\n\n"));
}

static void add_spoken(const struct scene *scene, struct buf *out, struct str speech) {
    if (scene->has_quotes)
        buf_add_char(out, '"');
    buf_add_str(out, speech);
    if (scene->has_quotes)
        buf_add_char(out, '"');
}

static void add_gesture(struct scene *scene, struct buf *out) {
    struct str gesture = scene->has_stars ? pick_new(scene, &scene->gestures) : STR_NONE;
    if (gesture.len == 0)
        return;
    begin_paragraph(out);
    buf_printf(out, "*" STR_FMT "*", STR_ARG(gesture));
}

static void add_reflection(struct scene *scene, struct buf *out) {
    struct str reflection = reflect(scene);
    if (reflection.len == 0)
        return;
    if (out->len && out->at[out->len - 1] == '*')
        buf_add_char(out, ' ');
    else
        begin_paragraph(out);
    buf_add_str(out, reflection);
}

/* Lore is told, not spoken: it is written about the character as often as by them. */
static void add_told(const struct scene *scene, struct buf *out, struct str told) {
    begin_paragraph(out);
    if (scene->has_stars)
        buf_printf(out, "*" STR_FMT "*", STR_ARG(told));
    else
        buf_add_str(out, told);
}

static void compose(struct scene *scene, struct buf *out) {
    struct str told = STR_NONE;
    if (chance(scene, 70))
        add_gesture(scene, out);
    add_reflection(scene, out);
    ptrdiff_t sentence = find_shared(scene, &scene->sentences);
    if (sentence >= 0) {
        begin_paragraph(out);
        add_spoken(scene, out, scene->sentences.items[sentence]);
    }
    ptrdiff_t lore = sentence >= 0 && chance(scene, 50) ? -1 : find_lore(scene);
    if (lore >= 0) {
        told = lore_told(scene, (size_t)lore);
        add_told(scene, out, told);
    }
    begin_paragraph(out);
    add_spoken(scene, out, ask(scene, told));
}

/* --- honesty ---------------------------------------------------------------------------------- */

static bool asks_what_we_are(struct str said) {
    static const char *const ASKED[] = {
        "are you an ai",
        "are you ai",
        "are you a model",
        "are you a language model",
        "language model",
        "are you a bot",
        "are you a robot",
        "are you real",
        "are you human",
        "are you a human",
        "are you a person",
        "are you a machine",
        "are you a program",
        "which model",
        "what model",
        "chatgpt",
        "are you an llm",
        "an ai?",
        "artificial intelligence",
        "bist du eine ki",
        "es-tu une ia",
        "eres una ia",
        "are you gpt",
        "what llm",
    };
    for (size_t i = 0; i < sizeof ASKED / sizeof *ASKED; i++)
        if (find_word(said, str_from(ASKED[i])) >= 0)
            return true;
    return false;
}

/* Out of character, in parentheses, set apart from the play. */
static void add_note(const struct scene *scene, struct buf *out, bool was_asked) {
    if (was_asked)
        buf_printf(
            out,
            "*(Stepping out of the part: I am no AI model. I am the Understudy, a small program that answers with lines from the card of " STR_FMT
            ", picked by matching words. Nothing here thinks. An admin can connect a real model under Models.)*",
            STR_ARG(scene->name));
    else
        buf_printf(
            out,
            "*(No language model is connected, so this is the Understudy: a stand-in that is no model, playing " STR_FMT
            " from the script on the card. An admin can connect one under Models.)*",
            STR_ARG(scene->name));
}

/* --- going on --------------------------------------------------------------------------------- */

/* The rest of `line` when `text` ends inside it; STR_NONE when it does not. */
static struct str rest_of(struct str line, struct str text) {
    size_t most = line.len > 0 ? line.len - 1 : 0;
    for (size_t len = most < text.len ? most : text.len; len >= 8; len--)
        if (memcmp(text.at + text.len - len, line.at, len) == 0)
            return str_slice(line, len, line.len);
    return STR_NONE;
}

static struct str rest_of_any(const struct scene *scene, struct str text) {
    for (size_t i = 0; i < scene->line_count; i++) {
        struct str rest = rest_of(scene->lines[i].reply, text);
        if (rest.len)
            return rest;
    }
    const struct pieces *all[] = {&scene->gestures, &scene->questions, &scene->sentences,
                                  &scene->lore};
    for (size_t p = 0; p < sizeof all / sizeof *all; p++)
        for (size_t i = 0; i < all[p]->count; i++) {
            struct str rest = rest_of(all[p]->items[i], text);
            if (rest.len)
                return rest;
        }
    return STR_NONE;
}

static bool is_open(struct str text) {
    static const char *const ENDS[] = {".", "!", "?", "\"", "*", "\u201d", "\u2026", ")"};
    for (size_t i = 0; i < sizeof ENDS / sizeof *ENDS; i++)
        if (str_ends(text, str_from(ENDS[i])))
            return false;
    return true;
}

static void go_on(struct scene *scene, struct buf *out) {
    struct str text = scene->request->messages[scene->request->message_count - 1].content;
    struct str rest = rest_of_any(scene, text);
    if (rest.len) {
        buf_add_str(out, rest);
        return;
    }
    if (is_open(str_trim(text)))
        buf_add_str(out, STR("..."));
    struct buf more;
    buf_init(&more, REPLY_LIMIT_BYTES);
    compose(scene, &more);
    buf_add_str(out, STR("\n\n"));
    buf_add_str(out, buf_str(&more));
    buf_release(&more);
}

/* --- the reply -------------------------------------------------------------------------------- */

static void reply(struct scene *scene, struct buf *out) {
    bool was_asked = asks_what_we_are(scene->said);
    if (was_asked || is_first_reply(scene->request))
        add_note(scene, out, was_asked);
    struct buf body;
    buf_init(&body, REPLY_LIMIT_BYTES);
    const struct line *answer = was_asked ? NULL : find_answer(scene);
    if (answer && !chance(scene, 15))
        buf_add_str(&body, answer->reply);
    else
        compose(scene, &body);
    begin_paragraph(out);
    buf_add_str(out, buf_str(&body));
    buf_release(&body);
}

struct str improvise(struct arena *arena, const struct chat_request *request, uint64_t seed) {
    struct scene *scene = ARENA_NEW(arena, struct scene);
    scene->arena = arena;
    scene->request = request;
    scene->card = request->card ? request->card : &NOBODY;
    scene->said = last_words(request);
    scene->dice = seed;
    read_card(scene);
    collect_stems(scene);
    weigh_stems(scene);
    score_lines(scene);
    struct buf out;
    buf_init(&out, REPLY_LIMIT_BYTES);
    if (request->is_continue && request->message_count)
        go_on(scene, &out);
    else
        reply(scene, &out);
    struct str text = text_repair(arena, str_slice(buf_str(&out), 0, out.len));
    text = str_dup(arena, text);
    buf_release(&out);
    return text;
}
