/*
 * People do not write in sentences that a pattern could read: "hi!! so im Mia and I live in Leeds,
 * my sister says \"I am a mess\" haha". Here such a message becomes a list of clauses ("i am mia",
 * "i live in leeds"), and what nobody claims is left out: questions, suppositions ("if I lived in
 * Rome"), speech of others, stage directions between asterisks.
 *
 * A clause begins where a sentence does, and after a comma or a joining word when somebody speaks
 * of themself there ("and I", "but my"). A verb that shares its subject ("I live in Leeds and work
 * as a nurse") gets the subject back.
 */
#include "memory/clauses.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/text.h"

#include <string.h>

#include "base/banned.h"

#define TOKENS_LIMIT     2048 /* of one message; the rest is not read */
#define CLAUSES_LIMIT    256
#define TEXT_LIMIT_BYTES 20000
#define EMPHASIS_WORDS   1 /* so many words between asterisks are stressed, more are an action */

/* Asked some thousand times of a message: the first letter finds the places, memmem would make its
 * tables anew each time. */
bool word_in(struct str word, const char *list) {
    const char *end = list + strlen(list);
    if (word.len == 0)
        return false;
    for (const char *at = list; (at = memchr(at, word.at[0], (size_t)(end - at))); at++) {
        if (word.len > (size_t)(end - at))
            return false;
        bool begins = at == list || at[-1] == ' ';
        bool ends = at[word.len] == 0 || at[word.len] == ' ';
        if (begins && ends && memcmp(at, word.at, word.len) == 0)
            return true;
    }
    return false;
}

/* --- what is not said by the speaker ------------------------------------------------------------ */

static size_t quote_at(struct str text, size_t at) {
    static const struct str marks[] = {
        {"\"", 1}, {"\xe2\x80\x9c", 3}, {"\xe2\x80\x9d", 3}, {"\xc2\xab", 2}, {"\xc2\xbb", 2}};
    for (size_t i = 0; i < COUNT_OF(marks); i++)
        if (str_starts(str_slice(text, at, text.len), marks[i]))
            return marks[i].len;
    return 0;
}

static size_t word_count(struct str text) {
    size_t at = 0, count = 0;
    struct str word;
    while (text_next_word(text, &at, &word))
        count++;
    return count;
}

/* Drops *actions*; a stressed word stays. */
static struct str without_actions(struct arena *arena, struct str text) {
    char *out = arena_alloc(arena, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len;) {
        ptrdiff_t end = text.at[i] == '*' ? str_find_char(text, '*', i + 1) : -1;
        struct str inside = end < 0 ? STR_NONE : str_slice(text, i + 1, (size_t)end);
        bool is_alone = i == 0 || text.at[i - 1] == '\n';
        if (end >= 0 && (is_alone || word_count(inside) > EMPHASIS_WORDS)) {
            out[len++] = '\n';
            i = (size_t)end + 1;
        } else if (text.at[i] == '*' || text.at[i] == '_') {
            i++;
        } else {
            out[len++] = text.at[i++];
        }
    }
    return str_of(out, len);
}

static bool is_told(struct str outside) {
    static const char *const verbs =
        "says said asks asked whispers whispered shouts shouted yells yelled writes wrote told tells sings "
        "sang claims claimed replied replies goes";
    size_t at = 0;
    struct str word, before = STR_NONE;
    while (text_next_word(outside, &at, &word)) {
        if (word_in(word, verbs) && !str_eq_nocase(before, STR("i")))
            return true;
        before = word;
    }
    return false;
}

/* A paragraph that begins with a quotation mark is speech with a narration around it; elsewhere
 * what is quoted is somebody else's. */
static void add_paragraph(struct arena *arena, struct str text, bool is_character,
                          struct buf *out) {
    struct str trimmed = str_trim(text);
    bool is_speech = quote_at(trimmed, 0) > 0, is_inside = false;
    struct buf inside, outside;
    buf_init(&inside, TEXT_LIMIT_BYTES * 2);
    buf_init(&outside, TEXT_LIMIT_BYTES * 2);
    for (size_t i = 0; i < trimmed.len;) {
        size_t mark = quote_at(trimmed, i);
        if (mark > 0) {
            is_inside = !is_inside;
            buf_add_str(is_inside ? &outside : &inside, STR(" \" "));
        } else {
            buf_add_char(is_inside ? &inside : &outside, trimmed.at[i]);
        }
        i += mark > 0 ? mark : 1;
    }
    struct str around = buf_str(&outside);
    if (!is_speech)
        buf_add_str(out, around);
    else if (is_character || !is_told(around))
        buf_add_str(out, buf_str(&inside));
    buf_add_char(out, '\n');
    buf_release(&inside);
    buf_release(&outside);
    (void)arena;
}

