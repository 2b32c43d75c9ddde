/*
 * What stands between an endpoint's text and the reply: thinking in tags is set apart, stop strings
 * end the reply, and an echo of the message that is being continued is dropped.
 *
 * Text is held back only while it may still turn out to be a tag, a stop string or an echo; all
 * else passes at once.
 */
#pragma once

#include "base/buf.h"

struct filter {
    void (*text)(void *ctx, struct str text);
    void (*reasoning)(void *ctx, struct str text);
    void *ctx;
    const struct str *stops; /* borrowed */
    size_t stop_count;
    struct str echo; /* borrowed; STR_NONE: nothing is continued */
    struct buf held; /* text that cannot be judged yet */
    enum {
        FILTER_BEGINNING,
        FILTER_THINKING,
        FILTER_AFTER_THINKING,
        FILTER_SPEAKING,
        FILTER_STOPPED
    } stage;
    size_t echo_matched; /* bytes of `echo` that have come back so far */
    bool is_echo_over;
    int tag; /* which pair of tags we are inside */
};

void filter_init(struct filter *filter, const struct str *stops, size_t stop_count,
                 struct str echo);
void filter_release(struct filter *filter);
void filter_feed(struct filter *filter, struct str text);
/* The stream has ended: what is held back is given as it is. When it broke off (not is_whole) that is
 * said of what was begun only: blanks, half a tag or half an echo are no beginning. */
void filter_end(struct filter *filter, bool is_whole);
bool filter_has_stopped(
    const struct filter *filter); /* a stop string came: nothing more will pass */
