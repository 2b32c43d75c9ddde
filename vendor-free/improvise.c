/*
 * How a reply comes about:
 *
 *   1. The person's words are looked up in the example talks of the card (rare words count more
 * than common ones, a like-sounding question most of all). A good match is answered with the
 * author's own line.
 *      But what is remembered of earlier and shares a word with what was said comes first.
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
#include "base/check.h"
#include "base/text.h"
#include "reflect.h"
#include "scene.h"

#include <string.h>

#include "base/banned.h"

#define REPLY_LIMIT_BYTES 16384
#define MATCH_ENOUGH      14 /* score of an example that answers by itself */

static const char *const ABOUT_LEAVING[] = {
    "{Go well,} says %n. {The door knows you now.}",
    "{Then go, and come back with the end of it.}",
    "{Mind the step. I will keep your place.}",
};
/* clang-format off */
static const char *const QUESTIONS[] = {
    "And what happened then?", "Who else knows about it?",
    "What would you do, if it were up to you?", "What brought that to mind?",
    "And you, how did you come by it?", "What did it look like from where you stood?",
    "Which part of it do you keep coming back to?",
};
/* clang-format on */

/* --- 1. the author's own answer --------------------------------------------------------------- */

/* Small words that people open and close a talk with; a card has an example for one of them as a
 * rule, not for each. */
static const char *const GREETINGS[] = {
    "hi",   "hey",   "hello",     "hallo",        "hola",         "bonjour", "salut",
    "ciao", "howdy", "greetings", "good evening", "good morning", "good day"};
static const char *const FAREWELLS[] = {"bye",        "goodbye",     "good bye",     "goodnight",
                                        "good night", "farewell",    "see you",      "i have to go",
                                        "i must go",  "i should go", "i need to go", "i'm off",
                                        "it's late",  "adieu",       "so long"};

static bool begins_with_any(struct str text, const char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(words[i]);
        bool ends = text.len == len ||
                    (text.len > len && !((text.at[len] | 32) >= 'a' && (text.at[len] | 32) <= 'z'));
        if (ends && str_eq_nocase(str_slice(text, 0, len), str_from(words[i])))
            return true;
    }
    return false;
}

static bool is_greeting(struct str text) {
    return text.len <= 40 && begins_with_any(text, GREETINGS, sizeof GREETINGS / sizeof *GREETINGS);
}

/* Anywhere in a short text: "Time for me to go. Goodbye!" */
static bool is_farewell(struct str text) {
    if (text.len > 80)
        return false;
    for (size_t i = 0; i < sizeof FAREWELLS / sizeof *FAREWELLS; i++)
        if (scene_find_word(text, str_from(FAREWELLS[i])) >= 0)
            return true;
    return false;
}

/* How well the author's line answers what was said; nothing for one that was given already. */
static int score_of(const struct scene *scene, const struct line *line) {
    bool is_alike = (is_greeting(scene->said) && is_greeting(line->prompt)) ||
                    (is_farewell(scene->said) && is_farewell(line->prompt));
    double likeness = text_similarity(scene->said, line->prompt);
    int score = 5 * scene_weight(scene, line->in_prompt) + 2 * scene_weight(scene, line->in_reply);
    score += likeness > 0.45 ? (int)(likeness * 20) : 0;
    score += is_alike ? 2 * MATCH_ENOUGH : 0;
    return scene_was_said(scene, line->reply) ? 0 : score;
}

/*
 * A long message needs more in common with an example before somebody else's answer fits it. One
 * that fits well is always given; of one that only just fits, now and then something new is made.
 */
static const struct line *find_answer(struct scene *scene) {
    const struct line *best = NULL;
    int needed = MATCH_ENOUGH + (int)(scene->said.len / 12), best_score = needed - 1;
    for (size_t i = 0; i < scene->line_count; i++) {
        int score = score_of(scene, &scene->lines[i]);
        if (score > best_score) {
            best = &scene->lines[i];
            best_score = score;
        }
    }
    return best_score >= 2 * needed || !scene_chance(scene, 20) ? best : NULL;
}

/* --- 2. what the card adds -------------------------------------------------------------------- */