static struct str own_words(struct arena *arena, struct str text, bool is_character) {
    struct str rest = without_actions(arena, text_cut(text, TEXT_LIMIT_BYTES / 4)), paragraph;
    struct buf out;
    buf_init(&out, TEXT_LIMIT_BYTES * 4);
    while (str_next(&rest, '\n', &paragraph))
        add_paragraph(arena, paragraph, is_character, &out);
    struct str own = str_dup(arena, buf_str(&out));
    buf_release(&out);
    return own;
}

/* --- tokens ------------------------------------------------------------------------------------- */

struct reader {
    struct arena *arena;
    struct token *tokens;
    size_t token_count, token_room;
    struct clause *clauses;
    size_t clause_count, clause_room;
};

static const char ADVERBS[] =
    "really just also actually currently still now always usually absolutely totally quite recently finally definitely "
    "simply already even honestly truly very basically literally kinda mostly only secretly both once again probably "
    "obviously sadly unfortunately luckily happily officially proudly personally originally generally normally";

static void add_token(struct reader *reader, struct str view, struct str low, bool has_break) {
    if (reader->token_count == reader->token_room)
        return;
    bool is_capital = view.len > 0 && view.at[0] >= 'A' && view.at[0] <= 'Z';
    uint32_t code = 0;
    if (text_char(view, 0, &code) > 1)
        is_capital =
            !str_eq(str_slice(text_fold(reader->arena, view), 0, 2), str_slice(view, 0, 2));
    reader->tokens[reader->token_count++] = (struct token){.view = view,
                                                           .low = low,
                                                           .is_capital = is_capital,
                                                           .is_adverb = word_in(low, ADVERBS),
                                                           .has_break = has_break};
}

/* clang-format off */
static const struct { const char *word, *first, *second; } contractions[] = {
    {"i'm", "i", "am"}, {"im", "i", "am"}, {"i've", "i", "have"}, {"ive", "i", "have"}, {"i'd", "i", "would"}, {"i'll", "i", "will"},
    {"you're", "you", "are"}, {"you've", "you", "have"}, {"you'd", "you", "would"}, {"you'll", "you", "will"},
    {"we're", "we", "are"}, {"we've", "we", "have"}, {"we'd", "we", "would"}, {"we'll", "we", "will"},
    {"they're", "they", "are"}, {"they've", "they", "have"}, {"they'd", "they", "would"}, {"they'll", "they", "will"},
    {"he's", "he", "is"}, {"she's", "she", "is"}, {"it's", "it", "is"}, {"that's", "that", "is"}, {"there's", "there", "is"},
    {"who's", "who", "is"}, {"what's", "what", "is"}, {"here's", "here", "is"}, {"let's", "let", "us"},
    {"don't", "do", "not"}, {"dont", "do", "not"}, {"doesn't", "does", "not"}, {"doesnt", "does", "not"}, {"didn't", "did", "not"}, {"didnt", "did", "not"},
    {"can't", "can", "not"}, {"cant", "can", "not"}, {"cannot", "can", "not"}, {"couldn't", "could", "not"}, {"won't", "will", "not"},
    {"wouldn't", "would", "not"}, {"shouldn't", "should", "not"}, {"isn't", "is", "not"}, {"aren't", "are", "not"}, {"ain't", "am", "not"},
    {"wasn't", "was", "not"}, {"weren't", "were", "not"}, {"haven't", "have", "not"}, {"hasn't", "has", "not"}, {"hadn't", "had", "not"},
    {"gonna", "going", "to"}, {"wanna", "want", "to"}, {"favorite", "favourite", NULL}, {"fav", "favourite", NULL}, {"fave", "favourite", NULL},
    {"mum", "mother", NULL}, {"mom", "mother", NULL}, {"mam", "mother", NULL}, {"dad", "father", NULL}, {"daddy", "father", NULL}, {"mommy", "mother", NULL},
    {"grandma", "grandmother", NULL}, {"granny", "grandmother", NULL}, {"grandpa", "grandfather", NULL}, {"grandad", "grandfather", NULL},
    {"bf", "boyfriend", NULL}, {"gf", "girlfriend", NULL}, {"kitty", "cat", NULL}, {"doggo", "dog", NULL}, {"colour", "colour", NULL}, {"color", "colour", NULL},
    {"called", "called", NULL}, {"named", "called", NULL}, {"anymore", "anymore", NULL}, {"realy", "really", NULL}, {"u", "you", NULL}, {"ur", "your", NULL},
};
/* clang-format on */

