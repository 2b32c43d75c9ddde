/*
 * Stages: the beginning of a reply may be white space and then `<think>`; inside, all is thinking
 * until the closing tag; after it, line ends are skipped; then the character speaks, watched for
 * stop strings. A tag that comes later in the text is text: people write about tags.
 *
 * The echo is looked at before everything else, byte by byte, as long as it matches.
 */
#include "model/filter.h"

#include <string.h>

#include "base/banned.h"

#define HELD_LIMIT_BYTES   (1 << 20) /* an echo of a whole message at the most */
#define BLANKS_LIMIT_BYTES 256 /* before a tag; a model that only breaks lines is not waited for */

static const struct {
    struct str open, close;
} TAGS[] = {
    {{"<think>", 7}, {"</think>", 8}},
    {{"<thinking>", 10}, {"</thinking>", 11}},
};
#define TAG_COUNT ((int)(sizeof(TAGS) / sizeof(TAGS[0])))

void filter_init(struct filter *filter, const struct str *stops, size_t stop_count,
                 struct str echo) {
    *filter = (struct filter){.stops = stops, .stop_count = stop_count, .echo = echo};
    filter->is_echo_over = echo.len == 0;
    buf_init(&filter->held, HELD_LIMIT_BYTES);
}

void filter_release(struct filter *filter) {
    buf_release(&filter->held);
}

bool filter_has_stopped(const struct filter *filter) {
    return filter->stage == FILTER_STOPPED;
}

static void give_text(struct filter *filter, struct str text) {
    if (text.len)
        filter->text(filter->ctx, text);
}

static void give_reasoning(struct filter *filter, struct str text) {
    if (text.len)
        filter->reasoning(filter->ctx, text);
}

static size_t skip_space(struct str s, size_t at) {
    while (at < s.len &&
           (s.at[at] == ' ' || s.at[at] == '\n' || s.at[at] == '\r' || s.at[at] == '\t'))
        at++;
    return at;
}

/* The length of the longest end of `text` that `word` begins with (never the whole word). */
static size_t begun(struct str text, struct str word) {
    size_t most = word.len > 0 ? word.len - 1 : 0;
    for (size_t len = most < text.len ? most : text.len; len > 0; len--)
        if (memcmp(text.at + text.len - len, word.at, len) == 0)
            return len;
    return 0;
}

/* --- stages: each takes from the front of `text` and says how many bytes it has done with ----- */

static size_t begin(struct filter *filter, struct str text) {
    size_t at = skip_space(text, 0);
    struct str rest = str_slice(text, at, text.len);
    bool may_come = rest.len == 0 && at <= BLANKS_LIMIT_BYTES;
    for (int i = 0; i < TAG_COUNT; i++) {
        if (str_starts(rest, TAGS[i].open)) {
            filter->stage = FILTER_THINKING;
            filter->tag = i;
            return at + TAGS[i].open.len;
        }
        may_come = may_come || str_starts(TAGS[i].open, rest);
    }
    if (!may_come)
        filter->stage = FILTER_SPEAKING;
    return 0;
}

static size_t think(struct filter *filter, struct str text) {
    struct str close = TAGS[filter->tag].close;
    ptrdiff_t end = str_find(text, close, 0);
    if (end >= 0) {
        give_reasoning(filter, str_slice(text, 0, (size_t)end));
        filter->stage = FILTER_AFTER_THINKING;
        return (size_t)end + close.len;
    }
    size_t clear = text.len - begun(text, close);
    give_reasoning(filter, str_slice(text, 0, clear));
    return clear;
}

static size_t settle(struct filter *filter, struct str text) {
    size_t at = skip_space(text, 0);
    if (at < text.len)
        filter->stage = FILTER_SPEAKING;
    return at;
}

/* The first stop string in `text`, or -1. */
static ptrdiff_t find_stop(const struct filter *filter, struct str text) {
    ptrdiff_t first = -1;
    for (size_t i = 0; i < filter->stop_count; i++) {
        ptrdiff_t at = filter->stops[i].len ? str_find(text, filter->stops[i], 0) : -1;
        if (at >= 0 && (first < 0 || at < first))
            first = at;
    }
    return first;
}

static size_t speak(struct filter *filter, struct str text) {
    ptrdiff_t stop = find_stop(filter, text);
    if (stop >= 0) {
        give_text(filter, str_slice(text, 0, (size_t)stop));
        filter->stage = FILTER_STOPPED;
        return text.len;
    }
    size_t hold = 0;
    for (size_t i = 0; i < filter->stop_count; i++) {
        size_t len = begun(text, filter->stops[i]);
        hold = len > hold ? len : hold;
    }
    give_text(filter, str_slice(text, 0, text.len - hold));
    return text.len - hold;
}

static size_t step(struct filter *filter, struct str text) {
    switch (filter->stage) {
    case FILTER_BEGINNING:
        return begin(filter, text);
    case FILTER_THINKING:
        return think(filter, text);
    case FILTER_AFTER_THINKING:
        return settle(filter, text);
    case FILTER_SPEAKING:
        return speak(filter, text);
    case FILTER_STOPPED:
        break;
    }
    return text.len;
}

/* Runs the stages until none gets further. What is left at the end must be held. */
static struct str judge(struct filter *filter, struct str text) {
    for (;;) {
        int stage = filter->stage;
        size_t done = step(filter, text);
        text = str_slice(text, done, text.len);
        if (text.len == 0 || (done == 0 && stage == (int)filter->stage))
            return text;
    }
}

/* Holds `text` back, or judges it together with what was held. */
static void pass(struct filter *filter, struct str text) {
    if (filter->held.len == 0) {
        struct str left = judge(filter, text);
        buf_add_str(&filter->held, left);
        return;
    }
    buf_add_str(&filter->held, text);
    struct str left = judge(filter, buf_str(&filter->held));
    buf_drop_front(&filter->held, filter->held.len - left.len);
}

/* --- the echo --------------------------------------------------------------------------------- */

static size_t common_length(struct str a, struct str b) {
    size_t at = 0;
    while (at < a.len && at < b.len && a.at[at] == b.at[at])
        at++;
    return at;
}

/* It only began alike. What was withheld and what differs go on as one: the border may lie inside a
 * character. */
static void pass_withheld(struct filter *filter, struct str rest) {
    buf_add_str(&filter->held, str_slice(filter->echo, 0, filter->echo_matched));
    pass(filter, rest);
}

/* Takes the echo off the front of `text`; gives what is left to pass. */
static struct str without_echo(struct filter *filter, struct str text) {
    struct str awaited = str_slice(filter->echo, filter->echo_matched, filter->echo.len);
    size_t same = common_length(text, awaited);
    filter->echo_matched += same;
    struct str rest = str_slice(text, same, text.len);
    if (rest.len == 0 && same < awaited.len) /* all of it matches so far */
        return rest;
    filter->is_echo_over = true;
    if (same == awaited.len)
        return rest;
    pass_withheld(filter, rest);
    return STR("");
}

void filter_feed(struct filter *filter, struct str text) {
    if (!filter->is_echo_over)
        text = without_echo(filter, text);
    if (text.len)
        pass(filter, text);
}

void filter_end(struct filter *filter, bool is_whole) {
    if (!filter->is_echo_over && is_whole)
        pass_withheld(filter, STR(""));
    filter->is_echo_over = true;
    if (filter->stage == FILTER_THINKING)
        give_reasoning(filter, buf_str(&filter->held));
    else if (filter->stage == FILTER_SPEAKING || (filter->stage == FILTER_BEGINNING && is_whole))
        give_text(filter, buf_str(&filter->held));
    buf_clear(&filter->held);
}