/* The unsaid piece that shares most with the person's words; its index, or -1. */
static ptrdiff_t find_shared(const struct scene *scene, const struct pieces *pieces) {
    ptrdiff_t best = -1;
    int best_score = 0;
    for (size_t i = 0; i < pieces->count; i++) {
        int score = scene_weight(scene, scene_stems_in(scene, pieces->items[i]));
        if (score > best_score && !scene_was_said(scene, pieces->items[i])) {
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
    if (at >= 0 || !scene_chance(scene, 60))
        return at;
    for (size_t i = 0; i < scene->lore.count; i++)
        if (!scene_was_said(scene, scene->lore.items[i]))
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

/* True when `word` carries on the name that ends where `found` does: the next word, or the one
 * after "of". */
static bool goes_on(struct str found, struct str word) {
    if (found.len == 0)
        return false;
    struct str gap = str_of(found.at + found.len, (size_t)(word.at - found.at) - found.len);
    return str_eq(gap, STR(" ")) || str_eq(gap, STR(" of "));
}

static bool is_capital(struct str word) {
    return word.len >= 2 && word.at[0] >= 'A' && word.at[0] <= 'Z';
}

/* A name in a sentence: what a question can be asked about. With its article; the character's own
 * name is none. */
static struct str name_in(const struct scene *scene, struct str sentence) {
    struct str word, previous = STR_NONE, found = STR_NONE;
    for (size_t at = 0; text_next_word(sentence, &at, &word); previous = word) {
        bool is_inside = previous.len && word.at[-1] == ' ' && word.at[-2] != '.';
        if (goes_on(found, word) && is_capital(word)) {
            found = str_of(found.at, (size_t)(word.at + word.len - found.at));
        } else if (found.len && !str_eq(word, STR("of"))) {
            break;
        } else if (found.len == 0 && is_inside && is_capital(word) &&
                   !str_has(scene->card->character_name, word)) {
            bool has_article = str_eq_nocase(previous, STR("the"));
            found = has_article ? str_of(previous.at, (size_t)(word.at + word.len - previous.at))
                                : word;
        }
    }
    return found.len <= 48 ? found : STR_NONE;
}

/* "The Library" at the start of a sentence is "the Library" inside ours. */
static struct str uncapital_article(struct arena *arena, struct str name) {
    if (!str_starts(name, STR("The ")))
        return name;
    return str_printf(arena, "the " STR_FMT, STR_ARG(str_slice(name, 4, name.len)));
}

static bool was_asked_about(const struct scene *scene, struct str name) {
    for (size_t i = scene->request->message_count; i-- > 0;) {
        const struct chat_message *message = &scene->request->messages[i];
        struct str asked =
            str_slice(message->content, message->content.len > 120 ? message->content.len - 120 : 0,
                      message->content.len);
        if (message->role == CHAT_ASSISTANT && str_ends(str_trim(asked), STR("?\"")) &&
            str_has(asked, name))
            return true;
    }
    return false;
}

static const char *const LORE_QUESTIONS[] = {
    "Has anybody told you about %c before?",
    "What would you have made of %c?",
    "Does %c mean anything to you?",
    "And %c, what have you heard of that?",
};

static struct str ask(struct scene *scene, struct str lore) {
    struct str name = lore.len ? uncapital_article(scene->arena, name_in(scene, lore)) : STR_NONE;
    struct str question = STR_NONE;
    if (name.len && !was_asked_about(scene, name))
        question = REFLECT_FILL(scene, LORE_QUESTIONS, name);
    if (question.len == 0)
        question = scene_pick_new(scene, &scene->questions);
    return question.len ? question : REFLECT_FILL(scene, QUESTIONS, STR(""));
}

/* --- putting it together ---------------------------------------------------------------------- */

static void begin_paragraph(struct buf *out) {
    if (out->len)
        buf_add_str(out, STR("\n\n"));
}

static void add_spoken(const struct scene *scene, struct buf *out, struct str speech) {
    if (speech.len == 0)
        return;
    begin_paragraph(out);
    if (scene->has_quotes)
        buf_add_char(out, '"');
    buf_add_str(out, speech);
    if (scene->has_quotes)
        buf_add_char(out, '"');
}

static void add_gesture(struct scene *scene, struct buf *out) {
    struct str gesture = scene->has_stars ? scene_pick_new(scene, &scene->gestures) : STR_NONE;
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
    if (scene_chance(scene, 70))
        add_gesture(scene, out);
    add_reflection(scene, out);
    ptrdiff_t sentence = find_shared(scene, &scene->sentences);
    if (sentence >= 0)
        add_spoken(scene, out, scene->sentences.items[sentence]);
    ptrdiff_t lore = sentence >= 0 && scene_chance(scene, 50) ? -1 : find_lore(scene);
    if (lore >= 0) {
        told = lore_told(scene, (size_t)lore);
        add_told(scene, out, told);
    }
    add_spoken(scene, out, ask(scene, told));
}

static void take_leave(struct scene *scene, struct buf *out) {
    add_gesture(scene, out);
    if (out->len)
        buf_add_char(out, ' ');
    buf_add_str(out, REFLECT_FILL(scene, ABOUT_LEAVING, STR("")));
}

/* Back into the play after a word outside of it. */
static void turn_back(struct scene *scene, struct buf *out) {
    add_gesture(scene, out);
    add_spoken(scene, out, ask(scene, STR_NONE));
}

/* --- what is remembered ----------------------------------------------------------------------- */

/* The sentence of what was remembered that shares most with the person's words, told as a memory. */
static struct str find_memory(const struct scene *scene) {
    const struct chat_card *card = scene->card;
    struct str found = STR_NONE, speaker = STR_NONE;
    int best = 0;
    for (size_t i = 0; card != NULL && i < card->memory_count; i++) {
        struct str rest = card->memories[i].text, sentence;
        while (scene_next_sentence(&rest, &sentence)) {
            int score = scene_weight(scene, scene_stems_in(scene, sentence));
            if (score > best && !scene_was_said(scene, sentence)) {
                best = score;
                found = sentence;
                speaker = card->memories[i].speaker;
            }
        }
    }
    if (found.len == 0)
        return STR_NONE;
    const char *opening = speaker.len == 0                   ? "I have kept this in mind"
                          : str_eq(speaker, card->user_name) ? "I have not forgotten. You said"
                                                             : "I remember saying it";
    return str_printf(scene->arena, "%s: " STR_FMT, opening, STR_ARG(str_trim(found)));
}

static void tell_memory(struct scene *scene, struct buf *out, struct str memory) {
    add_gesture(scene, out);
    add_spoken(scene, out, memory);
    add_spoken(scene, out, ask(scene, STR_NONE));
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
        if (scene_find_word(said, str_from(ASKED[i])) >= 0)
            return true;
    return false;
}

/* Out of character, in parentheses, set apart from the play; chat_without_note() knows it by that. */
static void add_note(const struct scene *scene, struct buf *out, bool was_asked) {
    if (was_asked)
        buf_printf(
            out,
            CHAT_NOTE_BEGIN
            "Stepping out of the part: I am no AI model. I am " CHAT_NOTE_NAME
            ", a small program that answers with lines from the card of " STR_FMT
            ", picked by matching words. Nothing here thinks. An admin can connect a real model under Models." CHAT_NOTE_END,
            STR_ARG(scene->name));
    else
        buf_printf(
            out,
            CHAT_NOTE_BEGIN
            "No language model is connected, so this is " CHAT_NOTE_NAME
            ": a stand-in that is no model, playing " STR_FMT
            " from the script on the card. An admin can connect one under Models." CHAT_NOTE_END,
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
    if (was_asked || scene_is_first_reply(scene->request))
        add_note(scene, out, was_asked);
    struct buf body;
    buf_init(&body, REPLY_LIMIT_BYTES);
    bool is_over = is_farewell(scene->said);
    struct str memory = was_asked || is_over ? STR_NONE : find_memory(scene);
    const struct line *answer = was_asked || memory.len ? NULL : find_answer(scene);
    if (memory.len)
        tell_memory(scene, &body, memory);
    else if (answer)
        buf_add_str(&body, answer->reply);
    else if (was_asked)
        turn_back(scene, &body);
    else if (is_over)
        take_leave(scene, &body);
    else
        compose(scene, &body);
    if (body.len == 0) /* everything was said already: then one is said again */
        add_spoken(scene, &body, str_from(QUESTIONS[scene_pick(scene, COUNT_OF(QUESTIONS))]));
    begin_paragraph(out);
    buf_add_str(out, buf_str(&body));
    buf_release(&body);
}

struct str improvise(struct arena *arena, const struct chat_request *request, uint64_t seed) {
    struct scene *scene = scene_read(arena, request, seed);
    struct buf out;
    buf_init(&out, REPLY_LIMIT_BYTES);
    if (request->is_continue && request->message_count)
        go_on(scene, &out);
    else
        reply(scene, &out);
    /* A line may have been cut inside a character: text_repair gives its argument back when it is
     * whole. */
    struct str text = str_dup(arena, text_repair(arena, buf_str(&out)));
    buf_release(&out);
    return text;
}