static struct str plain(struct arena *arena, struct str word) {
    struct str folded = text_fold(arena, word);
    static const char curly[] = "\xe2\x80\x99";
    ptrdiff_t at = str_find(folded, STR(curly), 0);
    if (at < 0)
        return folded;
    return str_printf(arena, STR_FMT "'" STR_FMT, STR_ARG(str_slice(folded, 0, (size_t)at)),
                      STR_ARG(str_slice(folded, (size_t)at + 3, folded.len)));
}

static void add_word(struct reader *reader, struct str view, bool has_break) {
    struct str low = plain(reader->arena, view);
    for (size_t i = 0; i < COUNT_OF(contractions); i++)
        if (low.len > 0 && contractions[i].word[0] == low.at[0] &&
            str_eq(low, str_from(contractions[i].word))) {
            struct str first = str_from(contractions[i].first);
            /* A word on its own keeps its spelling in what is captured; an opened pair does not. */
            add_token(reader, contractions[i].second ? first : view, first, has_break);
            if (contractions[i].second)
                add_token(reader, str_from(contractions[i].second),
                          str_from(contractions[i].second), false);
            return;
        }
    size_t cut = str_ends(low, STR("'s")) ? 2 : 0;
    if (cut == 0) {
        add_token(reader, view, low, has_break);
        return;
    }
    size_t tail = str_ends(view, STR("'s")) || str_ends(view, STR("'S")) ? 2 : 4;
    add_word(reader, str_slice(view, 0, view.len - tail), has_break);
    add_token(reader, STR("'s"), STR("'s"), false);
}

static bool is_break(struct str gap) {
    static const char marks[] = ",;:()[]\"|~<>";
    for (size_t i = 0; i < gap.len; i++)
        if (strchr(marks, gap.at[i]) || (gap.at[i] == '-' && gap.len > 1) ||
            (gap.at[i] & 0x80) != 0)
            return true;
    return false;
}

/* --- clauses ------------------------------------------------------------------------------------ */

static const char SUBJECTS[] = "i my we our";
static const char JOINS[] =
    "and but so because also plus then or though although cause cuz while that";
static const char SHARED[] =
    "work live love like hate study play speak own enjoy adore prefer have collect drive moved got teach dislike am";
static const char UNREAL[] =
    "would could might may wish imagine pretend suppose maybe perhaps hypothetically should kidding joking unless if whether";
static const char SUPPOSED[] =
    "if imagine suppose pretend say let what when why who how where whose which unless assuming were once";
static const char TOLD[] =
    "said says saying asked wrote yelled shouted sang sings claims claimed thinks thought believes dreamed dreamt heard "
    "swears told tells quote lyrics";

static bool begins_unreal(const struct token *tokens, size_t count) {
    struct str first = tokens[0].low;
    if (str_eq(first, STR("when")) || str_eq(first, STR("let")) || str_eq(first, STR("say")))
        return str_eq(first, STR("let")) ||
               (count > 1 && str_eq(first, STR("say")) && word_in(tokens[1].low, SUBJECTS));
    return word_in(first, SUPPOSED);
}

/* Somebody else's words, or a dream: "she says I am lazy". "I said", "I told you" are one's own. */
static bool is_told_before(const struct token *tokens, size_t at) {
    for (size_t i = 0; i < at; i++)
        if (word_in(tokens[i].low, TOLD) &&
            (i == 0 || !str_eq(tokens[i - 1].low, STR("i")) ||
             word_in(tokens[i].low, "dreamed dreamt heard thought")))
            return true;
    return false;
}

static bool starts_clause(const struct token *tokens, size_t i, size_t count) {
    if (i == 0)
        return true;
    bool is_subject =
        word_in(tokens[i].low, SUBJECTS) || (str_eq(tokens[i].low, STR("you")) && i + 1 < count &&
                                             str_eq(tokens[i + 1].low, STR("are")));
    return is_subject && (tokens[i].has_break || word_in(tokens[i - 1].low, JOINS));
}

