/*
 * Decorators: lines `@@name value` at the start of a lore entry's content (character card
 * specification V3). They are taken off before the text is used, whether we act on them or not.
 *
 * Acted on: activate, dont_activate, scan_depth, additional_keys, exclude_keys,
 * ignore_on_max_context. Others need what a scan does not know (how often the character has spoken,
 * which greeting was chosen) or places in the prompt that there are none of; they are ignored, as
 * the specification asks for what an application does not support.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

#define DECORATOR_LISTS_LIMIT 16

struct decorators {
    bool is_always;                               /* activate */
    bool is_never;                                /* dont_activate; activate wins */
    bool yields;                                  /* ignore_on_max_context: dropped first */
    int64_t scan_depth;                           /* -1: not said */
    struct str additional[DECORATOR_LISTS_LIMIT]; /* of each, one key must be there too */
    size_t additional_count;
    struct str excluded; /* none of these keys may be there; comma-separated */
};

/* Reads the decorators of `content` and gives what follows them; borrowed from content. */
struct str decorators_read(struct str content, struct decorators *decorators);
/* The text behind the decorators. */
struct str decorators_skip(struct str content);
