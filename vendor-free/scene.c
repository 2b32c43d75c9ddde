/*
 * Example talks are split at the speakers' names, replies at asterisks (actions) and sentence ends;
 * what is too short, too long or torn out of a quotation is left out. Words are compared by crude
 * stems: lower case, the commonest English endings off. All of it is bounded by the limits of the
 * header, so a card of any size costs about the same.
 */
#include "scene.h"

#include "base/text.h"

#include <string.h>

#include "base/banned.h"

#define RECENT_MESSAGES 24   /* the replies in which repetition is looked for */
#define PROBE_BYTES     48   /* so much of a line tells whether it was said */
#define TEXT_LOOKED_AT  2000 /* of the person's message */
#define SPEECH_BYTES    6000 /* of one example reply */

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

size_t scene_pick(struct scene *scene, size_t count) {
    return count ? (size_t)(roll(scene) % count) : 0;
}

bool scene_chance(struct scene *scene, unsigned percent) {
    return roll(scene) % 100 < percent;
}

/* --- what was said ---------------------------------------------------------------------------- */

bool scene_was_said(const struct scene *scene, struct str text) {
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
struct str scene_pick_new(struct scene *scene, const struct pieces *pieces) {
    size_t from = scene_pick(scene, pieces->count);
    for (size_t i = 0; i < pieces->count; i++) {
        struct str piece = pieces->items[(from + i) % pieces->count];
        if (!scene_was_said(scene, piece))
            return piece;
    }
    return STR_NONE;
}

/* No reply of the character follows a word of the person: nobody has been told yet who speaks. */
bool scene_is_first_reply(const struct chat_request *request) {
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

/* clang-format off */
static const char *const STOPWORDS[] = {
    "about", "after", "again", "all", "also", "and", "any", "anything", "are", "been", "before",
    "but", "can", "come", "could", "did", "does", "doing", "don't", "even", "ever", "for", "from",
    "get", "give", "going", "good", "got", "had", "has", "have", "he", "her", "here", "him",
    "his", "how", "i'm", "into", "it's", "its", "just", "know", "let", "like", "lot", "made",
    "make", "many", "maybe", "me", "more", "much", "must", "my", "never", "not", "now", "off",
    "okay", "one", "only", "other", "our", "out", "over", "please", "quite", "rather", "really",
    "said", "say", "see", "she", "should", "some", "something", "still", "such", "sure", "tell",
    "than", "that", "that's", "the", "their", "them", "then", "there", "these", "they", "thing",
    "think", "this", "those", "time", "too", "very", "want", "was", "way", "well", "were", "what",
    "what's", "when", "where", "which", "while", "who", "why", "will", "with", "would", "yes",
    "you", "your", "yourself", "myself", "always", "because", "today", "them", "being", "whether",
};
/* clang-format on */

static bool is_stopword(struct str word) {
    for (size_t i = 0; i < sizeof STOPWORDS / sizeof *STOPWORDS; i++)
        if (str_eq_nocase(word, str_from(STOPWORDS[i])))
            return true;
    return false;
}

static bool ends_with(const struct stem *stem, const char *end, size_t at_least) {
    return stem->len >= at_least && str_ends(str_of(stem->at, stem->len), str_from(end));
}

/* Lower case, and the commonest endings off: "baking" meets "bake" only in its first letters, which
 * is enough for a stand-in. */
static bool stem_of(struct str word, struct stem *stem) {
    if (word.len < 3 || word.len > SCENE_STEM_BYTES)
        return false;
    *stem = (struct stem){.len = word.len};
    for (size_t i = 0; i < word.len; i++)
        stem->at[i] = word.at[i] >= 'A' && word.at[i] <= 'Z' ? (char)(word.at[i] | 32) : word.at[i];
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

/* Words that mean something in the person's message. */
bool scene_counts(struct str word, struct stem *stem) {
    return !is_stopword(word) && stem_of(word, stem);
}

static void collect_stems(struct scene *scene) {
    struct str word;
    struct stem stem;
    for (size_t at = 0;
         text_next_word(scene->said, &at, &word) && scene->stem_count < SCENE_STEM_LIMIT;) {
        bool is_known = !scene_counts(word, &stem);
        for (size_t i = 0; i < scene->stem_count && !is_known; i++)
            is_known = same_stem(&scene->stems[i], &stem);
        if (!is_known)
            scene->stems[scene->stem_count++] = stem;
    }
}

/* Which of the person's words a text has: bit i for stem i. */
uint32_t scene_stems_in(const struct scene *scene, struct str text) {
    uint32_t found = 0;
    struct str word;
    struct stem stem;
    for (size_t at = 0; text_next_word(text, &at, &word);) {
        if (!stem_of(word, &stem))
            continue;
        for (size_t i = 0; i < scene->stem_count; i++)
            if (same_stem(&scene->stems[i], &stem))
                found |= UINT32_C(1) << i;
    }
    return found;
}

/* A word that stands in one example says more than one that stands in all. */
static int rarity(const struct stem *stem) {
    return stem->lines_with <= 1 ? 3 : stem->lines_with == 2 ? 2 : 1;
}

int scene_weight(const struct scene *scene, uint32_t found) {
    int score = 0;
    for (size_t i = 0; i < scene->stem_count; i++)
        if (found >> i & 1)
            score += rarity(&scene->stems[i]);
    return score;
}

static bool is_letter_at(struct str s, size_t at) {
    return at < s.len && (s.at[at] | 32) >= 'a' && (s.at[at] | 32) <= 'z';
}

/* The case-blind place where `words` begin and end with words of `s`, or -1. */
ptrdiff_t scene_find_word(struct str s, struct str words) {
    for (size_t at = 0; at + words.len <= s.len; at++) {
        bool is_whole = (at == 0 || !is_letter_at(s, at - 1)) &&
                        !(is_letter_at(words, words.len - 1) && is_letter_at(s, at + words.len));
        if (is_whole && str_eq_nocase(str_slice(s, at, at + words.len), words))
            return (ptrdiff_t)at;
    }
    return -1;
}

/* --- the card, taken apart -------------------------------------------------------------------- */

static void add_piece(struct pieces *pieces, struct str piece) {
    if (pieces->count < SCENE_PIECE_LIMIT)
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
    struct str reply = str_trim(str_slice(parsing->reply, 0, SPEECH_BYTES));
    if (reply.len && scene->line_count < SCENE_LINE_LIMIT)
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
bool scene_next_sentence(struct str *rest, struct str *sentence) {
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
    while (scene_next_sentence(&speech, &sentence))
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
        while (scene_next_sentence(&rest, &sentence))
            if (sentence.len >= 20 && sentence.len <= 400 && begins_well(sentence) &&
                !str_has(sentence, STR("*")))
                add_piece(&scene->lore, sentence);
    }
}

size_t scene_count_char(struct str s, char c) {
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

/* Whether speech is in quotation marks: a card that has none around it may still quote somebody. */
static bool is_quoted(const struct scene *scene) {
    size_t quoted = 0;
    for (size_t i = 0; i < scene->line_count; i++)
        quoted += str_starts(scene->lines[i].reply, STR("\"")) ||
                  str_ends(scene->lines[i].reply, STR("\""));
    return scene->line_count ? 2 * quoted >= scene->line_count
                             : scene_count_char(scene->card->greeting, '"') >= 2;
}

static void read_card(struct scene *scene) {
    read_examples(scene);
    read_lore(scene);
    for (size_t i = 0; i < scene->line_count; i++)
        read_reply(scene, scene->lines[i].reply);
    read_reply(scene, scene->card->greeting);
    scene->has_quotes = is_quoted(scene);
    scene->has_stars = scene_count_char(scene->card->greeting, '*') +
                           scene_count_char(scene->card->examples, '*') >=
                       2;
    scene->name = short_name(scene->card->character_name);
}

static void weigh_stems(struct scene *scene) {
    for (size_t i = 0; i < scene->line_count; i++) {
        struct line *line = &scene->lines[i];
        line->in_prompt = scene_stems_in(scene, line->prompt);
        line->in_reply = scene_stems_in(scene, line->reply);
        for (size_t s = 0; s < scene->stem_count; s++)
            scene->stems[s].lines_with += (line->in_prompt | line->in_reply) >> s & 1;
    }
}

struct scene *scene_read(struct arena *arena, const struct chat_request *request, uint64_t seed) {
    struct scene *scene = ARENA_NEW(arena, struct scene);
    scene->arena = arena;
    scene->request = request;
    scene->card = request->card ? request->card : &NOBODY;
    scene->said = last_words(request);
    scene->dice = seed;
    read_card(scene);
    collect_stems(scene);
    weigh_stems(scene);
    return scene;
}