static bool is_shared(const struct token *tokens, size_t i, size_t from) {
    return i > from + 2 && str_eq(tokens[from].low, STR("i")) && i > 0 &&
           word_in(tokens[i - 1].low, "and but") && word_in(tokens[i].low, SHARED);
}

static bool has_unreal(const struct token *tokens, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (word_in(tokens[i].low, UNREAL))
            return true;
    return false;
}

static void add_clause(struct reader *reader, const struct token *tokens, size_t count,
                       bool gets_subject, bool is_first, bool is_last) {
    while (count > 0 && word_in(tokens[count - 1].low, JOINS))
        count--;
    /* "may" the month and "May" the name are capitals in the middle of a sentence. */
    if (count == 0 || reader->clause_count == reader->clause_room)
        return;
    if (has_unreal(tokens, count)) {
        bool is_month = false;
        for (size_t i = 1; i < count; i++)
            is_month |= str_eq(tokens[i].view, STR("May"));
        if (!is_month)
            return;
    }
    if (gets_subject) {
        struct token *own = ARENA_ARRAY(reader->arena, struct token, count + 1);
        own[0] = (struct token){.view = STR("I"), .low = STR("i")};
        memcpy(own + 1, tokens, count * sizeof *own);
        tokens = own;
        count++;
    }
    reader->clauses[reader->clause_count++] =
        (struct clause){.tokens = tokens, .count = count, .is_first = is_first, .is_last = is_last};
}

static void add_sentence(struct reader *reader, struct str text, char end) {
    size_t at = 0, begin = reader->token_count, before = 0;
    struct str word;
    if (end == '?')
        return;
    while (text_next_word(text, &at, &word)) {
        size_t from = (size_t)(word.at - text.at);
        add_word(reader, word, is_break(str_slice(text, before, from)));
        before = from + word.len;
    }
    const struct token *tokens = reader->tokens + begin;
    size_t count = reader->token_count - begin, from = 0;
    if (count == 0 || begins_unreal(tokens, count))
        return;
    bool gets_subject = false;
    for (size_t i = 1; i <= count; i++) {
        bool shares = i < count && is_shared(tokens, i, from) && !gets_subject;
        if (i < count && !shares && !starts_clause(tokens, i, count))
            continue;
        if (!is_told_before(tokens, from))
            add_clause(reader, tokens + from, i - from, gets_subject, from == 0, i == count);
        from = i;
        gets_subject = shares;
    }
}

static bool ends_sentence(struct str text, size_t at) {
    char c = text.at[at];
    if (c == '!' || c == '?' || c == '\n')
        return true;
    if (c != '.')
        return false;
    if (at + 1 < text.len && text.at[at + 1] != ' ' && text.at[at + 1] != '\n' &&
        text.at[at + 1] != '.' && text.at[at + 1] != '"')
        return false;
    size_t from = at;
    while (from > 0 && text.at[from - 1] != ' ' && text.at[from - 1] != '\n')
        from--;
    struct str word = str_slice(text, from, at);
    return !word_in(word, "Mr Mrs Ms Dr St Prof Jr vs e.g i.e") && !(word.len == 1 && from > 0);
}

struct clause *clauses_of(struct arena *arena, struct str text, bool is_character, size_t *count) {
    struct str own = own_words(arena, text_repair(arena, text), is_character);
    /* A word has a letter and an end, and may become two; a clause has two words. */
    size_t room = own.len + 2 < TOKENS_LIMIT ? own.len + 2 : TOKENS_LIMIT;
    struct reader reader = {.arena = arena,
                            .token_room = room,
                            .clause_room =
                                room / 2 + 1 < CLAUSES_LIMIT ? room / 2 + 1 : CLAUSES_LIMIT};
    reader.tokens = ARENA_ARRAY(arena, struct token, reader.token_room);
    reader.clauses = ARENA_ARRAY(arena, struct clause, reader.clause_room);
    size_t from = 0;
    for (size_t i = 0; i <= own.len; i++) {
        if (i < own.len && !ends_sentence(own, i))
            continue;
        size_t last = i;
        while (last + 1 < own.len && strchr(".!?", own.at[last + 1]))
            last++;
        bool is_question = str_find_char(str_slice(own, i, last + 1), '?', 0) >= 0;
        add_sentence(&reader, str_slice(own, from, i), is_question ? '?' : '.');
        from = last + 1;
        i = last;
    }
    *count = reader.clause_count;
    return reader.clauses;
}
