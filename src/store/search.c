/*
 * Queries for FTS5 out of what people type.
 *
 * FTS5 has a query language (AND, NEAR, columns, quotes, stars); text from outside put into it is
 * an error at best. Here every word becomes a quoted string, inside which nothing has a meaning but
 * the quote, which cannot be in a word. So no input makes a syntax error, and none reaches the
 * operators.
 *
 * The number and the length of words are bounded: each costs a look-up.
 */
#include "store/search.h"

#include "base/buf.h"
#include "base/text.h"

#include "base/banned.h"

#define WORD_LIMIT \
    64 /* code points of a word that count; no tokenizer keeps longer ones usefully apart */
#define TRIGRAM_LIMIT     48 /* of a whole query: enough for three long words */
#define QUERY_LIMIT_BYTES (16 << 10)

static struct str finish(struct arena *arena, struct buf *query) {
    struct str text =
        query->len > 0 && query->err == E_OK ? str_dup(arena, buf_str(query)) : STR_NONE;
    buf_release(query);
    return text;
}

static void add_quoted(struct buf *query, struct str word) {
    buf_add_char(query, '"');
    for (size_t i = 0; i < word.len; i++) {
        if (word.at[i] == '"')
            buf_add_char(query, '"'); /* doubled: how a quote is written inside quotes */
        if (word.at[i] != '\0')
            buf_add_char(query, word.at[i]);
    }
    buf_add_char(query, '"');
}

struct str search_query(struct arena *arena, struct str typed, bool is_typing) {
    struct buf query;
    buf_init(&query, QUERY_LIMIT_BYTES);
    struct str word;
    size_t at = 0;
    for (int count = 0; count < SEARCH_WORDS_LIMIT && text_next_word(typed, &at, &word); count++) {
        if (count > 0)
            buf_add_char(&query, ' ');
        add_quoted(&query, text_cut(word, WORD_LIMIT));
    }
    if (is_typing && query.len > 0)
        buf_add_char(&query, '*');
    return finish(arena, &query);
}

/* Adds the trigrams of one word; gives how many have been added so far. */
static int add_trigrams(struct buf *query, struct str word, int count) {
    for (size_t at = 0; at < word.len && count < TRIGRAM_LIMIT;) {
        struct str three = text_cut(str_slice(word, at, word.len), 3);
        if (text_length(three) < 3)
            break;
        if (count++ > 0)
            buf_add_str(query, STR(" OR "));
        add_quoted(query, three);
        at += text_cut(three, 1).len;
    }
    return count;
}

struct str search_fuzzy_query(struct arena *arena, struct str typed) {
    struct buf query;
    buf_init(&query, QUERY_LIMIT_BYTES);
    struct str word;
    size_t at = 0;
    int trigrams = 0;
    for (int count = 0; count < SEARCH_WORDS_LIMIT && text_next_word(typed, &at, &word); count++)
        trigrams = add_trigrams(&query, text_fold(arena, text_cut(word, WORD_LIMIT)), trigrams);
    return finish(arena, &query);
}
